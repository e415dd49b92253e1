//! The run: every round, each set of servers is started, carries every number of
//! operations, and is ended.
//!
//! Every other round goes backwards, so that a machine that becomes slower, or
//! faster, does so for all alike.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::findings::{Findings, Mode, Row, Sample, Timeline};
use super::load::Summary;
use super::operation::{Mix, read};
use super::record::{self, Judgement, Recorded, judge, now};
use super::servers::{Kind, Set};
use super::timeline::timeline;
use super::trouble::{Story, Trouble};
use crate::bench::cluster::executable;
use crate::bench::columns::grouped;
use crate::bench::latencies::{add_file, latencies};
use crate::bench::machine::Machine;
use crate::bench::servers::Running;
use crate::bench::{Child, Excuse};

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers.
    pub sets: Vec<Set>,
    /// Numbers of operations, of all clients together.
    pub counts: Vec<u64>,
    /// Operations from a file instead, all of them.
    pub file: Option<PathBuf>,
    /// What is drawn otherwise.
    pub mix: Mix,
    /// Client processes.
    pub clients: u32,
    /// Operations under way at each where they are pipelined.
    pub under_way: usize,
    /// How often each is carried.
    pub rounds: usize,
    /// No round begins that would likely end later than this after the start.
    pub limit: Option<Duration>,
    /// What would likely take longer than this is left out.
    pub longest: Duration,
    /// How long a client awaits an answer, or a server that it can reach.
    pub patience: Duration,
    /// How long the story of deaths lasts, if it is to be told.
    pub timeline: Option<Duration>,
    /// An empty directory.
    pub directory: PathBuf,
    /// Where our executables are, if not beside this one.
    pub executables: Option<PathBuf>,
    /// How the measurement was asked for.
    pub command: String,
}

/// Operations under way at each client while a story is told.
const STORY_UNDER_WAY: usize = 16;

/// What nothing should take beyond its time, on however busy a machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at the clients.
const GLANCE: Duration = Duration::from_millis(2);

/// Everything that is carried: a set, how it is called, and how many.
#[derive(Clone, Debug)]
struct Cell {
    set: usize,
    mode: Mode,
    count: u64,
    samples: Vec<Result<Sample, Excuse>>,
}

/// Carries everything out; `say` is told how it goes on, in lines for a person.
///
/// # Errors
///
/// When a file cannot be read. Servers that fail are no error but rows that say so.
pub fn measure(settings: &Settings, say: &mut dyn FnMut(&str)) -> io::Result<Findings> {
    let started = Instant::now();
    let (mut counts, mut malformed) = (settings.counts.clone(), Vec::new());
    if let Some(path) = &settings.file {
        let (operations, wrong) = read(&std::fs::read(path)?);
        counts = vec![operations.len() as u64];
        malformed = wrong
            .iter()
            .map(|line| format!("{}:{line}", path.display()))
            .collect();
        malformed
            .iter()
            .for_each(|line| say(&format!("{line}; skipped")));
    }
    counts.sort_unstable();
    let mut stage = Stage::new(settings);
    let mut cells: Vec<Cell> = Vec::new();
    for set in 0..settings.sets.len() {
        for mode in [Mode::Closed, Mode::Pipelined] {
            cells.extend(counts.iter().map(|count| Cell {
                set,
                mode,
                count: *count,
                samples: Vec::new(),
            }));
        }
    }
    let mut rounds = 0;
    let mut longest = Duration::ZERO;
    while rounds < settings.rounds {
        let began = Instant::now();
        let late = |limit: Duration| started.elapsed() + longest > limit;
        if rounds > 0 && settings.limit.is_some_and(late) {
            say(&format!(
                "{rounds} rounds of {}: there is no time for more",
                settings.rounds
            ));
            break;
        }
        let mut order: Vec<usize> = (0..settings.sets.len()).collect();
        if rounds % 2 == 1 {
            order.reverse();
        }
        for set in order {
            let words = |words: &str| {
                format!(
                    "[{:>5.1} s] round {} of {}  {words}",
                    started.elapsed().as_secs_f64(),
                    rounds + 1,
                    settings.rounds
                )
            };
            stage.carry_all(set, &mut cells, &mut |line| say(&words(line)));
        }
        rounds += 1;
        longest = longest.max(began.elapsed());
    }
    let mut timelines = Vec::new();
    let replicated =
        |set: &&Set| set.durable && !set.failing && matches!(set.kind, Kind::Replicas(_));
    if let Some(lasts) = settings.timeline
        && let Some(set) = settings.sets.iter().find(replicated)
    {
        say(&format!("the timeline of {}", set.name));
        timelines.push(stage.timeline(set, lasts));
    }
    let rows = cells.iter().map(|cell| {
        let under_way = settings.under_way(cell.mode);
        Row::of(
            &settings.sets[cell.set],
            cell.mode,
            under_way,
            cell.count,
            &cell.samples,
        )
    });
    Ok(Findings {
        version: env!("CARGO_PKG_VERSION"),
        command: settings.command.clone(),
        machine: Machine::here(&settings.directory),
        workload: settings.workload(),
        malformed,
        rounds,
        seconds: started.elapsed().as_secs_f64(),
        rows: rows.collect(),
        timelines,
    })
}

