//! The other world: processes, their network and their disks, in virtual time.
//!
//! One queue of happenings, ordered by time and then by when they were planned,
//! drives everything; nothing asks a real clock. The world keeps the contract
//! of [`crate::protocol::outbox`] to the letter and uses every freedom it leaves:
//! turns are large or small, syncs take their time, messages wait for them.

mod bounds;
mod diagnosis;
mod double;
mod life;
mod lookout;
mod options;
mod perform;
mod queue;
mod record;
mod replica;
mod serving;
mod standing;
mod stray;
mod transit;
mod turn;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::chance::{Accident, Chance};
use super::check::{Checker, Finding};
use super::deed::Deed;
use super::disk::{Disk, Opening};
use super::history::History;
use super::name::Name;
use super::network::{Network, NetworkOptions};
use super::node::{Clock, Inbox, Input, Machine, Node, State};
use super::random::Random;
use super::sight::Sight;
use super::trace::Trace;
use super::users::{Shelf, Users};
use crate::protocol::acceptor::{self, Acceptor};
use crate::protocol::client::Client;
use crate::protocol::learner::Learner;
use crate::protocol::proposer::Proposer;
use crate::protocol::{Instance, Message, ProcessId, Role, Time};
use crate::service::replica::Replica;
use crate::storage::segment::Identity;
use crate::wire::Scope;

pub use options::ClusterOptions;
use queue::{Happening, Planned};
use stray::Samples;

pub use transit::{Filter, Meddling, Passage};

/// A whole cluster.
pub struct Cluster {
    options: ClusterOptions,
    scope: Scope,
    now: Time,
    queue: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    steps: u64,
    nodes: Vec<Node>,
    /// Which node has which address of its own.
    ports: BTreeMap<u64, usize>,
    network: Network,
    chance: Chance,
    deeds: Vec<(Time, Deed)>,
    /// What there was to be seen, while somebody looks.
    sights: Option<Vec<Sight>>,
    /// Some of what was sent, while somebody wants it.
    samples: Option<Samples>,
    filters: Vec<Filter>,
    checker: Checker,
    /// Those who use the service, if there is one.
    users: Option<Box<Users>>,
    trace: Trace,
    /// What was sent, only when somebody asked for it.
    sent: Option<Vec<(ProcessId, Message)>>,
    /// Only when somebody asked for it.
    history: Option<Box<History>>,
    struck: BTreeMap<&'static str, u64>,
    seed: u64,
    random: Random,
    disks: Random,
}

impl Cluster {
    /// A cluster whose processes start at once, or soon. `aloud` says every
    /// line of the trace on standard error.
    pub fn new(seed: u64, options: ClusterOptions, aloud: bool) -> Cluster {
        Cluster::with_chance(seed, options, Chance::default(), aloud)
    }

    /// A cluster in which chance has been told what to bring about.
    pub fn with_chance(seed: u64, options: ClusterOptions, chance: Chance, aloud: bool) -> Cluster {
        let scope = Scope {
            cluster: seed,
            config: 1,
        };
        let mut cluster = Cluster {
            scope,
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            planned: 0,
            steps: 0,
            nodes: Vec::new(),
            ports: BTreeMap::new(),
            network: Network::new(options.network.clone(), Random::new(seed, "network")),
            chance,
            deeds: Vec::new(),
            sights: None,
            samples: None,
            filters: Vec::new(),
            checker: match options.durable {
                Some(_) => Checker::new(&options.settings).on_disks(),
                None => Checker::new(&options.settings),
            },
            users: options
                .service
                .map(|service| Users::new(seed, service, options.learners.max(1))),
            trace: Trace::new(scope, aloud),
            sent: None,
            history: None,
            struck: BTreeMap::new(),
            seed,
            random: Random::new(seed, "cluster"),
            disks: Random::new(seed, "disks"),
            options,
        };
        let acceptors: Vec<u16> = cluster
            .options
            .settings
            .membership
            .acceptors()
            .iter()
            .collect();
        for id in 1..=cluster.options.proposers {
            cluster.add(Role::Proposer, id);
        }
        for id in acceptors {
            cluster.add(Role::Acceptor, id);
        }
        for id in 1..=cluster.options.learners {
            cluster.add(Role::Learner, id);
        }
        cluster.checker.set_anonymous(cluster.users.is_some());
        for id in 1..=cluster.options.clients {
            cluster.add(Role::Client, id);
        }
        cluster
    }

