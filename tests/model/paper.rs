//! The protocol on paper: ballots, votes and watermarks, without the roles' code.
//!
//! The roles under [`super::cluster`] are exact and large. This is small: the rules
//! alone, each in a line or two, so that it shows which rule keeps what from
//! happening. Each rule can be broken, and for each the checker must find the harm.
//!
//! Messages once sent stay; whoever takes a step picks any of them. A leader is its
//! ballot. Learners have no state: whatever one could decide from any of the messages
//! must be the same.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Model, Property};

/// A ballot; its leader proposes its own number as a value, if it is free to.
type Ballot = u8;
/// An instance, from 0.
type Instance = u8;
/// What is proposed; [`NO_OP`] is a value, too.
type Value = u8;

/// How many acceptors there are.
const ACCEPTORS: u8 = 3;

/// What fills a hole.
const NO_OP: Value = 0;

/// A rule broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A single promise makes a leader.
    OnePromise,
    /// A single vote decides.
    OneVote,
    /// The lowest reported vote is proposed again.
    LowestVote,
    /// Any value is proposed, whatever was reported.
    VotesIgnored,
    /// What the first acceptor of the quorum did not vote for is taken for a hole.
    HoleByIgnorance,
    /// The first page of a promise is taken for all of it.
    FirstPageIsAll,
    /// A crash makes an acceptor forget its promise.
    PromiseForgotten,
    /// A crash makes an acceptor forget its votes.
    VotesForgotten,
    /// An acceptor votes below its promise.
    VoteBelowPromise,
    /// Votes of different ballots add up.
    VotesAcrossBallots,
    /// A watermark decides the votes of all ballots.
    AnyBallotWatermark,
    /// A leader announces what is chosen in other ballots as voted for in its own.
    WatermarkOfOthers,
    /// A repair proposes what a single acceptor remembers.
    RepairFromOne,
    /// Two leaders share a ballot.
    BallotShared,
}

impl Broken {
    /// All of them.
    pub const ALL: [Broken; 14] = [
        Broken::OnePromise,
        Broken::OneVote,
        Broken::LowestVote,
        Broken::VotesIgnored,
        Broken::HoleByIgnorance,
        Broken::FirstPageIsAll,
        Broken::PromiseForgotten,
        Broken::VotesForgotten,
        Broken::VoteBelowPromise,
        Broken::VotesAcrossBallots,
        Broken::AnyBallotWatermark,
        Broken::WatermarkOfOthers,
        Broken::RepairFromOne,
        Broken::BallotShared,
    ];
}

/// The protocol, its bounds, and perhaps a rule that is broken.
#[derive(Clone, Debug)]
pub struct Paper {
    /// Ballots are numbered from 1 to this.
    pub ballots: Ballot,
    /// How many instances.
    pub instances: Instance,
    /// Promises come in pages of one instance, and at different times.
    pub paged: bool,
    /// How often acceptors crash, all together.
    pub crashes: u8,
    /// The rule that is broken, if any.
    pub broken: Option<Broken>,
}

/// What an acceptor remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acceptor {
    promised: Ballot,
    votes: BTreeMap<Instance, (Ballot, Value)>,
    /// The furthest watermark it heard: the first instance that it does not cover.
    watermark: Instance,
}

/// One page of a promise: all votes in `from..until`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Page {
    ballot: Ballot,
    acceptor: u8,
    from: Instance,
    until: Instance,
    watermark: Instance,
    votes: BTreeMap<Instance, (Ballot, Value)>,
}

/// A leader, once elected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leader {
    /// Everything below was reported decided.
    from: Instance,
    /// What must be proposed again; a hole that must be filled is a no-op.
    found: BTreeMap<Instance, Value>,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    acceptors: Vec<Acceptor>,
    pages: BTreeSet<Page>,
    leaders: BTreeMap<Ballot, Leader>,
    /// 2a.
    proposals: BTreeSet<(Instance, Ballot, Value)>,
    /// 2b: who voted.
    votes: BTreeMap<(Instance, Ballot), BTreeMap<u8, Value>>,
    /// Announced by a ballot: everything below is chosen.
    watermarks: BTreeMap<Ballot, Instance>,
    crashes: u8,
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// An acceptor promises a ballot and reports a page.
    Promise(u8, Page),
    /// A leader is elected with this outcome of phase 1.
    Lead(Ballot, Leader),
    /// A leader proposes.
    Propose(Instance, Ballot, Value),
    /// An acceptor votes.
    Vote(u8, Instance, Ballot, Value),
    /// A leader announces a watermark.
    Announce(Ballot, Instance),
    /// An acceptor hears of a watermark.
    Hear(u8, Instance),
    /// An acceptor crashes and comes back.
    Crash(u8),
}

