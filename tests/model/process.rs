//! One process of the model: a shipped role, its clock, and, for an acceptor, its disk.
//!
//! A process takes an [`Input`] and answers with what it did, a [`Step`]. It is a
//! deterministic function of the two, so each step is computed once, however many
//! states of the cluster it occurs in.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::BytesMut;
use paxcast::protocol::acceptor::Memory;
use paxcast::protocol::{
    Acceptor, Address, Ballot, Delivery, Instance, Item, Learner, Message, Outbox, Output, Payload,
    Process as _, ProcessId, Proposer, Record, Role, Run, Session, Time, learner,
};

use super::bounds::{ACCEPTORS, Bounds, PROPOSERS};
use super::network::{Carried, Parcel};

/// How many processes there are.
pub const PROCESSES: usize = PROPOSERS + ACCEPTORS + 1;

/// The learner's index.
pub const LEARNER: usize = PROPOSERS + ACCEPTORS;

/// When all clocks begin. Large, so that no other number is mistaken for a time.
const ORIGIN: u64 = 1 << 50;

/// Times end before this.
const END: u64 = ORIGIN << 1;

/// Long enough for a candidate to give up and a follower to lose patience.
const LONG: u64 = 1_000_000;

/// Long enough for a leader to send again and say that it lives, and not so long
/// that it would have to hear from a quorum meanwhile.
const SHORT: u64 = 100_000;

/// What can happen to a process.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// It hears a message.
    Hear(&'a Parcel),
    /// Time passes until its next timer that matters.
    Time,
    /// It finishes its turn: all records become durable, and the messages leave.
    Sync,
    /// It is killed and started again. So many of the records that were not synced
    /// reached the disk all the same.
    Crash(u8),
}

/// Something that happened in the open: an observer may know it.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// An acceptor wrote a record, durable or not yet.
    Written(u16, Record),
    /// A record of an acceptor is durable.
    Durable(u16, Record),
    /// Somebody said something.
    Said(ProcessId, Message),
    /// The learner delivered a value.
    Delivered(Delivery),
}

/// What a process did.
#[derive(Debug)]
pub struct Step {
    /// What became of it.
    pub after: Process,
    /// What the network carries of what it said.
    pub sent: Vec<Parcel>,
    /// What an observer may know.
    pub facts: Vec<Fact>,
}

/// A process.
#[derive(Clone, Debug, Hash)]
pub enum Process {
    /// A proposer.
    Proposer(Box<ProposerProcess>),
    /// An acceptor.
    Acceptor(Box<AcceptorProcess>),
    /// A learner.
    Learner(Box<Learner>),
    /// One that stopped for good.
    Stopped,
}

/// A proposer and its world.
#[derive(Clone, Debug, Hash)]
pub struct ProposerProcess {
    role: Proposer,
    /// How often its timers struck.
    pub timeouts: u8,
    /// How often it was killed.
    pub crashes: u8,
    /// The ballot it stood in last.
    stood: Ballot,
    /// Whether it was elected in that.
    elected: bool,
}

/// An acceptor and its world.
#[derive(Clone, Debug, Hash)]
pub struct AcceptorProcess {
    role: Acceptor,
    /// What its disk would give back.
    disk: Acceptor,
    /// What is to be carried out, from the first record that is not durable on.
    held: Vec<Held>,
    /// How often it was killed.
    pub crashes: u8,
    /// Whether it has voted since.
    pub voted_since: bool,
}

/// An output that waits for the disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Held {
    Record(Record),
    Send(Address, Message),
}

/// A hash in which all times are alike: a process's clock is told by how often
/// its timers struck, and what is due when they strike next hangs on nothing else.
struct Timeless(DefaultHasher);

impl Hasher for Timeless {
    fn finish(&self) -> u64 {
        self.0.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        let number = match number {
            ORIGIN..END => ORIGIN,
            _ => number,
        };
        self.0.write_u64(number);
    }
}

