//! The service as one process without a log: nothing is replicated, nothing
//! outlives it. What replication costs is measured against this.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::backend::{Answer, BackEnd, Facts, Kind, Submitted, Ticket};
use super::front::Front;
use crate::daemon::{Failure, Signals, Wish, say};
use crate::gateway::crowd::{Allowances, listen, wall};
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

/// Serves until a signal ends it. To be called before any thread is started.
///
/// # Errors
///
/// When it cannot listen, or the kernel refuses to wait.
pub fn run_single(options: &Options) -> Result<(), Failure> {
    const SIGNAL: Token = Token(0);
    const FRONT: usize = 1;
    let refused = |error: io::Error| {
        Failure::Failed(format!("the kernel refused to set up the loop: {error}"))
    };
    let signals = Signals::take_over()
        .map_err(|error| Failure::Failed(format!("cannot take over the signals: {error}")))?;
    let mut poll = Poll::new().map_err(refused)?;
    let descriptor = signals.as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&descriptor), SIGNAL, Interest::READABLE)
        .map_err(refused)?;
    let listener = listen(options.listen, "a redis-server")?;
    let born = Instant::now();
    let clock = || Time::ZERO + born.elapsed();
    let mut front = Front::open(
        listener,
        poll.registry(),
        FRONT,
        options.allowances,
        clock(),
    )
    .map_err(refused)?;
    let mut back = Single {
        store: Store::new(options.limits),
        place: Place::ZERO,
    };
    let address = front.address().map_err(refused)?;
    say(&format!("ready role=kv mode=single address={address}"));
    let mut events = Events::with_capacity(1024);
    loop {
        let (now, wall) = (clock(), wall());
        back.catch_up(wall);
        let more = front.turn(now, wall, &mut back);
        let patience = match (more, front.next_timeout()) {
            (true, _) => Some(std::time::Duration::ZERO),
            (false, Some(due)) => Some(due.since(clock())),
            (false, None) => None,
        };
        match poll.poll(&mut events, patience) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(Failure::Failed(format!(
                    "the kernel refused to wait: {error}"
                )));
            }
            _ => {}
        }
        for event in &events {
            if event.token() == SIGNAL {
                while let Some(wish) = signals.next() {
                    match wish {
                        Wish::End => return Ok(()),
                        Wish::Report => say(&front.report()),
                    }
                }
            } else {
                front.handle_event(event);
            }
        }
    }
}
