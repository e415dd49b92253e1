//! The gateways: which run of each is the current one, when it was heard last, and what
//! those attached to it have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::{Gateway, SessionId};
use super::limits::Limits;
use super::session::print;
use crate::protocol::digest::mix;
use crate::service::Place;

/// All gateways that were ever heard; there are no more than numbers for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gateways {
    rows: BTreeMap<u16, Arc<Run>>,
    sum: u64,
    /// Those whose run is not over, by when they were heard last.
    heard: BTreeSet<(u64, u16)>,
}

/// The latest run of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Its number.
    pub run: u64,
    /// Whether it is over; another one has not begun yet.
    pub over: bool,
    /// When it was heard last.
    pub heard: u64,
    /// Everyone attached to it was sent all through here …
    pub seen: Place,
    /// … but these, who were sent less.
    pub except: BTreeMap<SessionId, Place>,
    /// What the exceptions add to the digest.
    #[serde(skip)]
    sealed: u64,
}

impl Run {
    fn new(run: u64, heard: u64) -> Run {
        let mut row = Run {
            run,
            over: false,
            heard,
            seen: Place::ZERO,
            except: BTreeMap::new(),
            sealed: 0,
        };
        row.seal();
        row
    }

    fn seal(&mut self) {
        self.sealed = match self.except.is_empty() {
            true => 0,
            false => print(&self.except),
        };
    }

    fn print(&self, id: u16) -> u64 {
        [
            self.run,
            u64::from(self.over),
            self.heard,
            self.seen.0,
            self.sealed,
        ]
        .into_iter()
        .fold(u64::from(id), mix)
    }
}

impl Gateways {
    /// A gateway says something. Tells whether that run of it is current, and not over.
    pub fn hear(&mut self, gateway: Gateway, now: u64) -> bool {
        match self.rows.get(&gateway.id) {
            None => {
                self.put(gateway.id, Run::new(gateway.run, now));
                true
            }
            Some(row) if row.run != gateway.run || row.over => false,
            Some(row) if row.heard == now => true,
            Some(_) => {
                self.change(gateway.id, |row| row.heard = now);
                true
            }
        }
    }

    /// Whether a run is current, and not over.
    pub fn current(&self, gateway: Gateway) -> bool {
        let row = self.rows.get(&gateway.id);
        row.is_some_and(|row| row.run == gateway.run && !row.over)
    }

    /// The run of a gateway that began last.
    pub fn run(&self, id: u16) -> Option<u64> {
        self.rows.get(&id).map(|row| row.run)
    }

    /// The run that is over when this one begins.
    pub fn ended_by(&self, gateway: Gateway) -> Option<Gateway> {
        let row = self.rows.get(&gateway.id)?;
        let ends = row.run != gateway.run && !row.over;
        ends.then_some(Gateway {
            id: gateway.id,
            run: row.run,
        })
    }

    /// A gateway begins a run; none that it had before comes back.
    pub fn begin(&mut self, gateway: Gateway, now: u64) {
        let row = self.rows.get(&gateway.id);
        if row.is_none_or(|row| row.run != gateway.run) {
            self.put(gateway.id, Run::new(gateway.run, now));
        }
    }

    /// The one that was silent for longest, if that is too long.
    pub fn silent(&self, now: u64) -> Option<Gateway> {
        let (heard, id) = *self.heard.first()?;
        let silent = now.saturating_sub(heard) > Limits::SILENCE;
        let run = self.rows.get(&id)?.run;
        silent.then_some(Gateway { id, run })
    }

    /// A run is over.
    pub fn end(&mut self, gateway: Gateway) {
        self.change(gateway.id, |row| {
            if row.run == gateway.run {
                row.over = true;
                row.except.clear();
                row.seal();
            }
        });
    }

    /// What those attached to a run have seen.
    pub fn tick(&mut self, gateway: Gateway, seen: Place, except: BTreeMap<SessionId, Place>) {
        self.change(gateway.id, |row| {
            row.seen = row.seen.max(seen);
            row.except = except;
            row.seal();
        });
    }

    /// What everyone attached to a run has seen, and what somebody has who has seen
    /// less.
    pub fn seen(&self, gateway: Gateway, id: SessionId) -> (Place, Option<Place>) {
        match self.rows.get(&gateway.id) {
            Some(row) if row.run == gateway.run => (row.seen, row.except.get(&id).copied()),
            _ => (Place::ZERO, None),
        }
    }

    /// Somebody is attached to a run no more.
    pub fn forget(&mut self, gateway: Gateway, id: SessionId) {
        if self.seen(gateway, id).1.is_some() {
            self.change(gateway.id, |row| {
                row.except.remove(&id);
                row.seal();
            });
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u16, &Arc<Run>)> {
        self.rows.iter().map(|(id, row)| (*id, row))
    }

    /// Their share of the digest.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// This is the run of a gateway now.
    pub fn put(&mut self, id: u16, mut run: Run) {
        if let Some(old) = self.rows.remove(&id) {
            self.sum = self.sum.wrapping_sub(old.print(id));
            self.heard.remove(&(old.heard, id));
        }
        run.seal();
        self.sum = self.sum.wrapping_add(run.print(id));
        if !run.over {
            self.heard.insert((run.heard, id));
        }
        self.rows.insert(id, Arc::new(run));
    }

    fn change(&mut self, id: u16, change: impl FnOnce(&mut Run)) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        self.heard.remove(&(row.heard, id));
        self.sum = self.sum.wrapping_sub(row.print(id));
        change(Arc::make_mut(row));
        self.sum = self.sum.wrapping_add(row.print(id));
        if !row.over {
            self.heard.insert((row.heard, id));
        }
    }
}
