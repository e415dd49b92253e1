//! Cuts the failure of a random run down to what it takes.
//!
//! The run is made once more with everything written down that went wrong in it,
//! and told as a [`Scenario`] in which nothing else is left to chance. Then what
//! the failure does not need is taken away, in ever smaller pieces (Zeller's delta
//! debugging), as long as the same promise breaks: accidents, deeds, values,
//! processes, settings. What is left is short enough to be read, and to be drawn.

use std::time::Duration;

use super::Violation;
use super::chance::Accident;
use super::cluster::Cluster;
use super::deed::Deed;
use super::plan::Plan;
use super::scenario::play::Play;
use super::scenario::{Action, Condition, Scenario, Step, Target, Values, Verb};
use super::users::ServiceOptions;
use super::{Kind, PATIENCE, PEACE, run_cluster};
use crate::protocol::{Role, Time, mutant};

/// How many runs a shrinking may take.
pub const MOST_RUNS: usize = 3_000;

/// Longer values are named by their length.
const LONG: usize = 40;

/// What came of a shrinking.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What the failure takes.
    pub scenario: Scenario,
    /// The promise that it breaks.
    pub violation: Violation,
    /// How many accidents, deeds and values the random run had.
    pub before: usize,
    /// How many are left.
    pub after: usize,
    /// How many runs it took.
    pub runs: usize,
}

/// The failure of a seed, cut down; nothing when the seed does not fail, or when
/// the scenario told of it does not.
pub fn shrink(seed: u64, plan: &Plan) -> Option<Shrunk> {
    let (scenario, violation) = tell(seed, plan)?;
    let mut scenario = scenario;
    if violation.kind != Kind::Liveness {
        wait_instead(&mut scenario, violation.at);
    }
    let mut shrinker = Shrinker {
        wanted: Complaint::of(&violation),
        best: scenario,
        violation: None,
        runs: 0,
    };
    let before = weight(&shrinker.best);
    let told = shrinker.best.clone();
    if !shrinker.try_one(told) {
        return None;
    }
    loop {
        let weight_before = weight(&shrinker.best);
        shrinker.pass();
        if weight(&shrinker.best) == weight_before || shrinker.runs >= MOST_RUNS {
            break;
        }
    }
    let mut scenario = shrinker.best;
    let violation = shrinker.violation?;
    finish(&mut scenario, &violation);
    Some(Shrunk {
        after: weight(&scenario),
        scenario,
        violation,
        before,
        runs: shrinker.runs,
    })
}

/// What breaks a rule of safety shows it without any demand that all be done.
fn wait_instead(scenario: &mut Scenario, violation: Time) {
    for step in &mut scenario.steps {
        if matches!(step.action, Action::Expect(Condition::Done, _)) {
            let at = step.at.unwrap_or_default();
            let rest = Duration::from_nanos(violation.0).saturating_sub(at);
            step.action = Action::Wait(rest + Duration::from_millis(1));
        }
    }
}

/// The run of a seed as a scenario of its own, and how it failed.
pub fn tell(seed: u64, plan: &Plan) -> Option<(Scenario, Violation)> {
    let plan = plain(plan);
    let mut cluster = Cluster::recorded(seed, plan.cluster.clone());
    let violation = run_cluster(seed, &plan, &mut cluster).err();
    let mut scenario = scenario(seed, &plan, &cluster);
    let violation = *violation?;
    if violation.what.contains("left in peace") {
        let then = [
            Action::Wait(PEACE),
            Action::Expect(Condition::Peace(PEACE), None),
        ];
        scenario.steps.extend(then.map(|action| Step {
            line: 0,
            at: None,
            action,
        }));
    }
    Some((scenario, violation))
}

/// The same plan with long values that a scenario can name by their length.
pub fn plain(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for (_, _, value) in &mut plan.work {
        if value.len() > LONG {
            *value = Values::large(value.len());
        }
    }
    plan
}

/// What happened in a cluster that wrote everything down, as a scenario.
pub fn scenario(seed: u64, plan: &Plan, cluster: &Cluster) -> Scenario {
    let mut steps = Vec::new();
    let step = |at, action| Step {
        line: 0,
        at: Some(at),
        action,
    };
    for (client, at, value) in &plan.work {
        let values = match value.len() > LONG {
            true => Values::Large(value.len()),
            false => Values::Texts(vec![value.clone()]),
        };
        let at = Duration::from_nanos(at.0);
        steps.push(step(
            at,
            Action::Submit {
                client: *client,
                values,
            },
        ));
    }
    for (at, deed) in cluster.deeds() {
        steps.push(step(Duration::from_nanos(at.0), action(*deed)));
    }
    // The run went on from here on its own; its end came when all was done.
    let trouble = plan
        .trouble
        .max(steps.last().and_then(|step| step.at).unwrap_or_default());
    let done = Action::Expect(Condition::Done, Some(PATIENCE));
    steps.push(step(trouble, done));
    Scenario {
        title: Vec::new(),
        seed,
        mutant: mutant::selected().map(|mutant| mutant.to_string()),
        options: plan.cluster.steady(),
        accidents: cluster.accidents().to_vec(),
        steps,
    }
}

