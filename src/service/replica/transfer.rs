//! A checkpoint from another replica, for one that comes too late for the log.
//!
//! Once a quorum of the acceptors has forgotten what a replica needs next, it asks
//! all replicas for a checkpoint ([`Message::Behind`]); those that have a later one
//! say so ([`Message::Offer`]); it takes the latest, and fetches it from its owner
//! a window at a time ([`Message::Fetch`], [`Message::Piece`]). Only one window is
//! under way, and not faster than [`Fetching::PACE`]: the others are busy with
//! clients, and a burst would cost them more than it gains here.
//!
//! Whatever does not come in time is asked for again, and after a few times in vain
//! everybody is asked anew, whereupon what is there already is kept if the same
//! checkpoint is offered.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::protocol::checksum;
use crate::protocol::jitter::Jitter;
use crate::protocol::{Instance, Message, ProcessId, Time};

/// A checkpoint somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The last instance in it.
    pub through: Instance,
    /// Its bytes.
    pub length: u64,
    /// CRC-32C over all of them.
    pub checksum: u32,
}

/// A part of a checkpoint that another replica asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who.
    pub to: ProcessId,
    /// Of which checkpoint.
    pub through: Instance,
    /// Where the part begins.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u32,
}

/// The search for a checkpoint, and the way it comes here.
#[derive(Clone, Debug)]
pub(super) struct Fetching {
    /// What could not be had from the log when the search began.
    lacking: Instance,
    /// The best offer so far.
    offer: Option<(ProcessId, Kept)>,
    /// Whether pieces are asked for, not offers.
    fetching: bool,
    /// What came in full, from the beginning on.
    content: BytesMut,
    /// The window that comes now, and which of its bytes are there.
    window: BytesMut,
    arrived: Vec<(usize, usize)>,
    /// When to ask (again), and how often it was in vain.
    ask_at: Time,
    in_vain: u32,
    /// When the next window may begin.
    paced_until: Time,
    /// Bytes of a window.
    most: usize,
}

/// A checkpoint on its way from the last piece to the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transit {
    /// There is none.
    None,
    /// All of it is here.
    Arrived(ProcessId, Bytes),
    /// The world is opening it.
    Opening,
}

/// What became of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    Going,
    /// All is there, and it is what was offered.
    Complete(Instance, Bytes),
}

impl Fetching {
    /// Bytes a second, at most.
    const PACE: u64 = 256 << 20;

    /// Bytes of a window, at most; it must fit the socket buffer too.
    pub(super) const WINDOW: usize = 1 << 20;

    /// How often the same window is asked for before somebody else is.
    const PATIENCE: u32 = 8;

    /// How long to wait for a better offer.
    const CHOICE: Duration = Duration::from_millis(20);

    /// The search begins, for want of this instance. `buffer`: bytes of the socket's
    /// receive buffer as the kernel counts them.
    pub(super) fn new(now: Time, lacking: Instance, buffer: u32) -> Fetching {
        Fetching {
            lacking,
            offer: None,
            fetching: false,
            content: BytesMut::new(),
            window: BytesMut::new(),
            arrived: Vec::new(),
            ask_at: now,
            in_vain: 0,
            paced_until: now,
            most: (buffer as usize / 4).clamp(16 << 10, Self::WINDOW),
        }
    }

    /// Whether the log had it after all: an acceptor that was out of reach is back.
    pub(super) fn is_idle(&self, applied: Instance) -> bool {
        applied >= self.lacking
    }

    /// When there is something to ask.
    pub(super) fn next_timeout(&self) -> Time {
        self.ask_at
    }

    /// What is to be asked now, and whom: one, or everybody.
    pub(super) fn ask(
        &mut self,
        now: Time,
        delivered: Instance,
        jitter: &mut Jitter,
        repropose: (Duration, Duration),
    ) -> Option<(Option<ProcessId>, Message)> {
        if self.ask_at > now {
            return None;
        }
        let wait = jitter.between(repropose.0, repropose.1);
        self.ask_at = now + wait;
        if let Some((from, kept)) = self.offer {
            if self.in_vain < Self::PATIENCE {
                self.fetching = true;
                self.in_vain += 1;
                return Some((Some(from), self.request(kept)));
            }
            log::info!("{from} does not send its checkpoint any more; asking everybody again");
            self.offer = None;
            self.fetching = false;
        }
        Some((None, Message::Behind { delivered }))
    }

