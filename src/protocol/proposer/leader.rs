//! The leader: a quorum has promised its ballot, and it orders values in it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::pipeline::{Pipeline, Proposal};
use super::recovery::Recovery;
use super::submissions::Submissions;
use super::{Event, Proposer, announce};
use crate::protocol::jitter::Jitter;
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::roster::Roster;
use crate::protocol::{
    AcceptorSet, Address, Ballot, Instance, Measure, Message, Outbox, Payload, ProcessId, Role,
    Settings, Span, Time, Vote,
};

/// What a proposer has while it leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leader {
    pipeline: Pipeline,
    /// The watermark reported last.
    reported: Instance,
    /// Where phase 1 ended: what lies behind is decided in this ballot.
    began: Instance,
    heartbeat_at: Time,
    /// When each acceptor was last heard.
    heard: BTreeMap<u16, Time>,
    /// The past being proposed again for a stuck learner.
    repair: Option<Repair>,
}

/// A repair in progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Repair {
    recovery: Recovery,
    /// When to ask again for what is still to be reported, and how often yet.
    ask_at: Time,
    attempts: u32,
}

impl Leader {
    /// How many instances of the past are repaired at a time.
    const REPAIR_SPAN: u64 = 64;

    /// Bytes of values sent for one repair.
    const REPAIR_BYTES: usize = 256 << 10;

    /// How often a repair is asked for without an answer that helps. The learner
    /// asks again, should it still need it.
    const REPAIR_ATTEMPTS: u32 = 10;

    /// The leader of a ballot whose phase 1 is complete.
    pub fn new(now: Time, recovery: Recovery) -> Leader {
        let decided = recovery.from().previous();
        let ballot = recovery.ballot;
        let heard = recovery.heard().iter().map(|id| (id, now)).collect();
        let found = recovery
            .into_votes()
            .into_iter()
            .map(|(instance, (_, value))| (instance, value))
            .collect();
        Leader {
            reported: decided,
            began: decided,
            heartbeat_at: now,
            heard,
            repair: None,
            pipeline: Pipeline::new(ballot, decided, found),
        }
    }

    /// Its ballot.
    pub fn ballot(&self) -> Ballot {
        self.pipeline.ballot
    }

    /// Everything through here is decided.
    pub fn decided(&self) -> Instance {
        self.pipeline.decided()
    }

    /// How many instances are open.
    pub fn open(&self) -> usize {
        self.pipeline.open()
    }

    /// The smallest socket buffer of those that hear it.
    pub fn smallest_buffer(&self) -> u64 {
        self.pipeline.flow.smallest()
    }

    /// When the next heartbeat is due.
    pub fn heartbeat_at(&self) -> Time {
        self.heartbeat_at
    }

    /// An acceptor was heard.
    pub fn heard(&mut self, now: Time, from: ProcessId) {
        self.heard.insert(from.id, now);
    }

    /// A receiver told the size of its socket buffer.
    pub fn announced(&mut self, now: Time, from: ProcessId, buffer: u32) {
        self.pipeline.flow.announce(now, from, buffer);
    }

    /// A receiver told how far it has read.
    pub fn read(&mut self, now: Time, from: ProcessId, through: Instance) {
        self.pipeline.flow.read(now, from, through);
    }

    /// Says that this leader is here, and how far the log has come.
    pub fn beat(&mut self, now: Time, settings: &Settings, out: &mut Outbox<Proposer>) {
        self.heartbeat_at = now + settings.heartbeat;
        announce(self.ballot(), self.decided(), out);
    }

    /// How much is held, beside how much may be.
    pub fn measures(&self, window: usize) -> Vec<Measure> {
        let mut measures = self.pipeline.measures(window);
        if let Some(repair) = &self.repair {
            let (votes, most) = (repair.recovery.votes(), Self::REPAIR_SPAN as usize);
            measures.push(Measure::new("votes for a repair", votes, most));
        }
        measures
    }

    /// The acceptors heard lately: it goes on leading while they are a quorum.
    pub fn hears(&self, now: Time, settings: &Settings) -> AcceptorSet {
        let patience = settings.endurance();
        self.heard
            .iter()
            .filter(|(_, heard)| now.since(**heard) < patience)
            .map(|(&id, _)| id)
            .collect()
    }

    /// Proposes what there is room for: first what phase 1 found, then batches.
    pub fn propose(
        &mut self,
        now: Time,
        submissions: &mut Submissions,
        settings: &Settings,
        jitter: &mut Jitter,
        out: &mut Outbox<Proposer>,
    ) {
        loop {
            if self.pipeline.is_all_sent()
                && submissions.is_ready()
                && self.pipeline.has_room(now, settings.datagram, settings)
            {
                let batch = submissions.take_batch(settings.batch_limit());
                self.pipeline.append(batch);
            }
            let Some(proposal) = self.pipeline.unsent(now, settings, jitter) else {
                break;
            };
            self.send(proposal, out);
        }
        if self.decided() > self.reported {
            self.reported = self.decided();
            let through = self.reported;
            out.event(Event::Decided { through });
        }
    }

