//! Every single call to the disk, in turn, is the one at which something happens:
//! the power fails, or the call fails. Nothing synced is ever lost, and nothing is
//! said after a failure.
//!
//! The script makes a log, writes batches over several segments, looks votes up
//! before and after they are durable, trims, and is restarted in between. Its calls are
//! numbered, reads included, and there is one run for each number and misfortune:
//! the tests are exhaustive but for *what* a crash leaves of unsynced sectors and
//! names, which is drawn several times for each.

use std::collections::BTreeMap;
use std::io;

use paxcast::protocol::{Instance, Record, Vote};
use paxcast::storage::log::Log;
use paxcast::storage::memory::{Fault, MemoryDisk};
use paxcast::storage::{Disk, StorageError};

use super::{IDENTITY, in_parallel, left, open, promised, trim_all, trimmed, voted, watermark};

const SEGMENT: u64 = 4096;

/// A disk whose calls are counted by name, one of which meets a misfortune.
#[derive(Default)]
struct Counted {
    disk: MemoryDisk,
    calls: BTreeMap<&'static str, u64>,
    total: u64,
    /// At which call, and what.
    struck: Option<(u64, Misfortune)>,
    dead: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfortune {
    /// The power fails before anything of the call takes place.
    OffBefore,
    /// The call takes place, and then the power fails.
    OffAfter,
    /// The call fails; a sync loses what it should have saved, see [`Fault::Broken`].
    Broken,
    /// A call that needs room finds none.
    Full,
}

impl Counted {
    fn new(disk: MemoryDisk, struck: Option<(u64, Misfortune)>) -> Counted {
        Counted {
            disk,
            struck,
            ..Counted::default()
        }
    }

    fn count(&mut self, name: &'static str, changes: bool) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("the power is off"));
        }
        self.total += 1;
        *self.calls.entry(name).or_default() += 1;
        let Some((_, misfortune)) = self.struck.filter(|&(call, _)| call == self.total) else {
            return Ok(());
        };
        let fault = match misfortune {
            Misfortune::OffBefore => {
                self.dead = true;
                return Err(io::Error::other("the power goes"));
            }
            Misfortune::OffAfter => {
                self.dead = true;
                Fault::PowerOff
            }
            Misfortune::Broken => Fault::Broken,
            Misfortune::Full => Fault::Full,
        };
        if changes {
            let next = self.disk.calls() + 1;
            self.disk.fail_at(next, fault);
            return Ok(());
        }
        match misfortune {
            Misfortune::Full => Ok(()),
            _ => Err(io::Error::other("injected input/output error")),
        }
    }
}

impl Disk for Counted {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.count("list", false)?;
        self.disk.list()
    }

    fn length(&mut self, name: &str) -> io::Result<Option<u64>> {
        self.count("length", false)?;
        self.disk.length(name)
    }

    fn create(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.count("create", true)?;
        self.disk.create(name, length)
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.count("read", false)?;
        self.disk.read_at(name, offset, buffer)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.count("write", true)?;
        self.disk.write_at(name, offset, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.count("sync", true)?;
        self.disk.sync(name)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.count("sync the directory", true)?;
        self.disk.sync_directory()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.count("rename", true)?;
        self.disk.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.count("remove", true)?;
        self.disk.remove(name)
    }

    fn block(&self) -> usize {
        self.disk.block()
    }

    fn locate(&self, name: &str) -> String {
        self.disk.locate(name)
    }
}

/// Batches from one small record to several segments, values of zeros among them.
fn batches() -> Vec<Vec<Record>> {
    let mut batches = Vec::new();
    let mut instance = 0;
    for turn in 0..24u64 {
        let mut batch = Vec::new();
        for item in 0..[1, 3, 2, 7][turn as usize % 4] {
            instance += 1;
            let length = [0, 5, 700, 40, 1500, 2400][((turn * 7 + item * 5) % 6) as usize];
            let byte = (instance * u64::from(turn % 3 != 0)) as u8;
            batch.push(voted(instance, turn + 1, vec![byte; length]));
        }
        if turn % 5 == 0 {
            batch.push(promised(turn + 2));
            batch.push(watermark(turn + 1, instance - 1));
        }
        if turn % 6 == 3 {
            batch.push(trimmed(turn + 2, instance * 2 / 3, instance));
        }
        batches.push(batch);
    }
    batches
}

/// What was appended, and how much of it was synced, when the run ended.
#[derive(Clone, Default)]
struct Written {
    appended: Vec<Record>,
    synced: usize,
    initialized: bool,
}

impl Written {
    /// The newest vote for each instance so far, in a log that begins at this position.
    fn votes(&self, first_position: u64) -> Vec<Vote> {
        let mut newest = BTreeMap::new();
        for record in left(&self.appended, first_position, "lookup") {
            if let Record::Voted { vote } = record {
                newest.insert(vote.instance, vote.clone());
            }
        }
        newest.into_values().collect()
    }

