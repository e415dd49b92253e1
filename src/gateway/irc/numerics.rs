//! What clients are told by number: the numbers, and the words that go with them.
//!
//! Numbers are those of RFC 1459 and 2812 and of IRCv3; words are ngircd's where it
//! has them, so that a client which looks at words finds what it knows.

use crate::service::chat::effect::Refusal;
use crate::service::chat::limits::Limits;
use crate::service::chat::name::shown;

/// Something told by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numeric {
    /// The number.
    pub code: u16,
    /// Parameters behind the client's nick.
    pub middle: String,
    /// The last parameter, which may have blanks.
    pub text: String,
}

impl Numeric {
    /// One with parameters and words.
    pub fn new(code: u16, middle: impl Into<String>, text: impl Into<String>) -> Numeric {
        Numeric {
            code,
            middle: middle.into(),
            text: text.into(),
        }
    }

    /// One about a word that somebody typed.
    pub fn about(code: u16, word: &str, text: &str) -> Numeric {
        Numeric::new(code, shown(word), text)
    }

    /// A command without what it needs.
    pub fn needs_more(command: &str) -> Numeric {
        Numeric::about(461, command, "Not enough parameters")
    }

    /// Nobody has this nick.
    pub fn no_such_nick(nick: &str) -> Numeric {
        Numeric::about(401, nick, "No such nick or channel name")
    }

    /// There is no such channel.
    pub fn no_such_channel(name: &str) -> Numeric {
        Numeric::about(403, name, "No such channel")
    }

    /// Why something did not happen.
    pub fn refusal(refusal: &Refusal) -> Numeric {
        let about = Numeric::about;
        match refusal {
            Refusal::BadNick(nick) => about(432, nick, "Erroneous nickname"),
            Refusal::NickInUse(nick) => about(433, nick, "Nickname already in use"),
            Refusal::Full => Numeric::new(465, "", "The chat is full, try again later"),
            Refusal::Outdated => {
                Numeric::new(451, "", "You have come in over another connection since")
            }
            Refusal::NotAttached => Numeric::new(451, "", "Connection not registered"),
            Refusal::NoSuchTarget(name) => Numeric::no_such_nick(name),
            Refusal::NoSuchChannel(name) => Numeric::no_such_channel(name),
            Refusal::BadChannel(name) => about(476, name, "Not a name of a channel"),
            Refusal::TooManyChannels(name) => about(405, name, "You have joined too many channels"),
            Refusal::ChannelsFull(name) => about(
                437,
                name,
                "There are too many channels, or people in them; try later",
            ),
            Refusal::ChannelFull(name) => about(
                471,
                name,
                "Cannot join channel (+l) -- Channel is full, try later",
            ),
            Refusal::InviteOnly(name) => {
                about(473, name, "Cannot join channel (+i) -- Invited users only")
            }
            Refusal::Banned(name) => about(474, name, "Cannot join channel (+b) -- You are banned"),
            Refusal::BadKey(name) => {
                about(475, name, "Cannot join channel (+k) -- Wrong channel key")
            }
            Refusal::NotOnChannel(name) => about(442, name, "You are not on that channel"),
            Refusal::NotThere { nick, channel } => Numeric::new(
                441,
                format!("{} {}", shown(nick), shown(channel)),
                "They aren't on that channel",
            ),
            Refusal::AlreadyThere { nick, channel } => Numeric::new(
                443,
                format!("{} {}", shown(nick), shown(channel)),
                "is already on channel",
            ),
            Refusal::CannotSay(name) => about(404, name, "Cannot send to channel"),
            Refusal::NotOperator(name) => about(482, name, "You are not channel operator"),
            Refusal::UnknownMode { letter, channel } => Numeric::new(
                472,
                shown(&letter.to_string()),
                format!("is unknown mode char for {}", shown(channel)),
            ),
            Refusal::UnknownUserMode => Numeric::new(501, "", "Unknown mode"),
            Refusal::NeedsArgument { letter, channel } => Numeric::new(
                696,
                format!("{} {} *", shown(channel), shown(&letter.to_string())),
                "The mode needs a parameter that holds",
            ),
            Refusal::BansFull { channel, mask } => Numeric::new(
                478,
                format!("{} {}", shown(channel), shown(mask)),
                format!("Channel list is full ({})", Limits::BANS),
            ),
            Refusal::TooLong(what) => {
                Numeric::new(417, "", format!("Too long, or too many: {}", shown(what)))
            }
            Refusal::NoText => Numeric::new(412, "", "No text to send"),
        }
    }
}
