//! What was durable and has changed is refused, never taken for a shorter log.

use paxcast::protocol::Record;
use paxcast::storage::log::Log;
use paxcast::storage::memory::MemoryDisk;
use paxcast::storage::segment::{self, IDENTITY_FILE, Identity};
use paxcast::storage::{Disk, StorageError};

use super::{IDENTITY, disk, in_parallel, open, promised, voted, watermark, write};

const SEGMENT: u64 = 4096;

/// 200 records in batches of three, over three segments, the last one a long
/// value of zeros.
fn log_of_200() -> (MemoryDisk, Vec<Record>) {
    let mut records: Vec<Record> = (1..200)
        .map(|number| match number % 4 {
            0 => promised(number),
            1 => watermark(number, number - 1),
            _ => voted(number, number, vec![number as u8; number as usize % 20]),
        })
        .collect();
    records.push(voted(200, 200, vec![0; 1200]));
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    for batch in records.chunks(3) {
        write(&mut log, &[batch]);
    }
    (disk, records)
}

/// The files that count; a segment still being made ready does not.
pub(crate) fn files(disk: &mut MemoryDisk) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|name| !name.ends_with(".new"));
    names
}

/// Opens a damaged copy: it is refused, or tells what it told before.
pub(crate) fn assert_no_shorter(mut disk: MemoryDisk, records: &[Record], story: &str) -> bool {
    match open(&mut disk) {
        Ok((_, remembered)) => {
            assert!(
                remembered == records,
                "{story}: {} records",
                remembered.len()
            );
            true
        }
        Err(
            StorageError::Damaged { .. }
            | StorageError::Newer { .. }
            | StorageError::Foreign { .. },
        ) => false,
        Err(error) => panic!("{story}: {error}"),
    }
}

/// Every bit of every file, the identity and the segment still being made ready
/// included. No flip makes the log shorter: one is refused, in the file that has
/// it and at or before it, unless nothing hangs on it.
#[test]
fn every_single_bit_is_flipped() {
    let (mut disk, records) = log_of_200();
    let names = disk.list().unwrap();
    let bits = |disk: &mut MemoryDisk, name: &str| 8 * disk.length(name).unwrap().unwrap();
    let lengths: Vec<u64> = names.iter().map(|name| bits(&mut disk, name)).collect();
    let all: u64 = lengths.iter().sum();
    let outcomes = in_parallel(0..=all - 1, |bit| {
        let (mut file, mut bit) = (0, bit);
        while bit >= lengths[file] {
            bit -= lengths[file];
            file += 1;
        }
        let mut damaged = disk.clone();
        damaged.flip(&names[file], bit);
        flipped(damaged, &names[file], bit, &records)
    });
    let count = |outcome| outcomes.iter().filter(|found| **found == outcome).count();
    let (refused, identical) = (count(Flipped::Refused), count(Flipped::Identical));
    println!("{all} bits flipped: {refused} refused, {identical} recovered identical");
    assert_eq!(refused + identical, all as usize);
    // The identity, three segments, and a fourth being made ready.
    assert_eq!(all, 8 * (512 + 4 * SEGMENT));
    // Harmless are the seals of two segments, which their successors replace, and
    // the file that does not count yet.
    assert_eq!(identical as u64, 8 * (2 * 32 + SEGMENT));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flipped {
    Refused,
    Identical,
}

pub(crate) fn flipped(mut disk: MemoryDisk, name: &str, bit: u64, records: &[Record]) -> Flipped {
    let remembered = open(&mut disk).map(|(_, remembered)| remembered);
    match remembered {
        Ok(remembered) => {
            let found = remembered.len();
            assert!(remembered == records, "{name}, bit {bit}: {found} records");
            Flipped::Identical
        }
        Err(StorageError::Damaged { file, offset, .. }) => {
            let placed = file == disk.locate(name) && offset <= bit / 8;
            assert!(
                placed,
                "{name}, bit {bit}: refused at {file}, byte {offset}"
            );
            Flipped::Refused
        }
        // In the format's own number.
        Err(StorageError::Newer { file, .. }) if file == disk.locate(name) => Flipped::Refused,
        Err(error) => panic!("{name}, bit {bit}: {error}"),
    }
}

/// Lost or wiped: what later records name as synced may not go missing in
/// sectors either. (The very last batch is the one that cannot be told from a crash.)
#[test]
fn every_sector_before_the_last_batch_is_wiped() {
    let (mut disk, records) = log_of_200();
    let names = files(&mut disk);
    let last = names.last().unwrap().clone();
    let tail = {
        let mut bytes = vec![0; SEGMENT as usize];
        disk.read_at(&last, 0, &mut bytes).unwrap();
        bytes.iter().rposition(|&byte| byte != 0).unwrap() as u64
    };
    let batch = (tail - 1500) / 512;
    for name in &names {
        let sectors = match *name == last {
            true => batch,
            false => disk.length(name).unwrap().unwrap() / 512,
        };
        for sector in 0..sectors {
            let mut damaged = disk.clone();
            damaged.write_at(name, sector * 512, &[0; 512]).unwrap();
            assert_no_shorter(damaged, &records, &format!("{name}, sector {sector}"));
        }
    }
}

/// Every sector appears in place of every other.
#[test]
fn writes_go_astray() {
    let (mut disk, records) = log_of_200();
    let names = files(&mut disk);
    let mut sectors = Vec::new();
    for name in &names {
        for sector in 0..disk.length(name).unwrap().unwrap() / 512 {
            let mut bytes = [0; 512];
            disk.read_at(name, sector * 512, &mut bytes).unwrap();
            sectors.push((name, sector, bytes));
        }
    }
    for (name, sector, _) in &sectors {
        for (other, from, bytes) in &sectors {
            // Zeros over the last batch look like a crash.
            if bytes.iter().any(|&byte| byte != 0) {
                let mut damaged = disk.clone();
                damaged.write_at(name, sector * 512, bytes).unwrap();
                let story = format!("{other}/{from} over {name}/{sector}");
                assert_no_shorter(damaged, &records, &story);
            }
        }
    }
}

#[test]
fn every_file_is_lost_or_takes_anothers_place() {
    let (mut disk, records) = log_of_200();
    let names = files(&mut disk);
    for name in &names {
        let mut damaged = disk.clone();
        damaged.remove(name).unwrap();
        let error = open(&mut damaged).unwrap_err();
        let expected = match name == IDENTITY_FILE {
            true => matches!(error, StorageError::Unfinished { .. }),
            false => matches!(error, StorageError::Damaged { .. }),
        };
        assert!(expected, "{name}: {error}");
        for other in names.iter().filter(|other| *other != name) {
            let mut damaged = disk.clone();
            damaged.rename(name, other).unwrap();
            open(&mut damaged).unwrap_err();
            let mut damaged = disk.clone();
            damaged.rename(name, "aside").unwrap();
            damaged.rename(other, name).unwrap();
            damaged.rename("aside", other).unwrap();
            open(&mut damaged).unwrap_err();
        }
    }
    assert!(assert_no_shorter(disk, &records, "undamaged"));
}

#[test]
fn a_lost_batch_in_the_middle_is_refused_with_its_place() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    write(&mut log, &[&[promised(1)], &[voted(1, 1, vec![5; 2000])]]);
    let mut before = vec![0; SEGMENT as usize];
    let name = segment::file_name(1);
    log.disk_mut().read_at(&name, 0, &mut before).unwrap();
    write(&mut log, &[&[voted(2, 1, vec![5; 300])], &[promised(2)]]);
    // The third write never reached the disk, although its sync succeeded.
    let from = 512 + (32 + 8) + (32 + 2008);
    let mut after = vec![0; SEGMENT as usize];
    disk.read_at(&name, 0, &mut after).unwrap();
    assert_eq!(before[from..], vec![0; SEGMENT as usize - from]);
    disk.write_at(&name, from as u64, &[0; 32 + 312]).unwrap();
    let error = open(&mut disk).unwrap_err().to_string();
    let place = format!("memory/{name}, byte {from}: record 3 is damaged");
    assert!(error.contains(&place), "{error}");
    assert!(error.contains("says that it was synced"), "{error}");
    assert!(error.contains("restore an undamaged copy"), "{error}");
}

