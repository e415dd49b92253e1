//! An acceptor's disk: records written, records synced, and what a crash leaves.

use std::collections::BTreeMap;

use super::random::Random;
use crate::protocol::{Found, Instance, Lookup, Record, Vote};

/// An append-only list of records. A prefix of it is synced; a crash keeps
/// that prefix and an arbitrary number of the records behind it.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    records: Vec<Record>,
    synced: usize,
    /// Where the newest vote for each instance stands.
    newest: BTreeMap<Instance, usize>,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Disk {
        Disk::default()
    }

    /// Writes a record, without any promise that it survives.
    pub fn write(&mut self, record: Record) {
        if let Record::Voted { vote } = &record {
            self.newest.insert(vote.instance, self.records.len());
        }
        self.records.push(record);
    }

    /// How many records were written.
    pub fn written(&self) -> usize {
        self.records.len()
    }

    /// How many of them survive a crash for certain.
    pub fn synced(&self) -> usize {
        self.synced
    }

    /// A sync that began when `written` records stood there has returned; gives
    /// the records that are certain from now on.
    pub fn sync(&mut self, written: usize) -> &[Record] {
        let before = self.synced;
        self.synced = before.max(written.min(self.records.len()));
        &self.records[before..self.synced]
    }

    /// Power fails: a suffix of what was not synced is gone. Says how many
    /// records that were. The others are on the medium for good.
    pub fn crash(&mut self, random: &mut Random) -> usize {
        let unsynced = (self.records.len() - self.synced) as u64;
        let lost = random.between(0, unsynced) as usize;
        self.records.truncate(self.records.len() - lost);
        self.newest.clear();
        for (at, record) in self.records.iter().enumerate() {
            if let Record::Voted { vote } = record {
                self.newest.insert(vote.instance, at);
            }
        }
        lost
    }

    /// All records, oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Answers an acceptor's question from everything written so far.
    pub fn lookup(&self, lookup: Lookup) -> Found {
        let mut votes: Vec<Vote> = Vec::new();
        let mut bytes = 0;
        let mut through = lookup.spans.last().map_or(Instance::ZERO, |s| s.through);
        'spans: for span in &lookup.spans {
            if span.from > span.through {
                continue;
            }
            for (&instance, &at) in self.newest.range(span.from..=span.through) {
                let Record::Voted { vote } = &self.records[at] else {
                    continue;
                };
                bytes += vote.value.len();
                if bytes > lookup.bytes && !votes.is_empty() {
                    through = instance.previous();
                    break 'spans;
                }
                votes.push(vote.clone());
            }
        }
        Found {
            lookup,
            through,
            votes,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::{Address, Ballot, Payload, Purpose, Role, Span};

    fn voted(instance: u64, round: u64, bytes: &'static [u8]) -> Record {
        Record::Voted {
            vote: Vote {
                instance: Instance(instance),
                ballot: Ballot {
                    round,
                    proposer: 1,
                    incarnation: 1,
                },
                value: Payload::new(Bytes::from_static(bytes)),
            },
        }
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_sometimes_more() {
        let mut seen = std::collections::BTreeSet::new();
        let mut random = Random::new(1, "disk");
        for _ in 0..200 {
            let mut disk = Disk::new();
            for instance in 1..=5 {
                disk.write(voted(instance, 1, b"x"));
                if instance == 2 {
                    assert_eq!(disk.sync(2).len(), 2);
                }
            }
            let lost = disk.crash(&mut random);
            assert_eq!(disk.written(), 5 - lost);
            seen.insert(disk.written());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [2, 3, 4, 5]);
    }

    #[test]
    fn a_lookup_finds_the_newest_votes_as_far_as_the_bytes_go() {
        let mut disk = Disk::new();
        for instance in [1, 2, 4, 7] {
            disk.write(voted(instance, 1, b"four"));
        }
        disk.write(voted(2, 2, b"four"));
        let lookup = |bytes| Lookup {
            purpose: Purpose::Votes {
                to: Address::Group(Role::Learner),
            },
            spans: vec![
                Span {
                    from: Instance(1),
                    through: Instance(4),
                },
                Span {
                    from: Instance(6),
                    through: Instance(9),
                },
            ],
            bytes,
        };
        let all = disk.lookup(lookup(100));
        let found: Vec<(u64, u64)> = all
            .votes
            .iter()
            .map(|vote| (vote.instance.0, vote.ballot.round))
            .collect();
        assert_eq!(found, [(1, 1), (2, 2), (4, 1), (7, 1)]);
        assert_eq!(all.through, Instance(9));
        let some = disk.lookup(lookup(8));
        assert_eq!((some.votes.len(), some.through), (2, Instance(3)));
        assert_eq!(disk.lookup(lookup(0)).votes.len(), 1);
    }
}
