//! What a person asks of the seeds that are run: which cluster, and which faults.
//!
//! Terms are applied to what a seed draws, after it is drawn: the same seed with
//! fewer faults is the same seed as far as it goes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::plan::{Plan, demand};
use super::users::Kind;
use crate::protocol::{AcceptorSet, Membership, ReplicaSet, Settings};

/// What is asked. By default nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How many of each role.
    pub roles: Roles,
    /// The only classes of faults that strike; all of them without a list.
    pub faults: Option<Vec<FaultClass>>,
    /// Learners are replicas of this service; as the seed draws it where nothing is said.
    pub service: Option<Kind>,
}

/// How many of each role; as the seed draws it where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// How many proposers.
    pub proposers: Option<u16>,
    /// How many acceptors.
    pub acceptors: Option<u16>,
    /// How many learners.
    pub learners: Option<u16>,
    /// How many clients.
    pub clients: Option<u16>,
}

/// A class of faults that can be switched off.
#[derive(Clone, Copy)]
pub struct FaultClass {
    name: &'static str,
    switch_off: fn(&mut Plan),
}

/// All classes.
pub const FAULTS: &[FaultClass] = &[
    class("loss", |plan| {
        (plan.cluster.network.loss, plan.healed.loss) = (0.0, 0.0);
        plan.cluster.network.fragment_loss = 0.0;
    }),
    class("duplication", |plan| {
        (plan.cluster.network.duplication, plan.healed.duplication) = (0.0, 0.0);
    }),
    class("corruption", |plan| plan.cluster.network.corruption = 0.0),
    class("delay", |plan| {
        let quiet = super::network::NetworkOptions::quiet();
        for network in [&mut plan.cluster.network, &mut plan.healed] {
            (network.delay, network.jitter) = (quiet.delay, quiet.jitter);
        }
    }),
    class("clog", |plan| plan.cluster.network.clog = 0.0),
    class("buffers", |plan| plan.cluster.buffer = 64 << 20),
    class("crash", |plan| {
        plan.faults.crash = None;
        plan.faults.leave_dead = false;
    }),
    class("pause", |plan| plan.faults.pause = None),
    class("partition", |plan| {
        plan.faults.partition = None;
        (plan.faults.leave_deaf, plan.faults.leave_cut_off) = (false, false);
    }),
    class("stall", |plan| plan.faults.stall = None),
    class("clock", |plan| {
        plan.faults.leap = None;
        plan.cluster.drift = 0;
    }),
    class("strangers", |plan| {
        (plan.faults.stray, plan.faults.twin) = (None, None);
    }),
    class("eviction", |plan| {
        plan.cluster.settings.lifetime = Settings::LIFETIME;
        plan.cluster.settings.sessions = Settings::MAX_SESSIONS;
    }),
    class("replicas", |plan| {
        if let Some(service) = &mut plan.cluster.service {
            (service.ignorance, service.amnesia) = (Duration::ZERO, 0.0);
        }
    }),
    class("trim", |plan| {
        plan.cluster.settings.replicas = ReplicaSet::EMPTY;
    }),
    class("nemesis", |plan| plan.faults.nemesis = None),
    class("disk", |plan| {
        (plan.faults.damage, plan.faults.full) = (None, None);
        plan.cluster.sync_failure = 0.0;
        plan.cluster.sync.1 = plan.cluster.sync.1.min(Duration::from_millis(1));
    }),
    class("late", |plan| plan.late_learner = false),
];

const fn class(name: &'static str, switch_off: fn(&mut Plan)) -> FaultClass {
    FaultClass { name, switch_off }
}

impl Plan {
    /// Draws a plan and fits it to these terms.
    pub fn with(seed: u64, terms: &Terms) -> Plan {
        let mut plan = Plan::draw(seed, |options| terms.fit_cluster(seed, options));
        terms.fit_faults(&mut plan);
        plan
    }
}

impl Terms {
    /// Fits the size of the cluster to the terms.
    fn fit_cluster(&self, seed: u64, options: &mut super::ClusterOptions) {
        if let Some(service) = self.service {
            demand(seed, service, options);
        }
        let Roles {
            proposers,
            acceptors,
            learners,
            clients,
        } = self.roles;
        // Replicas come three at a time, and their users are no clients.
        if (learners.is_some() || clients.is_some()) && options.service.take().is_some() {
            options.clients = 2;
        }
        options.proposers = proposers.unwrap_or(options.proposers);
        options.learners = learners.unwrap_or(options.learners);
        options.clients = clients.unwrap_or(options.clients);
        if let Some(acceptors) = acceptors {
            options.settings.membership = Membership::majority(AcceptorSet::first(acceptors));
        }
    }

