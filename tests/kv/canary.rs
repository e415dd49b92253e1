//! A journal of a real replica of the store through `paxcast canary`.

use std::path::Path;
use std::process::Command;

use crate::journal::{assert_difference_is_told, assert_same};
use crate::process::{PATIENCE, Process, executable};
use crate::replicas::Store;
use crate::talk::Talk;

#[test]
fn an_old_journal_gives_the_same_or_tells_where_it_does_not() {
    let mut store = Store::of_acceptors("data votes\nreplica_ids 1\ncheckpoint 16KiB", 3);
    let directory = store.cluster.directory.path();
    let (first, second) = (directory.join("first"), directory.join("second"));
    let mut start = |journal: &Path| {
        store.more = vec!["--journal".to_owned(), journal.display().to_string()];
        let replica = store.replica(1, None);
        let talk = Talk::to(replica.address, PATIENCE).expect("it listens");
        (replica.process, talk)
    };
    let (mut process, mut talk) = start(&first);
    let value = "x".repeat(100);
    for number in 0..900 {
        let key = format!("k{}", number % 7);
        assert_eq!(talk.told(&["SET", &key, &value]), "OK");
        talk.told(&["INCR", &key]);
    }
    process.wait_for("kept a checkpoint");
    let hash = talk.told(&["PAXOS", "HASH"]);
    process.stop();
    let said = assert_same(&first, &hash);
    let commands: u64 = hash
        .split('@')
        .nth(1)
        .expect("a place")
        .parse()
        .expect("one");
    assert!(said.contains(&format!("OK: {commands} commands")), "{said}");
    assert!(!said.contains(" 1 digests"), "only the last: {said}");
    // The next journal begins with the state of the checkpoint.
    let (mut process, mut talk) = start(&second);
    assert_eq!(talk.told(&["INCR", "n"]), "1");
    let hash = talk.told(&["PAXOS", "HASH"]);
    process.stop();
    assert_same(&second, &hash);
    assert_difference_is_told(&first, 17);
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
