//! A learner's world: values go to standard output, and nothing else does.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use super::command::{Command, draw};
use super::failure::Failure;
use super::node::Node;
use super::output::{Level, Output};
use super::proposer::{no_disk, refuse_sync_fault};
use super::turn::Turns;
use super::{Ending, Flow, World};
use crate::protocol::learner::{Event, Learner};
use crate::protocol::{Found, Instance, Lookup, Outbox, Time};

/// How values are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Print {
    /// Each behind its position.
    pub positions: bool,
    /// Only those behind this position.
    pub after: u64,
}

/// Bytes of output that may wait for a slow reader.
const QUEUE: usize = 8 << 20;

/// How long the end waits for a reader that does not read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a learner until it is told to end, or nobody reads its output any more.
///
/// # Errors
///
/// When it cannot start, cannot write, or cannot go on.
pub fn run_learner(command: Command, print: Print) -> Result<(), Failure> {
    refuse_sync_fault(&command)?;
    let node = Node::open(command, draw()?)?;
    let failed = |error: io::Error| Failure::Failed(format!("no standard output: {error}"));
    // Standard output itself would be flushed at every line.
    let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
    let output = Output::start(File::from(stdout), QUEUE, node.waker.clone()).map_err(failed)?;
    let now = node.clock.now();
    let durable = node.config.data.is_some();
    let role = Learner::new(node.me, node.settings(), draw()?, node.buffer(), now);
    node.announce("")?;
    let printer = Printer {
        output,
        print,
        durable,
        open: true,
        printed: 0,
        position: 0,
        requests: 0,
        requested: 0,
        stuck: 0,
        no_ops: 0,
    };
    Turns::run(node, role, printer)
}

/// Prints what is delivered.
#[derive(Debug)]
struct Printer {
    output: Output,
    print: Print,
    /// Whether acceptors have disks.
    durable: bool,
    /// Whether the role was told that it may deliver.
    open: bool,
    printed: u64,
    /// The position of the last value delivered.
    position: u64,
    requests: u64,
    requested: u64,
    stuck: u64,
    /// How many instances held a no-op.
    no_ops: u64,
}

impl World<Learner> for Printer {
    fn begin(
        &mut self,
        now: Time,
        role: &mut Learner,
        out: &mut Outbox<Learner>,
    ) -> Result<Flow, Failure> {
        match self.output.level() {
            Level::Full if self.open => {
                self.open = false;
                log::info!("whoever reads the output is slow; delivery waits");
                role.set_open(now, false, out);
            }
            Level::Roomy if !self.open => {
                self.open = true;
                log::info!("the output has drained; delivery goes on");
                role.set_open(now, true, out);
            }
            Level::Full | Level::Between | Level::Roomy => {}
            // As any filter: `learner … | head` ends well, and quietly.
            Level::Closed => return Ok(Flow::Done),
            Level::Failed(error) => {
                return Err(Failure::Failed(format!(
                    "cannot write to standard output: {error}; values through position {} were \
                     delivered, go on with --after the last one that was kept",
                    role.position()
                )));
            }
        }
        Ok(Flow::Going)
    }

    fn event(&mut self, _: Time, event: Event) -> Result<(), Failure> {
        if let Event::Delivered(delivery) = &event {
            self.position = delivery.position;
        }
        match event {
            Event::Delivered(delivery) if delivery.position > self.print.after => {
                let position = self.print.positions.then_some(delivery.position);
                self.output.push(position, &delivery.value);
                self.printed += 1;
            }
            Event::Delivered(_) => {}
            Event::Skipped { .. } => self.no_ops += 1,
            Event::Requested { instances } => {
                self.requests += 1;
                self.requested += instances;
            }
            Event::Lost { instance } => {
                return Err(Failure::Failed(lost(instance, self.position, self.durable)));
            }
            Event::Stuck { instance } => {
                self.stuck += 1;
                log::info!("no acceptor completes {instance}; asked the leader to repair it");
            }
            // Only in a replica does anybody ask for these.
            Event::Confirmed { .. } | Event::Own(_) | Event::Milestone { .. } => {}
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.output.hand_over();
        Ok(())
    }

    fn lookup(&mut self, lookup: Lookup) -> Result<Found, Failure> {
        Err(no_disk("learner", &lookup))
    }

    fn facts(&self, role: &Learner) -> Vec<(&'static str, u64)> {
        vec![
            ("values", role.position()),
            ("instances", role.delivered().0),
            ("printed", self.printed),
            ("repairs", self.requests),
            ("repaired_instances", self.requested),
            ("stuck", self.stuck),
            ("no_ops", self.no_ops),
        ]
    }

    fn end(&mut self, _: Time, _: &Learner, _: Ending) -> Result<(), Failure> {
        let left = self.output.finish(PATIENCE);
        if left > 0 {
            log::warn!("{left} bytes of output were not written: whoever reads it has stalled");
        }
        Ok(())
    }
}

/// Says that what comes next is forgotten, and what can be done: by acceptors on
/// disk for replicas that have it in a checkpoint, by volatile ones to make room.
fn lost(instance: Instance, position: u64, durable: bool) -> String {
    let (why, what_to_do) = match durable {
        true => (
            "have trimmed it from their logs, because most of the replicas that `replica_ids` names \
             have it in their checkpoints",
            "A learner keeps no checkpoint: start learners before the values and let them run, \
             run a replica instead, or take `replica_ids` out of the configuration of all \
             processes, so that acceptors keep everything from now on",
        ),
        false => (
            "are volatile and have forgotten it, to make room for what came later",
            "Start learners before the values, give `history` more, or let acceptors keep \
             everything with `data DIR`",
        ),
    };
    format!(
        "{instance} and what follows cannot be had any more: more than half of the acceptors {why}; \
         values through position {position} were delivered. {what_to_do}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_lost_is_told_why_and_what_to_do() {
        let volatile = lost(Instance(7), 5, false);
        assert!(volatile.contains("#7 and what follows"), "{volatile}");
        assert!(volatile.contains("give `history` more"), "{volatile}");
        let durable = lost(Instance(7), 5, true);
        assert!(durable.contains("trimmed it from their logs"), "{durable}");
        assert!(durable.contains("through position 5"), "{durable}");
        assert!(!durable.contains("  "), "{durable}");
        assert!(!durable.contains("history"), "{durable}");
    }
}
