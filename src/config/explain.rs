//! The configuration in force, written as a `paxos.conf`.

use std::fmt;
use std::net::SocketAddrV4;
use std::os::unix::ffi::OsStrExt;

use super::Config;
use super::key::Key;
use super::quantity::{show_duration, show_size};
use super::word::quote;

/// Where a value comes from, if it is not the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This line of the file, from 1.
    Line(usize),
    /// An option of the process.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Line(number) => write!(f, "line {number}"),
            Origin::CommandLine => f.write_str("command line"),
        }
    }
}

impl Config {
    /// The configuration in force as a file that reads back to the same one,
    /// every line with the origin of its value in a comment. Keys that are not
    /// set and have no value by default stand as comments.
    pub fn explain(&self) -> String {
        let rows: Vec<(Key, Option<String>)> = Key::ALL
            .into_iter()
            // The ids say it.
            .filter(|&key| key != Key::AcceptorCount)
            .map(|key| (key, self.written(key)))
            .collect();
        let values = |row: &(Key, Option<String>)| row.1.as_deref().unwrap_or("").chars().count();
        let width = rows.iter().map(values).max().unwrap_or(0);
        let mut text = String::new();
        for (key, value) in &rows {
            let mark = if value.is_some() { "" } else { "#" };
            let name = format!("{mark}{key}");
            let value = value.as_deref().unwrap_or("");
            let origin = self.origin(*key);
            text.push_str(&format!("{name:<15} {value:<width$}  # {origin}\n"));
        }
        text
    }

    /// The values of a key, as a file has them.
    fn written(&self, key: Key) -> Option<String> {
        let group = |group: SocketAddrV4| format!("{} {}", group.ip(), group.port());
        Some(match key {
            Key::Clients => group(self.groups.clients),
            Key::Proposers => group(self.groups.proposers),
            Key::Acceptors => group(self.groups.acceptors),
            Key::Learners => group(self.groups.learners),
            Key::Timeout => show_duration(self.timeout),
            Key::AcceptorIds => ids(self.acceptors.iter()),
            Key::AcceptorCount => self.acceptors.len().to_string(),
            Key::ReplicaIds if self.replicas.is_empty() => return None,
            Key::ReplicaIds => ids(self.replicas.iter()),
            Key::Checkpoint => show_size(self.checkpoint),
            Key::Cluster => quote(self.cluster.as_bytes()),
            Key::Data => quote(self.data.as_ref()?.as_os_str().as_bytes()),
            Key::History => show_size(self.history?),
            Key::Interface => self.interface.to_string(),
            Key::Ttl => self.ttl.to_string(),
            Key::Datagram => self.datagram?.to_string(),
            Key::ReceiveBuffer => show_size(self.receive_buffer),
            Key::Window => self.window.to_string(),
            Key::Heartbeat => show_duration(self.heartbeat),
            Key::Repropose => {
                let (shortest, longest) = self.repropose;
                format!("{} {}", show_duration(shortest), show_duration(longest))
            }
            Key::CatchUp => show_duration(self.catch_up),
        })
    }

    fn origin(&self, key: Key) -> String {
        if let Some(origin) = self.origins.get(&key) {
            return origin.to_string();
        }
        match (key, self.origins.get(&Key::AcceptorCount)) {
            (Key::AcceptorIds, Some(origin)) => format!("{origin} (acceptor_count)"),
            (Key::ReplicaIds, _) => "default: acceptors with data forget nothing".to_owned(),
            (Key::Datagram, _) => "default: what the interface carries unfragmented".to_owned(),
            (Key::Data, _) => {
                "default: acceptors keep their votes in memory and forget them at their end"
                    .to_owned()
            }
            (Key::History, _) => {
                "default: an eighth of the memory; only for acceptors without data".to_owned()
            }
            _ => "default".to_owned(),
        }
    }
}

/// Ids as they are listed.
fn ids(ids: impl Iterator<Item = u16>) -> String {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    ids.join(" ")
}