/// The process with this index, in one of its lives.
pub fn identity(index: usize, life: u8) -> ProcessId {
    let (role, first) = match index {
        0..PROPOSERS => (Role::Proposer, 0),
        PROPOSERS..LEARNER => (Role::Acceptor, PROPOSERS),
        _ => (Role::Learner, LEARNER),
    };
    ProcessId {
        role,
        id: (index - first + 1) as u16,
        incarnation: u64::from(life) + 1,
    }
}

/// What this client wants ordered: one value.
pub fn run(client: u16) -> Run {
    let mut items = BytesMut::new();
    Item::encode(false, &[b'A' + client as u8 - 1], &mut items);
    Run {
        session: Session {
            client,
            incarnation: 1,
        },
        birth: Instance::ZERO,
        first: 1,
        count: 1,
        items: Payload::new(items.freeze()),
    }
}

/// The clients whose values this proposer holds.
fn clients(bounds: &Bounds, index: usize) -> std::ops::RangeInclusive<u16> {
    let before: u16 = bounds.values[..index].iter().sum();
    before + 1..=before + bounds.values[index]
}

impl Process {
    /// The process with this index, at its start.
    pub fn new(bounds: &Bounds, index: usize) -> Process {
        let me = identity(index, 0);
        match me.role {
            Role::Proposer => {
                Process::Proposer(Box::new(ProposerProcess::new(bounds, index, 0, 0)))
            }
            Role::Acceptor => {
                let settings = bounds.patient_settings();
                let role = Acceptor::new(me, settings, Memory::EVERYTHING, 0);
                Process::Acceptor(Box::new(AcceptorProcess {
                    disk: role.clone(),
                    role,
                    held: Vec::new(),
                    crashes: 0,
                    voted_since: false,
                }))
            }
            _ => {
                // Without a buffer it reports every turn, and so counts nothing up.
                let now = Time(ORIGIN);
                let mut role = Learner::new(me, bounds.settings(), 1, 0, now);
                for acceptor in 0..ACCEPTORS {
                    let hello = Message::Accepted {
                        ballot: Ballot::ZERO,
                        instances: Vec::new(),
                    };
                    let from = identity(PROPOSERS + acceptor, 0);
                    role.handle_message(now, from, hello, &mut Outbox::new());
                }
                Process::Learner(Box::new(role))
            }
        }
    }

    /// What tells it from others; times and chance are left out.
    pub fn digest(&self) -> u64 {
        let mut hasher = Timeless(DefaultHasher::new());
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether a message can do nothing to this process any more, whatever happens
    /// to it. It may then as well be lost.
    pub fn is_spent(&self, bounds: &Bounds, message: &Message) -> bool {
        match self {
            Process::Proposer(process) => process.is_idle_talk(message),
            // What an acceptor's disk has promised it never forgets, and what lies
            // below it refuses.
            Process::Acceptor(process) => match message {
                Message::Prepare { ballot, .. }
                | Message::Accept { ballot, .. }
                | Message::Heartbeat { ballot, .. } => {
                    let promised = process.disk.promised().min(process.role.promised());
                    !bounds.refusals && *ballot < promised
                }
                _ => false,
            },
            Process::Learner(_) => false,
            Process::Stopped => true,
        }
    }

    /// What it does, or nothing when the bounds forbid it or it is of no interest.
    pub fn step(&self, bounds: &Bounds, index: usize, input: &Input<'_>) -> Option<Step> {
        let mut carried = Carried {
            bounds,
            from: index,
            sent: Vec::new(),
            facts: Vec::new(),
        };
        let after = match self {
            Process::Proposer(process) => Process::Proposer(Box::new(process.step(
                bounds,
                index,
                input,
                &mut carried,
            )?)),
            Process::Acceptor(process) => Process::Acceptor(Box::new(process.step(
                bounds,
                index,
                input,
                &mut carried,
            )?)),
            Process::Learner(role) => {
                let Input::Hear(parcel) = input else {
                    return None;
                };
                let (mut role, mut out) = (role.clone(), Outbox::new());
                let (now, message) = (Time(ORIGIN), parcel.message.clone());
                role.handle_message(now, parcel.from, message, &mut out);
                role.finish_turn(now, &mut out);
                for output in out.drain() {
                    if let Output::Event(learner::Event::Delivered(delivery)) = output {
                        carried.facts.push(Fact::Delivered(delivery));
                    }
                }
                Process::Learner(role)
            }
            Process::Stopped => return None,
        };
        Some(Step {
            after,
            sent: carried.sent,
            facts: carried.facts,
        })
    }
}

impl ProposerProcess {
    /// A proposer that holds its values and has heard of every acceptor's store.
    fn new(bounds: &Bounds, index: usize, timeouts: u8, crashes: u8) -> ProposerProcess {
        let mut process = ProposerProcess {
            role: Proposer::new(
                identity(index, crashes),
                bounds.settings(),
                1,
                1 << 20,
                Time(ORIGIN + 2 * LONG * u64::from(timeouts)),
            ),
            timeouts,
            crashes,
            stood: Ballot::ZERO,
            elected: false,
        };
        let (now, mut out) = (process.clock(), Outbox::new());
        // What it does once a second it does now, and not again.
        process.role.handle_timeout(now, &mut out);
        for acceptor in 0..ACCEPTORS {
            let hello = Message::Nack {
                ballot: Ballot::ZERO,
                promised: Ballot::ZERO,
            };
            let from = identity(PROPOSERS + acceptor, 0);
            process.role.handle_message(now, from, hello, &mut out);
        }
        for client in clients(bounds, index) {
            let from = ProcessId {
                role: Role::Client,
                id: client,
                incarnation: 1,
            };
            let submit = Message::Submit {
                acknowledged: 0,
                run: run(client),
            };
            process.role.handle_message(now, from, submit, &mut out);
        }
        process.role.finish_turn(now, &mut out);
        process
    }

