//! Servers that are measured: processes that listen, and that can be killed and
//! started again, each by its own pid.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::cluster::{ask, configuration, executable};
use super::formation::Formation;
use super::{Child, Excuse};

/// Servers that run. They end when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    members: Vec<Member>,
    directory: PathBuf,
}

/// Replicas of a service, with the roles that they stand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The service: what `paxcast` is told to be.
    pub service: &'static str,
    /// Replicas, and acceptors.
    pub count: u16,
    /// Whether acceptors and replicas have disks.
    pub durable: bool,
    /// What replicas are told beside id, configuration and where to listen.
    pub more: Vec<String>,
}

/// Proposers of a cluster.
pub const PROPOSERS: u16 = 2;

/// How long an acceptor may take to make its directory.
const PATIENCE: Duration = Duration::from_secs(20);

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
    /// None so far, with a directory of their own, which is made.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn none(directory: PathBuf) -> Result<Running, Excuse> {
        fs::create_dir_all(&directory).map_err(|error| {
            Excuse::Failed(format!("cannot write to {}: {error}", directory.display()))
        })?;
        Ok(Running {
            addresses: Vec::new(),
            members: Vec::new(),
            directory,
        })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes in a server that was started otherwise.
    pub fn take_in(&mut self, role: &'static str, program: PathBuf, child: Child) {
        self.members.push(Member {
            role,
            id: 1,
            program,
            arguments: Vec::new(),
            child: Some(child),
        });
    }

    /// Starts a process; the line in which it says that it is ready.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start(
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

    /// Starts replicas of a service, and all that they stand on.
    ///
    /// # Errors
    ///
    /// When one does not come up.
    pub fn start_cluster(
        &mut self,
        executables: Option<&Path>,
        cluster: &Cluster,
    ) -> Result<(), Excuse> {
        let Cluster {
            service,
            count,
            durable,
            more,
        } = cluster;
        let (count, durable) = (*count, *durable);
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
            let arguments = [*service, &id.to_string(), &conf, "--listen", "127.0.0.1:0"];
            let mut arguments = arguments.map(str::to_owned).to_vec();
            arguments.extend(more.iter().cloned());
            let said = self.start(&program, "replica", id, &arguments)?;
            self.addresses.push(address(&said)?);
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
///
/// # Errors
///
/// When there is none.
pub fn address(said: &str) -> Result<SocketAddr, Excuse> {
    let word = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("address="));
    word.and_then(|word| word.parse().ok())
        .ok_or_else(|| Excuse::Failed(format!("a server says no address: {said}")))
}
