//! Asking for what is lacking: whom, when, and how often.
//!
//! Fifty learners that lack the same must not all ask, nor one ask all the time.
//! A learner therefore waits a random moment, asks one acceptor in front of
//! everybody if the gap is small, and overhears others that ask the same.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Event, Learner};
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{
    AcceptorSet, Address, Instance, Message, Outbox, ProcessId, Role, Span, Time,
};

/// When and whom to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asking {
    /// When to ask for what is lacking.
    pub(super) at: Option<Time>,
    /// How often it was asked since anything was delivered.
    pub(super) attempts: u32,
    /// The acceptor to ask.
    pub(super) acceptor: u16,
    /// When to ask without a reason.
    pub(super) check_at: Time,
    /// How far each acceptor has said that it has forgotten.
    pub(super) forgotten: BTreeMap<u16, Instance>,
}

impl Learner {
    /// Spans in one request: they fit the smallest datagram.
    const MAX_SPANS: usize = 24;

    /// A gap up to this many instances is asked for in front of everybody.
    const SMALL_GAP: u64 = 64;

    /// How often the wait between two requests doubles.
    const MAX_DOUBLINGS: u32 = 7;

    /// Shortest and longest wait before asking for what surely exists: long
    /// enough for reordering to settle, and spread so that of many learners that
    /// lack the same, one asks.
    pub(super) const BACK_OFF: (Duration, Duration) =
        (Duration::from_millis(1), Duration::from_millis(5));

    /// How long to wait before asking (again).
    pub(super) fn back_off(&mut self) -> Duration {
        // Of an instance that may be undecided still, there is nothing to get;
        // most likely its votes are on their way.
        let (least, most) = match self.decided > self.delivered {
            true => Self::BACK_OFF,
            false => self.settings.repropose,
        };
        // Under loss the next acceptor is asked as soon as the first; only when
        // all were asked in vain there is reason for patience.
        let round = self.settings.membership.acceptors().len() as u32;
        let in_vain = self.asking.attempts.saturating_sub(round);
        let factor = 1 << in_vain.min(Self::MAX_DOUBLINGS);
        self.jitter
            .between(least * factor, most * factor)
            .min(self.settings.catch_up)
    }

    /// What was not known to be decided when the wait began may be so now: then its
    /// votes came and its value did not, and there is no reason to wait longer than
    /// for anything that surely exists. Nothing comes sooner than another learner's
    /// question, overheard, lets it ([`Learner::overhear_request`]).
    pub(super) fn hasten(&mut self, now: Time) {
        let patience = Self::BACK_OFF.1 + self.settings.repropose.0 / 4;
        let unasked = self.asking.attempts == 0 && self.decided > self.delivered;
        if unasked && self.asking.at.is_some_and(|at| at > now + patience) {
            self.asking.at = Some(now + self.back_off());
        }
    }

    /// Asks an acceptor for what is lacking.
    pub(super) fn ask(&mut self, now: Time, out: &mut Outbox<Self>) {
        let spans = self.lacking();
        let instances = spans
            .iter()
            .map(|span| span.through.0 - span.from.0 + 1)
            .sum();
        let small = instances <= Self::SMALL_GAP;
        if !small {
            self.following.fall_behind(now);
        }
        let everyone = small && self.asking.attempts < 2;
        let acceptors = self.settings.membership.acceptors().len() as u32;
        if self.asking.attempts >= acceptors && self.decided > self.delivered {
            if self.is_lost() {
                out.event(Event::Lost {
                    instance: self.delivered.next(),
                });
            }
            let from = self.delivered.next();
            let through = self.decided.min(self.delivered.plus(Self::SMALL_GAP));
            out.send(
                Address::Group(Role::Proposer),
                Message::Stuck {
                    span: Span { from, through },
                },
            );
            out.event(Event::Stuck { instance: from });
        }
        if self.asking.attempts > 0 && !mutant(Mutant::OneAcceptorAsked) {
            self.next_acceptor();
        }
        // One that was restarted is no longer where it was; its group is.
        let to = match self.roster.process(self.asking.acceptor) {
            Some(process) if !everyone && self.asking.attempts == 0 => Address::Process(process),
            _ => Address::Group(Role::Acceptor),
        };
        if mutant(Mutant::GapNeverAskedFor) {
            return;
        }
        let bytes = (self.buffer / 4).clamp(64 << 10, 1 << 20);
        out.send(
            to,
            Message::Request {
                acceptor: self.asking.acceptor,
                spans,
                bytes,
                everyone,
            },
        );
        out.event(Event::Requested { instances });
        self.asking.attempts += 1;
        let wait = self.back_off().max(self.settings.repropose.0 / 4);
        self.asking.at = Some(now + wait);
    }

