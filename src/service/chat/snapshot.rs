//! The chat as bytes: for checkpoints, and for a replica that begins with nothing.
//!
//! ```text
//! head | event … | channel … | session … | gateway …
//! ```
//!
//! These stand within what [all snapshots](crate::service::snapshot) have around them.
//! Each event is written once, in order; rings name events by their number. Everything
//! has an order that does not depend on how the state came about, so equal states give
//! equal bytes. Whatever the bytes are, reading them back gives a chat or an error.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Chat;
use super::channel::{self, Channel};
use super::command::SessionId;
use super::effect::{Event, Rank};
use super::gateways::Run;
use super::ring::{At, Kept, Key, Ring};
use super::session::{self, Session};
use crate::service::clock::LogTime;
use crate::service::snapshot::{Marks, Reader, Writer};
use crate::service::{self, Damaged};

const MARKS: Marks = Marks {
    magic: *b"paxcstch",
    format: 1,
};

/// What is there once.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Head {
    time: u64,
    awake: u64,
    log: u64,
    events: u64,
    channels: u64,
    sessions: u64,
    gateways: u64,
}

/// A ring: how far it has dropped, and the numbers of its events, each but the first
/// less the one before.
#[derive(Debug, Serialize, Deserialize)]
struct Numbers {
    dropped: At,
    steps: Vec<u32>,
}

/// A channel with its members and rings.
#[derive(Debug, Serialize, Deserialize)]
struct ChannelRow<C> {
    card: C,
    members: Vec<(SessionId, Rank)>,
    messages: Numbers,
    events: Numbers,
}

/// A session with its ring.
#[derive(Debug, Serialize, Deserialize)]
struct SessionRow<C> {
    card: C,
    number: u64,
    said: u64,
    inbox: Numbers,
}

/// A chat as it was.
#[derive(Clone, Debug)]
pub struct Frozen {
    head: Head,
    channels: Vec<Arc<Channel>>,
    sessions: Vec<Arc<Session>>,
    gateways: Vec<(u16, Arc<Run>)>,
}

impl Frozen {
    /// What there is now.
    pub(super) fn new(chat: &Chat) -> Frozen {
        let channels: Vec<_> = chat.channels.shared().cloned().collect();
        let sessions: Vec<_> = chat.sessions.iter().cloned().collect();
        let gateways: Vec<_> = chat
            .gateways
            .iter()
            .map(|(id, run)| (id, run.clone()))
            .collect();
        let head = Head {
            time: chat.time(),
            awake: chat.awake,
            log: chat.log,
            events: 0,
            channels: channels.len() as u64,
            sessions: sessions.len() as u64,
            gateways: gateways.len() as u64,
        };
        Frozen {
            head,
            channels,
            sessions,
            gateways,
        }
    }

    /// All events, each once, in order.
    fn events(&self) -> Vec<(Key, &Arc<Event>)> {
        let of_channels = self
            .channels
            .iter()
            .flat_map(|channel| [&channel.messages, &channel.events]);
        let of_sessions = self.sessions.iter().map(|session| &session.inbox);
        let mut events: Vec<_> = of_channels
            .chain(of_sessions)
            .flat_map(Ring::iter)
            .map(|kept| (kept.key(), &kept.event))
            .collect();
        events.sort_unstable_by_key(|(key, _)| *key);
        events.dedup_by_key(|(key, _)| *key);
        events
    }
}

/// A ring by the numbers of its events.
fn numbers(ring: &Ring, events: &[(Key, &Arc<Event>)]) -> Numbers {
    let mut last = 0;
    let steps = ring.iter().map(|kept| {
        let key = kept.key();
        let number = events.partition_point(|(other, _)| *other < key);
        let step = number - last;
        last = number;
        u32::try_from(step).unwrap_or(u32::MAX)
    });
    Numbers {
        steps: steps.collect(),
        dropped: ring.dropped(),
    }
}

