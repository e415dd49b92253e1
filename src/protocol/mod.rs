//! Multi-Paxos, as it is done here.
//!
//! # The problem
//!
//! Several learners shall print the same values in the same order, though any
//! datagram may be lost, doubled or overtaken, and any process may stop, for a
//! while or for good. Nobody can tell a stopped process from a slow one, so nobody
//! may be waited for; and yet no two may ever disagree.
//!
//! # The roles
//!
//! * A [`Client`] numbers its values and sends them to the leader, or to all
//!   proposers while it knows of none, again and again until a learner says that they were delivered.
//! * A [`Proposer`] that leads strings values into batches and gives each batch a
//!   place, an [`Instance`]. The others listen, ready to take over.
//! * An [`Acceptor`] promises and votes. Together the acceptors are the memory of
//!   the system: what more than half of them voted for is decided.
//! * A [`Learner`] counts votes, puts decisions in order and hands values on.
//!
//! Each is a deterministic state machine behind one trait, [`Process`]: messages and
//! the time go in, and an [`Outbox`] of messages and events comes out. The same code
//! runs in the daemon and in the simulator. The world around it owes one thing:
//! *a message leaves only after every event ahead of it is durable.*
//!
//! # The two phases
//!
//! **Phase 1** makes a leader. A proposer picks a [`Ballot`] above all it has heard
//! of and asks for it ([`Message::Prepare`], 1a). An acceptor that has promised no
//! higher one promises it and reports its votes ([`Message::Promise`], 1b), in pages,
//! each complete for an interval of instances. When a quorum has reported everything,
//! the proposer knows for each instance what may already have been chosen: the vote of
//! the highest ballot ([`proposer::recovery`] says why). It proposes that again; a hole
//! that a whole quorum reports empty gets a *no-op*, an empty batch that nobody prints.
//!
//! **Phase 2** is the daily work. The leader proposes ([`Message::Accept`], 2a), the
//! acceptors vote ([`Message::Accepted`], 2b). Learners hear both. So a vote names a
//! ballot and instances and carries no value: one ballot has one owner, who proposes one
//! batch for one instance in it. A [`Ballot`] holds its owner's incarnation, drawn at each
//! start, so that not even a proposer that forgot everything can propose twice in it.
//!
//! # What is decided
//!
//! A batch is *chosen* when a quorum of *distinct* acceptors voted for it in *one* ballot.
//! Votes of different ballots never add up, and a vote that arrives twice counts once
//! ([`AcceptorSet`]). An acceptor counts by its id and its store ([`roster`]): one that
//! forgot its votes is another acceptor, and is not counted for the old one.
//!
//! The leader announces how far everything is chosen, the [`Watermark`] `(b, X)`: every
//! instance through `X` is chosen, each reported to the leader of `b` as decided or voted
//! for by a quorum *in `b`*. From then on a single vote of exactly ballot `b` at or below
//! `X` shows the decision. A vote of an *older* ballot shows nothing: it may have lost.
//!
//! # Leaders come and go
//!
//! Leaders send heartbeats; a proposer that hears none for a while, plus a random moment,
//! stands for election. Two protections keep the peace. Acceptors that hear a live leader
//! put candidates off ([`Message::Busy`]), so a proposer that is deaf cannot depose for
//! ever. A leader that hears no quorum stops leading, so one that is deaf cannot suppress
//! the others for ever. None of this matters for safety, which holds with any number of
//! would-be leaders.
//!
//! # Exactly once
//!
//! A value may be sent, proposed and even chosen more than once. [`Sessions`] decides, by the
//! log alone: a value is delivered if and only if its number is the last delivered of its
//! session plus one. Every learner reads the same log and decides alike. Sessions end by the
//! log, too, never by a clock.
//!
//! A learner that has delivered a value acknowledges it; until then the client keeps sending.
//! So nothing a client has sent is lost while a quorum of acceptors, a proposer and a learner
//! live.
//!
//! # Catching up
//!
//! A learner asks for what it lacks, and now and then without a reason, so that one that
//! starts last gets everything, also when nothing new is said. It asks one acceptor; then
//! another; and when no acceptor's answer completes a decided instance, because the votes
//! they hold are of ballots whose watermark nobody heard, it asks the leader, which holds a
//! phase 1 for just that stretch of the past and proposes it again in its own ballot
//! ([`Message::Stuck`]). So nothing chosen is out of reach while a quorum and a proposer live.
//!
//! # Forgetting
//!
//! Replicas, which are learners with a state, keep checkpoints and say how far these reach
//! ([`Message::Checkpointed`]). What more than half of those that count have
//! ([`Settings::replicas`]) and a watermark covers, an acceptor forgets: by a record first
//! ([`Record::Trimmed`]), which takes along the promise and whatever else is still needed, and
//! only then from its disk. Of what it forgot it says nothing at all in a promise, neither votes
//! nor that there were none, for an empty report would let a no-op take the place of what was
//! chosen; whoever asks for it is told that it is gone ([`Message::Forgotten`]). A volatile
//! acceptor lets the oldest of what is decided go when memory runs out ([`acceptor::Memory`]).
//! A learner that needs what a quorum has forgotten ends, or gets a checkpoint.
//!
//! # Flow
//!
//! UDP drops what finds a full buffer. Receivers announce how much theirs hold; the leader
//! keeps what is under way to each within it ([`proposer::flow`]) and tells clients how much
//! each may have unacknowledged ([`Message::Credit`]). Loss makes both send less. Of many
//! learners a few speak for all ([`Settings::SPEAKERS`]), so that fifty of them make the leader
//! listen to hardly more than eight do.
//!
//! # What is not done here
//!
//! * The set of acceptors is fixed by the configuration.
//! * Nobody gives a plain learner what has been forgotten: it ends and says so.
//! * A volatile acceptor forgets at a restart. It is noticed by those that knew it before,
//!   and not counted, but one that starts later cannot know. Durable acceptors do not forget.
//! * A disk that was rolled back to an old copy is not detected.
//! * Processes are trusted: a checksum finds accidents, not lies.

pub mod acceptor;
pub mod ballot;
pub mod checksum;
pub mod client;
pub mod digest;
pub mod jitter;
pub mod learner;
pub mod measure;
pub mod message;
pub mod mutant;
pub mod outbox;
pub mod proposer;
pub mod quorum;
pub mod replicas;
pub mod roster;
pub mod session;
pub mod settings;
pub mod time;
pub mod value;
pub mod watermarks;

pub use acceptor::Acceptor;
pub use ballot::Ballot;
pub use client::Client;
pub use learner::Learner;
pub use measure::Measure;
pub use message::{
    Address, Found, Lookup, Message, ProcessId, Progress, Purpose, Record, Role, Span, Vote,
    Watermark,
};
pub use outbox::{Outbox, Output, Process};
pub use proposer::Proposer;
pub use quorum::{AcceptorSet, Membership};
pub use replicas::ReplicaSet;
pub use session::{Delivery, Sessions};
pub use settings::Settings;
pub use time::Time;
pub use value::{Instance, Item, Payload, Payloads, Run, Session};
