//! What goes wrong in a run, and when: processes die and come back, stop and go
//! on, the network falls apart, readers stall, clocks leap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

use super::check::Finding;
use super::cluster::Cluster;
use super::damage::Damage;
use super::deed::Deed;
use super::disk::Disk;
use super::name::Name;
use super::nemesis::Nemesis;
use super::network::NetworkOptions;
use super::node::State;
use super::random::Random;
use super::stray::Stray;
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
    /// The disk of a dead acceptor is damaged. Of all acceptors, a quorum is spared.
    pub damage: Option<Duration>,
    /// Somebody watches and strikes at dangerous moments, and rests so long in
    /// between.
    pub nemesis: Option<Duration>,
    /// Datagrams arrive that have no business here.
    pub stray: Option<Duration>,
    /// A second process starts with the role and id of another. Not of an acceptor:
    /// who never heard the first could not know that the second is not it.
    pub twin: Option<Duration>,
    /// A disk is full for a while.
    pub full: Option<(Duration, Duration)>,
    /// When the rest is healed, some processes stay dead.
    pub leave_dead: bool,
    /// When the rest is healed, one proposer stays deaf, or cannot be heard.
    pub leave_deaf: bool,
    /// When the rest is healed, a minority of the acceptors stays cut off.
    pub leave_cut_off: bool,
}

impl FaultOptions {
    /// Lets what lasts come so many times less often, and last so many times longer.
    pub fn stretch(&mut self, times: u32) {
        let lasting = [
            &mut self.crash,
            &mut self.pause,
            &mut self.partition,
            &mut self.stall,
            &mut self.full,
        ];
        for (every, long) in lasting.into_iter().flatten() {
            (*every, *long) = (*every * times, *long * times);
        }
    }
}

impl fmt::Display for FaultOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        let lasting = [
            ("crashes", self.crash),
            ("pauses", self.pause),
            ("partitions", self.partition),
            ("stalled readers", self.stall),
        ];
        for (what, kind) in lasting {
            if let Some((every, long)) = kind {
                words.push(format!("{what} about every {every:.1?} for {long:.1?}"));
            }
        }
        if let Some(every) = self.leap {
            words.push(format!("clocks leap about every {every:.1?}"));
        }
        let lingering = [
            ("clients die too", self.crash_clients),
            ("some stay dead", self.leave_dead),
            ("one proposer stays deaf or mute", self.leave_deaf),
            ("some acceptors stay cut off", self.leave_cut_off),
        ];
        words.extend(
            lingering
                .into_iter()
                .filter(|(_, on)| *on)
                .map(|(what, _)| what.into()),
        );
        match words.is_empty() {
            true => f.write_str("nothing is done to the processes"),
            false => f.write_str(&words.join("; ")),
        }
    }
}

/// Something to be done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strike {
    /// Of a kind that comes again and again.
    Again(Fault),
    /// The end of what another began.
    Then(Deed),
}

/// The kinds of faults that come again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Crash,
    Pause,
    Partition,
    Stall,
    Leap,
    Damage,
    Full,
    Stray,
    Twin,
}

/// The faults of one run.
#[derive(Clone, Debug)]
pub struct Faults {
    options: FaultOptions,
    random: Random,
    agenda: BinaryHeap<Reverse<(Time, u64, Strike)>>,
    order: u64,
    nemesis: Option<Nemesis>,
}

impl Faults {
    /// How many processes share a role and id with another, at most.
    const MOST_TWINS: usize = 2;

