//! What every door to a replicated service is told: what its clients may cost, and how
//! its replica runs.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};
use paxcast::daemon::{Common, Faults};
use paxcast::gateway::crowd::{Allowances, connections};

/// Options of `paxcast kv` and `paxcast chat`.
#[derive(Debug, Args)]
pub struct Door {
    /// Connections at once; one more is told so
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    max_clients: u64,

    /// MiB that the buffers of all connections may take
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    max_buffers: usize,

    /// Where checkpoints are kept, instead of the configuration's `data`
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Write down all that is applied, for `paxcast canary`, to a new file
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,

    /// Print the configuration in force and where each value comes from, then end
    #[arg(long)]
    check_config: bool,

    /// Lose, double or delay what is received from the other processes, for
    /// experiments: drop=0.1,dup=0.01,delay=1..50ms,seed=7
    #[arg(long, value_name = "LIST")]
    faults: Option<Faults>,

    /// Say more on standard error; twice for still more (RUST_LOG works too)
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Say only errors on standard error
    #[arg(short, long)]
    pub quiet: bool,
}

impl Door {
    /// What clients may cost, if each takes so many connections. What cannot be had is
    /// said, so the log is to be started first.
    pub fn allowances(&self, each: u64) -> Allowances {
        Allowances {
            connections: connections(self.max_clients.saturating_mul(each)) / each as usize,
            buffers: self.max_buffers.saturating_mul(1 << 20),
        }
    }

    /// What a replica is told as every process of the cluster is.
    pub fn common(&self, id: u16, conf: &Path) -> Common {
        Common {
            id,
            conf: conf.to_owned(),
            check_config: self.check_config,
            faults: self.faults.clone(),
            verbose: self.verbose,
            quiet: self.quiet,
        }
    }
}
