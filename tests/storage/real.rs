//! The log in a directory of the file system.

use std::path::Path;
use std::process::Command;

use paxcast::protocol::{Instance, Record};
use paxcast::storage::file::Directory;
use paxcast::storage::log::Log;
use paxcast::storage::{StorageError, segment};

use super::{IDENTITY, promised, voted};

/// Names the directory that a child process shall find locked.
const LOCKED: &str = "PAXCAST_TEST_LOCKED";

fn open(path: &Path) -> Result<(Log<Directory>, Vec<Record>), StorageError> {
    let mut records = Vec::new();
    let disk = Directory::open(path)?;
    let each = |record| records.push(record);
    let (log, _) = Log::open(disk, IDENTITY.cluster, IDENTITY.acceptor, each)?;
    Ok((log, records))
}

#[test]
fn a_log_is_remembered_across_segments_and_restarts() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("acceptor");
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StorageError::Missing { .. }), "{error}");
    let disk = Directory::create(&path).unwrap();
    Log::init_with_segments(disk, IDENTITY, 1 << 16).unwrap();
    let mut written = Vec::new();
    for life in 0..3 {
        let (mut log, remembered) = open(&path).unwrap();
        assert!(remembered == written, "life {life}");
        for instance in 1..=50 {
            let record = match instance % 10 {
                0 => promised(instance),
                _ => voted(life * 50 + instance, 1, vec![instance as u8; 3000]),
            };
            log.append(&record).unwrap();
            written.push(record);
            if instance % 7 == 0 || instance == 50 {
                log.sync().unwrap();
            }
        }
    }
    assert!(path.join(segment::file_name(7)).exists());
    let error = Log::init(Directory::create(&path).unwrap(), IDENTITY).unwrap_err();
    assert!(matches!(error, StorageError::NotEmpty { .. }), "{error}");
}

#[test]
fn damage_is_named_with_the_files_path() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    Log::init_with_segments(Directory::open(path).unwrap(), IDENTITY, 4096).unwrap();
    let (mut log, _) = open(path).unwrap();
    log.append(&voted(1, 1, vec![1; 100])).unwrap();
    log.sync().unwrap();
    drop(log);
    let name = path.join(segment::file_name(1));
    let mut bytes = std::fs::read(&name).unwrap();
    bytes[600] ^= 4;
    std::fs::write(&name, &bytes).unwrap();
    let error = open(path).unwrap_err();
    let expected = format!(
        "{}, byte 512: record 1 does not match its checksum",
        name.display()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
    std::fs::write(&name, &bytes[..4000]).unwrap();
    let error = open(path).unwrap_err().to_string();
    assert!(error.contains("has 4000 bytes instead of 4096"), "{error}");
}

#[test]
fn lookups_read_what_other_lives_wrote() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    Log::init_with_segments(Directory::open(path).unwrap(), IDENTITY, 1 << 16).unwrap();
    for life in 0..3u64 {
        let (mut log, _) = open(path).unwrap();
        for instance in 1..=40 {
            let value = vec![life as u8; 3000];
            log.append(&voted(life * 40 + instance, 1, value)).unwrap();
        }
        log.sync().unwrap();
    }
    let (mut log, _) = open(path).unwrap();
    let lookup = super::lookup::all(30..=90, 1 << 20);
    let found = log.lookup(lookup).unwrap();
    let instances: Vec<u64> = found.votes.iter().map(|vote| vote.instance.0).collect();
    assert_eq!(instances, (30..=90).collect::<Vec<u64>>());
    assert_eq!(found.through, Instance(90));
    assert_eq!(found.votes[10].value.bytes()[..], [0; 3000]);
    assert_eq!(found.votes[11].value.bytes()[..], [1; 3000]);
}

/// Runs this very test in a second process, which must be refused.
#[test]
fn a_second_process_is_refused() {
    if let Some(path) = std::env::var_os(LOCKED) {
        let error = Directory::open(Path::new(&path)).unwrap_err();
        assert!(matches!(error, StorageError::Locked { .. }), "{error}");
        println!("refused: {error}");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let _held = Directory::open(place.path()).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "real::a_second_process_is_refused",
        ])
        .env(LOCKED, place.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    let expected = format!("in use by process {};", std::process::id());
    assert!(child.status.success() && told.contains(&expected), "{told}");
}
