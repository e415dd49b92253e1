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
//! one that does not take anything for [`Front::PATIENCE`] is cut off. All
//! buffers together have a limit, and whoever makes them pass it, and holds more
//! than a little, is cut off too. One connection more than there may be is told
//! so.

mod telling;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::about::Counts;
use super::backend::{BackEnd, Kind, Submitted, Ticket};
use super::connection::{Connection, Held};
use super::session::{Outcome, Session};
use crate::daemon::Notices;
use crate::gateway::resp::{Step, Writer};
use crate::protocol::Time;

/// What the front end may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowances {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of all their buffers.
    pub buffers: usize,
}

/// The front end.
#[derive(Debug)]
pub struct Front {
    listener: TcpListener,
    registry: Registry,
    /// The poll's name for the listener; connections follow.
    token: usize,
    allowances: Allowances,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Connections that have something to do.
    active: Vec<usize>,
    accepting: bool,
    /// A connection could not be taken, for want of something that others hold.
    starved: bool,
    /// The back end had enough; connections wait for it.
    waiting: bool,
    counts: Counts,
    born: Time,
    stalled: usize,
    next_sweep: Time,
    notices: Notices,
    scratch: Vec<u8>,
    command: Vec<u8>,
    reply: Vec<u8>,
}

/// A place for a connection.
#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    /// Taken out while it has its turn.
    connection: Option<Box<Connection>>,
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
    /// It waits for the socket, or for an answer.
    Waits,
    /// It has more to do at once.
    More,
    /// It waits for room in the back end.
    Crowded,
    /// It is gone, as it should be.
    Gone,
    /// It cost too much.
    TooMuch,
}

impl Front {
    /// A client that takes nothing for so long is cut off.
    pub const PATIENCE: Duration = Duration::from_secs(60);

    /// Bytes that a connection may hold whatever the others do.
    const LITTLE: usize = 64 << 10;

    /// Bytes that are read from a connection in one turn.
    const SHARE: usize = 64 << 10;

    /// Connections that are taken in one turn.
    const WELCOMES: usize = 64;

