//! The acceptor: it promises, it votes, it remembers. All of safety stands here.
//!
//! Two sentences of Lamport's are the whole of it. *An acceptor promises a
//! ballot unless it has promised a higher one* ([`Message::Prepare`]). *An
//! acceptor votes in a ballot unless it has promised a higher one*
//! ([`Message::Accept`]). Whatever it says about itself afterwards must be true
//! for ever, so it says nothing before it is written down: every change of state
//! is a [`Record`], the state is the fold over all records ([`Acceptor::replay`]),
//! and the outbox keeps the answer behind the record.
//!
//! The rest is manners: putting candidates off while a leader lives, and
//! answering learners that lack something.

mod answering;
mod measures;
mod trimming;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::ballot::Ballot;
use super::message::{
    Address, Found, Lookup, Message, ProcessId, Purpose, Record, Role, Span, Vote, Watermark,
};
use super::mutant::{Mutant, mutant};
use super::outbox::{Outbox, Process};
use super::settings::Settings;
use super::time::Time;
use super::value::Instance;
use super::watermarks::Watermarks;
use answering::first_page;
use trimming::Trimming;

/// How many of its votes an acceptor keeps in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// There is no disk to ask, so what is let go is forgotten. Only what is
    /// decided may be: the latest is kept up to this many bytes, and the rest as
    /// long as it is undecided.
    Volatile {
        /// Bytes of values, and a little for each vote.
        bytes: usize,
    },
    /// The latest, up to this many bytes; the disk has the others.
    Recent {
        /// Bytes of values, and a little for each vote.
        bytes: usize,
    },
}

impl Memory {
    /// No disk, and nothing is ever let go.
    pub const EVERYTHING: Memory = Memory::Volatile { bytes: usize::MAX };
}

/// An acceptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acceptor {
    me: ProcessId,
    settings: Settings,
    memory: Memory,
    buffer: u32,
    /// No lower ballot is served any more.
    promised: Ballot,
    /// The latest vote for each instance from `floor` on.
    votes: BTreeMap<Instance, (Ballot, Bytes)>,
    /// Votes below are on the disk only, or, without a disk or below a trim, forgotten.
    floor: Instance,
    /// Bytes of the values in `votes`.
    bytes: usize,
    /// The highest instance voted for.
    highest: Instance,
    watermarks: Watermarks,
    /// The last watermark written down.
    recorded: Watermark,
    trimming: Trimming,
    /// The last leader, or candidate promised, and when it was heard.
    leader: Option<(Ballot, Time)>,
    /// Votes of this turn, not yet told.
    accepted: Option<(Ballot, Vec<Span>)>,
    /// The last sender whose absurd ballot was reported.
    alarmed: Option<ProcessId>,
}

impl Acceptor {
    /// Bytes that one answer to a learner may have at most, whatever it asks for.
    pub const MAX_ANSWER: usize = 4 << 20;

    /// How many instances beyond the watermark a proposal may lie. More than any
    /// leader's window, small enough that a stray datagram cannot fill the memory
    /// with far-away votes.
    pub const MAX_AHEAD: u64 = 1 << 16;

    /// Bytes that a vote weighs in memory beside its value.
    const VOTE_WEIGHT: usize = 64;

    /// How far the watermark moves on before it is written down again.
    const WATERMARK_STEP: u64 = 256;

    /// An acceptor without a past. `buffer`: bytes of its socket's receive buffer
    /// as the kernel counts them. One with a past is given its records by
    /// [`Acceptor::replay`] before anything else.
    ///
    /// # Panics
    ///
    /// When `me` is not one of the membership's acceptors.
    pub fn new(me: ProcessId, settings: Settings, memory: Memory, buffer: u32) -> Acceptor {
        assert!(
            me.role == Role::Acceptor && settings.membership.acceptors().contains(me.id),
            "{me} is no acceptor of this cluster"
        );
        Acceptor {
            me,
            settings,
            memory,
            buffer,
            promised: Ballot::ZERO,
            votes: BTreeMap::new(),
            floor: Instance(1),
            bytes: 0,
            highest: Instance::ZERO,
            watermarks: Watermarks::default(),
            recorded: Watermark::default(),
            trimming: Trimming::default(),
            leader: None,
            accepted: None,
            alarmed: None,
        }
    }

