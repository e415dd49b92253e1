//! Phase 2: batches on their way from proposed to decided.
//!
//! A leader has a window of instances open at once. Each is proposed (2a), voted
//! for (2b) and, with a quorum of distinct acceptors, decided; the watermark is
//! the last instance before the first undecided one. What gets no quorum in time
//! is proposed again, the same batch in the same ballot; what was overtaken by
//! later instances, at once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::flow::Flow;
use crate::protocol::jitter::Jitter;
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{AcceptorSet, Ballot, Instance, Measure, Membership, Settings, Span, Time};

/// The open instances of a leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pipeline {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// Everything through here is decided.
    decided: Instance,
    /// The next instance to be given a batch.
    next: Instance,
    open: BTreeMap<Instance, Open>,
    /// The highest instance that was decided.
    highest_decided: Instance,
    /// How far `open` was sent.
    sent_through: Instance,
    /// When a vote last counted.
    voted: Time,
    /// Who has room for more.
    pub flow: Flow,
}

/// One open instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Open {
    value: Bytes,
    voters: AcceptorSet,
    decided: bool,
    sent: Time,
    resend_at: Time,
    times: u32,
}

/// A proposal to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Where.
    pub instance: Instance,
    /// Which batch.
    pub value: Bytes,
}

impl Pipeline {
    /// How far an instance may be overtaken before it counts as lost.
    const OVERTAKEN: u64 = 3;

    /// A pipeline that begins behind `decided`, with what phase 1 found: a batch
    /// for every instance through the highest that has one, a no-op in each hole.
    pub fn new(ballot: Ballot, decided: Instance, found: BTreeMap<Instance, Bytes>) -> Pipeline {
        let mut pipeline = Pipeline {
            ballot,
            decided,
            next: decided.next(),
            open: BTreeMap::new(),
            highest_decided: decided,
            sent_through: decided,
            voted: Time::ZERO,
            flow: Flow::default(),
        };
        let last = found.keys().next_back().copied().unwrap_or(decided);
        let mut found = found;
        while pipeline.next <= last {
            // A complete quorum reported no vote here: nothing can be chosen.
            let value = found.remove(&pipeline.next).unwrap_or_default();
            pipeline.append(value);
        }
        pipeline
    }

    /// Everything through here is decided.
    pub fn decided(&self) -> Instance {
        match self.decided {
            _ if mutant(Mutant::WatermarkOverGap) => self.highest_decided,
            _ if mutant(Mutant::WatermarkAtProposal) => self.sent_through,
            decided => decided,
        }
    }

    /// How many instances are open.
    pub fn open(&self) -> usize {
        usize::try_from(self.next.0 - self.decided.0 - 1).unwrap_or(usize::MAX)
    }

    /// Gives the next instance this batch. It is sent by [`Pipeline::unsent`].
    pub fn append(&mut self, value: Bytes) {
        self.open.insert(
            self.next,
            Open {
                value,
                voters: AcceptorSet::EMPTY,
                decided: false,
                sent: Time::ZERO,
                resend_at: Time::ZERO,
                times: 0,
            },
        );
        self.next = self.next.next();
    }

    /// Whether everything open was sent, so that a new batch would go out next.
    pub fn is_all_sent(&self) -> bool {
        self.sent_through.next() == self.next
    }

    /// Whether there is room for a datagram of this size, in the window and
    /// on the way.
    pub fn has_room(&self, now: Time, length: usize, settings: &Settings) -> bool {
        let on_the_way = usize::try_from(self.sent_through.0 - self.decided.0).unwrap_or(0);
        let quorum = settings.membership.quorum();
        let closed = mutant(Mutant::WindowNeverReopens) && self.next.0 > settings.window.into();
        !closed
            && on_the_way < settings.window as usize
            && self
                .flow
                .admits(now, Settings::buffer_cost(length), on_the_way, quorum)
    }

    /// The next proposal that was never sent, if there is room for it.
    pub fn unsent(
        &mut self,
        now: Time,
        settings: &Settings,
        jitter: &mut Jitter,
    ) -> Option<Proposal> {
        let instance = self.sent_through.next();
        let length = self.open.get(&instance)?.value.len() + Settings::HEADROOM;
        if !self.has_room(now, length, settings) {
            return None;
        }
        self.sent_through = instance;
        self.flow.sent(now, instance, Settings::buffer_cost(length));
        Some(self.send(instance, now, settings, jitter))
    }

