//! Deleting what is forgotten, segment by segment.
//!
//! A segment may go when every vote in it lies at or below what was trimmed, and
//! everything in it was written ahead of the trim that says so. The order is the
//! whole of it: first the trim is durable, with the number of the first segment to
//! be kept in it (see [`entry`](crate::storage::entry)); then segments go, the
//! oldest first, and each is gone for good before the next one goes. Whenever a
//! crash comes, what is left is a row of segments without a gap, and the trim
//! explains what is missing ahead of it.

use super::Log;
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Instance, Record};
use crate::storage::segment;
use crate::storage::{Disk, StorageError};

impl<D: Disk> Log<D> {
    /// Deletes the oldest segment, if a durable [`Record::Trimmed`] lets it go, and
    /// says its number. One a call, for each takes a sync of the directory, and
    /// answers may be waiting.
    pub fn trim(&mut self) -> Result<Option<u64>, StorageError> {
        self.check_open()?;
        if self.first >= self.kept {
            return Ok(None);
        }
        let result = self.delete_first();
        self.close_on_error(result).map(Some)
    }

    /// How many segments there are.
    pub fn segments(&self) -> u64 {
        self.end.segment + 1 - self.first
    }

    /// The position of the oldest record that is still there, or will be the next.
    pub fn first_position(&self) -> u64 {
        self.first_position
    }

    /// The first segment that is to be kept when everything through this instance is
    /// trimmed by a record in the segment that is planned.
    pub(super) fn first_kept(&self, through: Instance) -> u64 {
        let needed = |segment: &u64| {
            self.reach
                .get(segment)
                .is_some_and(|&reach| reach > through)
        };
        (self.first..self.planned.segment)
            .find(needed)
            .unwrap_or(self.planned.segment)
    }

    /// Takes notice of a record's place, for trims to come or for one that is here.
    pub(super) fn note_reach(&mut self, record: &Record, kept: u64) -> Result<(), StorageError> {
        match record {
            Record::Voted { vote } => {
                let reach = self.reach.entry(self.planned.segment).or_default();
                *reach = vote.instance.max(*reach);
            }
            Record::Trimmed { .. } => {
                self.kept_when_synced = kept.max(self.kept_when_synced);
                let there = kept.min(self.end.segment);
                while mutant(Mutant::SegmentsDeletedFirst) && self.first < there {
                    self.delete_first()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn delete_first(&mut self) -> Result<u64, StorageError> {
        let number = self.first;
        let name = segment::file_name(number);
        let next = segment::file_name(number + 1);
        let heading = segment::Heading::load(&mut self.disk, &next)?;
        self.disk
            .remove(&name)
            .map_err(|error| StorageError::from_io(&self.disk, "remove", &name, error))?;
        self.sync_directory()?;
        self.first = number + 1;
        self.first_position = heading.first;
        self.reach.remove(&number);
        self.index.drop_before(self.first);
        self.reader.drop_before(self.first);
        Ok(number)
    }
}
