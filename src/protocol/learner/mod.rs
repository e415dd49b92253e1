//! The learner: finds out what was chosen, and hands it on in order.
//!
//! It hears the leader's proposals (2a) and the acceptors' votes (2b). An
//! instance is decided when a quorum of *distinct* acceptors voted in *one*
//! ballot, or when a single proposal or vote belongs to a ballot whose leader has
//! announced a watermark that covers it. Decided instances are applied in order,
//! without gaps, through [`Sessions`], which says which values are delivered.
//!
//! What a learner lacks it asks for: first, after a moment's chance, from one
//! acceptor and in front of everybody, so that other learners that lack the same
//! need not ask; then from another; in bulk, one burst after the other, when it
//! is far behind; and when no acceptor's answer completes a decided instance,
//! from the leader, which proposes the past again in its own ballot.

mod acknowledging;
mod asking;
mod confirming;
mod embedded;
mod following;
mod measures;
mod tally;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::ballot::Ballot;
use super::jitter::Jitter;
use super::message::{Address, Found, Lookup, Message, ProcessId, Progress, Role, Vote, Watermark};
use super::mutant::{Mutant, mutant};
use super::outbox::{Outbox, Process};
use super::roster::Roster;
use super::session::{Delivery, Sessions};
use super::settings::Settings;
use super::time::Time;
use super::value::{Instance, Run, runs};
use super::watermarks::Watermarks;
use acknowledging::Acknowledging;
use asking::Asking;
use confirming::Confirming;
use embedded::Embedded;
use following::Following;
use tally::Tally;

/// A learner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learner {
    me: ProcessId,
    settings: Settings,
    jitter: Jitter,
    buffer: u32,
    roster: Roster,
    /// The highest ballot heard of.
    highest: Ballot,
    watermarks: Watermarks,
    sessions: Sessions,
    /// All instances through this one were applied.
    delivered: Instance,
    /// What is known of the instances behind `delivered`, the next one first.
    tallies: VecDeque<Tally>,
    /// Bytes of the values in `tallies`.
    held: usize,
    /// The highest instance that is known to exist.
    target: Instance,
    /// The highest instance that is known to be decided.
    decided: Instance,
    /// Whether values can be handed on now.
    open: bool,
    asking: Asking,
    acknowledging: Acknowledging,
    following: Following,
    confirming: Confirming,
    /// What only a learner inside of a replica does.
    embedded: Option<Embedded>,
}

/// What a learner reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A value in its place.
    Delivered(Delivery),
    /// An instance was applied in which no value is: a no-op fills it.
    Skipped {
        /// Which.
        instance: Instance,
    },
    /// Something was lacking and asked for.
    Requested {
        /// How many instances.
        instances: u64,
    },
    /// No acceptor could complete a decided instance; the leader was asked.
    Stuck {
        /// Which.
        instance: Instance,
    },
    /// A quorum of the acceptors has forgotten the next instance: nobody can
    /// complete the log here any more, and nothing will be delivered.
    Lost {
        /// Which.
        instance: Instance,
    },
    /// A quorum has said how far it has voted, see [`Learner::confirm`]. Whatever
    /// was chosen before the round began lies at or below `through`.
    Confirmed {
        /// The number of the round.
        round: u64,
        /// The highest instance that any of the quorum has voted for.
        through: Instance,
    },
    /// The session of this learner's own client has come so far, or was refused.
    Own(Progress),
    /// An instance at which replicas compare their states was applied.
    Milestone {
        /// Which.
        instance: Instance,
        /// The digest of the sessions there.
        sessions: u64,
    },
}

impl Learner {
    /// How many instances ahead of the last delivered one are kept.
    pub const MAX_AHEAD: usize = 4_096;

    /// Bytes of values kept ahead of the last delivered instance.
    pub const MAX_HELD: usize = 64 << 20;

    /// The process that speaks for an acceptor here, if one was heard.
    pub fn acceptor(&self, id: u16) -> Option<ProcessId> {
        self.roster.process(id)
    }

