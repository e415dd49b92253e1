//! The store as bytes: for checkpoints, and for a replica that begins with nothing.
//!
//! ```text
//! head | graves | key, key, …
//! ```
//!
//! These stand within what [all snapshots](crate::service::snapshot) have around them.
//! Keys stand in the order of their birth, so equal stores give equal bytes. Whatever
//! the bytes are, reading them back gives a store or an error.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::keyspace::{Entry, FrozenKeys, Keyspace, is_grave};
use super::limits::Limits;
use super::text::Text;
use crate::service::clock::LogTime;
use crate::service::snapshot::{Marks, Reader, Writer};
use crate::service::{self, Damaged, Place};

const MARKS: Marks = Marks {
    magic: *b"paxcstkv",
    format: 1,
};

/// Bytes of an empty key with an empty value.
const SMALLEST: usize = 5;

/// What is there once.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    time: u64,
    born: u64,
    keys: u64,
}

/// A key with all that belongs to it.
#[derive(Debug, Serialize, Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    value: Text<'a>,
    version: Place,
    birth: u64,
    deadline: Option<NonZeroU64>,
}

/// A store as it was.
#[derive(Clone, Debug)]
pub struct Frozen {
    keys: FrozenKeys,
    time: LogTime,
}

impl Frozen {
    /// What there is now.
    pub(super) fn new(keys: &Keyspace, time: LogTime) -> Frozen {
        let keys = keys.freeze();
        Frozen { keys, time }
    }
}

impl service::Frozen for Frozen {
    fn write(&self, part: &mut dyn FnMut(&[u8])) {
        write(&self.keys, self.time, part);
    }
}

/// Writes a store down, in parts of about a megabyte.
fn write(keys: &FrozenKeys, time: LogTime, part: &mut dyn FnMut(&[u8])) {
    let mut writer = Writer::begin(MARKS, part);
    writer.append(&Head {
        time: time.now(),
        born: keys.born(),
        keys: keys.len() as u64,
    });
    let graves: Vec<(u32, Place)> = keys.graves().collect();
    writer.append(&graves);
    keys.each(&mut |key, entry| {
        writer.append(&Row {
            key: Text(key),
            value: Text(entry.value()),
            version: entry.version(),
            birth: entry.birth(),
            deadline: entry.deadline(),
        });
    });
    writer.end();
}

/// Reads a store back.
///
/// # Errors
///
/// When the bytes are no snapshot.
pub fn read(bytes: &[u8]) -> Result<(Keyspace, LogTime), Damaged> {
    let mut reader = Reader::open(MARKS, bytes)?;
    let head: Head = reader.take("head")?;
    let graves: Vec<(u32, Place)> = reader.take("graves")?;
    // Beyond any store, and far from where numbers end.
    if head.born > 1 << 62 || head.time > LogTime::LAST {
        return Err(Damaged::Contradiction("a number beyond all bounds"));
    }
    let mut keys = Keyspace::default();
    let mut last = None;
    for (grave, place) in graves {
        if !is_grave(grave) || last >= Some(grave) || place.0 > 1 << 62 {
            return Err(Damaged::Contradiction("the order of graves"));
        }
        last = Some(grave);
        keys.bury(grave, place);
    }
    let mut last = 0;
    // No more than can follow.
    keys.reserve((head.keys as usize).min(reader.left() / SMALLEST));
    for _ in 0..head.keys {
        let row: Row<'_> = reader.take("a key")?;
        if row.birth <= last || row.birth > head.born || row.version.0 > 1 << 62 {
            return Err(Damaged::Contradiction("the order of births"));
        }
        last = row.birth;
        if row.key.0.len() > Limits::KEY || row.value.0.len() > Limits::VALUE {
            return Err(Damaged::Contradiction("a key or value over the limit"));
        }
        let (key, value) = (row.key.0, row.value.0);
        let entry = Entry::new(key, value, row.version, row.birth, row.deadline);
        if !keys.revive(key, entry) {
            return Err(Damaged::Contradiction("a key that is there twice"));
        }
    }
    if reader.left() > 0 {
        return Err(Damaged::Contradiction("more behind the last key"));
    }
    keys.set_born(head.born);
    Ok((keys, LogTime::at(head.time)))
}
