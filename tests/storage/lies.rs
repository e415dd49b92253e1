//! A disk that lies: a write that is reported durable and never took place, or
//! took place somewhere else.
//!
//! Each write of a run of 99 records is lost in turn, and each goes astray to
//! the place of every other. A batch fills more than a block here: of a smaller
//! one the next write brings back what was lost. The next start finds out, with
//! two exceptions, in which the log looks as if it had always been that short:
//!
//! - the very last write is lost, whether its bytes are nowhere or elsewhere;
//! - zeros, meant for the next segment, go astray over the *end* of the log and
//!   wipe out everything from some record on.
//!
//! It would take a second witness, on another disk, to know better.

use std::collections::BTreeSet;
use std::io;

use paxcast::protocol::Record;
use paxcast::storage::log::Log;
use paxcast::storage::memory::MemoryDisk;
use paxcast::storage::segment::IDENTITY_FILE;
use paxcast::storage::{Disk, StorageError};

use super::{IDENTITY, in_parallel, open, voted, watermark};

/// Ten blocks.
const SEGMENT: u64 = 40_960;

/// Batches of three of them are longer than a block.
fn records() -> Vec<Record> {
    let record = |number: u64| match number % 9 {
        0 => watermark(number, number - 1),
        _ => voted(
            number,
            number,
            vec![number as u8; 2_000 + number as usize % 20],
        ),
    };
    (1..=99).map(record).collect()
}

/// Where a write goes.
type Place = (String, u64);

/// A disk that notes where writes go, and lies about one of them.
#[derive(Default)]
struct Liar {
    disk: MemoryDisk,
    writes: Vec<Place>,
    /// Which write, counted from 0, and where it goes instead of its place.
    lie: Option<(usize, Option<Place>)>,
    /// The write that was lied about had nothing but zeros.
    zeros: bool,
}

impl Disk for Liar {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn length(&mut self, name: &str) -> io::Result<Option<u64>> {
        self.disk.length(name)
    }

