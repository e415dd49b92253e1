//! Where all chance comes from: named streams drawn from one seed.
//!
//! Every component has a stream of its own, so that one more draw in the
//! network does not change what the disks do. Nothing here uses the platform's
//! floating-point library beyond the four operations: a seed means the same run
//! on every machine.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// A stream of random choices.
#[derive(Clone, Debug)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The stream called `name` of this seed.
    pub fn new(seed: u64, name: &str) -> Random {
        // FNV-1a: enough to keep the names apart.
        let name = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Random(Xoshiro256PlusPlus::seed_from_u64(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name,
        ))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from `from` to `through`.
    pub fn between(&mut self, from: u64, through: u64) -> u64 {
        debug_assert!(from <= through);
        let span = u128::from(through - from) + 1;
        from + ((u128::from(self.number()) * span) >> 64) as u64
    }

    /// A place in a list of `length` things, which must not be empty.
    pub fn place(&mut self, length: usize) -> usize {
        self.between(0, length as u64 - 1) as usize
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.place(choices.len())]
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        // No draw for what cannot happen: a class that is off costs nothing.
        probability > 0.0 && (self.number() >> 11) as f64 * (0.5f64).powi(53) < probability
    }

    /// A probability up to `most`.
    pub fn probability(&mut self, most: f64) -> f64 {
        most * self.between(0, 1_000_000) as f64 / 1e6
    }

    /// A duration from `from` to `through`.
    pub fn duration(&mut self, from: Duration, through: Duration) -> Duration {
        Duration::from_nanos(self.between(from.as_nanos() as u64, through.as_nanos() as u64))
    }

    /// An exponentially distributed duration, near enough.
    ///
    /// The logarithm of a uniform number is read off its binary form: the
    /// leading zeros are its whole part, the bits behind them a straight line
    /// through its fraction.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        let bits = self.number() | 1;
        let zeros = bits.leading_zeros();
        let fraction = ((bits << zeros) << 1) >> 44;
        let log2 = (u64::from(zeros + 1) << 20) - fraction;
        // The mean of that logarithm is one and a half.
        let nanos = u128::from(log2) * mean.as_nanos() * 2 / 3;
        Duration::from_nanos((nanos >> 20) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_of_a_seed_differ_and_repeat() {
        let draw = |seed, name| Random::new(seed, name).number();
        assert_eq!(draw(7, "network"), draw(7, "network"));
        assert_ne!(draw(7, "network"), draw(7, "disk"));
        assert_ne!(draw(7, "network"), draw(8, "network"));
    }

    #[test]
    fn distributions_have_the_means_they_name() {
        let mut random = Random::new(1, "test");
        let draws = 100_000;
        let mean = Duration::from_millis(10);
        let sum: Duration = (0..draws).map(|_| random.exponential(mean)).sum();
        let found = sum.as_secs_f64() / f64::from(draws);
        assert!((0.0098..0.0102).contains(&found), "mean {found}");
        let hits = (0..draws).filter(|_| random.chance(0.3)).count();
        assert!((29_000..31_000).contains(&hits), "{hits} hits");
        assert!((0..draws).all(|_| (3..=5).contains(&random.between(3, 5))));
    }
}
