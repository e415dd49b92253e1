//! Checkpoints: a crash leaves whole ones, damage is never taken for one, and a
//! failure costs no more than the checkpoint that was being written.

use std::path::Path;

use paxcast::protocol::Instance;
use paxcast::storage::checkpoint::{Checkpoint, CheckpointError, Owner, STEP, Shelf, file_name};
use paxcast::storage::file::Directory;
use paxcast::storage::memory::{Fault, MemoryDisk};
use paxcast::storage::{Disk, StorageError};

use super::in_parallel;

const OWNER: Owner = Owner {
    cluster: 0xc1,
    service: *b"kv      ",
    replica: 2,
};

/// A heading, and one block behind it.
const SMALL: u64 = 2 * 4096;

/// The content of a checkpoint.
fn content(through: u64) -> Vec<u8> {
    let length = 300 + 100 * through;
    (0..length).map(|at| (at * through) as u8 | 1).collect()
}

fn keep<D: Disk>(shelf: &mut Shelf<D>, through: u64) -> Result<Checkpoint, StorageError> {
    let content = content(through);
    shelf.keep(Instance(through), &mut |part| {
        content.chunks(77).for_each(&mut *part);
    })
}

/// How far the checkpoints reach.
fn held<D: Disk>(shelf: &Shelf<D>) -> Vec<u64> {
    shelf.held().iter().map(|one| one.through.0).collect()
}

fn opened(disk: &mut MemoryDisk) -> Shelf<&mut MemoryDisk> {
    Shelf::open(disk, OWNER).expect("a shelf")
}

/// A shelf that has checkpoints through these.
fn disk(kept: &[u64]) -> MemoryDisk {
    let mut disk = MemoryDisk::new();
    let mut shelf = opened(&mut disk);
    for &through in kept {
        keep(&mut shelf, through).unwrap();
    }
    disk
}

/// Every checkpoint is what was written.
fn assert_whole<D: Disk>(shelf: &mut Shelf<D>, story: &str) {
    for one in shelf.held().to_vec() {
        let expected = content(one.through.0);
        assert!(shelf.load(one.through).unwrap() == expected, "{story}");
        assert_eq!(one.length, expected.len() as u64, "{story}");
        assert_eq!(one.checksum, crc32c::crc32c(&expected), "{story}");
    }
}

#[test]
fn the_newest_two_stay_and_are_found_again() {
    let mut disk = MemoryDisk::new();
    let mut shelf = opened(&mut disk);
    assert_eq!(shelf.latest(), None);
    for through in 1..=5 {
        let kept = keep(&mut shelf, through).unwrap();
        assert_eq!(shelf.latest(), Some(kept));
        assert_eq!(kept.through, Instance(through));
        assert_whole(&mut shelf, "kept");
    }
    assert_eq!(held(&shelf), [4, 5]);
    assert_eq!(keep(&mut shelf, 5).unwrap(), shelf.latest().unwrap());
    let error = shelf.load(Instance(3)).unwrap_err();
    assert!(error.to_string().contains("no such checkpoint"), "{error}");
    let mut shelf = opened(&mut disk);
    assert_eq!((held(&shelf), shelf.damaged().len()), (vec![4, 5], 0));
    assert_whole(&mut shelf, "found again");
    let names = [file_name(Instance(4)), file_name(Instance(5))];
    assert_eq!(disk.list().unwrap(), names);
    assert_eq!(disk.used(), 2 * SMALL);
}

#[test]
fn contents_of_every_length_come_back() {
    let mut disk = MemoryDisk::new();
    let mut shelf = opened(&mut disk);
    let lengths = [
        0,
        1,
        4095,
        4096,
        4097,
        STEP - 1,
        STEP,
        STEP + 1,
        3 * STEP + 9,
    ];
    for (through, length) in (1..).map(Instance).zip(lengths) {
        let content: Vec<u8> = (0..length).map(|at| (at * 31) as u8).collect();
        // Parts of all sizes, larger than a step and empty ones among them.
        let (front, back) = content.split_at(length / 3);
        shelf
            .keep(through, &mut |part| {
                part(front);
                part(&[]);
                part(back);
            })
            .unwrap();
        assert!(shelf.load(through).unwrap() == content);
    }
    let shelf = opened(&mut disk);
    assert_eq!(held(&shelf), [8, 9]);
}

