//! The front end: connections, whose turn it is, and what everybody is shown.
//!
//! It lives in the replica's loop. In a turn it first shows what was applied since the
//! last one, in order, to those here whom it concerns; then it lets clients in whose
//! sessions are open now; then it serves the lines that came. So whatever a line is
//! answered with was read from a state that its client has been shown.
//!
//! # Duties
//!
//! A gateway tells the log when its run begins, when one of its connections ends, and
//! now and then that it lives. What must not get lost of that is submitted again
//! until it has its place.

mod serving;
mod showing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::Registry;
use mio::event::Event;
use mio::net::TcpListener;

use super::accounts::Accounts;
use super::caps::Caps;
use super::client::{Client, State};
use super::flood::Flood;
use super::log::{Log, Ticket, Whose};
use super::view::View;
use crate::gateway::crowd::{Allowances, Crowd, Guest, Stay};
use crate::gateway::stream::Received;
use crate::protocol::Time;
use crate::service::Place;
use crate::service::chat::command::{Command, Departure, Gateway, SessionId, Stamped};
use crate::service::chat::effect::Reply;
use crate::service::replica::Verdict;

/// What a gateway is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The replica's id.
    pub id: u16,
    /// Drawn anew at each start.
    pub run: u64,
    /// When that was, in milliseconds since 1970.
    pub began: u64,
    /// What tells the cluster from others.
    pub cluster: u64,
    /// The name of this server.
    pub name: Arc<str>,
    /// The name of the network.
    pub network: String,
    /// The message of the day, by lines; none is none.
    pub motd: Option<Vec<String>>,
    /// Messages that somebody who joins is shown.
    pub history: usize,
    /// How fast a client may talk.
    pub flood: Flood,
    /// Who may call themselves by an account's name.
    pub accounts: Accounts,
}

/// The front end.
#[derive(Debug)]
pub struct Front {
    settings: Settings,
    me: Gateway,
    crowd: Crowd<Client>,
    view: View,
    /// The place of what was shown last.
    place: Place,
    /// What was applied and not shown yet.
    told: VecDeque<Told>,
    /// Sessions that were opened for connections here.
    arrivals: Vec<Whose>,
    duties: BTreeMap<u64, Duty>,
    next_duty: u64,
    /// There are duties to submit.
    undone: bool,
    /// Whether a quorum was within reach when clients were told last.
    sound: bool,
    /// Clients that said more than they may, and when they may go on.
    lagging: BTreeSet<(Time, usize, u32)>,
    /// The log had enough; clients wait for it.
    waiting: bool,
    next_sweep: Time,
    /// Something was shown since the last tick.
    unsettled: bool,
    ticked: Time,
    /// Effects so far: what tells one showing from another.
    mark: u64,
    most_users: usize,
    began: u64,
    lines: u64,
    shown: u64,
    now: Time,
    wall: u64,
}

/// Something that happened to the state.
#[derive(Debug)]
enum Told {
    /// A command was applied.
    Applied(Place, Reply),
    /// The state is another replica's now.
    Restored,
}

/// Something that must get into the log.
#[derive(Debug)]
struct Duty {
    command: Command,
    under_way: bool,
}

impl Front {
    /// How often connections are looked after.
    const OFTEN: Duration = Duration::from_secs(1);

    /// How long a client may take to say who it is.
    const REGISTRATION: Duration = Duration::from_secs(60);

    /// How long a client waits until the log has taken it.
    const PATIENCE: Duration = Duration::from_secs(600);

    /// After so long without a word a client is asked whether it is there.
    const SILENCE: Duration = Duration::from_secs(120);

    /// If it has not answered by then, what it was sent has perhaps not reached it.
    const DOUBT: Duration = Duration::from_secs(5);

    /// So long it has to answer.
    const ANSWER: Duration = Duration::from_secs(60);

    /// How often the log hears that this gateway lives.
    const TICK: Duration = Duration::from_secs(10);

    /// How soon it hears what clients have seen.
    const SETTLE: Duration = Duration::from_millis(100);

