//! Whole clusters through random faults: many seeds, each of which can be replayed.
//!
//! ```text
//! PAXCAST_SEED=1234 cargo test --test simulation one_seed -- --nocapture
//! PAXCAST_SEEDS=5000..6000 cargo test --release --test simulation many_seeds
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use paxcast::sim;

/// Seeds that a plain test run tries.
const SEEDS: Range<u64> = 1..401;

/// Every fault that the simulator has. One that never strikes is not tested.
const FAULTS: [&str; 27] = [
    "buffer overflow",
    "client evicted",
    "clock leap",
    "clog",
    "corruption",
    "duplication",
    "failed sync",
    "kill",
    "late learner",
    "late learner and nobody else",
    "left cut off",
    "left dead",
    "left deaf",
    "left mute",
    "lookup",
    "loss",
    "loss by size",
    "partition",
    "partition made",
    "pause",
    "power failure",
    "rejected datagram",
    "restart",
    "session refused",
    "session renewed",
    "stalled reader",
    "unsynced records lost",
];

/// Runs every seed of a range, on all processors, and gives what struck.
fn run(seeds: Range<u64>) -> BTreeMap<&'static str, u64> {
    let next = AtomicU64::new(seeds.start);
    let struck = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match sim::run(seed, false) {
                        Ok(report) => {
                            let mut struck = struck.lock().unwrap();
                            for (fault, times) in report.struck {
                                *struck.entry(fault).or_insert(0) += times;
                            }
                        }
                        Err(violation) => failed.lock().unwrap().push(violation),
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|violation| violation.seed);
    for violation in failed.iter().skip(1) {
        eprintln!(
            "seed {}: {:?}: {}",
            violation.seed, violation.kind, violation.what
        );
    }
    if let Some(first) = failed.first() {
        panic!("{} seeds failed; the first:\n{first}", failed.len());
    }
    struck.into_inner().unwrap()
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

#[test]
fn a_seed_replays_everything() {
    for seed in 1..=20 {
        let first = sim::run(seed, false).expect("a good seed");
        let second = sim::run(seed, false).expect("a good seed");
        assert_eq!(first, second, "seed {seed} took another course");
    }
}

/// Replays the seed in `PAXCAST_SEED` with its trace on standard error; without
/// it, the first one, silently.
#[test]
fn one_seed() {
    let seed = std::env::var("PAXCAST_SEED").ok();
    let number = seed
        .as_deref()
        .map_or(1, |seed| seed.parse().expect("PAXCAST_SEED is a number"));
    match sim::run(number, seed.is_some()) {
        Ok(report) => println!("{report:?}"),
        Err(violation) => panic!("{violation}"),
    }
}
