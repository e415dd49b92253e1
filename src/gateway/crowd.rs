//! Many connections in one loop: who comes in, who has something to do, and what
//! they cost.
//!
//! A front end owns a crowd and lives in somebody's loop: that one polls, hands the
//! events over, and gives turns. In a turn the front end takes newcomers in, then
//! takes each guest out who has something to do, serves them, and puts them back
//! with what became of them. Nothing in here blocks.
//!
//! # What a guest can cost
//!
//! A guest that takes nothing for [`Crowd::PATIENCE`] is cut off. The buffers of all
//! have a limit, and whoever makes them pass it, and holds more than a little, is cut
//! off too. One more than there may be is told so and closed.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::SockRef;

use super::stream::Stream;
use crate::daemon::{Failure, Notices};
use crate::protocol::Time;

/// What a front end may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowances {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of all their buffers.
    pub buffers: usize,
}

/// One connection, as the crowd sees it.
pub trait Guest {
    /// Its socket.
    fn stream(&mut self) -> &mut Stream;

    /// Bytes of memory that it holds.
    fn held(&self) -> usize;

    /// Whence it comes, for people.
    fn address(&self) -> &str;
}

/// Many connections.
#[derive(Debug)]
pub struct Crowd<G> {
    listener: Option<TcpListener>,
    registry: Registry,
    /// The poll's name for the listener; guests follow.
    token: usize,
    allowances: Allowances,
    /// Connections that are not counted among those.
    beside: usize,
    slots: Vec<Slot<G>>,
    free: Vec<usize>,
    /// Guests that have something to do.
    active: Vec<usize>,
    accepting: bool,
    /// A connection could not be taken, for want of something that others hold.
    starved: bool,
    stalled: usize,
    next_sweep: Time,
    tally: Tally,
    notices: Notices,
    scratch: Vec<u8>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections now.
    pub clients: usize,
    /// Connections so far, those that were refused among them.
    pub connections: u64,
    /// Connections that were one too many.
    pub rejected: u64,
    /// Connections that were cut off for what they cost.
    pub cut_off: u64,
    /// Bytes of buffers.
    pub buffers: usize,
}

/// A place for a guest.
#[derive(Debug)]
struct Slot<G> {
    generation: u32,
    /// It is on the list of those that have something to do.
    listed: bool,
    /// Bytes that it holds, as they were counted last.
    counted: usize,
    /// Nobody took its bytes when it was looked at last.
    stalled: bool,
    /// Taken out while it has its turn.
    guest: Option<Box<G>>,
}

/// Somebody who comes in.
#[derive(Debug)]
pub struct Newcomer {
    /// The connection.
    pub stream: Stream,
    /// The place that it gets.
    pub slot: usize,
    /// Which guest of that place it is.
    pub generation: u32,
    /// The how manieth connection of this process it is; never used twice.
    pub serial: u64,
    /// The other end.
    pub from: SocketAddr,
    /// This end.
    pub local: Option<SocketAddr>,
}

/// What becomes of a guest behind its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It waits until something happens.
    Waits,
    /// It has more to do at once.
    More,
    /// It is gone, as it should be.
    Gone,
}

impl<G: Guest> Crowd<G> {
    /// A guest that takes nothing for so long is cut off.
    pub const PATIENCE: Duration = Duration::from_secs(60);

    /// Bytes that a guest may hold whatever the others do.
    pub const LITTLE: usize = 64 << 10;

    /// Bytes that are read from a guest in one turn.
    pub const SHARE: usize = 64 << 10;

    /// Connections that are taken in one turn.
    const WELCOMES: usize = 64;