    /// Begins to listen; the poll's names from `token` on are its own.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn open(
        settings: Settings,
        listener: TcpListener,
        registry: &Registry,
        token: usize,
        allowances: Allowances,
        now: Time,
    ) -> io::Result<Front> {
        let me = Gateway {
            id: settings.id,
            run: settings.run,
        };
        let mut front = Front {
            me,
            crowd: Crowd::open(Some(listener), registry, token, allowances, now)?,
            began: settings.began,
            settings,
            view: View::default(),
            place: Place::ZERO,
            told: VecDeque::new(),
            arrivals: Vec::new(),
            duties: BTreeMap::new(),
            next_duty: 0,
            undone: false,
            sound: true,
            lagging: BTreeSet::new(),
            waiting: false,
            next_sweep: now,
            unsettled: false,
            ticked: now,
            mark: 0,
            most_users: 0,
            lines: 0,
            shown: 0,
            now,
            wall: 0,
        };
        front.owe(Command::Begin);
        Ok(front)
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.crowd.address()
    }

    /// What it counts, for people.
    pub fn facts(&self) -> Vec<(&'static str, u64)> {
        let tally = self.crowd.tally();
        vec![
            ("clients", tally.clients as u64),
            ("local_sessions", self.view.len() as u64),
            ("connections", tally.connections),
            ("rejected", tally.rejected),
            ("cut_off", tally.cut_off),
            ("lines", self.lines),
            ("shown", self.shown),
            ("duties", self.duties.len() as u64),
            ("buffer_bytes", tally.buffers as u64),
        ]
    }

    /// Something happened to one of its sockets.
    pub fn handle_event(&mut self, event: &Event) {
        self.crowd.handle_event(event);
    }

    /// A command was applied, and this is the reply to it.
    pub fn applied(&mut self, place: Place, reply: &[u8]) {
        match Reply::decode(reply) {
            Some(reply) => self.told.push_back(Told::Applied(place, reply)),
            None => debug_assert!(false, "a reply of the chat can be read"),
        }
    }

    /// The state is another replica's now.
    pub fn restored(&mut self) {
        self.told.push_back(Told::Restored);
    }

    /// Does what there is to do. Says whether there is more to do at once.
    pub fn turn(&mut self, now: Time, wall: u64, log: &mut impl Log) -> bool {
        (self.now, self.wall) = (now, wall);
        while let Some(told) = self.told.pop_front() {
            match told {
                Told::Applied(place, reply) => self.show(place, &reply, log),
                Told::Restored => {
                    let why = "This server fell behind and starts afresh; come back";
                    self.begin_anew(why);
                }
            }
        }
        self.most_users = self.most_users.max(log.chat().attached());
        for whose in std::mem::take(&mut self.arrivals) {
            self.arrive(whose, log);
        }
        self.take_answers(log);
        self.tell_standing(log.is_sound());
        let name = Arc::clone(&self.settings.name);
        let refusal =
            format!("ERROR :Closing link: [{name} has as many connections as it may]\r\n");
        self.crowd.accept(now, refusal.as_bytes(), |newcomer| {
            Client::new(newcomer, Arc::clone(&name), now)
        });
        let mut gone = Vec::new();
        self.crowd.sweep(now, |client| gone.push(client));
        for client in gone {
            self.forget(&client, log.place());
        }
        self.look_after();
        self.wake();
        for slot in self.crowd.take_active() {
            // Taken out, so that others can be shown something meanwhile.
            let Some(mut client) = self.crowd.take(slot) else {
                continue;
            };
            let stay = self.serve(&mut client, log);
            let stay = stay.unwrap_or_else(|error| {
                client.reason.get_or_insert(match error.kind() {
                    io::ErrorKind::ConnectionReset => "Connection reset by peer",
                    io::ErrorKind::BrokenPipe => "Connection closed",
                    // The network, not the client.
                    _ => {
                        client.doubtful = true;
                        "Connection timed out"
                    }
                });
                Stay::Gone
            });
            if let Some(client) = self.crowd.put_back(now, slot, client, stay) {
                self.forget(&client, log.place());
            }
        }
        self.do_duties(log);
        self.tick(log);
        self.crowd.is_busy()
    }

    /// When it wants a turn though nothing happens.
    pub fn next_timeout(&self) -> Option<Time> {
        if self.crowd.is_busy() || !self.told.is_empty() || !self.arrivals.is_empty() {
            return Some(Time::ZERO);
        }
        let sweep = (self.crowd.tally().clients > 0).then_some(self.next_sweep);
        let lagging = self.lagging.first().map(|(due, ..)| *due);
        let tick = Some(self.tick_at());
        let crowd = self.crowd.next_timeout();
        [sweep, lagging, tick, crowd].into_iter().flatten().min()
    }

    fn tick_at(&self) -> Time {
        self.ticked
            + match self.unsettled {
                true => Self::SETTLE,
                false => Self::TICK,
            }
    }

    fn stamped(&self, command: Command) -> Stamped {
        Stamped {
            stamp: self.wall,
            gateway: self.me,
            command,
        }
    }

    /// Something must get into the log.
    fn owe(&mut self, command: Command) {
        let duty = Duty {
            command,
            under_way: false,
        };
        self.duties.insert(self.next_duty, duty);
        self.next_duty += 1;
        self.undone = true;
    }

    fn do_duties(&mut self, log: &mut impl Log) {
        if !self.undone || !log.is_sound() {
            return;
        }
        self.undone = false;
        let (stamp, gateway) = (self.wall, self.me);
        for (number, duty) in &mut self.duties {
            if duty.under_way {
                continue;
            }
            if !log.has_room() {
                self.undone = true;
                return;
            }
            duty.under_way = true;
            let command = duty.command.clone();
            let stamped = Stamped {
                stamp,
                gateway,
                command,
            };
            log.submit(Some(Ticket::Duty(*number)), &stamped);
        }
    }

    /// Tells the log that this gateway lives, and what its clients have seen.
    fn tick(&mut self, log: &mut impl Log) {
        if self.now < self.tick_at() || !log.is_sound() {
            return;
        }
        let seen = log.place();
        let except = self.crowd.guests().filter_map(|(_, client)| {
            let session = client.session()?;
            let sent = client.sent_through(seen);
            (sent < seen).then_some((session, sent))
        });
        let except = except.collect();
        let tick = self.stamped(Command::Tick { seen, except });
        log.submit(None, &tick);
        self.ticked = self.now;
        self.unsettled = false;
    }

    /// Hands verdicts to whom they belong.
    fn take_answers(&mut self, log: &mut impl Log) {
        while let Some((ticket, verdict)) = log.answer() {
            match ticket {
                Ticket::Duty(number) => match verdict {
                    Verdict::Reply => drop(self.duties.remove(&number)),
                    // It may happen twice, and the second time does nothing.
                    Verdict::NoQuorum | Verdict::Indeterminate => {
                        if let Some(duty) = self.duties.get_mut(&number) {
                            duty.under_way = false;
                            self.undone = true;
                        }
                    }
                },
                Ticket::Open(whose) => {
                    if let Some(client) = self.crowd.guest(whose.slot, whose.generation) {
                        opening_answered(client, verdict);
                        self.crowd.list(whose.slot);
                    }
                }
                Ticket::Line {
                    whose,
                    number,
                    verb,
                } => {
                    if let Some(client) = self.crowd.guest(whose.slot, whose.generation) {
                        client.under_way -= 1;
                        line_answered(client, verdict, verb, number);
                        self.crowd.list(whose.slot);
                    }
                }
            }
        }
    }

    /// Tells clients when a quorum gets out of reach, and when one is back.
    fn tell_standing(&mut self, sound: bool) {
        if sound == self.sound {
            return;
        }
        self.sound = sound;
        self.undone |= sound;
        let text = match sound {
            true => "The other servers can be reached again: messages are taken",
            false => {
                "Too few of the other servers can be reached: nothing that you send is taken \
                 until that changes, and you will be told"
            }
        };
        for (_, client) in self.crowd.guests_mut() {
            if matches!(client.state, State::Open(_)) {
                client.notice(text);
            }
        }
        self.crowd.list_all();
    }

    /// Looks after connections: who never says who they are, who says nothing at all.
    fn look_after(&mut self) {
        if self.now < self.next_sweep {
            return;
        }
        self.next_sweep = self.now + Self::OFTEN;
        let now = self.now;
        let mut changed = Vec::new();
        for (slot, client) in self.crowd.guests_mut() {
            if client.has_lines() {
                // It has said more than it may so far: that is no silence.
                client.heard = now;
            }
            let silent = now.since(client.heard);
            match client.state {
                State::Registering if now.since(client.since) >= Self::REGISTRATION => {
                    client.end("Registration timed out");
                }
                State::Opening(_) if now.since(client.since) >= Self::PATIENCE => {
                    client.end("Too few of the other servers can be reached; try again later");
                }
                State::Leaving(_) if silent >= Self::ANSWER => client.end("Good-bye"),
                State::Open(_) if client.pinged && silent >= Self::SILENCE + Self::ANSWER => {
                    client.doubtful = true;
                    client.reason.get_or_insert("Ping timeout: 180 seconds");
                    client.end("Ping timeout: 180 seconds");
                }
                State::Open(_) if client.pinged && silent >= Self::SILENCE + Self::DOUBT => {
                    client.doubtful = true;
                    continue;
                }
                State::Open(_) if !client.pinged && silent >= Self::SILENCE => {
                    client.pinged = true;
                    let ping = format!("PING :{}\r\n", client.server);
                    client.push(&ping);
                }
                _ => continue,
            }
            changed.push(slot);
        }
        for slot in changed {
            self.crowd.list(slot);
        }
    }

    /// Lists those who waited for something that may be there now.
    fn wake(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.crowd.list_all();
        }
        while let Some((due, slot, generation)) = self.lagging.pop_first() {
            if due > self.now {
                self.lagging.insert((due, slot, generation));
                return;
            }
            if let Some(client) = self.crowd.guest(slot, generation) {
                client.lagging = false;
                self.crowd.list(slot);
            }
        }
    }

    /// One client's turn.
    fn serve(&mut self, client: &mut Client, log: &mut impl Log) -> io::Result<Stay> {
        let mut crowded = self.go_on(client, log);
        let may_read = !client.has_lines() && !client.closing && !client.is_full();
        if may_read && client.stream().readable {
            let scratch = self.crowd.scratch();
            match client.stream().receive(scratch)? {
                Received::End => {
                    client.closing = true;
                    client.reason.get_or_insert("Connection closed");
                }
                Received::Some(count) => {
                    client.feed(&scratch[..count], self.now, self.place);
                    client.doubtful = false;
                    crowded = self.go_on(client, log);
                }
                Received::Nothing => {}
            }
        }
        let was_full = client.is_full();
        client.send(self.now)?;
        if client.choked || client.closing && client.pending() == 0 {
            return Ok(Stay::Gone);
        }
        self.waiting |= crowded;
        let readable = client.stream().readable;
        let wants = readable && !client.has_lines() || was_full;
        let more = wants && !client.closing && !client.is_full();
        Ok(if more { Stay::More } else { Stay::Waits })
    }

    /// A connection is gone. Its session waits, or ends.
    fn forget(&mut self, client: &Client, place: Place) {
        let session = client.session();
        self.view.leave(client.serial, session);
        let leaving = matches!(client.state, State::Leaving(_));
        if let Some(session) = session.filter(|_| !leaving) {
            let reason = client.reason.unwrap_or("Connection closed");
            let seen = match client.state {
                State::Arriving {
                    opened, resumed, ..
                } => resumed.unwrap_or(opened),
                _ => client.sent_through(place),
            };
            self.lose(session, client.serial, seen, reason);
        }
    }

    /// A session lost its connection.
    fn lose(&mut self, session: SessionId, connection: u64, seen: Place, reason: &str) {
        self.owe(Command::Leave {
            session,
            connection,
            seen,
            departure: Departure::Lost(reason.to_owned()),
        });
    }
}

