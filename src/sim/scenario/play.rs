//! Plays a scenario: step by step, in virtual time, under the eyes of the observers.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;

use super::rule::Rule;
use super::setting::Setting;
use super::{Action, Condition, Scenario, Step, Target, Values, Verb};
use crate::protocol::{Instance, Message, ProcessId, Role, Time};
use crate::sim::chance::Chance;
use crate::sim::check::Delivered;
use crate::sim::cluster::{Cluster, Meddling};
use crate::sim::deed::Deed;
use crate::sim::name::Name;
use crate::sim::node::{Node, State};
use crate::sim::random::Random;
use crate::sim::{
    Broken, Kind, Report, Violation, check_peace, conclude, report, safety, violation,
};

/// A scenario on the stage.
pub struct Play<'a> {
    scenario: &'a Scenario,
    cluster: Cluster,
    called: BTreeMap<String, Name>,
    /// How many values each client was given.
    given: BTreeMap<u16, u64>,
    rules: u64,
    /// How it was broken, as it had to be.
    broken: Option<Violation>,
}

impl<'a> Play<'a> {
    /// The stage before the first step. `aloud` says every line of the trace on
    /// standard error.
    pub fn new(scenario: &'a Scenario, aloud: bool) -> Play<'a> {
        let chance = Chance::told(&scenario.accidents);
        let options = scenario.options.clone();
        let mut cluster = Cluster::with_chance(scenario.seed, options, chance, aloud);
        let has = |pick: fn(&Action) -> bool| scenario.steps.iter().any(|step| pick(&step.action));
        if has(|action| matches!(action, Action::Deed(Deed::Stray(..)))) {
            cluster.keep_samples();
        }
        if has(|action| matches!(action, Action::Expect(Condition::Sent(_), _))) {
            cluster.count_sent();
        }
        Play {
            scenario,
            cluster,
            called: BTreeMap::new(),
            given: BTreeMap::new(),
            rules: 0,
            broken: None,
        }
    }

    /// How the run was broken, when that is what the scenario expects.
    pub fn broken(&self) -> Option<&Violation> {
        self.broken.as_ref()
    }

    /// The cluster that plays.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Plays to the end, or until something must not be.
    pub fn run(&mut self) -> Result<Report, Box<Violation>> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.steps()));
        let broken = match outcome {
            Ok(Ok(())) => return Ok(report(self.scenario.seed, &self.cluster, Duration::ZERO)),
            Ok(Err(broken)) => broken,
            Err(panic) => Broken::panic(panic),
        };
        let is_expected = broken.kind != Kind::Unmet && self.is_expected(&broken.what);
        let plan = self.scenario.title.join("\n");
        let violation = violation(self.scenario.seed, plan, broken, &self.cluster);
        if !is_expected {
            return Err(violation);
        }
        let line = format!("broken, as it must be: {}", violation.what);
        self.cluster.remark(line);
        self.broken = Some(*violation);
        Ok(report(self.scenario.seed, &self.cluster, Duration::ZERO))
    }

    /// Whether the scenario wants to be broken with such a sentence.
    fn is_expected(&self, what: &str) -> bool {
        self.scenario.steps.iter().any(|step| match &step.action {
            Action::ExpectBroken(words) => what.contains(words.as_str()),
            _ => false,
        })
    }

    fn steps(&mut self) -> Result<(), Broken> {
        let scenario = self.scenario;
        for step in &scenario.steps {
            // Values with a time are known to their clients from the start.
            if let Action::Submit { client, values } = &step.action {
                if step.at.is_none() {
                    self.cluster.remark(&step.action);
                }
                self.submit(step, *client, values)?;
                continue;
            }
            if let Some(at) = step.at {
                if Time::ZERO + at < self.cluster.now() {
                    let now = self.cluster.now();
                    return Err(unmet(step, format!("this time is past, it is {now}")));
                }
                self.cluster.run_up_to(Time::ZERO + at).map_err(safety)?;
            }
            self.act(step)?;
        }
        conclude(&self.cluster)
    }

    fn act(&mut self, step: &Step) -> Result<(), Broken> {
        if step.at.is_none() && !matches!(step.action, Action::Expect(..) | Action::Wait(_)) {
            self.cluster.remark(&step.action);
        }
        match &step.action {
            Action::Submit { .. } => {}
            Action::Wait(time) => {
                let until = self.cluster.now() + *time;
                self.cluster.run(until, |_| false).map_err(safety)?;
            }
            Action::Do(verb, targets) => {
                for name in self.names(step, targets)? {
                    self.act_on(*verb, name)?;
                }
            }
            Action::Leap(target, ahead) => {
                for name in self.names(step, std::slice::from_ref(target))? {
                    self.perform(Deed::Leap(name, *ahead))?;
                }
            }
            Action::Cut {
                multicast,
                from,
                to,
                both,
            } => {
                let (from, to) = (self.names(step, from)?, self.names(step, to)?);
                for &from in &from {
                    for &to in &to {
                        let cut = match multicast {
                            true => Deed::CutMulticast,
                            false => Deed::Cut,
                        };
                        self.perform(cut(from, to))?;
                        if *both {
                            self.perform(cut(to, from))?;
                        }
                    }
                }
            }
            Action::Mend => self.perform(Deed::Mend)?,
            Action::Deed(deed) => self.perform(*deed)?,
            Action::Add(name) if !self.may_add(*name) => {
                let what = format!("{name} is no acceptor of this cluster, or there already");
                return Err(unmet(step, what));
            }
            Action::Add(name) => self.perform(Deed::Add(name.role, name.id))?,
            Action::Rule(rule) => self.rule(step, rule)?,
            Action::SkipInstance => self.skip_instance(),
            Action::NoRules => self.cluster.meddle_no_more(),
            Action::CountAnew => self.cluster.count_sent(),
            Action::Set(key, value) => {
                let mut options = self.cluster.options().clone();
                let set = Setting::find(key).and_then(|found| found.set(&mut options, value));
                set.map_err(|reason| unmet(step, reason))?;
                self.cluster.set_network(options.network);
            }
            Action::Let(name, target) => {
                let found = self.names(step, std::slice::from_ref(target))?;
                let one = *found.first().ok_or_else(|| unmet(step, "nobody is"))?;
                self.called.insert(name.clone(), one);
            }
            Action::Expect(condition, within) => self.expect(step, condition, *within)?,
            Action::ExpectBroken(_) => {
                conclude(&self.cluster)?;
                return Err(unmet(step, "all went well, no promise was broken"));
            }
            Action::Say(_) => {}
        }
        Ok(())
    }

    fn submit(&mut self, step: &Step, client: u16, values: &Values) -> Result<(), Broken> {
        let name = Name::new(Role::Client, client);
        if self.cluster.find(name).is_none() {
            return Err(unmet(step, format!("there is no {name}")));
        }
        let dead = |node: usize| self.cluster.nodes()[node].state == State::Dead;
        if self.cluster.find(name).is_some_and(dead) {
            return Err(unmet(step, format!("{name} is dead")));
        }
        let now = step.at.map_or(self.cluster.now(), |at| Time::ZERO + at);
        let count = self.given.entry(client).or_insert(0);
        let given: Vec<(Time, Bytes)> = match values {
            Values::Texts(texts) => texts.iter().map(|text| (now, text.clone())).collect(),
            Values::Many(number, every) => (0..*number)
                .map(|place| {
                    let text = format!("c{client}-{}", *count + place + 1);
                    (now + *every * place as u32, text.into())
                })
                .collect(),
            Values::Large(length) => vec![(now, Values::large(*length))],
        };
        *count += given.len() as u64;
        for (at, value) in given {
            self.cluster.submit(client, at, value);
        }
        Ok(())
    }

    /// Whether a new process can be added: an acceptor must be a member, and the
    /// only one of its id, since two stores for one id are two acceptors at odds.
    fn may_add(&self, name: Name) -> bool {
        let membership = self.cluster.options().settings.membership;
        name.role != Role::Acceptor
            || (membership.acceptors().contains(name.id) && self.cluster.find(name).is_none())
    }

    /// Does something to one process. What cannot be done is said and left.
    fn act_on(&mut self, verb: Verb, name: Name) -> Result<(), Broken> {
        let state = self.cluster.find(name).map(|node| {
            let node: &Node = &self.cluster.nodes()[node];
            (node.state, node.may_restart())
        });
        let impossible = match (verb, state) {
            (_, None) => Some("there is no such process"),
            (Verb::Restart, Some((State::Dead, false))) => Some("it may not start again"),
            (Verb::Restart, Some((State::Running | State::Paused, _))) => Some("it lives"),
            (Verb::Isolate, _) => None,
            (verb, Some((State::Dead, _))) if verb != Verb::Restart => Some("it is dead"),
            _ => None,
        };
        if let Some(impossible) = impossible {
            let line = format!("cannot {} {name}: {impossible}", verb.word());
            self.cluster.remark(line);
        }
        self.perform(match verb {
            Verb::Crash => Deed::Crash(name),
            Verb::Kill => Deed::Kill(name),
            Verb::Restart => Deed::Restart(name),
            Verb::Pause => Deed::Pause(name),
            Verb::Resume => Deed::Resume(name),
            Verb::Close => Deed::Close(name),
            Verb::Open => Deed::Open(name),
            Verb::Isolate => {
                let others: Vec<Name> = self.cluster.nodes().iter().map(|node| node.who).collect();
                for other in others {
                    self.perform(Deed::Cut(name, other))?;
                    self.perform(Deed::Cut(other, name))?;
                }
                return Ok(());
            }
        })
    }

    fn perform(&mut self, deed: Deed) -> Result<(), Broken> {
        self.cluster.perform(deed).map_err(safety)
    }

    fn rule(&mut self, step: &Step, rule: &Rule) -> Result<(), Broken> {
        let side = |target: &Option<Target>| -> Result<Option<Vec<Name>>, Broken> {
            target
                .as_ref()
                .map(|target| self.names(step, std::slice::from_ref(target)))
                .transpose()
        };
        let (from, to) = (side(&rule.from)?, side(&rule.to)?);
        self.rules += 1;
        let random = Random::new(self.scenario.seed, &format!("rule {}", self.rules));
        let meddler = rule.meddler(is_one_of(from), is_one_of(to), random);
        self.cluster.meddle(meddler);
        Ok(())
    }

    /// The first instance that is proposed from now on and was not before
    /// reaches no acceptor in the ballot of its first proposal.
    fn skip_instance(&mut self) {
        let before = self.cluster.checker().proposed_last();
        let mut skipped = None;
        self.cluster.meddle(move |passage| {
            let Message::Accept {
                ballot, instance, ..
            } = passage.message
            else {
                return Meddling::None;
            };
            if *instance > before {
                skipped.get_or_insert((*ballot, *instance));
            }
            match skipped == Some((*ballot, *instance)) {
                true => Meddling::Lose,
                false => Meddling::None,
            }
        });
    }

    /// The processes that targets mean now.
    fn names(&self, step: &Step, targets: &[Target]) -> Result<Vec<Name>, Broken> {
        let mut names = Vec::new();
        let all = self.cluster.nodes();
        let leader = || self.cluster.leader().map(|leader| all[leader].who);
        for target in targets {
            match target {
                Target::Name(name) => names.push(*name),
                Target::All(role) => {
                    names.extend(
                        all.iter()
                            .map(|node| node.who)
                            .filter(|who| who.role == *role),
                    );
                }
                Target::Leader => {
                    names.push(leader().ok_or_else(|| unmet(step, "there is no leader"))?);
                }
                Target::Followers => {
                    let leader = leader();
                    names.extend(
                        all.iter()
                            .filter(|node| node.is_running() && node.me.role == Role::Proposer)
                            .map(|node| node.who)
                            .filter(|&who| Some(who) != leader),
                    );
                }
                Target::Called(name) => {
                    let called = self.called.get(name);
                    names.push(*called.ok_or_else(|| unmet(step, format!("nobody is {name}")))?);
                }
            }
        }
        Ok(names)
    }

    fn expect(
        &mut self,
        step: &Step,
        condition: &Condition,
        within: Option<Duration>,
    ) -> Result<(), Broken> {
        if let Condition::Nothing(time) = condition {
            let before = self.delivered();
            let until = self.cluster.now() + *time;
            self.cluster.run(until, |_| false).map_err(safety)?;
            return match self.delivered() == before {
                true => Ok(()),
                false => Err(unmet(step, "something was delivered")),
            };
        }
        if let Condition::Peace(time) = condition {
            return check_peace(&mut self.cluster, *time);
        }
        // To ask after every event would cost more than the events.
        let slice = Duration::from_millis(1);
        let deadline = self.cluster.now() + within.unwrap_or_default();
        loop {
            if self.holds(step, condition)? {
                self.cluster.remark(format!("it holds: {condition}"));
                return Ok(());
            }
            let now = self.cluster.now();
            if now >= deadline {
                let what = match within {
                    None => format!("it does not hold: {condition}"),
                    Some(within) => format!("not within {within:?}: {condition}"),
                };
                let standing = self.cluster.unfinished().join(", ");
                let kind = match condition {
                    Condition::Done => Kind::Liveness,
                    _ => Kind::Unmet,
                };
                let mut broken = unmet(step, format!("{what} ({standing})"));
                broken.kind = kind;
                return Err(broken);
            }
            let until = deadline.min(now + slice);
            self.cluster.run(until, |_| false).map_err(safety)?;
        }
    }

    fn holds(&self, step: &Step, condition: &Condition) -> Result<bool, Broken> {
        let cluster = &self.cluster;
        let log = cluster.checker().log();
        let states = |target: &Target| -> Result<Vec<State>, Broken> {
            let names = self.names(step, std::slice::from_ref(target))?;
            let nodes = names.into_iter().filter_map(|name| cluster.find(name));
            Ok(nodes.map(|node| cluster.nodes()[node].state).collect())
        };
        Ok(match condition {
            Condition::Leader(None) => cluster.leader().is_some(),
            Condition::Leader(Some(target)) => {
                let names = self.names(step, std::slice::from_ref(target))?;
                let leader = cluster.leader().map(|leader| cluster.nodes()[leader].who);
                leader.is_some_and(|leader| names.contains(&leader))
            }
            Condition::NoLeader => cluster.leader().is_none(),
            Condition::Delivered(number, by) => {
                let enough = |count: usize| count as u64 >= *number;
                let learners = self.learners(step, by)?;
                enough(log.len()) && learners.iter().all(|&node| enough(cluster.delivered(node)))
            }
            Condition::DeliveredTexts(texts, by) => {
                let same = |log: &[Delivered]| {
                    log.len() == texts.len()
                        && log.iter().zip(texts).all(|(one, text)| one.value == text)
                };
                let learners = self.learners(step, by)?;
                (by.is_some() || same(log))
                    && learners
                        .iter()
                        .all(|&node| same(&log[..cluster.delivered(node)]))
            }
            Condition::Done => cluster.is_complete(),
            Condition::Acknowledged(number, target) => {
                let names = self.names(step, std::slice::from_ref(target))?;
                let told = |name: &Name| cluster.checker().acknowledged_to(name.id);
                names.iter().all(|name| told(name) >= *number)
            }
            Condition::Chosen(number) => cluster.checker().chosen_through().0 >= *number,
            Condition::NoOp(instance) => {
                let is_no_op = |instance| {
                    cluster
                        .checker()
                        .chosen(instance)
                        .is_some_and(Bytes::is_empty)
                };
                match *instance {
                    Instance::ZERO => {
                        (1..=cluster.checker().chosen_last().0).any(|at| is_no_op(Instance(at)))
                    }
                    instance => is_no_op(instance),
                }
            }
            Condition::Sent(sent) => {
                let names = match &sent.from {
                    Some(from) => Some(self.names(step, std::slice::from_ref(from))?),
                    None => None,
                };
                sent.holds(cluster.sent(), is_one_of(names))
            }
            Condition::Running(target) => {
                states(target)?.iter().all(|&state| state == State::Running)
            }
            Condition::Dead(target) => states(target)?.iter().all(|&state| state == State::Dead),
            Condition::Nothing(_) | Condition::Peace(_) => false,
        })
    }

    /// The learners that a condition is about: the running ones.
    fn learners(&self, step: &Step, by: &Option<Target>) -> Result<Vec<usize>, Broken> {
        let all = match by {
            Some(target) => self
                .names(step, std::slice::from_ref(target))?
                .into_iter()
                .filter_map(|name| self.cluster.find(name))
                .collect(),
            None => self.cluster.nodes_of(Role::Learner),
        };
        let runs = |&node: &usize| self.cluster.nodes()[node].is_running();
        Ok(all.into_iter().filter(runs).collect())
    }

    /// How much each learner has delivered.
    fn delivered(&self) -> Vec<usize> {
        let learners = self.cluster.nodes_of(Role::Learner);
        let delivered = |node| self.cluster.delivered(node);
        learners.into_iter().map(delivered).collect()
    }
}

/// Whether a process is one of these; everyone is without names.
fn is_one_of(names: Option<Vec<Name>>) -> impl Fn(ProcessId) -> bool {
    move |process| {
        let is = |name: &Name| (name.role, name.id) == (process.role, process.id);
        names.as_ref().is_none_or(|names| names.iter().any(is))
    }
}

/// What a scenario wanted and did not get.
fn unmet(step: &Step, what: impl std::fmt::Display) -> Broken {
    let place = match step.line {
        0 => String::new(),
        line => format!("line {line}: "),
    };
    Broken {
        kind: Kind::Unmet,
        what: format!("{place}{}: {what}", step.action),
    }
}
