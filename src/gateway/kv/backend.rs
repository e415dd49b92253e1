//! The seam between the doors and the store behind them.
//!
//! The front end knows connections, the back end knows how a command comes to
//! its place in the order: at once, in one process, or through a quorum, many
//! turns later. Between them go encoded commands with tickets, and encoded
//! replies.
//!
//! # What the front end promises
//!
//! - A ticket is used once.
//! - What one connection submits, it submits in its order; and as long as a
//!   read of a connection is under way, nothing but reads of it are. (A read that comes behind a change under way is submitted as a change, so
//!   it takes its place behind it.) So the back end may answer reads when it
//!   likes, as long as they see all that was answered before they came.
//!
//! # What the back end promises
//!
//! - Each ticket gets exactly one answer, now or later. The order is free.
//! - It says when it has had enough ([`BackEnd::has_room`]), and takes what comes
//!   while it has not.

/// Whose command it is: a connection, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The place of the connection; it may have had another before.
    pub slot: u32,
    /// Which connection of that place.
    pub generation: u32,
    /// The number of the command in its connection.
    pub number: u64,
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A place in the order.
    Place,
    /// An answer from a state that is recent enough; the back end may give it a
    /// place all the same, and must if [`crate::service::Reading::NeedsPlace`].
    Read,
    /// An answer from whatever state is there, as old as it may be.
    Stale,
    /// An answer from a state that has the command of this place.
    At(u64),
}

/// What became of a command when it was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is done and the encoded reply is written.
    Answered,
    /// The answer comes later.
    UnderWay,
}

/// The end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done and the encoded reply is written.
    Reply,
    /// It did not happen and will not.
    NoQuorum,
    /// It may have happened, or still happen.
    Indeterminate,
}

impl Answer {
    /// What a client is told when there is no reply.
    pub fn complaint(self) -> Option<&'static str> {
        match self {
            Answer::Reply => None,
            Answer::NoQuorum => {
                Some("NOQUORUM not enough acceptors can be reached; nothing was changed")
            }
            Answer::Indeterminate => Some(
                "INDETERMINATE the outcome is not known: the command may have happened, or may \
                 still happen",
            ),
        }
    }
}

/// What a back end has to tell about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// How it works: `single`, or `replica`.
    pub mode: &'static str,
    /// The place of the last command that was applied.
    pub place: u64,
    /// The digest of the state there.
    pub digest: u64,
    /// Keys.
    pub keys: usize,
    /// Keys with a time to live.
    pub mortal: usize,
    /// Bytes in use, as they count towards the limit.
    pub bytes: usize,
    /// The limit.
    pub most_bytes: usize,
    /// The time of the log, in milliseconds since 1970.
    pub time: u64,
    /// Whatever else it counts.
    pub more: Vec<(&'static str, u64)>,
}

/// A store, and a way to it.
pub trait BackEnd {
    /// Takes an encoded command. If it is answered at once, the encoded reply is
    /// appended.
    fn submit(
        &mut self,
        ticket: Ticket,
        kind: Kind,
        command: &[u8],
        reply: &mut Vec<u8>,
    ) -> Submitted;

    /// The next answer that came in, with the encoded reply appended if it is one.
    fn answer(&mut self, reply: &mut Vec<u8>) -> Option<(Ticket, Answer)>;

    /// Whether it takes commands now. If not, connections wait, and are tried
    /// again in a later turn.
    fn has_room(&self) -> bool;

    /// How it stands.
    fn facts(&self) -> Facts;
}
