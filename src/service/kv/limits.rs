//! A limit on everything that the store keeps, and on what one command may ask.
//!
//! Limits decide what is refused, so they decide the state: every replica must
//! have the same.

/// What is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys in all.
    pub keys: usize,
    /// Bytes in all: keys, values, and [`Limits::OVERHEAD`] for each key.
    pub bytes: usize,
}

impl Limits {
    /// Bytes of a key.
    pub const KEY: usize = 64 << 10;

    /// Bytes of a value. With the longest key it still makes a command.
    pub const VALUE: usize = (1 << 20) - (72 << 10);

    /// Bytes of a command as it stands in the log: the largest value of a
    /// session, less room for an envelope.
    pub const COMMAND: usize = (1 << 20) - (4 << 10);

    /// Commands in a transaction, and keys that it watches.
    pub const TRANSACTION: usize = 10_000;

    /// Bytes of a reply.
    pub const REPLY: usize = 16 << 20;

    /// Keys that one SCAN looks at.
    pub const SCAN: u32 = 10_000;

    /// Steps of comparing keys with a pattern in one command.
    pub const STEPS: u64 = 20_000_000;

    /// Keys whose time is over that a command removes in passing.
    pub const SWEEP: usize = 256;

    /// What a key costs beside its bytes, about.
    pub const OVERHEAD: usize = 160;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            keys: 16_000_000,
            bytes: 4 << 30,
        }
    }
}
