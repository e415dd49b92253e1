//! From effects to lines: what clients are shown of what happened.
//!
//! A line that many are shown is written once for each set of capabilities that it
//! depends on, and copied from there.

use std::fmt::Write as _;

use super::caps::Caps;
use super::client::{Client, end};
use super::date::iso;
use super::numerics::Numeric;
use crate::service::Place;
use crate::service::chat::Chat;
use crate::service::chat::command::{Manner, ModeChange, SessionId};
use crate::service::chat::effect::{Effect, Event, Rank, Roster, Target, Who};

/// When something happened, and how it is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The place of the command.
    pub place: Place,
    /// The how manieth effect of it.
    pub index: u16,
    /// Milliseconds since 1970.
    pub time: u64,
}

impl Moment {
    /// When this was.
    pub fn of(event: &Event) -> Moment {
        Moment {
            place: event.place,
            index: event.index,
            time: event.time,
        }
    }

    /// Its name.
    pub fn name(self) -> String {
        match self.index {
            0 => self.place.0.to_string(),
            index => format!("{}.{index}", self.place.0),
        }
    }
}

/// An effect on its way to those whom it concerns.
#[derive(Debug)]
pub struct Sheet<'a> {
    moment: Moment,
    /// What it is shown because of: mostly itself.
    cause: Moment,
    effect: &'a Effect,
    /// The batch that it is shown in.
    batch: Option<&'a str>,
    /// The line for others, as far as it was needed.
    lines: Vec<(Caps, String)>,
}

