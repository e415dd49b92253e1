//! One connection: bytes in, requests under way, replies out in their order.
//!
//! The store may answer in any order; a client is answered in its own. So each
//! request that is not answered at once, and each behind it, has a place in a
//! row, and only the front of the row leaves.

use std::collections::VecDeque;
use std::io;

use super::backend::Answer;
use super::rendering::render;
use super::session::{Outcome, Session, Shape, Silence};
use crate::gateway::crowd::Guest;
use crate::gateway::resp::{Broken, Intake, Step, Version, Writer};
use crate::gateway::stream::{Received, Stream};
use crate::protocol::Time;
use crate::service::kv::reply::Reply;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// Which connection of its place.
    pub generation: u32,
    /// What came in.
    pub intake: Intake,
    /// What its client is.
    pub session: Session,
    /// When it came.
    pub since: Time,
    /// When it asked last.
    pub heard: Time,
    row: VecDeque<Waiting>,
    /// The number of the front of the row.
    first: u64,
    /// Commands under way that change something, and that do not.
    changes: usize,
    reads: usize,
    /// Bytes of replies in the row that are there already.
    ready: usize,
    /// Bytes of a reply to come, as far as can be told: of the longest of late.
    expected: usize,
    /// Versions are on their way: what follows depends on them.
    watching: bool,
    /// A change that waits until the reads ahead of it are answered.
    held: Option<Held>,
    /// Nothing whole is left of what came in.
    drained: bool,
    /// Nothing more is read; it ends when all is answered and sent.
    pub closing: bool,
}

/// A command that is not submitted yet.
#[derive(Debug)]
pub struct Held {
    /// What is submitted.
    pub command: Vec<u8>,
    /// What its reply becomes.
    pub shape: Shape,
    /// Nobody wants the reply.
    pub muted: bool,
}

/// A request whose reply cannot leave yet.
#[derive(Debug)]
struct Waiting {
    shape: Shape,
    version: Version,
    /// Nobody wants the reply.
    muted: bool,
    reads: bool,
    /// The reply, once it is there.
    reply: Option<Vec<u8>>,
}

impl Connection {
    /// Over so many bytes of replies nothing more is done until they are taken.
    pub const PATIENCE: usize = 256 << 10;

    /// The most requests under way.
    const UNDER_WAY: usize = 1024;

    /// What a reply is expected to have before any was seen.
    const SUSPECTED: usize = 16 << 10;

    /// A connection that has just come.
    pub fn new(stream: Stream, generation: u32, session: Session, now: Time) -> Connection {
        Connection {
            stream,
            generation,
            session,
            since: now,
            heard: now,
            intake: Intake::default(),
            row: VecDeque::new(),
            first: 0,
            changes: 0,
            reads: 0,
            ready: 0,
            expected: Self::SUSPECTED,
            watching: false,
            held: None,
            drained: true,
            closing: false,
        }
    }

