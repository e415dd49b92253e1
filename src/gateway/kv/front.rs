//! The front end: a listener, its connections, and what they cost.
//!
//! It lives in somebody's loop: that one polls, hands over the events with
//! [`Front::handle_event`], and gives it a turn. In a turn it reads what came,
//! submits commands, takes answers from the back end and sends replies. Nothing
//! in here blocks.
//!
//! # What a client can cost
//!
//! A request over [`Intake::LONGEST`](crate::gateway::resp::Intake::LONGEST) is
//! not kept. A client that does not take its replies is not read from any more;
//! what else it can cost, the [`Crowd`] bounds.

mod telling;

use std::io;
use std::net::SocketAddr;

use mio::Registry;
use mio::event::Event;
use mio::net::TcpListener;

use super::backend::{BackEnd, Kind, Submitted, Ticket};
use super::connection::{Connection, Held};
use super::session::{Outcome, Session};
use crate::gateway::crowd::{Allowances, Crowd, Guest, Newcomer, Stay};
use crate::gateway::resp::{Step, Writer};
use crate::protocol::Time;

/// The front end.
#[derive(Debug)]
pub struct Front {
    crowd: Crowd<Connection>,
    /// The back end had enough; connections wait for it.
    waiting: bool,
    counts: Traffic,
    born: Time,
    now: Time,
    port: u16,
    command: Vec<u8>,
    reply: Vec<u8>,
}

/// What went through.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    /// Requests.
    commands: u64,
    /// Bytes in.
    received: u64,
    /// Bytes out.
    sent: u64,
}

/// When a turn is.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    /// By the clock that only goes on.
    now: Time,
    /// By the clock on the wall, in milliseconds since 1970.
    wall: u64,
}

/// What a turn of a connection ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As the crowd knows it.
    Stay(Stay),
    /// It waits for room in the back end.
    Crowded,
}

