//! The candidate: it asks for a ballot, and becomes leader when a quorum has
//! promised it and told everything.

use super::leader::Leader;
use super::recovery::Recovery;
use super::{Event, Proposer, Stage, announce};
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{AcceptorSet, Ballot, Instance, Outbox, ProcessId, Time};

/// What a proposer has while it stands for election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidate {
    pub(super) recovery: Recovery,
    /// Acceptors that hear a live leader.
    pub(super) busy: AcceptorSet,
    /// When to ask again, and when to give up.
    pub(super) ask_at: Time,
    pub(super) give_up_at: Time,
    /// How often it has asked.
    pub(super) attempts: u32,
    /// Whether anything new was reported since it asked last.
    pub(super) further: bool,
}

impl Proposer {
    /// Patience has ended: ask for a ballot.
    pub(super) fn stand(&mut self, now: Time, out: &mut Outbox<Self>) {
        let ballot = Ballot {
            round: self.highest.round + u64::from(!mutant(Mutant::RoundNotRaised)),
            proposer: self.me.id,
            incarnation: self.me.incarnation,
        };
        self.highest = ballot;
        let from = self.watermarks.highest().through.next();
        let patience = self.settings.patience();
        self.stage = Stage::Candidate(Candidate {
            recovery: Recovery::new(ballot, from, None),
            busy: AcceptorSet::EMPTY,
            ask_at: now,
            give_up_at: now + self.jitter.between(patience * 8, patience * 16),
            attempts: 0,
            further: false,
        });
        self.ask(now, out);
    }

    /// Asks, or asks again, all acceptors for their promise.
    pub(super) fn ask(&mut self, now: Time, out: &mut Outbox<Self>) {
        let Stage::Candidate(candidate) = &mut self.stage else {
            return;
        };
        let (least, most) = self.settings.repropose;
        candidate.ask_at = now + self.jitter.between(least / 2, most / 2);
        candidate.recovery.ask(
            &self.settings.membership,
            &self.roster,
            candidate.attempts,
            out,
        );
        candidate.attempts += 1;
        let promised = candidate.recovery.heard();
        let quorum = self.settings.membership.is_quorum(promised);
        if std::mem::take(&mut candidate.further) && quorum {
            // Much to report takes its time, longer than others are patient. Who
            // hears no quorum does not get on, and so does not hold them off.
            let ballot = candidate.recovery.ballot;
            announce(ballot, Instance::ZERO, out);
        }
    }

    /// A quorum promised: lead.
    pub(super) fn lead(&mut self, now: Time, out: &mut Outbox<Self>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Follower);
        let Stage::Candidate(Candidate { recovery, .. }) = stage else {
            unreachable!("only a candidate is elected");
        };
        let ballot = recovery.ballot;
        if self.complained.take().is_some() {
            log::warn!("a quorum of acceptors answers again: {}", recovery.heard());
        }
        self.leader = ballot;
        let mut leader = Box::new(Leader::new(now, recovery));
        self.submissions.lead();
        self.credit_due = true;
        out.event(Event::Elected { ballot });
        leader.beat(now, &self.settings, out);
        self.stage = Stage::Leader(leader);
    }

    /// An acceptor hears a live leader and puts this candidate off.
    pub(super) fn handle_busy(
        &mut self,
        now: Time,
        from: ProcessId,
        ballot: Ballot,
        out: &mut Outbox<Self>,
    ) {
        let membership = self.settings.membership;
        let Stage::Candidate(candidate) = &mut self.stage else {
            return;
        };
        if candidate.recovery.ballot != ballot {
            return;
        }
        candidate.busy.insert(from.id);
        let left = membership
            .acceptors()
            .iter()
            .filter(|&id| !candidate.busy.contains(id))
            .collect();
        if !membership.is_quorum(left) {
            self.follow(now, out);
            self.election.heard(now, &mut self.jitter);
        }
    }
}
