//! Nothing synced is ever lost, whatever call the power fails at and whatever
//! the disk then keeps of the rest.

use paxcast::protocol::Record;
use paxcast::storage::StorageError;
use paxcast::storage::log::Log;
use paxcast::storage::memory::{Fault, MemoryDisk};

use super::{IDENTITY, disk, open, promised, voted, watermark, write};

const SEGMENT: u64 = 4096;

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
        batches.push(batch);
    }
    batches
}

/// What was appended, and how much of it was synced, when the run ended.
#[derive(Default)]
struct Written {
    appended: Vec<Record>,
    synced: usize,
}

/// Makes a log and writes all batches, as far as the disk plays along.
fn run(disk: &mut MemoryDisk, written: &mut Written) -> Result<(), StorageError> {
    Log::init_with_segments(&mut *disk, IDENTITY, SEGMENT)?;
    let (mut log, _) = open(disk)?;
    for batch in batches() {
        for record in batch {
            log.append(&record)?;
            written.appended.push(record);
        }
        log.sync()?;
        written.synced = written.appended.len();
    }
    Ok(())
}

/// How many changing calls the undisturbed run makes.
fn calls() -> u64 {
    let mut disk = MemoryDisk::new();
    run(&mut disk, &mut Written::default()).unwrap();
    disk.calls()
}

fn assert_remembered(remembered: &[Record], written: &Written, story: &str) {
    assert!(
        remembered.len() >= written.synced,
        "{story}: forgot what was synced"
    );
    assert!(
        remembered.len() <= written.appended.len(),
        "{story}: made something up"
    );
    assert!(
        remembered == &written.appended[..remembered.len()],
        "{story}: other records"
    );
}

#[test]
fn the_power_fails_at_every_call() {
    let calls = calls();
    assert!(calls > 150, "the run has become short: {calls}");
    let mut torn = 0;
    for call in 1..=calls {
        let mut cut = MemoryDisk::new();
        cut.fail_at(call, Fault::PowerOff);
        let mut written = Written::default();
        run(&mut cut, &mut written).expect_err("the power fails");
        for seed in 0..24 {
            let story = format!("call {call}, seed {seed}");
            let mut disk = cut.clone();
            disk.crash(seed);
            // It fails once more, during recovery.
            disk.fail_at(disk.calls() + 1 + seed % 4, Fault::PowerOff);
            let _ = open(&mut disk);
            disk.crash(seed + 1000);
            let remembered = match open(&mut disk) {
                Ok((mut log, remembered)) => {
                    log.append(&promised(99)).unwrap();
                    log.sync().unwrap();
                    remembered
                }
                Err(StorageError::Empty { .. } | StorageError::Unfinished { .. })
                    if written.appended.is_empty() =>
                {
                    continue;
                }
                Err(error) => panic!("{story}: {error}"),
            };
            assert_remembered(&remembered, &written, &story);
            torn += usize::from(remembered.len() < written.appended.len());
            disk.crash(seed + 2000);
            let (_, mut again) = open(&mut disk).unwrap();
            assert_eq!(again.pop(), Some(promised(99)), "{story}");
            assert!(
                again == remembered,
                "{story}: recovered differently the second time"
            );
        }
    }
    assert!(torn > 100, "crashes tore nothing: {torn}");
}

/// A call fails, the process ends, the machine stays up. What the next start
/// reads from the system's cache it must make durable before it acts on it,
/// although the system believes that it is.
#[test]
fn every_call_fails_once_and_the_machine_stays_up() {
    for call in 1..=calls() {
        for fault in [Fault::Broken, Fault::Full] {
            let mut disk = MemoryDisk::new();
            disk.fail_at(call, fault);
            let mut written = Written::default();
            if run(&mut disk, &mut written).is_ok() {
                assert_eq!(fault, Fault::Full, "call {call}: a failure went unnoticed");
                continue;
            }
            for seed in 0..6 {
                let story = format!("{fault:?} at call {call}, seed {seed}");
                let mut disk = disk.clone();
                let remembered = match open(&mut disk) {
                    Ok((_, remembered)) => remembered,
                    Err(StorageError::Empty { .. } | StorageError::Unfinished { .. })
                        if written.appended.is_empty() =>
                    {
                        continue;
                    }
                    Err(error) => panic!("{story}: {error}"),
                };
                assert_remembered(&remembered, &written, &story);
                disk.crash(seed);
                let (_, again) = open(&mut disk).unwrap();
                assert!(again == remembered, "{story}: what was acted on is gone");
            }
        }
    }
}

#[test]
fn after_a_failure_nothing_is_tried_again() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    log.append(&promised(1)).unwrap();
    // The write passes, the sync fails.
    let calls = log.disk_mut().calls();
    log.disk_mut().fail_at(calls + 2, Fault::Broken);
    let error = log.sync().unwrap_err();
    assert!(
        matches!(error, StorageError::Failed { action: "sync", .. }),
        "{error}"
    );
    let refusals = [
        log.sync().unwrap_err(),
        log.append(&promised(2)).unwrap_err(),
        log.lookup(super::lookup::all(1..=9, 1000)).unwrap_err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, StorageError::Closed { .. }), "{refusal}");
        assert!(refusal.to_string().contains("injected"), "{refusal}");
    }
    assert_eq!(log.into_disk().calls(), calls + 2);
}

#[test]
fn a_full_disk_stops_the_log_when_a_segment_is_full_and_not_before() {
    let mut disk = disk(SEGMENT);
    disk.limit(Some(disk.used()));
    let (mut log, _) = open(&mut disk).unwrap();
    let mut synced = 0;
    let error = loop {
        log.append(&voted(synced + 1, 1, vec![7; 100])).unwrap();
        match log.sync() {
            Ok(()) => synced += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    assert!(error.to_string().contains("free some room"), "{error}");
    assert_eq!(synced, (SEGMENT - 512 - 32) / (32 + 112));
    disk.limit(None);
    let (mut log, remembered) = open(&mut disk).unwrap();
    assert_eq!(remembered.len() as u64, synced);
    write(&mut log, &[&[voted(synced + 1, 1, vec![7; 100])]]);
    let (_, remembered) = open(&mut disk).unwrap();
    assert_eq!(remembered.len() as u64, synced + 1);
}

#[test]
fn room_that_was_found_in_time_is_used() {
    let mut disk = disk(SEGMENT);
    disk.limit(Some(disk.used()));
    let (mut log, _) = open(&mut disk).unwrap();
    let calls = log.disk_mut().calls();
    let small = |instance| voted(instance, 1, vec![7; 100]);
    for instance in 1..=20 {
        write(&mut log, &[&[small(instance)]]);
    }
    // The next segment was tried for once and put off, not tried at every sync.
    assert_eq!(log.disk_mut().calls() - calls, 20 * 2 + 1);
    log.disk_mut().limit(None);
    for instance in 21..=60 {
        write(&mut log, &[&[small(instance)]]);
    }
    assert_eq!(open(&mut disk).unwrap().1.len(), 60);
}

#[test]
fn a_record_that_fits_no_segment_is_refused_and_the_log_goes_on() {
    let mut disk = disk(SEGMENT);
    let (mut log, _) = open(&mut disk).unwrap();
    let error = log.append(&voted(1, 1, vec![1; 4000])).unwrap_err();
    assert!(matches!(error, StorageError::TooLarge { .. }), "{error}");
    write(&mut log, &[&[voted(1, 1, vec![1; 3400])]]);
    assert_eq!(open(&mut disk).unwrap().1.len(), 1);
}