impl service::Frozen for Frozen {
    fn write(&self, part: &mut dyn FnMut(&[u8])) {
        let events = self.events();
        let mut writer = Writer::begin(MARKS, part);
        writer.append(&Head {
            events: events.len() as u64,
            ..self.head
        });
        for ((_, whole), event) in &events {
            writer.append(&(whole, event.as_ref()));
        }
        for channel in &self.channels {
            writer.append(&ChannelRow {
                card: &channel.card,
                members: channel.members().collect(),
                messages: numbers(&channel.messages, &events),
                events: numbers(&channel.events, &events),
            });
        }
        for session in &self.sessions {
            writer.append(&SessionRow {
                card: &session.card,
                number: session.number,
                said: session.said,
                inbox: numbers(&session.inbox, &events),
            });
        }
        for (id, run) in &self.gateways {
            writer.append(&(id, run.as_ref()));
        }
        writer.end();
    }
}

/// The ring of these numbers.
fn ring(numbers: Numbers, events: &[Kept]) -> Result<Ring, Damaged> {
    let mut kept = VecDeque::new();
    let mut at = 0_usize;
    for (index, step) in numbers.steps.into_iter().enumerate() {
        if index > 0 && step == 0 {
            return Err(Damaged::Contradiction("an event that is twice in a ring"));
        }
        at = at.saturating_add(step as usize);
        let event = events.get(at);
        let event = event.ok_or(Damaged::Contradiction("an event that is not there"))?;
        kept.push_back(event.clone());
    }
    Ok(Ring::revive(kept, numbers.dropped))
}

/// Reads a chat back, with room for so many remembered bytes.
///
/// # Errors
///
/// When the bytes are no snapshot.
pub(super) fn read(bytes: &[u8], memory: usize) -> Result<Chat, Damaged> {
    let mut reader = Reader::open(MARKS, bytes)?;
    let head: Head = reader.take("head")?;
    // Far from where numbers end.
    if head.time > LogTime::LAST || head.awake > head.time {
        return Err(Damaged::Contradiction("a time beyond all bounds"));
    }
    let mut chat = Chat::with_memory(memory);
    chat.time = LogTime::at(head.time);
    chat.awake = head.awake;
    chat.log = head.log;
    let mut events: Vec<Kept> = Vec::new();
    for _ in 0..head.events {
        let (whole, event): (bool, Event) = reader.take("an event")?;
        let kept = Kept::new(Arc::new(event), whole);
        if events.last().is_some_and(|last| last.key() >= kept.key()) {
            return Err(Damaged::Contradiction("the order of events"));
        }
        events.push(kept);
    }
    for _ in 0..head.channels {
        let row: ChannelRow<channel::Card> = reader.take("a channel")?;
        let messages = ring(row.messages, &events)?;
        let others = ring(row.events, &events)?;
        chat.hold(&messages);
        chat.hold(&others);
        let mut channel = Channel::new(row.card, messages, others);
        for (id, rank) in row.members {
            channel.seat(id, rank);
        }
        chat.channels.add(channel);
    }
    for _ in 0..head.sessions {
        let row: SessionRow<session::Card> = reader.take("a session")?;
        let inbox = ring(row.inbox, &events)?;
        chat.hold(&inbox);
        chat.sessions
            .add(Session::new(row.card, row.number, row.said, inbox));
    }
    for _ in 0..head.gateways {
        let (id, run): (u16, Run) = reader.take("a gateway")?;
        chat.gateways.put(id, run);
    }
    if reader.left() > 0 {
        return Err(Damaged::Contradiction("more behind the last gateway"));
    }
    let counts = (head.channels, head.sessions, head.gateways);
    let there = (
        chat.channels.len() as u64,
        chat.sessions.len() as u64,
        chat.gateways.iter().len() as u64,
    );
    if counts != there {
        return Err(Damaged::Contradiction("something that is there twice"));
    }
    chat.audit().map_err(Damaged::Contradiction)?;
    Ok(chat)
}

impl Chat {
    /// All that is in a ring is remembered.
    fn hold(&mut self, ring: &Ring) {
        for kept in ring.iter() {
            self.archive.hold(kept);
        }
    }
}