    /// Switches off every fault that is not asked for.
    fn fit_faults(&self, plan: &mut Plan) {
        let Some(wanted) = &self.faults else {
            return;
        };
        for fault in FAULTS {
            if !wanted.contains(fault) {
                (fault.switch_off)(plan);
            }
        }
    }

    /// Reads a list of classes, as in `loss,crash`, or `none`.
    pub fn read_faults(list: &str) -> Result<Vec<FaultClass>, String> {
        match list {
            "none" => Ok(Vec::new()),
            list => list.split(',').map(str::parse).collect(),
        }
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Roles {
            proposers,
            acceptors,
            learners,
            clients,
        } = self.roles;
        let roles = [
            ("p", proposers),
            ("a", acceptors),
            ("l", learners),
            ("c", clients),
        ];
        for (letter, number) in roles {
            if let Some(number) = number {
                write!(f, "{letter}{number} ")?;
            }
        }
        if let Some(service) = self.service {
            write!(f, "{service} ")?;
        }
        match &self.faults {
            None => f.write_str("all faults"),
            Some(faults) => write!(f, "faults {faults:?}"),
        }
    }
}

impl FromStr for Roles {
    type Err = String;

    /// Reads `p2,a3,l1,c4`, in any order, with what is not named left open.
    fn from_str(list: &str) -> Result<Roles, String> {
        let mut roles = Roles::default();
        for word in list.split(',') {
            let wrong = || {
                format!(
                    "{word:?} is no number of processes: p, a, l or c and a number, as in p2,a3"
                )
            };
            let mut letters = word.chars();
            let role = letters.next().ok_or_else(wrong)?;
            let number: u16 = letters.as_str().parse().map_err(|_| wrong())?;
            let (place, most) = match role {
                'p' => (&mut roles.proposers, 9),
                'a' => (&mut roles.acceptors, 15),
                'l' => (&mut roles.learners, 50),
                'c' => (&mut roles.clients, 50),
                _ => return Err(wrong()),
            };
            if !(1..=most).contains(&number) {
                return Err(format!("{word:?}: there can be 1 to {most}"));
            }
            *place = Some(number);
        }
        Ok(roles)
    }
}

impl FaultClass {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl FromStr for FaultClass {
    type Err = String;

    fn from_str(word: &str) -> Result<FaultClass, String> {
        let found = FAULTS.iter().find(|class| class.name == word).copied();
        found.ok_or_else(|| {
            let names: Vec<&str> = FAULTS.iter().map(|class| class.name).collect();
            format!(
                "{word:?} is no class of faults; there are: {}",
                names.join(" ")
            )
        })
    }
}

impl PartialEq for FaultClass {
    fn eq(&self, other: &FaultClass) -> bool {
        self.name == other.name
    }
}

impl Eq for FaultClass {}

impl fmt::Debug for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_and_met() {
        let terms = Terms {
            roles: "p1,a5,c7".parse().unwrap(),
            faults: Some(Terms::read_faults("none").unwrap()),
            service: None,
        };
        for seed in 0..50 {
            let plan = Plan::with(seed, &terms);
            assert_eq!(plan.cluster.proposers, 1);
            assert_eq!(plan.cluster.settings.membership.acceptors().len(), 5);
            assert_eq!(plan.cluster.clients, 7);
            assert_eq!(plan.cluster.learners, Plan::new(seed).cluster.learners);
            let report = crate::sim::run_plan(seed, &plan, false).unwrap();
            let harmless = ["lookup", "buffer overflow", "minutes of trouble"];
            let struck: Vec<_> = report
                .struck
                .into_iter()
                .filter(|(name, times)| *times > 0 && !harmless.contains(name))
                .collect();
            assert_eq!(struck, [], "seed {seed}");
        }
        assert!("p0".parse::<Roles>().is_err() && "x3".parse::<Roles>().is_err());
        assert!("".parse::<Roles>().is_err() && "p".parse::<Roles>().is_err());
        assert!(Terms::read_faults("loss,rust").is_err());
    }
}
