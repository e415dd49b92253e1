//! How long a client's values took, from when each was due to its acknowledgement.
//!
//! Values are acknowledged in the order in which they were submitted, so a queue
//! of what is under way is all the bookkeeping there is. Where values are made at
//! a pace, a value counts from the moment at which it was due: a stall then shows
//! in all the values that it held up, and not only in the one that happened to be
//! under way (*coordinated omission*).

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::protocol::Time;

/// Nanoseconds that are told apart at the low end, and the longest latency that
/// is told apart from longer ones.
const BOUNDS: (u64, u64) = (1_000, 3_600_000_000_000);

/// Latencies of the values acknowledged, and the values under way.
#[derive(Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    /// When values were due, and how many in a row then.
    waiting: VecDeque<(Time, u64)>,
}

/// What is written for others to read.
#[derive(Serialize)]
struct Written {
    unit: &'static str,
    count: u64,
    buckets: Vec<(u64, u64)>,
}

impl Latencies {
    /// None yet.
    pub fn new() -> Latencies {
        Latencies {
            histogram: Histogram::new_with_bounds(BOUNDS.0, BOUNDS.1, 3)
                .expect("the bounds are in order"),
            waiting: VecDeque::new(),
        }
    }

    /// A value that was due then is submitted.
    pub fn submitted(&mut self, due: Time) {
        match self.waiting.back_mut() {
            Some((last, count)) if *last == due => *count += 1,
            _ => self.waiting.push_back((due, 1)),
        }
    }

    /// The next so many values are acknowledged.
    pub fn acknowledged(&mut self, now: Time, mut values: u64) {
        while values > 0
            && let Some((due, count)) = self.waiting.front_mut()
        {
            let these = values.min(*count);
            let latency = u64::try_from(now.since(*due).as_nanos()).unwrap_or(u64::MAX);
            self.histogram.saturating_record_n(latency.max(1), these);
            values -= these;
            *count -= these;
            if *count == 0 {
                self.waiting.pop_front();
            }
        }
    }

    /// The latency that this part of all values, from 0 to 1, did not exceed.
    pub fn quantile(&self, part: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(part))
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.histogram.max())
    }

    /// Writes the histogram as JSON: in nanoseconds, each bucket by a latency in
    /// it and how many values it has. Histograms with the same buckets, the files
    /// of several clients for instance, can be added up without loss.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let written = Written {
            unit: "ns",
            count: self.histogram.len(),
            buckets: self
                .histogram
                .iter_recorded()
                .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
                .collect(),
        };
        fs::write(path, serde_json::to_vec(&written)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn each_value_counts_from_when_it_was_due() {
        let mut latencies = Latencies::new();
        for _ in 0..10 {
            latencies.submitted(Time(0));
        }
        latencies.submitted(Time(5 * MILLISECOND));
        latencies.acknowledged(Time(2 * MILLISECOND), 9);
        latencies.acknowledged(Time(9 * MILLISECOND), 2);
        assert_eq!(latencies.histogram.len(), 11);
        let milliseconds = |part| latencies.quantile(part).as_micros() / 1000;
        assert_eq!(milliseconds(0.5), 2);
        assert_eq!(milliseconds(0.9), 4);
        assert_eq!(latencies.longest().as_millis(), 9);
        assert!(latencies.waiting.is_empty());
    }

    #[test]
    fn a_stall_shows_in_all_the_values_that_it_held_up() {
        use crate::daemon::generator::{Generator, Made, Plan};
        let plan = Plan {
            count: Some(1000),
            size: 32,
            rate: Some(1000.0),
            ..Plan::default()
        };
        let mut generator = Generator::new(1, plan, Time(0));
        let mut latencies = Latencies::new();
        // A turn each millisecond, but none from 300 to 500: a cluster, or a
        // machine, that stood still. Each turn acknowledges what the one before sent.
        let mut under_way = 0;
        for millisecond in (0..300).chain(500..1002) {
            let now = Time(millisecond * MILLISECOND);
            latencies.acknowledged(now, std::mem::take(&mut under_way));
            while let Made::Value(_, due) = generator.next(now) {
                latencies.submitted(due);
                under_way += 1;
            }
        }
        assert_eq!(latencies.histogram.len(), 1000);
        let milliseconds = |part| latencies.quantile(part).as_millis();
        assert_eq!(milliseconds(0.5), 1);
        // 200 of the 1000 waited, evenly up to 200 ms; without the correction only
        // one did, and nine in ten of all were through within a millisecond.
        assert!(
            (98..=103).contains(&milliseconds(0.9)),
            "{}",
            milliseconds(0.9)
        );
        assert!((195..=202).contains(&milliseconds(0.999)));
    }
}
