//! The client: numbers its values, keeps a window of them in flight, and sends
//! each again until a learner says that it was delivered.
//!
//! What flows: [`Client::submit`] queues a value. Whenever there is room, the oldest
//! values, or pieces of them, become a *chunk*, one datagram's worth, which stays
//! until it is acknowledged and is always sent again as it was cut. It goes to the
//! leader alone while one grants credit and answers, otherwise to all proposers. The
//! room is a window over the receivers' socket buffers: the leader grants it
//! ([`Message::Credit`]), loss halves it, success restores it.

mod backlog;
mod embedded;
mod measures;
mod round_trip;

use std::collections::VecDeque;
use std::time::Duration;

use super::jitter::Jitter;
use super::message::{Address, Found, Lookup, Message, ProcessId, Progress, Role};
use super::mutant::{Mutant, mutant};
use super::outbox::{Outbox, Process};
use super::session::Sessions;
use super::settings::Settings;
use super::time::Time;
use super::value::{Instance, Payload, Run, Session};
use backlog::Backlog;
use round_trip::RoundTrip;

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Settings,
    jitter: Jitter,
    session: Session,
    /// A decided instance heard of before the session's first value was sent.
    birth: Option<Instance>,
    /// The last decided instance heard of.
    position: Instance,
    /// `position` when the session last was acknowledged anything.
    renewed: Instance,
    /// What was not sent yet.
    backlog: Backlog,
    /// Sent and not acknowledged, in order.
    chunks: VecDeque<Chunk>,
    /// The number of the next item to be sent.
    next: u64,
    acknowledged: u64,
    /// What the leader grants, in bytes of socket buffer.
    credit: u64,
    /// What loss leaves of it.
    window: u64,
    in_flight: u64,
    /// The leader that granted the credit.
    leader: Option<ProcessId>,
    /// Since when it is the leader. It lacks what was sent before.
    led: Time,
    /// Whether submissions go to it alone.
    direct: bool,
    /// Until when they go to all proposers whatever the leader says, because it did not
    /// hear, or did not answer, what it was sent alone.
    doubted: Time,
    /// When all proposers were last sent a submission.
    shown: Option<Time>,
    round_trip: RoundTrip,
    /// When something was last sent again.
    resent: Option<Time>,
    /// With pacing, when the next datagram may leave.
    paced_until: Time,
    retransmit_at: Option<Time>,
    inquire_at: Option<Time>,
    silence: u32,
}

/// What a client reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Values were delivered.
    Acknowledged {
        /// How many.
        values: u64,
        /// When the first of them was submitted.
        submitted: Time,
    },
    /// The log no longer remembers the session. These many values were
    /// outstanding: whether they were delivered is unknown.
    Evicted {
        /// How many.
        lost: u64,
    },
    /// A datagram was sent again.
    Retransmitted,
}

#[derive(Clone, Debug)]
struct Chunk {
    run: Run,
    /// Values that end in this chunk.
    values: u64,
    submitted: Time,
    sent: Time,
    cost: u64,
    again: bool,
}

impl Client {
    /// The largest value, in bytes.
    pub const MAX_VALUE: usize = Sessions::MAX_VALUE;

    /// Bytes that may wait to be sent before the client asks for no more.
    const BACKLOG: usize = 4 << 20;

    /// Socket buffer that is used before the leader grants any: two datagrams.
    pub const FIRST_CREDIT: u64 = 142_000;

    /// Datagrams sent again for one complaint of the leader.
    const MAX_REFILL: usize = 16;

    /// How often other proposers than the leader are sent a submission: it tells
    /// them who is there, and how much of it is delivered.
    const SHOWING: Duration = Duration::from_secs(1);

    /// How long a leader that could not be reached alone is not tried alone again.
    const DOUBT: Duration = Duration::from_secs(5);

    /// How often the wait for an acknowledgement doubles while there is silence.
    const MAX_DOUBLINGS: u32 = 3;

