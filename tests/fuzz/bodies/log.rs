//! A directory with anything in it is opened, or refused, and if it is opened, it
//! goes on from there.

use std::collections::BTreeMap;

use bytes::Bytes;
use paxcast::protocol::{Ballot, Instance, Payload, Payloads, Record, Vote, Watermark};
use paxcast::storage::Disk;
use paxcast::storage::log::Log;
use paxcast::storage::memory::MemoryDisk;
use paxcast::storage::segment::{self, Heading, IDENTITY_FILE, Identity};
use paxcast::storage::{StorageError, frame};

use super::script::Script;

const IDENTITY: Identity = Identity {
    cluster: 0xc1,
    acceptor: 2,
    store: 0x5eed_0000_5eed,
};

const SEGMENT: u64 = 2_048;

/// Takes the bytes as the making of a directory.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script::new(data);
    let mut disk = MemoryDisk::new();
    // A log that was trimmed begins further on, or pretends to.
    let first = match script.below(4) {
        0 => 1 + script.below(4),
        _ => 1,
    };
    let mut position = first;
    file(&mut disk, IDENTITY_FILE, &heading(&mut script, 0, 0), 512);
    for number in first..=first + script.below(3) {
        let mut content = heading(&mut script, number, position).to_vec();
        position = frames(&mut script, position, &mut content);
        let name = match script.below(32) {
            0 => segment::spare_name(number),
            1 => format!("votes-{}.log", script.number()),
            _ => segment::file_name(number),
        };
        let length = if script.one_in(32) { 1_024 } else { SEGMENT };
        file(&mut disk, &name, &content, length);
    }
    let Ok(remembered) = open(&mut disk) else {
        return 0;
    };
    goes_on(disk, remembered);
    1
}

/// The heading of a file, mostly a right one.
fn heading(script: &mut Script, number: u64, first: u64) -> [u8; 512] {
    let mut heading = Heading {
        identity: IDENTITY,
        segment_length: SEGMENT,
        number,
        first,
    };
    match script.below(256) {
        0 => heading.first = script.number(),
        1 => heading.number = script.number(),
        2 => heading.segment_length = script.number(),
        3 => heading.identity.store = script.number(),
        4 => heading.identity.acceptor = 3,
        _ => {}
    }
    let mut bytes = heading.encode();
    if script.one_in(128) {
        let at = script.below(512) as usize;
        bytes[at] ^= script.byte();
    }
    bytes
}

/// Frames, mostly whole and in their places, and garbage; the next position.
fn frames(script: &mut Script, first: u64, content: &mut Vec<u8>) -> u64 {
    let mut position = first;
    let mut synced = first - 1;
    for _ in 0..script.below(12) {
        let odd = script.below(256);
        let named = match odd {
            0 => script.number(),
            1 => position.saturating_sub(1),
            _ => position,
        };
        if script.one_in(3) {
            synced = match odd {
                2 => script.number(),
                _ => position - 1,
            };
        }
        let body = match odd {
            3 => Bytes::new(),
            4 => Bytes::copy_from_slice(script.bytes(20)),
            _ => body(script),
        };
        let store = IDENTITY.store ^ u64::from(odd == 5);
        let mut buffer = Vec::new();
        frame::write(store, named, synced, &body, &[], &mut buffer);
        match script.below(128) {
            0 => {
                let at = script.below(buffer.len() as u64) as usize;
                buffer[at] ^= script.byte();
            }
            1 => buffer.truncate(script.below(buffer.len() as u64) as usize),
            // A sector that never arrived.
            2 => buffer.fill(0),
            3 => {
                let at = script.below(buffer.len() as u64) as usize;
                buffer[at..].fill(0);
            }
            _ => {}
        }
        // Behind the last record of a log there is always room for a seal.
        if content.len() + buffer.len() + frame::HEADER > SEGMENT as usize {
            break;
        }
        content.extend_from_slice(&buffer);
        position += 1;
    }
    match script.below(8) {
        0 => content.extend_from_slice(script.bytes(64)),
        1..=5 => {
            let mut seal = Vec::new();
            frame::write(IDENTITY.store, position, position - 1, &[], &[], &mut seal);
            content.extend_from_slice(&seal);
        }
        _ => {}
    }
    position
}

/// What stands in a frame: a record, and behind a trim the first segment that it
/// wants kept.
fn body(script: &mut Script) -> Bytes {
    let record = record(script);
    let bytes = record.encode();
    match record {
        Record::Trimmed { .. } => [&bytes[..], &script.below(5).to_le_bytes()].concat().into(),
        _ => bytes,
    }
}

fn record(script: &mut Script) -> Record {
    let ballot = Ballot {
        round: script.below(8),
        proposer: 1,
        incarnation: 9,
    };
    match script.below(6) {
        0 | 1 => Record::Promised { ballot },
        2 => Record::Trimmed {
            through: Instance(script.below(16)),
            promised: ballot,
            highest: Instance(script.below(16)),
            watermark: Watermark::default(),
        },
        _ => Record::Voted {
            vote: Vote {
                instance: Instance(script.below(16)),
                ballot,
                value: Payload::new(vec![script.byte(); script.below(700) as usize].into()),
            },
        },
    }
}

fn file(disk: &mut MemoryDisk, name: &str, content: &[u8], length: u64) {
    let taken = content.len().min(length as usize);
    if disk.create(name, length).is_ok() {
        disk.write_at(name, 0, &content[..taken])
            .expect("it has room");
        disk.sync(name).expect("nothing fails");
    }
    disk.sync_directory().expect("nothing fails");
}

fn open(disk: &mut MemoryDisk) -> Result<Vec<Record>, StorageError> {
    let mut records = Vec::new();
    Log::open(disk, IDENTITY.cluster, IDENTITY.acceptor, |record| {
        records.push(record);
    })?;
    Ok(records)
}

/// What was recovered stays, is found, and something can be added to it.
fn goes_on(mut disk: MemoryDisk, mut remembered: Vec<Record>) {
    let mut newest = BTreeMap::new();
    for record in &remembered {
        if let Record::Voted { vote } = record {
            newest.insert(vote.instance, vote.clone());
        }
    }
    let opened = Log::open(&mut disk, IDENTITY.cluster, IDENTITY.acceptor, |_| {});
    let (mut log, store) = opened.expect("it was opened before");
    assert_eq!(store, IDENTITY.store);
    let everything = paxcast::protocol::Lookup {
        purpose: paxcast::protocol::Purpose::Votes {
            to: paxcast::protocol::Address::Group(paxcast::protocol::Role::Learner),
        },
        spans: vec![paxcast::protocol::Span {
            from: Instance::ZERO,
            through: Instance(u64::MAX),
        }],
        bytes: usize::MAX,
    };
    let found = log.lookup(everything).expect("nothing fails");
    assert_eq!(found.votes, newest.into_values().collect::<Vec<_>>());
    let added = Record::Promised {
        ballot: Ballot::ZERO,
    };
    log.append(&added).expect("it fits");
    log.sync().expect("nothing fails");
    remembered.push(added);
    disk.crash(7);
    assert_eq!(open(&mut disk).expect("it goes on"), remembered);
    // What trims let go goes, and nothing behind it.
    let opened = Log::open(&mut disk, IDENTITY.cluster, IDENTITY.acceptor, |_| {});
    let (mut log, _) = opened.expect("it was opened before");
    let first = log.first_position();
    while log.trim().expect("nothing fails").is_some() {}
    let deleted = (log.first_position() - first) as usize;
    disk.crash(7);
    assert_eq!(open(&mut disk).expect("it goes on"), remembered[deleted..]);
}
