//! Numbers, durations and sizes, as people write them.
//!
//! Read by exact decimal arithmetic: `0.1` is 100 milliseconds and not a
//! neighbour of it, there is no infinity, and nothing wraps, since a number too
//! large to hold is too large for every bound.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::word::Word;

/// Reads a duration: bare seconds, or a number with a unit.
pub(super) fn duration(word: &Word, bounds: RangeInclusive<Duration>) -> Result<Duration, String> {
    let text = word.lossy();
    let (digits, unit) = split_unit(&text);
    let unit: u128 = match unit {
        "us" => 1_000,
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        _ => return Err(no_duration(word)),
    };
    let nanoseconds = decimal(digits, unit)
        .ok_or_else(|| no_duration(word))?
        .value;
    let (least, most) = bounds.into_inner();
    if nanoseconds < least.as_nanos() || nanoseconds > most.as_nanos() {
        return Err(out_of_bounds(
            word,
            show_duration(least),
            show_duration(most),
        ));
    }
    // Below the bound, which is itself a duration, every number of nanoseconds fits.
    let seconds = (nanoseconds / NANOSECONDS) as u64;
    Ok(Duration::new(seconds, (nanoseconds % NANOSECONDS) as u32))
}

/// Writes a duration so that it reads back exactly.
pub(super) fn show_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        "0".to_owned()
    } else if nanoseconds.is_multiple_of(NANOSECONDS) {
        format!("{}s", nanoseconds / NANOSECONDS)
    } else if nanoseconds.is_multiple_of(1_000_000) {
        format!("{}ms", nanoseconds / 1_000_000)
    } else if nanoseconds.is_multiple_of(1_000) {
        format!("{}us", nanoseconds / 1_000)
    } else {
        format!("{}.{:03}us", nanoseconds / 1_000, nanoseconds % 1_000)
    }
}

/// Reads a size: bare bytes, or a number with a unit.
pub(super) fn size(word: &Word, bounds: RangeInclusive<usize>) -> Result<usize, String> {
    let text = word.lossy();
    let (digits, unit) = split_unit(&text);
    let unit: u128 = match unit {
        "" => 1,
        "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        _ => return Err(no_size(word)),
    };
    let bytes = decimal(digits, unit)
        .filter(|bytes| bytes.exact)
        .ok_or_else(|| no_size(word))?;
    let (least, most) = bounds.into_inner();
    usize::try_from(bytes.value)
        .ok()
        .filter(|bytes| (least..=most).contains(bytes))
        .ok_or_else(|| out_of_bounds(word, show_size(least), show_size(most)))
}

/// Writes a size so that it reads back exactly.
pub(super) fn show_size(bytes: usize) -> String {
    if bytes == 0 || !bytes.is_multiple_of(1 << 10) {
        bytes.to_string()
    } else if !bytes.is_multiple_of(1 << 20) {
        format!("{}KiB", bytes >> 10)
    } else {
        format!("{}MiB", bytes >> 20)
    }
}

/// Reads a whole number.
pub(super) fn number<N>(word: &Word, bounds: RangeInclusive<N>) -> Result<N, String>
where
    N: Copy + Display + PartialOrd + TryFrom<u128>,
{
    let text = word.lossy();
    let number = Some(text.as_str())
        .filter(|digits| !digits.contains('.'))
        .and_then(|digits| decimal(digits, 1))
        .ok_or_else(|| format!("{word} is no whole number: write digits only"))?;
    N::try_from(number.value)
        .ok()
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| out_of_bounds(word, bounds.start(), bounds.end()))
}

const NANOSECONDS: u128 = 1_000_000_000;

fn no_duration(word: &Word) -> String {
    format!("{word} is no duration: write seconds (0.1) or a number with us, ms, s or m (50ms)")
}

fn no_size(word: &Word) -> String {
    format!(
        "{word} is no size: write whole bytes (65536) or a number with kB, KiB, MB or MiB (8MiB)"
    )
}

