//! A stand-in for replicas: some learners have checkpoints, or say so.
//!
//! A replica writes a checkpoint now and then and tells the acceptors how far it
//! reaches; they forget what enough of them have. Here a learner whose id counts
//! says it of what it has delivered. It has no checkpoint to come back with: after
//! a restart it begins anew, as a plain learner does, and may find that what it
//! needs is forgotten.

use super::Cluster;
use crate::protocol::{Address, Message, Role};
use crate::sim::node::{Effect, Machine};

impl Cluster {
    /// Lets a learner that counts as a replica say how far its checkpoint reaches,
    /// behind what it delivered in this turn.
    pub(super) fn checkpoint(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let node = &mut self.nodes[index];
        let Machine::Learner(learner) = &node.machine else {
            return;
        };
        let through = learner.delivered();
        let due = node.checkpoint.plus(self.options.checkpoint.max(1));
        if self.options.settings.replicas.contains(node.me.id) && through >= due {
            node.checkpoint = through;
            let message = Message::Checkpointed { through };
            effects.push(Effect::Send(Address::Group(Role::Acceptor), message));
        }
    }

    /// Counts what an acceptor is asked that it has forgotten for good.
    pub(super) fn note_asked(&mut self, index: usize, message: &Message) {
        let node = &self.nodes[index];
        let (Machine::Acceptor(acceptor), Some(_)) = (&node.machine, &node.disk) else {
            return;
        };
        let forgotten = acceptor.forgotten();
        match message {
            Message::Prepare { from, through, .. } if *from <= forgotten => {
                self.strike(match through {
                    Some(_) => "repair of what is trimmed",
                    None => "prepare from below a trim",
                });
            }
            Message::Request { spans, .. } if spans.iter().any(|span| span.from <= forgotten) => {
                self.strike("request of what is trimmed");
            }
            _ => {}
        }
    }
}
