//! Model checking: every state that the shipped roles can get into, within bounds.
//!
//! A simulator draws a path through what may happen; a model checker walks them all.
//! Here [stateright](https://docs.rs/stateright) walks a cluster of the shipped
//! [`Acceptor`](paxcast::protocol::Acceptor), [`Proposer`](paxcast::protocol::Proposer)
//! and [`Learner`](paxcast::protocol::Learner): two proposers, three acceptors, a
//! learner. The roles are asked nothing but what to do; whether that was right is
//! decided by an [`observer`] who counts what acceptors made durable and what was said.
//!
//! What may happen: any message that was ever sent is heard by any of those it is
//! for, at any time, any number of times or never, so loss, duplication, delay and
//! reordering are all in it; a proposer's timers strike; a process is killed, loses
//! what was not synced and starts again. What bounds it stands in [`bounds`], is
//! printed with every count, and is discussed in `docs/model.md`. Within the bounds an
//! exploration ends only when no unseen state is left.
//!
//! Three things keep the number of states down without leaving a behaviour out.
//! Messages that can do nothing any more to whom they are for are taken off the
//! network ([`process::Process::is_spent`]). A learner speaks to nobody that listens,
//! so what it hears it may as well hear last: it begins when the others can add
//! nothing to the network. And an acceptor that is never killed hears, syncs and sends
//! in one step: whoever watches it sees only when its messages arrive, and that is free.
//!
//! Time stands still but for a process whose timers strike, so no state differs from
//! another by a clock or by the chance in a back-off.

mod bounds;
mod catalogue;
mod cluster;
mod network;
mod observer;
mod paper;
mod process;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use bounds::Bounds;
use cluster::Cluster;
use paper::{Broken, Paper};

/// Explores everything within these bounds and demands that nothing is wrong, that
/// everything worth seeing was seen, and that there were at least so many states.
fn exhaust(what: &str, bounds: Bounds, least: usize) {
    let began = Instant::now();
    let cluster = Cluster::new(bounds.clone());
    let checker = cluster.checker().spawn_bfs().join();
    let states = checker.unique_state_count();
    let (processes, messages) = checker.model().occurred();
    println!(
        "{what}: {states} states, {} transitions, depth {}; {processes} different processes, \
         {messages} messages; {:.1?}\n  {bounds}",
        checker.state_count(),
        checker.max_depth(),
        began.elapsed()
    );
    for property in checker.model().properties() {
        let found = checker.discovery(property.name);
        if property.expectation.discovery_is_failure() {
            if let Some(path) = found {
                let cluster = checker.model();
                panic!("{what}: {}", cluster.story(path.into_vec()));
            }
        } else {
            assert!(found.is_some(), "{what}: never: {}", property.name);
        }
    }
    assert!(states >= least, "{what}: {states} states, not {least}");
}

/// Two instances, two leaders, promises in pages, and one acceptor that is killed.
/// Which one does not matter: the roles make no difference between acceptors.
#[test]
fn an_acceptor_is_killed() {
    let bounds = Bounds {
        acceptor_crashes: [1, 0, 0],
        paged: true,
        ..Bounds::TWO
    };
    exhaust("an acceptor is killed", bounds, 1_000_000);
}

/// An acceptor that hears, syncs and sends in separate steps, many messages a turn
/// or one, and is killed in between.
#[test]
fn an_acceptor_is_killed_before_it_syncs() {
    let bounds = Bounds {
        acceptor_crashes: [1, 0, 0],
        synced_apart: [true, false, false],
        ..Bounds::ONE
    };
    exhaust("an acceptor is killed before it syncs", bounds, 100_000);
}

/// A leader has two instances open, so that there are holes to fill.
#[test]
fn two_instances_are_open() {
    let bounds = Bounds {
        values: [2, 0],
        learner: false,
        ..Bounds::TWO
    };
    exhaust("two instances are open", bounds, 1_000_000);
}

#[test]
fn both_proposers_are_killed() {
    let bounds = Bounds {
        proposer_crashes: [1, 1],
        ..Bounds::ONE
    };
    exhaust("both proposers are killed", bounds, 200_000);
}

#[test]
fn a_learner_asks() {
    let bounds = Bounds {
        requests: true,
        ..Bounds::ONE
    };
    exhaust("a learner asks", bounds, 400_000);
}

#[test]
#[ignore = "minutes: tests/campaigns/model.sh"]
fn large_two_acceptors_are_killed() {
    let bounds = Bounds {
        acceptor_crashes: [1, 1, 0],
        paged: true,
        ..Bounds::TWO
    };
    exhaust("two acceptors are killed", bounds, 4_000_000);
}

