//! A timer that the poll can wait for, finer than the poll's own milliseconds.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::calls;
use crate::protocol::Time;

/// A timer descriptor, on the monotonic clock.
#[derive(Debug)]
pub struct Timer {
    descriptor: TimerFd,
    armed: Option<Time>,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Timer {
            descriptor: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?,
            armed: None,
        })
    }

    /// Makes the descriptor readable at `deadline` or earlier. Deadlines mostly
    /// move away a little with every turn; a timer that still stands for an
    /// earlier one is left alone, for one wake-up too many is cheaper than a
    /// system call in every turn.
    ///
    /// The descriptor is never read: polled by edges it reports each expiry
    /// once, and setting it anew forgets the last.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn wake_by(&mut self, now: Time, deadline: Time) -> io::Result<()> {
        if self
            .armed
            .is_some_and(|armed| now < armed && armed <= deadline)
        {
            return Ok(());
        }
        let wait = deadline.since(now).max(std::time::Duration::from_nanos(1));
        calls::add(1);
        self.descriptor.set(
            Expiration::OneShot(TimeSpec::from_duration(wait)),
            TimerSetTimeFlags::empty(),
        )?;
        self.armed = Some(deadline);
        Ok(())
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};

    use super::*;

    #[test]
    fn it_wakes_the_poll_again_and_again_and_not_too_early() {
        let mut timer = Timer::new().unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        poll.registry()
            .register(
                &mut SourceFd(&timer.as_raw_fd()),
                Token(0),
                Interest::READABLE,
            )
            .unwrap();
        let origin = Instant::now();
        let now = || Time(origin.elapsed().as_nanos() as u64);
        for _ in 0..3 {
            let deadline = now() + Duration::from_micros(300);
            timer.wake_by(now(), deadline).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(10)))
                .unwrap();
            assert!(!events.is_empty(), "the timer never came");
            assert!(now() >= deadline);
        }
    }

    #[test]
    fn an_earlier_deadline_moves_it_and_a_later_one_does_not() {
        let mut timer = Timer::new().unwrap();
        let second = 1_000_000_000;
        timer.wake_by(Time(0), Time(5 * second)).unwrap();
        timer.wake_by(Time(0), Time(9 * second)).unwrap();
        assert_eq!(timer.armed, Some(Time(5 * second)));
        timer.wake_by(Time(0), Time(2 * second)).unwrap();
        assert_eq!(timer.armed, Some(Time(2 * second)));
        timer.wake_by(Time(3 * second), Time(9 * second)).unwrap();
        assert_eq!(timer.armed, Some(Time(9 * second)));
    }
}
