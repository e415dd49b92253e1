//! The service as one process without a log: nothing is replicated, nothing
//! outlives it. What replication costs is measured against this.

use std::net::SocketAddr;

use mio::event::Event;

use super::backend::{Answer, BackEnd, Facts, Kind, Submitted, Ticket};
use super::front::Front;
use crate::daemon::{Failure, say};
use crate::gateway::alone::{self, Alone, refused};
use crate::gateway::crowd::{Allowances, listen};
use crate::protocol::Time;
use crate::service::clock::LogTime;
use crate::service::kv::Store;
use crate::service::kv::command::{Command, Stamped};
use crate::service::kv::limits::Limits;
use crate::service::{Place, StateMachine};

/// What `--single` is told.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where to listen; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// What clients may cost.
    pub allowances: Allowances,
    /// What the store may hold.
    pub limits: Limits,
}

/// A store that applies each command at once.
#[derive(Debug, Default)]
struct Single {
    store: Store,
    place: Place,
}

impl Single {
    /// Lets the time of an idle store follow the clock, which commands alone
    /// move only so far each.
    fn catch_up(&mut self, wall: u64) {
        while self.store.time() > 0 && self.store.time() + LogTime::LEAP <= wall {
            let mut tick = Vec::new();
            let stamp = wall;
            let command = Command::Tick;
            Stamped { stamp, command }.encode_into(&mut tick);
            let before = self.store.time();
            self.place = self.place.next();
            self.store.apply(self.place, &tick, &mut Vec::new());
            if self.store.time() == before {
                return;
            }
        }
    }
}

impl BackEnd for Single {
    fn submit(
        &mut self,
        _ticket: Ticket,
        _kind: Kind,
        command: &[u8],
        reply: &mut Vec<u8>,
    ) -> Submitted {
        self.place = self.place.next();
        self.store.apply(self.place, command, reply);
        Submitted::Answered
    }

    fn answer(&mut self, _reply: &mut Vec<u8>) -> Option<(Ticket, Answer)> {
        None
    }

    fn has_room(&self) -> bool {
        true
    }

    fn facts(&self) -> Facts {
        Facts {
            mode: "single",
            place: self.place.0,
            digest: self.store.digest(),
            keys: self.store.keys(),
            mortal: self.store.mortal(),
            bytes: self.store.bytes(),
            most_bytes: self.store.limits().bytes,
            time: self.store.time(),
            more: Vec::new(),
        }
    }
}

/// The store and its front end.
#[derive(Debug)]
struct Shop {
    front: Front,
    back: Single,
}

impl Alone for Shop {
    fn handle_event(&mut self, event: &Event) {
        self.front.handle_event(event);
    }

    fn turn(&mut self, now: Time, wall: u64) -> bool {
        self.back.catch_up(wall);
        self.front.turn(now, wall, &mut self.back)
    }

    fn next_timeout(&self) -> Option<Time> {
        self.front.next_timeout()
    }

    fn report(&self) -> String {
        self.front.report()
    }
}

/// Serves until a signal ends it. To be called before any thread is started.
///
/// # Errors
///
/// When it cannot listen, or the kernel refuses to wait.
pub fn run_single(options: &Options) -> Result<(), Failure> {
    alone::run(|registry, token, now| {
        let listener = listen(options.listen, "a redis-server")?;
        let front = Front::open(listener, registry, token, options.allowances, now);
        let front = front.map_err(refused)?;
        let address = front.address().map_err(refused)?;
        say(&format!("ready role=kv mode=single address={address}"));
        let back = Single {
            store: Store::new(options.limits),
            place: Place::ZERO,
        };
        Ok(Shop { front, back })
    })
}
