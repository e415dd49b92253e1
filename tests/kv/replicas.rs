//! Several replicas, as real processes on loopback.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::clients::{DEBIAN, is_there, libraries, run};
use crate::process::{PATIENCE, Process, executable};
use crate::replicated::Replicated;
use crate::talk::Talk;

/// A replicated store.
pub struct Store(Replicated);

impl Deref for Store {
    type Target = Replicated;

    fn deref(&self) -> &Replicated {
        &self.0
    }
}

impl DerefMut for Store {
    fn deref_mut(&mut self) -> &mut Replicated {
        &mut self.0
    }
}

impl Store {
    /// Three acceptors, two proposers and three replicas with these lines in their
    /// configuration.
    pub fn start(more: &str) -> Store {
        Store(Replicated::start("kv", 3, more, &[]))
    }

    pub fn of_acceptors(more: &str, count: u16) -> Store {
        Store(Replicated::of_acceptors("kv", count, more, &[], &["-v"]))
    }

    /// A connection to the replica of this index.
    pub fn talk(&self, index: usize) -> Talk {
        Talk::to(self.replicas[index].address, PATIENCE).expect("it listens")
    }

    /// Waits until all replicas are at one place with one state; gives both.
    pub fn agree(&self) -> String {
        agreement(|| (0..self.replicas.len()).map(|i| self.talk(i)).collect())
    }

    /// Ends everything as a user would, and insists on good ends.
    pub fn stop(self) {
        self.0.stop();
    }
}

/// Waits until all replicas, as they are talked to, are at one place with one state;
/// gives both.
pub fn agreement(talks: impl Fn() -> Vec<Talk>) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let hashes: Vec<String> = talks()
            .iter_mut()
            .map(|talk| talk.told(&["PAXOS", "HASH"]))
            .collect();
        if hashes.iter().all(|hash| *hash == hashes[0]) {
            return hashes[0].clone();
        }
        let places: Vec<&str> = hashes
            .iter()
            .filter_map(|hash| hash.split('@').nth(1))
            .collect();
        let same = places.iter().all(|place| *place == places[0]);
        assert!(!same, "one place and different states: {hashes:?}");
        assert!(Instant::now() < deadline, "no agreement: {hashes:?}");
    }
}

#[test]
fn any_replica_takes_any_command_and_reads_see_what_was_told_before() {
    let store = Store::start("");
    let [mut one, mut two, mut three] = [0, 1, 2].map(|index| store.talk(index));
    for round in 0..50 {
        let value = round.to_string();
        assert_eq!(one.told(&["SET", "k", &value]), "OK");
        assert_eq!(two.told(&["GET", "k"]), value);
        assert_eq!(
            two.told(&["APPEND", "k", "!"]),
            (value.len() + 1).to_string()
        );
        assert_eq!(three.told(&["GET", "k"]), value + "!");
        assert_eq!(three.told(&["INCR", "n"]), (2 * round + 1).to_string());
        assert_eq!(one.told(&["INCR", "n"]), (2 * round + 2).to_string());
    }
    // A transaction fails for what happened at another replica.
    assert_eq!(one.told(&["WATCH", "n"]), "OK");
    assert_eq!(two.told(&["SET", "n", "7"]), "OK");
    assert_eq!(one.told(&["MULTI"]), "OK");
    assert_eq!(one.told(&["INCR", "n"]), "QUEUED");
    assert_eq!(one.told(&["EXEC"]), "nothing");
    assert_eq!(one.told(&["MULTI"]), "OK");
    assert_eq!(one.told(&["INCR", "n"]), "QUEUED");
    assert_eq!(one.told(&["SET", "m", "x"]), "QUEUED");
    assert_eq!(one.told(&["EXEC"]), "[Number(8), Word(\"OK\")]");
    assert_eq!(
        three.told(&["MGET", "n", "m"]),
        "[Text(\"8\"), Text(\"x\")]"
    );
    // Time is the log's.
    assert_eq!(one.told(&["SET", "t", "soon gone", "PX", "60000"]), "OK");
    assert_eq!(two.told(&["EXISTS", "t"]), "1");
    assert_eq!(three.told(&["PEXPIRE", "t", "0"]), "1");
    assert_eq!(two.told(&["GET", "t"]), "nothing");
    // What was seen at one replica is waited for at another.
    assert_eq!(one.told(&["SET", "k", "latest"]), "OK");
    let place = one.told(&["PAXOS", "INSTANCE"]);
    assert_eq!(three.told(&["PAXOS", "GETAT", &place, "k"]), "latest");
    assert_eq!(
        three.told(&["PAXOS", "GETAT", "x", "k"]),
        "-ERR value is not an integer or out of range"
    );
    // Old answers will do for who says so: here they are not old any more.
    store.agree();
    assert_eq!(two.told(&["READONLY"]), "OK");
    assert_eq!(two.told(&["GET", "k"]), "latest");
    assert_eq!(two.told(&["PAXOS", "STALE", "OFF"]), "OK");
    assert_eq!(two.told(&["GET", "k"]), "latest");
    let info = three.told(&["PAXOS", "INFO"]);
    assert!(
        info.contains("mode:replica") && info.contains("quorum:1"),
        "{info}"
    );
    store.stop();
}