    /// A learner from nothing. `seed` feeds its back-offs; `buffer`: bytes of its
    /// smallest socket receive buffer as the kernel counts them.
    ///
    /// # Panics
    ///
    /// When `me` is no learner.
    pub fn new(me: ProcessId, settings: Settings, seed: u64, buffer: u32, now: Time) -> Learner {
        assert_eq!(me.role, Role::Learner, "{me} is no learner");
        let mut jitter = Jitter::new(seed);
        let acceptors: Vec<u16> = settings.membership.acceptors().iter().collect();
        let acceptor = acceptors[jitter.below(acceptors.len() as u64) as usize];
        let check_at = now + jitter.between(Duration::ZERO, settings.heartbeat / 4);
        Learner {
            me,
            jitter,
            buffer,
            roster: Roster::new(settings.membership.acceptors()),
            highest: Ballot::ZERO,
            watermarks: Watermarks::default(),
            sessions: Sessions::new(&settings),
            delivered: Instance::ZERO,
            tallies: VecDeque::new(),
            held: 0,
            target: Instance::ZERO,
            decided: Instance::ZERO,
            open: true,
            asking: Asking {
                at: None,
                attempts: 0,
                acceptor,
                check_at,
                forgotten: BTreeMap::new(),
            },
            acknowledging: Acknowledging::default(),
            following: Following::default(),
            confirming: Confirming::default(),
            embedded: None,
            settings,
        }
    }

    /// The last instance applied.
    pub fn delivered(&self) -> Instance {
        self.delivered
    }

    /// How many values were delivered.
    pub fn position(&self) -> u64 {
        self.sessions.position()
    }

    /// Whether an instance is known to exist that was not applied yet.
    pub fn is_behind(&self) -> bool {
        self.target > self.delivered
    }

    /// How many instances are known to be decided and were not applied yet.
    pub fn lag(&self) -> u64 {
        self.decided.0.saturating_sub(self.delivered.0)
    }

    /// Says whether values can be handed on. While they cannot, nothing is
    /// delivered and nothing asked for; what does not fit is fetched again after.
    pub fn set_open(&mut self, now: Time, open: bool, out: &mut Outbox<Self>) {
        self.open = open;
        self.deliver(now, out);
    }

    /// The place of an instance in `tallies`, if it is of interest.
    fn index(&self, instance: Instance) -> Option<usize> {
        let ahead = instance.0.checked_sub(self.delivered.0 + 1)?;
        usize::try_from(ahead)
            .ok()
            .filter(|&ahead| ahead < Self::MAX_AHEAD)
    }

    /// What is known of an instance, to be added to.
    fn tally(&mut self, instance: Instance) -> Option<&mut Tally> {
        self.target = self.target.max(instance);
        let index = self.index(instance)?;
        if index >= self.tallies.len() {
            self.tallies.resize_with(index + 1, Tally::default);
        }
        Some(&mut self.tallies[index])
    }

    /// A proposal was heard.
    fn add_proposal(&mut self, instance: Instance, ballot: Ballot, value: Bytes) {
        let full = self.held + value.len() > Self::MAX_HELD;
        let next = self.delivered.next();
        let Some(tally) = self.tally(instance) else {
            return;
        };
        let first = mutant(Mutant::FirstProposalKept);
        let known = |(known, _): &(Ballot, Bytes)| *known == ballot || first;
        if tally.proposals.iter().any(known) {
            return;
        }
        // Whatever else is held, the next instance must be able to complete.
        if full && instance != next {
            return;
        }
        let added = value.len();
        tally.proposals.push((ballot, value));
        let dropped = match tally.proposals.len() > Tally::MAX_BALLOTS {
            true => tally.drop_lowest_proposal(),
            false => 0,
        };
        self.held = self.held + added - dropped;
    }

    /// A vote was heard.
    fn add_vote(&mut self, instance: Instance, ballot: Ballot, acceptor: u16) {
        let membership = self.settings.membership;
        let Some(tally) = self.tally(instance) else {
            return;
        };
        let set = tally.voters(ballot);
        let twice = mutant(Mutant::RepeatedVoteCounts) && set.contains(acceptor);
        set.insert(if twice { acceptor % 3 + 1 } else { acceptor });
        if membership.is_quorum(*set) {
            self.decided = self.decided.max(instance);
        }
    }

    /// The value decided for the next instance, if it is known.
    fn decision(&self, index: usize) -> Option<&Bytes> {
        let instance = self.delivered.plus(index as u64 + 1);
        let tally = self.tallies.get(index)?;
        let any = mutant(Mutant::VotesAcrossBallots) || mutant(Mutant::AnyProposalDecided);
        let decided = |ballot: &Ballot| {
            self.watermarks.decide(*ballot, instance)
                || tally.votes.iter().any(|(voted, acceptors)| {
                    (voted == ballot || any) && self.settings.membership.is_quorum(*acceptors)
                })
        };
        tally
            .proposals
            .iter()
            .find(|(ballot, _)| decided(ballot))
            .map(|(_, value)| value)
    }

