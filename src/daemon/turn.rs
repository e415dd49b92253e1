//! The loop, one turn after the other.

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mio::{Events, Token};
use nix::errno::Errno;

use super::calls;
use super::command::say;
use super::failure::Failure;
use super::faults::Fate;
use super::multicast::{self, Multicast, Received};
use super::node::Node;
use super::notice::Notices;
use super::peers::Peers;
use super::segments::Train;
use super::signals::Wish;
use super::statistics::Statistics;
use super::{Ending, Flow, World};
use crate::protocol::{Address, Message, Outbox, Output, Payloads, Process, ProcessId, Time};
use crate::wire::{self, Datagram, Parts, Reject};

/// A role, its world, and what keeps them going.
pub struct Turns<P: Process, W> {
    node: Node,
    role: P,
    world: W,
    out: Outbox<P>,
    /// Sockets that may have more; edges are reported only once.
    unfinished: Vec<bool>,
    peers: Peers,
    statistics: Statistics,
    notices: Notices,
    local: SocketAddrV4,
    sequence: u64,
    /// Messages of this turn, until its events are durable.
    leaving: Vec<(Address, Message)>,
    datagram: BytesMut,
    parts: Parts,
    /// Datagrams that leave together, and what each of them is.
    train: Train,
    aboard: Vec<&'static str>,
}

