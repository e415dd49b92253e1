//! One process of the simulated cluster: its role, its sockets, its clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::check::Delivered;
use super::disk::Disk;
use super::history::Parcel;
use super::name::Name;
use super::users::{Served, Service, Shelf};
use crate::protocol::Instance;
use crate::protocol::acceptor::Acceptor;
use crate::protocol::client::{self, Client};
use crate::protocol::learner::{self, Learner};
use crate::protocol::proposer::{self, Proposer};
use crate::protocol::{
    Address, Ballot, Delivery, Found, Lookup, Message, Outbox, Output, Process, ProcessId, Record,
    Role, Time,
};
use crate::service::Place;
use crate::service::replica::{self, Opened, Wanted};

/// A role of the protocol, whichever it is.
#[derive(Clone, Debug)]
pub enum Machine {
    /// Submits.
    Client(Client),
    /// Orders.
    Proposer(Proposer),
    /// Remembers.
    Acceptor(Acceptor),
    /// Delivers.
    Learner(Learner),
    /// Delivers to a service, and lets it be used.
    Replica(Box<Served>),
}

/// What the world hands a role.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message and its sender.
    Message(ProcessId, Message),
    /// The time has come that the role named.
    Timeout,
    /// The turn is over.
    Finish,
    /// What the disk has.
    Found(Found),
    /// What a shelf has of a checkpoint.
    Part(replica::Found),
    /// Whether a learner may hand values on.
    Open(bool),
}

/// What a role wants done, or reports.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send this.
    Send(Address, Message),
    /// Write this down.
    Record(Record),
    /// Read this back.
    Lookup(Lookup),
    /// A learner hands a value on at this position.
    Delivered(u64, Delivered),
    /// A replica tells the reply to the command of this place.
    Replied(Place, Bytes),
    /// A client's values were delivered, so many more.
    Acknowledged(u64),
    /// A client's session was dropped; the outcome of so many values is unknown.
    Evicted(u64),
    /// A replica sends another one a part of its checkpoint.
    Wanted(Wanted),
    /// A replica cannot go on from the log, which is forgotten from here on.
    Behind(Instance),
    /// A replica has taken another one's checkpoint over, and keeps it.
    Restored(Place, Instance, Bytes),
    /// A replica ends, for its state is not what the others have.
    Diverged(Instance),
    /// A learner ended because this instance is forgotten.
    Lost(Instance),
    /// A proposer leads in this ballot.
    Elected(Ballot),
    /// A proposer leads in this ballot no longer.
    Deposed(Ballot),
}

impl Machine {
    /// Hands the role an input and gathers what it wants done.
    pub fn take(&mut self, now: Time, input: Input, effects: &mut Vec<Effect>) {
        match self {
            Machine::Client(client) => drive(client, now, input, effects, |event| match event {
                client::Event::Acknowledged { values, .. } => Some(Effect::Acknowledged(values)),
                client::Event::Evicted { lost } => Some(Effect::Evicted(lost)),
                _ => None,
            }),
            Machine::Proposer(proposer) => {
                drive(proposer, now, input, effects, |event| match event {
                    proposer::Event::Elected { ballot } => Some(Effect::Elected(ballot)),
                    proposer::Event::Deposed { ballot } => Some(Effect::Deposed(ballot)),
                    _ => None,
                });
            }
            Machine::Acceptor(acceptor) => drive(acceptor, now, input, effects, |record| {
                Some(Effect::Record(record))
            }),
            Machine::Learner(learner) => {
                if let Input::Open(open) = input {
                    let mut out = Outbox::new();
                    learner.set_open(now, open, &mut out);
                    gather(&mut out, effects, learned);
                } else {
                    drive(learner, now, input, effects, learned);
                }
            }
            Machine::Replica(replica) => {
                let mut out = Outbox::new();
                match input {
                    Input::Message(from, message) => {
                        replica.handle_message(now, from, message, &mut out);
                    }
                    Input::Timeout => replica.handle_timeout(now, &mut out),
                    Input::Finish => replica.finish_turn(now, &mut out),
                    Input::Part(found) => replica.handle_found(now, found, &mut out),
                    Input::Found(_) | Input::Open(_) => {}
                }
                served(&mut out, effects);
            }
        }
    }

