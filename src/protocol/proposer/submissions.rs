//! What clients want ordered: runs that wait for their turn.
//!
//! Clients send to the leader alone while they hear it. Every proposer collects what
//! it is sent all the same, so that one that becomes leader knows who is there, and
//! each client sends it the rest. The leader takes each session's runs in the order of their numbers,
//! without gaps, beginning behind what the client knows to be delivered. A run may
//! be proposed more than once over time; the sessions in the learners see to it
//! that it is delivered once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Measure, Payloads, ProcessId, Run, Session, Settings, Time};

/// The submissions a proposer holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Submissions {
    sessions: BTreeMap<Session, Backlog>,
    /// Sessions with a run that can be proposed next, in turn.
    ready: VecDeque<Session>,
    /// Sessions with gaps, and when to tell their clients (again).
    gapped: BTreeMap<Session, Time>,
    /// What was proposed before and its client still waits for.
    again: VecDeque<Run>,
    bytes: usize,
}

/// What is held of one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Backlog {
    client: ProcessId,
    /// The number to be proposed next; unknown until this proposer leads.
    next: Option<u64>,
    acknowledged: u64,
    runs: BTreeMap<u64, Run>,
    /// What `runs` take, in bytes.
    held: usize,
    heard: Time,
    /// When anything new was last heard of it.
    news: Time,
    queued: bool,
}

/// What a client must send again: gaps in what it submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The client to ask.
    pub client: ProcessId,
    /// Its session.
    pub session: Session,
    /// The first and the last number of each gap, ascending.
    pub gaps: Vec<(u64, u64)>,
}

impl Submissions {
    /// Bytes of items held for one session; what exceeds it is dropped, the
    /// client sends it again.
    const MAX_SESSION: usize = 8 << 20;

    /// Bytes of items held for all sessions.
    const MAX_BYTES: usize = 64 << 20;

    /// Sessions held.
    const MAX_SESSIONS: usize = 1 << 14;

    /// How long a silent client is remembered.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// How long to wait before telling a client again that something is missing.
    const REPEAT: Duration = Duration::from_millis(5);

    /// How long a client waits for what was proposed before it is proposed again.
    const AGAIN: Duration = Duration::from_secs(2);

    /// Runs that wait to be proposed again; their clients repeat themselves.
    const MAX_AGAIN: usize = 64;

    /// Gaps that are told at once: they fit the smallest datagram.
    const MAX_GAPS: usize = 24;

    /// Takes in a run. `leading`: it is to be proposed by this process.
    pub fn add(
        &mut self,
        now: Time,
        leading: bool,
        client: ProcessId,
        acknowledged: u64,
        run: Run,
    ) {
        let session = run.session;
        if self.sessions.len() >= Self::MAX_SESSIONS && !self.sessions.contains_key(&session) {
            self.forget_silent(now);
            if self.sessions.len() >= Self::MAX_SESSIONS {
                return;
            }
        }
        let backlog = self.sessions.entry(session).or_insert_with(|| Backlog {
            client,
            next: None,
            acknowledged: 0,
            runs: BTreeMap::new(),
            held: 0,
            heard: now,
            news: now,
            queued: false,
        });
        backlog.client = client;
        backlog.heard = now;
        if acknowledged > backlog.acknowledged {
            backlog.news = now;
        }
        backlog.acknowledged = backlog.acknowledged.max(acknowledged);
        if leading {
            // Behind what the client knows, never in the middle: a leader that
            // skipped something would take all retries for old.
            let behind = backlog.acknowledged.saturating_add(1);
            let middle = mutant(Mutant::NumberingFromTheMiddle).then_some(run.first);
            let next = backlog.next.get_or_insert(middle.unwrap_or(behind));
            *next = behind.max(*next);
        }
        let first = run.first;
        let oldest = backlog
            .next
            .unwrap_or(backlog.acknowledged.saturating_add(1));
        self.bytes -= backlog.drop_below(oldest);
        if run.last() < oldest {
            // It may have been delivered, the acknowledgement lost and the session
            // forgotten since. Then nobody but the log can tell the client, by
            // refusing it; and if not, the copy dies in the session.
            let awaited = run.first <= backlog.acknowledged.saturating_add(1)
                && run.last() > backlog.acknowledged;
            let long = now.since(backlog.news) >= Self::AGAIN;
            if leading && awaited && long && self.again.len() < Self::MAX_AGAIN {
                backlog.news = now;
                self.again.push_back(run);
            }
        } else {
            backlog.news = now;
            let cost = cost(&run);
            let full = |held: usize, bytes: usize| {
                held + cost > Self::MAX_SESSION || bytes + cost > Self::MAX_BYTES
            };
            // What is next has to get in, or nothing ever gets out.
            while run.first <= oldest && full(backlog.held, self.bytes) {
                match backlog.drop_last() {
                    0 => break,
                    dropped => self.bytes -= dropped,
                }
            }
            if !full(backlog.held, self.bytes) && !backlog.runs.contains_key(&run.first) {
                self.bytes += cost;
                backlog.held += cost;
                backlog.runs.insert(run.first, run);
            }
        }
        if !leading {
            return;
        }
        if !backlog.queued && backlog.ready().is_some() {
            backlog.queued = true;
            self.ready.push_back(session);
        }
        if backlog.lacks_before(first) {
            self.gapped.entry(session).or_insert(now);
        }
    }

