//! Chance, handed in as a seed: back-offs that do not march in step.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// A portable random generator: the same seed gives the same draws on every machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jitter(Xoshiro256PlusPlus);

/// Nothing is hashed: chance decides when things happen, never what, so roles that
/// differ only in what they will draw next may well share a hash.
impl Hash for Jitter {
    fn hash<H: Hasher>(&self, _state: &mut H) {}
}

impl Jitter {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Jitter {
        Jitter(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A duration from `least` through `most`.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (least, most) = (nanos(least), nanos(most));
        Duration::from_nanos(self.0.random_range(least..=most.max(least)))
    }

    /// A number below `limit`.
    ///
    /// # Panics
    ///
    /// When `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.random_range(0..limit)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.random()
    }
}
