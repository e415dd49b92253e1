//! Acceptors with a data directory, and those that may not have one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::process::{Process, executable};

fn initialised() -> Cluster {
    let cluster = Cluster::new("data votes");
    for id in 1..=3 {
        let (status, errors) = Process::start("acceptor", id, &cluster.conf, &["--init"]).outcome();
        assert_eq!(status, Some(0), "{errors}");
    }
    cluster
}

#[test]
fn votes_outlive_their_acceptors() {
    let mut cluster = initialised().with(3, 1, &[]);
    let learner = cluster.start("learner", 1, &[]);
    let mut client = cluster.start("client", 1, &["--deadline", "60"]);
    client.stdin().write_all(b"one\ntwo\nthree\n").unwrap();
    assert_eq!(client.outcome().0, Some(0));
    drop(learner);
    for process in &mut cluster.processes {
        process.signal(Signal::SIGKILL);
        process.wait();
    }
    cluster.processes.clear();
    let cluster = cluster.with(3, 1, &[]);
    let mut learner = cluster.start("learner", 2, &[]);
    assert_eq!(learner.lines(3).bytes(), b"one\ntwo\nthree\n");
    learner.stop();
}

#[test]
fn a_directory_is_made_once_and_needed_ever_after() {
    let cluster = Cluster::new("data votes");
    let run = |options: &[&str]| Process::start("acceptor", 1, &cluster.conf, options).outcome();
    let (status, errors) = run(&[]);
    assert_eq!(status, Some(5), "{errors}");
    assert!(errors.contains("--init"), "{errors}");
    assert!(!errors.contains("ready "), "{errors}");
    assert_eq!(run(&["--init"]).0, Some(0));
    let (status, errors) = run(&["--init"]);
    assert_eq!(status, Some(5), "{errors}");
    assert!(errors.contains("not empty"), "{errors}");
}

#[test]
fn a_second_process_and_another_acceptor_are_kept_out() {
    let cluster = initialised();
    let mut first = cluster.start("acceptor", 1, &[]);
    let (status, errors) = Process::start("acceptor", 1, &cluster.conf, &[]).outcome();
    assert_eq!(status, Some(5), "{errors}");
    first.stop();
    let votes = cluster.directory.path().join("votes");
    fs::rename(votes.join("acceptor-2"), votes.join("acceptor-2-was")).unwrap();
    fs::rename(votes.join("acceptor-1"), votes.join("acceptor-2")).unwrap();
    let (status, errors) = Process::start("acceptor", 2, &cluster.conf, &[]).outcome();
    assert_eq!(status, Some(5), "{errors}");
    assert!(errors.contains("written for acceptor"), "{errors}");
}

