//! The keys with their values, and every sum over them, kept together.
//!
//! Whatever changes an entry goes through [`Keyspace::put`], [`Keyspace::change`]
//! or [`Keyspace::remove`], so the bytes in use, the deadlines and the digest
//! always belong to what is there.
//!
//! # Two ways in
//!
//! A key is *found* by a hash table, see [`Seats`]. Keys are *walked* by their birth,
//! a number that each key gets when it is created: the same at every replica, and no
//! walk ever sees the table's order. A birth also makes a cursor that stays good while keys
//! come and go, for what is created during a walk comes last. The table says only
//! where a key has its seat among the [`Rows`], which lie in the order of births and
//! can be frozen.
//!
//! # Versions of what is not there
//!
//! A key that is not there has a version too, or somebody who watches one could
//! not tell that it came and went. To remember every key that ever was would be
//! too much; so keys share [`GRAVES`] graves, each with the place of its last
//! burial. Who watches a key that is not there may so be told of another's end,
//! and tries again; that its own is missed never happens.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::limits::Limits;
use super::reply::Refusal;
use super::rows::{FrozenRows, Row, Rows, Seat};
use super::seats::{Seats, Unseated};
use super::value::Value;
use crate::protocol::checksum;
use crate::protocol::digest::mix;
use crate::service::Place;

/// How many keys that are not there are told apart, by their checksums.
const GRAVES: u32 = 1024;

/// All keys.
#[derive(Clone, Debug, Default)]
pub struct Keyspace {
    seats: Seats,
    rows: Rows,
    deadlines: BTreeSet<(NonZeroU64, u64)>,
    /// The birth of the latest key.
    born: u64,
    bytes: usize,
    sum: u64,
    /// Where a key of each grave was removed last.
    graves: BTreeMap<u32, Place>,
    graves_sum: u64,
}

/// The keys as they were at some moment, and what is told of them in a snapshot.
#[derive(Clone, Debug)]
pub struct FrozenKeys {
    rows: FrozenRows,
    graves: BTreeMap<u32, Place>,
    born: u64,
    keys: usize,
}

/// Equal are those with equal keys, wherever they have their seats.
impl PartialEq for Keyspace {
    fn eq(&self, other: &Keyspace) -> bool {
        let Keyspace {
            seats: _,
            rows,
            deadlines,
            born,
            bytes,
            sum,
            graves,
            graves_sum,
        } = self;
        (born, bytes, sum, graves_sum) == (&other.born, &other.bytes, &other.sum, &other.graves_sum)
            && *rows == other.rows
            && *deadlines == other.deadlines
            && *graves == other.graves
    }
}

impl Eq for Keyspace {}

/// What belongs to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    value: Value,
    /// The value's checksum, so that changing anything else need not read it.
    checksum: u32,
    /// The key's.
    key_checksum: u32,
    version: Place,
    birth: u64,
    deadline: Option<NonZeroU64>,
}

impl Entry {
    /// One that is new, or that is as it was.
    pub fn new(
        key: &[u8],
        value: &[u8],
        version: Place,
        birth: u64,
        deadline: Option<NonZeroU64>,
    ) -> Entry {
        Entry {
            value: Value::new(value),
            checksum: checksum::of(value),
            key_checksum: checksum::of(key),
            version,
            birth,
            deadline,
        }
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Where it was changed last.
    pub fn version(&self) -> Place {
        self.version
    }

    /// Which key of all it is that was ever created.
    pub fn birth(&self) -> u64 {
        self.birth
    }

    /// When its time is over, in milliseconds since 1970.
    pub fn deadline(&self) -> Option<NonZeroU64> {
        self.deadline
    }

    /// Whether it is still there at this time.
    pub fn lives_at(&self, time: u64) -> bool {
        self.deadline.is_none_or(|deadline| deadline.get() > time)
    }

    /// Replaces the value.
    pub fn set_value(&mut self, value: &[u8]) {
        self.value.set(value);
        self.checksum = checksum::of(value);
    }

    /// Adds to the value's end.
    pub fn append(&mut self, more: &[u8]) {
        self.value.append(more);
        self.checksum = checksum::append(self.checksum, more);
    }

    /// What this entry adds to the digest.
    fn fingerprint(&self, key: &[u8]) -> u64 {
        [
            u64::from(self.key_checksum) << 32 | u64::from(self.checksum),
            self.value.len() as u64,
            self.version.0,
            self.birth,
            self.deadline.map_or(0, NonZeroU64::get),
        ]
        .into_iter()
        .fold(key.len() as u64, mix)
    }

    fn bytes(&self, key: &[u8]) -> usize {
        key.len() + self.value.len() + Limits::OVERHEAD
    }
}

/// The grave of a key.
fn grave(key: &[u8]) -> u32 {
    checksum::of(key) % GRAVES
}

/// Whether there is such a grave.
pub fn is_grave(grave: u32) -> bool {
    grave < GRAVES
}

impl Keyspace {
    /// What is there under this key, whether or not its time is over.
    pub fn find(&self, key: &[u8]) -> Option<&Entry> {
        self.seat(key).map(|seat| self.at(seat))
    }