impl<P, W> Turns<P, W>
where
    P: Process<Address = Address, Sender = ProcessId, Message = Message>,
    W: World<P>,
{
    /// Datagrams that one socket may have in one turn, so that no flood on one
    /// group keeps the others, or the answers, waiting.
    const SHARE: usize = 256;

    /// A guest rests after a turn that took longer.
    const LONG: Duration = Duration::from_micros(100);

    /// The longest rest; a turn that took longer was held up by others.
    const LONGEST_REST: Duration = Duration::from_millis(1);

    /// From so many parts a datagram is still sent as it lies; the kernel takes a
    /// thousand, but many small ones are copied sooner than listed.
    const MOST_PARTS: usize = 16;

    /// Bytes that one socket may have in one turn; bounds what a turn can add
    /// to any queue.
    const SHARE_BYTES: usize = 4 << 20;

    /// Runs a role in its world until its work is done, a signal ends it, or it fails.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn run(node: Node, role: P, world: W) -> Result<(), Failure> {
        let now = node.clock.now();
        let local = node
            .sockets
            .local_address()
            .map_err(|error| Failure::Failed(format!("a socket has no address: {error}")))?;
        let mut turns = Turns {
            role,
            world,
            out: Outbox::new(),
            unfinished: vec![true; node.sockets.count()],
            peers: Peers::default(),
            statistics: Statistics::new(node.me, now),
            notices: Notices::default(),
            local,
            sequence: 0,
            leaving: Vec::new(),
            datagram: BytesMut::new(),
            parts: Parts::default(),
            train: Train::new(),
            aboard: Vec::new(),
            node,
        };
        let result = turns.until_the_end();
        let now = turns.node.clock.now();
        let ending = *result.as_ref().unwrap_or(&Ending::Failed);
        let ended = turns.world.end(now, &turns.role, ending);
        if !turns.node.embedded {
            turns.report(now);
        }
        result.and(ended)
    }

    fn until_the_end(&mut self) -> Result<Ending, Failure> {
        let mut events = Events::with_capacity(64);
        loop {
            if self.turn()? == Flow::Done {
                return Ok(Ending::Done);
            }
            self.wait(&mut events)?;
            for event in &events {
                match event.token() {
                    Node::SIGNAL => {
                        while let Some(wish) = self.node.signals.next() {
                            match wish {
                                Wish::End => return Ok(Ending::Asked),
                                Wish::Report => self.report(self.node.clock.now()),
                            }
                        }
                    }
                    Node::WAKER | Node::TIMER => {}
                    Token(index) if index < self.unfinished.len() => {
                        self.unfinished[index] = true;
                    }
                    Token(_) => self.world.ready(event),
                }
            }
        }
    }

    fn turn(&mut self) -> Result<Flow, Failure> {
        let now = self.node.clock.now();
        let guest = self.world.is_guest();
        let share = if guest { 1 } else { Self::SHARE };
        for index in 0..self.unfinished.len() {
            if self.unfinished[index] {
                self.unfinished[index] = self.drain(now, index, share);
            }
        }
        while let Some((bytes, from)) = self.node.injector.as_mut().and_then(|i| i.due(now)) {
            self.take_in(now, bytes, from);
        }
        if self.role.next_timeout().is_some_and(|due| due <= now) {
            self.role.handle_timeout(now, &mut self.out);
        }
        let flow = self.world.begin(now, &mut self.role, &mut self.out)?;
        self.role.finish_turn(now, &mut self.out);
        self.carry_out(now)?;
        self.listen(now);
        if guest {
            self.rest(now);
        }
        Ok(flow)
    }

    /// Rests as long as the turn took that began then, if it took long: where processes
    /// share processors, those that serve clients must not wait for one that does not.
    fn rest(&self, began: Time) {
        let worked = self.node.clock.now().since(began);
        if worked >= Self::LONG {
            std::thread::sleep(worked.min(Self::LONGEST_REST));
        }
    }

    /// Joins the groups that are of use now, and leaves the others.
    fn listen(&mut self, now: Time) {
        for &group in Multicast::groups(self.node.me.role) {
            let wanted = self.world.wants(&self.role, group);
            if let Err(error) = self.node.sockets.hear(group, wanted) {
                let address = self.node.config.groups.of(group);
                self.notices.warn(now, "membership", || {
                    format!(
                        "cannot join or leave the {} group {address}: {}; trying again",
                        group.plural(),
                        multicast::explain(&error)
                    )
                });
            }
        }
    }

    /// Takes what one socket has, up to its share of datagrams; says whether there may be
    /// more.
    fn drain(&mut self, now: Time, index: usize, share: usize) -> bool {
        let mut taken = 0;
        for _ in 0..share {
            match self.node.sockets.receive(index) {
                Received::Nothing => return false,
                Received::Useless(reason) => self.statistics.dropped(reason),
                Received::Datagram(bytes, from) => {
                    taken += bytes.len();
                    self.arrive(now, bytes, from);
                    if taken > Self::SHARE_BYTES {
                        return true;
                    }
                }
            }
        }
        true
    }

    /// A datagram came out of a socket: let the faults have it first.
    fn arrive(&mut self, now: Time, bytes: Bytes, from: SocketAddrV4) {
        let Some(injector) = &mut self.node.injector else {
            return self.take_in(now, bytes, from);
        };
        let arrival = (bytes, from);
        match injector.admit(now, &arrival) {
            Fate::Lost => self.statistics.dropped("fault"),
            Fate::Held => {}
            Fate::Now(copies) => {
                for _ in 0..copies {
                    self.take_in(now, arrival.0.clone(), from);
                }
            }
        }
    }

    /// A datagram reached us: to the role with it, if it is meant for the role.
    fn take_in(&mut self, now: Time, bytes: Bytes, from: SocketAddrV4) {
        let Datagram {
            sender, message, ..
        } = match wire::decode(&self.node.scope, bytes) {
            Ok(datagram) => datagram,
            Err(reject) => return self.refuse(now, from, reject),
        };
        let me = self.node.me;
        if sender == me {
            if from != self.local {
                let reason = format!("copied {from}");
                self.notices.warn(now, &reason, || {
                    format!(
                        "a second {} {} at {from} uses a copy of this one's identity; \
                         end it, and give it a data directory of its own with --init",
                        me.role, me.id
                    )
                });
            }
            return self.statistics.dropped("own");
        }
        if (sender.role, sender.id) == (me.role, me.id) {
            self.notices.warn(now, "namesake", || {
                format!(
                    "another {} {} is running at {from}; give each {} an id of its own",
                    me.role, me.id, me.role
                )
            });
        }
        if let Some(twin) = self.peers.heard(sender, from) {
            let reason = format!("twin {sender}");
            self.notices.warn(now, &reason, || {
                format!(
                    "{} {} speaks from {from} and from {twin} with one identity: its data \
                     directory was copied. Votes of the two count as one, which is not safe: end \
                     the copy at once, and make it an acceptor of its own with --init",
                    sender.role, sender.id
                )
            });
        }
        self.world.heard(sender);
        self.statistics.received(message.name());
        self.role
            .handle_message(now, sender, message, &mut self.out);
    }

    /// Counts a datagram that is not for us, and says so if somebody should act on it.
    fn refuse(&mut self, now: Time, from: SocketAddrV4, reject: Reject) {
        self.statistics.dropped(reject.name());
        match reject {
            Reject::Config { sender } => {
                let reason = format!("config {} {}", sender.role, sender.id);
                self.notices.warn(now, &reason, || {
                    format!(
                        "{} {} at {from} runs with another configuration and is not heeded; \
                         compare the output of --check-config there and here",
                        sender.role, sender.id
                    )
                });
            }
            Reject::Version(_) => self.notices.warn(now, "version", || {
                format!("{reject} at {from}: run the same release of paxcast everywhere")
            }),
            // Another cluster on the same groups is legitimate and may be busy.
            Reject::Cluster => {
                if log::log_enabled!(log::Level::Info) {
                    self.notices.warn(now, "cluster", || {
                        format!("another cluster uses these groups, at {from}; it is not heeded")
                    });
                }
            }
            Reject::Foreign | Reject::Tag | Reject::Malformed => {
                self.notices.warn(now, reject.name(), || {
                    format!("dropped a datagram from {from}: {reject}")
                });
            }
        }
    }

    /// Events and lookups in their order, one sync, then the messages.
    fn carry_out(&mut self, now: Time) -> Result<(), Failure> {
        let mut events = false;
        while let Some(output) = self.out.pop() {
            match output {
                Output::Send { to, message } => self.leaving.push((to, message)),
                Output::Event(event) => {
                    events = true;
                    self.world.event(now, event)?;
                }
                Output::Lookup(lookup) => {
                    let found = self.world.lookup(lookup)?;
                    self.role.handle_found(now, found, &mut self.out);
                }
            }
        }
        if events {
            self.world.sync()?;
        }
        let mut leaving = std::mem::take(&mut self.leaving);
        for (to, message) in leaving.drain(..) {
            self.send(now, to, &message);
        }
        self.depart(now);
        self.leaving = leaving;
        Ok(())
    }

    /// Lets a message join those that leave together; what it cannot join leaves
    /// ahead of it, so the order stays.
    fn send(&mut self, now: Time, to: Address, message: &Message) {
        let group = |role| self.node.config.groups.of(role);
        let address = match to {
            Address::Group(role) => group(role),
            Address::Process(process) => self
                .peers
                .address(process)
                .unwrap_or_else(|| group(process.role)),
        };
        self.sequence += 1;
        let (mut payloads, mut bytes) = (0, 0);
        message.each_payload(&mut |payload| {
            payloads += 1;
            bytes += payload.len();
        });
        if bytes >= Train::LONE && payloads <= Self::MOST_PARTS {
            self.depart(now);
            return self.send_alone(now, address, message);
        }
        self.datagram.clear();
        wire::encode(
            &self.node.scope,
            self.node.me,
            self.sequence,
            message,
            &mut self.datagram,
        );
        let longest = self.node.sockets.longest_train();
        if !self.train.join(&self.datagram, address, longest) {
            self.depart(now);
            self.train.begin(&mut self.datagram, address);
        }
        self.aboard.push(message.name());
    }

    /// Sends a large message from where its bytes are.
    fn send_alone(&mut self, now: Time, to: SocketAddrV4, message: &Message) {
        let (scope, me, sequence) = (&self.node.scope, self.node.me, self.sequence);
        wire::encode_parts(scope, me, sequence, message, &mut self.parts);
        let name = message.name();
        match self.node.sockets.send_parts(&self.parts, to) {
            Ok(()) => self.statistics.sent(name),
            Err(error) => self.not_sent(now, to, name, self.parts.length(), &error),
        }
        // They may be the last to hold the memory of a block.
        self.parts.payloads.clear();
    }

    /// Sends what waits to leave together.
    fn depart(&mut self, now: Time) {
        let together = match self.train.count() {
            0 => return,
            1 => false,
            _ => self.node.sockets.send_train(&self.train).is_ok(),
        };
        let mut failed = Vec::new();
        for (name, datagram) in self.aboard.drain(..).zip(self.train.datagrams()) {
            // What went wrong for all of them may not for each.
            let sent = together
                || match self.node.sockets.send(datagram, self.train.to()) {
                    Ok(()) => true,
                    Err(error) => {
                        failed.push((name, datagram.len(), error));
                        false
                    }
                };
            if sent {
                self.statistics.sent(name);
            }
        }
        let to = self.train.to();
        self.train.clear();
        for (name, length, error) in failed {
            self.not_sent(now, to, name, length, &error);
        }
    }

    /// The protocol takes care of what was not sent, as of anything that gets
    /// lost; the person who could mend the cause is told.
    fn not_sent(
        &mut self,
        now: Time,
        to: SocketAddrV4,
        kind: &str,
        length: usize,
        error: &io::Error,
    ) {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        let (name, hint) = match errno {
            Errno::ENOBUFS => ("ENOBUFS", "the interface's queue is full"),
            Errno::EAGAIN => ("EAGAIN", "the socket's send buffer is full"),
            Errno::EPERM => ("EPERM", "a firewall forbids it; see `iptables -L OUTPUT`"),
            Errno::ENETUNREACH => ("ENETUNREACH", "no way there; is the interface up?"),
            Errno::EHOSTUNREACH => ("EHOSTUNREACH", "no way there; is the host up?"),
            Errno::ENETDOWN => ("ENETDOWN", "the interface is down"),
            Errno::EINVAL => ("EINVAL", "has the interface lost its address?"),
            Errno::ECONNREFUSED => ("ECONNREFUSED", "the process there has ended"),
            Errno::EMSGSIZE => ("EMSGSIZE", "it is too large; see `datagram`"),
            _ => ("other", "unexpected"),
        };
        self.statistics.send_failed(name);
        self.notices.warn(now, name, || {
            format!("cannot send a {kind} of {length} bytes to {to}: {error}: {hint}; going on")
        });
    }

    /// Sleeps until something is due.
    fn wait(&mut self, events: &mut Events) -> Result<(), Failure> {
        let now = self.node.clock.now();
        let injector = self.node.injector.as_ref();
        let deadline = [
            self.role.next_timeout(),
            self.world.next_timeout(),
            injector.and_then(|injector| injector.next_timeout()),
        ]
        .into_iter()
        .flatten()
        .min();
        let busy = self.unfinished.contains(&true) || deadline.is_some_and(|due| due <= now);
        let patience = busy.then_some(Duration::ZERO);
        let waited = match deadline {
            Some(deadline) if !busy => self.node.timer.wake_by(now, deadline),
            _ => Ok(()),
        }
        .and_then(|()| {
            calls::add(1);
            self.node.poll.poll(events, patience)
        });
        match waited {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(Failure::Failed(
                format!("the kernel refused to wait: {error}"),
            )),
            _ => Ok(()),
        }
    }

    /// The line comes last: whoever waits for it finds everything written.
    fn report(&self, now: Time) {
        self.world.report();
        let facts = self.world.facts(&self.role);
        let drops = self.node.sockets.kernel_drops();
        say(&self.statistics.line(now, drops, calls::made(), &facts));
    }
}
