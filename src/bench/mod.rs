//! The measuring world: real processes, started, loaded and watched.
//!
//! A figure alone says little: machines differ, and one machine differs from
//! hour to hour. So everything is measured beside something else in the same
//! run, in turns, and told as a ratio: ours, the same processes with no logic
//! at all, the bare disk, and what others have built for the same purpose.
//!
//! ```text
//!   Contestant ── prepare once ──▶ measure(Load) ──▶ Outcome
//!        ▲                             │ in turns, round after round
//!   cluster · chain · disk · corosync · etcd · redis
//! ```
//!
//! A [`Contestant`] is anything that carries values of a size from whoever sends
//! them to whoever must have them, and says so to the sender. It starts its own
//! processes, each a [`Child`], on this machine only: on loopback or in network
//! namespaces of its own, in a directory that the run removes.

use std::path::PathBuf;
use std::time::Duration;

use hdrhistogram::Histogram;

pub mod chain;
mod chart;
pub mod chat;
mod child;
mod cluster;
mod columns;
mod corosync;
mod disk;
mod etcd;
mod facts;
mod failover;
mod formation;
pub mod kv;
mod latencies;
mod machine;
mod pipeline;
mod plan;
mod programs;
mod ratio;
mod redis;
mod report;
mod run;
mod servers;
mod sheet;

pub use chain::Chain;
pub use child::{Child, end_children_on_signals};
pub use cluster::Cluster;
pub use corosync::{Corosync, Packets};
pub use disk::Disk;
pub use etcd::Etcd;
pub use failover::Failover;
pub use formation::Formation;
pub use latencies::latencies;
pub use machine::Machine;
pub use plan::{Plan, RATES, Row, Scope};
pub use programs::Programs;
pub use ratio::{Figure, Ratio, Side, Spread};
pub use redis::Redis;
pub use report::Report;
pub use run::{Settings, run};

/// What a contestant is asked to carry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Bytes of each value.
    pub bytes: usize,
    /// Senders at a time.
    pub clients: usize,
    /// How each of them goes about it.
    pub pace: Pace,
    /// For how long, once it is under way.
    pub duration: Duration,
    /// Whether a value must be on disks before its sender hears of it.
    pub durable: bool,
}

impl Load {
    /// The same with no more values under way at each sender than so many.
    fn within(&self, most: usize) -> Load {
        let pace = match self.pace {
            Pace::Outstanding(count) => Pace::Outstanding(count.min(most)),
            Pace::Rate(_) => self.pace,
        };
        Load { pace, ..*self }
    }
}

/// When a sender sends its next value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Closed loop: as soon as fewer than so many are under way.
    Outstanding(usize),
    /// Open loop: so many a second, however long each takes. A latency counts
    /// from the moment at which a value was due, so a stall is not hidden by
    /// the values that it kept from being sent (coordinated omission).
    Rate(f64),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Values delivered at the receiver that got the fewest, while it was
    /// watched; acknowledged ones where there is no receiver but the sender.
    pub values: u64,
    /// How long it was watched.
    pub seconds: f64,
    /// From sending to acknowledgement, in nanoseconds.
    pub latencies: Histogram<u64>,
    /// Processor time of all processes of the contestant meanwhile, in seconds, the
    /// senders' included, whether they are processes of their own or threads of this
    /// one; nothing where it is not counted.
    pub processor: Option<f64>,
    /// System calls of all processes, where they count them.
    pub calls: Option<u64>,
    /// Datagrams that the kernel dropped for want of buffer space.
    pub drops: Option<u64>,
}

impl Outcome {
    /// Values a second.
    pub fn rate(&self) -> f64 {
        self.values as f64 / self.seconds
    }
}

/// Why a contestant does not take part or could not be measured, in a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excuse {
    /// Something that it needs is not on this machine; says what, and what would install it.
    #[error("skipped: {0}")]
    Absent(String),
    /// It is there and did not do its work.
    #[error("failed: {0}")]
    Failed(String),
}

/// Somebody who carries values.
pub trait Contestant {
    /// Its name in tables: short, lower case.
    fn name(&self) -> &'static str;

    /// One line on what exactly is measured: version, processes, settings.
    fn about(&self) -> String;

    /// Starts what must run, in an empty directory of its own. Called once,
    /// ahead of all loads; afterwards it waits without using the processor.
    ///
    /// # Errors
    ///
    /// When it cannot take part.
    fn prepare(&mut self, directory: PathBuf) -> Result<(), Excuse>;

    /// How many values it has under way at each of a load's senders at most,
    /// whatever the load asks for.
    fn most_under_way(&self, _load: &Load) -> usize {
        usize::MAX
    }

    /// Carries a load and says what came of it.
    ///
    /// # Errors
    ///
    /// When it could not; the others go on.
    fn measure(&mut self, load: &Load) -> Result<Outcome, Excuse>;
}
