//! What processes say to each other, and what acceptors write down.
//!
//! Variants and fields are append-only: their encodings are pinned by golden bytes.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ballot::Ballot;
use super::value::{Instance, Payload, Payloads, Run, Session};

/// The four roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Submits values.
    Client,
    /// Orders them.
    Proposer,
    /// Remembers.
    Acceptor,
    /// Delivers.
    Learner,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 4] = [Role::Client, Role::Proposer, Role::Acceptor, Role::Learner];

    /// The role's name, as the executables have it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Proposer => "proposer",
            Role::Acceptor => "acceptor",
            Role::Learner => "learner",
        }
    }

    /// The group's name, as `paxos.conf` has it.
    pub fn plural(self) -> &'static str {
        match self {
            Role::Client => "clients",
            Role::Proposer => "proposers",
            Role::Acceptor => "acceptors",
            Role::Learner => "learners",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One start of one process. An acceptor's incarnation is its store id: it
/// outlives the process exactly as long as what the acceptor remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// What it does.
    pub role: Role,
    /// Its id, from 1, as given on the command line.
    pub id: u16,
    /// Drawn at random.
    pub incarnation: u64,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = &self.role.name()[..1];
        write!(f, "{letter}{}", self.id)
    }
}

/// Who a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// Everyone in the group of a role. Clients' group: clients and learners.
    /// Proposers' group: proposers. Acceptors' group: acceptors and learners.
    /// Learners' group: learners, and proposers
    /// that lead or want to.
    Group(Role),
    /// One process, at the address it was last heard from. A world that never
    /// heard from it sends to the group of its role instead.
    Process(ProcessId),
}

/// An acceptor's vote: in this ballot, this batch for this instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// Where.
    pub instance: Instance,
    /// In which ballot.
    pub ballot: Ballot,
    /// For which batch; an empty one is a no-op.
    pub value: Payload,
}

/// The leader of `ballot` says that every instance through `through` is chosen,
/// each either reported to it as decided or voted for by a quorum in `ballot`.
///
/// A fact, not possession: it stays true for ever, whoever repeats it. It makes
/// a vote of *exactly* this ballot at or below `through` a decided one; it says
/// nothing about which of the older votes was the chosen one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Watermark {
    /// Whose announcement.
    pub ballot: Ballot,
    /// The last instance it covers.
    pub through: Instance,
}

/// What a learner answers a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Progress {
    /// Whose values.
    pub session: Session,
    /// The number of the last item delivered, 0 when none was.
    pub last: u64,
    /// The log refused a value because the session is no longer remembered.
    pub evicted: bool,
}

/// Instances `from..=through`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The first.
    pub from: Instance,
    /// The last.
    pub through: Instance,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.from, self.through)
    }
}

