//! The cluster as a model: its states, what can happen next, and what must hold.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use paxcast::protocol::mutant;
use stateright::{Model, Property};

use super::bounds::{ACCEPTORS, Bounds, PROPOSERS};
use super::catalogue::{CRASH, Catalogue, Parcels, SYNC, TIME};
use super::network::first_parcels;
use super::observer::{Fault, Observer};
use super::process::{LEARNER, PROCESSES, Process, identity};

/// A cluster and its bounds.
pub struct Cluster {
    /// What the exploration is bounded by.
    pub bounds: Bounds,
    catalogue: Mutex<Catalogue>,
}

/// A state of the cluster.
#[derive(Clone)]
pub struct State {
    processes: [u32; PROCESSES],
    network: Parcels,
    observer: u32,
    /// What properties ask for, copied from the observer and the processes.
    fault: Option<Fault>,
    signs: Signs,
    digest: u64,
}

/// What must occur in some state, or the exploration proves nothing.
#[derive(Clone, Copy, Default)]
pub struct Signs {
    chosen: u8,
    delivered: u8,
    leaders: u8,
    proposed_again: bool,
    no_op: bool,
    paged: bool,
    voted_after_crash: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.digest)
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.digest == other.digest
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// One thing that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process takes an input; see [`Catalogue`] for its number.
    Step(u8, u16),
    /// Everything stops but the learner.
    Settle,
}

impl Cluster {
    /// A cluster within these bounds.
    pub fn new(bounds: Bounds) -> Cluster {
        Cluster {
            bounds,
            catalogue: Mutex::new(Catalogue::new()),
        }
    }

