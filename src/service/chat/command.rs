//! What can be asked of the chat, and how it is written in the log.
//!
//! The encoding is postcard's. Commands live in logs and snapshots of logs, so
//! variants and fields are only ever appended; golden bytes hold them.
//!
//! One line of a user is one command and takes one place, however many targets it
//! has, so that a line which is sent again is recognised as a whole.

use serde::{Deserialize, Serialize};

use crate::service::Place;

/// A command, with who submitted it and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// Milliseconds since 1970, by the clock of the submitting gateway. The highest
    /// so far is the time of the chat.
    pub stamp: u64,
    /// Whence it comes.
    pub gateway: Gateway,
    /// What to do.
    pub command: Command,
}

/// One life of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gateway {
    /// The replica's id.
    pub id: u16,
    /// Drawn anew at each start.
    pub run: u64,
}

/// A connection of a gateway: what a session is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// The gateway.
    pub gateway: Gateway,
    /// The number of the connection there, never used twice in one run.
    pub connection: u64,
}

/// Somebody in the chat, over all connections that they have one after the other:
/// the place of the command that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub Place);

/// What takes one place in the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A gateway begins a run: nobody is attached to its earlier ones any more. Nobody
    /// writes that any more; logs have it from before there was `Start`.
    Begin,
    /// The time passes, and the gateway lives.
    Tick {
        /// Everyone attached to this run was sent all that happened through here …
        seen: Place,
        /// … but these, who were sent less.
        except: Vec<(SessionId, Place)>,
    },
    /// Somebody comes in, or comes back, whatever happened to their session since they
    /// asked. Nobody writes that any more; logs have it from before there was `Come`.
    Open(Opening),
    /// A connection ends.
    Leave {
        /// Whose.
        session: SessionId,
        /// Which connection of the submitting gateway.
        connection: u64,
        /// Everything through here was sent.
        seen: Place,
        /// How it ended.
        departure: Departure,
    },
    /// Somebody does something.
    Act {
        /// Who.
        session: SessionId,
        /// Over which connection of the submitting gateway: what comes late from one
        /// that the session has left is refused.
        connection: u64,
        /// The author's own number for it: what has a number that is not above those
        /// before it was done already.
        number: Option<u64>,
        /// What.
        deed: Deed,
    },
    /// Somebody comes in, or comes back.
    Come {
        /// Who.
        opening: Opening,
        /// All that their gateway had applied when it asked for them: a session that
        /// was taken up or left behind that is theirs only if they ask again. So a wish
        /// that comes late does not take it from where they are by now.
        known: Place,
    },
    /// A gateway begins a run, unless another one than it knows has begun: nobody is
    /// attached to its earlier ones any more.
    Start {
        /// The run that began last, as far as it knows. So what comes late of a process
        /// that has ended does not end the run of the one that came after it.
        after: Option<u64>,
    },
}

/// Somebody who comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The number of the connection at the submitting gateway.
    pub connection: u64,
    /// The nick they would like.
    pub nick: String,
    /// Their user name, as the gateway made it harmless.
    pub user: String,
    /// Whence they come, as the others are shown it.
    pub host: String,
    /// What they call themselves.
    pub real: String,
    /// The account that the gateway has checked.
    pub account: Option<String>,
    /// The digest of a secret by which they can come back.
    pub token: Option<[u8; 32]>,
    /// They go on where they were: they have seen everything through here.
    pub seen: Option<Place>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Departure {
    /// They said good-bye: the session ends.
    Quit(String),
    /// It broke, for this reason: the session waits, if they could come back to it.
    Lost(String),
}

/// What somebody does. Names are as they were typed; whether they are names at all is
/// judged here, alike everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Takes another nick.
    Nick(String),
    /// Enters channels, each with a key or without.
    Join(Vec<(String, Option<String>)>),
    /// Leaves channels.
    Part {
        /// These.
        channels: Vec<String>,
        /// Why, or nothing.
        reason: String,
    },
    /// Leaves all channels (`JOIN 0`).
    PartAll,
    /// Says something.
    Say {
        /// To whom: channels and nicks.
        targets: Vec<String>,
        /// In which way.
        manner: Manner,
        /// What.
        text: String,
    },
    /// Sets the topic of a channel; nothing takes it away.
    Topic {
        /// The channel.
        channel: String,
        /// The topic.
        topic: String,
    },
    /// Changes modes of a channel.
    Mode {
        /// The channel.
        channel: String,
        /// The changes, in this order.
        changes: Vec<ModeChange>,
    },
    /// Changes modes of their own; letters that are none are told.
    UserMode(Vec<ModeChange>),
    /// Throws others out of a channel.
    Kick {
        /// The channel.
        channel: String,
        /// Their nicks.
        nicks: Vec<String>,
        /// Why.
        reason: String,
    },
    /// Invites somebody into a channel.
    Invite {
        /// Whom.
        nick: String,
        /// Where.
        channel: String,
    },
    /// Is away, for this reason; or is back.
    Away(Option<String>),
}

/// In which way something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Manner {
    /// `PRIVMSG`: refusals and absences are told.
    Message,
    /// `NOTICE`: nothing is ever answered.
    Notice,
}

/// One letter of a mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeChange {
    /// Whether it is set, or taken away.
    pub set: bool,
    /// The letter.
    pub letter: char,
    /// What belongs to it.
    pub argument: Option<String>,
}

impl Stamped {
    /// Reads one; any bytes that are none give nothing.
    pub fn decode(bytes: &[u8]) -> Option<Stamped> {
        match postcard::take_from_bytes(bytes) {
            Ok((stamped, [])) => Some(stamped),
            _ => None,
        }
    }

    /// Appends its encoding.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let room = std::mem::take(bytes);
        *bytes = postcard::to_extend(self, room).expect("writing to memory cannot fail");
    }
}
