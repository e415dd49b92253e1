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
use super::seats::Unseated;
use super::text::Text;
use crate::service::clock::LogTime;
use crate::service::snapshot::{Marks, Reader, Writer};
use crate::service::{self, Damaged, Place};

const MARKS: Marks = Marks {
    magic: *b"paxcstkv",
    format: 1,
};

/// Keys that are read without a rest: in a tenth of a millisecond or less, if they are
/// of the usual size.
const RUN: u64 = 128;

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

/// Reads a store back; calls `rest` now and then.
///
/// # Errors
///
/// When the bytes are no snapshot.
pub fn read(bytes: &[u8], rest: &mut dyn FnMut()) -> Result<(Keyspace, LogTime), Damaged> {
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
    let mut unseated = Unseated::with_room((head.keys as usize).min(reader.left() / SMALLEST));
    for number in 0..head.keys {
        if number % RUN == 0 {
            rest();
        }
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
        keys.revive(key, entry, &mut unseated);
    }
    if reader.left() > 0 {
        return Err(Damaged::Contradiction("more behind the last key"));
    }
    if !keys.seat_all(unseated, rest) {
        return Err(Damaged::Contradiction("a key that is there twice"));
    }
    keys.set_born(head.born);
    Ok((keys, LogTime::at(head.time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot of these keys, in this order.
    fn written(keys: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut part = |part: &[u8]| bytes.extend_from_slice(part);
        let mut writer = Writer::begin(MARKS, &mut part);
        writer.append(&Head {
            time: 1,
            born: keys.len() as u64,
            keys: keys.len() as u64,
        });
        writer.append(&Vec::<(u32, Place)>::new());
        for (birth, key) in (1..).zip(keys) {
            writer.append(&Row {
                key: Text(key),
                value: Text(key),
                version: Place(birth),
                birth,
                deadline: None,
            });
        }
        writer.end();
        bytes
    }

    fn some_keys(count: u32) -> Vec<Vec<u8>> {
        (0..count).map(|n| n.to_string().into_bytes()).collect()
    }

    #[test]
    fn a_key_that_is_there_twice_is_found_out_wherever_it_is() {
        for (first, second) in [(0, 1), (0, 999), (400, 700), (998, 999)] {
            let mut keys = some_keys(1_000);
            keys[second] = keys[first].clone();
            let twice = Damaged::Contradiction("a key that is there twice");
            let outcome = read(&written(&keys), &mut || {});
            assert_eq!(outcome.map(|_| ()), Err(twice));
        }
    }

    /// However many keys there are, no more than a run of them comes without a rest,
    /// neither when they are read nor when they are seated.
    #[test]
    fn whoever_reads_a_store_back_can_rest_meanwhile() {
        let keys = some_keys(20_000);
        let mut rests = 0;
        let (store, _) = read(&written(&keys), &mut || rests += 1).expect("a snapshot");
        let reading = keys.len() / RUN as usize;
        assert!(rests >= reading + 256, "{rests} rests");
        assert_eq!(store.len(), keys.len());
        for (birth, key) in (1..).zip(&keys) {
            let entry = store.find(key).expect("it has its seat");
            assert_eq!((entry.birth(), entry.value()), (birth, &key[..]));
        }
    }
}
