//! The contract between a role and the world it runs in.
//!
//! A role is a deterministic state machine. The world hands it messages and
//! the time, and carries out what it finds in the [`Outbox`] afterwards.
//!
//! There is one rule: **outputs are carried out in order, and a message leaves
//! only after every event ahead of it is durable.** Delaying a message is always
//! legal, so a world may gather the outputs of many messages (a *turn*), write
//! all events, sync once, and then send. Group commit is nothing more than that.

use std::collections::VecDeque;
use std::fmt::Debug;

use super::time::Time;

/// A role of the protocol, driven by a daemon, by the simulator or by a model checker.
///
/// No method fails: stale messages are ignored by design, malformed ones never
/// get here, and a broken invariant is an assertion.
pub trait Process {
    /// Who a message can be sent to.
    type Address: Clone + Debug + PartialEq + Eq;
    /// Who a message came from.
    type Sender: Clone + Debug + PartialEq + Eq;
    /// What is said.
    type Message: Clone + Debug + PartialEq + Eq;
    /// What happened here and must be durable, or handed on, before what follows.
    type Event: Clone + Debug + PartialEq + Eq;
    /// A question that only the disk can answer.
    type Lookup: Clone + Debug + PartialEq + Eq;
    /// The disk's answer.
    type Found: Clone + Debug + PartialEq + Eq;

    /// Takes in one message.
    fn handle_message(
        &mut self,
        now: Time,
        from: Self::Sender,
        message: Self::Message,
        out: &mut Outbox<Self>,
    );

    /// Does what is due. Called at or after [`Process::next_timeout`]; harmless earlier.
    fn handle_timeout(&mut self, now: Time, out: &mut Outbox<Self>);

    /// Says what was gathered over the turn. Called once after a batch of
    /// messages and timeouts, however large the batch was.
    fn finish_turn(&mut self, now: Time, out: &mut Outbox<Self>);

    /// Takes in the answer to a lookup. A role that asks nothing hears nothing.
    fn handle_found(&mut self, _now: Time, _found: Self::Found, _out: &mut Outbox<Self>) {}

    /// When the role next wants to be called, if at all.
    fn next_timeout(&self) -> Option<Time>;
}

/// One thing for the world to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<P: Process + ?Sized> {
    /// Send a message, once all events ahead are durable.
    Send {
        /// To whom.
        to: P::Address,
        /// What.
        message: P::Message,
    },
    /// Make this durable, or hand it on.
    Event(P::Event),
    /// Read this back, after all events ahead were written, and answer with
    /// [`Process::handle_found`].
    Lookup(P::Lookup),
}

/// What a role wants done, in order.
#[derive(Clone, Debug)]
pub struct Outbox<P: Process + ?Sized> {
    outputs: VecDeque<Output<P>>,
}

impl<P: Process + ?Sized> Outbox<P> {
    /// An empty outbox.
    pub fn new() -> Outbox<P> {
        Outbox {
            outputs: VecDeque::new(),
        }
    }

    /// Asks for a message to be sent.
    pub fn send(&mut self, to: P::Address, message: P::Message) {
        self.outputs.push_back(Output::Send { to, message });
    }

    /// Reports an event.
    pub fn event(&mut self, event: P::Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Asks the disk.
    pub fn lookup(&mut self, lookup: P::Lookup) {
        self.outputs.push_back(Output::Lookup(lookup));
    }

    /// Takes the oldest output.
    pub fn pop(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// Takes all outputs, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = Output<P>> + '_ {
        self.outputs.drain(..)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// How many outputs wait.
    pub fn len(&self) -> usize {
        self.outputs.len()
    }
}

impl<P: Process + ?Sized> Default for Outbox<P> {
    fn default() -> Outbox<P> {
        Outbox::new()
    }
}
