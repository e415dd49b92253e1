//! A daemon's line of statistics, read back.

use std::collections::BTreeMap;

use super::Excuse;

/// The `key=value` pairs of one line whose values are numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts(BTreeMap<String, f64>);

impl Facts {
    /// Reads a line; what is no number is left out.
    pub fn read(line: &str) -> Facts {
        let pairs = line.split_whitespace().filter_map(|word| {
            let (key, value) = word.split_once('=')?;
            Some((key.to_owned(), value.parse().ok()?))
        });
        Facts(pairs.collect())
    }

    /// The number behind a key.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn of(&self, key: &str) -> Result<f64, Excuse> {
        self.0
            .get(key)
            .copied()
            .ok_or_else(|| Excuse::Failed(format!("the statistics do not say {key}")))
    }

    /// How much a count grew from an earlier line to this one.
    ///
    /// # Errors
    ///
    /// When one of them does not have it.
    pub fn since(&self, earlier: &Facts, key: &str) -> Result<f64, Excuse> {
        Ok(self.of(key)? - earlier.of(key)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_and_words_are_not() {
        let before = Facts::read("statistics role=learner id=2 seconds=1.500 values=7");
        let after = Facts::read("statistics role=learner id=2 seconds=2.250 values=107");
        assert_eq!(after.since(&before, "values"), Ok(100.0));
        assert_eq!(after.since(&before, "seconds"), Ok(0.75));
        assert!(before.of("role").is_err());
        assert!(before.of("kernel_drops").is_err());
    }
}
