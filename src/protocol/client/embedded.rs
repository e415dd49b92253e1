//! A client inside of a replica, which asks it how far it is.

use super::Client;
use crate::protocol::Session;

impl Client {
    /// The session that values are sent under now.
    pub fn session(&self) -> Session {
        self.session
    }

    /// How many values were sent, in whole or in part, and are not acknowledged.
    pub fn sent(&self) -> u64 {
        let whole: u64 = self.chunks.iter().map(|chunk| chunk.values).sum();
        whole + u64::from(self.backlog.is_midway())
    }

    /// How many of the values sent end at or below this number of the session.
    pub fn sent_through(&self, last: u64) -> u64 {
        let chunks = self.chunks.iter();
        let ends = chunks.flat_map(|chunk| {
            let items = chunk.run.items().zip(chunk.run.first..);
            items.filter(|(item, _)| !item.continues)
        });
        ends.take_while(|(_, number)| *number <= last).count() as u64
    }

    /// Takes back the values of which nothing was sent yet: it is as if they had
    /// never been submitted.
    pub fn withdraw(&mut self) {
        self.backlog.drop_unsent();
    }
}
