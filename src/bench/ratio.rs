//! Figures beside figures: medians with their spread, and ratios.
//!
//! A machine's speed drifts, so a ratio is taken within a round, where both
//! sides were measured within seconds of each other, and the median is that of
//! the ratios. The ratio of the medians is close to it and not the same.

use serde::Serialize;

use super::Outcome;

/// A median, and the extremes around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the samples are below, half above.
    pub median: f64,
    /// The least of them.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Spread {
    /// Of samples in any order; none where there are none.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
        };
        Some(Spread {
            median,
            least,
            most,
        })
    }
}

/// What of an outcome is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Values a second.
    Values,
    /// Megabytes of values a second.
    Megabytes,
    /// Microseconds that half of the values did not exceed.
    Median,
    /// Microseconds that 99 of 100 values did not exceed.
    Tail,
}

impl Figure {
    /// Its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Figure::Values => "values/s",
            Figure::Megabytes => "MB/s",
            Figure::Median => "µs (p50)",
            Figure::Tail => "µs (p99)",
        }
    }

    /// Whether less of it is better.
    pub fn is_cost(self) -> bool {
        matches!(self, Figure::Median | Figure::Tail)
    }

    /// The figure of an outcome with values of this size.
    pub fn of(self, outcome: &Outcome, bytes: usize) -> f64 {
        let latency = |part| outcome.latencies.value_at_quantile(part) as f64 / 1e3;
        match self {
            Figure::Values => outcome.rate(),
            Figure::Megabytes => outcome.rate() * bytes as f64 / 1e6,
            Figure::Median => latency(0.5),
            Figure::Tail => latency(0.99),
        }
    }
}

/// One side of a ratio, by the indices of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A row's figure.
    Row(usize),
    /// What the first row's figure is above the second's.
    Above(usize, usize),
    /// A figure that others have published.
    Known(u32),
}

impl Side {
    /// The rows it needs.
    pub fn rows(self) -> Vec<usize> {
        match self {
            Side::Row(row) => vec![row],
            Side::Above(row, base) => vec![row, base],
            Side::Known(_) => Vec::new(),
        }
    }

    /// Its value in a round, where `figure` gives each row's, if it was measured.
    pub fn value(self, figure: impl Fn(usize) -> Option<f64>) -> Option<f64> {
        match self {
            Side::Row(row) => figure(row),
            Side::Above(row, base) => Some(figure(row)? - figure(base)?),
            Side::Known(figure) => Some(figure.into()),
        }
    }
}

/// A ratio of two sides over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Its name, a word.
    pub name: &'static str,
    /// What is compared.
    pub figure: Figure,
    /// One line on what it means.
    pub meaning: &'static str,
    /// The median of our side.
    pub ours: f64,
    /// The median of the other.
    pub other: f64,
    /// The ratios within rounds.
    pub ratio: Spread,
}

impl Ratio {
    /// From pairs of ours and other, one for each round in which both were
    /// measured; none where there was no such round.
    pub fn of(
        name: &'static str,
        figure: Figure,
        meaning: &'static str,
        pairs: &[(f64, f64)],
    ) -> Option<Ratio> {
        let median = |side: fn(&(f64, f64)) -> f64| Spread::of(pairs.iter().map(side));
        let comparable = pairs.iter().filter(|(_, other)| *other > 0.0);
        Some(Ratio {
            name,
            figure,
            meaning,
            ours: median(|pair| pair.0)?.median,
            other: median(|pair| pair.1)?.median,
            ratio: Spread::of(comparable.map(|(ours, other)| ours / other))?,
        })
    }

    /// The line that other programs read: `NAME OURS OTHER RATIO`.
    pub fn line(&self) -> String {
        format!(
            "{} {} {} {:.3}",
            self.name,
            plain(self.ours),
            plain(self.other),
            self.ratio.median
        )
    }
}

/// A number without unit, exponent or grouping, with the digits that matter.
fn plain(number: f64) -> String {
    match number.abs() >= 1000.0 {
        true => format!("{number:.0}"),
        false => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_and_none() {
        let spread = |samples: &[f64]| Spread::of(samples.iter().copied());
        let of = |median, least, most| {
            Some(Spread {
                median,
                least,
                most,
            })
        };
        assert_eq!(spread(&[3.0, 1.0, 2.0]), of(2.0, 1.0, 3.0));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]), of(3.0, 1.0, 9.0));
        assert_eq!(spread(&[7.0]), of(7.0, 7.0, 7.0));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // The machine got slower for both alike.
        let pairs = [(100.0, 10.0), (50.0, 5.0), (20.0, 2.0), (11.0, 1.0)];
        let ratio = Ratio::of("x", Figure::Values, "", &pairs).unwrap();
        assert_eq!(ratio.ratio.median, 10.0);
        assert_eq!((ratio.ratio.least, ratio.ratio.most), (10.0, 11.0));
        assert_eq!(ratio.line(), "x 35.0 3.5 10.000");
        assert_eq!(Ratio::of("x", Figure::Values, "", &[]), None);
        assert_eq!(Ratio::of("x", Figure::Values, "", &[(1.0, 0.0)]), None);
    }

    #[test]
    fn a_difference_needs_both_sides() {
        let figure = |row: usize| [300.0, 100.0].get(row).copied();
        assert_eq!(Side::Above(0, 1).value(figure), Some(200.0));
        assert_eq!(Side::Above(0, 2).value(figure), None);
        assert_eq!(Side::Row(1).value(figure), Some(100.0));
        assert_eq!(Side::Known(51).value(figure), Some(51.0));
        assert!(Side::Known(51).rows().is_empty());
    }
}
