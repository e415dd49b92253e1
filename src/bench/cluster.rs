//! Our own cluster as a contestant: the executables that everybody runs.
//!
//! Each load meets a cluster started for it, on groups, ports and a name of its
//! own and in a directory of its own: a volatile acceptor remembers all it ever
//! voted for, so one that lived through many loads would be another one. What was
//! delivered is asked of the learners themselves (SIGUSR1), at the beginning and
//! at the end of the time that counts, which begins once values are flowing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::sys::signal::Signal;
use rand::TryRng;
use rand::rngs::SysRng;

use super::facts::Facts;
use super::formation::Formation;
use super::latencies::{add_file, latencies};
use super::{Child, Contestant, Excuse, Load, Outcome, Pace};

/// Our cluster, of some formation.
#[derive(Debug)]
pub struct Cluster {
    formation: Formation,
    executables: Option<PathBuf>,
    directory: Option<PathBuf>,
    started: u32,
}

/// How long anything of a cluster may take, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at something that is about to happen.
const GLANCE: Duration = Duration::from_millis(5);

/// The part of the time that counts which passes before it, so that windows
/// have opened and queues have filled.
const WARM_UP: f64 = 0.25;

impl Cluster {
    /// A cluster of the executables in a directory, or of those beside this one.
    pub fn new(formation: Formation, executables: Option<PathBuf>) -> Cluster {
        Cluster {
            formation,
            executables,
            directory: None,
            started: 0,
        }
    }

    fn executable(&self, role: &str) -> Result<PathBuf, Excuse> {
        executable(self.executables.as_deref(), role)
    }

    /// Starts the cluster and waits until it delivers.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub(super) fn start(&mut self, durable: bool) -> Result<Running, Excuse> {
        self.started += 1;
        let directory = self
            .directory
            .as_ref()
            .ok_or_else(|| Excuse::Failed("not prepared".to_owned()))?
            .join(format!("run-{}", self.started));
        let failed = |error: std::io::Error| {
            Excuse::Failed(format!("cannot write to {}: {error}", directory.display()))
        };
        fs::create_dir_all(&directory).map_err(failed)?;
        let conf = directory.join("paxos.conf");
        fs::write(&conf, configuration(&self.formation, durable)?).map_err(failed)?;
        let mut running = Running {
            formation: self.formation.clone(),
            conf,
            directory,
            client: self.executable("client")?,
            members: Vec::new(),
            clients: Vec::new(),
            stopped: false,
        };
        let counts = [
            ("acceptor", self.formation.acceptors),
            ("learner", self.formation.learners),
            ("proposer", self.formation.proposers),
        ];
        for (role, count) in counts {
            let executable = self.executable(role)?;
            for id in 1..=count {
                if role == "acceptor" && durable {
                    let mut made = running.spawn(&executable, role, id, &["--init"])?;
                    let (status, said) = made.await_end(PATIENCE)?;
                    if !status.success() {
                        return Err(made.fault(&format!("--init failed: {}", said.join("; "))));
                    }
                }
                let child = running.spawn(&executable, role, id, &[])?;
                running.members.push(Member { role, child });
            }
        }
        for member in &mut running.members {
            member.child.await_line("ready ")?;
        }
        running.probe()?;
        Ok(running)
    }
}

impl Contestant for Cluster {
    fn name(&self) -> &'static str {
        self.formation.name
    }

    fn about(&self) -> String {
        let Formation {
            proposers,
            acceptors,
            learners,
            lines,
            faults,
            one_stopped,
            ..
        } = &self.formation;
        let mut about = format!(
            "paxcast {}: {proposers} proposers, {acceptors} acceptors, {learners} learners",
            env!("CARGO_PKG_VERSION")
        );
        for line in lines.lines() {
            about += &format!(", `{line}`");
        }
        if let Some(faults) = faults {
            about += &format!(", --faults {faults}");
        }
        if *one_stopped {
            about += ", the last learner stopped";
        }
        about
    }

    fn prepare(&mut self, directory: PathBuf) -> Result<(), Excuse> {
        for role in ["client", "proposer", "acceptor", "learner"] {
            self.executable(role)?;
        }
        self.directory = Some(directory);
        Ok(())
    }

    fn measure(&mut self, load: &Load) -> Result<Outcome, Excuse> {
        let mut running = self.start(load.durable)?;
        running.begin_load(load)?;
        thread::sleep(load.duration.mul_f64(WARM_UP));
        if self.formation.one_stopped {
            running.stop_last_learner();
        }
        let before = running.look()?;
        thread::sleep(load.duration);
        let after = running.look()?;
        let outcome = after.since(&before)?;
        if self.formation.one_stopped {
            running.catch_up()?;
        }
        running.remove();
        Ok(outcome)
    }
}