    /// Of a log that begins at this position; says how many records were written.
    fn assert_remembered(&self, first_position: u64, remembered: &[Record], story: &str) -> usize {
        let found = first_position as usize - 1 + remembered.len();
        assert!(found >= self.synced, "{story}: forgot what was synced");
        let appended = self
            .appended
            .get(..found)
            .expect("no more than was written");
        let left = left(appended, first_position, story);
        assert!(left == remembered, "{story}: other records");
        found
    }
}

/// The script, as far as the disk plays along.
fn run(disk: &mut Counted, written: &mut Written) -> Result<(), StorageError> {
    Log::init_with_segments(&mut *disk, IDENTITY, SEGMENT)?;
    written.initialized = true;
    for life in batches().chunks(5) {
        let (mut log, remembered) = open(&mut *disk)?;
        let first = log.first_position();
        let found = written.assert_remembered(first, &remembered, "no misfortune");
        assert_eq!(found, written.appended.len(), "lost without a misfortune");
        for batch in life {
            for record in batch {
                let appended = log.append(record);
                closed_after(&mut log, appended)?;
                written.appended.push(record.clone());
            }
            // Votes that are not durable yet are seen, too.
            look_up(&mut log, written)?;
            let synced = log.sync();
            closed_after(&mut log, synced)?;
            written.synced = written.appended.len();
            // Only sometimes at once: what is due waits for the next start, too.
            if !written.synced.is_multiple_of(3) {
                let trimmed = trim_all(&mut log);
                closed_after(&mut log, trimmed)?;
            }
        }
        look_up(&mut log, written)?;
    }
    Ok(())
}

/// Everything voted for so far is found.
fn look_up(log: &mut Log<&mut Counted>, written: &Written) -> Result<(), StorageError> {
    let found = log.lookup(super::lookup::all(1..=1_000, 1 << 20));
    let found = closed_after(log, found)?;
    let expected = written.votes(log.first_position());
    assert!(found.votes == expected, "looked up something else");
    assert_eq!(found.through, Instance(1_000));
    Ok(())
}

/// After a failure the log is closed and the disk is left alone.
fn closed_after<T>(
    log: &mut Log<&mut Counted>,
    result: Result<T, StorageError>,
) -> Result<T, StorageError> {
    if result.is_err() {
        let calls = log.disk_mut().total;
        let refusals = [
            log.append(&promised(99)).unwrap_err(),
            log.sync().unwrap_err(),
            log.lookup(super::lookup::all(1..=9, 1_000)).unwrap_err(),
            log.trim().unwrap_err(),
        ];
        for refusal in refusals {
            assert!(matches!(refusal, StorageError::Closed { .. }), "{refusal}");
        }
        assert_eq!(log.disk_mut().total, calls, "the disk was tried again");
    }
    result
}

/// How many calls the undisturbed script makes; every kind is among them.
fn calls() -> u64 {
    let mut disk = Counted::default();
    run(&mut disk, &mut Written::default()).unwrap();
    let kinds = [
        "create",
        "length",
        "list",
        "read",
        "remove",
        "rename",
        "sync",
        "sync the directory",
        "write",
    ];
    assert_eq!(disk.calls.keys().copied().collect::<Vec<_>>(), kinds);
    let rotations = disk.calls["rename"] - 2;
    assert!(rotations >= 5, "only {rotations} rotations");
    let deleted = disk.calls["remove"];
    assert!(deleted >= 5, "only {deleted} segments deleted");
    assert!(disk.total > 300, "the script has become short");
    disk.total
}

/// Opens a log that a crash left, or says that there was none yet. Tells what it
/// remembers, and how many records it had when it was longest.
fn reopen(disk: &mut MemoryDisk, written: &Written, story: &str) -> Option<(Vec<Record>, usize)> {
    match open(&mut *disk) {
        Ok((log, remembered)) => {
            let first = log.first_position();
            let found = written.assert_remembered(first, &remembered, story);
            Some((remembered, found))
        }
        Err(StorageError::Empty { .. } | StorageError::Unfinished { .. })
            if !written.initialized =>
        {
            None
        }
        Err(error) => panic!("{story}: {error}"),
    }
}

