//! Stories: one thing goes wrong, on purpose, and all must end well.
//!
//! The observers of [`paxcast::sim::check`] watch every step of every story.

use std::time::Duration;

use paxcast::protocol::{AcceptorSet, Instance, Membership, Message, Role, Settings, Time};
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

fn other_proposer(cluster: &Cluster, than: usize) -> usize {
    cluster
        .nodes_of(Role::Proposer)
        .into_iter()
        .find(|&proposer| proposer != than)
        .expect("there are two")
}

#[test]
fn nothing_goes_wrong() {
    let mut cluster = cluster(options());
    submit(&mut cluster, 100);
    finish(&mut cluster, 2, 200);
}

#[test]
fn any_one_datagram_of_any_kind_may_be_lost() {
    let kinds = [
        "submit",
        "inquire",
        "acknowledge",
        "credit",
        "missing",
        "prepare",
        "promise",
        "nack",
        "accept",
        "accepted",
        "heartbeat",
        "alive",
        "following",
        "request",
        "votes",
        "listening",
    ];
    for kind in kinds {
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
fn two_acceptors_of_three_are_enough_and_one_is_not() {
    let mut cluster = cluster(options());
    let second = cluster.node(Role::Acceptor, 2);
    let third = cluster.node(Role::Acceptor, 3);
    cluster.crash(third).unwrap();
    submit(&mut cluster, 20);
    finish(&mut cluster, 3, 40);
    cluster.crash(second).unwrap();
    submit(&mut cluster, 20);
    pass(&mut cluster, Duration::from_secs(5));
    assert_eq!(cluster.checker().log().len(), 40, "no quorum, no progress");
    cluster.restart(second).unwrap();
    finish(&mut cluster, 5, 80);
}

#[test]
fn a_learner_that_comes_last_needs_no_traffic_and_no_proposer() {
    let mut options = options();
    options.durable = Some(2_000);
    let mut cluster = cluster(options);
    submit(&mut cluster, 200);
    finish(&mut cluster, 3, 400);
    pass(&mut cluster, Duration::from_secs(1));
    for role in [Role::Client, Role::Proposer] {
        for node in cluster.nodes_of(role) {
            cluster.crash(node).unwrap();
        }
    }
    cluster.add(Role::Learner, 3);
    finish(&mut cluster, 3, 400);
}

#[test]
fn a_vote_of_an_old_ballot_below_a_new_watermark_is_not_decided() {
    // Only the first acceptor hears what the old leader proposes last; the
    // others choose something else under a new one. Then the first is the only
    // one that a new learner hears.
    let mut cluster = cluster(options());
    submit(&mut cluster, 5);
    let old = wait_for_leader(&mut cluster);
    finish(&mut cluster, 3, 10);
    let old_id = cluster.nodes()[old].me.id;
    cluster.lose_when(move |passage| {
        let last_words = matches!(passage.message, Message::Accept { .. })
            && (passage.from.role, passage.from.id) == (Role::Proposer, old_id);
        last_words && (passage.to.role, passage.to.id) != (Role::Acceptor, 1)
    });
    let now = cluster.now();
    cluster.submit(1, now, "old");
    pass(&mut cluster, Duration::from_millis(20));
    cluster.crash(old).unwrap();
    let first = cluster.node(Role::Acceptor, 1);
    for node in 0..cluster.nodes().len() {
        cluster.network().cut(first, node);
        cluster.network().cut(node, first);
    }
    cluster.submit(2, now, "new");
    finish(&mut cluster, 5, 12);
    cluster.meddle_no_more();
    cluster.network().mend();
    cluster.add(Role::Learner, 3);
    let third = cluster.node(Role::Learner, 3);
    for id in [2, 3] {
        let acceptor = cluster.node(Role::Acceptor, id);
        cluster.network().cut(acceptor, third);
    }
    pass(&mut cluster, Duration::from_secs(3));
    cluster.network().mend();
    finish(&mut cluster, 5, 12);
}

#[test]
fn a_hole_below_the_watermark_is_repaired() {
    // Two acceptors choose; the third hears only the watermark. One of the two
    // dies for good, the leader too, and a new learner needs it all.
    let mut options = options();
    options.network.loss = 0.1;
    let mut cluster = cluster(options);
    cluster.lose_when(|passage| {
        let proposal = matches!(passage.message, Message::Accept { instance, .. }
            if instance.0 % 2 == 0);
        proposal && (passage.to.role, passage.to.id) == (Role::Acceptor, 3)
    });
    submit(&mut cluster, 100);
    let leader = wait_for_leader(&mut cluster);
    finish(&mut cluster, 10, 200);
    cluster.meddle_no_more();
    let first = cluster.node(Role::Acceptor, 1);
    cluster.crash(first).unwrap();
    cluster.crash(leader).unwrap();
    cluster.add(Role::Learner, 3);
    finish(&mut cluster, 20, 200);
}

#[test]
fn pages_of_a_promise_get_lost() {
    // Nobody hears votes, so that all is open when the leader dies; of the new
    // one's promises every second page is lost.
    let mut options = options();
    options.durable = Some(3_000);
    options.clients = 1;
    let mut cluster = cluster(options);
    let now = cluster.now();
    for number in 0..40u8 {
        cluster.submit(1, now, vec![number; 1_000]);
    }
    let leader = {
        assert!(until(&mut cluster, 5, |cluster| cluster.leader().is_some()));
        cluster.leader().expect("there is one")
    };
    cluster.lose_when(|passage| {
        matches!(passage.message, Message::Accepted { .. }) && passage.to.role != Role::Acceptor
    });
    pass(&mut cluster, Duration::from_millis(200));
    cluster.crash(leader).unwrap();
    cluster.meddle_no_more();
    let mut page = 0;
    cluster.lose_when(move |passage| {
        if !matches!(passage.message, Message::Promise { .. }) {
            return false;
        }
        page += 1;
        page % 2 == 0
    });
    finish(&mut cluster, 20, 40);
}

#[test]
fn a_new_leader_does_not_begin_a_session_in_the_middle() {
    let mut cluster = cluster(options());
    submit(&mut cluster, 60);
    for _ in 0..4 {
        let leader = wait_for_leader(&mut cluster);
        pass(&mut cluster, Duration::from_millis(15));
        cluster.crash(leader).unwrap();
        let others = until(&mut cluster, 5, |cluster| cluster.leader().is_some());
        assert!(others, "nobody else leads");
        cluster.restart(leader).unwrap();
    }
    finish(&mut cluster, 5, 120);
}

#[test]
fn a_deaf_proposer_does_not_depose_a_healthy_leader() {
    let mut cluster = cluster(options());
    submit(&mut cluster, 10);
    let leader = wait_for_leader(&mut cluster);
    let deaf = other_proposer(&cluster, leader);
    for node in 0..cluster.nodes().len() {
        cluster.network().cut(node, deaf);
    }
    for _ in 0..50 {
        pass(&mut cluster, Duration::from_millis(100));
        assert_eq!(cluster.leader(), Some(leader));
        submit(&mut cluster, 1);
    }
    finish(&mut cluster, 1, 120);
}

#[test]
fn a_leader_that_cannot_hear_makes_way() {
    let mut cluster = cluster(options());
    submit(&mut cluster, 10);
    let leader = wait_for_leader(&mut cluster);
    finish(&mut cluster, 2, 20);
    for node in 0..cluster.nodes().len() {
        cluster.network().cut(node, leader);
    }
    submit(&mut cluster, 10);
    finish(&mut cluster, 4, 40);
    assert_ne!(cluster.leader(), Some(leader));
}

#[test]
fn slow_disks_make_it_slow_and_nothing_else() {
    // Half a second a sync, in which an acceptor answers nobody: longer than
    // anybody's patience with a leader, and no reason to lose one.
    let mut options = options();
    let slow = Duration::from_millis(500);
    (options.sync, options.sync_blocks, options.turn) = ((slow, slow), true, (256, 256));
    let mut cluster = cluster(options);
    submit(&mut cluster, 5_000);
    finish(&mut cluster, 30, 10_000);
}

#[test]
fn a_leader_that_cannot_be_heard_makes_way() {
    let mut cluster = cluster(options());
    submit(&mut cluster, 10);
    let leader = wait_for_leader(&mut cluster);
    finish(&mut cluster, 2, 20);
    for node in 0..cluster.nodes().len() {
        cluster.network().cut(leader, node);
    }
    submit(&mut cluster, 10);
    finish(&mut cluster, 4, 40);
}

#[test]
fn a_large_value_passes_a_window_of_one() {
    let mut options = options();
    options.settings.window = 1;
    let mut cluster = cluster(options);
    submit(&mut cluster, 10);
    let large: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
    let now = cluster.now();
    cluster.submit(1, now, large);
    cluster.submit(1, now, "behind it");
    finish(&mut cluster, 10, 22);
}

#[test]
fn a_client_that_dies_inside_a_large_value_holds_nobody_up() {
    let mut cluster = cluster(options());
    let now = cluster.now();
    cluster.submit(1, now, vec![b'x'; 1 << 20]);
    assert!(until(&mut cluster, 5, |cluster| {
        cluster.checker().chosen_through() > Instance(50)
    }));
    let client = cluster.node(Role::Client, 1);
    cluster.crash(client).unwrap();
    let now = cluster.now();
    for number in 0..20 {
        cluster.submit(2, now, format!("{number}"));
    }
    finish(&mut cluster, 3, 20);
}

#[test]
fn a_stalled_reader_stalls_only_itself() {
    let mut cluster = cluster(options());
    let stalled = cluster.node(Role::Learner, 1);
    cluster.set_open(stalled, false).unwrap();
    submit(&mut cluster, 100);
    let learner = cluster.node(Role::Learner, 2);
    let others = until(&mut cluster, 3, |cluster| cluster.delivered(learner) == 200);
    assert!(others, "the other learner waits for the stalled one");
    assert_eq!(cluster.delivered(stalled), 0);
    let clients = cluster.nodes_of(Role::Client);
    assert!(until(&mut cluster, 3, |cluster| {
        clients.iter().all(|&client| cluster.is_done(client))
    }));
    cluster.set_open(stalled, true).unwrap();
    finish(&mut cluster, 3, 200);
}

#[test]
fn volatile_acceptors_do_without_one_of_three() {
    let mut options = options();
    options.durable = None;
    let mut cluster = cluster(options);
    submit(&mut cluster, 50);
    wait_for_leader(&mut cluster);
    let third = cluster.node(Role::Acceptor, 3);
    cluster.crash(third).unwrap();
    finish(&mut cluster, 3, 100);
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
