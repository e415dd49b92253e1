//! Many seeds: run on all processors, counted, and added up over many machines.
//!
//! A [`Tally`] is one line of JSON. The tallies of any number of ranges, run
//! anywhere and in any order, add up to one that says which seeds were run, on which terms.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::terms::Terms;
use super::{Kind, Report, Violation, run_plan};
use crate::protocol::mutant;

/// What came of many seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The version of the program.
    pub version: String,
    /// What was asked of the seeds, and which rule was broken on purpose.
    pub terms: String,
    /// The seeds that were run, as ranges without their ends.
    pub ranges: Vec<(u64, u64)>,
    /// How many seeds that were.
    pub seeds: u64,
    /// How many of them were run twice, and took the same course.
    pub twice: u64,
    /// Those that failed.
    pub failed: Vec<Failure>,
    /// Things that happened.
    pub steps: u64,
    /// Values in all logs together.
    pub values: u64,
    /// Virtual time, in seconds.
    pub virtual_seconds: f64,
    /// Real time, in seconds, of all processors together.
    pub processor_seconds: f64,
    /// How long healed clusters took to be done, in virtual milliseconds: how
    /// many took less than 1, 2, 4, 8 … and so on.
    pub recovery: Vec<u64>,
    /// How often each fault struck.
    pub struck: BTreeMap<String, u64>,
    /// A digest over the courses of all seeds, whatever their order.
    pub digest: u64,
}

/// A seed that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// `safety`, `liveness` or `unknown`.
    pub kind: String,
    /// Which promise it broke.
    pub what: String,
}

/// A run of many seeds.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Which seeds.
    pub seeds: Range<u64>,
    /// What is asked of them.
    pub terms: Terms,
    /// On how many threads.
    pub threads: usize,
    /// When to end, although seeds are left.
    pub until: Option<Instant>,
    /// After how many failures to end.
    pub failures: usize,
}

impl Campaign {
    /// One seed in so many is run twice.
    pub const TWICE: u64 = 100;

    /// All of these seeds, with nothing asked of them, on all processors.
    pub fn new(seeds: Range<u64>) -> Campaign {
        Campaign {
            seeds,
            terms: Terms::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            until: None,
            failures: 10,
        }
    }

    /// Runs the seeds; `progress` hears of the tally so far, about once a second.
    /// With it come the failures, lowest seed first.
    pub fn run(&self, progress: impl Fn(&Tally) + Sync) -> (Tally, Vec<Violation>) {
        let next = AtomicU64::new(self.seeds.start);
        let over = AtomicBool::new(false);
        let shared = Mutex::new((Tally::default(), Vec::new(), Instant::now()));
        // A mutant lives on one thread; the seeds of this one run on many.
        let mutant = mutant::selected();
        let work = || {
            #[cfg(debug_assertions)]
            mutant::select(mutant);
            while !over.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    return;
                }
                let began = Instant::now();
                let result = self.run_one(seed);
                let mut shared = shared.lock().expect("no thread panics");
                let (tally, failed, told) = &mut *shared;
                tally.add_seed(seed, &result, began.elapsed());
                failed.extend(result.err().map(|violation| *violation));
                if told.elapsed() > Duration::from_secs(1) {
                    progress(tally);
                    *told = Instant::now();
                }
                let late = self.until.is_some_and(|until| Instant::now() >= until);
                if late || failed.len() >= self.failures {
                    over.store(true, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(work);
            }
        });
        let (mut tally, mut failed, _) = shared.into_inner().expect("no thread panics");
        tally.version = env!("CARGO_PKG_VERSION").into();
        tally.terms = match mutant {
            None => format!("{}", self.terms),
            Some(mutant) => format!("{}, {mutant}", self.terms),
        };
        tally.failed.sort_by_key(|failure| failure.seed);
        failed.sort_by_key(|violation: &Violation| violation.seed);
        (tally, failed)
    }

    /// Runs one seed, or, one time in a hundred, twice.
    fn run_one(&self, seed: u64) -> Result<Report, Box<Violation>> {
        let plan = Plan::with(seed, &self.terms);
        let report = run_plan(seed, &plan, false)?;
        if seed.is_multiple_of(Campaign::TWICE) {
            let again = run_plan(seed, &plan, false)?;
            if again != report {
                return Err(Box::new(Violation {
                    seed,
                    kind: Kind::Panic,
                    what: "the same seed took another course the second time".into(),
                    at: again.time,
                    plan: format!("{report:?}\n{again:?}"),
                    trace: Vec::new(),
                    processes: Vec::new(),
                }));
            }
        }
        Ok(report)
    }
}

impl Tally {
    /// The tally of one good seed.
    pub fn of(report: &Report) -> Tally {
        let mut tally = Tally {
            version: env!("CARGO_PKG_VERSION").into(),
            ..Tally::default()
        };
        tally.add_seed(report.seed, &Ok(report.clone()), Duration::ZERO);
        tally.twice = 0;
        tally
    }

