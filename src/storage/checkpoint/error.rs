//! Why a checkpoint cannot be kept or used, and what an operator does about it.

use std::io;

use thiserror::Error;

use crate::storage::Disk;

/// What is wrong with a checkpoint, or with writing one.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Bytes that were durable are not what they were.
    #[error(
        "{file}, byte {offset}: {reason}; what was durable has changed, so the disk or something \
         that wrote to it is at fault; {remedy}"
    )]
    Damaged {
        /// In which file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        reason: String,
        /// What becomes of it.
        remedy: &'static str,
    },
    /// The checkpoint belongs to somebody else.
    #[error(
        "{file}: written for {what} {found}, but this is {what} {expected}; going on from \
         another's state would make replicas differ: check the data directory and `cluster` in \
         the configuration and the id on the command line"
    )]
    Foreign {
        /// The file that says so.
        file: String,
        /// Which part of the owner differs.
        what: &'static str,
        /// What the configuration says.
        expected: String,
        /// What the file says.
        found: String,
    },
    /// No room.
    #[error(
        "{file}: cannot {action}: the disk or quota is full ({source}); the checkpoints before \
         are kept, but acceptors cannot forget what lies behind them until there is room for a \
         new one: free some"
    )]
    Full {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        file: String,
        /// As the system said it.
        source: io::Error,
    },
    /// The disk failed.
    #[error(
        "{file}: cannot {action}: {source}; look at the kernel's log: the checkpoints before are \
         kept, and are checked when the replica starts"
    )]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        file: String,
        /// As the system said it.
        source: io::Error,
    },
    /// A checkpoint that is not there, or not any more.
    #[error("{file}: no such checkpoint is held")]
    Gone {
        /// Where it would be.
        file: String,
    },
}

impl CheckpointError {
    /// Puts a system's error in its place.
    pub(super) fn from_io(
        disk: &(impl Disk + ?Sized),
        action: &'static str,
        name: &str,
        source: io::Error,
    ) -> CheckpointError {
        let file = disk.locate(name);
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => CheckpointError::Full {
                action,
                file,
                source,
            },
            _ => CheckpointError::Failed {
                action,
                file,
                source,
            },
        }
    }

    /// Says where something is not as it was.
    pub(super) fn damaged(
        disk: &(impl Disk + ?Sized),
        name: &str,
        offset: u64,
        reason: impl Into<String>,
    ) -> CheckpointError {
        CheckpointError::Damaged {
            file: disk.locate(name),
            offset,
            reason: reason.into(),
            remedy: "this checkpoint is not used, and goes when there is a newer one",
        }
    }

    /// Says that the content is not what it was.
    pub(super) fn content(disk: &(impl Disk + ?Sized), name: &str) -> CheckpointError {
        let reason = "the content does not match its checksum";
        CheckpointError::damaged(disk, name, super::HEADING, reason)
    }

    /// The same, where no other checkpoint can be used instead.
    pub(super) fn without_another(mut self) -> CheckpointError {
        if let CheckpointError::Damaged { remedy, .. } = &mut self {
            *remedy = "no other checkpoint here is whole; look for the cause, then remove the \
                       checkpoints: the replica begins with nothing and fetches the state from \
                       another replica, so be sure that one has it";
        }
        self
    }
}