    /// 2b.
    pub fn voted(
        &mut self,
        now: Time,
        from: ProcessId,
        spans: &[Span],
        settings: &Settings,
        jitter: &mut Jitter,
        out: &mut Outbox<Proposer>,
    ) {
        self.heard(now, from);
        for &span in spans {
            self.read(now, from, span.through);
            let overtaken = self.pipeline.voted(from.id, span, now, settings, jitter);
            self.send_again(overtaken, out);
        }
    }

    /// Proposes again what has got no quorum in time.
    pub fn send_overdue(
        &mut self,
        now: Time,
        settings: &Settings,
        jitter: &mut Jitter,
        out: &mut Outbox<Proposer>,
    ) {
        let mut overdue = self.pipeline.overdue(now, settings, jitter);
        for proposal in &mut overdue {
            if mutant(Mutant::OverdueBecomesNoOp) {
                proposal.value.clear();
            }
        }
        if mutant(Mutant::OverdueNotSentAgain) {
            return;
        }
        self.send_again(overdue, out);
    }

    /// A learner cannot complete decided instances: ask a quorum for them in this
    /// ballot, to propose the highest votes again.
    pub fn begin_repair(
        &mut self,
        now: Time,
        span: Span,
        settings: &Settings,
        out: &mut Outbox<Proposer>,
    ) {
        let through = span
            .through
            .min(self.decided())
            .min(span.from.plus(Self::REPAIR_SPAN - 1));
        // One at a time, and to its end: pages are lost, and a repair that began
        // anew with each of the learner's requests might never end.
        let nothing = span.from == Instance::ZERO || span.from > through;
        if nothing || self.repair.is_some() || mutant(Mutant::PastNeverRepaired) {
            return;
        }
        let ballot = self.ballot();
        self.repair = Some(Repair {
            recovery: Recovery::new(ballot, span.from, Some(through)),
            ask_at: now + settings.repropose.0,
            attempts: 1,
        });
        out.send(
            Address::Group(Role::Acceptor),
            Message::Prepare {
                ballot,
                from: span.from,
                through: Some(through),
            },
        );
    }

    /// An acceptor told votes of the past. When a quorum has told all that was
    /// asked for, the highest are proposed again. They lie below the watermark of
    /// this ballot, so hearing them is enough.
    pub fn promised(
        &mut self,
        now: Time,
        from: ProcessId,
        (first, through): (Instance, Option<Instance>),
        votes: Vec<Vote>,
        settings: &Settings,
        out: &mut Outbox<Proposer>,
    ) {
        self.heard(now, from);
        let Some(repair) = &mut self.repair else {
            return;
        };
        // What is open-ended is a late page of phase 1: repairs ask for intervals.
        if through.is_none() {
            return;
        }
        let further = repair.recovery.add(from.id, first, through, votes);
        if repair.recovery.is_complete(&settings.membership) || mutant(Mutant::RepairWithoutQuorum)
        {
            self.propose_past(out);
        } else if further && let Some(gap) = repair.recovery.gap(from.id) {
            repair.attempts = 0;
            repair.ask_at = now + settings.repropose.0;
            let (ballot, through) = (repair.recovery.ballot, repair.recovery.through());
            out.send(
                Address::Process(from),
                Message::Prepare {
                    ballot,
                    from: gap,
                    through,
                },
            );
        }
    }

    /// Asks again for what a repair still lacks, or gives it up.
    pub fn ask_overdue(
        &mut self,
        now: Time,
        settings: &Settings,
        roster: &Roster,
        out: &mut Outbox<Proposer>,
    ) {
        let Some(repair) = &mut self.repair else {
            return;
        };
        if repair.ask_at > now {
            return;
        }
        if repair.attempts == Self::REPAIR_ATTEMPTS {
            self.repair = None;
            return;
        }
        repair.attempts += 1;
        repair.ask_at = now + settings.repropose.0;
        repair
            .recovery
            .ask(&settings.membership, roster, repair.attempts, out);
    }

    /// Proposes again what a repair has found.
    fn propose_past(&mut self, out: &mut Outbox<Proposer>) {
        let Some(Repair { recovery, .. }) = self.repair.take() else {
            return;
        };
        let from = recovery.from();
        let mut votes = recovery.into_votes();
        if mutant(Mutant::RepairWithoutQuorum) {
            let ballot = self.ballot();
            votes.entry(from).or_insert((ballot, Bytes::new()));
        }
        if !votes.contains_key(&from) {
            log::error!(
                "instance {from} was decided, but no acceptor of a quorum remembers a vote for \
                 it: an acceptor forgot what it voted for (a volatile one that was restarted, or \
                 a disk that was rolled back). Learners that lack it cannot go on"
            );
            return;
        }
        let mut bytes = 0;
        let mut instances = 0;
        for (instance, (voted, value)) in votes {
            // What this leader decided itself has votes of its ballot at a quorum.
            // Pages without one are late copies from phase 1, when there were none
            // yet: what they tell may be another value than the one decided since.
            if instance > self.began && voted != self.ballot() {
                continue;
            }
            bytes += value.len();
            instances += 1;
            self.send(Proposal { instance, value }, out);
            if bytes > Self::REPAIR_BYTES {
                break;
            }
        }
        out.event(Event::Repaired { instances });
    }