    /// Reads once; says how many bytes came. Nothing comes when nothing is there,
    /// or when it is the end.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn receive(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        match self.stream.receive(scratch)? {
            Received::End => {
                self.closing = true;
                Ok(0)
            }
            Received::Some(count) => {
                self.intake.feed(&scratch[..count]);
                self.drained = false;
                Ok(count)
            }
            Received::Nothing => Ok(0),
        }
    }

    /// The next request, if there is one and it may be looked at.
    pub fn advance(&mut self) -> Option<Result<Step, Broken>> {
        if self.closing || self.drained || self.is_held_up() {
            return None;
        }
        let step = self.intake.advance();
        self.drained = step == Ok(Step::Incomplete);
        (!self.drained).then_some(step)
    }

    /// Whether everything that came in is understood, so that more may be read.
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// Whether requests that came must wait for something.
    pub fn is_held_up(&self) -> bool {
        self.watching
            || self.held.is_some()
            || self.row.len() >= Self::UNDER_WAY
            || self.pending() + self.ready + self.coming() >= Self::PATIENCE
    }

    /// Bytes of replies to come, by those that came: a pipeline of short questions with
    /// long answers must not be under way as a whole.
    fn coming(&self) -> usize {
        (self.changes + self.reads) * self.expected
    }

    /// Bytes that wait to be sent.
    pub fn pending(&self) -> usize {
        self.stream.pending()
    }

    /// Whether nothing is under way and nothing waits to be sent.
    pub fn is_done(&self) -> bool {
        self.row.is_empty() && self.held.is_none() && self.pending() == 0
    }

    /// How many commands are under way that change something.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// Lets a change wait until the reads ahead of it are answered, if there are
    /// any; gives it back if there are none.
    pub fn hold(&mut self, command: Held) -> Option<Held> {
        if self.reads == 0 {
            return Some(command);
        }
        self.held = Some(command);
        None
    }

    /// The change that waited and need not wait any more.
    pub fn release(&mut self) -> Option<Held> {
        if self.reads > 0 {
            return None;
        }
        self.held.take()
    }

    /// Lets the session understand the request that [`Connection::advance`] gave.
    /// Says what is to be done, and whether nobody wants the reply.
    pub fn execute(&mut self, wall: u64, command: &mut Vec<u8>) -> (Outcome, bool) {
        let before = self.session.silence;
        let arguments = self.intake.arguments();
        let session = &mut self.session;
        let mut aside = Vec::new();
        let straight = self.row.is_empty();
        let out = if straight {
            self.stream.out()
        } else {
            &mut aside
        };
        let start = out.len();
        let outcome = session.execute(&arguments, wall, out, command);
        let muted = before != Silence::Not && session.silence == before;
        if before == Silence::Next && muted {
            session.silence = Silence::Not;
        }
        if muted {
            out.truncate(start);
        }
        if !straight && matches!(outcome, Outcome::Answered | Outcome::Close) {
            self.push_ready(aside);
        }
        (outcome, muted)
    }

    /// The number that the next command for the store gets.
    pub fn next_number(&self) -> u64 {
        self.first + self.row.len() as u64
    }

    /// A reply that is there at once: `write` appends it. It waits its turn.
    pub fn reply(&mut self, muted: bool, write: impl FnOnce(&mut Session, &mut Vec<u8>)) {
        if self.row.is_empty() {
            let out = self.stream.out();
            let before = out.len();
            write(&mut self.session, out);
            if muted {
                out.truncate(before);
            }
            return;
        }
        let mut reply = Vec::new();
        write(&mut self.session, &mut reply);
        if muted {
            reply.clear();
        }
        self.push_ready(reply);
    }

    fn push_ready(&mut self, reply: Vec<u8>) {
        self.ready += reply.len();
        self.row.push_back(Waiting {
            shape: Shape::Plain,
            version: self.session.version,
            muted: false,
            reads: false,
            reply: Some(reply),
        });
    }

    /// The store answered a command at once.
    pub fn answered(&mut self, shape: Shape, muted: bool, encoded: &[u8]) {
        let version = self.session.version;
        self.reply(muted, |session, out| {
            express(session, shape, version, Answer::Reply, encoded, out);
        });
    }

    /// A command is under way; its number is [`Connection::next_number`].
    pub fn wait(&mut self, shape: Shape, muted: bool, reads: bool) {
        self.watching |= matches!(shape, Shape::Watch(_));
        match reads {
            true => self.reads += 1,
            false => self.changes += 1,
        }
        self.row.push_back(Waiting {
            shape,
            version: self.session.version,
            muted,
            reads,
            reply: None,
        });
    }

    /// The answer to the command of this number came.
    pub fn answer(&mut self, number: u64, answer: Answer, encoded: &[u8]) {
        let place = number.checked_sub(self.first).map(|at| at as usize);
        let Some(waiting) = place.and_then(|at| self.row.get_mut(at)) else {
            debug_assert!(false, "an answer to no question");
            return;
        };
        debug_assert!(waiting.reply.is_none(), "a second answer");
        match waiting.reads {
            true => self.reads -= 1,
            false => self.changes -= 1,
        }
        let shape = std::mem::take(&mut waiting.shape);
        if matches!(shape, Shape::Watch(_)) {
            self.watching = false;
        }
        let mut reply = Vec::new();
        let session = &mut self.session;
        express(session, shape, waiting.version, answer, encoded, &mut reply);
        if waiting.muted {
            reply.clear();
        }
        self.ready += reply.len();
        self.expected = reply.len().max(self.expected - self.expected.div_ceil(8));
        waiting.reply = Some(reply);
        while let Some(Waiting {
            reply: Some(reply), ..
        }) = self.row.front()
        {
            self.stream.out().extend_from_slice(reply);
            self.ready -= reply.len();
            self.row.pop_front();
            self.first += 1;
        }
    }
}

impl Guest for Connection {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn held(&self) -> usize {
        const PLACE: usize = size_of::<Waiting>();
        self.intake.held()
            + self.stream.held()
            + self.row.capacity() * PLACE
            + self.ready
            + self.session.held()
    }

    fn address(&self) -> &str {
        &self.session.address
    }
}

/// Appends what a client is told about an answer, and remembers what is to be
/// remembered.
fn express(
    session: &mut Session,
    shape: Shape,
    version: Version,
    answer: Answer,
    encoded: &[u8],
    out: &mut Vec<u8>,
) {
    let mut writer = Writer::new(out, version);
    if let Some(complaint) = answer.complaint() {
        return writer.error(complaint);
    }
    let reply = Reply::decode(encoded).expect("a reply of the store can be read");
    match shape {
        Shape::Plain => render(&reply, &[], &mut writer),
        Shape::Transaction(asides) => render(&reply, &asides, &mut writer),
        Shape::Watch(keys) => match reply {
            Reply::List(versions) => {
                let version = |reply: &Reply<'_>| match reply {
                    Reply::Integer(version) => *version as u64,
                    _ => 0,
                };
                session.watch(keys, versions.iter().map(version));
                writer.ok();
            }
            other => render(&other, &[], &mut writer),
        },
    }
}