    /// Where to find it again, for as long as it is not removed.
    pub fn seat(&self, key: &[u8]) -> Option<Seat> {
        self.seats.find(key)
    }

    /// What is there in a seat.
    pub fn at(&self, seat: Seat) -> &Entry {
        &self.rows.at(seat).entry
    }

    /// How many keys are there, those whose time is over among them.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Bytes in use, as they count towards the limit.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many keys have a time to live.
    pub fn mortal(&self) -> usize {
        self.deadlines.len()
    }

    /// How many keys are there whose time is over.
    pub fn dead_at(&self, time: u64) -> usize {
        self.due(time).count()
    }

    /// The keys' part of the digest; does not depend on any order.
    pub fn digest(&self) -> u64 {
        [self.seats.len() as u64, self.born, self.graves_sum]
            .into_iter()
            .fold(self.sum, mix)
    }

    /// Whether so many more keys and bytes are within the limits.
    ///
    /// # Errors
    ///
    /// When they are not.
    pub fn room(&self, limits: &Limits, keys: usize, bytes: usize) -> Result<(), Refusal> {
        let full = self.seats.len() + keys > limits.keys || self.bytes + bytes > limits.bytes;
        if full { Err(Refusal::Full) } else { Ok(()) }
    }

    /// Creates a key, which must not be there.
    pub fn put(&mut self, key: &[u8], value: &[u8], version: Place, deadline: Option<NonZeroU64>) {
        let entry = Entry::new(key, value, version, self.born + 1, deadline);
        self.add_up(key, &entry);
        let rows = &mut self.rows;
        let new = self.seats.insert(key, |key| rows.add(Row { key, entry }));
        assert!(new, "a key was created twice");
    }

    /// Puts an entry back as it was, whose birth must be above all others'. Its key is
    /// found when it has its seat, see [`Keyspace::seat_all`].
    pub fn revive(&mut self, key: &[u8], entry: Entry, unseated: &mut Unseated) {
        self.add_up(key, &entry);
        let key = Arc::from(key);
        let row = Row {
            key: Arc::clone(&key),
            entry,
        };
        unseated.add(key, self.rows.add(row));
    }

    /// Gives keys that were put back their seats; calls `rest` now and then. Says whether
    /// each was there once; if not, this must not be used.
    pub fn seat_all(&mut self, unseated: Unseated, rest: &mut dyn FnMut()) -> bool {
        self.seats.insert_all(unseated, rest)
    }

    /// Counts a new entry in.
    fn add_up(&mut self, key: &[u8], entry: &Entry) {
        self.born = self.born.max(entry.birth);
        self.bytes += entry.bytes(key);
        self.sum = self.sum.wrapping_add(entry.fingerprint(key));
        if let Some(deadline) = entry.deadline {
            self.deadlines.insert((deadline, entry.birth));
        }
    }

    /// So many keys were created, whether or not they are still there.
    pub fn set_born(&mut self, born: u64) {
        self.born = self.born.max(born);
    }

