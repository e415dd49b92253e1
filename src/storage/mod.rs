//! What an acceptor must never forget, and how it is kept.
//!
//! An acceptor that forgets a promise or a vote breaks Paxos: two values can be
//! chosen for one instance. So a durable acceptor writes every [`Record`] to a
//! [`Log`](log::Log) before anything that follows from it leaves the machine,
//! and at its start it either recovers every record that was ever synced or
//! refuses to take part. There is nothing in between: half a memory is worse
//! than none, because nobody notices.
//!
//! [`log`] is the log itself. It stands on [`segment`] (whose file is this?) and
//! [`frame`] (one checksummed record), and needs no more from the world than a
//! [`Disk`]: [`file::Directory`] is a real one, [`memory::MemoryDisk`] one that
//! loses at a crash whatever a real one is allowed to lose.
//!
//! A replica forgets nothing either, but may begin with what others tell it:
//! [`checkpoint`] keeps the states that it goes on from.
//!
//! What is *not* noticed: a directory rolled back to an older copy of itself, as
//! by restoring a snapshot of a virtual machine. To the log it looks like a log
//! that has always been that short.
//!
//! [`Record`]: crate::protocol::Record

use std::io;

use thiserror::Error;

pub mod checkpoint;
mod entry;
pub mod file;
pub mod frame;
mod index;
pub mod log;
mod lookup;
pub mod memory;
pub mod pages;
mod recovery;
pub mod segment;

/// A flat directory of named files: all that a log needs from the world.
///
/// Nothing but what was synced survives a crash: bytes need [`Disk::sync`], and
/// names (a file created, renamed or removed) need [`Disk::sync_directory`].
pub trait Disk {
    /// The names of all files, ascending.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// A file's length in bytes, or nothing when there is no such file.
    fn length(&mut self, name: &str) -> io::Result<Option<u64>>;

    /// Makes a new file of `length` zero bytes, for which room is set aside.
    /// Fails when the name is taken; whenever else it fails, the name stays free.
    fn create(&mut self, name: &str, length: u64) -> io::Result<()>;

    /// Fills `buffer` from `offset` on; the end of the file is an error.
    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, inside the length given at creation.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything written to the file is durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Returns when every creation, renaming and removal is durable.
    fn sync_directory(&mut self) -> io::Result<()>;

    /// Gives a file another name, in place of the file that had it, if any.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Bytes that it likes to be written at a time: a power of two, at least a sector.
    fn block(&self) -> usize;

    /// How a person finds the file, for messages; the directory for an empty name.
    fn locate(&self, name: &str) -> String;
}

impl<D: Disk + ?Sized> Disk for &mut D {
    fn list(&mut self) -> io::Result<Vec<String>> {
        (**self).list()
    }

    fn length(&mut self, name: &str) -> io::Result<Option<u64>> {
        (**self).length(name)
    }