    /// Asks for what is lacking of the window.
    fn request(&mut self, kept: Kept) -> Message {
        let offset = self.content.len() as u64;
        let length = (kept.length - offset).min(self.most as u64) as usize;
        if self.window.len() != length {
            self.window.resize(length, 0);
            self.arrived.clear();
        }
        let (from, to) = self.gap();
        Message::Fetch {
            through: kept.through,
            offset: offset + from as u64,
            bytes: (to - from) as u32,
        }
    }

    /// From the first byte of the window that is lacking to the next that is there.
    fn gap(&self) -> (usize, usize) {
        let end = self.window.len();
        match self.arrived[..] {
            [] => (0, end),
            [(0, to), (next, _), ..] => (to, next),
            [(0, to)] => (to, end),
            [(from, _), ..] => (0, from),
        }
    }

    /// Somebody has a checkpoint.
    pub(super) fn consider(&mut self, now: Time, from: ProcessId, kept: Kept, delivered: Instance) {
        if kept.through <= delivered || kept.length == 0 {
            return;
        }
        if self.fetching {
            // The owner has it no more, and says what it has instead.
            let outdated = |(owner, old): (ProcessId, Kept)| owner == from && old != kept;
            if !self.offer.is_some_and(outdated) {
                return;
            }
        } else if self
            .offer
            .is_some_and(|(_, best)| kept.through <= best.through)
        {
            return;
        }
        let same = self.offer.is_some_and(|(_, old)| old == kept);
        if self.offer.is_none() || self.fetching {
            self.ask_at = now + Self::CHOICE;
        }
        if !same {
            self.content.clear();
            self.window.clear();
            self.arrived.clear();
        }
        self.fetching = false;
        self.in_vain = 0;
        self.offer = Some((from, kept));
    }

    /// A piece came in.
    pub(super) fn take(
        &mut self,
        now: Time,
        from: ProcessId,
        through: Instance,
        offset: u64,
        bytes: &Bytes,
    ) -> Progress {
        let Some((owner, kept)) = self.offer.filter(|_| self.fetching) else {
            return Progress::Going;
        };
        let start = offset.checked_sub(self.content.len() as u64);
        let place = start.and_then(|start| usize::try_from(start).ok());
        let Some(place) = place.filter(|_| owner == from && kept.through == through) else {
            return Progress::Going;
        };
        let Some(to) = place
            .checked_add(bytes.len())
            .filter(|&to| to <= self.window.len() && to > place)
        else {
            return Progress::Going;
        };
        self.window[place..to].copy_from_slice(bytes);
        self.cover(place, to);
        self.in_vain = 0;
        if self.arrived != [(0, self.window.len())] {
            return Progress::Going;
        }
        self.content.extend_from_slice(&self.window);
        let nanos = self.window.len() as u64 * 1_000_000_000 / Self::PACE;
        self.paced_until = self.paced_until.max(now) + Duration::from_nanos(nanos);
        self.window.clear();
        self.arrived.clear();
        self.ask_at = self.paced_until;
        if (self.content.len() as u64) < kept.length {
            return Progress::Going;
        }
        let content = std::mem::take(&mut self.content).freeze();
        if checksum::of(&content) != kept.checksum {
            log::warn!(
                "the checkpoint through {through} from {from} was damaged on its way; fetching it again"
            );
            self.offer = None;
            self.fetching = false;
            return Progress::Going;
        }
        Progress::Complete(through, content)
    }

    /// These bytes of the window are there.
    fn cover(&mut self, mut from: usize, mut to: usize) {
        self.arrived.retain(|&(low, high)| {
            let apart = high < from || to < low;
            if !apart {
                from = from.min(low);
                to = to.max(high);
            }
            apart
        });
        let index = self.arrived.partition_point(|&(low, _)| low < from);
        self.arrived.insert(index, (from, to));
    }
}
