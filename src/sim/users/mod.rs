//! Those who use a replicated service: what they ask, what they are told, and
//! whether it can be true.
//!
//! Some runs have replicas of a service instead of plain learners, and users instead of
//! clients. What users do, and what must hold of what they are told, is the service's:
//! see [`store`] and [`chat`]. What holds of every service is looked at here: wherever
//! two replicas were seen at one place, they had one state.

pub mod chat;
pub mod service;
pub mod shelf;
pub mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::check::Finding;
use super::random::Random;
use crate::protocol::{ProcessId, Time};
use crate::service::Place;
use crate::service::chat::limits::Limits;
use crate::service::replica::{self, Replica};
pub use service::{Kind, Service};
pub use shelf::Shelf;

/// A replica, as the simulator runs it.
pub type Served = Replica<Service, u64>;

/// What a service is, and who uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServiceOptions {
    /// Which one.
    pub kind: Kind,
    /// How many users.
    pub users: u16,
    /// How many questions each has, or lines.
    pub questions: u32,
    /// How many keys they ask about, or channels they talk in.
    pub keys: u16,
    /// How long a user thinks before a question, at most.
    pub leisure: Duration,
    /// Bytes of commands between two checkpoints.
    pub checkpoint: u64,
    /// How long it takes to keep one, or to open another replica's, at most.
    pub keeping: Duration,
    /// How long one replica or the other hears of no proposals and no votes, and then
    /// another one, or none; never if zero. It is asked all the same.
    pub ignorance: Duration,
    /// The probability that a replica that starts again has lost what it kept.
    /// Only one of them ever does: there must be somebody to ask.
    pub amnesia: f64,
    /// Bytes of what happened that a chat remembers.
    pub memory: usize,
}

impl ServiceOptions {
    /// A few users of three replicas, to whom nothing happens.
    pub fn quiet(kind: Kind) -> ServiceOptions {
        ServiceOptions {
            kind,
            users: 3,
            questions: 20,
            keys: 2,
            leisure: Duration::from_millis(50),
            checkpoint: 1_000,
            keeping: Duration::ZERO,
            ignorance: Duration::ZERO,
            amnesia: 0.0,
            memory: Limits::MEMORY,
        }
    }

    /// What replicas are told.
    pub fn replica(&self) -> replica::Options {
        replica::Options {
            checkpoint: self.checkpoint,
            tells: self.kind == Kind::Chat,
            durable: true,
        }
    }

    /// A replica's state at its beginning.
    pub fn machine(&self) -> Service {
        Service::new(self.kind, self.memory)
    }
}

/// A replica whose turn it is.
#[derive(Debug)]
pub struct Visit<'a> {
    /// The time of the world.
    pub now: Time,
    /// The replica's clock.
    pub local: Time,
    /// Who it is.
    pub me: ProcessId,
    /// The replica.
    pub replica: &'a mut Served,
    /// Whether another one had its id before: such a one has no users of its own.
    pub twin: bool,
}

/// The users of one service.
pub trait Crowd: fmt::Debug {
    /// Sends away those who wait too long, or whose replica is gone.
    fn move_on(&mut self, now: Time, replicas: u16, gone: &dyn Fn(u16) -> bool) -> Finding;

    /// A replica's turn: its users take answers, and ask.
    fn visit(&mut self, visit: Visit<'_>) -> Finding;

    /// A replica applied a command, and tells the reply to it. It may be told twice.
    fn applied(&mut self, _who: &Teller<'_>, _place: Place, _reply: &[u8]) -> Finding {
        Ok(())
    }

    /// A replica's state is another one's now. It may be told twice.
    fn restored(&mut self, _who: &Teller<'_>, _through: Place) {}

    /// When a replica has something to do for its users.
    fn due(&self, replica: u16) -> Option<Time>;

    /// Whether everybody has done everything.
    fn are_done(&self) -> bool;

    /// Who is not, in words.
    fn unfinished(&self) -> Vec<String>;

    /// How many questions were answered.
    fn answered(&self) -> usize;

    /// How often something happened that should happen now and then.
    fn struck(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Whether all that was told can be true.
    fn conclude(&self) -> Finding;
}

/// A replica that tells something.
#[derive(Clone, Copy, Debug)]
pub struct Teller<'a> {
    /// The time of the world.
    pub now: Time,
    /// Who it is.
    pub me: ProcessId,
    /// Its name in traces.
    pub name: &'a str,
    /// Whether another one had its id before.
    pub twin: bool,
}

/// All users, and what is known of the replicas that they use.
#[derive(Debug)]
pub struct Users {
    options: ServiceOptions,
    /// They.
    pub crowd: Box<dyn Crowd>,
    /// The state that some replica had behind each place, and who.
    digests: BTreeMap<Place, (u64, String)>,
    /// Chance, for what is no single user's.
    pub random: Random,
    /// Whether a replica has lost what it kept.
    pub wiped: bool,
    /// Says who is kept ignorant when.
    ignorance: u64,
}

/// A number that looks like chance, the same for the same two.
fn mix(one: u64, other: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let wide = u128::from(one ^ ODD) * u128::from(other.wrapping_mul(ODD) | 1);
    (wide >> 64) as u64 ^ (wide as u64) >> 32
}

impl Users {
    /// Users of so many replicas, who have not asked anything yet.
    pub fn new(seed: u64, options: ServiceOptions, replicas: u16) -> Box<Users> {
        let crowd: Box<dyn Crowd> = match options.kind {
            Kind::Store => Box::new(store::Askers::new(seed, options, replicas)),
            Kind::Chat => Box::new(chat::People::new(seed, options, replicas)),
        };
        Box::new(Users {
            crowd,
            options,
            digests: BTreeMap::new(),
            random: Random::new(seed, "users"),
            wiped: false,
            ignorance: Random::new(seed, "ignorance").number(),
        })
    }

    /// What they were told to do.
    pub fn options(&self) -> ServiceOptions {
        self.options
    }

    /// Which replica hears of no proposals now, if any does not.
    pub fn kept_ignorant(&self, now: Time) -> Option<u16> {
        let long = self.options.ignorance.as_nanos() as u64;
        let period = now.0.checked_div(long)?;
        // Any mixture of the two will do; none is for one period in four.
        let draw = mix(self.ignorance, period) % 4;
        (draw > 0).then_some(draw as u16)
    }

    /// From now on all replicas hear of everything.
    pub fn inform_all(&mut self) {
        self.options.ignorance = Duration::ZERO;
    }

    /// A replica was seen with this state.
    pub fn compare(&mut self, who: &str, place: Place, digest: u64) -> Finding {
        const MOST: usize = 10_000;
        if self.digests.len() >= MOST {
            self.digests.pop_first();
        }
        let (known, first) = self
            .digests
            .entry(place)
            .or_insert_with(|| (digest, who.to_owned()));
        match *known == digest {
            true => Ok(()),
            false => Err(format!(
                "{who} and {first} have different states behind {place}"
            )),
        }
    }
}
