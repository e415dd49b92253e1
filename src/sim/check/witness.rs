//! What an acceptor wrote down and what it said: the one against the other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Finding};
use crate::protocol::{Ballot, Instance, ProcessId, Record, Vote};

/// What the checker knows of one acceptor, from its disk and from its mouth.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness {
    /// The highest ballot that it said it had promised.
    pub(super) told: Ballot,
    /// The highest ballot on its disk.
    pub(super) promised: Ballot,
    /// How many promises are on its disk.
    pub(super) promises: u64,
    /// The votes on its disk.
    pub(super) votes: BTreeMap<Instance, BTreeSet<Ballot>>,
    /// How far it has forgotten for good, by its disk.
    pub(super) trimmed: Instance,
    /// How far it said that it has forgotten.
    pub(super) forgotten: Instance,
}

impl Checker {
    /// A record of this acceptor is on its disk for good.
    pub fn recorded(&mut self, acceptor: u16, record: &Record) -> Finding {
        let witness = self.acceptors.entry(acceptor).or_default();
        match record {
            Record::Promised { ballot } => {
                if *ballot <= witness.promised {
                    return Err(format!(
                        "acceptor {acceptor} promises {ballot} after {}",
                        witness.promised
                    ));
                }
                witness.promised = *ballot;
                witness.promises += 1;
            }
            Record::Voted { vote } => {
                if vote.ballot < witness.promised {
                    return Err(format!(
                        "acceptor {acceptor} voted for {} in ballot {} after it had promised {}",
                        vote.instance, vote.ballot, witness.promised
                    ));
                }
                witness.promised = vote.ballot;
                let ballots = witness.votes.entry(vote.instance).or_default();
                ballots.insert(vote.ballot);
                self.check_proposed(acceptor, vote)?;
            }
            Record::Watermark { watermark } => self.check_watermark(*watermark)?,
            Record::Trimmed {
                through,
                promised,
                highest,
                watermark,
            } => self.trimmed(acceptor, *through, *promised, *highest, *watermark)?,
        }
        Ok(())
    }

    /// An acceptor says what it has promised: what its disk says too, and no less
    /// than ever before.
    pub(super) fn promised(&mut self, from: ProcessId, ballot: Ballot) -> Finding {
        let witness = self.acceptors.entry(from.id).or_default();
        if witness.promised < ballot {
            return Err(format!(
                "{from} promised {ballot} while its disk says {}",
                witness.promised
            ));
        }
        if ballot < witness.told {
            return Err(format!(
                "{from} promised {ballot} after it had promised {}",
                witness.told
            ));
        }
        witness.told = ballot;
        Ok(())
    }

    /// An acceptor says that it has let go of everything through here: nothing of
    /// it may be open, or a vote that nobody else has could be gone.
    pub(super) fn forgot(&mut self, from: ProcessId, through: Instance) -> Finding {
        if through > self.through {
            return Err(format!(
                "{from} has forgotten everything through {through}, and only {} is chosen",
                self.through
            ));
        }
        let witness = self.acceptors.entry(from.id).or_default();
        witness.forgotten = witness.forgotten.max(through);
        Ok(())
    }

    /// A learner gives up: more than half of the acceptors must have said that they
    /// have forgotten what it needs.
    pub fn lost(&self, learner: ProcessId, instance: Instance) -> Finding {
        let gone = self.acceptors.iter();
        let gone = gone.filter(|(_, witness)| witness.forgotten >= instance);
        let gone = gone.map(|(&id, _)| id).collect();
        match self.membership.is_quorum(gone) {
            true => Ok(()),
            false => Err(format!(
                "{learner} gives up for want of {instance}, which only {} acceptors have forgotten",
                gone.len()
            )),
        }
    }

    /// A replica looks for a checkpoint: some acceptor must have said that it has
    /// forgotten what it needs.
    pub fn behind(&self, replica: ProcessId, instance: Instance) -> Finding {
        let mut acceptors = self.acceptors.values();
        match acceptors.any(|witness| witness.forgotten >= instance) {
            true => Ok(()),
            false => Err(format!(
                "{replica} looks for a checkpoint for want of {instance}, which nobody has forgotten"
            )),
        }
    }

    /// A vote is for what the ballot's owner proposed.
    pub(super) fn check_proposed(&self, acceptor: u16, vote: &Vote) -> Finding {
        match self.proposals.get(&(vote.instance, vote.ballot)) {
            Some(value) if value == vote.value.bytes() => Ok(()),
            Some(_) => Err(format!(
                "acceptor {acceptor} voted for {} in {} for another value than was proposed",
                vote.instance, vote.ballot
            )),
            None => Err(format!(
                "acceptor {acceptor} voted for {} in {}, where nothing was proposed",
                vote.instance, vote.ballot
            )),
        }
    }

    /// A page of a promise omits no vote that could have been chosen below its ballot.
    pub(super) fn check_page(
        &self,
        from: ProcessId,
        ballot: Ballot,
        first: Instance,
        through: Option<Instance>,
        votes: &[Vote],
    ) -> Finding {
        let through = through.unwrap_or(Instance(u64::MAX));
        if through < first {
            return Ok(());
        }
        let Some(witness) = self.acceptors.get(&from.id) else {
            return Ok(());
        };
        for (instance, ballots) in witness.votes.range(first..=through) {
            let Some(newest) = ballots.range(..ballot).next_back() else {
                continue;
            };
            let told = votes.iter().find(|vote| vote.instance == *instance);
            if told.is_none_or(|vote| vote.ballot < *newest) {
                return Err(format!(
                    "{from} promises {ballot} and conceals its vote for {instance} in {newest}"
                ));
            }
        }
        Ok(())
    }
}
