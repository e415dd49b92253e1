//! Somebody in the chat, who must have everything once.
//!
//! They talk over one connection after the other, number their lines, say where they
//! have come to when they come back, and say again what is not done. What they are shown
//! is compared with what the log makes of it ([`Observer`]): everything, in its order,
//! once. Where a gateway says that it does not remember all, they begin anew behind it.

use std::collections::VecDeque;
use std::time::Duration;

use super::observer::Observer;
use super::post::{Connection, Item, Welcome};
use crate::protocol::Time;
use crate::service::Place;
use crate::service::chat::command::{Deed, Manner, ModeChange, Opening, SessionId};
use crate::service::chat::effect::Effect;
use crate::service::chat::name::fold;
use crate::sim::check::Finding;
use crate::sim::random::Random;

/// The nick that everybody would like.
const STAR: &str = "star";

/// Somebody.
#[derive(Debug)]
pub struct Person {
    /// Their own chance.
    pub random: Random,
    index: usize,
    /// Which replica they stand at, from 1.
    pub at: u16,
    /// When they do the next thing.
    pub due: Time,
    /// When they read on, if there is anything.
    pub read_at: Time,
    /// The connection, if they have one.
    pub connection: Option<Connection>,
    /// Whether they have been let in.
    pub welcomed: bool,
    /// What is on its way to them.
    pub pipe: VecDeque<Item>,
    /// Since when nothing has come of what they wait for.
    since: Time,
    /// How long they wait to be let in.
    patience: Duration,
    /// Whether they come back by an account, or by a secret.
    has_account: bool,
    nick: String,
    /// How often they could not come in, or came in as somebody else.
    tries: usize,
    asked: String,
    claimed: Option<Place>,
    /// Their session, once they know it.
    pub session: Option<SessionId>,
    /// Everything through here is past, whether it was shown or not.
    floor: Place,
    /// How many lines of the session they were shown, or have given up.
    cursor: usize,
    /// Whether the last place that they were shown something of is complete.
    sure: bool,
    /// Lines that they have still to say.
    pub left: u32,
    said: u64,
    number: u64,
    /// Lines that are not done, by their numbers.
    pub pending: VecDeque<(u64, Deed)>,
    /// How many of them were handed in over this connection.
    pub submitted: usize,
    /// Whether they say good-bye in the end.
    pub leaves: bool,
    /// They have said good-bye.
    pub is_gone: bool,
    /// What became of them, for whoever counts.
    pub fate: Fate,
}

/// How often something happened to somebody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fate {
    /// They went on where they were.
    pub resumed: u64,
    /// Their session was over.
    pub fresh: u64,
    /// Not all that they missed was remembered.
    pub gaps: u64,
    /// They said something again.
    pub repeated: u64,
    /// They were shown what they missed.
    pub missed: u64,
}

/// What somebody wants done who was told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    Nothing,
    /// This is not the session that they want: it shall end.
    Leave(SessionId),
}

impl Person {
    /// How long they wait for anything.
    const PATIENCE: Duration = Duration::from_secs(4);

    /// How long they wait to be let in, when they try elsewhere soon: what they asked for
    /// here may come later than that.
    const IMPATIENCE: Duration = Duration::from_millis(300);

    /// Lines that may be under way.
    pub const WINDOW: usize = 4;

    /// One who has done nothing yet.
    pub fn new(seed: u64, index: usize, replicas: u16, lines: u32, leisure: Duration) -> Person {
        let mut random = Random::new(seed, &format!("person {index}"));
        Person {
            at: random.between(1, u64::from(replicas)) as u16,
            due: Time::ZERO + random.duration(Duration::ZERO, leisure),
            read_at: Time::ZERO,
            has_account: random.chance(0.4),
            leaves: random.chance(0.3),
            random,
            index,
            connection: None,
            welcomed: false,
            pipe: VecDeque::new(),
            since: Time::ZERO,
            patience: Self::PATIENCE,
            nick: format!("p{index}"),
            tries: 0,
            asked: String::new(),
            claimed: None,
            session: None,
            floor: Place::ZERO,
            cursor: 0,
            sure: false,
            left: lines,
            said: 0,
            number: 0,
            pending: VecDeque::new(),
            submitted: 0,
            is_gone: false,
            fate: Fate::default(),
        }
    }

