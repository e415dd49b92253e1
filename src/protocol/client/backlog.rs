//! What waits to be sent, and how it is cut into items.
//!
//! A value is cut the moment it comes, into the datagrams that it will leave in: so it is
//! copied once. The last of them takes more values until it leaves.
//!
//! A value larger than a datagram begins in whatever room the one before it has
//! left. Cut by itself it would take one datagram more than it fills: with values
//! a little larger than a datagram every second one would be nearly empty.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::value::Items;
use crate::protocol::{Item, Time};

/// Values in the order in which they were submitted.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    /// How many bytes the items of one datagram have together.
    limit: usize,
    /// One for each datagram.
    loads: VecDeque<Waiting>,
    /// Bytes of all of them.
    bytes: usize,
    /// The first load begins with what is left of a value that was sent in part.
    midway: bool,
}

/// A load that takes more.
#[derive(Clone, Debug)]
struct Waiting {
    items: BytesMut,
    count: u32,
    values: u64,
    /// Bytes that it counts for.
    bytes: usize,
    submitted: Time,
    /// The last value goes on in the next load.
    continues: bool,
}

/// Items for one datagram.
#[derive(Debug)]
pub(super) struct Load {
    /// The items, encoded.
    pub(super) items: Bytes,
    /// How many, at least 1.
    pub(super) count: u32,
    /// How many values end in them.
    pub(super) values: u64,
    /// When the first value of which there is anything was submitted.
    pub(super) submitted: Time,
}

impl Backlog {
    /// A value begins in a datagram with others in it only if this part of the
    /// datagram is free: many small pieces would cost more than they fill.
    const LEAST_ROOM: usize = 16;

    /// How much more memory a load takes when it grows: most have one value for ever, or
    /// get full.
    const GROWTH: usize = 16;

    /// With nothing in it, for datagrams with so many bytes of items.
    pub(super) fn new(limit: usize) -> Backlog {
        Backlog {
            limit,
            loads: VecDeque::new(),
            bytes: 0,
            midway: false,
        }
    }

    /// Takes a value in.
    pub(super) fn push(&mut self, value: &[u8], submitted: Time) {
        let mut rest = value;
        loop {
            let whole = rest.len() + Item::OVERHEAD;
            let room = match self.loads.back() {
                Some(load) => self.limit - load.items.len(),
                None => 0,
            };
            if whole <= room {
                self.append(false, rest);
                return;
            }
            if whole > self.limit && room > self.limit / Self::LEAST_ROOM {
                let (piece, behind) = rest.split_at(room - Item::OVERHEAD);
                self.append(!mutant(Mutant::PieceEndsValue), piece);
                rest = behind;
            }
            // Where there are loads already, this one will get full, too.
            let busy = !self.loads.is_empty();
            let capacity = if busy {
                self.limit
            } else {
                whole.min(self.limit)
            };
            self.loads.push_back(Waiting {
                items: BytesMut::with_capacity(capacity),
                count: 0,
                values: 0,
                bytes: 0,
                submitted,
                continues: false,
            });
        }
    }

    /// Appends an item to the last load, which has room for it.
    fn append(&mut self, continues: bool, bytes: &[u8]) {
        let load = self.loads.back_mut().expect("a load with room");
        let before = load.items.len();
        let more = bytes.len() + Item::OVERHEAD;
        if load.items.capacity() - before < more {
            let growth = more.max(before * Self::GROWTH);
            load.items.reserve(growth.min(self.limit - before));
        }
        Item::encode(continues, bytes, &mut load.items);
        load.count += 1;
        load.values += u64::from(!continues);
        load.continues = continues;
        // Many short values must not count for less than they may take.
        load.bytes += more;
        self.bytes += more;
    }

    /// Takes out what leaves in the next datagram, if there is anything.
    pub(super) fn take(&mut self) -> Option<Load> {
        let load = self.loads.pop_front()?;
        self.bytes -= load.bytes;
        self.midway = load.continues;
        Some(Load {
            items: load.items.freeze(),
            count: load.count,
            values: load.values,
            submitted: load.submitted,
        })
    }

