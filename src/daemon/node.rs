//! A place on the network for one process: everything that is there before the role.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token, Waker};

use super::command::{Command, say};
use super::failure::Failure;
use super::faults::{Faults, Injector};
use super::interface::Interface;
use super::multicast::Multicast;
use super::signals::Signals;
use super::timer::Timer;
use crate::config::Config;
use crate::protocol::{ProcessId, Role, Settings, Time};
use crate::wire::Scope;

/// Open sockets, a poll that watches them, and a clock.
#[derive(Debug)]
pub struct Node {
    pub(super) me: ProcessId,
    pub(super) config: Config,
    pub(super) scope: Scope,
    pub(super) sockets: Multicast,
    pub(super) poll: Poll,
    pub(super) waker: Arc<Waker>,
    pub(super) signals: Signals,
    pub(super) timer: Timer,
    pub(super) injector: Option<Injector>,
    pub(super) clock: Clock,
    pub(super) embedded: bool,
    datagram: usize,
    interface: Interface,
    faults: Option<Faults>,
    buffer: usize,
}

/// The time since the process started.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Now.
    pub fn now(self) -> Time {
        Time::ZERO + self.0.elapsed()
    }
}

impl Node {
    /// The poll's name for a wake-up by another thread.
    pub(super) const WAKER: Token = Token(usize::MAX);
    /// The poll's name for a signal.
    pub(super) const SIGNAL: Token = Token(usize::MAX - 1);
    /// From here on the poll's names are the world's own.
    pub(super) const WORLD: usize = 1 << 16;
    /// The poll's name for the timer. Sockets are named by their index.
    pub(super) const TIMER: Token = Token(usize::MAX - 2);

    /// Opens the sockets for this incarnation of a process.
    ///
    /// # Errors
    ///
    /// When the kernel refuses something; the message says what.
    pub fn open(command: Command, incarnation: u64) -> Result<Node, Failure> {
        let me = ProcessId {
            role: command.role,
            id: command.id,
            incarnation,
        };
        let sockets = Multicast::open(&command.config, me.role, &command.interface)?;
        let refused = |error: io::Error| {
            Failure::Failed(format!("the kernel refused to set up the loop: {error}"))
        };
        let buffer = sockets.buffer().map_err(refused)?;
        let poll = Poll::new().map_err(refused)?;
        let waker = Waker::new(poll.registry(), Self::WAKER).map_err(refused)?;
        let timer = Timer::new().map_err(refused)?;
        let watch = |descriptor: RawFd, token| {
            poll.registry()
                .register(&mut SourceFd(&descriptor), token, Interest::READABLE)
                .map_err(refused)
        };
        for index in 0..sockets.count() {
            watch(sockets.descriptor(index), Token(index))?;
        }
        watch(command.signals.as_raw_fd(), Self::SIGNAL)?;
        watch(timer.as_raw_fd(), Self::TIMER)?;
        // With no seed given the incarnation serves; printed, it can be given
        // to repeat what happened.
        let faults = command.faults.map(|faults| Faults {
            seed: Some(faults.seed.unwrap_or(incarnation)),
            ..faults
        });
        Ok(Node {
            me,
            scope: Scope {
                cluster: command.config.cluster_hash(),
                config: command.config.config_digest(command.datagram),
            },
            injector: faults.clone().map(|faults| Injector::new(faults, me)),
            sockets,
            poll,
            waker: Arc::new(waker),
            signals: command.signals,
            embedded: command.embedded,
            timer,
            clock: Clock(Instant::now()),
            config: command.config,
            datagram: command.datagram,
            interface: command.interface,
            faults,
            buffer,
        })
    }

    /// What the role is told at its start.
    pub fn settings(&self) -> Settings {
        self.config.settings(self.datagram)
    }

    /// Bytes of the smallest receive buffer, as the kernel counts them.
    pub fn buffer(&self) -> u32 {
        u32::try_from(self.buffer).unwrap_or(u32::MAX)
    }

    /// Where on the network it is, in the words of the line that says it is ready.
    pub(super) fn place(&self) -> String {
        format!(
            "interface={} datagram={} receive_buffer={}",
            self.interface.name, self.datagram, self.buffer
        )
    }

    /// Says on standard error that the process is there: from now on it hears
    /// what is sent. `more` is what only this role has to say. Scripts wait
    /// for this line.
    pub(super) fn announce(&self, more: &str) -> Result<(), Failure> {
        self.warn_about_buffer();
        let address = self.sockets.local_address().map_err(|error| {
            Failure::Failed(format!("the sending socket has no address: {error}"))
        })?;
        let groups: Vec<String> = Multicast::groups(self.me.role)
            .iter()
            .map(|group: &Role| format!("{}={}", group.plural(), self.config.groups.of(*group)))
            .collect();
        let faults = match &self.faults {
            Some(faults) => format!(" faults={faults}"),
            None => String::new(),
        };
        say(&format!(
            "ready role={} id={} interface={} address={address} {} datagram={} receive_buffer={}{more}{faults}",
            self.me.role,
            self.me.id,
            self.interface.name,
            groups.join(" "),
            self.datagram,
            self.buffer,
        ));
        Ok(())
    }

    /// The kernel doubles what it is asked for, for its own bookkeeping, and
    /// cuts it to a limit without a word.
    pub(super) fn warn_about_buffer(&self) {
        let asked = self.config.receive_buffer;
        if self.buffer < 2 * asked {
            log::warn!(
                "the kernel gave {} bytes of receive buffer instead of {asked}, so bursts are kept smaller; \
                 to lift its limit: sysctl -w net.core.rmem_max={asked} (or set `receive_buffer {}`)",
                self.buffer / 2,
                self.buffer / 2
            );
        }
    }
}
