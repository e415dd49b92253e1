//! What a leader's sudden death costs: how long nothing is delivered, and how
//! long until as much is delivered as before.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::cluster::Cluster;
use super::{Excuse, Load};

/// The first learner's progress around the death of the leader, at full load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failover {
    /// Milliseconds without a delivery: the longest such time after the death.
    pub pause_ms: f64,
    /// Milliseconds from the death until the throughput was back, if it came back.
    pub recovery_ms: Option<f64>,
    /// Values a second ahead of the death.
    pub before: f64,
    /// Milliseconds since the death, and values a second in the step that ended then.
    pub timeline: Vec<(f64, f64)>,
}

/// Between two looks at the learner.
const STEP: Duration = Duration::from_millis(10);

/// Throughput is that of so many looks; it is back when it reaches this part.
const WINDOW: usize = 10;
const BACK: f64 = 0.9;

impl Failover {
    /// Lets a leader die in the middle of a load; each half is watched as long
    /// as the load lasts.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be run, or is not heard of any more.
    pub fn measure(cluster: &mut Cluster, load: &Load) -> Result<Failover, Excuse> {
        let mut running = cluster.start(load.durable)?;
        running.begin_load(load)?;
        thread::sleep(load.duration / 4);
        let mut looks = Vec::new();
        let mut watch = |running: &mut super::cluster::Running| -> Result<usize, Excuse> {
            let end = Instant::now() + load.duration;
            let mut next = Instant::now();
            while next < end {
                looks.push(running.progress()?);
                next = (next + STEP).max(Instant::now());
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            Ok(looks.len())
        };
        let alive = watch(&mut running)?;
        running.kill_leader()?;
        watch(&mut running)?;
        running.remove();
        Failover::judge(&looks, alive)
    }

    /// What a row of looks, pairs of seconds and values, means; the leader died
    /// behind the first `alive` of them.
    fn judge(looks: &[(f64, f64)], alive: usize) -> Result<Failover, Excuse> {
        if alive < 2 || looks.len() <= alive {
            return Err(Excuse::Failed("watched for too short a time".to_owned()));
        }
        let (before, after) = looks.split_at(alive);
        let died = before[alive - 1];
        let rate = |from: (f64, f64), to: (f64, f64)| match to.0 > from.0 {
            true => (to.1 - from.1) / (to.0 - from.0),
            false => 0.0,
        };
        let usual = rate(before[0], died);
        let mut pause = 0.0f64;
        let mut last = died;
        for &look in after {
            if look.1 > last.1 {
                pause = pause.max(look.0 - last.0);
                last = look;
            }
        }
        // One that lasts to the end is as long as it could be seen.
        pause = pause.max(after[after.len() - 1].0 - last.0);
        let recovery = (WINDOW..after.len())
            .find(|&at| rate(after[at - WINDOW], after[at]) >= BACK * usual)
            .map(|at| (after[at].0 - died.0) * 1e3);
        // Two looks right behind each other say nothing about a rate.
        let mut timeline = Vec::new();
        let mut from = looks[0];
        for &look in looks {
            if look.0 - from.0 >= STEP.as_secs_f64() / 2.0 {
                timeline.push(((look.0 - died.0) * 1e3, rate(from, look)));
                from = look;
            }
        }
        Ok(Failover {
            pause_ms: pause * 1e3,
            recovery_ms: recovery,
            before: usual,
            timeline,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_and_the_recovery_are_found() {
        // 1,000 a second, 200 ms of nothing, some of it for 100 ms, then all.
        let mut looks = Vec::new();
        let mut values = 0.0;
        for step in 0..200 {
            looks.push((f64::from(step) * 0.01, values));
            values += match step {
                100..=119 => 0.0,
                120..=129 => 4.0,
                _ => 10.0,
            };
        }
        let failover = Failover::judge(&looks, 101).unwrap();
        assert!((failover.before - 1000.0).abs() < 1e-6);
        assert!((failover.pause_ms - 210.0).abs() < 1e-6);
        // Nine steps of ten at the usual pace, after ten that were slower.
        assert_eq!(failover.recovery_ms.map(f64::round), Some(390.0));
        assert_eq!(failover.timeline.len(), 199);
        assert!(
            failover
                .timeline
                .iter()
                .any(|(at, rate)| *at > 0.0 && *rate == 0.0)
        );
    }

    #[test]
    fn a_cluster_that_does_not_come_back_is_seen() {
        let mut looks: Vec<(f64, f64)> = (0..10).map(|n| (f64::from(n), f64::from(n))).collect();
        looks.extend((10..20).map(|n| (f64::from(n), 9.0)));
        let failover = Failover::judge(&looks, 10).unwrap();
        assert_eq!(failover.pause_ms, 10_000.0);
        assert_eq!(failover.recovery_ms, None);
        assert!(Failover::judge(&looks, 20).is_err());
    }
}
