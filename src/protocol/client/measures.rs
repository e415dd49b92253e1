//! How much a client holds.

use super::Client;
use crate::protocol::Measure;

impl Client {
    /// How much it holds, beside how much it may, if it was given values only
    /// while it wanted more.
    pub fn measures(&self) -> Vec<Measure> {
        let in_flight: u64 = self.chunks.iter().map(|chunk| chunk.cost).sum();
        vec![
            Measure::miscount(
                "bytes to be sent, miscounted",
                self.backlog.bytes(),
                self.backlog.count_bytes(),
            ),
            Measure::miscount(
                "bytes in flight, miscounted",
                self.in_flight as usize,
                in_flight as usize,
            ),
            Measure::new(
                "bytes to be sent",
                self.backlog.bytes(),
                self.backlog.most_bytes(Self::BACKLOG, Self::MAX_VALUE),
            ),
        ]
    }

    /// Bytes of socket buffer that what it has under way may take. What the leader
    /// granted, or grants no more, is the limit.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }
}
