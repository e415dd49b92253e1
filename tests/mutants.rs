//! Does the simulator see what it is there to see? Every seeded bug of
//! [`paxcast::protocol::mutant`] must be noticed within a budget of seeds.
//!
//! ```text
//! PAXCAST_MUTANT=lowest-vote cargo test --test mutants one -- --nocapture
//! ```

// In a release build there are no mutants.
#![cfg(debug_assertions)]

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};
use std::time::Instant;

use paxcast::protocol::mutant::{self, Mutant};
use paxcast::sim::{self, Kind, Violation};

/// Seeds within which a mutant must be noticed.
const BUDGET: u64 = 2_000;

/// How a mutant was noticed.
#[derive(Debug)]
struct Kill {
    /// How many seeds it took, this one included.
    seeds: u64,
    violation: Box<Violation>,
}

thread_local! {
    /// On this thread a panic is what is looked for.
    static PANICS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Lets panics pass in silence where a mutant lives.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !PANICS_EXPECTED.get() {
                usual(panic);
            }
        }));
    });
}

/// Runs one seed with a mutant alive.
fn run(mutant: Mutant, seed: u64, aloud: bool) -> Result<sim::Report, Box<Violation>> {
    keep_quiet();
    PANICS_EXPECTED.set(true);
    mutant::select(Some(mutant));
    let outcome = sim::run(seed, aloud);
    mutant::select(None);
    PANICS_EXPECTED.set(false);
    outcome
}

/// Runs seeds from `start` on until one notices the mutant or the budget is spent.
fn hunt(mutant: Mutant, start: u64) -> Option<Kill> {
    (start..start + BUDGET).find_map(|seed| {
        let violation = run(mutant, seed, false).err()?;
        Some(Kill {
            seeds: seed - start + 1,
            violation,
        })
    })
}

/// What was noticed, in a few words: the message without its particulars.
fn class(violation: &Violation) -> String {
    let kind = match violation.kind {
        Kind::Safety => "safety",
        Kind::Liveness => "liveness",
        Kind::Panic => "panic",
    };
    let words: Vec<&str> = violation
        .what
        .split_whitespace()
        .filter(|word| !word.contains(|c: char| c.is_ascii_digit()))
        .take(8)
        .collect();
    format!("{kind}: {}", words.join(" "))
}

/// Does something for every item, on as many threads as there are processors.
fn for_each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

#[test]
fn every_mutant_is_noticed() {
    let survivors = Mutex::new(Vec::new());
    for_each(Mutant::ALL, |&mutant| {
        let began = Instant::now();
        match hunt(mutant, 1) {
            None => survivors.lock().unwrap().push(mutant.to_string()),
            Some(kill) => println!(
                "{mutant}: {} seeds, {:.1?}, {}",
                kill.seeds,
                began.elapsed(),
                class(&kill.violation)
            ),
        }
    });
    let survivors = survivors.into_inner().unwrap();
    assert!(survivors.is_empty(), "nobody noticed {survivors:?}");
}

/// Hunts the mutant in `PAXCAST_MUTANT`, or replays it with its trace when
/// `PAXCAST_SEED` is given, too. Without them, nothing.
#[test]
fn one() {
    let Ok(name) = std::env::var("PAXCAST_MUTANT") else {
        return;
    };
    let mutant: Mutant = name.parse().unwrap_or_else(|error| panic!("{error}"));
    if let Ok(seed) = std::env::var("PAXCAST_SEED") {
        match run(
            mutant,
            seed.parse().expect("PAXCAST_SEED is a number"),
            true,
        ) {
            Ok(report) => println!("{report:?}"),
            Err(violation) => println!("{violation}"),
        }
        return;
    }
    match hunt(mutant, 1) {
        None => println!("{mutant}: nobody noticed it in {BUDGET} seeds"),
        Some(kill) => println!("{mutant}: {} seeds\n{}", kill.seeds, kill.violation),
    }
}

#[test]
fn only_the_selected_one_lives_and_only_on_its_thread() {
    let lives = |one| mutant::mutant(one);
    assert!(!lives(Mutant::LowestVote));
    mutant::select(Some(Mutant::LowestVote));
    assert!(lives(Mutant::LowestVote) && !lives(Mutant::SmallQuorum));
    std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| lives(Mutant::LowestVote));
        assert!(!elsewhere.join().expect("no panic"));
    });
    mutant::select(None);
    assert!(!lives(Mutant::LowestVote));
}