#[test]
fn pieces_are_read_while_another_is_written_and_one_is_spared() {
    let mut disk = disk(&[1, 2]);
    let mut shelf = opened(&mut disk);
    let mut buffer = [0; 100];
    let mut calls = 0;
    let large = vec![7; 2 * STEP + 5];
    shelf
        .keep_between(Instance(3), &mut |part| part(&large), &mut |reads| {
            calls += 1;
            assert_eq!(reads.held().len(), 2);
            assert!(reads.read(Instance(1), 250, &mut buffer).unwrap());
            assert_eq!(buffer, content(1)[250..350]);
            assert!(!reads.read(Instance(3), 0, &mut buffer).unwrap());
            reads.spare(Some(Instance(1)));
        })
        .unwrap();
    assert_eq!(calls, 3);
    assert_eq!(held(&shelf), [1, 2, 3]);
    keep(&mut shelf, 4).unwrap();
    assert_eq!(held(&shelf), [1, 3, 4]);
    let content = content(1);
    let last = content.len() as u64 - 100;
    assert!(shelf.read(Instance(1), last, &mut buffer).unwrap());
    assert_eq!(buffer, content[content.len() - 100..]);
    for offset in [last + 1, u64::MAX] {
        assert!(!shelf.read(Instance(1), offset, &mut buffer).unwrap());
    }
    shelf.spare(None);
    keep(&mut shelf, 5).unwrap();
    assert_eq!(held(&shelf), [4, 5]);
    assert!(!shelf.read(Instance(1), 0, &mut buffer).unwrap());
}

/// What a power failure in the midst of keeping a third checkpoint leads to.
#[derive(Debug, Default)]
struct Outcome {
    /// Calls that change something.
    calls: u64,
    /// Crashes that left the third.
    newest: u64,
    /// Crashes that left it unfinished.
    unfinished: u64,
}

/// The power fails at every call of keeping one more checkpoint, and another time
/// while going on from what was left.
fn crashes(before: &[u64]) -> Outcome {
    const SEEDS: u64 = 40;
    let mut start = disk(before);
    let next = before.last().map_or(1, |last| last + 1);
    let calls = {
        // A shelf is opened by a few calls, too; they are cut as well.
        let mut whole = start.clone();
        let ahead = whole.calls();
        keep(&mut opened(&mut whole), next).unwrap();
        whole.calls() - ahead
    };
    let ahead = start.calls();
    start.change_hands();
    let mut outcome = Outcome {
        calls,
        ..Outcome::default()
    };
    for call in 1..=calls + 1 {
        for seed in 0..SEEDS {
            let story = format!("after {before:?}, call {call}, seed {seed}");
            let mut disk = start.clone();
            disk.fail_at(ahead + call, Fault::PowerOff);
            let kept = Shelf::open(&mut disk, OWNER).and_then(|mut shelf| keep(&mut shelf, next));
            // The removal of old ones may fail; that is no failure to keep.
            assert!(kept.is_ok() || call <= calls, "{story}");
            disk.crash(seed);
            outcome.unfinished +=
                u64::from(disk.list().unwrap().contains(&"checkpoint.new".into()));
            let mut shelf = Shelf::open(&mut disk, OWNER).unwrap_or_else(|error| {
                panic!("{story}: {error}");
            });
            assert!(shelf.damaged().is_empty(), "{story}: a torn one has a name");
            assert_whole(&mut shelf, &story);
            let found = shelf.latest().map_or(0, |one| one.through.0);
            let newest = found == next;
            outcome.newest += u64::from(newest);
            assert!(
                newest || kept.is_err(),
                "{story}: it was kept, and {found} is found"
            );
            assert!(found >= next - 1, "{story}: older ones went too soon");
            keep(&mut shelf, next + 1).unwrap();
            disk.crash(seed + 1_000);
            let mut shelf = opened(&mut disk);
            assert_eq!(shelf.latest().map(|one| one.through.0), Some(next + 1));
            assert_whole(&mut shelf, &story);
        }
    }
    outcome
}

