//! A run's history tells all of it, and changes nothing of it.

use std::collections::BTreeMap;
use std::time::Duration;

use paxcast::protocol::{AcceptorSet, Membership, Role, Settings};
use paxcast::sim::history::{Event, History, Limits};
use paxcast::sim::{Cluster, ClusterOptions};

/// A cluster in which datagrams get lost, doubled, damaged and held up.
fn rough(seed: u64, keep: bool) -> Cluster {
    let settings = Settings::new(Membership::majority(AcceptorSet::first(3)));
    let mut options = ClusterOptions {
        proposers: 2,
        learners: 2,
        clients: 2,
        buffer: 40_000,
        ..ClusterOptions::quiet(settings)
    };
    options.network.loss = 0.1;
    options.network.duplication = 0.2;
    options.network.corruption = 0.05;
    let mut cluster = Cluster::new(seed, options, false);
    if keep {
        cluster.keep_history(Limits::default());
    }
    cluster
}

/// Values, a crash of the leader, an acceptor that is stopped and one that is
/// cut off, and the end of it.
fn trouble(cluster: &mut Cluster) {
    let pass = |cluster: &mut Cluster, milliseconds| {
        let deadline = cluster.now() + Duration::from_millis(milliseconds);
        cluster.run(deadline, |_| false).unwrap();
    };
    for number in 0..20 {
        let at = cluster.now() + Duration::from_millis(20 * number);
        for client in 1..=2 {
            cluster.submit(client, at, format!("c{client}-{number}"));
        }
    }
    let first = cluster.node(Role::Acceptor, 1);
    let second = cluster.node(Role::Acceptor, 2);
    let learner = cluster.node(Role::Learner, 1);
    pass(cluster, 300);
    cluster.pause(first);
    pass(cluster, 50);
    cluster.resume(first).unwrap();
    cluster.network().cut(second, learner);
    pass(cluster, 50);
    cluster.network().mend();
    cluster.crash(second).unwrap();
    let leader = cluster.leader().expect("somebody leads by now");
    cluster.crash(leader).unwrap();
    // Said to all proposers, and so to one that is no more.
    for client in 1..=2 {
        let now = cluster.now();
        cluster.submit(client, now, "into the void");
    }
    pass(cluster, 100);
    cluster.restart(second).unwrap();
    cluster.restart(leader).unwrap();
    pass(cluster, 5_000);
    assert!(cluster.is_complete(), "{:?}", cluster.unfinished());
}

#[test]
fn to_keep_a_history_changes_nothing() {
    for seed in 1..=5 {
        let [with, without] = [true, false].map(|keep| {
            let mut cluster = rough(seed, keep);
            trouble(&mut cluster);
            assert_eq!(cluster.history().is_some(), keep);
            (cluster.trace().digest(), cluster.steps())
        });
        assert_eq!(with, without, "seed {seed}");
    }
}

#[test]
fn every_parcel_can_be_followed_from_its_sender_to_its_end() {
    for seed in 1..=8 {
        let mut cluster = rough(seed, true);
        trouble(&mut cluster);
        follow(cluster.history().expect("one is kept"));
    }
}

/// Follows every parcel of a history.
fn follow(history: &History) {
    assert_eq!(history.shortfall(), None);
    let mut datagrams = 0;
    let mut parcels: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let mut last = history.entries().next().expect("something happened").at;
    for entry in history.entries() {
        assert!(last <= entry.at, "time runs forwards");
        last = entry.at;
        let (parcel, step, at_sender) = match &entry.event {
            Event::Sent(sent) => {
                assert_eq!(sent.number, datagrams, "datagrams are numbered");
                assert_eq!(entry.host, Some(sent.from));
                assert_eq!(entry.at, sent.at);
                datagrams += 1;
                continue;
            }
            Event::Left(parcel) => (parcel, "left", true),
            Event::Lost(parcel, _) => (parcel, "lost", false),
            Event::Arrived(parcel) => (parcel, "arrived", false),
            Event::Overflowed(parcel) => (parcel, "overflowed", false),
            Event::Missed(parcel) => (parcel, "missed", false),
            Event::Heard(parcel, None) => (parcel, "heard", false),
            Event::Heard(parcel, Some(_)) => (parcel, "unreadable", false),
            other => {
                let name = match other {
                    Event::Started => "started",
                    Event::Died => "died",
                    Event::Recovered { .. } => "recovered",
                    Event::Paused => "paused",
                    Event::Resumed => "resumed",
                    Event::Wrote(_) => "wrote",
                    Event::Synced(_) => "synced",
                    Event::Submitted(_) => "submitted",
                    Event::Delivered(..) => "delivered",
                    Event::Acknowledged(_) => "acknowledged",
                    Event::Elected(_) => "elected",
                    Event::Cut(_) => "cut",
                    Event::Mended(_) => "mended",
                    Event::Note(_) => "note",
                    _ => "rare",
                };
                *seen.entry(name).or_default() += 1;
                continue;
            }
        };
        *seen.entry(step).or_default() += 1;
        if parcel.again {
            *seen.entry("again").or_default() += 1;
        }
        let expected = if at_sender {
            parcel.sent.from
        } else {
            parcel.to
        };
        assert_eq!(entry.host, Some(expected), "{step}");
        assert!(parcel.sent.number < datagrams, "it was sent before");
        assert!(history.read(&parcel.sent).is_ok(), "what is sent is whole");
        parcels.entry(parcel.number).or_default().push(step);
    }
    for (number, steps) in parcels {
        let fine = matches!(
            steps[..],
            ["left"]
                | ["left", "lost" | "arrived" | "overflowed" | "missed"]
                | ["left", "arrived", "heard" | "unreadable"]
        );
        assert!(fine, "parcel {number}: {steps:?}");
    }
    for event in [
        "left",
        "lost",
        "arrived",
        "missed",
        "heard",
        "unreadable",
        "again",
        "started",
        "died",
        "recovered",
        "paused",
        "resumed",
        "wrote",
        "synced",
        "submitted",
        "delivered",
        "acknowledged",
        "elected",
        "cut",
        "mended",
        "note",
    ] {
        assert!(seen.contains_key(event), "{event} is missing: {seen:?}");
    }
    let submitted = seen["submitted"];
    assert_eq!(submitted, 42);
    assert_eq!(seen["delivered"], 2 * submitted, "each learner, each value");
}
