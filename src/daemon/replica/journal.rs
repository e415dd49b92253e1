//! The journal of a replica on disk, see [`crate::service::journal`].

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::daemon::Failure;
use crate::protocol::Delivery;
use crate::protocol::checksum;
use crate::service::Place;
use crate::service::journal::{Entry, write};

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Gone once writing has failed: the replica goes on without.
    file: Option<File>,
    buffer: Vec<u8>,
    /// Commands since the last digest.
    since: u64,
    /// The place of what was told last.
    told: Place,
}

impl Journal {
    /// Commands between two digests.
    const OFTEN: u64 = 1024;

    /// So much is written at once.
    const BLOCK: usize = 64 << 10;

    /// Begins a journal; there must be none in the file.
    ///
    /// # Errors
    ///
    /// When the file is there already, or cannot be made.
    pub fn create(path: &Path, service: [u8; 8]) -> Result<Journal, Failure> {
        let file = File::create_new(path).map_err(|error| {
            Failure::Failed(format!(
                "cannot begin the journal {}: {error}; it must be a new file, for each start \
                 another one",
                path.display()
            ))
        })?;
        let mut journal = Journal {
            path: path.to_owned(),
            file: Some(file),
            buffer: Vec::new(),
            since: 0,
            told: Place::ZERO,
        };
        let release = env!("CARGO_PKG_VERSION").to_owned();
        write(&Entry::Begin { service, release }, &mut journal.buffer);
        Ok(journal)
    }

    /// The state is that of a checkpoint.
    pub fn state(&mut self, place: Place, content: Bytes) {
        write(&Entry::State { place, content }, &mut self.buffer);
        self.since = 0;
        self.told = place;
    }

    /// A command was applied.
    pub fn applied(&mut self, delivery: &Delivery, reply: &[u8]) {
        let entry = Entry::Applied {
            place: Place(delivery.position),
            command: delivery.value.clone(),
            reply: checksum::of(reply),
        };
        write(&entry, &mut self.buffer);
        self.since += 1;
        self.told = Place(delivery.position);
    }

    /// Writes what there is to write. `digest` is asked now and then, and in the end,
    /// when nothing that the state of `place` has in it is still to be told.
    pub fn settle(&mut self, place: Place, last: bool, digest: impl FnOnce() -> u64) {
        let due = self.since >= Self::OFTEN || (last && self.since > 0);
        if due && self.told == place {
            self.since = 0;
            let digest = digest();
            write(&Entry::Digest { place, digest }, &mut self.buffer);
        }
        if self.buffer.len() < Self::BLOCK && !last {
            return;
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(&self.buffer)
        {
            log::error!(
                "cannot write the journal {}: {error}; it ends here, and the replica goes on",
                self.path.display()
            );
            self.file = None;
        }
        self.buffer.clear();
    }
}
