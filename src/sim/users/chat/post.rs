//! What comes down a connection from a gateway to somebody.

use super::observer::Line;
use crate::service::Place;
use crate::service::chat::command::{Gateway, SessionId};

/// What somebody is told who comes in.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// Their session.
    pub session: SessionId,
    /// Their nick.
    pub nick: String,
    /// If it was there before, behind which place it goes on.
    pub resumed: Option<Place>,
    /// The highest number of what was done.
    pub number: u64,
    /// If not all is remembered: through here they are shown nothing.
    pub gap: Option<Place>,
}

/// What comes down a connection.
#[derive(Clone, Debug)]
pub enum Item {
    /// They are in.
    Welcome(Welcome),
    /// Something happened.
    Line(Line),
    /// The line of this number is done.
    Done(u64),
    /// It ends; the nick was somebody else's, perhaps.
    Closed { taken: bool },
}

/// Something for somebody.
#[derive(Debug)]
pub struct Post {
    /// For whom.
    pub person: usize,
    /// Over which connection.
    pub connection: Connection,
    /// What.
    pub item: Item,
}

/// A connection, of all that there ever are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The gateway and its run.
    pub gateway: Gateway,
    /// The number there.
    pub number: u64,
}