/// An opening was given up, or has its place.
fn opening_answered(client: &mut Client, verdict: Verdict) {
    match verdict {
        // What became of it was shown already.
        Verdict::Reply => {}
        Verdict::NoQuorum => {
            client.notice(
                "Too few of the other servers can be reached; you will come in once that changes",
            );
            client.state = State::Opening(true);
        }
        Verdict::Indeterminate => client.end("Nobody knows whether you came in; try again"),
    }
}

/// A line was given up, or has its place.
fn line_answered(client: &mut Client, verdict: Verdict, verb: &str, number: Option<u64>) {
    if verdict != Verdict::Reply && number.is_some() && client.caps.has(Caps::SESSION) {
        // It counts, so it can say this again wherever it comes back, and it happens once.
        return client.end("Too few of the other servers can be reached; come back");
    }
    match verdict {
        // All that came of it was shown already.
        Verdict::Reply => {}
        Verdict::NoQuorum => {
            let text = "Too few of the other servers can be reached; this did not happen";
            client.fail(verb, "NO_QUORUM", text);
            client.done(number);
        }
        Verdict::Indeterminate => {
            let text = "The outcome is not known: this may have happened, or may still happen";
            client.fail(verb, "INDETERMINATE", text);
            client.done(number);
        }
    }
}
