//! Flow control: a leader does not send what nobody has room to receive.
//!
//! A datagram that finds a full socket buffer is dropped by the kernel without a
//! word. Acceptors and learners therefore say how much their buffers hold and how
//! far they have read, and the leader keeps what is under way to each of them
//! within it. One that has stopped saying so for a while is not waited for: it may
//! be dead, and it can catch up when it is not.
//!
//! Of many learners only a few say all the time how far they have read
//! ([`Settings::SPEAKERS`]). The others are taken to be as far as the slowest of
//! those, until they say otherwise.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::protocol::{Instance, Measure, ProcessId, Role, Settings, Time};

/// What is under way to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flow {
    receivers: BTreeMap<ProcessId, Receiver>,
    /// For the latest proposals, the cost of all sent up to and including each.
    sent: VecDeque<(Instance, u64)>,
    total: u64,
    /// Parts in 256 of the room that loss leaves.
    pressure: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Receiver {
    /// Bytes its socket buffer holds, as the kernel counts them.
    buffer: u64,
    /// The cost of everything it is known to have read.
    read: u64,
    /// Since when it owes an answer: its last one, or what was sent first after.
    since: Time,
    /// When it was last heard at all.
    heard: Time,
    /// When it last told how far it has read.
    told: Option<Time>,
    /// Whether it did so twice within [`Flow::PATIENCE`]: then it tells as it reads,
    /// and not just to say that it is there.
    often: bool,
}

impl Flow {
    /// The buffer of a receiver that did not announce one yet: Linux's default.
    const UNKNOWN: u64 = 212_992;

    /// How long a receiver that owes an answer is waited for.
    const PATIENCE: Duration = Duration::from_millis(50);

    /// How long a receiver that says nothing is remembered.
    const FORGET: Duration = Duration::from_secs(10);

    /// How many receivers are remembered.
    const MAX_RECEIVERS: usize = 1_024;

    /// How many proposals are remembered: more than any window.
    const MAX_SENT: usize = 8_192;

    /// A receiver says how much its buffer holds.
    pub fn announce(&mut self, now: Time, from: ProcessId, buffer: u32) {
        if self.receivers.len() >= Self::MAX_RECEIVERS && !self.receivers.contains_key(&from) {
            return;
        }
        let total = self.total;
        let receiver = self.receivers.entry(from).or_insert(Receiver {
            buffer: 0,
            read: total,
            since: now,
            heard: now,
            told: None,
            often: false,
        });
        receiver.buffer = u64::from(buffer);
        receiver.heard = now;
    }

    /// A receiver has read the proposal for `instance`, and those sent before.
    pub fn read(&mut self, now: Time, from: ProcessId, instance: Instance) {
        let Some(receiver) = self.receivers.get_mut(&from) else {
            return;
        };
        let index = self.sent.partition_point(|&(sent, _)| sent <= instance);
        let read = match index {
            0 => 0,
            _ => self.sent[index - 1].1,
        };
        receiver.heard = now;
        receiver.often = receiver
            .told
            .is_some_and(|told| now.since(told) < Self::PATIENCE);
        receiver.told = Some(now);
        if read > receiver.read {
            receiver.read = read;
            receiver.since = now;
        }
    }

    /// A proposal was sent for the first time. Instances ascend.
    pub fn sent(&mut self, now: Time, instance: Instance, cost: u64) {
        for receiver in self.receivers.values_mut() {
            if receiver.read == self.total {
                receiver.since = now;
            }
        }
        self.total += cost;
        self.sent.push_back((instance, self.total));
        if self.sent.len() > Self::MAX_SENT {
            self.sent.pop_front();
        }
        self.receivers
            .retain(|_, receiver| now.since(receiver.heard) < Self::FORGET);
    }

    /// Whether another proposal of this cost may be sent. At least one always may
    /// be under way. Before `quorum` acceptors have announced their buffers no
    /// more than `open` says is.
    pub fn admits(&self, now: Time, cost: u64, open: usize, quorum: usize) -> bool {
        if open == 0 {
            return true;
        }
        let acceptors = self
            .receivers
            .keys()
            .filter(|process| process.role == Role::Acceptor)
            .count();
        acceptors >= quorum
            && self.fits(self.waited_for(now), cost)
            && self.fits(self.spoken_for(now), cost)
    }