    /// Folds one record into the state: at recovery, and live.
    pub fn replay(&mut self, record: Record) {
        match record {
            Record::Promised { ballot } => self.promised = self.promised.max(ballot),
            Record::Voted { vote } => {
                if !mutant(Mutant::VoteWithoutPromise) {
                    self.promised = self.promised.max(vote.ballot);
                }
                self.highest = self.highest.max(vote.instance);
                if vote.instance >= self.floor {
                    self.bytes += vote.value.len();
                    let value = vote.value.bytes().clone();
                    if let Some((_, old)) = self.votes.insert(vote.instance, (vote.ballot, value)) {
                        self.bytes -= old.len();
                    }
                    self.forget();
                }
            }
            Record::Watermark { watermark } => {
                self.watermarks.note(watermark);
                self.recorded = watermark;
            }
            Record::Trimmed {
                through,
                promised,
                highest,
                watermark,
            } => self.replay_trim(through, promised, highest, watermark),
        }
    }

    /// Whether another acceptor with as much memory has written down the same:
    /// the promise, every vote that is not forgotten, the last watermark. One that is rebuilt from its
    /// records must remember like the running one, or something was said that no
    /// record tells. What is merely heard, such as who leads, may differ.
    pub fn remembers_like(&self, other: &Acceptor) -> bool {
        // Without a disk it depends on watermarks heard what is forgotten by now.
        let floor = self.floor.max(other.floor);
        let held = |acceptor: &Acceptor| (acceptor.floor, acceptor.bytes);
        let written =
            |acceptor: &Acceptor| (acceptor.promised, acceptor.highest, acceptor.recorded);
        written(self) == written(other)
            && self.trimming.through == other.trimming.through
            && (!self.has_disk() || held(self) == held(other))
            && self.votes.range(floor..).eq(other.votes.range(floor..))
    }

    /// The ballot promised.
    pub fn promised(&self) -> Ballot {
        self.promised
    }

    /// The highest instance voted for.
    pub fn highest(&self) -> Instance {
        self.highest
    }

    /// The last instance of which it has nothing any more, in memory or on a disk.
    pub fn forgotten(&self) -> Instance {
        match self.has_disk() {
            true => self.trimming.through,
            false => self.floor.previous(),
        }
    }

    /// How many votes are held in memory.
    pub fn votes_in_memory(&self) -> usize {
        self.votes.len()
    }

    /// Writes something down: it becomes state now, and durable before any
    /// message behind it leaves.
    fn record(&mut self, record: Record, out: &mut Outbox<Self>) {
        self.replay(record.clone());
        let lost = match &record {
            Record::Promised { .. } => mutant(Mutant::PromiseNotRecorded),
            Record::Voted { .. } => mutant(Mutant::VoteNotRecorded),
            Record::Watermark { .. } | Record::Trimmed { .. } => false,
        };
        if !lost {
            out.event(record);
        }
    }

    /// No: a higher ballot was promised.
    fn refuse(&self, from: ProcessId, ballot: Ballot, out: &mut Outbox<Self>) {
        let promised = match mutant(Mutant::NackWithoutBallot) {
            true => ballot,
            false => self.promised,
        };
        out.send(Address::Process(from), Message::Nack { ballot, promised });
    }

    /// A watermark was heard.
    fn note(&mut self, watermark: Watermark) {
        self.watermarks.note(watermark);
        self.forget();
    }

    /// Lets go of the oldest votes: those that the disk has too, or, without a
    /// disk, those that nobody needs to hear of in a phase 1 any more, because a
    /// watermark covers them. A vote that is forgotten while its instance is open
    /// could be the one that chose.
    fn forget(&mut self) {
        let (bytes, last) = match self.memory {
            Memory::Recent { bytes } => (bytes, Instance(u64::MAX)),
            Memory::Volatile { bytes } if mutant(Mutant::UndecidedForgotten) => {
                (bytes, Instance(u64::MAX))
            }
            Memory::Volatile { bytes } => (bytes, self.watermarks.highest().through),
        };
        // A no-op weighs something too, or a log of them would never be let go.
        while self.bytes + Self::VOTE_WEIGHT * self.votes.len() > bytes && self.votes.len() > 1 {
            let oldest = self.votes.first_entry().expect("more than one");
            if *oldest.key() > last {
                return;
            }
            let (instance, (_, value)) = oldest.remove_entry();
            self.bytes -= value.len();
            self.floor = instance.next();
        }
    }

    /// Whether there is a disk that has what memory let go.
    fn has_disk(&self) -> bool {
        matches!(self.memory, Memory::Recent { .. })
    }

