//! The nemesis: it watches, waits for the moment when a fault hurts most, and
//! strikes then.
//!
//! Faults that come by the clock mostly hit moments in which nothing hangs by a
//! thread: a sync takes a millisecond, an election ten. The nemesis sees what
//! acceptors write and what processes say ([`Sight`]), and lies in wait for what
//! the hazards of the protocol are made of: a promise not yet synced, a promise
//! half told, a change of leader, a learner one vote short, a value that a single
//! acceptor knows. What it does then are the same deeds that any other fault is
//! made of, so they are written down and can be taken away one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cluster::Cluster;
use super::deed::Deed;
use super::name::Name;
use super::random::Random;
use super::sight::Sight;
use crate::protocol::{Ballot, Instance, Role, Time};

/// Something done now or a while later.
pub type Blow = (Duration, Deed);

/// A plot in several acts: one acceptor alone hears what the leader proposes, the
/// leader dies and the acceptor falls silent, another leads on without it, and
/// then both come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plot {
    /// Nothing is plotted.
    None,
    /// The leader is heard by this acceptor only; its next vote decides.
    Confided(Name, Name),
    /// The leader is dead and the acceptor silent, until another has proposed.
    Silenced(Name),
}

/// Who lies in wait.
#[derive(Clone, Debug)]
pub struct Nemesis {
    random: Random,
    /// How long it rests after a strike, on average.
    rest: Duration,
    /// It does not strike before this time.
    ready: Time,
    /// The highest ballot that was asked for.
    asked: Ballot,
    /// The last vote that each acceptor told.
    voters: BTreeMap<Name, (Ballot, Instance)>,
    plot: Plot,
}

impl Nemesis {
    /// One that rests so long between two strikes, on average.
    pub fn new(random: Random, rest: Duration) -> Nemesis {
        Nemesis {
            random,
            rest,
            ready: Time::ZERO,
            asked: Ballot::ZERO,
            voters: BTreeMap::new(),
            plot: Plot::None,
        }
    }

    /// Sees something, and says what it does about it: a name for the strike, and
    /// the blows it consists of.
    pub fn see(&mut self, cluster: &Cluster, sight: Sight) -> Option<(&'static str, Vec<Blow>)> {
        let asked_before = self.asked;
        if let Sight::Asking(_, ballot) = sight {
            self.asked = self.asked.max(ballot);
        }
        if let Sight::Voted(who, ballot, instance) = sight {
            self.voters.insert(who, (ballot, instance));
        }
        if let Some(blows) = self.go_on(cluster, sight) {
            return Some(blows);
        }
        if cluster.now() < self.ready {
            return None;
        }
        let strike = match sight {
            Sight::Promising(who) if self.random.chance(0.5) => {
                self.fell(cluster, "struck before a promise was synced", who)
            }
            Sight::Voting(who, ..) if unsynced(cluster, who) > 1 && self.random.chance(0.15) => {
                self.fell(cluster, "struck inside a batch of records", who)
            }
            Sight::Voting(who, ..) if self.random.chance(0.05) => {
                self.fell(cluster, "struck before a vote was synced", who)
            }
            Sight::Trimming(who) if self.random.chance(0.3) => {
                self.fell(cluster, "struck before a trim was synced", who)
            }
            Sight::HalfPromised(who, ballot) if self.random.chance(0.5) => {
                let candidate = Name::new(Role::Proposer, ballot.proposer);
                let victim = self.random.pick(&[who, candidate]);
                self.hold_or_fell(cluster, "struck between pages of a promise", victim)
            }
            Sight::Asking(who, ballot) if ballot > asked_before && self.random.chance(0.5) => {
                self.strike_election(cluster, who)
            }
            Sight::Leading(who) if self.random.chance(0.5) => {
                self.hold_or_fell(cluster, "struck a new leader", who)
            }
            Sight::Proposing(who, ..) if self.random.chance(0.02) => {
                self.strike_leader(cluster, who)
            }
            Sight::Voted(who, ballot, instance) if self.random.chance(0.05) => {
                self.strike_decision(cluster, who, ballot, instance)
            }
            Sight::Acknowledging(who) if self.random.chance(0.1) => {
                let clients = names(cluster, Role::Client);
                let cuts = clients.into_iter().map(|client| Deed::Cut(who, client));
                Some(("struck an acknowledgement", self.for_a_while(cuts)))
            }
            _ => None,
        };
        if strike.is_some() {
            self.ready = cluster.now() + self.random.exponential(self.rest);
        }
        strike
    }

