//! `paxcast chain`: a process of the chain that `paxcast bench` compares with.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use paxcast::bench::chain::Part;

/// Be a process of the chain without logic; only `paxcast bench` starts it
#[derive(Debug, Args)]
pub struct Options {
    /// Which one, as JSON
    #[arg(value_name = "PART")]
    part: String,
}

/// Runs until standard input ends.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let part: Part = serde_json::from_str(&options.part)
        .context("this is for `paxcast bench` to start, not for people")?;
    part.run().context("a process of the chain ended")?;
    Ok(ExitCode::SUCCESS)
}
