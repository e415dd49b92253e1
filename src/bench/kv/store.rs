//! The key-value store as a contestant of the other measurements.
//!
//! Beside etcd and redis-server all are loaded by the same driver, which keeps one
//! connection for each client: whatever it costs, it costs all of them. What the
//! first measurement of such a store did is done by its own clients instead,
//! processes that take turns with the servers; its histories are judged, too.

use std::net::TcpStream;
use std::path::PathBuf;

use super::run::{PATIENCE, Settings, Stage, Task};
use super::servers::{Kind, Set};
use super::{Judgement, Mix};
use crate::bench::pipeline::drive;
use crate::bench::redis::Sets;
use crate::bench::{Contestant, Excuse, Load, Outcome, Pace};

/// Which store takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its name in tables.
    pub name: &'static str,
    /// Replicas, and as many acceptors.
    pub replicas: u16,
    /// Whether it is loaded by client processes that take turns with the servers.
    pub turns: bool,
}

impl Store {
    /// Three replicas.
    pub const BASE: Store = Store {
        name: "kv",
        replicas: 3,
        turns: false,
    };

    /// Five of them, called by turns.
    pub const SEED: Store = Store {
        name: "kv-seed",
        replicas: 5,
        turns: true,
    };

    fn set(self, durable: bool) -> Set {
        Set {
            name: self.name,
            kind: Kind::Replicas(self.replicas),
            durable,
            failing: false,
        }
    }
}

/// A store, ready to take part.
#[derive(Debug)]
pub struct Stores {
    store: Store,
    settings: Settings,
}

impl Stores {
    /// Of the executables in a directory, or of those beside this one.
    pub fn new(store: Store, executables: Option<PathBuf>) -> Stores {
        Stores {
            store,
            settings: Settings {
                sets: Vec::new(),
                counts: Vec::new(),
                file: None,
                mix: Mix::default(),
                clients: 1,
                under_way: 1,
                rounds: 1,
                limit: None,
                longest: PATIENCE,
                patience: PATIENCE / 4,
                timeline: None,
                directory: PathBuf::new(),
                executables,
                command: String::new(),
            },
        }
    }

    /// Client processes call operations by turns, for as long as the load lasts.
    fn take_turns(&self, load: &Load) -> Result<Outcome, Excuse> {
        let settings = Settings {
            clients: u32::try_from(load.clients).unwrap_or(u32::MAX),
            mix: Mix {
                size: load.bytes,
                ..Mix::default()
            },
            ..self.settings.clone()
        };
        let mut stage = Stage::new(&settings);
        let mut running = stage.start(&self.store.set(load.durable))?;
        let under_way = match load.pace {
            Pace::Outstanding(count) => count,
            Pace::Rate(_) => {
                return Err(Excuse::Absent("its clients keep no pace".to_owned()));
            }
        };
        let task = Task {
            under_way,
            count: None,
            lasts: Some(load.duration),
            patience: load.duration + PATIENCE,
        };
        let (sample, _) = stage.load(&mut running, &task, &mut |_, _| Ok(()))?;
        if let Judgement::Violated(key, picture) = &sample.judgement {
            return Err(Excuse::Failed(format!(
                "key {key} is not linearizable\n{picture}"
            )));
        }
        Ok(Outcome {
            values: sample.good,
            seconds: sample.seconds,
            latencies: sample.latencies,
            processor: None,
            calls: None,
            drops: None,
        })
    }

    /// Connections of the driver that all have.
    fn take_sets(&self, load: &Load) -> Result<Outcome, Excuse> {
        let mut stage = Stage::new(&self.settings);
        let running = stage.start(&self.store.set(load.durable))?;
        let connections = (0..load.clients).zip(running.addresses.iter().cycle());
        let connections = connections
            .map(|(client, address)| {
                let stream = TcpStream::connect(address).map_err(|error| {
                    Excuse::Failed(format!("a replica at {address} does not answer: {error}"))
                })?;
                Ok((stream, Sets::new(client, load.bytes)))
            })
            .collect::<Result<_, Excuse>>()?;
        drive(load, connections, self.most_under_way(load), || {
            running.processor()
        })
    }
}

impl Contestant for Stores {
    fn name(&self) -> &'static str {
        self.store.name
    }

    fn about(&self) -> String {
        let calls = match self.store.turns {
            true => {
                "client processes, each operation to the next replica; half of them read, a tenth delete"
            }
            false => "SETs over TCP on loopback, each client at one replica",
        };
        format!("{}; {calls}", self.store.set(false).processes())
    }

    fn prepare(&mut self, directory: PathBuf) -> Result<(), Excuse> {
        for role in ["acceptor", "proposer", "paxcast"] {
            crate::bench::cluster::executable(self.settings.executables.as_deref(), role)?;
        }
        self.settings.directory = directory;
        Ok(())
    }

    fn measure(&mut self, load: &Load) -> Result<Outcome, Excuse> {
        match self.store.turns {
            true => self.take_turns(load),
            false => self.take_sets(load),
        }
    }
}
