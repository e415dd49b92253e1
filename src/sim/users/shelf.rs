//! Where a simulated replica keeps its checkpoints, and how long it takes to open those
//! of others.

use bytes::Bytes;

use super::Service;
use crate::protocol::checksum;
use crate::protocol::{Instance, Time};
use crate::service::replica::{self, Kept, Opened, Wanted};

/// A replica's checkpoints on its disk.
#[derive(Debug, Default)]
pub struct Shelf {
    /// The latest two.
    kept: Vec<(Kept, Bytes)>,
    /// One that is being written, and when that is done.
    writing: Option<(Time, Kept, Bytes)>,
    /// One of another replica's that is being opened, and when that is done.
    opening: Option<(Time, Opened<Service>)>,
}

impl Shelf {
    /// Begins to write one.
    pub fn write(&mut self, done: Time, through: Instance, content: Bytes) {
        let kept = Kept {
            through,
            length: content.len() as u64,
            checksum: checksum::of(&content),
        };
        self.writing = Some((done, kept, content));
    }

    /// What is written by now, if anything new is.
    pub fn done(&mut self, now: Time) -> Option<Kept> {
        let (_, kept, content) = self.writing.take_if(|(done, ..)| *done <= now)?;
        self.kept.push((kept, content));
        if self.kept.len() > 2 {
            self.kept.remove(0);
        }
        Some(kept)
    }

    /// Begins to open one of another replica's.
    pub fn open(&mut self, done: Time, opened: Opened<Service>) {
        self.opening = Some((done, opened));
    }

    /// What is open by now, if anything is.
    pub fn opened(&mut self, now: Time) -> Option<Opened<Service>> {
        let opened = self.opening.take_if(|(done, _)| *done <= now);
        opened.map(|(_, opened)| opened)
    }

    /// When something will be written, or open.
    pub fn done_at(&self) -> Option<Time> {
        let written = self.writing.as_ref().map(|(done, ..)| *done);
        let open = self.opening.as_ref().map(|(done, _)| *done);
        written.into_iter().chain(open).min()
    }

    /// Its machine dies: what was not synced is gone.
    pub fn crash(&mut self) {
        self.writing = None;
        self.opening = None;
    }

    /// Loses everything.
    pub fn wipe(&mut self) {
        *self = Shelf::default();
    }

    /// The latest.
    pub fn latest(&self) -> Option<(Kept, Bytes)> {
        self.kept.last().cloned()
    }

    /// A part of one, unless it is gone.
    pub fn read(&self, wanted: Wanted) -> replica::Found {
        let there = self.kept.iter();
        let found = there
            .filter(|(kept, _)| kept.through == wanted.through)
            .find_map(|(_, content)| {
                let from = usize::try_from(wanted.offset).ok()?;
                let to = from.checked_add(wanted.bytes as usize)?;
                (to <= content.len()).then(|| content.slice(from..to))
            });
        replica::Found {
            bytes: found,
            wanted,
        }
    }
}
