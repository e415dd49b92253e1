//! Datagrams that should not be there.

use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};

use socket2::SockRef;

use crate::cluster::Cluster;
use crate::process::Process;

#[test]
fn garbage_on_all_groups_changes_nothing_and_is_counted() {
    let mut cluster = Cluster::new("").with(3, 1, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let output = learner.lines(100);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    SockRef::from(&socket)
        .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
        .unwrap();
    let mut header = b"PXCT\x01\x01".to_vec();
    header.resize(80, 7);
    let large = [7; 60_000];
    for n in 0..200 {
        for group in ["clients", "proposers", "acceptors", "learners"] {
            let garbage = [&b""[..], b"hello", &header, &large][n % 4];
            socket.send_to(garbage, cluster.group(group)).unwrap();
        }
    }
    let mut client = cluster.start("client", 1, &["--deadline", "60"]);
    let values: String = (1..=100).map(|n| format!("{n}\n")).collect();
    client.stdin().write_all(values.as_bytes()).unwrap();
    let (status, errors) = client.outcome();
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(output.bytes(), values.as_bytes());
    cluster.processes.push(learner);
    cluster.stop();
    for process in &cluster.processes {
        let last = process.seen.last().unwrap();
        assert!(last.contains(" drops.foreign="), "{last}");
        let warnings = process
            .seen
            .iter()
            .filter(|line| line.contains("not a paxcast datagram"))
            .count();
        assert!((1..=20).contains(&warnings), "{warnings} warnings");
    }
}

#[test]
fn another_configuration_is_named_and_not_heeded() {
    let cluster = Cluster::new("");
    let conf = cluster.variant("five.conf", &format!("{}acceptor_count 5\n", cluster.text));
    let mut proposer = cluster.start("proposer", 1, &[]);
    let mut other = Process::start("proposer", 2, &conf, &[]).ready();
    for (process, id) in [(&mut proposer, 2), (&mut other, 1)] {
        let line = process.wait_for("runs with another configuration");
        assert!(
            line.contains(&format!("proposer {id} at 127.0.0.1:")),
            "{line}"
        );
        assert!(line.contains("--check-config"), "{line}");
    }
    proposer.stop();
    let last = proposer.seen.last().unwrap();
    assert!(last.contains(" drops.config="), "{last}");
}

#[test]
fn two_processes_with_one_id_are_told_so() {
    let cluster = Cluster::new("");
    let mut one = cluster.start("proposer", 1, &[]);
    let mut two = cluster.start("proposer", 1, &[]);
    one.wait_for("another proposer 1 is running at 127.0.0.1:");
    two.wait_for("another proposer 1 is running at 127.0.0.1:");
    one.stop();
    two.stop();
}
