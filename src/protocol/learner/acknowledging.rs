//! Telling clients what was delivered: by one learner at once, by the others only
//! if that one fails to.
//!
//! Every learner delivers every value, so every learner could acknowledge it, and
//! clients would hear each acknowledgement as often as there are learners. The one
//! with the lowest id that is heard speaking is on duty. The others wait a moment
//! and drop what they overheard.

use std::collections::BTreeMap;

use crate::protocol::jitter::Jitter;
use crate::protocol::{Measure, ProcessId, Progress, Session, Settings, Time};

/// What to tell clients, and who tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Acknowledging {
    /// To be told at the end of this turn.
    touched: BTreeMap<Session, Progress>,
    /// To be told later, unless another learner is heard telling it.
    deferred: BTreeMap<Session, Progress>,
    deferred_until: Option<Time>,
    /// What other learners told.
    overheard: BTreeMap<Session, u64>,
    /// The learner that goes first, and when it was heard.
    duty: Option<(ProcessId, Time)>,
    /// Refusals, to be repeated when asked for.
    refused: BTreeMap<Session, Progress>,
}

impl Acknowledging {
    /// How many sessions' acknowledgements are remembered for reply.
    const MAX_REMEMBERED: usize = 4_096;

    /// Notes something to be told at the end of the turn.
    pub(super) fn touch(&mut self, progress: Progress) {
        if progress.evicted {
            if self.refused.len() >= Self::MAX_REMEMBERED {
                self.refused.clear();
            }
            self.refused.insert(progress.session, progress);
        }
        self.touched.insert(progress.session, progress);
    }

    /// A client asks how far it has come; `known` is what the log says.
    pub(super) fn inquire(&mut self, session: Session, acknowledged: u64, known: Option<Progress>) {
        let progress = known
            .or_else(|| self.refused.get(&session).copied())
            .unwrap_or(Progress {
                session,
                last: 0,
                evicted: false,
            });
        // A client that is not answered asks again.
        if self.touched.len() >= Self::MAX_REMEMBERED {
            return;
        }
        if progress.evicted || progress.last > acknowledged || acknowledged == 0 {
            self.overheard.remove(&session);
            self.touched.insert(session, progress);
        }
    }

    /// Another learner told clients this.
    pub(super) fn overhear(
        &mut self,
        now: Time,
        me: ProcessId,
        from: ProcessId,
        sessions: &[Progress],
    ) {
        if from < me {
            self.duty = Some((from, now));
        }
        for told in sessions {
            if self.overheard.len() >= Self::MAX_REMEMBERED {
                self.overheard.clear();
            }
            let last = self.overheard.entry(told.session).or_default();
            *last = told.last.max(*last);
            if let Some(deferred) = self.deferred.get(&told.session)
                && deferred.last <= told.last
                && deferred.evicted == told.evicted
            {
                self.deferred.remove(&told.session);
            }
        }
        if self.deferred.is_empty() {
            self.deferred_until = None;
        }
    }

    /// What is to be told now; the rest is told later, unless it is overheard.
    pub(super) fn finish_turn(
        &mut self,
        now: Time,
        settings: &Settings,
        jitter: &mut Jitter,
    ) -> Vec<Progress> {
        if self.touched.is_empty() {
            return Vec::new();
        }
        let mut touched = std::mem::take(&mut self.touched);
        let patience = settings.heartbeat * 10;
        let on_duty = self
            .duty
            .is_none_or(|(_, heard)| now.since(heard) >= patience);
        if on_duty {
            return touched.into_values().collect();
        }
        let overheard = &self.overheard;
        touched.retain(|session, progress| {
            progress.evicted
                || overheard
                    .get(session)
                    .is_none_or(|&last| last < progress.last)
        });
        self.deferred.append(&mut touched);
        while self.deferred.len() > Self::MAX_REMEMBERED {
            self.deferred.pop_last();
        }
        if !self.deferred.is_empty() && self.deferred_until.is_none() {
            let (least, most) = settings.repropose;
            self.deferred_until = Some(now + jitter.between(least / 4, most / 2));
        }
        Vec::new()
    }

    /// What has waited long enough.
    pub(super) fn overdue(&mut self, now: Time) -> Vec<Progress> {
        if self.deferred_until.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.deferred_until = None;
        std::mem::take(&mut self.deferred).into_values().collect()
    }

    /// How much is held, beside how much may be.
    pub(super) fn measures(&self) -> [Measure; 2] {
        [
            Measure::new(
                "sessions overheard",
                self.overheard.len(),
                Self::MAX_REMEMBERED,
            ),
            Measure::new("sessions refused", self.refused.len(), Self::MAX_REMEMBERED),
        ]
    }

    /// When something will have waited long enough.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.deferred_until
    }
}