    /// Whether they have said all, know it done, and were shown all.
    pub fn is_done(&self, observer: &Observer) -> bool {
        let shown = |session| self.cursor == observer.lines(session).len();
        self.is_gone
            || self.left == 0
                && self.pending.is_empty()
                && !self.leaves
                && self.welcomed
                && self.pipe.is_empty()
                && self.session.is_some_and(shown)
    }

    /// How far they are.
    pub fn words(&self, observer: &Observer) -> String {
        let lines = self.session.map_or(0, |id| observer.lines(id).len());
        format!(
            "p{} at replica {} has {} lines to say, {} are not done, was shown {} of {lines}",
            self.index,
            self.at,
            self.left,
            self.pending.len(),
            self.cursor
        )
    }

    /// When they do something, if nothing happens.
    pub fn wants(&self) -> Option<Time> {
        if self.is_gone {
            return None;
        }
        if self.connection.is_none() {
            return Some(self.due);
        }
        let read = (!self.pipe.is_empty()).then_some(self.read_at);
        let speak = self.welcomed && (self.submitted < self.pending.len() || self.may_speak());
        let leave = self.welcomed && self.may_leave();
        [read, (speak || leave).then_some(self.due)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether there is something that they would say.
    pub fn may_speak(&self) -> bool {
        self.left > 0 && self.pending.len() < Self::WINDOW
    }

    /// Whether it is time to say good-bye.
    pub fn may_leave(&self) -> bool {
        self.leaves && self.left == 0 && self.pending.is_empty()
    }

    /// Whether they have waited for too long.
    pub fn is_weary(&self, now: Time) -> bool {
        let waits = !self.welcomed || !self.pending.is_empty();
        let held_up = self.may_speak() && now.since(self.due) >= Self::PATIENCE;
        let patience = if self.welcomed {
            Self::PATIENCE
        } else {
            self.patience
        };
        let weary = now.since(self.since) >= patience;
        self.connection.is_some() && weary && (waits || held_up)
    }

    /// Everything through here they have on their screen.
    pub fn seen(&self, observer: &Observer) -> Place {
        let Some(session) = self.session else {
            return self.floor;
        };
        let last = self.cursor.checked_sub(1);
        let last = last.and_then(|last| observer.lines(session).get(last));
        let seen = last.map_or(Place::ZERO, |line| match self.sure {
            true => line.place,
            false => Place(line.place.0 - 1),
        });
        seen.max(self.floor)
    }

    /// The nicks by which they may be known.
    fn candidates(&self) -> Vec<String> {
        let pending = self.pending.iter().filter_map(|(_, deed)| match deed {
            Deed::Nick(nick) => Some(nick.clone()),
            _ => None,
        });
        let own = [self.nick.clone()].into_iter().chain(pending);
        own.chain([format!("p{}", self.index)]).collect()
    }

    /// What they come in with.
    pub fn introduce(&mut self, now: Time, observer: &Observer) -> Opening {
        let candidates = self.candidates();
        self.asked = candidates[self.tries % candidates.len()].clone();
        // Who has not been let in yet claims nothing, which lets the count of their lines
        // begin anew.
        self.claimed = self.session.map(|_| self.seen(observer));
        self.since = now;
        // The first time nothing tells which of two openings is the later one.
        let hurries = if self.session.is_none() { 0.6 } else { 0.1 };
        self.patience = match self.random.chance(hurries) {
            true => self.random.duration(Duration::ZERO, Self::IMPATIENCE),
            false => Self::PATIENCE,
        };
        let name = format!("p{}", self.index);
        let mut token = [7; 32];
        token[0] = self.index as u8;
        Opening {
            connection: 0,
            nick: self.asked.clone(),
            user: name.clone(),
            host: "here".to_owned(),
            real: name.clone(),
            account: self.has_account.then_some(name),
            token: (!self.has_account).then_some(token),
            seen: self.claimed,
        }
    }

    /// The connection is gone. What was on its way comes in part.
    pub fn hang_up(&mut self, now: Time, observer: &Observer, replicas: u16) -> Finding {
        let most = self.pipe.len() as u64;
        let comes = self.random.between(0, most) as usize;
        self.pipe.truncate(comes);
        let mut outcome = Ok(());
        while let Some(item) = self.pipe.pop_front() {
            if matches!(item, Item::Closed { .. }) {
                break;
            }
            outcome = outcome.and(self.take(now, observer, item).map(|_| ()));
        }
        self.pipe.clear();
        self.connection = None;
        self.welcomed = false;
        self.submitted = 0;
        self.move_on(now, replicas);
        outcome
    }

    /// Goes to some replica, soon.
    pub fn move_on(&mut self, now: Time, replicas: u16) {
        self.at = self.random.between(1, u64::from(replicas)) as u16;
        let soon = Duration::from_millis(100);
        self.due = now + self.random.duration(Duration::ZERO, soon);
    }

    /// Something comes.
    pub fn take(&mut self, now: Time, observer: &Observer, item: Item) -> Result<Wish, String> {
        self.since = now;
        match item {
            Item::Welcome(welcome) => return self.enter(observer, welcome),
            Item::Line(line) => {
                let Some(session) = self.session else {
                    return Err(format!("p{} is shown something ahead of all", self.index));
                };
                let expected = observer.lines(session).get(self.cursor);
                if expected != Some(&line) {
                    return Err(format!(
                        "p{} is shown {line:?}, and what comes next for them is {expected:?}",
                        self.index
                    ));
                }
                self.cursor += 1;
                self.sure = false;
                if let Effect::Renamed { who, nick, .. } = &*line.effect
                    && who.session == session
                {
                    self.nick.clone_from(nick);
                }
            }
            Item::Done(number) => {
                let front = self.pending.pop_front().map(|(number, _)| number);
                if front != Some(number) {
                    return Err(format!(
                        "p{} is told that {number} is done, and waits for {front:?}",
                        self.index
                    ));
                }
                self.submitted = self.submitted.saturating_sub(1);
                self.sure = true;
                let session = self.session.ok_or("nobody is told that it is done")?;
                if !observer.has_done(session, number) {
                    return Err(format!(
                        "p{} is told that {number} is done, and the log has nothing of it",
                        self.index
                    ));
                }
            }
            Item::Closed { taken } => {
                self.tries += usize::from(taken);
                self.connection = None;
                self.welcomed = false;
                self.submitted = 0;
            }
        }
        Ok(Wish::Nothing)
    }

    /// They are in.
    fn enter(&mut self, observer: &Observer, welcome: Welcome) -> Result<Wish, String> {
        let Welcome {
            session,
            nick,
            resumed,
            number,
            gap,
        } = welcome;
        let name = format!("p{}", self.index);
        let waiting = self.session.filter(|old| !observer.has_ended(*old));
        match (self.session, resumed) {
            (Some(old), Some(after)) if old == session => {
                if self.claimed != Some(after) {
                    let claimed = self.claimed;
                    return Err(format!(
                        "{name} has seen {claimed:?}, and goes on behind {after}"
                    ));
                }
                let lost = self.pending.iter().find(|(pending, _)| {
                    *pending <= number && !observer.has_done(session, *pending)
                });
                if let Some((lost, _)) = lost {
                    return Err(format!("{lost} of {name} counts as done, and never was"));
                }
                let first = self
                    .pending
                    .front()
                    .map_or(self.number + 1, |first| first.0);
                if number + 1 < first {
                    return Err(format!(
                        "{name} was told that all ahead of {first} was done, now only {number} is"
                    ));
                }
                self.pending.retain(|(pending, _)| *pending > number);
                self.fate.repeated += self.pending.len() as u64;
                self.fate.resumed += 1;
                let behind = |place| {
                    observer
                        .lines(session)
                        .partition_point(|l| l.place <= place)
                };
                self.fate.missed += u64::from(behind(after) < observer.lines(session).len());
                self.go_on_behind(observer, session, after);
            }
            _ if waiting.is_some() => {
                let old = waiting.unwrap_or(session);
                if fold(observer.nick(old)) == fold(&self.asked) {
                    return Err(format!(
                        "{name} comes in anew, though {old:?} waits for them"
                    ));
                }
                // They have another nick than they knew.
                self.tries += 1;
                return Ok(Wish::Leave(session));
            }
            _ => {
                // What was under way in one that is over is in doubt.
                self.fate.fresh += u64::from(self.session.is_some());
                self.pending.clear();
                self.session = Some(session);
                self.number = number;
                self.go_on_behind(observer, session, resumed.unwrap_or(session.0));
            }
        }
        self.nick = nick;
        self.tries = 0;
        self.welcomed = true;
        self.submitted = 0;
        if let Some(through) = gap {
            self.fate.gaps += 1;
            self.go_on_behind(observer, session, through);
        }
        Ok(Wish::Nothing)
    }

    fn go_on_behind(&mut self, observer: &Observer, session: SessionId, place: Place) {
        let lines = observer.lines(session);
        self.cursor = lines.partition_point(|line| line.place <= place);
        self.floor = place;
        self.sure = false;
    }

    /// Says the next thing.
    pub fn speak(&mut self, observer: &Observer, people: usize, channels: u16) {
        let Some(session) = self.session else {
            return;
        };
        self.left -= 1;
        self.number += 1;
        let deed = self.choose(observer, session, people, channels);
        self.pending.push_back((self.number, deed));
    }

    fn choose(
        &mut self,
        observer: &Observer,
        session: SessionId,
        people: usize,
        channels: u16,
    ) -> Deed {
        let any = |random: &mut Random| format!("#c{}", random.between(1, u64::from(channels)));
        let random = &mut self.random;
        let channel = any(random);
        let known = observer.channels_of(session).next();
        let join = |channel: String| Deed::Join(vec![(channel, None)]);
        let Some(here) = known else {
            return join(channel);
        };
        let other = format!("p{}", random.place(people));
        let set = random.chance(0.5);
        match random.between(0, 99) {
            0..=54 => {
                self.said += 1;
                let (text, manner) = (format!("p{}.{}", self.index, self.said), Manner::Message);
                let targets = match random.between(0, 9) {
                    0 => vec![other],
                    1 => vec![channel, other],
                    2 => vec![channel],
                    _ => vec![here],
                };
                Deed::Say {
                    targets,
                    manner,
                    text,
                }
            }
            55..=69 => join(channel),
            70..=76 => Deed::Part {
                channels: vec![here],
                reason: String::new(),
            },
            77..=83
                if !self
                    .pending
                    .iter()
                    .any(|(_, it)| matches!(it, Deed::Nick(_))) =>
            {
                let own = format!("p{}", self.index);
                let nick = random.pick(&[STAR, "", "_", "x"]);
                Deed::Nick(if nick == STAR {
                    nick.into()
                } else {
                    own + nick
                })
            }
            84..=88 => Deed::Kick {
                channel: here,
                nicks: vec![other],
                reason: "so".to_owned(),
            },
            89..=91 => Deed::Topic {
                channel: here,
                topic: format!("topic {}", self.said),
            },
            92..=94 => Deed::Away(set.then(|| "away".to_owned())),
            95..=97 => Deed::Mode {
                channel: here,
                changes: vec![ModeChange {
                    set,
                    letter: random.pick(&['i', 'm', 'n', 't']),
                    argument: None,
                }],
            },
            98 => Deed::PartAll,
            _ => Deed::Invite {
                nick: other,
                channel: here,
            },
        }
    }
}
