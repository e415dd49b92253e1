//! Values made up for experiments: `--count N` or `--seconds S`, `--size BYTES`,
//! and at what pace, `--rate R`.
//!
//! Making a value must cost next to nothing, or an experiment would measure this
//! file. So the text of a value is kept, its number counted up in place, and the one
//! who takes the value copies it.

use std::time::Duration;

use crate::protocol::Time;

/// What to make up, and how fast.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Plan {
    /// How many values, if there is an end to them.
    pub count: Option<u64>,
    /// For how long, if there is an end to that.
    pub lasting: Option<Duration>,
    /// Bytes of each.
    pub size: usize,
    /// How many of them a second; as many as are asked for without it.
    pub rate: Option<f64>,
}

/// Makes values, each of them different from all others, at a given pace.
#[derive(Debug)]
pub struct Generator {
    plan: Plan,
    client: u16,
    made: u64,
    started: Time,
    /// The last value made: `client-1-value-`, nine digits or more, dots.
    text: Vec<u8>,
    /// Where the digits end.
    digits_end: usize,
}

/// What a generator has right now.
#[derive(Debug, PartialEq, Eq)]
pub enum Made<'a> {
    /// A value, and when it was due: earlier than now where a pace could not be kept.
    Value(&'a [u8], Time),
    /// Nothing before this time.
    At(Time),
    /// Nothing any more.
    End,
}

impl Generator {
    /// Digits of a value's number, with zeros in front.
    const DIGITS: usize = 9;

    /// A generator that begins now.
    pub fn new(client: u16, plan: Plan, now: Time) -> Generator {
        Generator {
            plan,
            client,
            made: 0,
            started: now,
            text: Vec::new(),
            digits_end: 0,
        }
    }

    /// The next value, if it is time.
    pub fn next(&mut self, now: Time) -> Made<'_> {
        if self.has_ended(now) {
            return Made::End;
        }
        let due = match self.due() {
            Some(due) if due > now => return Made::At(due),
            Some(due) => due,
            None => now,
        };
        self.made += 1;
        Made::Value(self.value(), due)
    }

    /// When the next value is due, or the end, if there is a pace.
    pub fn due(&self) -> Option<Time> {
        let rate = self.plan.rate?;
        if self.plan.count == Some(self.made) {
            return None;
        }
        let seconds = self.made as f64 / rate;
        // As a number of nanoseconds a very slow pace saturates, which is never.
        let due = Time(self.started.0.saturating_add((seconds * 1e9) as u64));
        Some(self.end().map_or(due, |end| due.min(end)))
    }

    /// When nothing more is made, if that is known.
    pub fn end(&self) -> Option<Time> {
        self.plan.lasting.map(|lasting| self.started + lasting)
    }

    fn has_ended(&self, now: Time) -> bool {
        self.plan.count == Some(self.made) || self.end().is_some_and(|end| end <= now)
    }

    /// Who made it, its number, and dots up to the size. A size that is smaller
    /// than the first two yields to them.
    fn value(&mut self) -> &[u8] {
        if !self.count_up() {
            self.write_anew();
        }
        &self.text
    }

    /// Adds one to the number in the text; not possible where it gets longer.
    fn count_up(&mut self) -> bool {
        let digits = &mut self.text[..self.digits_end];
        for digit in digits.iter_mut().rev() {
            match digit {
                b'0'..=b'8' => {
                    *digit += 1;
                    return true;
                }
                b'9' => *digit = b'0',
                _ => return false,
            }
        }
        false
    }

    fn write_anew(&mut self) {
        let digits = Self::DIGITS;
        self.text = format!("client-{}-value-{:0digits$}", self.client, self.made).into_bytes();
        self.digits_end = self.text.len();
        self.text.resize(self.digits_end.max(self.plan.size), b'.');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn plan(count: u64, size: usize) -> Plan {
        Plan {
            count: Some(count),
            size,
            ..Plan::default()
        }
    }

    #[test]
    fn values_differ_and_have_their_size() {
        let mut generator = Generator::new(3, plan(1000, 64), Time(0));
        let mut seen = BTreeSet::new();
        while let Made::Value(value, _) = generator.next(Time(0)) {
            assert_eq!(value.len(), 64);
            assert!(!value.contains(&b'\n'));
            seen.insert(value.to_vec());
        }
        assert_eq!(seen.len(), 1000);
        assert_eq!(generator.next(Time(0)), Made::End);
    }

    #[test]
    fn a_value_says_who_made_it_and_which_it_is() {
        let mut generator = Generator::new(3, plan(u64::MAX, 30), Time(0));
        let mut next = |made| {
            generator.made = made;
            generator.text.clear();
            generator.digits_end = 0;
            let mut two = Vec::new();
            for _ in 0..2 {
                match generator.next(Time(0)) {
                    Made::Value(value, _) => two.push(String::from_utf8(value.to_vec()).unwrap()),
                    other => panic!("{other:?}"),
                }
            }
            two
        };
        assert_eq!(
            next(0),
            [
                "client-3-value-000000001......",
                "client-3-value-000000002......"
            ]
        );
        assert_eq!(next(1_099)[1], "client-3-value-000001101......");
        // The number outgrows its nine digits.
        assert_eq!(
            next(999_999_998),
            [
                "client-3-value-999999999......",
                "client-3-value-1000000000....."
            ]
        );
    }

    #[test]
    fn a_size_too_small_for_being_different_yields() {
        let mut generator = Generator::new(3, plan(2, 1), Time(0));
        let mut next = || match generator.next(Time(0)) {
            Made::Value(value, _) => value.to_vec(),
            other => panic!("{other:?} instead of a value"),
        };
        assert_ne!(next(), next());
    }

    #[test]
    fn the_pace_is_kept_and_what_is_late_says_so() {
        let paced = Plan {
            rate: Some(10.0),
            ..plan(3, 20)
        };
        let mut generator = Generator::new(1, paced, Time(500));
        assert!(matches!(generator.next(Time(500)), Made::Value(_, at) if at == Time(500)));
        let due = Time(100_000_500);
        assert_eq!(generator.next(Time(600)), Made::At(due));
        assert_eq!(generator.due(), Some(due));
        // Nobody asked for half a second.
        let late = Time(500_000_000);
        assert!(matches!(generator.next(late), Made::Value(_, at) if at == due));
        assert!(matches!(generator.next(late), Made::Value(_, at) if at == Time(200_000_500)));
        assert_eq!(generator.due(), None);
        assert_eq!(generator.next(late), Made::End);
    }

    #[test]
    fn time_ends_it_whatever_the_pace() {
        let lasting = Plan {
            lasting: Some(Duration::from_millis(50)),
            size: 20,
            ..Plan::default()
        };
        let end = Time(50_000_000);
        let mut generator = Generator::new(1, lasting, Time(0));
        assert!(matches!(generator.next(Time(49_999_999)), Made::Value(..)));
        assert_eq!(generator.next(end), Made::End);
        let slow = Plan {
            rate: Some(1.0),
            ..lasting
        };
        let mut generator = Generator::new(1, slow, Time(0));
        assert!(matches!(generator.next(Time(0)), Made::Value(..)));
        assert_eq!(generator.next(Time(1)), Made::At(end));
        assert_eq!(generator.next(end), Made::End);
    }
}