impl Paper {
    fn breaks(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    fn is_quorum(&self, count: usize, single: Broken) -> bool {
        count > usize::from(ACCEPTORS) / 2 || count > 0 && self.breaks(single)
    }

    /// The intervals that a page may have, from `from` on.
    fn intervals(&self, from: Instance) -> Vec<(Instance, Instance)> {
        match self.paged {
            false => vec![(from, self.instances)],
            true if from >= self.instances => vec![(from, self.instances)],
            true => (from..self.instances)
                .map(|first| (first, first + 1))
                .collect(),
        }
    }

    /// All votes of one acceptor that its pages add up to, if they cover everything
    /// from `from` on: for each way to pick pages.
    fn reports(&self, state: &State, ballot: Ballot, acceptor: u8, from: Instance) -> Vec<Report> {
        let pages: Vec<&Page> = state
            .pages
            .iter()
            .filter(|page| (page.ballot, page.acceptor) == (ballot, acceptor))
            .collect();
        let mut reports = Vec::new();
        for picked in 1..1_u32 << pages.len() {
            let picked: Vec<&Page> = (0..pages.len())
                .filter(|index| picked >> index & 1 == 1)
                .map(|index| pages[index])
                .collect();
            let covers = |instance| {
                picked
                    .iter()
                    .any(|page| (page.from..page.until).contains(&instance))
            };
            let start = picked.iter().map(|page| page.watermark).max().unwrap_or(0);
            let whole = (from.max(start)..self.instances).all(covers)
                || self.breaks(Broken::FirstPageIsAll);
            if !whole {
                continue;
            }
            let mut votes = BTreeMap::new();
            for page in picked {
                for (&instance, &vote) in &page.votes {
                    let kept = votes.entry(instance).or_insert(vote);
                    *kept = self.better(*kept, vote);
                }
            }
            reports.push(Report { start, votes });
        }
        reports
    }

    /// Of two votes the one to be proposed again.
    fn better(&self, one: (Ballot, Value), other: (Ballot, Value)) -> (Ballot, Value) {
        match self.breaks(Broken::LowestVote) {
            true => one.min(other),
            false => one.max(other),
        }
    }

    /// The outcomes of phase 1 that the pages allow.
    fn outcomes(&self, state: &State, ballot: Ballot) -> Vec<Leader> {
        let reports: Vec<Vec<Report>> = (0..ACCEPTORS)
            .map(|acceptor| self.reports(state, ballot, acceptor, 0))
            .collect();
        let mut outcomes = Vec::new();
        for quorum in quorums(|count| self.is_quorum(count, Broken::OnePromise)) {
            let mut partial: Vec<Vec<&Report>> = vec![Vec::new()];
            for &acceptor in &quorum {
                partial = partial
                    .into_iter()
                    .flat_map(|chosen| {
                        reports[usize::from(acceptor)].iter().map(move |report| {
                            let mut chosen = chosen.clone();
                            chosen.push(report);
                            chosen
                        })
                    })
                    .collect();
            }
            for chosen in partial {
                let outcome = self.outcome(&chosen);
                if !outcomes.contains(&outcome) {
                    outcomes.push(outcome);
                }
            }
        }
        outcomes
    }

    fn outcome(&self, reports: &[&Report]) -> Leader {
        let from = reports.iter().map(|report| report.start).max().unwrap_or(0);
        let mut votes: BTreeMap<Instance, (Ballot, Value)> = BTreeMap::new();
        for report in reports {
            for (&instance, &vote) in &report.votes {
                let kept = votes.entry(instance).or_insert(vote);
                *kept = self.better(*kept, vote);
            }
        }
        let last = votes.keys().next_back().copied();
        let found = (from..last.map_or(from, |last| last + 1))
            .map(|instance| {
                let ignorant = self.breaks(Broken::HoleByIgnorance)
                    && !reports[0].votes.contains_key(&instance);
                let value = match votes.get(&instance) {
                    Some(&(_, value)) if !ignorant => value,
                    _ => NO_OP,
                };
                (instance, value)
            })
            .filter(|_| !self.breaks(Broken::VotesIgnored))
            .collect();
        Leader { from, found }
    }

    /// The values that some learner could decide for an instance.
    fn decisions(&self, state: &State, instance: Instance) -> BTreeSet<Value> {
        let voters: BTreeSet<u8> = state
            .votes
            .iter()
            .filter(|((at, _), _)| *at == instance)
            .flat_map(|(_, voters)| voters.keys().copied())
            .collect();
        let across = self.breaks(Broken::VotesAcrossBallots) && voters.len() > 1;
        let covered = |ballot: &Ballot| {
            state.watermarks.iter().any(|(of, until)| {
                instance < *until && (of == ballot || self.breaks(Broken::AnyBallotWatermark))
            })
        };
        state
            .proposals
            .iter()
            .filter(|(at, ballot, _)| {
                let voters = state
                    .votes
                    .get(&(instance, *ballot))
                    .map_or(0, BTreeMap::len);
                let voted = self.is_quorum(voters, Broken::OneVote);
                *at == instance && (voted || across || voters > 0 && covered(ballot))
            })
            .map(|(_, _, value)| *value)
            .collect()
    }

    /// How far a leader may announce.
    fn watermark(&self, state: &State, ballot: Ballot, leader: &Leader) -> Instance {
        let mut until = leader.from;
        while until < self.instances {
            let chosen_in = |ballot: Ballot| {
                let voters = state.votes.get(&(until, ballot)).map_or(0, BTreeMap::len);
                self.is_quorum(voters, Broken::OneVote)
            };
            let others = self.breaks(Broken::WatermarkOfOthers);
            if !(chosen_in(ballot) || others && (1..=self.ballots).any(chosen_in)) {
                break;
            }
            until += 1;
        }
        until
    }

    /// What a leader may propose again of the past.
    fn repairs(&self, state: &State, ballot: Ballot, leader: &Leader) -> Vec<(Instance, Value)> {
        let mut repairs = Vec::new();
        for instance in 0..leader.from {
            for quorum in quorums(|count| self.is_quorum(count, Broken::RepairFromOne)) {
                let asked: Vec<&Acceptor> = quorum
                    .iter()
                    .map(|&acceptor| &state.acceptors[usize::from(acceptor)])
                    .collect();
                if asked.iter().any(|acceptor| acceptor.promised != ballot) {
                    continue;
                }
                let votes = asked
                    .iter()
                    .filter_map(|acceptor| acceptor.votes.get(&instance));
                if let Some((_, value)) = votes.copied().reduce(|a, b| self.better(a, b)) {
                    repairs.push((instance, value));
                }
            }
        }
        repairs
    }
}

/// All that one acceptor reported.
#[derive(Clone, Debug)]
struct Report {
    start: Instance,
    votes: BTreeMap<Instance, (Ballot, Value)>,
}

/// All sets of acceptors that are large enough.
fn quorums(is_enough: impl Fn(usize) -> bool) -> Vec<Vec<u8>> {
    (1..1_u8 << ACCEPTORS)
        .filter(|set| is_enough(set.count_ones() as usize))
        .map(|set| (0..ACCEPTORS).filter(|id| set >> id & 1 == 1).collect())
        .collect()
}

impl Model for Paper {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            acceptors: vec![Acceptor::default(); usize::from(ACCEPTORS)],
            pages: BTreeSet::new(),
            leaders: BTreeMap::new(),
            proposals: BTreeSet::new(),
            votes: BTreeMap::new(),
            watermarks: BTreeMap::new(),
            crashes: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (id, acceptor) in (0..).zip(&state.acceptors) {
            for ballot in acceptor.promised.max(1)..=self.ballots {
                // Whoever is elected needs no further promise.
                if state.leaders.contains_key(&ballot) {
                    continue;
                }
                for (from, until) in self.intervals(acceptor.watermark) {
                    let votes = acceptor.votes.clone().into_iter();
                    let page = Page {
                        ballot,
                        acceptor: id,
                        from,
                        until,
                        watermark: acceptor.watermark,
                        votes: votes.filter(|(at, _)| (from..until).contains(at)).collect(),
                    };
                    actions.push(Action::Promise(id, page));
                }
            }
            for &(instance, ballot, value) in &state.proposals {
                if ballot >= acceptor.promised || self.breaks(Broken::VoteBelowPromise) {
                    actions.push(Action::Vote(id, instance, ballot, value));
                }
            }
            for &until in state.watermarks.values() {
                if until > acceptor.watermark {
                    actions.push(Action::Hear(id, until));
                }
            }
            if state.crashes < self.crashes {
                actions.push(Action::Crash(id));
            }
        }
        for ballot in 1..=self.ballots {
            let Some(leader) = state.leaders.get(&ballot) else {
                let outcomes = self.outcomes(state, ballot).into_iter();
                actions.extend(outcomes.map(|leader| Action::Lead(ballot, leader)));
                continue;
            };
            for instance in leader.from..self.instances {
                let free = match self.breaks(Broken::BallotShared) {
                    true => vec![ballot, ballot + self.ballots],
                    false => vec![ballot],
                };
                let values = match leader.found.get(&instance) {
                    Some(&value) => vec![value],
                    None => free,
                };
                let values = values.into_iter();
                actions.extend(values.map(|value| Action::Propose(instance, ballot, value)));
            }
            for (instance, value) in self.repairs(state, ballot, leader) {
                actions.push(Action::Propose(instance, ballot, value));
            }
            let until = self.watermark(state, ballot, leader);
            if until > state.watermarks.get(&ballot).copied().unwrap_or(0) {
                actions.push(Action::Announce(ballot, until));
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Promise(id, page) => {
                state.acceptors[usize::from(id)].promised = page.ballot;
                state.pages.insert(page);
            }
            Action::Lead(ballot, leader) => {
                // Nobody reads the pages any more.
                state.pages.retain(|page| page.ballot != ballot);
                state.leaders.insert(ballot, leader);
            }
            Action::Propose(instance, ballot, value) => {
                state.proposals.insert((instance, ballot, value));
            }
            Action::Vote(id, instance, ballot, value) => {
                let acceptor = &mut state.acceptors[usize::from(id)];
                let voters = state.votes.entry((instance, ballot)).or_default();
                // Once in a ballot.
                if voters.insert(id, value).is_some() {
                    return None;
                }
                acceptor.promised = acceptor.promised.max(ballot);
                acceptor.votes.insert(instance, (ballot, value));
            }
            Action::Announce(ballot, until) => {
                state.watermarks.insert(ballot, until);
            }
            Action::Hear(id, until) => state.acceptors[usize::from(id)].watermark = until,
            Action::Crash(id) => {
                state.crashes += 1;
                let acceptor = &mut state.acceptors[usize::from(id)];
                acceptor.watermark = 0;
                if self.breaks(Broken::VotesForgotten) {
                    acceptor.votes.clear();
                }
                if self.breaks(Broken::PromiseForgotten) {
                    let voted = acceptor.votes.values().map(|(ballot, _)| *ballot).max();
                    acceptor.promised = voted.unwrap_or(0);
                }
            }
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Paper>> {
        vec![
            Property::always("learners agree", |paper: &Paper, state: &State| {
                (0..paper.instances).all(|instance| paper.decisions(state, instance).len() < 2)
            }),
            Property::sometimes("everything is decided", |paper: &Paper, state: &State| {
                (0..paper.instances).all(|instance| paper.decisions(state, instance).len() == 1)
            }),
            Property::sometimes(
                "the last ballot has a leader",
                |paper: &Paper, state: &State| state.leaders.contains_key(&paper.ballots),
            ),
        ]
    }
}
