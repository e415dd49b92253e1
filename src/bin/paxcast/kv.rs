//! `paxcast kv`: the key-value service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args};
use paxcast::daemon::{Common, Failure, Faults, say, start_log};
use paxcast::gateway::crowd::{Allowances, connections};
use paxcast::gateway::kv::{self, run_replicated, run_single};
use paxcast::protocol::Role;
use paxcast::service::kv::limits::Limits;

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
    #[arg(long, conflicts_with_all = ["id", "conf"])]
    single: bool,

    /// Where to listen; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6379")]
    listen: SocketAddr,

    /// Connections at once; one more is told so
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    max_clients: u64,

    /// MiB that keys and values may take (4096); beyond, commands that need more are
    /// refused. Replicas must all refuse the same, so they have the default
    #[arg(long, value_name = "MIB", conflicts_with_all = ["id", "conf"])]
    max_memory: Option<usize>,

    /// MiB that the buffers of all connections may take
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    max_buffers: usize,

    /// Where checkpoints are kept, instead of the configuration's `data`
    #[arg(long, value_name = "DIR", conflicts_with = "single")]
    data: Option<PathBuf>,

    /// Write down all that is applied, for `paxcast canary`, to a new file
    #[arg(long, value_name = "FILE", conflicts_with = "single")]
    journal: Option<PathBuf>,

    /// Print the configuration in force and where each value comes from, then end
    #[arg(long, conflicts_with = "single")]
    check_config: bool,

    /// Lose, double or delay what is received from the other processes, for
    /// experiments: drop=0.1,dup=0.01,delay=1..50ms,seed=7
    #[arg(long, value_name = "LIST", conflicts_with = "single")]
    faults: Option<Faults>,

    /// Say more on standard error; twice for still more (RUST_LOG works too)
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    /// Say only errors on standard error
    #[arg(short, long)]
    quiet: bool,
}

/// Serves until a signal ends it.
pub fn run(options: &Options) -> ExitCode {
    const MIB: usize = 1 << 20;
    // Said in time: the log is started once the role is known.
    let allowances = || Allowances {
        connections: connections(options.max_clients),
        buffers: options.max_buffers.saturating_mul(MIB),
    };
    if let (Some(id), Some(conf)) = (options.id, &options.conf) {
        let common = Common {
            id,
            conf: conf.clone(),
            check_config: options.check_config,
            faults: options.faults.clone(),
            verbose: options.verbose,
            quiet: options.quiet,
        };
        return common.run_as(
            "paxcast kv",
            Role::Learner,
            options.data.clone(),
            |mut command| {
                command.journal.clone_from(&options.journal);
                run_replicated(command, options.listen, allowances())
            },
        );
    }
    start_log(options.verbose, options.quiet);
    let limits = Limits::default();
    let result = run_single(&kv::Options {
        listen: options.listen,
        allowances: allowances(),
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
