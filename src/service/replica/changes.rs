//! Commands that were submitted here and have no place yet, in their order.
//!
//! The client sends them in this order and the log delivers a session in its
//! order, so the next one that is delivered of this session is the first in here.

use std::collections::VecDeque;

use crate::protocol::Time;

/// What waits for a place.
#[derive(Clone, Debug)]
pub(super) struct Changes<T> {
    waiting: VecDeque<Change<T>>,
    /// How many at the front were answered before they had a place.
    given_up: usize,
}

/// A command on its way.
#[derive(Clone, Debug)]
struct Change<T> {
    /// Whom to tell, if anybody is still to be told.
    ticket: Option<T>,
    since: Time,
}

impl<T> Changes<T> {
    pub(super) fn new() -> Changes<T> {
        Changes {
            waiting: VecDeque::new(),
            given_up: 0,
        }
    }

    /// A command was handed to the client.
    pub(super) fn push(&mut self, ticket: Option<T>, since: Time) {
        self.waiting.push_back(Change { ticket, since });
    }

    /// The next command of this session has its place; whom to tell.
    ///
    /// # Panics
    ///
    /// When none was submitted: then something was delivered twice, or counted wrongly.
    pub(super) fn pop(&mut self) -> Option<T> {
        let change = self.waiting.pop_front();
        let change = change.expect("what is delivered of this session was submitted");
        self.given_up = self.given_up.saturating_sub(1);
        change.ticket
    }

    /// So many at the front are gone, or have a place that was not seen here.
    pub(super) fn lose(&mut self, count: u64) -> impl Iterator<Item = T> + '_ {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let count = count.min(self.waiting.len());
        self.given_up = self.given_up.saturating_sub(count);
        self.waiting
            .drain(..count)
            .filter_map(|change| change.ticket)
    }

    /// All behind the first `sent` were taken back.
    pub(super) fn withdraw(&mut self, sent: u64) -> impl Iterator<Item = T> + '_ {
        let sent = usize::try_from(sent).unwrap_or(usize::MAX);
        let sent = sent.min(self.waiting.len());
        self.given_up = self.given_up.min(sent);
        self.waiting
            .drain(sent..)
            .filter_map(|change| change.ticket)
    }

    /// Whom to tell that it takes too long, of those submitted no later than this.
    /// The commands themselves stay: they may still get their place.
    pub(super) fn give_up(&mut self, submitted: Time) -> Vec<T> {
        let mut told = Vec::new();
        while let Some(change) = self.waiting.get_mut(self.given_up)
            && change.since <= submitted
        {
            told.extend(change.ticket.take());
            self.given_up += 1;
        }
        told
    }

    /// Since when the oldest waits that somebody waits for.
    pub(super) fn since(&self) -> Option<Time> {
        self.waiting.get(self.given_up).map(|change| change.since)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
