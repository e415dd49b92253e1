//! Acceptors with a data directory, and those that may not have one.

use std::io::Write;

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::process::Process;

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
    std::fs::rename(votes.join("acceptor-2"), votes.join("acceptor-2-was")).unwrap();
    std::fs::rename(votes.join("acceptor-1"), votes.join("acceptor-2")).unwrap();
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