    /// One who asks for a ballot, or the one who led so far, is struck, or the
    /// candidate is left with a single acceptor.
    fn strike_election(
        &mut self,
        cluster: &Cluster,
        candidate: Name,
    ) -> Option<(&'static str, Vec<Blow>)> {
        let leader = cluster.leader().map(|leader| cluster.nodes()[leader].who);
        match (self.random.between(0, 3), leader) {
            (0, _) => self.hold_or_fell(cluster, "struck a candidate", candidate),
            (1, Some(leader)) => self.hold_or_fell(cluster, "struck an old leader", leader),
            _ => {
                let acceptors = names(cluster, Role::Acceptor);
                let spared = self.random.pick(&acceptors);
                let cuts = acceptors
                    .into_iter()
                    .filter(|&acceptor| acceptor != spared)
                    .map(|acceptor| Deed::Cut(candidate, acceptor));
                Some(("left a candidate one acceptor", self.for_a_while(cuts)))
            }
        }
    }

    /// A leader at work is replaced by itself within a moment, or falls for a plot.
    fn strike_leader(
        &mut self,
        cluster: &Cluster,
        leader: Name,
    ) -> Option<(&'static str, Vec<Blow>)> {
        if self.random.chance(0.3) {
            let soon = self.random.duration(Duration::ZERO, millis(3));
            let blows = vec![
                (Duration::ZERO, Deed::Kill(leader)),
                (soon, Deed::Restart(leader)),
            ];
            return Some(("restarted a leader within a moment", blows));
        }
        let confidant = self.random.pick(&names(cluster, Role::Acceptor));
        let blows = cluster
            .nodes()
            .iter()
            .map(|node| node.who)
            .filter(|&who| who != confidant)
            .map(|who| (Duration::ZERO, Deed::Cut(leader, who)))
            .collect();
        self.plot = Plot::Confided(leader, confidant);
        Some(("let a leader confide in one acceptor", blows))
    }

    /// A plot goes on.
    fn go_on(&mut self, cluster: &Cluster, sight: Sight) -> Option<(&'static str, Vec<Blow>)> {
        match (self.plot, sight) {
            (Plot::Confided(leader, confidant), Sight::Voted(who, ballot, _))
                if who == confidant && ballot.proposer == leader.id =>
            {
                self.plot = Plot::Silenced(leader);
                let mut blows = vec![(Duration::ZERO, Deed::Kill(leader))];
                for node in cluster.nodes() {
                    blows.push((Duration::ZERO, Deed::Cut(confidant, node.who)));
                    blows.push((Duration::ZERO, Deed::Cut(node.who, confidant)));
                }
                // Should nobody else come to lead, there must be an end to it.
                let late = self.random.exponential(millis(500));
                blows.push((late, Deed::Restart(leader)));
                Some(("silenced the one who knows", blows))
            }
            (Plot::Silenced(leader), Sight::Proposing(who, ..)) if who != leader => {
                self.plot = Plot::None;
                let soon = self.random.exponential(millis(20));
                let mut blows = vec![(soon, Deed::Mend), (soon, Deed::Restart(leader))];
                if self.random.chance(0.5) {
                    // And the new leader learns of it the hard way.
                    blows.push((soon + millis(1), Deed::Pause(who)));
                    let later = soon + self.random.exponential(millis(200));
                    blows.push((later, Deed::Resume(who)));
                }
                Some(("brought an old vote back", blows))
            }
            _ => None,
        }
    }