    /// Begins to listen; the poll's names from `token` on are its own.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn open(
        mut listener: TcpListener,
        registry: &Registry,
        token: usize,
        allowances: Allowances,
        now: Time,
    ) -> io::Result<Front> {
        let registry = registry.try_clone()?;
        registry.register(&mut listener, Token(token), Interest::READABLE)?;
        let counts = Counts {
            most_clients: allowances.connections,
            port: listener.local_addr()?.port(),
            ..Counts::default()
        };
        Ok(Front {
            listener,
            registry,
            token,
            allowances,
            slots: Vec::new(),
            free: Vec::new(),
            active: Vec::new(),
            accepting: true,
            starved: false,
            waiting: false,
            counts,
            born: now,
            stalled: 0,
            next_sweep: now,
            notices: Notices::default(),
            scratch: vec![0; Self::SHARE],
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
        self.listener.local_addr()
    }

    /// Connections now.
    pub fn clients(&self) -> usize {
        self.counts.clients
    }

    /// Bytes that the buffers of all connections hold.
    pub fn buffers(&self) -> usize {
        self.counts.buffers
    }

    /// Something happened to one of its sockets.
    pub fn handle_event(&mut self, event: &Event) {
        let Token(token) = event.token();
        match token.checked_sub(self.token) {
            Some(0) => self.accepting = true,
            Some(above) => {
                let slot = above - 1;
                let connection = self.slots.get_mut(slot).and_then(|s| s.connection.as_mut());
                if let Some(connection) = connection {
                    connection.readable |= event.is_readable() || event.is_error();
                    self.list(slot);
                }
            }
            None => {}
        }
    }

    /// Puts a connection on the list of those that have something to do.
    fn list(&mut self, slot: usize) {
        if let Some(connection) = &mut self.slots[slot].connection
            && !connection.listed
        {
            connection.listed = true;
            self.active.push(slot);
        }
    }

    /// Does what there is to do; `wall` is the time that commands are stamped
    /// with, in milliseconds since 1970. Says whether there is more to do at once.
    pub fn turn(&mut self, now: Time, wall: u64, back: &mut impl BackEnd) -> bool {
        let stamp = Stamp { now, wall };
        self.counts.uptime = now.since(self.born).as_secs();
        if self.accepting {
            self.accept(now);
        }
        self.take_answers(back);
        if std::mem::take(&mut self.waiting) {
            for slot in 0..self.slots.len() {
                self.list(slot);
            }
        }
        if self.stalled > 0 && now >= self.next_sweep {
            self.sweep(now);
        }
        let active = std::mem::take(&mut self.active);
        for slot in &active {
            // Taken out, so that it can ask about all the others.
            let Some(mut connection) = self.slots[*slot].connection.take() else {
                continue;
            };
            connection.listed = false;
            let was_stalled = connection.stalled.is_some();
            let end = self.serve(stamp, *slot, &mut connection, back);
            let end = end.unwrap_or(End::Gone);
            self.stalled += usize::from(connection.stalled.is_some());
            self.stalled -= usize::from(was_stalled);
            match self.count(&mut connection, end) {
                gone @ (End::Gone | End::TooMuch) => {
                    if gone == End::TooMuch {
                        self.complain(now, &connection, "holds more than can be given");
                    }
                    self.forget(*slot, &mut connection);
                }
                end => {
                    self.slots[*slot].connection = Some(connection);
                    self.waiting |= end == End::Crowded;
                    if end == End::More {
                        self.list(*slot);
                    }
                }
            }
        }
        self.accepting || !self.active.is_empty()
    }

    /// When it wants a turn though nothing happens.
    pub fn next_timeout(&self) -> Option<Time> {
        (self.stalled > 0).then_some(self.next_sweep)
    }

    /// Takes connections in.
    fn accept(&mut self, now: Time) {
        for _ in 0..Self::WELCOMES {
            let (mut stream, from) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.accepting = false;
                        return;
                    }
                    // That one is gone again; the next may be there.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => continue,
                    _ => {
                        self.accepting = false;
                        self.starved = true;
                        self.notices.warn(now, "accept", || {
                            format!(
                                "cannot take a connection: {error}; it waits until another \
                                 ends; is `ulimit -n` too low?"
                            )
                        });
                        return;
                    }
                },
            };
            self.counts.connections += 1;
            if self.counts.clients >= self.allowances.connections {
                self.counts.rejected += 1;
                // Whether it gets there is the client's business.
                let _ = stream.write(b"-ERR max number of clients reached\r\n");
                self.notices.warn(now, "crowd", || {
                    format!(
                        "refused {from}: there are {} connections already, the most there may be",
                        self.allowances.connections
                    )
                });
                continue;
            }
            // Replies are whole when they are sent; waiting gains nothing. A client
            // that vanished without a word is found out in the end.
            let _ = stream.set_nodelay(true);
            let _ = SockRef::from(&stream).set_keepalive(true);
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            });
            let token = Token(self.token + 1 + slot);
            let both = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.registry.register(&mut stream, token, both) {
                self.free.push(slot);
                self.notices.warn(now, "register", || {
                    format!("cannot watch the connection from {from}: {error}; it is closed")
                });
                continue;
            }
            let local = stream.local_addr();
            let session = Session::new(
                self.counts.connections,
                from.to_string(),
                local.map_or(String::new(), |local| local.to_string()),
            );
            let place = &mut self.slots[slot];
            let connection = Connection::new(stream, place.generation, session, now);
            place.connection = Some(Box::new(connection));
            self.counts.clients += 1;
            self.list(slot);
        }
    }

    /// Hands answers to whom they belong; who is gone does not miss them.
    fn take_answers(&mut self, back: &mut impl BackEnd) {
        loop {
            self.reply.clear();
            let Some((ticket, answer)) = back.answer(&mut self.reply) else {
                return;
            };
            let slot = ticket.slot as usize;
            let place = self.slots.get_mut(slot);
            let connection = place.and_then(|place| place.connection.as_mut());
            if let Some(connection) = connection
                && connection.generation == ticket.generation
            {
                connection.answer(ticket.number, answer, &self.reply);
                self.list(slot);
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
        if connection.readable && connection.is_drained() && !connection.closing {
            let count = connection.receive(&mut self.scratch)?;
            self.counts.received += count as u64;
            crowded = self.go_on(stamp, slot, connection, back);
        }
        self.counts.sent += connection.send(stamp.now)? as u64;
        connection.intake.relax();
        if connection.closing {
            return Ok(match connection.is_done() {
                true => End::Gone,
                false => End::Waits,
            });
        }
        // What was held up by its own replies, which are sent now, goes on.
        let more = match connection.is_drained() {
            true => connection.readable,
            false => !connection.is_held_up(),
        };
        Ok(match (crowded, more) {
            (true, _) => End::Crowded,
            (false, true) => End::More,
            (false, false) => End::Waits,
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
        if self.reply.capacity() > Self::LITTLE {
            self.reply = Vec::new();
        }
    }

    /// Counts what a connection holds, and says whether it may.
    fn count(&mut self, connection: &mut Connection, end: End) -> End {
        let held = connection.held();
        self.counts.buffers += held;
        self.counts.buffers -= connection.counted;
        connection.counted = held;
        let too_much = self.counts.buffers > self.allowances.buffers && held > Self::LITTLE;
        match end {
            End::Gone => End::Gone,
            _ if too_much => End::TooMuch,
            end => end,
        }
    }

    /// Cuts off who has not taken anything for too long.
    fn sweep(&mut self, now: Time) {
        const OFTEN: Duration = Duration::from_secs(1);
        self.next_sweep = now + OFTEN;
        for slot in 0..self.slots.len() {
            let connection = self.slots[slot].connection.take_if(|connection| {
                let stalled = connection.stalled;
                stalled.is_some_and(|since| now.since(since) >= Self::PATIENCE)
            });
            if let Some(mut connection) = connection {
                self.complain(now, &connection, "has not taken its replies for a minute");
                self.forget(slot, &mut connection);
            }
        }
    }

    fn complain(&mut self, now: Time, connection: &Connection, why: &str) {
        self.counts.cut_off += 1;
        let (from, held) = (&connection.session.address, connection.counted);
        self.notices.warn(now, why, || {
            format!("cut off the client at {from}: it {why} ({held} bytes)")
        });
    }

    /// A connection is gone; its place is free for another.
    fn forget(&mut self, slot: usize, connection: &mut Connection) {
        self.stalled -= usize::from(connection.stalled.is_some());
        self.counts.buffers -= connection.counted;
        self.counts.clients -= 1;
        connection.close(&mut self.scratch);
        let _ = self.registry.deregister(connection.stream());
        self.slots[slot].generation = self.slots[slot].generation.wrapping_add(1);
        self.free.push(slot);
        // The kernel says only once that somebody waits.
        self.accepting |= std::mem::take(&mut self.starved);
    }
}
