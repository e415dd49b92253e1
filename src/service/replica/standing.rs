//! Is a quorum within reach? Found out when it matters: when something waits.
//!
//! Whatever waits longer than [`Settings::endurance`] without a quorum's answer is not kept
//! waiting any more, and neither is what comes after it: it is refused at once,
//! until a quorum has answered a round again. Rounds go on for that.

use std::time::Duration;

use super::{Event, Replica, Verdict};
use crate::protocol::{Outbox, Time};
use crate::service::StateMachine;

/// How long something waits before it is asked whether a quorum is there at all.
const DOUBT: Duration = Duration::from_millis(250);

/// Whether a quorum is within reach, as far as is known.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    sound: bool,
    /// When a quorum last answered, or gave a command of this replica its place.
    heard: Time,
    /// When a round was last begun for want of an answer.
    doubted: Time,
}

impl Standing {
    pub(super) fn new(now: Time) -> Standing {
        Standing {
            sound: true,
            heard: now,
            doubted: now,
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.sound
    }

    /// A quorum has answered; says whether that is news.
    pub(super) fn hear(&mut self, now: Time) -> bool {
        self.heard = now;
        !std::mem::replace(&mut self.sound, true)
    }
}

impl<S: StateMachine, T> Replica<S, T> {
    /// How long a quorum may fail to answer before it counts as out of reach: as long
    /// as a leader waits for one. A leader that dies is followed by another in a
    /// fraction of it, and where the network is slow both grow alike.
    fn patience(&self) -> Duration {
        self.settings.endurance()
    }

    /// How long a change may wait for its place though a quorum answers: then there is
    /// no proposer to give it one.
    fn long_patience(&self) -> Duration {
        self.patience() * 5 / 2
    }

    /// Since when the oldest waits that somebody waits for.
    fn oldest(&self) -> Option<Time> {
        let oldest = [self.changes.since(), self.questions.since()];
        oldest.into_iter().flatten().min()
    }

    /// When patience with something ends.
    pub(super) fn impatient_at(&self) -> Option<Time> {
        let standing = &self.standing;
        let Some(oldest) = self.oldest() else {
            return (!standing.sound).then_some(standing.doubted + DOUBT);
        };
        let doubt = oldest.max(standing.heard).max(standing.doubted) + DOUBT;
        let end = oldest.max(standing.heard) + self.patience();
        let changes = self
            .changes
            .since()
            .map(|since| since + self.long_patience());
        let questions = self
            .questions
            .since()
            .map(|since| since + self.long_patience());
        let ends = [Some(doubt), Some(end), changes, questions];
        ends.into_iter().flatten().min()
    }

    /// Gives up what has waited too long, and asks whether anybody is there.
    pub(super) fn lose_patience(&mut self, now: Time, out: &mut Outbox<Self>) {
        let oldest = self.oldest();
        let heard = self.standing.heard;
        if oldest.is_some_and(|since| since.max(heard) + self.patience() <= now) {
            if std::mem::take(&mut self.standing.sound) {
                out.event(Event::Standing { sound: false });
            }
            self.give_up(now);
        } else if oldest.is_some_and(|since| since + self.long_patience() <= now) {
            // The quorum answers, and yet this gets nowhere.
            self.give_up(Time(now.0 - self.long_patience().as_nanos() as u64));
        }
        let waits = oldest.map(|since| since.max(heard)).or_else(|| {
            let lost = !self.standing.sound;
            lost.then_some(heard)
        });
        if waits.is_some_and(|since| since.max(self.standing.doubted) + DOUBT <= now) {
            self.standing.doubted = now;
            self.learner.confirm(now, &mut self.learned);
        }
    }

    /// Takes back what was not sent: it will not happen.
    pub(super) fn withdraw(&mut self) {
        self.client.withdraw();
        for ticket in self.changes.withdraw(self.client.sent()) {
            self.answers.none(ticket, Verdict::NoQuorum);
        }
    }

    /// Tells those who came no later than `since` that it is no use to wait.
    fn give_up(&mut self, since: Time) {
        for (ticket, _) in self.questions.give_up(since) {
            self.answers.none(ticket, Verdict::NoQuorum);
        }
        if self.changes.since().is_none_or(|oldest| oldest > since) {
            return;
        }
        self.withdraw();
        for ticket in self.changes.give_up(since) {
            self.answers.none(ticket, Verdict::Indeterminate);
        }
    }
}