    /// 1a.
    fn handle_prepare(
        &mut self,
        now: Time,
        from: ProcessId,
        ballot: Ballot,
        asked: Instance,
        through: Option<Instance>,
        out: &mut Outbox<Self>,
    ) {
        let to = Address::Process(from);
        if mutant(Mutant::PromiseLowered) {
            self.promised = self.promised.min(ballot);
        }
        if ballot < self.promised {
            self.refuse(from, ballot, out);
            return;
        }
        if ballot > self.promised {
            // A live leader is not deposed because one proposer cannot hear it.
            if let Some(leader) = self.live_leader(now, ballot) {
                out.send(to, Message::Busy { ballot, leader });
                return;
            }
            self.record(Record::Promised { ballot }, out);
            // The candidate shall have time to finish before the next one comes.
            self.leader = Some((ballot, now));
        }
        let start = match through {
            None if mutant(Mutant::AskedInstanceIgnored) => {
                self.watermarks.highest().through.next()
            }
            // What is decided need not be proposed again; the watermark says so.
            None => asked.max(self.watermarks.highest().through.next()),
            Some(_) => asked.max(Instance(1)),
        };
        // Of what is forgotten nothing can be said, least of all that there was
        // nothing: the page begins behind it, and a repair of it has to be
        // complete without this acceptor.
        let start = match mutant(Mutant::ForgottenToldAsEmpty) {
            true => start,
            false => start.max(self.forgotten().next()),
        };
        if through.is_some_and(|through| through < start) {
            return;
        }
        if start < self.floor && self.has_disk() && !mutant(Mutant::DiskNotAsked) {
            let last = self.floor.previous();
            let span = Span {
                from: start,
                through: through.map_or(last, |through| through.min(last)),
            };
            out.lookup(Lookup {
                purpose: Purpose::Promise { to: from, ballot },
                spans: vec![span],
                bytes: self.settings.batch_limit(),
            });
            return;
        }
        let votes = self.votes_in(Span {
            from: start,
            through: through.unwrap_or(Instance(u64::MAX)),
        });
        let votes = votes.skip(usize::from(mutant(Mutant::FirstVoteConcealed)));
        let (votes, cut) = first_page(votes, self.settings.batch_limit());
        out.send(
            to,
            Message::Promise {
                ballot,
                from: start,
                through: cut.or(through),
                watermark: self.watermarks.highest(),
                votes,
            },
        );
    }

    /// 2a.
    fn handle_accept(
        &mut self,
        now: Time,
        from: ProcessId,
        vote: Vote,
        decided: Instance,
        out: &mut Outbox<Self>,
    ) {
        let (ballot, instance) = (vote.ballot, vote.instance);
        if ballot < self.promised && !mutant(Mutant::VoteBelowPromise) {
            self.refuse(from, ballot, out);
            if mutant(Mutant::RefusedVoteTold) {
                self.tell(ballot, instance, out);
            }
            return;
        }
        let watermark = Watermark {
            ballot,
            through: decided,
        };
        self.note(watermark);
        let ahead = self.watermarks.highest().through.plus(Self::MAX_AHEAD);
        if instance == Instance::ZERO || instance > ahead {
            return;
        }
        self.leader = Some((ballot, now));
        let voted = self
            .votes
            .get(&instance)
            .is_some_and(|(voted, _)| *voted == ballot || mutant(Mutant::VoteNotRenewed));
        if !voted {
            self.record(Record::Voted { vote }, out);
            let step = decided.0.saturating_sub(self.recorded.through.0);
            if decided > Instance::ZERO
                && (self.recorded.ballot != ballot || step >= Self::WATERMARK_STEP)
            {
                self.record(Record::Watermark { watermark }, out);
            }
        }
        self.tell(ballot, instance, out);
    }

    /// Gathers votes into spans; they are told once a turn.
    fn tell(&mut self, ballot: Ballot, instance: Instance, out: &mut Outbox<Self>) {
        if self
            .accepted
            .as_ref()
            .is_some_and(|(told, _)| *told != ballot)
        {
            self.flush(out);
        }
        let (_, spans) = self.accepted.get_or_insert((ballot, Vec::new()));
        match spans.last_mut() {
            Some(span) if span.through.next() == instance => span.through = instance,
            Some(span) if mutant(Mutant::SpansJoined) => span.through = instance.max(span.through),
            Some(span) if (span.from..=span.through).contains(&instance) => {}
            _ => spans.push(Span {
                from: instance,
                through: instance,
            }),
        }
    }