/// One process that is no client.
#[derive(Debug)]
struct Member {
    role: &'static str,
    child: Child,
}

/// A cluster that runs.
#[derive(Debug)]
pub(super) struct Running {
    formation: Formation,
    conf: PathBuf,
    directory: PathBuf,
    client: PathBuf,
    members: Vec<Member>,
    clients: Vec<Child>,
    /// The last learner does not run.
    stopped: bool,
}

/// How all processes stood at a moment.
#[derive(Debug)]
struct Look {
    learners: Vec<Facts>,
    all: Vec<Facts>,
    processor: f64,
    latencies: Histogram<u64>,
}

impl Running {
    fn spawn(
        &self,
        executable: &Path,
        role: &str,
        id: u16,
        options: &[&str],
    ) -> Result<Child, Excuse> {
        let mut command = Command::new(executable);
        command.arg(id.to_string()).arg(&self.conf).args(options);
        if let Some(faults) = self.formation.faults {
            command.args(["--faults", faults]);
        }
        command
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Child::start(&format!("{role} {id}"), &mut command)
    }

    /// Sees one value through: from now on there is a leader.
    fn probe(&self) -> Result<(), Excuse> {
        let patience = PATIENCE.as_secs().to_string();
        let options = ["--count", "1", "--deadline", &patience];
        let mut probe = self.spawn(&self.client, "client", u16::MAX, &options)?;
        match probe.await_end(PATIENCE * 2)? {
            (status, _) if status.success() => Ok(()),
            (_, said) => Err(probe.fault(&format!("failed: {}", said.join("; ")))),
        }
    }