    fn create(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.disk.create(name, length)
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(name, offset, buffer)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let number = self.writes.len();
        self.writes.push((name.to_owned(), offset));
        match &self.lie {
            Some((lie, place)) if *lie == number => {
                self.zeros = bytes.iter().all(|&byte| byte == 0);
                if let Some((name, offset)) = place {
                    // A disk does not write into files that are not there, nor
                    // behind their end.
                    let length = self.disk.length(name)?.unwrap_or(0);
                    let room = length.saturating_sub(*offset).min(bytes.len() as u64);
                    if room > 0 {
                        let bytes = &bytes[..room as usize];
                        self.disk.write_at(name, *offset, bytes)?;
                        // It was meant for a file that is synced; it is as durable here.
                        self.disk.sync(name)?;
                    }
                }
                Ok(())
            }
            _ => self.disk.write_at(name, offset, bytes),
        }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.disk.sync(name)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn block(&self) -> usize {
        self.disk.block()
    }

    fn locate(&self, name: &str) -> String {
        self.disk.locate(name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Identical,
    /// The end of the log is gone, and nobody notices.
    Shorter,
    /// The same, wiped out by zeros.
    Wiped,
}

/// Makes a log of the records on a disk that tells one lie, then opens it.
fn told(lie: Option<(usize, Option<Place>)>, records: &[Record]) -> (Outcome, Vec<Place>) {
    let mut liar = Liar {
        lie,
        ..Liar::default()
    };
    Log::init_with_segments(&mut liar, IDENTITY, SEGMENT).unwrap();
    let written = |liar: &mut Liar| -> Result<(), StorageError> {
        let (mut log, _) = open(liar)?;
        for batch in records.chunks(3) {
            for record in batch {
                log.append(record)?;
            }
            log.sync()?;
        }
        Ok(())
    };
    let story = format!("{:?}", liar.lie);
    let outcome = match written(&mut liar) {
        // Making the log was lied about, and already the first start sees it.
        Err(error) => refused(&error, &story),
        Ok(()) => match open(&mut liar.disk) {
            Err(error) => refused(&error, &story),
            Ok((_, remembered)) if remembered == records => Outcome::Identical,
            Ok((_, remembered)) => {
                let known = records.starts_with(&remembered);
                assert!(known, "{story}: other records");
                match liar.zeros {
                    true => Outcome::Wiped,
                    false => Outcome::Shorter,
                }
            }
        },
    };
    (outcome, liar.writes)
}

fn refused(error: &StorageError, story: &str) -> Outcome {
    let kind = matches!(
        error,
        StorageError::Damaged { .. } | StorageError::Foreign { .. } | StorageError::Newer { .. }
    );
    assert!(kind, "{story}: {error}");
    Outcome::Refused
}

/// The writes of the undisturbed run, and which of them is the last of a record.
fn writes(records: &[Record]) -> (Vec<Place>, usize) {
    let (outcome, writes) = told(None, records);
    assert_eq!(outcome, Outcome::Identical);
    let last = writes
        .iter()
        .rposition(|(name, _)| name.ends_with(".log"))
        .expect("records were written");
    (writes, last)
}

#[test]
fn every_write_is_lost_in_turn() {
    let records = records();
    let (writes, last) = writes(&records);
    let outcomes = in_parallel(0..=writes.len() as u64 - 1, |number| {
        told(Some((number as usize, None)), &records).0
    });
    let count = |outcome| outcomes.iter().filter(|found| **found == outcome).count();
    let (refused, identical) = (count(Outcome::Refused), count(Outcome::Identical));
    println!(
        "{} writes lost: {refused} refused, {identical} did not matter",
        outcomes.len()
    );
    for (number, outcome) in outcomes.iter().enumerate() {
        let (name, offset) = &writes[number];
        match outcome {
            Outcome::Shorter => assert_eq!(number, last, "{name}, byte {offset}"),
            // Zeros upon zeros, and a seal, which the next segment replaces.
            Outcome::Identical => assert!(name != IDENTITY_FILE),
            Outcome::Refused => {}
            Outcome::Wiped => panic!("lost zeros wipe nothing"),
        }
    }
    // All of 33 batches but the last, and the identity. A heading is written again
    // with the first record.
    assert!(refused > 32, "{refused} were noticed");
    assert_eq!(outcomes[last], Outcome::Shorter, "the exception holds");
}

#[test]
fn every_write_goes_astray_to_the_place_of_every_other() {
    let records = records();
    let (writes, last) = writes(&records);
    // Files that are renamed later are named as they are found in the end, too.
    let places: BTreeSet<Place> = writes
        .iter()
        .flat_map(|(name, offset)| {
            let name = name.strip_suffix(".new").unwrap_or(name);
            [(name.to_owned(), *offset), (format!("{name}.new"), *offset)]
        })
        .collect();
    let places: Vec<Place> = places.into_iter().collect();
    let outcomes = in_parallel(0..=writes.len() as u64 - 1, |number| {
        let number = number as usize;
        let mut counts = [0u64; 4];
        for place in places.iter().filter(|place| **place != writes[number]) {
            let (outcome, _) = told(Some((number, Some(place.clone()))), &records);
            counts[outcome as usize] += 1;
            let excepted = match outcome {
                Outcome::Refused | Outcome::Identical => true,
                Outcome::Shorter => number == last,
                Outcome::Wiped => place.0 == writes[last].0,
            };
            assert!(excepted, "{:?} went to {place:?} unseen", writes[number]);
        }
        counts
    });
    let [refused, identical, shorter, wiped] =
        [0, 1, 2, 3].map(|kind| outcomes.iter().map(|counts| counts[kind]).sum::<u64>());
    println!(
        "{refused} refused, {identical} did not matter, {shorter} were the last of all, {wiped} \
         wiped out the end"
    );
    assert!(refused > 3_000, "{refused} refused");
}
