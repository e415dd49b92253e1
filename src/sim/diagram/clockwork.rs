//! Where in height each moment stands.

use std::time::Duration;

use crate::protocol::Time;

/// A map from time to height: proportional, but no gap between two moments at
/// which something happens is higher than a limit.
#[derive(Clone, Debug)]
pub struct Clockwork {
    /// Moments and their heights, both ascending.
    knots: Vec<(Time, f64)>,
    breaks: Vec<Break>,
}

/// A silence that was cut short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Break {
    /// Height of its middle.
    pub middle: f64,
    /// How long it is.
    pub length: Duration,
}

impl Clockwork {
    /// The height that a typical flight of a datagram gets.
    pub const FLIGHT: f64 = 60.0;

    /// The height of the longest gap.
    pub const GAP: f64 = 50.0;

    /// A gap is called a break when it should be so many times as high.
    pub const BREAK: f64 = 4.0;

    /// The least height between two different moments.
    pub const LEAST: f64 = 0.6;

    /// Gives each moment its height. `flight` is how long a datagram typically takes.
    pub fn new(mut moments: Vec<Time>, flight: Duration) -> Clockwork {
        moments.sort_unstable();
        moments.dedup();
        let scale = Self::FLIGHT / (flight.as_nanos().max(1) as f64);
        let mut knots: Vec<(Time, f64)> = Vec::with_capacity(moments.len());
        let mut breaks = Vec::new();
        for moment in moments {
            let Some(&(before, height)) = knots.last() else {
                knots.push((moment, 0.0));
                continue;
            };
            let length = moment.since(before);
            let natural = length.as_nanos() as f64 * scale;
            let rise = natural.clamp(Self::LEAST, Self::GAP);
            if natural > Self::BREAK * Self::GAP {
                breaks.push(Break {
                    middle: height + rise / 2.0,
                    length,
                });
            }
            knots.push((moment, height + rise));
        }
        Clockwork { knots, breaks }
    }

    /// The height of a moment.
    pub fn height(&self, at: Time) -> f64 {
        let behind = self.knots.partition_point(|(moment, _)| *moment < at);
        match (
            behind.checked_sub(1).map(|b| self.knots[b]),
            self.knots.get(behind),
        ) {
            (_, Some(&(moment, height))) if moment == at => height,
            (Some((before, low)), Some(&(after, high))) => {
                let part =
                    at.since(before).as_nanos() as f64 / after.since(before).as_nanos() as f64;
                low + part * (high - low)
            }
            (None, Some(&(_, height))) | (Some((_, height)), None) => height,
            (None, None) => 0.0,
        }
    }

    /// The height of the last moment.
    pub fn total(&self) -> f64 {
        self.knots.last().map_or(0.0, |(_, height)| *height)
    }

    /// The silences that were cut short.
    pub fn breaks(&self) -> &[Break] {
        &self.breaks
    }

    /// Moments whose time is worth writing down, at least `apart` from each other.
    pub fn ticks(&self, apart: f64) -> Vec<(Time, f64)> {
        let mut ticks: Vec<(Time, f64)> = Vec::new();
        for &(moment, height) in &self.knots {
            if ticks.last().is_none_or(|(_, last)| height - last >= apart) {
                ticks.push((moment, height));
            }
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn height_grows_with_time_and_long_silences_are_short() {
        let times = [0, 10, 20, 100, 200, 1_000_000, 1_000_010].map(Time);
        let clockwork = Clockwork::new(times.to_vec(), Duration::from_nanos(100));
        let heights = times.map(|at| clockwork.height(at));
        assert!(heights.is_sorted_by(|a, b| a < b), "{heights:?}");
        assert_eq!(heights[3] - heights[2], 8.0 * (heights[2] - heights[1]));
        assert_eq!(heights[5] - heights[4], Clockwork::GAP);
        assert_eq!(clockwork.breaks().len(), 1);
        assert_eq!(clockwork.breaks()[0].length, Duration::from_nanos(999_800));
        assert_eq!(clockwork.total(), heights[6]);
        let between = clockwork.height(Time(500_000));
        assert!(heights[4] < between && between < heights[5]);
        assert_eq!(clockwork.height(Time(2_000_000)), clockwork.total());
    }
}
