//! What a command brings about, for whom, and how it is written in a reply.
//!
//! The reply to a command holds everything that anybody is shown because of it. So a
//! gateway that hears what was applied knows what to show, whoever submitted it; and
//! the replies of two releases to one log can be compared. The encoding is postcard's;
//! events live in checkpoints, so variants and fields are only ever appended.

use serde::{Deserialize, Serialize};

use super::command::{Gateway, Manner, ModeChange, Seat, SessionId};
use crate::service::Place;

/// The reply to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The time of the chat, in milliseconds since 1970.
    pub time: u64,
    /// Who did it, and their number for it: they are to be told that it is done.
    pub author: Option<(SessionId, Option<u64>)>,
    /// What it brought about, in order.
    pub effects: Vec<Effect>,
}

/// Something that happened, as it is kept in the history. The others have
/// [`Effect::Joined`] there without the members of its roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// At which place.
    pub place: Place,
    /// The how manieth effect there, from 0.
    pub index: u16,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// What.
    pub effect: Effect,
}

/// Somebody, as the others are shown them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The session.
    pub session: SessionId,
    /// Their nick then.
    pub nick: String,
    /// Their user name.
    pub user: String,
    /// Whence they come.
    pub host: String,
    /// Their account, if they have one.
    pub account: Option<String>,
}

/// Who is in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// The channel, as its founder wrote it.
    pub channel: String,
    /// Whether it is secret.
    pub secret: bool,
    /// Its topic.
    pub topic: Option<Topic>,
    /// Its members, by nick. None at all if there are more than
    /// [`Limits::ROSTER`](super::limits::Limits::ROSTER): whoever needs them asks the
    /// state.
    pub members: Vec<Member>,
}

/// A topic, who set it, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// What it says.
    pub text: String,
    /// `nick!user@host` of who set it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub time: u64,
}

/// One of those in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Their session.
    pub session: SessionId,
    /// Their nick.
    pub nick: String,
    /// `nick!user@host`.
    pub mask: String,
    /// What they may.
    pub rank: Rank,
}

/// What somebody may in a channel.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Rank {
    /// Speaks where it is moderated (`+v`).
    pub voice: bool,
    /// Rules it (`+o`).
    pub operator: bool,
}

/// To whom something was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A channel, as its founder wrote it.
    Channel(String),
    /// Somebody, and their nick then.
    Session(SessionId, String),
}

/// What a command brings about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Somebody came in, or came back. For them alone.
    Opened {
        /// They.
        who: Who,
        /// Where they sit now.
        seat: Seat,
        /// Where they sat until now, if anywhere: that connection is to be ended.
        displaced: Option<Seat>,
        /// They came back: everything through here they have seen.
        resumed: Option<Place>,
        /// The highest number of what they have done.
        number: u64,
        /// Their modes.
        invisible: bool,
        /// The channels that they are in.
        channels: Vec<Roster>,
    },
    /// Somebody could not come in.
    NotOpened {
        /// The connection.
        seat: Seat,
        /// The nick that they wanted.
        nick: String,
        /// Why.
        refusal: Refusal,
    },
    /// Somebody's deed, or a part of it, did not happen. For them alone.
    Refused {
        /// Who.
        session: SessionId,
        /// Why.
        refusal: Refusal,
    },
    /// Somebody entered a channel.
    Joined {
        /// Who.
        who: Who,
        /// What they call themselves.
        real: String,
        /// The channel, with them in it.
        roster: Roster,
    },
    /// Somebody left a channel.
    Parted {
        /// Who.
        who: Who,
        /// Which.
        channel: String,
        /// Why, or nothing.
        reason: String,
    },
    /// Somebody was thrown out of a channel.
    Kicked {
        /// By whom.
        by: Who,
        /// Whom.
        session: SessionId,
        /// Their nick.
        nick: String,
        /// Which.
        channel: String,
        /// Why.
        reason: String,
    },
    /// A session ended.
    Quit {
        /// Who.
        who: Who,
        /// The channels that they were in.
        channels: Vec<String>,
        /// The connection that ends with it, if there is one.
        seat: Option<Seat>,
        /// Why.
        reason: String,
    },
    /// Somebody has another nick.
    Renamed {
        /// Who, with the nick until now.
        who: Who,
        /// The new one.
        nick: String,
        /// The channels that they are in.
        channels: Vec<String>,
    },
    /// Somebody said something.
    Said {
        /// Who.
        who: Who,
        /// To whom.
        target: Target,
        /// In which way.
        manner: Manner,
        /// What.
        text: String,
    },
    /// Somebody to whom something was said is away. For the author alone.
    IsAway {
        /// The author.
        session: SessionId,
        /// Who is away.
        nick: String,
        /// Why.
        text: String,
    },
    /// A channel has another topic; an empty one is none.
    TopicSet {
        /// Who set it.
        by: Who,
        /// Where.
        channel: String,
        /// What it says.
        text: String,
    },
    /// A channel has other modes.
    ModesSet {
        /// Who set them.
        by: Who,
        /// Where.
        channel: String,
        /// What changed.
        changes: Vec<ModeChange>,
    },
    /// Somebody's own modes changed. For them alone.
    OwnModesSet {
        /// Who.
        who: Who,
        /// What changed.
        changes: Vec<ModeChange>,
    },
    /// Somebody was invited. For both.
    Invited {
        /// By whom.
        by: Who,
        /// Whom.
        session: SessionId,
        /// Their nick.
        nick: String,
        /// Where.
        channel: String,
    },
    /// Somebody is away, or back.
    AwaySet {
        /// Who.
        who: Who,
        /// The channels that they are in.
        channels: Vec<String>,
        /// Why; nothing when they are back.
        text: Option<String>,
    },
    /// A run of a gateway is over: nobody is attached to it any more.
    Emptied {
        /// Which.
        gateway: Gateway,
    },
}