    /// Hands a replica the checkpoint of another one, which is open by now.
    pub fn take_over(&mut self, now: Time, opened: Opened<Service>, effects: &mut Vec<Effect>) {
        if let Machine::Replica(replica) = self {
            let mut out = Outbox::new();
            replica.take_over(now, opened, &mut out);
            served(&mut out, effects);
        }
    }

    /// When the role next wants to be called.
    pub fn next_timeout(&self) -> Option<Time> {
        match self {
            Machine::Client(client) => client.next_timeout(),
            Machine::Proposer(proposer) => proposer.next_timeout(),
            Machine::Acceptor(acceptor) => acceptor.next_timeout(),
            Machine::Learner(learner) => learner.next_timeout(),
            Machine::Replica(replica) => replica.next_timeout(),
        }
    }

    /// What the role holds, for a person to read. Long values are cut.
    pub fn summary(&self) -> String {
        let words = match self {
            Machine::Client(client) => format!("{client:?}"),
            Machine::Proposer(proposer) => format!("{proposer:?}"),
            Machine::Acceptor(acceptor) => format!("{acceptor:?}"),
            Machine::Learner(learner) => format!("{learner:?}"),
            Machine::Replica(replica) => format!("{replica:?}"),
        };
        cut_bytes(&words)
    }
}

/// Shortens every byte string in a debug print, and all of it when it is endless.
fn cut_bytes(words: &str) -> String {
    const MOST_BYTES: usize = 24;
    const MOST: usize = 6_000;
    let mut cut = String::new();
    for (index, part) in words.split("b\"").enumerate() {
        let end = part
            .char_indices()
            .scan(false, |escaped, (at, letter)| {
                let ends = letter == '"' && !*escaped;
                *escaped = letter == '\\' && !*escaped;
                Some((at, ends))
            })
            .find_map(|(at, ends)| ends.then_some(at));
        let (bytes, rest) = match (index, end) {
            (0, _) | (_, None) => ("", part),
            (_, Some(end)) => part.split_at(end),
        };
        if index > 0 {
            cut.push_str("b\"");
        }
        cut.extend(bytes.chars().take(MOST_BYTES));
        cut.push_str(rest);
        if cut.len() > MOST {
            break;
        }
    }
    cut.chars().take(MOST).collect()
}

/// What a replica wants done.
fn served(out: &mut Outbox<Served>, effects: &mut Vec<Effect>) {
    for output in out.drain() {
        match output {
            Output::Send { to, message } => effects.push(Effect::Send(to, message)),
            Output::Lookup(lookup) => match lookup {},
            Output::Event(event) => replicated(event, effects),
        }
    }
}

/// A learner's event, as far as it matters here.
fn learned(event: learner::Event) -> Option<Effect> {
    match event {
        learner::Event::Delivered(delivery) => Some(delivered(delivery)),
        learner::Event::Lost { instance } => Some(Effect::Lost(instance)),
        learner::Event::Skipped { .. }
        | learner::Event::Requested { .. }
        | learner::Event::Stuck { .. }
        | learner::Event::Confirmed { .. }
        | learner::Event::Own(_)
        | learner::Event::Milestone { .. } => None,
    }
}

fn delivered(delivery: Delivery) -> Effect {
    Effect::Delivered(
        delivery.position,
        Delivered {
            instance: delivery.instance,
            session: delivery.session,
            number: delivery.number,
            value: delivery.value,
        },
    )
}

/// What a replica's event is, as far as it matters here.
fn replicated(event: replica::Event, effects: &mut Vec<Effect>) {
    let effect = match event {
        replica::Event::Applied { delivery, reply } => {
            let place = Place(delivery.position);
            effects.push(delivered(delivery));
            match reply {
                Some(reply) => Effect::Replied(place, reply),
                None => return,
            }
        }
        replica::Event::Behind { instance } => Effect::Behind(instance),
        replica::Event::Restored {
            through,
            place,
            content,
        } => Effect::Restored(place, through, content),
        replica::Event::Diverged { instance, .. } => Effect::Diverged(instance),
        replica::Event::Wanted(wanted) => Effect::Wanted(wanted),
        replica::Event::Skipped { .. } | replica::Event::Standing { .. } => return,
    };
    effects.push(effect);
}