    /// Its time. It moves on when its timers strike, and then only.
    fn clock(&self) -> Time {
        Time(ORIGIN + 2 * LONG * u64::from(self.timeouts))
    }

    fn step(
        &self,
        bounds: &Bounds,
        index: usize,
        input: &Input<'_>,
        carried: &mut Carried<'_>,
    ) -> Option<ProposerProcess> {
        let mut next = self.clone();
        let mut out = Outbox::new();
        match input {
            Input::Hear(parcel) => {
                if self.is_idle_talk(&parcel.message) {
                    return None;
                }
                let (now, led) = (self.clock(), self.role.leads());
                let message = parcel.message.clone();
                next.role
                    .handle_message(now, parcel.from, message, &mut out);
                if let Some(ballot) = next.role.leads()
                    && led.is_none()
                {
                    next.elected = true;
                    // The acceptors answer its first heartbeat at once and say how
                    // much they can take, so its window is open from the start.
                    for acceptor in 0..ACCEPTORS {
                        let from = identity(PROPOSERS + acceptor, 0);
                        let alive = Message::Alive {
                            ballot,
                            buffer: 1 << 20,
                        };
                        next.role.handle_message(now, from, alive, &mut out);
                    }
                }
                next.role.finish_turn(now, &mut out);
            }
            Input::Time => {
                if self.timeouts == bounds.timeouts[index] {
                    return None;
                }
                next.timeouts += 1;
                let clock = self.clock().0;
                if self.role.leads().is_some() && !bounds.deaf {
                    next.role.handle_timeout(Time(clock + SHORT), &mut out);
                } else {
                    // A candidate gives up first, a deaf leader steps down; either
                    // way it then stands.
                    next.role.handle_timeout(Time(clock + LONG), &mut out);
                    if out.is_empty() || self.role.leads().is_some() {
                        next.role.handle_timeout(Time(clock + 2 * LONG), &mut out);
                    }
                }
                next.role.finish_turn(next.clock(), &mut out);
            }
            Input::Crash(_) => {
                if self.crashes == bounds.proposer_crashes[index] {
                    return None;
                }
                next = ProposerProcess::new(bounds, index, self.timeouts, self.crashes + 1);
            }
            Input::Sync => return None,
        }
        let me = identity(index, next.crashes);
        for output in out.drain() {
            if let Output::Send { to, message } = output {
                if let Message::Prepare { ballot, .. } = message
                    && ballot > next.stood
                {
                    (next.stood, next.elected) = (ballot, false);
                }
                carried.say(me, to, message);
            }
        }
        Some(next)
    }

