//! Log time: the time that passes by commands.
//!
//! Each command carries the clock of whoever submitted it; the time is the
//! highest of them. So all replicas agree on what time it is at each place of
//! the order, whatever their own clocks say, and it never runs backwards.
//!
//! A clock that is years ahead must not end the life of every key with one
//! command: one command moves the time by at most [`LogTime::LEAP`]. A stamp that
//! no clock can show is not believed at all, not even as the first.

/// The time of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogTime(u64);

impl LogTime {
    /// Milliseconds by which one command moves the time at most.
    pub const LEAP: u64 = 60 * 60 * 1000;

    /// The year 2200: no clock shows more.
    pub const LAST: u64 = 7_258_118_400_000;

    /// As it was written down.
    pub fn at(milliseconds: u64) -> LogTime {
        LogTime(milliseconds)
    }

    /// Milliseconds since 1970; 0 before the first command.
    pub fn now(self) -> u64 {
        self.0
    }

    /// A command with this stamp was submitted.
    pub fn hear(&mut self, stamp: u64) {
        if stamp <= self.0 || stamp > Self::LAST {
            return;
        }
        self.0 = match self.0 {
            0 => stamp,
            now => stamp.min(now + Self::LEAP),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_highest_heard_and_leaps_only_so_far() {
        let mut time = LogTime::default();
        time.hear(LogTime::LAST + 1);
        assert_eq!(time.now(), 0, "not even as the first");
        time.hear(1_000);
        time.hear(900);
        assert_eq!(time.now(), 1_000);
        time.hear(LogTime::LAST);
        assert_eq!(time.now(), 1_000 + LogTime::LEAP);
        time.hear(u64::MAX);
        assert_eq!(time.now(), 1_000 + LogTime::LEAP);
    }
}