/// Calls the method that an input is for.
fn drive<P>(
    role: &mut P,
    now: Time,
    input: Input,
    effects: &mut Vec<Effect>,
    event: impl Fn(P::Event) -> Option<Effect>,
) where
    P: Process<
            Address = Address,
            Sender = ProcessId,
            Message = Message,
            Lookup = Lookup,
            Found = Found,
        >,
{
    let mut out = Outbox::new();
    match input {
        Input::Message(from, message) => role.handle_message(now, from, message, &mut out),
        Input::Timeout => role.handle_timeout(now, &mut out),
        Input::Finish => role.finish_turn(now, &mut out),
        Input::Found(found) => role.handle_found(now, found, &mut out),
        Input::Open(_) | Input::Part(_) => {}
    }
    gather(&mut out, effects, event);
}

/// Empties an outbox, in order.
fn gather<P>(
    out: &mut Outbox<P>,
    effects: &mut Vec<Effect>,
    event: impl Fn(P::Event) -> Option<Effect>,
) where
    P: Process<Address = Address, Message = Message, Lookup = Lookup>,
{
    for output in out.drain() {
        match output {
            Output::Send { to, message } => effects.push(Effect::Send(to, message)),
            Output::Event(reported) => effects.extend(event(reported)),
            Output::Lookup(lookup) => effects.push(Effect::Lookup(lookup)),
        }
    }
}

/// A process's own idea of time: begun elsewhere, a little fast or slow.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it showed at the world's origin, in nanoseconds.
    pub offset: u64,
    /// Parts per million that it runs fast; negative when slow.
    pub drift: i32,
}

impl Clock {
    const MILLION: u128 = 1_000_000;

    /// What the clock shows at this time of the world.
    pub fn shows(&self, world: Time) -> Time {
        let passed = u128::from(world.0) * self.rate() / Self::MILLION;
        Time(self.offset.saturating_add(passed as u64))
    }

    /// The first time of the world at which the clock shows `local` or later.
    pub fn reaches(&self, local: Time) -> Time {
        let passed = u128::from(local.0.saturating_sub(self.offset));
        let world = (passed * Self::MILLION).div_ceil(self.rate());
        Time(u64::try_from(world).unwrap_or(u64::MAX))
    }

    fn rate(&self) -> u128 {
        (1_000_000 + i64::from(self.drift)) as u128
    }
}

/// The sockets that a process reads: the groups it joined, and its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Socket {
    /// The group of a role.
    Group(Role),
    /// Where unicast arrives.
    Own,
}

impl Socket {
    /// Who joins the group of `group`.
    pub fn is_joined(group: Role, by: Role) -> bool {
        match group {
            Role::Client => matches!(by, Role::Client | Role::Learner),
            Role::Proposer => by == Role::Proposer,
            Role::Acceptor => matches!(by, Role::Acceptor | Role::Learner),
            Role::Learner => matches!(by, Role::Learner | Role::Proposer),
        }
    }
}

/// A datagram that waits in a socket's receive buffer.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Which socket holds it.
    pub socket: Socket,
    /// The port it came from, where an answer goes.
    pub port: u64,
    /// The node it came from.
    pub from: usize,
    /// Its bytes.
    pub bytes: Bytes,
    /// Which parcel of the run's history it is, when one is kept.
    pub parcel: Option<Arc<Parcel>>,
}

/// The receive buffers of a process. Each socket's holds so many bytes, as the
/// kernel counts them; what comes on top is dropped.
#[derive(Clone, Debug)]
pub struct Inbox {
    capacity: u64,
    used: BTreeMap<Socket, u64>,
    waiting: VecDeque<Waiting>,
}