impl Settings {
    fn under_way(&self, mode: Mode) -> usize {
        match mode {
            Mode::Closed => 1,
            Mode::Pipelined => self.under_way,
        }
    }

    /// What the clients do, in words.
    fn workload(&self) -> String {
        let what = match &self.file {
            Some(path) => format!("the operations in {}", path.display()),
            None => {
                let Mix {
                    keys,
                    size,
                    reads,
                    deletes,
                } = self.mix;
                format!(
                    "{:.0} % get, {:.0} % put, {:.0} % delete, values of {size} B, {keys} keys",
                    reads * 100.0,
                    (1.0 - reads - deletes) * 100.0,
                    deletes * 100.0
                )
            }
        };
        format!(
            "{} client processes, each operation to the next server; closed: one under way at each client, \
             pipelined: {}; {what}",
            self.clients, self.under_way
        )
    }
}

/// What a load is told beside the servers.
#[derive(Debug)]
pub(super) struct Task {
    /// Operations under way at each client.
    pub under_way: usize,
    /// So many operations, or all of the file,
    pub count: Option<u64>,
    /// or for so long.
    pub lasts: Option<Duration>,
    /// It is ended if it takes longer.
    pub patience: Duration,
}

/// Where everything happens.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    settings: &'a Settings,
    /// How many sets and loads were started; each has a place of its own.
    started: u64,
    /// No other run's keys begin like this one's.
    name: String,
}