    /// What must be sent again now.
    pub fn overdue(
        &mut self,
        now: Time,
        settings: &Settings,
        jitter: &mut Jitter,
    ) -> Vec<Proposal> {
        let late: Vec<Instance> = self
            .waiting()
            .filter(|(_, open)| open.resend_at <= now)
            .map(|(instance, _)| instance)
            .collect();
        if !late.is_empty() {
            self.flow.fall_back();
        }
        late.into_iter()
            .map(|instance| self.send(instance, now, settings, jitter))
            .collect()
    }

    /// An acceptor voted for what was proposed. Returns proposals that were
    /// overtaken and are sent again.
    pub fn voted(
        &mut self,
        acceptor: u16,
        span: Span,
        now: Time,
        settings: &Settings,
        jitter: &mut Jitter,
    ) -> Vec<Proposal> {
        let membership: &Membership = &settings.membership;
        if span.from > span.through {
            return Vec::new();
        }
        for (&instance, open) in self.open.range_mut(span.from..=span.through) {
            let twice = mutant(Mutant::RepeatedVoteDecides) && open.voters.contains(acceptor);
            let acceptor = if twice { acceptor % 3 + 1 } else { acceptor };
            // Votes in this ballot answer what was sent in this ballot.
            if open.times > 0 && open.voters.insert(acceptor) {
                self.voted = now;
                if membership.is_quorum(open.voters) {
                    open.decided = true;
                    self.highest_decided = self.highest_decided.max(instance);
                }
            }
        }
        while self
            .open
            .first_key_value()
            .is_some_and(|(_, open)| open.decided)
        {
            let (instance, _) = self.open.pop_first().expect("there is a first");
            self.decided = instance;
            self.flow.recover();
        }
        let Some(leading) = self.open.get(&self.highest_decided).map(|open| open.sent) else {
            return Vec::new();
        };
        let overtaken: Vec<Instance> = self
            .waiting()
            .take_while(|(instance, _)| instance.0 + Self::OVERTAKEN <= self.highest_decided.0)
            .filter(|(_, open)| open.sent <= leading)
            .map(|(instance, _)| instance)
            .collect();
        overtaken
            .into_iter()
            .map(|instance| self.send(instance, now, settings, jitter))
            .collect()
    }

    /// How much is held, beside how much may be with this window.
    pub fn measures(&self, window: usize) -> Vec<Measure> {
        let on_the_way = (self.sent_through.0 - self.decided.0) as usize;
        let mut measures = vec![
            Measure::miscount("open instances, miscounted", self.open(), self.open.len()),
            Measure::new("instances on the way", on_the_way, window),
        ];
        measures.extend(self.flow.measures());
        measures
    }

    /// When something becomes overdue or a silent receiver stops blocking.
    pub fn next_timeout(&self, now: Time, hungry: bool) -> Option<Time> {
        let resend = self.waiting().map(|(_, open)| open.resend_at).min();
        let blocked = hungry || !self.is_all_sent();
        let unblocked = blocked.then(|| self.flow.unblocked_at(now)).flatten();
        [resend, unblocked].into_iter().flatten().min()
    }

    /// Instances that were sent and are not decided, ascending.
    fn waiting(&self) -> impl Iterator<Item = (Instance, &Open)> {
        self.open
            .iter()
            .filter(|(_, open)| open.times > 0 && !open.decided)
            .map(|(&instance, open)| (instance, open))
    }

