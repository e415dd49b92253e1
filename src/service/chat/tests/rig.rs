//! A chat with people in it, and effects as a test writes them.

use crate::service::chat::Chat;
use crate::service::chat::command::{
    Command, Deed, Departure, Gateway, Manner, ModeChange, Opening, Seat, SessionId, Stamped,
};
use crate::service::chat::effect::{Effect, Member, Refusal, Reply, Roster, Target};
use crate::service::{Place, StateMachine};

/// A chat, and where the log stands.
pub struct Rig {
    pub chat: Chat,
    pub place: Place,
    pub now: u64,
    /// Whence the next command comes.
    pub gateway: Gateway,
    pub connections: u64,
}

/// Somebody who opens a session under this nick, without a way back.
pub fn opening(nick: &str) -> Opening {
    Opening {
        connection: 0,
        nick: nick.into(),
        user: nick.to_lowercase(),
        host: "host".into(),
        real: format!("Real {nick}"),
        account: None,
        token: None,
        seen: None,
    }
}

pub fn with_token(nick: &str) -> Opening {
    let token = Some([7; 32]);
    Opening {
        token,
        ..opening(nick)
    }
}

pub fn with_account(nick: &str, account: &str) -> Opening {
    let account = Some(account.to_owned());
    Opening {
        account,
        ..opening(nick)
    }
}

impl Rig {
    pub fn new() -> Rig {
        Rig {
            chat: Chat::new(),
            place: Place::ZERO,
            now: 1_000_000_000_000,
            gateway: Gateway { id: 1, run: 11 },
            connections: 0,
        }
    }

