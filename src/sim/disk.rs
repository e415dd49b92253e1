//! An acceptor's disk: the very log that the daemon writes, on a disk in memory.
//!
//! Beside the log this keeps the list of records that must be in it: those that a
//! sync made certain, and those appended since. Whenever the log is opened, what
//! comes out is held against that list. All that is certain must be there, in
//! order and to the last byte; of the rest, a beginning; and nothing else. Only the
//! oldest may be gone, as far as a trim that is there lets them go.

use crate::protocol::{Found, Lookup, Record};
use crate::storage::StorageError;
use crate::storage::log::Log;
use crate::storage::memory::{Fault, MemoryDisk};
use crate::storage::segment::Identity;

/// A disk with an acceptor's log on it.
#[derive(Debug)]
pub struct Disk {
    identity: Identity,
    medium: Medium,
    /// Records that survive whatever the disk survives.
    certain: Vec<Record>,
    /// Records appended since the last sync.
    pending: Vec<Record>,
    /// Of those, how many of the oldest are deleted.
    deleted: usize,
    /// A trim was synced, and what it lets go is still there.
    trimming: bool,
    /// Bytes that the records on it may take together.
    weight: u64,
    /// Where the last batch begins: a segment and an offset in it. That all before
    /// it was synced stands in the batch itself.
    protected: (u64, u64),
    /// It was damaged since it was last opened.
    damaged: bool,
}

/// Who has the disk.
#[derive(Debug)]
enum Medium {
    /// The acceptor's log.
    Open(Box<Log<MemoryDisk>>),
    /// Nobody: the acceptor is dead.
    Closed(Box<MemoryDisk>),
}

/// What became of an attempt to open the log.
#[derive(Debug)]
pub enum Opening {
    /// It is open.
    Recovered {
        /// All its records, oldest first.
        records: Vec<Record>,
        /// How many of them were not certain before.
        saved: usize,
        /// How many records are gone that were never synced.
        lost: usize,
    },
    /// It refuses to be opened.
    Refused(StorageError),
}

impl Disk {
    /// A disk that an acceptor was made ready on, as `--init` does it.
    ///
    /// # Panics
    ///
    /// When the segment length is none that the log can work with.
    pub fn new(identity: Identity, segment_length: u64) -> Disk {
        let mut disk = MemoryDisk::new();
        Log::init_with_segments(&mut disk, identity, segment_length)
            .expect("an empty disk takes a log");
        Disk {
            identity,
            medium: Medium::Closed(Box::new(disk)),
            certain: Vec::new(),
            pending: Vec::new(),
            deleted: 0,
            trimming: false,
            weight: 0,
            protected: (1, 0),
            damaged: false,
        }
    }

    /// How many records were appended.
    pub fn written(&self) -> usize {
        self.certain.len() + self.pending.len()
    }

    /// How many of them survive a crash for certain.
    pub fn synced(&self) -> usize {
        self.certain.len()
    }

    /// Everything before this place, a segment and an offset in it, is named as
    /// synced by what stands behind it.
    pub fn protected(&self) -> (u64, u64) {
        self.protected
    }

    /// Whether it was damaged since it was last opened.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Remembers that it is damaged.
    pub(super) fn note_damage(&mut self) {
        self.damaged = true;
    }

    /// Lets the files grow no more, or lets them grow again.
    pub fn fill(&mut self, full: bool) {
        let disk = self.disk();
        let used = disk.used();
        disk.limit(full.then_some(used));
    }

    /// Whether a trim is durable and not carried out yet.
    pub fn is_trimming(&self) -> bool {
        self.trimming
    }

    /// Bytes that the records on it may take together.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Bytes that all files take together.
    pub fn used(&self) -> u64 {
        match &self.medium {
            Medium::Open(log) => log.disk().used(),
            Medium::Closed(disk) => disk.used(),
        }
    }

    /// Opens the log of a dead acceptor and gives back what it remembers.
    ///
    /// # Errors
    ///
    /// A sentence, when the log came back with anything but what was written:
    /// a broken promise.
    ///
    /// # Panics
    ///
    /// When it is open.
    pub fn open(&mut self) -> Result<Opening, String> {
        let Medium::Closed(disk) = &self.medium else {
            panic!("a disk has one owner");
        };
        let (log, records) = match self.read(MemoryDisk::clone(disk)) {
            Ok(read) => read,
            Err(error) => return Ok(Opening::Refused(error)),
        };
        let deleted = self.compare(&log, &records)?;
        let saved = deleted + records.len() - self.certain.len();
        let lost = self.pending.len() - saved;
        // What a crash interrupted goes on.
        self.trimming = true;
        self.certain.extend(self.pending.drain(..).take(saved));
        self.note_deleted(deleted);
        self.medium = Medium::Open(Box::new(log));
        self.damaged = false;
        Ok(Opening::Recovered {
            records,
            saved,
            lost,
        })
    }

