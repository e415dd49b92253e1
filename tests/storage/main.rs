//! The acceptor's log and a replica's checkpoints against crashes, damage, a naive
//! model and a real disk.

mod calls;
mod crash;
mod damage;
mod golden;
mod lies;
mod lookup;
mod real;
mod rebuilt;
mod shelf;
mod trim;

use bytes::Bytes;
use paxcast::protocol::{Ballot, Instance, Payload, Record, Vote, Watermark};
use paxcast::storage::log::Log;
use paxcast::storage::memory::MemoryDisk;
use paxcast::storage::segment::Identity;
use paxcast::storage::{Disk, StorageError};

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

fn trimmed(round: u64, through: u64, highest: u64) -> Record {
    Record::Trimmed {
        through: Instance(through),
        promised: ballot(round),
        highest: Instance(highest),
        watermark: Watermark {
            ballot: ballot(round),
            through: Instance(through),
        },
    }
}

/// Of all that was ever written, as far as it may be gone: what a log that begins
/// with the record at this position remembers. Whatever is gone must lie ahead of
/// a trim that is there, and the votes among it no further than it goes.
fn left<'a>(written: &'a [Record], first_position: u64, story: &str) -> &'a [Record] {
    let (gone, left) = written.split_at(first_position as usize - 1);
    let trimmed = left.iter().filter_map(|record| match record {
        Record::Trimmed { through, .. } => Some(*through),
        _ => None,
    });
    let trimmed = trimmed.max();
    assert!(
        gone.is_empty() || trimmed.is_some(),
        "{story}: gone without a trim"
    );
    for record in gone {
        if let Record::Voted { vote } = record {
            assert!(
                Some(vote.instance) <= trimmed,
                "{story}: {record:?} is gone"
            );
        }
    }
    left
}

/// Deletes all that may be deleted; says how many segments.
fn trim_all<D: Disk>(log: &mut Log<&mut D>) -> Result<u64, StorageError> {
    let mut segments = 0;
    while log.trim()?.is_some() {
        segments += 1;
    }
    Ok(segments)
}

/// A new acceptor's disk with short segments.
fn disk(segment_length: u64) -> MemoryDisk {
    let mut disk = MemoryDisk::new();
    Log::init_with_segments(&mut disk, IDENTITY, segment_length).unwrap();
    disk
}

/// Opens the log and tells what it remembers.
fn open<D: Disk>(disk: &mut D) -> Result<(Log<&mut D>, Vec<Record>), StorageError> {
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

/// Calls `each` with every number, on all processors; the results are in order.
fn in_parallel<T: Send>(
    numbers: std::ops::RangeInclusive<u64>,
    each: impl Fn(u64) -> T + Sync,
) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let (first, last) = (*numbers.start(), *numbers.end());
    let mut results: Vec<(u64, T)> = std::thread::scope(|scope| {
        let each = &each;
        let share = |thread| {
            let mine = (first + thread..=last).step_by(threads as usize);
            mine.map(|number| (number, each(number)))
                .collect::<Vec<_>>()
        };
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || share(thread)))
            .collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined
            .flat_map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
