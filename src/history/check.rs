//! Whether a history can be explained. The module says how it is decided.

use std::collections::{BTreeMap, VecDeque};

use super::{Model, Operation};

/// What a history is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<S> {
    /// There is an order that explains it.
    Linearizable,
    /// There is none.
    Violated(Window<S>),
    /// There are too many explanations to try; the operation at whose return it
    /// was given up.
    Undecided(usize),
}

/// Where a history cannot be explained any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window<S> {
    /// The operation whose return no order explains, as its index.
    pub culprit: usize,
    /// The operations that were under way then, in the order of their calls.
    pub under_way: Vec<usize>,
    /// Operations that had returned shortly before.
    pub before: Vec<usize>,
    /// What the state could be before those under way, some of it.
    pub states: Vec<S>,
}

/// Operations of a model.
type History<M> = [Operation<<M as Model>::Call, <M as Model>::Return>];

/// An explanation: how the state could be, and what happened already of what is
/// under way.
#[derive(Clone, Debug)]
struct Explanation<S> {
    state: S,
    /// Operations that return later, as bits by their berths.
    happened: u128,
    /// Operations without a return, as indices in order.
    lost: Vec<usize>,
}

/// Explanations of which none can be spared: for a state and what happened, the
/// smallest sets of operations without a return that it took.
#[derive(Debug)]
struct Explanations<S> {
    sets: BTreeMap<(S, u128), Vec<Vec<usize>>>,
    count: usize,
}

impl<S: Clone + Ord> Explanations<S> {
    fn new() -> Explanations<S> {
        Explanations {
            sets: BTreeMap::new(),
            count: 0,
        }
    }

    /// Takes one in, unless one that is there can do as much.
    fn add(&mut self, explanation: &Explanation<S>) -> bool {
        let Explanation {
            state,
            happened,
            lost,
        } = explanation;
        let sets = self.sets.entry((state.clone(), *happened)).or_default();
        if sets.iter().any(|fewer| is_within(fewer, lost)) {
            return false;
        }
        let before = sets.len();
        sets.retain(|more| !is_within(lost, more));
        sets.push(lost.clone());
        self.count += sets.len();
        self.count -= before;
        true
    }

    fn drain(self) -> impl Iterator<Item = Explanation<S>> {
        self.sets.into_iter().flat_map(|((state, happened), sets)| {
            sets.into_iter().map(move |lost| Explanation {
                state: state.clone(),
                happened,
                lost,
            })
        })
    }
}

/// Whether all of the first, in order, are in the second, in order.
fn is_within(fewer: &[usize], more: &[usize]) -> bool {
    let mut more = more.iter();
    fewer.iter().all(|one| more.any(|other| other == one))
}

/// An event: the time, whether it is a return (calls come first: who returns at
/// the moment of another's call may have overlapped it), and the operation.
type Event = (u64, bool, usize);

/// What is under way.
#[derive(Clone, Debug, Default)]
struct UnderWay {
    /// Operations that will return, each in a berth of its own.
    berths: Vec<Option<usize>>,
    /// Operations that will not.
    lost: Vec<usize>,
}

/// How hard an explanation is looked for.
#[derive(Debug)]
struct Effort {
    /// So many returns are taken back.
    back: usize,
    /// How many operations without a return may happen between two returns: the
    /// first of these numbers with which anything is explained.
    ladder: &'static [usize],
    /// So many explanations are kept, those in which the least has happened.
    kept: usize,
}

/// As little as is needed.
const LITTLE: Effort = Effort {
    back: 0,
    ladder: &[0, 1, 2, 3],
    kept: 256,
};

/// More and more, to get over a place where little was not enough.
const MORE: [Effort; 4] = [
    Effort {
        back: 4,
        ladder: &[1, 2],
        kept: 1024,
    },
    Effort {
        back: 16,
        ladder: &[1, 2],
        kept: 1024,
    },
    Effort {
        back: 16,
        ladder: &[2, 3],
        kept: 4096,
    },
    Effort {
        back: 64,
        ladder: &[1, 2],
        kept: 4096,
    },
];

/// Whether a history can be explained from the first state of the model on.
///
/// Most of what has no return did not happen, or is not needed to explain
/// anything, and what did happen can mostly be taken to have happened just before
/// somebody noticed. So an order is looked for with few explanations first, some
/// returns are taken back where that was too simple, and one that is found is
/// found. Only if none is, all explanations are tried.
pub fn check<M: Model>(model: &M, history: &History<M>) -> Verdict<M::State> {
    match look_for(model, history) {
        true => Verdict::Linearizable,
        false => exhaust(model, history),
    }
}