impl<'a> Sheet<'a> {
    /// An effect that nobody was shown yet.
    pub fn new(moment: Moment, effect: &'a Effect) -> Sheet<'a> {
        Sheet {
            moment,
            cause: moment,
            effect,
            batch: None,
            lines: Vec::new(),
        }
    }

    /// It is shown within this batch.
    #[must_use]
    pub fn within(self, batch: &'a str) -> Sheet<'a> {
        Sheet {
            batch: Some(batch),
            ..self
        }
    }

    /// It is shown because of something else.
    #[must_use]
    pub fn belonging_to(self, cause: Moment) -> Sheet<'a> {
        Sheet { cause, ..self }
    }

    /// Shows it to a client whose session it concerns.
    pub fn show(&mut self, chat: &Chat, session: SessionId, client: &mut Client) {
        match self.effect {
            Effect::Said { who, target, .. } => {
                let own = who.session == session;
                let own = own && !matches!(target, Target::Session(whom, _) if *whom == session);
                if !own || client.caps.has(Caps::ECHO_MESSAGE) {
                    self.line(client);
                }
            }
            Effect::Joined { who, roster, .. } => {
                self.line(client);
                if who.session == session {
                    welcome(chat, client, roster, &self.aside(client.caps));
                }
            }
            Effect::Invited {
                by,
                session: whom,
                nick,
                channel,
            } => {
                if by.session == session {
                    let told = Numeric::new(341, format!("{nick} {channel}"), "");
                    client.tell_tagged(&self.aside(client.caps), &told);
                }
                if *whom == session {
                    self.line(client);
                }
            }
            Effect::AwaySet { who, text, .. } if who.session == session => {
                let told = match text {
                    Some(_) => Numeric::new(306, "", "You have been marked as being away"),
                    None => Numeric::new(305, "", "You are no longer marked as being away"),
                };
                client.tell_tagged(&self.aside(client.caps), &told);
            }
            Effect::AwaySet { .. } if !client.caps.has(Caps::AWAY_NOTIFY) => {}
            Effect::Refused { refusal, .. } => {
                let told = Numeric::refusal(refusal);
                client.tell_tagged(&self.aside(client.caps), &told);
            }
            Effect::IsAway { nick, text, .. } => {
                let told = Numeric::new(301, nick, text);
                client.tell_tagged(&self.aside(client.caps), &told);
            }
            // The connection is told, and ends.
            Effect::Quit { who, .. } if who.session == session => {}
            Effect::Opened { .. } | Effect::NotOpened { .. } | Effect::Emptied { .. } => {}
            _ => self.line(client),
        }
    }

    /// Says the line that everybody is shown.
    fn line(&mut self, client: &mut Client) {
        let caps = client.caps.and(Caps::SHAPING);
        let known = self.lines.iter().position(|(known, _)| *known == caps);
        let index = known.unwrap_or_else(|| {
            let mut line = self.tags(caps);
            line += &end(body(self.effect, caps));
            self.lines.push((caps, line));
            self.lines.len() - 1
        });
        client.show(self.cause.place, &self.lines[index].1);
    }

    /// The tags of the line, with the blank behind them.
    fn tags(&self, caps: Caps) -> String {
        let mut tags = String::new();
        let mut tag = |name: &str, value: &str| {
            let before = if tags.is_empty() { '@' } else { ';' };
            write!(tags, "{before}{name}={value}").expect("a string grows");
        };
        if let Some(batch) = self.batch {
            tag("batch", batch);
        }
        if caps.has(Caps::SERVER_TIME) {
            tag("time", &iso(self.moment.time));
        }
        if caps.has(Caps::MESSAGE_TAGS) {
            tag("msgid", &self.moment.name());
        }
        if caps.has(Caps::ACCOUNT_TAG)
            && let Some(account) = author(self.effect).and_then(|who| who.account.as_deref())
        {
            let mut escaped = String::new();
            super::line::escape(account, &mut escaped);
            tag("account", &escaped);
        }
        if caps.has(Caps::SESSION) {
            tag("paxcast/place", &self.cause.name());
        }
        if !tags.is_empty() {
            tags.push(' ');
        }
        tags
    }

    /// The tags of what somebody alone is told.
    fn aside(&self, caps: Caps) -> String {
        match caps.has(Caps::SESSION) {
            true => format!("@paxcast/place={} ", self.cause.name()),
            false => String::new(),
        }
    }
}

/// Who did it.
fn author(effect: &Effect) -> Option<&Who> {
    match effect {
        Effect::Joined { who, .. }
        | Effect::Parted { who, .. }
        | Effect::Quit { who, .. }
        | Effect::Renamed { who, .. }
        | Effect::Said { who, .. }
        | Effect::OwnModesSet { who, .. }
        | Effect::AwaySet { who, .. }
        | Effect::Kicked { by: who, .. }
        | Effect::TopicSet { by: who, .. }
        | Effect::ModesSet { by: who, .. }
        | Effect::Invited { by: who, .. } => Some(who),
        Effect::Opened { .. }
        | Effect::NotOpened { .. }
        | Effect::Refused { .. }
        | Effect::IsAway { .. }
        | Effect::Emptied { .. } => None,
    }
}

/// The line itself, without its tags.
fn body(effect: &Effect, caps: Caps) -> String {
    let Some(who) = author(effect) else {
        return String::new();
    };
    let by = format!(":{}!{}@{}", who.nick, who.user, who.host);
    match effect {
        Effect::Joined { who, real, roster } => match caps.has(Caps::EXTENDED_JOIN) {
            true => {
                let account = who.account.as_deref().unwrap_or("*");
                format!("{by} JOIN {} {account} :{real}", roster.channel)
            }
            false => format!("{by} JOIN :{}", roster.channel),
        },
        Effect::Parted {
            channel, reason, ..
        } => match reason.as_str() {
            "" => format!("{by} PART {channel}"),
            reason => format!("{by} PART {channel} :{reason}"),
        },
        Effect::Kicked {
            nick,
            channel,
            reason,
            ..
        } => format!("{by} KICK {channel} {nick} :{reason}"),
        Effect::Quit { reason, .. } => format!("{by} QUIT :{reason}"),
        Effect::Renamed { nick, .. } => format!("{by} NICK :{nick}"),
        Effect::Said {
            target,
            manner,
            text,
            ..
        } => {
            let verb = match manner {
                Manner::Message => "PRIVMSG",
                Manner::Notice => "NOTICE",
            };
            let (Target::Channel(target) | Target::Session(_, target)) = target;
            format!("{by} {verb} {target} :{text}")
        }
        Effect::TopicSet { channel, text, .. } => format!("{by} TOPIC {channel} :{text}"),
        Effect::ModesSet {
            channel, changes, ..
        } => format!("{by} MODE {channel} {}", changed(changes)),
        Effect::OwnModesSet { who, changes } => {
            format!("{by} MODE {} :{}", who.nick, changed(changes))
        }
        Effect::Invited { nick, channel, .. } => format!("{by} INVITE {nick} {channel}"),
        Effect::AwaySet { text, .. } => match text {
            Some(text) => format!("{by} AWAY :{text}"),
            None => format!("{by} AWAY"),
        },
        Effect::Opened { .. }
        | Effect::NotOpened { .. }
        | Effect::Refused { .. }
        | Effect::IsAway { .. }
        | Effect::Emptied { .. } => String::new(),
    }
}

/// Changes of modes as `+o-v` and what belongs to them.
fn changed(changes: &[ModeChange]) -> String {
    let mut letters = String::new();
    let mut arguments = String::new();
    let mut sign = None;
    for change in changes {
        if sign != Some(change.set) {
            letters.push(if change.set { '+' } else { '-' });
            sign = Some(change.set);
        }
        letters.push(change.letter);
        if let Some(argument) = &change.argument {
            write!(arguments, " {argument}").expect("a string grows");
        }
    }
    letters + &arguments
}

/// What stands ahead of a nick that may so much.
pub fn prefix(rank: Rank, multi: bool) -> &'static str {
    match (rank.operator, rank.voice) {
        (true, true) if multi => "@+",
        (true, _) => "@",
        (false, true) => "+",
        (false, false) => "",
    }
}

