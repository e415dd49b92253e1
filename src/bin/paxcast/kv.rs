//! `paxcast kv`: the key-value service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use paxcast::daemon::{Command, Failure, say, start_log};
use paxcast::gateway::kv::{self, run_replicated, run_single};
use paxcast::protocol::Role;
use paxcast::service::kv::limits::Limits;

use super::door::Door;

/// Serve a key-value store to any client of Redis
///
/// It speaks RESP2 and RESP3: strings with times to live, counters, transactions.
/// docs/kv.md lists the commands and the limits, and what differs from Redis.
/// As a replica (ID CONF) it needs acceptors and a proposer with the same
/// configuration; any replica takes any command. With `data` in the configuration it
/// keeps checkpoints there, from which it starts again.
/// When it listens, it says so on standard error: `ready … address=HOST:PORT`.
/// Exit status: 0 when SIGTERM or SIGINT ended it, 1 when it failed, 2 usage, 3
/// configuration, 5 checkpoints that cannot be used, 10 when its state is not what the
/// other replicas have. SIGUSR1 makes it print a line of statistics.
#[derive(Debug, Args)]
pub struct Options {
    /// This replica's id, from 1; no other replica or learner has it
    #[arg(value_name = "ID", required_unless_present = "single")]
    id: Option<u16>,

    /// The configuration file, the same for all processes
    #[arg(value_name = "CONF", required_unless_present = "single")]
    conf: Option<PathBuf>,

    /// One process that replicates nothing and forgets everything when it ends
    #[arg(long, conflicts_with_all = ["id", "conf", "data", "journal", "check_config", "faults"])]
    single: bool,

    /// Where to listen; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6379")]
    listen: SocketAddr,

    /// MiB that keys and values may take (4096); beyond, commands that need more are
    /// refused. Replicas must all refuse the same, so they have the default
    #[arg(long, value_name = "MIB", conflicts_with_all = ["id", "conf"])]
    max_memory: Option<usize>,

    #[command(flatten)]
    door: Door,
}

/// Serves until a signal ends it.
pub fn run(options: &Options) -> ExitCode {
    const MIB: usize = 1 << 20;
    let door = &options.door;
    if let (Some(id), Some(conf)) = (options.id, &options.conf) {
        let common = door.common(id, conf);
        let serve = |mut command: Command| {
            command.journal.clone_from(&door.journal);
            run_replicated(command, options.listen, door.allowances(1))
        };
        return common.run_as("paxcast kv", Role::Learner, door.data.clone(), serve);
    }
    start_log(door.verbose, door.quiet);
    let limits = Limits::default();
    let result = run_single(&kv::Options {
        listen: options.listen,
        allowances: door.allowances(1),
        limits: Limits {
            bytes: options
                .max_memory
                .map_or(limits.bytes, |mib| mib.saturating_mul(MIB)),
            ..limits
        },
    });
    finish(result)
}

fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("paxcast kv: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}