#[test]
fn real_clients_work_unchanged() {
    let store = Store::start("data votes\nreplica_ids 1 2 3");
    let port = |index: usize| store.replicas[index].address.port().to_string();
    if is_there(Path::new("redis-benchmark"), DEBIAN) {
        for pipeline in ["1", "16"] {
            let mut command = Command::new("redis-benchmark");
            let printed = run(command
                .args(["-p", &port(0), "-t", "set,get,incr,mset"])
                .args(["-n", "5000", "-P", pipeline, "--csv"]));
            for test in ["SET", "GET", "INCR", "MSET (10 keys)"] {
                assert!(printed.contains(&format!("\"{test}\",")), "{printed}");
            }
            assert!(!printed.to_lowercase().contains("error"), "{printed}");
        }
        let mut cli = Command::new("redis-cli");
        let printed = run(cli.args(["-p", &port(1), "GET", "key:__rand_int__"]));
        assert!(printed.starts_with("VX"), "{printed}");
    }
    let python = libraries().join("python/bin/python");
    if is_there(&python, "tests/clients/install.sh") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python.py");
        let printed = run(Command::new(python).arg(script).arg(port(1)));
        assert!(printed.ends_with("done\n"), "{printed}");
    }
    let modules = libraries().join("node/node_modules");
    if is_there(&modules.join("ioredis"), "tests/clients/install.sh") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/node.mjs");
        let mut command = Command::new("node");
        let printed = run(command.arg(script).arg(port(2)).arg(modules));
        assert_eq!(printed, "done\n");
    }
    store.agree();
    store.stop();
}

#[test]
fn without_a_quorum_nothing_is_told_that_may_be_old() {
    let mut store = Store::start("");
    let mut one = store.talk(0);
    assert_eq!(one.told(&["SET", "k", "before"]), "OK");
    for acceptor in &store.acceptors[..2] {
        acceptor.signal(Signal::SIGSTOP);
    }
    let read = one.told(&["GET", "k"]);
    assert!(read.starts_with("-NOQUORUM "), "{read}");
    let changed = one.told(&["SET", "k", "meanwhile"]);
    assert!(
        changed.starts_with("-NOQUORUM "),
        "it knows by now: {changed}"
    );
    // This one does not know yet, and sends it.
    let mut two = store.talk(1);
    let sent = two.told(&["SET", "k", "perhaps"]);
    assert!(sent.starts_with("-INDETERMINATE "), "{sent}");
    let info = two.told(&["PAXOS", "INFO"]);
    assert!(info.contains("quorum:0"), "{info}");
    let mut three = store.talk(2);
    assert_eq!(three.told(&["PAXOS", "STALE", "ON"]), "OK");
    assert_eq!(
        three.told(&["GET", "k"]),
        "before",
        "whoever wants it gets it"
    );
    for acceptor in &store.acceptors[..2] {
        acceptor.signal(Signal::SIGCONT);
    }
    for replica in &mut store.replicas[..2] {
        replica.process.wait_for("answers again");
    }
    // What was sent happens now, and what was refused never does.
    assert_eq!(one.told(&["GET", "k"]), "perhaps");
    assert_eq!(two.told(&["GET", "k"]), "perhaps");
    store.agree();
    store.stop();
}

