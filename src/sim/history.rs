//! What happened in a run, piece by piece, for those who draw or analyse it.
//!
//! The [`trace`](super::trace) is for reading and for comparing runs. A history
//! keeps more, and keeps it apart: which copy of which datagram came to whom,
//! when it was taken out of the socket, who led and when, what was written and
//! synced. It costs time and memory, so a cluster keeps one only when asked to
//! ([`Cluster::keep_history`](super::Cluster::keep_history)); what it records
//! has no influence on the run.
//!
//! A datagram has a number in the run, and so has every *parcel*, the copy of
//! it for one receiver: its events (left, then lost or arrived, then heard) are
//! tied together by that number.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::check::Delivered;
use crate::protocol::{Ballot, Record, Role, Time};
use crate::wire::{self, Datagram, Reject, Scope};

/// How much of a run to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nothing before this time.
    pub from: Time,
    /// Nothing after this time.
    pub through: Time,
    /// This many events; the oldest make way.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            from: Time::ZERO,
            through: Time(u64::MAX),
            events: 200_000,
        }
    }
}

/// One process of the run, through all its restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name; no other host has it.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// What was known of it when the part of the run that is kept began.
    pub opening: Standing,
}

/// What a process is, and what it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it lives.
    pub alive: bool,
    /// Whether it is stopped, to go on later.
    pub paused: bool,
    /// The ballot it leads in.
    pub leads: Option<Ballot>,
    /// The highest ballot it has written a promise or a vote for.
    pub promised: Option<Ballot>,
}

impl Standing {
    /// What an event makes of it.
    pub fn follow(&mut self, event: &Event) {
        match event {
            Event::Started => {
                self.alive = true;
                self.paused = false;
            }
            Event::Died => {
                self.alive = false;
                self.paused = false;
                self.leads = None;
            }
            Event::Paused => self.paused = true,
            Event::Resumed => self.paused = false,
            Event::Elected(ballot) => self.leads = Some(*ballot),
            Event::Deposed(_) => self.leads = None,
            Event::Wrote(record) => self.promised = self.promised.max(promise(record)),
            Event::Recovered { promised, .. } => self.promised = *promised,
            _ => {}
        }
    }
}

/// The ballot that a record promises, as a vote does too.
pub fn promise(record: &Record) -> Option<Ballot> {
    match record {
        Record::Promised { ballot } => Some(*ballot),
        Record::Voted { vote } => Some(vote.ballot),
        Record::Trimmed { promised, .. } => Some(*promised),
        Record::Watermark { .. } => None,
    }
}

/// A datagram as it left its sender.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its number in the run, from 0.
    pub number: u64,
    /// When it left.
    pub at: Time,
    /// The host that sent it.
    pub from: usize,
    /// Whom it was for, in words.
    pub to: Arc<str>,
    /// Itself.
    pub bytes: Bytes,
}

/// The copy of a datagram for one receiver.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Its number in the run, from 0.
    pub number: u64,
    /// The datagram.
    pub sent: Arc<Sent>,
    /// The host that it is for.
    pub to: usize,
    /// Whether the network made this copy by itself, after the first.
    pub again: bool,
}

