//! What the log makes of it: who must be shown what, by nothing but the replies.
//!
//! It does not look into any replica. Who is in which channel it knows from who came
//! and went; to whom a line goes it says itself; and what was said, it remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::service::Place;
use crate::service::chat::command::SessionId;
use crate::service::chat::effect::{Audience, Effect, Reply};
use crate::service::chat::name::fold;
use crate::sim::check::Finding;

/// Something that somebody is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// By which command.
    pub place: Place,
    /// The how manieth effect of it.
    pub index: u16,
    /// What.
    pub effect: Arc<Effect>,
}

/// What the log says.
#[derive(Debug, Default)]
pub struct Observer {
    /// The checksum of the reply at each place, from the first on, and who told it first.
    replies: Vec<(u32, String)>,
    subjects: BTreeMap<SessionId, Subject>,
    /// Who is in a channel, by its folded name.
    channels: BTreeMap<String, BTreeSet<SessionId>>,
    /// Who has a nick, folded.
    nicks: BTreeMap<String, SessionId>,
    /// Where each text was said.
    said: BTreeMap<String, Place>,
    /// The last text of each author, by their count.
    order: BTreeMap<String, u64>,
}

/// One session.
#[derive(Debug, Default)]
struct Subject {
    nick: String,
    lines: Vec<Line>,
    /// Where each of their numbered lines was done.
    numbers: BTreeMap<u64, Place>,
    ended: bool,
}

/// An effect as somebody is shown it: the others have no use for the members of a channel
/// that somebody enters.
pub fn as_shown(effect: &Effect, to: SessionId) -> Effect {
    let mut effect = effect.clone();
    if let Effect::Joined { who, roster, .. } = &mut effect
        && who.session != to
    {
        roster.members.clear();
    }
    effect
}

/// Whether nobody's screen has anything of it.
pub fn is_silent(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Opened { .. } | Effect::NotOpened { .. } | Effect::Emptied { .. }
    )
}

impl Observer {
    /// A replica told the reply to the command of a place. All must tell the same.
    pub fn hear(&mut self, who: &str, place: Place, reply: &[u8]) -> Finding {
        let crc = crate::protocol::checksum::of(reply);
        let index = place.0 as usize - 1;
        if let Some((known, first)) = self.replies.get(index) {
            return match *known == crc {
                true => Ok(()),
                false => Err(format!(
                    "{who} and {first} reply to the command {place} differently"
                )),
            };
        }
        if index > self.replies.len() {
            let next = self.replies.len() + 1;
            return Err(format!("{who} replies to {place}, and nobody to @{next}"));
        }
        self.replies.push((crc, who.to_owned()));
        let Some(reply) = Reply::decode(reply) else {
            return Err(format!("{who} replies {reply:?} to {place}"));
        };
        self.count(place, &reply)?;
        for (index, effect) in reply.effects.iter().enumerate() {
            self.happen(place, index as u16, effect)?;
        }
        Ok(())
    }

    /// A numbered line is done once.
    fn count(&mut self, place: Place, reply: &Reply) -> Finding {
        let Some((session, Some(number))) = reply.author else {
            return Ok(());
        };
        let subject = self.subjects.get_mut(&session);
        let subject = subject.ok_or_else(|| format!("{session:?} does something at {place}"))?;
        // What happens in passing is nobody's.
        let own = |effect: &&Effect| !matches!(effect, Effect::Quit { .. }) && !is_silent(effect);
        let empty = reply.effects.iter().filter(own).count() == 0;
        match subject.numbers.get(&number) {
            Some(first) if !empty => Err(format!(
                "line {number} of {} is done at {first} and again at {place}",
                subject.nick
            )),
            Some(_) => Ok(()),
            None => {
                subject.numbers.insert(number, place);
                Ok(())
            }
        }
    }

