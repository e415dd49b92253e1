//! What waits to be sent, and how it is cut into items.
//!
//! A value larger than a datagram begins in whatever room the one before it has
//! left. Cut by itself it would take one datagram more than it fills: with values
//! a little larger than a datagram every second one would be nearly empty.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Item, Time};

/// Values in the order in which they were submitted.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog {
    values: VecDeque<Waiting>,
    bytes: usize,
    /// The first value is what is left of one that was sent in part.
    midway: bool,
}

#[derive(Clone, Debug)]
struct Waiting {
    bytes: Bytes,
    submitted: Time,
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

    /// Takes a value in.
    pub(super) fn push(&mut self, bytes: Bytes, submitted: Time) {
        self.bytes += bytes.len() + Item::OVERHEAD;
        self.values.push_back(Waiting { bytes, submitted });
    }

    /// Takes out as much as `limit` bytes of items hold, if there is anything.
    pub(super) fn take(&mut self, limit: usize) -> Option<Load> {
        let submitted = self.values.front()?.submitted;
        let mut items = BytesMut::with_capacity(limit.min(self.bytes));
        let (mut count, mut values) = (0, 0);
        while let Some(value) = self.values.front_mut() {
            let room = limit - items.len();
            let whole = value.bytes.len() + Item::OVERHEAD;
            if whole <= room {
                Item::encode(false, &value.bytes, &mut items);
                self.bytes -= whole;
                self.values.pop_front();
                self.midway = false;
                values += 1;
            } else if whole > limit && room > limit / Self::LEAST_ROOM {
                let piece = value.bytes.split_to(room - Item::OVERHEAD);
                let continues = !mutant(Mutant::PieceEndsValue);
                Item::encode(continues, &piece, &mut items);
                self.bytes -= piece.len();
                self.midway = continues;
                values += u64::from(!continues);
            } else {
                break;
            }
            count += 1;
        }
        Some(Load {
            items: items.freeze(),
            count,
            values,
            submitted,
        })
    }

    /// Whether a value was sent in part.
    pub(super) fn is_midway(&self) -> bool {
        self.midway
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes wait, counted anew.
    pub(super) fn count_bytes(&self) -> usize {
        let waiting = self.values.iter();
        waiting.map(|it| it.bytes.len() + Item::OVERHEAD).sum()
    }

    /// Gives up what is left of a value that was sent in part.
    pub(super) fn drop_rest(&mut self) {
        if std::mem::take(&mut self.midway) {
            let rest = self.values.pop_front().expect("there is a rest");
            self.bytes -= rest.bytes.len() + Item::OVERHEAD;
        }
    }

    /// Gives up all values of which nothing was sent.
    pub(super) fn drop_unsent(&mut self) {
        self.values.truncate(usize::from(self.midway));
        self.bytes = self.count_bytes();
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
        let mut backlog = Backlog::default();
        for (number, &size) in sizes.iter().enumerate() {
            let byte = u8::try_from(number).unwrap();
            backlog.push(vec![byte; size].into(), Time::ZERO);
        }
        let mut loads = Vec::new();
        let mut whole: Vec<Vec<u8>> = vec![Vec::new()];
        while let Some(load) = backlog.take(LIMIT) {
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
        let mut backlog = Backlog::default();
        for _ in 0..3 {
            backlog.push(vec![7; 1_500].into(), Time::ZERO);
        }
        backlog.take(LIMIT).unwrap();
        backlog.drop_unsent();
        assert_eq!(backlog.take(LIMIT).unwrap().values, 1);
        assert!(backlog.is_empty() && !backlog.is_midway());
    }

    #[test]
    fn the_rest_of_what_was_begun_is_dropped_alone() {
        let mut backlog = Backlog::default();
        backlog.push(vec![7; 1_500].into(), Time::ZERO);
        backlog.push(vec![8; 10].into(), Time::ZERO);
        backlog.take(LIMIT).unwrap();
        backlog.drop_rest();
        backlog.drop_rest();
        let load = backlog.take(LIMIT).unwrap();
        let items: Vec<Item> = items(&load);
        assert_eq!((items.len(), items[0].bytes.len()), (1, 10));
        assert_eq!(backlog.bytes(), 0);
    }
}
