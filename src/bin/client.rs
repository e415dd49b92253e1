//! The client's executable: submits values.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use paxcast::daemon::{Common, Plan, Workload, run_client};
use paxcast::protocol::Role;
use paxcast::protocol::client::Client;

const EXAMPLES: &str = "\
Examples:
  client 1 paxos.conf < values
  seq 1000 | client 1 paxos.conf --deadline 10
  client 2 paxos.conf --count 100000 --size 64
  client 2 paxos.conf --count 1000 --size 64 --rate 200
  client 2 paxos.conf --seconds 10 --size 64 --outstanding 1 --latencies latencies.json

Exit status: 0 all acknowledged, or ended by SIGTERM or SIGINT, 1 failed (a line over the limit, a
value whose fate is unknown), 2 usage, 3 configuration, 4 not acknowledged by the deadline.
SIGUSR1 prints a line of statistics on standard error.";

/// Submits values, one a line of standard input, and ends when all are delivered
///
/// A line is a value of at most 1 MiB, whatever bytes it has; lines may be empty
/// and may repeat. Each is delivered exactly once, in the order of the input. A
/// line over the limit is named on standard error and left out.
#[derive(Debug, Parser)]
#[command(name = "client", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    common: Common,

    /// Submit this many values made up here, and leave standard input alone
    #[arg(long, value_name = "N", group = "made")]
    count: Option<u64>,

    /// Make values up for so long, instead of a number of them
    #[arg(long, value_name = "S", group = "made", value_parser = seconds)]
    seconds: Option<Duration>,

    /// Bytes of each value made up (at least what makes it different from all others)
    #[arg(long, value_name = "BYTES", default_value_t = 32, requires = "made",
          value_parser = size)]
    size: usize,

    /// How many values to make up a second, instead of as many as possible; each latency counts
    /// from the moment at which the value was due
    #[arg(long, value_name = "R", requires = "made", value_parser = positive)]
    rate: Option<f64>,

    /// Keep at most so many values unacknowledged, instead of as many as the cluster takes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    outstanding: Option<u64>,

    /// Write how long the values took there, as JSON: nanoseconds and how many values took them.
    /// At the end, and whenever SIGUSR1 asks for statistics
    #[arg(long, value_name = "FILE")]
    latencies: Option<PathBuf>,

    /// Give up with exit status 4 when not all is acknowledged by then
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    deadline: Option<Duration>,
}

fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if size <= Client::MAX_VALUE => Ok(size),
        _ => Err(format!(
            "a number of bytes up to {} is wanted",
            Client::MAX_VALUE
        )),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("a number above 0 is wanted".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = positive(text)?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let made = (arguments.count.is_some() || arguments.seconds.is_some()).then_some(Plan {
        count: arguments.count,
        lasting: arguments.seconds,
        size: arguments.size,
        rate: arguments.rate,
    });
    let workload = Workload {
        made,
        outstanding: arguments.outstanding,
        latencies: arguments.latencies,
        deadline: arguments.deadline,
    };
    arguments
        .common
        .run(Role::Client, None, |command| run_client(command, workload))
}
