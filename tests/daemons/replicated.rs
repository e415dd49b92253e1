//! A replicated service as real processes: acceptors, proposers, replicas, and what
//! can be done to them.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use crate::cluster::Cluster;
use crate::process::{PATIENCE, Process, executable};

/// Processes that use each other.
pub struct Replicated {
    /// What `paxcast` is told to be.
    pub service: &'static str,
    /// What replicas are told besides.
    pub more: Vec<String>,
    /// What acceptors and proposers are told besides.
    pub roles: Vec<String>,
    pub cluster: Cluster,
    pub acceptors: Vec<Process>,
    pub proposers: Vec<Process>,
    pub replicas: Vec<Replica>,
}

/// One replica, and where it listens.
pub struct Replica {
    pub process: Process,
    pub address: SocketAddr,
}

impl Replicated {
    /// So many acceptors, two proposers and three replicas, with these lines in their
    /// configuration and these arguments for replicas.
    pub fn start(service: &'static str, acceptors: u16, lines: &str, more: &[&str]) -> Replicated {
        Replicated::start_with(service, acceptors, lines, more, &["-v"])
    }

    /// The same, with arguments for acceptors and proposers.
    pub fn start_with(
        service: &'static str,
        acceptors: u16,
        lines: &str,
        more: &[&str],
        roles: &[&str],
    ) -> Replicated {
        let mut all = Replicated::of_acceptors(service, acceptors, lines, more, roles);
        for id in 1..=3 {
            let replica = all.replica(id, None);
            all.replicas.push(replica);
        }
        all
    }

    /// The same without replicas.
    pub fn of_acceptors(
        service: &'static str,
        acceptors: u16,
        lines: &str,
        more: &[&str],
        roles: &[&str],
    ) -> Replicated {
        let lines = format!("acceptor_count {acceptors}\n{lines}");
        let cluster = Cluster::new(&lines);
        if lines.lines().any(|line| line.starts_with("data ")) {
            for id in 1..=acceptors {
                let mut init = Command::new(executable("acceptor"));
                init.args(["--init", &id.to_string()]).arg(&cluster.conf);
                assert!(init.output().expect("it runs").status.success());
            }
        }
        let start = |role, id| cluster.start(role, id, roles);
        Replicated {
            service,
            more: more.iter().map(ToString::to_string).collect(),
            roles: roles.iter().map(ToString::to_string).collect(),
            acceptors: (1..=acceptors).map(|id| start("acceptor", id)).collect(),
            proposers: (1..=2).map(|id| start("proposer", id)).collect(),
            replicas: Vec::new(),
            cluster,
        }
    }

    /// Starts a role again that is gone.
    fn again(&self, role: &str, index: usize) -> Process {
        let roles: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        self.cluster.start(role, index as u16 + 1, &roles)
    }

    /// Starts an acceptor again that is gone.
    pub fn revive_acceptor(&mut self, index: usize) {
        self.acceptors[index] = self.again("acceptor", index);
    }

    /// Starts a proposer again that is gone.
    pub fn revive_proposer(&mut self, index: usize) {
        self.proposers[index] = self.again("proposer", index);
    }

    /// The proposer that leads, by what each says when it is asked for statistics.
    pub fn leader(&mut self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            for (index, proposer) in self.proposers.iter_mut().enumerate() {
                proposer.signal(Signal::SIGUSR1);
                let line = proposer.wait_for("statistics ");
                let number = |name: &str| -> u64 {
                    let mut words = line.split(' ');
                    let word = words.find_map(|word| word.strip_prefix(name));
                    word.and_then(|word| word.parse().ok()).unwrap_or(0)
                };
                if number("elected=") > number("deposed=") {
                    return index;
                }
            }
        }
        panic!("nobody leads");
    }

    /// Starts a replica, at a port of its own or at one that it had before.
    pub fn replica(&self, id: u16, at: Option<SocketAddr>) -> Replica {
        let listen = at.map_or("127.0.0.1:0".to_owned(), |at| at.to_string());
        let mut command = Command::new(executable("paxcast"));
        command.args([self.service, &id.to_string()]);
        command.arg(&self.cluster.conf);
        command.args(["-v", "--listen", &listen]).args(&self.more);
        let mut process = Process::spawn(format!("{} {id}", self.service), command);
        let address = listens(&mut process);
        Replica { process, address }
    }

    /// Does harm to anybody for so long, and makes it good. Says how often it was done
    /// to replicas, acceptors, proposers, and to a majority of the acceptors at once.
    pub fn harm(&mut self, rng: &mut Xoshiro256PlusPlus, until: Instant) -> [usize; 4] {
        let mut counts = [0; 4];
        while Instant::now() < until {
            let victim = rng.random_range(0..4usize);
            counts[victim] += 1;
            let pause = Duration::from_millis(rng.random_range(20..700));
            let kills = rng.random_range(0..3) != 0;
            match victim {
                0 => {
                    let id = rng.random_range(0..self.replicas.len());
                    let address = self.replicas[id].address;
                    hurt(&mut self.replicas[id].process, kills, pause);
                    if kills {
                        self.replicas[id] = self.replica(id as u16 + 1, Some(address));
                    }
                }
                1 => {
                    let index = rng.random_range(0..self.acceptors.len());
                    hurt(&mut self.acceptors[index], kills, pause);
                    if kills {
                        self.revive_acceptor(index);
                    }
                }
                2 => {
                    let index = rng.random_range(0..self.proposers.len());
                    hurt(&mut self.proposers[index], kills, pause);
                    if kills {
                        self.revive_proposer(index);
                    }
                }
                _ => {
                    let majority = self.acceptors.len() / 2 + 1;
                    for acceptor in &self.acceptors[..majority] {
                        acceptor.signal(Signal::SIGSTOP);
                    }
                    std::thread::sleep(pause);
                    for acceptor in &self.acceptors[..majority] {
                        acceptor.signal(Signal::SIGCONT);
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(0..400)));
        }
        counts
    }

    /// Ends everything as a user would, and insists on good ends.
    pub fn stop(mut self) {
        for replica in &mut self.replicas {
            replica.process.stop();
        }
        for process in self.proposers.iter_mut().chain(&mut self.acceptors) {
            process.stop();
        }
    }
}

/// Waits until a process says that it is ready, and where it listens.
pub fn listens(process: &mut Process) -> SocketAddr {
    let line = process.wait_for("ready ");
    let mut words = line.split(' ');
    let address = words.find_map(|word| word.strip_prefix("address="));
    let address = address.and_then(|word| word.parse().ok());
    address.unwrap_or_else(|| panic!("{line}"))
}

/// Kills a process, or stops it for a while.
fn hurt(process: &mut Process, kills: bool, pause: Duration) {
    if kills {
        process.signal(Signal::SIGKILL);
        process.wait();
        std::thread::sleep(pause);
    } else {
        process.signal(Signal::SIGSTOP);
        std::thread::sleep(pause);
        process.signal(Signal::SIGCONT);
    }
}
