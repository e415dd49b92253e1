//! From one segment to the next.

use super::{Log, Place};
use crate::storage::pages::Pages;
use crate::storage::segment::{self, Heading, SECTOR};
use crate::storage::{Disk, StorageError, frame};

/// How much of the next segment is made ready at once.
const STEP: u64 = 1 << 20;

/// From so many bytes a sync on, writing everything twice costs more than the
/// metadata of a file that was not overwritten with zeros.
const HEAVY: u64 = 512 << 10;

impl<D: Disk> Log<D> {
    /// Goes on in the next segment; everything so far is durable.
    pub(super) fn rotate(&mut self) -> Result<(), StorageError> {
        let next = self.end.segment + 1;
        let mut ending = std::mem::take(&mut self.started);
        self.make_segment(next, self.synced + 1)?;
        let full = segment::file_name(self.end.segment);
        let from = self.end.offset - ending.len() as u64;
        let store = self.identity.store;
        frame::write(store, self.synced + 1, self.synced, &[], &[], &mut ending);
        self.write_blocks(&full, from, &ending)?;
        self.sync_file(&full)?;
        self.end = Place {
            segment: next,
            offset: SECTOR,
        };
        Ok(())
    }

    /// Gives a segment its heading and its name, durably.
    pub(super) fn make_segment(&mut self, number: u64, first: u64) -> Result<(), StorageError> {
        self.prepare(number, self.segment_length)?;
        let heading = Heading {
            identity: self.identity,
            segment_length: self.segment_length,
            number,
            first,
        };
        let spare = segment::spare_name(number);
        let heading = heading.encode();
        self.write_blocks(&spare, 0, &heading)?;
        // Nothing, where a block is no longer than the heading.
        let before = SECTOR - SECTOR % self.block;
        self.started = heading[before as usize..].to_vec();
        self.sync_file(&spare)?;
        self.rename(&spare, &segment::file_name(number))?;
        self.spare = None;
        self.postponed = false;
        self.sync_directory()
    }

    /// Makes the next segment ready bit by bit while the second half of this one
    /// fills, lest all acceptors pause at the same time to write one at once.
    pub(super) fn prepare_ahead(&mut self) -> Result<(), StorageError> {
        let step = STEP.min(self.segment_length / 4 / SECTOR * SECTOR);
        let goal = (2 * self.end.offset).saturating_sub(self.segment_length);
        if self.postponed || goal < self.spare.unwrap_or(0) + step {
            return Ok(());
        }
        match self.prepare(self.end.segment + 1, goal / step * step) {
            Err(error @ StorageError::Full { .. }) => {
                self.postponed = true;
                log::warn!(
                    "no room for the next segment, so the acceptor will stop when this one is \
                     full, in {} bytes: {error}",
                    self.segment_length - self.end.offset
                );
                Ok(())
            }
            result => result,
        }
    }

    /// Sets the next segment aside and overwrites it with zeros up to `goal`.
    fn prepare(&mut self, number: u64, goal: u64) -> Result<(), StorageError> {
        let name = segment::spare_name(number);
        let mut zeroed = match self.spare {
            Some(zeroed) => zeroed,
            None => {
                self.disk
                    .create(&name, self.segment_length)
                    .map_err(|error| StorageError::from_io(&self.disk, "create", &name, error))?;
                self.spare = Some(0);
                0
            }
        };
        while zeroed < goal && self.batch < HEAVY {
            let length = STEP.min(goal - zeroed);
            self.write(&name, zeroed, &Pages::zeros(length as usize))?;
            self.sync_file(&name)?;
            zeroed += length;
            self.spare = Some(zeroed);
        }
        Ok(())
    }
}