    fn add_seed(&mut self, seed: u64, result: &Result<Report, Box<Violation>>, took: Duration) {
        self.seeds += 1;
        self.add_range((seed, seed + 1));
        self.processor_seconds += took.as_secs_f64();
        let report = match result {
            Ok(report) => report,
            Err(violation) => {
                self.failed.push(Failure {
                    seed,
                    kind: violation.kind.name().into(),
                    what: violation.what.clone(),
                });
                return;
            }
        };
        self.twice += u64::from(seed.is_multiple_of(Campaign::TWICE));
        self.steps += report.steps;
        self.values += report.values as u64;
        self.virtual_seconds += report.time.0 as f64 / 1e9;
        let bucket = (report.recovery.as_millis() as u64)
            .checked_ilog2()
            .map_or(0, |log| log as usize + 1);
        self.recovery.resize(self.recovery.len().max(bucket + 1), 0);
        self.recovery[bucket] += 1;
        for (&fault, times) in &report.struck {
            *self.struck.entry(fault.into()).or_insert(0) += times;
        }
        self.digest = self.digest.wrapping_add(mix(seed, report.digest));
    }

    /// Adds what another run came to.
    ///
    /// # Errors
    ///
    /// When both ran the same seed, or are of different versions: their sum would
    /// say more than was seen.
    pub fn add(&mut self, other: &Tally) -> Result<(), String> {
        if self.ranges.is_empty() {
            self.version.clone_from(&other.version);
            self.terms.clone_from(&other.terms);
        }
        if self.version != other.version {
            return Err(format!("versions {} and {}", self.version, other.version));
        }
        if self.terms != other.terms {
            return Err(format!("terms {} and {}", self.terms, other.terms));
        }
        for &(from, to) in &other.ranges {
            let twice = |&(start, end): &(u64, u64)| from < end && start < to;
            if let Some((start, end)) = self.ranges.iter().copied().find(twice) {
                return Err(format!("seeds {from}..{to} and {start}..{end} overlap"));
            }
            self.add_range((from, to));
        }
        self.seeds += other.seeds;
        self.twice += other.twice;
        self.failed.extend(other.failed.iter().cloned());
        self.failed.sort_by_key(|failure| failure.seed);
        self.steps += other.steps;
        self.values += other.values;
        self.virtual_seconds += other.virtual_seconds;
        self.processor_seconds += other.processor_seconds;
        let buckets = self.recovery.len().max(other.recovery.len());
        self.recovery.resize(buckets, 0);
        for (sum, more) in self.recovery.iter_mut().zip(&other.recovery) {
            *sum += more;
        }
        for (fault, times) in &other.struck {
            *self.struck.entry(fault.clone()).or_insert(0) += times;
        }
        self.digest = self.digest.wrapping_add(other.digest);
        Ok(())
    }

    /// Adds a range to the list, which stays sorted and joined.
    fn add_range(&mut self, (from, to): (u64, u64)) {
        let place = self.ranges.partition_point(|&(start, _)| start < from);
        self.ranges.insert(place, (from, to));
        if let Some(&(_, end)) = self.ranges.get(place + 1).filter(|next| next.0 == to) {
            self.ranges[place].1 = end;
            self.ranges.remove(place + 1);
        }
        if place > 0 && self.ranges[place - 1].1 == from {
            self.ranges[place - 1].1 = self.ranges[place].1;
            self.ranges.remove(place);
        }
    }

    /// The recovery time that this share of the seeds stayed below, in virtual
    /// milliseconds, to the next power of two.
    pub fn recovery_below(&self, share: f64) -> u64 {
        let all: u64 = self.recovery.iter().sum();
        let mut seen = 0;
        for (bucket, count) in self.recovery.iter().enumerate() {
            seen += count;
            if seen as f64 >= share * all as f64 {
                return 1 << bucket;
            }
        }
        0
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let seconds = self.processor_seconds.max(1e-9);
        format!(
            "{} seeds, {:.0}/s on each processor, {} failed; {:.1} h of virtual time, {} values, \
             {} events; healed clusters were done within {} ms (half of them), {} ms (99 in 100)",
            self.seeds,
            self.seeds as f64 / seconds,
            self.failed.len(),
            self.virtual_seconds / 3_600.0,
            self.values,
            self.steps,
            self.recovery_below(0.5),
            self.recovery_below(0.99),
        )
    }
}

impl Kind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Safety => "safety",
            Kind::Liveness => "liveness",
            Kind::Panic => "unknown",
            Kind::Unmet => "unmet",
        }
    }
}

fn mix(seed: u64, digest: u64) -> u64 {
    let mixed = (digest ^ seed.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up_to_the_tally_of_all() {
        let run = |range| Campaign::new(range).run(|_| {}).0;
        let (first, second) = (run(1..6), run(6..9));
        let mut sum = Tally::default();
        sum.add(&second).unwrap();
        sum.add(&first).unwrap();
        let mut whole = run(1..9);
        assert_eq!(sum.ranges, [(1, 9)]);
        // What was measured with a clock differs; what happened does not.
        whole.processor_seconds = sum.processor_seconds;
        assert!((whole.virtual_seconds - sum.virtual_seconds).abs() < 1e-6);
        whole.virtual_seconds = sum.virtual_seconds;
        assert_eq!(sum, whole);
        assert!(sum.add(&first).unwrap_err().contains("overlap"));
    }
}
