//! Forgetting for good: what enough replicas have on disk need not be kept here.
//!
//! An acceptor that reported as empty what it has only forgotten would let a
//! no-op take the place of what was chosen. So before anything goes, a
//! [`Record::Trimmed`] is written down. From then on everything at or below it is
//! as if it had never been asked about: a page of a promise begins behind it, and
//! a learner that asks for it is told that it is gone.
//!
//! Two things bound it. More than half of the replicas that count must have it in
//! a durable checkpoint: then whoever lacks it later gets it from one of them. And
//! a watermark heard here must cover it: then it is decided, and a phase 1 that
//! learns of the watermark, as it does from every page, has nothing to ask there.
//!
//! The record also says what must outlive the records that the disk may delete
//! because of it: the promise, how far was voted, and the watermark.

use std::collections::BTreeMap;

use super::Acceptor;
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Ballot, Instance, Outbox, ProcessId, Record, Role, Watermark};

/// What an acceptor knows of checkpoints, and how far it has forgotten for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Trimming {
    /// How far each replica that counts says that its checkpoint reaches. Not
    /// written down: it is said again.
    reports: BTreeMap<u16, Instance>,
    /// How far more than half of them have come.
    agreed: Instance,
    /// Nothing through here is told any more.
    pub(super) through: Instance,
}

impl Acceptor {
    /// A replica has a durable checkpoint.
    pub(super) fn handle_checkpointed(&mut self, from: ProcessId, through: Instance) {
        let replicas = self.settings.replicas;
        if from.role != Role::Learner || !replicas.contains(from.id) {
            return;
        }
        let trimming = &mut self.trimming;
        let known = trimming.reports.entry(from.id).or_default();
        *known = through.max(*known);
        trimming.agreed = replicas.agreed(&trimming.reports);
    }

    /// Forgets what may be forgotten by now, if that is worth a record.
    pub(super) fn trim(&mut self, out: &mut Outbox<Self>) {
        let watermark = self.watermarks.highest();
        let through = match mutant(Mutant::TrimBeforeWatermark) {
            true => self.trimming.agreed,
            false => self.trimming.agreed.min(watermark.through),
        };
        let step = self.settings.trim_step.max(1);
        if through < self.trimming.through.plus(step) {
            return;
        }
        let record = Record::Trimmed {
            through,
            promised: match mutant(Mutant::PromiseTrimmedAway) {
                true => Ballot::ZERO,
                false => self.promised,
            },
            highest: match mutant(Mutant::HighestTrimmedAway) {
                true => Instance::ZERO,
                false => self.highest,
            },
            watermark,
        };
        self.record(record, out);
    }

    /// Folds a trim into the state.
    pub(super) fn replay_trim(
        &mut self,
        through: Instance,
        promised: Ballot,
        highest: Instance,
        watermark: Watermark,
    ) {
        self.promised = self.promised.max(promised);
        self.highest = self.highest.max(highest);
        self.watermarks.note(watermark);
        self.recorded = watermark;
        self.trimming.through = self.trimming.through.max(through);
        let kept = self.votes.split_off(&self.trimming.through.next());
        let gone = std::mem::replace(&mut self.votes, kept);
        self.bytes -= gone.values().map(|(_, value)| value.len()).sum::<usize>();
        self.floor = self.floor.max(self.trimming.through.next());
    }
}
