//! Processes that are killed while others are measured, and come back.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::record::now;
use crate::bench::Excuse;
use crate::bench::servers::Running;

/// Something that was done to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When, by the clock of the records.
    pub at: u64,
    /// In a few words.
    pub words: String,
}

/// Kills acceptors at random and starts them again, so that a majority runs always.
#[derive(Debug)]
pub struct Trouble {
    rng: Xoshiro256PlusPlus,
    due: u64,
    /// How often one was killed.
    pub kills: u64,
}

/// The time from one deed to the next.
const LEAST: u64 = 100_000_000;
const MOST: u64 = 500_000_000;

impl Trouble {
    /// Trouble of a seed, which begins soon.
    pub fn new(seed: u64) -> Trouble {
        Trouble {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            due: now(),
            kills: 0,
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    ///
    /// When an acceptor does not come back.
    pub fn step(&mut self, running: &mut Running) -> Result<(), Excuse> {
        if now() < self.due {
            return Ok(());
        }
        let (alive, dead) = (
            running.ids("acceptor", true),
            running.ids("acceptor", false),
        );
        let most_dead = (alive.len() + dead.len()).saturating_sub(1) / 2;
        let kill = dead.len() < most_dead && (dead.is_empty() || self.rng.random_bool(0.4));
        let among = if kill { &alive } else { &dead };
        if !among.is_empty() {
            let id = among[self.rng.random_range(0..among.len())];
            if kill {
                running.kill("acceptor", id);
                self.kills += 1;
            } else {
                running.revive("acceptor", id)?;
            }
        }
        self.due = now() + self.rng.random_range(LEAST..MOST);
        Ok(())
    }

    /// Brings back whoever is dead.
    ///
    /// # Errors
    ///
    /// When one does not come back.
    pub fn mend(running: &mut Running) -> Result<(), Excuse> {
        for id in running.ids("acceptor", false) {
            running.revive("acceptor", id)?;
        }
        Ok(())
    }
}

/// What is done at a time of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    KillAcceptor,
    ReviveAcceptor,
    KillLeader,
    ReviveLeader,
}

/// A story: an acceptor dies and comes back, then the leader does.
#[derive(Debug)]
pub struct Story {
    /// What is left of it, with the time of each deed since the beginning.
    left: Vec<(Duration, Deed)>,
    leader: Option<u16>,
    /// What was done.
    pub marks: Vec<Mark>,
}

impl Story {
    /// A story that lasts so long.
    pub fn new(lasts: Duration) -> Story {
        let part = |part: f64| lasts.mul_f64(part);
        Story {
            left: vec![
                (part(0.2), Deed::KillAcceptor),
                (part(0.4), Deed::ReviveAcceptor),
                (part(0.6), Deed::KillLeader),
                (part(0.8), Deed::ReviveLeader),
            ],
            leader: None,
            marks: Vec::new(),
        }
    }

    /// Does what is due, so long after the beginning.
    ///
    /// # Errors
    ///
    /// When a process does not come back, or nobody leads.
    pub fn step(&mut self, since: Duration, running: &mut Running) -> Result<(), Excuse> {
        while let Some((due, deed)) = self.left.first().copied()
            && since >= due
        {
            self.left.remove(0);
            let mut at = now();
            let words = match deed {
                Deed::KillAcceptor => {
                    running.kill("acceptor", 1);
                    "acceptor killed"
                }
                Deed::ReviveAcceptor => {
                    running.revive("acceptor", 1)?;
                    "it is back"
                }
                Deed::KillLeader => {
                    self.leader = running.leader();
                    let leader = self.leader.ok_or_else(|| {
                        Excuse::Failed("no proposer says that it leads".to_owned())
                    })?;
                    at = now();
                    running.kill("proposer", leader);
                    "leader killed"
                }
                Deed::ReviveLeader => {
                    if let Some(leader) = self.leader {
                        running.revive("proposer", leader)?;
                    }
                    "it is back"
                }
            };
            self.marks.push(Mark {
                at,
                words: words.to_owned(),
            });
        }
        Ok(())
    }
}
