//! `paxcast bench chat`: measures the replicated chat.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use anyhow::Context;
use clap::Args;
use paxcast::bench::chat::{Settings, measure as run};
use paxcast::bench::end_children_on_signals;

use super::{Directory, duration, rate};
use crate::telling::tell;

/// Measure how many messages of a chat reach how many users, and how fast
///
/// Starts gateways, acceptors and proposers on loopback, lets users into one channel,
/// and keeps one pace after the other; then newcomers join where much was said.
/// Standard output has the table; the progress goes to standard error.
///
/// Exit status: 0 done, 1 the chat could not be measured, or lost something, 2 usage.
#[derive(Debug, Args)]
pub struct Options {
    /// Gateways, and acceptors
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=7))]
    gateways: u16,

    /// Let acceptors and replicas have disks
    #[arg(long)]
    durable: bool,

    /// Users in the channel, spread over the gateways
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(2..=4000))]
    users: u16,

    /// Messages a second, of all users together, one after the other
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = rate, default_value = "50,250,520")]
    paces: Vec<f64>,

    /// How long each pace is kept
    #[arg(long, value_name = "S", default_value = "4", value_parser = duration)]
    seconds: Duration,

    /// Messages that newcomers are shown
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=1000))]
    history: u16,

    /// How many come, one after the other
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(..=100))]
    newcomers: u16,

    /// Write everything as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Where logs are written and synced: a directory on the disk in question
    /// [default: the one for temporary files]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Where the executables are [default: beside this one]
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
}

/// Measures, and tells.
pub fn measure(options: &Options) -> anyhow::Result<ExitCode> {
    // What cannot be written is better known before than after.
    if let Some(file) = &options.json {
        fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))?;
    }
    let directory = Directory::make(options.directory.clone())?;
    end_children_on_signals(directory.0.clone()).context("cannot take over the signals")?;
    let settings = Settings {
        gateways: options.gateways,
        durable: options.durable,
        users: usize::from(options.users),
        paces: options.paces.clone(),
        lasts: options.seconds,
        history: usize::from(options.history),
        newcomers: usize::from(options.newcomers),
        directory: directory.0.clone(),
        executables: options.bin.clone(),
        command: env::args().collect::<Vec<String>>().join(" "),
    };
    let report = match run(&settings, &mut |line| eprintln!("{line}")) {
        Ok(report) => report,
        Err(excuse) => {
            eprintln!("paxcast bench chat: {excuse}");
            return Ok(ExitCode::FAILURE);
        }
    };
    tell!("{}", report.table().trim_end());
    if let Some(file) = &options.json {
        fs::write(file, report.json())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
