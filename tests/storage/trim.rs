//! Logs that were trimmed: what goes, what stays, and that nothing else passes for
//! having been let go.

use paxcast::protocol::{Instance, Record};
use paxcast::storage::log::Log;
use paxcast::storage::memory::MemoryDisk;
use paxcast::storage::segment::{self, Heading};
use paxcast::storage::{Disk, StorageError};
use proptest::prelude::*;

use super::damage::{Flipped, files, flipped};
use super::{disk, in_parallel, left, lookup, open, promised, trim_all, trimmed, voted, write};

const SEGMENT: u64 = 4096;

/// Votes for these instances, one a batch: five or so fill a segment.
fn vote(log: &mut Log<&mut MemoryDisk>, instances: std::ops::RangeInclusive<u64>) {
    for instance in instances {
        write(log, &[&[voted(instance, 1, vec![instance as u8; 600])]]);
    }
}

/// The numbers of the segments that are there.
fn segments(disk: &mut MemoryDisk) -> Vec<u64> {
    let names = disk.list().unwrap();
    names
        .iter()
        .filter_map(|name| segment::number_of(name))
        .collect()
}

/// What a lookup of everything finds.
fn found(log: &mut Log<&mut MemoryDisk>) -> Vec<u64> {
    let found = log.lookup(lookup::all(1..=1_000, 1 << 20)).unwrap();
    found.votes.iter().map(|vote| vote.instance.0).collect()
}

/// Forty votes in eight segments, trimmed through #23, and two votes more.
fn trimmed_log() -> MemoryDisk {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    vote(&mut log, 1..=40);
    write(&mut log, &[&[trimmed(1, 23, 40)]]);
    trim_all(&mut log).unwrap();
    vote(&mut log, 41..=42);
    disk
}

#[test]
fn whole_segments_go_the_oldest_first_once_the_trim_is_durable() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    vote(&mut log, 1..=40);
    assert_eq!(log.segments(), 8);
    log.append(&trimmed(1, 23, 40)).unwrap();
    assert_eq!(log.trim().unwrap(), None, "the trim is not durable yet");
    log.sync().unwrap();
    // Five votes fill a segment, so the fifth one still has #24 and #25.
    assert_eq!(found(&mut log).first(), Some(&1));
    for number in 1..=4 {
        assert_eq!(log.trim().unwrap(), Some(number));
        assert_eq!(log.segments(), 8 - number);
        assert_eq!(log.first_position(), 5 * number + 1);
        assert_eq!(found(&mut log), Vec::from_iter(5 * number + 1..=40));
    }
    assert_eq!(log.trim().unwrap(), None);
    let bytes = log.disk_mut().used();
    assert!(bytes <= 512 + 6 * SEGMENT, "{bytes} bytes are left");
    assert_eq!(segments(&mut disk)[..], [5, 6, 7, 8]);
    disk.crash(1);
    let (mut log, remembered) = open(&mut disk).unwrap();
    assert_eq!(remembered.len(), 21);
    assert_eq!(found(&mut log), Vec::from_iter(21..=40));
    // And so on, from there.
    vote(&mut log, 41..=60);
    write(&mut log, &[&[trimmed(1, 60, 60)]]);
    assert_eq!(trim_all(&mut log).unwrap(), 7);
    assert_eq!(log.segments(), 1);
    assert_eq!(found(&mut log), Vec::<u64>::from_iter(56..=60));
    let (_, remembered) = open(&mut disk).unwrap();
    assert!(remembered.contains(&trimmed(1, 60, 60)));
}

#[test]
fn one_vote_above_the_trim_keeps_its_segment_and_all_behind_it() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    vote(&mut log, 1..=7);
    vote(&mut log, 50..=50);
    vote(&mut log, 8..=30);
    write(&mut log, &[&[trimmed(1, 49, 50)]]);
    assert_eq!(log.trim().unwrap(), Some(1));
    assert_eq!(log.trim().unwrap(), None, "the second segment has #50");
    // Also when the log is opened anew, and the outline with it.
    let (mut log, _) = open(&mut disk).unwrap();
    write(&mut log, &[&[trimmed(1, 49, 50)]]);
    assert_eq!(log.trim().unwrap(), None);
    write(&mut log, &[&[trimmed(1, 50, 50)]]);
    assert!(trim_all(&mut log).unwrap() > 3);
}

#[test]
fn what_is_due_is_deleted_after_a_restart() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    vote(&mut log, 1..=40);
    write(&mut log, &[&[trimmed(1, 40, 40)]]);
    let (mut log, remembered) = open(&mut disk).unwrap();
    assert_eq!(remembered.len(), 41);
    assert_eq!(trim_all(&mut log).unwrap(), 7);
}

#[test]
fn a_trim_that_no_sync_made_durable_lets_nothing_go() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    vote(&mut log, 1..=40);
    log.append(&trimmed(1, 40, 40)).unwrap();
    let (mut log, remembered) = open(&mut disk).unwrap();
    assert_eq!(remembered.len(), 40);
    assert_eq!(trim_all(&mut log).unwrap(), 0);
    assert_eq!(segments(&mut disk).len(), 8);
}