    /// Notes that a proposal goes out now.
    fn send(
        &mut self,
        instance: Instance,
        now: Time,
        settings: &Settings,
        jitter: &mut Jitter,
    ) -> Proposal {
        let open = self
            .open
            .get_mut(&instance)
            .expect("only open ones are sent");
        let (least, most) = settings.repropose;
        // Where votes come in, what has none was lost, and waiting longer each
        // time helps nobody. Where none do, a quorum may be gone for long.
        let factor = match now.since(self.voted) < most * 4 {
            true => 1,
            false => 1 << open.times.min(4),
        };
        open.times += 1;
        open.sent = now;
        open.resend_at = now
            + jitter
                .between(least * factor, most * factor)
                .min(most.max(Duration::from_secs(1)));
        Proposal {
            instance,
            value: open.value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ProcessId, Role};

    struct Bench {
        pipeline: Pipeline,
        settings: Settings,
        jitter: Jitter,
    }

    impl Bench {
        fn new(found: &[(u64, &'static str)]) -> Bench {
            let found = found
                .iter()
                .map(|&(instance, value)| {
                    (Instance(instance), Bytes::from_static(value.as_bytes()))
                })
                .collect();
            let mut pipeline = Pipeline::new(Ballot::ZERO, Instance(4), found);
            for id in 1..=3 {
                let acceptor = ProcessId {
                    role: Role::Acceptor,
                    id,
                    incarnation: 1,
                };
                pipeline.flow.announce(Time::ZERO, acceptor, 10_000_000);
            }
            Bench {
                pipeline,
                settings: Settings::new(Membership::majority(AcceptorSet::first(3))),
                jitter: Jitter::new(1),
            }
        }

        fn send_all(&mut self, now: Time) -> Vec<(u64, Bytes)> {
            std::iter::from_fn(|| self.pipeline.unsent(now, &self.settings, &mut self.jitter))
                .map(|proposal| (proposal.instance.0, proposal.value))
                .collect()
        }

        fn vote(&mut self, acceptor: u16, from: u64, through: u64) -> Vec<u64> {
            let now = Time(1_000);
            self.pipeline
                .voted(
                    acceptor,
                    Span {
                        from: Instance(from),
                        through: Instance(through),
                    },
                    now,
                    &self.settings,
                    &mut self.jitter,
                )
                .into_iter()
                .map(|proposal| proposal.instance.0)
                .collect()
        }
    }

    #[test]
    fn what_phase_1_found_goes_first_and_holes_become_no_ops() {
        let mut bench = Bench::new(&[(5, "a"), (7, "c")]);
        bench.pipeline.append(Bytes::from_static(b"new"));
        let sent = bench.send_all(Time::ZERO);
        let expected: [(u64, &[u8]); 4] = [(5, b"a"), (6, b""), (7, b"c"), (8, b"new")];
        assert_eq!(sent, expected.map(|(i, v)| (i, Bytes::from_static(v))));
    }

    #[test]
    fn a_repeated_vote_counts_once_and_decisions_stay_contiguous() {
        let mut bench = Bench::new(&[(6, "b")]);
        bench.send_all(Time::ZERO);
        bench.vote(1, 5, 6);
        bench.vote(1, 5, 6);
        assert_eq!(bench.pipeline.decided(), Instance(4));
        bench.vote(2, 6, 6);
        assert_eq!(bench.pipeline.decided(), Instance(4), "5 is still open");
        bench.vote(3, 5, 5);
        assert_eq!(bench.pipeline.decided(), Instance(6));
        assert_eq!(bench.pipeline.open(), 0);
    }

    #[test]
    fn a_proposal_that_was_overtaken_is_sent_again_once() {
        let mut bench = Bench::new(&[(9, "e")]);
        bench.send_all(Time::ZERO);
        assert!(bench.vote(1, 6, 9).is_empty());
        assert_eq!(bench.vote(2, 6, 9), [5]);
        assert!(bench.vote(3, 6, 9).is_empty(), "just sent");
    }

    #[test]
    fn what_gets_no_quorum_is_overdue_after_a_while() {
        let mut bench = Bench::new(&[(5, "a")]);
        bench.send_all(Time::ZERO);
        let due = bench
            .pipeline
            .next_timeout(Time::ZERO, false)
            .expect("a timer");
        let (least, most) = bench.settings.repropose;
        assert!((Time::ZERO + least..=Time::ZERO + most).contains(&due));
        let again = bench
            .pipeline
            .overdue(due, &bench.settings, &mut bench.jitter);
        assert_eq!(again.len(), 1);
    }

    #[test]
    fn the_window_bounds_what_is_open() {
        let mut bench = Bench::new(&[]);
        bench.settings.window = 3;
        for _ in 0..10 {
            bench.pipeline.append(Bytes::from_static(b"x"));
        }
        assert_eq!(bench.send_all(Time::ZERO).len(), 3);
        bench.vote(1, 5, 5);
        bench.vote(2, 5, 5);
        assert_eq!(bench.send_all(Time::ZERO).len(), 1);
    }
}
