//! What a process does when it is its turn: it reads, thinks, writes, syncs, sends.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Cluster, Happening};
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Record, Time};
use crate::sim::chance::{Act, Sync};
use crate::sim::check::Finding;
use crate::sim::disk::Disk;
use crate::sim::history::Event;
use crate::sim::node::{Effect, Held, Input, Machine};
use crate::sim::random::Random;
use crate::sim::sight::Sight;
use crate::storage::StorageError;
use crate::storage::memory::Fault;
use crate::wire;

impl Cluster {
    /// The time a turn takes.
    pub(super) const TURN: Duration = Duration::from_micros(10);

    /// The time that each datagram in it takes on top.
    const DATAGRAM: Duration = Duration::from_micros(2);

    /// One turn of a process.
    pub(super) fn turn(&mut self, index: usize) -> Finding {
        let node = &mut self.nodes[index];
        node.turns += 1;
        let turn = Act {
            who: node.who,
            number: node.turns,
        };
        let local = node.clock.shows(self.now);
        let (from, through) = self.options.turn;
        let most = self
            .chance
            .turns(turn, || self.random.between(from, through));
        let mut effects = Vec::new();
        let mut taken = 0;
        while taken < most {
            let node = &mut self.nodes[index];
            let Some(waiting) = node.inbox.pop() else {
                break;
            };
            taken += 1;
            let decoded = wire::decode(&self.scope, waiting.bytes);
            if let Some(parcel) = &waiting.parcel {
                let reject = decoded.as_ref().err().copied();
                self.record(index, || Event::Heard(parcel.clone(), reject));
            }
            let node = &mut self.nodes[index];
            match decoded {
                Ok(datagram) => {
                    node.heard.insert(datagram.sender, waiting.port);
                    self.note_asked(index, &datagram.message);
                    let node = &mut self.nodes[index];
                    let input = Input::Message(datagram.sender, datagram.message);
                    node.machine.take(local, input, &mut effects);
                }
                Err(_) => self.strike("rejected datagram"),
            }
        }
        if !self.nodes[index].inbox.is_empty() {
            self.chance.cut_short(turn, taken);
        }
        self.feed(index);
        self.open_checkpoint(index, &mut effects);
        self.tell(index, &effects)?;
        self.serve(index)?;
        let node = &mut self.nodes[index];
        if node.machine.next_timeout().is_some_and(|due| due <= local) {
            node.machine.take(local, Input::Timeout, &mut effects);
        }
        node.machine.take(local, Input::Finish, &mut effects);
        self.checkpoint(index, &mut effects);
        let node = &mut self.nodes[index];
        node.busy = self.now + Cluster::TURN + Cluster::DATAGRAM * taken as u32;
        self.carry_out(index, effects)?;
        self.replan(index);
        Ok(())
    }

    /// Hands a client the values whose time has come.
    pub(super) fn feed(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let local = node.clock.shows(self.now);
        let Machine::Client(client) = &mut node.machine else {
            return;
        };
        while client.wants_more() {
            match node.to_submit.front() {
                Some((at, _)) if *at <= self.now => {
                    let (_, value) = node.to_submit.pop_front().expect("it has a front");
                    client.submit(local, &value);
                    if let Some(history) = &mut self.history {
                        history.add(self.now, Some(index), Event::Submitted(value));
                    }
                }
                _ => return,
            }
        }
    }