    /// A watermark was heard.
    fn note(&mut self, watermark: Watermark) {
        if watermark.ballot.leaps_over(self.highest) {
            return;
        }
        self.highest = self.highest.max(watermark.ballot);
        self.watermarks.note(watermark);
        let through = self.watermarks.highest().through;
        self.target = self.target.max(through);
        self.decided = self.decided.max(through);
    }

    /// Applies what is decided, in order, and looks to what is lacking.
    fn deliver(&mut self, now: Time, out: &mut Outbox<Self>) {
        let before = self.delivered;
        self.skip_gap();
        while (self.open || mutant(Mutant::StalledReaderSkipped))
            && let Some(batch) = self.decision(0).cloned()
        {
            let tally = self.tallies.pop_front().expect("it was just decided");
            self.held -= tally.bytes();
            self.delivered = self.delivered.next();
            self.target = self.target.max(self.delivered);
            let instance = self.delivered;
            if batch.is_empty() {
                out.event(Event::Skipped { instance });
            }
            let mut runs: Vec<Run> = runs(&batch).collect();
            if mutant(Mutant::OrderByProcess) && self.me.id.is_multiple_of(2) {
                runs.reverse();
            }
            for run in runs {
                let position = self.sessions.position();
                let progress = self.sessions.apply(instance, &run, &mut |delivery| {
                    if self.open || !mutant(Mutant::StalledReaderSkipped) {
                        out.event(Event::Delivered(delivery));
                    }
                });
                let again = self.sessions.position() == position;
                if let Some(progress) = progress
                    && !(again && mutant(Mutant::AcknowledgedOnce))
                {
                    self.tell(progress, out);
                }
            }
            self.mark(instance, out);
        }
        if !self.open || !self.is_behind() {
            self.asking.at = None;
            self.asking.attempts = 0;
        } else if self.delivered > before || self.asking.at.is_none() {
            self.asking.attempts = 0;
            self.asking.at = Some(now + self.back_off());
        } else {
            self.hasten(now);
        }
    }

    /// Leaves out an instance that is lacking when the one behind it is here: never
    /// but for a seeded bug.
    fn skip_gap(&mut self) {
        let hurry = mutant(Mutant::GapSkipped);
        let weary = mutant(Mutant::GapSkippedInTheEnd) && self.asking.attempts > 6;
        if (hurry || weary) && self.decision(0).is_none() && self.decision(1).is_some() {
            let tally = self.tallies.pop_front().expect("there is a second");
            self.held -= tally.bytes();
            self.delivered = self.delivered.next();
        }
    }

    /// An acceptor answered.
    fn handle_votes(
        &mut self,
        now: Time,
        from: ProcessId,
        votes: Vec<Vote>,
        last: bool,
        out: &mut Outbox<Self>,
    ) {
        let before = self.delivered;
        for vote in votes {
            let value = vote.value.bytes().clone();
            self.add_proposal(vote.instance, vote.ballot, value);
            self.add_vote(vote.instance, vote.ballot, from.id);
        }
        self.deliver(now, out);
        if !last || from.id != self.asking.acceptor || self.asking.at.is_none() {
            return;
        }
        if self.delivered > before {
            // It helps: the next burst at once.
            if self.decided > self.delivered {
                self.asking.at = Some(now);
            }
        } else if self.asking.attempts > 0
            && self.asking.attempts <= self.settings.membership.acceptors().len() as u32
        {
            // It does not: another one, soon.
            let soon = now + self.jitter.between(Self::BACK_OFF.0 / 4, Self::BACK_OFF.0);
            self.asking.at = self.asking.at.map(|at| at.min(soon));
        }
    }

    /// Tells the leader how far this learner has read.
    fn report(&mut self, out: &mut Outbox<Self>) {
        self.following.taken = 0;
        out.send(
            Address::Group(Role::Proposer),
            Message::Following {
                through: self.following.through,
                buffer: self.buffer,
            },
        );
    }

    /// Tells clients what is to be told.
    fn acknowledge(&mut self, sessions: Vec<Progress>, out: &mut Outbox<Self>) {
        // Thirteen bytes of session, ten of number, one of verdict.
        let per_datagram = (self.settings.batch_limit() / 24).max(1);
        for sessions in sessions.chunks(per_datagram) {
            out.send(
                Address::Group(Role::Client),
                Message::Acknowledge {
                    delivered: self.delivered,
                    sessions: sessions.to_vec(),
                },
            );
        }
    }
}

