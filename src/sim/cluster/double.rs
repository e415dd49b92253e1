//! The double of an acceptor: what a restart would make of it.
//!
//! An acceptor is what it has written down. So beside each one a second is kept
//! that is told nothing but the records that are durable, and whenever all are,
//! the two must remember the same: otherwise something was promised or voted for
//! that no restart would know of. Now and then, and at the end of a run, the
//! double is rebuilt from the disk itself, as a restart would do it.

use super::Cluster;
use crate::protocol::{Acceptor, Record, Role};
use crate::sim::check::Finding;
use crate::sim::node::Machine;

impl Cluster {
    /// Of so many syncs, one is followed by a look at the disk.
    const REHEARSAL: u64 = 64;

    /// So are all that make a trim durable, and the first after a restart: what is
    /// written first lies where the crash left its traces.
    const FIRST: u64 = 3;

    /// Records of an acceptor became durable: its double hears of them.
    pub(super) fn tell_double(&mut self, index: usize, records: &[Record]) -> Finding {
        let node = &mut self.nodes[index];
        let (Machine::Acceptor(acceptor), Some(double)) = (&node.machine, &mut node.double) else {
            return Ok(());
        };
        for record in records {
            double.replay(record.clone());
        }
        node.synced += 1;
        if !double.remembers_like(acceptor) {
            return Err(differ(&node.name, acceptor, double));
        }
        let first = node.start > 0 && node.synced <= Self::FIRST;
        let trims = |record: &Record| matches!(record, Record::Trimmed { .. });
        let often = node.synced.is_multiple_of(Self::REHEARSAL);
        match first || often || records.iter().any(trims) {
            true => {
                let syncs = node.synced;
                self.rehearse(index, Some(syncs))
            }
            false => Ok(()),
        }
    }

    /// Opens a copy of every disk after a power failure: at the end of a run, each
    /// must be fit for a restart.
    pub fn rehearse_all(&self) -> Finding {
        for index in self.nodes_of(Role::Acceptor) {
            self.rehearse(index, Some(self.nodes[index].synced))?;
        }
        Ok(())
    }

    /// Opens a copy of an acceptor's disk, as a restart would, perhaps after a
    /// power failure, and compares what comes of it with the acceptor that runs.
    fn rehearse(&self, index: usize, power: Option<u64>) -> Finding {
        let node = &self.nodes[index];
        let Some(disk) = node.disk.as_ref().filter(|disk| !disk.is_damaged()) else {
            return Ok(());
        };
        let records = disk
            .rehearse(power)
            .map_err(|words| format!("{}: {words}", node.name))?;
        let Machine::Acceptor(acceptor) = &node.machine else {
            return Ok(());
        };
        if !node.is_running() || disk.written() > disk.synced() {
            return Ok(());
        }
        let double = rebuilt(self.acceptor(node.me), records);
        match double.remembers_like(acceptor) {
            true => Ok(()),
            false => Err(differ(&node.name, acceptor, &double)),
        }
    }
}

/// An acceptor that is told these records.
pub(super) fn rebuilt(mut acceptor: Acceptor, records: Vec<Record>) -> Acceptor {
    for record in records {
        acceptor.replay(record);
    }
    acceptor
}

/// Says that a running acceptor and its double are not the same.
fn differ(name: &str, acceptor: &Acceptor, double: &Acceptor) -> String {
    format!(
        "{name} is not what a restart would make of it: promised {}, voted through {}, but its \
         records say promised {}, voted through {}; it is {}; the records make {}",
        acceptor.promised(),
        acceptor.highest(),
        double.promised(),
        double.highest(),
        Machine::Acceptor(acceptor.clone()).summary(),
        Machine::Acceptor(double.clone()).summary()
    )
}
