//! The servers that are measured: a replicated store, one process that replicates
//! nothing, Redis, or whatever runs already.
//!
//! A [`Set`] is a name and what it takes to start the servers; once [`Running`]
//! it is a list of addresses, and processes that can be killed and started again,
//! each by its own pid.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::client::{Client, Manner};
use super::operation::Operation;
use super::record::{Outcome, now};
use crate::bench::cluster::{ask, configuration, executable};
use crate::bench::formation::Formation;
use crate::bench::programs::{Programs, version};
use crate::bench::redis::{DURABLE, Server, VOLATILE};
use crate::bench::{Child, Excuse};

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// So many replicas and as many acceptors, with two proposers, each a process.
    Replicas(u16),
    /// One process that replicates nothing.
    Single,
    /// One redis-server.
    Redis,
    /// Servers that somebody else has started.
    Others(Vec<SocketAddr>),
}

/// Servers that are measured together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name in tables.
    pub name: &'static str,
    /// What answers.
    pub kind: Kind,
    /// Whether a change is synced to disks before it is answered.
    pub durable: bool,
    /// Whether acceptors are killed at random, and started again.
    pub failing: bool,
}

/// Proposers of a replicated store.
const PROPOSERS: u16 = 2;

/// How long an acceptor may take to make its directory, and a replica to answer.
const PATIENCE: Duration = Duration::from_secs(20);

impl Set {
    /// All that can be started.
    pub fn all() -> Vec<Set> {
        let set = |name, kind, durable, failing| Set {
            name,
            kind,
            durable,
            failing,
        };
        vec![
            set("cluster-3", Kind::Replicas(3), false, false),
            set("cluster-3-durable", Kind::Replicas(3), true, false),
            set("cluster-5", Kind::Replicas(5), false, false),
            set("cluster-5-durable", Kind::Replicas(5), true, false),
            set("cluster-5-failing", Kind::Replicas(5), true, true),
            set("single", Kind::Single, false, false),
            set("redis", Kind::Redis, false, false),
            set("redis-durable", Kind::Redis, true, false),
        ]
    }

    /// Those that run at these addresses.
    pub fn others(addresses: Vec<SocketAddr>) -> Set {
        Set {
            name: "others",
            kind: Kind::Others(addresses),
            durable: false,
            failing: false,
        }
    }

    /// What processes it is.
    pub fn processes(&self) -> String {
        match &self.kind {
            Kind::Replicas(count) => {
                format!("paxcast kv: {count} replicas, {count} acceptors, {PROPOSERS} proposers")
            }
            Kind::Single => "paxcast kv --single: one process that replicates nothing".to_owned(),
            Kind::Redis => {
                let program = Programs::default().need("redis-server", "redis-server");
                match program.and_then(|program| version(&program, "--version")) {
                    Ok(version) => format!("{version}, one process"),
                    Err(_) => "redis-server".to_owned(),
                }
            }
            Kind::Others(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                format!("what runs at {}", addresses.join(", "))
            }
        }
    }

    /// One line on what exactly it is.
    pub fn about(&self) -> String {
        let kept = match (&self.kind, self.durable) {
            (Kind::Others(_), _) => "",
            (Kind::Redis, true) => ", appendonly yes, appendfsync always, no rewriting",
            (Kind::Redis, false) => ", no snapshots, no log",
            (_, true) => ", every change synced by a quorum of acceptors before it is answered",
            (_, false) => ", all in memory",
        };
        let what = self.processes();
        let failing = match self.failing {
            true => ", acceptors killed at random and started again, never a majority at a time",
            false => "",
        };
        format!("{what}{kept}{failing}")
    }

    /// Starts it, in an empty directory of its own, and waits until it serves.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(&self, executables: Option<&Path>, directory: PathBuf) -> Result<Running, Excuse> {
        fs::create_dir_all(&directory).map_err(|error| {
            Excuse::Failed(format!("cannot write to {}: {error}", directory.display()))
        })?;
        let mut running = Running {
            addresses: Vec::new(),
            members: Vec::new(),
            directory,
        };
        match &self.kind {
            Kind::Others(addresses) => running.addresses.clone_from(addresses),
            Kind::Redis => running.start_redis(self.durable)?,
            Kind::Single => {
                let program = executable(executables, "paxcast")?;
                let listen = ["kv", "--single", "--listen", "127.0.0.1:0"];
                let said = running.start(&program, "kv", 1, &listen.map(str::to_owned))?;
                running.addresses.push(address(&said)?);
            }
            Kind::Replicas(count) => {
                running.start_cluster(executables, *count, self.durable)?;
                running.probe()?;
            }
        }
        Ok(running)
    }
}

/// Servers that run. They end when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    members: Vec<Member>,
    directory: PathBuf,
}

/// A process, and how it is started.
#[derive(Debug)]
struct Member {
    role: &'static str,
    id: u16,
    program: PathBuf,
    arguments: Vec<String>,
    /// Nothing while it is dead.
    child: Option<Child>,
}

impl Member {
    /// Starts it; the line in which it says that it is ready.
    fn start(&mut self) -> Result<String, Excuse> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut child = Child::start(&format!("{} {}", self.role, self.id), &mut command)?;
        let said = child.await_line("ready ")?;
        self.child = Some(child);
        Ok(said)
    }
}

impl Running {
    fn start(
        &mut self,
        program: &Path,
        role: &'static str,
        id: u16,
        arguments: &[String],
    ) -> Result<String, Excuse> {
        let mut member = Member {
            role,
            id,
            program: program.to_owned(),
            arguments: arguments.to_vec(),
            child: None,
        };
        let said = member.start()?;
        self.members.push(member);
        Ok(said)
    }