    /// Begins to listen, if there is where; the poll's names from `token` on are its
    /// own.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn open(
        mut listener: Option<TcpListener>,
        registry: &Registry,
        token: usize,
        allowances: Allowances,
        now: Time,
    ) -> io::Result<Crowd<G>> {
        let registry = registry.try_clone()?;
        if let Some(listener) = &mut listener {
            registry.register(listener, Token(token), Interest::READABLE)?;
        }
        Ok(Crowd {
            accepting: listener.is_some(),
            listener,
            registry,
            token,
            allowances,
            beside: 0,
            slots: Vec::new(),
            free: Vec::new(),
            active: Vec::new(),
            starved: false,
            stalled: 0,
            next_sweep: now,
            tally: Tally::default(),
            notices: Notices::default(),
            scratch: vec![0; Self::SHARE],
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// When it listens nowhere, or the kernel does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match &self.listener {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// What was counted.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Counts from here on.
    pub fn reset_tally(&mut self) {
        self.tally.rejected = 0;
        self.tally.cut_off = 0;
    }

    /// What it may cost.
    pub fn allowances(&self) -> Allowances {
        self.allowances
    }

    /// So many of the guests do not count among those that there may be.
    pub fn set_beside(&mut self, count: usize) {
        self.beside = count;
    }

    /// Warns, now and then.
    pub fn notices(&mut self) -> &mut Notices {
        &mut self.notices
    }

    /// A block to read into.
    pub fn scratch(&mut self) -> &mut [u8] {
        &mut self.scratch
    }

    /// Something happened to one of its sockets.
    pub fn handle_event(&mut self, event: &Event) {
        let Token(token) = event.token();
        match token.checked_sub(self.token) {
            Some(0) => self.accepting = self.listener.is_some(),
            Some(above) => {
                let slot = above - 1;
                let guest = self.slots.get_mut(slot).and_then(|s| s.guest.as_mut());
                if let Some(guest) = guest {
                    let stream = guest.stream();
                    stream.readable |= event.is_readable() || event.is_error();
                    stream.ended |= event.is_read_closed() || event.is_error();
                    self.list(slot);
                }
            }
            None => {}
        }
    }

    /// Puts a guest on the list of those that have something to do.
    pub fn list(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        if place.guest.is_some() && !place.listed {
            place.listed = true;
            self.active.push(slot);
        }
    }

    /// Puts all on the list.
    pub fn list_all(&mut self) {
        for slot in 0..self.slots.len() {
            self.list(slot);
        }
    }

    /// Those that have something to do; the list is empty behind this.
    pub fn take_active(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.active)
    }

    /// Whether there is something to do at once.
    pub fn is_busy(&self) -> bool {
        self.accepting || !self.active.is_empty()
    }

    /// When it wants a turn though nothing happens.
    pub fn next_timeout(&self) -> Option<Time> {
        (self.stalled > 0).then_some(self.next_sweep)
    }

    /// The guest at this place, if it is still that one.
    pub fn guest(&mut self, slot: usize, generation: u32) -> Option<&mut G> {
        let place = self.slots.get_mut(slot)?;
        if place.generation != generation {
            return None;
        }
        place.guest.as_deref_mut()
    }

    /// All guests with their places, but one that has its turn.
    pub fn guests(&self) -> impl Iterator<Item = (usize, &G)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(slot, place)| Some((slot, place.guest.as_deref()?)))
    }

    /// The same, to be changed.
    pub fn guests_mut(&mut self) -> impl Iterator<Item = (usize, &mut G)> {
        let slots = self.slots.iter_mut().enumerate();
        slots.filter_map(|(slot, place)| Some((slot, place.guest.as_deref_mut()?)))
    }

    /// Takes a guest out for its turn, so that it can ask about all the others; it is
    /// not on the list any more. It is to be put back.
    pub fn take(&mut self, slot: usize) -> Option<Box<G>> {
        let place = &mut self.slots[slot];
        place.listed = false;
        place.guest.take()
    }

    /// Puts a guest back behind its turn, counts what it holds, and forgets it if it
    /// is gone or holds too much. Gives it back then.
    pub fn put_back(
        &mut self,
        now: Time,
        slot: usize,
        mut guest: Box<G>,
        stay: Stay,
    ) -> Option<Box<G>> {
        let held = guest.held();
        let stalls = guest.stream().stalled.is_some();
        let place = &mut self.slots[slot];
        self.tally.buffers += held;
        self.tally.buffers -= std::mem::replace(&mut place.counted, held);
        self.stalled += usize::from(stalls);
        self.stalled -= usize::from(std::mem::replace(&mut place.stalled, stalls));
        if stay == Stay::Gone {
            self.forget(slot, &mut guest);
            return Some(guest);
        }
        if self.tally.buffers > self.allowances.buffers && held > Self::LITTLE {
            self.cut_off(now, slot, &mut guest, "holds more than can be given");
            return Some(guest);
        }
        place.guest = Some(guest);
        if stay == Stay::More {
            self.list(slot);
        }
        None
    }

    /// Takes connections in; `refusal` is what one too many is told, and `welcome`
    /// makes guests of the others.
    pub fn accept(&mut self, now: Time, refusal: &[u8], mut welcome: impl FnMut(Newcomer) -> G) {
        for _ in 0..Self::WELCOMES {
            let Some(listener) = self.listener.as_ref().filter(|_| self.accepting) else {
                return;
            };
            let (mut socket, from) = match listener.accept() {
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
            if self.tally.clients >= self.allowances.connections + self.beside {
                self.tally.connections += 1;
                self.tally.rejected += 1;
                // Whether it gets there is the client's business.
                let _ = socket.write(refusal);
                self.notices.warn(now, "crowd", || {
                    format!(
                        "refused {from}: there are {} connections already, the most there may be",
                        self.allowances.connections
                    )
                });
                continue;
            }
            if let Err(error) = self.enter(socket, from, &mut welcome) {
                self.notices.warn(now, "register", || {
                    format!("cannot watch the connection from {from}: {error}; it is closed")
                });
            }
        }
    }

    /// Takes a connection in that came about otherwise, such as one that was begun
    /// here; says where it is.
    ///
    /// # Errors
    ///
    /// When the kernel will not watch it.
    pub fn enter(
        &mut self,
        mut socket: TcpStream,
        from: SocketAddr,
        welcome: impl FnOnce(Newcomer) -> G,
    ) -> io::Result<usize> {
        // What is sent is whole; waiting gains nothing. A client that vanished
        // without a word is found out in the end.
        let _ = socket.set_nodelay(true);
        let _ = SockRef::from(&socket).set_keepalive(true);
        self.tally.connections += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                listed: false,
                counted: 0,
                stalled: false,
                guest: None,
            });
            self.slots.len() - 1
        });
        let token = Token(self.token + 1 + slot);
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut socket, token, both) {
            self.free.push(slot);
            return Err(error);
        }
        let local = socket.local_addr().ok();
        let place = &mut self.slots[slot];
        place.guest = Some(Box::new(welcome(Newcomer {
            stream: Stream::new(socket),
            slot,
            generation: place.generation,
            serial: self.tally.connections,
            from,
            local,
        })));
        self.tally.clients += 1;
        self.list(slot);
        Ok(slot)
    }

    /// Cuts off who has not taken anything for too long; `gone` hears of them.
    pub fn sweep(&mut self, now: Time, mut gone: impl FnMut(Box<G>)) {
        const OFTEN: Duration = Duration::from_secs(1);
        if self.stalled == 0 || now < self.next_sweep {
            return;
        }
        self.next_sweep = now + OFTEN;
        for slot in 0..self.slots.len() {
            let guest = self.slots[slot].guest.take_if(|guest| {
                let stalled = guest.stream().stalled;
                stalled.is_some_and(|since| now.since(since) >= Self::PATIENCE)
            });
            if let Some(mut guest) = guest {
                let why = "has not taken what it was sent for a minute";
                self.cut_off(now, slot, &mut guest, why);
                gone(guest);
            }
        }
    }

    /// Ends a connection for what it costs.
    fn cut_off(&mut self, now: Time, slot: usize, guest: &mut G, why: &str) {
        self.tally.cut_off += 1;
        let held = self.slots[slot].counted;
        let from = guest.address();
        self.notices.warn(now, why, || {
            format!("cut off the client at {from}: it {why} ({held} bytes)")
        });
        self.forget(slot, guest);
    }

    /// A connection is gone; its place is free for another.
    fn forget(&mut self, slot: usize, guest: &mut G) {
        let stream = guest.stream();
        stream.close(&mut self.scratch);
        let _ = self.registry.deregister(stream.socket());
        let place = &mut self.slots[slot];
        place.generation = place.generation.wrapping_add(1);
        self.stalled -= usize::from(std::mem::take(&mut place.stalled));
        self.tally.buffers -= std::mem::take(&mut place.counted);
        self.tally.clients -= 1;
        self.free.push(slot);
        // The kernel says only once that somebody waits.
        self.accepting |= std::mem::take(&mut self.starved);
    }
}

