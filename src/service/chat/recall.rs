//! What somebody missed, and what was said earlier.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Chat;
use super::command::SessionId;
use super::effect::{Effect, Event, Target};
use super::name::fold;
use super::ring::{At, Ring};
use super::session::{Card, Session};
use crate::protocol::mutant::{Mutant, mutant};
use crate::service::Place;

/// What somebody missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Whether it is all of it. Otherwise something was forgotten already.
    pub complete: bool,
    /// What happened, in order, each event once.
    pub events: Vec<Arc<Event>>,
}

/// A point of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A message, by its name.
    At(At),
    /// A time, in milliseconds since 1970.
    Time(u64),
}

/// Which messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The latest; if a point is given, of those behind it.
    Latest(Option<Point>),
    /// The last ones ahead of a point.
    Before(Point),
    /// The first ones behind a point.
    After(Point),
    /// Those on both sides of a point, and what is there.
    Around(Point),
    /// Those between two points, from the first one on, whichever is earlier.
    Between(Point, Point),
}

/// Why there is no history to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHistory {
    /// There is no such session.
    NoSession,
    /// They are not in that channel, if it is one.
    NotOnChannel,
}

/// The channels' and the session's rings that somebody has a share in, each with the
/// moments from and through which they have.
struct Share<'a> {
    ring: &'a Ring,
    from: At,
    through: At,
}

impl Point {
    fn is_before(self, event: &Event) -> bool {
        match self {
            Point::At(at) => at < at_of(event),
            Point::Time(time) => time < event.time,
        }
    }

    fn is_behind(self, event: &Event) -> bool {
        match self {
            Point::At(at) => at > at_of(event),
            Point::Time(time) => time > event.time,
        }
    }
}

fn at_of(event: &Event) -> At {
    At {
        place: event.place,
        index: event.index,
    }
}

impl Chat {
    /// All that concerned somebody behind one place through another, in order.
    ///
    /// Channels that they were in meanwhile count from when they came until they left.
    /// It looks only at what is asked for: some thousand events for each channel at
    /// most.
    pub fn missed(&self, session: SessionId, after: Place, through: Place) -> Missed {
        let nothing = Missed {
            complete: false,
            events: Vec::new(),
        };
        let Some(session) = self.sessions.find(session) else {
            return nothing;
        };
        let behind = Place(after.0.saturating_add(1));
        let (from, through) = (At::first(behind), At::last(through));
        if from > through {
            let complete = true;
            return Missed {
                complete,
                ..nothing
            };
        }
        let (shares, mut complete) = self.shares(session, from);
        let mut events: Vec<Arc<Event>> = Vec::new();
        for share in shares {
            let start = share.from.max(from);
            complete &= share.ring.dropped() < start;
            let kept = share.ring.range(start, share.through.min(through));
            events.extend(kept.map(|kept| kept.event.clone()));
        }
        // The inbox came first, and the sorting keeps that order: the whole form of an
        // event stays, and the short one goes.
        events.sort_by_key(|event| at_of(event));
        events.dedup_by_key(|event| at_of(event));
        if mutant(Mutant::ReplayBeginsLate) && !events.is_empty() {
            events.remove(0);
        }
        Missed { complete, events }
    }