    /// Adds a process, which starts now or soon, and says which node it is.
    pub fn add(&mut self, role: Role, id: u16) -> usize {
        let index = self.nodes.len();
        let same = |node: &&Node| (node.me.role, node.me.id) == (role, id);
        let who = Name {
            role,
            id,
            twin: self.nodes.iter().filter(same).count() as u8,
        };
        let mut random = self.stream(who, 0);
        let drift = u64::from(self.options.drift);
        let clock = Clock {
            offset: random.between(0, 1 << 40),
            drift: random.between(0, 2 * drift) as i32 - drift as i32,
        };
        let me = ProcessId {
            role,
            id,
            incarnation: random.number(),
        };
        let port = random.number();
        let machine = self.machine(me, clock.shows(self.now), random.number());
        self.ports.insert(port, index);
        let mut node = Node {
            who,
            me,
            name: Arc::from(""),
            machine,
            state: State::Running,
            start: 0,
            port,
            clock,
            inbox: Inbox::new(self.options.buffer),
            heard: BTreeMap::new(),
            sequence: 0,
            sent: 0,
            turns: 0,
            syncs: 0,
            lookups: 0,
            busy: Time::ZERO,
            turn: None,
            disk: self.disk(me),
            double: (role == Role::Acceptor).then(|| self.acceptor(me)),
            synced: 0,
            lost: false,
            syncing: false,
            held: VecDeque::new(),
            checkpoint: Instance::ZERO,
            to_submit: VecDeque::new(),
            shelf: Shelf::default(),
        };
        node.rename();
        self.nodes.push(node);
        self.record_host(index);
        let latest = self.options.start;
        let after = self
            .chance
            .starts(who, || random.duration(Duration::ZERO, latest));
        self.plan_turn(index, self.now + after);
        index
    }

    /// The disk of a durable acceptor that starts for the first time.
    fn disk(&self, me: ProcessId) -> Option<Disk> {
        if me.role != Role::Acceptor || self.options.durable.is_none() {
            return None;
        }
        let identity = Identity {
            cluster: self.scope.cluster,
            acceptor: me.id,
            store: me.incarnation,
        };
        let mut disk = Disk::new(identity, self.options.segment);
        let opened = disk.open().expect("nothing was written");
        assert!(matches!(opened, Opening::Recovered { .. }), "{opened:?}");
        Some(disk)
    }

    /// What is drawn for one start of one process: the same whatever the others do.
    fn stream(&self, who: Name, start: u64) -> Random {
        Random::new(self.seed, &format!("{who}~{start}"))
    }

    /// A role at its beginning.
    fn machine(&self, me: ProcessId, now: Time, seed: u64) -> Machine {
        let settings = self.options.settings.clone();
        let buffer = self.options.buffer;
        match me.role {
            Role::Client => Machine::Client(Client::new(me, settings, seed, now)),
            Role::Proposer => Machine::Proposer(Proposer::new(me, settings, seed, buffer, now)),
            Role::Learner => match self.options.service {
                None => Machine::Learner(Learner::new(me, settings, seed, buffer, now)),
                Some(service) => {
                    let options = service.replica();
                    let state = service.machine();
                    let replica = Replica::new(me, settings, options, state, seed, buffer, now);
                    Machine::Replica(Box::new(replica))
                }
            },
            Role::Acceptor => Machine::Acceptor(self.acceptor(me)),
        }
    }

