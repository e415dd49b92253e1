//! What each operation does to the keys.
//!
//! Everything here is a function of the state, the operation and its place; what
//! cannot be done changes nothing and says why.

use std::num::NonZeroU64;
use std::ops::ControlFlow;

use super::Store;
use super::command::{Answer, Condition, Deadline, ExpireCondition, Lifetime, Operation, Unit};
use super::glob::{self, Steps};
use super::keyspace::Entry;
use super::limits::Limits;
use super::number::{self, LONGEST};
use super::reply::{Refusal, Reply};
use super::rows::Seat;
use super::text::Text;
use crate::service::Place;

/// A value that an operation replaced or took away, and its reply still shows.
#[derive(Debug, Default)]
pub struct Relic(Option<Vec<u8>>);

/// What an operation may still cost.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Steps of searching.
    pub steps: Steps,
    /// Bytes of replies.
    pub bytes: usize,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance {
            steps: Steps(Limits::STEPS),
            bytes: Limits::REPLY,
        }
    }
}

/// An answer, or why there is none.
type Outcome<'a> = Result<Reply<'a>, Refusal>;

impl Store {
    /// What is there under a key now.
    fn alive(&self, key: &[u8]) -> Option<&Entry> {
        self.alive_at(self.keys.seat(key))
    }

    /// What is there in a seat now.
    fn alive_at(&self, seat: Option<Seat>) -> Option<&Entry> {
        let entry = self.keys.at(seat?);
        entry.lives_at(self.time.now()).then_some(entry)
    }

    /// A number that differs whenever a key has changed meanwhile.
    pub(super) fn version(&self, key: &[u8]) -> u64 {
        self.keys.version(key, self.time.now())
    }