    /// 2b.
    fn flush(&mut self, out: &mut Outbox<Self>) {
        let Some((ballot, instances)) = self.accepted.take() else {
            return;
        };
        // Two instances of at most ten bytes each.
        let per_datagram = (self.settings.batch_limit() / 20).max(1);
        for instances in instances.chunks(per_datagram) {
            out.send(
                Address::Group(Role::Learner),
                Message::Accepted {
                    ballot,
                    instances: instances.to_vec(),
                },
            );
        }
    }

    /// The leader that stands against a candidate, if one was heard lately.
    fn live_leader(&self, now: Time, candidate: Ballot) -> Option<Ballot> {
        let (leader, heard) = self.leader?;
        let another =
            (leader.proposer, leader.incarnation) != (candidate.proposer, candidate.incarnation);
        let lately = now.since(heard) < self.settings.lease() || mutant(Mutant::BusyForEver);
        (another && lately && !mutant(Mutant::BusyNeverSaid)).then_some(leader)
    }
}

impl Process for Acceptor {
    type Address = Address;
    type Sender = ProcessId;
    type Message = Message;
    type Event = Record;
    type Lookup = Lookup;
    type Found = Found;

    fn handle_message(
        &mut self,
        now: Time,
        from: ProcessId,
        message: Message,
        out: &mut Outbox<Self>,
    ) {
        // A ballot is served only to the proposer that owns it.
        if let Message::Prepare { ballot, .. }
        | Message::Accept { ballot, .. }
        | Message::Heartbeat { ballot, .. } = message
        {
            let owner = from.role == Role::Proposer
                && (ballot.proposer, ballot.incarnation) == (from.id, from.incarnation);
            if !owner {
                return;
            }
            if ballot.leaps_over(self.promised) {
                if self.alarmed != Some(from) {
                    self.alarmed = Some(from);
                    log::warn!(
                        "{from} uses ballot {ballot}, absurdly far above {}: ignored. It is \
                         broken or no member of this cluster",
                        self.promised
                    );
                }
                return;
            }
        }
        match message {
            Message::Prepare {
                ballot,
                from: asked,
                through,
            } => self.handle_prepare(now, from, ballot, asked, through, out),
            Message::Accept {
                ballot,
                decided,
                instance,
                value,
            } => {
                let vote = Vote {
                    instance,
                    ballot,
                    value,
                };
                self.handle_accept(now, from, vote, decided, out);
            }
            Message::Heartbeat { ballot, decided } => {
                if ballot < self.promised {
                    self.refuse(from, ballot, out);
                    return;
                }
                self.leader = Some((ballot, now));
                self.note(Watermark {
                    ballot,
                    through: decided,
                });
                let buffer = self.buffer;
                out.send(Address::Process(from), Message::Alive { ballot, buffer });
            }
            Message::Request {
                acceptor,
                spans,
                bytes,
                everyone,
            } if acceptor == self.me.id && from.role == Role::Learner => {
                self.handle_request(from, spans, bytes as usize, everyone, out);
            }
            Message::Checkpointed { through } => self.handle_checkpointed(from, through),
            Message::Confirm { nonce } if from.role == Role::Learner => {
                let highest = match mutant(Mutant::ConfirmedByWatermark) {
                    true => self.watermarks.highest().through,
                    false => self.highest,
                };
                out.send(
                    Address::Process(from),
                    Message::Confirmed { nonce, highest },
                );
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox<Self>) {}

    fn finish_turn(&mut self, _now: Time, out: &mut Outbox<Self>) {
        self.flush(out);
        self.trim(out);
    }

    fn handle_found(&mut self, _now: Time, found: Found, out: &mut Outbox<Self>) {
        match found.lookup.purpose {
            Purpose::Votes { to } => self.answer(to, found.votes, out),
            Purpose::Promise { to, ballot } => {
                // Meanwhile another ballot may have been promised.
                if ballot != self.promised {
                    return;
                }
                // And some of what was looked up may have been forgotten.
                let from = match mutant(Mutant::ForgottenToldAsEmpty) {
                    true => found.lookup.spans[0].from,
                    false => found.lookup.spans[0].from.max(self.forgotten().next()),
                };
                if found.through < from {
                    return;
                }
                let votes = found.votes.into_iter();
                let votes = votes.filter(|vote| vote.instance >= from);
                let (votes, cut) = first_page(votes, self.settings.batch_limit());
                out.send(
                    Address::Process(to),
                    Message::Promise {
                        ballot,
                        from,
                        through: Some(cut.unwrap_or(found.through)),
                        watermark: self.watermarks.highest(),
                        votes,
                    },
                );
            }
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        None
    }
}