    /// Does what a role wants done, in order.
    pub(super) fn carry_out(&mut self, index: usize, effects: Vec<Effect>) -> Finding {
        let mut effects = VecDeque::from(effects);
        let mut volatile = Vec::new();
        while let Some(effect) = effects.pop_front() {
            let me = self.nodes[index].me;
            match effect {
                Effect::Send(to, message) => {
                    let node = &mut self.nodes[index];
                    let after = node.disk.as_ref().map_or(0, Disk::written);
                    node.held.push_back(Held { after, to, message });
                }
                Effect::Record(record) => {
                    self.record(index, || Event::Wrote(record.clone()));
                    self.show_record(index, &record);
                    if let Record::Trimmed { .. } = record {
                        self.strike("trim");
                    }
                    match &mut self.nodes[index].disk {
                        Some(disk) => disk.append(record).expect("a segment holds any record"),
                        None => {
                            self.checker.recorded(me.id, &record)?;
                            volatile.push(record);
                        }
                    }
                }
                Effect::Lookup(lookup) => {
                    self.strike("lookup");
                    let node = &mut self.nodes[index];
                    node.lookups += 1;
                    let act = Act {
                        who: node.who,
                        number: node.lookups,
                    };
                    let start = node.start;
                    let (from, through) = self.options.sync;
                    let slow = self.options.slow_reads;
                    let takes = self
                        .chance
                        .looks_up(act, || slow.then(|| self.disks.duration(from, through)));
                    if let Some(delay) = takes {
                        let happening = Happening::Found {
                            node: index,
                            start,
                            lookup,
                        };
                        self.plan(self.now + delay, happening);
                    } else {
                        let node = &mut self.nodes[index];
                        let disk = node.disk.as_mut().expect("it was asked");
                        let found = disk.lookup(lookup).expect("a good disk answers");
                        let local = node.clock.shows(self.now);
                        let mut more = Vec::new();
                        node.machine.take(local, Input::Found(found), &mut more);
                        effects.extend(more);
                    }
                }
                Effect::Delivered(position, delivered) => {
                    self.record(index, || Event::Delivered(position, delivered.clone()));
                    let line = format!(
                        "{} delivers {position}: {} {} at {}, {} bytes",
                        self.nodes[index].name,
                        delivered.session,
                        delivered.number,
                        delivered.instance,
                        delivered.value.len()
                    );
                    self.trace.note(self.now, line);
                    self.checker.delivered(me, position, &delivered)?;
                }
                Effect::Replied(place, reply) => self.replied(index, place, &reply)?,
                Effect::Acknowledged(values) => {
                    self.record(index, || Event::Acknowledged(values));
                    let line = format!("{} has {values} more", self.nodes[index].name);
                    self.trace.note(self.now, line);
                    self.checker.acknowledged(me.id, values)?;
                }
                Effect::Evicted(lost) => {
                    self.record(index, || Event::Evicted(lost));
                    self.note(format!(
                        "{} is evicted, {lost} lost",
                        self.nodes[index].name
                    ));
                    self.checker.evicted(me.id, lost)?;
                    if lost > 0 {
                        // As the daemon does: nobody knows what became of those.
                        self.strike("client evicted");
                        return self.kill(index);
                    }
                }
                Effect::Wanted(wanted) => {
                    let node = &mut self.nodes[index];
                    let found = node.shelf.read(wanted);
                    let local = node.clock.shows(self.now);
                    let mut more = Vec::new();
                    node.machine.take(local, Input::Part(found), &mut more);
                    effects.extend(more);
                }
                Effect::Behind(instance) => {
                    self.note(format!(
                        "{} lacks {instance}, which is forgotten",
                        self.nodes[index].name
                    ));
                    self.checker.behind(me, instance)?;
                    self.strike("replica behind what is remembered");
                }
                Effect::Restored(place, through, content) => {
                    self.strike("checkpoint from another replica");
                    self.restored(index, place, through, content)?;
                }
                Effect::Diverged(instance) => {
                    let name = &self.nodes[index].name;
                    return Err(format!(
                        "{name} has another state than others behind {instance}"
                    ));
                }
                Effect::Lost(instance) => {
                    self.note(format!(
                        "{} ends: {instance} is forgotten",
                        self.nodes[index].name
                    ));
                    self.checker.lost(me, instance)?;
                    self.strike(match self.options.durable {
                        Some(_) => "learner behind a trim",
                        None => "learner behind what is remembered",
                    });
                    self.nodes[index].lost = true;
                    // As the daemon does.
                    return self.kill(index);
                }
                Effect::Elected(ballot) => {
                    self.record(index, || Event::Elected(ballot));
                    let who = self.nodes[index].who;
                    self.show(|| Some(Sight::Leading(who)));
                    self.note(format!("{} leads {ballot}", self.nodes[index].name));
                }
                Effect::Deposed(ballot) => {
                    self.record(index, || Event::Deposed(ballot));
                    self.note(format!(
                        "{} no longer leads {ballot}",
                        self.nodes[index].name
                    ));
                }
            }
        }
        if !volatile.is_empty() {
            self.tell_double(index, &volatile)?;
        }
        self.sync(index);
        self.release(index)
    }

