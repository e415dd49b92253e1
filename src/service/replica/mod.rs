//! A replica: a service on the log, and a way to it for those who come here.
//!
//! To the others a replica is a learner that also submits. Inside there are a
//! [`Learner`], a [`Client`], and a [`StateMachine`] behind them:
//!
//! ```text
//! submit ──> client ──> (proposers, acceptors) ──> learner ──> state ──> answer
//! read ───────────────> (acceptors: how far?) ───> learner ──────┘
//! ```
//!
//! What all services need is done here, once for all of them:
//!
//! - *Exactly once.* A command is one value of the client's session, and the log
//!   says when a session's next value is delivered; so a command happens once,
//!   however often it is sent, and its reply belongs to whoever waits longest.
//! - *Reads* that see everything that was answered before they came, by anyone: a
//!   round among the acceptors tells how far the log had come, and the answer
//!   waits until that is applied here ([`Learner::confirm`]).
//! - *Honest ends.* Without a quorum nothing is answered from what is there. What
//!   was not sent is refused ([`Verdict::NoQuorum`]); what was may still happen, and
//!   that is what is said ([`Verdict::Indeterminate`]).
//! - *Checkpoints*, from which a replica goes on when it starts again, for which
//!   acceptors forget the log behind it, and which one replica gives another.
//! - *Comparing* digests with the other replicas at every milestone.
//!
//! Like every role it is a [`Process`]; submitting and fetching answers are plain
//! methods, to be called between messages and the end of a turn.

mod answers;
mod applying;
mod changes;
mod comparing;
mod content;
mod measures;
mod questions;
mod standing;
mod transfer;

use std::convert::Infallible;

use bytes::Bytes;

use super::{Damaged, Place, StateMachine};
use crate::protocol::client::{self, Client};
use crate::protocol::jitter::Jitter;
use crate::protocol::learner::{self, Learner};
use crate::protocol::{
    Address, Delivery, Instance, Message, Outbox, Output, Process, ProcessId, Role, Settings, Time,
};
use answers::Answers;
use changes::Changes;
use comparing::Comparing;
pub use content::{Opened, Parcel, Snapshot, state_in};
use questions::{Need, Questions};
use standing::Standing;
use transfer::{Fetching, Transit};
pub use transfer::{Kept, Wanted};

/// A replica of a service. `T` is what the caller knows its commands by.
#[derive(Clone, Debug)]
pub struct Replica<S: StateMachine, T> {
    me: ProcessId,
    settings: Settings,
    options: Options,
    jitter: Jitter,
    buffer: u32,
    learner: Learner,
    client: Client,
    machine: S,
    changes: Changes<T>,
    questions: Questions<T>,
    answers: Answers<T>,
    standing: Standing,
    comparing: Comparing,
    checkpoints: Checkpoints,
    fetching: Option<Fetching>,
    parcel: Transit,
    /// The last place in the checkpoint that was taken over last.
    restored: Place,
    /// What the learner and the client want done; empty between calls.
    learned: Outbox<Learner>,
    submitted: Outbox<Client>,
}

/// What a replica is told beside what all roles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of commands between two checkpoints; more where the state is larger.
    pub checkpoint: u64,
    /// Whether checkpoints outlive the process: only then may others forget.
    pub durable: bool,
    /// Whether the replies to all commands are told, also to those that were submitted
    /// elsewhere: some services have something to show to everybody.
    pub tells: bool,
}

/// The checkpoints of this replica.
#[derive(Clone, Debug, Default)]
struct Checkpoints {
    /// The latest that is kept.
    kept: Option<Kept>,
    /// The last instance of the one before, which is what acceptors are told.
    before: Option<Instance>,
    /// Bytes of commands applied since the latest was begun.
    since: u64,
    /// One is being written.
    under_way: bool,
    /// Another replica needs one, and there is none for it.
    called_for: bool,
    /// When to tell the acceptors again.
    tell_at: Option<Time>,
}

/// How a command came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has its place; this is the reply.
    Reply,
    /// Not enough acceptors can be reached. It did not happen and will not.
    NoQuorum,
    /// It may have happened, or still happen.
    Indeterminate,
}