    /// How many different processes and messages occurred.
    pub fn occurred(&self) -> (usize, usize) {
        let catalogue = self.lock();
        (catalogue.processes(), catalogue.parcels())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Catalogue> {
        self.catalogue.lock().expect("no thread panicked")
    }

    /// The inputs that may matter to a process now.
    fn inputs(&self, catalogue: &Catalogue, state: &State, index: usize, inputs: &mut Vec<u16>) {
        inputs.clear();
        let process = state.processes[index];
        let mail = catalogue.mail(index, &state.network);
        inputs.extend(mail.without(catalogue.dull(process)).iter());
        match &catalogue.process(process).0 {
            Process::Proposer(proposer) => {
                if proposer.timeouts < self.bounds.timeouts[index] {
                    inputs.push(TIME);
                }
                if proposer.crashes < self.bounds.proposer_crashes[index] {
                    inputs.push(CRASH);
                }
            }
            Process::Acceptor(acceptor) => {
                let number = index - PROPOSERS;
                if self.bounds.synced_apart[number] {
                    inputs.push(SYNC);
                }
                if acceptor.crashes < self.bounds.acceptor_crashes[number] {
                    inputs.extend((0..=u16::from(acceptor.unsynced())).map(|n| CRASH - n));
                }
            }
            Process::Learner(_) | Process::Stopped => {}
        }
    }

    /// Whether a parcel may do something, now or later.
    fn is_news(&self, catalogue: &mut Catalogue, state: &State, parcel: u16) -> bool {
        let to = catalogue.parcel(parcel).0.to;
        !catalogue.is_spent(&self.bounds, state.processes[to], parcel)
    }

    /// Completes a state whose parts are known.
    fn seal(&self, catalogue: &Catalogue, mut state: State) -> State {
        let (observer, observed) = catalogue.observer(state.observer);
        let mut hasher = DefaultHasher::new();
        for process in state.processes {
            hasher.write_u64(catalogue.process(process).1);
        }
        hasher.write_u64(*observed);
        let network = state
            .network
            .iter()
            .map(|parcel| catalogue.parcel(parcel).1);
        hasher.write_u64(network.fold(0, |all, parcel| all ^ parcel));
        state.digest = hasher.finish();
        state.fault = observer.fault();
        state.signs = self.signs(catalogue, &state, observer);
        state
    }

    fn signs(&self, catalogue: &Catalogue, state: &State, observer: &Observer) -> Signs {
        let acceptors = &state.processes[PROPOSERS..LEARNER];
        Signs {
            chosen: observer.chosen() as u8,
            delivered: observer.delivered() as u8,
            leaders: observer.leaders() as u8,
            proposed_again: observer.proposed_again(),
            no_op: observer.no_op(),
            paged: observer.paged(),
            voted_after_crash: acceptors.iter().any(|&process| {
                matches!(&catalogue.process(process).0, Process::Acceptor(a) if a.voted_since)
            }),
        }
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let catalogue = &mut *self.lock();
        self.select();
        let processes = std::array::from_fn(|index| {
            catalogue.number_process(Process::new(&self.bounds, index))
        });
        let mut network = Parcels::NONE;
        for parcel in first_parcels(&self.bounds) {
            network.insert(catalogue.number_parcel(parcel));
        }
        let observer = catalogue.number_observer(Observer::default());
        let state = State {
            processes,
            network,
            observer,
            fault: None,
            signs: Signs::default(),
            digest: 0,
        };
        vec![self.seal(catalogue, state)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // What is wrong stays wrong; no need to go on.
        if state.fault.is_some() {
            return;
        }
        let catalogue = &mut *self.lock();
        self.select();
        let mut inputs = Vec::new();
        if matches!(catalogue.process(state.processes[0]).0, Process::Stopped) {
            self.inputs(catalogue, state, LEARNER, &mut inputs);
            let learner = state.processes[LEARNER];
            inputs.retain(|&input| {
                catalogue
                    .step(&self.bounds, LEARNER, learner, input)
                    .is_some()
            });
            actions.extend(
                inputs
                    .iter()
                    .map(|&input| Action::Step(LEARNER as u8, input)),
            );
            return;
        }
        // Whether anything can add to the network still.
        let mut silent = true;
        for index in 0..LEARNER {
            self.inputs(catalogue, state, index, &mut inputs);
            let process = state.processes[index];
            for &input in &inputs {
                let Some(step) = catalogue.step(&self.bounds, index, process, input) else {
                    continue;
                };
                let step = step.clone();
                let news = step
                    .sent
                    .without(&state.network)
                    .iter()
                    .any(|parcel| self.is_news(catalogue, state, parcel));
                // A timer that makes nobody say anything new.
                if input == TIME && !news {
                    continue;
                }
                silent &= !news;
                if step.after != process || news || step.facts.is_some() {
                    actions.push(Action::Step(index as u8, input));
                }
            }
        }
        if silent && self.bounds.learner {
            actions.push(Action::Settle);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let catalogue = &mut *self.lock();
        self.select();
        let mut state = before.clone();
        match action {
            Action::Settle => {
                let stopped = catalogue.number_process(Process::Stopped);
                state.processes[..LEARNER].fill(stopped);
                state.network = catalogue.mail(LEARNER, &state.network);
                state.observer = catalogue.settle(state.observer);
            }
            Action::Step(index, input) => {
                let process = state.processes[usize::from(index)];
                let step = catalogue
                    .step(&self.bounds, usize::from(index), process, input)?
                    .clone();
                state.processes[usize::from(index)] = step.after;
                let mail = catalogue.mail(usize::from(index), &state.network);
                for parcel in mail.iter() {
                    if catalogue.is_spent(&self.bounds, step.after, parcel) {
                        state.network.remove(parcel);
                    }
                }
                for parcel in step.sent.iter() {
                    if self.is_news(catalogue, &state, parcel) {
                        state.network.insert(parcel);
                    }
                }
                if let Some(facts) = step.facts {
                    state.observer = catalogue.see(state.observer, facts, &self.bounds);
                }
            }
        }
        let state = self.seal(catalogue, state);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Cluster>> {
        let bounds = &self.bounds;
        let mut properties = vec![Property::always("nothing is wrong", |_, state: &State| {
            state.fault.is_none()
        })];
        let mut sometimes = |wanted: bool, name, condition: fn(&Cluster, &State) -> bool| {
            if wanted {
                properties.push(Property::sometimes(name, condition));
            }
        };
        sometimes(true, "everything is chosen", |cluster, state| {
            u64::from(state.signs.chosen) == cluster.bounds.instances
        });
        sometimes(true, "both proposers propose", |_, state| {
            usize::from(state.signs.leaders) == PROPOSERS
        });
        sometimes(true, "a vote is proposed again", |_, state| {
            state.signs.proposed_again
        });
        let holes = bounds.window > 1 && bounds.values.iter().any(|&values| values > 1);
        sometimes(holes, "a hole is filled", |_, state| state.signs.no_op);
        sometimes(
            bounds.learner,
            "the learner delivers all",
            |cluster, state| u64::from(state.signs.delivered) == cluster.bounds.instances,
        );
        sometimes(bounds.paged, "a promise comes in pages", |_, state| {
            state.signs.paged
        });
        let crashes = bounds.acceptor_crashes != [0; ACCEPTORS];
        sometimes(crashes, "an acceptor votes after a crash", |_, state| {
            state.signs.voted_after_crash
        });
        properties
    }

    fn format_action(&self, action: &Action) -> String {
        let &Action::Step(index, input) = action else {
            return "everything stops but the learner".into();
        };
        let catalogue = self.lock();
        let who = identity(usize::from(index), 0);
        match input {
            TIME => format!("{who}: its time comes"),
            SYNC => format!("{who} syncs and sends"),
            crash if crash > CRASH - 64 => {
                format!("{who} crashes, {} unsynced records survive", CRASH - crash)
            }
            parcel => {
                let parcel = &catalogue.parcel(parcel).0;
                format!("{} -> {who}: {:?}", parcel.from, parcel.message)
            }
        }
    }
}

impl Cluster {
    /// What happened on a path, line by line, and what is wrong at its end.
    pub fn story(&self, path: Vec<(State, Option<Action>)>) -> String {
        let mut story = String::new();
        for (state, action) in path {
            if let Some(fault) = state.fault {
                story += &format!("{fault}\n");
            }
            if let Some(action) = action {
                story += &format!("{}\n", self.format_action(&action));
            }
        }
        story
    }

    /// Lets the broken rule be broken on the thread that runs the roles.
    fn select(&self) {
        #[cfg(debug_assertions)]
        mutant::select(self.bounds.mutant);
    }
}
