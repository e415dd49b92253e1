//! A log whose disk fails or fills up: what it says, and what it goes on with.

use paxcast::storage::StorageError;
use paxcast::storage::memory::Fault;

use super::{disk, open, promised, voted, write};

const SEGMENT: u64 = 4096;

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