fn out_of_bounds(word: &Word, least: impl Display, most: impl Display) -> String {
    format!("{word} is out of bounds: write {least} through {most}")
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

struct Decimal {
    /// The number times its unit, rounded down, `u128::MAX` when too large.
    value: u128,
    /// Whether nothing was rounded away.
    exact: bool,
}

/// Reads digits with at most one point among them, times `unit`, which is below 2^64.
fn decimal(text: &str, unit: u128) -> Option<Decimal> {
    /// As many digits behind the point as are looked at; ten to their number,
    /// times a unit, stays within a `u128`.
    const PLACES: usize = 18;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let read = |text: &str| {
        text.bytes().fold(0u128, |value, digit| {
            value
                .saturating_mul(10)
                .saturating_add(u128::from(digit - b'0'))
        })
    };
    let (near, far) = fraction.split_at(fraction.len().min(PLACES));
    let tenths = 10u128.pow(near.len() as u32);
    let part = read(near) * unit;
    Some(Decimal {
        value: read(whole)
            .saturating_mul(unit)
            .saturating_add(part / tenths),
        exact: part.is_multiple_of(tenths) && far.bytes().all(|digit| digit == b'0'),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word(text: &str) -> Word {
        Word::split(text.as_bytes()).unwrap().remove(0)
    }

    const ANY: RangeInclusive<Duration> = Duration::ZERO..=Duration::MAX;

    #[test]
    fn durations_as_people_write_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0.1", 100_000_000),
            (".5", 500_000_000),
            ("2.", 2_000_000_000),
            ("50ms", 50_000_000),
            ("1.5ms", 1_500_000),
            ("250us", 250_000),
            ("0.001us", 1),
            ("3s", 3_000_000_000),
            ("2m", 120_000_000_000),
            ("007", 7_000_000_000),
            ("0.0000000009", 0),
        ] {
            let read = duration(&word(text), ANY);
            assert_eq!(read, Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "-1", "nan", "NaN", "inf", "1e3", "+1", "1.2.3", ".", "ms", "5 ms", "5MS", "5h",
            "0x10", "1,5", "٣",
        ] {
            // Quoted, so that white space stays inside the word.
            let what = duration(&word(&format!("\"{text}\"")), ANY).unwrap_err();
            assert!(what.contains("is no duration"), "{text}: {what}");
        }
    }

    #[test]
    fn the_absurdly_large_is_out_of_bounds() {
        let huge = "9".repeat(400);
        let hour = Duration::from_secs(3600);
        for text in [huge.as_str(), "340282366920938463463374607431768211456m"] {
            let what = duration(&word(text), Duration::ZERO..=hour).unwrap_err();
            assert!(what.ends_with("write 0 through 3600s"), "{what}");
            assert!(duration(&word(text), ANY).is_err());
            assert!(size(&word(text), 0..=usize::MAX).is_err());
            assert!(number(&word(text), 0..=u64::MAX).is_err());
        }
        let long = format!("0.{huge}");
        assert_eq!(
            duration(&word(&long), ANY),
            Ok(Duration::from_nanos(999_999_999))
        );
    }

    #[test]
    fn sizes_are_whole_bytes() {
        for (text, bytes) in [
            ("1472", 1472),
            ("8MiB", 8 << 20),
            ("1.5KiB", 1536),
            ("9kB", 9000),
            ("2MB", 2_000_000),
        ] {
            assert_eq!(size(&word(text), 0..=usize::MAX), Ok(bytes), "{text}");
        }
        for text in [
            "1.5",
            "0.3KiB",
            "8mb",
            "8M",
            "KiB",
            "-1",
            "1.0000000000000000000001",
        ] {
            let what = size(&word(text), 0..=usize::MAX).unwrap_err();
            assert!(what.contains("is no size"), "{text}: {what}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(number(&word("5000"), 1..=65_535u16), Ok(5000));
        let what = number(&word("70000"), 1..=65_535u16).unwrap_err();
        assert_eq!(what, "\"70000\" is out of bounds: write 1 through 65535");
        let what = number(&word("3.0"), 1..=9u16).unwrap_err();
        assert_eq!(what, "\"3.0\" is no whole number: write digits only");
    }

    proptest! {
        #[test]
        fn shown_durations_read_back(seconds: u32, nanoseconds in 0..1_000_000_000u32) {
            let written = Duration::new(u64::from(seconds), nanoseconds);
            prop_assert_eq!(duration(&word(&show_duration(written)), ANY), Ok(written));
        }

        #[test]
        fn shown_sizes_read_back(units in 0..5000usize, shift in 0..21u32) {
            let written = units << shift;
            prop_assert_eq!(size(&word(&show_size(written)), 0..=usize::MAX), Ok(written));
        }
    }
}
