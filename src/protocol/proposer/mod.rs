//! The proposer: collects values, and orders them while it leads.
//!
//! It is one of three things. As a *follower* it learns who submits and listens
//! for the leader ([`election`]). After silence it becomes a *candidate*: it asks
//! the acceptors for a ballot of its own and for what they voted for ([`recovery`]).
//! With a quorum's promise it is the *leader*: it proposes again what it found,
//! then batches of what clients submitted ([`submissions`], [`pipeline`], [`flow`]).
//! A higher ballot, or silence from a quorum, makes it a follower again.

mod candidate;
pub mod election;
pub mod flow;
mod leader;
mod measures;
pub mod pipeline;
pub mod recovery;
pub mod submissions;

use std::collections::BTreeMap;
use std::time::Duration;

use super::ballot::Ballot;
use super::jitter::Jitter;
use super::message::{Address, Found, Lookup, Message, ProcessId, Role, Span, Vote, Watermark};
use super::mutant::{Mutant, mutant};
use super::outbox::{Outbox, Process};
use super::quorum::AcceptorSet;
use super::roster::Roster;
use super::settings::Settings;
use super::time::Time;
use super::value::{Instance, Run};
use super::watermarks::Watermarks;
use candidate::Candidate;
use election::Election;
use leader::Leader;
use submissions::Submissions;

/// A proposer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposer {
    me: ProcessId,
    settings: Settings,
    jitter: Jitter,
    /// Bytes of its own socket buffer.
    buffer: u32,
    /// What other proposers announced of theirs, and when.
    buffers: BTreeMap<ProcessId, (u32, Time)>,
    roster: Roster,
    /// The highest ballot heard of.
    highest: Ballot,
    /// The ballot of the last leader heard.
    leader: Ballot,
    watermarks: Watermarks,
    election: Election,
    stage: Stage,
    submissions: Submissions,
    /// When to do what is done now and then.
    chores_at: Time,
    /// Clients are told their credit at the end of the turn.
    credit_due: bool,
    /// When the want of a quorum was last complained of, if it lasts.
    complained: Option<Time>,
    /// When this turn began.
    now: Time,
}

/// What a proposer reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It leads.
    Elected {
        /// In this ballot.
        ballot: Ballot,
    },
    /// It leads no more.
    Deposed {
        /// The ballot it led in.
        ballot: Ballot,
    },
    /// Everything through this instance is decided.
    Decided {
        /// The instance.
        through: Instance,
    },
    /// A proposal was sent again.
    Retransmitted {
        /// Where.
        instance: Instance,
    },
    /// Decided instances were proposed again for a learner that was stuck.
    Repaired {
        /// How many.
        instances: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Follower,
    Candidate(Candidate),
    Leader(Box<Leader>),
}

impl Proposer {
    /// How many other proposers' buffers are remembered.
    const MAX_BUFFERS: usize = 1_024;

    /// Between one complaint about the want of a quorum and the next.
    const COMPLAINTS: Duration = Duration::from_secs(30);

    /// Between one announcement of the buffer and the next.
    const CHORES: Duration = Duration::from_secs(1);

    /// A proposer; `me.incarnation` must be fresh from the operating system's
    /// entropy, for its ballots must never have been used before. `seed` feeds its
    /// back-offs; `buffer`: bytes of its socket's receive buffer as the kernel
    /// counts them.
    ///
    /// # Panics
    ///
    /// When `me` is no proposer.
    pub fn new(me: ProcessId, settings: Settings, seed: u64, buffer: u32, now: Time) -> Proposer {
        assert_eq!(me.role, Role::Proposer, "{me} is no proposer");
        let mut jitter = Jitter::new(seed);
        Proposer {
            me,
            election: Election::new(&settings, now, &mut jitter),
            jitter,
            buffer,
            buffers: BTreeMap::new(),
            roster: Roster::new(settings.membership.acceptors()),
            highest: Ballot::ZERO,
            leader: Ballot::ZERO,
            watermarks: Watermarks::default(),
            stage: Stage::Follower,
            submissions: Submissions::default(),
            chores_at: now,
            credit_due: false,
            complained: None,
            now,
            settings,
        }
    }

    /// The process that speaks for an acceptor here, if one was heard.
    pub fn acceptor(&self, id: u16) -> Option<ProcessId> {
        self.roster.process(id)
    }