    /// What clients must be told now that they shall send again.
    pub fn lacking(&mut self, now: Time) -> Vec<Lacking> {
        let due: Vec<Session> = self
            .gapped
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(&session, _)| session)
            .collect();
        let mut lacking = Vec::new();
        for session in due {
            let gaps = self
                .sessions
                .get(&session)
                .map_or(Vec::new(), |backlog| backlog.gaps(Self::MAX_GAPS));
            if gaps.is_empty() {
                self.gapped.remove(&session);
                continue;
            }
            self.gapped.insert(session, now + Self::REPEAT);
            let client = self.sessions[&session].client;
            lacking.push(Lacking {
                client,
                session,
                gaps,
            });
        }
        lacking
    }

    /// When a client is to be told again.
    pub fn next_timeout(&self) -> Option<Time> {
        self.gapped.values().min().copied()
    }

    /// This proposer leads now: every session begins behind what its client knows. What
    /// lies between is no gap to complain of: clients send a new leader all they have.
    pub fn lead(&mut self) {
        self.again.clear();
        self.ready.clear();
        self.gapped.clear();
        for (session, backlog) in &mut self.sessions {
            backlog.next = Some(backlog.acknowledged.saturating_add(1));
            backlog.queued = backlog.ready().is_some();
            if backlog.queued {
                self.ready.push_back(*session);
            }
        }
    }

    /// This proposer leads no more; what it proposed is another's to find out.
    pub fn follow(&mut self) {
        self.again.clear();
        self.ready.clear();
        self.gapped.clear();
        for backlog in self.sessions.values_mut() {
            backlog.next = None;
            backlog.queued = false;
        }
    }

    /// Whether there is anything to propose.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty() || !self.again.is_empty()
    }

    /// Takes as many runs as one batch of `limit` bytes holds, at least one.
    pub fn take_batch(&mut self, limit: usize) -> Bytes {
        let mut batch = Batch::default();
        while let Some(run) = self.again.front() {
            if !batch.is_empty() && batch.len() + cost(run) > limit {
                return batch.freeze();
            }
            batch.append(run);
            self.again.pop_front();
        }
        while let Some(session) = self.ready.pop_front() {
            let backlog = self.sessions.get_mut(&session).expect("ready, so held");
            backlog.queued = false;
            while let Some(first) = backlog.ready() {
                let run = &backlog.runs[&first];
                let size = run.items.len() + Settings::RUN_HEADROOM;
                let full = batch.len() + size > limit && !mutant(Mutant::BatchOverfull);
                if !batch.is_empty() && full {
                    backlog.queued = true;
                    self.ready.push_front(session);
                    return batch.freeze();
                }
                let run = backlog.runs.remove(&first).expect("just seen");
                self.bytes -= cost(&run);
                backlog.held -= cost(&run);
                batch.append(&run);
                if mutant(Mutant::RunTwiceInBatch) {
                    batch.append(&run);
                }
                let next = run.last().saturating_add(1);
                backlog.next = Some(next);
                self.bytes -= backlog.drop_below(next);
            }
        }
        batch.freeze()
    }

    /// How many clients were heard lately.
    pub fn clients(&self) -> usize {
        self.sessions.len()
    }

    /// How much is held, beside how much may be.
    pub fn measures(&self) -> Vec<Measure> {
        let held = self.sessions.values().map(|backlog| backlog.held);
        let runs = |backlog: &Backlog| backlog.runs.values().map(cost).sum::<usize>();
        let found = self.sessions.values().map(runs);
        vec![
            Measure::miscount("bytes held, miscounted", self.bytes, held.clone().sum()),
            Measure::miscount("bytes of runs, miscounted", self.bytes, found.sum()),
            Measure::new("bytes held", self.bytes, Self::MAX_BYTES),
            Measure::new(
                "bytes held of one session",
                held.max().unwrap_or(0),
                Self::MAX_SESSION,
            ),
            Measure::new("sessions held", self.sessions.len(), Self::MAX_SESSIONS),
            Measure::new("sessions in turn", self.ready.len(), Self::MAX_SESSIONS),
            Measure::new("sessions with gaps", self.gapped.len(), Self::MAX_SESSIONS),
        ]
    }

    /// Lets go of clients that were not heard for long.
    pub fn forget_silent(&mut self, now: Time) {
        let bytes = &mut self.bytes;
        self.sessions.retain(|_, backlog| {
            let keep = backlog.queued || now.since(backlog.heard) < Self::PATIENCE;
            if !keep {
                *bytes -= backlog.drop_below(u64::MAX);
            }
            keep
        });
    }
}

