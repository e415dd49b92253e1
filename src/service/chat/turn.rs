//! A turn: one command, while it is applied.

use std::sync::Arc;

use serde::Serialize;

use super::Chat;
use super::command::SessionId;
use super::effect::{Effect, Event, Refusal};
use super::ring::At;
use crate::service::Place;

/// What a command has brought about so far.
#[derive(Debug)]
pub(super) struct Turn {
    pub place: Place,
    pub time: u64,
    /// Who does it.
    pub author: Option<(SessionId, Option<u64>)>,
    events: Vec<Arc<Event>>,
}

/// A [`super::effect::Reply`] that owns nothing: it is written alike.
#[derive(Serialize)]
struct Borrowed<'a> {
    time: u64,
    author: Option<(SessionId, Option<u64>)>,
    effects: Vec<&'a Effect>,
}

impl Turn {
    /// Nothing happened yet.
    pub fn new(place: Place, time: u64) -> Turn {
        Turn {
            place,
            time,
            author: None,
            events: Vec::new(),
        }
    }

    /// When the next effect happens.
    pub fn at(&self) -> At {
        At {
            place: self.place,
            index: u16::try_from(self.events.len()).unwrap_or(u16::MAX),
        }
    }

    /// The place ahead of this one: nobody can have seen more.
    pub fn before(&self) -> Place {
        Place(self.place.0.saturating_sub(1))
    }

    /// Appends the reply.
    pub fn encode_into(&self, reply: &mut Vec<u8>) {
        let borrowed = Borrowed {
            time: self.time,
            author: self.author,
            effects: self.events.iter().map(|event| &event.effect).collect(),
        };
        let room = std::mem::take(reply);
        *reply = postcard::to_extend(&borrowed, room).expect("writing to memory cannot fail");
    }
}

impl Chat {
    /// Something happens: it is told, and remembered.
    pub(super) fn emit(&mut self, turn: &mut Turn, effect: Effect) {
        let At { place, index } = turn.at();
        let event = Arc::new(Event {
            place,
            index,
            time: turn.time,
            effect,
        });
        self.remember(&event);
        turn.events.push(event);
    }

    /// Somebody's deed, or a part of it, does not happen.
    pub(super) fn refuse(&mut self, turn: &mut Turn, session: SessionId, refusal: Refusal) {
        self.emit(turn, Effect::Refused { session, refusal });
    }
}