    /// Whether what an operation reads can end by the mere passing of time.
    pub(super) fn is_mortal(&self, operation: &Operation<'_>) -> bool {
        let mortal = |key: &Text<'_>| {
            let entry = self.keys.find(key.0);
            entry.is_some_and(|entry| entry.deadline().is_some())
        };
        match operation {
            Operation::Get { key }
            | Operation::Length { key }
            | Operation::TimeToLive { key, .. }
            | Operation::Kind { key } => mortal(key),
            Operation::Exists { keys }
            | Operation::GetMany { keys }
            | Operation::Versions { keys } => keys.iter().any(mortal),
            _ => self.keys.mortal() > 0,
        }
    }

    /// Answers an operation that only reads.
    pub(super) fn answer<'a>(
        &'a self,
        operation: &Operation<'_>,
        allowance: &mut Allowance,
    ) -> Outcome<'a> {
        let steps = &mut allowance.steps;
        Ok(match operation {
            Operation::Get { key } => self.value(*key),
            Operation::Exists { keys } => {
                let there = keys.iter().filter(|key| self.alive(key.0).is_some());
                Reply::Integer(there.count() as i64)
            }
            Operation::Length { key } => Reply::Integer(self.length(*key) as i64),
            Operation::GetMany { keys } => {
                // Counted first: a key named often would make a list beyond all bounds.
                let bytes: usize = keys.iter().map(|key| self.length(*key)).sum();
                if bytes > allowance.bytes {
                    return Err(Refusal::LongReply);
                }
                Reply::List(keys.iter().map(|key| self.value(*key)).collect())
            }
            Operation::TimeToLive { key, unit } => self.time_to_live(*key, *unit),
            Operation::Keys { pattern } => return self.matching(*pattern, steps),
            Operation::Scan {
                cursor,
                pattern,
                count,
            } => return self.scan(*cursor, *pattern, *count, steps),
            Operation::Count => {
                let dead = self.keys.dead_at(self.time.now());
                steps.take(dead as u64).map_err(|_| Refusal::LongSearch)?;
                Reply::Integer((self.keys.len() - dead) as i64)
            }
            Operation::Kind { key } => Reply::Word(match self.alive(key.0) {
                Some(_) => Text(b"string"),
                None => Text(b"none"),
            }),
            Operation::Versions { keys } => {
                let version = |key: &Text<'_>| Reply::Integer(self.version(key.0) as i64);
                Reply::List(keys.iter().map(version).collect())
            }
            _ => return Err(Refusal::Malformed),
        })
    }

    fn value(&self, key: Text<'_>) -> Reply<'_> {
        match self.alive(key.0) {
            Some(entry) => Reply::Text(Text(entry.value())),
            None => Reply::Nil,
        }
    }

    fn length(&self, key: Text<'_>) -> usize {
        self.alive(key.0).map_or(0, |entry| entry.value().len())
    }

    fn time_to_live(&self, key: Text<'_>, unit: Unit) -> Reply<'static> {
        const NONE: i64 = -2;
        const FOREVER: i64 = -1;
        Reply::Integer(match self.alive(key.0).map(Entry::deadline) {
            None => NONE,
            Some(None) => FOREVER,
            Some(Some(end)) => {
                let left = end.get() - self.time.now();
                (match unit {
                    Unit::Seconds => left.saturating_add(500) / 1000,
                    Unit::Milliseconds => left,
                    Unit::EndSeconds => end.get().saturating_add(500) / 1000,
                    Unit::EndMilliseconds => end.get(),
                }) as i64
            }
        })
    }

    fn matching(&self, pattern: Text<'_>, steps: &mut Steps) -> Outcome<'_> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let refused = self.keys.walk(0, |key, entry| {
            let fits = match glob::matches(pattern.0, key, steps) {
                Ok(fits) => fits && entry.lives_at(self.time.now()),
                Err(_) => return ControlFlow::Break(Refusal::LongSearch),
            };
            if fits {
                found.push(Reply::Text(Text(key)));
                bytes += key.len() + 16;
            }
            match bytes > Limits::REPLY {
                true => ControlFlow::Break(Refusal::LongReply),
                false => ControlFlow::Continue(()),
            }
        });
        refused.map_or(Ok(Reply::List(found)), Err)
    }

    fn scan(
        &self,
        cursor: u64,
        pattern: Option<Text<'_>>,
        count: u32,
        steps: &mut Steps,
    ) -> Outcome<'_> {
        /// Bytes of keys that one call tells before it stops early.
        const PLENTY: usize = 1 << 20;
        let most = count.clamp(1, Limits::SCAN);
        let mut left = most;
        let mut found = Vec::new();
        let mut bytes = 0;
        let next = self.keys.walk(cursor, |key, entry| {
            if left == 0 || bytes > PLENTY {
                return ControlFlow::Break(Ok(entry.birth()));
            }
            left -= 1;
            let pattern = pattern.map_or(&b"*"[..], |pattern| pattern.0);
            match glob::matches(pattern, key, steps) {
                Ok(true) if entry.lives_at(self.time.now()) => {
                    found.push(Reply::Text(Text(key)));
                    bytes += key.len();
                }
                Ok(_) => {}
                // A pattern that no single key can be compared with gets nowhere.
                Err(_) if left + 1 == most => {
                    return ControlFlow::Break(Err(Refusal::LongSearch));
                }
                Err(_) => return ControlFlow::Break(Ok(entry.birth())),
            }
            ControlFlow::Continue(())
        });
        let next = next.unwrap_or(Ok(0))?;
        Ok(Reply::List(vec![Reply::Cursor(next), Reply::List(found)]))
    }

    /// Does an operation that changes something.
    pub(super) fn carry_out<'a>(
        &'a mut self,
        place: Place,
        operation: &Operation<'_>,
        allowance: &Allowance,
        relic: &'a mut Relic,
    ) -> Outcome<'a> {
        match operation {
            Operation::Set {
                key,
                value,
                condition,
                lifetime,
                answer,
            } => {
                if *answer == Answer::Previous {
                    relic.keep(self.alive(key.0), allowance)?;
                }
                let done = self.set(place, *key, *value, *condition, *lifetime)?;
                Ok(match (answer, done) {
                    (Answer::Flag, done) => Reply::Integer(i64::from(done)),
                    (Answer::Status, true) => Reply::Done,
                    (Answer::Status, false) => Reply::Nil,
                    (Answer::Previous, _) => relic.show(),
                })
            }
            Operation::Delete { keys } => {
                let gone = keys.iter().filter(|key| self.take(key.0, place).is_some());
                Ok(Reply::Integer(gone.count() as i64))
            }
            Operation::Add { key, by } => self.add(place, *key, *by),
            Operation::Append { key, value } => self.append(place, *key, *value),
            Operation::SetMany { pairs, absent } => self.set_many(place, pairs, *absent),
            Operation::Take { key } => {
                relic.keep(self.alive(key.0), allowance)?;
                self.take(key.0, place);
                Ok(relic.show())
            }
            Operation::Expire {
                key,
                deadline,
                condition,
            } => self.expire(place, *key, *deadline, *condition),
            Operation::Persist { key } => {
                let mortal = self.alive(key.0).is_some_and(|e| e.deadline().is_some());
                if mortal {
                    self.keys
                        .change(key.0, place, |_, deadline| *deadline = None);
                }
                Ok(Reply::Integer(i64::from(mortal)))
            }
            Operation::Flush => {
                self.keys.clear(place);
                Ok(Reply::Done)
            }
            _ => Err(Refusal::Malformed),
        }
    }

    /// Takes a key away; gives what was there, if its time was not over.
    fn take(&mut self, key: &[u8], place: Place) -> Option<Entry> {
        let entry = self.keys.remove(key, place)?;
        entry.lives_at(self.time.now()).then_some(entry)
    }

    /// The moment that a deadline means, or none if it lies beyond all times. One
    /// that is over lies at 1, when nothing lived.
    fn moment(&self, deadline: Deadline) -> Result<NonZeroU64, Refusal> {
        let end = match deadline {
            Deadline::In(left) => (self.time.now() as i64).checked_add(left),
            Deadline::At(end) => Some(end),
        };
        let end = end.ok_or(Refusal::Lifetime)?.max(1) as u64;
        Ok(NonZeroU64::new(end).expect("at least 1"))
    }

    fn check(key: Text<'_>, value: usize) -> Result<(), Refusal> {
        if key.0.len() > Limits::KEY {
            return Err(Refusal::LongKey);
        }
        if value > Limits::VALUE {
            return Err(Refusal::LongValue);
        }
        Ok(())
    }

    /// Whether it is done.
    fn set(
        &mut self,
        place: Place,
        key: Text<'_>,
        value: Text<'_>,
        condition: Condition,
        lifetime: Lifetime,
    ) -> Result<bool, Refusal> {
        Self::check(key, value.0.len())?;
        let until = match lifetime {
            Lifetime::Until(deadline) => Some(self.moment(deadline)?),
            Lifetime::Forever | Lifetime::Keep => None,
        };
        let there = || self.alive(key.0).is_some();
        let wanted = match condition {
            Condition::Always => true,
            Condition::Absent => !there(),
            Condition::Present => there(),
        };
        if !wanted {
            return Ok(false);
        }
        // A new key has nothing to keep.
        let keep = lifetime == Lifetime::Keep;
        if until.is_some_and(|until| until.get() <= self.time.now()) {
            self.keys.remove(key.0, place);
            return Ok(true);
        }
        self.write(place, key.0, value.0, |deadline| {
            if !keep {
                *deadline = until;
            }
        })?;
        Ok(true)
    }

    /// Writes a value, over one that is there, or as a new key.
    fn write(
        &mut self,
        place: Place,
        key: &[u8],
        value: &[u8],
        end: impl FnOnce(&mut Option<NonZeroU64>),
    ) -> Result<(), Refusal> {
        self.write_at(self.keys.seat(key), place, key, value, end)
    }

    /// [`Store::write`], where the key's seat is known already.
    fn write_at(
        &mut self,
        seat: Option<Seat>,
        place: Place,
        key: &[u8],
        value: &[u8],
        end: impl FnOnce(&mut Option<NonZeroU64>),
    ) -> Result<(), Refusal> {
        let time = self.time.now();
        match seat.map(|seat| (seat, self.keys.at(seat))) {
            Some((seat, entry)) if entry.lives_at(time) => {
                let more = value.len().saturating_sub(entry.value().len());
                if more > 0 {
                    self.keys.room(&self.limits, 0, more)?;
                }
                self.keys.change_at(seat, key, place, |entry, deadline| {
                    entry.set_value(value);
                    end(deadline);
                });
            }
            found => {
                if found.is_some() {
                    self.keys.remove(key, place);
                }
                let bytes = key.len() + value.len() + Limits::OVERHEAD;
                self.keys.room(&self.limits, 1, bytes)?;
                let mut deadline = None;
                end(&mut deadline);
                self.keys.put(key, value, place, deadline);
            }
        }
        Ok(())
    }

    fn add(&mut self, place: Place, key: Text<'_>, by: i64) -> Outcome<'static> {
        Self::check(key, LONGEST)?;
        let seat = self.keys.seat(key.0);
        let before = match self.alive_at(seat) {
            Some(entry) => number::parse(entry.value()).ok_or(Refusal::NotAnInteger)?,
            None => 0,
        };
        let sum = before.checked_add(by).ok_or(Refusal::Overflow)?;
        let mut space = [0; LONGEST];
        let digits = number::write(sum, &mut space);
        self.write_at(seat, place, key.0, digits, |_| {})?;
        Ok(Reply::Integer(sum))
    }

    fn append(&mut self, place: Place, key: Text<'_>, more: Text<'_>) -> Outcome<'static> {
        let length = self.length(key) + more.0.len();
        Self::check(key, length)?;
        if self.alive(key.0).is_some() {
            self.keys.room(&self.limits, 0, more.0.len())?;
            self.keys
                .change(key.0, place, |entry, _| entry.append(more.0));
        } else {
            self.write(place, key.0, more.0, |_| {})?;
        }
        Ok(Reply::Integer(length as i64))
    }

    fn set_many(
        &mut self,
        place: Place,
        pairs: &[(Text<'_>, Text<'_>)],
        absent: bool,
    ) -> Outcome<'static> {
        let mut bytes = 0;
        for (key, value) in pairs {
            Self::check(*key, value.0.len())?;
            bytes += key.0.len() + value.0.len() + Limits::OVERHEAD;
        }
        if absent && pairs.iter().any(|(key, _)| self.alive(key.0).is_some()) {
            return Ok(Reply::Integer(0));
        }
        // As if all of them were new; then none can be refused on the way.
        self.keys.room(&self.limits, pairs.len(), bytes)?;
        for (key, value) in pairs {
            self.write(place, key.0, value.0, |deadline| *deadline = None)?;
        }
        Ok(match absent {
            true => Reply::Integer(1),
            false => Reply::Done,
        })
    }

    fn expire(
        &mut self,
        place: Place,
        key: Text<'_>,
        deadline: Deadline,
        condition: ExpireCondition,
    ) -> Outcome<'static> {
        let end = self.moment(deadline)?;
        let Some(before) = self.alive(key.0).map(Entry::deadline) else {
            return Ok(Reply::Integer(0));
        };
        let wanted = match condition {
            ExpireCondition::Always => true,
            ExpireCondition::Absent => before.is_none(),
            ExpireCondition::Present => before.is_some(),
            ExpireCondition::Later => before.is_some_and(|before| end > before),
            ExpireCondition::Sooner => before.is_none_or(|before| end < before),
            ExpireCondition::PresentSooner => before.is_some_and(|before| end < before),
        };
        if wanted && end.get() <= self.time.now() {
            self.keys.remove(key.0, place);
        } else if wanted {
            self.keys
                .change(key.0, place, |_, deadline| *deadline = Some(end));
        }
        Ok(Reply::Integer(i64::from(wanted)))
    }
}

impl Relic {
    /// Keeps a value that is about to go; if there is no telling it, nothing goes.
    fn keep(&mut self, entry: Option<&Entry>, allowance: &Allowance) -> Result<(), Refusal> {
        if entry.is_some_and(|entry| entry.value().len() > allowance.bytes) {
            return Err(Refusal::LongReply);
        }
        self.0 = entry.map(|entry| entry.value().to_vec());
        Ok(())
    }

    fn show(&self) -> Reply<'_> {
        match &self.0 {
            Some(value) => Reply::Text(Text(value)),
            None => Reply::Nil,
        }
    }
}