    /// Whether a message can tell this proposer no more, now or later, than that its
    /// sender lives.
    fn is_idle_talk(&self, message: &Message) -> bool {
        match message {
            // Votes matter to the leader that asked for them, and until it has enough.
            Message::Accepted { ballot, instances } => {
                self.role.leads() != Some(*ballot)
                    || instances
                        .iter()
                        .all(|span| span.through <= self.role.decided())
            }
            // Whole promises matter to the candidate that asked for them, and until it
            // has a quorum of them; pages to repairs as well.
            Message::Promise {
                ballot,
                through,
                watermark,
                ..
            } => {
                watermark.through == Instance::ZERO
                    && (*ballot < self.stood || self.elected && through.is_none())
            }
            Message::Nack { ballot, .. } => *ballot < self.stood,
            _ => false,
        }
    }
}

impl AcceptorProcess {
    fn step(
        &self,
        bounds: &Bounds,
        index: usize,
        input: &Input<'_>,
        carried: &mut Carried<'_>,
    ) -> Option<AcceptorProcess> {
        let now = Time(ORIGIN);
        let me = identity(index, 0);
        let apart = bounds.synced_apart[index - PROPOSERS];
        let mut next = self.clone();
        let mut out = Outbox::new();
        match input {
            Input::Hear(parcel) => {
                let message = parcel.message.clone();
                next.role
                    .handle_message(now, parcel.from, message, &mut out);
                if !apart {
                    next.role.finish_turn(now, &mut out);
                }
                next.hold(me, &mut out, carried);
                if !apart {
                    next.carry_out(me, carried);
                }
            }
            Input::Sync => {
                if !apart {
                    return None;
                }
                next.role.finish_turn(now, &mut out);
                next.hold(me, &mut out, carried);
                next.carry_out(me, carried);
            }
            Input::Crash(survivors) => {
                if self.crashes == bounds.acceptor_crashes[index - PROPOSERS] {
                    return None;
                }
                let records: Vec<Record> = self.held.iter().filter_map(Held::record).collect();
                if usize::from(*survivors) > records.len() {
                    return None;
                }
                for record in records.into_iter().take(usize::from(*survivors)) {
                    next.keep(me, record, carried);
                }
                next.held.clear();
                next.role = next.disk.clone();
                next.crashes += 1;
                next.voted_since = false;
            }
            Input::Time => return None,
        }
        Some(next)
    }

    /// Takes over what the role wants done. What waits for no record leaves at once.
    fn hold(&mut self, me: ProcessId, out: &mut Outbox<Acceptor>, carried: &mut Carried<'_>) {
        for output in out.drain() {
            match output {
                Output::Event(record) => {
                    carried.facts.push(Fact::Written(me.id, record.clone()));
                    self.voted_since |= self.crashes > 0 && matches!(record, Record::Voted { .. });
                    self.held.push(Held::Record(record));
                }
                Output::Send { to, message } if self.held.is_empty() => {
                    carried.say(me, to, message);
                }
                // What is said twice in a turn is said once: the network repeats it.
                Output::Send { to, message } => {
                    let send = Held::Send(to, message);
                    if !self.held.contains(&send) {
                        self.held.push(send);
                    }
                }
                Output::Lookup(_) => unreachable!("all votes are in memory"),
            }
        }
    }

    /// Syncs, and sends.
    fn carry_out(&mut self, me: ProcessId, carried: &mut Carried<'_>) {
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Record(record) => self.keep(me, record, carried),
                Held::Send(to, message) => carried.say(me, to, message),
            }
        }
    }

    /// A record is durable.
    fn keep(&mut self, me: ProcessId, record: Record, carried: &mut Carried<'_>) {
        self.disk.replay(record.clone());
        carried.facts.push(Fact::Durable(me.id, record));
    }

    /// How many records wait for the disk.
    pub fn unsynced(&self) -> u8 {
        self.held.iter().filter_map(Held::record).count() as u8
    }
}

impl Held {
    fn record(&self) -> Option<Record> {
        match self {
            Held::Record(record) => Some(record.clone()),
            Held::Send(..) => None,
        }
    }
}
