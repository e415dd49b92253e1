//! The real world: sockets, a clock, a disk, signals, and one loop that lets a
//! role live in them.
//!
//! A role ([`Process`]) is a pure state machine; what it wants done it leaves in
//! its outbox. The loop turns, and every *turn* is one batch:
//!
//! 1. take datagrams from all sockets until they are empty or have had their
//!    share, and hand each to the role;
//! 2. call the role if its timeout is due;
//! 3. let the role's [`World`] do its part (a client's world feeds it lines);
//! 4. let the role say what it gathered;
//! 5. carry out the outbox: hand every event to the world, answer every lookup,
//!    then sync **once**, and then send.
//!
//! Step 5 is where group commit happens. A message never overtakes an event
//! that lies ahead of it, because no message leaves before the sync, however
//! many events the turn produced.
//!
//! Nothing in the loop blocks but the poll and the acceptor's sync, which is
//! meant to. Standard input and output are served by threads that wake the loop
//! when there is news.
//!
//! Time is the monotonic clock, so nobody who sets the date can start an
//! election. A suspended machine simply finds everything due when it wakes.

use crate::protocol::{Outbox, Process, ProcessId, Role, Time};

mod acceptor;
mod blocks;
mod calls;
mod client;
mod command;
mod failure;
mod faults;
mod generator;
mod input;
mod interface;
mod latency;
mod learner;
mod multicast;
mod node;
mod notice;
mod output;
mod peers;
mod proposer;
mod replica;
mod segments;
mod signals;
mod statistics;
mod timer;
mod turn;

pub use acceptor::{init_acceptor, run_acceptor};
pub use client::{Workload, run_client};
pub use command::{Command, Common, say, start_log};
pub use failure::Failure;
pub use faults::Faults;
pub use generator::Plan;
pub use input::{Line, Splitter};
pub use learner::{Print, run_learner};
pub use notice::Notices;
pub use proposer::run_proposer;
pub use replica::{Door, Entrance, Service, run_replica};
pub use signals::{Signals, Wish};

/// What a role's events and lookups mean on this machine: a log, an output, a
/// row of counters.
pub trait World<P: Process> {
    /// Called once a turn, behind the messages and timeouts and ahead of the
    /// outbox. Says whether the work is done.
    ///
    /// # Errors
    ///
    /// When the process must end.
    fn begin(&mut self, _now: Time, _role: &mut P, _out: &mut Outbox<P>) -> Result<Flow, Failure> {
        Ok(Flow::Going)
    }

    /// Takes an event in. It need not be durable before [`World::sync`] returns.
    ///
    /// # Errors
    ///
    /// When the process must end; the messages behind the event never leave.
    fn event(&mut self, now: Time, event: P::Event) -> Result<(), Failure>;

    /// Whether the process only comes to where the others are, and should not keep them
    /// from their work: it rests between its turns then.
    fn is_guest(&self) -> bool {
        false
    }

    /// Makes the turn's events durable, or hands them on. Called once a turn,
    /// if there were any, before its messages leave.
    ///
    /// # Errors
    ///
    /// When the process must end; none of the turn's messages leaves.
    fn sync(&mut self) -> Result<(), Failure>;

    /// Answers a lookup from what was taken in so far.
    ///
    /// # Errors
    ///
    /// When the process must end.
    fn lookup(&mut self, lookup: P::Lookup) -> Result<P::Found, Failure>;

    /// Whether the process should hear this group now, one of those of its role.
    fn wants(&self, _role: &P, _group: Role) -> bool {
        true
    }

    /// A whole message of this process came in.
    fn heard(&mut self, _sender: ProcessId) {}

    /// Something happened to a descriptor that this world has the poll watch; its
    /// names there lie behind all that the loop itself watches.
    fn ready(&mut self, _event: &mio::event::Event) {}

    /// When this world wants a turn of its own.
    fn next_timeout(&self) -> Option<Time> {
        None
    }

    /// What it has to add to the statistics.
    fn facts(&self, role: &P) -> Vec<(&'static str, u64)>;

    /// Statistics were asked for: writes what does not fit into a line.
    fn report(&self) {}

    /// The last call: says good-bye to whoever hangs on this world.
    ///
    /// # Errors
    ///
    /// When the end is not a good one after all.
    fn end(&mut self, _now: Time, _role: &P, _ending: Ending) -> Result<(), Failure> {
        Ok(())
    }
}

/// Whether a world goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Going,
    /// Its work is done; it ends behind this turn.
    Done,
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By [`Flow::Done`].
    Done,
    /// By SIGTERM or SIGINT.
    Asked,
    /// By a failure, which is reported behind this.
    Failed,
}
