//! A journal of a real replica through `paxcast canary`.

use std::fs;
use std::path::Path;
use std::process::Command;

use paxcast::service::Place;
use paxcast::service::journal::{Entries, Entry, write};

use crate::process::{Process, executable};
use crate::replicas::Store;
use crate::talk::Talk;

fn canary(journal: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(executable("paxcast"));
    let output = command.arg("canary").arg(journal).output();
    let output = output.expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into())
}

/// A replica that keeps this journal, and its first client.
fn start(store: &Store, journal: &Path) -> (Process, Talk) {
    let mut command = Command::new(executable("paxcast"));
    command.args(["kv", "1"]).arg(&store.cluster.conf);
    command.args(["-v", "--listen", "127.0.0.1:0", "--journal"]);
    command.arg(journal);
    let mut process = Process::spawn("kv 1".to_owned(), command);
    let line = process.wait_for("ready ");
    let address = line
        .split(' ')
        .find_map(|word| word.strip_prefix("address="));
    let address = address.and_then(|word| word.parse().ok());
    let address = address.unwrap_or_else(|| panic!("{line}"));
    let talk = Talk::to(address, crate::process::PATIENCE).expect("it listens");
    (process, talk)
}

#[test]
fn an_old_journal_gives_the_same_or_tells_where_it_does_not() {
    let store = Store::of_acceptors("data votes\nreplica_ids 1\ncheckpoint 16KiB", 3);
    let journal = |name: &str| store.cluster.directory.path().join(name);
    let (first, second) = (journal("first"), journal("second"));
    let (mut process, mut talk) = start(&store, &first);
    let value = "x".repeat(100);
    for number in 0..900 {
        let key = format!("k{}", number % 7);
        assert_eq!(talk.told(&["SET", &key, &value]), "OK");
        talk.told(&["INCR", &key]);
    }
    process.wait_for("kept a checkpoint");
    let hash = talk.told(&["PAXOS", "HASH"]);
    process.stop();
    let (status, said) = canary(&first);
    assert_eq!(status, Some(0), "{said}");
    let commands: u64 = hash
        .split('@')
        .nth(1)
        .expect("a place")
        .parse()
        .expect("one");
    assert!(said.contains(&format!("OK: {commands} commands")), "{said}");
    assert!(said.contains(&hash), "{said} has not {hash}");
    assert!(!said.contains(" 1 digests"), "only the last: {said}");
    // The next journal begins with the state of the checkpoint.
    let (mut process, mut talk) = start(&store, &second);
    assert_eq!(talk.told(&["INCR", "n"]), "1");
    let hash = talk.told(&["PAXOS", "HASH"]);
    process.stop();
    let (status, said) = canary(&second);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(&hash), "{said} has not {hash}");
    // A reply that was another one is told with its place.
    let mut entries = Entries::default();
    entries.feed(&fs::read(&first).expect("a journal"));
    let mut changed = Vec::new();
    while let Some(mut entry) = entries.advance().expect("whole") {
        if let Entry::Applied { place, reply, .. } = &mut entry
            && *place == Place(17)
        {
            *reply ^= 1;
        }
        write(&entry, &mut changed);
    }
    fs::write(&first, changed).expect("a file");
    let (status, said) = canary(&first);
    assert_eq!(status, Some(10), "{said}");
    assert!(
        said.starts_with("DIFFERENT: ") && said.contains("@17"),
        "{said}"
    );
    // Nothing is written over.
    let mut command = Command::new(executable("paxcast"));
    command.args(["kv", "1"]).arg(&store.cluster.conf);
    command.args(["--listen", "127.0.0.1:0", "--journal"]);
    command.arg(&second);
    let again = Process::spawn("kv 1".to_owned(), command);
    let (status, said) = again.outcome();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("it must be a new file"), "{said}");
    store.stop();
}