impl Front {
    /// Begins to listen; the poll's names from `token` on are its own.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn open(
        listener: TcpListener,
        registry: &Registry,
        token: usize,
        allowances: Allowances,
        now: Time,
    ) -> io::Result<Front> {
        let port = listener.local_addr()?.port();
        Ok(Front {
            crowd: Crowd::open(Some(listener), registry, token, allowances, now)?,
            waiting: false,
            counts: Traffic::default(),
            born: now,
            now,
            port,
            command: Vec::new(),
            reply: Vec::new(),
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

    /// Connections now.
    pub fn clients(&self) -> usize {
        self.crowd.tally().clients
    }

    /// Bytes that the buffers of all connections hold.
    pub fn buffers(&self) -> usize {
        self.crowd.tally().buffers
    }

    /// Something happened to one of its sockets.
    pub fn handle_event(&mut self, event: &Event) {
        self.crowd.handle_event(event);
    }

    /// Does what there is to do; `wall` is the time that commands are stamped
    /// with, in milliseconds since 1970. Says whether there is more to do at once.
    pub fn turn(&mut self, now: Time, wall: u64, back: &mut impl BackEnd) -> bool {
        let stamp = Stamp { now, wall };
        self.now = now;
        let refusal = b"-ERR max number of clients reached\r\n";
        self.crowd
            .accept(now, refusal, |newcomer| welcome(newcomer, now));
        self.take_answers(back);
        if std::mem::take(&mut self.waiting) {
            self.crowd.list_all();
        }
        self.crowd.sweep(now, drop);
        for slot in self.crowd.take_active() {
            // Taken out, so that it can ask about all the others.
            let Some(mut connection) = self.crowd.take(slot) else {
                continue;
            };
            let end = self.serve(stamp, slot, &mut connection, back);
            let stay = match end.unwrap_or(End::Stay(Stay::Gone)) {
                End::Stay(stay) => stay,
                End::Crowded => {
                    self.waiting = true;
                    Stay::Waits
                }
            };
            self.crowd.put_back(now, slot, connection, stay);
        }
        self.crowd.is_busy()
    }

    /// When it wants a turn though nothing happens.
    pub fn next_timeout(&self) -> Option<Time> {
        self.crowd.next_timeout()
    }

    /// Hands answers to whom they belong; who is gone does not miss them.
    fn take_answers(&mut self, back: &mut impl BackEnd) {
        loop {
            self.reply.clear();
            let Some((ticket, answer)) = back.answer(&mut self.reply) else {
                return;
            };
            let slot = ticket.slot as usize;
            if let Some(connection) = self.crowd.guest(slot, ticket.generation) {
                connection.answer(ticket.number, answer, &self.reply);
                self.crowd.list(slot);
            }
        }
    }

    /// One connection's turn.
    fn serve(
        &mut self,
        stamp: Stamp,
        slot: usize,
        connection: &mut Connection,
        back: &mut impl BackEnd,
    ) -> io::Result<End> {
        let mut crowded = self.go_on(stamp, slot, connection, back);
        if connection.stream().readable && connection.is_drained() && !connection.closing {
            let count = connection.receive(self.crowd.scratch())?;
            self.counts.received += count as u64;
            crowded = self.go_on(stamp, slot, connection, back);
        }
        self.counts.sent += connection.stream().send(stamp.now)? as u64;
        connection.intake.relax();
        if connection.closing {
            return Ok(End::Stay(match connection.is_done() {
                true => Stay::Gone,
                false => Stay::Waits,
            }));
        }
        // What was held up by its own replies, which are sent now, goes on.
        let more = match connection.is_drained() {
            true => connection.stream().readable,
            false => !connection.is_held_up(),
        };
        Ok(match (crowded, more) {
            (true, _) => End::Crowded,
            (false, true) => End::Stay(Stay::More),
            (false, false) => End::Stay(Stay::Waits),
        })
    }

    /// Executes what is there, as far as it may; says whether the back end has
    /// had enough.
    fn go_on(
        &mut self,
        stamp: Stamp,
        slot: usize,
        connection: &mut Connection,
        back: &mut impl BackEnd,
    ) -> bool {
        if let Some(held) = connection.release() {
            self.submit(slot, connection, Kind::Place, held, back);
        }
        loop {
            if !back.has_room() {
                return !connection.is_drained();
            }
            match connection.advance() {
                None => return false,
                Some(Ok(Step::Incomplete)) => {}
                Some(Ok(Step::TooLong)) => {
                    self.counts.commands += 1;
                    connection.reply(false, |session, out| session.refuse(out));
                }
                Some(Ok(Step::Request)) => {
                    connection.heard = stamp.now;
                    self.counts.commands += 1;
                    self.execute(stamp, slot, connection, back);
                }
                Some(Err(broken)) => {
                    connection.reply(false, |session, out| {
                        Writer::new(out, session.version).error(&format!("ERR {broken}"));
                    });
                    connection.closing = true;
                }
            }
        }
    }

    /// Does what a request asks for.
    fn execute(
        &mut self,
        stamp: Stamp,
        slot: usize,
        connection: &mut Connection,
        back: &mut impl BackEnd,
    ) {
        self.command.clear();
        let (outcome, muted) = connection.execute(stamp.wall, &mut self.command);
        match outcome {
            Outcome::Answered => {}
            Outcome::Close => connection.closing = true,
            Outcome::Ask(question) => self.tell(stamp.now, &question, muted, connection, back),
            Outcome::Submit { kind, shape } => {
                let command = std::mem::take(&mut self.command);
                let submission = Held {
                    command,
                    shape,
                    muted,
                };
                // Behind a change that is under way even a read needs a place.
                if kind != Kind::Place && connection.changes() == 0 {
                    self.submit(slot, connection, kind, submission, back);
                } else if let Some(submission) = connection.hold(submission) {
                    self.submit(slot, connection, Kind::Place, submission, back);
                }
            }
        }
    }

    fn submit(
        &mut self,
        slot: usize,
        connection: &mut Connection,
        kind: Kind,
        submission: Held,
        back: &mut impl BackEnd,
    ) {
        let ticket = Ticket {
            slot: slot as u32,
            generation: connection.generation,
            number: connection.next_number(),
        };
        let Held {
            command,
            shape,
            muted,
        } = submission;
        self.reply.clear();
        match back.submit(ticket, kind, &command, &mut self.reply) {
            Submitted::Answered => connection.answered(shape, muted, &self.reply),
            Submitted::UnderWay => connection.wait(shape, muted, kind != Kind::Place),
        }
        // The block serves again.
        self.command = command;
        if self.reply.capacity() > Crowd::<Connection>::LITTLE {
            self.reply = Vec::new();
        }
    }
}

/// A client that has just come.
fn welcome(newcomer: Newcomer, now: Time) -> Connection {
    let local = newcomer
        .local
        .map_or(String::new(), |local| local.to_string());
    let session = Session::new(newcomer.serial, newcomer.from.to_string(), local);
    Connection::new(newcomer.stream, newcomer.generation, session, now)
}
