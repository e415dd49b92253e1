//! The learner's executable: delivers values.

use std::process::ExitCode;

use clap::Parser;
use paxcast::daemon::{Common, Print, run_learner};
use paxcast::protocol::Role;

const EXAMPLES: &str = "\
Examples:
  learner 1 paxos.conf > values
  learner 1 paxos.conf --positions --after 1000 | ./program
  learner 1 paxos.conf | head -100       ends with its reader

Exit status: 0 ended by SIGTERM or SIGINT or by its reader's leaving, 1 failed, 2 usage,
3 configuration. SIGUSR1 prints a line of statistics on standard error.";

/// Prints all values in their order, one a line: every learner prints the same
///
/// Values go to standard output as the bytes they are, each followed by a line
/// feed; everything else goes to standard error. A reader that stalls stops the
/// printing; what it missed is fetched again from the acceptors.
#[derive(Debug, Parser)]
#[command(name = "learner", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    common: Common,

    /// Print each value as POSITION, a space, and the value; positions count from 1
    #[arg(long)]
    positions: bool,

    /// Print only what lies behind this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let print = Print {
        positions: arguments.positions,
        after: arguments.after,
    };
    arguments
        .common
        .run(Role::Learner, None, |command| run_learner(command, print))
}
