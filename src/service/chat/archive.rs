//! What is remembered, as a whole: each event once, in however many rings it is.
//!
//! Rings have limits of their own, but there are many of them; so there is a limit on
//! all of it, too. When it is reached, the oldest event of all goes, out of every ring
//! that has it. It is the oldest of each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Chat;
use super::command::SessionId;
use super::effect::{Effect, Event, Target};
use super::limits::Limits;
use super::name::fold;
use super::ring::{Kept, Key, Ring};

/// All events that are in some ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archive {
    /// With the number of rings that have it.
    kept: BTreeMap<Key, (Kept, u32)>,
    bytes: usize,
    limit: usize,
}

/// A ring, by what it belongs to.
#[derive(Debug, PartialEq, Eq)]
enum Shelf {
    /// What was said in a channel, by its folded name.
    Messages(String),
    /// What else happened there.
    Events(String),
    /// What concerns somebody alone.
    Inbox(SessionId),
}

impl Archive {
    /// An empty one, with room for so many bytes.
    pub fn new(limit: usize) -> Archive {
        Archive {
            kept: BTreeMap::new(),
            bytes: 0,
            limit,
        }
    }

    /// One more ring has it.
    pub fn hold(&mut self, kept: &Kept) {
        let (_, rings) = self.kept.entry(kept.key()).or_insert_with(|| {
            self.bytes += kept.weight as usize;
            (kept.clone(), 0)
        });
        *rings += 1;
    }

    /// One ring has it no more, if it is not out of here already.
    pub fn release(&mut self, kept: &Kept) {
        let key = kept.key();
        let Some((_, rings)) = self.kept.get_mut(&key) else {
            return;
        };
        *rings -= 1;
        if *rings == 0 {
            self.kept.remove(&key);
            self.bytes -= kept.weight as usize;
        }
    }

    /// Takes the oldest of all out, if there are more bytes than there may be.
    fn excess(&mut self) -> Option<Kept> {
        if self.bytes <= self.limit {
            return None;
        }
        let (_, (kept, _)) = self.kept.pop_first()?;
        self.bytes -= kept.weight as usize;
        Some(kept)
    }

    /// Bytes of all, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Room for so many.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// The rings that an event goes to, and whether the whole of it does.
fn shelves(effect: &Effect) -> Vec<(Shelf, bool)> {
    let everywhere = |channels: &[String]| {
        let events = channels.iter().map(|name| Shelf::Events(fold(name)));
        events.map(|shelf| (shelf, true)).collect::<Vec<_>>()
    };
    let both = |one, other| {
        let mut shelves = vec![(Shelf::Inbox(one), true)];
        if one != other {
            shelves.push((Shelf::Inbox(other), true));
        }
        shelves
    };
    match effect {
        Effect::Opened { .. } | Effect::NotOpened { .. } | Effect::Emptied { .. } => Vec::new(),
        Effect::Said { who, target, .. } => match target {
            Target::Channel(channel) => vec![(Shelf::Messages(fold(channel)), true)],
            Target::Session(session, _) => both(who.session, *session),
        },
        Effect::Joined { who, roster, .. } => vec![
            (Shelf::Events(fold(&roster.channel)), false),
            (Shelf::Inbox(who.session), true),
        ],
        Effect::Parted { channel, .. }
        | Effect::Kicked { channel, .. }
        | Effect::TopicSet { channel, .. }
        | Effect::ModesSet { channel, .. } => vec![(Shelf::Events(fold(channel)), true)],
        Effect::Invited { by, session, .. } => both(by.session, *session),
        Effect::Refused { session, .. } | Effect::IsAway { session, .. } => {
            vec![(Shelf::Inbox(*session), true)]
        }
        Effect::OwnModesSet { who, .. } => vec![(Shelf::Inbox(who.session), true)],
        // Nobody will ask what happened to who is no more.
        Effect::Quit { channels, .. } => everywhere(channels),
        Effect::Renamed { who, channels, .. } | Effect::AwaySet { who, channels, .. } => {
            let mut shelves = everywhere(channels);
            shelves.push((Shelf::Inbox(who.session), true));
            shelves
        }
    }
}

/// What the others need of an event.
fn short(event: &Event) -> Event {
    let mut event = event.clone();
    if let Effect::Joined { roster, .. } = &mut event.effect {
        roster.members.clear();
    }
    event
}

impl Chat {
    /// Remembers what happened, wherever it concerns somebody.
    pub(super) fn remember(&mut self, event: &Arc<Event>) {
        let (mut whole, mut part) = (None, None);
        for (shelf, entire) in shelves(&event.effect) {
            let kept = match entire {
                true => whole.get_or_insert_with(|| Kept::new(event.clone(), true)),
                false => part.get_or_insert_with(|| Kept::new(Arc::new(short(event)), false)),
            };
            self.shelve(&shelf, kept);
        }
        while let Some(kept) = self.archive.excess() {
            for (shelf, entire) in shelves(&kept.event.effect) {
                if entire == kept.whole {
                    self.unshelve(&shelf, &kept);
                }
            }
        }
    }

    /// Puts an event into a ring, if that is there.
    fn shelve(&mut self, shelf: &Shelf, kept: &Kept) {
        let mut dropped = Vec::new();
        let mut put = |ring: &mut Ring, most| {
            ring.push(kept.clone());
            while let Some(old) = ring.shorten(most) {
                dropped.push(old);
            }
        };
        let there = match shelf {
            Shelf::Messages(folded) => self.channels.touch(folded, |channel| {
                put(&mut channel.messages, Limits::MESSAGES);
            }),
            Shelf::Events(folded) => self.channels.touch(folded, |channel| {
                put(&mut channel.events, Limits::EVENTS);
            }),
            Shelf::Inbox(id) => self.sessions.touch(*id, |session| {
                put(&mut session.inbox, Limits::INBOX);
            }),
        };
        if there.is_some() {
            self.archive.hold(kept);
        }
        for old in dropped {
            self.archive.release(&old);
        }
    }

    /// Takes an event that is the oldest of all out of a ring, if that has it.
    fn unshelve(&mut self, shelf: &Shelf, kept: &Kept) {
        let take = |ring: &mut Ring| {
            if ring.first().is_some_and(|first| first.key() == kept.key()) {
                ring.drop_first();
            }
        };
        match shelf {
            Shelf::Messages(folded) => {
                let channels = &mut self.channels;
                channels.touch(folded, |channel| take(&mut channel.messages));
            }
            Shelf::Events(folded) => {
                let channels = &mut self.channels;
                channels.touch(folded, |channel| take(&mut channel.events));
            }
            Shelf::Inbox(id) => {
                let sessions = &mut self.sessions;
                sessions.touch(*id, |session| take(&mut session.inbox));
            }
        }
    }

    /// Forgets all that is in a ring, for what it belongs to is no more.
    pub(super) fn clear(&mut self, ring: &Ring) {
        for kept in ring.iter() {
            self.archive.release(kept);
        }
    }
}
