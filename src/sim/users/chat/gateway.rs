//! A gateway, as far as the log and what people are shown of it go.
//!
//! It does what the front end for IRC does, without lines of text and sockets: it
//! begins a run, opens sessions, submits what people do, shows them what comes of it by
//! the effects alone, and tells the log when somebody is gone and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::guest::{Guest, Stage};
use super::observer::{Line, as_shown, is_silent};
use super::post::{Connection, Item, Post, Welcome};
use crate::protocol::Time;
use crate::service::Place;
use crate::service::chat::Chat;
use crate::service::chat::command::{
    self, Command, Deed, Departure, Opening, Seat, SessionId, Stamped,
};
use crate::service::chat::effect::{Effect, Refusal, Reply};
use crate::service::chat::name::fold;
use crate::service::chat::runs::{Runs, Step};
use crate::service::replica::Verdict;
use crate::sim::check::Finding;
use crate::sim::users::Served;

/// A gateway.
#[derive(Debug)]
pub struct Gateway {
    me: command::Gateway,
    /// The start of the process that it belongs to.
    pub incarnation: u64,
    /// All through here was shown.
    told: Place,
    guests: BTreeMap<u64, Guest>,
    next: u64,
    duties: BTreeMap<u64, Duty>,
    runs: Runs,
    tickets: BTreeMap<u64, Ticket>,
    ticked: Time,
    /// Something was shown since.
    unsettled: bool,
    /// Before this time duties are not tried again.
    retry: Time,
}

/// Something that must get into the log.
#[derive(Debug)]
struct Duty {
    command: Command,
    under_way: bool,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug)]
enum Ticket {
    Duty(u64),
    /// Somebody comes in over this connection.
    Open(u64),
    /// A line of this connection.
    Line(u64),
}

impl Gateway {
    /// How often the log hears that it lives.
    const TICK: Duration = Duration::from_secs(10);

    /// How soon it hears what was seen.
    const SETTLE: Duration = Duration::from_millis(300);

    /// How soon a duty is tried again.
    const AGAIN: Duration = Duration::from_millis(50);

    /// One of a process that has just started.
    pub fn new(id: u16, incarnation: u64, now: Time) -> Gateway {
        let run = incarnation;
        let me = command::Gateway { id, run };
        Gateway {
            me,
            incarnation,
            told: Place::ZERO,
            guests: BTreeMap::new(),
            next: 0,
            duties: BTreeMap::new(),
            runs: Runs::new(me),
            tickets: BTreeMap::new(),
            ticked: now,
            unsettled: false,
            retry: now,
        }
    }

    /// Begins its run, unless that is done or under way.
    pub fn start(&mut self, chat: &Chat) -> Finding {
        match self.runs.step(chat.run_of(self.me.id)) {
            Step::Nothing => Ok(()),
            Step::Ask(command) => {
                self.owe(command);
                Ok(())
            }
            // Of one id there is one process at a time.
            Step::GiveWay => Err(format!("gateway {} gives way to the dead", self.me.id)),
        }
    }

    fn owe(&mut self, command: Command) {
        self.next += 1;
        let under_way = false;
        let duty = Duty { command, under_way };
        self.duties.insert(self.next, duty);
    }

    fn post(&self, person: usize, number: u64, item: Item) -> Post {
        let gateway = self.me;
        let connection = Connection { gateway, number };
        Post {
            person,
            connection,
            item,
        }
    }

    /// Nobody is here any more, and another run begins.
    fn begin_anew(&mut self, posts: &mut Vec<Post>) {
        let closed = || Item::Closed { taken: false };
        let all = self.guests.iter();
        posts.extend(all.map(|(number, guest)| self.post(guest.person, *number, closed())));
        self.guests.clear();
        self.duties.clear();
        self.runs.advance();
        self.me = self.runs.present();
    }

    /// The state is another replica's from now on.
    pub fn restored(&mut self, through: Place, posts: &mut Vec<Post>) {
        if through > self.told {
            self.told = through;
            self.begin_anew(posts);
        }
    }

    /// A command was applied.
    pub fn applied(&mut self, place: Place, reply: &Reply, posts: &mut Vec<Post>) {
        if place <= self.told {
            return;
        }
        self.told = place;
        for (index, effect) in reply.effects.iter().enumerate() {
            self.show(place, index as u16, effect, posts);
        }
        if let Some((session, Some(number))) = reply.author {
            let mut guests = self.guests.iter();
            let here = guests.find(|(_, guest)| guest.is_here(session));
            posts.extend(here.map(|(at, guest)| self.post(guest.person, *at, Item::Done(number))));
        }
    }

