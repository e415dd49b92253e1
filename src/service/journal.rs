//! Everything that a replica applied, with what came of it, to be applied again: by
//! another release, which must answer the same.
//!
//! A service must be a function of the log. Two releases that answer one log
//! differently cannot run beside each other, and the second one makes another state
//! of the same history. So before a new release is let in, it is given an old one's
//! journal: a canary.
//!
//! ```text
//! entry = length 4 | its crc32c 4 | crc32c of the body 4 | body: postcard(Entry)
//! ```
//!
//! A journal begins with [`Entry::Begin`]; behind it, or later, where the replica took
//! a checkpoint over, a state. Whatever stops in the middle of an entry is cut off.

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::replica::state_in;
use super::{Damaged, Place, StateMachine};
use crate::protocol::checksum;

/// One thing that a journal tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A replica started.
    Begin {
        /// Which service, as its checkpoints are marked.
        service: [u8; 8],
        /// The release.
        release: String,
    },
    /// The state is that of a checkpoint with this content.
    State {
        /// The last place in it.
        place: Place,
        /// The content.
        content: Bytes,
    },
    /// A command was applied.
    Applied {
        /// Where.
        place: Place,
        /// The command.
        command: Bytes,
        /// The checksum (CRC32C) of the reply.
        reply: u32,
    },
    /// The state had this digest.
    Digest {
        /// Behind the command of this place.
        place: Place,
        /// The digest.
        digest: u64,
    },
}

/// Appends an entry.
pub fn write(entry: &Entry, journal: &mut Vec<u8>) {
    let body = postcard::to_stdvec(entry).expect("memory can be written");
    let length = (body.len() as u32).to_le_bytes();
    journal.extend_from_slice(&length);
    // Or a damaged length would look like an end that was torn.
    journal.extend_from_slice(&checksum::of(&length).to_le_bytes());
    journal.extend_from_slice(&checksum::of(&body).to_le_bytes());
    journal.extend_from_slice(&body);
}

/// Takes a journal apart, as it comes.
#[derive(Debug, Default)]
pub struct Entries {
    bytes: BytesMut,
}

impl Entries {
    const HEAD: usize = 12;

    /// More of the journal.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next entry, if it is there as a whole.
    ///
    /// # Errors
    ///
    /// When it is damaged.
    pub fn advance(&mut self) -> Result<Option<Entry>, Broken> {
        let Some(head) = self.bytes.get(..Self::HEAD) else {
            return Ok(None);
        };
        let number = |at: usize| {
            let bytes = head[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(bytes)
        };
        if checksum::of(&head[..4]) != number(4) {
            return Err(Broken::Damaged);
        }
        let (length, crc) = (number(0) as usize, number(8));
        if self.bytes.len() < Self::HEAD + length {
            return Ok(None);
        }
        self.bytes.advance(Self::HEAD);
        let body = self.bytes.split_to(length);
        if checksum::of(&body) != crc {
            return Err(Broken::Damaged);
        }
        let entry = postcard::from_bytes(&body).map_err(|_| Broken::Damaged)?;
        Ok(Some(entry))
    }

    /// Bytes of an entry that is not whole.
    pub fn rest(&self) -> usize {
        self.bytes.len()
    }
}

/// Applies a journal to a service.
#[derive(Debug)]
pub struct Replay<S> {
    service: [u8; 8],
    machine: S,
    place: Place,
    /// What went by.
    pub passed: Passed,
}

/// What a replay has been through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Commands.
    pub commands: u64,
    /// Digests that were compared.
    pub digests: u64,
    /// States that were taken over.
    pub states: u64,
    /// Releases that wrote it.
    pub releases: Vec<String>,
}

/// Why a journal cannot be applied, or gives something else.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// The journal was changed since it was written.
    #[error("the journal is damaged")]
    Damaged,
    /// It is another service's.
    #[error("the journal is of another service")]
    Service,
    /// A state in it cannot be used.
    #[error("the state through {0} cannot be used: {1}")]
    State(Place, Damaged),
    /// Something is missing.
    #[error("the journal leaps from {0} to {1}")]
    Leap(Place, Place),
    /// A command gives another reply.
    #[error(
        "the reply to the command {place} is another one (checksum {now:08x}, it was {then:08x})"
    )]
    Reply {
        /// Which.
        place: Place,
        /// The checksum of the reply then,
        then: u32,
        /// and now.
        now: u32,
    },
    /// The state is another one, though all replies were the same.
    #[error("the state behind {place} has digest {now:016x}, it had {then:016x}")]
    Digest {
        /// Where.
        place: Place,
        /// The digest then,
        then: u64,
        /// and now.
        now: u64,
    },
}

impl<S: StateMachine> Replay<S> {
    /// A replay of a journal of the service with this mark, from an empty state.
    pub fn new(service: [u8; 8], machine: S) -> Replay<S> {
        Replay {
            service,
            machine,
            place: Place::ZERO,
            passed: Passed::default(),
        }
    }