    /// Changes what is there under a key, if anything is; it is of `version` then.
    pub fn change<T>(
        &mut self,
        key: &[u8],
        version: Place,
        change: impl FnOnce(&mut Entry, &mut Option<NonZeroU64>) -> T,
    ) -> Option<T> {
        let seat = self.seat(key)?;
        Some(self.change_at(seat, key, version, change))
    }

    /// Changes what is there under a key, in its seat; it is of `version` then.
    pub fn change_at<T>(
        &mut self,
        seat: Seat,
        key: &[u8],
        version: Place,
        change: impl FnOnce(&mut Entry, &mut Option<NonZeroU64>) -> T,
    ) -> T {
        let entry = self.rows.entry_mut(seat);
        self.bytes -= entry.bytes(key);
        self.sum = self.sum.wrapping_sub(entry.fingerprint(key));
        let mut deadline = entry.deadline;
        let outcome = change(entry, &mut deadline);
        if deadline != entry.deadline {
            if let Some(old) = entry.deadline {
                self.deadlines.remove(&(old, entry.birth));
            }
            if let Some(new) = deadline {
                self.deadlines.insert((new, entry.birth));
            }
            entry.deadline = deadline;
        }
        entry.version = version;
        self.bytes += entry.bytes(key);
        self.sum = self.sum.wrapping_add(entry.fingerprint(key));
        outcome
    }

    /// A number that differs whenever the key has changed meanwhile, by coming,
    /// going, or otherwise.
    pub fn version(&self, key: &[u8], time: u64) -> u64 {
        match self.find(key) {
            Some(entry) if entry.lives_at(time) => 2 * entry.version.0 + 1,
            Some(dead) => 2 * dead.version.0,
            None => 2 * self.graves.get(&grave(key)).map_or(0, |place| place.0),
        }
    }

    /// Something was buried there, at this place.
    pub fn bury(&mut self, grave: u32, place: Place) {
        let fingerprint = |place: Place| mix(u64::from(grave) + 1, place.0);
        if let Some(before) = self.graves.insert(grave, place) {
            self.graves_sum = self.graves_sum.wrapping_sub(fingerprint(before));
        }
        self.graves_sum = self.graves_sum.wrapping_add(fingerprint(place));
    }

    /// Takes a key away; gives what was there.
    pub fn remove(&mut self, key: &[u8], place: Place) -> Option<Entry> {
        let seat = self.seats.remove(key)?;
        let entry = self.rows.take(seat).entry;
        self.bury(grave(key), place);
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, entry.birth));
        }
        self.bytes -= entry.bytes(key);
        self.sum = self.sum.wrapping_sub(entry.fingerprint(key));
        Some(entry)
    }

    /// Takes all keys away; births go on from where they are.
    pub fn clear(&mut self, place: Place) {
        *self = Keyspace {
            born: self.born,
            ..Keyspace::default()
        };
        for grave in 0..GRAVES {
            self.bury(grave, place);
        }
    }

    /// The births of keys whose time is over.
    fn due(&self, time: u64) -> impl Iterator<Item = u64> + '_ {
        let last = NonZeroU64::new(time).map(|time| (time, u64::MAX));
        last.map(|last| self.deadlines.range(..=last))
            .into_iter()
            .flatten()
            .map(|(_, birth)| *birth)
    }

    /// Removes keys whose time is over, at most so many.
    pub fn sweep(&mut self, time: u64, most: usize, place: Place) {
        for _ in 0..most {
            let Some(birth) = self.due(time).next() else {
                return;
            };
            let key = self.rows.born(birth).map(Arc::clone);
            let key = key.expect("a deadline is a key's");
            self.remove(&key, place);
        }
    }

    /// Walks over the keys from this birth on until told to stop; says what it
    /// was stopped with.
    pub fn walk<'a, T>(
        &'a self,
        from: u64,
        mut visit: impl FnMut(&'a [u8], &'a Entry) -> ControlFlow<T>,
    ) -> Option<T> {
        self.rows.walk(from, |row| visit(&row.key, &row.entry))
    }

    /// The keys as they are now.
    pub fn freeze(&self) -> FrozenKeys {
        FrozenKeys {
            rows: self.rows.freeze(),
            graves: self.graves.clone(),
            born: self.born,
            keys: self.len(),
        }
    }
}

