//! Who is there: how sessions begin, wait, are taken up again and end.
//!
//! # Whose turn it is to wait
//!
//! How long nobody heard of a gateway, and how long somebody did not come back, is
//! measured in *waking time*: it passes as log time does, but with one command by at
//! most [`Limits::STEP`]. A clock that is an hour ahead, or a night in which all
//! replicas were off, must not end everything with one command, before those who are
//! alive could say so.
//!
//! # Without a way back
//!
//! A session with neither account nor secret ends with its connection. When a gateway
//! with ten thousand of them ends, they end a thousand at a time: one command takes
//! only so long. Until then they are taken for gone; whoever wants one of their nicks
//! has it.

use std::collections::BTreeMap;

use super::Chat;
use super::command::{Departure, Gateway, Opening, Seat, SessionId};
use super::effect::{Effect, Refusal, Roster};
use super::limits::Limits;
use super::name::{fold, is_account, is_nick, line, part, shown};
use super::ring::{At, Ring};
use super::session::{Card, Presence, Session};
use super::sessions::WayBack;
use super::turn::Turn;
use crate::protocol::mutant::{Mutant, mutant};
use crate::service::Place;

impl Chat {
    /// A gateway that nobody hears any more is taken for dead, and a few of those who
    /// did not come back are given up.
    pub(super) fn tidy(&mut self, turn: &mut Turn) {
        match self.gateways.silent(self.awake) {
            Some(gateway) => self.empty(turn, gateway),
            None => self.sweep(turn, Limits::SWEEP),
        }
    }

    /// A run of a gateway begins.
    pub(super) fn begin(&mut self, turn: &mut Turn, gateway: Gateway) {
        match self.gateways.ended_by(gateway) {
            Some(old) => self.empty(turn, old),
            None => self.sweep(turn, Limits::GREAT_SWEEP),
        }
        self.gateways.begin(gateway, self.awake);
    }

    /// A gateway says what those attached to it were sent.
    pub(super) fn tick(
        &mut self,
        turn: &mut Turn,
        gateway: Gateway,
        seen: Place,
        except: &[(SessionId, Place)],
    ) {
        let attached = |id: &SessionId| {
            let seat = self.sessions.find(*id).and_then(Session::seat);
            seat.is_some_and(|seat| seat.gateway == gateway)
        };
        let except: BTreeMap<SessionId, Place> = except
            .iter()
            .filter(|(id, _)| attached(id))
            .copied()
            .collect();
        self.gateways.tick(gateway, seen.min(turn.before()), except);
        self.sweep(turn, Limits::GREAT_SWEEP);
    }

    /// Nobody is attached to this run any more.
    fn empty(&mut self, turn: &mut Turn, gateway: Gateway) {
        let attached: Vec<SessionId> = self.sessions.at(gateway).collect();
        for id in attached {
            self.detach(turn, id, self.seen(id));
        }
        self.gateways.end(gateway);
        self.emit(turn, Effect::Emptied { gateway });
        self.sweep(turn, Limits::GREAT_SWEEP);
    }

    /// Gives up at most so many of those who did not come back.
    fn sweep(&mut self, turn: &mut Turn, most: usize) {
        for _ in 0..most {
            let Some(id) = self.sessions.overdue(self.awake) else {
                return;
            };
            let resumable = self.sessions.find(id).is_some_and(Session::is_resumable);
            let reason = match resumable {
                true => "Did not come back",
                false => "Connection lost",
            };
            self.finish(turn, id, reason.to_owned());
        }
    }

    /// Through where somebody has seen all, as far as is known.
    pub(super) fn seen(&self, id: SessionId) -> Place {
        match self.sessions.find(id).map(|session| &session.card.presence) {
            None => Place::ZERO,
            Some(Presence::Gone { seen, .. }) => *seen,
            Some(Presence::Here { seat, since, seen }) => {
                match self.gateways.seen(seat.gateway, id) {
                    // What it said last it said before they came.
                    (through, _) if through < *since => *seen,
                    (through, except) => through.min(except.unwrap_or(through)).max(*seen),
                }
            }
        }
    }

