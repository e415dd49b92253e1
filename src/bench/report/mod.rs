//! What a run found: as data, as a table for a terminal, as a page.

mod page;
mod table;

use serde::Serialize;

use super::failover::Failover;
use super::latencies::{curve, latencies};
use super::machine::Machine;
use super::plan::Row;
use super::ratio::{Figure, Ratio, Spread};
use super::{Excuse, Load, Outcome, Pace};

/// All that a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of paxcast.
    pub version: &'static str,
    /// How the run was asked for.
    pub command: String,
    /// Where it took place.
    pub machine: Machine,
    /// How often each row was measured.
    pub rounds: usize,
    /// How long all of it took.
    pub seconds: f64,
    /// Contestants under loads.
    pub rows: Vec<Measured>,
    /// Rows beside rows.
    pub ratios: Vec<Ratio>,
    /// Deaths of leaders.
    pub failovers: Vec<Failovers>,
    /// A cluster without traffic.
    pub idle: Option<Idle>,
}

/// A contestant under a load, over all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Its name.
    pub contestant: &'static str,
    /// What exactly it is.
    pub about: String,
    /// What it carried.
    pub load: Carried,
    /// Rounds in which it did.
    pub rounds: usize,
    /// Why it did not in others.
    pub excuse: Option<String>,
    /// Nothing if it never did.
    pub figures: Option<Figures>,
}

/// A load, told in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Carried {
    /// In a few words, with what its contestant really had under way.
    pub words: String,
    /// Of each value.
    pub bytes: usize,
    /// Senders at a time.
    pub clients: usize,
    /// Values under way at each, in a closed loop, as they were asked for.
    pub outstanding: Option<usize>,
    /// Values a second of all of them, in an open loop.
    pub rate: Option<f64>,
    /// How long each measurement lasted.
    pub seconds: f64,
    /// Whether values were synced to disks.
    pub durable: bool,
}

/// What was measured of a row.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Delivered.
    pub values_per_second: Spread,
    /// The same in 1,000,000 bytes of values.
    pub megabytes_per_second: Spread,
    /// Latency that half of the values did not exceed, in microseconds.
    pub p50_us: Spread,
    /// 99 of 100.
    pub p99_us: Spread,
    /// 999 of 1,000.
    pub p999_us: Spread,
    /// Processor time of all processes for each value, in microseconds.
    pub processor_us: Option<Spread>,
    /// System calls of all processes for each value.
    pub calls: Option<Spread>,
    /// Datagrams that the kernel dropped, in all rounds.
    pub drops: Option<u64>,
    /// Of all rounds together: the part of values, and the microseconds that
    /// it did not exceed.
    pub curve: Vec<(f64, f64)>,
}

/// Deaths of leaders under one load.
#[derive(Clone, Debug, Serialize)]
pub struct Failovers {
    /// What was carried.
    pub load: Carried,
    /// Why one was not measured.
    pub excuse: Option<String>,
    /// Milliseconds without a delivery.
    pub pause_ms: Option<Spread>,
    /// Milliseconds until the throughput was back.
    pub recovery_ms: Option<Spread>,
    /// Times at which it did not come back while it was watched.
    pub lost: usize,
    /// The death whose pause is the median, in full.
    pub typical: Option<Failover>,
}

/// A cluster without traffic.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// Percent of a processor for a process.
    pub percent: Option<Spread>,
    /// Why that is not known.
    pub excuse: Option<String>,
}

impl Carried {
    fn of(load: &Load) -> Carried {
        let (outstanding, rate) = match load.pace {
            Pace::Outstanding(count) => (Some(count), None),
            Pace::Rate(rate) => (None, Some(rate * load.clients as f64)),
        };
        Carried {
            words: load.describe(),
            bytes: load.bytes,
            clients: load.clients,
            outstanding,
            rate,
            seconds: load.duration.as_secs_f64(),
            durable: load.durable,
        }
    }
}

impl Measured {
    /// A row with its samples, one a round; `words` say what load it really was.
    pub fn of(
        row: &Row,
        words: String,
        about: String,
        samples: &[Result<Outcome, Excuse>],
    ) -> Measured {
        let good: Vec<&Outcome> = samples.iter().flatten().collect();
        let excuse = samples.iter().find_map(|sample| sample.as_ref().err());
        Measured {
            contestant: row.contestant,
            about,
            load: Carried {
                words,
                ..Carried::of(&row.load)
            },
            rounds: good.len(),
            excuse: excuse.map(ToString::to_string),
            figures: Figures::of(&good, row.load.bytes),
        }
    }
}

impl Figures {
    fn of(good: &[&Outcome], bytes: usize) -> Option<Figures> {
        let spread = |figure: &dyn Fn(&Outcome) -> f64| {
            Spread::of(good.iter().map(|outcome| figure(outcome)))
        };
        let quantile =
            |part: f64| spread(&|outcome| outcome.latencies.value_at_quantile(part) as f64 / 1e3);
        let each = |cost: &dyn Fn(&Outcome) -> Option<f64>| {
            let values = good.iter().filter(|outcome| outcome.values > 0);
            Spread::of(values.filter_map(|outcome| Some(cost(outcome)? / outcome.values as f64)))
        };
        let mut all = latencies();
        for outcome in good {
            all.add(&outcome.latencies).ok()?;
        }
        Some(Figures {
            values_per_second: spread(&|outcome| Figure::Values.of(outcome, bytes))?,
            megabytes_per_second: spread(&|outcome| Figure::Megabytes.of(outcome, bytes))?,
            p50_us: quantile(0.5)?,
            p99_us: quantile(0.99)?,
            p999_us: quantile(0.999)?,
            processor_us: each(&|outcome| Some(outcome.processor? * 1e6)),
            calls: each(&|outcome| Some(outcome.calls? as f64)),
            drops: good.iter().map(|outcome| outcome.drops).sum(),
            curve: curve(&all),
        })
    }
}

impl Failovers {
    /// The deaths under a load, one a round.
    pub fn of(load: &Load, results: &[Result<Failover, Excuse>]) -> Failovers {
        let mut good: Vec<&Failover> = results.iter().flatten().collect();
        good.sort_by(|one, other| one.pause_ms.total_cmp(&other.pause_ms));
        let excuse = results.iter().find_map(|result| result.as_ref().err());
        Failovers {
            load: Carried::of(load),
            excuse: excuse.map(ToString::to_string),
            pause_ms: Spread::of(good.iter().map(|failover| failover.pause_ms)),
            recovery_ms: Spread::of(good.iter().filter_map(|failover| failover.recovery_ms)),
            lost: good.iter().filter(|one| one.recovery_ms.is_none()).count(),
            typical: good.get(good.len() / 2).map(|failover| (*failover).clone()),
        }
    }
}

impl Report {
    /// As JSON, for other programs.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain data")
    }

    /// As a table, for a terminal.
    pub fn table(&self) -> String {
        table::write(self)
    }

    /// As a page that fetches nothing.
    pub fn page(&self) -> String {
        page::write(self)
    }

    /// What each contestant is, each told once.
    fn contestants(&self) -> Vec<(&'static str, &str)> {
        let mut told: Vec<(&'static str, &str)> = Vec::new();
        for row in &self.rows {
            let known = told.iter().any(|(name, _)| *name == row.contestant);
            if !known && !row.about.is_empty() {
                told.push((row.contestant, &row.about));
            }
        }
        told
    }
}
