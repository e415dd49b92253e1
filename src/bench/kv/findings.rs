//! What the measurement found: as data, as a table, as a page.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::record::Judgement;
use super::servers::Set;
use super::{page, table};
use crate::bench::Excuse;
use crate::bench::latencies::{curve, latencies};
use crate::bench::machine::Machine;
use crate::bench::ratio::Spread;

/// How operations are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each client calls one when the last has ended.
    Closed,
    /// Each client has several under way.
    Pipelined,
}

impl Mode {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Closed => "closed",
            Mode::Pipelined => "pipelined",
        }
    }
}

/// One time that one number of operations was carried.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Operations that were answered,
    pub good: u64,
    /// that surely did not happen,
    pub failed: u64,
    /// and whose outcome is not known.
    pub unknown: u64,
    /// From the first call to the last outcome, over all clients.
    pub seconds: f64,
    /// Of the operations that were answered, in nanoseconds.
    pub latencies: Histogram<u64>,
    /// Whether it could have happened one by one.
    pub judgement: Judgement,
    /// Why operations failed or are unknown.
    pub reasons: Vec<String>,
    /// Acceptors that were killed meanwhile.
    pub kills: u64,
}

impl Sample {
    /// Operations that were answered, a second.
    pub fn rate(&self) -> f64 {
        match self.seconds > 0.0 {
            true => self.good as f64 / self.seconds,
            false => 0.0,
        }
    }
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Of paxcast.
    pub version: &'static str,
    /// How the measurement was asked for.
    pub command: String,
    /// Where it took place.
    pub machine: Machine,
    /// What the clients did, in words.
    pub workload: String,
    /// Lines of the file of operations that are none.
    pub malformed: Vec<String>,
    /// How many rounds there were.
    pub rounds: usize,
    /// How long all of it took.
    pub seconds: f64,
    /// Sets of servers under numbers of operations.
    pub rows: Vec<Row>,
    /// What happened around deaths.
    pub timelines: Vec<Timeline>,
}

/// A set of servers that carried a number of operations, over all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub set: &'static str,
    /// What exactly it is.
    pub about: String,
    /// Whether a change was synced before it was answered.
    pub durable: bool,
    /// How they were called,
    pub mode: Mode,
    /// with so many under way at each client.
    pub under_way: usize,
    /// How many operations, of all clients together.
    pub operations: u64,
    /// Rounds in which they were carried.
    pub rounds: usize,
    /// Why they were not, in others.
    pub excuse: Option<String>,
    /// Nothing if they never were.
    pub figures: Option<Figures>,
    /// In all rounds: what surely did not happen,
    pub failed: u64,
    /// what may have happened,
    pub unknown: u64,
    /// why, some of it,
    pub reasons: Vec<String>,
    /// and how many acceptors were killed.
    pub kills: u64,
    /// The worst judgement of all rounds.
    pub judgement: Option<Judgement>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Mean time of an operation, in microseconds,
    pub mean_us: Spread,
    /// and the standard deviation.
    pub deviation_us: Spread,
    /// The time that half of the operations did not exceed,
    pub p50_us: Spread,
    /// 99 of 100,
    pub p99_us: Spread,
    /// 999 of 1,000.
    pub p999_us: Spread,
    /// Operations a second.
    pub per_second: Spread,
    /// Of all rounds together: the part of operations, and the microseconds that it
    /// did not exceed.
    pub curve: Vec<(f64, f64)>,
}

/// What happened around deaths, in steps.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// The set of servers.
    pub set: &'static str,
    /// What was done, in words.
    pub words: String,
    /// For each step: milliseconds since the beginning, operations a second, and
    /// the microseconds that 99 of 100 operations that ended in it did not exceed,
    /// if any ended.
    pub steps: Vec<(f64, f64, Option<f64>)>,
    /// Milliseconds since the beginning, and what was done then.
    pub marks: Vec<(f64, String)>,
    /// The longest time in which no operation was answered, in milliseconds.
    pub pause_ms: f64,
    /// See [`Row`].
    pub failed: u64,
    /// See [`Row`].
    pub unknown: u64,
    /// See [`Row`].
    pub judgement: Option<Judgement>,
    /// Why there is nothing else.
    pub excuse: Option<String>,
}