/// The log of a hundred thousand instances is no longer than that of a hundred.
#[test]
fn neither_the_disk_nor_a_restart_grows_with_history() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    let (mut most, mut read) = (0, 0);
    for hundred in 1..=300u64 {
        let instances = hundred * 100 - 99..=hundred * 100;
        let batch: Vec<Record> = instances.map(|at| voted(at, 1, vec![1; 20])).collect();
        write(
            &mut log,
            &[&batch, &[trimmed(1, hundred * 100 - 50, hundred * 100)]],
        );
        trim_all(&mut log).unwrap();
        most = most.max(log.disk_mut().used());
        if hundred % 50 == 0 {
            let before = log.disk_mut().bytes_read();
            log = open(&mut disk).unwrap().0;
            read = read.max(log.disk_mut().bytes_read() - before);
        }
    }
    assert!(most < 7 * SEGMENT, "{most} bytes on the disk");
    assert!(read < 40 * SEGMENT, "{read} bytes read at a restart");
}

#[test]
fn a_lost_segment_is_not_taken_for_one_that_was_let_go() {
    let whole = trimmed_log();
    assert_eq!(segments(&mut whole.clone())[..], [5, 6, 7, 8, 9]);
    for number in 5..=9 {
        let mut damaged = whole.clone();
        damaged.remove(&segment::file_name(number)).unwrap();
        let error = open(&mut damaged).unwrap_err();
        let place = format!("memory/{}, byte 0", segment::file_name(number));
        assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(&place), "{error}");
    }
    // Several, down to the last.
    let mut damaged = whole.clone();
    for number in 5..=8 {
        damaged.remove(&segment::file_name(number)).unwrap();
        let error = open(&mut damaged.clone()).unwrap_err();
        let words = "no trim in the log let it go";
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_log_that_was_never_trimmed_begins_with_its_first_segment() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    vote(&mut log, 1..=20);
    disk.remove(&segment::file_name(1)).unwrap();
    let error = open(&mut disk).unwrap_err().to_string();
    assert!(error.contains("no trim in the log let it go"), "{error}");
    assert!(error.contains("restore an undamaged copy"), "{error}");
}

/// A deleted segment that comes back from somewhere leaves a gap.
#[test]
fn a_segment_that_comes_back_is_refused() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    vote(&mut log, 1..=40);
    let mut old = vec![0; SEGMENT as usize];
    let name = segment::file_name(2);
    log.disk_mut().read_at(&name, 0, &mut old).unwrap();
    write(&mut log, &[&[trimmed(1, 23, 40)]]);
    trim_all(&mut log).unwrap();
    disk.create(&name, SEGMENT).unwrap();
    disk.write_at(&name, 0, &old).unwrap();
    let error = open(&mut disk).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
}

#[test]
fn a_heading_cannot_pretend() {
    for first in [0, 1, 3, u64::MAX - 1] {
        let mut disk = trimmed_log();
        let heading = Heading {
            first,
            ..Heading::load(&mut disk, &segment::file_name(5)).unwrap()
        };
        disk.write_at(&segment::file_name(5), 0, &heading.encode())
            .unwrap();
        let error = open(&mut disk).unwrap_err();
        assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    }
}

/// Every bit of every file of a log that was trimmed: what is refused without
/// damage elsewhere is refused here, and the first segments that are gone are not
/// taken for more than they were.
#[test]
fn every_single_bit_of_a_trimmed_log_is_flipped() {
    let mut disk = trimmed_log();
    let records = open(&mut disk.clone()).unwrap().1;
    let names = files(&mut disk);
    let bits: u64 = names
        .iter()
        .map(|name| 8 * disk.length(name).unwrap().unwrap())
        .sum();
    // Where the records of each file end: ahead of its seal, but for the last one.
    let ends: Vec<u64> = (names.iter())
        .map(|name| {
            let mut bytes = vec![0; disk.length(name).unwrap().unwrap() as usize];
            disk.read_at(name, 0, &mut bytes).unwrap();
            let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() as u64 + 1;
            let sealed = name != names.last().unwrap() && bytes.len() > 512;
            end.next_multiple_of(8) - if sealed { 32 } else { 0 }
        })
        .collect();
    let identical = in_parallel(0..=bits - 1, |bit| {
        let (mut file, mut bit) = (0, bit);
        let mut damaged = disk.clone();
        loop {
            let length = 8 * damaged.length(&names[file]).unwrap().unwrap();
            if bit < length {
                break;
            }
            bit -= length;
            file += 1;
        }
        damaged.flip(&names[file], bit);
        let identical = flipped(damaged, &names[file], bit, &records) == Flipped::Identical;
        let harmless = bit / 8 >= ends[file];
        assert!(harmless || !identical, "{}, bit {bit}: unseen", names[file]);
        identical
    });
    let refused = identical.iter().filter(|identical| !**identical).count() as u64;
    println!("{bits} bits flipped: {refused} refused");
    assert!(refused >= 8 * ends.iter().sum::<u64>(), "{refused} refused");
}