    /// Begins a sync when there is something to sync and none is under way.
    pub(super) fn sync(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let waits = |disk: &Disk| disk.written() > disk.synced();
        if node.syncing || !node.disk.as_ref().is_some_and(waits) {
            return;
        }
        node.syncing = true;
        let start = node.start;
        node.syncs += 1;
        let act = Act {
            who: node.who,
            number: node.syncs,
        };
        let (from, through) = self.options.sync;
        let failure = self.options.sync_failure;
        let sync = self.chance.syncs(act, || Sync {
            takes: self.disks.duration(from, through),
            fails: self.disks.chance(failure),
        });
        let happening = Happening::Synced {
            node: index,
            start,
            fails: sync.fails,
        };
        self.plan(self.now + sync.takes, happening);
    }

    /// A sync comes to its end. What trims before it let go is deleted; what was appended is safe, also what was appended
    /// meanwhile, and the observers look at it. A failure ends the process.
    pub(super) fn settle(&mut self, index: usize, fails: bool) -> Finding {
        let node = &mut self.nodes[index];
        let disk = node.disk.as_mut().expect("only disks are synced");
        if fails {
            // The write fails, or the sync behind it.
            let which = format!("{}/{}", node.who, node.syncs);
            disk.fail(Random::new(self.seed, &which).between(1, 2), Fault::Broken);
        }
        let mut segments = 0;
        let synced = disk.trim().and_then(|deleted| {
            segments = deleted;
            disk.sync()
        });
        let error = match synced {
            Ok(records) => {
                let records = records.to_vec();
                for record in &records {
                    self.checker.recorded(node.me.id, record)?;
                }
                self.record(index, || Event::Synced(records.len()));
                if segments > 0 {
                    self.strike("segments deleted");
                }
                return self.tell_double(index, &records);
            }
            Err(error) => error,
        };
        self.strike(match error {
            StorageError::Full { .. } => "disk full",
            _ => "failed sync",
        });
        self.note(format!("{} stops: {error}", self.nodes[index].name));
        self.kill(index)
    }

    /// Sends what need not wait any more.
    pub(super) fn release(&mut self, index: usize) -> Finding {
        loop {
            let node = &mut self.nodes[index];
            match node.held.front() {
                Some(held)
                    if held.after <= node.disk.as_ref().map_or(0, Disk::synced)
                        || mutant(Mutant::SendBeforeSync) =>
                {
                    let held = node.held.pop_front().expect("it has a front");
                    self.transmit(index, held.to, &held.message)?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Plans the next turn of a process from what it waits for.
    pub(super) fn replan(&mut self, index: usize) {
        let node = &self.nodes[index];
        let mut next = node
            .machine
            .next_timeout()
            .map(|due| node.clock.reaches(due));
        if !node.inbox.is_empty() {
            next = Some(self.now);
        }
        if let Machine::Client(client) = &node.machine
            && let Some((at, _)) = node.to_submit.front()
            && client.wants_more()
        {
            next = Some(next.map_or(*at, |next| next.min(*at)));
        }
        if let Some(at) = self.user_at(index) {
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        if let Some(at) = next {
            self.plan_turn(index, at);
        }
    }

    /// Plans a turn at this time, or as soon as the process is free.
    pub(super) fn plan_turn(&mut self, index: usize, at: Time) {
        let node = &mut self.nodes[index];
        let waits = self.options.sync_blocks && node.syncing;
        if !node.is_running() || waits {
            return;
        }
        let at = at.max(node.busy).max(self.now);
        if node.turn.is_some_and(|turn| turn <= at) {
            return;
        }
        node.turn = Some(at);
        let start = node.start;
        self.plan(at, Happening::Turn { node: index, start });
    }
}