impl Row {
    /// What came of a number of operations, round by round.
    pub fn of(
        set: &Set,
        mode: Mode,
        under_way: usize,
        operations: u64,
        samples: &[Result<Sample, Excuse>],
    ) -> Row {
        let good: Vec<&Sample> = samples.iter().flatten().collect();
        let sum = |count: fn(&Sample) -> u64| good.iter().map(|sample| count(sample)).sum();
        let mut reasons: Vec<String> = good.iter().flat_map(|one| one.reasons.clone()).collect();
        reasons.sort();
        reasons.dedup();
        let excuse = samples.iter().find_map(|sample| sample.as_ref().err());
        Row {
            set: set.name,
            about: set.about(),
            durable: set.durable,
            mode,
            under_way,
            operations,
            rounds: good.len(),
            excuse: excuse.map(ToString::to_string),
            figures: Figures::of(&good),
            failed: sum(|sample| sample.failed),
            unknown: sum(|sample| sample.unknown),
            reasons,
            kills: sum(|sample| sample.kills),
            judgement: good
                .iter()
                .map(|sample| &sample.judgement)
                .max_by_key(|judgement| judgement.gravity())
                .cloned(),
        }
    }
}

impl Figures {
    fn of(good: &[&Sample]) -> Option<Figures> {
        // Where nothing was answered there is no time of an operation.
        let answered = good.iter().filter(|sample| sample.good > 0);
        let spread = |figure: &dyn Fn(&Sample) -> f64| {
            Spread::of(answered.clone().map(|sample| figure(sample)))
        };
        let quantile =
            |part: f64| spread(&|sample| sample.latencies.value_at_quantile(part) as f64 / 1e3);
        let mut all = latencies();
        for sample in answered.clone() {
            all.add(&sample.latencies).ok()?;
        }
        Some(Figures {
            mean_us: spread(&|sample| sample.latencies.mean() / 1e3)?,
            deviation_us: spread(&|sample| sample.latencies.stdev() / 1e3)?,
            p50_us: quantile(0.5)?,
            p99_us: quantile(0.99)?,
            p999_us: quantile(0.999)?,
            per_second: spread(&Sample::rate)?,
            curve: curve(&all),
        })
    }
}

impl Findings {
    /// As JSON, for other programs.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("findings are plain data")
    }

    /// As a table, for a terminal.
    pub fn table(&self) -> String {
        table::write(self)
    }

    /// As a page that fetches nothing.
    pub fn page(&self) -> String {
        page::write(self)
    }

    /// The histories that no order explains: where, and a picture.
    pub fn violations(&self) -> Vec<(String, &str)> {
        let rows = self.rows.iter().map(|row| {
            let words = format!(
                "{}, {} operations, {}",
                row.set,
                row.operations,
                row.mode.word()
            );
            (words, &row.judgement)
        });
        let timelines = self
            .timelines
            .iter()
            .map(|timeline| (format!("{}, timeline", timeline.set), &timeline.judgement));
        rows.chain(timelines)
            .filter_map(|(words, judgement)| match judgement {
                Some(Judgement::Violated(key, picture)) => {
                    Some((format!("{words}, key {key}"), picture.as_str()))
                }
                _ => None,
            })
            .collect()
    }

    /// What each set is, each told once.
    pub(super) fn sets(&self) -> Vec<(&'static str, &str)> {
        let mut told: Vec<(&'static str, &str)> = Vec::new();
        for row in &self.rows {
            if !told.iter().any(|(name, _)| *name == row.set) {
                told.push((row.set, &row.about));
            }
        }
        told
    }
}
