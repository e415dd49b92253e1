//! Stories told once for each datagram, moment or role there is: one thing goes
//! wrong, on purpose, and all must end well. Single stories are scenarios, in
//! `docs/scenarios/`.
//!
//! The observers of [`paxcast::sim::check`] watch every step of every story.

use std::time::Duration;

use paxcast::protocol::{AcceptorSet, Membership, Message, Role, Settings, Time};
use paxcast::sim::{Cluster, ClusterOptions};

/// Three acceptors, small datagrams.
fn options() -> ClusterOptions {
    let mut settings = Settings::new(Membership::majority(AcceptorSet::first(3)));
    settings.datagram = 1_472;
    ClusterOptions {
        proposers: 2,
        learners: 2,
        clients: 2,
        ..ClusterOptions::quiet(settings)
    }
}

fn cluster(options: ClusterOptions) -> Cluster {
    Cluster::new(7, options, false)
}

/// Every client submits so many values, one each millisecond.
fn submit(cluster: &mut Cluster, values: u64) {
    let clients = cluster.nodes_of(Role::Client).len() as u16;
    for number in 0..values {
        for client in 1..=clients {
            let at = cluster.now() + Duration::from_millis(number);
            cluster.submit(client, at, format!("c{client}-{number}"));
        }
    }
}

/// Lets time pass until something holds.
fn until(cluster: &mut Cluster, seconds: u64, holds: impl FnMut(&Cluster) -> bool) -> bool {
    let deadline = cluster.now() + Duration::from_secs(seconds);
    cluster.run(deadline, holds).unwrap()
}

fn pass(cluster: &mut Cluster, time: Duration) {
    let deadline = cluster.now() + time;
    cluster.run(deadline, |_| false).unwrap();
}

/// All must be done by then, with so many values in the log.
fn finish(cluster: &mut Cluster, seconds: u64, values: usize) {
    let log = |cluster: &Cluster| cluster.checker().log().len();
    let done = until(cluster, seconds, |cluster| {
        log(cluster) >= values && cluster.is_complete()
    });
    assert!(
        done && log(cluster) == values,
        "{} of {values} values; not done: {:?}\n{}\n{}",
        log(cluster),
        cluster.unfinished(),
        cluster.trace().last_lines().join("\n"),
        cluster.summary().join("\n")
    );
}

/// Waits for a leader that has decided something.
fn wait_for_leader(cluster: &mut Cluster) -> usize {
    assert!(until(cluster, 5, |cluster| {
        cluster.leader().is_some() && !cluster.checker().log().is_empty()
    }));
    cluster.leader().expect("there is one")
}

#[test]
fn any_one_datagram_of_any_kind_may_be_lost() {
    for kind in Message::NAMES {
        for nth in 1..=8 {
            let mut cluster = cluster(options());
            cluster.lose_nth(nth, move |passage| passage.message.name() == kind);
            submit(&mut cluster, 10);
            finish(&mut cluster, 3, 20);
        }
    }
}

#[test]
fn any_one_process_may_die_at_any_moment() {
    let count = cluster(options()).nodes().len();
    for victim in 0..count {
        for moment in (0..1_400).step_by(37) {
            let mut cluster = cluster(options());
            submit(&mut cluster, 10);
            for _ in 0..moment {
                cluster.step().unwrap();
            }
            cluster.crash(victim).unwrap();
            pass(&mut cluster, Duration::from_millis(30));
            let died = cluster.nodes()[victim].me;
            if died.role == Role::Client {
                // What is delivered of it is a prefix; the observers see to that.
                let done = until(&mut cluster, 3, Cluster::is_complete);
                assert!(done, "{:?}", cluster.unfinished());
                assert!(cluster.checker().log().len() >= 10);
            } else {
                cluster.restart(victim).unwrap();
                finish(&mut cluster, 5, 20);
            }
        }
    }
}

#[test]
fn a_process_that_was_stopped_goes_on_where_it_was() {
    for role in [Role::Proposer, Role::Acceptor, Role::Learner, Role::Client] {
        let mut cluster = cluster(options());
        submit(&mut cluster, 50);
        let leader = wait_for_leader(&mut cluster);
        let stopped = match role {
            Role::Proposer => leader,
            _ => cluster.node(role, 1),
        };
        cluster.pause(stopped);
        pass(&mut cluster, Duration::from_secs(10));
        cluster.resume(stopped).unwrap();
        finish(&mut cluster, 5, 100);
    }
}

#[test]
fn the_time_of_the_story_is_virtual() {
    let mut cluster = cluster(options());
    let day = Time::ZERO + Duration::from_secs(600);
    cluster.run(day, |_| false).unwrap();
    assert_eq!(cluster.now(), day);
}
