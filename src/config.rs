//! `paxos.conf`: one small text file that every process of a cluster is given.
//!
//! The file has one key and its values a line, in any order; `#` begins a
//! comment. Four lines are required, one for each role's multicast group:
//!
//! ```text
//! clients   239.0.0.1 5000
//! proposers 239.0.0.1 6000
//! acceptors 239.0.0.1 7000
//! learners  239.0.0.1 8000
//! timeout   0.1
//! ```
//!
//! Everything else has a default that suits one machine; the file shipped with
//! paxcast lists every key with its default and its meaning. A value with white
//! space, `#` or odd bytes in it stands in double quotes, where `\"`, `\\` and
//! `\x7f` mean what they do in most languages.
//!
//! A person fixes a configuration by reading messages, so reading goes on after
//! a mistake and [`ConfigError`] carries all of them, each with file and line,
//! what is wrong and what to write instead. [`Config::explain`] goes the other
//! way: it prints what is in force as a file that reads back to the same
//! configuration, with the origin of each value beside it.
//!
//! Nothing here asks the machine about its interfaces: `interface` says what is
//! wanted, and the daemon finds it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::protocol::{AcceptorSet, Membership, ReplicaSet, Settings};

mod error;
mod explain;
mod fingerprint;
mod group;
mod interface;
mod key;
mod quantity;
mod reader;
#[cfg(test)]
mod tests;
mod word;

pub use error::{Complaint, ConfigError};
pub use group::Groups;
pub use interface::InterfaceChoice;

use explain::Origin;
use key::Key;
use reader::Reader;

/// A configuration file larger than this, in bytes, is refused unread.
pub const MAX_FILE: usize = 1 << 20;

/// The longest name that a cluster may have, in bytes.
pub const MAX_CLUSTER_NAME: usize = 64;

/// The configuration in force: what the file says, and defaults for the rest.
///
/// Two configurations are equal when their values are; where a value came from
/// makes no difference.
#[derive(Clone, Debug)]
pub struct Config {
    /// The multicast group of each role.
    pub groups: Groups,
    /// Extra pause between two sends of one client.
    pub timeout: Duration,
    /// The acceptors that exist, running or not; never empty.
    pub acceptors: AcceptorSet,
    /// The replicas whose checkpoints let acceptors forget; none by default.
    pub replicas: ReplicaSet,
    /// Shortest and longest time until an unanswered message is sent again.
    pub repropose: (Duration, Duration),
    /// How often a learner asks for what it may lack, with or without a reason.
    pub catch_up: Duration,
    /// How often a leader says that it is there.
    pub heartbeat: Duration,
    /// How many instances a leader may have open.
    pub window: u32,
    /// The network interface that all traffic takes.
    pub interface: InterfaceChoice,
    /// How many routers a datagram may pass, plus one; 0 keeps it on this machine.
    pub ttl: u32,
    /// Bytes that a datagram may have; without it, as many as the interface
    /// carries unfragmented.
    pub datagram: Option<usize>,
    /// Bytes of receive buffer asked of the kernel for each socket.
    pub receive_buffer: usize,
    /// Bytes of commands that a replica applies between two checkpoints; more where
    /// the state is large.
    pub checkpoint: usize,
    /// Where acceptors keep their votes; without it they are volatile.
    pub data: Option<PathBuf>,
    /// Bytes of votes that a volatile acceptor keeps of what is decided; without
    /// it, an eighth of the machine's memory.
    pub history: Option<usize>,
    /// Tells clusters apart that share groups.
    pub cluster: String,
    origins: BTreeMap<Key, Origin>,
}