    /// Something happens.
    fn happen(&mut self, place: Place, index: u16, effect: &Effect) -> Finding {
        match effect {
            Effect::Opened {
                who,
                resumed,
                channels,
                ..
            } => {
                if resumed.is_none() {
                    self.subjects.insert(who.session, Subject::default());
                    self.name(place, who.session, &who.nick)?;
                }
                let names = channels.iter().map(|roster| fold(&roster.channel));
                let told: BTreeSet<String> = names.collect();
                let known: BTreeSet<String> = self.channels_of(who.session).collect();
                if told != known {
                    return Err(format!(
                        "{} comes back into {told:?} at {place}, and was in {known:?}",
                        who.nick
                    ));
                }
            }
            Effect::Joined { who, roster, .. } => {
                let members = self.channels.entry(fold(&roster.channel)).or_default();
                if !members.insert(who.session) {
                    return Err(format!("{} enters twice at {place}", who.nick));
                }
            }
            Effect::Renamed { who, nick, .. } => self.name(place, who.session, nick)?,
            Effect::Said { text, .. } => self.say(place, text)?,
            _ => {}
        }
        if !is_silent(effect) {
            for session in self.concerned(effect) {
                let effect = Arc::new(as_shown(effect, session));
                let line = Line {
                    place,
                    index,
                    effect,
                };
                if let Some(subject) = self.subjects.get_mut(&session) {
                    subject.lines.push(line);
                }
            }
        }
        match effect {
            Effect::Parted { who, channel, .. } => self.leave(who.session, channel),
            Effect::Kicked {
                session, channel, ..
            } => self.leave(*session, channel),
            Effect::Quit { who, .. } => {
                for members in self.channels.values_mut() {
                    members.remove(&who.session);
                }
                if let Some(subject) = self.subjects.get_mut(&who.session) {
                    subject.ended = true;
                    self.nicks.remove(&fold(&subject.nick));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whom it concerns, but for who is gone by it.
    fn concerned(&self, effect: &Effect) -> BTreeSet<SessionId> {
        let mut all = BTreeSet::new();
        match effect.audience() {
            Audience::Nobody => {}
            Audience::One(session) => all.extend([session]),
            Audience::Two(one, other) => all.extend([one, other]),
            Audience::Channel(channel) => {
                all.extend(self.channels.get(&fold(channel)).into_iter().flatten());
            }
            Audience::Around(session, named) => {
                all.insert(session);
                // By who shares a channel with them, not by what the effect says. But who was
                // away already, or was not, is told alone.
                let alone = matches!(effect, Effect::AwaySet { .. }) && named.is_empty();
                let shared = self.channels.values();
                let shared = shared.filter(|members| !alone && members.contains(&session));
                all.extend(shared.flatten());
            }
        }
        if let Effect::Quit { who, .. } = effect {
            all.remove(&who.session);
        }
        all
    }

    /// Somebody has this nick from now on, and nobody else.
    fn name(&mut self, place: Place, session: SessionId, nick: &str) -> Finding {
        let Some(subject) = self.subjects.get_mut(&session) else {
            return Err(format!("nobody is called {nick} at {place}"));
        };
        self.nicks.remove(&fold(&subject.nick));
        nick.clone_into(&mut subject.nick);
        match self.nicks.insert(fold(nick), session) {
            None => Ok(()),
            Some(other) => Err(format!("{session:?} and {other:?} are {nick} at {place}")),
        }
    }

    /// What is said is said once, and whoever says it says it in order.
    fn say(&mut self, place: Place, text: &str) -> Finding {
        match self.said.insert(text.to_owned(), place) {
            // To two targets at once.
            Some(first) if first == place => return Ok(()),
            Some(first) => return Err(format!("{text:?} is said at {first} and again at {place}")),
            None => {}
        }
        let (author, count) = text
            .split_once('.')
            .and_then(|(author, count)| Some((author, count.parse().ok()?)))
            .ok_or_else(|| format!("nobody has said {text:?}"))?;
        match self.order.insert(author.to_owned(), count) {
            Some(before) if before > count => Err(format!(
                "{author} said {text:?} ahead of {before}, and it comes behind it at {place}"
            )),
            _ => Ok(()),
        }
    }

    fn leave(&mut self, session: SessionId, channel: &str) {
        if let Some(members) = self.channels.get_mut(&fold(channel)) {
            members.remove(&session);
        }
    }

    /// All that a session is shown, in order.
    pub fn lines(&self, session: SessionId) -> &[Line] {
        self.subjects
            .get(&session)
            .map_or(&[], |subject| &subject.lines)
    }

    /// Whether a session is over.
    pub fn has_ended(&self, session: SessionId) -> bool {
        let subject = self.subjects.get(&session);
        subject.is_none_or(|subject| subject.ended)
    }

    /// The nick of a session.
    pub fn nick(&self, session: SessionId) -> &str {
        self.subjects
            .get(&session)
            .map_or("nobody", |subject| &subject.nick)
    }

    /// Whether a numbered line of a session was done.
    pub fn has_done(&self, session: SessionId, number: u64) -> bool {
        let subject = self.subjects.get(&session);
        subject.is_some_and(|subject| subject.numbers.contains_key(&number))
    }

    /// The folded names of the channels that a session is in.
    pub fn channels_of(&self, session: SessionId) -> impl Iterator<Item = String> {
        let there = self.channels.iter();
        let there = there.filter(move |(_, members)| members.contains(&session));
        there.map(|(name, _)| name.clone())
    }

    /// How many texts were said.
    pub fn said(&self) -> usize {
        self.said.len()
    }
}