    fn show(&mut self, place: Place, index: u16, effect: &Effect, posts: &mut Vec<Post>) {
        match effect {
            Effect::Opened {
                who,
                seat,
                displaced,
                resumed,
                number,
                ..
            } => {
                if let Some(old) = displaced.filter(|old| old.gateway == self.me) {
                    self.close(old.connection, posts);
                }
                if seat.gateway == self.me {
                    let welcome = Welcome {
                        session: who.session,
                        nick: who.nick.clone(),
                        resumed: *resumed,
                        number: *number,
                        gap: None,
                    };
                    match self.guests.get_mut(&seat.connection) {
                        Some(guest) => guest.stage = Stage::Arriving(welcome),
                        // They have gone meanwhile.
                        None => self.lose(who.session, seat.connection, resumed.unwrap_or(place)),
                    }
                }
            }
            Effect::NotOpened {
                seat,
                refusal: Refusal::Outdated,
                ..
            } if seat.gateway == self.me => {
                // Who is still there has not come late.
                if let Some(guest) = self.guests.get_mut(&seat.connection) {
                    guest.stage = Stage::Asking;
                    guest.wish = place;
                }
            }
            Effect::NotOpened { seat, .. } if seat.gateway == self.me => {
                if let Some(guest) = self.guests.remove(&seat.connection) {
                    let item = Item::Closed { taken: true };
                    posts.push(self.post(guest.person, seat.connection, item));
                }
            }
            Effect::Emptied { gateway } if *gateway == self.me => self.begin_anew(posts),
            _ => {}
        }
        if let Effect::Joined { who, roster, .. } = effect
            && let Some(guest) = self.of(who.session)
        {
            guest.channels.insert(fold(&roster.channel));
        }
        if !is_silent(effect) {
            for (number, guest) in &self.guests {
                let Some(session) = guest.session.filter(|_| guest.is_concerned(effect)) else {
                    continue;
                };
                let effect = Arc::new(as_shown(effect, session));
                let line = Line {
                    place,
                    index,
                    effect,
                };
                posts.push(self.post(guest.person, *number, Item::Line(line)));
                self.unsettled = true;
            }
        }
        match effect {
            Effect::Parted { who, channel, .. } => self.leave(who.session, channel),
            Effect::Kicked {
                session, channel, ..
            } => self.leave(*session, channel),
            Effect::Quit {
                seat: Some(seat), ..
            } if seat.gateway == self.me => self.close(seat.connection, posts),
            _ => {}
        }
    }

    fn of(&mut self, session: SessionId) -> Option<&mut Guest> {
        let mut guests = self.guests.values_mut();
        guests.find(|guest| guest.session == Some(session))
    }

    fn leave(&mut self, session: SessionId, channel: &str) {
        if let Some(guest) = self.of(session) {
            guest.channels.remove(&fold(channel));
        }
    }

    /// A connection ends from here, and nobody need be told but who is there.
    fn close(&mut self, number: u64, posts: &mut Vec<Post>) {
        if let Some(guest) = self.guests.remove(&number) {
            let item = Item::Closed { taken: false };
            posts.push(self.post(guest.person, number, item));
        }
    }

    /// A session has lost its connection.
    fn lose(&mut self, session: SessionId, connection: u64, seen: Place) {
        let departure = Departure::Lost("gone".to_owned());
        self.owe(Command::Leave {
            session,
            connection,
            seen,
            departure,
        });
    }

