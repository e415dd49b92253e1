//! `paxcast kv`: the key-value service.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{ArgAction, Args};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use paxcast::daemon::{Failure, say, start_log};
use paxcast::gateway::kv::{self, Allowances, run_single};
use paxcast::service::kv::limits::Limits;

/// Descriptors that are not connections.
const OTHERS: u64 = 32;

/// Serve a key-value store to any client of Redis
///
/// It speaks RESP2 and RESP3: strings with times to live, counters, transactions.
/// docs/kv.md lists the commands and the limits, and what differs from Redis.
/// When it listens, it says so on standard error: `ready … address=HOST:PORT`.
/// Exit status: 0 when SIGTERM or SIGINT ended it, 1 when it failed, 2 usage.
/// SIGUSR1 makes it print a line of statistics.
#[derive(Debug, Args)]
pub struct Options {
    /// One process that replicates nothing and forgets everything when it ends
    #[arg(long, required = true)]
    single: bool,

    /// Where to listen; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6379")]
    listen: SocketAddr,

    /// Connections at once; one more is told so
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    max_clients: u64,

    /// MiB that keys and values may take; beyond, commands that need more are refused
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    max_memory: usize,

    /// MiB that the buffers of all connections may take
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    max_buffers: usize,

    /// Say more on standard error; twice for still more (RUST_LOG works too)
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    /// Say only errors on standard error
    #[arg(short, long)]
    quiet: bool,
}

/// Serves until a signal ends it.
pub fn run(options: &Options) -> ExitCode {
    start_log(options.verbose, options.quiet);
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("paxcast kv: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}

fn serve(options: &Options) -> Result<(), Failure> {
    const MIB: usize = 1 << 20;
    debug_assert!(options.single, "it is required");
    run_single(&kv::Options {
        listen: options.listen,
        allowances: Allowances {
            connections: connections(options.max_clients),
            buffers: options.max_buffers.saturating_mul(MIB),
        },
        limits: Limits {
            bytes: options.max_memory.saturating_mul(MIB),
            ..Limits::default()
        },
    })
}

/// As many connections as asked for, or as this process may have descriptors for.
fn connections(wanted: u64) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted as usize;
    };
    let enough = (wanted + OTHERS).min(hard);
    if enough > soft {
        // If that fails, there are fewer.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, enough, hard);
    }
    let (allowed, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((soft, hard));
    let possible = allowed.saturating_sub(OTHERS);
    if possible < wanted {
        log::warn!(
            "{possible} connections at once instead of {wanted}: the limit of open files is \
             {allowed}; raise it with `ulimit -n {}`",
            wanted + OTHERS
        );
    }
    possible.min(wanted) as usize
}
