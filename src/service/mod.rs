//! What stands on the ordered log: services, each a deterministic state machine.
//!
//! Every replica applies the same commands in the same order, so every replica
//! has the same state, if and only if applying is a *function* of the state and
//! the command. That is what [`StateMachine`] asks for:
//!
//! - *Deterministic*: no clock, no chance, no order of a hash table, no number
//!   with a fraction. Time is part of the commands.
//! - *Total*: any bytes are a command. What cannot be done, or is no command at
//!   all, is refused in the reply, and refused alike everywhere. A command that
//!   ends one replica would end them all, one after the other, and again after
//!   each restart.
//! - *Bounded*: a limit on the time and the memory that one command can take,
//!   and on the state as a whole.
//!
//! A state can be written down and read back ([`StateMachine::freeze`],
//! [`StateMachine::restore`]), so that the log behind it can be forgotten, and it
//! has a [`StateMachine::digest`] that replicas compare: should a replica ever
//! disagree, for want of memory that keeps its bits or by a mistake in here, it
//! must be found before its answers are believed.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub mod chat;
pub mod clock;
pub mod journal;
pub mod kv;
pub mod replica;
mod snapshot;

/// A place in the total order, from 1. A command has one, and so has everything
/// that it changed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Place(pub u64);

impl Place {
    /// Ahead of the first command.
    pub const ZERO: Place = Place(0);

    /// The one behind this.
    #[must_use]
    pub fn next(self) -> Place {
        Place(self.0 + 1)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// How a question that was put to the state alone came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The reply is written.
    Answered,
    /// Only the log can answer: it is a change, or it depends on the time, which
    /// passes by commands only. Nothing is written.
    NeedsPlace,
}

/// A service: a state that commands change, one after the other.
pub trait StateMachine {
    /// The state as it was at some moment, see [`StateMachine::freeze`].
    type Frozen: Frozen;

    /// Applies a command at its place in the order, which lies behind all that
    /// were applied before, and appends the reply. Never fails: refusals are
    /// replies.
    fn apply(&mut self, place: Place, command: &[u8], reply: &mut Vec<u8>);

    /// Answers a command that changes nothing, and appends the reply.
    ///
    /// Whether the state is recent enough to answer from is the caller's care.
    fn read(&self, command: &[u8], reply: &mut Vec<u8>) -> Reading;

    /// The state as it is now. It is shared with this one until this one changes,
    /// so it costs little whatever its size: the state goes on while another
    /// thread writes the frozen one down.
    fn freeze(&self) -> Self::Frozen;

    /// Writes the state down, in parts that come in order. Equal states give
    /// equal bytes.
    fn snapshot(&self, part: &mut dyn FnMut(&[u8])) {
        self.freeze().write(part);
    }

    /// Becomes the state that was written down. Limits are no part of it and
    /// stay as they are; they must be the same at every replica.
    ///
    /// # Errors
    ///
    /// When these bytes are no snapshot; then nothing has changed.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Damaged>;

    /// [`StateMachine::restore`] by somebody of whom others should notice little: calls
    /// `rest` now and then, after a fraction of a millisecond, say. Without heed to it
    /// the state comes all at once.
    ///
    /// # Errors
    ///
    /// As with [`StateMachine::restore`].
    fn restore_gently(&mut self, snapshot: &[u8], rest: &mut dyn FnMut()) -> Result<(), Damaged> {
        rest();
        self.restore(snapshot)
    }

    /// One without any state, with the limits of this one: a snapshot is restored there
    /// while this one goes on.
    fn empty(&self) -> Self
    where
        Self: Sized;

    /// A short form of the whole state, kept up with every change: equal states
    /// have equal digests, and different ones different digests but for a chance
    /// in some thousand million. It finds accidents, not lies.
    fn digest(&self) -> u64;
}

/// A state that changes no more.
pub trait Frozen: Send + 'static {
    /// Writes it down, in parts of a megabyte or so that come in order. Equal
    /// states give equal bytes, however often they are written.
    fn write(&self, part: &mut dyn FnMut(&[u8]));
}

/// Why bytes are no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damaged {
    /// They begin otherwise.
    #[error("this is no snapshot of this service")]
    Foreign,
    /// Another release wrote it.
    #[error("the snapshot has format {0}, which this release does not know")]
    Version(u16),
    /// They changed since they were written, or some are missing.
    #[error("the snapshot's checksum does not match: it is damaged or cut short")]
    Checksum,
    /// They do not describe a state.
    #[error("the snapshot contradicts itself: {0}")]
    Contradiction(&'static str),
}
