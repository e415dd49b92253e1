//! What happened around deaths, step by step, from the records of the clients.

use super::findings::{Sample, Timeline};
use super::record::Recorded;
use super::servers::Set;
use super::trouble::Mark;

/// A step stands for so many nanoseconds.
const STEP: u64 = 100_000_000;

/// What records say step by step.
pub fn timeline(
    set: &Set,
    words: String,
    sample: &Sample,
    records: &[Recorded],
    marks: &[Mark],
) -> Timeline {
    let first = records
        .iter()
        .map(|record| record.called)
        .min()
        .unwrap_or(0);
    let answered = records.iter().filter(|record| record.outcome.is_good());
    let mut answered: Vec<(u64, u64)> = answered
        .map(|record| (record.ended, record.ended - record.called))
        .collect();
    answered.sort_unstable();
    let last = records
        .iter()
        .map(|record| record.ended)
        .max()
        .unwrap_or(first);
    let pause = answered
        .windows(2)
        .map(|two| two[1].0 - two[0].0)
        .max()
        .unwrap_or(last - first);
    let milliseconds = |at: u64| at.saturating_sub(first) as f64 / 1e6;
    // The last step is rarely whole, and would look like a fall.
    let steps = (0..(last - first) / STEP).map(|step| {
        let from = answered.partition_point(|(at, _)| *at < first + step * STEP);
        let to = answered.partition_point(|(at, _)| *at < first + (step + 1) * STEP);
        let mut times: Vec<u64> = answered[from..to].iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        let tail = times.get((times.len() * 99 / 100).min(times.len().saturating_sub(1)));
        (
            milliseconds(first + step * STEP),
            times.len() as f64 * 1e9 / STEP as f64,
            tail.map(|time| *time as f64 / 1e3),
        )
    });
    Timeline {
        set: set.name,
        words,
        steps: steps.collect(),
        marks: marks
            .iter()
            .map(|mark| (milliseconds(mark.at), mark.words.clone()))
            .collect(),
        pause_ms: pause as f64 / 1e6,
        failed: sample.failed,
        unknown: sample.unknown,
        judgement: Some(sample.judgement.clone()),
        excuse: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::Operation;
    use super::super::record::{Judgement, Outcome, judge};
    use super::*;
    use crate::bench::latencies::latencies;

    #[test]
    fn a_pause_shows_as_empty_steps() {
        // One a millisecond for 300 ms, none for 400, one a millisecond for 300.
        let record = |at: u64| Recorded {
            client: 1,
            operation: Operation::Get("k".to_owned()),
            called: 1_000_000_000 + at * 1_000_000,
            ended: 1_000_000_000 + (at + 1) * 1_000_000,
            outcome: Outcome::Value(None),
        };
        let records: Vec<Recorded> = (0..300).chain(700..1000).map(record).collect();
        let sample = Sample {
            good: 600,
            failed: 0,
            unknown: 0,
            seconds: 1.0,
            latencies: latencies(),
            judgement: judge(&records),
            reasons: Vec::new(),
            kills: 0,
        };
        let mark = Mark {
            at: 1_300_000_000,
            words: "killed".to_owned(),
        };
        let told = timeline(&Set::all()[0], String::new(), &sample, &records, &[mark]);
        assert_eq!(told.steps.len(), 10);
        assert_eq!(told.marks, [(300.0, "killed".to_owned())]);
        assert_eq!(told.pause_ms, 401.0);
        let rates: Vec<f64> = told.steps.iter().map(|step| step.1).collect();
        assert_eq!(&rates[1..6], [1000.0, 1000.0, 10.0, 0.0, 0.0]);
        assert_eq!(told.steps[1].2, Some(1000.0));
        assert_eq!(told.steps[4].2, None);
        assert_eq!(told.judgement, Some(Judgement::Linearizable));
    }
}
