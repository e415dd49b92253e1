//! Values made up for experiments: `--count N --size BYTES [--rate R]`.

use bytes::Bytes;

use crate::protocol::Time;

/// Makes values, each of them different from all others, at a given pace.
#[derive(Debug)]
pub struct Generator {
    client: u16,
    count: u64,
    size: usize,
    rate: Option<f64>,
    made: u64,
    started: Time,
}

/// What a generator has right now.
#[derive(Debug, PartialEq, Eq)]
pub enum Made {
    /// A value.
    Value(Bytes),
    /// Nothing before this time.
    At(Time),
    /// Nothing any more.
    End,
}

impl Generator {
    /// A generator of `count` values of `size` bytes, `rate` of them a second
    /// or as many as are asked for.
    pub fn new(client: u16, count: u64, size: usize, rate: Option<f64>, now: Time) -> Generator {
        Generator {
            client,
            count,
            size,
            rate,
            made: 0,
            started: now,
        }
    }

    /// The next value, if it is time.
    pub fn next(&mut self, now: Time) -> Made {
        if self.made == self.count {
            return Made::End;
        }
        if let Some(due) = self.due().filter(|due| *due > now) {
            return Made::At(due);
        }
        self.made += 1;
        Made::Value(self.value(self.made))
    }

    /// When the next value is due, if there is a pace.
    pub fn due(&self) -> Option<Time> {
        let rate = self.rate.filter(|_| self.made < self.count)?;
        let seconds = self.made as f64 / rate;
        // As a number of nanoseconds a very slow pace saturates, which is never.
        Some(Time(self.started.0.saturating_add((seconds * 1e9) as u64)))
    }

    /// Who made it, its number, and dots up to the size. A size that is smaller
    /// than the first two yields to them.
    fn value(&self, number: u64) -> Bytes {
        let mut text = format!("client-{}-value-{number:09}", self.client).into_bytes();
        text.resize(text.len().max(self.size), b'.');
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn values_differ_and_have_their_size() {
        let mut generator = Generator::new(3, 1000, 64, None, Time(0));
        let mut seen = BTreeSet::new();
        while let Made::Value(value) = generator.next(Time(0)) {
            assert_eq!(value.len(), 64);
            assert!(!value.contains(&b'\n'));
            seen.insert(value);
        }
        assert_eq!(seen.len(), 1000);
        assert_eq!(generator.next(Time(0)), Made::End);
    }

    #[test]
    fn a_size_too_small_for_being_different_yields() {
        let mut generator = Generator::new(3, 2, 1, None, Time(0));
        let (Made::Value(a), Made::Value(b)) = (generator.next(Time(0)), generator.next(Time(0)))
        else {
            panic!("two values were asked for");
        };
        assert_ne!(a, b);
    }

    #[test]
    fn the_pace_is_kept() {
        let mut generator = Generator::new(1, 3, 20, Some(10.0), Time(500));
        assert!(matches!(generator.next(Time(500)), Made::Value(_)));
        let due = Time(100_000_500);
        assert_eq!(generator.next(Time(600)), Made::At(due));
        assert_eq!(generator.due(), Some(due));
        assert!(matches!(generator.next(due), Made::Value(_)));
        assert!(matches!(generator.next(Time(200_000_500)), Made::Value(_)));
        assert_eq!(generator.due(), None);
    }
}
