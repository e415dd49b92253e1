//! The name of a connection, for what comes back to it later.

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Its place in the crowd.
    pub slot: usize,
    /// Which guest of that place.
    pub generation: u32,
}