impl Backlog {
    /// The key of a run that continues what was proposed, if it is here.
    fn ready(&self) -> Option<u64> {
        let next = self.next?;
        if mutant(Mutant::ProposedOutOfOrder) {
            return self.runs.range(next..).next().map(|(first, _)| *first);
        }
        let (first, run) = self.runs.range(..=next).next_back()?;
        (run.last() >= next).then_some(*first)
    }

    /// Whether something is missing right before the run that begins with `first`.
    fn lacks_before(&self, first: u64) -> bool {
        let before = self.runs.range(..first).next_back();
        let end = before.map_or(0, |(_, run)| run.last().saturating_add(1));
        end.max(self.next.unwrap_or(first)) < first
    }

    /// The first gaps between what was proposed and the last run held.
    fn gaps(&self, most: usize) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let Some(mut next) = self.next else {
            return gaps;
        };
        for run in self.runs.values() {
            if run.first > next {
                gaps.push((next, run.first - 1));
                if gaps.len() == most {
                    break;
                }
            }
            next = next.max(run.last().saturating_add(1));
        }
        gaps
    }

    /// Drops runs that end below `number`; returns their bytes.
    fn drop_below(&mut self, number: u64) -> usize {
        let mut dropped = 0;
        while let Some(entry) = self.runs.first_entry()
            && entry.get().last() < number
        {
            dropped += cost(&entry.remove());
        }
        self.held -= dropped;
        dropped
    }

    /// Drops the last run; returns its bytes.
    fn drop_last(&mut self) -> usize {
        let dropped = self.runs.pop_last().map_or(0, |(_, run)| cost(&run));
        self.held -= dropped;
        dropped
    }
}

/// A batch that is being put together.
#[derive(Debug, Default)]
struct Batch {
    /// The first run as it arrived, as long as there is no other: most large ones
    /// stay alone, and then nothing is copied.
    alone: Bytes,
    /// All runs.
    together: BytesMut,
}