    /// A client; `seed` feeds its back-offs and the names of later sessions.
    ///
    /// # Panics
    ///
    /// When `me` is neither a client nor a learner, which a replica is to others.
    pub fn new(me: ProcessId, settings: Settings, seed: u64, now: Time) -> Client {
        let submits = matches!(me.role, Role::Client | Role::Learner);
        assert!(submits, "{me} is no client");
        Client {
            jitter: Jitter::new(seed),
            session: Session {
                client: me.id,
                incarnation: me.incarnation,
            },
            birth: None,
            position: Instance::ZERO,
            renewed: Instance::ZERO,
            backlog: Backlog::new(settings.run_limit()),
            chunks: VecDeque::new(),
            next: 1,
            acknowledged: 0,
            credit: Self::FIRST_CREDIT,
            window: Self::FIRST_CREDIT,
            in_flight: 0,
            leader: None,
            led: now,
            direct: false,
            doubted: now,
            shown: None,
            round_trip: RoundTrip::new(settings.repropose.0),
            resent: None,
            paced_until: now,
            retransmit_at: None,
            inquire_at: Some(now),
            silence: 0,
            settings,
        }
    }

    /// Takes in a value. It is sent at the end of the turn, or when there is room.
    ///
    /// # Panics
    ///
    /// When the value is larger than [`Client::MAX_VALUE`].
    pub fn submit(&mut self, now: Time, value: &[u8]) {
        assert!(value.len() <= Self::MAX_VALUE, "value over the limit");
        self.backlog.push(value, now);
    }

    /// Whether the client wants more values. Without heed to it, they pile up.
    pub fn wants_more(&self) -> bool {
        self.backlog.bytes() < Self::BACKLOG
    }

    /// Whether all that was submitted is acknowledged.
    pub fn is_done(&self) -> bool {
        self.backlog.is_empty() && self.chunks.is_empty()
    }

    /// Cuts chunks off the backlog while there is room, and sends them.
    fn fill(&mut self, now: Time, out: &mut Outbox<Self>) {
        if self.birth.is_some() && self.chunks.is_empty() && !self.backlog.is_empty() {
            self.renew_if_old();
        }
        let Some(birth) = self.birth else {
            return;
        };
        while now >= self.paced_until
            && (self.in_flight == 0 || self.in_flight < self.window)
            && let Some(load) = self.backlog.take()
        {
            let run = Run {
                session: self.session,
                birth,
                first: self.next,
                count: load.count,
                items: Payload::new(load.items),
            };
            self.next += u64::from(load.count);
            let cost = Settings::buffer_cost(run.items.len() + Settings::HEADROOM);
            self.in_flight += cost;
            out.send(
                self.destination(now),
                Message::Submit {
                    acknowledged: self.acknowledged,
                    run: run.clone(),
                },
            );
            self.chunks.push_back(Chunk {
                run,
                values: load.values,
                submitted: load.submitted,
                sent: now,
                cost,
                again: false,
            });
            if !self.settings.pause.is_zero() {
                self.paced_until = now + self.settings.pause;
            }
            if self.retransmit_at.is_none() {
                self.arm(now);
            }
        }
    }

    /// Where a submission goes: to the leader alone while it is heard, for others
    /// would take it in for nothing; to all proposers where none is, and now and then.
    fn destination(&mut self, now: Time) -> Address {
        let lately = |shown| now.since(shown) < Self::SHOWING;
        match self.leader {
            Some(leader) if self.direct && self.shown.is_some_and(lately) => {
                Address::Process(leader)
            }
            _ => {
                self.shown = Some(now);
                Address::Group(Role::Proposer)
            }
        }
    }

    /// With nothing outstanding, an old session is left before the log forgets
    /// it: a refusal could not tell an undelivered value from a delivered one.
    fn renew_if_old(&mut self) {
        let idle = self.position.0.saturating_sub(self.renewed.0);
        // The pieces of one value belong to one session.
        if self.next > 1 && !self.backlog.is_midway() && idle > self.settings.lifetime / 2 {
            self.begin_session();
        }
        if self.next == 1 {
            self.birth = Some(self.position);
            self.renewed = self.position;
        }
    }

    /// Begins to count from 1 under a new name.
    fn begin_session(&mut self) {
        self.session.incarnation = self.jitter.number();
        self.next = 1;
        self.acknowledged = 0;
    }

    /// Sets the time for the next retransmission.
    fn arm(&mut self, now: Time) {
        let least =
            self.round_trip.timeout(&self.settings) * (1 << self.silence.min(Self::MAX_DOUBLINGS));
        let most = least.mul_f64(1.5);
        let wait = self.jitter.between(least, most).min(Duration::from_secs(2));
        self.retransmit_at = Some(now + wait);
    }