/// Where a search stands.
#[derive(Clone, Debug)]
struct Stand<S> {
    /// The next event.
    event: usize,
    under_way: UnderWay,
    explanations: Vec<Explanation<S>>,
}

impl<S> Stand<S> {
    fn first(state: S) -> Stand<S> {
        Stand {
            event: 0,
            under_way: UnderWay::default(),
            explanations: vec![Explanation {
                state,
                happened: 0,
                lost: Vec::new(),
            }],
        }
    }
}

/// Looks for an order that explains a history; that it finds none means nothing.
fn look_for<M: Model>(model: &M, history: &History<M>) -> bool {
    let events = events::<M>(history);
    let mut stand = Stand::first(model.first());
    // Where it stood at the latest returns.
    let mut before: VecDeque<Stand<M::State>> = VecDeque::new();
    // The farthest event that it did not get over, and how hard it tried.
    let mut obstacle: Option<(usize, usize)> = None;
    while let Some((_, is_return, index)) = events.get(stand.event) {
        if !is_return {
            if !stand.under_way.embark::<M>(history, *index) {
                return false;
            }
            stand.event += 1;
            continue;
        }
        if before.len() > MORE[MORE.len() - 1].back {
            before.pop_front();
        }
        before.push_back(stand.clone());
        let effort = obstacle.map_or(&LITTLE, |(_, effort)| &MORE[effort]);
        let explanations = std::mem::take(&mut stand.explanations);
        for lost in effort.ladder {
            let here = explanations.iter().cloned();
            let Some(driven) = drive(model, history, &stand.under_way, *index, here, *lost) else {
                break;
            };
            stand.explanations = driven.drain().collect();
            if !stand.explanations.is_empty() {
                break;
            }
        }
        if stand.explanations.is_empty() {
            let next = obstacle.map_or(0, |(_, effort)| effort + 1);
            let Some(effort) = MORE.get(next) else {
                return false;
            };
            let farthest = obstacle.map_or(stand.event, |(event, _)| event.max(stand.event));
            obstacle = Some((farthest, next));
            let back = before.len().saturating_sub(1 + effort.back);
            before.truncate(back + 1);
            stand = before.pop_back().expect("it was just put there");
            continue;
        }
        if stand.explanations.len() > effort.kept {
            let least = |e: &Explanation<_>| (e.lost.len(), e.happened.count_ones());
            stand.explanations.sort_by_key(least);
            stand.explanations.truncate(effort.kept);
        }
        stand.under_way.disembark(*index);
        obstacle = obstacle.filter(|(event, _)| stand.event < *event);
        stand.event += 1;
    }
    true
}

/// Tries all explanations.
fn exhaust<M: Model>(model: &M, history: &History<M>) -> Verdict<M::State> {
    let mut stand = Stand::first(model.first());
    let mut returned = VecDeque::new();
    for (_, is_return, index) in events::<M>(history) {
        if !is_return {
            if !stand.under_way.embark::<M>(history, index) {
                return Verdict::Undecided(index);
            }
            continue;
        }
        let states: Vec<M::State> = stand
            .explanations
            .iter()
            .take(Window::<M::State>::STATES)
            .map(|explanation| explanation.state.clone())
            .collect();
        let here = stand.explanations.into_iter();
        let driven = drive(model, history, &stand.under_way, index, here, usize::MAX);
        let Some(driven) = driven else {
            return Verdict::Undecided(index);
        };
        stand.explanations = driven.drain().collect();
        if stand.explanations.is_empty() {
            return Verdict::Violated(Window {
                culprit: index,
                under_way: stand.under_way.all(history),
                before: returned.into(),
                states,
            });
        }
        stand.under_way.disembark(index);
        returned.push_back(index);
        if returned.len() > Window::<M::State>::BEFORE {
            returned.pop_front();
        }
    }
    Verdict::Linearizable
}

/// A key whose history was not explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexplained<K, C, R, S> {
    /// The key.
    pub key: K,
    /// What was done with it, in the order given; the verdict counts in it.
    pub history: Vec<Operation<C, R>>,
    /// What is known about it.
    pub verdict: Verdict<S>,
}

/// What became of the histories of many keys.
type OfKeys<M, K> =
    Result<(), Unexplained<K, <M as Model>::Call, <M as Model>::Return, <M as Model>::State>>;