#[test]
fn another_acceptors_directory_is_refused() {
    let mut disk = disk(SEGMENT);
    let error = Log::open(&mut disk, 7, 2, |_| {}).unwrap_err();
    assert!(matches!(
        error,
        StorageError::Foreign {
            what: "cluster",
            ..
        }
    ));
    let error = Log::open(&mut disk, IDENTITY.cluster, 3, |_| {}).unwrap_err();
    assert!(matches!(
        error,
        StorageError::Foreign {
            what: "acceptor",
            ..
        }
    ));
    let text = error.to_string();
    assert!(
        text.contains("written for acceptor 2, but this is acceptor 3"),
        "{text}"
    );
}

/// A segment from an earlier life of the same acceptor.
#[test]
fn a_segment_of_another_store_is_refused() {
    let mut disk = disk(SEGMENT);
    let mut other = MemoryDisk::new();
    let identity = Identity {
        store: 1,
        ..IDENTITY
    };
    Log::init_with_segments(&mut other, identity, SEGMENT).unwrap();
    let (mut log, store) = Log::open(&mut other, IDENTITY.cluster, 2, |_| {}).unwrap();
    assert_eq!(store, 1);
    write(&mut log, &[&[promised(1)]]);
    let name = segment::file_name(1);
    let mut bytes = vec![0; SEGMENT as usize];
    other.read_at(&name, 0, &mut bytes).unwrap();
    let mut whole = disk.clone();
    whole.write_at(&name, 0, &bytes).unwrap();
    let error = open(&mut whole).unwrap_err();
    assert!(matches!(error, StorageError::Foreign { .. }), "{error}");
    disk.write_at(&name, 512, &bytes[512..]).unwrap();
    let error = open(&mut disk).unwrap_err();
    assert!(
        matches!(error, StorageError::Damaged { offset: 512, .. }),
        "{error}"
    );
}

#[test]
fn only_an_empty_directory_is_made_an_acceptors() {
    let mut empty = MemoryDisk::new();
    let error = open(&mut empty).unwrap_err();
    assert!(matches!(error, StorageError::Empty { .. }), "{error}");
    assert!(error.to_string().contains("acceptor --init ID CONF"));
    let mut full = disk(SEGMENT);
    let error = Log::init(&mut full, IDENTITY).unwrap_err();
    assert!(matches!(error, StorageError::NotEmpty { .. }), "{error}");
    open(&mut full).unwrap();
    for length in [0, 1536, 4097, 2 << 30] {
        let mut disk = MemoryDisk::new();
        let error = Log::init_with_segments(&mut disk, IDENTITY, length).unwrap_err();
        assert!(
            matches!(error, StorageError::SegmentLength { .. }),
            "{error}"
        );
        assert_eq!(disk.calls(), 0);
    }
}
