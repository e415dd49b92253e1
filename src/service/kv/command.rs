//! What can be asked of the store, and how it is written in the log.
//!
//! The encoding is postcard's. Commands live in logs and snapshots of logs, so
//! variants and fields are only ever appended; golden bytes hold them.

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::text::Text;

/// A command with the time of whoever submitted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped<'a> {
    /// Milliseconds since 1970, by the clock of the submitting replica. The store
    /// takes the highest it has seen for the time, so that time passes by the log.
    pub stamp: u64,
    /// What to do.
    #[serde(borrow)]
    pub command: Command<'a>,
}

/// What takes one place in the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command<'a> {
    /// Nothing but the stamp: lets the time pass when nobody else does.
    Tick,
    /// A single operation.
    #[serde(borrow)]
    One(Operation<'a>),
    /// Many, as one.
    Transaction {
        /// Keys with the versions seen: if one differs, nothing happens.
        watched: Vec<(Text<'a>, u64)>,
        /// What to do, in this order. One that is refused does not stop the rest.
        operations: Vec<Operation<'a>>,
    },
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation<'a> {
    /// The value.
    Get {
        /// Of this key.
        #[serde(borrow)]
        key: Text<'a>,
    },
    /// A new value.
    Set {
        /// For this key.
        key: Text<'a>,
        /// What it shall be.
        value: Text<'a>,
        /// When to do it at all.
        condition: Condition,
        /// How long it lives.
        lifetime: Lifetime,
        /// What the reply tells.
        answer: Answer,
    },
    /// Takes keys away; tells how many there were.
    Delete {
        /// These.
        keys: Vec<Text<'a>>,
    },
    /// How many of these there are; one named twice counts twice.
    Exists {
        /// These.
        keys: Vec<Text<'a>>,
    },
    /// Adds to a value that is a number, 0 if there is none; tells the sum.
    Add {
        /// Of this key.
        key: Text<'a>,
        /// So much.
        by: i64,
    },
    /// Adds bytes to a value's end; tells its length.
    Append {
        /// Of this key.
        key: Text<'a>,
        /// These.
        value: Text<'a>,
    },
    /// The value's length.
    Length {
        /// Of this key.
        key: Text<'a>,
    },
    /// Values.
    GetMany {
        /// Of these keys.
        keys: Vec<Text<'a>>,
    },
    /// New values for many keys, all or none.
    SetMany {
        /// Key and value; of a key named twice the last counts.
        pairs: Vec<(Text<'a>, Text<'a>)>,
        /// Only if none of them is there; the reply is then 1 or 0.
        absent: bool,
    },
    /// The value, which is taken away.
    Take {
        /// Of this key.
        key: Text<'a>,
    },
    /// A time to live for a key that is there; tells 1 or 0.
    Expire {
        /// This key.
        key: Text<'a>,
        /// When it ends.
        deadline: Deadline,
        /// When to do it at all.
        condition: ExpireCondition,
    },
    /// What is left of the time to live; -1 for ever, -2 there is none.
    TimeToLive {
        /// Of this key.
        key: Text<'a>,
        /// How to say it.
        unit: Unit,
    },
    /// Lets a key live for ever; tells 1 if that is news.
    Persist {
        /// This key.
        key: Text<'a>,
    },
    /// All keys that match, in the order of their creation.
    Keys {
        /// As Redis writes patterns.
        pattern: Text<'a>,
    },
    /// Some keys, and where to go on: a key that is there from the first to the
    /// last of a row of calls is told once.
    Scan {
        /// 0, or what the last call told.
        cursor: u64,
        /// Only keys that match.
        pattern: Option<Text<'a>>,
        /// How many keys to look at.
        count: u32,
    },
    /// How many keys there are.
    Count,
    /// The kind of a key's value.
    Kind {
        /// Of this key.
        key: Text<'a>,
    },
    /// Takes everything away.
    Flush,
    /// A number for each key that differs whenever it has changed meanwhile: what a
    /// transaction watches.
    Versions {
        /// Of these keys.
        keys: Vec<Text<'a>>,
    },
}

/// When to set a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Always.
    #[default]
    Always,
    /// If there is none.
    Absent,
    /// If there is one.
    Present,
}

/// How long a value lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// Until it is taken away.
    #[default]
    Forever,
    /// As long as the one before it would have.
    Keep,
    /// Until then.
    Until(Deadline),
}

/// When a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deadline {
    /// So many milliseconds from the command on.
    In(i64),
    /// So many milliseconds after the beginning of 1970.
    At(i64),
}

/// When to give a key a time to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpireCondition {
    /// Always.
    #[default]
    Always,
    /// If it has none.
    Absent,
    /// If it has one.
    Present,
    /// If it ends later than now; one without lives for ever.
    Later,
    /// If it ends sooner than now; one without lives for ever.
    Sooner,
    /// If it has one and ends sooner than now.
    PresentSooner,
}

/// What a reply to setting a value tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Done, or nil if the condition does not hold.
    #[default]
    Status,
    /// The value before it.
    Previous,
    /// 1, or 0 if the condition does not hold.
    Flag,
}

/// How a time to live is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Seconds left, rounded.
    Seconds,
    /// Milliseconds left.
    Milliseconds,
    /// Its end, in seconds since 1970.
    EndSeconds,
    /// Its end, in milliseconds since 1970.
    EndMilliseconds,
}

impl<'a> Stamped<'a> {
    /// Appends the encoding.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let room = std::mem::take(bytes);
        *bytes = postcard::to_extend(self, room).expect("writing to memory cannot fail");
    }

    /// Reads a whole command; nothing may follow it.
    pub fn decode(bytes: &'a [u8]) -> Option<Stamped<'a>> {
        if bytes.len() > Limits::COMMAND {
            return None;
        }
        match postcard::take_from_bytes(bytes) {
            Ok((stamped, [])) => Some(stamped),
            _ => None,
        }
    }
}

impl Operation<'_> {
    /// Whether it leaves the state as it is.
    pub fn is_read(&self) -> bool {
        match self {
            Operation::Get { .. }
            | Operation::Exists { .. }
            | Operation::Length { .. }
            | Operation::GetMany { .. }
            | Operation::TimeToLive { .. }
            | Operation::Keys { .. }
            | Operation::Scan { .. }
            | Operation::Count
            | Operation::Kind { .. }
            | Operation::Versions { .. } => true,
            Operation::Set { .. }
            | Operation::Delete { .. }
            | Operation::Add { .. }
            | Operation::Append { .. }
            | Operation::SetMany { .. }
            | Operation::Take { .. }
            | Operation::Expire { .. }
            | Operation::Persist { .. }
            | Operation::Flush => false,
        }
    }
}

impl Command<'_> {
    /// Whether it leaves the state as it is.
    pub fn is_read(&self) -> bool {
        match self {
            Command::Tick => false,
            Command::One(operation) => operation.is_read(),
            Command::Transaction { operations, .. } => operations.iter().all(Operation::is_read),
        }
    }
}
