//! A learner inside of a replica: it has a client at its side and a state behind it.

use std::collections::VecDeque;

use super::{Event, Learner};
use crate::protocol::{Instance, Outbox, Progress, Session, Sessions, Time};

/// What such a learner does beside its work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Embedded {
    /// The session of its own client, which hears of its progress from here and
    /// needs no datagram.
    own: Session,
}

impl Learner {
    /// At how many instances from one another replicas compare their states.
    pub const MILESTONE: u64 = 1_024;

    /// Serves a client in the same process from now on, whose session this is: its
    /// progress is reported ([`Event::Own`]) and not sent. Milestones are reported
    /// too.
    pub fn accompany(&mut self, own: Session) {
        self.embedded = Some(Embedded { own });
    }

    /// How far a session has come, as far as this learner knows.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Goes on behind a checkpoint: as if everything through `delivered` had been
    /// delivered here, with these sessions. One that is further already stays
    /// where it is; says whether it went on.
    pub fn resume(
        &mut self,
        now: Time,
        delivered: Instance,
        sessions: Sessions,
        out: &mut Outbox<Self>,
    ) -> bool {
        if delivered <= self.delivered && self.delivered > Instance::ZERO {
            return false;
        }
        let passed = usize::try_from(delivered.0 - self.delivered.0).unwrap_or(usize::MAX);
        let passed = passed.min(self.tallies.len());
        let ahead: VecDeque<_> = self.tallies.split_off(passed);
        let gone = std::mem::replace(&mut self.tallies, ahead);
        self.held -= gone.iter().map(|tally| tally.bytes()).sum::<usize>();
        self.delivered = delivered;
        self.sessions = sessions;
        self.target = self.target.max(delivered);
        self.decided = self.decided.max(delivered);
        self.asking.at = None;
        self.asking.attempts = 0;
        self.deliver(now, out);
        true
    }

    /// A session has come further, or was refused: its client is to be told.
    pub(super) fn tell(&mut self, progress: Progress, out: &mut Outbox<Self>) {
        match &self.embedded {
            Some(embedded) if embedded.own == progress.session => out.event(Event::Own(progress)),
            _ => self.acknowledging.touch(progress),
        }
    }

    /// An instance was applied.
    pub(super) fn mark(&self, instance: Instance, out: &mut Outbox<Self>) {
        if self.embedded.is_some() && instance.0.is_multiple_of(Self::MILESTONE) {
            out.event(Event::Milestone {
                instance,
                sessions: self.sessions.digest(),
            });
        }
    }
}
