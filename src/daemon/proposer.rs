//! A proposer's world: it has nothing to keep, so its events are only counted.

use super::World;
use super::command::{Command, draw};
use super::failure::Failure;
use super::node::Node;
use super::turn::Turns;
use crate::protocol::proposer::{Event, Proposer};
use crate::protocol::{Found, Instance, Lookup, Role, Time};

/// Bytes of received datagrams beyond which their memory is not used again.
const MOST_HELD: usize = 16 << 20;

/// Runs a proposer until it is told to end.
///
/// # Errors
///
/// When it cannot start, or cannot go on.
pub fn run_proposer(command: Command) -> Result<(), Failure> {
    refuse_sync_fault(&command)?;
    let mut node = Node::open(command, draw()?)?;
    // A run is sent on from where it arrived: its block comes back when all are decided
    // that are open, and those proposed that wait.
    let settings = node.settings();
    let open = settings.window as usize * settings.datagram;
    node.sockets
        .keep((open + node.buffer() as usize).min(MOST_HELD));
    let now = node.clock.now();
    let role = Proposer::new(node.me, node.settings(), draw()?, node.buffer(), now);
    node.announce("")?;
    Turns::run(node, role, Counters::default())
}

/// Only a durable acceptor syncs anything.
pub(super) fn refuse_sync_fault(command: &Command) -> Result<(), Failure> {
    match &command.faults {
        Some(faults) if faults.sync_fail.is_some() => Err(Failure::Usage(format!(
            "--faults sync-fail: this {} syncs nothing; it is for acceptors with `data`",
            command.role
        ))),
        _ => Ok(()),
    }
}

/// Counts what happens.
#[derive(Debug, Default)]
struct Counters {
    elected: u64,
    deposed: u64,
    retransmissions: u64,
    repairs: u64,
    decided: Instance,
}

impl World<Proposer> for Counters {
    fn event(&mut self, _: Time, event: Event) -> Result<(), Failure> {
        match event {
            Event::Elected { ballot } => {
                self.elected += 1;
                log::info!("leads with ballot {ballot}");
            }
            Event::Deposed { ballot } => {
                self.deposed += 1;
                log::info!("no longer leads with ballot {ballot}");
            }
            Event::Decided { through } => self.decided = self.decided.max(through),
            Event::Retransmitted { .. } => self.retransmissions += 1,
            Event::Repaired { instances } => self.repairs += instances,
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn lookup(&mut self, lookup: Lookup) -> Result<Found, Failure> {
        Err(no_disk("proposer", &lookup))
    }

    fn wants(&self, proposer: &Proposer, group: Role) -> bool {
        group != Role::Learner || proposer.counts_votes()
    }

    fn facts(&self, _: &Proposer) -> Vec<(&'static str, u64)> {
        vec![
            ("instances", self.decided.0),
            ("elected", self.elected),
            ("deposed", self.deposed),
            ("retransmissions", self.retransmissions),
            ("repairs", self.repairs),
        ]
    }
}

/// The answer to a lookup where there is no disk. No role without one asks.
pub(super) fn no_disk(role: &str, lookup: &Lookup) -> Failure {
    Failure::Failed(format!(
        "this {role} keeps nothing on disk and was asked for {lookup:?}; please report this"
    ))
}
