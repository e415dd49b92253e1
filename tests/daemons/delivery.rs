//! Values go in at clients and come out at learners.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::process::{PATIENCE, Process};

fn values(client: u16, count: usize) -> Vec<u8> {
    (1..=count)
        .flat_map(|n| format!("{client}-{n}\n").into_bytes())
        .collect()
}

/// Whether the lines of `part` stand in `whole` in their order.
fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.split(|b| *b == b'\n');
    part.split(|b| *b == b'\n')
        .all(|line| rest.any(|other| other == line))
}

#[test]
fn two_clients_two_learners_one_order_and_a_clean_end() {
    let mut cluster = Cluster::new("").with(3, 2, &[]);
    let mut outputs = Vec::new();
    for id in 1..=2 {
        let mut learner = cluster.start("learner", id, &[]);
        outputs.push(learner.lines(2000));
        cluster.processes.push(learner);
    }
    let mut clients = Vec::new();
    for id in 1..=2 {
        let mut client = cluster.start("client", id, &["--deadline", "60"]);
        client.stdin().write_all(&values(id, 1000)).unwrap();
        clients.push(client);
    }
    for client in clients {
        let (status, errors) = client.outcome();
        assert_eq!(status, Some(0), "{errors}");
        assert!(errors.contains("summary client="), "{errors}");
        assert!(errors.contains(" values=1000 "), "{errors}");
    }
    let outputs: Vec<Vec<u8>> = outputs.into_iter().map(|lines| lines.bytes()).collect();
    assert_eq!(outputs[0], outputs[1]);
    let lines: BTreeSet<&[u8]> = outputs[0].split(|b| *b == b'\n').collect();
    assert_eq!(lines.len(), 2001, "2000 different lines and the end");
    for id in 1..=2 {
        assert!(is_subsequence(&values(id, 1000), &outputs[0]));
    }
    cluster.stop();
    for process in &cluster.processes {
        let last = process.seen.last().unwrap();
        assert!(last.starts_with("statistics role="), "{last}");
        assert!(last.contains(" kernel_drops="), "{last}");
    }
}

/// Each submits for two seconds, which is about as long as it takes to start them all.
#[test]
fn five_hundred_clients_are_all_served() {
    let mut cluster = Cluster::new("").with(3, 2, &[]);
    let mut outputs = Vec::new();
    for id in 1..=2 {
        let mut learner = cluster.start("learner", id, &[]);
        outputs.push(learner.lines(100_000));
        cluster.processes.push(learner);
    }
    let load = ["--count", "200", "--size", "64", "--rate", "100"];
    let load = [&load[..], &["--deadline", "60"]].concat();
    let clients: Vec<Process> = (1..=500)
        .map(|id| {
            let mut client = Process::start("client", id, &cluster.conf, &load);
            // Three pipes for each are more files than many a shell allows.
            drop((client.stdin(), client.stdout()));
            client
        })
        .collect();
    for client in clients {
        let (status, errors) = client.outcome();
        assert_eq!(status, Some(0), "{errors}");
        assert!(errors.contains(" values=200 "), "{errors}");
    }
    let outputs: Vec<Vec<u8>> = outputs.into_iter().map(|lines| lines.bytes()).collect();
    assert!(outputs[0] == outputs[1], "two learners, two orders");
    let lines: BTreeSet<&[u8]> = outputs[0].split(|b| *b == b'\n').collect();
    assert_eq!(lines.len(), 100_001, "so many different lines and the end");
    cluster.stop();
}

#[test]
fn everything_arrives_through_loss_duplication_and_delay() {
    let faults = ["--faults", "drop=0.2,dup=0.1,delay=0..3ms,seed=11"];
    let cluster = Cluster::new("").with(3, 2, &faults);
    let mut learner = cluster.start("learner", 1, &faults);
    let output = learner.lines(500);
    let mut client = cluster.start("client", 1, &["--faults", faults[1], "--deadline", "60"]);
    client.stdin().write_all(&values(1, 500)).unwrap();
    let (status, errors) = client.outcome();
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(output.bytes(), values(1, 500));
    learner.stop();
    let last = learner.seen.last().unwrap();
    assert!(last.contains(" drops.fault="), "{last}");
}

#[test]
fn a_learner_behind_what_volatile_acceptors_remember_says_so() {
    let mut cluster = Cluster::new("history 1MiB").with(3, 1, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let output = learner.lines(310);
    cluster.processes.push(learner);
    let load = ["--count", "300", "--size", "20000", "--deadline", "60"];
    let (status, errors) = cluster.start("client", 1, &load).outcome();
    assert_eq!(status, Some(0), "{errors}");
    let (status, errors) = cluster.start("learner", 2, &[]).outcome();
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("have forgotten it"), "{errors}");
    assert!(errors.contains("through position 0"), "{errors}");
    // Whoever was there all the time goes on.
    let load = ["--count", "10", "--deadline", "60"];
    let (status, errors) = cluster.start("client", 2, &load).outcome();
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(output.bytes().split(|byte| *byte == b'\n').count(), 311);
    cluster.stop();
    let held = cluster.processes[0].seen.last().unwrap();
    let held = held.split(" votes_in_memory=").nth(1).unwrap();
    let held: u64 = held.split(' ').next().unwrap().parse().unwrap();
    assert!((1..=60).contains(&held), "{held} votes in memory");
}

