//! `paxcast play`: plays scenarios.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use paxcast::sim::scenario::Scenario;
use paxcast::sim::scenario::play::Play;

use crate::drawing::{Drawing, seconds};
use crate::telling::tell;

/// Play scenarios: stories of failures, each a text file of one step a line
///
/// The language is in docs/scenarios.md, and scenarios/ is full of examples.
/// Exit status: 0 when all went as the scenario says, 1 when an expectation was
/// not met, 3 when the text is wrong, 10 when safety was violated, 11 when the
/// cluster got stuck, 12 when something unknown went wrong.
#[derive(Debug, Args)]
pub struct Options {
    /// The scenarios
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Say every datagram and every decision, on standard error
    #[arg(short, long)]
    verbose: bool,

    /// Keep the rule that the scenario's `mutant` line breaks: then nothing may go wrong
    #[arg(long)]
    healthy: bool,

    #[command(flatten)]
    drawing: Drawing,
}

/// Plays each of the files; the first that does not go as it says decides the
/// exit status.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if options.drawing.is_wanted() && options.files.len() > 1 {
        return Err(anyhow!("pictures can be made of one scenario at a time"));
    }
    crate::hush_panics();
    let mut code = None;
    for file in &options.files {
        if let Some(failed) = play(file, options)? {
            code.get_or_insert(failed);
        }
    }
    Ok(code.unwrap_or(ExitCode::SUCCESS))
}

/// Plays one, and says how it ended: nothing when it went as it says.
fn play(file: &Path, options: &Options) -> anyhow::Result<Option<ExitCode>> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let mut scenario: Scenario = match text.parse() {
        Ok(scenario) => scenario,
        Err(mistake) => {
            eprintln!("{name}:{mistake}");
            return Ok(Some(ExitCode::from(3)));
        }
    };
    if options.healthy {
        scenario.heal();
    }
    crate::select_mutant(scenario.mutant.as_deref())?;
    let mut play = Play::new(&scenario, options.verbose);
    options.drawing.prepare(play.cluster());
    let outcome = play.run();
    let mut lines = scenario.title.clone();
    lines.push(format!("replay it with: paxcast play {name}"));
    let broken = play.broken().cloned();
    let violation = outcome.as_ref().err().map(|violation| &**violation);
    let violation = violation.or(broken.as_ref());
    options
        .drawing
        .finish(play.cluster(), &name.to_string(), lines, violation)?;
    match outcome {
        Ok(report) => {
            match broken {
                Some(violation) => {
                    tell!("{name}: broken, as it should be: {}", violation.what);
                }
                None => tell!(
                    "{name}: as it should be, {} values, {} of virtual time",
                    report.values,
                    seconds(Duration::from_nanos(report.time.0))
                ),
            }
            Ok(None)
        }
        Err(violation) => {
            for line in violation.trace.iter().rev().take(10).rev() {
                eprintln!("{line}");
            }
            tell!(
                "{name}: {} at {}: {}",
                violation.kind.name(),
                violation.at,
                violation.what
            );
            Ok(Some(crate::exit_code(violation.kind)))
        }
    }
}