    /// Somebody is attached to nothing, and waited for.
    fn detach(&mut self, turn: &Turn, id: SessionId, seen: Place) {
        self.unexcept(id);
        let awake = self.awake;
        self.sessions.change(id, |session| {
            session.card.presence = Presence::Gone {
                since: turn.place,
                seen,
                deadline: awake.saturating_add(session.patience()),
            };
        });
    }

    /// What a gateway says of its sessions is said of this one no more.
    fn unexcept(&mut self, id: SessionId) {
        if let Some(seat) = self.sessions.find(id).and_then(Session::seat) {
            self.gateways.forget(seat.gateway, id);
        }
    }

    /// A session ends.
    fn finish(&mut self, turn: &mut Turn, id: SessionId, reason: String) {
        self.unexcept(id);
        let Some(session) = self.sessions.find(id) else {
            return;
        };
        let (who, seat) = (session.who(), session.seat());
        let folded: Vec<_> = session.card.channels.keys().cloned().collect();
        let channels = self.names(id);
        let quit = Effect::Quit {
            who,
            channels,
            seat,
            reason,
        };
        self.emit(turn, quit);
        for channel in folded {
            self.vacate(turn.place, &channel, id);
        }
        if let Some(session) = self.sessions.remove(id) {
            self.clear(&session.inbox);
        }
    }

    /// A connection ends.
    pub(super) fn depart(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        seen: Place,
        departure: &Departure,
    ) {
        let resumable = self.sessions.find(id).is_some_and(Session::is_resumable);
        match departure {
            Departure::Quit(text) => self.finish(turn, id, line(text, Limits::REMARK)),
            Departure::Lost(_) if resumable => self.detach(turn, id, seen.min(turn.before())),
            Departure::Lost(reason) => {
                let reason = format!("Connection lost: {reason}");
                self.finish(turn, id, line(&reason, Limits::REMARK));
            }
        }
    }

    /// Somebody comes in, or comes back; what happened through `known` their gateway knew.
    pub(super) fn open(
        &mut self,
        turn: &mut Turn,
        current: bool,
        seat: Seat,
        opening: Opening,
        known: Place,
    ) {
        let refusal = match self.admit(turn, current, seat, &opening) {
            Ok(None) => return self.enter(turn, seat, opening),
            Ok(Some(id)) if self.has_moved(id, known) => Refusal::Outdated,
            Ok(Some(id)) => return self.resume(turn, id, seat, &opening),
            Err(refusal) => refusal,
        };
        let nick = shown(&opening.nick);
        let not = Effect::NotOpened {
            seat,
            nick,
            refusal,
        };
        self.emit(turn, not);
    }

    /// Whether somebody came or went behind a place.
    fn has_moved(&self, id: SessionId, known: Place) -> bool {
        let moved = self.sessions.find(id).map(Session::moved);
        moved > Some(known) && !mutant(Mutant::LateOpeningHeeded)
    }

    /// Which session somebody takes up who comes; none if they begin one.
    fn admit(
        &mut self,
        turn: &mut Turn,
        current: bool,
        seat: Seat,
        opening: &Opening,
    ) -> Result<Option<SessionId>, Refusal> {
        let Opening {
            nick,
            account,
            token,
            ..
        } = opening;
        if !current || self.sessions.by_seat(seat).is_some() {
            return Err(Refusal::NotAttached);
        }
        if !is_nick(nick) {
            return Err(Refusal::BadNick(shown(nick)));
        }
        if let Some(account) = account.as_deref().filter(|account| !is_account(account)) {
            return Err(Refusal::TooLong(shown(account)));
        }
        let holder = self.sessions.by_nick(nick);
        if let Some(session) = holder.and_then(|id| self.sessions.find(id)) {
            let same_account = match (account, session.account()) {
                (Some(mine), Some(theirs)) => fold(mine) == fold(theirs),
                _ => false,
            };
            let same_token = token.is_some() && *token == session.card.token;
            if same_account || same_token {
                return Ok(holder);
            }
        }
        let renamed = opening.seen.and_then(|seen| self.renamed(opening, seen));
        if renamed.is_some() {
            return Ok(renamed);
        }
        let waits = account
            .as_deref()
            .and_then(|account| self.sessions.waiting_with_account(account));
        if waits.is_some() {
            return Ok(waits);
        }
        if let Some(id) = holder {
            let lives = |session: &Session| session.seat().is_some() || session.is_resumable();
            if self.sessions.find(id).is_some_and(lives) {
                return Err(Refusal::NickInUse(nick.clone()));
            }
            self.finish(turn, id, "Connection lost".to_owned());
        }
        match self.sessions.len() < Limits::SESSIONS {
            true => Ok(None),
            false => Err(Refusal::Full),
        }
    }