    /// When something is to be done.
    pub fn next_timeout(&self, now: Time, hungry: bool) -> Time {
        [
            self.pipeline.next_timeout(now, hungry),
            self.repair.as_ref().map(|repair| repair.ask_at),
        ]
        .into_iter()
        .flatten()
        .fold(self.heartbeat_at, Time::min)
    }

    /// Sends proposals that were sent before.
    fn send_again(&self, proposals: Vec<Proposal>, out: &mut Outbox<Proposer>) {
        for proposal in proposals {
            let instance = proposal.instance;
            out.event(Event::Retransmitted { instance });
            self.send(proposal, out);
        }
    }

    /// 2a.
    fn send(&self, proposal: Proposal, out: &mut Outbox<Proposer>) {
        out.send(
            Address::Group(Role::Acceptor),
            Message::Accept {
                ballot: self.ballot(),
                decided: self.decided(),
                instance: proposal.instance,
                value: Payload::new(proposal.value),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::{AcceptorSet, Membership, Output};

    fn acceptor(id: u16) -> ProcessId {
        ProcessId {
            role: Role::Acceptor,
            id,
            incarnation: 1,
        }
    }

    fn ballot(round: u64) -> Ballot {
        Ballot {
            round,
            proposer: 1,
            incarnation: 1,
        }
    }

    fn vote(round: u64, value: &'static str) -> Vote {
        Vote {
            instance: Instance(1),
            ballot: ballot(round),
            value: Payload::new(Bytes::from_static(value.as_bytes())),
        }
    }

    /// A leader whose quorum knew nothing, and that has decided `new` for the
    /// first instance since. Now a learner is stuck there.
    fn repairing(out: &mut Outbox<Proposer>) -> (Leader, Settings) {
        let settings = Settings::new(Membership::majority(AcceptorSet::first(3)));
        let mut jitter = Jitter::new(1);
        let mut recovery = Recovery::new(ballot(2), Instance(1), None);
        recovery.add(2, Instance(1), None, vec![]);
        recovery.add(3, Instance(1), None, vec![]);
        let now = Time::ZERO;
        let mut leader = Leader::new(now, recovery);
        leader.pipeline.append(Bytes::from_static(b"new"));
        leader.propose(
            now,
            &mut Submissions::default(),
            &settings,
            &mut jitter,
            out,
        );
        let span = Span {
            from: Instance(1),
            through: Instance(1),
        };
        for id in [2, 3] {
            leader.voted(now, acceptor(id), &[span], &settings, &mut jitter, out);
        }
        assert_eq!(leader.decided(), Instance(1));
        leader.begin_repair(now, span, &settings, out);
        while out.pop().is_some() {}
        (leader, settings)
    }

    /// What the leader proposes in answer to these pages.
    fn proposed(pages: [(u16, Option<Instance>, Vec<Vote>); 2]) -> Vec<Bytes> {
        let mut out = Outbox::new();
        let (mut leader, settings) = repairing(&mut out);
        for (id, through, votes) in pages {
            let page = (Instance(1), through);
            leader.promised(Time::ZERO, acceptor(id), page, votes, &settings, &mut out);
        }
        out.drain()
            .filter_map(|output| match output {
                Output::Send {
                    message: Message::Accept { value, .. },
                    ..
                } => Some(value.bytes().clone()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_past_is_proposed_again_as_a_quorum_remembers_it() {
        let through = Some(Instance(1));
        let pages = [
            (1, through, vec![vote(1, "old")]),
            (2, through, vec![vote(2, "new")]),
        ];
        assert_eq!(proposed(pages), ["new"]);
    }

    #[test]
    fn late_pages_of_phase_1_do_not_bring_an_old_value_back() {
        let pages = [(1, None, vec![vote(1, "old")]), (2, None, vec![])];
        assert_eq!(proposed(pages), [""; 0]);
    }

    #[test]
    fn a_repair_asks_again_and_does_not_begin_anew() {
        let mut out = Outbox::new();
        let (mut leader, settings) = repairing(&mut out);
        let through = Some(Instance(1));
        let page = (Instance(1), through);
        let votes = vec![vote(2, "new")];
        leader.promised(Time::ZERO, acceptor(2), page, votes, &settings, &mut out);
        let span = Span {
            from: Instance(1),
            through: Instance(1),
        };
        leader.begin_repair(Time::ZERO, span, &settings, &mut out);
        assert!(out.is_empty(), "one repair at a time");
        let roster = Roster::new(settings.membership.acceptors());
        let mut now = Time::ZERO;
        let mut asked = 0;
        while leader.repair.is_some() {
            now = now + settings.repropose.0;
            leader.ask_overdue(now, &settings, &roster, &mut out);
            asked += out.drain().count();
        }
        assert!((5..20).contains(&asked), "asked {asked} times");
    }
}