    /// The place of the last command.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The state.
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// Takes an entry.
    ///
    /// # Errors
    ///
    /// When it cannot be applied, or gives something else than it gave.
    pub fn take(&mut self, entry: Entry) -> Result<(), Broken> {
        match entry {
            Entry::Begin { service, release } => {
                if service != self.service {
                    return Err(Broken::Service);
                }
                if self.passed.releases.last() != Some(&release) {
                    self.passed.releases.push(release);
                }
            }
            Entry::State { place, content } => {
                let broken = |damaged| Broken::State(place, damaged);
                let state = state_in(&content).map_err(broken)?;
                self.machine.restore(state).map_err(broken)?;
                self.place = place;
                self.passed.states += 1;
            }
            Entry::Applied {
                place,
                command,
                reply,
            } => {
                if place != self.place.next() {
                    return Err(Broken::Leap(self.place, place));
                }
                let mut said = Vec::new();
                self.machine.apply(place, &command, &mut said);
                self.place = place;
                self.passed.commands += 1;
                let now = checksum::of(&said);
                if now != reply {
                    let then = reply;
                    return Err(Broken::Reply { place, then, now });
                }
            }
            Entry::Digest { place, digest } => {
                if place != self.place {
                    return Err(Broken::Leap(self.place, place));
                }
                self.passed.digests += 1;
                let now = self.machine.digest();
                if now != digest {
                    let then = digest;
                    return Err(Broken::Digest { place, then, now });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::kv::Store;
    use crate::service::kv::command::{Command, Stamped};

    const MARK: [u8; 8] = *b"testtest";

    /// A journal of so many ticks, and its store.
    fn journal(ticks: u64) -> (Vec<Entry>, Store) {
        let mut store = Store::default();
        let mut entries = vec![Entry::Begin {
            service: MARK,
            release: "1".into(),
        }];
        for place in (1..=ticks).map(Place) {
            let mut command = Vec::new();
            Stamped {
                stamp: place.0 * 1000,
                command: Command::Tick,
            }
            .encode_into(&mut command);
            let mut reply = Vec::new();
            store.apply(place, &command, &mut reply);
            entries.push(Entry::Applied {
                place,
                command: command.into(),
                reply: checksum::of(&reply),
            });
            let digest = store.digest();
            entries.push(Entry::Digest { place, digest });
        }
        (entries, store)
    }

    fn replay(entries: &[Entry]) -> Result<Passed, Broken> {
        let mut bytes = Vec::new();
        for entry in entries {
            write(entry, &mut bytes);
        }
        let mut replay = Replay::new(MARK, Store::default());
        let mut read = Entries::default();
        for part in bytes.chunks(7) {
            read.feed(part);
            while let Some(entry) = read.advance()? {
                replay.take(entry)?;
            }
        }
        assert_eq!(read.rest(), 0);
        Ok(replay.passed)
    }

    #[test]
    fn the_same_service_answers_the_same() {
        let (entries, _) = journal(9);
        let passed = replay(&entries).expect("the same");
        assert_eq!((passed.commands, passed.digests, passed.states), (9, 9, 0));
        assert_eq!(passed.releases, ["1"]);
    }

    #[test]
    fn whatever_is_different_is_told_with_its_place() {
        let (mut entries, _) = journal(3);
        let place = Place(2);
        for entry in &mut entries {
            if let Entry::Applied {
                place: at, reply, ..
            } = entry
                && *at == place
            {
                *reply ^= 1;
            }
        }
        assert!(matches!(replay(&entries), Err(Broken::Reply { place: at, .. }) if at == place));
        let (mut entries, _) = journal(3);
        for entry in &mut entries {
            if let Entry::Digest { place: at, digest } = entry
                && *at == place
            {
                *digest ^= 1;
            }
        }
        assert!(matches!(replay(&entries), Err(Broken::Digest { place: at, .. }) if at == place));
        let (mut entries, _) = journal(3);
        entries.drain(3..5);
        assert_eq!(replay(&entries), Err(Broken::Leap(Place(1), Place(3))));
        let (mut entries, _) = journal(1);
        entries[0] = Entry::Begin {
            service: *b"foreign!",
            release: "1".into(),
        };
        assert_eq!(replay(&entries), Err(Broken::Service));
    }

    #[test]
    fn damage_is_noticed_and_a_torn_end_is_left_out() {
        let (entries, _) = journal(1);
        let mut bytes = Vec::new();
        for entry in &entries {
            write(entry, &mut bytes);
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let mut read = Entries::default();
            read.feed(&damaged);
            let mut whole = 0;
            let broken = loop {
                match read.advance() {
                    Ok(Some(_)) => whole += 1,
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            };
            assert!(broken || whole < entries.len(), "byte {at}");
        }
        let mut read = Entries::default();
        read.feed(&bytes[..bytes.len() - 1]);
        while let Ok(Some(_)) = read.advance() {}
        assert!(read.rest() > 0);
    }
}
