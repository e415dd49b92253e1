//! `paxcast bench kv-load`: one client of the measurement of `paxcast bench kv`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgGroup, Args};
use paxcast::bench::kv::{Manner, Order, Ready, Source};

use super::duration;
use super::kv::MixOptions;
use crate::telling::tell;

/// Call operations on servers that speak RESP, and record what becomes of them
///
/// One client of the measurement: it takes turns with the servers, goes on with
/// the others when one breaks, and writes one line of JSON to standard output in
/// the end. `--record FILE` has one line for each operation: what was called, when,
/// when it ended, and what came of it; `unknown` is what may have happened.
///
/// Exit status: 0 done, 1 failed, or no server could be reached any more, 2 usage.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("amount").required(true).args(["operations", "count", "seconds"])))]
pub struct Options {
    /// The servers, commas between them
    #[arg(long, value_name = "ADDRS", value_delimiter = ',', required = true)]
    at: Vec<SocketAddr>,

    /// Operations from a file: `PUT,key,value`, `GET,key` or `DELETE,key`, one a
    /// line; malformed lines are told and skipped
    #[arg(long, value_name = "FILE.csv")]
    operations: Option<PathBuf>,

    /// So many operations, drawn from the seed
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Operations drawn from the seed for so long
    #[arg(long, value_name = "S", value_parser = duration)]
    seconds: Option<Duration>,

    /// This client's part of the operations: the first of two is 1/2
    #[arg(long, value_name = "K/N", default_value = "1/1", value_parser = share)]
    share: (u64, u64),

    /// This client's number, which its records carry
    #[arg(long, value_name = "N", default_value_t = 1)]
    client: u32,

    /// Operations under way at a time; 1 is a closed loop
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    under_way: u16,

    /// Stay with one server until it breaks, instead of taking turns
    #[arg(long)]
    stay: bool,

    /// Do not await an answer for longer than so many seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = duration)]
    patience: Duration,

    #[command(flatten)]
    mix: MixOptions,

    /// What operations are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Let all keys begin with this
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,

    /// Write what came of each operation
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Write how long operations took, as `client --latencies` does
    #[arg(long, value_name = "FILE")]
    latencies: Option<PathBuf>,

    /// Begin when a line, or the end, of standard input comes
    #[arg(long)]
    wait: bool,
}

fn share(text: &str) -> Result<(u64, u64), String> {
    let numbers = text.split_once('/').and_then(|(part, parts)| {
        let (part, parts) = (part.parse().ok()?, parts.parse().ok()?);
        (1..=parts).contains(&part).then_some((part, parts))
    });
    numbers.ok_or_else(|| "a part like 1/2 or 2/2 is wanted".to_owned())
}

/// Calls, records, and tells.
pub fn load(options: &Options) -> anyhow::Result<ExitCode> {
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let order = Order {
        manner: Manner {
            client: options.client,
            servers: options.at.clone(),
            under_way: usize::from(options.under_way),
            stays: options.stay,
            patience: nanoseconds(options.patience),
        },
        source: match &options.operations {
            Some(path) => Source::File(path.clone()),
            None => Source::Drawn(options.mix.mix(), options.seed, options.count),
        },
        share: options.share,
        prefix: options.prefix.clone(),
        lasts: options.seconds.map(nanoseconds),
        record: options.record.clone(),
        latencies: options.latencies.clone(),
    };
    let ready = Ready::prepare(order).with_context(|| {
        let file = options.operations.clone().unwrap_or_default();
        format!("cannot read {}", file.display())
    })?;
    for line in &ready.malformed {
        let file = options.operations.clone().unwrap_or_default();
        eprintln!("{}:{line}; skipped", file.display());
    }
    eprintln!(
        "ready role=kv-load client={} servers={} reached={}",
        options.client,
        options.at.len(),
        ready.reached
    );
    if options.wait {
        io::stdin()
            .read_line(&mut String::new())
            .context("cannot read standard input")?;
    }
    let summary = ready.carry().context("cannot write the record")?;
    tell!("{}", serde_json::to_string(&summary)?);
    Ok(match summary.gave_up {
        false => ExitCode::SUCCESS,
        true => {
            eprintln!(
                "paxcast bench kv-load: no server could be reached within {} s; is one listening at {}?",
                options.patience.as_secs_f64(),
                options.at[0]
            );
            ExitCode::FAILURE
        }
    })
}
