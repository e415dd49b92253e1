//! What goes wrong in a run, and when: processes die and come back, stop and go
//! on, the network falls apart, readers stall, clocks leap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::check::Finding;
use super::cluster::Cluster;
use super::network::NetworkOptions;
use super::node::State;
use super::random::Random;
use crate::protocol::{Role, Time};

/// How often each kind of fault strikes, and how long it lasts, on average.
/// A kind without a mean time between strikes never strikes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultOptions {
    /// A process dies, alone or with its machine, and restarts after the second time if it may.
    pub crash: Option<(Duration, Duration)>,
    /// Of crashes, how many strike a client, which never comes back.
    pub crash_clients: bool,
    /// A process stops and goes on.
    pub pause: Option<(Duration, Duration)>,
    /// Some paths let nothing through.
    pub partition: Option<(Duration, Duration)>,
    /// A learner's reader stalls.
    pub stall: Option<(Duration, Duration)>,
    /// A clock leaps ahead.
    pub leap: Option<Duration>,
    /// When the rest is healed, some processes stay dead.
    pub leave_dead: bool,
    /// When the rest is healed, one proposer stays deaf, or cannot be heard.
    pub leave_deaf: bool,
    /// When the rest is healed, a minority of the acceptors stays cut off.
    pub leave_cut_off: bool,
}

/// Something to be done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Crash,
    Restart(usize),
    Pause,
    Resume(usize),
    Partition,
    Mend,
    Stall,
    Open(usize),
    Leap,
}

/// The faults of one run.
#[derive(Clone, Debug)]
pub struct Faults {
    options: FaultOptions,
    random: Random,
    agenda: BinaryHeap<Reverse<(Time, u64, Deed)>>,
    order: u64,
}