#[test]
fn a_replica_that_was_stopped_does_not_answer_what_it_remembers() {
    // How long the others go on writing: a moment, and long after everybody must have
    // noticed that one is missing.
    const PAUSES: [Duration; 4] = [
        Duration::from_millis(20),
        Duration::from_millis(100),
        Duration::from_millis(300),
        Duration::from_secs(10),
    ];
    let store = Store::start("data votes\nreplica_ids 1 2 3\ncheckpoint 64KiB");
    let mut one = store.talk(0);
    let mut two = store.talk(1);
    let mut number = 0;
    for pause in PAUSES {
        assert_eq!(one.told(&["SET", "k", "old"]), "OK");
        assert_eq!(two.told(&["GET", "k"]), "old");
        store.replicas[1].process.signal(Signal::SIGSTOP);
        let from = Instant::now();
        while from.elapsed() < pause {
            number += 1;
            assert_eq!(one.told(&["SET", "k", &number.to_string()]), "OK");
        }
        // The question waits for the replica, not the replica for the news.
        two.say(&["GET", "k"]).expect("the kernel takes it");
        store.replicas[1].process.signal(Signal::SIGCONT);
        let heard = two.hear().expect("an answer").to_string();
        assert_eq!(heard, number.to_string(), "after {pause:?}");
    }
    store.agree();
    // Where it comes back to a minority it refuses, whatever it remembers.
    assert_eq!(two.told(&["GET", "k"]), number.to_string());
    store.replicas[1].process.signal(Signal::SIGSTOP);
    assert_eq!(one.told(&["SET", "k", "new"]), "OK");
    for acceptor in &store.acceptors[1..] {
        acceptor.signal(Signal::SIGSTOP);
    }
    two.say(&["GET", "k"]).expect("the kernel takes it");
    store.replicas[1].process.signal(Signal::SIGCONT);
    let refused = two.hear().expect("an answer").to_string();
    assert!(refused.starts_with("-NOQUORUM "), "{refused}");
    for acceptor in &store.acceptors[1..] {
        acceptor.signal(Signal::SIGCONT);
    }
    let mut store = store;
    store.replicas[1].process.wait_for("answers again");
    assert_eq!(two.told(&["GET", "k"]), "new");
    store.agree();
    store.stop();
}

#[test]
fn a_replica_starts_again_from_its_checkpoint_and_one_from_nothing_gets_one() {
    let mut store = Store::start("data votes\nreplica_ids 1 2 3\ncheckpoint 64KiB");
    let mut one = store.talk(0);
    let fill = |talk: &mut Talk, count: usize, length: usize| {
        let value = "x".repeat(length);
        for number in 0..count {
            assert_eq!(
                talk.told(&["SET", &format!("k{}", number % 50), &value]),
                "OK"
            );
        }
    };
    fill(&mut one, 400, 1_000);
    for replica in &mut store.replicas {
        replica.process.wait_for("kept a checkpoint");
    }
    let before = store.agree();
    let address = store.replicas[1].address;
    store.replicas[1].process.signal(Signal::SIGKILL);
    store.replicas[1].process.wait();
    store.replicas[1] = store.replica(1 + 1, Some(address));
    let ready = store.replicas[1].process.seen.join("\n");
    assert!(!ready.contains("checkpoint=none"), "{ready}");
    assert_eq!(store.agree(), before);
    let mut two = store.talk(1);
    assert_eq!(two.told(&["STRLEN", "k7"]), "1000");
    assert_eq!(two.told(&["DBSIZE"]), "50");
    // Enough history that acceptors forget its beginning, and a fourth replica.
    fill(&mut one, 500, 300_000);
    store.acceptors[0].wait_for("deleted segment 1 ");
    let fourth = store.replica(4, None);
    store.replicas.push(fourth);
    store.replicas[3].process.wait_for("took over a checkpoint");
    store.agree();
    assert_eq!(store.talk(3).told(&["STRLEN", "k7"]), "300000");
    store.stop();
}

#[test]
fn no_two_replicas_with_other_checkpoints_under_one_name() {
    // A directory of replica 1 is not taken for one of replica 2.
    let mut store = Store::of_acceptors("data votes\nreplica_ids 1 2\ncheckpoint 4KiB", 3);
    let first = store.replica(1, None);
    store.replicas.push(first);
    let mut one = store.talk(0);
    let value = "x".repeat(1_000);
    for _ in 0..20 {
        assert_eq!(one.told(&["SET", "k", &value]), "OK");
    }
    store.replicas[0].process.wait_for("kept a checkpoint");
    store.replicas[0].process.stop();
    let data = store.cluster.directory.path().join("votes");
    std::fs::rename(data.join("replica-1"), data.join("replica-2")).expect("it is there");
    let mut command = Command::new(executable("paxcast"));
    command.args(["kv", "2"]).arg(&store.cluster.conf);
    command.args(["--listen", "127.0.0.1:0"]);
    let (status, said) = Process::spawn("kv 2".to_owned(), command).outcome();
    assert_eq!(status, Some(5), "{said}");
    assert!(said.contains("replica 1"), "{said}");
    store.replicas.clear();
    store.stop();
}

/// A bound for what takes no time where nothing is wrong.
pub const SOON: Duration = Duration::from_secs(10);
