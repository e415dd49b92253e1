//! The network: which messages it carries, and for whom.
//!
//! It holds on to everything. A message is one parcel for each process that it is
//! addressed to, and each of them hears it any number of times, or never.

use paxcast::protocol::{Address, Instance, Message, ProcessId, Role, Span};

use super::bounds::{Bounds, PROPOSERS};
use super::process::{Fact, LEARNER, PROCESSES, identity};

/// A message on the network, for one process. It stays there: it can be heard
/// again, later, or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parcel {
    /// Who said it.
    pub from: ProcessId,
    /// Whom it is for, by index.
    pub to: usize,
    /// What.
    pub message: Message,
}

/// What leaves a process in one step.
pub struct Carried<'a> {
    /// What the exploration is bounded by.
    pub bounds: &'a Bounds,
    /// The index of the process.
    pub from: usize,
    /// What the network carries of what it said.
    pub sent: Vec<Parcel>,
    /// What an observer may know.
    pub facts: Vec<Fact>,
}

impl Carried<'_> {
    /// A message leaves, for everybody it is addressed to and that it matters to.
    pub fn say(&mut self, from: ProcessId, to: Address, message: Message) {
        let carried = match &message {
            Message::Accept { instance, .. } => instance.0 <= self.bounds.instances,
            // A candidate or a new leader says that it is there. That keeps others
            // patient, and patience is free here.
            Message::Heartbeat { decided, .. } => *decided > Instance::ZERO,
            Message::Prepare { .. }
            | Message::Promise { .. }
            | Message::Accepted { .. }
            | Message::Votes { .. } => true,
            Message::Nack { .. } => self.bounds.refusals,
            // To clients, and of lives and buffers.
            _ => false,
        };
        if !carried {
            return;
        }
        let candidate = matches!(message, Message::Prepare { .. });
        for index in 0..PROCESSES {
            let process = identity(index, 0);
            let addressed = match to {
                Address::Process(to) => (to.role, to.id) == (process.role, process.id),
                Address::Group(Role::Acceptor) => {
                    process.role == Role::Acceptor || process.role == Role::Learner && !candidate
                }
                Address::Group(Role::Learner) => {
                    matches!(process.role, Role::Learner | Role::Proposer)
                }
                Address::Group(role) => process.role == role,
            };
            let deaf = process.role == Role::Learner && !self.bounds.learner;
            if addressed && !deaf && index != self.from {
                self.sent.push(Parcel {
                    from,
                    to: index,
                    message: message.clone(),
                });
            }
        }
        self.facts.push(Fact::Said(from, message));
    }
}

/// What is on the network from the start.
pub fn first_parcels(bounds: &Bounds) -> Vec<Parcel> {
    let from = identity(LEARNER, 0);
    let mut parcels = Vec::new();
    if bounds.requests {
        for to in PROPOSERS..LEARNER {
            let span = Span {
                from: Instance(1),
                through: Instance(bounds.instances),
            };
            let message = Message::Request {
                acceptor: identity(to, 0).id,
                spans: vec![span],
                bytes: 1 << 16,
                everyone: false,
            };
            parcels.push(Parcel { from, to, message });
        }
    }
    parcels
}