/// What a replica reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A command was applied at its place.
    Applied {
        /// The command.
        delivery: Delivery,
        /// The reply to it, if [`Options::tells`].
        reply: Option<Bytes>,
    },
    /// An instance was applied in which no command is: a no-op fills it.
    Skipped {
        /// Which.
        instance: Instance,
    },
    /// The state of this replica differs from others': it must end, for nobody can
    /// believe it.
    Diverged {
        /// Where.
        instance: Instance,
        /// Its digest.
        mine: u64,
        /// Who has another one.
        against: Vec<u16>,
    },
    /// The log from here on is forgotten; a checkpoint is being looked for.
    Behind {
        /// The first instance that cannot be had.
        instance: Instance,
    },
    /// A checkpoint of another replica was taken over.
    Restored {
        /// The last instance in it.
        through: Instance,
        /// The last place in it.
        place: Place,
        /// Its bytes, to be kept as one of this replica's.
        content: Bytes,
    },
    /// Another replica wants a part of a checkpoint, which [`Process::handle_found`]
    /// is to be told sooner or later.
    Wanted(Wanted),
    /// Whether a quorum is within reach has changed.
    Standing {
        /// It is.
        sound: bool,
    },
}

/// The world's answer to a [`Wanted`]: the bytes, unless that checkpoint is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As it was asked.
    pub wanted: Wanted,
    /// What stands there.
    pub bytes: Option<Bytes>,
}

impl<S: StateMachine, T> Replica<S, T> {
    /// Bytes of replies and questions that may wait before no more are taken.
    const MOST_HELD: usize = 64 << 20;

    /// Commands that may wait before no more are taken.
    const MOST_WAITING: usize = 1 << 18;

    /// A replica from nothing. `seed` feeds its back-offs; `buffer`: bytes of its
    /// smallest socket receive buffer as the kernel counts them.
    ///
    /// # Panics
    ///
    /// When `me` is no learner.
    pub fn new(
        me: ProcessId,
        settings: Settings,
        options: Options,
        machine: S,
        seed: u64,
        buffer: u32,
        now: Time,
    ) -> Replica<S, T> {
        let mut jitter = Jitter::new(seed);
        let mut learner = Learner::new(me, settings.clone(), jitter.number(), buffer, now);
        let client = Client::new(me, settings.clone(), jitter.number(), now);
        learner.accompany(client.session());
        Replica {
            me,
            options,
            jitter,
            buffer,
            learner,
            client,
            machine,
            changes: Changes::new(),
            questions: Questions::new(),
            answers: Answers::new(),
            standing: Standing::new(now),
            comparing: Comparing::default(),
            checkpoints: Checkpoints::default(),
            fetching: None,
            parcel: Transit::None,
            restored: Place::ZERO,
            learned: Outbox::new(),
            submitted: Outbox::new(),
            settings,
        }
    }

    /// Goes on from a checkpoint that is kept here, before anything else.
    ///
    /// # Errors
    ///
    /// When the content is none; then nothing has changed.
    pub fn recover(&mut self, now: Time, kept: Kept, content: &[u8]) -> Result<Instance, Damaged> {
        let (machine, settings) = (&mut self.machine, &self.settings);
        let (through, sessions) = content::restore(machine, settings, content, &mut || {})?;
        self.go_on(now, through, sessions);
        self.checkpoints.kept = Some(kept);
        Ok(through)
    }

    /// The state, as it is here and now.
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// The process that speaks for an acceptor here, if one was heard.
    pub fn acceptor(&self, id: u16) -> Option<ProcessId> {
        self.learner.acceptor(id)
    }

    /// The place of the last command that was applied.
    pub fn place(&self) -> Place {
        Place(self.learner.position())
    }

    /// The last instance that was applied.
    pub fn applied(&self) -> Instance {
        self.learner.delivered()
    }

    /// Whether an instance is known to exist that was not applied yet.
    pub fn is_behind(&self) -> bool {
        self.learner.is_behind()
    }

    /// How many instances are known to be decided and were not applied yet.
    pub fn lag(&self) -> u64 {
        self.learner.lag()
    }

    /// Whether a quorum was within reach when it was last needed.
    pub fn is_sound(&self) -> bool {
        self.standing.is_sound()
    }

    /// The latest checkpoint that is kept.
    pub fn checkpoint(&self) -> Option<Kept> {
        self.checkpoints.kept
    }

    /// How many commands have no place yet, and how many reads wait.
    pub fn waiting(&self) -> (usize, usize) {
        (self.changes.len(), self.questions.len())
    }

    /// Whether more commands are wanted. Without heed to it, they pile up.
    pub fn has_room(&self) -> bool {
        self.client.wants_more()
            && self.changes.len() < Self::MOST_WAITING
            && self.answers.held() + self.questions.bytes() < Self::MOST_HELD
    }