    /// Whether a value was sent in part.
    pub(super) fn is_midway(&self) -> bool {
        self.midway
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.loads.is_empty()
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes wait, counted anew.
    pub(super) fn count_bytes(&self) -> usize {
        let items = |load: &Waiting| Items::new(Bytes::copy_from_slice(&load.items), load.count);
        let weight = |item: Item| item.bytes.len() + Item::OVERHEAD;
        self.loads.iter().flat_map(items).map(weight).sum()
    }

    /// How many bytes wait at most where none are added from `enough` on, and no value
    /// is larger than `largest`.
    pub(super) fn most_bytes(&self, enough: usize, largest: usize) -> usize {
        let pieces = largest / (self.limit - Item::OVERHEAD) + 2;
        enough + largest + pieces * Item::OVERHEAD
    }

    /// Gives up what is left of a value that was sent in part.
    pub(super) fn drop_rest(&mut self) {
        if std::mem::take(&mut self.midway) {
            let mut values = self.unpack().into_iter();
            values.next().expect("there is a rest");
            for (value, submitted) in values {
                self.push(&value, submitted);
            }
        }
    }

    /// Gives up all values of which nothing was sent.
    pub(super) fn drop_unsent(&mut self) {
        if !self.midway {
            (self.bytes, self.loads) = (0, VecDeque::new());
            return;
        }
        let values = self.unpack();
        let (rest, submitted) = &values[0];
        self.push(rest, *submitted);
    }

    /// Takes out everything, value by value. What leaves in one datagram counts as
    /// submitted together.
    fn unpack(&mut self) -> Vec<(BytesMut, Time)> {
        let mut values = Vec::new();
        let mut part = None;
        self.bytes = 0;
        for load in self.loads.drain(..) {
            for item in Items::new(load.items.freeze(), load.count) {
                let (value, _): &mut (BytesMut, Time) =
                    part.get_or_insert_with(|| (BytesMut::new(), load.submitted));
                value.extend_from_slice(&item.bytes);
                if !item.continues {
                    values.extend(part.take());
                }
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Instance, Payload, Run, Session};

    const LIMIT: usize = 1_000;

    fn items(load: &Load) -> Vec<Item> {
        let run = Run {
            session: Session {
                client: 1,
                incarnation: 5,
            },
            birth: Instance::ZERO,
            first: 1,
            count: load.count,
            items: Payload::new(load.items.clone()),
        };
        run.items().collect()
    }

    /// Takes everything out of values of these sizes: what each datagram has, as
    /// the sizes of its items, those that continue with a minus.
    fn cut(sizes: &[usize]) -> Vec<Vec<i64>> {
        let mut backlog = Backlog::new(LIMIT);
        for (number, &size) in sizes.iter().enumerate() {
            let byte = u8::try_from(number).unwrap();
            backlog.push(&vec![byte; size], Time::ZERO);
        }
        let mut loads = Vec::new();
        let mut whole: Vec<Vec<u8>> = vec![Vec::new()];
        while let Some(load) = backlog.take() {
            assert!(load.items.len() <= LIMIT);
            assert_eq!(backlog.bytes(), backlog.count_bytes());
            let items: Vec<Item> = items(&load);
            assert_eq!(items.len() as u32, load.count);
            let mut sizes = Vec::new();
            for item in &items {
                let size = item.bytes.len() as i64;
                sizes.push(if item.continues { -size } else { size });
                whole.last_mut().unwrap().extend_from_slice(&item.bytes);
                if !item.continues {
                    whole.push(Vec::new());
                }
            }
            let ended = items.iter().filter(|item| !item.continues).count();
            assert_eq!(ended as u64, load.values);
            assert_eq!(backlog.is_midway(), items.last().unwrap().continues);
            loads.push(sizes);
        }
        assert!(backlog.is_empty() && whole.pop().unwrap().is_empty());
        for (number, (value, size)) in whole.iter().zip(sizes).enumerate() {
            assert!(value.len() == *size && value.iter().all(|&it| usize::from(it) == number));
        }
        assert_eq!(whole.len(), sizes.len());
        loads
    }

    #[test]
    fn what_fits_a_datagram_is_never_cut() {
        let loads = cut(&[300, 300, 300, 300, 0, 900]);
        assert_eq!(loads, [vec![300, 300, 300], vec![300, 0], vec![900]]);
    }

    #[test]
    fn large_values_leave_no_room_between_them() {
        let full = (LIMIT - Item::OVERHEAD) as i64;
        let loads = cut(&[1_020; 20]);
        assert_eq!(loads[0], [-full]);
        assert_eq!(loads[1][0], 1_020 - full);
        assert!(loads.len() <= 22, "{loads:?}");
    }

    #[test]
    fn a_large_value_does_not_begin_where_hardly_anything_fits() {
        let loads = cut(&[950, 3_000]);
        assert_eq!(loads[0], [950]);
        assert_eq!(loads.len(), 5, "{loads:?}");
    }

    #[test]
    fn only_what_was_begun_is_left_where_the_rest_is_taken_back() {
        let mut backlog = Backlog::new(LIMIT);
        for _ in 0..3 {
            backlog.push(&[7; 1_500], Time::ZERO);
        }
        backlog.take().unwrap();
        backlog.drop_unsent();
        assert_eq!(backlog.take().unwrap().values, 1);
        assert!(backlog.is_empty() && !backlog.is_midway());
    }

    #[test]
    fn the_rest_of_what_was_begun_is_dropped_alone() {
        let mut backlog = Backlog::new(LIMIT);
        backlog.push(&[7; 1_500], Time::ZERO);
        backlog.push(&[8; 10], Time::ZERO);
        backlog.take().unwrap();
        backlog.drop_rest();
        backlog.drop_rest();
        let load = backlog.take().unwrap();
        let items: Vec<Item> = items(&load);
        assert_eq!((items.len(), items[0].bytes.len()), (1, 10));
        assert_eq!(backlog.bytes(), 0);
    }
}
