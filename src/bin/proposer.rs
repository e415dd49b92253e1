//! The proposer's executable: orders values.

use std::process::ExitCode;

use clap::Parser;
use paxcast::daemon::{Common, run_proposer};
use paxcast::protocol::Role;

const EXAMPLES: &str = "\
Examples:
  proposer 1 paxos.conf
  proposer 2 paxos.conf -v               says when it leads, and when no longer
  proposer 1 paxos.conf --faults drop=0.1,seed=7

Exit status: 0 ended by SIGTERM or SIGINT, 1 failed, 2 usage, 3 configuration.
SIGUSR1 prints a line of statistics on standard error.";

/// Orders the values of clients: of all proposers one leads, the others stand by
///
/// A proposer keeps nothing on disk and may be restarted at any time.
#[derive(Debug, Parser)]
#[command(name = "proposer", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.common.run(Role::Proposer, None, run_proposer)
}