#[test]
fn a_failed_sync_ends_the_acceptor_and_loses_nothing() {
    let mut cluster = initialised();
    let mut failing = cluster.start("acceptor", 1, &["--faults", "sync-fail=3"]);
    for id in 2..=3 {
        let acceptor = cluster.start("acceptor", id, &[]);
        cluster.processes.push(acceptor);
    }
    let proposer = cluster.start("proposer", 1, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let output = learner.lines(50);
    let options = ["--count", "50", "--rate", "200", "--deadline", "60"];
    let (status, errors) = cluster.start("client", 1, &options).outcome();
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(failing.wait().code(), Some(5));
    let last = failing.seen.last().unwrap();
    assert!(last.contains("sync 3 of the log failed"), "{last}");
    assert_eq!(output.bytes().iter().filter(|b| **b == b'\n').count(), 50);
    let mut again = cluster.start("acceptor", 1, &[]);
    again.stop();
    drop(proposer);
}

#[test]
fn a_directory_of_another_cluster_is_refused() {
    let cluster = initialised();
    let text = format!("{}cluster another\n", without(&cluster.text, "cluster"));
    let conf = cluster.variant("another.conf", &text);
    let (status, errors) = Process::start("acceptor", 1, &conf, &[]).outcome();
    assert_eq!(status, Some(5), "{errors}");
    assert!(errors.contains("written for cluster"), "{errors}");
    assert!(errors.contains("check `data` and `cluster`"), "{errors}");
    assert!(!errors.contains("ready "), "{errors}");
}

#[test]
fn a_flipped_bit_in_the_log_is_found_and_said_where() {
    let mut cluster = initialised().with(3, 1, &[]);
    let learner = cluster.start("learner", 1, &[]);
    let options = ["--count", "100", "--deadline", "60"];
    let (status, errors) = cluster.start("client", 1, &options).outcome();
    assert_eq!(status, Some(0), "{errors}");
    cluster.stop();
    drop(learner);
    let directory = cluster.directory.path().join("votes/acceptor-2");
    let log = directory.join("votes-0000000001.log");
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(&log)
        .unwrap();
    // A byte of a value, as it stands in the middle of a vote.
    let bytes = fs::read(&log).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let place = (512 + used) / 2;
    file.write_all_at(&[bytes[place] ^ 0x10], place as u64)
        .unwrap();
    let (status, errors) = Process::start("acceptor", 2, &cluster.conf, &[]).outcome();
    assert_eq!(status, Some(5), "{errors}");
    assert!(!errors.contains("ready "), "{errors}");
    let where_it_is = format!("{}, byte ", log.display());
    let told = errors.split(&where_it_is).nth(1).expect(&errors);
    let offset: usize = told.split(':').next().unwrap().parse().unwrap();
    assert!((512..=place).contains(&offset), "{errors}");
    assert!(errors.contains("restore an undamaged copy"), "{errors}");
    // Flipped back, it is as good as ever.
    file.write_all_at(&bytes[place..=place], place as u64)
        .unwrap();
    cluster.start("acceptor", 2, &[]).stop();
}

#[test]
fn a_full_disk_ends_the_acceptor_and_loses_nothing_acknowledged() {
    if !private_mounts() {
        eprintln!("skipped: this machine lets us make no mount namespace, so no disk is full");
        return;
    }
    let mut cluster = initialised();
    let votes = cluster.directory.path().join("votes");
    fs::remove_dir_all(votes.join("acceptor-1")).unwrap();
    // A disk for this acceptor alone, seen by nobody else: room for one segment
    // of its log and not for the next.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-ec"]);
    command.arg(r#"mount -t tmpfs -o size=80m none "$1"; "$0" --init 1 "$2"; exec "$0" 1 "$2""#);
    command.arg(executable("acceptor"));
    command.args([&votes, &cluster.conf]);
    let mut full = Process::spawn("acceptor 1".to_owned(), command).ready();
    for id in 2..=3 {
        let acceptor = cluster.start("acceptor", id, &[]);
        cluster.processes.push(acceptor);
    }
    let proposer = cluster.start("proposer", 1, &[]);
    cluster.processes.push(proposer);
    let mut learner = cluster.start("learner", 1, &[]);
    let output = learner.lines(100);
    let options = ["--count", "100", "--size", "1000000", "--deadline", "60"];
    let (status, errors) = cluster.start("client", 1, &options).outcome();
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(full.wait().code(), Some(5), "{:#?}", full.seen);
    let last = full.seen.last().unwrap();
    assert!(last.contains("votes-0000000002.log"), "{last}");
    assert!(last.contains("the disk or quota is full"), "{last}");
    assert!(last.contains("free some room and start"), "{last}");
    let expected = output.bytes();
    assert_eq!(expected.len(), 100 * 1_000_001);
    let mut late = cluster.start("learner", 2, &[]);
    assert!(late.lines(100).bytes() == expected, "the bytes differ");
    late.stop();
    learner.stop();
    cluster.stop();
}

/// The lines that do not begin with this word.
fn without(text: &str, word: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with(word))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Whether this machine lets us mount something that nobody else sees.
fn private_mounts() -> bool {
    let attempt = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .output();
    attempt.is_ok_and(|output| output.status.success())
}
