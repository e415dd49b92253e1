//! The keys of `paxos.conf`, and which one a misspelt word was meant to be.

use std::fmt;

use crate::protocol::Role;

/// A key, in the order in which a person reads the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Clients,
    Proposers,
    Acceptors,
    Learners,
    Timeout,
    AcceptorIds,
    AcceptorCount,
    Cluster,
    Data,
    History,
    ReplicaIds,
    Checkpoint,
    Interface,
    Ttl,
    Datagram,
    ReceiveBuffer,
    Window,
    Heartbeat,
    Repropose,
    CatchUp,
}

impl Key {
    /// All keys.
    pub(super) const ALL: [Key; 20] = [
        Key::Clients,
        Key::Proposers,
        Key::Acceptors,
        Key::Learners,
        Key::Timeout,
        Key::AcceptorIds,
        Key::AcceptorCount,
        Key::Cluster,
        Key::Data,
        Key::History,
        Key::ReplicaIds,
        Key::Checkpoint,
        Key::Interface,
        Key::Ttl,
        Key::Datagram,
        Key::ReceiveBuffer,
        Key::Window,
        Key::Heartbeat,
        Key::Repropose,
        Key::CatchUp,
    ];

    /// The key of a role's group.
    pub(super) fn group(role: Role) -> Key {
        match role {
            Role::Client => Key::Clients,
            Role::Proposer => Key::Proposers,
            Role::Acceptor => Key::Acceptors,
            Role::Learner => Key::Learners,
        }
    }

    /// The key as it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Key::Clients => Role::Client.plural(),
            Key::Proposers => Role::Proposer.plural(),
            Key::Acceptors => Role::Acceptor.plural(),
            Key::Learners => Role::Learner.plural(),
            Key::Timeout => "timeout",
            Key::AcceptorIds => "acceptor_ids",
            Key::AcceptorCount => "acceptor_count",
            Key::ReplicaIds => "replica_ids",
            Key::Checkpoint => "checkpoint",
            Key::Cluster => "cluster",
            Key::Data => "data",
            Key::History => "history",
            Key::Interface => "interface",
            Key::Ttl => "ttl",
            Key::Datagram => "datagram",
            Key::ReceiveBuffer => "receive_buffer",
            Key::Window => "window",
            Key::Heartbeat => "heartbeat",
            Key::Repropose => "repropose",
            Key::CatchUp => "catch_up",
        }
    }

    /// Values that could stand behind the key.
    pub(super) fn example(self) -> &'static str {
        match self {
            Key::Clients => "239.0.0.1 5000",
            Key::Proposers => "239.0.0.1 6000",
            Key::Acceptors => "239.0.0.1 7000",
            Key::Learners => "239.0.0.1 8000",
            Key::Timeout => "0.1",
            Key::AcceptorIds => "1 2 3",
            Key::AcceptorCount => "3",
            Key::ReplicaIds => "1 2 3",
            Key::Checkpoint => "64MiB",
            Key::Cluster => "paxcast",
            Key::Data => "/var/lib/paxcast",
            Key::History => "512MiB",
            Key::Interface => "127.0.0.1",
            Key::Ttl => "1",
            Key::Datagram => "1472",
            Key::ReceiveBuffer => "8MiB",
            Key::Window => "64",
            Key::Heartbeat => "25ms",
            Key::Repropose => "40ms 80ms",
            Key::CatchUp => "1s",
        }
    }

    /// The key of this name.
    pub(super) fn find(name: &str) -> Option<Key> {
        Key::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The key that was probably meant by a word that is none.
    pub(super) fn nearest(word: &str) -> Option<Key> {
        // Longer than any misspelling; this also bounds the work.
        const LONGEST: usize = 24;
        if word.len() > LONGEST {
            return None;
        }
        let word: Vec<char> = word.to_lowercase().replace('-', "_").chars().collect();
        let (distance, key) = Key::ALL
            .into_iter()
            .map(|key| (distance(&word, key.name()), key))
            .min()?;
        let tolerated = (key.name().len() / 3).min(3);
        (distance <= tolerated).then_some(key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many letters must be inserted, removed, replaced or swapped with their
/// neighbour to make `word` into `name`.
fn distance(word: &[char], name: &str) -> usize {
    let name: Vec<char> = name.chars().collect();
    // Row i holds the distances from the first i letters of the word to every
    // beginning of the name.
    let mut rows: Vec<Vec<usize>> = vec![(0..=name.len()).collect()];
    for i in 1..=word.len() {
        let mut row = vec![i];
        for j in 1..=name.len() {
            let replace = rows[i - 1][j - 1] + usize::from(word[i - 1] != name[j - 1]);
            let mut least = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            let swapped =
                i > 1 && j > 1 && word[i - 1] == name[j - 2] && word[i - 2] == name[j - 1];
            if swapped {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[word.len()][name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_find_their_key() {
        for (word, key) in [
            ("learnrs", Key::Learners),
            ("Clients", Key::Clients),
            ("proposer", Key::Proposers),
            ("acceptor-ids", Key::AcceptorIds),
            ("recieve_buffer", Key::ReceiveBuffer),
            ("catchup", Key::CatchUp),
            ("tll", Key::Ttl),
            ("hearthbeat", Key::Heartbeat),
        ] {
            assert_eq!(Key::nearest(word), Some(key), "{word}");
        }
        for word in ["", "xyz", "nodes", "x", &"timeout".repeat(9), "ünïcödé"] {
            assert_eq!(Key::nearest(word), None, "{word}");
        }
    }

    #[test]
    fn every_key_is_found_by_its_name_and_listed_once_in_order() {
        for key in Key::ALL {
            assert_eq!(Key::find(key.name()), Some(key));
            assert_eq!(Key::nearest(key.name()), Some(key));
        }
        assert!(Key::ALL.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn distances_count_single_edits() {
        for (word, name, edits) in [
            ("", "ttl", 3),
            ("ttl", "ttl", 0),
            ("tlt", "ttl", 1),
            ("dat", "data", 1),
            ("dtaa", "data", 1),
            ("widow", "window", 1),
            ("wimdows", "window", 2),
        ] {
            let word: Vec<char> = word.chars().collect();
            assert_eq!(distance(&word, name), edits, "{word:?} {name}");
        }
    }
}