/// A datagram's content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Client to the leader, or to all proposers: please order these values.
    Submit {
        /// The client knows that all its items through this number were
        /// delivered. A leader that does not know the client begins behind it.
        acknowledged: u64,
        /// The values.
        run: Run,
    },
    /// Client to clients' and proposers' groups: how far have I come? Asked at
    /// the start, to learn a birth position, and when acknowledgements fail to come.
    Inquire {
        /// Who asks.
        session: Session,
        /// What it knows already.
        acknowledged: u64,
    },
    /// Learner to clients' group: delivered. One for all sessions of a turn.
    Acknowledge {
        /// The last instance the learner has delivered.
        delivered: Instance,
        /// How far each session has come.
        sessions: Vec<Progress>,
    },
    /// Leader to clients' group: how much each client may have unacknowledged,
    /// and how far the log has come.
    Credit {
        /// The last instance known to be decided.
        decided: Instance,
        /// Bytes of socket buffer that one client may fill.
        bytes: u32,
    },
    /// Leader to a client: I have later items of yours, but lack these.
    Missing {
        /// Whose items.
        session: Session,
        /// The first and the last number of each gap, ascending.
        gaps: Vec<(u64, u64)>,
    },
    /// 1a. Proposer to acceptors: promise me this ballot, and tell me your votes.
    Prepare {
        /// The ballot asked for.
        ballot: Ballot,
        /// Tell me your votes from here on.
        from: Instance,
        /// Up to here; without it, for all instances.
        through: Option<Instance>,
    },
    /// 1b. Acceptor to the proposer that asked: promised; these are *all* my
    /// votes in `from..=through`, or all from `from` on.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// First instance that this page covers.
        from: Instance,
        /// Last instance that this page covers; the last page is open-ended.
        through: Option<Instance>,
        /// The highest watermark the acceptor has heard.
        watermark: Watermark,
        /// Every vote in the interval.
        votes: Vec<Vote>,
    },
    /// Acceptor to a proposer: no, I have promised a higher ballot.
    Nack {
        /// The ballot that was refused.
        ballot: Ballot,
        /// The one that stands against it.
        promised: Ballot,
    },
    /// Acceptor to a proposer: not now, I hear a live leader.
    Busy {
        /// The ballot that was put off.
        ballot: Ballot,
        /// The leader's.
        leader: Ballot,
    },
    /// 2a. Leader to acceptors and learners: vote for this.
    Accept {
        /// The leader's ballot.
        ballot: Ballot,
        /// The leader's watermark: `(ballot, decided)`, see [`Watermark`].
        decided: Instance,
        /// Where.
        instance: Instance,
        /// The batch.
        value: Payload,
    },
    /// 2b. Acceptor to learners and proposers: I voted in this ballot for what
    /// the leader proposed in these instances.
    Accepted {
        /// In which ballot.
        ballot: Ballot,
        /// Where.
        instances: Vec<Span>,
    },
    /// Leader to acceptors, learners and proposers: I am here. A candidate whose
    /// phase 1 gets on says it too, with nothing decided.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// The leader's watermark: `(ballot, decided)`.
        decided: Instance,
    },
    /// Acceptor to the leader: I hear you.
    Alive {
        /// The leader's ballot.
        ballot: Ballot,
        /// Bytes that the acceptor's socket buffer holds, as the kernel counts them.
        buffer: u32,
    },
    /// Learner to proposers: I follow the log; do not overrun me.
    Following {
        /// The highest instance whose proposal was taken from the socket.
        through: Instance,
        /// Bytes that the learner's socket buffer holds, as the kernel counts them.
        buffer: u32,
    },
    /// Learner to acceptors (and to other learners, which then need not ask):
    /// I lack these instances.
    Request {
        /// The id of the acceptor that shall answer.
        acceptor: u16,
        /// What is lacking, ascending.
        spans: Vec<Span>,
        /// How many bytes the answer may have.
        bytes: u32,
        /// Answer to all learners rather than to the one that asks.
        everyone: bool,
    },
    /// Acceptor to learners: what I have of it.
    Votes {
        /// The watermarks that the acceptor has heard.
        watermarks: Vec<Watermark>,
        /// Votes, ascending by instance.
        votes: Vec<Vote>,
        /// This is the last datagram of the answer.
        last: bool,
    },
    /// Learner to proposers: no acceptor could complete these instances for me,
    /// although they are decided.
    Stuck {
        /// Which.
        span: Span,
    },
    /// Proposer to proposers: how much my socket buffer holds. Said at start
    /// and now and then, so that the leader can tell clients what they may send.
    Listening {
        /// Bytes that the proposer's socket buffer holds, as the kernel counts them.
        buffer: u32,
    },
    /// Acceptor to a learner, or to all: I have let go of what you ask for.
    /// Everything through here was decided, and I cannot read it from anywhere.
    Forgotten {
        /// The last instance that it has nothing of.
        through: Instance,
    },
    /// Learner to acceptors: how far have you voted? Whatever was chosen before
    /// this was asked, some acceptor of every quorum has voted for.
    Confirm {
        /// Drawn anew for each round, so that no late answer serves another.
        nonce: u64,
    },
    /// Acceptor to the learner that asked: so far, and it is written down.
    Confirmed {
        /// As it was asked.
        nonce: u64,
        /// The highest instance voted for.
        highest: Instance,
    },
    /// Replica to acceptors: I have a durable checkpoint of everything through here.
    Checkpointed {
        /// The last instance in it.
        through: Instance,
    },
    /// Replica to replicas: my state behind this instance has this digest.
    Digest {
        /// The last instance applied.
        instance: Instance,
        /// The digest of state and sessions there.
        digest: u64,
    },
    /// Replica to replicas: the acceptors have forgotten what I need next; who has
    /// a checkpoint?
    Behind {
        /// The last instance that I have applied.
        delivered: Instance,
    },
    /// Replica to the one that asked: I have this one.
    Offer {
        /// The last instance in it.
        through: Instance,
        /// Its bytes.
        length: u64,
        /// CRC-32C over all of them.
        checksum: u32,
    },
    /// Replica to the one that offered: send me this part of it.
    Fetch {
        /// Which checkpoint.
        through: Instance,
        /// Where the part begins.
        offset: u64,
        /// How many bytes it has.
        bytes: u32,
    },
    /// Replica to the one that asked for it: a piece of a checkpoint.
    Piece {
        /// Which checkpoint.
        through: Instance,
        /// Where the piece begins.
        offset: u64,
        /// The piece.
        bytes: Payload,
    },
}

impl Message {
    /// All names.
    pub const NAMES: [&str; 27] = [
        "submit",
        "inquire",
        "acknowledge",
        "credit",
        "missing",
        "prepare",
        "promise",
        "nack",
        "busy",
        "accept",
        "accepted",
        "heartbeat",
        "alive",
        "following",
        "request",
        "votes",
        "stuck",
        "listening",
        "forgotten",
        "confirm",
        "confirmed",
        "checkpointed",
        "digest",
        "behind",
        "offer",
        "fetch",
        "piece",
    ];

