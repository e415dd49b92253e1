//! Where a simulated replica keeps its checkpoints.

use bytes::Bytes;

use crate::protocol::checksum;
use crate::protocol::{Instance, Time};
use crate::service::replica::{self, Kept, Wanted};

/// A replica's checkpoints on its disk.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// The latest two.
    kept: Vec<(Kept, Bytes)>,
    /// One that is being written, and when that is done.
    writing: Option<(Time, Kept, Bytes)>,
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

    /// When something will be written.
    pub fn done_at(&self) -> Option<Time> {
        self.writing.as_ref().map(|(done, ..)| *done)
    }

    /// Its machine dies: what was not synced is gone.
    pub fn crash(&mut self) {
        self.writing = None;
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