    fn start_redis(&mut self, durable: bool) -> Result<(), Excuse> {
        let program = Programs::default().need("redis-server", "redis-server")?;
        let settings = if durable { DURABLE } else { VOLATILE };
        let server = Server::start(&program, &self.directory, settings)?;
        self.addresses
            .push((Ipv4Addr::LOCALHOST, server.port).into());
        self.members.push(Member {
            role: "redis-server",
            id: 1,
            program,
            arguments: Vec::new(),
            child: Some(server.child),
        });
        Ok(())
    }

    fn start_cluster(
        &mut self,
        executables: Option<&Path>,
        count: u16,
        durable: bool,
    ) -> Result<(), Excuse> {
        let conf = self.directory.join("paxos.conf");
        let formation = Formation {
            acceptors: count,
            ..Formation::BASE
        };
        let ids: Vec<String> = (1..=count).map(|id| id.to_string()).collect();
        let mut text = configuration(&formation, durable)?;
        text += &format!("replica_ids {}\n", ids.join(" "));
        fs::write(&conf, text)
            .map_err(|error| Excuse::Failed(format!("cannot write {}: {error}", conf.display())))?;
        let conf = conf.to_string_lossy().into_owned();
        let acceptor = executable(executables, "acceptor")?;
        for id in 1..=count {
            let arguments = [id.to_string(), conf.clone()];
            if durable {
                let mut command = Command::new(&acceptor);
                command
                    .arg("--init")
                    .args(&arguments)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null());
                let mut made = Child::start(&format!("acceptor {id}"), &mut command)?;
                let (status, said) = made.await_end(PATIENCE)?;
                if !status.success() {
                    return Err(made.fault(&format!("--init failed: {}", said.join("; "))));
                }
            }
            self.start(&acceptor, "acceptor", id, &arguments)?;
        }
        let proposer = executable(executables, "proposer")?;
        for id in 1..=PROPOSERS {
            self.start(&proposer, "proposer", id, &[id.to_string(), conf.clone()])?;
        }
        let program = executable(executables, "paxcast")?;
        for id in 1..=count {
            let arguments = ["kv", &id.to_string(), &conf, "--listen", "127.0.0.1:0"];
            let said = self.start(&program, "replica", id, &arguments.map(str::to_owned))?;
            self.addresses.push(address(&said)?);
        }
        Ok(())
    }

    /// Sees an operation through at every replica: from now on there is a leader.
    fn probe(&self) -> Result<(), Excuse> {
        let deadline = now() + PATIENCE.as_nanos() as u64;
        for (index, address) in self.addresses.iter().enumerate() {
            loop {
                let client = Client::new(Manner {
                    client: 0,
                    servers: vec![*address],
                    under_way: 1,
                    stays: true,
                    patience: deadline.saturating_sub(now()),
                });
                let key = format!("probe-{index}");
                let (records, _) = client.run(std::iter::once(Operation::Delete(key)), None);
                match records.first().map(|record| &record.outcome) {
                    Some(outcome) if outcome.is_good() => break,
                    _ if now() < deadline => {}
                    other => {
                        let why = match other {
                            Some(Outcome::Failed(why) | Outcome::Unknown(why)) => why,
                            _ => "it cannot be reached",
                        };
                        return Err(Excuse::Failed(format!(
                            "the replica at {address} does nothing within {} s: {why}",
                            PATIENCE.as_secs()
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    /// The ids of those of a role that run, or that do not.
    pub fn ids(&self, role: &str, alive: bool) -> Vec<u16> {
        let members = self.members.iter().filter(|member| member.role == role);
        let members = members.filter(|member| member.child.is_some() == alive);
        members.map(|member| member.id).collect()
    }

    fn member(&mut self, role: &str, id: u16) -> Option<&mut Member> {
        let mut members = self.members.iter_mut();
        members.find(|member| member.role == role && member.id == id)
    }

    /// Kills a process with SIGKILL, by its pid.
    pub fn kill(&mut self, role: &str, id: u16) {
        if let Some(member) = self.member(role, id) {
            // Letting go of a child is killing it.
            member.child = None;
        }
    }

    /// Starts a process again that was killed.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn revive(&mut self, role: &str, id: u16) -> Result<(), Excuse> {
        match self.member(role, id) {
            Some(member) => member.start().map(drop),
            None => Ok(()),
        }
    }

    /// The proposer that leads, if one says that it does.
    pub fn leader(&mut self) -> Option<u16> {
        let proposers = self.members.iter_mut();
        proposers
            .filter(|member| member.role == "proposer")
            .find_map(|member| {
                let facts = ask(member.child.as_mut()?).ok()?;
                let leads = facts.of("elected").ok()? > facts.of("deposed").ok()?;
                leads.then_some(member.id)
            })
    }

    /// Processor time that all processes have used so far, in seconds.
    ///
    /// # Errors
    ///
    /// When one has ended.
    pub fn processor(&self) -> Result<f64, Excuse> {
        let children = self
            .members
            .iter()
            .filter_map(|member| member.child.as_ref());
        children.map(Child::processor).sum()
    }

    /// Why nothing works, if a process has ended that nobody killed.
    pub fn fault(&mut self) -> Option<Excuse> {
        self.members.iter_mut().find_map(|member| {
            let child = member.child.as_mut()?;
            match child.process().try_wait() {
                Ok(Some(status)) => Some(child.fault(&format!("ended with {status}"))),
                _ => None,
            }
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.members.clear();
        // What cannot be removed goes with the directory of the whole run.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The address in the line in which a server says that it is ready.
fn address(said: &str) -> Result<SocketAddr, Excuse> {
    let word = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("address="));
    word.and_then(|word| word.parse().ok())
        .ok_or_else(|| Excuse::Failed(format!("a server says no address: {said}")))
}
