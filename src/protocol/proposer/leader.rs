//! The leader: a quorum has promised its ballot, and it orders values in it.

use std::collections::BTreeMap;

use super::pipeline::{Pipeline, Proposal};
use super::recovery::Recovery;
use super::submissions::Submissions;
use super::{Event, Proposer};
use crate::protocol::jitter::Jitter;
use crate::protocol::{
    Address, Ballot, Instance, Message, Outbox, Payload, ProcessId, Role, Settings, Span, Time,
};

/// What a proposer has while it leads.
#[derive(Clone, Debug)]
pub struct Leader {
    pipeline: Pipeline,
    /// The watermark reported last.
    reported: Instance,
    heartbeat_at: Time,
    /// When each acceptor was last heard.
    heard: BTreeMap<u16, Time>,
    /// The past being proposed again for a stuck learner.
    repair: Option<Recovery>,
    repair_at: Time,
}

impl Leader {
    /// How many instances of the past are repaired at a time.
    const REPAIR_SPAN: u64 = 64;

    /// Bytes of values sent for one repair.
    const REPAIR_BYTES: usize = 256 << 10;

    /// The leader of a ballot whose phase 1 is complete.
    pub fn new(now: Time, recovery: Recovery) -> Leader {
        let decided = recovery.from().previous();
        Leader {
            reported: decided,
            heartbeat_at: now,
            heard: recovery.heard().iter().map(|id| (id, now)).collect(),
            repair: None,
            repair_at: now,
            pipeline: Pipeline::new(recovery.ballot, decided, recovery.into_votes()),
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
        let message = Message::Heartbeat {
            ballot: self.ballot(),
            decided: self.decided(),
        };
        out.send(Address::Group(Role::Acceptor), message.clone());
        out.send(Address::Group(Role::Proposer), message);
    }

    /// Whether a quorum was heard lately enough to go on leading.
    pub fn hears_quorum(&self, now: Time, settings: &Settings) -> bool {
        let patience = settings.patience() * 3;
        let heard = self
            .heard
            .iter()
            .filter(|(_, heard)| now.since(**heard) < patience)
            .map(|(&id, _)| id)
            .collect();
        settings.membership.is_quorum(heard)
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
                self.pipeline.append(batch.freeze());
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
        let overdue = self.pipeline.overdue(now, settings, jitter);
        self.send_again(overdue, out);
    }

    /// The repair in progress.
    pub fn repair_mut(&mut self) -> Option<&mut Recovery> {
        self.repair.as_mut()
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
        let asked_lately = self.repair.is_some() && now < self.repair_at;
        if span.from == Instance::ZERO || span.from > through || asked_lately {
            return;
        }
        let ballot = self.ballot();
        self.repair = Some(Recovery::new(ballot, span.from, Some(through)));
        self.repair_at = now + settings.repropose.1;
        out.send(
            Address::Group(Role::Acceptor),
            Message::Prepare {
                ballot,
                from: span.from,
                through: Some(through),
            },
        );
    }

    /// A quorum has told its votes of the past: propose the highest again. They
    /// lie below the watermark of this ballot, so hearing them is enough.
    pub fn repair(&mut self, out: &mut Outbox<Proposer>) {
        let Some(recovery) = self.repair.take() else {
            return;
        };
        let from = recovery.from();
        let votes = recovery.into_votes();
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
        for (instance, value) in votes {
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
        self.pipeline
            .next_timeout(now, hungry)
            .map_or(self.heartbeat_at, |at| at.min(self.heartbeat_at))
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
