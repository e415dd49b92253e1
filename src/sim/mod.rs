//! The other world: a whole cluster in one thread, in virtual time, from one seed.
//!
//! The roles that run here are the ones that the daemons run; what surrounds
//! them is made up: [`network`], [`disk`], clocks, crashes. Everything that
//! happens by chance is drawn from the seed, so a seed replays everything:
//!
//! ```text
//! paxcast sim --verbose --seed 1234
//! ```
//!
//! A run has two phases. First *safety*: the faults that [`plan`] drew strike
//! while clients submit, and after every event the observers of [`check`], who
//! trust nobody, see whether a promise was broken. Then *liveness*: a core in
//! which a quorum of acceptors, a proposer and a learner can hear each other is
//! healed, and within a bound every client must be done and every learner must
//! have the whole log. Last, in some runs, a learner starts when all is over.

pub mod campaign;
pub mod chance;
pub mod check;
pub mod cluster;
pub mod damage;
pub mod deed;
pub mod diagram;
pub mod disk;
pub mod fault;
pub mod history;
pub mod name;
pub mod nemesis;
pub mod network;
pub mod node;
pub mod plan;
pub mod random;
pub mod scenario;
pub mod shiviz;
pub mod shrink;
pub mod sight;
pub mod stray;
pub mod terms;
pub mod trace;
pub mod users;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub use cluster::{Cluster, ClusterOptions, Passage};
pub use plan::Plan;

use crate::protocol::{Role, Time};
use deed::Deed;
use fault::Faults;
use random::Random;

/// The virtual time within which a healed cluster must be done.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a healed cluster has to settle, and then must be at peace.
const PEACE: Duration = Duration::from_secs(5);

/// Happenings after which a run counts as a storm that will not end.
const MOST_STEPS: u64 = 8_000_000;

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// A digest of all that happened.
    pub digest: u64,
    /// How many happenings there were.
    pub steps: u64,
    /// How long it took, in virtual time.
    pub time: Time,
    /// How long the healed cluster took to be done.
    pub recovery: Duration,
    /// How many values the log has.
    pub values: usize,
    /// How often each fault struck.
    pub struck: BTreeMap<&'static str, u64>,
}

/// What kind of promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something happened that must never happen.
    Safety,
    /// Something did not happen that must happen.
    Liveness,
    /// An assertion failed.
    Panic,
    /// A scenario's own expectation was not met.
    Unmet,
}

/// A broken promise, with what a person needs to find out why.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed that replays it.
    pub seed: u64,
    /// What kind of promise.
    pub kind: Kind,
    /// Which.
    pub what: String,
    /// When.
    pub at: Time,
    /// What the seed stands for.
    pub plan: String,
    /// The last lines of the trace.
    pub trace: Vec<String>,
    /// What each process says about itself.
    pub processes: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.plan)?;
        for line in self.trace.iter().chain(&self.processes) {
            writeln!(f, "{line}")?;
        }
        writeln!(
            f,
            "seed {}: {:?} at {}: {}",
            self.seed, self.kind, self.at, self.what
        )?;
        write!(f, "replay it with: paxcast sim -v --seed {}", self.seed)
    }
}

impl std::error::Error for Violation {}

/// Runs a seed. `aloud` says every line of its trace on standard error.
pub fn run(seed: u64, aloud: bool) -> Result<Report, Box<Violation>> {
    let plan = Plan::new(seed);
    run_plan(seed, &plan, aloud)
}

/// Runs a plan with the chance of a seed.
pub fn run_plan(seed: u64, plan: &Plan, aloud: bool) -> Result<Report, Box<Violation>> {
    let mut cluster = Cluster::new(seed, plan.cluster.clone(), aloud);
    run_cluster(seed, plan, &mut cluster)
}

/// Runs a plan in a cluster that was made for it.
pub fn run_cluster(
    seed: u64,
    plan: &Plan,
    cluster: &mut Cluster,
) -> Result<Report, Box<Violation>> {
    let outcome = catch_unwind(AssertUnwindSafe(|| live(seed, plan, cluster)));
    let broken = match outcome {
        Ok(Ok(recovery)) => return Ok(report(seed, cluster, recovery)),
        Ok(Err(broken)) => broken,
        Err(panic) => Broken::panic(panic),
    };
    let words = format!("{:?}\n{:?}", plan.cluster, plan.faults);
    Err(violation(seed, words, broken, cluster))
}

/// What a run came to.
fn report(seed: u64, cluster: &Cluster, recovery: Duration) -> Report {
    Report {
        seed,
        digest: cluster.trace().digest(),
        steps: cluster.steps(),
        time: cluster.now(),
        recovery,
        values: cluster.checker().log().len(),
        struck: cluster.struck(),
    }
}

/// What a person needs to find out why a promise was broken.
fn violation(seed: u64, plan: String, broken: Broken, cluster: &Cluster) -> Box<Violation> {
    Box::new(Violation {
        seed,
        kind: broken.kind,
        what: broken.what,
        at: cluster.now(),
        plan,
        trace: cluster.trace().last_lines(),
        processes: cluster.summary(),
    })
}

/// A promise that was broken.
#[derive(Clone, Debug)]
struct Broken {
    kind: Kind,
    what: String,
}

impl Broken {
    /// What a panic says.
    fn panic(panic: Box<dyn std::any::Any + Send>) -> Broken {
        let words = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).into()));
        Broken {
            kind: Kind::Panic,
            what: words.unwrap_or_else(|| "without words".into()),
        }
    }
}