/// One thing that happened to one host, or between two.
#[derive(Clone, Debug)]
pub enum Event {
    /// The host sent a datagram.
    Sent(Arc<Sent>),
    /// A parcel left for its receiver. The host is the sender.
    Left(Arc<Parcel>),
    /// A parcel will never arrive, and this is why.
    Lost(Arc<Parcel>, &'static str),
    /// A parcel reached a socket of the host.
    Arrived(Arc<Parcel>),
    /// A parcel found the socket full.
    Overflowed(Arc<Parcel>),
    /// A parcel found nobody at its address.
    Missed(Arc<Parcel>),
    /// The host took a parcel out of its socket, and could not read it when
    /// there is a reason. This, not the arrival, is what the host can act on.
    Heard(Arc<Parcel>, Option<Reject>),
    /// The host began to run, or began again.
    Started,
    /// The host died.
    Died,
    /// The host, an acceptor that began again, found its records on its disk.
    Recovered {
        /// How many.
        records: usize,
        /// How many that it had written did not survive its death.
        lost: usize,
        /// The highest ballot that the others promise or vote for.
        promised: Option<Ballot>,
    },
    /// The host stopped; its sockets still fill.
    Paused,
    /// The host went on.
    Resumed,
    /// The host wrote a record.
    Wrote(Record),
    /// So many records of the host became durable.
    Synced(usize),
    /// The host, a client, was given a value to submit.
    Submitted(Bytes),
    /// The host, a learner, handed a value on at this position.
    Delivered(u64, Delivered),
    /// The host, a client, knows so many more values delivered.
    Acknowledged(u64),
    /// The host, a client, lost its session, and the outcome of so many values.
    Evicted(u64),
    /// The host leads in this ballot.
    Elected(Ballot),
    /// The host leads no longer.
    Deposed(Ballot),
    /// Nothing passes any more on these paths, from the first to the second.
    Cut(Vec<(usize, usize)>),
    /// These paths are open again.
    Mended(Vec<(usize, usize)>),
    /// Something was done to the cluster, or said about it.
    Note(String),
}

/// An event, where and when it happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: Time,
    /// At which host; without one, it concerns the cluster.
    pub host: Option<usize>,
    /// What.
    pub event: Event,
}

/// The record of a run, or of a part of it.
#[derive(Clone, Debug)]
pub struct History {
    scope: Scope,
    limits: Limits,
    hosts: Vec<Host>,
    entries: VecDeque<Entry>,
    forgotten: u64,
    ended: Time,
    datagrams: u64,
    parcels: u64,
    cut: Vec<(usize, usize)>,
}

impl History {
    /// An empty history.
    pub fn new(scope: Scope, limits: Limits) -> History {
        History {
            scope,
            limits,
            hosts: Vec::new(),
            entries: VecDeque::new(),
            forgotten: 0,
            ended: Time::ZERO,
            datagrams: 0,
            parcels: 0,
            cut: Vec::new(),
        }
    }

    /// Adds a process. Two processes may have one name in the world, but not here.
    pub fn add_host(&mut self, name: &str, role: Role) -> usize {
        let mut unique = name.to_string();
        while self.hosts.iter().any(|host| host.name == unique) {
            unique.push('\'');
        }
        self.hosts.push(Host {
            name: unique,
            role,
            opening: Standing::default(),
        });
        self.hosts.len() - 1
    }

    /// Adds an event. Times never decrease.
    pub fn add(&mut self, at: Time, host: Option<usize>, event: Event) {
        self.ended = self.ended.max(at.min(self.limits.through));
        if at > self.limits.through {
            self.forgotten += 1;
            return;
        }
        let entry = Entry { at, host, event };
        if at < self.limits.from {
            self.forget(&entry);
            return;
        }
        if self.entries.len() >= self.limits.events
            && let Some(oldest) = self.entries.pop_front()
        {
            self.forget(&oldest);
        }
        self.entries.push_back(entry);
    }

    /// Keeps of an event only what the rest cannot be understood without.
    fn forget(&mut self, entry: &Entry) {
        self.forgotten += 1;
        if let Some(host) = entry.host {
            self.hosts[host].opening.follow(&entry.event);
        }
    }

    /// A datagram leaves.
    pub fn send(&mut self, at: Time, from: usize, to: Arc<str>, bytes: Bytes) -> Arc<Sent> {
        let sent = Arc::new(Sent {
            number: self.datagrams,
            at,
            from,
            to,
            bytes,
        });
        self.datagrams += 1;
        self.add(at, Some(from), Event::Sent(sent.clone()));
        sent
    }

    /// A copy of a datagram leaves for one receiver.
    pub fn leave(&mut self, at: Time, sent: &Arc<Sent>, to: usize, again: bool) -> Arc<Parcel> {
        let parcel = Arc::new(Parcel {
            number: self.parcels,
            sent: sent.clone(),
            to,
            again,
        });
        self.parcels += 1;
        self.add(at, Some(sent.from), Event::Left(parcel.clone()));
        parcel
    }