    /// An acceptor without a past.
    fn acceptor(&self, me: ProcessId) -> Acceptor {
        let memory = match self.options.durable {
            Some(bytes) => acceptor::Memory::Recent { bytes },
            None => acceptor::Memory::Volatile {
                bytes: self.options.history,
            },
        };
        let settings = self.options.settings.clone();
        Acceptor::new(me, settings, memory, self.options.buffer)
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many happenings there were.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// All processes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of a process.
    ///
    /// # Panics
    ///
    /// When there is no such process.
    pub fn node(&self, role: Role, id: u16) -> usize {
        self.nodes
            .iter()
            .position(|node| (node.me.role, node.me.id) == (role, id))
            .unwrap_or_else(|| panic!("there is no {role} {id}"))
    }

    /// The node of this name.
    pub fn find(&self, who: Name) -> Option<usize> {
        self.nodes.iter().position(|node| node.who == who)
    }

    /// The nodes of a role.
    pub fn nodes_of(&self, role: Role) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|&node| self.nodes[node].me.role == role)
            .collect()
    }

    /// The proposer that leads: of several that think so, the one with the highest ballot.
    pub fn leader(&self) -> Option<usize> {
        self.nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| match &node.machine {
                Machine::Proposer(proposer) if node.is_running() => {
                    Some((proposer.leads()?, index))
                }
                _ => None,
            })
            .max()
            .map(|(_, index)| index)
    }

    /// The observers.
    pub fn checker(&self) -> &Checker {
        &self.checker
    }

    /// The network, to cut and mend it.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// What it is made of, and how its network is now.
    pub fn options(&self) -> &ClusterOptions {
        &self.options
    }

    /// Changes how the network behaves; paths that are cut stay cut.
    pub fn set_network(&mut self, network: NetworkOptions) {
        self.network.set_options(network.clone());
        self.options.network = network;
    }

    /// What happened.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Keeps what is sent from now on, and forgets what was kept of it before.
    pub fn count_sent(&mut self) {
        self.sent = Some(Vec::new());
    }

    /// What was sent, each message once for all who hear it, since it is counted.
    pub fn sent(&self) -> &[(ProcessId, Message)] {
        self.sent.as_deref().unwrap_or_default()
    }

    /// From now on every line of the trace is kept.
    pub fn keep_trace(&mut self) {
        self.trace.keep_all();
    }

    /// A cluster that writes down every accident.
    pub fn recorded(seed: u64, options: ClusterOptions) -> Cluster {
        let mut chance = Chance::default();
        chance.write_down();
        Cluster::with_chance(seed, options, chance, false)
    }

    /// The accidents that were written down.
    pub fn accidents(&self) -> &[Accident] {
        self.chance.written()
    }

    /// What was done to the cluster, and when.
    pub fn deeds(&self) -> &[(Time, Deed)] {
        &self.deeds
    }

    /// Adds a line to the trace that says what others do, and is no part of the digest.
    pub fn remark(&mut self, remark: impl std::fmt::Display) {
        self.record_note(&remark);
        self.trace.remark(self.now, remark);
    }

    /// Adds a line to the trace.
    pub fn note(&mut self, note: impl std::fmt::Display) {
        self.record_note(&note);
        self.trace.note(self.now, note);
    }

    /// How often each fault struck.
    pub fn struck(&self) -> BTreeMap<&'static str, u64> {
        let mut struck = self.struck.clone();
        struck.insert("clog", self.network.clogs());
        struck.insert("session renewed", self.checker.sessions_renewed() as u64);
        struck.insert("session refused", self.checker.sessions_refused() as u64);
        if let Some(users) = &self.users {
            struck.extend(users.crowd.struck());
        }
        struck
    }

    /// Counts a fault that was done to the cluster from outside.
    pub fn strike(&mut self, fault: &'static str) {
        *self.struck.entry(fault).or_insert(0) += 1;
    }

    /// Loses the datagrams that the filter picks, from now on.
    pub fn lose_when(&mut self, mut filter: impl FnMut(Passage<'_>) -> bool + 'static) {
        self.meddle(move |passage| match filter(passage) {
            true => Meddling::Lose,
            false => Meddling::None,
        });
    }

    /// Does to datagrams what the filter says, from now on.
    pub fn meddle(&mut self, filter: impl FnMut(Passage<'_>) -> Meddling + 'static) {
        self.filters.push(Box::new(filter));
    }

    /// Loses the `nth` datagram, from 1, that the predicate picks, for every receiver.
    pub fn lose_nth(&mut self, nth: u64, picks: impl Fn(Passage<'_>) -> bool + 'static) {
        let mut seen = 0;
        let mut last = None;
        self.lose_when(move |passage| {
            if !picks(passage) {
                return false;
            }
            // Copies of one multicast follow each other, for one receiver after the other.
            let copy = (passage.from, passage.sequence);
            if last != Some(copy) {
                last = Some(copy);
                seen += 1;
            }
            seen == nth
        });
    }

    /// Takes all filters away.
    pub fn meddle_no_more(&mut self) {
        self.filters.clear();
    }

    /// When the next thing happens, if anything is planned.
    pub fn next_happening(&self) -> Option<Time> {
        self.queue.peek().map(|Reverse(planned)| planned.at)
    }

    /// Lets time pass to the deadline, or until `until` holds. Says whether it holds.
    pub fn run(
        &mut self,
        deadline: Time,
        mut until: impl FnMut(&Cluster) -> bool,
    ) -> Result<bool, String> {
        while !until(self) {
            match self.next_happening() {
                Some(at) if at <= deadline => self.step()?,
                _ => {
                    self.now = self.now.max(deadline);
                    return Ok(until(self));
                }
            }
        }
        Ok(true)
    }

    /// Lets everything happen that happens before this time. What is done to the
    /// cluster then comes before whatever happens at the same moment.
    pub fn run_up_to(&mut self, time: Time) -> Finding {
        while self.next_happening().is_some_and(|at| at < time) {
            self.step()?;
        }
        self.pass(time);
        Ok(())
    }

    /// Lets time pass without anything happening in between.
    pub fn pass(&mut self, to: Time) {
        debug_assert!(self.next_happening().is_none_or(|at| at >= to));
        self.now = self.now.max(to);
    }

    /// Lets the next thing happen.
    pub fn step(&mut self) -> Finding {
        let Some(Reverse(planned)) = self.queue.pop() else {
            return Ok(());
        };
        self.record_paths();
        self.now = self.now.max(planned.at);
        self.steps += 1;
        if self.steps.is_multiple_of(Self::LOOK) {
            self.check_bounds()?;
        }
        match planned.happening {
            Happening::Arrival {
                node,
                port,
                waiting,
                damaged,
            } => self.arrive(node, port, waiting, damaged),
            Happening::Turn { node, start } => {
                let state = &mut self.nodes[node];
                if state.start != start || state.turn != Some(planned.at) {
                    return Ok(());
                }
                state.turn = None;
                match state.is_running() {
                    true => self.turn(node)?,
                    false => return Ok(()),
                }
            }
            Happening::Synced { node, start, fails } => {
                let state = &mut self.nodes[node];
                if state.start != start || state.state == State::Dead {
                    return Ok(());
                }
                state.syncing = false;
                self.settle(node, fails)?;
                if self.nodes[node].is_running() {
                    self.release(node)?;
                    self.replan(node);
                }
            }
            Happening::Found {
                node,
                start,
                lookup,
            } => {
                let state = &mut self.nodes[node];
                if state.start != start || state.state == State::Dead {
                    return Ok(());
                }
                if state.state == State::Paused {
                    let later = self.now + Duration::from_millis(10);
                    self.plan(
                        later,
                        Happening::Found {
                            node,
                            start,
                            lookup,
                        },
                    );
                    return Ok(());
                }
                let disk = state.disk.as_mut().expect("it was asked");
                let found = disk.lookup(lookup).expect("a good disk answers");
                let mut effects = Vec::new();
                let local = state.clock.shows(self.now);
                state.machine.take(local, Input::Found(found), &mut effects);
                state.machine.take(local, Input::Finish, &mut effects);
                self.carry_out(node, effects)?;
                self.replan(node);
            }
        }
        Ok(())
    }

    fn plan(&mut self, at: Time, happening: Happening) {
        self.planned += 1;
        self.queue.push(Reverse(Planned {
            at,
            order: self.planned,
            happening,
        }));
    }
}
