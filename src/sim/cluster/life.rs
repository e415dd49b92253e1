//! What is done to processes from outside: they die and start, stop and go on.

use std::time::Duration;

use bytes::Bytes;

use super::Cluster;
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Role, Time};
use crate::sim::check::Finding;
use crate::sim::network::NetworkOptions;
use crate::sim::node::{Inbox, Input, Machine, State};

impl Cluster {
    /// Gives a client a value to submit at this time or later. Values keep the
    /// order in which they are given.
    pub fn submit(&mut self, client: u16, at: Time, value: impl Into<Bytes>) {
        let index = self.node(Role::Client, client);
        let value = value.into();
        self.checker.submitted(client, value.clone());
        self.nodes[index].to_submit.push_back((at, value));
        self.replan(index);
    }

    /// A process dies. What an acceptor had not synced is lost in part or all.
    pub fn crash(&mut self, index: usize) -> Finding {
        if self.nodes[index].state == State::Dead {
            return Ok(());
        }
        let lost = self.nodes[index].disk.crash(&mut self.disks);
        let node = &mut self.nodes[index];
        node.state = State::Dead;
        node.turn = None;
        node.syncing = false;
        node.held.clear();
        node.inbox = Inbox::new(self.options.buffer);
        node.heard.clear();
        self.ports.remove(&node.port);
        if lost > 0 {
            self.strike("unsynced records lost");
        }
        self.note(format!(
            "{} dies, {lost} records lost",
            self.nodes[index].name
        ));
        // What the crash left is on the medium for good.
        self.settle(index, usize::MAX)
    }

    /// A dead process starts again: an acceptor from its disk, the others as
    /// new ones with a new incarnation.
    ///
    /// # Panics
    ///
    /// When it is not dead, or an acceptor without a disk.
    pub fn restart(&mut self, index: usize) {
        let node = &self.nodes[index];
        assert_eq!(node.state, State::Dead, "{} lives", node.name);
        let mut me = node.me;
        if me.role == Role::Acceptor {
            assert!(node.durable, "{} forgot what it promised", node.name);
        } else if me.role != Role::Proposer || !mutant(Mutant::BallotReused) {
            me.incarnation = self.random.number();
        }
        let mut machine = self.machine(me, self.nodes[index].clock.shows(self.now));
        let port = self.random.number();
        self.ports.insert(port, index);
        let node = &mut self.nodes[index];
        if let Machine::Acceptor(acceptor) = &mut machine {
            for record in node.disk.records() {
                acceptor.replay(record.clone());
            }
        }
        node.me = me;
        node.machine = machine;
        node.state = State::Running;
        node.start += 1;
        node.port = port;
        node.sequence = 0;
        node.rename();
        self.note(format!("{} starts", self.nodes[index].name));
        self.plan_turn(index, self.now);
    }

    /// A process stops; its sockets still fill.
    pub fn pause(&mut self, index: usize) {
        if self.nodes[index].is_running() {
            self.nodes[index].state = State::Paused;
            self.note(format!("{} is stopped", self.nodes[index].name));
        }
    }

    /// A stopped process goes on.
    pub fn resume(&mut self, index: usize) -> Finding {
        if self.nodes[index].state != State::Paused {
            return Ok(());
        }
        self.nodes[index].state = State::Running;
        self.note(format!("{} goes on", self.nodes[index].name));
        self.release(index)?;
        self.plan_turn(index, self.now);
        Ok(())
    }

    /// A clock leaps ahead, as after a suspended machine wakes up.
    pub fn leap(&mut self, index: usize, ahead: Duration) {
        let node = &mut self.nodes[index];
        node.clock.offset += ahead.as_nanos() as u64;
        self.note(format!("{} leaps {ahead:?}", self.nodes[index].name));
        self.replan(index);
    }

    /// Tells a learner whether it may hand values on.
    pub fn set_open(&mut self, index: usize, open: bool) -> Finding {
        if !self.nodes[index].is_running() {
            return Ok(());
        }
        let words = if open { "opens" } else { "closes" };
        self.note(format!("{} {words}", self.nodes[index].name));
        let node = &mut self.nodes[index];
        let mut effects = Vec::new();
        let local = node.clock.shows(self.now);
        node.machine.take(local, Input::Open(open), &mut effects);
        node.machine.take(local, Input::Finish, &mut effects);
        self.carry_out(index, effects)?;
        self.replan(index);
        Ok(())
    }

    /// Changes the network and makes syncs reliable: the end of bad weather.
    pub fn calm(&mut self, network: NetworkOptions) {
        self.network.mend();
        self.network.set_options(network);
        self.options.sync_failure = 0.0;
    }
}