    /// Sends a chunk again.
    fn resend(&mut self, index: usize, now: Time, out: &mut Outbox<Self>) {
        let acknowledged = self.acknowledged;
        let to = self.destination(now);
        let chunk = &mut self.chunks[index];
        chunk.sent = now;
        chunk.again = true;
        self.resent = Some(now);
        if mutant(Mutant::NumberedAnew) {
            chunk.run.first = self.next;
            self.next += u64::from(chunk.run.count);
        }
        let run = chunk.run.clone();
        out.send(to, Message::Submit { acknowledged, run });
        out.event(Event::Retransmitted);
    }

    /// A proposer speaks as the leader: submissions go to it, and what only the leader
    /// before was sent goes to it once more, as far as the window reaches.
    fn heed(&mut self, now: Time, leader: ProcessId, out: &mut Outbox<Self>) {
        if self.leader != Some(leader) {
            self.leader = Some(leader);
            self.led = now;
            self.doubted = now;
            self.silence = 0;
            if mutant(Mutant::ForgottenWithTheLeader) {
                self.chunks.clear();
                self.in_flight = 0;
                self.retransmit_at = None;
            }
        }
        self.direct = now >= self.doubted;
        let mut bytes = 0;
        let mut any = false;
        for index in 0..self.chunks.len() {
            bytes += self.chunks[index].cost;
            if index > 0 && bytes > self.window {
                break;
            }
            if self.chunks[index].sent < self.led {
                self.resend(index, now, out);
                any = true;
            }
        }
        if any {
            self.arm(now);
        }
    }

    /// Sends again what the leader says it lacks, but not what is under way to it.
    fn fill_gaps(&mut self, now: Time, gaps: &[(u64, u64)], out: &mut Outbox<Self>) {
        let soon = self.settings.repropose.0 / 8;
        let lacking: Vec<usize> = self
            .chunks
            .iter()
            .enumerate()
            .filter(|(_, chunk)| now.since(chunk.sent) >= soon)
            .filter(|(_, chunk)| {
                gaps.iter()
                    .any(|&(first, last)| chunk.run.first <= last && first <= chunk.run.last())
            })
            .map(|(index, _)| index)
            .take(Self::MAX_REFILL)
            .collect();
        for index in lacking {
            self.resend(index, now, out);
        }
    }

    /// Learns from the leader where the log stands. A learner may be far behind,
    /// and a session born that far back is refused.
    fn note_birth(&mut self, instance: Instance) {
        self.position = self.position.max(instance);
        if self.birth.is_none() {
            self.birth = Some(self.position);
            self.renewed = self.position;
            self.inquire_at = None;
        }
    }

    /// A learner tells how far this session has come.
    fn handle_progress(&mut self, now: Time, progress: Progress, out: &mut Outbox<Self>) {
        if progress.evicted {
            // A refusal may be a late one for a run that was delivered long ago.
            if progress.last > 0 || !self.chunks.is_empty() {
                self.give_up(out);
            }
            return;
        }
        if progress.last <= self.acknowledged || progress.last >= self.next {
            return;
        }
        self.acknowledged = progress.last;
        self.renewed = self.position;
        let mut freed = 0;
        while let Some(chunk) = self.chunks.front()
            && chunk.run.last() <= self.acknowledged
            && (chunk.values > 0 || !mutant(Mutant::PiecesNotAcknowledged))
        {
            freed += 1;
            let chunk = self.chunks.pop_front().expect("there is a first");
            self.in_flight -= chunk.cost;
            self.window = (self.window + chunk.cost).min(self.credit);
            // What was sent before the last repetition has waited for it, which
            // says nothing about the way.
            let waited = self.resent.is_some_and(|resent| chunk.sent <= resent);
            if !chunk.again && !waited {
                self.round_trip.sample(now.since(chunk.sent));
                // Only now is it known that the wait is long enough (Karn's rule):
                // with a shorter one everything would be sent twice for ever.
                self.silence = 0;
            }
            if chunk.values > 0 {
                out.event(Event::Acknowledged {
                    values: chunk.values,
                    submitted: chunk.submitted,
                });
            }
        }
        if self.chunks.is_empty() {
            self.retransmit_at = None;
            return;
        }
        // What follows would have come along, had it arrived: where one datagram
        // was lost, most often many were, and each must not cost a timeout of its
        // own. Each success doubles how many are sent again at once.
        let overdue = self.round_trip.timeout(&self.settings);
        let most = (2 * freed).min(Self::MAX_REFILL).min(self.chunks.len());
        for index in 0..most {
            if now.since(self.chunks[index].sent) >= overdue {
                self.resend(index, now, out);
            }
        }
        self.arm(now);
    }