    /// Appends a record; the next sync makes it durable.
    pub fn append(&mut self, record: Record) -> Result<(), StorageError> {
        self.log().append(&record)?;
        self.weight += weight(&record);
        self.pending.push(record);
        Ok(())
    }

    /// Makes durable what was appended, and gives it back.
    pub fn sync(&mut self) -> Result<&[Record], StorageError> {
        let end = self.log().end();
        self.log().sync()?;
        if !self.pending.is_empty() {
            self.protected = end;
        }
        let before = self.certain.len();
        self.certain.append(&mut self.pending);
        self.trimming |= self.certain[before..].iter().any(is_trim);
        Ok(&self.certain[before..])
    }

    /// Deletes what the trims so far let go; says how many segments.
    pub fn trim(&mut self) -> Result<u64, StorageError> {
        let mut segments = 0;
        while self.trimming && self.log().trim()?.is_some() {
            segments += 1;
        }
        self.trimming = false;
        let deleted = self.log().first_position() as usize - 1;
        self.note_deleted(deleted);
        Ok(segments)
    }

    fn note_deleted(&mut self, deleted: usize) {
        let news = &self.certain[self.deleted..deleted.max(self.deleted)];
        self.weight -= news.iter().map(weight).sum::<u64>();
        self.deleted += news.len();
    }

    /// Answers an acceptor's question from everything appended so far.
    pub fn lookup(&mut self, lookup: Lookup) -> Result<Found, StorageError> {
        self.log().lookup(lookup)
    }

    /// Lets one of the next calls to the disk suffer a fault; 1 is the next.
    pub fn fail(&mut self, call: u64, fault: Fault) {
        let disk = self.disk();
        disk.fail_at(disk.calls() + call, fault);
    }

    /// The acceptor dies after so many more calls of the trim and the sync that were
    /// due. With the seed of a power failure, what was not durable is lost in part or all;
    /// without one the operating system lives on and loses nothing it was told.
    pub fn stop(&mut self, calls: u64, power: Option<u64>) {
        if calls > 0 && (self.trimming || !self.pending.is_empty()) {
            self.fail(calls, Fault::PowerOff);
            // Whether it came to an end, nobody will ever hear.
            let _ = self.trim();
            let _ = self.log().sync();
        }
        if let Medium::Open(log) = &mut self.medium {
            let disk = std::mem::take(log.disk_mut());
            self.medium = Medium::Closed(Box::new(disk));
        }
        match power {
            Some(seed) => self.disk().crash(seed),
            None => self.disk().change_hands(),
        }
    }

    /// Reads a copy of the disk, after a power failure with this seed, if any,
    /// as a restart would, and says what is wrong with what it remembers.
    ///
    /// # Errors
    ///
    /// A sentence, when a restart would not come back with all that is certain.
    pub fn rehearse(&self, power: Option<u64>) -> Result<Vec<Record>, String> {
        let mut disk = match &self.medium {
            Medium::Open(log) => log.disk().clone(),
            Medium::Closed(disk) => MemoryDisk::clone(disk),
        };
        match power {
            Some(seed) => disk.crash(seed),
            None => disk.change_hands(),
        }
        let (log, records) = self
            .read(disk)
            .map_err(|error| format!("a restart would be refused: {error}"))?;
        self.compare(&log, &records)?;
        Ok(records)
    }

    /// Opens a log as an acceptor does at its start.
    fn read(&self, disk: MemoryDisk) -> Result<(Log<MemoryDisk>, Vec<Record>), StorageError> {
        let mut records = Vec::with_capacity(self.certain.len());
        let Identity {
            cluster,
            acceptor,
            store,
        } = self.identity;
        let (log, opened) = Log::open(disk, cluster, acceptor, |record| records.push(record))?;
        assert_eq!(store, opened, "one directory, one identity");
        Ok((log, records))
    }

