//! All sessions, and the ways to find one.
//!
//! Whatever changes a session goes through here, so every index and the digest belong
//! to what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::command::{Gateway, Seat, SessionId};
use super::name::fold;
use super::session::{Presence, Session};
use crate::service::Place;

/// By what somebody can come back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WayBack {
    /// The folded name of an account.
    Account(String),
    /// The digest of a secret.
    Token([u8; 32]),
}

impl WayBack {
    /// The ways that somebody has.
    pub fn all(account: Option<&str>, token: Option<[u8; 32]>) -> impl Iterator<Item = WayBack> {
        let account = account.map(|account| WayBack::Account(fold(account)));
        account.into_iter().chain(token.map(WayBack::Token))
    }
}

/// All sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sessions {
    rows: BTreeMap<SessionId, Arc<Session>>,
    sum: u64,
    nicks: BTreeMap<String, SessionId>,
    seats: BTreeMap<Seat, SessionId>,
    /// Those that are attached to nothing, by when nobody waits for them any more.
    waiting: BTreeSet<(u64, SessionId)>,
    /// Those of them with an account, by it and by when they went.
    by_account: BTreeSet<(String, Place, SessionId)>,
    /// All of them, by the ways back to them.
    keys: BTreeSet<(WayBack, SessionId)>,
    invisible: usize,
    /// How many are attached to each gateway; none to those that are not here.
    attached: BTreeMap<u16, usize>,
}

impl Sessions {
    /// One of them.
    pub fn find(&self, id: SessionId) -> Option<&Session> {
        self.rows.get(&id).map(|session| &**session)
    }

    /// Who has this nick, in whatever case.
    pub fn by_nick(&self, nick: &str) -> Option<SessionId> {
        self.nicks.get(&fold(nick)).copied()
    }

    /// Who is attached to this connection.
    pub fn by_seat(&self, seat: Seat) -> Option<SessionId> {
        self.seats.get(&seat).copied()
    }

    /// Those attached to a run of a gateway.
    pub fn at(&self, gateway: Gateway) -> impl Iterator<Item = SessionId> {
        let seat = |connection| Seat {
            gateway,
            connection,
        };
        self.seats
            .range(seat(0)..=seat(u64::MAX))
            .map(|(_, id)| *id)
    }

    /// The session of this account that went last of those that wait.
    pub fn waiting_with_account(&self, account: &str) -> Option<SessionId> {
        let account = fold(account);
        let ends = (
            (account.clone(), Place::ZERO, SessionId(Place::ZERO)),
            (account, Place(u64::MAX), SessionId(Place(u64::MAX))),
        );
        let (_, _, id) = self.by_account.range(ends.0..=ends.1).next_back()?;
        Some(*id)
    }

    /// Those to whom there is this way back, the latest first.
    pub fn by_way_back(&self, way: WayBack) -> impl Iterator<Item = SessionId> {
        let first = (way.clone(), SessionId(Place::ZERO));
        let last = (way, SessionId(Place(u64::MAX)));
        let found = self.keys.range(first..=last);
        found.rev().map(|(_, id)| *id)
    }

    /// The first for whom nobody waits any more.
    pub fn overdue(&self, now: u64) -> Option<SessionId> {
        let (deadline, id) = self.waiting.first()?;
        (*deadline <= now).then_some(*id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.rows.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many want not to be listed.
    pub fn invisible(&self) -> usize {
        self.invisible
    }

    /// How many are attached.
    pub fn attached(&self) -> usize {
        self.seats.len()
    }

    /// How many are attached to each gateway where somebody is.
    pub fn by_gateway(&self) -> &BTreeMap<u16, usize> {
        &self.attached
    }

    /// Whether each has a nick and a seat of its own, and is counted where it is.
    pub fn is_consistent(&self) -> bool {
        let mut attached = BTreeMap::new();
        for seat in self.seats.keys() {
            *attached.entry(seat.gateway.id).or_default() += 1;
        }
        let apart = self.seats.len() + self.waiting.len();
        attached == self.attached && self.nicks.len() == self.rows.len() && apart == self.rows.len()
    }

    /// Their share of the digest.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Adds one; nobody has its nick or its seat.
    pub fn add(&mut self, session: Session) {
        self.index(&session);
        self.sum = self.sum.wrapping_add(session.print());
        self.rows.insert(session.id(), Arc::new(session));
    }

    /// Takes one away.
    pub fn remove(&mut self, id: SessionId) -> Option<Arc<Session>> {
        let session = self.rows.remove(&id)?;
        self.sum = self.sum.wrapping_sub(session.print());
        self.forget(&session);
        Some(session)
    }

    /// Changes anything about one.
    pub fn change<R>(
        &mut self,
        id: SessionId,
        change: impl FnOnce(&mut Session) -> R,
    ) -> Option<R> {
        let row = self.rows.remove(&id)?;
        self.forget(&row);
        let mut row = row;
        let session = Arc::make_mut(&mut row);
        self.sum = self.sum.wrapping_sub(session.print());
        let result = change(session);
        session.seal();
        self.sum = self.sum.wrapping_add(session.print());
        self.index(&row);
        self.rows.insert(id, row);
        Some(result)
    }

    /// Changes what is not on the card of one.
    pub fn touch<R>(&mut self, id: SessionId, change: impl FnOnce(&mut Session) -> R) -> Option<R> {
        let session = Arc::make_mut(self.rows.get_mut(&id)?);
        self.sum = self.sum.wrapping_sub(session.print());
        let result = change(session);
        self.sum = self.sum.wrapping_add(session.print());
        Some(result)
    }

    fn index(&mut self, session: &Session) {
        let id = session.id();
        self.nicks.insert(fold(session.nick()), id);
        for way in WayBack::all(session.account(), session.card.token) {
            self.keys.insert((way, id));
        }
        self.invisible += usize::from(session.invisible());
        match session.card.presence {
            Presence::Here { seat, .. } => {
                self.seats.insert(seat, id);
                *self.attached.entry(seat.gateway.id).or_default() += 1;
            }
            Presence::Gone {
                deadline, since, ..
            } => {
                self.waiting.insert((deadline, id));
                if let Some(account) = session.account() {
                    self.by_account.insert((fold(account), since, id));
                }
            }
        }
    }

    fn forget(&mut self, session: &Session) {
        let id = session.id();
        self.nicks.remove(&fold(session.nick()));
        for way in WayBack::all(session.account(), session.card.token) {
            self.keys.remove(&(way, id));
        }
        self.invisible -= usize::from(session.invisible());
        match session.card.presence {
            Presence::Here { seat, .. } => {
                self.seats.remove(&seat);
                if let Some(count) = self.attached.get_mut(&seat.gateway.id) {
                    *count -= 1;
                    if *count == 0 {
                        self.attached.remove(&seat.gateway.id);
                    }
                }
            }
            Presence::Gone {
                deadline, since, ..
            } => {
                self.waiting.remove(&(deadline, id));
                if let Some(account) = session.account() {
                    self.by_account.remove(&(fold(account), since, id));
                }
            }
        }
    }
}