/// What is recovered stays, and the log goes on.
fn assert_goes_on(mut disk: MemoryDisk, remembered: &[Record], seed: u64, story: &str) {
    let (mut log, again) = open(&mut disk).unwrap();
    assert!(again == remembered, "{story}: recovered differently");
    log.append(&promised(99)).unwrap();
    log.append(&voted(999, 99, vec![9; 2_000])).unwrap();
    log.sync().unwrap();
    disk.crash(seed);
    let (_, again) = open(&mut disk).unwrap();
    let (before, after) = again.split_at(remembered.len());
    assert!(before == remembered, "{story}: recovered differently later");
    let news = [promised(99), voted(999, 99, vec![9; 2_000])];
    assert!(after == news, "{story}: what was added is gone");
    let (mut log, _) = open(&mut disk).unwrap();
    log.append(&trimmed(99, 998, 999)).unwrap();
    log.sync().unwrap();
    trim_all(&mut log).unwrap();
    let few = log.segments() <= 2;
    disk.crash(seed);
    let (_, again) = open(&mut disk).unwrap();
    assert!(
        few && again.ends_with(&[trimmed(99, 998, 999)]),
        "{story}: untrimmed"
    );
}

#[test]
fn the_power_fails_at_every_call() {
    const SEEDS: u64 = 12;
    let calls = calls();
    let outcomes = in_parallel(1..=calls, |call| {
        let (mut torn, mut recovered) = (0, 0);
        for misfortune in [Misfortune::OffBefore, Misfortune::OffAfter] {
            let mut cut = Counted::new(MemoryDisk::new(), Some((call, misfortune)));
            let mut written = Written::default();
            run(&mut cut, &mut written).expect_err("the power fails");
            for seed in 0..SEEDS {
                let story = format!("{misfortune:?} at call {call}, seed {seed}");
                let mut disk = cut.disk.clone();
                disk.crash(seed);
                let Some((remembered, found)) = reopen(&mut disk.clone(), &written, &story) else {
                    continue;
                };
                recovered += 1;
                torn += u64::from(found < written.appended.len());
                let mut opened = disk;
                reopen(&mut opened, &written, &story);
                opened.crash(seed + 1_000);
                assert_goes_on(opened, &remembered, seed, &story);
            }
        }
        (torn, recovered)
    });
    let torn: u64 = outcomes.iter().map(|(torn, _)| torn).sum();
    let recovered: u64 = outcomes.iter().map(|(_, recovered)| recovered).sum();
    println!("{calls} calls, {recovered} recoveries, {torn} of them from a torn batch");
    assert!(torn > 500, "crashes tore little: {torn}");
    assert!(
        recovered > calls * 2 * SEEDS * 9 / 10,
        "{recovered} came up"
    );
}

/// A second power failure, at every call of the recovery from the first.
#[test]
fn the_power_fails_at_every_call_of_every_recovery() {
    let calls = calls();
    let cuts = in_parallel(1..=calls, |call| {
        let mut cut = Counted::new(MemoryDisk::new(), Some((call, Misfortune::OffAfter)));
        let mut written = Written::default();
        run(&mut cut, &mut written).expect_err("the power fails");
        let mut cuts = 0;
        let mut crashed = cut.disk;
        crashed.crash(call);
        for second in 1.. {
            let story = format!("call {call}, then call {second} of the recovery");
            let mut disk = Counted::new(crashed.clone(), Some((second, Misfortune::OffAfter)));
            if open(&mut disk).is_ok() || disk.total < second {
                break;
            }
            cuts += 1;
            let mut disk = disk.disk;
            disk.crash(call + second);
            reopen(&mut disk, &written, &story);
        }
        cuts
    });
    let cuts: u64 = cuts.iter().sum();
    println!("{calls} calls, {cuts} recoveries cut short");
    assert!(cuts > 10 * calls, "{cuts} recoveries were cut");
}

/// A call fails, the process ends, the machine stays up. What the next start
/// reads from the system's cache it must make durable before it acts on it,
/// although the system believes that it is.
#[test]
fn every_call_fails_once_and_the_machine_stays_up() {
    let calls = calls();
    let failures = in_parallel(1..=calls, |call| {
        let mut failures = 0;
        for misfortune in [Misfortune::Broken, Misfortune::Full] {
            let mut disk = Counted::new(MemoryDisk::new(), Some((call, misfortune)));
            let mut written = Written::default();
            if run(&mut disk, &mut written).is_ok() {
                let harmless = misfortune == Misfortune::Full;
                assert!(harmless, "call {call}: a failure went unnoticed");
                continue;
            }
            failures += 1;
            for seed in 0..6 {
                let story = format!("{misfortune:?} at call {call}, seed {seed}");
                let mut disk = disk.disk.clone();
                let Some((remembered, _)) = reopen(&mut disk, &written, &story) else {
                    continue;
                };
                disk.crash(seed);
                assert_goes_on(disk, &remembered, seed, &story);
            }
        }
        failures
    });
    let failures: u64 = failures.iter().sum();
    println!("{calls} calls, {failures} failures");
    assert!(
        failures > calls,
        "every call failed, and some found no room"
    );
}
