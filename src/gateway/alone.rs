//! A loop for a front end that has no replica beside it: signals, sockets, timeouts.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::daemon::{Failure, Signals, Wish, say};
use crate::protocol::Time;

/// What lives in such a loop.
pub trait Alone {
    /// Something happened to one of its descriptors.
    fn handle_event(&mut self, event: &Event);

    /// Does what there is to do; says whether there is more at once. `wall` is the
    /// time in milliseconds since 1970.
    fn turn(&mut self, now: Time, wall: u64) -> bool;

    /// When it wants a turn though nothing happens.
    fn next_timeout(&self) -> Option<Time>;

    /// What was counted so far, as a line for people.
    fn report(&self) -> String;
}

/// Runs one until a signal ends it; `open` makes it, with the poll's registry, its
/// names from a number on, and the time. To be called before any thread is started.
///
/// # Errors
///
/// When it cannot be made, or the kernel refuses to wait.
pub fn run<A: Alone>(
    open: impl FnOnce(&Registry, usize, Time) -> Result<A, Failure>,
) -> Result<(), Failure> {
    const SIGNAL: Token = Token(0);
    let signals = Signals::take_over()
        .map_err(|error| Failure::Failed(format!("cannot take over the signals: {error}")))?;
    let mut poll = Poll::new().map_err(refused)?;
    let descriptor = signals.as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&descriptor), SIGNAL, Interest::READABLE)
        .map_err(refused)?;
    let born = Instant::now();
    let clock = || Time::ZERO + born.elapsed();
    let mut front = open(poll.registry(), SIGNAL.0 + 1, clock())?;
    let mut events = Events::with_capacity(1024);
    loop {
        let more = front.turn(clock(), super::crowd::wall());
        let patience = match (more, front.next_timeout()) {
            (true, _) => Some(Duration::ZERO),
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

/// The kernel does not let a loop be set up.
pub fn refused(error: io::Error) -> Failure {
    Failure::Failed(format!("the kernel refused to set up the loop: {error}"))
}