impl Config {
    /// Reads a configuration file. A relative `data` is taken from the file's
    /// own directory, so the configuration means the same wherever a daemon is
    /// started.
    pub fn load(path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        // One byte more than the limit tells a file of that size from a longer
        // one, and bounds what a device like /dev/zero can do.
        File::open(path)
            .and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes))
            .map_err(|cause| ConfigError::unreadable(&name, cause))?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let directory = absolute.parent().unwrap_or(Path::new("/"));
        Self::parse_in(directory, &name, &bytes)
    }

    /// Reads the bytes of a configuration file. `name` is what messages call
    /// it; a relative `data` is joined to the directory part of `name` as it is.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Config, ConfigError> {
        let directory = Path::new(name).parent().unwrap_or(Path::new(""));
        Self::parse_in(directory, name, bytes)
    }

    fn parse_in(directory: &Path, name: &str, bytes: &[u8]) -> Result<Config, ConfigError> {
        if bytes.len() > MAX_FILE {
            return Err(ConfigError::TooLarge {
                file: name.to_owned(),
            });
        }
        // The protocol's own defaults, so that there is only one set of them.
        let defaults = Settings::new(Membership::majority(AcceptorSet::first(3)));
        let mut reader = Reader::new(name, bytes);
        let config = Config {
            groups: Groups::read(&mut reader),
            timeout: reader.value(Key::Timeout, defaults.pause, |[word]| {
                quantity::duration(word, Duration::ZERO..=HOUR)
            }),
            acceptors: read_acceptors(&mut reader, defaults.membership.acceptors()),
            replicas: read_replicas(&mut reader),
            repropose: reader.value(Key::Repropose, defaults.repropose, read_repropose),
            catch_up: reader.value(Key::CatchUp, defaults.catch_up, |[word]| {
                quantity::duration(word, Duration::from_millis(10)..=HOUR)
            }),
            heartbeat: reader.value(Key::Heartbeat, defaults.heartbeat, |[word]| {
                quantity::duration(word, MILLISECOND..=Duration::from_secs(10))
            }),
            window: reader.value(Key::Window, defaults.window, |[word]| {
                quantity::number(word, 1..=4096)
            }),
            interface: reader.value(Key::Interface, InterfaceChoice::LOOPBACK, |[word]| {
                InterfaceChoice::read(word)
            }),
            ttl: reader.value(Key::Ttl, 1, |[word]| quantity::number(word, 0..=255)),
            datagram: reader.value(Key::Datagram, None, |[word]| {
                quantity::size(word, 576..=65_507).map(Some)
            }),
            checkpoint: reader.value(Key::Checkpoint, 64 << 20, |[word]| {
                quantity::size(word, 4 << 10..=1 << 40)
            }),
            receive_buffer: reader.value(Key::ReceiveBuffer, 8 << 20, |[word]| {
                quantity::size(word, 4 << 10..=1 << 30)
            }),
            data: reader.value(Key::Data, None, |[word]| {
                word.path().map(|path| Some(directory.join(path)))
            }),
            history: reader.value(Key::History, None, |[word]| {
                quantity::size(word, 1 << 20..=1 << 50).map(Some)
            }),
            cluster: reader.value(Key::Cluster, "paxcast".to_owned(), read_cluster),
            origins: reader.origins(),
        };
        reader.finish()?;
        Ok(config)
    }

    /// The acceptors and how many of them make a quorum: a majority.
    pub fn membership(&self) -> Membership {
        Membership::majority(self.acceptors)
    }

    /// What the roles are told, for datagrams of at most `datagram` bytes.
    pub fn settings(&self, datagram: usize) -> Settings {
        Settings {
            datagram,
            window: self.window,
            heartbeat: self.heartbeat,
            repropose: self.repropose,
            catch_up: self.catch_up,
            pause: self.timeout,
            replicas: self.replicas,
            ..Settings::new(self.membership())
        }
    }

    /// The directory of one acceptor, below `data`; none when acceptors are volatile.
    pub fn acceptor_directory(&self, id: u16) -> Option<PathBuf> {
        let data = self.data.as_ref()?;
        Some(data.join(format!("acceptor-{id}")))
    }

    /// The directory of one replica, below `data`; none when nothing is durable.
    pub fn replica_directory(&self, id: u16) -> Option<PathBuf> {
        let data = self.data.as_ref()?;
        Some(data.join(format!("replica-{id}")))
    }

    /// Puts a directory given on the command line in the place of `data`; a
    /// relative one is taken from the directory the process was started in.
    pub fn override_data(&mut self, directory: impl Into<PathBuf>) {
        self.data = Some(directory.into());
        self.origins.insert(Key::Data, Origin::CommandLine);
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Config) -> bool {
        // Taken apart by name, so that a new field cannot be forgotten here.
        let Config {
            groups,
            timeout,
            acceptors,
            replicas,
            repropose,
            catch_up,
            heartbeat,
            window,
            interface,
            ttl,
            datagram,
            receive_buffer,
            checkpoint,
            data,
            history,
            cluster,
            origins: _,
        } = self;
        *groups == other.groups
            && *timeout == other.timeout
            && *acceptors == other.acceptors
            && *replicas == other.replicas
            && *repropose == other.repropose
            && *catch_up == other.catch_up
            && *heartbeat == other.heartbeat
            && *window == other.window
            && *interface == other.interface
            && *ttl == other.ttl
            && *datagram == other.datagram
            && *receive_buffer == other.receive_buffer
            && *checkpoint == other.checkpoint
            && *data == other.data
            && *history == other.history
            && *cluster == other.cluster
    }
}

impl Eq for Config {}

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn read_acceptors(reader: &mut Reader, default: AcceptorSet) -> AcceptorSet {
    let max = AcceptorSet::MAX_ID;
    reader.refuse_both(Key::AcceptorIds, Key::AcceptorCount);
    let counted = reader.value(Key::AcceptorCount, default, |[word]| {
        quantity::number(word, 1..=max).map(AcceptorSet::first)
    });
    reader.values(Key::AcceptorIds, counted, |words| {
        let mut acceptors = AcceptorSet::EMPTY;
        for word in words {
            let id = quantity::number(word, 1..=max)?;
            if !acceptors.insert(id) {
                return Err(format!("acceptor {id} is listed twice: list each id once"));
            }
        }
        Ok(acceptors)
    })
}

fn read_replicas(reader: &mut Reader) -> ReplicaSet {
    let max = ReplicaSet::MAX_ID;
    reader.values(Key::ReplicaIds, ReplicaSet::EMPTY, |words| {
        let mut replicas = ReplicaSet::EMPTY;
        for word in words {
            let id = quantity::number(word, 1..=max)?;
            if !replicas.insert(id) {
                return Err(format!("replica {id} is listed twice: list each id once"));
            }
        }
        Ok(replicas)
    })
}

fn read_repropose([min, max]: [&word::Word; 2]) -> Result<(Duration, Duration), String> {
    let shortest = quantity::duration(min, MILLISECOND..=MINUTE)?;
    let longest = quantity::duration(max, MILLISECOND..=MINUTE)?;
    if shortest > longest {
        return Err(format!(
            "the shortest time {min} exceeds the longest {max}: swap them"
        ));
    }
    Ok((shortest, longest))
}

fn read_cluster([word]: [&word::Word; 1]) -> Result<String, String> {
    let name = word.text()?;
    if name.is_empty() || name.len() > MAX_CLUSTER_NAME || name.chars().any(char::is_control) {
        return Err(format!(
            "{word} cannot name a cluster: take 1 to {MAX_CLUSTER_NAME} bytes without control characters"
        ));
    }
    Ok(name.to_owned())
}