impl Faults {
    /// The faults that these options call for, from `now` on.
    pub fn new(options: FaultOptions, random: Random, now: Time) -> Faults {
        let mut faults = Faults {
            options,
            random,
            agenda: BinaryHeap::new(),
            order: 0,
        };
        for deed in [
            Deed::Crash,
            Deed::Pause,
            Deed::Partition,
            Deed::Stall,
            Deed::Leap,
        ] {
            faults.strike_again(now, deed);
        }
        faults
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Time> {
        self.agenda.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Does what is due.
    pub fn act(&mut self, cluster: &mut Cluster) -> Finding {
        let Some(Reverse((now, _, deed))) = self.agenda.pop() else {
            return Ok(());
        };
        match deed {
            Deed::Crash => {
                if let Some(victim) = self.victim(cluster) {
                    if self.random.chance(0.5) {
                        cluster.strike("power failure");
                        cluster.crash(victim)?;
                    } else {
                        cluster.strike("kill");
                        cluster.kill(victim)?;
                    }
                    if may_restart(cluster, victim) {
                        let (_, down) = self.options.crash.expect("crashes are on");
                        self.after(now, down, Deed::Restart(victim));
                    }
                }
            }
            Deed::Restart(node) => {
                if cluster.nodes()[node].state == State::Dead {
                    cluster.strike("restart");
                    cluster.restart(node)?;
                }
            }
            Deed::Pause => {
                let node = self.random.place(cluster.nodes().len());
                if cluster.nodes()[node].is_running() {
                    cluster.strike("pause");
                    cluster.pause(node);
                    let (_, long) = self.options.pause.expect("pauses are on");
                    self.after(now, long, Deed::Resume(node));
                }
            }
            Deed::Resume(node) => cluster.resume(node)?,
            Deed::Partition => {
                cluster.strike("partition made");
                self.part(cluster);
                let (_, long) = self.options.partition.expect("partitions are on");
                self.after(now, long, Deed::Mend);
            }
            Deed::Mend => {
                cluster.note("the network mends");
                cluster.network().mend();
            }
            Deed::Stall => {
                let learners = cluster.nodes_of(Role::Learner);
                let learner = self.random.pick(&learners);
                if cluster.nodes()[learner].is_running() {
                    cluster.strike("stalled reader");
                    cluster.set_open(learner, false)?;
                    let (_, long) = self.options.stall.expect("stalls are on");
                    self.after(now, long, Deed::Open(learner));
                }
            }
            Deed::Open(learner) => cluster.set_open(learner, true)?,
            Deed::Leap => {
                let node = self.random.place(cluster.nodes().len());
                let most = self.random.pick(&[1, 60, 3_600]);
                let ahead = self
                    .random
                    .duration(Duration::ZERO, Duration::from_secs(most));
                cluster.strike("clock leap");
                cluster.leap(node, ahead);
            }
        }
        self.strike_again(now, deed);
        Ok(())
    }

    /// Ends all faults but those that are to last: a core in which a quorum of
    /// acceptors, a proposer and a learner hear each other is whole again.
    pub fn heal(&mut self, cluster: &mut Cluster, network: NetworkOptions) -> Finding {
        self.agenda.clear();
        cluster.note("all heals");
        cluster.calm(network);
        for node in 0..cluster.nodes().len() {
            cluster.resume(node)?;
        }
        for role in [Role::Proposer, Role::Acceptor, Role::Learner] {
            let nodes = cluster.nodes_of(role);
            let mut dead: Vec<usize> = nodes
                .iter()
                .copied()
                .filter(|&node| cluster.nodes()[node].state == State::Dead)
                .collect();
            let spare = match role {
                Role::Acceptor => nodes.len() - (nodes.len() / 2 + 1),
                _ => nodes.len() - 1,
            };
            let mut left = 0;
            while !dead.is_empty() {
                let node = dead.remove(self.random.place(dead.len()));
                let stays = self.options.leave_dead && left < spare && self.random.chance(0.5);
                if stays || !may_restart(cluster, node) {
                    cluster.strike("left dead");
                    left += 1;
                } else {
                    cluster.restart(node)?;
                }
            }
            if role == Role::Acceptor && self.options.leave_cut_off && left < spare {
                self.cut_off(cluster, spare - left);
            }
        }
        for learner in cluster.nodes_of(Role::Learner) {
            cluster.set_open(learner, true)?;
        }
        let proposers = running(cluster, Role::Proposer);
        if self.options.leave_deaf && proposers.len() > 1 {
            let deaf = self.random.pick(&proposers);
            let mute = self.random.chance(0.5);
            let others = cluster.nodes().len();
            for other in 0..others {
                match mute {
                    true => cluster.network().cut(deaf, other),
                    false => cluster.network().cut(other, deaf),
                }
            }
            cluster.strike(if mute { "left mute" } else { "left deaf" });
            let word = if mute { "mute" } else { "deaf" };
            cluster.note(format!("{} stays {word}", cluster.nodes()[deaf].name));
        }
        Ok(())
    }

    /// Leaves some running acceptors out of reach.
    fn cut_off(&mut self, cluster: &mut Cluster, most: usize) {
        let mut acceptors = running(cluster, Role::Acceptor);
        for _ in 0..most {
            let acceptor = acceptors.remove(self.random.place(acceptors.len()));
            for other in 0..cluster.nodes().len() {
                cluster.network().cut(acceptor, other);
                cluster.network().cut(other, acceptor);
            }
            cluster.strike("left cut off");
            cluster.note(format!("{} stays cut off", cluster.nodes()[acceptor].name));
        }
    }

    /// Plans the next strike of a kind.
    fn strike_again(&mut self, now: Time, deed: Deed) {
        let mean = match deed {
            Deed::Crash => self.options.crash.map(|(mean, _)| mean),
            Deed::Pause => self.options.pause.map(|(mean, _)| mean),
            Deed::Partition => self.options.partition.map(|(mean, _)| mean),
            Deed::Stall => self.options.stall.map(|(mean, _)| mean),
            Deed::Leap => self.options.leap,
            Deed::Restart(_) | Deed::Resume(_) | Deed::Mend | Deed::Open(_) => None,
        };
        if let Some(mean) = mean {
            self.after(now, mean, deed);
        }
    }

    fn after(&mut self, now: Time, mean: Duration, deed: Deed) {
        self.order += 1;
        let at = now + self.random.exponential(mean);
        self.agenda.push(Reverse((at, self.order, deed)));
    }

    /// Whom a crash strikes. What cannot come back is spared when the cluster
    /// could not go on without it.
    fn victim(&mut self, cluster: &Cluster) -> Option<usize> {
        let node = match cluster.leader() {
            Some(leader) if self.random.chance(0.2) => leader,
            _ => self.random.place(cluster.nodes().len()),
        };
        let state = &cluster.nodes()[node];
        if state.state == State::Dead {
            return None;
        }
        let spared = match state.me.role {
            Role::Client => !self.options.crash_clients || running(cluster, Role::Client).len() < 2,
            Role::Acceptor if state.disk.is_none() => {
                let acceptors = cluster.nodes_of(Role::Acceptor);
                let dead = acceptors
                    .iter()
                    .filter(|&&node| cluster.nodes()[node].state == State::Dead)
                    .count();
                dead + 1 + acceptors.len() / 2 + 1 > acceptors.len()
            }
            _ => false,
        };
        (!spared).then_some(node)
    }

    /// Cuts paths, in one of the ways in which networks part.
    fn part(&mut self, cluster: &mut Cluster) {
        let count = cluster.nodes().len();
        let lone = self.random.place(count);
        let kind = self.random.between(0, 7);
        let leader = cluster.leader();
        let acceptors = cluster.nodes_of(Role::Acceptor);
        let confidant = self.random.pick(&acceptors);
        let side: Vec<bool> = (0..count)
            .map(|node| match kind {
                // Halves, and the same for multicast only.
                0 | 1 => self.random.chance(0.5),
                // One alone: all its paths, only those to it, only those from it.
                _ => node == lone,
            })
            .collect();
        for from in 0..count {
            for to in 0..count {
                let parted = side[from] != side[to];
                match kind {
                    0 | 2 if parted => cluster.network().cut(from, to),
                    1 if parted => cluster.network().cut_multicast(from, to),
                    3 if to == lone => cluster.network().cut(from, to),
                    4 if from == lone => cluster.network().cut(from, to),
                    5 if self.random.chance(0.3) => cluster.network().cut(from, to),
                    // What the leader proposes now leaves a vote at one acceptor
                    // only, which then keeps it to itself, or does not.
                    6 | 7 if Some(from) == leader && to != confidant => {
                        cluster.network().cut(from, to);
                    }
                    7 if from == confidant && to != confidant => {
                        cluster.network().cut(from, to);
                    }
                    _ => {}
                }
            }
        }
        let words = [
            "halves part",
            "halves part for multicast",
            "one is isolated",
            "one is deaf",
            "one is mute",
            "some paths are cut",
            "one acceptor hears the leader",
            "one acceptor hears the leader and says nothing",
        ][kind as usize];
        cluster.note(format!("{words} ({})", cluster.nodes()[lone].name));
    }
}

/// Whether a dead process may start again.
fn may_restart(cluster: &Cluster, node: usize) -> bool {
    let node = &cluster.nodes()[node];
    match node.me.role {
        Role::Client => false,
        Role::Acceptor => node.disk.is_some(),
        Role::Proposer | Role::Learner => true,
    }
}

/// The running processes of a role.
fn running(cluster: &Cluster, role: Role) -> Vec<usize> {
    cluster
        .nodes_of(role)
        .into_iter()
        .filter(|&node| cluster.nodes()[node].is_running())
        .collect()
}
