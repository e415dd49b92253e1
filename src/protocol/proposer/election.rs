//! Who leads: patience, and a little chance.
//!
//! A proposer that hears a leader leaves it alone. One that has heard none for a
//! while, plus a random moment so that two do not march in step, becomes a
//! candidate. Nothing here matters for safety: any number of proposers may
//! believe that they lead.

use std::time::Duration;

use crate::protocol::jitter::Jitter;
use crate::protocol::{Settings, Time};

/// A proposer's patience with silence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Election {
    patience: Duration,
    deadline: Time,
}

impl Election {
    /// Patience at the start: short, since most likely nobody leads yet; if
    /// somebody does, the acceptors say so.
    pub fn new(settings: &Settings, now: Time, jitter: &mut Jitter) -> Election {
        let patience = settings.patience();
        Election {
            patience,
            deadline: now + jitter.between(settings.heartbeat, settings.heartbeat * 3),
        }
    }

    /// A leader was heard.
    pub fn heard(&mut self, now: Time, jitter: &mut Jitter) {
        self.deadline = now + self.patience + jitter.between(Duration::ZERO, self.patience);
    }

    /// An attempt failed, or leadership was lost: others shall have their turn.
    pub fn back_off(&mut self, now: Time, jitter: &mut Jitter) {
        self.deadline = now + jitter.between(self.patience / 2, self.patience * 2);
    }

    /// A leader lost an acceptor, and a new ballot would win it back.
    pub fn retry(&mut self, now: Time, settings: &Settings, jitter: &mut Jitter) {
        self.deadline = now + jitter.between(Duration::ZERO, settings.heartbeat / 2);
    }

    /// When patience ends.
    pub fn deadline(&self) -> Time {
        self.deadline
    }
}
