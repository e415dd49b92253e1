//! The service as one replica of several: commands go through the log, reads see
//! all that was answered before them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mio::event::Event;

use super::backend::{Answer, BackEnd, Facts, Kind, Submitted, Ticket};
use super::front::Front;
use crate::daemon::{Command, Door, Entrance, Failure, Flow, Service, run_replica, say};
use crate::gateway::crowd::{Allowances, listen, wall};
use crate::protocol::Time;
use crate::service::clock::LogTime;
use crate::service::kv::command::{self, Stamped};
use crate::service::kv::limits::Limits;
use crate::service::kv::{MARK, Store};
use crate::service::replica::{Replica, Verdict};
use crate::service::{Place, Reading, StateMachine};

/// What the store's checkpoints are marked with.
const SERVICE: Service = Service {
    name: "kv",
    mark: MARK,
    tells: false,
};

/// Serves as a replica until a signal ends it.
///
/// # Errors
///
/// When it cannot start, when its state differs from the other replicas', or when
/// it cannot go on.
pub fn run_replicated(
    command: Command,
    address: SocketAddr,
    allowances: Allowances,
) -> Result<(), Failure> {
    let store = Store::new(Limits::default());
    run_replica(command, SERVICE, store, |entrance| {
        Desk::open(entrance, address, allowances)
    })
}

/// The front end in the replica's loop.
#[derive(Debug)]
struct Desk {
    front: Front,
    /// The front end has more to do at once.
    busy: bool,
    /// When an idle store's time may be moved again.
    tick_at: Time,
}

impl Desk {
    /// How long a tick has to take effect before another one is sent.
    const TICK: Duration = Duration::from_secs(1);

    fn open(
        entrance: &Entrance<'_>,
        address: SocketAddr,
        allowances: Allowances,
    ) -> Result<Desk, Failure> {
        let listener = listen(address, "a redis-server")?;
        let refused =
            |error| Failure::Failed(format!("the kernel refused to set up the loop: {error}"));
        let (registry, token, now) = (entrance.registry, entrance.token, entrance.now);
        let front = Front::open(listener, registry, token, allowances, now).map_err(refused)?;
        let address = front.address().map_err(refused)?;
        say(&format!(
            "ready role=kv mode=replica id={} address={address} {}",
            entrance.id, entrance.about
        ));
        Ok(Desk {
            front,
            busy: true,
            tick_at: now,
        })
    }

    /// Lets the time of an idle store follow the clock, which commands alone move
    /// only so far each.
    fn tick(&mut self, now: Time, wall: u64, replica: &mut Replica<Store, Ticket>) {
        let time = replica.machine().time();
        if time == 0 || time + LogTime::LEAP > wall || now < self.tick_at {
            return;
        }
        self.tick_at = now + Self::TICK;
        let mut tick = Vec::new();
        let asked = Stamped {
            stamp: wall,
            command: command::Command::Tick,
        };
        asked.encode_into(&mut tick);
        replica.submit(now, None, tick.into());
    }
}

impl Door<Store, Ticket> for Desk {
    fn ready(&mut self, event: &Event) {
        self.front.handle_event(event);
    }

    fn turn(&mut self, now: Time, replica: &mut Replica<Store, Ticket>) -> Result<Flow, Failure> {
        let wall = wall();
        self.tick(now, wall, replica);
        self.busy = self.front.turn(now, wall, &mut Behind { now, replica });
        Ok(Flow::Going)
    }

    fn next_timeout(&self) -> Option<Time> {
        match self.busy {
            true => Some(Time::ZERO),
            false => self.front.next_timeout(),
        }
    }

    fn facts(&self, replica: &Replica<Store, Ticket>) -> Vec<(&'static str, u64)> {
        vec![
            ("keys", replica.machine().keys() as u64),
            ("clients", self.front.clients() as u64),
            ("buffer_bytes", self.front.buffers() as u64),
        ]
    }
}

/// The replica behind the front end, for the length of a turn.
struct Behind<'a> {
    now: Time,
    replica: &'a mut Replica<Store, Ticket>,
}

impl BackEnd for Behind<'_> {
    fn submit(
        &mut self,
        ticket: Ticket,
        kind: Kind,
        command: &[u8],
        reply: &mut Vec<u8>,
    ) -> Submitted {
        let now = self.now;
        let at_once = match kind {
            Kind::Stale => true,
            Kind::At(place) => Place(place) <= self.replica.place(),
            Kind::Place | Kind::Read => false,
        };
        if at_once && self.replica.machine().read(command, reply) == Reading::Answered {
            return Submitted::Answered;
        }
        let command = Bytes::copy_from_slice(command);
        match kind {
            Kind::Read => self.replica.read(now, ticket, command),
            Kind::At(place) if !at_once => {
                self.replica.read_at(now, ticket, command, Place(place));
            }
            Kind::Place | Kind::Stale | Kind::At(_) => {
                self.replica.submit(now, Some(ticket), command);
            }
        }
        Submitted::UnderWay
    }

    fn answer(&mut self, reply: &mut Vec<u8>) -> Option<(Ticket, Answer)> {
        let (ticket, verdict) = self.replica.fetch_answer(reply)?;
        let answer = match verdict {
            Verdict::Reply => Answer::Reply,
            Verdict::NoQuorum => Answer::NoQuorum,
            Verdict::Indeterminate => Answer::Indeterminate,
        };
        Some((ticket, answer))
    }

    fn has_room(&self) -> bool {
        self.replica.has_room()
    }

    fn facts(&self) -> Facts {
        let store = self.replica.machine();
        let (changes, reads) = self.replica.waiting();
        Facts {
            mode: "replica",
            place: self.replica.place().0,
            digest: store.digest(),
            keys: store.keys(),
            mortal: store.mortal(),
            bytes: store.bytes(),
            most_bytes: store.limits().bytes,
            time: store.time(),
            more: vec![
                ("instance", self.replica.applied().0),
                ("quorum", u64::from(self.replica.is_sound())),
                ("behind", u64::from(self.replica.is_behind())),
                ("changes_waiting", changes as u64),
                ("reads_waiting", reads as u64),
                (
                    "checkpoint_instance",
                    self.replica.checkpoint().map_or(0, |kept| kept.through.0),
                ),
            ],
        }
    }
}
