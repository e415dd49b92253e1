//! A back end that takes its time, and the loop around the front end.

use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Poll};

use crate::gateway::caller::{Caller, PLENTY};
use crate::gateway::crowd::Allowances;
use crate::gateway::kv::backend::{Answer, BackEnd, Facts, Kind, Submitted, Ticket};
use crate::gateway::kv::front::Front;
use crate::protocol::Time;
use crate::service::kv::Store;
use crate::service::{Place, Reading, StateMachine};

/// A back end whose answers come when the test lets them, in the order that it
/// chooses.
#[derive(Default)]
pub struct Slow {
    pub store: Store,
    place: Place,
    /// Answers at once, as the single process does.
    pub prompt: bool,
    pub full: bool,
    pub verdict: Option<Answer>,
    /// Changes are applied when they come; of reads the question is kept.
    pub under_way: Vec<(Ticket, Kind, Vec<u8>)>,
    answers: Vec<(Ticket, Answer, Vec<u8>)>,
    pub submitted: usize,
}

impl Slow {
    pub fn apply(&mut self, command: &[u8], reply: &mut Vec<u8>) {
        self.place = self.place.next();
        self.store.apply(self.place, command, reply);
    }

    /// Lets the answer to one of the commands under way come.
    pub fn let_go(&mut self, index: usize) {
        let (ticket, kind, bytes) = self.under_way.remove(index);
        let mut reply = bytes.clone();
        if kind != Kind::Place {
            reply.clear();
            if self.store.read(&bytes, &mut reply) == Reading::NeedsPlace {
                self.apply(&bytes, &mut reply);
            }
        }
        let verdict = self.verdict.unwrap_or(Answer::Reply);
        self.answers.push((ticket, verdict, reply));
    }
}

impl BackEnd for Slow {
    fn submit(
        &mut self,
        ticket: Ticket,
        kind: Kind,
        command: &[u8],
        reply: &mut Vec<u8>,
    ) -> Submitted {
        self.submitted += 1;
        if self.prompt {
            self.apply(command, reply);
            return Submitted::Answered;
        }
        let of_the_same = |other: &&(Ticket, Kind, Vec<u8>)| {
            (other.0.slot, other.0.generation) == (ticket.slot, ticket.generation)
        };
        for (other, other_kind, _) in self.under_way.iter().filter(of_the_same) {
            assert!(other.number < ticket.number, "a ticket was used twice");
            assert!(
                kind != Kind::Place || *other_kind == Kind::Place,
                "a change was submitted while a read was under way"
            );
            assert!(
                kind == Kind::Place || *other_kind != Kind::Place,
                "a read was submitted as one behind a change under way"
            );
        }
        let mut kept = command.to_vec();
        if kind == Kind::Place {
            kept.clear();
            self.apply(command, &mut kept);
        }
        self.under_way.push((ticket, kind, kept));
        Submitted::UnderWay
    }

    fn answer(&mut self, reply: &mut Vec<u8>) -> Option<(Ticket, Answer)> {
        let (ticket, answer, bytes) = self.answers.pop()?;
        reply.extend_from_slice(&bytes);
        Some((ticket, answer))
    }

    fn has_room(&self) -> bool {
        !self.full
    }

    fn facts(&self) -> Facts {
        Facts::default()
    }
}

/// The front end with its loop, all in the test's own thread.
pub struct Rig {
    poll: Poll,
    pub front: Front,
    pub back: Slow,
    pub now: Time,
}

impl Rig {
    pub fn new(back: Slow) -> Rig {
        Rig::with(back, PLENTY)
    }

    pub fn with(back: Slow, allowances: Allowances) -> Rig {
        let poll = Poll::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let now = Time(1);
        let front = Front::open(listener, poll.registry(), 10, allowances, now).unwrap();
        Rig {
            poll,
            front,
            back,
            now,
        }
    }

    pub fn connect(&mut self) -> Caller {
        Caller::connect(self.front.address().unwrap())
    }

    /// One turn of the loop.
    pub fn turn(&mut self) {
        let mut events = Events::with_capacity(64);
        let patience = Some(Duration::from_millis(1));
        self.poll.poll(&mut events, patience).unwrap();
        events
            .iter()
            .for_each(|event| self.front.handle_event(event));
        while self.front.turn(self.now, 1_000_000, &mut self.back) {}
    }

    /// Turns until it is so.
    pub fn until(&mut self, what: &str, mut so: impl FnMut(&mut Rig) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !so(self) {
            assert!(Instant::now() < deadline, "not in a minute: {what}");
            self.turn();
        }
    }

    /// Turns until the client heard so many bytes, or its connection ended.
    pub fn hear(&mut self, client: &mut Caller, count: usize) {
        self.until("the replies", |_| {
            client.listen();
            client.heard.len() >= count || client.ended
        });
    }

    /// Turns until so many commands were submitted in all.
    pub fn until_submitted(&mut self, count: usize) {
        self.until("submitted", |rig| rig.back.submitted >= count);
        assert_eq!(self.back.submitted, count);
    }
}

pub fn prompt() -> Slow {
    Slow {
        prompt: true,
        ..Slow::default()
    }
}
