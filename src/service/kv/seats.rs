//! Finds a key's seat: a hash table whose seed is chance, so that nobody can prepare
//! keys that collide, and over which nobody ever walks.
//!
//! A hash table that is full is copied to one of twice the size, all at once: with ten
//! million keys that takes a second, in which nothing is answered. So it is [`PARTS`]
//! small tables, each of which grows for itself. A key's part follows from a checksum
//! that anybody can calculate; whoever brings all keys into one part gets a single
//! table, which is what all others would have had.
//!
//! Ten million keys that come one by one miss the caches at every one. Where all come
//! together ([`Unseated`]) they are brought to one small table after the other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::rows::Seat;
use crate::protocol::checksum;

/// How many tables.
const PARTS: usize = 256;

/// Keys that are given their seats without a rest.
const RUN: usize = 256;

/// All keys' seats.
#[derive(Clone, Debug)]
pub struct Seats {
    parts: Box<[HashMap<Arc<[u8]>, Seat>]>,
    /// Keys in all.
    keys: usize,
}

/// Keys with their seats that cannot be found yet, part by part.
#[derive(Debug)]
pub struct Unseated {
    parts: Vec<Vec<(Arc<[u8]>, Seat)>>,
}

impl Unseated {
    /// None, with room for about so many.
    pub fn with_room(keys: usize) -> Unseated {
        let room = keys / PARTS + keys / PARTS / 16;
        Unseated {
            parts: (0..PARTS).map(|_| Vec::with_capacity(room)).collect(),
        }
    }

    /// Adds one.
    pub fn add(&mut self, key: Arc<[u8]>, seat: Seat) {
        self.parts[part(&key)].push((key, seat));
    }
}

impl Default for Seats {
    fn default() -> Seats {
        Seats {
            parts: (0..PARTS).map(|_| HashMap::new()).collect(),
            keys: 0,
        }
    }
}

fn part(key: &[u8]) -> usize {
    checksum::of(key) as usize % PARTS
}

impl Seats {
    /// How many keys have one.
    pub fn len(&self) -> usize {
        self.keys
    }

    /// The seat of a key.
    pub fn find(&self, key: &[u8]) -> Option<Seat> {
        self.parts[part(key)].get(key).copied()
    }

    /// Gives a key that has none the seat that `seat` finds for it; says whether it
    /// had none.
    pub fn insert(&mut self, key: &[u8], seat: impl FnOnce(Arc<[u8]>) -> Seat) -> bool {
        let Entry::Vacant(place) = self.parts[part(key)].entry(Arc::from(key)) else {
            return false;
        };
        let key = Arc::clone(place.key());
        place.insert(seat(key));
        self.keys += 1;
        true
    }

    /// Takes a key's seat away.
    pub fn remove(&mut self, key: &[u8]) -> Option<Seat> {
        let seat = self.parts[part(key)].remove(key)?;
        self.keys -= 1;
        Some(seat)
    }

    /// Gives all these keys their seats; calls `rest` now and then. Says whether none of
    /// them had one.
    pub fn insert_all(&mut self, keys: Unseated, rest: &mut dyn FnMut()) -> bool {
        let before = self.keys;
        let mut came = 0;
        for (table, part) in self.parts.iter_mut().zip(keys.parts) {
            came += part.len();
            let had = table.len();
            table.reserve(part.len());
            for (number, (key, seat)) in part.into_iter().enumerate() {
                if number % RUN == 0 {
                    rest();
                }
                table.insert(key, seat);
            }
            self.keys += table.len() - had;
        }
        self.keys == before + came
    }
}
