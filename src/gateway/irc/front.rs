//! The front end: connections, whose turn it is, and what everybody is shown.
//!
//! It lives in the replica's loop. In a turn it first shows what was applied since the
//! last one, in order, to those here whom it concerns; then it lets clients in whose
//! sessions are open now; then it serves the lines that came. So whatever a line is
//! answered with was read from a state that its client has been shown.
//!
//! | room | what lives there |
//! |---|---|
//! | `serving` | the lines of one client, one after the other |
//! | `arriving` | who comes in, is taken over, or is sent away |
//! | `showing` | what was applied, to those whom it concerns |
//! | `verdicts` | what became of what was submitted |
//! | `duties` | what the gateway itself must bring into the log |
//! | `watch` | who is waited for too long, and who need not wait any more |

mod arriving;
mod duties;
mod serving;
mod showing;
mod verdicts;
mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::Registry;
use mio::event::Event;
use mio::net::TcpListener;

use super::client::Client;
use super::guesses::{Guesses, Line as _};
use super::log::Log;
use super::settings::Settings;
use super::view::View;
use super::whose::Whose;
use crate::gateway::crowd::{Allowances, Crowd};
use crate::protocol::Time;
use crate::service::Place;
use crate::service::chat::command::Gateway;
use crate::service::chat::effect::Reply;
use crate::service::chat::runs::Runs;
use duties::Duties;

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
    /// Clients whose passwords are to be checked.
    guesses: Guesses,
    duties: Duties,
    runs: Runs,
    /// Another gateway with its id has begun.
    replaced: bool,
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
    /// Passwords that were checked.
    checked: u64,
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

impl Front {
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
        Ok(Front {
            me,
            crowd: Crowd::open(Some(listener), registry, token, allowances, now)?,
            began: settings.began,
            settings,
            view: View::default(),
            place: Place::ZERO,
            told: VecDeque::new(),
            arrivals: Vec::new(),
            guesses: Guesses::default(),
            duties: Duties::default(),
            runs: Runs::new(me),
            replaced: false,
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
            checked: 0,
            now,
            wall: 0,
        })
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
            ("passwords_checked", self.checked),
            ("passwords_waiting", self.guesses.len() as u64),
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

    /// Whether another gateway with its id has begun, which is to be the only one.
    pub fn is_replaced(&self) -> bool {
        self.replaced
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
        self.start(log);
        self.do_duties(log);
        self.serve_active(log);
        self.check_password();
        self.do_duties(log);
        self.tick(log);
        self.crowd.is_busy()
    }

    /// When it wants a turn though nothing happens.
    pub fn next_timeout(&self) -> Option<Time> {
        let guesses = self.guesses.len() > 0;
        if self.crowd.is_busy() || guesses || !self.told.is_empty() || !self.arrivals.is_empty() {
            return Some(Time::ZERO);
        }
        let sweep = (self.crowd.tally().clients > 0).then_some(self.next_sweep);
        let lagging = self.lagging.first().map(|(due, ..)| *due);
        // What cannot be submitted waits for more than time.
        let ticks = self.sound && self.runs.has_begun();
        let tick = ticks.then(|| self.tick_at());
        let crowd = self.crowd.next_timeout();
        [sweep, lagging, tick, crowd].into_iter().flatten().min()
    }
}