impl<'a> Stage<'a> {
    /// A stage of a run.
    pub fn new(settings: &'a Settings) -> Stage<'a> {
        Stage {
            settings,
            started: 0,
            name: format!("{:x}", now()),
        }
    }

    /// Starts a set of servers.
    ///
    /// # Errors
    ///
    /// When they do not start.
    pub fn start(&mut self, set: &Set) -> Result<Running, Excuse> {
        self.started += 1;
        let directory = format!("servers-{}", self.started);
        let directory = self.settings.directory.join(directory);
        set.start(self.settings.executables.as_deref(), directory)
    }

    /// Starts a set and lets it carry all its cells.
    fn carry_all(&mut self, index: usize, cells: &mut [Cell], say: &mut dyn FnMut(&str)) {
        let set = &self.settings.sets[index];
        let mut running = self.start(set);
        if let Err(excuse) = &running {
            say(&format!("{}: {excuse}", set.name));
        }
        // The rate at the number before says how long the next one will take.
        let mut pace: Option<(Mode, u64, f64)> = None;
        for cell in cells.iter_mut().filter(|cell| cell.set == index) {
            let slow = pace.filter(|(mode, _, rate)| {
                *mode == cell.mode && cell.count as f64 / rate > self.settings.longest.as_secs_f64()
            });
            let sample = match (&mut running, slow) {
                (Err(excuse), _) => Err(excuse.clone()),
                (Ok(_), Some((_, count, rate))) => Err(Excuse::Absent(format!(
                    "it would take {:.0} s at the pace of {} operations; --longest allows more",
                    cell.count as f64 / rate,
                    grouped(count)
                ))),
                (Ok(running), None) => self.carry(set, running, cell.mode, cell.count),
            };
            if let Ok(sample) = &sample
                && sample.good > 0
            {
                pace = Some((cell.mode, cell.count, sample.rate()));
            }
            say(&format!(
                "{:<18} {:<9} {:>7}  {}",
                set.name,
                cell.mode.word(),
                cell.count,
                brief(&sample)
            ));
            cell.samples.push(sample);
        }
    }

    /// Lets running servers carry a number of operations.
    fn carry(
        &mut self,
        set: &Set,
        running: &mut Running,
        mode: Mode,
        count: u64,
    ) -> Result<Sample, Excuse> {
        let task = Task {
            under_way: self.settings.under_way(mode),
            count: Some(count),
            lasts: None,
            patience: 2 * self.settings.longest + PATIENCE,
        };
        let mut trouble = set.failing.then(|| Trouble::new(self.started));
        let outcome = self.load(running, &task, &mut |_, running| match &mut trouble {
            Some(trouble) => trouble.step(running),
            None => Ok(()),
        });
        if set.failing {
            Trouble::mend(running)?;
        }
        let (mut sample, _) = outcome?;
        sample.kills = trouble.map_or(0, |trouble| trouble.kills);
        Ok(sample)
    }

    /// Lets all clients do a task, and meanwhile what is to be done beside it.
    ///
    /// # Errors
    ///
    /// When that is not done, or the clients do not come to an end.
    pub fn load(
        &mut self,
        running: &mut Running,
        task: &Task,
        beside: &mut dyn FnMut(Duration, &mut Running) -> Result<(), Excuse>,
    ) -> Result<(Sample, Vec<Recorded>), Excuse> {
        self.started += 1;
        let mut clients = Vec::new();
        for client in 1..=self.settings.clients {
            clients.push(self.client(running, task, client)?);
        }
        for child in &mut clients {
            child.await_line("ready ")?;
        }
        let began = Instant::now();
        for child in &mut clients {
            let input = child.process().stdin.take();
            input
                .expect("it was asked for")
                .write_all(b"\n")
                .map_err(|_| child.fault("has ended before it began"))?;
        }
        let runs = |child: &mut Child| matches!(child.process().try_wait(), Ok(None));
        while clients.iter_mut().any(runs) {
            beside(began.elapsed(), running)?;
            if began.elapsed() > task.patience {
                return Err(Excuse::Failed(format!(
                    "it was not done within {:.0} s",
                    task.patience.as_secs_f64()
                )));
            }
            thread::sleep(GLANCE);
        }
        let mut summaries = Vec::new();
        let mut histogram = latencies();
        let mut records = Vec::new();
        for (child, client) in clients.iter_mut().zip(1..) {
            summaries.push(summary(child)?);
            add_file(&mut histogram, &self.file("latencies", client))?;
            let path = self.file("record", client);
            let all = record::read(&path)
                .map_err(|error| Excuse::Failed(format!("{}: {error}", path.display())))?;
            records.extend(all);
            let _ = std::fs::remove_file(path);
        }
        if summaries.iter().all(|one| one.good == 0)
            && let Some(fault) = running.fault()
        {
            return Err(fault);
        }
        let sum = |count: fn(&Summary) -> u64| summaries.iter().map(count).sum();
        // One that was given nothing to do has neither begun nor ended.
        let worked = summaries.iter().filter(|one| one.ended > 0);
        let first = worked.clone().map(|one| one.began).min().unwrap_or(0);
        let last = worked.map(|one| one.ended).max().unwrap_or(0);
        let mut reasons: Vec<String> = summaries
            .iter()
            .flat_map(|one| one.reasons.clone())
            .collect();
        if summaries.iter().any(|one| one.gave_up) {
            reasons.push("no server could be reached any more".to_owned());
        }
        let sample = Sample {
            good: sum(|one| one.good),
            failed: sum(|one| one.failed),
            unknown: sum(|one| one.unknown),
            seconds: (last - first) as f64 / 1e9,
            latencies: histogram,
            judgement: judge(&records),
            reasons,
            kills: 0,
        };
        Ok((sample, records))
    }

    fn file(&self, what: &str, client: u32) -> PathBuf {
        let name = format!("{what}-{client}.json");
        self.settings.directory.join(name)
    }

    /// Starts one client process, which waits for a line before it begins.
    fn client(&self, running: &Running, task: &Task, client: u32) -> Result<Child, Excuse> {
        let Settings { mix, clients, .. } = self.settings;
        let program = executable(self.settings.executables.as_deref(), "paxcast")?;
        let addresses: Vec<String> = running.addresses.iter().map(ToString::to_string).collect();
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut arguments: Vec<String> = Vec::new();
        let mut option = |name: &str, value: String| arguments.push(format!("--{name}={value}"));
        option("at", addresses.join(","));
        option("client", client.to_string());
        option("share", format!("{client}/{clients}"));
        option("under-way", task.under_way.to_string());
        option("prefix", format!("{}-{}-", self.name, self.started));
        option("record", path(&self.file("record", client)));
        option("latencies", path(&self.file("latencies", client)));
        match (&self.settings.file, task.lasts) {
            (_, Some(lasts)) => option("seconds", lasts.as_secs_f64().to_string()),
            (Some(file), None) => option("operations", path(file)),
            (None, None) => option("count", task.count.unwrap_or(0).to_string()),
        }
        let patience = self.settings.patience.as_secs_f64();
        option("patience", patience.to_string());
        option("keys", mix.keys.to_string());
        option("size", mix.size.to_string());
        option("reads", mix.reads.to_string());
        option("deletes", mix.deletes.to_string());
        option("seed", self.started.to_string());
        let mut command = Command::new(program);
        command
            .args(["bench", "kv-load", "--wait"])
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Child::start(&format!("client {client}"), &mut command)
    }

    /// Tells the story of deaths on a set.
    fn timeline(&mut self, set: &Set, lasts: Duration) -> Timeline {
        let mut story = Story::new(lasts);
        let task = Task {
            under_way: STORY_UNDER_WAY,
            count: None,
            lasts: Some(lasts),
            patience: lasts + PATIENCE,
        };
        let outcome = self.start(set).and_then(|mut running| {
            self.load(&mut running, &task, &mut |since, running| {
                story.step(since, running)
            })
        });
        let words = format!(
            "{} clients with {STORY_UNDER_WAY} operations under way at each",
            self.settings.clients
        );
        match outcome {
            Ok((sample, records)) => timeline(set, words, &sample, &records, &story.marks),
            Err(excuse) => Timeline {
                set: set.name,
                words,
                steps: Vec::new(),
                marks: Vec::new(),
                pause_ms: 0.0,
                failed: 0,
                unknown: 0,
                judgement: None,
                excuse: Some(excuse.to_string()),
            },
        }
    }
}

/// What a client said at its end.
fn summary(child: &mut Child) -> Result<Summary, Excuse> {
    let mut text = String::new();
    if let Some(mut out) = child.process().stdout.take() {
        out.read_to_string(&mut text)
            .map_err(|error| child.fault(&format!("cannot be heard: {error}")))?;
    }
    let (status, _) = child.await_end(PATIENCE)?;
    serde_json::from_str(&text).map_err(|_| child.fault(&format!("ended with {status}")))
}

fn brief(sample: &Result<Sample, Excuse>) -> String {
    match sample {
        Err(excuse) => excuse.to_string(),
        Ok(sample) => {
            let mut words = format!(
                "{:>9.0} ops/s, mean {:.0} µs, {}",
                sample.rate(),
                sample.latencies.mean() / 1e3,
                sample.judgement.word()
            );
            for (count, what) in [
                (sample.failed, "failed"),
                (sample.unknown, "unknown"),
                (sample.kills, "kills"),
            ] {
                if count > 0 {
                    words += &format!(", {count} {what}");
                }
            }
            if let Judgement::Violated(key, _) = &sample.judgement {
                words += &format!(" (key {key})");
            }
            words
        }
    }
}
