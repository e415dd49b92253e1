//! Checkpoints: states of a service, each with what the log had decided by then, so
//! that the log before it can be forgotten.
//!
//! ```text
//! checkpoint-0000001024.state   heading | content | zeros
//! checkpoint-0000002048.state   heading | content | zeros
//! checkpoint.new                one that is being written
//! ```
//!
//! A [`Shelf`] keeps the checkpoints of one replica in a directory of their own. What
//! a checkpoint holds is its caller's; the [`heading`] says whose it is, how far it
//! reaches and what its bytes must add up to, so a file can be told wherever it is
//! found.
//!
//! Invariants:
//!
//! - A checkpoint has its final name only when every byte of it is durable. So a crash
//!   leaves whole ones, and one that is not whole was damaged afterwards.
//! - It counts, and older ones go, only when its name is durable.
//! - The newest two stay. Should the newest be damaged when it is needed, the one
//!   before is as true, only older; the replica asks the others for what is between.
//!   Nothing that is damaged is ever handed out, and whether anything is, is found
//!   out when the shelf is opened, not when it is needed most.
//!
//! Unlike an acceptor's log a shelf goes on after a failed write: what failed has no
//! name, everything older is on other blocks, and the next attempt begins with a new
//! file. A replica without a new checkpoint is a nuisance, one that stopped is a loss.
//!
//! # Who calls what
//!
//! A large checkpoint takes seconds to write, so a shelf lives on a thread of its own,
//! which does one thing after the other: [`Shelf::keep`] with a frozen state,
//! [`Shelf::read`] for another replica that fetches. There is no second handle: the
//! directory is locked for one holder. So that those who fetch need not wait for a
//! whole checkpoint to be written, [`Shelf::keep_between`] calls back after each
//! [`STEP`] with a handle to read by, and the caller can also pause there. While a
//! checkpoint is fetched piece by piece, [`Shelf::spare`] holds it back from removal.
//!
//! # The writer runs twice
//!
//! A [`Disk`] sets room aside when a file is made, so the length must be known before
//! the first byte. Asking the writer twice, once to count, costs a walk through memory.
//! In return a full disk is noticed before anything is written, the file never grows
//! while others sync theirs, and the trait needs no more calls than a log does.

use super::pages::Pages;
use super::{Disk, StorageError};
use crate::protocol::Instance;
use crate::protocol::checksum;
use crate::protocol::mutant::{Mutant, mutant};

mod error;
pub mod heading;
mod writing;

pub use error::CheckpointError;
use heading::{HEADING, Heading};
pub use heading::{Owner, file_name};
use writing::{Count, Writing};

/// Bytes that are written or read at a time: one request to the disk, so that an
/// acceptor's sync on the same disk waits for no more.
pub const STEP: usize = 1 << 20;

/// How many whole checkpoints stay.
const KEPT: usize = 2;

/// The one that is being written.
const UNFINISHED: &str = "checkpoint.new";

/// What takes a part of a content.
pub type Part<'a> = dyn FnMut(&[u8]) + 'a;

/// A checkpoint that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last instance whose effects it holds.
    pub through: Instance,
    /// Bytes of its content.
    pub length: u64,
    /// Their CRC-32C.
    pub checksum: u32,
}

/// The checkpoints of one replica.
#[derive(Debug)]
pub struct Shelf<D> {
    disk: D,
    owner: Owner,
    /// Those that are durable and, as far as is known, whole; ascending.
    held: Vec<Checkpoint>,
    /// Files that were found damaged; they go when there is something newer.
    damaged: Vec<String>,
    /// One that somebody is reading.
    spared: Option<Instance>,
}

/// The checkpoints while another one is written: they can be read, not changed.
#[derive(Debug)]
pub struct Reads<'a, D> {
    disk: &'a mut D,
    held: &'a [Checkpoint],
    spared: &'a mut Option<Instance>,
}

