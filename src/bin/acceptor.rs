//! The acceptor's executable: remembers votes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use paxcast::daemon::{Common, init_acceptor, run_acceptor};
use paxcast::protocol::Role;

const EXAMPLES: &str = "\
Examples:
  acceptor 1 paxos.conf                  volatile, or with the directory that paxos.conf names
  acceptor --init 1 paxos.conf           once, to make that directory
  acceptor 1 paxos.conf --data /var/lib/paxcast
  acceptor 1 paxos.conf --check-config   what is in force, and why

Exit status: 0 ended by SIGTERM or SIGINT, 1 failed, 2 usage, 3 configuration, 5 storage refused.
SIGUSR1 prints a line of statistics on standard error.";

/// Remembers votes for values: a quorum of acceptors makes one chosen
///
/// An acceptor that has voted must never forget it. With `data DIR` in the
/// configuration it keeps its votes in DIR/acceptor-ID; without, it is volatile
/// and must not be restarted while the cluster lives.
#[derive(Debug, Parser)]
#[command(name = "acceptor", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    common: Common,

    /// Make the data directory of an acceptor that never voted, then end
    #[arg(long)]
    init: bool,

    /// Keep votes in DIR/acceptor-ID instead of the `data` directory of the configuration
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments
        .common
        .run(Role::Acceptor, arguments.data, |command| {
            if arguments.init {
                return init_acceptor(&command);
            }
            run_acceptor(command)
        })
}