    /// Holds what a log remembers against what it must remember; says how many of
    /// the oldest records are gone.
    fn compare(&self, log: &Log<MemoryDisk>, records: &[Record]) -> Result<usize, String> {
        let certain = self.certain.len();
        let deleted = log.first_position() as usize - 1;
        let through = deleted + records.len();
        if through < certain {
            return Err(format!(
                "the log came back with {} records, though {certain} were synced",
                records.len()
            ));
        }
        self.check_deleted(deleted)?;
        let written = self.certain.iter().chain(&self.pending).skip(deleted);
        let mut position = deleted;
        for (found, expected) in records.iter().zip(written) {
            position += 1;
            if found != expected {
                return Err(format!(
                    "record {position} came back from the log as {found:?}, written was \
                     {expected:?}"
                ));
            }
        }
        match position < through {
            false => Ok(deleted),
            true => Err(format!(
                "the log came back with {} records, but only {position} were written",
                records.len()
            )),
        }
    }

    /// Records may be gone only ahead of a trim that is there, and votes only as far
    /// as it goes.
    fn check_deleted(&self, deleted: usize) -> Result<(), String> {
        let (gone, left) = self.certain.split_at(deleted.min(self.certain.len()));
        let through = left.iter().rev().find_map(|record| match record {
            Record::Trimmed { through, .. } => Some(*through),
            _ => None,
        });
        let needed = |record: &&Record| match record {
            Record::Voted { vote } => Some(vote.instance) > through,
            _ => through.is_none(),
        };
        match gone.iter().find(needed) {
            None => Ok(()),
            Some(record) => Err(format!(
                "{record:?} is gone from the log, which is trimmed through {}",
                through.unwrap_or_default()
            )),
        }
    }

    fn log(&mut self) -> &mut Log<MemoryDisk> {
        match &mut self.medium {
            Medium::Open(log) => log,
            Medium::Closed(_) => panic!("a dead acceptor does not use its log"),
        }
    }

    /// The disk itself, for faults.
    pub fn disk(&mut self) -> &mut MemoryDisk {
        match &mut self.medium {
            Medium::Open(log) => log.disk_mut(),
            Medium::Closed(disk) => disk,
        }
    }
}

/// Whether a record lets others go.
fn is_trim(record: &Record) -> bool {
    matches!(record, Record::Trimmed { .. })
}

/// Bytes that a record may take: its value, its fields and the head of its frame.
fn weight(record: &Record) -> u64 {
    let value = match record {
        Record::Voted { vote } => vote.value.len(),
        _ => 0,
    };
    100 + value as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::*;
    use crate::protocol::{Ballot, Instance, Payload, Vote};

    fn voted(instance: u64) -> Record {
        Record::Voted {
            vote: Vote {
                instance: Instance(instance),
                ballot: Ballot {
                    round: 1,
                    proposer: 1,
                    incarnation: 1,
                },
                value: Payload::new(Bytes::from_static(&[7; 300])),
            },
        }
    }

    fn disk() -> Disk {
        let identity = Identity {
            cluster: 1,
            acceptor: 2,
            store: 3,
        };
        let mut disk = Disk::new(identity, 8_192);
        assert!(matches!(
            disk.open(),
            Ok(Opening::Recovered {
                saved: 0,
                lost: 0,
                ..
            })
        ));
        disk
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_sometimes_more() {
        let mut seen = BTreeSet::new();
        for seed in 0..300 {
            let mut disk = disk();
            for instance in 1..=30 {
                disk.append(voted(instance)).unwrap();
                if instance == 20 {
                    assert_eq!(disk.sync().unwrap().len(), 20);
                }
            }
            disk.stop(seed % 20, (seed % 3 > 0).then_some(seed));
            let Opening::Recovered {
                records,
                saved,
                lost,
            } = disk.open().unwrap()
            else {
                panic!("a crash is no damage");
            };
            assert_eq!((saved + lost, records.len()), (10, 20 + saved));
            assert_eq!(disk.rehearse(Some(seed)).unwrap().len(), 20 + saved);
            seen.insert(saved);
        }
        assert!(seen.len() > 3, "{seen:?}");
        assert!(seen.contains(&0) && seen.contains(&10), "{seen:?}");
    }

    #[test]
    fn what_was_not_written_is_noticed() {
        let mut disk = disk();
        disk.append(voted(1)).unwrap();
        disk.sync().unwrap();
        disk.certain.push(voted(2));
        assert!(disk.rehearse(None).unwrap_err().contains("2 were synced"));
        disk.certain = vec![voted(2)];
        assert!(disk.rehearse(None).unwrap_err().contains("written was"));
        disk.certain.clear();
        assert!(disk.rehearse(None).unwrap_err().contains("only 0 were"));
    }
}
