//! Reads that wait until the state is recent enough to answer them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::protocol::{Instance, Time};
use crate::service::Place;

/// Reads, in batches: all that came before the same round wait for it together.
#[derive(Clone, Debug)]
pub(super) struct Questions<T> {
    batches: VecDeque<Batch<T>>,
    /// Those that the state is recent enough for.
    ready: VecDeque<(T, Bytes)>,
    /// Bytes of all questions.
    bytes: usize,
    count: usize,
}

/// Reads that one round serves, or that wait for one place.
#[derive(Clone, Debug)]
struct Batch<T> {
    need: Need,
    since: Time,
    questions: Vec<(T, Bytes)>,
}

/// What a read waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The end of a round.
    Round(u64),
    /// That everything through here is applied.
    Applied(Instance),
    /// That the command of this place is.
    Reached(Place),
}

impl<T> Questions<T> {
    /// What a question weighs beside its bytes.
    const WEIGHT: usize = 64;

    pub(super) fn new() -> Questions<T> {
        Questions {
            batches: VecDeque::new(),
            ready: VecDeque::new(),
            bytes: 0,
            count: 0,
        }
    }

    /// Takes a question in.
    pub(super) fn push(&mut self, need: Need, now: Time, ticket: T, question: Bytes) {
        self.bytes += question.len() + Self::WEIGHT;
        self.count += 1;
        match self.batches.back_mut() {
            Some(last) if last.need == need => last.questions.push((ticket, question)),
            _ => self.batches.push_back(Batch {
                need,
                since: now,
                questions: vec![(ticket, question)],
            }),
        }
    }

    /// A round has told how far the log had come when it began.
    pub(super) fn confirm(&mut self, round: u64, through: Instance) {
        for batch in &mut self.batches {
            if matches!(batch.need, Need::Round(of) if of <= round) {
                batch.need = Need::Applied(through);
            }
        }
    }

    /// The state has everything through this instance and this place.
    pub(super) fn reach(&mut self, applied: Instance, reached: Place) {
        let can = |batch: &Batch<T>| match batch.need {
            Need::Round(_) => false,
            Need::Applied(at) => at <= applied,
            Need::Reached(at) => at <= reached,
        };
        if self.batches.iter().any(can) {
            let taken = self.take(can);
            self.ready.extend(taken);
        }
    }

    /// The next question that can be answered now.
    pub(super) fn next_ready(&mut self) -> Option<(T, Bytes)> {
        let (ticket, question) = self.ready.pop_front()?;
        self.bytes -= question.len() + Self::WEIGHT;
        self.count -= 1;
        Some((ticket, question))
    }

    /// Whether there is one.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The questions that came no later than this.
    pub(super) fn give_up(&mut self, asked: Time) -> Vec<(T, Bytes)> {
        let taken = self.take(|batch| batch.since <= asked);
        for (_, question) in &taken {
            self.bytes -= question.len() + Self::WEIGHT;
            self.count -= 1;
        }
        taken
    }

    fn take(&mut self, which: impl Fn(&Batch<T>) -> bool) -> Vec<(T, Bytes)> {
        let mut taken = Vec::new();
        self.batches.retain_mut(|batch| {
            let taking = which(batch);
            if taking {
                taken.append(&mut batch.questions);
            }
            !taking
        });
        taken
    }

    /// Since when the oldest waits.
    pub(super) fn since(&self) -> Option<Time> {
        self.batches.iter().map(|batch| batch.since).min()
    }

    /// Bytes that all of them hold, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }
}