/// Whom an effect concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// Nobody who is in the chat.
    Nobody,
    /// One.
    One(SessionId),
    /// Two; they may be the same.
    Two(SessionId, SessionId),
    /// All in a channel, those among them who come or go with this effect.
    Channel(&'a str),
    /// One, and all who share one of these channels with them, each once.
    Around(SessionId, &'a [String]),
}

/// Why something did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// That is no nick.
    BadNick(String),
    /// Somebody has that nick.
    NickInUse(String),
    /// There are as many sessions as there may be.
    Full,
    /// The session is not attached to that connection (any more).
    NotAttached,
    /// There is no such nick, or channel.
    NoSuchTarget(String),
    /// There is no such channel.
    NoSuchChannel(String),
    /// That is no name of a channel.
    BadChannel(String),
    /// They are in as many channels as they may be.
    TooManyChannels(String),
    /// There are as many channels as there may be, or as many people in all of them.
    ChannelsFull(String),
    /// The channel has as many members as it may have (`+l`).
    ChannelFull(String),
    /// Only who is invited enters (`+i`).
    InviteOnly(String),
    /// They are banned (`+b`).
    Banned(String),
    /// The key is not right (`+k`).
    BadKey(String),
    /// They are not in it.
    NotOnChannel(String),
    /// That one is not in it.
    NotThere {
        /// The nick.
        nick: String,
        /// The channel.
        channel: String,
    },
    /// That one is in it already.
    AlreadyThere {
        /// The nick.
        nick: String,
        /// The channel.
        channel: String,
    },
    /// They may not speak there (`+n`, `+m`, `+b`).
    CannotSay(String),
    /// Only operators of the channel may.
    NotOperator(String),
    /// There is no such mode of a channel.
    UnknownMode {
        /// The letter.
        letter: char,
        /// The channel.
        channel: String,
    },
    /// There is no such mode of a user.
    UnknownUserMode,
    /// The mode needs an argument.
    NeedsArgument {
        /// The letter.
        letter: char,
        /// The channel.
        channel: String,
    },
    /// The list of bans is full, or all of them together are.
    BansFull {
        /// The channel.
        channel: String,
        /// The mask.
        mask: String,
    },
    /// A name, a text or a list is longer than it may be.
    TooLong(String),
    /// There is nothing to say.
    NoText,
    /// The session came or went behind what the gateway knew when it asked; where
    /// somebody still waits for it, it asks again.
    Outdated,
}

impl Reply {
    /// Reads one; any bytes that are none give nothing.
    pub fn decode(bytes: &[u8]) -> Option<Reply> {
        match postcard::take_from_bytes(bytes) {
            Ok((reply, [])) => Some(reply),
            _ => None,
        }
    }

    /// Appends its encoding.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let room = std::mem::take(bytes);
        *bytes = postcard::to_extend(self, room).expect("writing to memory cannot fail");
    }
}

impl Effect {
    /// Whom it concerns.
    pub fn audience(&self) -> Audience<'_> {
        match self {
            Effect::NotOpened { .. } | Effect::Emptied { .. } => Audience::Nobody,
            Effect::Opened { who, .. } | Effect::OwnModesSet { who, .. } => {
                Audience::One(who.session)
            }
            Effect::Refused { session, .. } | Effect::IsAway { session, .. } => {
                Audience::One(*session)
            }
            Effect::Joined { roster, .. } => Audience::Channel(&roster.channel),
            Effect::Parted { channel, .. }
            | Effect::Kicked { channel, .. }
            | Effect::TopicSet { channel, .. }
            | Effect::ModesSet { channel, .. } => Audience::Channel(channel),
            Effect::Said { who, target, .. } => match target {
                Target::Channel(channel) => Audience::Channel(channel),
                Target::Session(session, _) => Audience::Two(who.session, *session),
            },
            Effect::Invited { by, session, .. } => Audience::Two(by.session, *session),
            Effect::Quit { who, channels, .. }
            | Effect::Renamed { who, channels, .. }
            | Effect::AwaySet { who, channels, .. } => Audience::Around(who.session, channels),
        }
    }
}
