//! `paxcast sim`: whole clusters through random faults, from seeds.

use std::collections::BTreeSet;
use std::fs;
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use paxcast::protocol::mutant::Mutant;
use paxcast::sim::campaign::{Campaign, Tally};
use paxcast::sim::shrink::{self, Shrunk};
use paxcast::sim::terms::{Roles, Terms};
use paxcast::sim::{Cluster, Kind, Plan, Report, Violation, run_cluster, users};

use crate::drawing::{Drawing, seconds, write};
use crate::telling::tell;

/// Run whole clusters through random faults; a seed replays everything
///
/// The roles are the very code that the daemons run, in virtual time, and
/// observers that trust nobody watch every step. A failing seed is cut down to
/// what the failure takes, and printed as a scenario for `paxcast play`.
/// Exit status: 10 when safety was violated, 11 when a healed cluster got stuck,
/// 12 when something unknown went wrong.
#[derive(Debug, Args)]
pub struct Options {
    /// Run one seed, and say what it drew and what came of it
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "minutes", "merge"])]
    seed: Option<u64>,

    /// Run these seeds, without the last [default: 1..1001]
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<Range<u64>>,

    /// Stop after so many minutes, though seeds are left; without --seeds there are always more
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,

    /// Fix the numbers of processes, as in p2,a3,l1,c2
    #[arg(long, value_name = "LIST")]
    roles: Option<Roles>,

    /// Let only these classes of faults strike, as in loss,crash; none for none
    #[arg(long, value_name = "LIST")]
    faults: Option<String>,

    /// Let every seed have replicas and users of this service, `store` or `chat`
    #[arg(long, value_name = "NAME")]
    service: Option<users::Kind>,

    /// Break a rule of the protocol, to see it caught; ? lists the rules (debug builds only)
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,

    /// So many threads [default: one a processor]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Stop after so many failing seeds
    #[arg(long, value_name = "N", default_value_t = 10)]
    failures: usize,

    /// Print the summary as one line of JSON
    #[arg(long)]
    json: bool,

    /// Say every datagram and every decision of the seed, on standard error
    #[arg(short, long)]
    verbose: bool,

    /// Do not cut a failing seed down
    #[arg(long)]
    no_shrink: bool,

    /// Write the scenario of a failing seed here, not to standard output
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,

    /// Run nothing: add up the JSON summaries in these files
    #[arg(long, value_name = "FILE", num_args = 1..)]
    merge: Vec<PathBuf>,

    #[command(flatten)]
    drawing: Drawing,
}

/// Runs what is asked for.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if !options.merge.is_empty() {
        return merge(options);
    }
    if options.mutant.as_deref() == Some("?") {
        for mutant in Mutant::ALL {
            tell!("{mutant:32} {:3} {}", mutant.hazard(), mutant.what());
        }
        return Ok(ExitCode::SUCCESS);
    }
    crate::select_mutant(options.mutant.as_deref())?;
    crate::hush_panics();
    let faults = options.faults.as_deref().map(Terms::read_faults);
    let terms = Terms {
        roles: options.roles.unwrap_or_default(),
        faults: faults.transpose().map_err(anyhow::Error::msg)?,
        service: options.service,
    };
    match options.seed {
        Some(seed) => one(seed, &terms, options),
        None => many(terms, options),
    }
}

