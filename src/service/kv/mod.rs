//! A key-value store as a service: strings with versions and times to live, and
//! transactions that take one place in the order.
//!
//! | room | what lives there |
//! |---|---|
//! | [`command`] | what can be asked, and its encoding |
//! | [`reply`] | what is answered |
//! | `keyspace` | the keys, and the sums over them |
//! | `rows` | the keys in the order of their birth, to be frozen |
//! | `seats` | where each key is among them |
//! | `operation` | what each operation does |
//! | `value` | a value's bytes |
//! | [`limits`] | what is too much |
//! | `snapshot` | the state as bytes |
//!
//! # Time to live
//!
//! A key whose time is over *by the log's time* is not there, for every command
//! behind that place. Such keys are removed a few at a time, by every command in
//! passing, so that a million keys that end together hold nobody up.
//!
//! # Versions and transactions
//!
//! A key has a version that differs whenever the key has changed meanwhile: by the
//! place of the command that changed it last, or that removed it. A transaction
//! names the versions that its author saw; if one
//! differs, none of its operations happens. That it takes one place makes it
//! atomic, and its author need not be alive by then.

pub mod command;
pub mod glob;
mod keyspace;
pub mod limits;
pub mod number;
mod operation;
pub mod reply;
mod rows;
mod seats;
mod snapshot;
#[cfg(test)]
mod tests;
pub mod text;
mod value;

use command::{Command, Operation, Stamped};
use keyspace::Keyspace;
use limits::Limits;
use operation::{Allowance, Relic};
use reply::{Refusal, Reply};
pub use snapshot::Frozen;

use super::clock::LogTime;
use super::{Damaged, Place, Reading, StateMachine};
use crate::protocol::digest::mix;

/// What its checkpoints and journals are marked with.
pub const MARK: [u8; 8] = *b"kv\0\0\0\0\0\0";

/// The store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    limits: Limits,
    keys: Keyspace,
    time: LogTime,
}

impl Store {
    /// An empty one. The limits must be the same at every replica.
    pub fn new(limits: Limits) -> Store {
        Store {
            limits,
            ..Store::default()
        }
    }

    /// Keys in it, those that are swept soon among them.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Keys with a time to live.
    pub fn mortal(&self) -> usize {
        self.keys.mortal()
    }

    /// Bytes in use, as they count towards the limit.
    pub fn bytes(&self) -> usize {
        self.keys.bytes()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Milliseconds since 1970 by the log's clock; 0 before the first command.
    pub fn time(&self) -> u64 {
        self.time.now()
    }

    /// Performs an operation and appends the reply; one that would be longer than
    /// allowed is refused.
    fn perform(
        &mut self,
        place: Place,
        operation: &Operation<'_>,
        allowance: &mut Allowance,
        reply: &mut Vec<u8>,
    ) {
        // A value that goes must live until the reply is written.
        let mut relic = Relic::default();
        let answer = match operation.is_read() {
            true => self.answer(operation, allowance),
            false => self.carry_out(place, operation, allowance, &mut relic),
        };
        encode(answer, allowance, reply);
    }

    /// Many operations as one; the state changes through all of them or none.
    fn transact(
        &mut self,
        place: Place,
        watched: &[(text::Text<'_>, u64)],
        operations: &[Operation<'_>],
        reply: &mut Vec<u8>,
    ) {
        if operations.len().max(watched.len()) > Limits::TRANSACTION {
            return Reply::Refused(Refusal::LongTransaction).encode_into(reply);
        }
        let changed = |(key, version): &(text::Text<'_>, u64)| self.version(key.0) != *version;
        if watched.iter().any(changed) {
            return Reply::Aborted.encode_into(reply);
        }
        let mut allowance = Allowance::default();
        Reply::begin_list(operations.len(), reply);
        for operation in operations {
            self.perform(place, operation, &mut allowance, reply);
        }
    }
}

/// Appends a reply, or the refusal of one that is too long, and takes its bytes
/// from the allowance.
fn encode(answer: Result<Reply<'_>, Refusal>, allowance: &mut Allowance, reply: &mut Vec<u8>) {
    let answer = answer.unwrap_or_else(Reply::Refused);
    match allowance.bytes.checked_sub(weight(&answer)) {
        Some(left) => {
            allowance.bytes = left;
            answer.encode_into(reply);
        }
        None => Reply::Refused(Refusal::LongReply).encode_into(reply),
    }
}

/// Bytes that a reply takes on its way to a client, about.
fn weight(reply: &Reply<'_>) -> usize {
    const FRAME: usize = 16;
    FRAME
        + match reply {
            Reply::Text(text) | Reply::Word(text) => text.0.len(),
            Reply::List(replies) => replies.iter().map(weight).sum(),
            _ => 0,
        }
}

impl StateMachine for Store {
    type Frozen = Frozen;

    fn apply(&mut self, place: Place, command: &[u8], reply: &mut Vec<u8>) {
        let Some(Stamped { stamp, command }) = Stamped::decode(command) else {
            return Reply::Refused(Refusal::Malformed).encode_into(reply);
        };
        self.time.hear(stamp);
        self.keys.sweep(self.time.now(), Limits::SWEEP, place);
        match command {
            Command::Tick => Reply::Done.encode_into(reply),
            Command::One(operation) => {
                self.perform(place, &operation, &mut Allowance::default(), reply);
            }
            Command::Transaction {
                watched,
                operations,
            } => self.transact(place, &watched, &operations, reply),
        }
    }

    fn read(&self, command: &[u8], reply: &mut Vec<u8>) -> Reading {
        match Stamped::decode(command).map(|stamped| stamped.command) {
            Some(Command::One(operation)) if operation.is_read() && !self.is_mortal(&operation) => {
                let mut allowance = Allowance::default();
                encode(
                    self.answer(&operation, &mut allowance),
                    &mut allowance,
                    reply,
                );
                Reading::Answered
            }
            _ => Reading::NeedsPlace,
        }
    }

    fn freeze(&self) -> Frozen {
        Frozen::new(&self.keys, self.time)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Damaged> {
        self.restore_gently(snapshot, &mut || {})
    }

    fn restore_gently(&mut self, snapshot: &[u8], rest: &mut dyn FnMut()) -> Result<(), Damaged> {
        (self.keys, self.time) = snapshot::read(snapshot, rest)?;
        Ok(())
    }

    fn empty(&self) -> Store {
        Store::new(self.limits)
    }

    fn digest(&self) -> u64 {
        mix(self.keys.digest(), self.time.now())
    }
}