/// Begins to listen, or says why not and what to do; `rival` is what may listen there
/// already.
///
/// # Errors
///
/// When the kernel refuses.
pub fn listen(address: SocketAddr, rival: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => &format!(
                "another program listens there ({rival}?); end it, or choose another port with \
                 --listen"
            ),
            io::ErrorKind::AddrNotAvailable => {
                "this host has no such address; `ip address` lists what it has"
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 are not for everybody",
            _ => "choose another address with --listen",
        };
        Failure::Failed(format!("cannot listen on {address}: {error}: {advice}"))
    })
}

/// Milliseconds since 1970 by the clock on the wall; 0 if it shows less.
pub fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// As many connections as asked for, or as this process may have descriptors for.
/// The limit is raised as far as that is allowed.
pub fn connections(wanted: u64) -> usize {
    /// Descriptors that are not connections.
    const OTHERS: u64 = 32;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted as usize;
    };
    let enough = (wanted + OTHERS).min(hard);
    if enough > soft {
        // If that fails, there are fewer.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, enough, hard);
    }
    let (allowed, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((soft, hard));
    let possible = allowed.saturating_sub(OTHERS);
    if possible < wanted {
        log::warn!(
            "{possible} connections at once instead of {wanted}: the limit of open files is \
             {allowed}; raise it with `ulimit -n {}`",
            wanted + OTHERS
        );
    }
    possible.min(wanted) as usize
}
