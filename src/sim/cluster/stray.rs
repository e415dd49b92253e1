//! Datagrams that have no business here: copies from long ago, from this very run,
//! and what strangers on the same groups send.
//!
//! While somebody asks for it, a sample of what is sent is kept. A copy of it may
//! come minutes later, after its sender or its receiver has started anew; a
//! stranger's datagram is one of them, as another cluster, another configuration
//! or another version would have sent it, or bytes that nobody would send.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Cluster, Happening};
use crate::protocol::checksum;
use crate::protocol::{Ballot, Instance, Message, Payload, ProcessId, Role};
use crate::sim::node::{Machine, Socket, State, Waiting};
use crate::sim::random::Random;
use crate::sim::stray::Stray;
use crate::wire::{self, Scope};

/// A datagram that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Whose group it was for, or the process.
    to: Result<Role, usize>,
    from: usize,
    port: u64,
    bytes: Bytes,
}

/// A sample of what was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    kept: VecDeque<Sample>,
    seen: u64,
}

impl Samples {
    /// How many datagrams are kept.
    const MOST: usize = 512;

    /// One of so many is kept.
    const EVERY: u64 = 7;

    fn add(&mut self, sample: Sample) {
        self.seen += 1;
        if !self.seen.is_multiple_of(Self::EVERY) {
            return;
        }
        if self.kept.len() == Self::MOST {
            // Old ones stay as likely as new ones.
            let place = (self.seen / Self::EVERY * 0x9e37_79b9) as usize % Self::MOST;
            self.kept.remove(place);
        }
        self.kept.push_back(sample);
    }
}

impl Cluster {
    /// Keeps a sample of what is sent from now on.
    pub fn keep_samples(&mut self) {
        self.samples.get_or_insert_default();
    }

    /// A datagram was sent to a group or to a process.
    pub(super) fn sample(&mut self, from: usize, to: Result<Role, Option<usize>>, bytes: &Bytes) {
        let Some(samples) = &mut self.samples else {
            return;
        };
        let to = match to {
            Ok(role) => Ok(role),
            Err(Some(node)) => Err(node),
            Err(None) => return,
        };
        samples.add(Sample {
            to,
            from,
            port: self.nodes[from].port,
            bytes: bytes.clone(),
        });
    }

    /// Stray datagrams of a kind arrive here and there; a seed says which and
    /// where. Says whether there were any.
    pub(in crate::sim) fn stray(&mut self, stray: Stray, seed: u64) -> bool {
        let mut random = Random::new(seed, stray.name());
        let kept = self.samples.as_ref().map(|samples| samples.kept.clone());
        let Some(kept) = kept.filter(|kept| !kept.is_empty()) else {
            return false;
        };
        for _ in 0..random.between(1, 24) {
            let sample = &kept[random.place(kept.len())];
            let Some(bytes) = self.forge(stray, &sample.bytes, &mut random) else {
                continue;
            };
            let receivers: Vec<usize> = match sample.to {
                Ok(role) => (0..self.nodes.len())
                    .filter(|&node| Socket::is_joined(role, self.nodes[node].me.role))
                    .collect(),
                Err(node) => vec![node],
            };
            for receiver in receivers {
                if receiver == sample.from || self.nodes[receiver].state == State::Dead {
                    continue;
                }
                if stray == Stray::Store && !self.knows_author(receiver, &sample.bytes) {
                    continue;
                }
                let waiting = Waiting {
                    socket: sample.to.map_or(Socket::Own, Socket::Group),
                    port: sample.port,
                    from: sample.from,
                    bytes: bytes.clone(),
                    parcel: None,
                };
                let arrival = Happening::Arrival {
                    node: receiver,
                    port: None,
                    waiting,
                    damaged: None,
                };
                let at = match stray {
                    Stray::Store => self.now,
                    _ => self.now + random.duration(Cluster::TURN, 100 * Cluster::TURN),
                };
                self.plan(at, arrival);
            }
        }
        true
    }

    /// Whether a process counts the acceptor that sent a datagram: who does not
    /// know the true one yet cannot tell another one from it.
    fn knows_author(&self, receiver: usize, bytes: &Bytes) -> bool {
        let Some(author) = self.author(bytes) else {
            return false;
        };
        let known = match &self.nodes[receiver].machine {
            Machine::Proposer(proposer) => proposer.acceptor(author.id),
            Machine::Learner(learner) => learner.acceptor(author.id),
            Machine::Replica(replica) => replica.acceptor(author.id),
            Machine::Client(_) | Machine::Acceptor(_) => Some(author),
        };
        known == Some(author)
    }

