//! Warnings that do not flood: one a second for each reason.
//!
//! Whatever a stranger can cause by sending datagrams, or the kernel by
//! refusing ours, happens thousands of times a second or not at all. Everything
//! is counted; a line is written for the first of a kind, and then at most once
//! a second with the number that went unsaid.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::protocol::Time;

/// Which reasons were mentioned when.
#[derive(Debug, Default)]
pub struct Notices {
    reasons: BTreeMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    at: Time,
    unsaid: u64,
}

impl Notices {
    /// The least time between two lines for one reason.
    pub const PAUSE: Duration = Duration::from_secs(1);

    /// How many reasons are told apart. Reasons may carry a sender's address,
    /// and addresses can be forged without end.
    const MOST: usize = 256;

    /// Writes a warning, unless this reason had one within the last second.
    pub fn warn(&mut self, now: Time, reason: &str, text: impl FnOnce() -> String) {
        if let Some(unsaid) = self.due(now, reason) {
            match unsaid {
                0 => log::warn!("{}", text()),
                _ => log::warn!("{} ({unsaid} more like this since)", text()),
            }
        }
    }

    /// Whether this reason may be mentioned now; if so, how often it was kept quiet.
    fn due(&mut self, now: Time, reason: &str) -> Option<u64> {
        if let Some(said) = self.reasons.get_mut(reason) {
            if now.since(said.at) < Self::PAUSE {
                said.unsaid += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.unsaid));
        }
        if self.reasons.len() >= Self::MOST {
            self.reasons
                .retain(|_, said| now.since(said.at) < Self::PAUSE);
        }
        if self.reasons.len() >= Self::MOST {
            return None;
        }
        self.reasons
            .insert(reason.to_owned(), Said { at: now, unsaid: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_speaks_once_a_second_and_counts_its_silence() {
        let mut notices = Notices::default();
        assert_eq!(notices.due(Time(0), "full"), Some(0));
        for n in 1..=5 {
            assert_eq!(notices.due(Time(n), "full"), None);
        }
        assert_eq!(notices.due(Time(6), "denied"), Some(0));
        assert_eq!(notices.due(Time(1_000_000_000), "full"), Some(5));
        assert_eq!(notices.due(Time(2_000_000_000), "full"), Some(0));
    }

    #[test]
    fn a_flood_of_reasons_is_bounded() {
        let mut notices = Notices::default();
        let spoken = (0..10_000)
            .filter(|n| notices.due(Time(0), &format!("from {n}")).is_some())
            .count();
        assert_eq!(spoken, Notices::MOST);
        assert_eq!(notices.due(Time(2_000_000_000), "later"), Some(0));
    }
}