#[test]
fn a_crash_at_any_call_leaves_the_newest_that_was_kept() {
    for before in [&[][..], &[1], &[1, 2], &[1, 2, 3]] {
        let outcome = crashes(before);
        println!("after {before:?}: {outcome:?}");
        assert!(outcome.calls >= 7, "too few calls were cut");
        assert!(outcome.newest > 40 && outcome.unfinished > 5, "{outcome:?}");
    }
}

/// The test above notices what it is there to notice.
#[cfg(debug_assertions)]
#[test]
fn rules_about_syncing_are_noticed_when_broken() {
    use paxcast::protocol::mutant::{self, Mutant};
    for one in [Mutant::CheckpointNotSynced, Mutant::CheckpointRenamedFirst] {
        let noticed = std::thread::spawn(move || {
            mutant::select(Some(one));
            crashes(&[1, 2]);
        });
        noticed.join().expect_err("nobody noticed it");
    }
}

/// A call fails and the machine stays up: the checkpoints before are as they were, and
/// the same shelf keeps the next one.
#[test]
fn a_failure_costs_one_checkpoint_and_the_shelf_goes_on() {
    for fault in [Fault::Broken, Fault::Full] {
        let mut failures = 0;
        for call in 1..=12 {
            let story = format!("{fault:?} at call {call}");
            let mut disk = disk(&[1, 2]);
            let mut shelf = opened(&mut disk);
            let calls = shelf.disk_mut().calls();
            shelf.disk_mut().fail_at(calls + call, fault);
            let kept = keep(&mut shelf, 3);
            shelf.disk_mut().change_hands();
            assert_whole(&mut shelf, &story);
            match &kept {
                Ok(kept) => assert_eq!(shelf.latest(), Some(*kept), "{story}"),
                Err(error) => {
                    failures += 1;
                    assert_eq!(held(&shelf), [1, 2], "{story}");
                    let full = matches!(
                        error,
                        StorageError::Checkpoint(CheckpointError::Full { .. })
                    );
                    assert_eq!(full, fault == Fault::Full, "{story}: {error}");
                }
            }
            keep(&mut shelf, 4).unwrap_or_else(|error| panic!("{story}: {error}"));
            assert_whole(&mut shelf, &story);
            let names = held(&shelf)
                .into_iter()
                .map(|through| file_name(Instance(through)));
            let names: Vec<String> = names.collect();
            // A removal that failed leaves one more.
            let left = disk.list().unwrap();
            assert!(kept.is_ok() || left == names, "{story}: {left:?}");
            let mut crashed = disk.clone();
            crashed.crash(call);
            let shelf = opened(&mut crashed);
            assert_eq!(shelf.latest().map(|one| one.through.0), Some(4), "{story}");
            assert!(shelf.damaged().is_empty(), "{story}");
        }
        assert!(failures >= 2, "{fault:?}: {failures} failures");
    }
}

#[test]
fn a_full_disk_is_noticed_before_anything_is_written() {
    let mut disk = disk(&[1, 2]);
    disk.limit(Some(disk.used() + SMALL - 1));
    let calls = disk.calls();
    let mut shelf = opened(&mut disk);
    let error = keep(&mut shelf, 3).unwrap_err();
    assert!(error.to_string().contains("free some"), "{error}");
    assert_eq!(held(&shelf), [1, 2]);
    // The directory's sync, the creation, and what was not there to be removed.
    assert_eq!(shelf.disk_mut().calls(), calls + 4);
    shelf.disk_mut().limit(None);
    keep(&mut shelf, 3).unwrap();
    assert_eq!(held(&shelf), [2, 3]);
}

/// Every bit of a heading, and of a small content.
#[test]
fn no_flipped_bit_is_accepted() {
    let only = disk(&[1]);
    let both = disk(&[1, 2]);
    let bits = SMALL * 8;
    in_parallel(0..=bits - 1, |bit| {
        let mut disk = only.clone();
        disk.flip(&file_name(Instance(1)), bit);
        let error = Shelf::open(&mut disk, OWNER).expect_err("it is the only one");
        let told = error.to_string();
        assert!(
            told.contains("is at fault") && told.contains("fetches"),
            "{told}"
        );
        let mut disk = both.clone();
        disk.flip(&file_name(Instance(2)), bit);
        let mut shelf = opened(&mut disk);
        assert_eq!((held(&shelf), shelf.damaged().len()), (vec![1], 1));
        assert_whole(&mut shelf, "the one before");
    });
}

