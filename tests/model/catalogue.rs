//! Everything that occurs in an exploration, each thing once: processes, messages,
//! steps and observers have numbers, and a state of the cluster is a few numbers.
//!
//! Roles are deterministic, so what a process does with an input is computed once,
//! by the shipped code, and looked up ever after.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::bounds::Bounds;
use super::network::Parcel;
use super::observer::Observer;
use super::process::{Fact, Input, PROCESSES, Process};

/// A set of parcels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcels([u64; Parcels::WORDS]);

impl Parcels {
    const WORDS: usize = 32;

    /// None.
    pub const NONE: Parcels = Parcels([0; Parcels::WORDS]);

    /// Adds one; says whether it was new.
    pub fn insert(&mut self, parcel: u16) -> bool {
        let (word, bit) = (usize::from(parcel) / 64, 1 << (parcel % 64));
        assert!(
            word < Parcels::WORDS,
            "more messages than there is room for"
        );
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Whether it is among them.
    pub fn contains(&self, parcel: u16) -> bool {
        self.0[usize::from(parcel) / 64] & (1 << (parcel % 64)) != 0
    }

    /// Takes one out.
    pub fn remove(&mut self, parcel: u16) {
        self.0[usize::from(parcel) / 64] &= !(1 << (parcel % 64));
    }

    /// Those that are in both.
    pub fn and(&self, other: &Parcels) -> Parcels {
        Parcels(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// Those that are not in the other.
    pub fn without(&self, other: &Parcels) -> Parcels {
        Parcels(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.0.into_iter().enumerate().flat_map(|(word, bits)| {
            std::iter::successors(Some(bits), |bits| Some(bits & bits.wrapping_sub(1)))
                .take_while(|bits| *bits != 0)
                .map(move |bits| (word * 64) as u16 + bits.trailing_zeros() as u16)
        })
    }
}

/// An input by its number: parcels first, then these.
pub const TIME: u16 = u16::MAX;
/// See [`Input::Sync`].
pub const SYNC: u16 = u16::MAX - 1;
/// See [`Input::Crash`]; the number of survivors is subtracted.
pub const CRASH: u16 = u16::MAX - 2;

/// What became of a step.
#[derive(Clone, Debug)]
pub struct Known {
    /// The process afterwards.
    pub after: u32,
    /// What it said.
    pub sent: Parcels,
    /// Its number, if there is anything for an observer.
    pub facts: Option<u32>,
}

/// The catalogue of one exploration.
#[derive(Default)]
pub struct Catalogue {
    processes: Vec<(Process, u64)>,
    process_numbers: HashMap<u64, u32>,
    parcels: Vec<(Parcel, u64)>,
    parcel_numbers: HashMap<Parcel, u16>,
    mail: Vec<Parcels>,
    steps: HashMap<(u32, u16), Option<Known>>,
    /// Parcels that are of no interest to a process, as far as that is known.
    dull: Vec<Parcels>,
    /// For each process, the parcels asked about, and those of them that are spent.
    spent: Vec<(Parcels, Parcels)>,
    facts: Vec<Vec<Fact>>,
    observers: Vec<(Observer, u64)>,
    observer_numbers: HashMap<Observer, u32>,
    seen: HashMap<(u32, u32), u32>,
    settled: HashMap<u32, u32>,
}

fn digest(thing: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

impl Catalogue {
    /// Nothing yet.
    pub fn new() -> Catalogue {
        Catalogue {
            mail: vec![Parcels::NONE; PROCESSES],
            ..Catalogue::default()
        }
    }

    /// How many different processes occurred.
    pub fn processes(&self) -> usize {
        self.processes.len()
    }

    /// How many different messages, each counted per receiver.
    pub fn parcels(&self) -> usize {
        self.parcels.len()
    }

    /// The number of a process.
    pub fn number_process(&mut self, process: Process) -> u32 {
        let digest = process.digest();
        let next = self.processes.len() as u32;
        *self.process_numbers.entry(digest).or_insert_with(|| {
            self.processes.push((process, digest));
            self.dull.push(Parcels::NONE);
            self.spent.push((Parcels::NONE, Parcels::NONE));
            next
        })
    }

    /// The process of a number, and its digest.
    pub fn process(&self, number: u32) -> &(Process, u64) {
        &self.processes[number as usize]
    }

    /// The number of a parcel.
    pub fn number_parcel(&mut self, parcel: Parcel) -> u16 {
        if let Some(&number) = self.parcel_numbers.get(&parcel) {
            return number;
        }
        let number = self.parcels.len() as u16;
        self.mail[parcel.to].insert(number);
        self.parcel_numbers.insert(parcel.clone(), number);
        let digest = digest(&parcel);
        self.parcels.push((parcel, digest));
        number
    }

    /// The parcel of a number, and its digest.
    pub fn parcel(&self, number: u16) -> &(Parcel, u64) {
        &self.parcels[usize::from(number)]
    }

    /// The parcels in this set that are for the process with this index.
    pub fn mail(&self, index: usize, network: &Parcels) -> Parcels {
        network.and(&self.mail[index])
    }

    /// What is known to be of no interest to a process.
    pub fn dull(&self, process: u32) -> &Parcels {
        &self.dull[process as usize]
    }

    /// Whether this parcel can do nothing any more to this process.
    pub fn is_spent(&mut self, bounds: &Bounds, process: u32, parcel: u16) -> bool {
        if self.spent[process as usize].0.insert(parcel) {
            let message = &self.parcels[usize::from(parcel)].0.message;
            let rule = self.processes[process as usize].0.is_spent(bounds, message);
            // The rule says that nothing comes of it for ever; the role shall show
            // that nothing comes of it now.
            let index = self.parcels[usize::from(parcel)].0.to;
            if rule && self.step(bounds, index, process, parcel).is_none() {
                self.spent[process as usize].1.insert(parcel);
            }
        }
        self.spent[process as usize].1.contains(parcel)
    }

    /// The number of an observer.
    pub fn number_observer(&mut self, observer: Observer) -> u32 {
        let next = self.observers.len() as u32;
        let observers = &mut self.observers;
        *self
            .observer_numbers
            .entry(observer)
            .or_insert_with_key(|observer| {
                observers.push((observer.clone(), digest(observer)));
                next
            })
    }

    /// The observer of a number, and its digest.
    pub fn observer(&self, number: u32) -> &(Observer, u64) {
        &self.observers[number as usize]
    }

    /// What the observer knows after these facts.
    pub fn see(&mut self, observer: u32, facts: u32, bounds: &Bounds) -> u32 {
        if let Some(&after) = self.seen.get(&(observer, facts)) {
            return after;
        }
        let mut after = self.observer(observer).0.clone();
        for fact in &self.facts[facts as usize] {
            after.see(fact, bounds);
        }
        after.prune();
        let after = self.number_observer(after);
        self.seen.insert((observer, facts), after);
        after
    }

    /// The observer when only the learner goes on.
    pub fn settle(&mut self, observer: u32) -> u32 {
        if let Some(&settled) = self.settled.get(&observer) {
            return settled;
        }
        let settled = self.observer(observer).0.settled();
        let settled = self.number_observer(settled);
        self.settled.insert(observer, settled);
        settled
    }

    /// What this process does with this input; nothing when that is of no interest.
    pub fn step(
        &mut self,
        bounds: &Bounds,
        index: usize,
        process: u32,
        input: u16,
    ) -> Option<&Known> {
        if !self.steps.contains_key(&(process, input)) {
            let known = self.compute(bounds, index, process, input);
            if known.is_none() && input < CRASH - 64 {
                self.dull[process as usize].insert(input);
            }
            self.steps.insert((process, input), known);
        }
        self.steps[&(process, input)].as_ref()
    }

    fn compute(
        &mut self,
        bounds: &Bounds,
        index: usize,
        process: u32,
        input: u16,
    ) -> Option<Known> {
        let before = &self.processes[process as usize].0;
        let input = match input {
            TIME => Input::Time,
            SYNC => Input::Sync,
            crash if crash > CRASH - 64 => Input::Crash((CRASH - crash) as u8),
            parcel => Input::Hear(&self.parcels[usize::from(parcel)].0),
        };
        let step = before.step(bounds, index, &input)?;
        let after = self.number_process(step.after);
        let mut sent = Parcels::NONE;
        for parcel in step.sent {
            sent.insert(self.number_parcel(parcel));
        }
        if after == process && sent == Parcels::NONE && step.facts.is_empty() {
            return None;
        }
        let facts = (!step.facts.is_empty()).then(|| {
            self.facts.push(step.facts);
            self.facts.len() as u32 - 1
        });
        Some(Known { after, sent, facts })
    }
}
