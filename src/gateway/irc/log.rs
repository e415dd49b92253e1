//! The seam between the front end and the chat behind it: commands go in, and what
//! was applied comes back in order.

use super::whose::Whose;
use crate::service::Place;
use crate::service::chat::Chat;
use crate::service::chat::command::Stamped;
use crate::service::replica::Verdict;

/// What a submitted command is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// A line of a client.
    Line {
        /// The connection.
        whose: Whose,
        /// The client's number for it.
        number: Option<u64>,
        /// Its command, for people.
        verb: &'static str,
    },
    /// A client who wants to come in.
    Open(Whose),
    /// Something that the gateway itself must bring into the log.
    Duty(u64),
}

/// A log with a chat on it. Between two turns of the gateway everything that was
/// applied was told to it, so what it reads here is what it has shown.
pub trait Log {
    /// Submits a command; with a ticket there is exactly one answer, now or later.
    fn submit(&mut self, ticket: Option<Ticket>, command: &Stamped);

    /// The next answer that came in.
    fn answer(&mut self) -> Option<(Ticket, Verdict)>;

    /// The chat, as it is here and now.
    fn chat(&self) -> &Chat;

    /// The place of the last command that was applied.
    fn place(&self) -> Place;

    /// Whether a quorum was within reach when it was last needed.
    fn is_sound(&self) -> bool;

    /// Whether more commands are wanted.
    fn has_room(&self) -> bool;
}
