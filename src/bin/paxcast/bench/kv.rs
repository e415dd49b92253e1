//! `paxcast bench kv`: measures the replicated key-value store.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use anyhow::Context;
use clap::Args;
use paxcast::bench::end_children_on_signals;
use paxcast::bench::kv::{Kind, Mix, Set, Settings, measure as run};

use super::{Directory, duration};
use crate::telling::tell;

/// Measure the replicated key-value store, beside one server alone
///
/// Two client processes carry 150 to 150,000 operations, each operation to the
/// next server: in a closed loop, and pipelined. They record what they call and
/// are told, and every history is judged: whether everything could have happened
/// one by one. Clusters of three and of five, in memory and durable, and one whose
/// acceptors are killed at random, beside `paxcast kv --single` and redis-server.
/// The table goes to standard output, the progress to standard error. See
/// docs/performance.md.
///
/// Exit status: 0 done, 1 a server of ours could not be measured, 2 usage, 10 a
/// history is not linearizable.
#[derive(Debug, Args)]
pub struct Options {
    /// Less of everything, in less than a minute
    #[arg(long)]
    quick: bool,

    /// Only these servers (see --list), commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,

    /// Servers that run already, instead of any that are started; their keys get a
    /// beginning of this run's own
    #[arg(
        long,
        value_name = "ADDRS",
        value_delimiter = ',',
        conflicts_with = "only"
    )]
    at: Vec<SocketAddr>,

    /// Numbers of operations, commas between them
    /// [default: 150,450,1500,15000,150000, or to 15000 with --quick]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    counts: Vec<u64>,

    /// Operations from a file, all of them: `PUT,key,value`, `GET,key` or
    /// `DELETE,key`, one a line; malformed lines are told and skipped
    #[arg(long, value_name = "FILE.csv", conflicts_with = "counts")]
    operations: Option<PathBuf>,

    #[command(flatten)]
    mix: MixOptions,

    /// Client processes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    clients: u32,

    /// Operations under way at each client where they are pipelined
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    under_way: u16,

    /// How often each thing is measured, all taking turns; fewer times if there is no
    /// time for more
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Leave out what would likely take longer than so many seconds
    /// [default: 12, or 1 with --quick]
    #[arg(long, value_name = "S", value_parser = duration)]
    longest: Option<Duration>,

    /// How long the story of deaths of an acceptor and of the leader lasts, which a
    /// durable cluster is told to live through [default: 10, or 5 with --quick]
    #[arg(long, value_name = "S", value_parser = duration)]
    timeline: Option<Duration>,

    /// Do not await an answer for longer than so many seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = duration)]
    patience: Duration,

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

    /// Where the executables are [default: beside this one]
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,

    /// Say what servers there are, and measure nothing
    #[arg(long)]
    list: bool,
}

/// What operations are drawn.
#[derive(Debug, Args)]
pub struct MixOptions {
    /// Keys that operations are drawn from
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,

    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(..=900_000))]
    size: u32,

    /// The part of the operations that read
    #[arg(long, value_name = "PART", default_value_t = 0.5, value_parser = part)]
    reads: f64,

    /// The part of the operations that delete
    #[arg(long, value_name = "PART", default_value_t = 0.1, value_parser = part)]
    deletes: f64,
}

impl MixOptions {
    /// As the library has it.
    pub fn mix(&self) -> Mix {
        Mix {
            keys: self.keys,
            size: self.size as usize,
            reads: self.reads,
            deletes: self.deletes,
        }
    }
}

fn part(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err("a part from 0 to 1 is wanted".to_owned()),
    }
}

/// No round begins that would likely end later than this: with --quick, and without.
const LIMITS: (u64, u64) = (45, 530);

/// Measures, and tells.
pub fn measure(options: &Options) -> anyhow::Result<ExitCode> {
    let sets = match choose(options) {
        Ok(sets) => sets,
        Err(mistake) => {
            eprintln!("paxcast bench kv: {mistake}");
            return Ok(ExitCode::from(2));
        }
    };
    if options.list {
        for set in sets {
            tell!("{:<18} {}", set.name, set.about());
        }
        return Ok(ExitCode::SUCCESS);
    }
    // What cannot be written is better known before than after an hour.
    for file in [&options.json, &options.html].into_iter().flatten() {
        fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))?;
    }
    let directory = Directory::make(options.directory.clone())?;
    end_children_on_signals(directory.0.clone()).context("cannot take over the signals")?;
    let quick = options.quick;
    let usual: &[u64] = match quick {
        true => &[150, 450, 1500, 15_000],
        false => &[150, 450, 1500, 15_000, 150_000],
    };
    let seconds =
        |quick_ones: u64, all: u64| Duration::from_secs(if quick { quick_ones } else { all });
    let settings = Settings {
        sets,
        counts: match options.counts.is_empty() {
            true => usual.to_vec(),
            false => options.counts.clone(),
        },
        file: options.operations.clone(),
        mix: options.mix.mix(),
        clients: options.clients,
        under_way: usize::from(options.under_way),
        rounds: usize::from(options.rounds),
        limit: Some(seconds(LIMITS.0, LIMITS.1)),
        longest: options.longest.unwrap_or(seconds(1, 12)),
        patience: options.patience,
        timeline: Some(options.timeline.unwrap_or(seconds(5, 10))),
        directory: directory.0.clone(),
        executables: options.bin.clone(),
        command: env::args().collect::<Vec<String>>().join(" "),
    };
    let findings = run(&settings, &mut |line| eprintln!("{line}")).with_context(|| {
        let file = options.operations.clone().unwrap_or_default();
        format!("cannot read {}", file.display())
    })?;
    tell!("{}", findings.table().trim_end());
    if let Some(file) = &options.json {
        fs::write(file, findings.json())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &options.html {
        fs::write(file, findings.page())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if !findings.violations().is_empty() {
        eprintln!("paxcast bench kv: a history is not linearizable; the table shows where");
        return Ok(ExitCode::from(10));
    }
    let missing = findings.rows.iter().find(|row| {
        let ours = settings.sets.iter().find(|set| set.name == row.set);
        let ours = ours.is_some_and(|set| set.kind != Kind::Redis);
        let left_out = row
            .excuse
            .as_ref()
            .is_some_and(|why| why.contains("--longest"));
        ours && row.figures.is_none() && !left_out
    });
    Ok(match missing {
        None => ExitCode::SUCCESS,
        Some(row) => {
            let why = row.excuse.as_ref().or(row.reasons.first());
            let why = why.map_or("nothing was answered", String::as_str);
            eprintln!("paxcast bench kv: {}: {why}", row.set);
            ExitCode::FAILURE
        }
    })
}

/// The servers that are asked for.
fn choose(options: &Options) -> Result<Vec<Set>, String> {
    if !options.at.is_empty() {
        return Ok(vec![Set::others(options.at.clone())]);
    }
    let mut all = Set::all();
    let names: Vec<&str> = all.iter().map(|set| set.name).collect();
    for name in &options.only {
        if !names.contains(&name.as_str()) {
            return Err(format!(
                "nothing is called {name:?}; there are {}",
                names.join(" ")
            ));
        }
    }
    all.retain(|set| options.only.is_empty() || options.only.iter().any(|name| name == set.name));
    Ok(all)
}
