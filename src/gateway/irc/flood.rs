//! How fast a client may talk.

use std::str::FromStr;
use std::time::Duration;

use crate::protocol::Time;

/// So many lines at once, and as many again in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// Lines.
    pub lines: u32,
    /// Seconds.
    pub seconds: u32,
}

impl Default for Flood {
    fn default() -> Flood {
        Flood {
            lines: 20,
            seconds: 10,
        }
    }
}

impl FromStr for Flood {
    type Err = String;

    fn from_str(text: &str) -> Result<Flood, String> {
        let parsed = text.split_once('/').and_then(|(lines, seconds)| {
            let (lines, seconds) = (lines.parse().ok()?, seconds.parse().ok()?);
            Some(Flood { lines, seconds })
        });
        let sane = parsed.filter(|flood| flood.lines > 0 && flood.seconds > 0);
        sane.ok_or_else(|| "that is not LINES/SECONDS, both at least 1, such as 20/10".to_owned())
    }
}

impl Flood {
    fn each(self) -> u64 {
        Duration::from_secs(self.seconds.into()).as_nanos() as u64 / u64::from(self.lines)
    }
}

/// What one client has left of it.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// When all that was used will have come back.
    full: Time,
}

impl Bucket {
    /// One from which nothing was taken.
    pub fn new(now: Time) -> Bucket {
        Bucket { full: now }
    }

    /// Takes a line out, if there is one; else says when there is.
    pub fn take(&mut self, now: Time, flood: Flood) -> Result<(), Time> {
        let each = flood.each();
        let full = self.full.max(now);
        let room = each * u64::from(flood.lines);
        if full.0 + each > now.0 + room {
            return Err(Time(full.0 + each - room));
        }
        self.full = Time(full.0 + each);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_as_time_passes() {
        let flood: Flood = "3/6".parse().expect("one");
        let second = 1_000_000_000;
        let start = Time(100 * second);
        let mut bucket = Bucket::new(start);
        for _ in 0..3 {
            assert_eq!(bucket.take(start, flood), Ok(()));
        }
        let next = Time(102 * second);
        assert_eq!(bucket.take(start, flood), Err(next));
        assert_eq!(bucket.take(Time(next.0 - 1), flood), Err(next));
        assert_eq!(bucket.take(next, flood), Ok(()));
        assert!(bucket.take(next, flood).is_err());
        let late = Time(1000 * second);
        let taken = (0..10).filter(|_| bucket.take(late, flood).is_ok()).count();
        assert_eq!(taken, 3, "what was not used is not saved up");
        for wrong in ["", "5", "0/1", "1/0", "x/y", "1/2/3"] {
            assert!(wrong.parse::<Flood>().is_err(), "{wrong}");
        }
    }
}