/// Whether each key's history can be explained.
///
/// # Errors
///
/// With the first key whose history cannot be, or is not known to be.
pub fn check_keys<M: Model, K: Ord>(
    model: &M,
    history: impl IntoIterator<Item = (K, Operation<M::Call, M::Return>)>,
) -> OfKeys<M, K> {
    let mut keys: BTreeMap<K, Vec<_>> = BTreeMap::new();
    for (key, operation) in history {
        keys.entry(key).or_default().push(operation);
    }
    for (key, history) in keys {
        let verdict = check(model, &history);
        if verdict != Verdict::Linearizable {
            return Err(Unexplained {
                key,
                history,
                verdict,
            });
        }
    }
    Ok(())
}

impl<S> Window<S> {
    /// So many operations before are told.
    const BEFORE: usize = 4;
    /// So many states are told.
    const STATES: usize = 8;
}

/// All calls and returns in the order of time.
fn events<M: Model>(history: &History<M>) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::with_capacity(2 * history.len());
    for (index, operation) in history.iter().enumerate() {
        events.push((operation.called, false, index));
        if let Some((at, _)) = &operation.returned {
            // A clock that went backwards makes nothing impossible.
            events.push(((*at).max(operation.called), true, index));
        }
    }
    events.sort_unstable();
    events
}

impl UnderWay {
    /// An operation was called; says whether there is a berth for it.
    fn embark<M: Model>(&mut self, history: &History<M>, index: usize) -> bool {
        if history[index].returned.is_none() {
            self.lost.push(index);
            return true;
        }
        match self.berths.iter().position(Option::is_none) {
            Some(berth) => self.berths[berth] = Some(index),
            None => self.berths.push(Some(index)),
        }
        self.berths.len() <= u128::BITS as usize
    }

    fn berth(&self, index: usize) -> usize {
        let berth = self.berths.iter().position(|berth| *berth == Some(index));
        berth.expect("it was called before")
    }

    fn disembark(&mut self, index: usize) {
        let berth = self.berth(index);
        self.berths[berth] = None;
    }

    fn all<C, R>(&self, history: &[Operation<C, R>]) -> Vec<usize> {
        let mut all: Vec<usize> = self.berths.iter().flatten().copied().collect();
        all.extend(&self.lost);
        all.sort_by_key(|index| history[*index].called);
        all
    }
}

/// Explanations that are tried at one return before it is given up.
const MOST: usize = 200_000;

/// Drives explanations on until the operation that returns has happened, with at
/// most so many operations without a return on the way, and gives those in which
/// it can have; nothing if there are too many to try.
fn drive<M: Model>(
    model: &M,
    history: &History<M>,
    under_way: &UnderWay,
    returns: usize,
    explanations: impl Iterator<Item = Explanation<M::State>>,
    most_lost: usize,
) -> Option<Explanations<M::State>> {
    let bit = 1u128 << under_way.berth(returns);
    let mut left = Explanations::new();
    let mut seen = Explanations::new();
    let mut queue = VecDeque::new();
    // How many operations without a return it took comes along.
    let mut arrive =
        |mut explanation: Explanation<M::State>, taken: usize, queue: &mut VecDeque<_>| {
            if explanation.happened & bit != 0 {
                // Its berth will be another's.
                explanation.happened &= !bit;
                left.add(&explanation);
            } else if seen.add(&explanation) {
                queue.push_back((explanation, taken));
            }
            left.count + seen.count <= MOST
        };
    for explanation in explanations {
        arrive(explanation, 0, &mut queue);
    }
    while let Some((explanation, taken)) = queue.pop_front() {
        for (berth, index) in under_way.berths.iter().enumerate() {
            let Some(index) = index else { continue };
            if explanation.happened & (1 << berth) != 0 {
                continue;
            }
            let operation = &history[*index];
            let (state, told) = model.happen(&explanation.state, &operation.call);
            let agrees = operation.returned.as_ref().map(|(_, told)| told) == Some(&told);
            if agrees {
                let next = Explanation {
                    state,
                    happened: explanation.happened | 1 << berth,
                    lost: explanation.lost.clone(),
                };
                if !arrive(next, taken, &mut queue) {
                    return None;
                }
            }
        }
        let mut tried: Vec<&M::Call> = Vec::new();
        for index in &under_way.lost {
            let call = &history[*index].call;
            // Of several that are alike the first is as good as any.
            let used = explanation.lost.binary_search(index);
            let (Err(place), false) = (used, tried.contains(&call)) else {
                continue;
            };
            tried.push(call);
            let (state, _) = model.happen(&explanation.state, call);
            if state == explanation.state {
                continue;
            }
            if taken >= most_lost {
                break;
            }
            let mut lost = explanation.lost.clone();
            lost.insert(place, *index);
            let next = Explanation {
                state,
                happened: explanation.happened,
                lost,
            };
            if !arrive(next, taken + 1, &mut queue) {
                return None;
            }
        }
    }
    Some(left)
}
