//! Signals as one more thing to read: SIGTERM and SIGINT end the daemon, SIGUSR1
//! asks it for its statistics.
//!
//! The signals are blocked and read from a descriptor in the loop, so no code
//! ever runs at a moment that it did not choose.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// End cleanly, now.
    End,
    /// Say how things stand.
    Report,
}

/// The signals that this process was sent.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Takes the signals over. To be called before any thread is started:
    /// threads inherit what is blocked, and a thread that did not block a
    /// signal would be ended by it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, which it has no reason to.
    pub fn take_over() -> io::Result<Signals> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
            set.add(signal);
        }
        set.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Signals {
            descriptor: SignalFd::with_flags(&set, flags)?,
        })
    }

    /// No signals: they are another's business in this process.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, which it has no reason to.
    pub fn of_another() -> io::Result<Signals> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Signals {
            descriptor: SignalFd::with_flags(&SigSet::empty(), flags)?,
        })
    }

    /// The next signal that arrived, if any.
    pub fn next(&self) -> Option<Wish> {
        let signal = self.descriptor.read_signal().ok().flatten()?;
        match Signal::try_from(signal.ssi_signo as i32) {
            Ok(Signal::SIGUSR1) => Some(Wish::Report),
            _ => Some(Wish::End),
        }
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn a_blocked_signal_waits_to_be_read() {
        let signals = Signals::take_over().unwrap();
        assert_eq!(signals.next(), None);
        raise(Signal::SIGUSR1).unwrap();
        assert_eq!(signals.next(), Some(Wish::Report));
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(signals.next(), Some(Wish::End));
        assert_eq!(signals.next(), None);
    }
}