    /// The ballot this proposer leads in, if it leads.
    pub fn leads(&self) -> Option<Ballot> {
        match &self.stage {
            Stage::Leader(leader) => Some(leader.ballot()),
            _ => None,
        }
    }

    /// Everything through here is known to be decided.
    pub fn decided(&self) -> Instance {
        match &self.stage {
            Stage::Leader(leader) => leader.decided(),
            _ => self.watermarks.highest().through,
        }
    }

    /// How many instances are open; 0 when it does not lead.
    pub fn open(&self) -> usize {
        match &self.stage {
            Stage::Leader(leader) => leader.open(),
            _ => 0,
        }
    }

    /// Whether votes are of use to it. A follower need not hear them.
    pub fn counts_votes(&self) -> bool {
        !matches!(self.stage, Stage::Follower)
    }

    /// The ballot in which it leads or asks to lead.
    fn mine(&self) -> Option<Ballot> {
        match &self.stage {
            Stage::Follower => None,
            Stage::Candidate(candidate) => Some(candidate.recovery.ballot),
            Stage::Leader(leader) => Some(leader.ballot()),
        }
    }

    /// A higher ballot was seen.
    fn note_ballot(&mut self, ballot: Ballot) {
        if !ballot.leaps_over(self.highest) {
            self.highest = self.highest.max(ballot);
        }
    }

    /// Tells whoever reads the log that nothing can be decided, now and then.
    fn complain(&mut self, now: Time, heard: AcceptorSet) {
        let membership = &self.settings.membership;
        let lately = |at: Time| now.since(at) < Self::COMPLAINTS;
        if membership.is_quorum(heard) || self.complained.is_some_and(lately) {
            return;
        }
        self.complained = Some(now);
        log::warn!(
            "no quorum: of the acceptors {} only {heard} answer, and {} are needed; nothing is \
             decided until more are back, and nothing is lost",
            membership.acceptors(),
            membership.quorum()
        );
    }

    /// Becomes a follower again.
    fn follow(&mut self, now: Time, out: &mut Outbox<Self>) {
        if let Stage::Leader(leader) = &self.stage {
            let ballot = leader.ballot();
            out.event(Event::Deposed { ballot });
            self.submissions.follow();
        }
        self.stage = Stage::Follower;
        self.election.back_off(now, &mut self.jitter);
    }

    /// 1b, for the candidate or for a repair.
    fn handle_promise(
        &mut self,
        now: Time,
        from: ProcessId,
        ballot: Ballot,
        (first, through): (Instance, Option<Instance>),
        votes: Vec<Vote>,
        out: &mut Outbox<Self>,
    ) {
        if let Stage::Leader(leader) = &mut self.stage
            && leader.ballot() == ballot
        {
            leader.promised(now, from, (first, through), votes, &self.settings, out);
            return;
        }
        let Stage::Candidate(candidate) = &mut self.stage else {
            return;
        };
        let recovery = &mut candidate.recovery;
        if recovery.ballot != ballot && !mutant(Mutant::FormerPromiseCounts) {
            return;
        }
        candidate.busy.remove(from.id);
        recovery.skip_to(self.watermarks.highest().through.next());
        let further = recovery.add(from.id, first, through, votes);
        if recovery.is_complete(&self.settings.membership) {
            self.lead(now, out);
        } else if further && let Some(gap) = recovery.gap(from.id) {
            candidate.further = true;
            let patience = self.settings.patience();
            candidate.give_up_at = now + self.jitter.between(patience * 8, patience * 16);
            out.send(
                Address::Process(from),
                Message::Prepare {
                    ballot,
                    from: gap,
                    through: None,
                },
            );
        }
    }

    /// 2b.
    fn handle_accepted(
        &mut self,
        now: Time,
        from: ProcessId,
        ballot: Ballot,
        spans: Vec<Span>,
        out: &mut Outbox<Self>,
    ) {
        match &mut self.stage {
            Stage::Leader(leader) if leader.ballot() == ballot => {
                let (settings, jitter) = (&self.settings, &mut self.jitter);
                leader.voted(now, from, &spans, settings, jitter, out);
                self.watermarks.note(Watermark {
                    ballot,
                    through: leader.decided(),
                });
            }
            // One that has just stood down still hears votes: a sign of a leader's life.
            Stage::Follower if ballot >= self.leader => self.election.heard(now, &mut self.jitter),
            _ => {}
        }
    }