/// A deed as a step.
fn action(deed: Deed) -> Action {
    let one = |verb, name| Action::Do(verb, vec![Target::Name(name)]);
    let cut = |multicast, from, to| Action::Cut {
        multicast,
        from: vec![Target::Name(from)],
        to: vec![Target::Name(to)],
        both: false,
    };
    match deed {
        Deed::Crash(name) => one(Verb::Crash, name),
        Deed::Kill(name) => one(Verb::Kill, name),
        Deed::Restart(name) => one(Verb::Restart, name),
        Deed::Pause(name) => one(Verb::Pause, name),
        Deed::Resume(name) => one(Verb::Resume, name),
        Deed::Close(name) => one(Verb::Close, name),
        Deed::Open(name) => one(Verb::Open, name),
        Deed::Leap(name, ahead) => Action::Leap(Target::Name(name), ahead),
        Deed::Cut(from, to) => cut(false, from, to),
        Deed::CutMulticast(from, to) => cut(true, from, to),
        Deed::Mend => Action::Mend,
        Deed::Add(role, id) => Action::Add(super::name::Name::new(role, id)),
        other => Action::Deed(other),
    }
}

/// How much there is in a scenario that could be taken away.
fn weight(scenario: &Scenario) -> usize {
    scenario.accidents.len() + scenario.steps.len()
}

/// Which promise broke, without the names and numbers that change from run to run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Complaint {
    kind: Kind,
    words: String,
}

impl Complaint {
    fn of(violation: &Violation) -> Complaint {
        // One stuck run is stuck like another; what stands there differs.
        let what = match violation.kind {
            Kind::Liveness => "",
            _ => violation.what.as_str(),
        };
        let mut words = what.to_string();
        words.retain(|letter| !letter.is_ascii_digit());
        // A delivery's complaint tells the values too.
        let end = words
            .char_indices()
            .nth(24)
            .map_or(words.len(), |(end, _)| end);
        words.truncate(end);
        Complaint {
            kind: violation.kind,
            words,
        }
    }
}

/// Whether all goes well where no rule is broken on purpose, if one is: what fails
/// then fails for another reason.
#[cfg(debug_assertions)]
fn holds_without_mutant(scenario: &Scenario) -> bool {
    let Some(mutant) = mutant::selected() else {
        return true;
    };
    mutant::select(None);
    let holds = Play::new(scenario, false).run().is_ok();
    mutant::select(Some(mutant));
    holds
}

/// In a release build no rule can be broken on purpose.
#[cfg(not(debug_assertions))]
fn holds_without_mutant(_: &Scenario) -> bool {
    true
}

struct Shrinker {
    wanted: Complaint,
    best: Scenario,
    violation: Option<Violation>,
    runs: usize,
}

impl Shrinker {
    /// Whether this scenario fails in the same way; it is the best one then.
    fn try_one(&mut self, scenario: Scenario) -> bool {
        if self.runs >= MOST_RUNS || !self.keeps_core(&scenario) {
            return false;
        }
        self.runs += 1;
        match Play::new(&scenario, false).run() {
            Err(violation)
                if Complaint::of(&violation) == self.wanted && holds_without_mutant(&scenario) =>
            {
                self.violation = Some(*violation);
                self.best = scenario;
                true
            }
            _ => false,
        }
    }

    /// A cluster that gets stuck must be one that could go on: nobody expects
    /// anything of one without a proposer, or that is never healed.
    fn keeps_core(&self, scenario: &Scenario) -> bool {
        let options = &scenario.options;
        let heals = |scenario: &Scenario| {
            let healing = |step: &&Step| match &step.action {
                Action::Mend => true,
                Action::Do(verb, _) => matches!(verb, Verb::Restart | Verb::Resume | Verb::Open),
                Action::Deed(deed) => matches!(deed, Deed::Free(_) | Deed::Inform),
                _ => false,
            };
            scenario.steps.iter().filter(healing).count()
        };
        self.wanted.kind != Kind::Liveness
            || (options.proposers > 0
                && options.learners > 0
                && heals(scenario) == heals(&self.best))
    }

    /// Takes away what can go, once over everything.
    fn pass(&mut self) {
        // All accidents of a kind at once, then ever smaller pieces.
        let mut kinds: Vec<&str> = self.best.accidents.iter().map(|one| one.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let mut fewer = self.best.clone();
            fewer.accidents.retain(|one| one.kind() != kind);
            self.try_one(fewer);
        }
        self.halve(|scenario| &mut scenario.steps);
        self.halve(|scenario| &mut scenario.accidents);
        self.fewer_processes();
        self.fewer_users();
        self.plainer();
        self.rounder();
    }