    /// Compares the paths that are cut, ascending, with those that were.
    pub fn see_paths(&mut self, at: Time, cut: &[(usize, usize)]) {
        let only = |these: &[(usize, usize)], those: &[(usize, usize)]| -> Vec<_> {
            let missing = |path: &&(usize, usize)| those.binary_search(path).is_err();
            these.iter().filter(missing).copied().collect()
        };
        let fresh = only(cut, &self.cut);
        let mended = only(&self.cut, cut);
        if !fresh.is_empty() {
            self.add(at, None, Event::Cut(fresh));
        }
        if !mended.is_empty() {
            self.add(at, None, Event::Mended(mended));
        }
        self.cut = cut.to_vec();
    }

    /// The processes, in the order in which they were added.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// What happened, oldest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many events the limits left out.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The time of the last event that lies within the limits.
    pub fn ended(&self) -> Time {
        self.ended
    }

    /// What a datagram says, or why it says nothing to this cluster.
    pub fn read(&self, sent: &Sent) -> Result<Datagram, Reject> {
        wire::decode(&self.scope, sent.bytes.clone())
    }

    /// A plain sentence about what is missing, if anything is.
    pub fn shortfall(&self) -> Option<String> {
        (self.forgotten > 0).then(|| {
            format!(
                "{} of {} events are left out: at most {} are kept, the latest, and only those from {} on{}.",
                self.forgotten,
                self.forgotten + self.entries.len() as u64,
                self.limits.events,
                self.limits.from,
                match self.limits.through {
                    Time(u64::MAX) => String::new(),
                    through => format!(", through {through}"),
                }
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(limits: Limits) -> History {
        let scope = Scope {
            cluster: 1,
            config: 2,
        };
        let mut history = History::new(scope, limits);
        history.add_host("p1", Role::Proposer);
        history
    }

    #[test]
    fn two_processes_of_one_name_are_two_hosts() {
        let mut history = history(Limits::default());
        for _ in 0..2 {
            history.add_host("p1", Role::Proposer);
        }
        let names: Vec<&str> = history.hosts().iter().map(|h| h.name.as_str()).collect();
        assert_eq!(names, ["p1", "p1'", "p1''"]);
    }

    #[test]
    fn what_is_left_out_is_counted_and_still_understood() {
        let mut history = history(Limits {
            events: 3,
            ..Limits::default()
        });
        let ballot = Ballot {
            round: 1,
            proposer: 1,
            incarnation: 9,
        };
        history.add(Time(1), Some(0), Event::Started);
        history.add(Time(2), Some(0), Event::Elected(ballot));
        assert_eq!(history.shortfall(), None);
        for at in 3..6 {
            history.add(Time(at), None, Event::Note(at.to_string()));
        }
        assert_eq!(history.entries().len(), 3);
        assert_eq!(history.forgotten(), 2);
        let opening = history.hosts()[0].opening;
        assert!(opening.alive && opening.leads == Some(ballot));
        let words = history.shortfall().expect("some is left out");
        assert!(words.starts_with("2 of 5 events"), "{words}");
    }

    #[test]
    fn a_window_keeps_what_lies_in_it() {
        let mut history = history(Limits {
            from: Time(10),
            through: Time(20),
            ..Limits::default()
        });
        for at in 0..40 {
            history.add(Time(at), Some(0), Event::Started);
        }
        let times: Vec<u64> = history.entries().map(|entry| entry.at.0).collect();
        assert_eq!(times, (10..=20).collect::<Vec<u64>>());
        assert_eq!(history.ended(), Time(20));
        assert_eq!(history.forgotten(), 29);
    }

    #[test]
    fn paths_are_told_when_they_change() {
        let mut history = history(Limits::default());
        history.see_paths(Time(1), &[(0, 1), (1, 0)]);
        history.see_paths(Time(2), &[(0, 1), (1, 0)]);
        history.see_paths(Time(3), &[(0, 1), (2, 0)]);
        let told: Vec<String> = history
            .entries()
            .map(|entry| format!("{} {:?}", entry.at.0, entry.event))
            .collect();
        let expected = [
            "1 Cut([(0, 1), (1, 0)])",
            "3 Cut([(2, 0)])",
            "3 Mended([(1, 0)])",
        ];
        assert_eq!(told, expected);
    }
}
