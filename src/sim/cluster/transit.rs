//! The way of a datagram from one process into the sockets of others.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{Cluster, Happening};
use crate::protocol::{Address, Message, ProcessId};
use crate::sim::chance::Way;
use crate::sim::check::Finding;
use crate::sim::history::Event;
use crate::sim::node::{Socket, State, Waiting};
use crate::sim::sight::Sight;
use crate::sim::trace::Line;
use crate::wire;

/// A datagram on its way to one receiver, shown to a [`Filter`].
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    /// Who sends it.
    pub from: ProcessId,
    /// The sender's count of datagrams since its last start.
    pub sequence: u64,
    /// Who would hear it.
    pub to: ProcessId,
    /// What it says.
    pub message: &'a Message,
}

/// What is done on purpose to a datagram on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// Nothing.
    None,
    /// It is lost.
    Lose,
    /// It takes so much longer.
    Delay(Duration),
    /// It comes once more, so much later.
    Repeat(Duration),
}

/// Decides what is done on purpose to datagrams.
pub type Filter = Box<dyn FnMut(Passage<'_>) -> Meddling>;

impl Cluster {
    /// A datagram reaches a host.
    pub(super) fn arrive(
        &mut self,
        index: usize,
        port: Option<u64>,
        mut waiting: Waiting,
        damaged: Option<u64>,
    ) {
        let node = &self.nodes[index];
        if node.state == State::Dead || port.is_some_and(|port| port != node.port) {
            self.record_parcel(index, &waiting.parcel, Event::Missed);
            return;
        }
        if let Some(bit) = damaged {
            let mut bytes = waiting.bytes.to_vec();
            let at = (bit / 8) as usize % bytes.len();
            bytes[at] ^= 1 << (bit % 8);
            waiting.bytes = bytes.into();
            self.strike("corruption");
        }
        let (from, bytes) = (waiting.from, waiting.bytes.clone());
        let parcel = waiting.parcel.clone();
        let taken = self.nodes[index].inbox.push(waiting);
        if !taken {
            self.strike("buffer overflow");
        }
        let verb = if taken { "arrives" } else { "overflow" };
        let event = if taken {
            Event::Arrived
        } else {
            Event::Overflowed
        };
        self.record_parcel(index, &parcel, event);
        self.trace_datagram(verb, from, index, bytes);
        if taken && self.nodes[index].is_running() {
            self.plan_turn(index, self.now + Cluster::TURN);
        }
    }

    /// A message leaves.
    pub(super) fn transmit(&mut self, index: usize, to: Address, message: &Message) -> Finding {
        let node = &mut self.nodes[index];
        let me = node.me;
        let mut buffer = BytesMut::new();
        wire::encode(&self.scope, me, node.sequence, message, &mut buffer);
        let sequence = node.sequence;
        node.sequence += 1;
        node.sent += 1;
        let number = node.sent;
        let bytes = buffer.freeze();
        let own = node.port;
        let port = match to {
            Address::Process(process) => node.heard.get(&process).copied(),
            Address::Group(_) => None,
        };
        let group = match (to, port) {
            (Address::Group(role), _) => Some(role),
            (Address::Process(process), None) => Some(process.role),
            (Address::Process(_), Some(_)) => None,
        };
        let label: Arc<str> = match (group, to) {
            (Some(role), _) => role.plural().into(),
            (None, Address::Process(process)) => process.to_string().into(),
            (None, Address::Group(role)) => role.plural().into(),
        };
        let sent = self.record_send(index, &label, &bytes);
        let line = Line::Datagram {
            verb: "sends",
            from: self.nodes[index].name.clone(),
            to: label,
            bytes: bytes.clone(),
        };
        self.trace.add(self.now, line);
        if bytes.len() > self.options.settings.datagram {
            return Err(format!(
                "{me} sends a {} of {} bytes, the limit is {}",
                message.name(),
                bytes.len(),
                self.options.settings.datagram
            ));
        }
        if let Some(sent) = &mut self.sent {
            sent.push((me, message.clone()));
        }
        self.checker.sent(me, message)?;
        let who = self.nodes[index].who;
        self.show(|| Sight::of(who, message));
        let receivers: Vec<usize> = match (group, port) {
            (Some(role), _) => (0..self.nodes.len())
                .filter(|&other| self.nodes[other].hears(role))
                .collect(),
            (None, Some(port)) => self.ports.get(&port).copied().into_iter().collect(),
            (None, None) => Vec::new(),
        };
        self.sample(index, group.ok_or(receivers.first().copied()), &bytes);
        let socket = group.map_or(Socket::Own, Socket::Group);
        for receiver in receivers {
            if receiver == index {
                continue;
            }
            let passage = Passage {
                from: me,
                sequence,
                to: self.nodes[receiver].me,
                message,
            };
            // Every filter looks, so that those which count see all of it.
            let (mut lost, mut later, mut again) = (false, Duration::ZERO, None);
            for filter in &mut self.filters {
                match filter(passage) {
                    Meddling::None => {}
                    Meddling::Lose => lost = true,
                    Meddling::Delay(longer) => later += longer,
                    Meddling::Repeat(after) => again = Some(after),
                }
            }
            later += self.is_kept_waiting(self.nodes[receiver].me, message);
            if self.is_kept_from(self.nodes[receiver].me, message) {
                self.strike("kept ignorant");
                lost = true;
            }
            let parcel = self.record_leave(&sent, receiver, false);
            if lost {
                self.record_parcel(receiver, &parcel, |parcel| {
                    Event::Lost(parcel, "lost on purpose")
                });
                self.trace_datagram("lost on purpose", index, receiver, bytes.clone());
                continue;
            }
            let waiting = Waiting {
                socket,
                port: own,
                from: index,
                bytes: bytes.clone(),
                parcel,
            };
            let way = Way {
                from: self.nodes[index].who,
                number,
                to: self.nodes[receiver].who,
            };
            self.send_one(way, (later, again), (index, receiver), port, waiting);
        }
        Ok(())
    }

    /// Sends one copy to one receiver, as the network has it, so much later and
    /// perhaps once more.
    fn send_one(
        &mut self,
        way: Way,
        (later, again): (Duration, Option<Duration>),
        (from, to): (usize, usize),
        port: Option<u64>,
        waiting: Waiting,
    ) {
        if self.network.is_cut(from, to, port.is_none()) {
            self.lose("partition", from, to, waiting);
            return;
        }
        let by_size = self.network.lost_by_size();
        let course = self.chance.passes(way, || {
            self.network.course(self.now, from, to, waiting.bytes.len())
        });
        if course.lost {
            // Told again it is a loss like any other, so the trace names it so.
            if self.network.lost_by_size() > by_size {
                self.strike("loss by size");
            }
            self.lose("loss", from, to, waiting);
            return;
        }
        let at = self.now + course.takes + later;
        if let Some(after) = course.again.or(again) {
            self.strike("duplication");
            let mut waiting = waiting.clone();
            let sent = waiting.parcel.map(|first| first.sent.clone());
            waiting.parcel = self.record_leave(&sent, to, true);
            let copy = Happening::Arrival {
                node: to,
                port,
                waiting,
                damaged: None,
            };
            self.plan(at + after, copy);
        }
        let arrival = Happening::Arrival {
            node: to,
            port,
            waiting,
            damaged: course.damaged,
        };
        self.plan(at, arrival);
    }

    /// A datagram never arrives.
    fn lose(&mut self, kind: &'static str, from: usize, to: usize, waiting: Waiting) {
        self.strike(kind);
        self.record_parcel(to, &waiting.parcel, |parcel| Event::Lost(parcel, kind));
        self.trace_datagram(kind, from, to, waiting.bytes);
    }

    pub(super) fn trace_datagram(
        &mut self,
        verb: &'static str,
        from: usize,
        to: usize,
        bytes: Bytes,
    ) {
        let line = Line::Datagram {
            verb,
            from: self.nodes[from].name.clone(),
            to: self.nodes[to].name.clone(),
            bytes,
        };
        self.trace.add(self.now, line);
    }
}