    /// Delays in whole milliseconds, ten or a hundred of them where that will do.
    fn rounder(&mut self) {
        for place in 0..self.best.accidents.len() {
            for unit in [100, 10, 1] {
                let mut rounder = self.best.clone();
                let (Accident::Late(_, time) | Accident::Repeated(_, time)) =
                    &mut rounder.accidents[place]
                else {
                    break;
                };
                let millis = (time.as_millis() as u64).div_ceil(unit) * unit;
                *time = Duration::from_millis(millis);
                if rounder == self.best || self.try_one(rounder) {
                    break;
                }
            }
        }
    }

    /// Takes pieces out of a list: halves, quarters, … single ones.
    fn halve<T: Clone>(&mut self, list: impl Fn(&mut Scenario) -> &mut Vec<T>) {
        let mut best = self.best.clone();
        let mut piece = list(&mut best).len().div_ceil(2);
        while piece > 0 {
            let mut at = 0;
            loop {
                let mut fewer = self.best.clone();
                let items = list(&mut fewer);
                if at >= items.len() {
                    break;
                }
                items.drain(at..(at + piece).min(items.len()));
                // Where something was taken away, the next stands now.
                if !self.try_one(fewer) {
                    at += piece;
                }
                if self.runs >= MOST_RUNS {
                    return;
                }
            }
            piece /= 2;
        }
    }

    /// Does without processes that play no part.
    fn fewer_processes(&mut self) {
        for role in [Role::Client, Role::Learner, Role::Proposer] {
            loop {
                let mut fewer = self.best.clone();
                let count = match role {
                    Role::Client => &mut fewer.options.clients,
                    Role::Learner => &mut fewer.options.learners,
                    _ => &mut fewer.options.proposers,
                };
                let gone = *count;
                // Users must have somewhere to go.
                let least = u16::from(role == Role::Learner && fewer.options.service.is_some());
                if gone == least {
                    break;
                }
                *count -= 1;
                let submits = |step: &Step| {
                    role == Role::Client
                        && matches!(step.action, Action::Submit { client, .. } if client == gone)
                };
                fewer.steps.retain(|step| !submits(step));
                if !self.try_one(fewer) {
                    break;
                }
            }
        }
    }

    /// Does with fewer users of a service, who do less, in fewer places.
    fn fewer_users(&mut self) {
        let fewer: [fn(&mut ServiceOptions); 6] = [
            |service| service.questions /= 2,
            |service| service.questions = service.questions.saturating_sub(1),
            |service| service.users = (service.users - 1).max(1),
            |service| service.keys = 1,
            |service| service.ignorance = Duration::ZERO,
            |service| (service.keeping, service.amnesia) = (Duration::ZERO, 0.0),
        ];
        for less in fewer {
            loop {
                let mut scenario = self.best.clone();
                let Some(service) = &mut scenario.options.service else {
                    return;
                };
                less(service);
                if scenario.options == self.best.options || !self.try_one(scenario) {
                    break;
                }
            }
        }
    }

    /// Settings as they usually are, and short values.
    fn plainer(&mut self) {
        let usual = Scenario::default().options;
        let plain: [fn(&mut Scenario, &Scenario); 9] = [
            |to, from| to.options.drift = from.options.drift,
            |to, from| to.options.settings.pause = from.options.settings.pause,
            |to, from| to.options.settings.window = from.options.settings.window,
            |to, from| to.options.settings.datagram = from.options.settings.datagram,
            |to, from| to.options.settings.lifetime = from.options.settings.lifetime,
            |to, from| to.options.buffer = from.options.buffer,
            |to, from| to.options.durable = from.options.durable,
            |to, from| to.options.segment = from.options.segment,
            |to, from| to.options.sync_blocks = from.options.sync_blocks,
        ];
        let usual = Scenario {
            options: usual,
            ..Scenario::default()
        };
        for set in plain {
            let mut plainer = self.best.clone();
            set(&mut plainer, &usual);
            if plainer.options != self.best.options {
                self.try_one(plainer);
            }
        }
        for place in 0..self.best.steps.len() {
            let mut shorter = self.best.clone();
            if let Action::Submit { values, .. } = &mut shorter.steps[place].action
                && !matches!(values, Values::Many(1, _))
            {
                *values = Values::Many(1, Duration::ZERO);
                self.try_one(shorter);
            }
        }
    }
}

/// Says what the scenario shows, and that it must fail.
fn finish(scenario: &mut Scenario, violation: &Violation) {
    // Some go on for lines, with a picture of what happened.
    let first = violation.what.lines().next().unwrap_or_default();
    let what = match violation.kind {
        Kind::Liveness if violation.what.contains("peace") => "peace",
        Kind::Liveness => "done",
        _ => first,
    };
    scenario.title = vec![format!("{:?}: {first}", violation.kind)];
    scenario
        .steps
        .sort_by_key(|step| !matches!(step.action, Action::Submit { .. }));
    scenario.steps.push(Step {
        line: 0,
        at: None,
        action: Action::ExpectBroken(what.into()),
    });
}