    /// Submits a command. It is sent at the end of the turn, or when there is room;
    /// an answer comes if there is a ticket.
    ///
    /// # Panics
    ///
    /// When the command is larger than [`Client::MAX_VALUE`].
    pub fn submit(&mut self, now: Time, ticket: Option<T>, command: Bytes) {
        if !self.standing.is_sound() {
            if let Some(ticket) = ticket {
                self.answers.none(ticket, Verdict::NoQuorum);
            }
            return;
        }
        self.client.submit(now, &command);
        self.changes.push(ticket, now);
    }

    /// Asks the state. The answer holds everything that was answered, by any
    /// replica, before this call. What the state alone cannot answer takes a place
    /// in the order, as a change does.
    pub fn read(&mut self, now: Time, ticket: T, question: Bytes) {
        if !self.standing.is_sound() {
            return self.answers.none(ticket, Verdict::NoQuorum);
        }
        let round = self.learner.confirm(now, &mut self.learned);
        let need = Need::Round(round);
        self.questions.push(need, now, ticket, question);
    }

    /// Asks the state as it is here, however old that is.
    pub fn read_stale(&mut self, now: Time, ticket: T, question: Bytes) {
        self.answer(now, ticket, question);
    }

    /// Asks the state once it has the command of `place`: what was seen at one
    /// replica is seen at another, without asking the acceptors.
    pub fn read_at(&mut self, now: Time, ticket: T, question: Bytes, place: Place) {
        if place <= self.place() {
            return self.answer(now, ticket, question);
        }
        let need = Need::Reached(place);
        self.questions.push(need, now, ticket, question);
    }

    /// The next answer; the bytes of a reply are appended.
    pub fn fetch_answer(&mut self, reply: &mut Vec<u8>) -> Option<(T, Verdict)> {
        self.answers.fetch(reply)
    }

    /// Whether an answer can be fetched, or could be after another turn.
    pub fn has_answers(&self) -> bool {
        !self.answers.is_empty() || self.questions.is_ready()
    }

    /// The state to be written down now, if it is time for a checkpoint. What
    /// becomes of it is to be told with [`Replica::kept`].
    pub fn due_checkpoint(&mut self) -> Option<Snapshot<S::Frozen>> {
        let size = self.checkpoints.kept.map_or(0, |kept| kept.length);
        let due = self.checkpoints.since >= self.options.checkpoint.max(size / 2);
        let wanted = (due && self.options.durable) || self.checkpoints.called_for;
        if !wanted || self.checkpoints.under_way || self.applied() == Instance::ZERO {
            return None;
        }
        self.checkpoints.under_way = true;
        self.checkpoints.called_for = false;
        self.checkpoints.since = 0;
        let sessions = self.learner.sessions();
        let state = self.machine.freeze();
        Some(Snapshot::new(self.applied(), sessions, state))
    }

    /// A checkpoint is kept, durably if this replica's are; or it could not be.
    pub fn kept(&mut self, now: Time, kept: Option<Kept>) {
        self.checkpoints.under_way = false;
        let known = self.checkpoints.kept.map_or(Instance::ZERO, |k| k.through);
        if let Some(kept) = kept.filter(|kept| kept.through > known) {
            self.checkpoints.before = self.checkpoints.kept.map(|kept| kept.through);
            self.checkpoints.kept = Some(kept);
            self.checkpoints.tell_at = Some(now);
        }
    }

    /// The checkpoint of another replica that has arrived, to be opened now; what was in
    /// it is to be told with [`Replica::take_over`]. Until then this replica goes on as
    /// it is.
    pub fn due_parcel(&mut self) -> Option<Parcel<S>> {
        match std::mem::replace(&mut self.parcel, Transit::Opening) {
            Transit::Arrived(from, content) => Some(Parcel {
                from,
                content,
                machine: self.machine.empty(),
                settings: self.settings.clone(),
            }),
            other => {
                self.parcel = other;
                None
            }
        }
    }

    /// Goes on from the state that was in a parcel.
    pub fn take_over(&mut self, now: Time, opened: Opened<S>, out: &mut Outbox<Self>) {
        self.parcel = Transit::None;
        let Opened {
            from,
            content,
            state,
        } = opened;
        match state {
            // An acceptor that was out of reach may have come back with the log.
            Ok((through, ..)) if through <= self.applied() => {}
            Ok((through, sessions, machine)) => {
                self.machine = machine;
                self.go_on(now, through, sessions);
                let place = self.restored;
                out.event(Event::Restored {
                    through,
                    place,
                    content,
                });
                self.settle(now, out);
            }
            Err(damaged) => {
                log::error!("the checkpoint from {from} cannot be used: {damaged}");
            }
        }
    }

