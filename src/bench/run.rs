//! The run: round after round everybody has a turn.
//!
//! Every other round goes backwards, so that a machine that becomes slower, or
//! faster, does so for both sides of a ratio alike.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::failover::Failover;
use super::formation::Formation;
use super::machine::Machine;
use super::plan::{Plan, contestants};
use super::ratio::{Ratio, Spread};
use super::report::{Idle, Measured, Report};
use super::{Contestant, Excuse, Load, Outcome};

/// How a plan is carried out.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What to measure.
    pub plan: Plan,
    /// How often each row is measured.
    pub rounds: usize,
    /// No round begins that would likely end later than this after the start.
    pub limit: Option<Duration>,
    /// An empty directory, for logs and configurations.
    pub directory: PathBuf,
    /// Where our executables are, if not beside this one.
    pub executables: Option<PathBuf>,
    /// How the run was asked for.
    pub command: String,
}

/// Carries out a plan; `say` is told how it goes on, in lines for a person.
///
/// # Errors
///
/// When the directory cannot be written to. A contestant that fails is no error
/// but a row that says so.
pub fn run(settings: &Settings, say: &mut dyn FnMut(&str)) -> io::Result<Report> {
    let started = Instant::now();
    let plan = &settings.plan;
    let mut field = Field::prepare(settings, say)?;
    let mut samples: Vec<Vec<Result<Outcome, Excuse>>> = vec![Vec::new(); plan.rows.len()];
    let mut failovers: Vec<Vec<Result<Failover, Excuse>>> = vec![Vec::new(); plan.failovers.len()];
    let mut longest = Duration::ZERO;
    let mut rounds = 0;
    for round in 0..settings.rounds {
        let began = Instant::now();
        let over = settings
            .limit
            .is_some_and(|limit| started.elapsed() + longest > limit);
        if round > 0 && over {
            say(&format!(
                "{rounds} rounds of {}: there is no time for more",
                settings.rounds
            ));
            break;
        }
        for place in 0..plan.rows.len() {
            let index = match round % 2 {
                0 => place,
                _ => plan.rows.len() - 1 - place,
            };
            let outcome = field.measure(index);
            say(&format!(
                "[{:>5.1} s] round {} of {}, {:>3}/{}  {:<12} {:<40} {}",
                started.elapsed().as_secs_f64(),
                round + 1,
                settings.rounds,
                place + 1,
                plan.rows.len(),
                plan.rows[index].contestant,
                field.carried(index).describe(),
                brief(&outcome)
            ));
            samples[index].push(outcome);
        }
        for (load, results) in plan.failovers.iter().zip(&mut failovers) {
            let result = field
                .base
                .as_mut()
                .map_err(|excuse| excuse.clone())
                .and_then(|base| Failover::measure(base, load));
            say(&match &result {
                Ok(failover) => format!(
                    "failover {}: {:.0} ms without a delivery",
                    load.describe(),
                    failover.pause_ms
                ),
                Err(excuse) => format!("failover {}: {excuse}", load.describe()),
            });
            results.push(result);
        }
        rounds += 1;
        longest = longest.max(began.elapsed());
    }
    let idle = plan.idle.map(|duration| field.idle(duration));
    let ratios = plan
        .ratios
        .iter()
        .filter_map(|wanted| {
            let pairs: Vec<(f64, f64)> = (0..rounds)
                .filter_map(|round| {
                    let figure = |row: usize| {
                        let outcome = samples[row][round].as_ref().ok()?;
                        Some(wanted.figure.of(outcome, plan.rows[row].load.bytes))
                    };
                    Some((wanted.ours.value(figure)?, wanted.other.value(figure)?))
                })
                .collect();
            let ratio = Ratio::of(wanted.name, wanted.figure, wanted.meaning, &pairs);
            if ratio.is_none() {
                say(&format!("{} is left out: a side is missing", wanted.name));
            }
            ratio
        })
        .collect();
    let measured = plan
        .rows
        .iter()
        .zip(&samples)
        .enumerate()
        .map(|(index, (row, samples))| {
            let words = field.carried(index).describe();
            Measured::of(row, words, field.about(row.contestant), samples)
        })
        .collect();
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        command: settings.command.clone(),
        machine: Machine::here(&settings.directory),
        rounds,
        seconds: started.elapsed().as_secs_f64(),
        rows: measured,
        ratios,
        failovers: plan
            .failovers
            .iter()
            .zip(&failovers)
            .map(|(load, results)| super::report::Failovers::of(load, results))
            .collect(),
        idle,
    })
}

