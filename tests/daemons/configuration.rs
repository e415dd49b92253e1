//! What is refused before anything starts, and how it is said.

use std::path::Path;

use crate::cluster::Cluster;
use crate::process::Process;

/// The exit status and standard error of a process that should not get far.
fn refused(role: &str, id: u16, conf: &Path, options: &[&str]) -> (Option<i32>, String) {
    let (status, errors) = Process::start(role, id, conf, options).outcome();
    assert!(!errors.contains("ready "), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    (status, errors)
}

#[test]
fn check_config_prints_a_configuration_that_reads_back() {
    let cluster = Cluster::new("window 32");
    for role in ["client", "proposer", "acceptor", "learner"] {
        let mut process = Process::start(role, 1, &cluster.conf, &["--check-config"]);
        let text = process.lines(usize::MAX).bytes();
        assert_eq!(process.wait().code(), Some(0));
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("window"), "{text}");
        assert!(text.contains("datagrams of at most 65507 bytes"), "{text}");
        let again = cluster.variant("again.conf", &text);
        let mut process = Process::start(role, 1, &again, &["--check-config"]);
        let second = String::from_utf8(process.lines(usize::MAX).bytes()).unwrap();
        let digests = |text: &str| text.lines().last().unwrap().to_owned();
        assert_eq!(digests(&text), digests(&second));
    }
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line() {
    let cluster = Cluster::new("learnrs 239.0.0.1 1");
    let (status, errors) = refused("learner", 1, &cluster.conf, &[]);
    assert_eq!(status, Some(3));
    assert!(errors.contains("paxos.conf:8: "), "{errors}");
    assert!(errors.contains("did you mean \"learners\"?"), "{errors}");
    let (status, _) = refused("learner", 1, &cluster.conf, &["--check-config"]);
    assert_eq!(status, Some(3));
}

#[test]
fn a_missing_file_is_a_configuration_error() {
    let cluster = Cluster::new("");
    let missing = cluster.directory.path().join("nowhere.conf");
    let (status, errors) = refused("proposer", 1, &missing, &[]);
    assert_eq!(status, Some(3));
    assert!(errors.contains("nowhere.conf"), "{errors}");
}

#[test]
fn ids_that_the_cluster_does_not_have_are_refused() {
    let cluster = Cluster::new("");
    let (status, errors) = refused("client", 0, &cluster.conf, &[]);
    assert_eq!(status, Some(3));
    assert!(errors.contains("ids start at 1"), "{errors}");
    let (status, errors) = refused("acceptor", 9, &cluster.conf, &[]);
    assert_eq!(status, Some(3));
    assert!(errors.contains("acceptors 1 2 3"), "{errors}");
    assert!(errors.contains("acceptor_count"), "{errors}");
}

#[test]
fn an_interface_that_is_not_there_is_answered_with_those_that_are() {
    let cluster = Cluster::new("");
    let text = cluster
        .text
        .replace("interface 127.0.0.1", "interface nosuch0");
    let conf = cluster.variant("interface.conf", &text);
    let (status, errors) = refused("learner", 1, &conf, &[]);
    assert_eq!(status, Some(3));
    assert!(errors.contains("(127.0.0.1"), "{errors}");
}

#[test]
fn a_command_line_that_contradicts_itself_is_a_usage_error() {
    let cluster = Cluster::new("");
    for (role, options) in [
        ("acceptor", &["--faults", "sync-fail=3"][..]),
        ("learner", &["--faults", "sync-fail=3"]),
        ("acceptor", &["--faults", "drop=2"]),
        ("acceptor", &["--init"]),
        ("client", &["--rate", "5"]),
        ("client", &["--deadline", "-1"]),
        ("learner", &["--verbose", "--quiet"]),
    ] {
        let (status, errors) = refused(role, 1, &cluster.conf, options);
        assert_eq!(status, Some(2), "{role} {options:?}: {errors}");
    }
}

#[test]
fn a_directory_cannot_make_one_acceptor_durable_where_all_are_volatile() {
    let cluster = Cluster::new("");
    let options = ["--data", "/nonexistent"];
    let (status, errors) = refused("acceptor", 1, &cluster.conf, &options);
    assert_eq!(status, Some(3));
    assert!(
        errors.contains("add a line `data /nonexistent`"),
        "{errors}"
    );
}