    /// Another proposer leads, or thinks so.
    fn handle_heartbeat(
        &mut self,
        now: Time,
        ballot: Ballot,
        decided: Instance,
        out: &mut Outbox<Self>,
    ) {
        if ballot.leaps_over(self.highest) {
            return;
        }
        self.note_ballot(ballot);
        self.watermarks.note(Watermark {
            ballot,
            through: decided,
        });
        if ballot < self.leader {
            return;
        }
        let mine = self.mine();
        if mine.is_none_or(|mine| ballot > mine) {
            self.leader = ballot;
            if mine.is_some() {
                self.follow(now, out);
            }
            self.election.heard(now, &mut self.jitter);
        }
    }

    /// An acceptor stands by a higher ballot.
    fn handle_nack(&mut self, now: Time, ballot: Ballot, promised: Ballot, out: &mut Outbox<Self>) {
        self.note_ballot(promised);
        let mine = match &self.stage {
            Stage::Follower => return,
            Stage::Candidate(candidate) => candidate.recovery.ballot,
            Stage::Leader(leader) => leader.ballot(),
        };
        if mine != ballot || promised <= mine {
            return;
        }
        let led = self.leads().is_some();
        self.follow(now, out);
        // Most likely a single acceptor missed some heartbeats and let a candidate
        // in that cannot hear them at all. If there is a new leader after all, the
        // acceptors say so.
        if led {
            self.election.retry(now, &self.settings, &mut self.jitter);
        }
    }

    /// Tells clients what each of them may have under way.
    fn grant(&mut self, out: &mut Outbox<Self>) {
        self.credit_due = false;
        let Stage::Leader(leader) = &self.stage else {
            return;
        };
        // Everything clients have under way may stand in one proposer's buffer,
        // or, ordered, in one acceptor's or learner's.
        let smallest = self
            .buffers
            .values()
            .map(|(buffer, _)| u64::from(*buffer))
            .chain([u64::from(self.buffer), leader.smallest_buffer()])
            .min()
            .unwrap_or(0);
        let clients = self.submissions.clients().max(1) as u64;
        let bytes = u32::try_from(smallest / 2 / clients).unwrap_or(u32::MAX);
        out.send(
            Address::Group(Role::Client),
            Message::Credit {
                decided: leader.decided(),
                bytes,
            },
        );
    }

    /// What is done once a second.
    fn chores(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.chores_at = now + Self::CHORES;
        out.send(
            Address::Group(Role::Proposer),
            Message::Listening {
                buffer: self.buffer,
            },
        );
        self.buffers
            .retain(|_, (_, heard)| now.since(*heard) < Self::CHORES * 10);
        self.submissions.forget_silent(now);
        self.credit_due = self.submissions.clients() > 0;
    }
}

/// Says to acceptors, learners and proposers who is at work in this ballot, and
/// how far it has decided the log.
fn announce(ballot: Ballot, decided: Instance, out: &mut Outbox<Proposer>) {
    let message = Message::Heartbeat { ballot, decided };
    out.send(Address::Group(Role::Acceptor), message.clone());
    out.send(Address::Group(Role::Proposer), message);
}