/// A run from its beginning to its end; says how long the recovery took.
fn live(seed: u64, plan: &Plan, cluster: &mut Cluster) -> Result<Duration, Broken> {
    for (client, at, value) in &plan.work {
        cluster.submit(*client, *at, value.clone());
    }
    let trouble = Time::ZERO + plan.trouble;
    if plan.trouble > Duration::from_secs(10) {
        cluster.strike("minutes of trouble");
    }
    if plan.faults.stray.is_some() {
        cluster.keep_samples();
    }
    if plan.faults.nemesis.is_some() {
        cluster.look_out();
    }
    let mut faults = Faults::new(plan.faults.clone(), Random::new(seed, "faults"), Time::ZERO);
    loop {
        let happening = cluster.next_happening().filter(|at| *at <= trouble);
        match faults.next().filter(|at| *at <= trouble) {
            Some(at) if happening.is_none_or(|happening| at <= happening) => {
                cluster.pass(at);
                faults.act(cluster).map_err(safety)?;
            }
            _ if happening.is_none() => break,
            _ => cluster.step().map_err(safety)?,
        }
        faults.watch(cluster).map_err(safety)?;
        check_storm(cluster)?;
    }
    cluster.pass(trouble);
    faults.heal(cluster, plan.healed.clone()).map_err(safety)?;
    finish(cluster, PATIENCE)?;
    let recovery = cluster.now().since(trouble);
    let network = &plan.cluster.network;
    // Late copies of old answers would let a deaf leader believe that it is heard.
    let nothing_late = network.clog == 0.0 && network.replay < Duration::from_secs(1);
    if plan.faults.leave_deaf && plan.healed.loss == 0.0 && nothing_late {
        keep_peace(cluster)?;
    }
    if plan.late_learner {
        join_late(plan, cluster)?;
    }
    conclude(cluster)?;
    Ok(recovery)
}

/// What is looked at when a run is over.
fn conclude(cluster: &Cluster) -> Result<(), Broken> {
    cluster.rehearse_all().map_err(safety)?;
    cluster.check_bounds().map_err(safety)?;
    cluster.check_users().map_err(safety)?;
    cluster.checker().conclude().map_err(safety)
}

/// Where nothing is lost any more a leader stays, whatever a proposer believes that
/// cannot hear or cannot be heard.
fn keep_peace(cluster: &mut Cluster) -> Result<(), Broken> {
    let settled = cluster.now() + PEACE;
    cluster.run_up_to(settled).map_err(safety)?;
    check_peace(cluster, PEACE)
}

/// Nobody must have to promise anything for so long.
fn check_peace(cluster: &mut Cluster, time: Duration) -> Result<(), Broken> {
    let promises = cluster.checker().promises();
    let later = cluster.now() + time;
    cluster.run_up_to(later).map_err(safety)?;
    match cluster.checker().promises() - promises {
        0 => Ok(()),
        more => Err(liveness(format!(
            "{more} promises long after all healed: no leader is left in peace"
        ))),
    }
}

/// A learner starts when all is done, perhaps with nobody left to submit or propose.
fn join_late(plan: &Plan, cluster: &mut Cluster) -> Result<(), Broken> {
    // Without a proposer nobody can repair the past, so it must need no repair.
    let settled = cluster.now() + Duration::from_secs(3);
    cluster.run_up_to(settled).map_err(safety)?;
    let acceptors = cluster.nodes_of(Role::Acceptor);
    let all_there = cluster.checker().is_plain_to_see()
        && !plan.faults.leave_cut_off
        && acceptors
            .iter()
            .all(|&acceptor| cluster.nodes()[acceptor].is_running());
    if plan.late_and_quiet && all_there {
        cluster.strike("late learner and nobody else");
        for role in [Role::Client, Role::Proposer] {
            for node in cluster.nodes_of(role) {
                let who = cluster.nodes()[node].who;
                cluster.perform(Deed::Crash(who)).map_err(safety)?;
            }
        }
    }
    cluster.strike("late learner");
    let late = Deed::Add(Role::Learner, plan.cluster.learners + 1);
    cluster.perform(late).map_err(safety)?;
    finish(cluster, PATIENCE)
}

/// Lets the cluster go on until all is delivered everywhere, or patience ends.
fn finish(cluster: &mut Cluster, patience: Duration) -> Result<(), Broken> {
    let deadline = cluster.now() + patience;
    // To ask after every event whether all is done would cost more than the events.
    let slice = Duration::from_millis(10);
    while !cluster.is_complete() {
        if cluster.now() >= deadline {
            return Err(liveness(format!(
                "not done {patience:?} after all healed: chosen through {}, last {}; {}",
                cluster.checker().chosen_through(),
                cluster.checker().chosen_last(),
                cluster.diagnose()
            )));
        }
        cluster
            .run(cluster.now() + slice, |_| false)
            .map_err(safety)?;
        check_storm(cluster)?;
    }
    Ok(())
}

fn check_storm(cluster: &Cluster) -> Result<(), Broken> {
    match cluster.steps() > MOST_STEPS {
        false => Ok(()),
        true => Err(liveness(format!(
            "{MOST_STEPS} happenings and no end: a storm"
        ))),
    }
}

fn safety(what: String) -> Broken {
    Broken {
        kind: Kind::Safety,
        what,
    }
}

fn liveness(what: String) -> Broken {
    Broken {
        kind: Kind::Liveness,
        what,
    }
}