    /// Whether these receivers, each with how much it has read, have room for more.
    fn fits<'a>(&self, mut those: impl Iterator<Item = (&'a Receiver, u64)>, cost: u64) -> bool {
        those.all(|(receiver, read)| {
            let under_way = self.total - read;
            under_way == 0 || under_way + cost <= self.usable(receiver.buffer)
        })
    }

    /// When a receiver that now blocks will no longer be waited for.
    pub fn unblocked_at(&self, now: Time) -> Option<Time> {
        self.waited_for(now)
            .filter(|(_, read)| *read < self.total)
            .map(|(receiver, _)| receiver.since + Self::PATIENCE)
            .min()
    }

    /// The smallest buffer of all receivers heard lately.
    pub fn smallest(&self) -> u64 {
        self.receivers
            .values()
            .map(|receiver| receiver.buffer)
            .min()
            .unwrap_or(Self::UNKNOWN)
    }

    /// A proposal had to be sent again for want of votes.
    pub fn fall_back(&mut self) {
        let pressure = self.pressure.unwrap_or(256);
        self.pressure = Some((pressure * 3 / 4).max(64));
    }

    /// A proposal was decided.
    pub fn recover(&mut self) {
        self.pressure = self.pressure.map(|p| p + 4).filter(|&p| p < 256);
    }

    /// What may be used of a buffer: heartbeats, requests and repairs come on top.
    fn usable(&self, buffer: u64) -> u64 {
        buffer * 5 / 8 * self.pressure.unwrap_or(256) / 256
    }

    /// How much is held, beside how much may be.
    pub fn measures(&self) -> [Measure; 2] {
        [
            Measure::new("receivers", self.receivers.len(), Self::MAX_RECEIVERS),
            Measure::new("proposals remembered", self.sent.len(), Self::MAX_SENT),
        ]
    }

    /// Those who tell how far they have read, and have done so in time, each with that.
    fn waited_for(&self, now: Time) -> impl Iterator<Item = (&Receiver, u64)> {
        self.ranked()
            .filter(|(receiver, speaks)| *speaks || receiver.often)
            .map(|(receiver, _)| receiver)
            .filter(move |receiver| {
                receiver.read == self.total || now.since(receiver.since) < Self::PATIENCE
            })
            .map(|receiver| (receiver, receiver.read))
    }

    /// Those who leave it to others to tell, each with what the slowest of those has read.
    fn spoken_for(&self, now: Time) -> impl Iterator<Item = (&Receiver, u64)> {
        let slowest = self.waited_for(now).map(|(_, read)| read).min();
        let slowest = slowest.unwrap_or(self.total);
        self.ranked()
            .filter(|(receiver, speaks)| !*speaks && !receiver.often)
            .map(move |(receiver, _)| (receiver, slowest))
    }

    /// All receivers, and whether each is one of those who are to speak: all
    /// acceptors, and the learners of the lowest ids.
    fn ranked(&self) -> impl Iterator<Item = (&Receiver, bool)> {
        let mut learners = 0;
        self.receivers.iter().map(move |(process, receiver)| {
            learners += usize::from(process.role == Role::Learner);
            (receiver, learners <= Settings::SPEAKERS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(role: Role, id: u16) -> ProcessId {
        ProcessId {
            role,
            id,
            incarnation: 1,
        }
    }

    #[test]
    fn what_is_under_way_stays_within_the_smallest_buffer() {
        let mut flow = Flow::default();
        let now = Time::ZERO;
        let acceptor = process(Role::Acceptor, 1);
        let learner = process(Role::Learner, 1);
        flow.announce(now, acceptor, 1_000_000);
        flow.announce(now, learner, 160_000);
        let mut instance = Instance::ZERO;
        while flow.admits(now, 10_000, 1, 1) {
            instance = instance.next();
            flow.sent(now, instance, 10_000);
        }
        assert_eq!(instance, Instance(10), "five eighths of 160,000");
        flow.read(now, acceptor, instance);
        assert!(
            !flow.admits(now, 10_000, 1, 1),
            "the learner is the bottleneck"
        );
        flow.read(now, learner, Instance(4));
        assert!(flow.admits(now, 10_000, 1, 1));
    }

    #[test]
    fn a_silent_receiver_is_not_waited_for_for_ever() {
        let mut flow = Flow::default();
        let learner = process(Role::Learner, 1);
        flow.announce(Time::ZERO, process(Role::Acceptor, 1), 10_000_000);
        flow.announce(Time::ZERO, learner, 100_000);
        flow.sent(Time::ZERO, Instance(1), 60_000);
        assert!(!flow.admits(Time::ZERO, 60_000, 1, 1));
        let later = flow.unblocked_at(Time::ZERO).expect("somebody blocks");
        assert!(flow.admits(later, 60_000, 1, 1));
        flow.read(later, learner, Instance(1));
        flow.sent(later, Instance(2), 60_000);
        assert!(!flow.admits(later, 60_000, 1, 1), "it is back");
    }

    #[test]
    fn of_many_learners_a_few_are_listened_to() {
        let mut flow = Flow::default();
        let now = Time::ZERO;
        let learner = |id| process(Role::Learner, id);
        flow.announce(now, process(Role::Acceptor, 1), 10_000_000);
        for id in 1..=50 {
            flow.announce(now, learner(id), 100_000);
        }
        flow.sent(now, Instance(1), 60_000);
        assert!(!flow.admits(now, 60_000, 1, 1));
        flow.read(now, process(Role::Acceptor, 1), Instance(1));
        for id in 1..Settings::SPEAKERS as u16 {
            flow.read(now, learner(id), Instance(1));
        }
        assert!(!flow.admits(now, 60_000, 1, 1), "one of the few is slow");
        flow.read(now, learner(Settings::SPEAKERS as u16), Instance(1));
        assert!(flow.admits(now, 60_000, 1, 1), "the others keep silent");
        // One of the others speaks up, time and again.
        flow.read(now, learner(50), Instance(1));
        let later = now + Flow::PATIENCE / 2;
        flow.sent(later, Instance(2), 60_000);
        flow.read(later, process(Role::Acceptor, 1), Instance(2));
        for id in 1..=Settings::SPEAKERS as u16 {
            flow.read(later, learner(id), Instance(2));
        }
        assert!(flow.admits(later, 60_000, 1, 1), "once is not often");
        flow.read(later, learner(50), Instance(1));
        assert!(!flow.admits(later, 60_000, 1, 1), "it has not read that");
        flow.read(later, learner(50), Instance(2));
        assert!(flow.admits(later, 60_000, 1, 1));
    }

    #[test]
    fn a_small_buffer_counts_though_its_owner_keeps_silent() {
        let mut flow = Flow::default();
        let now = Time::ZERO;
        flow.announce(now, process(Role::Acceptor, 1), 10_000_000);
        for id in 1..=20 {
            let buffer = if id == 20 { 100_000 } else { 10_000_000 };
            flow.announce(now, process(Role::Learner, id), buffer);
        }
        flow.sent(now, Instance(1), 60_000);
        assert!(!flow.admits(now, 60_000, 1, 1));
        flow.read(now, process(Role::Acceptor, 1), Instance(1));
        for id in 1..=Settings::SPEAKERS as u16 {
            flow.read(now, process(Role::Learner, id), Instance(1));
        }
        assert!(flow.admits(now, 60_000, 1, 1));
    }

    #[test]
    fn one_proposal_is_always_admitted() {
        let mut flow = Flow::default();
        flow.announce(Time::ZERO, process(Role::Acceptor, 1), 4_096);
        assert!(flow.admits(Time::ZERO, 71_000, 0, 2));
        assert!(
            !flow.admits(Time::ZERO, 71_000, 1, 2),
            "a quorum is unknown"
        );
    }
}
