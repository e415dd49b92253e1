//! The acceptor's log against crashes, damage, a naive model and a real disk.

mod crash;
mod damage;
mod golden;
mod lookup;
mod real;
mod rebuilt;

use bytes::Bytes;
use paxcast::protocol::{Ballot, Instance, Payload, Record, Vote, Watermark};
use paxcast::storage::StorageError;
use paxcast::storage::log::Log;
use paxcast::storage::memory::MemoryDisk;
use paxcast::storage::segment::Identity;

const IDENTITY: Identity = Identity {
    cluster: 0xc1,
    acceptor: 2,
    store: 0x5eed_0000_5eed,
};

fn ballot(round: u64) -> Ballot {
    Ballot {
        round,
        proposer: 1,
        incarnation: 9,
    }
}

fn promised(round: u64) -> Record {
    Record::Promised {
        ballot: ballot(round),
    }
}

fn vote(instance: u64, round: u64, value: Vec<u8>) -> Vote {
    Vote {
        instance: Instance(instance),
        ballot: ballot(round),
        value: Payload::new(Bytes::from(value)),
    }
}

fn voted(instance: u64, round: u64, value: Vec<u8>) -> Record {
    Record::Voted {
        vote: vote(instance, round, value),
    }
}

fn watermark(round: u64, through: u64) -> Record {
    Record::Watermark {
        watermark: Watermark {
            ballot: ballot(round),
            through: Instance(through),
        },
    }
}

/// A new acceptor's disk with short segments.
fn disk(segment_length: u64) -> MemoryDisk {
    let mut disk = MemoryDisk::new();
    Log::init_with_segments(&mut disk, IDENTITY, segment_length).unwrap();
    disk
}

/// Opens the log and tells what it remembers.
fn open(disk: &mut MemoryDisk) -> Result<(Log<&mut MemoryDisk>, Vec<Record>), StorageError> {
    let mut records = Vec::new();
    let (log, store) = Log::open(disk, IDENTITY.cluster, IDENTITY.acceptor, |record| {
        records.push(record);
    })?;
    assert_eq!(store, IDENTITY.store);
    Ok((log, records))
}

/// Appends each batch and syncs it.
fn write(log: &mut Log<&mut MemoryDisk>, batches: &[&[Record]]) {
    for batch in batches {
        for record in *batch {
            log.append(record).unwrap();
        }
        log.sync().unwrap();
    }
}
