//! How far the processes have come, for whoever waits for them, and for people.

use super::Cluster;
use crate::protocol::Role;
use crate::sim::node::{Machine, Node};

impl Cluster {
    /// Whether a client has submitted all its values and knows them delivered: by
    /// its own word, and by the observers' count of what it was given and was told.
    pub fn is_done(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        let Machine::Client(client) = &node.machine else {
            return true;
        };
        // A second client with the same id is given nothing.
        let id = node.me.id;
        let all =
            node.who.twin > 0 || self.checker.acknowledged_to(id) == self.checker.submitted_to(id);
        all && node.to_submit.is_empty() && client.is_done()
    }

    /// How many values a learner has delivered since its last start.
    pub fn delivered(&self, index: usize) -> usize {
        self.checker.delivered_by(self.nodes[index].me)
    }

    /// Whether all running clients are done and all running learners have the
    /// whole log.
    pub fn is_complete(&self) -> bool {
        self.checker.chosen_through() == self.checker.chosen_last()
            && (self.users_are_done() || self.nobody_follows())
            && (0..self.nodes.len()).all(|index| self.is_finished(index))
    }

    /// Whether all users have done everything, or there is no replica left for them: a
    /// second one with the id of another has no users of its own.
    fn users_are_done(&self) -> bool {
        let Some(users) = &self.users else {
            return true;
        };
        let serves = |node: &Node| {
            let one_of_theirs = node.who.twin == 0 && node.me.id <= self.options.learners;
            node.me.role == Role::Learner && one_of_theirs && node.is_running()
        };
        users.crowd.are_done() || !self.nodes.iter().any(serves)
    }

    /// Whether there is nothing left that this process must do.
    pub(super) fn is_finished(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        !node.is_running()
            || match node.me.role {
                Role::Client => self.is_done(index) || self.nobody_follows(),
                Role::Learner => {
                    self.delivered(index) == self.checker.log().len() || self.is_out_of_reach(index)
                }
                Role::Proposer | Role::Acceptor => true,
            }
    }

    /// Whether a learner needs what too few acceptors remember that run. No
    /// promise covers it: volatile acceptors forget what is old.
    fn is_out_of_reach(&self, index: usize) -> bool {
        let next = match &self.nodes[index].machine {
            Machine::Learner(learner) => learner.delivered().next(),
            Machine::Replica(replica) => replica.applied().next(),
            _ => return false,
        };
        // A replica can get a checkpoint from another one.
        let ahead = |node: &Node| match &node.machine {
            Machine::Replica(replica) => replica.applied() >= next,
            _ => false,
        };
        let mut running = self.nodes.iter().filter(|node| node.is_running());
        if matches!(self.nodes[index].machine, Machine::Replica(_)) && running.any(ahead) {
            return false;
        }
        let remembers = |&acceptor: &usize| {
            let node = &self.nodes[acceptor];
            let forgotten = match &node.machine {
                Machine::Acceptor(acceptor) => acceptor.forgotten(),
                _ => unreachable!("a node of that role"),
            };
            node.is_running() && forgotten < next
        };
        let acceptors = self.nodes_of(Role::Acceptor);
        let somebody = |&acceptor: &usize| match &self.nodes[acceptor].machine {
            Machine::Acceptor(acceptor) => acceptor.forgotten() >= next,
            _ => false,
        };
        let remembering = acceptors.iter().copied().filter(remembers);
        acceptors.iter().any(somebody)
            && remembering.count() < self.options.settings.membership.quorum()
    }

    /// Whether no learner is left that could acknowledge anything, because what
    /// they need is forgotten.
    fn nobody_follows(&self) -> bool {
        let learners = self.nodes_of(Role::Learner);
        let mut living = learners
            .iter()
            .filter(|&&node| self.nodes[node].is_running());
        learners
            .iter()
            .any(|&node| self.nodes[node].lost || self.is_out_of_reach(node))
            && living.all(|&node| self.is_out_of_reach(node))
    }

    /// Who is not done, and how far each has come.
    pub fn unfinished(&self) -> Vec<String> {
        (0..self.nodes.len())
            .filter(|&index| !self.is_finished(index))
            .map(|index| format!("{}{}", self.nodes[index].name, self.progress(index)))
            .collect()
    }

    /// How far a learner or a client has come.
    fn progress(&self, index: usize) -> String {
        let node = &self.nodes[index];
        match node.me.role {
            Role::Learner => format!(
                " delivered {} of {}",
                self.delivered(index),
                self.checker.log().len()
            ),
            Role::Client => format!(
                " has {} to submit and {} acknowledged of {} in the log",
                node.to_submit.len(),
                self.checker.acknowledged_to(node.me.id),
                self.checker.logged_of(node.me.id)
            ),
            Role::Proposer | Role::Acceptor => String::new(),
        }
    }

    /// What each process says about itself.
    pub fn summary(&self) -> Vec<String> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let progress = self.progress(index);
                let machine = node.machine.summary();
                format!("{} {:?}{progress}: {machine}", node.name, node.state)
            })
            .collect()
    }
}
