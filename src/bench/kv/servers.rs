//! The servers that are measured: a replicated store, one process that replicates
//! nothing, Redis, or whatever runs already.
//!
//! A [`Set`] is a name and what it takes to start the servers; once [`Running`]
//! it is a list of addresses, and processes that can be killed and started again,
//! each by its own pid.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::client::{Client, Manner};
use super::operation::Operation;
use super::record::{Outcome, now};
use crate::bench::Excuse;
use crate::bench::cluster::executable;
use crate::bench::programs::{Programs, version};
use crate::bench::redis::{DURABLE, Server, VOLATILE};
use crate::bench::servers::{Cluster, PROPOSERS, Running, address};

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

/// How long a replica may take to answer.
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
        let mut running = Running::none(directory)?;
        match &self.kind {
            Kind::Others(addresses) => running.addresses.clone_from(addresses),
            Kind::Redis => start_redis(&mut running, self.durable)?,
            Kind::Single => {
                let program = executable(executables, "paxcast")?;
                let listen = ["kv", "--single", "--listen", "127.0.0.1:0"];
                let said = running.start(&program, "kv", 1, &listen.map(str::to_owned))?;
                running.addresses.push(address(&said)?);
            }
            Kind::Replicas(count) => {
                let cluster = Cluster {
                    service: "kv",
                    count: *count,
                    durable: self.durable,
                    more: Vec::new(),
                };
                running.start_cluster(executables, &cluster)?;
                probe(&running)?;
            }
        }
        Ok(running)
    }
}

/// Starts one redis-server.
fn start_redis(running: &mut Running, durable: bool) -> Result<(), Excuse> {
    let program = Programs::default().need("redis-server", "redis-server")?;
    let settings = if durable { DURABLE } else { VOLATILE };
    let server = Server::start(&program, running.directory(), settings)?;
    let address = (Ipv4Addr::LOCALHOST, server.port).into();
    running.addresses.push(address);
    running.take_in("redis-server", program, server.child);
    Ok(())
}

/// Sees an operation through at every replica: from now on there is a leader.
fn probe(running: &Running) -> Result<(), Excuse> {
    let deadline = now() + PATIENCE.as_nanos() as u64;
    for (index, address) in running.addresses.iter().enumerate() {
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