/// Shows somebody a channel that they are in now: topic and names. A roster without
/// members is one that was too long for a reply.
pub fn welcome(chat: &Chat, client: &mut Client, roster: &Roster, tags: &str) {
    if let Some(topic) = &roster.topic {
        let channel = &roster.channel;
        client.tell_tagged(tags, &Numeric::new(332, channel, &topic.text));
        let set = format!("{channel} {} {}", topic.by, topic.time / 1000);
        client.tell_tagged(tags, &Numeric::new(333, set, ""));
    }
    match roster.members.is_empty() {
        false => list(client, roster, tags, |_| true),
        true => {
            let whole = chat.roster(&roster.channel);
            // Another time it will be another list.
            let tags = tags.replacen('@', "@paxcast/now;", 1);
            list(client, whole.as_ref().unwrap_or(roster), &tags, |_| true);
        }
    }
    end_list(client, roster, tags);
}

/// Tells who is in a channel, of those that may be shown, as far as there is room.
pub fn names(client: &mut Client, roster: &Roster, shown: impl Fn(SessionId) -> bool) {
    list(client, roster, "", shown);
    end_list(client, roster, "");
}

fn end_list(client: &mut Client, roster: &Roster, tags: &str) {
    let end = Numeric::new(366, &roster.channel, "End of NAMES list");
    client.tell_tagged(tags, &end);
}

fn list(client: &mut Client, roster: &Roster, tags: &str, shown: impl Fn(SessionId) -> bool) {
    /// Bytes of a line with nicks.
    const ROOM: usize = 500;
    let sign = if roster.secret { '@' } else { '=' };
    let middle = format!("{sign} {}", roster.channel);
    let ahead = client.server.len() + client.name().len() + middle.len() + 10;
    let mut line = String::new();
    let full = client.caps.has(Caps::USERHOST_IN_NAMES);
    let multi = client.caps.has(Caps::MULTI_PREFIX);
    for member in roster.members.iter().filter(|member| shown(member.session)) {
        if client.pending() > Client::LISTS {
            break;
        }
        let name = if full { &member.mask } else { &member.nick };
        let prefix = prefix(member.rank, multi);
        if !line.is_empty() && ahead + line.len() + 1 + prefix.len() + name.len() > ROOM {
            client.tell_tagged(tags, &Numeric::new(353, &middle, std::mem::take(&mut line)));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(prefix);
        line.push_str(name);
    }
    if !line.is_empty() {
        client.tell_tagged(tags, &Numeric::new(353, &middle, line));
    }
}