impl FrozenKeys {
    /// How many keys are there.
    pub fn len(&self) -> usize {
        self.keys
    }

    /// The birth of the latest key that was ever created.
    pub fn born(&self) -> u64 {
        self.born
    }

    /// Where something was buried last, grave by grave.
    pub fn graves(&self) -> impl Iterator<Item = (u32, Place)> + '_ {
        self.graves.iter().map(|(grave, place)| (*grave, *place))
    }

    /// Calls `visit` with every key, in the order of their births.
    pub fn each(&self, visit: &mut dyn FnMut(&[u8], &Entry)) {
        self.rows.each(&mut |row| visit(&row.key, &row.entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(time: u64) -> Option<NonZeroU64> {
        NonZeroU64::new(time)
    }

    #[test]
    fn what_comes_and_goes_leaves_nothing_but_the_count_of_births() {
        let mut keys = Keyspace::default();
        for n in 0..100u64 {
            let key = n.to_string();
            keys.put(key.as_bytes(), &[7; 30], Place(n), deadline(n));
            keys.change(key.as_bytes(), Place(n + 1), |entry, deadline| {
                entry.append(b"more");
                *deadline = NonZeroU64::new(1000 + n);
            });
        }
        assert_eq!((keys.len(), keys.mortal()), (100, 100));
        assert_eq!(keys.bytes(), 10 + 90 * 2 + 100 * (34 + Limits::OVERHEAD));
        assert_eq!(keys.dead_at(1009), 10);
        keys.sweep(1009, 4, Place(200));
        assert_eq!((keys.len(), keys.dead_at(1009)), (96, 6));
        keys.sweep(u64::MAX, 1000, Place(200));
        let mut empty = Keyspace::default();
        empty.set_born(100);
        for (grave, place) in &keys.graves {
            empty.bury(*grave, *place);
        }
        assert!(empty.graves.len() > 50);
        assert_eq!(keys, empty);
        assert_eq!(keys.digest(), empty.digest());
    }

    #[test]
    fn every_part_of_an_entry_is_in_the_digest() {
        let make = |key: &[u8], value: &[u8], version, birth, end| {
            let mut keys = Keyspace::default();
            let entry = Entry::new(key, value, Place(version), birth, deadline(end));
            let mut unseated = Unseated::with_room(1);
            keys.revive(key, entry, &mut unseated);
            assert!(keys.seat_all(unseated, &mut || {}));
            keys.set_born(9);
            keys.digest()
        };
        let all = [
            make(b"k", b"v", 1, 1, 0),
            make(b"l", b"v", 1, 1, 0),
            make(b"k", b"w", 1, 1, 0),
            make(b"k", b"", 1, 1, 0),
            make(b"k", b"v", 2, 1, 0),
            make(b"k", b"v", 1, 2, 0),
            make(b"k", b"v", 1, 1, 5),
            Keyspace::default().digest(),
        ];
        let distinct: BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn a_walk_goes_on_where_it_stopped_though_keys_come_and_go() {
        let mut keys = Keyspace::default();
        for n in 0..10u8 {
            keys.put(&[n], b"", Place(1), None);
        }
        let mut seen = Vec::new();
        let mut from = 0;
        loop {
            let mut left = 3;
            let stopped = keys.walk(from, |key, entry| {
                if left == 0 {
                    return ControlFlow::Break(entry.birth());
                }
                left -= 1;
                seen.push(key[0]);
                ControlFlow::Continue(())
            });
            let Some(next) = stopped else { break };
            from = next;
            // One that was seen goes, the one that comes next goes, one comes back.
            keys.remove(&[0], Place(2));
            keys.remove(&[3], Place(2));
            if keys.find(&[1]).is_none() {
                keys.put(&[1], b"", Place(2), None);
            }
        }
        assert_eq!(seen, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    }
}
