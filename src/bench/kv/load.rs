//! What one client process of the measurement is ordered to do, and how it does it.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::client::{Client, Manner};
use super::operation::{Drawn, Malformed, Mix, Operation, read};
use super::record::{self, Outcome, Recorded, now, reasons};
use crate::bench::latencies::{latencies, write_file};

/// Where operations come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file with one operation a line.
    File(PathBuf),
    /// They are drawn from a seed, so many of them, or without an end.
    Drawn(Mix, u64, Option<u64>),
}

/// An order.
#[derive(Clone, Debug)]
pub struct Order {
    /// How the servers are called.
    pub manner: Manner,
    /// What is called.
    pub source: Source,
    /// Which part of the operations is this client's: the first of so many is 1.
    pub share: (u64, u64),
    /// All keys begin with it.
    pub prefix: String,
    /// Nanoseconds after which nothing more is called.
    pub lasts: Option<u64>,
    /// Where the record is written.
    pub record: Option<PathBuf>,
    /// Where the latencies of what was answered are written.
    pub latencies: Option<PathBuf>,
}

/// What a client says of its work, as a line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Operations that happened and were answered,
    pub good: u64,
    /// that did not happen and will not,
    pub failed: u64,
    /// and that may have happened.
    pub unknown: u64,
    /// Whether some were never called, because no server could be reached.
    pub gave_up: bool,
    /// When the first was called, and when the last ended, by the machine's
    /// monotonic clock, in nanoseconds.
    pub began: u64,
    /// See `began`.
    pub ended: u64,
    /// Mean time of an operation that was answered, in microseconds,
    pub mean_us: f64,
    /// and the standard deviation.
    pub deviation_us: f64,
    /// Why operations failed or have no outcome, some of it.
    pub reasons: Vec<String>,
}

/// A client that is ready to begin.
#[derive(Debug)]
pub struct Ready {
    client: Client,
    order: Order,
    operations: Vec<Operation>,
    /// How many servers it has reached.
    pub reached: usize,
    /// Lines of the file that are no operations.
    pub malformed: Vec<Malformed>,
}

impl Ready {
    /// Reads the operations and connects.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn prepare(order: Order) -> io::Result<Ready> {
        let (mut operations, mut malformed) = (Vec::new(), Vec::new());
        if let Source::File(path) = &order.source {
            (operations, malformed) = read(&fs::read(path)?);
        }
        let mut client = Client::new(order.manner.clone());
        Ok(Ready {
            reached: client.connect(),
            client,
            order,
            operations,
            malformed,
        })
    }

    /// Calls all operations, and writes what came of them.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn carry(self) -> io::Result<Summary> {
        let Ready {
            client,
            order,
            operations,
            ..
        } = self;
        let (part, parts) = order.share;
        let mine = |index: u64| index % parts == part - 1;
        let until = order.lasts.map(|lasts| now() + lasts);
        let below = |operation: Operation| operation.below(&order.prefix);
        let (records, gave_up) = match &order.source {
            Source::File(_) => {
                let indexed = (0..).zip(operations);
                let shared = indexed.filter(|(index, _)| mine(*index));
                client.run(shared.map(|(_, operation)| below(operation)), until)
            }
            Source::Drawn(mix, seed, count) => {
                let count = count.map_or(u64::MAX, |count| {
                    count / parts + u64::from(count % parts >= part)
                });
                let drawn = Drawn::new(mix.clone(), order.manner.client, *seed);
                let drawn = drawn.take(usize::try_from(count).unwrap_or(usize::MAX));
                client.run(drawn.map(below), until)
            }
        };
        let mut histogram = latencies();
        for record in records.iter().filter(|record| record.outcome.is_good()) {
            histogram.saturating_record(record.ended - record.called);
        }
        if let Some(path) = &order.record {
            record::write(path, &records)?;
        }
        if let Some(path) = &order.latencies {
            write_file(&histogram, path)?;
        }
        Ok(Summary::of(
            &records,
            gave_up,
            histogram.mean(),
            histogram.stdev(),
        ))
    }
}

impl Summary {
    fn of(records: &[Recorded], gave_up: bool, mean: f64, deviation: f64) -> Summary {
        const REASONS: usize = 5;
        let count = |is: fn(&Outcome) -> bool| {
            records.iter().filter(|record| is(&record.outcome)).count() as u64
        };
        Summary {
            good: count(Outcome::is_good),
            failed: count(|outcome| matches!(outcome, Outcome::Failed(_))),
            unknown: count(|outcome| matches!(outcome, Outcome::Unknown(_))),
            gave_up,
            began: records
                .iter()
                .map(|record| record.called)
                .min()
                .unwrap_or(0),
            ended: records.iter().map(|record| record.ended).max().unwrap_or(0),
            mean_us: mean / 1e3,
            deviation_us: deviation / 1e3,
            reasons: reasons(records)
                .into_iter()
                .take(REASONS)
                .map(str::to_owned)
                .collect(),
        }
    }
}