fn brief(outcome: &Result<Outcome, Excuse>) -> String {
    match outcome {
        Ok(outcome) => format!(
            "{:>9.0} values/s, p50 {:.0} µs",
            outcome.rate(),
            outcome.latencies.value_at_quantile(0.5) as f64 / 1e3
        ),
        Err(excuse) => excuse.to_string(),
    }
}

/// One who takes part, and whether it can.
struct Entrant {
    contestant: Box<dyn Contestant>,
    ready: Result<(), Excuse>,
}

/// Those who take part, ready for their turns.
struct Field<'a> {
    plan: &'a Plan,
    all: Vec<Entrant>,
    /// For what is no contest.
    base: Result<Cluster, Excuse>,
}

impl<'a> Field<'a> {
    fn prepare(settings: &'a Settings, say: &mut dyn FnMut(&str)) -> io::Result<Field<'a>> {
        let plan = &settings.plan;
        let mut all = Vec::new();
        for mut contestant in contestants(settings.executables.as_ref()) {
            let name = contestant.name();
            if !plan.rows.iter().any(|row| row.contestant == name) {
                continue;
            }
            let directory = settings.directory.join(name);
            fs::create_dir_all(&directory)?;
            let ready = contestant.prepare(directory);
            if let Err(excuse) = &ready {
                say(&format!("{name}: {excuse}"));
            }
            all.push(Entrant { contestant, ready });
        }
        let directory = settings.directory.join("others");
        fs::create_dir_all(&directory)?;
        let mut base = Cluster::new(Formation::BASE, settings.executables.clone());
        let base = base.prepare(directory).map(|()| base);
        Ok(Field { plan, all, base })
    }

    fn find(&mut self, name: &str) -> Option<&mut Entrant> {
        let mut all = self.all.iter_mut();
        all.find(|entrant| entrant.contestant.name() == name)
    }

    fn measure(&mut self, row: usize) -> Result<Outcome, Excuse> {
        let row = &self.plan.rows[row];
        match self.find(row.contestant) {
            Some(entrant) => {
                entrant.ready.clone()?;
                entrant.contestant.measure(&row.load)
            }
            None => Err(Excuse::Absent("this build does not know it".to_owned())),
        }
    }

    /// The load of a row as its contestant carries it: some have less under way than
    /// they are asked to.
    fn carried(&mut self, row: usize) -> Load {
        let row = &self.plan.rows[row];
        self.find(row.contestant).map_or(row.load, |entrant| {
            row.load
                .within(entrant.contestant.most_under_way(&row.load))
        })
    }

    fn about(&mut self, name: &str) -> String {
        self.find(name)
            .map_or_else(String::new, |entrant| entrant.contestant.about())
    }

    /// What a cluster without traffic costs each process, in percent of a processor.
    fn idle(&mut self, duration: Duration) -> Idle {
        let measured = self
            .base
            .as_mut()
            .map_err(|excuse| excuse.clone())
            .and_then(|base| {
                let running = base.start(false)?;
                let before = running.processors()?;
                let began = Instant::now();
                std::thread::sleep(duration);
                let after = running.processors()?;
                let seconds = began.elapsed().as_secs_f64();
                running.remove();
                let used = after.iter().zip(&before);
                Ok(Spread::of(
                    used.map(|(after, before)| (after - before) / seconds * 100.0),
                ))
            });
        match measured {
            Ok(percent) => Idle {
                percent,
                excuse: None,
            },
            Err(excuse) => Idle {
                percent: None,
                excuse: Some(excuse.to_string()),
            },
        }
    }
}
