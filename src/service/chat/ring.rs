//! Rings: the latest of what happened somewhere, in order.
//!
//! A ring has room for so many events and bytes; what does not fit any more is dropped
//! at its old end, and the ring remembers how far, so that nobody takes what is left
//! for all there was.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::effect::Event;
use super::limits::Limits;
use crate::protocol::digest::mix;
use crate::service::Place;

/// A moment of the chat: an effect of the command at a place, counted from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct At {
    /// The place.
    pub place: Place,
    /// Which effect there.
    pub index: u16,
}

impl At {
    /// The first moment of a place.
    pub fn first(place: Place) -> At {
        At { place, index: 0 }
    }

    /// The last moment of a place.
    pub fn last(place: Place) -> At {
        At {
            place,
            index: u16::MAX,
        }
    }
}

/// What tells kept events apart: the moment, and whether it is the whole event or the
/// short form of it that is kept for the others.
pub type Key = (At, bool);

/// An event that is kept, in as many rings as it concerns.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What happened.
    pub event: Arc<Event>,
    /// Whether nothing was left out of it that the others need not have.
    pub whole: bool,
    /// Bytes that it takes, about.
    pub weight: u32,
    /// What it adds to a digest.
    pub print: u64,
}

impl Kept {
    /// What an event takes beside its encoding, about.
    const OVERHEAD: usize = 192;

    /// One that is to be kept.
    pub fn new(event: Arc<Event>, whole: bool) -> Kept {
        let bytes = postcard::to_stdvec(&*event).expect("writing to memory cannot fail");
        let print = mix(
            u64::from(crate::protocol::checksum::of(&bytes)),
            bytes.len() as u64,
        );
        Kept {
            event,
            whole,
            weight: u32::try_from(bytes.len() + Self::OVERHEAD).unwrap_or(u32::MAX),
            print: mix(print, u64::from(whole)),
        }
    }

    /// When it happened.
    pub fn at(&self) -> At {
        At {
            place: self.event.place,
            index: self.event.index,
        }
    }

    /// What it is found by.
    pub fn key(&self) -> Key {
        (self.at(), self.whole)
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Kept) -> bool {
        self.key() == other.key() && self.print == other.print && self.event == other.event
    }
}

impl Eq for Kept {}

/// The latest events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    kept: VecDeque<Kept>,
    bytes: usize,
    sum: u64,
    /// The last moment of which something was dropped.
    dropped: At,
}

impl Ring {
    /// As it was written down.
    pub fn revive(kept: VecDeque<Kept>, dropped: At) -> Ring {
        let (mut bytes, mut sum) = (0, 0_u64);
        for one in &kept {
            bytes += one.weight as usize;
            sum = sum.wrapping_add(one.print);
        }
        Ring {
            kept,
            bytes,
            sum,
            dropped,
        }
    }

    /// Adds the latest; whoever adds goes on to shorten it.
    pub fn push(&mut self, kept: Kept) {
        self.bytes += kept.weight as usize;
        self.sum = self.sum.wrapping_add(kept.print);
        self.kept.push_back(kept);
    }

    /// Drops the oldest, if there are more than so many, or more bytes than any ring
    /// may have.
    pub fn shorten(&mut self, most: usize) -> Option<Kept> {
        (self.kept.len() > most || self.bytes > Limits::RING)
            .then(|| self.drop_first())
            .flatten()
    }

    /// Drops the oldest.
    pub fn drop_first(&mut self) -> Option<Kept> {
        let first = self.kept.pop_front()?;
        self.bytes -= first.weight as usize;
        self.sum = self.sum.wrapping_sub(first.print);
        self.dropped = self.dropped.max(first.at());
        Some(first)
    }

    /// The oldest.
    pub fn first(&self) -> Option<&Kept> {
        self.kept.front()
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Kept> + ExactSizeIterator {
        self.kept.iter()
    }

    /// Those from one moment through another.
    pub fn range(&self, from: At, through: At) -> impl DoubleEndedIterator<Item = &Kept> {
        let start = self.kept.partition_point(|kept| kept.at() < from);
        let end = self.kept.partition_point(|kept| kept.at() <= through);
        self.kept.range(start..end.max(start))
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Bytes of all, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last moment of which something was dropped: all that is later is here.
    pub fn dropped(&self) -> At {
        self.dropped
    }

    /// What it adds to a digest.
    pub fn print(&self) -> u64 {
        let dropped = mix(self.dropped.place.0, u64::from(self.dropped.index));
        mix(mix(self.sum, self.kept.len() as u64), dropped)
    }
}
