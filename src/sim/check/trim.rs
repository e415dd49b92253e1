//! Forgetting for good: an acceptor lets go only of what is decided and in the
//! checkpoints of more than half of the replicas that count, and takes along what
//! else the records ahead of the trim said.

use super::{Checker, Finding};
use crate::protocol::{Ballot, Instance, ProcessId, Watermark};

impl Checker {
    /// The acceptors have disks: they say that something is forgotten only behind
    /// a trim.
    pub fn on_disks(mut self) -> Checker {
        self.durable = true;
        self
    }

    /// A replica says that it has a durable checkpoint.
    pub(super) fn checkpointed(&mut self, from: ProcessId, through: Instance) -> Finding {
        if through > self.through {
            return Err(format!(
                "{from} has a checkpoint of everything through {through}, and only {} is chosen",
                self.through
            ));
        }
        if self.replicas.contains(from.id) {
            let report = self.checkpoints.entry(from.id).or_default();
            *report = through.max(*report);
        }
        Ok(())
    }

    /// An acceptor has written down that it forgets.
    pub(super) fn trimmed(
        &mut self,
        acceptor: u16,
        through: Instance,
        promised: Ballot,
        highest: Instance,
        watermark: Watermark,
    ) -> Finding {
        self.check_watermark(watermark)?;
        if through > watermark.through {
            return Err(format!(
                "acceptor {acceptor} forgets everything through {through}, and has heard only \
                 that {} is decided",
                watermark.through
            ));
        }
        let have = |id: &u16| self.checkpoints.get(id) >= Some(&through);
        let having = self.replicas.iter().filter(have).count();
        if 2 * having <= self.replicas.len() {
            return Err(format!(
                "acceptor {acceptor} forgets everything through {through}, which only {having} of \
                 {} replicas have in a checkpoint",
                self.replicas.len()
            ));
        }
        let witness = self.acceptors.entry(acceptor).or_default();
        if through <= witness.trimmed {
            return Err(format!(
                "acceptor {acceptor} forgets everything through {through} after {}",
                witness.trimmed
            ));
        }
        witness.trimmed = through;
        let voted = witness
            .votes
            .last_key_value()
            .map(|(&instance, _)| instance);
        if promised != witness.promised || Some(highest) < voted {
            return Err(format!(
                "acceptor {acceptor} takes along that it promised {promised} and voted through \
                 {highest}, but it promised {} and voted through {}",
                witness.promised,
                voted.unwrap_or_default()
            ));
        }
        Ok(())
    }

    /// What is forgotten on a disk is what a trim there says.
    pub(super) fn check_forgotten(&self, from: ProcessId, through: Instance) -> Finding {
        let trimmed = self.acceptors.get(&from.id).map(|witness| witness.trimmed);
        match self.durable && trimmed < Some(through) {
            true => Err(format!(
                "{from} has forgotten everything through {through}, and its disk says {}",
                trimmed.unwrap_or_default()
            )),
            false => Ok(()),
        }
    }
}