impl Process for Proposer {
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
        self.now = now;
        match (from.role, message) {
            // A learner that submits is a replica.
            (Role::Client | Role::Learner, Message::Submit { acknowledged, run }) => {
                let plausible = run.count > 0
                    && (1..Run::MAX_NUMBER).contains(&run.first)
                    && acknowledged < Run::MAX_NUMBER
                    && run.session.client == from.id
                    && run.items.len() <= self.settings.run_limit();
                if !plausible {
                    return;
                }
                let leading = matches!(self.stage, Stage::Leader(_));
                let clients = self.submissions.clients();
                self.submissions.add(now, leading, from, acknowledged, run);
                self.credit_due |= clients != self.submissions.clients();
            }
            (Role::Client | Role::Learner, Message::Inquire { .. }) => {
                self.credit_due = true;
            }
            (
                Role::Acceptor,
                Message::Promise {
                    ballot,
                    from: first,
                    through,
                    watermark,
                    votes,
                },
            ) if self.roster.admits(from) => {
                if watermark.ballot.leaps_over(self.highest) {
                    return;
                }
                self.watermarks.note(watermark);
                self.note_ballot(watermark.ballot);
                // A higher ballot has decided something, perhaps another value
                // than this ballot would find in reports from before that.
                if self.mine().is_some_and(|mine| mine < watermark.ballot) {
                    self.follow(now, out);
                } else {
                    self.handle_promise(now, from, ballot, (first, through), votes, out);
                }
            }
            (Role::Acceptor, Message::Nack { ballot, promised }) if self.roster.admits(from) => {
                self.handle_nack(now, ballot, promised, out);
            }
            (Role::Acceptor, Message::Busy { ballot, .. }) if self.roster.admits(from) => {
                self.handle_busy(now, from, ballot, out);
            }
            (Role::Acceptor, Message::Accepted { ballot, instances })
                if self.roster.admits(from) =>
            {
                self.handle_accepted(now, from, ballot, instances, out);
            }
            (Role::Acceptor, Message::Alive { ballot, buffer }) if self.roster.admits(from) => {
                if let Stage::Leader(leader) = &mut self.stage
                    && leader.ballot() == ballot
                {
                    leader.heard(now, from);
                    let before = leader.smallest_buffer();
                    leader.announced(now, from, buffer);
                    // Until acceptors say how much they hold, credit is scarce.
                    self.credit_due |= leader.smallest_buffer() > before;
                }
            }
            (Role::Learner, Message::Following { through, buffer }) => {
                if let Stage::Leader(leader) = &mut self.stage {
                    leader.announced(now, from, buffer);
                    leader.read(now, from, through);
                }
            }
            (Role::Learner, Message::Stuck { span }) => {
                if let Stage::Leader(leader) = &mut self.stage {
                    leader.begin_repair(now, span, &self.settings, out);
                }
            }
            (Role::Proposer, Message::Heartbeat { ballot, decided })
                if ballot.owner() == (from.id, from.incarnation) =>
            {
                self.handle_heartbeat(now, ballot, decided, out);
            }
            (Role::Proposer, Message::Listening { buffer })
                if self.buffers.len() < Self::MAX_BUFFERS || self.buffers.contains_key(&from) =>
            {
                self.buffers.insert(from, (buffer, now));
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.now = now;
        if self.chores_at <= now {
            self.chores(now, out);
        }
        match &mut self.stage {
            Stage::Follower => {
                if self.election.deadline() <= now {
                    self.stand(now, out);
                }
            }
            Stage::Candidate(candidate) => {
                if candidate.give_up_at <= now {
                    // One that puts a candidate off answers, too.
                    let busy = candidate.busy.iter();
                    let heard = candidate.recovery.heard().iter().chain(busy).collect();
                    self.complain(now, heard);
                    self.follow(now, out);
                } else if candidate.ask_at <= now {
                    self.ask(now, out);
                }
            }
            Stage::Leader(leader) => {
                let (settings, jitter) = (&self.settings, &mut self.jitter);
                leader.send_overdue(now, settings, jitter, out);
                leader.ask_overdue(now, settings, &self.roster, out);
                if leader.heartbeat_at() <= now {
                    let heard = leader.hears(now, settings);
                    let deaf = !settings.membership.is_quorum(heard);
                    if !deaf || mutant(Mutant::DeafLeaderStays) {
                        leader.beat(now, settings, out);
                    } else {
                        self.complain(now, heard);
                        self.follow(now, out);
                    }
                }
            }
        }
    }

    fn finish_turn(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.now = now;
        if let Stage::Leader(leader) = &mut self.stage {
            let (settings, jitter) = (&self.settings, &mut self.jitter);
            leader.propose(now, &mut self.submissions, settings, jitter, out);
            for lacking in self.submissions.lacking(now) {
                out.send(
                    Address::Process(lacking.client),
                    Message::Missing {
                        session: lacking.session,
                        gaps: lacking.gaps,
                    },
                );
            }
        }
        if self.credit_due {
            self.grant(out);
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        let stage = match &self.stage {
            Stage::Follower => self.election.deadline(),
            Stage::Candidate(candidate) => candidate.ask_at.min(candidate.give_up_at),
            Stage::Leader(leader) => {
                let at = leader.next_timeout(self.now, self.submissions.is_ready());
                self.submissions
                    .next_timeout()
                    .map_or(at, |gap| at.min(gap))
            }
        };
        Some(stage.min(self.chores_at))
    }
}
