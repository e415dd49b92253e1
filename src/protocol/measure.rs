//! How much a role holds, beside how much it may.
//!
//! Everything a role keeps has a named limit. Whoever drives a role in a test
//! asks for its measures now and then and finds out whether each limit holds,
//! and whether what is counted by hand still agrees with what is there.

use std::fmt;

/// One thing that a role holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// What it is.
    pub what: &'static str,
    /// How much of it there is.
    pub held: usize,
    /// How much there may be.
    pub limit: usize,
}

impl Measure {
    /// So much is held of this, and so much may be.
    pub fn new(what: &'static str, held: usize, limit: usize) -> Measure {
        Measure { what, held, limit }
    }

    /// Something is counted by hand, and was counted anew: no difference is allowed.
    pub fn miscount(what: &'static str, counted: usize, found: usize) -> Measure {
        Measure::new(what, counted.abs_diff(found), 0)
    }

    /// Whether the limit holds.
    pub fn is_within(&self) -> bool {
        self.held <= self.limit
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of at most {}", self.what, self.held, self.limit)
    }
}
