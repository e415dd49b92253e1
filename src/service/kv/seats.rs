//! Finds a key's seat: a hash table whose seed is chance, so that nobody can prepare
//! keys that collide, and over which nobody ever walks.
//!
//! A hash table that is full is copied to one of twice the size, all at once: with ten
//! million keys that takes a second, in which nothing is answered. So it is [`PARTS`]
//! small tables, each of which grows for itself. A key's part follows from a checksum
//! that anybody can calculate; whoever brings all keys into one part gets a single
//! table, which is what all others would have had.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::rows::Seat;

/// How many tables.
const PARTS: usize = 256;

/// All keys' seats.
#[derive(Clone, Debug)]
pub struct Seats {
    parts: Box<[HashMap<Arc<[u8]>, Seat>]>,
    /// Keys in all.
    keys: usize,
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
    crc32c::crc32c(key) as usize % PARTS
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

    /// Sets room aside for so many more keys.
    pub fn reserve(&mut self, keys: usize) {
        for part in &mut self.parts {
            part.reserve(keys.div_ceil(PARTS));
        }
    }
}
