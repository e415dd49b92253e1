//! The tool beside the four role executables: everything else, as subcommands.

mod bench;
mod canary;
mod chain;
mod chat;
mod door;
mod drawing;
mod kv;
mod play;
mod sim;
mod telling;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use paxcast::sim::Kind;

const ROLES: &str = "\
The cluster itself is four executables, each with a --help of its own:
  client ID CONF     submits values
  proposer ID CONF   orders them
  acceptor ID CONF   remembers
  learner ID CONF    prints them in order";

/// Total order for a LAN: every learner delivers the same values in the same order
#[derive(Debug, Parser)]
#[command(name = "paxcast", version, after_help = ROLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sim(sim::Options),
    Play(play::Options),
    #[command(hide = true)]
    Chain(chain::Options),
    Bench(bench::Options),
    Kv(kv::Options),
    Canary(canary::Options),
    Chat(chat::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Some(Command::Sim(options)) => sim::run(&options),
        Some(Command::Play(options)) => play::run(&options),
        Some(Command::Chain(options)) => chain::run(&options),
        Some(Command::Bench(options)) => bench::bench(&options),
        Some(Command::Kv(options)) => Ok(kv::run(&options)),
        Some(Command::Canary(options)) => canary::run(&options),
        Some(Command::Chat(options)) => Ok(chat::run(&options)),
        None => Arguments::command()
            .print_help()
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("paxcast: {error:#}");
        ExitCode::FAILURE
    })
}

/// What a broken promise is to whoever started us.
fn exit_code(kind: Kind) -> ExitCode {
    ExitCode::from(match kind {
        Kind::Safety => 10,
        Kind::Liveness => 11,
        Kind::Panic => 12,
        Kind::Unmet => 1,
    })
}

/// Lets panics be findings of a run, told once and in its own words.
fn hush_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Lets a mutant live from now on, if this build has any.
#[cfg(debug_assertions)]
fn select_mutant(name: Option<&str>) -> anyhow::Result<()> {
    use paxcast::protocol::mutant;
    let mutant = name.map(str::parse).transpose();
    mutant::select(mutant.map_err(anyhow::Error::msg)?);
    Ok(())
}

/// Lets a mutant live from now on, if this build has any.
#[cfg(not(debug_assertions))]
fn select_mutant(name: Option<&str>) -> anyhow::Result<()> {
    match name {
        None => Ok(()),
        Some(name) => anyhow::bail!(
            "the rule {name:?} can be broken in a debug build only: cargo run --bin paxcast -- …"
        ),
    }
}