    /// A vote that makes a decision, or is one short of it, does not get through.
    fn strike_decision(
        &mut self,
        cluster: &Cluster,
        voter: Name,
        ballot: Ballot,
        instance: Instance,
    ) -> Option<(&'static str, Vec<Blow>)> {
        let told = self.voters.values();
        let voters = told.filter(|&&vote| vote == (ballot, instance)).count();
        let quorum = names(cluster, Role::Acceptor).len() / 2 + 1;
        if voters + 1 < quorum || voters > quorum {
            return None;
        }
        let learners = names(cluster, Role::Learner);
        let learner = self.random.pick(&learners);
        match self.random.between(0, 2) {
            0 => self.fell(cluster, "struck a learner one vote short", learner),
            1 => self.fell(cluster, "struck the last voter", voter),
            _ => {
                let cuts = learners
                    .into_iter()
                    .map(|learner| Deed::Cut(voter, learner));
                Some(("hid the last vote", self.for_a_while(cuts)))
            }
        }
    }

    /// Ends a process, or stops it when it could not come back.
    fn fell(
        &mut self,
        cluster: &Cluster,
        name: &'static str,
        who: Name,
    ) -> Option<(&'static str, Vec<Blow>)> {
        let node = &cluster.nodes()[cluster.find(who)?];
        let back = self.random.exponential(millis(100));
        let (blow, end) = match (node.may_restart(), self.random.chance(0.5)) {
            (false, _) => (Deed::Pause(who), Deed::Resume(who)),
            (true, false) => (Deed::Crash(who), Deed::Restart(who)),
            (true, true) => (Deed::Kill(who), Deed::Restart(who)),
        };
        Some((name, vec![(Duration::ZERO, blow), (back, end)]))
    }

    /// Ends a process, stops it for a while, or isolates it.
    fn hold_or_fell(
        &mut self,
        cluster: &Cluster,
        name: &'static str,
        who: Name,
    ) -> Option<(&'static str, Vec<Blow>)> {
        match self.random.between(0, 2) {
            0 => self.fell(cluster, name, who),
            1 => {
                let end = self.random.exponential(millis(300));
                let blows = vec![(Duration::ZERO, Deed::Pause(who)), (end, Deed::Resume(who))];
                Some((name, blows))
            }
            _ => {
                let one_way = self.random.chance(0.5);
                let all: Vec<Name> = cluster.nodes().iter().map(|node| node.who).collect();
                let from = all.iter().map(|&other| Deed::Cut(who, other));
                let to = all.iter().map(|&other| Deed::Cut(other, who));
                let cuts: Vec<Deed> = match one_way {
                    true => from.collect(),
                    false => from.chain(to).collect(),
                };
                Some((name, self.for_a_while(cuts.into_iter())))
            }
        }
    }

    /// Cuts paths and mends them after a while.
    fn for_a_while(&mut self, cuts: impl Iterator<Item = Deed>) -> Vec<Blow> {
        let mut blows: Vec<Blow> = cuts.map(|cut| (Duration::ZERO, cut)).collect();
        blows.push((self.random.exponential(millis(300)), Deed::Mend));
        blows
    }
}

/// Records that an acceptor wrote and has not synced.
fn unsynced(cluster: &Cluster, who: Name) -> usize {
    let node = cluster.find(who).map(|index| &cluster.nodes()[index]);
    let disk = node.and_then(|node| node.disk.as_ref());
    disk.map_or(0, |disk| disk.written() - disk.synced())
}

/// The processes of a role.
fn names(cluster: &Cluster, role: Role) -> Vec<Name> {
    let nodes = cluster.nodes_of(role).into_iter();
    nodes.map(|node| cluster.nodes()[node].who).collect()
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
