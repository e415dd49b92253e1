//! How recent is what was delivered here? A round that tells.
//!
//! A learner that was paused, or cut off, does not notice: it goes on with what it
//! has. So whoever wants to know that nothing chosen is missing has to ask. Every
//! value that was chosen before a round began was voted for by a quorum, and each
//! quorum shares an acceptor with the one that answers. So the highest instance
//! that any of them has *voted* for, and written down, is at or above it. What is
//! *known* to be decided would not do: that lags behind what clients were told.

use std::collections::BTreeMap;

use super::{Event, Learner};
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{AcceptorSet, Address, Instance, Message, Outbox, ProcessId, Role, Time};

/// Rounds, one at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Confirming {
    /// The round under way.
    round: Option<Round>,
    /// How many rounds were begun.
    begun: u64,
    /// Somebody asked since the round under way began.
    again: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    nonce: u64,
    /// What each acceptor has answered.
    answers: BTreeMap<u16, Instance>,
    /// When to ask again: a datagram may be lost.
    ask_at: Time,
}

impl Confirming {
    /// When something is to be asked again.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.round.as_ref().map(|round| round.ask_at)
    }
}

impl Learner {
    /// Asks how far the log has come, by a round that begins no earlier than now.
    /// Gives the round's number, which [`Event::Confirmed`] comes with; rounds
    /// count up, and one that begins serves all who ask until it does.
    pub fn confirm(&mut self, now: Time, out: &mut Outbox<Self>) -> u64 {
        if self.confirming.round.is_none() {
            self.begin_round(now, out);
            return self.confirming.begun;
        }
        if mutant(Mutant::RoundJoinedLate) {
            return self.confirming.begun;
        }
        self.confirming.again = true;
        self.confirming.begun + 1
    }

    fn begin_round(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.confirming.begun += 1;
        self.confirming.again = false;
        self.confirming.round = Some(Round {
            nonce: self.jitter.number(),
            answers: BTreeMap::new(),
            ask_at: now,
        });
        self.ask_round(now, out);
    }

    /// Asks all acceptors, for the first time or again.
    pub(super) fn ask_round(&mut self, now: Time, out: &mut Outbox<Self>) {
        if let Some(round) = &mut self.confirming.round
            && round.ask_at <= now
        {
            let (least, most) = self.settings.repropose;
            round.ask_at = now + self.jitter.between(least / 2, most / 2);
            out.send(
                Address::Group(Role::Acceptor),
                Message::Confirm { nonce: round.nonce },
            );
        }
    }

    /// An acceptor that counts has answered.
    pub(super) fn handle_confirmed(
        &mut self,
        now: Time,
        from: ProcessId,
        nonce: u64,
        highest: Instance,
        out: &mut Outbox<Self>,
    ) {
        let membership = self.settings.membership;
        let Some(round) = &mut self.confirming.round else {
            return;
        };
        if round.nonce != nonce && !mutant(Mutant::OldConfirmationCounts) {
            return;
        }
        let known = round.answers.entry(from.id).or_insert(highest);
        *known = highest.max(*known);
        let answered: AcceptorSet = round.answers.keys().copied().collect();
        if !membership.is_quorum(answered) && !mutant(Mutant::OneConfirmationEnough) {
            return;
        }
        let through = round.answers.values().copied().max().unwrap_or_default();
        self.confirming.round = None;
        out.event(Event::Confirmed {
            round: self.confirming.begun,
            through,
        });
        if self.confirming.again {
            self.begin_round(now, out);
        }
        // It exists, whether or not anything of it was heard here.
        self.target = self.target.max(through);
        self.deliver(now, out);
    }
}
