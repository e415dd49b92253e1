//! The store as bytes: for checkpoints, and for a replica that begins with nothing.
//!
//! ```text
//! magic 8 | format 2 | head | graves | key, key, … | crc32c 4
//! ```
//!
//! All but the ends are postcard; keys stand in the order of their birth, so equal
//! stores give equal bytes. The checksum covers everything ahead of it. Whatever
//! the bytes are, reading them back gives a store or an error.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::keyspace::{Entry, FrozenKeys, Keyspace, is_grave};
use super::limits::Limits;
use super::text::Text;
use crate::service::clock::LogTime;
use crate::service::{self, Damaged, Place};

const MAGIC: &[u8; 8] = b"paxcstkv";
const FORMAT: u16 = 1;
const HEADER: usize = MAGIC.len() + 2;
const CHECKSUM: usize = 4;

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
    const PART: usize = 1 << 20;
    let mut buffer = Vec::new();
    let mut sum = 0;
    let mut pass = |buffer: &mut Vec<u8>, last: bool| {
        sum = crc32c::crc32c_append(sum, buffer);
        if last {
            buffer.extend_from_slice(&sum.to_le_bytes());
        }
        part(buffer);
        buffer.clear();
    };
    buffer.extend_from_slice(MAGIC);
    buffer.extend_from_slice(&FORMAT.to_le_bytes());
    let head = Head {
        time: time.now(),
        born: keys.born(),
        keys: keys.len() as u64,
    };
    append(&head, &mut buffer);
    let graves: Vec<(u32, Place)> = keys.graves().collect();
    append(&graves, &mut buffer);
    keys.each(&mut |key, entry| {
        let row = Row {
            key: Text(key),
            value: Text(entry.value()),
            version: entry.version(),
            birth: entry.birth(),
            deadline: entry.deadline(),
        };
        append(&row, &mut buffer);
        if buffer.len() >= PART {
            pass(&mut buffer, false);
        }
    });
    pass(&mut buffer, true);
}

fn append(item: &impl Serialize, buffer: &mut Vec<u8>) {
    let room = std::mem::take(buffer);
    *buffer = postcard::to_extend(item, room).expect("writing to memory cannot fail");
}

/// Reads a store back.
///
/// # Errors
///
/// When the bytes are no snapshot.
pub fn read(bytes: &[u8]) -> Result<(Keyspace, LogTime), Damaged> {
    if bytes.len() < HEADER + CHECKSUM || !bytes.starts_with(MAGIC) {
        return Err(Damaged::Foreign);
    }
    let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
    if crc32c::crc32c(body).to_le_bytes() != checksum {
        return Err(Damaged::Checksum);
    }
    let format = u16::from_le_bytes([body[8], body[9]]);
    if format != FORMAT {
        return Err(Damaged::Version(format));
    }
    let (head, mut rest): (Head, &[u8]) =
        postcard::take_from_bytes(&body[HEADER..]).map_err(|_| Damaged::Contradiction("head"))?;
    let graves: (Vec<(u32, Place)>, &[u8]) =
        postcard::take_from_bytes(rest).map_err(|_| Damaged::Contradiction("graves"))?;
    rest = graves.1;
    // Beyond any store, and far from where numbers end.
    if head.born > 1 << 62 || head.time > LogTime::LAST {
        return Err(Damaged::Contradiction("a number beyond all bounds"));
    }
    let mut keys = Keyspace::default();
    let mut last = None;
    for (grave, place) in graves.0 {
        if !is_grave(grave) || last >= Some(grave) || place.0 > 1 << 62 {
            return Err(Damaged::Contradiction("the order of graves"));
        }
        last = Some(grave);
        keys.bury(grave, place);
    }
    let mut last = 0;
    // No more than can follow.
    keys.reserve((head.keys as usize).min(rest.len() / SMALLEST));
    for _ in 0..head.keys {
        let (row, behind): (Row<'_>, &[u8]) =
            postcard::take_from_bytes(rest).map_err(|_| Damaged::Contradiction("a key"))?;
        rest = behind;
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
    if !rest.is_empty() {
        return Err(Damaged::Contradiction("more behind the last key"));
    }
    keys.set_born(head.born);
    Ok((keys, LogTime::at(head.time)))
}
