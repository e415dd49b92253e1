//! The services that simulated replicas run, as one state machine.

use std::fmt;
use std::str::FromStr;

use crate::service::chat::Chat;
use crate::service::kv::Store;
use crate::service::{Damaged, Frozen, Place, Reading, StateMachine};

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The key-value store.
    Store,
    /// The chat.
    Chat,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Store => "store",
            Kind::Chat => "chat",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Kind, String> {
        let both = [Kind::Store, Kind::Chat];
        let found = both.into_iter().find(|kind| kind.name() == word);
        found.ok_or_else(|| format!("{word:?} is no service: there are store and chat"))
    }
}

/// One of them.
#[derive(Clone, Debug)]
pub enum Service {
    /// The key-value store.
    Store(Box<Store>),
    /// The chat.
    Chat(Box<Chat>),
}

/// The state of one of them, as it was.
#[derive(Debug)]
pub enum FrozenService {
    /// Of the store.
    Store(<Store as StateMachine>::Frozen),
    /// Of the chat.
    Chat(<Chat as StateMachine>::Frozen),
}

impl Service {
    /// One at its beginning. A chat remembers so many bytes.
    pub fn new(kind: Kind, memory: usize) -> Service {
        match kind {
            Kind::Store => Service::Store(Box::default()),
            Kind::Chat => Service::Chat(Box::new(Chat::with_memory(memory))),
        }
    }

    /// The chat, if it is one.
    pub fn chat(&self) -> Option<&Chat> {
        match self {
            Service::Chat(chat) => Some(chat),
            Service::Store(_) => None,
        }
    }
}

impl StateMachine for Service {
    type Frozen = FrozenService;

    fn apply(&mut self, place: Place, command: &[u8], reply: &mut Vec<u8>) {
        match self {
            Service::Store(store) => store.apply(place, command, reply),
            Service::Chat(chat) => chat.apply(place, command, reply),
        }
    }

    fn read(&self, command: &[u8], reply: &mut Vec<u8>) -> Reading {
        match self {
            Service::Store(store) => store.read(command, reply),
            Service::Chat(chat) => chat.read(command, reply),
        }
    }

    fn freeze(&self) -> FrozenService {
        match self {
            Service::Store(store) => FrozenService::Store(store.freeze()),
            Service::Chat(chat) => FrozenService::Chat(chat.freeze()),
        }
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Damaged> {
        match self {
            Service::Store(store) => store.restore(snapshot),
            Service::Chat(chat) => chat.restore(snapshot),
        }
    }

    fn restore_gently(&mut self, snapshot: &[u8], rest: &mut dyn FnMut()) -> Result<(), Damaged> {
        match self {
            Service::Store(store) => store.restore_gently(snapshot, rest),
            Service::Chat(chat) => chat.restore_gently(snapshot, rest),
        }
    }

    fn empty(&self) -> Service {
        match self {
            Service::Store(store) => Service::Store(Box::new(store.empty())),
            Service::Chat(chat) => Service::Chat(Box::new(chat.empty())),
        }
    }

    fn digest(&self) -> u64 {
        match self {
            Service::Store(store) => store.digest(),
            Service::Chat(chat) => chat.digest(),
        }
    }
}

impl Frozen for FrozenService {
    fn write(&self, part: &mut dyn FnMut(&[u8])) {
        match self {
            FrozenService::Store(store) => store.write(part),
            FrozenService::Chat(chat) => chat.write(part),
        }
    }
}