#[test]
fn generated_values_are_paced_and_counted() {
    let cluster = Cluster::new("").with(3, 1, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let output = learner.lines(20);
    let options = ["--count", "20", "--size", "50", "--rate", "100"];
    let options = [&options[..], &["--faults", "delay=30ms"]].concat();
    let (status, errors) = cluster.start("client", 4, &options).outcome();
    assert_eq!(status, Some(0), "{errors}");
    let text = output.bytes();
    assert_eq!(text.len(), 20 * 51);
    assert!(text.starts_with(b"client-4-value-000000001..."));
    let summary = errors
        .lines()
        .find(|line| line.starts_with("summary "))
        .unwrap();
    let figure = |key: &str| -> f64 {
        let value = summary.split(key).nth(1).unwrap();
        value.split(' ').next().unwrap().parse().unwrap()
    };
    assert!(figure(" seconds=") >= 0.19, "20 at 100 a second: {summary}");
    // Acknowledgements reach this client 30 ms late.
    assert!(figure(" p50_ms=") >= 30.0, "{summary}");
    assert!(figure(" p99_ms=") >= figure(" p50_ms="), "{summary}");
}

#[test]
fn a_closed_loop_keeps_to_its_bound_and_writes_how_long_all_took() {
    let mut cluster = Cluster::new("").with(3, 1, &[]);
    cluster.processes.push(cluster.start("learner", 1, &["-q"]));
    let file = cluster.directory.path().join("latencies.json");
    let path = file.to_str().unwrap();
    let options = [
        "--seconds",
        "0.3",
        "--outstanding",
        "1",
        "--latencies",
        path,
    ];
    // Each value takes 20 ms and more, so in 300 ms there is time for 15 of them.
    let options = [&options[..], &["--faults", "delay=20ms"]].concat();
    let (status, errors) = cluster.start("client", 1, &options).outcome();
    assert_eq!(status, Some(0), "{errors}");
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["unit"], "ns");
    let count = written["count"].as_u64().unwrap();
    assert!((1..=16).contains(&count), "{errors}");
    assert!(errors.contains(&format!(" values={count} ")), "{errors}");
    let buckets = written["buckets"].as_array().unwrap();
    let of = |bucket: &serde_json::Value, part: usize| bucket[part].as_u64().unwrap();
    assert_eq!(
        buckets.iter().map(|bucket| of(bucket, 1)).sum::<u64>(),
        count
    );
    assert!(buckets.iter().all(|bucket| of(bucket, 0) >= 20_000_000));
}

#[test]
fn a_late_learner_prints_positions_behind_the_one_asked_for() {
    let cluster = Cluster::new("").with(3, 1, &[]);
    let first = cluster.start("learner", 1, &[]);
    let mut client = cluster.start("client", 1, &["--deadline", "60"]);
    client.stdin().write_all(b"a\nb\nc\n\nc\n").unwrap();
    assert_eq!(client.outcome().0, Some(0));
    drop(first);
    let mut late = cluster.start("learner", 2, &["--positions", "--after", "2"]);
    assert_eq!(late.lines(3).bytes(), b"3 c\n4 \n5 c\n");
    late.stop();
}

#[test]
fn sigusr1_asks_for_statistics_and_ends_nothing() {
    let cluster = Cluster::new("").with(3, 1, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    for _ in 0..2 {
        learner.signal(Signal::SIGUSR1);
        let line = learner.wait_for("statistics ");
        assert!(
            line.starts_with("statistics role=learner id=1 seconds="),
            "{line}"
        );
    }
    learner.signal(Signal::SIGINT);
    assert_eq!(learner.outcome().0, Some(0));
}

#[test]
fn two_clusters_on_the_same_groups_do_not_meet() {
    let here = Cluster::new("").with(3, 1, &[]);
    let name = here
        .text
        .lines()
        .find(|line| line.starts_with("cluster"))
        .unwrap();
    let mut there = Cluster::new("");
    there.text = here.text.replace(name, "cluster another");
    there.conf = there.variant("other.conf", &there.text);
    let there = there.with(3, 1, &[]);
    let mut sides = Vec::new();
    for (id, cluster) in [(1, &here), (2, &there)] {
        let mut learner = cluster.start("learner", 1, &[]);
        let output = learner.lines(300);
        let mut client = cluster.start("client", 1, &["--deadline", "60"]);
        client.stdin().write_all(&values(id, 300)).unwrap();
        sides.push((id, learner, output, client));
    }
    for (id, mut learner, output, client) in sides {
        assert_eq!(client.outcome().0, Some(0));
        assert_eq!(output.bytes(), values(id, 300));
        // All may be over before the first heartbeat of the other cluster.
        let deadline = Instant::now() + PATIENCE;
        let mut line = String::new();
        while !line.contains(" drops.cluster=") {
            assert!(Instant::now() < deadline, "{line}");
            learner.signal(Signal::SIGUSR1);
            line = learner.wait_for("statistics ");
        }
        assert!(line.contains(" values=300 "), "{line}");
        learner.stop();
    }
}
