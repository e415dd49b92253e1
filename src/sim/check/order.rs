//! The one log that every learner must deliver, derived from the chosen batches.
//!
//! The session rule once more, on its own and in its plainest form: no index by
//! age, no early forgetting, only what the documents promise. A value counts if
//! its number is the last of its session plus one. A session is alive while its
//! last progress lies within its lifetime. One that is not alive is opened by its
//! first value, if that value's birth is no older than the oldest session can be;
//! and when there are too many, the oldest ends.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::Delivered;
use crate::protocol::value::runs;
use crate::protocol::{Instance, Session, Settings};

/// The log so far, and what it says about each session.
#[derive(Clone, Debug)]
pub(super) struct Order {
    lifetime: u64,
    most: usize,
    log: Vec<Delivered>,
    alive: BTreeMap<Session, Alive>,
    /// No session whose last progress lies below is alive.
    oldest: u64,
    /// How far each session ever came.
    furthest: BTreeMap<Session, u64>,
    /// Sessions of which something was refused.
    refused: BTreeSet<Session>,
}

/// A session that is alive.
#[derive(Clone, Debug, Default)]
struct Alive {
    last: u64,
    /// The instance of its last progress.
    at: u64,
    unfinished: BytesMut,
}

impl Order {
    /// An empty log.
    pub(super) fn new(settings: &Settings) -> Order {
        Order {
            lifetime: settings.lifetime,
            most: settings.sessions,
            log: Vec::new(),
            alive: BTreeMap::new(),
            oldest: 0,
            furthest: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// All values, in their order.
    pub(super) fn log(&self) -> &[Delivered] {
        &self.log
    }

    /// How far a session ever came.
    pub(super) fn furthest(&self, session: Session) -> u64 {
        self.furthest.get(&session).copied().unwrap_or(0)
    }

    /// Whether something of a session was refused because it had ended.
    pub(super) fn is_refused(&self, session: Session) -> bool {
        self.refused.contains(&session)
    }

    /// How many sessions of this client had something refused.
    pub(super) fn refused_of(&self, client: u16) -> usize {
        let of = |session: &&Session| session.client == client;
        self.refused.iter().filter(of).count()
    }

    /// How many sessions were opened by clients that had one before.
    pub(super) fn renewed(&self) -> usize {
        let clients: BTreeSet<u16> = self.furthest.keys().map(|session| session.client).collect();
        self.furthest.len() - clients.len()
    }

    /// How many sessions had something refused.
    pub(super) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// The next batch of the log. Says which values it brought.
    pub(super) fn extend(&mut self, instance: Instance, batch: &Bytes) -> Range<usize> {
        let before = self.log.len();
        for run in runs(batch) {
            self.end_below(instance.0.saturating_sub(self.lifetime));
            let session = run.session;
            if !self.alive.contains_key(&session) {
                if !(self.oldest..instance.0).contains(&run.birth.0) {
                    self.refused.insert(session);
                    continue;
                }
                if run.first != 1 {
                    continue;
                }
                if self.alive.len() >= self.most {
                    let oldest = self.alive.values().map(|alive| alive.at).min();
                    self.end_below(oldest.map_or(0, |oldest| oldest + 1));
                }
            }
            let alive = self.alive.entry(session).or_default();
            if alive.last == 0 || (run.first..=run.last()).contains(&(alive.last + 1)) {
                alive.at = instance.0;
            }
            for (number, item) in (run.first..).zip(run.items()) {
                if number != alive.last + 1 {
                    continue;
                }
                alive.last = number;
                alive.unfinished.extend_from_slice(&item.bytes);
                if item.continues {
                    continue;
                }
                self.log.push(Delivered {
                    instance,
                    session,
                    number,
                    value: alive.unfinished.split().freeze(),
                });
            }
            self.furthest.insert(session, alive.last);
        }
        before..self.log.len()
    }

    /// Ends every session whose last progress lies below.
    fn end_below(&mut self, oldest: u64) {
        self.oldest = self.oldest.max(oldest);
        self.alive.retain(|_, alive| alive.at >= self.oldest);
    }
}
