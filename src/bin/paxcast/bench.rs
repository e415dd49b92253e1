//! `paxcast bench`: measures this machine.

mod chat;
mod kv;
mod kv_load;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, io, process};

use anyhow::Context;
use clap::{Args, Subcommand};
use paxcast::bench::{Plan, RATES, Scope, Settings, end_children_on_signals, run};

use crate::telling::tell;

/// Measure throughput and latency on this machine, beside what others do
///
/// Starts real clusters on loopback, on groups and ports of their own, and
/// measures them in turns with the same processes without any logic (chain), the
/// bare disk (disk), and whatever of corosync, etcd and redis-server is installed.
/// Standard output has one line for each ratio, `NAME OURS OTHER RATIO`; the
/// progress and the table go to standard error. See docs/performance.md.
///
/// Exit status: 0 done, 1 our own cluster could not be measured, 2 usage.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    other: Option<Other>,

    /// Only what the most telling ratios need, in less than 50 seconds
    #[arg(long)]
    quick: bool,

    /// Only these: names of ratios or contestants (see --list), commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,

    /// How often each thing is measured, all taking turns [default: 5, or 3 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,

    /// How long each measurement lasts [default: 2, or 0.4 with --quick]
    #[arg(long, value_name = "S", value_parser = duration)]
    seconds: Option<Duration>,

    /// Values a second where a pace is kept, of all clients together, commas between them
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = rate)]
    rates: Vec<f64>,

    /// Write everything as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Where logs are written and synced: a directory on the disk in question
    /// [default: the one for temporary files]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Where the executables of the four roles are [default: beside this one]
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,

    /// Say what there is to measure, and measure nothing
    #[arg(long)]
    list: bool,
}

/// Measurements of another kind.
#[derive(Debug, Subcommand)]
enum Other {
    Chat(Box<chat::Options>),
    Kv(Box<kv::Options>),
    KvLoad(Box<kv_load::Options>),
}

fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("seconds from 0.05 to 600 are wanted".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("numbers above 0 are wanted".to_owned()),
    }
}

/// With --quick no round begins that would likely end later than this.
const QUICK_LIMIT: Duration = Duration::from_secs(44);

/// Measures, and tells.
pub fn bench(options: &Options) -> anyhow::Result<ExitCode> {
    match &options.other {
        Some(Other::Chat(options)) => return chat::measure(options),
        Some(Other::Kv(options)) => return kv::measure(options),
        Some(Other::KvLoad(options)) => return kv_load::load(options),
        None => {}
    }
    let scope = match options.quick {
        true => Scope::Quick,
        false => Scope::Full,
    };
    let usual = match scope {
        Scope::Quick => (3, Duration::from_millis(400)),
        Scope::Full => (5, Duration::from_secs(2)),
    };
    let rates = match options.rates.is_empty() {
        true => &RATES[..],
        false => &options.rates,
    };
    let duration = options.seconds.unwrap_or(usual.1);
    let mut plan = Plan::new(scope, duration, rates);
    if !options.only.is_empty() && plan.only(&options.only).is_err() {
        // What there is no time for in a quick run can be asked for by its name.
        plan = Plan::new(Scope::Full, duration, rates);
        if let Err(mistake) = plan.only(&options.only) {
            eprintln!("paxcast bench: {mistake}");
            return Ok(ExitCode::from(2));
        }
    }
    if options.list {
        for line in plan.list() {
            tell!("{line}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    // What cannot be written is better known before than after an hour.
    for file in [&options.json, &options.html].into_iter().flatten() {
        fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))?;
    }
    let directory = Directory::make(options.directory.clone())?;
    end_children_on_signals(directory.0.clone()).context("cannot take over the signals")?;
    let settings = Settings {
        plan,
        rounds: usize::from(options.rounds.unwrap_or(usual.0)),
        limit: options.quick.then_some(QUICK_LIMIT),
        directory: directory.0.clone(),
        executables: options.bin.clone(),
        command: env::args().collect::<Vec<String>>().join(" "),
    };
    let report = run(&settings, &mut |line| eprintln!("{line}"))
        .with_context(|| format!("cannot write to {}", directory.0.display()))?;
    eprintln!("\n{}", report.table());
    for ratio in &report.ratios {
        tell!("{}", ratio.line());
    }
    if let Some(file) = &options.json {
        fs::write(file, report.json())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &options.html {
        fs::write(file, report.page())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let ours = |name: &str| ["paxcast", "kv", "kv-seed"].contains(&name);
    let missing = report
        .rows
        .iter()
        .find(|row| ours(row.contestant) && row.figures.is_none());
    Ok(match missing {
        None => ExitCode::SUCCESS,
        Some(row) => {
            let excuse = row.excuse.as_deref().unwrap_or("it was not measured");
            eprintln!("paxcast bench: {}: {excuse}", row.load.words);
            ExitCode::FAILURE
        }
    })
}

/// A directory of this run, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn make(parent: Option<PathBuf>) -> anyhow::Result<Directory> {
        let parent = parent.unwrap_or_else(env::temp_dir);
        let path = parent.join(format!("paxcast-bench-{}", process::id()));
        fs::create_dir(&path).with_context(|| {
            format!(
                "cannot make {}; is --directory one that exists?",
                path.display()
            )
        })?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                eprintln!("paxcast bench: {} is left: {error}", self.0.display());
            }
            _ => {}
        }
    }
}
