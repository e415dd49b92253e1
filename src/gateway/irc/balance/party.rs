//! The ends of a front's connections: clients, their wires to gateways, scouts.

use super::relay::Relay;
use crate::gateway::crowd::{Guest, Newcomer};
use crate::gateway::irc::line::{Lines, Step};
use crate::gateway::stream::Stream;
use crate::protocol::Time;

/// A place in the crowd, and who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub slot: usize,
    /// Which guest of that place.
    pub generation: u32,
}

/// One end of the front.
#[derive(Debug)]
pub struct Party {
    /// Its socket.
    pub stream: Stream,
    /// What came in and is not understood yet.
    pub lines: Lines,
    /// Where it is in the crowd.
    pub place: Place,
    /// The other end, for people.
    pub from: String,
    /// What it is for.
    pub part: Part,
    /// Nothing more is read; it ends when all is sent.
    pub closing: bool,
    /// It ends at once.
    pub cut: bool,
    /// Lines of it wait for others; no more is read.
    pub full: bool,
}

/// What an end is for.
#[derive(Debug)]
pub enum Part {
    /// Somebody who chats.
    Client(Box<Client>),
    /// Their connection to a gateway.
    Wire {
        /// Whose.
        client: Place,
        /// To which.
        gateway: usize,
        /// When it must have answered.
        until: Option<Time>,
    },
    /// Takes the good-bye of somebody who is gone already to a gateway.
    Farewell {
        /// What is left of them.
        relay: Box<Relay>,
        /// When they are forgotten.
        until: Time,
    },
    /// Asks a gateway how it is.
    Scout {
        /// Which.
        gateway: usize,
        /// When, if it has not answered.
        asked: Option<Time>,
    },
}

/// Somebody who chats.
#[derive(Debug)]
pub struct Client {
    /// Their way through the front.
    pub relay: Relay,
    /// Their connection to a gateway, while there is one.
    pub wire: Option<Place>,
    /// They had a gateway before.
    pub moved: bool,
    /// Since when they have none.
    pub since: Time,
}

impl Guest for Party {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn held(&self) -> usize {
        let relay = match &self.part {
            Part::Client(client) => client.relay.held(),
            Part::Farewell { relay, .. } => relay.held(),
            Part::Wire { .. } | Part::Scout { .. } => 0,
        };
        self.stream.held() + self.lines.held() + relay
    }

    fn address(&self) -> &str {
        &self.from
    }
}

impl Party {
    /// One that has just come about.
    pub fn new(newcomer: Newcomer, part: Part) -> Party {
        Party {
            stream: newcomer.stream,
            lines: Lines::default(),
            place: Place {
                slot: newcomer.slot,
                generation: newcomer.generation,
            },
            from: newcomer.from.to_string(),
            part,
            closing: false,
            cut: false,
            full: false,
        }
    }
}

impl Client {
    /// Understands what a client says; says whether that was all.
    pub fn hear(&mut self, lines: &mut Lines, client: &mut String, gateway: &mut String) -> bool {
        loop {
            if !self.relay.has_room() || (self.wire.is_none() && self.relay.is_greeting()) {
                return false;
            }
            match lines.advance() {
                Step::Line(text) => self.relay.hear_client(&text, client, gateway),
                Step::TooLong => self.relay.refuse_long(client),
                Step::Incomplete => return true,
            }
        }
    }
}
