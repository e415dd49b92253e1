//! A checkpoint's content on its way to the disk: gathered to whole blocks, written
//! step by step, and never more of it waiting than a disk gets through quickly.

use super::heading::HEADING;
use super::{CheckpointError, Disk, Reads, STEP, StorageError};
use crate::protocol::checksum;
use crate::storage::pages::Pages;

/// Steps that are written before they are synced. Where a file system writes through
/// its cache, no more than this comes down on the disk at once.
const UNSYNCED: u64 = 32;

/// How long a content is.
#[derive(Debug, Default)]
pub struct Count(u64);

impl Count {
    /// There is this part, too.
    pub fn add(&mut self, part: &[u8]) {
        self.0 += part.len() as u64;
    }

    /// Bytes of all parts.
    pub fn bytes(&self) -> u64 {
        self.0
    }
}

/// Content that is being written to a file, behind its heading.
#[derive(Debug)]
pub struct Writing<'a, 'r, D> {
    reads: &'a mut Reads<'r, D>,
    name: &'static str,
    /// What is not written yet: less than a step.
    step: Pages,
    steps: u64,
    written: u64,
    /// How long the content was when it was counted.
    length: u64,
    checksum: u32,
    /// After a failure the rest of the content is let pass.
    failure: Option<StorageError>,
}

impl<'a, 'r, D: Disk> Writing<'a, 'r, D> {
    /// Begins to write so many bytes to a file that has room for them.
    pub fn begin(reads: &'a mut Reads<'r, D>, name: &'static str, length: u64) -> Self {
        Writing {
            reads,
            name,
            step: Pages::default(),
            steps: 0,
            written: 0,
            length,
            checksum: 0,
            failure: None,
        }
    }

    /// Takes the next part.
    pub fn add(&mut self, mut part: &[u8], between: &mut dyn FnMut(&mut Reads<'_, D>)) {
        while !part.is_empty() && self.failure.is_none() {
            let (taken, rest) = part.split_at(part.len().min(STEP - self.step.len()));
            self.checksum = checksum::append(self.checksum, taken);
            self.step.room(taken.len()).extend_from_slice(taken);
            part = rest;
            if self.step.len() == STEP {
                self.write_step();
                between(self.reads);
            }
        }
    }

    /// Writes the rest; gives the checksum of all.
    pub fn end(mut self, between: &mut dyn FnMut(&mut Reads<'_, D>)) -> Result<u32, StorageError> {
        let total = self.written + self.step.len() as u64;
        if self.failure.is_none() {
            // The room is that long, and so is what the heading will say.
            assert_eq!(total, self.length, "a state was written in two lengths");
        }
        if !self.step.is_empty() {
            let length = self.step.len();
            self.step
                .grow(length.next_multiple_of(HEADING as usize) - length);
            self.write_step();
            between(self.reads);
        }
        match self.failure {
            Some(error) => Err(error),
            None => Ok(self.checksum),
        }
    }

    fn write_step(&mut self) {
        if self.failure.is_some() {
            return;
        }
        let (name, at) = (self.name, HEADING + self.written);
        // More than was counted must not be written over the end.
        assert!(
            self.written < self.length,
            "a state was written in two lengths"
        );
        let disk = &mut *self.reads.disk;
        let result = disk
            .write_at(name, at, &self.step)
            .map_err(|error| CheckpointError::from_io(disk, "write", name, error));
        self.written += self.step.len() as u64;
        self.step.clear();
        self.steps += 1;
        let result = match result {
            Ok(()) if self.steps.is_multiple_of(UNSYNCED) => disk
                .sync(name)
                .map_err(|error| CheckpointError::from_io(disk, "sync", name, error)),
            result => result,
        };
        self.failure = result.err().map(StorageError::from);
    }
}