    /// The faults that these options call for, from `now` on.
    pub fn new(options: FaultOptions, random: Random, now: Time) -> Faults {
        let nemesis = options.nemesis.map(|rest| {
            let mut seed = random.clone();
            Nemesis::new(Random::new(seed.number(), "nemesis"), rest)
        });
        let mut faults = Faults {
            nemesis,
            options,
            random,
            agenda: BinaryHeap::new(),
            order: 0,
        };
        for fault in [
            Fault::Crash,
            Fault::Pause,
            Fault::Partition,
            Fault::Stall,
            Fault::Leap,
            Fault::Damage,
            Fault::Full,
            Fault::Stray,
            Fault::Twin,
        ] {
            faults.strike_again(now, fault);
        }
        faults
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Time> {
        self.agenda.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Does what is due.
    pub fn act(&mut self, cluster: &mut Cluster) -> Finding {
        let Some(Reverse((now, _, strike))) = self.agenda.pop() else {
            return Ok(());
        };
        match strike {
            Strike::Then(deed) => cluster.perform(deed),
            Strike::Again(fault) => {
                let end = self.strike(cluster, fault)?;
                if let Some((deed, mean)) = end {
                    self.after(now, mean, Strike::Then(deed));
                }
                self.strike_again(now, fault);
                Ok(())
            }
        }
    }

    /// Lets the nemesis see what has happened.
    pub fn watch(&mut self, cluster: &mut Cluster) -> Finding {
        let Some(nemesis) = &mut self.nemesis else {
            return Ok(());
        };
        let mut blows = Vec::new();
        for sight in cluster.take_sights() {
            if let Some((name, more)) = nemesis.see(cluster, sight) {
                cluster.strike(name);
                cluster.remark(format!("the nemesis {name}"));
                blows.extend(more);
            }
        }
        for (wait, deed) in blows {
            // A moment later: what happens at the very same time has an order that
            // a list of deeds and their times could not tell.
            let wait = wait.max(Duration::from_nanos(1));
            self.order += 1;
            let entry = (cluster.now() + wait, self.order, Strike::Then(deed));
            self.agenda.push(Reverse(entry));
        }
        Ok(())
    }

    /// Does a fault, and says what will end it, and after how long on average.
    fn strike(
        &mut self,
        cluster: &mut Cluster,
        fault: Fault,
    ) -> Result<Option<(Deed, Duration)>, String> {
        let long =
            |kind: Option<(Duration, Duration)>| kind.map_or(Duration::ZERO, |(_, long)| long);
        match fault {
            Fault::Crash => {
                let Some(victim) = self.victim(cluster) else {
                    return Ok(None);
                };
                let node = &cluster.nodes()[victim];
                let (who, comes_back) = (node.who, node.may_restart());
                cluster.perform(match self.random.chance(0.5) {
                    true => Deed::Crash(who),
                    false => Deed::Kill(who),
                })?;
                Ok(comes_back.then_some((Deed::Restart(who), long(self.options.crash))))
            }
            Fault::Pause => {
                let node = &cluster.nodes()[self.random.place(cluster.nodes().len())];
                let (who, runs) = (node.who, node.is_running());
                if !runs {
                    return Ok(None);
                }
                cluster.perform(Deed::Pause(who))?;
                Ok(Some((Deed::Resume(who), long(self.options.pause))))
            }
            Fault::Partition => {
                cluster.strike("partition made");
                self.part(cluster)?;
                Ok(Some((Deed::Mend, long(self.options.partition))))
            }
            Fault::Stall => {
                let learner = self.random.pick(&cluster.nodes_of(Role::Learner));
                let node = &cluster.nodes()[learner];
                let (who, runs) = (node.who, node.is_running());
                if !runs {
                    return Ok(None);
                }
                cluster.perform(Deed::Close(who))?;
                Ok(Some((Deed::Open(who), long(self.options.stall))))
            }
            Fault::Leap => {
                let who = cluster.nodes()[self.random.place(cluster.nodes().len())].who;
                let most = self.random.pick(&[1, 60, 3_600]);
                let ahead = self
                    .random
                    .duration(Duration::ZERO, Duration::from_secs(most));
                cluster.perform(Deed::Leap(who, ahead))?;
                Ok(None)
            }
            Fault::Damage => {
                let Some(victim) = self.expendable(cluster) else {
                    return Ok(None);
                };
                let who = cluster.nodes()[victim].who;
                cluster.perform(Deed::Crash(who))?;
                let damage = self.random.pick(&Damage::ALL);
                let seed = self.random.number();
                cluster.perform(Deed::Damage(who, damage, seed))?;
                let soon = Duration::from_millis(100);
                Ok(Some((Deed::Restart(who), soon)))
            }
            Fault::Stray => {
                let stray = self.random.pick(&Stray::ALL);
                let seed = self.random.number();
                cluster.perform(Deed::Stray(stray, seed))?;
                Ok(None)
            }
            Fault::Twin => {
                let role = self
                    .random
                    .pick(&[Role::Proposer, Role::Learner, Role::Client]);
                let nodes = cluster.nodes_of(role);
                // A service has users, and no clients.
                if nodes.is_empty() {
                    return Ok(None);
                }
                let first = self.random.pick(&nodes);
                let id = cluster.nodes()[first].who.id;
                let twins = names(cluster).iter().filter(|name| name.twin > 0).count();
                if twins < Self::MOST_TWINS {
                    cluster.strike("two with one id");
                    cluster.perform(Deed::Add(role, id))?;
                }
                Ok(None)
            }
            Fault::Full => {
                let acceptor = self.random.pick(&cluster.nodes_of(Role::Acceptor));
                let who = cluster.nodes()[acceptor].who;
                cluster.perform(Deed::Fill(who))?;
                Ok(Some((Deed::Free(who), long(self.options.full))))
            }
        }
    }

    /// Ends all faults but those that are to last: a core in which a quorum of
    /// acceptors, a proposer and a learner hear each other is whole again.
    pub fn heal(&mut self, cluster: &mut Cluster, network: NetworkOptions) -> Finding {
        self.agenda.clear();
        self.nemesis = None;
        cluster.look_away();
        cluster.remark("all heals");
        cluster.calm(network);
        cluster.perform(Deed::Mend)?;
        if cluster.options().service.is_some() {
            cluster.perform(Deed::Inform)?;
        }
        for acceptor in cluster.nodes_of(Role::Acceptor) {
            cluster.perform(Deed::Free(cluster.nodes()[acceptor].who))?;
        }
        for node in 0..cluster.nodes().len() {
            if cluster.nodes()[node].state == State::Paused {
                cluster.perform(Deed::Resume(cluster.nodes()[node].who))?;
            }
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
            // Those first that will perhaps refuse to start: they count as left dead.
            let damaged = |&node: &usize| is_damaged(cluster, node);
            let mut left = dead.iter().copied().filter(damaged).count();
            dead.retain(|node| !damaged(node));
            while !dead.is_empty() {
                let node = dead.remove(self.random.place(dead.len()));
                let stays = self.options.leave_dead && left < spare && self.random.chance(0.5);
                if stays || !cluster.nodes()[node].may_restart() {
                    cluster.strike("left dead");
                    left += 1;
                } else {
                    cluster.perform(Deed::Restart(cluster.nodes()[node].who))?;
                }
            }
            if role == Role::Acceptor && self.options.leave_cut_off && left < spare {
                self.cut_off(cluster, spare - left)?;
            }
        }
        for learner in cluster.nodes_of(Role::Learner) {
            cluster.perform(Deed::Open(cluster.nodes()[learner].who))?;
        }
        let proposers = running(cluster, Role::Proposer);
        if self.options.leave_deaf && proposers.len() > 1 {
            let deaf = self.random.pick(&proposers);
            let mute = self.random.chance(0.5);
            let deaf = cluster.nodes()[deaf].who;
            for other in names(cluster) {
                cluster.perform(match mute {
                    true => Deed::Cut(deaf, other),
                    false => Deed::Cut(other, deaf),
                })?;
            }
            cluster.strike(if mute { "left mute" } else { "left deaf" });
            let word = if mute { "mute" } else { "deaf" };
            cluster.remark(format!("{deaf} stays {word}"));
        }
        Ok(())
    }

    /// Leaves some running acceptors out of reach.
    fn cut_off(&mut self, cluster: &mut Cluster, most: usize) -> Finding {
        let mut acceptors = running(cluster, Role::Acceptor);
        for _ in 0..most {
            // The one that is missed most leaves a past that only a leader can repair.
            let most_missed = (0..acceptors.len()).max_by_key(|&place| {
                let id = cluster.nodes()[acceptors[place]].me.id;
                cluster.checker().hidden_without(Some(id))
            });
            let place = match most_missed {
                Some(place) if self.random.chance(0.7) => place,
                _ => self.random.place(acceptors.len()),
            };
            let acceptor = acceptors.remove(place);
            let acceptor = cluster.nodes()[acceptor].who;
            for other in names(cluster) {
                cluster.perform(Deed::Cut(acceptor, other))?;
                cluster.perform(Deed::Cut(other, acceptor))?;
            }
            cluster.strike("left cut off");
            cluster.remark(format!("{acceptor} stays cut off"));
        }
        Ok(())
    }

    /// Plans the next strike of a kind.
    fn strike_again(&mut self, now: Time, fault: Fault) {
        let mean = match fault {
            Fault::Crash => self.options.crash.map(|(mean, _)| mean),
            Fault::Pause => self.options.pause.map(|(mean, _)| mean),
            Fault::Partition => self.options.partition.map(|(mean, _)| mean),
            Fault::Stall => self.options.stall.map(|(mean, _)| mean),
            Fault::Leap => self.options.leap,
            Fault::Damage => self.options.damage,
            Fault::Full => self.options.full.map(|(mean, _)| mean),
            Fault::Stray => self.options.stray,
            Fault::Twin => self.options.twin,
        };
        if let Some(mean) = mean {
            self.after(now, mean, Strike::Again(fault));
        }
    }

    fn after(&mut self, now: Time, mean: Duration, strike: Strike) {
        self.order += 1;
        let at = now + self.random.exponential(mean);
        self.agenda.push(Reverse((at, self.order, strike)));
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

    /// A durable acceptor that the others, those damaged before apart, are a quorum
    /// without.
    fn expendable(&mut self, cluster: &Cluster) -> Option<usize> {
        let acceptors = cluster.nodes_of(Role::Acceptor);
        let (damaged, whole): (Vec<usize>, Vec<usize>) = acceptors
            .iter()
            .partition(|&&node| is_damaged(cluster, node));
        let enough = damaged.len() + 1 + acceptors.len() / 2 < acceptors.len();
        let node = whole[self.random.place(whole.len())];
        (enough && cluster.nodes()[node].disk.is_some()).then_some(node)
    }

    /// Cuts paths, in one of the ways in which networks part.
    fn part(&mut self, cluster: &mut Cluster) -> Finding {
        let names = names(cluster);
        let leader = cluster.leader().map(|leader| cluster.nodes()[leader].who);
        let lone = match leader {
            Some(leader) if self.random.chance(0.3) => leader,
            _ => self.random.pick(&names),
        };
        let kind = self.random.between(0, 7);
        let confidant = self.random.pick(&cluster.nodes_of(Role::Acceptor));
        let confidant = cluster.nodes()[confidant].who;
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
        cluster.remark(format!("{words} ({lone})"));
        let side: Vec<bool> = names
            .iter()
            .map(|&name| match kind {
                // Halves, and the same for multicast only.
                0 | 1 => self.random.chance(0.5),
                // One alone: all its paths, only those to it, only those from it.
                _ => name == lone,
            })
            .collect();
        for (from, from_side) in names.iter().copied().zip(&side) {
            for (to, to_side) in names.iter().copied().zip(&side) {
                let parted = from_side != to_side;
                let cut = match kind {
                    0 | 2 => parted,
                    1 if parted => {
                        cluster.perform(Deed::CutMulticast(from, to))?;
                        false
                    }
                    3 => to == lone,
                    4 => from == lone,
                    5 => self.random.chance(0.3),
                    // What the leader proposes now leaves a vote at one acceptor
                    // only, which then keeps it to itself, or does not.
                    6 => Some(from) == leader && to != confidant,
                    7 => (Some(from) == leader || from == confidant) && to != confidant,
                    _ => false,
                };
                if cut {
                    cluster.perform(Deed::Cut(from, to))?;
                }
            }
        }
        Ok(())
    }
}

/// Whether an acceptor's disk was damaged since it last started.
fn is_damaged(cluster: &Cluster, node: usize) -> bool {
    let disk = cluster.nodes()[node].disk.as_ref();
    disk.is_some_and(Disk::is_damaged)
}

/// All processes.
fn names(cluster: &Cluster) -> Vec<Name> {
    cluster.nodes().iter().map(|node| node.who).collect()
}

/// The running processes of a role.
fn running(cluster: &Cluster, role: Role) -> Vec<usize> {
    cluster
        .nodes_of(role)
        .into_iter()
        .filter(|&node| cluster.nodes()[node].is_running())
        .collect()
}
