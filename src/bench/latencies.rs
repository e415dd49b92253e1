//! Histograms of latencies: one shape for all contestants, so that they can be
//! added up, and the file that a client writes.

use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use serde::Deserialize;

use super::Excuse;

/// A histogram for latencies in nanoseconds, from 1 µs to a minute, with three
/// significant digits.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are in order")
}

/// What `client --latencies FILE` writes.
#[derive(Deserialize)]
struct Written {
    unit: String,
    count: u64,
    buckets: Vec<(u64, u64)>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_add_up_to_what_one_histogram_would_have_seen() {
        let mut together = latencies();
        let mut merged = latencies();
        for client in 1..=3u64 {
            let mut own = latencies();
            for n in 0..10_000u64 {
                let latency = 1_000 + client * n * n;
                own.record(latency).unwrap();
                together.record(latency).unwrap();
            }
            let buckets: Vec<(u64, u64)> = own
                .iter_recorded()
                .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
                .collect();
            let text = serde_json::json!({"unit": "ns", "count": own.len(), "buckets": buckets});
            add(&mut merged, text.to_string().as_bytes()).unwrap();
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
}