    /// Lets those in whose sessions are open, and shows them what they missed.
    pub fn let_in(&mut self, chat: &Chat, posts: &mut Vec<Post>) {
        let arriving = |guest: &Guest| matches!(guest.stage, Stage::Arriving(_));
        let numbers: Vec<u64> = self
            .guests
            .iter()
            .filter(|(_, guest)| arriving(guest))
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            let seat = Seat {
                gateway: self.me,
                connection: number,
            };
            let (told, guest) = (self.told, self.guests.get_mut(&number));
            let Some(guest) = guest else { continue };
            let Stage::Arriving(welcome) = &mut guest.stage else {
                continue;
            };
            let mut welcome = welcome.clone();
            let id = welcome.session;
            let Some(session) = chat.session(id).filter(|it| it.seat() == Some(seat)) else {
                // It went on elsewhere at once.
                self.close(number, posts);
                continue;
            };
            guest.session = Some(id);
            guest.channels = session.channels().map(str::to_owned).collect();
            guest.stage = Stage::Here;
            let person = guest.person;
            let missed = chat.missed(id, welcome.resumed.unwrap_or(id.0), told);
            welcome.gap = (!missed.complete).then_some(told);
            posts.push(self.post(person, number, Item::Welcome(welcome)));
            let events = missed.events.iter().filter(|_| missed.complete);
            for event in events {
                let line = Line {
                    place: event.place,
                    index: event.index,
                    effect: Arc::new(event.effect.clone()),
                };
                posts.push(self.post(person, number, Item::Line(line)));
            }
            self.unsettled = true;
        }
    }

    /// Whether a connection is one of its present run.
    pub fn runs(&self, connection: Connection) -> bool {
        connection.gateway == self.me
    }

    /// Takes answers.
    pub fn take_answers(&mut self, replica: &mut Served, posts: &mut Vec<Post>) {
        let mut reply = Vec::new();
        while let Some((ticket, verdict)) = replica.fetch_answer(&mut reply) {
            reply.clear();
            let done = verdict == Verdict::Reply;
            match self.tickets.remove(&ticket) {
                Some(Ticket::Duty(number)) if done => {
                    let duty = self.duties.remove(&number);
                    let started = duty.map(|duty| matches!(duty.command, Command::Start { .. }));
                    if let (Some(true), Some(chat)) = (started, replica.machine().chat()) {
                        self.runs.started(chat.run_of(self.me.id));
                    }
                }
                Some(Ticket::Duty(number)) => {
                    // It may happen twice, and the second time does nothing.
                    if let Some(duty) = self.duties.get_mut(&number) {
                        duty.under_way = false;
                    }
                }
                // What came of it is shown by its effects.
                Some(Ticket::Open(_) | Ticket::Line(_)) if done => {}
                Some(Ticket::Open(number)) => {
                    let waits = |guest: &Guest| matches!(guest.stage, Stage::Opening);
                    if self.guests.get(&number).is_some_and(waits) {
                        self.close(number, posts);
                    }
                }
                Some(Ticket::Line(number)) => {
                    // They say it again wherever they come back.
                    let session = self.guests.get(&number).and_then(|guest| guest.session);
                    self.close(number, posts);
                    if let Some(session) = session {
                        self.lose(session, number, session.0);
                    }
                }
                None => {}
            }
        }
    }

    /// Looks which connections still have somebody at their other end.
    pub fn look_around(&mut self, is_there: impl Fn(usize, Connection) -> bool) {
        let gateway = self.me;
        let mut lost = Vec::new();
        self.guests.retain(|&number, guest| {
            let stays = is_there(guest.person, Connection { gateway, number });
            if !stays && let Some(session) = guest.session {
                lost.push((session, number));
            }
            stays
        });
        for (session, number) in lost {
            self.lose(session, number, session.0);
        }
    }

    /// Somebody connects. Says over which connection, unless it is no use.
    pub fn connect(
        &mut self,
        person: usize,
        opening: Opening,
        stamp: u64,
        desk: &mut Desk<'_>,
    ) -> Option<Connection> {
        if !desk.replica.is_sound() || !desk.replica.has_room() {
            return None;
        }
        self.next += 1;
        let number = self.next;
        let connection = number;
        let guest = Guest {
            person,
            opening: Opening {
                connection,
                ..opening
            },
            wish: desk.replica.place(),
            left: None,
            session: None,
            stage: Stage::Asking,
            channels: BTreeSet::new(),
        };
        self.guests.insert(number, guest);
        self.ask(stamp, desk);
        let gateway = self.me;
        Some(Connection { gateway, number })
    }

    /// Asks the log for sessions, of which it need not be told first that they were left
    /// here.
    fn ask(&mut self, stamp: u64, desk: &mut Desk<'_>) {
        let Some(chat) = desk.replica.machine().chat() else {
            return;
        };
        if !self.runs.has_begun() {
            return;
        }
        let leaving: BTreeSet<SessionId> = self
            .duties
            .values()
            .filter_map(|duty| match &duty.command {
                Command::Leave { session, .. } => Some(*session),
                _ => None,
            })
            .collect();
        let mut asking = Vec::new();
        for (number, guest) in &mut self.guests {
            let Opening {
                nick,
                account,
                token,
                ..
            } = &guest.opening;
            let mut claims = chat.claims(nick, account.as_deref(), *token);
            let leaves = claims.find(|session| leaving.contains(session));
            let left = std::mem::replace(&mut guest.left, leaves);
            if leaves.is_none()
                && let Some(session) = left.and_then(|left| chat.session(left))
                && let Some(since) = session.gone_since()
            {
                guest.wish = guest.wish.max(since);
            }
            if matches!(guest.stage, Stage::Asking) && leaves.is_none() {
                guest.stage = Stage::Opening;
                asking.push((*number, guest.opening.clone(), guest.wish));
            }
        }
        for (number, opening, known) in asking {
            let come = Command::Come { opening, known };
            self.submit(desk, stamp, Ticket::Open(number), come);
        }
    }

    /// Somebody's line.
    pub fn say(
        &mut self,
        connection: u64,
        session: SessionId,
        line: (u64, Deed),
        stamp: u64,
        desk: &mut Desk<'_>,
    ) {
        if !self.guests.contains_key(&connection) {
            // It is closed from here already; nothing that came behind counts.
            return;
        }
        let (number, deed) = line;
        let act = Command::Act {
            session,
            connection,
            number: Some(number),
            deed,
        };
        self.submit(desk, stamp, Ticket::Line(connection), act);
    }

    /// Somebody says good-bye.
    pub fn part(&mut self, connection: u64, session: SessionId) {
        if self.guests.remove(&connection).is_none() {
            return;
        }
        self.owe(Command::Leave {
            session,
            connection,
            seen: session.0,
            departure: Departure::Quit("good-bye".to_owned()),
        });
    }

    fn submit(&mut self, desk: &mut Desk<'_>, stamp: u64, ticket: Ticket, command: Command) {
        *desk.tickets += 1;
        self.tickets.insert(*desk.tickets, ticket);
        let bytes = self.stamped(stamp, command);
        desk.replica
            .submit(desk.local, Some(*desk.tickets), bytes.into());
    }

    fn stamped(&self, stamp: u64, command: Command) -> Vec<u8> {
        let gateway = self.me;
        let stamped = Stamped {
            stamp,
            gateway,
            command,
        };
        let mut bytes = Vec::new();
        stamped.encode_into(&mut bytes);
        bytes
    }

    /// Does its duties, and tells the log that it lives and what was seen: less than all
    /// by those who have not read all.
    pub fn work(
        &mut self,
        now: Time,
        stamp: u64,
        desk: &mut Desk<'_>,
        seen: impl Fn(usize) -> Option<Place>,
    ) {
        if now >= self.retry && self.has_work() {
            self.retry = now + Self::AGAIN;
            if desk.replica.is_sound() && desk.replica.has_room() {
                self.ask(stamp, desk);
                let mut due = Vec::new();
                for (number, duty) in &mut self.duties {
                    if !std::mem::replace(&mut duty.under_way, true) {
                        due.push((*number, duty.command.clone()));
                    }
                }
                for (number, command) in due {
                    self.submit(desk, stamp, Ticket::Duty(number), command);
                }
            }
        }
        if now < self.tick_at() {
            return;
        }
        self.ticked = now;
        if !desk.replica.is_sound() || !self.runs.has_begun() {
            return;
        }
        self.unsettled = false;
        let here = self.guests.values();
        let except = here.filter_map(|guest| Some((guest.session?, seen(guest.person)?)));
        let tick = Command::Tick {
            seen: self.told,
            except: except.filter(|(_, seen)| *seen < self.told).collect(),
        };
        let bytes = self.stamped(stamp, tick);
        desk.replica.submit(desk.local, None, bytes.into());
    }

    fn tick_at(&self) -> Time {
        let after = match self.unsettled {
            true => Self::SETTLE,
            false => Self::TICK,
        };
        self.ticked + after
    }

    /// Whether something is to be handed in.
    fn has_work(&self) -> bool {
        let mut guests = self.guests.values();
        self.duties.values().any(|duty| !duty.under_way)
            || guests.any(|guest| matches!(guest.stage, Stage::Asking))
    }

    /// When it has something to do.
    pub fn due(&self) -> Time {
        let mut guests = self.guests.values();
        if guests.any(|guest| matches!(guest.stage, Stage::Arriving(_))) {
            return Time::ZERO;
        }
        match self.has_work() {
            true => self.retry.min(self.tick_at()),
            false => self.tick_at(),
        }
    }
}

/// Where commands are handed in.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The replica.
    pub replica: &'a mut Served,
    /// Its clock.
    pub local: Time,
    /// How many tickets were given out.
    pub tickets: &'a mut u64,
}