    /// Does what the learner and the client left to be done.
    fn settle(&mut self, now: Time, out: &mut Outbox<Self>) {
        loop {
            if let Some(output) = self.learned.pop() {
                match output {
                    Output::Send { to, message } => out.send(to, message),
                    Output::Event(event) => self.learn(now, event, out),
                    Output::Lookup(lookup) => unreachable!("a learner has no disk: {lookup:?}"),
                }
            } else if let Some(output) = self.submitted.pop() {
                match output {
                    Output::Send { to, message } => out.send(to, message),
                    Output::Event(client::Event::Evicted { lost }) => {
                        for ticket in self.changes.lose(lost) {
                            self.answers.none(ticket, Verdict::Indeterminate);
                        }
                        if lost > 0 {
                            // What was to come behind them must not come without them.
                            self.withdraw();
                        }
                    }
                    Output::Event(_) => {}
                    Output::Lookup(lookup) => unreachable!("a client has no disk: {lookup:?}"),
                }
            } else {
                break;
            }
        }
        self.learner.accompany(self.client.session());
        self.release(now);
    }

    fn learn(&mut self, now: Time, event: learner::Event, out: &mut Outbox<Self>) {
        match event {
            learner::Event::Delivered(delivery) => self.apply(now, delivery, out),
            learner::Event::Skipped { instance } => out.event(Event::Skipped { instance }),
            learner::Event::Own(progress) => {
                let message = Message::Acknowledge {
                    delivered: self.learner.delivered(),
                    sessions: vec![progress],
                };
                let submitted = &mut self.submitted;
                self.client.handle_message(now, self.me, message, submitted);
            }
            learner::Event::Confirmed { round, through } => {
                self.questions.confirm(round, through);
                if self.standing.hear(now) {
                    out.event(Event::Standing { sound: true });
                }
            }
            learner::Event::Milestone { instance, sessions } => {
                self.pass_milestone(instance, sessions, out);
            }
            learner::Event::Lost { instance } => self.fall_behind(now, instance, out),
            learner::Event::Requested { .. } | learner::Event::Stuck { .. } => {}
        }
    }
}

impl<S: StateMachine, T> Process for Replica<S, T> {
    type Address = Address;
    type Sender = ProcessId;
    type Message = Message;
    type Event = Event;
    type Lookup = Infallible;
    type Found = Found;

    fn handle_message(
        &mut self,
        now: Time,
        from: ProcessId,
        message: Message,
        out: &mut Outbox<Self>,
    ) {
        match (from.role, message) {
            (Role::Proposer, message @ (Message::Credit { .. } | Message::Missing { .. })) => {
                self.client
                    .handle_message(now, from, message, &mut self.submitted);
            }
            (
                Role::Learner,
                message @ (Message::Digest { .. }
                | Message::Behind { .. }
                | Message::Offer { .. }
                | Message::Fetch { .. }
                | Message::Piece { .. }),
            ) => self.hear_replica(now, from, message, out),
            (_, message) => {
                self.learner
                    .handle_message(now, from, message, &mut self.learned);
            }
        }
        self.settle(now, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox<Self>) {
        if self.learner.next_timeout().is_some_and(|due| due <= now) {
            self.learner.handle_timeout(now, &mut self.learned);
        }
        if self.client.next_timeout().is_some_and(|due| due <= now) {
            self.client.handle_timeout(now, &mut self.submitted);
        }
        self.settle(now, out);
        self.lose_patience(now, out);
        self.tell_checkpoint(now, out);
        self.ask_for_checkpoint(now, out);
        self.settle(now, out);
    }

    fn finish_turn(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.settle(now, out);
        self.client.finish_turn(now, &mut self.submitted);
        self.learner.accompany(self.client.session());
        self.learner.finish_turn(now, &mut self.learned);
        self.settle(now, out);
    }

    fn handle_found(&mut self, _now: Time, found: Found, out: &mut Outbox<Self>) {
        self.send_pieces(found, out);
    }

    fn next_timeout(&self) -> Option<Time> {
        [
            self.learner.next_timeout(),
            self.client.next_timeout(),
            self.impatient_at(),
            self.checkpoints.tell_at,
            self.fetching.as_ref().map(Fetching::next_timeout),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
