//! Why a cluster does not get done, in words.
//!
//! A run that ends without an end tells little by itself. Here the world, which
//! sees everything, says who waits for what, whether anyone leads, who could make
//! a quorum, which instance stands in the way and who voted for what there, and
//! what was asked last.

use std::fmt::Write;

use super::Cluster;
use crate::protocol::{Instance, Role};
use crate::sim::node::{Machine, State};

impl Cluster {
    /// What is missing, and what might be to blame.
    pub fn diagnose(&self) -> String {
        let mut words = String::new();
        for index in 0..self.nodes.len() {
            if !self.is_finished(index) {
                let _ = write!(words, "{}; ", self.wants(index));
            }
        }
        for user in self.users.iter().flat_map(|users| users.crowd.unfinished()) {
            let _ = write!(words, "{user}; ");
        }
        let _ = write!(words, "{}; {}; ", self.who_leads(), self.who_could_vote());
        let through = self.checker.chosen_through();
        if self.checker.chosen_last() > through {
            let _ = write!(words, "{}; ", self.where_it_is_stuck(through.next()));
        }
        for name in ["prepare", "accept", "submit", "request", "stuck"] {
            if let Some(line) = self.last_said(name) {
                let _ = write!(words, "last {name}: {line}; ");
            }
        }
        words.trim_end_matches("; ").to_owned()
    }

    /// What a process still has to do.
    fn wants(&self, index: usize) -> String {
        let node = &self.nodes[index];
        match &node.machine {
            Machine::Client(client) => format!(
                "{} waits for value {} of its {} in the log, {} more to submit, {} bytes under way",
                node.name,
                self.checker.acknowledged_to(node.me.id) + 1,
                self.checker.logged_of(node.me.id),
                node.to_submit.len(),
                client.in_flight()
            ),
            Machine::Learner(learner) => {
                let next = learner.delivered().next();
                format!(
                    "{} has delivered {} of {} values and lacks {next}, {}",
                    node.name,
                    self.delivered(index),
                    self.checker.log().len(),
                    self.who_voted(next)
                )
            }
            Machine::Replica(replica) => {
                let next = replica.applied().next();
                let (changes, reads) = replica.waiting();
                format!(
                    "{} has applied {} of {} commands and lacks {next}, {}; {changes} changes and \
                     {reads} reads wait, quorum {}, checkpoint {:?}",
                    node.name,
                    self.delivered(index),
                    self.checker.log().len(),
                    self.who_voted(next),
                    replica.is_sound(),
                    replica.checkpoint(),
                )
            }
            _ => node.name.to_string(),
        }
    }

    fn who_leads(&self) -> String {
        let Some(index) = self.leader() else {
            return "nobody leads".into();
        };
        let node = &self.nodes[index];
        let Machine::Proposer(proposer) = &node.machine else {
            return "nobody leads".into();
        };
        let deaf_to: Vec<String> = self
            .nodes_of(Role::Acceptor)
            .into_iter()
            .filter(|&acceptor| {
                self.network.is_cut(index, acceptor, false)
                    || self.network.is_cut(acceptor, index, false)
            })
            .map(|acceptor| self.nodes[acceptor].name.to_string())
            .collect();
        format!(
            "{} leads {}, has decided {} and {} open{}",
            node.name,
            proposer
                .leads()
                .map_or(String::new(), |ballot| ballot.to_string()),
            proposer.decided(),
            proposer.open(),
            match deaf_to.is_empty() {
                true => String::new(),
                false => format!(" (cut off from {})", deaf_to.join(" ")),
            }
        )
    }

    /// The acceptors that run, and what each has promised.
    fn who_could_vote(&self) -> String {
        let mut words = Vec::new();
        for index in self.nodes_of(Role::Acceptor) {
            let node = &self.nodes[index];
            let Machine::Acceptor(acceptor) = &node.machine else {
                continue;
            };
            words.push(match node.state {
                State::Dead => format!("{} is dead", node.name),
                State::Paused => format!("{} is stopped", node.name),
                State::Running => format!("{} promised {}", node.name, acceptor.promised()),
            });
        }
        let needed = self.options.settings.membership.quorum();
        format!("{needed} acceptors make a quorum: {}", words.join(", "))
    }

    fn where_it_is_stuck(&self, instance: Instance) -> String {
        format!(
            "{instance} is not chosen though {} is: proposed in {}, {}",
            self.checker.chosen_last(),
            list(self.checker.proposed_for(instance)),
            self.who_voted(instance)
        )
    }

    /// Who has which vote for an instance on its disk.
    fn who_voted(&self, instance: Instance) -> String {
        let votes = self
            .checker
            .votes_for(instance)
            .map(|(acceptor, ballot)| format!("a{acceptor} in {ballot}"));
        format!("voted for by {}", list(votes))
    }

    /// The last line of the trace in which somebody says this.
    fn last_said(&self, message: &str) -> Option<String> {
        let said = format!("sends: {message}");
        let lines = self.trace.last_lines();
        lines.into_iter().rev().find(|line| line.contains(&said))
    }
}

/// Words in a row, or that there are none.
fn list(words: impl Iterator<Item = impl ToString>) -> String {
    let words: Vec<String> = words.map(|word| word.to_string()).collect();
    match words.is_empty() {
        true => "nobody".into(),
        false => words.join(" "),
    }
}
