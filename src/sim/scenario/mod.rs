//! Scenarios: stories of failures that run.
//!
//! A scenario is a text of one step a line, which a person can write and a
//! machine can play ([`play`]). First come the cluster and its settings, then
//! what happens, in order, with what must come of it:
//!
//! ```text
//! # The leader dies in the middle of its work, and nothing is lost.
//! proposers 2
//! submit c1 20 values every 5ms
//! wait for delivered 5
//! let old = leader
//! crash old
//! expect done within 5s
//! restart old
//! expect delivered 20
//! ```
//!
//! Nothing is left to chance in a scenario but what it asks for (`set loss 5%`,
//! `delay every message by 0s..1s`), and that from its `seed`. The failure of a
//! random run is such a text too: its deeds each with an `at`, and one line for
//! each accident (`accident lost p1/12 to a2`), cut down to what it takes.
//! A line of just `----` ends the text; what follows is for others, such as the
//! trace that must come out. `docs/scenarios.md` has the language whole.

mod count;
pub mod play;
mod print;
mod read;
mod rule;
mod setting;
mod words;

use std::time::Duration;

use bytes::Bytes;

use super::chance::Accident;
use super::cluster::ClusterOptions;
use super::deed::Deed;
use super::name::Name;
use crate::protocol::{AcceptorSet, Instance, Membership, Role, Settings};

pub use count::Sent;
pub use rule::{Doing, Rule, Which};
pub use setting::{SETTINGS, Setting};

/// A scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What it shows, one line each, without the `#`.
    pub title: Vec<String>,
    /// Where what is left to chance comes from.
    pub seed: u64,
    /// The rule of the protocol that is broken on purpose, by name.
    pub mutant: Option<String>,
    /// The cluster.
    pub options: ClusterOptions,
    /// What goes otherwise than in a world without chance.
    pub accidents: Vec<Accident>,
    /// What happens, and what must come of it.
    pub steps: Vec<Step>,
}

/// One step, and where in its text it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The line, from 1; 0 when no text was read.
    pub line: usize,
    /// The time to wait for before it, since the beginning.
    pub at: Option<Duration>,
    /// What to do.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A client is given values to submit.
    Submit {
        /// The client's id.
        client: u16,
        /// What.
        values: Values,
    },
    /// Time passes.
    Wait(Duration),
    /// Something is done to processes or paths.
    Do(Verb, Vec<Target>),
    /// A clock leaps ahead.
    Leap(Target, Duration),
    /// Nothing passes from any of the first to any of the second.
    Cut {
        /// Only multicast is cut.
        multicast: bool,
        /// From these.
        from: Vec<Target>,
        /// To those.
        to: Vec<Target>,
        /// And nothing the other way either.
        both: bool,
    },
    /// Every path is open again.
    Mend,
    /// Something else is done, said as it is printed.
    Deed(Deed),
    /// Processes are added.
    Add(Name),
    /// From now on datagrams meet this fate.
    Rule(Rule),
    /// The next instance that is proposed reaches no acceptor.
    SkipInstance,
    /// All rules end.
    NoRules,
    /// What was sent so far no longer counts.
    CountAnew,
    /// The network or the disks change.
    Set(String, String),
    /// A process gets another name, to be spoken of when it is no longer what it was.
    Let(String, Target),
    /// Something must hold: now, or within a time.
    Expect(Condition, Option<Duration>),
    /// The run must break a promise, and the sentence that says so have these words.
    ExpectBroken(String),
    /// A line for the trace.
    Say(String),
}

/// What is done to processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// They die, and their machines with them.
    Crash,
    /// They die alone.
    Kill,
    /// They start again.
    Restart,
    /// They stop.
    Pause,
    /// They go on.
    Resume,
    /// The readers of learners stall.
    Close,
    /// They read on.
    Open,
    /// Nothing reaches them, and they reach nobody.
    Isolate,
}

/// A process, as a step speaks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By name.
    Name(Name),
    /// All of a role.
    All(Role),
    /// The proposer that leads when the step comes.
    Leader,
    /// Every running proposer that does not.
    Followers,
    /// Whoever was given this name.
    Called(String),
}

/// What a client submits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// These.
    Texts(Vec<Bytes>),
    /// So many short ones, so long apart.
    Many(u64, Duration),
    /// One of so many bytes.
    Large(usize),
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Some proposer leads, or this one.
    Leader(Option<Target>),
    /// No running proposer leads.
    NoLeader,
    /// The log has at least so many values, and so has every running learner, or this one.
    Delivered(u64, Option<Target>),
    /// The log has exactly these values, and so has every running learner, or this one.
    DeliveredTexts(Vec<Bytes>, Option<Target>),
    /// Every client knows its values delivered, and every learner has the whole log.
    Done,
    /// This client knows so many of its values delivered.
    Acknowledged(u64, Target),
    /// So many instances are chosen, without a gap.
    Chosen(u64),
    /// A no-op is chosen for this instance; for some instance when it is zero.
    NoOp(Instance),
    /// These run.
    Running(Target),
    /// These are dead.
    Dead(Target),
    /// Something was sent so often, at least or at most.
    Sent(Sent),
    /// No learner delivers anything for so long.
    Nothing(Duration),
    /// No acceptor has to promise anything for so long: the leader is left alone.
    Peace(Duration),
}

impl Default for Scenario {
    /// The cluster that `run.sh` starts, with durable acceptors and small datagrams.
    fn default() -> Scenario {
        let mut settings = Settings::new(Membership::majority(AcceptorSet::first(3)));
        settings.datagram = 1_472;
        Scenario {
            title: Vec::new(),
            seed: 1,
            mutant: None,
            options: ClusterOptions {
                proposers: 2,
                learners: 2,
                clients: 2,
                ..ClusterOptions::quiet(settings).steady()
            },
            accidents: Vec::new(),
            steps: Vec::new(),
        }
    }
}

impl Values {
    /// A value of so many bytes.
    pub fn large(length: usize) -> Bytes {
        let bytes: Vec<u8> = (0..length).map(|at| b'a' + (at / 7 % 26) as u8).collect();
        bytes.into()
    }
}

impl Scenario {
    /// The line that ends the text.
    pub const END: &str = "----";

    /// How long a `wait for` waits.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// Takes away the mutant and the wish to be broken: now all must go well.
    pub fn heal(&mut self) {
        self.mutant = None;
        let wants_harm = |step: &Step| matches!(step.action, Action::ExpectBroken(_));
        self.steps.retain(|step| !wants_harm(step));
    }
}