#[test]
fn what_is_damaged_goes_with_the_next_checkpoint() {
    let mut disk = disk(&[1, 2]);
    disk.flip(&file_name(Instance(2)), 4096 * 8 + 3);
    let mut shelf = opened(&mut disk);
    // The log is read again from the older one on, and leads to the same place.
    keep(&mut shelf, 2).unwrap();
    assert_eq!((held(&shelf), shelf.damaged().len()), (vec![1, 2], 0));
    let mut shelf = opened(&mut disk);
    assert_whole(&mut shelf, "written anew");
    disk.flip(&file_name(Instance(2)), 9);
    let mut shelf = opened(&mut disk);
    keep(&mut shelf, 3).unwrap();
    let names = [file_name(Instance(1)), file_name(Instance(3))];
    assert_eq!(disk.list().unwrap(), names);
}

#[test]
fn damage_that_comes_later_is_noticed_by_whoever_loads() {
    let mut disk = disk(&[1, 2]);
    let mut shelf = opened(&mut disk);
    shelf.disk_mut().flip(&file_name(Instance(1)), 4096 * 8);
    let error = shelf.load(Instance(1)).unwrap_err();
    assert!(error.to_string().contains("byte 4096"), "{error}");
    assert_eq!(shelf.load(Instance(2)).unwrap(), content(2));
}

#[test]
fn another_owners_shelf_is_refused() {
    let others = [
        (
            "cluster",
            Owner {
                cluster: 0xc2,
                ..OWNER
            },
        ),
        (
            "service",
            Owner {
                service: *b"chat    ",
                ..OWNER
            },
        ),
        (
            "replica",
            Owner {
                replica: 3,
                ..OWNER
            },
        ),
    ];
    for (what, owner) in others {
        let mut disk = disk(&[1, 2]);
        let error = Shelf::open(&mut disk, owner).unwrap_err().to_string();
        assert!(error.contains(&format!("written for {what} ")), "{error}");
    }
}

#[test]
fn a_file_under_the_name_of_another_is_damaged() {
    let mut disk = disk(&[1]);
    let (one, two) = (file_name(Instance(1)), file_name(Instance(2)));
    disk.rename(&one, &two).unwrap();
    let error = Shelf::open(&mut disk, OWNER).unwrap_err().to_string();
    assert!(error.contains("says that it reaches #1"), "{error}");
}

#[test]
fn checkpoints_lie_in_a_real_directory() {
    fn open(path: &Path) -> Shelf<Directory> {
        Shelf::open(Directory::create(path).unwrap(), OWNER).unwrap()
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("replica");
    let large: Vec<u8> = (0..3 * STEP as u64 + 99)
        .map(|at| (at * at) as u8)
        .collect();
    for through in 1..=3 {
        // On a thread of its own, as a replica has it.
        let (path, large) = (path.clone(), large.clone());
        let keeping = std::thread::spawn(move || {
            let mut shelf = open(&path);
            let write = &mut |part: &mut paxcast::storage::checkpoint::Part<'_>| part(&large);
            shelf.keep(Instance(through), write).unwrap();
            assert!(shelf.load(Instance(through)).unwrap() == large);
        });
        keeping.join().unwrap();
    }
    std::fs::write(path.join("checkpoint.new"), b"what a crash left").unwrap();
    let mut shelf = open(&path);
    assert_eq!(held(&shelf), [2, 3]);
    assert!(!path.join("checkpoint.new").exists());
    let mut buffer = vec![0; 70_000];
    assert!(shelf.read(Instance(2), 1_234_567, &mut buffer).unwrap());
    assert!(buffer == large[1_234_567..][..70_000]);
    drop(shelf);
    let newest = path.join(file_name(Instance(3)));
    let length = std::fs::metadata(&newest).unwrap().len();
    assert_eq!(length, 4096 + large.len().next_multiple_of(4096) as u64);
    // Cut short, as by a copy that went wrong.
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() - 4096]).unwrap();
    assert_eq!(held(&open(&path)), [2]);
    std::fs::write(&newest, b"").unwrap();
    let mut shelf = open(&path);
    assert!(shelf.load(Instance(2)).unwrap() == large);
}