impl Batch {
    fn len(&self) -> usize {
        self.alone.len() + self.together.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn append(&mut self, run: &Run) {
        if self.is_empty()
            && let Some(arrived) = run.as_arrived()
        {
            debug_assert_eq!(arrived, run.encode(), "as it would be written now");
            self.alone = arrived;
            return;
        }
        self.together
            .extend_from_slice(&std::mem::take(&mut self.alone));
        run.encode_into(&mut self.together);
    }

    fn freeze(self) -> Bytes {
        match self.together.is_empty() {
            true => self.alone,
            false => self.together.freeze(),
        }
    }
}

/// What a run counts for: one without bytes takes memory, too.
fn cost(run: &Run) -> usize {
    run.items.len() + Settings::RUN_HEADROOM
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::value::runs;
    use crate::protocol::{Instance, Message, Payload, Role};

    const CLIENT: ProcessId = ProcessId {
        role: Role::Client,
        id: 1,
        incarnation: 5,
    };

    fn run(first: u64, count: u32) -> Run {
        Run {
            session: Session {
                client: 1,
                incarnation: 5,
            },
            birth: Instance::ZERO,
            first,
            count,
            items: Payload::new(Bytes::from(vec![0; count as usize])),
        }
    }

    fn add(submissions: &mut Submissions, acknowledged: u64, run: Run) {
        submissions.add(Time::ZERO, true, CLIENT, acknowledged, run);
    }

    fn gaps(submissions: &mut Submissions, now: Time) -> Vec<(u64, u64)> {
        submissions
            .lacking(now)
            .into_iter()
            .flat_map(|lacking| lacking.gaps)
            .collect()
    }

    fn taken(submissions: &mut Submissions) -> Vec<u64> {
        runs(&submissions.take_batch(10_000))
            .map(|run| run.first)
            .collect()
    }

    #[test]
    fn runs_are_taken_in_order_whatever_the_order_of_arrival() {
        let mut submissions = Submissions::default();
        add(&mut submissions, 0, run(3, 2));
        assert!(!submissions.is_ready());
        add(&mut submissions, 0, run(1, 2));
        assert_eq!(taken(&mut submissions), [1, 3]);
        add(&mut submissions, 0, run(1, 2));
        assert!(!submissions.is_ready());
        assert_eq!(submissions.bytes, 0);
    }

    #[test]
    fn all_gaps_are_told_and_told_again_until_they_are_filled() {
        let mut submissions = Submissions::default();
        for first in [3, 9, 5] {
            add(&mut submissions, 0, run(first, 2));
        }
        assert_eq!(gaps(&mut submissions, Time::ZERO), [(1, 2), (7, 8)]);
        assert_eq!(gaps(&mut submissions, Time::ZERO), [], "told just now");
        let later = submissions.next_timeout().expect("told again");
        add(&mut submissions, 0, run(1, 2));
        assert_eq!(gaps(&mut submissions, later), [(7, 8)]);
        add(&mut submissions, 0, run(7, 2));
        assert_eq!(gaps(&mut submissions, later + Submissions::REPEAT), []);
        assert_eq!(submissions.next_timeout(), None);
        assert_eq!(taken(&mut submissions), [1, 3, 5, 7, 9]);
    }

    #[test]
    fn a_leader_that_does_not_know_the_client_begins_behind_what_the_client_knows() {
        let mut submissions = Submissions::default();
        add(&mut submissions, 10, run(15, 5));
        assert!(!submissions.is_ready(), "11 to 14 come first");
        add(&mut submissions, 10, run(11, 4));
        assert_eq!(taken(&mut submissions), [11, 15]);
    }

    #[test]
    fn what_is_next_gets_in_however_much_is_held() {
        let mut submissions = Submissions::default();
        let large = |first| Run {
            items: Payload::new(Bytes::from(vec![0; 65_000])),
            ..run(first, 1)
        };
        for first in 2..=140 {
            add(&mut submissions, 0, large(first));
        }
        assert!(!submissions.is_ready());
        add(&mut submissions, 0, large(1));
        assert_eq!(submissions.take_batch(1).len() / 65_000, 1);
        assert!(submissions.is_ready(), "and what comes after it");
    }

    #[test]
    fn a_run_that_stays_alone_is_not_copied_and_others_follow_it_as_ever() {
        let arrive = |run: &Run| {
            let submit = Message::Submit {
                acknowledged: 0,
                run: run.clone(),
            };
            match Message::decode(&submit.encode()) {
                Some(Message::Submit { run, .. }) => run,
                other => panic!("{other:?}"),
            }
        };
        let sent: Vec<Run> = [(1, 9_000), (9_001, 5), (9_006, 4)]
            .map(|it| run(it.0, it.1))
            .into();
        let mut submissions = Submissions::default();
        for run in &sent {
            add(&mut submissions, 0, arrive(run));
        }
        let place = submissions.sessions.values().next().unwrap().runs[&1]
            .items
            .bytes()
            .as_ptr();
        let batch = submissions.take_batch(9_000);
        assert_eq!(batch, sent[0].encode());
        assert_eq!(batch[batch.len() - 9_000..].as_ptr(), place);
        let both = submissions.take_batch(200);
        assert_eq!(both, [sent[1].encode(), sent[2].encode()].concat());
    }

    #[test]
    fn nothing_a_client_says_goes_beyond_the_limits() {
        let mut submissions = Submissions::default();
        add(&mut submissions, u64::MAX, run(u64::MAX, 5));
        for first in 2..300_000 {
            add(&mut submissions, 0, run(first, 0));
        }
        let held: usize = submissions
            .sessions
            .values()
            .map(|held| held.runs.len())
            .sum();
        assert!(
            held <= Submissions::MAX_SESSION / Settings::RUN_HEADROOM,
            "{held}"
        );
    }

    #[test]
    fn a_follower_keeps_what_it_was_sent_for_when_it_leads() {
        let mut submissions = Submissions::default();
        for first in [1, 2, 3] {
            submissions.add(Time::ZERO, false, CLIENT, first - 1, run(first, 1));
        }
        assert!(!submissions.is_ready());
        submissions.lead();
        assert_eq!(taken(&mut submissions), [3], "1 and 2 were acknowledged");
        submissions.follow();
        assert!(!submissions.is_ready());
    }

    #[test]
    fn a_batch_keeps_its_limit_and_loses_nothing() {
        let mut submissions = Submissions::default();
        for first in 0..10 {
            add(&mut submissions, 0, run(first * 100 + 1, 100));
        }
        let mut all = Vec::new();
        while submissions.is_ready() {
            let batch = submissions.take_batch(400);
            assert!(batch.len() <= 400);
            all.extend(runs(&batch).map(|run| run.first));
        }
        assert_eq!(
            all,
            (0..10).map(|first| first * 100 + 1).collect::<Vec<_>>()
        );
    }

    #[test]
    fn silent_clients_are_forgotten() {
        let mut submissions = Submissions::default();
        submissions.add(Time::ZERO, false, CLIENT, 0, run(1, 100));
        submissions.forget_silent(Time::ZERO + Submissions::PATIENCE * 2);
        assert_eq!((submissions.clients(), submissions.bytes), (0, 0));
    }
}