    /// A short name for logs, traces and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Message::Submit { .. } => "submit",
            Message::Inquire { .. } => "inquire",
            Message::Acknowledge { .. } => "acknowledge",
            Message::Credit { .. } => "credit",
            Message::Missing { .. } => "missing",
            Message::Prepare { .. } => "prepare",
            Message::Promise { .. } => "promise",
            Message::Nack { .. } => "nack",
            Message::Busy { .. } => "busy",
            Message::Accept { .. } => "accept",
            Message::Accepted { .. } => "accepted",
            Message::Heartbeat { .. } => "heartbeat",
            Message::Alive { .. } => "alive",
            Message::Following { .. } => "following",
            Message::Request { .. } => "request",
            Message::Votes { .. } => "votes",
            Message::Stuck { .. } => "stuck",
            Message::Listening { .. } => "listening",
            Message::Forgotten { .. } => "forgotten",
            Message::Confirm { .. } => "confirm",
            Message::Confirmed { .. } => "confirmed",
            Message::Checkpointed { .. } => "checkpointed",
            Message::Digest { .. } => "digest",
            Message::Behind { .. } => "behind",
            Message::Offer { .. } => "offer",
            Message::Fetch { .. } => "fetch",
            Message::Piece { .. } => "piece",
        }
    }
}

impl Payloads for Message {
    fn each_payload(&self, visit: &mut dyn FnMut(&Payload)) {
        match self {
            Message::Submit { run, .. } => visit(&run.items),
            Message::Accept { value, .. } => visit(value),
            Message::Piece { bytes, .. } => visit(bytes),
            Message::Promise { votes, .. } | Message::Votes { votes, .. } => {
                votes.iter().for_each(|vote| visit(&vote.value));
            }
            _ => {}
        }
    }

    fn each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        match self {
            Message::Submit { run, .. } => visit(&mut run.items),
            Message::Accept { value, .. } => visit(value),
            Message::Piece { bytes, .. } => visit(bytes),
            Message::Promise { votes, .. } | Message::Votes { votes, .. } => {
                votes.iter_mut().for_each(|vote| visit(&mut vote.value));
            }
            _ => {}
        }
    }

    fn decode(bytes: &Bytes) -> Option<Message> {
        let (mut message, rest) = Self::decode_from(bytes)?;
        if let Message::Submit { run, .. } = &mut message {
            run.arrived_at_the_end_of(bytes);
        }
        rest.is_empty().then_some(message)
    }
}

/// What an acceptor writes down. Its state is a fold over these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Record {
    /// No ballot below this one will be served any more.
    Promised {
        /// The ballot promised.
        ballot: Ballot,
    },
    /// A vote; it promises its ballot too.
    Voted {
        /// The vote.
        vote: Vote,
    },
    /// A watermark heard. Nothing hangs on its being written; it spares the next
    /// leader a walk through all of history.
    Watermark {
        /// The fact.
        watermark: Watermark,
    },
    /// Everything through here is forgotten for good: it is decided, and enough
    /// replicas have it in durable checkpoints. What else the records ahead of this
    /// one said and is still needed, it says again, so that they may be deleted.
    Trimmed {
        /// The last instance that nothing is told of any more.
        through: Instance,
        /// The highest ballot promised so far.
        promised: Ballot,
        /// The highest instance voted for so far.
        highest: Instance,
        /// The watermark heard that reaches furthest, which is at least as far.
        watermark: Watermark,
    },
}

impl Payloads for Record {
    fn each_payload(&self, visit: &mut dyn FnMut(&Payload)) {
        if let Record::Voted { vote } = self {
            visit(&vote.value);
        }
    }

    fn each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        if let Record::Voted { vote } = self {
            visit(&mut vote.value);
        }
    }
}

/// An acceptor's question to its disk: my votes in these spans, ascending, as
/// far as `bytes` of value go (at least one vote).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Why it is asked; comes back with the answer.
    pub purpose: Purpose,
    /// Which instances, ascending and not overlapping.
    pub spans: Vec<Span>,
    /// How many bytes of values to read at most.
    pub bytes: usize,
}

/// What a lookup is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A page of a promise.
    Promise {
        /// Who asked.
        to: ProcessId,
        /// For which ballot.
        ballot: Ballot,
    },
    /// A learner's request.
    Votes {
        /// Where the answer goes.
        to: Address,
    },
}

/// The disk's answer: the newest vote for every instance of the spans up to
/// and including `through`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As it was asked.
    pub lookup: Lookup,
    /// How far the search came: complete up to and including this instance.
    /// The last of the last span when everything fitted.
    pub through: Instance,
    /// Ascending by instance.
    pub votes: Vec<Vote>,
}