impl Inbox {
    /// Empty buffers of this capacity each.
    pub fn new(capacity: u32) -> Inbox {
        Inbox {
            capacity: u64::from(capacity),
            used: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Takes a datagram in, or says that it was dropped.
    pub fn push(&mut self, waiting: Waiting) -> bool {
        let used = self.used.entry(waiting.socket).or_insert(0);
        if *used > self.capacity {
            return false;
        }
        *used += Inbox::cost(waiting.bytes.len());
        self.waiting.push_back(waiting);
        true
    }

    /// Takes the oldest datagram out.
    pub fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        let used = self.used.get_mut(&waiting.socket).expect("it was counted");
        *used -= Inbox::cost(waiting.bytes.len());
        Some(waiting)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What the kernel counts for a datagram: the memory that holds it, which
    /// it takes in powers of two and with its own headers.
    fn cost(length: usize) -> u64 {
        (832 + 2 * length as u64).min(70_000)
    }
}

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It is stopped, its sockets still fill.
    Paused,
    /// It is gone.
    Dead,
}

/// A message that waits until what stands before it is synced.
#[derive(Clone, Debug)]
pub struct Held {
    /// How many records must be synced first.
    pub after: usize,
    /// Whom it is for.
    pub to: Address,
    /// Itself.
    pub message: Message,
}

/// A process and all that is its own.
#[derive(Debug)]
pub struct Node {
    /// Who it is, whatever its start.
    pub who: Name,
    /// Who it is, in its present start.
    pub me: ProcessId,
    /// Its name in traces, with how often it was restarted.
    pub name: Arc<str>,
    /// What it runs.
    pub machine: Machine,
    /// Whether it runs.
    pub state: State,
    /// Grows with every start, so that what was meant for an earlier one is void.
    pub start: u64,
    /// Its own address; another one after a restart.
    pub port: u64,
    /// Its clock.
    pub clock: Clock,
    /// What waits in its sockets.
    pub inbox: Inbox,
    /// Where it last heard each process.
    pub heard: BTreeMap<ProcessId, u64>,
    /// How many datagrams it has sent since its last start.
    pub sequence: u64,
    /// How many datagrams it has ever sent.
    pub sent: u64,
    /// How many turns it has ever taken.
    pub turns: u64,
    /// How many syncs it has ever begun.
    pub syncs: u64,
    /// How many questions it has ever asked its disk.
    pub lookups: u64,
    /// Before this time it is busy with the last turn.
    pub busy: Time,
    /// The turn that is planned; an earlier plan is void.
    pub turn: Option<Time>,
    /// A learner that ended because what it needed is forgotten.
    pub lost: bool,
    /// Its disk; only durable acceptors have one.
    pub disk: Option<Disk>,
    /// An acceptor that was told nothing but what is durable.
    pub double: Option<Acceptor>,
    /// How many of its syncs have come to an end.
    pub synced: u64,
    /// Whether a sync is under way.
    pub syncing: bool,
    /// What waits for a sync, in order.
    pub held: VecDeque<Held>,
    /// How far a learner that counts as a replica says that its checkpoint reaches.
    pub checkpoint: Instance,
    /// What a client has still to submit, each from a time on.
    pub to_submit: VecDeque<(Time, Bytes)>,
    /// A replica's checkpoints.
    pub shelf: Shelf,
}

impl Node {
    /// Whether it takes part.
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Whether what is sent to the group of `role` reaches its sockets now: a
    /// proposer that counts no votes leaves the group where they are cast.
    pub fn hears(&self, role: Role) -> bool {
        let wanted = match &self.machine {
            Machine::Proposer(proposer) => role != Role::Learner || proposer.counts_votes(),
            _ => true,
        };
        wanted && Socket::is_joined(role, self.me.role)
    }

    /// Whether it may start again once it is dead: a client has no past to go
    /// on from, and an acceptor that forgot must not vote.
    pub fn may_restart(&self) -> bool {
        match self.me.role {
            Role::Client => false,
            Role::Acceptor => self.disk.is_some(),
            Role::Proposer | Role::Learner => true,
        }
    }

    /// Takes the name that belongs to its present start.
    pub fn rename(&mut self) {
        self.name = match self.start {
            0 => self.who.to_string().into(),
            start => format!("{}~{start}", self.who).into(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_reaches_what_it_shows() {
        for drift in [-50_000, -1, 0, 1, 50_000] {
            let clock = Clock { offset: 77, drift };
            for world in [0, 1, 999, 1_000_000_007, 86_400_000_000_000] {
                let local = clock.shows(Time(world));
                let reached = clock.reaches(local);
                assert!(clock.shows(reached) >= local);
                assert!(reached <= Time(world), "{drift} {world}");
            }
        }
    }

    #[test]
    fn a_full_socket_drops_and_the_others_do_not() {
        let mut inbox = Inbox::new(10_000);
        let waiting = |socket| Waiting {
            socket,
            port: 1,
            from: 0,
            bytes: Bytes::from(vec![0; 1_400]),
            parcel: None,
        };
        let taken = (0..10).filter(|_| inbox.push(waiting(Socket::Own))).count();
        assert_eq!(taken, 3, "the one that crosses the line still fits");
        assert!(inbox.push(waiting(Socket::Group(Role::Learner))));
        assert!(inbox.pop().is_some());
        assert!(inbox.push(waiting(Socket::Own)), "there is room again");
    }
}
