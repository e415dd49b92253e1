//! The tool beside the four role executables.

use clap::{CommandFactory, Parser};

const ROLES: &str = "\
The cluster itself is four executables, each with a --help of its own:
  client ID CONF     submits values
  proposer ID CONF   orders them
  acceptor ID CONF   remembers
  learner ID CONF    prints them in order";

/// Total order for a LAN: every learner delivers the same values in the same order
#[derive(Debug, Parser)]
#[command(name = "paxcast", version, after_help = ROLES)]
struct Arguments {}

fn main() -> std::io::Result<()> {
    Arguments::parse();
    Arguments::command().print_help()
}