    /// Who sent a datagram of ours.
    fn author(&self, bytes: &Bytes) -> Option<ProcessId> {
        let datagram = wire::decode(&self.scope, bytes.clone()).ok()?;
        Some(datagram.sender)
    }

    /// What a stranger makes of a datagram of ours.
    fn forge(&self, stray: Stray, bytes: &Bytes, random: &mut Random) -> Option<Bytes> {
        let mut other = |scope: Scope| {
            let datagram = wire::decode(&self.scope, bytes.clone()).ok()?;
            let mut buffer = BytesMut::new();
            let (mut sender, sequence) = (datagram.sender, datagram.sequence);
            if stray == Stray::Store {
                sender.incarnation = sender.incarnation.wrapping_add(1);
            }
            let message = elsewhere(datagram.message, random.between(1, 3));
            wire::encode(&scope, sender, sequence, &message, &mut buffer);
            Some(buffer.freeze())
        };
        match stray {
            Stray::Echo => Some(bytes.clone()),
            Stray::Cluster => other(Scope {
                cluster: self.scope.cluster.wrapping_add(1),
                ..self.scope
            }),
            Stray::Config => other(Scope {
                config: self.scope.config.wrapping_add(1),
                ..self.scope
            }),
            Stray::Version => {
                let whole = other(self.scope)?;
                let mut whole = BytesMut::from(&whole[..whole.len() - wire::TAG]);
                whole[wire::MAGIC.len()] = wire::VERSION.wrapping_add(random.between(1, 200) as u8);
                Some(tagged(whole))
            }
            Stray::Store => {
                let acceptor = self.author(bytes)?.role == Role::Acceptor;
                acceptor.then(|| other(self.scope)).flatten()
            }
            Stray::Absurd => {
                let sender = ProcessId {
                    role: Role::Proposer,
                    id: 9,
                    incarnation: random.number(),
                };
                let ballot = Ballot {
                    round: u64::MAX - random.between(0, 2),
                    proposer: sender.id,
                    incarnation: sender.incarnation,
                };
                let message = match random.chance(0.5) {
                    true => Message::Prepare {
                        ballot,
                        from: Instance(1),
                        through: None,
                    },
                    false => Message::Heartbeat {
                        ballot,
                        decided: Instance::ZERO,
                    },
                };
                let mut buffer = BytesMut::new();
                wire::encode(&self.scope, sender, 1, &message, &mut buffer);
                Some(buffer.freeze())
            }
            Stray::Garbage => {
                let length = random.between(0, 200);
                Some((0..length).map(|_| random.number() as u8).collect())
            }
            Stray::Malformed => {
                // Nothing that is cut off anywhere is a message, whatever its tag says.
                let body = &bytes[..bytes.len() - wire::TAG];
                let cut = random.between(wire::HEADER as u64, body.len() as u64 - 1);
                Some(tagged(BytesMut::from(&body[..cut as usize])))
            }
        }
    }
}

/// What another cluster would say in this place: the like of it, of other values
/// and `ahead` instances or numbers further on.
fn elsewhere(message: Message, ahead: u64) -> Message {
    let mut message = message;
    match &mut message {
        Message::Accept { decided, value, .. } => {
            *decided = decided.plus(ahead);
            *value = Payload::new(Bytes::from_static(b"another cluster's"));
        }
        Message::Accepted { instances, .. } => {
            for span in instances {
                span.through = span.through.plus(ahead);
            }
        }
        Message::Heartbeat { decided, .. } => *decided = decided.plus(ahead),
        Message::Promise { votes, .. } => votes.clear(),
        Message::Votes { watermarks, .. } => {
            for watermark in watermarks {
                watermark.through = watermark.through.plus(ahead);
            }
        }
        Message::Acknowledge { sessions, .. } => {
            for progress in sessions {
                progress.last += ahead;
            }
        }
        _ => {}
    }
    message
}

/// These bytes with the tag that belongs to them.
fn tagged(mut bytes: BytesMut) -> Bytes {
    let tag = checksum::of(&bytes);
    bytes.put_u32_le(tag);
    bytes.put_bytes(0, wire::TAG - 4);
    bytes.freeze()
}
