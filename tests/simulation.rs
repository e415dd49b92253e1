//! Whole clusters through random faults: many seeds, each of which can be replayed.
//!
//! ```text
//! cargo run --bin paxcast -- sim --verbose --seed 1234
//! PAXCAST_SEEDS=5000..6000 cargo test --release --test simulation many_seeds
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use paxcast::sim::campaign::Campaign;
use paxcast::sim::terms::Terms;
use paxcast::sim::users::Kind;
use paxcast::sim::{self, Plan};

/// Seeds that a plain test run tries.
const SEEDS: Range<u64> = 1..3_001;

/// Every fault that the simulator has. One that never strikes is not tested.
const FAULTS: [&str; 79] = [
    "absurd ballots",
    "another cluster",
    "another configuration",
    "another store",
    "another version",
    "bit rot",
    "brought an old vote back",
    "buffer overflow",
    "client evicted",
    "clock leap",
    "clog",
    "corruption",
    "disk full",
    "duplication",
    "failed sync",
    "garbage",
    "hid the last vote",
    "kill",
    "late learner",
    "late learner and nobody else",
    "left a candidate one acceptor",
    "left cut off",
    "left dead",
    "left deaf",
    "left mute",
    "let a leader confide in one acceptor",
    "lookup",
    "loss",
    "loss by size",
    "lost file",
    "lost write",
    "malformed datagrams",
    "misdirected write",
    "old datagrams again",
    "minutes of trouble",
    "partition",
    "partition made",
    "pause",
    "power failure",
    "prepare from below a trim",
    "refused start",
    "rejected datagram",
    "repair of what is trimmed",
    "request of what is trimmed",
    "restart",
    "restarted a leader within a moment",
    "segments deleted",
    "session refused",
    "session renewed",
    "silenced the one who knows",
    "stalled reader",
    "struck a candidate",
    "struck a learner one vote short",
    "struck a new leader",
    "struck an acknowledgement",
    "struck an old leader",
    "struck during a trim",
    "struck before a promise was synced",
    "struck before a trim was synced",
    "struck before a vote was synced",
    "struck inside a batch of records",
    "learner behind a trim",
    "learner behind what is remembered",
    "struck between pages of a promise",
    "struck the last voter",
    "trim",
    "two with one id",
    "unsynced records lost",
    "wiped disk",
    "checkpoint begun",
    "checkpoint from another replica",
    "kept ignorant",
    "replica behind what is remembered",
    "replica's disk wiped",
    "start from a checkpoint",
    "chat line said again",
    "chat session taken up again",
    "chat that does not remember all",
    "missed lines of a chat",
];

/// Runs every seed of a range, on all processors, and gives what struck.
fn run(seeds: Range<u64>) -> BTreeMap<String, u64> {
    let (tally, failed) = Campaign::new(seeds).run(|_| {});
    for violation in failed.iter().skip(1) {
        let kind = violation.kind.name();
        eprintln!("seed {}: {kind}: {}", violation.seed, violation.what);
    }
    if let Some(first) = failed.first() {
        panic!("{} seeds failed; the first:\n{first}", failed.len());
    }
    println!("{}; {} of them run twice", tally.line(), tally.twice);
    tally.struck
}

#[test]
fn many_seeds() {
    let seeds = std::env::var("PAXCAST_SEEDS").map_or(SEEDS, |range| {
        let (from, to) = range.split_once("..").expect("PAXCAST_SEEDS=FROM..TO");
        from.parse().expect("a number")..to.parse().expect("a number")
    });
    let whole = seeds.end - seeds.start >= SEEDS.end - SEEDS.start;
    let struck = run(seeds);
    for (fault, times) in &struck {
        println!("{times:>9} {fault}");
    }
    for fault in FAULTS {
        let times = struck.get(fault).copied().unwrap_or(0);
        assert!(!whole || times > 0, "{fault}: it never struck");
    }
}

/// Chats in which a user's second line came about without the first, for the first was
/// lost with the replica's session; and one in which only a second process with the id of
/// a gateway was left.
#[test]
fn chats_that_went_wrong_go_well() {
    let terms = Terms {
        service: Some(Kind::Chat),
        ..Terms::default()
    };
    for seed in [103, 244, 3_714] {
        let outcome = sim::run_plan(seed, &Plan::with(seed, &terms), false);
        assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

#[test]
fn a_seed_replays_everything() {
    for seed in 1..=20 {
        let first = sim::run(seed, false).expect("a good seed");
        let second = sim::run(seed, false).expect("a good seed");
        assert_eq!(first, second, "seed {seed} took another course");
    }
}