/// Each write of a run that trims is lost in turn, though it was said to be
/// durable: the next start sees it, or finds what it should, or lacks the very last
/// batch. It never believes that votes may be gone when no trim says so.
#[test]
fn every_write_of_a_trimmed_log_is_lost_in_turn() {
    let run = |lost: Option<u64>| {
        let mut disk = disk(SEGMENT);
        let start = disk.calls();
        let mut written = Vec::new();
        let (mut log, _) = open(&mut disk).unwrap();
        let mut last = 0;
        for turn in 1..=30u64 {
            let mut batch = vec![voted(turn, turn, vec![turn as u8; 700])];
            if turn % 7 == 0 {
                batch.push(trimmed(turn, turn - 3, turn));
            }
            let before = log.disk_mut().calls() - start;
            if let Some(lost) = lost.filter(|lost| *lost == turn) {
                let image = log.disk_mut().clone();
                write(&mut log, &[&batch]);
                // The segment as it was before; nothing else is lost.
                let name = segment::file_name(log.end().0);
                let mut old = vec![0; SEGMENT as usize];
                if image.clone().read_at(&name, 0, &mut old).is_ok() {
                    log.disk_mut().write_at(&name, 0, &old).unwrap();
                }
                assert!(lost > 0 && before > 0 || turn == 1);
            } else {
                write(&mut log, &[&batch]);
            }
            written.extend(batch);
            match trim_all(&mut log) {
                Ok(_) => last = turn,
                Err(error) => return (written, Err(error), last),
            }
        }
        let first = log.first_position();
        drop(log);
        (
            written,
            open(&mut disk).map(|(_, remembered)| (first, remembered)),
            last,
        )
    };
    let (written, whole, _) = run(None);
    let (first, remembered) = whole.unwrap();
    assert_eq!(left(&written, first, "whole"), remembered);
    for lost in 1..=30 {
        let (written, outcome, _) = run(Some(lost));
        match outcome {
            Ok((first, remembered)) => {
                let expected = left(&written, first, "lost");
                let known = expected.starts_with(&remembered);
                assert!(known, "turn {lost}: other records");
                let short = expected.len() - remembered.len();
                assert!(short == 0 || lost == 30, "turn {lost}: {short} are missing");
            }
            Err(error) => assert!(matches!(error, StorageError::Damaged { .. }), "{error}"),
        }
    }
}

/// What a log is told.
#[derive(Clone, Debug)]
enum Told {
    Vote(u64, usize),
    Trim(u64),
    Sync,
    Delete,
    Open,
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        6 => (1..80u64, 0..900usize).prop_map(|(instance, length)| Told::Vote(instance, length)),
        1 => (1..80u64).prop_map(Told::Trim),
        2 => Just(Told::Sync),
        2 => Just(Told::Delete),
        1 => Just(Told::Open),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever order votes, trims, deletions and restarts come in: nothing above
    /// the last durable trim is gone, and what is there is what was written.
    #[test]
    fn only_what_was_trimmed_goes(script in prop::collection::vec(told(), 1..120), seed: u64) {
        let mut disk = disk(2048);
        let (mut log, _) = open(&mut disk).unwrap();
        let mut written: Vec<Record> = Vec::new();
        let (mut synced, mut reach) = (0, 0);
        for told in script {
            match told {
                Told::Vote(instance, length) => {
                    let record = voted(instance, written.len() as u64, vec![7; length]);
                    log.append(&record).unwrap();
                    written.push(record);
                }
                Told::Trim(further) => {
                    // A trim never goes back.
                    reach += further % 9;
                    let record = trimmed(1, reach, 80);
                    log.append(&record).unwrap();
                    written.push(record);
                }
                Told::Sync => {
                    log.sync().unwrap();
                    synced = written.len();
                }
                Told::Delete => {
                    let before = log.segments();
                    let deleted = trim_all(&mut log).unwrap();
                    prop_assert_eq!(log.segments(), before - deleted);
                    left(&written[..synced], log.first_position(), "deleted");
                }
                Told::Open => {
                    disk.crash(seed);
                    let (again, remembered) = open(&mut disk).unwrap();
                    log = again;
                    let first = log.first_position();
                    let found = first as usize - 1 + remembered.len();
                    prop_assert!(found >= synced);
                    prop_assert_eq!(left(&written[..found], first, "opened"), &remembered[..]);
                    written.truncate(found);
                    synced = found;
                }
            }
        }
        prop_assert!(log.append(&promised(1)).is_ok());
        prop_assert_eq!(log.lookup(lookup::all(0..=0, 1)).unwrap().through, Instance(0));
    }
}