/// One seed, with all that can be said about it.
fn one(seed: u64, terms: &Terms, options: &Options) -> anyhow::Result<ExitCode> {
    let plan = Plan::with(seed, terms);
    if !options.json {
        tell!("{plan}");
    }
    let mut cluster = Cluster::new(seed, plan.cluster.clone(), options.verbose);
    options.drawing.prepare(&mut cluster);
    let outcome = run_cluster(seed, &plan, &mut cluster);
    let violation = outcome.as_ref().err().map(|violation| &**violation);
    let mut lines: Vec<String> = plan.to_string().lines().map(Into::into).collect();
    lines.push(format!("replay it with: paxcast sim --seed {seed}"));
    options
        .drawing
        .finish(&cluster, &format!("seed {seed}"), lines, violation)?;
    match outcome {
        Ok(report) => {
            match options.json {
                true => tell!("{}", serde_json::to_string(&Tally::of(&report))?),
                false => describe(&report),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(violation) => {
            say(&violation, options);
            cut_down(&[*violation.clone()], terms, options)?;
            Ok(crate::exit_code(violation.kind))
        }
    }
}

fn describe(report: &Report) {
    tell!(
        "all is well: {} values in {} of virtual time, {} events; healed clusters were done \
         after {}",
        report.values,
        seconds(Duration::from_nanos(report.time.0)),
        report.steps,
        seconds(report.recovery)
    );
    let struck: Vec<String> = report
        .struck
        .iter()
        .filter(|(_, times)| **times > 0)
        .map(|(fault, times)| format!("{fault} {times}"))
        .collect();
    tell!("what struck: {}", struck.join(", "));
    tell!("trace {:016x}", report.digest);
}

/// Many seeds.
fn many(terms: Terms, options: &Options) -> anyhow::Result<ExitCode> {
    let minutes = options.minutes.map(|minutes| minutes * 60.0);
    let time = minutes
        .map(Duration::try_from_secs_f64)
        .transpose()
        .map_err(|_| anyhow!("--minutes must not be negative"))?;
    let seeds = match (&options.seeds, time) {
        (Some(seeds), _) => seeds.clone(),
        (None, Some(_)) => 1..u64::MAX,
        (None, None) => 1..1_001,
    };
    let mut campaign = Campaign::new(seeds.clone());
    campaign.terms = terms;
    campaign.until = time.map(|time| Instant::now() + time);
    campaign.threads = options.threads.unwrap_or(campaign.threads);
    campaign.failures = options.failures.max(1);
    let began = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let (tally, failed) = campaign.run(|tally| {
        let rate = tally.seeds as f64 / began.elapsed().as_secs_f64();
        let line = format!(
            "{} seeds, {rate:.0}/s, {} failed",
            tally.seeds,
            tally.failed.len()
        );
        // A terminal shows one line that changes; a file would fill with them.
        if terminal {
            eprint!("\r{line} ");
            let _ = std::io::stderr().flush();
        }
    });
    if terminal {
        eprintln!();
    }
    match options.json {
        true => tell!("{}", serde_json::to_string(&tally)?),
        false => {
            let rate = tally.seeds as f64 / began.elapsed().as_secs_f64();
            tell!("{}", tally.line());
            tell!("{rate:.0} seeds/s in all, {} run twice", tally.twice);
        }
    }
    let Some(first) = failed.first() else {
        return Ok(ExitCode::SUCCESS);
    };
    for violation in &failed[1..] {
        let kind = violation.kind.name();
        eprintln!("seed {}: {kind}: {}", violation.seed, violation.what);
    }
    say(first, options);
    cut_down(&failed, &campaign.terms, options)?;
    // The worst of them decides.
    let kinds = [Kind::Safety, Kind::Panic, Kind::Liveness];
    let worst = kinds
        .into_iter()
        .find(|kind| failed.iter().any(|violation| violation.kind == *kind));
    Ok(crate::exit_code(worst.unwrap_or(first.kind)))
}

/// Says what went wrong.
fn say(violation: &Violation, options: &Options) {
    if options.verbose {
        eprintln!("{violation}");
        return;
    }
    let last = violation.trace.len().saturating_sub(20);
    for line in &violation.trace[last..] {
        eprintln!("{line}");
    }
    let (seed, kind) = (violation.seed, violation.kind.name());
    eprintln!(
        "seed {seed}: {kind} at {}: {}",
        violation.at, violation.what
    );
}

/// Says what the failure takes: of the first few seeds that fail, the one of which
/// least is left.
fn cut_down(failed: &[Violation], terms: &Terms, options: &Options) -> anyhow::Result<()> {
    const MOST: usize = 3;
    if options.no_shrink {
        return Ok(());
    }
    eprintln!("cutting it down to what it takes …");
    let mut best: Option<Shrunk> = None;
    for violation in failed.iter().take(MOST) {
        let seed = violation.seed;
        let plan = Plan::with(seed, terms);
        match shrink::shrink(seed, &plan) {
            None => {
                eprintln!("seed {seed}, told as a scenario, does not fail: a finding of its own")
            }
            Some(shrunk) => {
                let Shrunk {
                    before,
                    after,
                    runs,
                    ..
                } = shrunk;
                eprintln!(
                    "seed {seed}: {after} of {before} accidents and deeds are left, after {runs} runs"
                );
                if best.as_ref().is_none_or(|best| after < best.after) {
                    best = Some(shrunk);
                }
            }
        }
    }
    let Some(Shrunk { scenario, .. }) = best else {
        return Ok(());
    };
    match &options.scenario {
        Some(file) => write(file, &scenario.to_string()),
        None if options.json => Ok(()),
        None => {
            tell!("{scenario}");
            Ok(())
        }
    }
}

/// Adds summaries up.
fn merge(options: &Options) -> anyhow::Result<ExitCode> {
    let mut sum = Tally::default();
    let mut seen = BTreeSet::new();
    for file in &options.merge {
        let name = file.display();
        if !seen.insert(fs::canonicalize(file).with_context(|| format!("cannot read {name}"))?) {
            continue;
        }
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        for (number, line) in text.lines().enumerate() {
            let place = format!("{name}:{}", number + 1);
            let tally: Tally =
                serde_json::from_str(line).with_context(|| format!("{place}: no summary"))?;
            sum.add(&tally)
                .map_err(|reason| anyhow!("{place}: {reason}"))?;
        }
    }
    match options.json {
        true => tell!("{}", serde_json::to_string(&sum)?),
        false => {
            tell!("{}", sum.line());
            let ranges: Vec<String> = sum
                .ranges
                .iter()
                .map(|(from, to)| format!("{from}..{to}"))
                .collect();
            tell!("seeds {}", ranges.join(" "));
            for failure in &sum.failed {
                tell!("seed {}: {}: {}", failure.seed, failure.kind, failure.what);
            }
        }
    }
    if sum.seeds == 0 {
        bail!("there is no summary in these files");
    }
    Ok(match sum.failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(10),
    })
}

/// Reads `A..B`.
fn range(word: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{word:?} is no range of seeds, as in 1..1001");
    let (from, to) = word.split_once("..").ok_or_else(wrong)?;
    let (from, to) = (from.parse(), to.parse());
    match (from, to) {
        (Ok(from), Ok(to)) if from < to => Ok(from..to),
        _ => Err(wrong()),
    }
}