    /// An acceptor has let go of everything through here.
    pub(super) fn note_forgotten(&mut self, from: ProcessId, through: Instance) {
        let known = self.asking.forgotten.entry(from.id).or_default();
        *known = through.max(*known);
    }

    /// Whether too few acceptors have the next instance for anybody to get it:
    /// a repair takes a quorum that knows what was voted for. A replica does not
    /// wait for that: where one acceptor has forgotten, most replicas have it in a
    /// checkpoint, and acceptors that have not may be out of reach.
    fn is_lost(&self) -> bool {
        let forgotten = self.asking.forgotten.iter();
        let gone = forgotten.filter(|&(_, through)| *through > self.delivered);
        let gone: AcceptorSet = gone.map(|(&acceptor, _)| acceptor).collect();
        if self.embedded.is_some() && !gone.is_empty() {
            return true;
        }
        self.settings.membership.is_quorum(gone) || mutant(Mutant::LostTooSoon)
    }

    /// Asks the next acceptor next time.
    pub(super) fn next_acceptor(&mut self) {
        let acceptors = self.settings.membership.acceptors();
        let current = self.asking.acceptor;
        self.asking.acceptor = acceptors
            .iter()
            .find(|&id| id > current)
            .or_else(|| acceptors.iter().next())
            .expect("a membership has acceptors");
    }

    /// The instances that are not decided here though they exist.
    pub(super) fn lacking(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let ahead = self.delivered.plus(Self::MAX_AHEAD as u64);
        let last = self.target.min(ahead);
        for index in 0..self.tallies.len() {
            let instance = self.delivered.plus(index as u64 + 1);
            if instance > last || self.decision(index).is_some() {
                continue;
            }
            if let Some(span) = spans.last_mut()
                && span.through.next() == instance
            {
                span.through = instance;
            } else if spans.len() == Self::MAX_SPANS {
                return spans;
            } else {
                spans.push(Span {
                    from: instance,
                    through: instance,
                });
            }
        }
        let from = self.delivered.plus(self.tallies.len() as u64 + 1);
        if from <= last {
            match spans.last_mut() {
                Some(span) if span.through.next() == from => span.through = last,
                _ => spans.push(Span {
                    from,
                    through: last,
                }),
            }
        }
        spans
    }

    /// Asks one acceptor whether there is anything new.
    pub(super) fn check(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.asking.check_at = now
            + self.jitter.between(
                self.settings.catch_up * 3 / 4,
                self.settings.catch_up * 5 / 4,
            );
        self.report(out);
        if !self.open || self.asking.at.is_some() || mutant(Mutant::NeverAsksUnprompted) {
            return;
        }
        self.next_acceptor();
        out.send(
            Address::Group(Role::Acceptor),
            Message::Request {
                acceptor: self.asking.acceptor,
                spans: vec![Span {
                    from: self.delivered.next(),
                    through: self.delivered.plus(Self::MAX_AHEAD as u64),
                }],
                bytes: self.settings.datagram as u32,
                everyone: false,
            },
        );
    }

    /// Another learner asked in front of everybody: its answer may serve here.
    pub(super) fn overhear_request(&mut self, now: Time, spans: &[Span]) {
        let next = self.delivered.next();
        if self.asking.at.is_some()
            && spans
                .iter()
                .any(|span| (span.from..=span.through).contains(&next))
        {
            let wait = self.back_off() + self.settings.repropose.0 / 4;
            self.asking.at = Some(now + wait);
        }
    }
}