/// Each acceptor may be killed once.
#[test]
#[ignore = "many minutes: tests/campaigns/model.sh"]
fn large_all_acceptors_are_killed() {
    let bounds = Bounds {
        acceptor_crashes: [1, 1, 1],
        paged: true,
        ..Bounds::TWO
    };
    exhaust("all acceptors are killed", bounds, 10_000_000);
}

#[test]
#[ignore = "minutes: tests/campaigns/model.sh"]
fn large_acceptors_refuse_aloud() {
    let bounds = Bounds {
        refusals: true,
        ..Bounds::TWO
    };
    exhaust("acceptors refuse aloud", bounds, 300_000);
}

#[test]
#[ignore = "minutes: tests/campaigns/model.sh"]
fn large_three_ballots() {
    let bounds = Bounds {
        timeouts: [2, 1],
        deaf: true,
        ..Bounds::ONE
    };
    exhaust("three ballots", bounds, 800_000);
}

/// The protocol on paper, without a broken rule.
fn exhaust_on_paper(ballots: u8, instances: u8, paged: bool, crashes: u8, least: usize) {
    let paper = Paper {
        ballots,
        instances,
        paged,
        crashes,
        broken: None,
    };
    let began = Instant::now();
    println!("{paper:?}");
    let checker = paper.checker().spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("  {states} states; {:.1?}", began.elapsed());
    checker.assert_properties();
    assert!(states >= least, "{states} states, not {least}");
}

#[test]
fn on_paper_nothing_is_wrong() {
    exhaust_on_paper(2, 1, false, 1, 13_000);
}

#[test]
#[ignore = "minutes: tests/campaigns/model.sh"]
fn large_on_paper() {
    exhaust_on_paper(3, 1, false, 0, 300_000);
    exhaust_on_paper(2, 2, true, 0, 1_000_000);
}

/// Every rule matters: without it learners disagree.
#[test]
fn on_paper_every_broken_rule_does_harm() {
    for broken in Broken::ALL {
        let (ballots, instances, paged, crashes) = match broken {
            Broken::LowestVote | Broken::RepairFromOne => (3, 1, false, 0),
            Broken::FirstPageIsAll => (2, 2, true, 0),
            _ => (2, 1, false, 1),
        };
        let paper = Paper {
            ballots,
            instances,
            paged,
            crashes,
            broken: Some(broken),
        };
        let checker = paper
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let states = checker.unique_state_count();
        let path = checker
            .discovery("learners agree")
            .unwrap_or_else(|| panic!("{broken:?} does no harm in {states} states"));
        let steps = path.into_actions().len();
        println!("{broken:?}: harm after {steps} steps, {states} states");
    }
}

/// The checks see what they are there to see: each of these rules, broken in the
/// shipped code, makes acceptors choose two values or the learner deliver a false one.
#[cfg(debug_assertions)]
#[test]
fn broken_rules_are_noticed() {
    use paxcast::protocol::mutant::Mutant;
    let killed = Bounds {
        acceptor_crashes: [1, 0, 0],
        ..Bounds::ONE
    };
    // Three ballots, for what is wrong only when votes of two others are there.
    let thrice = Bounds {
        timeouts: [2, 1],
        deaf: true,
        ..Bounds::ONE
    };
    // A heartbeat that tells a watermark.
    let announced = Bounds {
        timeouts: [1, 2],
        ..Bounds::ONE
    };
    let pages = Bounds {
        values: [2, 1],
        paged: true,
        learner: false,
        ..Bounds::TWO
    };
    for (mutant, bounds) in [
        (Mutant::VoteBelowPromise, Bounds::ONE),
        (Mutant::VoteWithoutPromise, thrice.clone()),
        (Mutant::PromiseNotRecorded, killed),
        (Mutant::SmallQuorum, Bounds::ONE),
        (Mutant::LowestVote, thrice),
        (Mutant::VotesAcrossBallots, Bounds::ONE),
        (Mutant::AnyProposalDecided, Bounds::ONE),
        (Mutant::AnyBallotWatermark, announced),
        (Mutant::FirstPageIsAll, pages),
    ] {
        let bounds = Bounds {
            mutant: Some(mutant),
            ..bounds
        };
        let checker = Cluster::new(bounds)
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let states = checker.unique_state_count();
        let path = checker
            .discovery("nothing is wrong")
            .unwrap_or_else(|| panic!("{mutant} is not noticed in {states} states"));
        let steps = path.into_actions().len();
        println!("{mutant}: noticed after {steps} steps, {states} states");
    }
}