    /// Applies any bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> Reply {
        self.place = self.place.next();
        let mut reply = b"ahead".to_vec();
        self.chat.apply(self.place, bytes, &mut reply);
        self.chat.audit().expect("what holds in every chat");
        Reply::decode(&reply[5..]).expect("a reply")
    }

    pub fn reply(&mut self, command: Command) -> Reply {
        let stamped = Stamped {
            stamp: self.now,
            gateway: self.gateway,
            command,
        };
        let mut bytes = Vec::new();
        stamped.encode_into(&mut bytes);
        self.bytes(&bytes)
    }

    /// What a command brings about.
    pub fn apply(&mut self, command: Command) -> String {
        let reply = self.reply(command);
        let effects: Vec<String> = reply.effects.iter().map(|it| self.show(it)).collect();
        effects.join(" | ")
    }

    /// Opens at a new connection.
    pub fn come(&mut self, opening: Opening) -> Reply {
        self.connections += 1;
        let connection = self.connections;
        let known = self.place;
        let opening = Opening {
            connection,
            ..opening
        };
        self.reply(Command::Come { opening, known })
    }

    /// Opens at a new connection, which works; gives the session.
    pub fn open(&mut self, opening: Opening) -> SessionId {
        let reply = self.come(opening);
        reply.author.expect("it opened").0
    }

    /// Opens for each of these nicks, without a way back.
    pub fn people<const N: usize>(&mut self, nicks: [&str; N]) -> [SessionId; N] {
        nicks.map(|nick| self.open(opening(nick)))
    }

    pub fn act(&mut self, session: SessionId, number: Option<u64>, deed: Deed) -> Reply {
        let seat = self.chat.session(session).and_then(|it| it.seat());
        let seat = seat.expect("attached");
        let before = std::mem::replace(&mut self.gateway, seat.gateway);
        let reply = self.reply(Command::Act {
            session,
            connection: seat.connection,
            number,
            deed,
        });
        self.gateway = before;
        reply
    }

    /// Applies a command without asking what holds, where it is done very often; gives
    /// how many effects it had.
    fn unasked(&mut self, command: Command) -> usize {
        let stamped = Stamped {
            stamp: self.now,
            gateway: self.gateway,
            command,
        };
        let (mut bytes, mut reply) = (Vec::new(), Vec::new());
        stamped.encode_into(&mut bytes);
        self.place = self.place.next();
        self.chat.apply(self.place, &bytes, &mut reply);
        Reply::decode(&reply).expect("a reply").effects.len()
    }

    /// Does something without asking what holds.
    pub fn unchecked(&mut self, session: SessionId, deed: Deed) -> usize {
        let seat = self.chat.session(session).and_then(|it| it.seat());
        let connection = seat.expect("attached").connection;
        self.unasked(Command::Act {
            session,
            connection,
            number: None,
            deed,
        })
    }

    /// Opens without asking what holds.
    pub fn unchecked_open(&mut self, opening: Opening) -> SessionId {
        self.connections += 1;
        let connection = self.connections;
        let known = self.place;
        let opening = Opening {
            connection,
            ..opening
        };
        self.unasked(Command::Come { opening, known });
        SessionId(self.place)
    }

    /// What somebody's deed brings about.
    pub fn does(&mut self, session: SessionId, deed: Deed) -> String {
        let reply = self.act(session, None, deed);
        assert_eq!(reply.author, Some((session, None)));
        let effects: Vec<String> = reply.effects.iter().map(|it| self.show(it)).collect();
        effects.join(" | ")
    }

    pub fn says(&mut self, session: SessionId, target: &str, text: &str) -> String {
        self.does(session, say(target, text))
    }

    pub fn joins(&mut self, session: SessionId, channel: &str) -> String {
        self.does(session, join(channel))
    }

    /// All of them enter a channel.
    pub fn gather<const N: usize>(&mut self, sessions: [SessionId; N], channel: &str) {
        for session in sessions {
            assert!(self.joins(session, channel).contains("joined"));
        }
    }

    pub fn mode(&mut self, session: SessionId, channel: &str, changes: &str) -> String {
        let changes = modes(changes);
        let channel = channel.into();
        self.does(session, Deed::Mode { channel, changes })
    }

    /// The connection of somebody ends.
    pub fn leave(&mut self, session: SessionId, seen: Place, departure: Departure) -> String {
        let seat = self.chat.session(session).and_then(|it| it.seat());
        let seat = seat.expect("attached");
        let before = std::mem::replace(&mut self.gateway, seat.gateway);
        let told = self.apply(Command::Leave {
            session,
            connection: seat.connection,
            seen,
            departure,
        });
        self.gateway = before;
        told
    }

    pub fn lose(&mut self, session: SessionId) -> String {
        let seen = self.place;
        self.leave(session, seen, Departure::Lost("reset".into()))
    }

    pub fn tick(&mut self) -> String {
        let (seen, except) = (self.place, Vec::new());
        self.apply(Command::Tick { seen, except })
    }

    /// Time passes while the gateway of this moment ticks.
    pub fn wait(&mut self, milliseconds: u64) -> String {
        let mut told = String::new();
        let end = self.now + milliseconds;
        while self.now < end {
            self.now = end.min(self.now + 10_000);
            told += &self.tick();
        }
        told
    }

    pub fn nick(&self, session: SessionId) -> String {
        let session = self.chat.session(session);
        session.map_or_else(|| "?".into(), |it| it.nick().to_owned())
    }

    /// An effect as a test writes it.
    pub fn show(&self, effect: &Effect) -> String {
        match effect {
            Effect::Opened {
                who,
                displaced,
                resumed,
                number,
                channels,
                ..
            } => {
                let mut told = format!("{} opened", who.nick);
                if let Some(Seat { connection, .. }) = displaced {
                    told += &format!(" in place of {connection}");
                }
                if let Some(place) = resumed {
                    told += &format!(" behind {place}, {number} done");
                }
                for channel in channels {
                    told += &format!(" {}", roster(channel));
                }
                told
            }
            Effect::NotOpened { nick, refusal, .. } => format!("{nick} not: {}", why(refusal)),
            Effect::Refused { session, refusal } => {
                format!("{} not: {}", self.nick(*session), why(refusal))
            }
            Effect::Joined {
                who, roster: it, ..
            } => format!("{} joined {}", who.nick, roster(it)),
            Effect::Parted {
                who,
                channel,
                reason,
            } => format!("{} parted {channel} ({reason})", who.nick),
            Effect::Kicked {
                by,
                nick,
                channel,
                reason,
                ..
            } => format!("{} kicked {nick} from {channel} ({reason})", by.nick),
            Effect::Quit {
                who,
                channels,
                reason,
                ..
            } => format!("{} quit {channels:?} ({reason})", who.nick),
            Effect::Renamed {
                who,
                nick,
                channels,
            } => format!("{} is {nick} {channels:?}", who.nick),
            Effect::Said {
                who,
                target,
                manner,
                text,
            } => {
                let target = match target {
                    Target::Channel(name) => name,
                    Target::Session(_, nick) => nick,
                };
                let arrow = match manner {
                    Manner::Message => "->",
                    Manner::Notice => "=>",
                };
                format!("{} {arrow} {target}: {text}", who.nick)
            }
            Effect::IsAway {
                session,
                nick,
                text,
            } => format!("{} told {nick} is away ({text})", self.nick(*session)),
            Effect::TopicSet { by, channel, text } => {
                format!("{} topic {channel} ({text})", by.nick)
            }
            Effect::ModesSet {
                by,
                channel,
                changes,
            } => format!("{} mode {channel}{}", by.nick, spell(changes)),
            Effect::OwnModesSet { who, changes } => format!("{} mode{}", who.nick, spell(changes)),
            Effect::Invited {
                by, nick, channel, ..
            } => format!("{} invited {nick} to {channel}", by.nick),
            Effect::AwaySet {
                who,
                channels,
                text,
            } => format!("{} away {channels:?} {text:?}", who.nick),
            Effect::Emptied { gateway } => format!("emptied {}.{}", gateway.id, gateway.run),
        }
    }
}

