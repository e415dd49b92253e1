//! What a nemesis gets to see.

use super::Cluster;
use crate::protocol::Record;
use crate::sim::sight::Sight;

impl Cluster {
    /// Gathers sights from now on.
    pub fn look_out(&mut self) {
        self.sights.get_or_insert_default();
    }

    /// Gathers none any more.
    pub fn look_away(&mut self) {
        self.sights = None;
    }

    /// Gives what was gathered since it was last asked for.
    pub fn take_sights(&mut self) -> Vec<Sight> {
        self.sights.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Something to be seen, if there is anything in it and anyone looks.
    pub(super) fn show(&mut self, sight: impl FnOnce() -> Option<Sight>) {
        if let Some(sights) = &mut self.sights {
            sights.extend(sight());
        }
    }

    /// An acceptor wrote this, and it is not synced yet.
    pub(super) fn show_record(&mut self, index: usize, record: &Record) {
        let who = self.nodes[index].who;
        self.show(|| match record {
            Record::Promised { .. } => Some(Sight::Promising(who)),
            Record::Voted { vote } => Some(Sight::Voting(who, vote.ballot, vote.instance)),
            Record::Trimmed { .. } => Some(Sight::Trimming(who)),
            Record::Watermark { .. } => None,
        });
    }
}
