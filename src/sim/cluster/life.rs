//! What is done to processes from outside: they die and start, stop and go on.

use std::cmp::Reverse;
use std::time::Duration;

use bytes::Bytes;

use super::double::rebuilt;
use super::{Cluster, Happening};
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Role, Time};
use crate::sim::chance::Act;
use crate::sim::check::Finding;
use crate::sim::damage::Damage;
use crate::sim::deed::Deed;
use crate::sim::disk::Opening;
use crate::sim::history::{self, Event};
use crate::sim::name::Name;
use crate::sim::network::NetworkOptions;
use crate::sim::node::{Inbox, Input, Machine, State};
use crate::sim::random::Random;

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

    /// A process dies, and its machine with it: what an acceptor had not synced
    /// is lost in part or all.
    pub fn crash(&mut self, index: usize) -> Finding {
        self.end(index, true)
    }

    /// A process dies alone: its machine keeps what it was given to write.
    pub fn kill(&mut self, index: usize) -> Finding {
        self.end(index, false)
    }

    fn end(&mut self, index: usize, power: bool) -> Finding {
        let mut random = Random::new(self.seed, &format!("end of {}", self.nodes[index].name));
        // How far the sync that was due came: nothing is written, all is written
        // and not synced, all is synced, or a new segment is half made.
        let calls = random.pick(&[0, 0, 1, 1, 1, 1, 1, 1, 2, 3, 4, 6, 8]);
        let power = power.then(|| random.number());
        let mut struck = None;
        let node = &mut self.nodes[index];
        if node.state == State::Dead {
            return Ok(());
        }
        if let Some(disk) = &mut node.disk {
            if calls > 0 && disk.is_trimming() {
                struck = Some("struck during a trim");
            }
            disk.stop(calls, power);
        }
        node.state = State::Dead;
        node.turn = None;
        node.syncing = false;
        node.held.clear();
        node.inbox = Inbox::new(self.options.buffer);
        node.heard.clear();
        node.shelf.crash();
        self.ports.remove(&node.port);
        if let Some(struck) = struck {
            self.strike(struck);
        }
        self.record(index, || Event::Died);
        let how = if power.is_some() { "power" } else { "process" };
        self.note(format!("{} dies ({how})", self.nodes[index].name));
        Ok(())
    }

    /// A dead process starts again: an acceptor from its disk, the others as
    /// new ones with a new incarnation. An acceptor whose disk was damaged stays
    /// dead.
    ///
    /// # Errors
    ///
    /// A sentence, when an acceptor's log came back with anything but what was
    /// written to it.
    ///
    /// # Panics
    ///
    /// When it is not dead, or an acceptor without a disk.
    pub fn restart(&mut self, index: usize) -> Finding {
        let node = &self.nodes[index];
        assert_eq!(node.state, State::Dead, "{} lives", node.name);
        assert!(node.may_restart(), "{} forgot what it promised", node.name);
        let mut random = self.stream(node.who, node.start + 1);
        let mut me = node.me;
        let mut past = Vec::new();
        let mut recovered = None;
        if me.role == Role::Acceptor {
            let node = &mut self.nodes[index];
            let disk = node.disk.as_mut().expect("it may restart");
            match disk.open().map_err(|words| format!("{me}: {words}"))? {
                Opening::Refused(error) => {
                    let words = format!("{} refuses to start: {error}", node.name);
                    if !disk.is_damaged() {
                        return Err(format!("{words}; but nothing has damaged its disk"));
                    }
                    self.note(words);
                    self.strike("refused start");
                    return Ok(());
                }
                Opening::Recovered {
                    records,
                    saved,
                    lost,
                } => {
                    // What the crash left is on the medium for good.
                    for record in &records[records.len() - saved..] {
                        self.checker.recorded(me.id, record)?;
                    }
                    if lost > 0 {
                        self.strike("unsynced records lost");
                    }
                    recovered = Some(Event::Recovered {
                        records: records.len(),
                        lost,
                        promised: records.iter().filter_map(history::promise).max(),
                    });
                    past = records;
                }
            }
        } else if me.role != Role::Proposer || !mutant(Mutant::BallotReused) {
            me.incarnation = random.number();
        }
        let local = self.nodes[index].clock.shows(self.now);
        let mut machine = self.machine(me, local, random.number());
        let port = random.number();
        self.ports.insert(port, index);
        let node = &mut self.nodes[index];
        if let Machine::Acceptor(acceptor) = &mut machine {
            *acceptor = rebuilt(acceptor.clone(), past);
            node.double = Some(acceptor.clone());
        }
        node.me = me;
        node.machine = machine;
        node.state = State::Running;
        node.start += 1;
        node.port = port;
        node.sequence = 0;
        node.synced = 0;
        node.rename();
        self.record(index, || Event::Started);
        if let Some(event) = recovered {
            self.record(index, || event);
        }
        self.checker.restarted(me);
        self.note(format!("{} starts", self.nodes[index].name));
        self.recover_replica(index)?;
        self.plan_turn(index, self.now);
        Ok(())
    }

    /// The disk of a dead acceptor is damaged, if there is anything on it. Says
    /// whether it was.
    pub(in crate::sim) fn damage(&mut self, index: usize, damage: Damage, seed: u64) -> bool {
        let Some(disk) = &mut self.nodes[index].disk else {
            return false;
        };
        let done = disk.damage(damage, seed);
        self.note(format!("{}: {}", self.nodes[index].name, damage.name()));
        done
    }

    /// A disk has no more room, or has room again.
    pub(in crate::sim) fn fill(&mut self, who: Name, full: bool) {
        let disk = self.find(who).map(|node| &mut self.nodes[node].disk);
        if let Some(Some(disk)) = disk {
            disk.fill(full);
            let words = if full { "is full" } else { "has room again" };
            self.note(format!("the disk of {who} {words}"));
        }
    }

    /// A process stops; its sockets still fill.
    pub fn pause(&mut self, index: usize) {
        if self.nodes[index].is_running() {
            self.nodes[index].state = State::Paused;
            self.record(index, || Event::Paused);
            self.note(format!("{} is stopped", self.nodes[index].name));
        }
    }

    /// A stopped process goes on.
    pub fn resume(&mut self, index: usize) -> Finding {
        if self.nodes[index].state != State::Paused {
            return Ok(());
        }
        self.nodes[index].state = State::Running;
        self.record(index, || Event::Resumed);
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

    /// Remembers that a deed was done now.
    pub(in crate::sim) fn write_deed(&mut self, deed: Deed) {
        self.deeds.push((self.now, deed));
    }

    /// Changes the network and makes syncs reliable: the end of bad weather.
    pub fn calm(&mut self, network: NetworkOptions) {
        self.network.mend();
        self.set_network(network);
        self.options.sync_failure = 0.0;
        // Nor does a sync fail that has begun already.
        let queue = std::mem::take(&mut self.queue);
        self.queue = queue
            .into_iter()
            .map(|Reverse(mut planned)| {
                if let Happening::Synced { node, fails, .. } = &mut planned.happening
                    && std::mem::take(fails)
                {
                    let node = &self.nodes[*node];
                    self.chance.spare(Act {
                        who: node.who,
                        number: node.syncs,
                    });
                }
                Reverse(planned)
            })
            .collect();
    }
}
