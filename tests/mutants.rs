//! Does the simulator see what it is there to see? Every seeded bug of
//! [`paxcast::protocol::mutant`] must be noticed within a budget of seeds.
//!
//! ```text
//! cargo test --test mutants                                        # each at least once
//! PAXCAST_MUTANT=lowest-vote cargo test --test mutants one -- --nocapture
//! PAXCAST_MUTANT=lowest-vote PAXCAST_SEED=115 cargo test --test mutants one -- --nocapture
//! tests/campaigns/mutants.sh                                       # makes docs/mutants.md
//! ```
//!
//! The plain run begins with the seed that `docs/mutants.md` names for a mutant.
//! Should it no longer do, since the simulator draws otherwise today, the hunt
//! goes on from the first seed, to the whole budget.

// In a release build there are no mutants.
#![cfg(debug_assertions)]

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

use paxcast::protocol::mutant::{self, Mutant};
use paxcast::sim::{self, Kind, Violation};

/// Seeds within which a mutant must be noticed.
const BUDGET: u64 = 2_000;

/// Where the hunts for the table begin.
const STARTS: [u64; 5] = [1, 1_000_001, 2_000_001, 3_000_001, 4_000_001];

/// The table.
const TABLE: &str = include_str!("../docs/mutants.md");

/// What the simulator cannot notice, for its processes keep no checkpoints.
/// `tests/storage/shelf.rs` does.
const ELSEWHERE: [Mutant; 2] = [Mutant::CheckpointNotSynced, Mutant::CheckpointRenamedFirst];

/// All mutants that the simulator must notice.
fn mutants() -> Vec<Mutant> {
    let all = Mutant::ALL.iter().copied();
    all.filter(|mutant| !ELSEWHERE.contains(mutant)).collect()
}

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
        Kind::Unmet => unreachable!("a seed expects nothing of its own"),
    };
    let mut words = String::new();
    for word in violation.what.split_whitespace() {
        let shown = match word.contains(|c: char| c.is_ascii_digit()) {
            true => "…",
            false => word,
        };
        if words.len() + shown.len() > 60 {
            break;
        }
        if !(shown == "…" && words.ends_with('…')) {
            words.push(' ');
            words.push_str(shown);
        }
    }
    format!("{kind}:{}", words.replace('|', "/"))
}

/// The columns of a mutant's row in the table.
fn row(mutant: Mutant) -> Option<Vec<&'static str>> {
    TABLE
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .find(|columns| columns.get(1) == Some(&format!("`{mutant}`").as_str()))
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
    for_each(&mutants(), |&mutant| {
        let named: Option<u64> = row(mutant).and_then(|columns| columns.get(7)?.parse().ok());
        if named.is_some_and(|seed| run(mutant, seed, false).is_err()) {
            return;
        }
        match hunt(mutant, 1) {
            None => survivors.lock().unwrap().push(mutant.to_string()),
            Some(kill) => println!(
                "{mutant}: docs/mutants.md names {named:?}, seed {} does: {}",
                kill.violation.seed,
                class(&kill.violation)
            ),
        }
    });
    let survivors = survivors.into_inner().unwrap();
    assert!(survivors.is_empty(), "nobody noticed {survivors:?}");
}

/// Makes the table: every mutant from every start, or those in `PAXCAST_MUTANT`,
/// parted by commas. It takes a while.
#[test]
#[ignore = "takes many minutes; tests/campaigns/mutants.sh runs it"]
fn the_table() {
    let rows = Mutex::new(Vec::new());
    let survivors = Mutex::new(Vec::new());
    let only = std::env::var("PAXCAST_MUTANT").unwrap_or_default();
    for_each(&mutants(), |&mutant| {
        if !only.is_empty() && !only.split(',').any(|name| name == mutant.to_string()) {
            return;
        }
        let hunts = STARTS.map(|start| hunt(mutant, start));
        let found = hunts.iter().flatten().count();
        let seeds: Vec<u64> = hunts.iter().flatten().map(|kill| kill.seeds).collect();
        eprintln!("{mutant}: {found} of {}, {seeds:?}", STARTS.len());
        if found < STARTS.len() {
            survivors.lock().unwrap().push(mutant.to_string());
        }
        let mut kills: Vec<Kill> = hunts.into_iter().flatten().collect();
        kills.sort_by_key(|kill| kill.seeds);
        let Some(quickest) = kills.first() else {
            return;
        };
        // Those that were not found count as more than any that was.
        let shown = |place: usize| match kills.get(place) {
            Some(kill) => kill.seeds.to_string(),
            None => format!("over {BUDGET}"),
        };
        let row = format!(
            "| `{mutant}` | {} | {} | {} | {} | {} | {} |",
            mutant.hazard(),
            mutant.what(),
            shown(STARTS.len() / 2),
            shown(STARTS.len() - 1),
            class(&quickest.violation),
            quickest.violation.seed,
        );
        rows.lock().unwrap().push((mutant, row));
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort();
    println!("| mutant | hazard | what is broken | median | worst | noticed as | a seed |");
    println!("|---|---|---|---|---|---|---|");
    for (_, row) in rows {
        println!("{row}");
    }
    let survivors = survivors.into_inner().unwrap();
    assert!(survivors.is_empty(), "not always noticed: {survivors:?}");
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
