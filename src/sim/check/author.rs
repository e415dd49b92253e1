//! What clients were given to submit, and what they were told of it.

use bytes::Bytes;

use super::{Checker, Finding};

/// What the checker knows of one client.
#[derive(Clone, Debug, Default)]
pub(super) struct Author {
    /// Its values, in the order of their submission.
    pub(super) submitted: Vec<Bytes>,
    /// How many of them stand in the log.
    pub(super) logged: usize,
    /// How many of them some learner has delivered.
    pub(super) delivered: usize,
    /// How many of them it was told are delivered.
    pub(super) acknowledged: u64,
    /// How many of its sessions it gave up.
    given_up: usize,
}

impl Checker {
    /// How many values of this client stand in the log.
    pub fn logged_of(&self, client: u16) -> usize {
        self.authors.get(&client).map_or(0, |author| author.logged)
    }

    /// How many values this client was given to submit.
    pub fn submitted_to(&self, client: u16) -> u64 {
        self.authors
            .get(&client)
            .map_or(0, |author| author.submitted.len() as u64)
    }

    /// How many values this client was told are delivered.
    pub fn acknowledged_to(&self, client: u16) -> u64 {
        self.authors
            .get(&client)
            .map_or(0, |author| author.acknowledged)
    }

    /// A client was given a value to submit.
    pub fn submitted(&mut self, client: u16, value: Bytes) {
        let author = self.authors.entry(client).or_default();
        author.submitted.push(value);
    }

    /// A client learns that more of its values were delivered.
    pub fn acknowledged(&mut self, client: u16, values: u64) -> Finding {
        let author = self.authors.entry(client).or_default();
        author.acknowledged += values;
        if author.acknowledged > author.delivered as u64 {
            return Err(format!(
                "client {client} takes {} values for delivered, learners have delivered {}",
                author.acknowledged, author.delivered
            ));
        }
        Ok(())
    }

    /// A client gives its session up, and says of how many values it cannot know
    /// what became.
    pub fn evicted(&mut self, client: u16, lost: u64) -> Finding {
        let author = self.authors.entry(client).or_default();
        author.given_up += 1;
        let refused = self.order.refused_of(client);
        if author.given_up > refused {
            return Err(format!(
                "client {client} gives up {} of its sessions, the log refused {refused}",
                author.given_up
            ));
        }
        let outstanding = author.submitted.len() as u64 - author.acknowledged;
        if lost > outstanding {
            return Err(format!(
                "client {client} says that {lost} values are in doubt, of {outstanding}"
            ));
        }
        Ok(())
    }
}