impl<D: Disk> Shelf<D> {
    /// Opens a replica's shelf, which may be an empty directory. Checks the newest
    /// checkpoint byte by byte; if it is damaged, says so and checks the one before.
    ///
    /// # Errors
    ///
    /// When the checkpoints are another's or of a later version, when there are some
    /// and none is whole, or when the disk fails.
    pub fn open(mut disk: D, owner: Owner) -> Result<Shelf<D>, StorageError> {
        let names = disk
            .list()
            .map_err(|error| CheckpointError::from_io(&disk, "list the directory", "", error))?;
        // What can be seen may not be durable yet.
        disk.sync_directory()
            .map_err(|error| CheckpointError::from_io(&disk, "sync the directory", "", error))?;
        let mut shelf = Shelf {
            disk,
            owner,
            held: Vec::new(),
            damaged: Vec::new(),
            spared: None,
        };
        if names.iter().any(|name| name == UNFINISHED) {
            shelf.remove(UNFINISHED)?;
        }
        let mut known: Vec<(Instance, String)> = names
            .into_iter()
            .filter_map(|name| Some((heading::through_of(&name)?, name)))
            .collect();
        known.sort();
        let mut cause = None;
        for (through, name) in known.into_iter().rev() {
            // Behind one that is whole the headings will do.
            let whole = !shelf.held.is_empty();
            match shelf.check(through, &name, whole) {
                Ok(checkpoint) => shelf.held.insert(0, checkpoint),
                Err(StorageError::Checkpoint(error @ CheckpointError::Damaged { .. })) => {
                    log::warn!("{error}");
                    shelf.damaged.push(name);
                    cause.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match cause {
            Some(error) if shelf.held.is_empty() => Err(error.without_another().into()),
            _ => Ok(shelf),
        }
    }

    /// The newest checkpoint. It was whole when the shelf was opened or when it was
    /// kept, whichever came last.
    pub fn latest(&self) -> Option<Checkpoint> {
        self.held.last().copied()
    }

    /// All checkpoints, the oldest first.
    pub fn held(&self) -> &[Checkpoint] {
        &self.held
    }

    /// Files that were found damaged when the shelf was opened.
    pub fn damaged(&self) -> &[String] {
        &self.damaged
    }

    /// Whose shelf it is.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The disk, for simulators that look at it or let it fail.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Gives the disk back.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// The whole content of a checkpoint that is held.
    ///
    /// # Errors
    ///
    /// When it is not held, when the disk fails, and when the bytes are not what they were.
    pub fn load(&mut self, through: Instance) -> Result<Vec<u8>, StorageError> {
        let name = file_name(through);
        let checkpoint = self.held.iter().find(|one| one.through == through);
        let checkpoint = checkpoint.ok_or_else(|| {
            let file = self.disk.locate(&name);
            CheckpointError::Gone { file }
        })?;
        let length = usize::try_from(checkpoint.length).map_err(|_| {
            let reason = "it is larger than this machine's memory";
            CheckpointError::damaged(&self.disk, &name, 48, reason)
        })?;
        let mut content = vec![0; length];
        self.disk
            .read_at(&name, HEADING, &mut content)
            .map_err(|error| CheckpointError::from_io(&self.disk, "read", &name, error))?;
        if checksum::of(&content) != checkpoint.checksum {
            return Err(CheckpointError::content(&self.disk, &name).into());
        }
        Ok(content)
    }

    /// Keeps a state: `write` hands its content over in parts, and is asked twice.
    /// When this returns, the checkpoint survives whatever the disk survives, and all
    /// but the newest two are gone.
    ///
    /// # Errors
    ///
    /// When there is no room or the disk fails. The checkpoints before are as they
    /// were, and another attempt can be made at any time.
    ///
    /// # Panics
    ///
    /// When a newer one is held already.
    pub fn keep(
        &mut self,
        through: Instance,
        write: &mut dyn FnMut(&mut Part<'_>),
    ) -> Result<Checkpoint, StorageError> {
        self.keep_between(through, write, &mut |_| {})
    }

    /// [`Shelf::keep`], and calls `between` after every [`STEP`] that was written:
    /// a time to read for others, or to pause.
    ///
    /// # Errors
    ///
    /// As with [`Shelf::keep`].
    ///
    /// # Panics
    ///
    /// As with [`Shelf::keep`].
    pub fn keep_between(
        &mut self,
        through: Instance,
        write: &mut dyn FnMut(&mut Part<'_>),
        between: &mut dyn FnMut(&mut Reads<'_, D>),
    ) -> Result<Checkpoint, StorageError> {
        if let Some(latest) = self.latest() {
            assert!(latest.through <= through, "checkpoints only go forward");
            if latest.through == through {
                return Ok(latest);
            }
        }
        let kept = self
            .write_aside(through, write, between)
            .and_then(|checkpoint| self.name(through).map(|()| checkpoint));
        match kept {
            Ok(checkpoint) => {
                self.held.push(checkpoint);
                self.tidy();
                Ok(checkpoint)
            }
            Err(error) => {
                // Room for the next attempt, or for others. Under one name or the
                // other it is there, if it was made; nobody was told of it.
                let _ = self.disk.remove(UNFINISHED);
                let _ = self.disk.remove(&file_name(through));
                Err(error)
            }
        }
    }

    /// Fills `buffer` with a checkpoint's content from `offset` on; says whether there
    /// was so much of it, which is not so when it was removed meanwhile. Whoever has
    /// all of it compares the checksum.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn read(
        &mut self,
        through: Instance,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<bool, StorageError> {
        self.reads().read(through, offset, buffer)
    }

    /// Holds one checkpoint back from removal, and none that was spared before.
    pub fn spare(&mut self, through: Option<Instance>) {
        self.spared = through;
    }

    fn reads(&mut self) -> Reads<'_, D> {
        Reads {
            disk: &mut self.disk,
            held: &self.held,
            spared: &mut self.spared,
        }
    }

    /// Reads a file's heading and, unless told that it need not be, all of it.
    fn check(
        &mut self,
        through: Instance,
        name: &str,
        trusted: bool,
    ) -> Result<Checkpoint, StorageError> {
        let heading = Heading::load(&mut self.disk, name)?;
        heading.belongs_to(&self.disk, name, &self.owner)?;
        if heading.checkpoint.through != through {
            let reason = format!("says that it reaches {}", heading.checkpoint.through);
            return Err(CheckpointError::damaged(&self.disk, name, 40, reason).into());
        }
        if !trusted {
            heading.check_content(&mut self.disk, name)?;
        }
        Ok(heading.checkpoint)
    }

    /// Writes a checkpoint under a name that does not count, durably.
    fn write_aside(
        &mut self,
        through: Instance,
        write: &mut dyn FnMut(&mut Part<'_>),
        between: &mut dyn FnMut(&mut Reads<'_, D>),
    ) -> Result<Checkpoint, StorageError> {
        let mut count = Count::default();
        write(&mut |part| count.add(part));
        let length = count.bytes();
        // An earlier attempt may have failed so badly that it could not be removed.
        let left = self.disk.length(UNFINISHED);
        if left
            .map_err(|error| CheckpointError::from_io(&self.disk, "read", UNFINISHED, error))?
            .is_some()
        {
            self.remove(UNFINISHED)?;
        }
        self.disk
            .create(UNFINISHED, heading::file_length(length))
            .map_err(|error| CheckpointError::from_io(&self.disk, "create", UNFINISHED, error))?;
        let mut reads = self.reads();
        let mut writing = Writing::begin(&mut reads, UNFINISHED, length);
        write(&mut |part| writing.add(part, between));
        let checksum = writing.end(between)?;
        let checkpoint = Checkpoint {
            through,
            length,
            checksum,
        };
        let owner = self.owner;
        let heading = Heading { owner, checkpoint }.encode();
        let mut pages = Pages::zeros(HEADING as usize);
        pages.copy_from_slice(&heading);
        self.disk
            .write_at(UNFINISHED, 0, &pages)
            .map_err(|error| CheckpointError::from_io(&self.disk, "write", UNFINISHED, error))?;
        if !mutant(Mutant::CheckpointNotSynced) && !mutant(Mutant::CheckpointRenamedFirst) {
            self.sync(UNFINISHED)?;
        }
        Ok(checkpoint)
    }

    /// Gives what was written its name, durably.
    fn name(&mut self, through: Instance) -> Result<(), StorageError> {
        let name = file_name(through);
        self.disk
            .rename(UNFINISHED, &name)
            .map_err(|error| CheckpointError::from_io(&self.disk, "rename", UNFINISHED, error))?;
        if mutant(Mutant::CheckpointRenamedFirst) {
            self.sync(&name)?;
        }
        self.disk
            .sync_directory()
            .map_err(|error| CheckpointError::from_io(&self.disk, "sync the directory", "", error))
            .map_err(StorageError::from)
    }

    /// Removes what is no longer needed. Nothing depends on it but the room.
    fn tidy(&mut self) {
        let surplus = self.held.len().saturating_sub(KEPT);
        let spared = self.spared;
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .enumerate()
            .partition(|(index, one)| *index >= surplus || Some(one.through) == spared);
        self.held = stay.into_iter().map(|(_, one)| one).collect();
        let go = go.into_iter().map(|(_, one)| file_name(one.through));
        // A damaged one of the same name was replaced.
        let latest = self.held.last().map(|one| file_name(one.through));
        let damaged = std::mem::take(&mut self.damaged).into_iter();
        for name in go.chain(damaged.filter(|name| Some(name) != latest.as_ref())) {
            if let Err(error) = self.remove(&name) {
                log::warn!("an old checkpoint stays, and takes room: {error}");
            }
        }
    }

    fn remove(&mut self, name: &str) -> Result<(), StorageError> {
        self.disk
            .remove(name)
            .map_err(|error| CheckpointError::from_io(&self.disk, "remove", name, error).into())
    }

    fn sync(&mut self, name: &str) -> Result<(), StorageError> {
        self.disk
            .sync(name)
            .map_err(|error| CheckpointError::from_io(&self.disk, "sync", name, error).into())
    }
}

impl<D: Disk> Reads<'_, D> {
    /// As [`Shelf::read`].
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn read(
        &mut self,
        through: Instance,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<bool, StorageError> {
        let checkpoint = self.held.iter().find(|one| one.through == through);
        let end = offset.checked_add(buffer.len() as u64);
        let there = checkpoint.is_some_and(|one| end.is_some_and(|end| end <= one.length));
        if !there {
            return Ok(false);
        }
        let name = file_name(through);
        self.disk
            .read_at(&name, HEADING + offset, buffer)
            .map_err(|error| CheckpointError::from_io(self.disk, "read", &name, error))?;
        Ok(true)
    }

    /// All checkpoints but the one that is being written, the oldest first.
    pub fn held(&self) -> &[Checkpoint] {
        self.held
    }

    /// As [`Shelf::spare`].
    pub fn spare(&mut self, through: Option<Instance>) {
        *self.spared = through;
    }
}
