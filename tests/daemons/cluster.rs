//! A cluster on loopback that no other test, and no other cluster, meets.

use std::fs;
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;
use tempfile::TempDir;

use crate::process::Process;

/// A configuration file in a directory of its own, and the processes that use it.
pub struct Cluster {
    pub directory: TempDir,
    pub conf: PathBuf,
    pub text: String,
    pub processes: Vec<Process>,
}

impl Cluster {
    /// A configuration with groups of its own, and these lines besides.
    pub fn new(more: &str) -> Cluster {
        let random = SysRng.try_next_u64().unwrap();
        let address = format!(
            "239.{}.{}.{}",
            192 + (random & 3),
            random >> 8 & 0xff,
            random >> 16 & 0xff
        );
        let port = 20_000 + (random >> 32) % 10_000 * 4;
        let text = format!(
            "clients {address} {port}\nproposers {address} {}\nacceptors {address} {}\n\
             learners {address} {}\ntimeout 0\ninterface 127.0.0.1\ncluster test-{random:x}\n{more}\n",
            port + 1,
            port + 2,
            port + 3,
        );
        let directory = TempDir::new().unwrap();
        let conf = directory.path().join("paxos.conf");
        fs::write(&conf, &text).unwrap();
        Cluster {
            directory,
            conf,
            text,
            processes: Vec::new(),
        }
    }

    /// Another configuration file for this cluster.
    pub fn variant(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The address of a group.
    pub fn group(&self, name: &str) -> String {
        let line = self.text.lines().find(|line| line.starts_with(name));
        let words: Vec<&str> = line.unwrap().split_whitespace().collect();
        format!("{}:{}", words[1], words[2])
    }

    /// Starts a role and waits until it is ready.
    pub fn start(&self, role: &str, id: u16, options: &[&str]) -> Process {
        start(role, id, &self.conf, options)
    }

    /// Starts acceptors and proposers `1..=count` and keeps them.
    pub fn with(mut self, acceptors: u16, proposers: u16, options: &[&str]) -> Cluster {
        for id in 1..=acceptors {
            let process = self.start("acceptor", id, options);
            self.processes.push(process);
        }
        for id in 1..=proposers {
            let process = self.start("proposer", id, options);
            self.processes.push(process);
        }
        self
    }

    /// Ends what is running, and insists on good ends.
    pub fn stop(&mut self) {
        for process in &mut self.processes {
            process.stop();
        }
    }
}

fn start(role: &str, id: u16, conf: &Path, options: &[&str]) -> Process {
    Process::start(role, id, conf, options).ready()
}
