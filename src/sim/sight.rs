//! What there is to see of a cluster for whoever waits for a moment to strike.

use super::name::Name;
use crate::protocol::{Ballot, Instance, Message};

/// Something that a nemesis sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// An acceptor wrote a promise that is not synced yet.
    Promising(Name),
    /// An acceptor wrote that it forgets something, and it is not synced yet.
    Trimming(Name),
    /// An acceptor wrote a vote that is not synced yet.
    Voting(Name, Ballot, Instance),
    /// A proposer asked for a ballot, or for what is left of a promise.
    Asking(Name, Ballot),
    /// An acceptor told a part of its promise; more is to come.
    HalfPromised(Name, Ballot),
    /// A proposer leads.
    Leading(Name),
    /// A leader proposed.
    Proposing(Name, Ballot, Instance),
    /// An acceptor told a vote.
    Voted(Name, Ballot, Instance),
    /// A learner told clients what it has delivered.
    Acknowledging(Name),
}

impl Sight {
    /// What there is to see in a message that leaves.
    pub(super) fn of(from: Name, message: &Message) -> Option<Sight> {
        match message {
            Message::Prepare { ballot, .. } => Some(Sight::Asking(from, *ballot)),
            Message::Promise {
                ballot,
                through: Some(_),
                ..
            } => Some(Sight::HalfPromised(from, *ballot)),
            Message::Accept {
                ballot, instance, ..
            } => Some(Sight::Proposing(from, *ballot, *instance)),
            Message::Accepted { ballot, instances } => {
                let last = instances.last()?;
                Some(Sight::Voted(from, *ballot, last.through))
            }
            Message::Acknowledge { .. } => Some(Sight::Acknowledging(from)),
            _ => None,
        }
    }
}
