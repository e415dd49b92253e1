//! What an exploration is bounded by: every number that keeps it finite stands here.

use std::fmt;
use std::time::Duration;

use paxcast::protocol::mutant::Mutant;
use paxcast::protocol::{AcceptorSet, Membership, Settings};

/// How many proposers there are.
pub const PROPOSERS: usize = 2;

/// How many acceptors there are.
pub const ACCEPTORS: usize = 3;

/// The bounds of one exploration. Everything else is free: which message is heard
/// when and by whom, how often, or never.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// No proposal beyond this instance is carried.
    pub instances: u64,
    /// How many clients' values each proposer holds from the start, one value each.
    pub values: [u16; PROPOSERS],
    /// How many instances a leader has open at once.
    pub window: u32,
    /// How often each proposer's timers may strike.
    pub timeouts: [u8; PROPOSERS],
    /// How often each proposer may be killed and started anew.
    pub proposer_crashes: [u8; PROPOSERS],
    /// How often each acceptor may be killed and started from its disk.
    pub acceptor_crashes: [u8; ACCEPTORS],
    /// Which acceptors hear, write and send in separate steps. For the others the
    /// three are one.
    pub synced_apart: [bool; ACCEPTORS],
    /// Whether acceptors' refusals are carried. They tell a proposer of a higher
    /// ballot; without them it finds one by itself, if its timers strike.
    pub refusals: bool,
    /// Leaders hear from no quorum for long: when their timers strike they step down
    /// and stand again. Otherwise they say that they lead, and send again.
    pub deaf: bool,
    /// A page of a promise holds one vote only.
    pub paged: bool,
    /// The learner may ask each acceptor at any time for all it has.
    pub requests: bool,
    /// Whether the learner hears anything.
    pub learner: bool,
    /// Explore only what agreement and delivery hang on, with this rule broken.
    pub mutant: Option<Mutant>,
}

impl Bounds {
    /// Two instances, a value for each proposer, which stands once; nobody is killed.
    /// A leader that finds nothing has one instance open, one that finds a vote two.
    pub const TWO: Bounds = Bounds {
        instances: 2,
        values: [1, 1],
        window: 2,
        timeouts: [1, 1],
        proposer_crashes: [0, 0],
        acceptor_crashes: [0, 0, 0],
        synced_apart: [false; ACCEPTORS],
        refusals: false,
        deaf: false,
        paged: false,
        requests: false,
        learner: true,
        mutant: None,
    };

    /// The same with one instance.
    pub const ONE: Bounds = Bounds {
        instances: 1,
        window: 1,
        ..Bounds::TWO
    };

    /// Bytes of a batch: room for one value, so that two values are two instances,
    /// and for one vote or for two in a page of a promise.
    fn batch(&self) -> usize {
        match self.paged {
            true => 53,
            false => 56,
        }
    }

    /// What the proposers and the learner are configured with. The times matter
    /// only in their order: a message that is due again, a heartbeat, an election.
    pub fn settings(&self) -> Settings {
        Settings {
            datagram: Settings::HEADROOM + self.batch(),
            window: self.window,
            heartbeat: Duration::from_micros(10),
            repropose: (Duration::from_nanos(100), Duration::from_nanos(200)),
            catch_up: Duration::from_micros(10),
            ..Settings::new(membership())
        }
    }

    /// What the acceptors are configured with: any leader they heard was heard too
    /// long ago to put a candidate off.
    pub fn patient_settings(&self) -> Settings {
        Settings {
            heartbeat: Duration::ZERO,
            ..self.settings()
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PROPOSERS} proposers with {:?} values, {:?} timeouts, {:?} crashes; {ACCEPTORS} \
             acceptors with {:?} crashes, synced apart {:?}; {} learner; {} instances, window {}",
            self.values,
            self.timeouts,
            self.proposer_crashes,
            self.acceptor_crashes,
            self.synced_apart,
            u8::from(self.learner),
            self.instances,
            self.window
        )?;
        for (switch, name) in [
            (self.refusals, "refusals"),
            (self.deaf, "deaf leaders"),
            (self.paged, "promises in pages"),
            (self.requests, "requests"),
        ] {
            if switch {
                write!(f, ", {name}")?;
            }
        }
        if let Some(mutant) = self.mutant {
            write!(f, ", {mutant}")?;
        }
        Ok(())
    }
}

/// Three acceptors, majorities.
pub fn membership() -> Membership {
    Membership::majority(AcceptorSet::first(ACCEPTORS as u16))
}
