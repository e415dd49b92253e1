//! Histograms of latencies: one shape for all contestants, so that they can be
//! added up, and the file that clients write.

use std::fs;
use std::io;
use std::path::Path;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::Excuse;

/// A histogram for latencies in nanoseconds, from 1 µs to a minute, with three
/// significant digits.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are in order")
}

/// What `--latencies FILE` writes.
#[derive(Deserialize, Serialize)]
struct Written {
    unit: String,
    count: u64,
    buckets: Vec<(u64, u64)>,
}

/// Writes a histogram as clients do.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_file(histogram: &Histogram<u64>, path: &Path) -> io::Result<()> {
    let written = Written {
        unit: "ns".to_owned(),
        count: histogram.len(),
        buckets: histogram
            .iter_recorded()
            .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
            .collect(),
    };
    fs::write(path, serde_json::to_vec(&written)?)
}

/// Adds what a client wrote to a histogram.
///
/// # Errors
///
/// When the file cannot be read or is no such file.
pub fn add_file(histogram: &mut Histogram<u64>, path: &Path) -> Result<(), Excuse> {
    let bytes = fs::read(path)
        .map_err(|error| Excuse::Failed(format!("cannot read {}: {error}", path.display())))?;
    add(histogram, &bytes).map_err(|what| Excuse::Failed(format!("{}: {what}", path.display())))
}

fn add(histogram: &mut Histogram<u64>, bytes: &[u8]) -> Result<(), String> {
    let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if written.unit != "ns" {
        return Err(format!("latencies in {:?} instead of ns", written.unit));
    }
    let mut counted = 0;
    for (value, count) in written.buckets {
        histogram.saturating_record_n(value, count);
        counted += count;
    }
    match counted == written.count {
        true => Ok(()),
        false => Err(format!("{counted} of {} values are there", written.count)),
    }
}

/// The percentiles of a histogram, closer to each other the nearer they are to
/// the end, as far as there are values enough.
pub fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let mut curve = Vec::new();
    let mut beyond = 1.0;
    // The last part that is told has ten values beyond it.
    while beyond * histogram.len() as f64 >= 10.0 {
        let part = 1.0 - beyond;
        curve.push((part, histogram.value_at_quantile(part) as f64 / 1e3));
        beyond *= 0.8;
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_add_up_to_what_one_histogram_would_have_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("latencies");
        let mut together = latencies();
        let mut merged = latencies();
        for client in 1..=3u64 {
            let mut own = latencies();
            for n in 0..10_000u64 {
                let latency = 1_000 + client * n * n;
                own.record(latency).unwrap();
                together.record(latency).unwrap();
            }
            write_file(&own, &path).unwrap();
            add_file(&mut merged, &path).unwrap();
        }
        assert_eq!(merged, together);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let mut histogram = latencies();
        let mut refuse = |text: &str| add(&mut histogram, text.as_bytes()).unwrap_err();
        assert!(refuse("{}").contains("unit"));
        assert!(refuse(r#"{"unit":"s","count":0,"buckets":[]}"#).contains("instead of ns"));
        let short = r#"{"unit":"ns","count":3,"buckets":[[5,1],[6,1]]}"#;
        assert_eq!(refuse(short), "2 of 3 values are there");
    }

    #[test]
    fn a_curve_ends_where_values_get_few() {
        let mut histogram = latencies();
        for n in 1..=100_000u64 {
            histogram.record(n * 1_000).unwrap();
        }
        let curve = curve(&histogram);
        assert_eq!(curve[0].0, 0.0);
        let (part, latency) = curve[curve.len() - 1];
        assert!((0.9998..0.9999).contains(&part), "{part}");
        assert!((99_900.0..100_100.0).contains(&latency), "{latency}");
        assert!(curve.windows(2).all(|two| two[0].1 <= two[1].1));
        assert!(super::curve(&latencies()).is_empty());
    }
}