    /// The rings of which somebody has a share behind a moment, their own first, and
    /// whether none is missing.
    fn shares<'a>(&'a self, session: &'a Session, from: At) -> (Vec<Share<'a>>, bool) {
        let Card {
            channels,
            former,
            forgotten,
            ..
        } = &session.card;
        let mut complete = *forgotten < from;
        let end = At::last(Place(u64::MAX));
        let mut shares = vec![Share {
            ring: &session.inbox,
            from: At::default(),
            through: end,
        }];
        let current = channels.iter().map(|(name, since)| (name, *since, end));
        let former = former
            .iter()
            .filter(|stay| stay.through >= from && !mutant(Mutant::FormerStayForgotten))
            .map(|stay| (&stay.channel, stay.from, stay.through));
        for (name, since, through) in former.chain(current) {
            // One of that name that was founded later is another one.
            let channel = self.channels.at(name);
            let Some(channel) = channel.filter(|it| it.card.founded <= since.place) else {
                complete = false;
                continue;
            };
            shares.extend([&channel.messages, &channel.events].map(|ring| Share {
                ring,
                from: since,
                through,
            }));
        }
        (shares, complete)
    }

    /// At most so many messages of a channel that somebody is in, or of their
    /// conversation with somebody, the oldest first.
    ///
    /// # Errors
    ///
    /// When there is nothing that they may see.
    pub fn history(
        &self,
        session: SessionId,
        target: &str,
        selector: Selector,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, NoHistory> {
        let session = self.sessions.find(session).ok_or(NoHistory::NoSession)?;
        if target.starts_with('#') {
            let channel = self
                .channel(target)
                .filter(|it| it.member(session.id()).is_some());
            let channel = channel.ok_or(NoHistory::NotOnChannel)?;
            return Ok(select(&channel.messages, selector, limit, |_| true));
        }
        let (nick, other) = (fold(target), self.find(target));
        let me = session.id();
        let between = |event: &Event| match &event.effect {
            Effect::Said {
                who,
                target: Target::Session(whom, name),
                ..
            } => {
                let (id, name) = match who.session == me {
                    true => (*whom, name),
                    false => (who.session, &who.nick),
                };
                Some(id) == other || fold(name) == nick
            }
            _ => false,
        };
        Ok(select(&session.inbox, selector, limit, between))
    }

    /// At most so many of the channels that somebody is in, and of those whom they talked
    /// with, of which the last message was said between two times, ends excluded; the one
    /// that is longest ago first.
    pub fn conversations(
        &self,
        session: SessionId,
        times: (u64, u64),
        limit: usize,
    ) -> Vec<Conversation> {
        let Some(session) = self.sessions.find(session) else {
            return Vec::new();
        };
        let mut last: BTreeMap<String, Conversation> = BTreeMap::new();
        for kept in session.inbox.iter() {
            let Effect::Said { who, target, .. } = &kept.event.effect else {
                continue;
            };
            let target = match target {
                Target::Session(_, nick) if who.session == session.id() => nick,
                _ => &who.nick,
            };
            let time = kept.event.time;
            let target = target.clone();
            last.insert(fold(&target), Conversation { time, target });
        }
        let channels = session.channels().filter_map(|it| self.channels.at(it));
        let channels = channels.filter_map(|channel| {
            let target = channel.name().to_owned();
            let time = channel.messages.iter().next_back()?.event.time;
            Some(Conversation { time, target })
        });
        let (start, end) = (times.0.min(times.1), times.0.max(times.1));
        let mut told: Vec<Conversation> = last.into_values().chain(channels).collect();
        told.retain(|it| start < it.time && it.time < end);
        told.sort();
        told.truncate(limit);
        told
    }
}

/// Somebody, or a channel, and when the last message there was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conversation {
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// The channel's name as its founder wrote it, or the nick as it was then.
    pub target: String,
}

/// At most so many of the events that fit, the oldest first.
fn select(
    ring: &Ring,
    selector: Selector,
    limit: usize,
    fits: impl Fn(&Event) -> bool,
) -> Vec<Arc<Event>> {
    let all = || {
        let events = ring.iter().map(|kept| &kept.event);
        events.filter(|event| fits(event))
    };
    let first = |from: Option<Point>, to: Option<Point>| -> Vec<Arc<Event>> {
        all()
            .skip_while(|event| from.is_some_and(|from| !from.is_before(event)))
            .take_while(|event| to.is_none_or(|to| to.is_behind(event)))
            .take(limit)
            .cloned()
            .collect()
    };
    let last = |from: Option<Point>, to: Option<Point>| -> Vec<Arc<Event>> {
        let mut events: Vec<Arc<Event>> = all()
            .rev()
            .skip_while(|event| to.is_some_and(|to| !to.is_behind(event)))
            .take_while(|event| from.is_none_or(|from| from.is_before(event)))
            .take(limit)
            .cloned()
            .collect();
        events.reverse();
        events
    };
    match selector {
        Selector::Latest(from) => last(from, None),
        Selector::Before(to) => last(None, Some(to)),
        Selector::After(from) => first(Some(from), None),
        Selector::Between(one, other) if is_later(one, other, ring) => last(Some(other), Some(one)),
        Selector::Between(one, other) => first(Some(one), Some(other)),
        Selector::Around(point) => {
            let ahead = all().filter(|event| point.is_behind(event)).count();
            let total = all().count();
            let start = ahead.saturating_sub(limit / 2);
            let start = start.min(total.saturating_sub(limit));
            all().skip(start).take(limit).cloned().collect()
        }
    }
}

/// Whether one point is behind another: by what happened between them, if they are of
/// different kinds.
fn is_later(one: Point, other: Point, ring: &Ring) -> bool {
    match (one, other) {
        (Point::At(one), Point::At(other)) => one > other,
        (Point::Time(one), Point::Time(other)) => one > other,
        _ => ring
            .iter()
            .any(|kept| one.is_behind(&kept.event) && other.is_before(&kept.event)),
    }
}