impl Process for Learner {
    type Address = Address;
    type Sender = ProcessId;
    type Message = Message;
    type Event = Event;
    type Lookup = Lookup;
    type Found = Found;

    fn handle_message(
        &mut self,
        now: Time,
        from: ProcessId,
        message: Message,
        out: &mut Outbox<Self>,
    ) {
        match (from.role, message) {
            (
                Role::Proposer,
                Message::Accept {
                    ballot,
                    decided,
                    instance,
                    value,
                },
            ) if ballot.owner() == (from.id, from.incarnation) => {
                // No leader of this cluster has such a ballot.
                if ballot.leaps_over(self.highest) {
                    return;
                }
                self.following.take(instance, value.len());
                self.note(Watermark {
                    ballot,
                    through: decided,
                });
                for run in runs(value.bytes()).filter(|_| mutant(Mutant::AcknowledgedTooSoon)) {
                    self.acknowledging.touch(Progress {
                        session: run.session,
                        last: run.last(),
                        evicted: false,
                    });
                }
                self.add_proposal(instance, ballot, value.bytes().clone());
                self.deliver(now, out);
            }
            (Role::Proposer, Message::Heartbeat { ballot, decided })
                if ballot.owner() == (from.id, from.incarnation) =>
            {
                self.note(Watermark {
                    ballot,
                    through: decided,
                });
                self.deliver(now, out);
            }
            (Role::Acceptor, Message::Accepted { ballot, instances })
                if self.roster.admits(from) =>
            {
                // A turn's votes are hardly ever told twice. A datagram of spans
                // that all say the same must not cost a second of counting.
                let mut most = 2 * Self::MAX_AHEAD;
                for span in instances {
                    self.target = self.target.max(span.through);
                    let last = self.delivered.plus(Self::MAX_AHEAD as u64);
                    let first = span.from.max(self.delivered.next());
                    for instance in (first.0..=span.through.min(last).0).take(most) {
                        self.add_vote(Instance(instance), ballot, from.id);
                        most -= 1;
                    }
                }
                self.deliver(now, out);
            }
            (
                Role::Acceptor,
                Message::Votes {
                    watermarks,
                    votes,
                    last,
                },
            ) if self.roster.admits(from) => {
                watermarks
                    .into_iter()
                    .for_each(|watermark| self.note(watermark));
                self.handle_votes(now, from, votes, last, out);
            }
            (Role::Acceptor, Message::Forgotten { through }) if self.roster.admits(from) => {
                self.note_forgotten(from, through);
            }
            (Role::Acceptor, Message::Confirmed { nonce, highest }) if self.roster.admits(from) => {
                self.handle_confirmed(now, from, nonce, highest, out);
            }
            (
                Role::Learner,
                Message::Request {
                    spans, everyone, ..
                },
            ) => {
                self.following.overhear(now, self.me, from);
                if everyone {
                    self.overhear_request(now, &spans);
                }
            }
            (Role::Learner, Message::Acknowledge { sessions, .. }) => {
                self.acknowledging.overhear(now, self.me, from, &sessions);
            }
            (
                Role::Client,
                Message::Inquire {
                    session,
                    acknowledged,
                },
            ) => {
                if mutant(Mutant::AcknowledgedOnce) {
                    return;
                }
                let known = self.sessions.progress(session);
                self.acknowledging.inquire(session, acknowledged, known);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox<Self>) {
        if self.asking.at.is_some_and(|at| at <= now) {
            self.ask(now, out);
        }
        if self.asking.check_at <= now {
            self.check(now, out);
        }
        self.ask_round(now, out);
        let overdue = self.acknowledging.overdue(now);
        self.acknowledge(overdue, out);
    }

    fn finish_turn(&mut self, now: Time, out: &mut Outbox<Self>) {
        if self.following.is_due(now, self.buffer, &self.settings) {
            self.report(out);
        }
        let due = self
            .acknowledging
            .finish_turn(now, &self.settings, &mut self.jitter);
        self.acknowledge(due, out);
    }

    fn next_timeout(&self) -> Option<Time> {
        let asking = [
            self.asking.at,
            self.acknowledging.next_timeout(),
            self.confirming.next_timeout(),
        ];
        asking
            .into_iter()
            .flatten()
            .chain([self.asking.check_at])
            .min()
    }
}