    /// Lets clients send, and waits until every learner delivers what they send.
    pub(super) fn begin_load(&mut self, load: &Load) -> Result<(), Excuse> {
        let delivered = self.delivered()?;
        let size = load.bytes.to_string();
        // They are ended by us; if we cannot, they end themselves.
        let longest = (load.duration * 4 + 3 * PATIENCE).as_secs().to_string();
        let pace = match load.pace {
            Pace::Outstanding(count) => ("--outstanding", count.to_string()),
            Pace::Rate(rate) => ("--rate", rate.to_string()),
        };
        for id in 1..=load.clients {
            let id = u16::try_from(id).unwrap_or(u16::MAX);
            let file = self.latencies_file(usize::from(id) - 1);
            let options = ["--seconds", &longest, "--size", &size, pace.0, &pace.1];
            let file = file.to_string_lossy();
            let options = [&options[..], &["--latencies", &file]].concat();
            self.clients
                .push(self.spawn(&self.client, "client", id, &options)?);
        }
        for client in &mut self.clients {
            client.await_line("ready ")?;
        }
        let deadline = Instant::now() + PATIENCE;
        while self.delivered()? <= delivered {
            if Instant::now() > deadline {
                return Err(Excuse::Failed(format!(
                    "nothing was delivered in {} s",
                    PATIENCE.as_secs()
                )));
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    fn latencies_file(&self, index: usize) -> PathBuf {
        self.directory.join(format!("latencies-{index}.json"))
    }

    /// Values at the learner that has the fewest.
    fn delivered(&mut self) -> Result<u64, Excuse> {
        let mut fewest = f64::INFINITY;
        for learner in self.learners() {
            fewest = fewest.min(ask(learner)?.of("values")?);
        }
        Ok(fewest as u64)
    }

    fn learners(&mut self) -> impl Iterator<Item = &mut Child> {
        let awake = usize::from(self.formation.learners) - usize::from(self.stopped);
        self.members
            .iter_mut()
            .filter(|member| member.role == "learner")
            .map(|member| &mut member.child)
            .take(awake)
    }

    /// Asks everybody who runs how things stand.
    fn look(&mut self) -> Result<Look, Excuse> {
        let mut asked: Vec<(&str, &mut Child)> = Vec::new();
        let mut awake = usize::from(self.formation.learners) - usize::from(self.stopped);
        for Member { role, child } in &mut self.members {
            if *role == "learner" {
                if awake == 0 {
                    continue;
                }
                awake -= 1;
            }
            asked.push((role, child));
        }
        asked.extend(self.clients.iter_mut().map(|child| ("client", child)));
        for (_, child) in &asked {
            child.signal(Signal::SIGUSR1);
        }
        let mut look = Look {
            learners: Vec::new(),
            all: Vec::new(),
            processor: 0.0,
            latencies: latencies(),
        };
        for (role, child) in asked {
            look.processor += child.processor()?;
            let facts = Facts::read(&child.await_line("statistics ")?);
            if role == "learner" {
                look.learners.push(facts.clone());
            }
            look.all.push(facts);
        }
        for index in 0..self.clients.len() {
            add_file(&mut look.latencies, &self.latencies_file(index))?;
        }
        Ok(look)
    }

    fn last_learner(&mut self) -> &mut Child {
        self.members
            .iter_mut()
            .rfind(|member| member.role == "learner")
            .map(|member| &mut member.child)
            .expect("a cluster has learners")
    }

    fn stop_last_learner(&mut self) {
        self.last_learner().signal(Signal::SIGSTOP);
        self.stopped = true;
    }

    /// Ends the load, lets the stopped learner go on, and waits until it has all
    /// that the others have.
    fn catch_up(&mut self) -> Result<(), Excuse> {
        let goal = self.delivered()?;
        self.clients.clear();
        self.last_learner().signal(Signal::SIGCONT);
        self.stopped = false;
        let deadline = Instant::now() + 3 * PATIENCE;
        while ask(self.last_learner())?.of("values")? < goal as f64 {
            if Instant::now() > deadline {
                let waited = 3 * PATIENCE.as_secs();
                return Err(self
                    .last_learner()
                    .fault(&format!("did not catch up within {waited} s")));
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// What the first learner has delivered, and when, in seconds of its clock.
    pub(super) fn progress(&mut self) -> Result<(f64, f64), Excuse> {
        let learner = self.learners().next().expect("a cluster has learners");
        let facts = ask(learner)?;
        Ok((facts.of("seconds")?, facts.of("values")?))
    }

    /// Kills the proposer that leads, by its pid.
    pub(super) fn kill_leader(&mut self) -> Result<(), Excuse> {
        for index in 0..self.members.len() {
            if self.members[index].role != "proposer" {
                continue;
            }
            let facts = ask(&mut self.members[index].child)?;
            if facts.of("elected")? > facts.of("deposed")? {
                // Letting go of a child is killing it.
                drop(self.members.remove(index));
                return Ok(());
            }
        }
        Err(Excuse::Failed("no proposer says that it leads".to_owned()))
    }

    /// Seconds of processor time that each process has used so far.
    pub(super) fn processors(&self) -> Result<Vec<f64>, Excuse> {
        let children = self.members.iter().map(|member| &member.child);
        children.map(Child::processor).collect()
    }

    /// Ends all processes and removes what they left.
    pub(super) fn remove(mut self) {
        self.clients.clear();
        self.members.clear();
        // What cannot be removed goes with the directory of the whole run.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Look {
    fn since(self, earlier: &Look) -> Result<Outcome, Excuse> {
        let mut slowest: Option<(f64, f64)> = None;
        for (after, before) in self.learners.iter().zip(&earlier.learners) {
            let values = after.since(before, "values")?;
            if slowest.is_none_or(|(fewest, _)| values < fewest) {
                slowest = Some((values, after.since(before, "seconds")?));
            }
        }
        let (values, seconds) =
            slowest.ok_or_else(|| Excuse::Failed("there is no learner".to_owned()))?;
        let grown = |key: &str| -> Result<u64, Excuse> {
            let pairs = self.all.iter().zip(&earlier.all);
            let each: Result<Vec<f64>, Excuse> = pairs
                .map(|(after, before)| after.since(before, key))
                .collect();
            Ok(each?.iter().sum::<f64>() as u64)
        };
        let (calls, drops) = (grown("calls")?, grown("kernel_drops")?);
        let mut latencies = self.latencies;
        latencies
            .subtract(&earlier.latencies)
            .map_err(|error| Excuse::Failed(format!("the latencies do not add up: {error:?}")))?;
        Ok(Outcome {
            values: values as u64,
            seconds,
            latencies,
            processor: Some(self.processor - earlier.processor),
            calls: Some(calls),
            drops: Some(drops),
        })
    }
}

/// The executable of a role, under its own name or the one packages give it, in a
/// directory, or else beside this one.
///
/// # Errors
///
/// When it is not there.
pub(super) fn executable(directory: Option<&Path>, role: &str) -> Result<PathBuf, Excuse> {
    let directory = match directory {
        Some(directory) => directory.to_owned(),
        None => env::current_exe()
            .ok()
            .and_then(|path| Some(path.parent()?.to_owned()))
            .unwrap_or_default(),
    };
    [role.to_owned(), format!("paxcast-{role}")]
        .iter()
        .map(|name| directory.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Excuse::Absent(format!(
                "no executable {role} in {}; build all of them (cargo build --release), or \
                 say where they are with --bin",
                directory.display()
            ))
        })
}

/// Asks a process for its statistics.
///
/// # Errors
///
/// When it does not tell them.
pub(super) fn ask(child: &mut Child) -> Result<Facts, Excuse> {
    child.signal(Signal::SIGUSR1);
    Ok(Facts::read(&child.await_line("statistics ")?))
}

/// A configuration that no other cluster meets.
///
/// # Errors
///
/// When there are no random numbers.
pub(super) fn configuration(formation: &Formation, durable: bool) -> Result<String, Excuse> {
    let random = SysRng
        .try_next_u64()
        .map_err(|error| Excuse::Failed(format!("no random numbers: {error}")))?;
    let address = format!(
        "239.{}.{}.{}",
        192 + (random & 3),
        random >> 8 & 0xff,
        1 + (random >> 16 & 0x7f)
    );
    let port = 20_000 + (random >> 32) % 3_000 * 4;
    let mut text = format!(
        "clients {address} {port}\nproposers {address} {}\nacceptors {address} {}\n\
         learners {address} {}\ntimeout 0\ninterface 127.0.0.1\ncluster bench-{random:x}\n\
         acceptor_count {}\n{}\n",
        port + 1,
        port + 2,
        port + 3,
        formation.acceptors,
        formation.lines,
    );
    if durable {
        text += "data data\n";
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(learners: [(f64, f64); 2], calls: f64) -> Look {
        let facts = |(seconds, values): (f64, f64)| {
            Facts::read(&format!(
                "seconds={seconds} values={values} calls={calls} kernel_drops=1"
            ))
        };
        let learners: Vec<Facts> = learners.into_iter().map(facts).collect();
        Look {
            all: learners.clone(),
            learners,
            processor: calls / 1000.0,
            latencies: latencies(),
        }
    }

    #[test]
    fn the_learner_with_the_fewest_counts() {
        let mut before = look([(1.0, 50.0), (1.1, 100.0)], 1000.0);
        before.latencies.record(5_000).unwrap();
        let mut after = look([(2.0, 1050.0), (2.3, 1000.0)], 2500.0);
        after.latencies.record_n(5_000, 2).unwrap();
        let outcome = after.since(&before).unwrap();
        assert_eq!(outcome.values, 900);
        assert!((outcome.seconds - 1.2).abs() < 1e-9);
        assert_eq!(outcome.calls, Some(3000));
        assert_eq!(outcome.drops, Some(0));
        assert_eq!(outcome.processor, Some(1.5));
        assert_eq!(outcome.latencies.len(), 1);
    }

    #[test]
    fn a_configuration_can_be_read_and_differs_from_the_next() {
        let formation = Formation {
            acceptors: 5,
            lines: "datagram 1472",
            ..Formation::BASE
        };
        let texts = [0, 1].map(|_| configuration(&formation, true).unwrap());
        assert_ne!(texts[0], texts[1]);
        let config = crate::config::Config::parse("bench", texts[0].as_bytes()).unwrap();
        assert_eq!(config.acceptors.len(), 5);
        assert_eq!(config.datagram, Some(1472));
        assert!(config.data.is_some());
    }

    #[test]
    fn what_is_not_there_is_told() {
        let nowhere = Some(PathBuf::from("/nonexistent"));
        let mut cluster = Cluster::new(Formation::BASE, nowhere);
        match cluster.prepare(PathBuf::from("/nonexistent")) {
            Err(Excuse::Absent(why)) => assert!(why.contains("--bin"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