    /// The log refused this session: what was sent and not acknowledged may be
    /// delivered or not, and the rest goes on under a new name.
    fn give_up(&mut self, out: &mut Outbox<Self>) {
        let mut lost: u64 = self.chunks.iter().map(|chunk| chunk.values).sum();
        if self.backlog.is_midway() {
            // The pieces sent are gone with the session. The others would make a
            // value of their own, which nobody submitted.
            lost += 1;
            self.backlog.drop_rest();
        }
        log::debug!("session {} was evicted", self.session);
        self.chunks.clear();
        self.in_flight = 0;
        self.retransmit_at = None;
        self.begin_session();
        self.birth = Some(self.position);
        self.renewed = self.position;
        self.inquire_at = None;
        out.event(Event::Evicted { lost });
    }

    /// Asks learners and the leader where the log stands.
    fn inquire(&mut self, now: Time, out: &mut Outbox<Self>) {
        let message = Message::Inquire {
            session: self.session,
            acknowledged: self.acknowledged,
        };
        out.send(Address::Group(Role::Client), message.clone());
        out.send(Address::Group(Role::Proposer), message);
        if self.birth.is_none() {
            let (least, most) = self.settings.repropose;
            self.inquire_at = Some(now + self.jitter.between(least, most));
        }
    }
}

impl Process for Client {
    type Address = Address;
    type Sender = ProcessId;
    type Message = Message;
    type Event = Event;
    type Lookup = Lookup;
    type Found = Found;

    fn handle_message(
        &mut self,
        now: Time,
        from: ProcessId,
        message: Message,
        out: &mut Outbox<Self>,
    ) {
        match (from.role, message) {
            (
                Role::Learner,
                Message::Acknowledge {
                    delivered,
                    sessions,
                },
            ) => {
                self.position = self.position.max(delivered);
                for progress in sessions {
                    let foreign = progress.session != self.session;
                    if !foreign || mutant(Mutant::AnySessionAcknowledges) {
                        self.handle_progress(now, progress, out);
                    }
                }
            }
            (Role::Proposer, Message::Credit { decided, bytes }) => {
                self.note_birth(decided);
                let credit = u64::from(bytes);
                self.window = match credit > self.credit {
                    true => self.window + (credit - self.credit),
                    false => self.window.min(credit),
                };
                self.credit = credit;
                self.heed(now, from, out);
            }
            (Role::Proposer, Message::Missing { session, gaps }) if session == self.session => {
                self.heed(now, from, out);
                self.fill_gaps(now, &gaps, out);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox<Self>) {
        if self.inquire_at.is_some_and(|at| at <= now) {
            self.inquire(now, out);
        }
        if self.retransmit_at.is_some_and(|at| at <= now) {
            // Either the way there or the way back lost something: send the
            // oldest again, and ask, which a mere repetition would not do.
            self.silence += 1;
            if std::mem::take(&mut self.direct) {
                self.doubted = now + Self::DOUBT;
            }
            // Where the credit is less than a datagram, one is under way all the same.
            self.window = (self.window / 2).max(self.chunks[0].cost).min(self.credit);
            if !mutant(Mutant::SubmittedOnce) {
                self.resend(0, now, out);
            }
            self.inquire(now, out);
            self.arm(now);
        }
    }

    fn finish_turn(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.fill(now, out);
    }

    fn next_timeout(&self) -> Option<Time> {
        let room = self.in_flight == 0 || self.in_flight < self.window;
        let paced = !self.backlog.is_empty()
            && self.birth.is_some()
            && room
            && !self.settings.pause.is_zero();
        [
            self.inquire_at,
            self.retransmit_at,
            paced.then_some(self.paced_until),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