    fn create(&mut self, name: &str, length: u64) -> io::Result<()> {
        (**self).create(name, length)
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(name, offset, buffer)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(name, offset, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        (**self).sync(name)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        (**self).sync_directory()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        (**self).remove(name)
    }

    fn block(&self) -> usize {
        (**self).block()
    }

    fn locate(&self, name: &str) -> String {
        (**self).locate(name)
    }
}

/// Why a log or a checkpoint cannot be used. None of those of the log heals by
/// trying again: the acceptor stops.
#[derive(Debug, Error)]
pub enum StorageError {
    /// There is no directory.
    #[error(
        "{directory}: no such data directory; an acceptor that starts for the first time is \
         given one by `acceptor --init ID CONF`; one that has voted before must get its old \
         directory back"
    )]
    Missing {
        /// Where it should be.
        directory: String,
    },
    /// The directory holds no identity and no log.
    #[error(
        "{directory}: the data directory is empty; if this acceptor has never voted, make it \
         ready with `acceptor --init ID CONF`; if it has, its votes are gone (wrong mount?) and \
         it must not start without them"
    )]
    Empty {
        /// Which.
        directory: String,
    },
    /// The directory holds files, but no identity.
    #[error(
        "{directory}: holds {found} but no identity; either --init was interrupted (then remove \
         the directory and run `acceptor --init ID CONF` again) or files were lost (then restore \
         them; the acceptor must not start without them)"
    )]
    Unfinished {
        /// Which.
        directory: String,
        /// One of the files.
        found: String,
    },
    /// A log is to be made where something is already.
    #[error(
        "{directory}: not empty (it holds {found}); --init makes a new acceptor and never touches \
         an existing one: start without --init, or name another directory"
    )]
    NotEmpty {
        /// Which.
        directory: String,
        /// One of the files.
        found: String,
    },
    /// The files belong to somebody else.
    #[error(
        "{file}: written for {what} {found}, but this is {what} {expected}; voting with another's \
         memory would break the cluster: check `data` and `cluster` in the configuration and the \
         id on the command line"
    )]
    Foreign {
        /// The file that says so.
        file: String,
        /// Which part of the identity differs.
        what: &'static str,
        /// What the configuration says.
        expected: String,
        /// What the file says.
        found: String,
    },
    /// The files were written by a later version.
    #[error(
        "{file}: written in format {found}, and this version reads formats up to {known}; start \
         the newer version that wrote it"
    )]
    Newer {
        /// Which.
        file: String,
        /// Its format.
        found: u32,
        /// The newest one known here.
        known: u32,
    },
    /// Bytes that were durable are not what they were.
    #[error(
        "{file}, byte {offset}: {reason}; what was durable has changed, so the disk or something \
         that wrote to it is at fault; the acceptor must not vote with part of its memory: \
         restore an undamaged copy of the whole directory as it was when the acceptor stopped, \
         or replace the acceptor"
    )]
    Damaged {
        /// In which file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// No room.
    #[error(
        "{file}: cannot {action}: the disk or quota is full ({source}); nothing acknowledged is \
         lost: free some room and start the acceptor again"
    )]
    Full {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        file: String,
        /// As the system said it.
        source: io::Error,
    },
    /// The directory cannot be made or opened.
    #[error("{directory}: cannot {action}: {source}; check the path and its permissions")]
    Unusable {
        /// What was attempted.
        action: &'static str,
        /// Which.
        directory: String,
        /// As the system said it.
        source: io::Error,
    },
    /// The disk failed.
    #[error(
        "{file}: cannot {action}: {source}; the acceptor stops, because after such a failure \
         nobody knows what the disk holds: look at the kernel's log, and start the acceptor again \
         (it checks everything it reads)"
    )]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        file: String,
        /// As the system said it.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error(
        "{directory}: in use by {holder}; two processes must not share one memory: end the other \
         one, or give this one a directory of its own"
    )]
    Locked {
        /// Which.
        directory: String,
        /// Who, as far as known.
        holder: String,
    },
    /// A record that no segment can hold.
    #[error("a record of {bytes} bytes does not fit a segment, which holds {limit}")]
    TooLarge {
        /// The record's length.
        bytes: usize,
        /// The most that fits.
        limit: usize,
    },
    /// A segment length that cannot be worked with.
    #[error("segments of {bytes} bytes: must be a multiple of 512, from 2048 to 1 GiB")]
    SegmentLength {
        /// The length asked for.
        bytes: u64,
    },
    /// A checkpoint cannot be kept or used.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::CheckpointError),
    /// The log failed before; what it holds is unknown, so it does nothing any more.
    #[error("the log is closed since an earlier failure: {cause}")]
    Closed {
        /// The failure.
        cause: String,
    },
}

impl StorageError {
    /// Puts a system's error in its place.
    fn from_io(
        disk: &(impl Disk + ?Sized),
        action: &'static str,
        name: &str,
        source: io::Error,
    ) -> StorageError {
        let file = disk.locate(name);
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => StorageError::Full {
                action,
                file,
                source,
            },
            _ => StorageError::Failed {
                action,
                file,
                source,
            },
        }
    }
    /// Says where something is not as it was.
    fn damaged(
        disk: &(impl Disk + ?Sized),
        name: &str,
        offset: u64,
        reason: impl Into<String>,
    ) -> StorageError {
        StorageError::Damaged {
            file: disk.locate(name),
            offset,
            reason: reason.into(),
        }
    }
}