/// A refusal as a test writes it: its name and what it is about.
pub fn why(refusal: &Refusal) -> String {
    let text = format!("{refusal:?}").replace('"', "");
    let text = text.replace(['(', ')', '{', '}'], " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn roster(roster: &Roster) -> String {
    let member = |member: &Member| {
        let mark = match (member.rank.operator, member.rank.voice) {
            (true, _) => "@",
            (false, true) => "+",
            (false, false) => "",
        };
        format!("{mark}{}", member.nick)
    };
    let members: Vec<String> = roster.members.iter().map(member).collect();
    format!("{}[{}]", roster.channel, members.join(" "))
}

fn spell(changes: &[ModeChange]) -> String {
    let one = |change: &ModeChange| {
        let sign = if change.set { '+' } else { '-' };
        let argument = change.argument.as_ref();
        let argument = argument.map_or(String::new(), |argument| format!("({argument})"));
        format!(" {sign}{}{argument}", change.letter)
    };
    changes.iter().map(one).collect()
}

/// Changes of modes from words as `+k(secret)`, `-i`.
pub fn modes(text: &str) -> Vec<ModeChange> {
    let one = |word: &str| ModeChange {
        set: word.starts_with('+'),
        letter: word.chars().nth(1).expect("a letter"),
        argument: word
            .split_once('(')
            .map(|(_, argument)| argument.trim_end_matches(')').to_owned()),
    };
    text.split_whitespace().map(one).collect()
}

pub fn say(target: &str, text: &str) -> Deed {
    Deed::Say {
        targets: target.split(',').map(str::to_owned).collect(),
        manner: Manner::Message,
        text: text.into(),
    }
}

pub fn notice(target: &str, text: &str) -> Deed {
    Deed::Say {
        targets: target.split(',').map(str::to_owned).collect(),
        manner: Manner::Notice,
        text: text.into(),
    }
}

/// Enters channels, with keys as `#a=key,#b`.
pub fn join(channels: &str) -> Deed {
    let one = |word: &str| match word.split_once('=') {
        Some((name, key)) => (name.to_owned(), Some(key.to_owned())),
        None => (word.to_owned(), None),
    };
    Deed::Join(channels.split(',').map(one).collect())
}

pub fn part(channels: &str, reason: &str) -> Deed {
    Deed::Part {
        channels: channels.split(',').map(str::to_owned).collect(),
        reason: reason.into(),
    }
}