    /// The session of somebody who goes on behind a place and is called otherwise since
    /// then, which they have not seen: it had their nick, and they have a way back to
    /// it. It is told by what it remembers, so where that has gone there is none.
    fn renamed(&self, opening: &Opening, seen: Place) -> Option<SessionId> {
        let nick = fold(&opening.nick);
        let behind = At::first(Place(seen.0.saturating_add(1)));
        let end = At::last(Place(u64::MAX));
        let was_called = |id: &SessionId| {
            let session = self.sessions.find(*id);
            let events = session
                .into_iter()
                .flat_map(|it| it.inbox.range(behind, end));
            let mut events = events.map(|kept| &kept.event.effect);
            events.any(|effect| match effect {
                Effect::Renamed { who, .. } => who.session == *id && fold(&who.nick) == nick,
                _ => false,
            })
        };
        WayBack::all(opening.account.as_deref(), opening.token)
            .flat_map(|way| self.sessions.by_way_back(way).take(Limits::NAMESAKES))
            .find(was_called)
    }

    /// Somebody begins a session.
    fn enter(&mut self, turn: &mut Turn, seat: Seat, opening: Opening) {
        let id = SessionId(turn.place);
        let card = Card {
            id,
            nick: opening.nick,
            user: part(&opening.user, Limits::USER),
            host: part(&opening.host, Limits::HOST),
            real: line(&opening.real, Limits::REAL),
            account: opening.account,
            token: opening.token,
            away: None,
            invisible: false,
            opened: turn.time,
            presence: Presence::Here {
                seat,
                since: turn.place,
                seen: turn.place,
            },
            channels: BTreeMap::new(),
            invited: Default::default(),
            former: Default::default(),
            forgotten: At::default(),
        };
        let session = Session::new(card, 0, turn.time, Ring::default());
        self.sessions.add(session);
        self.welcome(turn, id, seat, None, None);
    }

    /// Somebody takes a session up again.
    fn resume(&mut self, turn: &mut Turn, id: SessionId, seat: Seat, opening: &Opening) {
        let displaced = self.sessions.find(id).and_then(Session::seat);
        let seen = match opening.seen {
            Some(seen) => seen.min(turn.before()),
            None => self.seen(id),
        };
        self.unexcept(id);
        self.sessions.change(id, |session| {
            session.card.presence = Presence::Here {
                seat,
                since: turn.place,
                seen,
            };
            session.card.token = opening.token.or(session.card.token);
            if opening.seen.is_none() || mutant(Mutant::LinesForgottenOnMove) {
                // Whoever does not go on begins to count anew. What comes late from
                // where they were is refused for that.
                session.number = 0;
            }
        });
        self.welcome(turn, id, seat, displaced, Some(seen));
    }

    fn welcome(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        seat: Seat,
        displaced: Option<Seat>,
        resumed: Option<Place>,
    ) {
        turn.author = Some((id, None));
        let Some(session) = self.sessions.find(id) else {
            return;
        };
        let channels: Vec<Roster> = session
            .channels()
            .filter_map(|folded| self.channels.at(folded))
            .map(|channel| self.short_roster(channel))
            .collect();
        let opened = Effect::Opened {
            who: session.who(),
            seat,
            displaced,
            resumed,
            number: session.number,
            invisible: session.invisible(),
            channels,
        };
        self.emit(turn, opened);
    }
}
