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
mod tally;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::ballot::Ballot;
use super::jitter::Jitter;
use super::message::{
    Address, Found, Lookup, Message, ProcessId, Progress, Role, Span, Vote, Watermark,
};
use super::outbox::{Outbox, Process};
use super::roster::Roster;
use super::session::{Delivery, Sessions};
use super::settings::Settings;
use super::time::Time;
use super::value::{Instance, runs};
use super::watermarks::Watermarks;
use acknowledging::Acknowledging;
use tally::Tally;

/// A learner.
#[derive(Clone, Debug)]
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
}

/// What a learner reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A value in its place.
    Delivered(Delivery),
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
}

/// When and whom to ask.
#[derive(Clone, Debug)]
struct Asking {
    /// When to ask for what is lacking.
    at: Option<Time>,
    /// How often it was asked since anything was delivered.
    attempts: u32,
    /// The acceptor to ask.
    acceptor: u16,
    /// When to ask without a reason.
    check_at: Time,
}

/// What the leader knows of this learner.
#[derive(Clone, Debug, Default)]
struct Following {
    /// The highest proposal taken from the socket.
    through: Instance,
    /// What was taken since it was told, in bytes of socket buffer.
    taken: u64,
}

impl Learner {
    /// How many instances ahead of the last delivered one are kept.
    pub const MAX_AHEAD: usize = 4_096;

    /// Bytes of values kept ahead of the last delivered instance.
    pub const MAX_HELD: usize = 64 << 20;

    /// Spans in one request.
    const MAX_SPANS: usize = 32;

    /// A gap up to this many instances is asked for in front of everybody.
    const SMALL_GAP: u64 = 64;

    /// How often the wait between two requests doubles.
    const MAX_DOUBLINGS: u32 = 7;

    /// Shortest and longest wait before asking for what surely exists: long
    /// enough for reordering to settle, and spread so that of many learners that
    /// lack the same, one asks.
    const BACK_OFF: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(5));

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
            sessions: Sessions::default(),
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
            },
            acknowledging: Acknowledging::default(),
            following: Following::default(),
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

    /// Bytes of values held for instances not applied yet.
    pub fn held(&self) -> usize {
        self.held
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
        if tally.proposals.iter().any(|(known, _)| *known == ballot) {
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
        set.insert(acceptor);
        if membership.is_quorum(*set) {
            self.decided = self.decided.max(instance);
        }
    }

    /// The value decided for the next instance, if it is known.
    fn decision(&self, index: usize) -> Option<&Bytes> {
        let instance = self.delivered.plus(index as u64 + 1);
        let tally = self.tallies.get(index)?;
        let decided = |ballot: &Ballot| {
            self.watermarks.decide(*ballot, instance)
                || tally.votes.iter().any(|(voted, acceptors)| {
                    voted == ballot && self.settings.membership.is_quorum(*acceptors)
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
        while self.open
            && let Some(batch) = self.decision(0).cloned()
        {
            let tally = self.tallies.pop_front().expect("it was just decided");
            self.held -= tally.bytes();
            self.delivered = self.delivered.next();
            self.target = self.target.max(self.delivered);
            let instance = self.delivered;
            for run in runs(&batch) {
                let progress = self.sessions.apply(instance, &run, &mut |delivery| {
                    out.event(Event::Delivered(delivery));
                });
                if let Some(progress) = progress {
                    self.acknowledging.touch(progress);
                }
            }
        }
        if !self.open || !self.is_behind() {
            self.asking.at = None;
            self.asking.attempts = 0;
        } else if self.delivered > before || self.asking.at.is_none() {
            self.asking.attempts = 0;
            self.asking.at = Some(now + self.back_off());
        }
    }

    /// How long to wait before asking (again).
    fn back_off(&mut self) -> Duration {
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

    /// Asks an acceptor for what is lacking.
    fn ask(&mut self, now: Time, out: &mut Outbox<Self>) {
        let spans = self.lacking();
        let instances = spans
            .iter()
            .map(|span| span.through.0 - span.from.0 + 1)
            .sum();
        let small = instances <= Self::SMALL_GAP;
        let everyone = small && self.asking.attempts < 2;
        let acceptors = self.settings.membership.acceptors().len() as u32;
        if self.asking.attempts >= acceptors && self.decided > self.delivered {
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
        if self.asking.attempts > 0 {
            self.next_acceptor();
        }
        // One that was restarted is no longer where it was; its group is.
        let to = match self.roster.process(self.asking.acceptor) {
            Some(process) if !everyone && self.asking.attempts == 0 => Address::Process(process),
            _ => Address::Group(Role::Acceptor),
        };
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

    /// Asks the next acceptor next time.
    fn next_acceptor(&mut self) {
        let acceptors = self.settings.membership.acceptors();
        let current = self.asking.acceptor;
        self.asking.acceptor = acceptors
            .iter()
            .find(|&id| id > current)
            .or_else(|| acceptors.iter().next())
            .expect("a membership has acceptors");
    }

    /// The instances that are not decided here though they exist.
    fn lacking(&self) -> Vec<Span> {
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
    fn check(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.asking.check_at = now
            + self.jitter.between(
                self.settings.catch_up * 3 / 4,
                self.settings.catch_up * 5 / 4,
            );
        self.report(out);
        if !self.open || self.asking.at.is_some() {
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

    /// Another learner asked in front of everybody: its answer may serve here.
    fn overhear_request(&mut self, now: Time, spans: &[Span]) {
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
                self.following.through = self.following.through.max(instance);
                self.following.taken += Settings::buffer_cost(value.len() + Settings::HEADROOM);
                self.note(Watermark {
                    ballot,
                    through: decided,
                });
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
                for span in instances {
                    self.target = self.target.max(span.through);
                    let last = self.delivered.plus(Self::MAX_AHEAD as u64);
                    let first = span.from.max(self.delivered.next());
                    for instance in first.0..=span.through.min(last).0 {
                        self.add_vote(Instance(instance), ballot, from.id);
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
            (
                Role::Learner,
                Message::Request {
                    spans,
                    everyone: true,
                    ..
                },
            ) => self.overhear_request(now, &spans),
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
        let overdue = self.acknowledging.overdue(now);
        self.acknowledge(overdue, out);
    }

    fn finish_turn(&mut self, now: Time, out: &mut Outbox<Self>) {
        if self.following.taken > u64::from(self.buffer) / 8 {
            self.report(out);
        }
        let due = self
            .acknowledging
            .finish_turn(now, &self.settings, &mut self.jitter);
        self.acknowledge(due, out);
    }

    fn handle_found(&mut self, _now: Time, _found: Found, _out: &mut Outbox<Self>) {}

    fn next_timeout(&self) -> Option<Time> {
        let asking = [self.asking.at, self.acknowledging.next_timeout()];
        asking
            .into_iter()
            .flatten()
            .chain([self.asking.check_at])
            .min()
    }
}
