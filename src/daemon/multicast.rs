//! The sockets, and their quirks in one place.
//!
//! Receiving: one socket for each group the role listens to, **bound to the
//! group's own address** and told by `IP_MULTICAST_ALL=0` to take only what it
//! joined itself. Linux would otherwise hand it the datagrams of every group
//! that any process of the host has joined on that port. `SO_REUSEADDR` lets
//! several processes of one host listen; `SO_REUSEPORT` never, because the
//! kernel would share unicast datagrams out among them.
//!
//! Sending: everything leaves through one unicast socket on the interface's
//! address, so a datagram's source address is where its sender can be answered.
//!
//! Both take several datagrams in one call where the kernel can; see `segments`.
//!
//! Buffers: a burst that overflows a socket's buffer is lost without a sound.
//! A large one is asked for, what the kernel gave is read back, and the kernel's
//! own count of what it threw away (`SO_RXQ_OVFL`) is in the statistics.

use std::io::{self, IoSlice, IoSliceMut};
use std::iter;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use bytes::{Bytes, BytesMut};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};

use super::blocks::Blocks;
use super::calls;
use super::failure::Failure;
use super::interface::Interface;
use super::segments::{self, Train};
use crate::config::Config;
use crate::protocol::Role;
use crate::wire::Parts;

/// The sockets of one process.
#[derive(Debug)]
pub struct Multicast {
    inlets: Vec<Inlet>,
    interface: InterfaceIndexOrAddress,
    blocks: Blocks,
    /// How many datagrams the kernel takes in one call.
    longest: usize,
}

/// One socket to receive from. The first of a process is also the one it sends from.
#[derive(Debug)]
struct Inlet {
    socket: UdpSocket,
    /// The kernel's count of datagrams it dropped, as last seen.
    dropped: u32,
    total_dropped: u64,
    /// Room for the kernel to put that count, and the size of datagrams that
    /// came together.
    control: Vec<u8>,
    /// What the last call brought.
    block: BytesMut,
    /// The part of it that is not handed on yet: datagrams of this size, the last
    /// may be shorter, and where they come from.
    rest: Range<usize>,
    size: usize,
    from: SocketAddrV4,
    membership: Option<Membership>,
}

/// The group that a socket hears.
#[derive(Debug)]
struct Membership {
    role: Role,
    group: Ipv4Addr,
    joined: bool,
}

/// What a socket had.
#[derive(Debug)]
pub enum Received {
    /// A datagram, and the address of the socket that sent it.
    Datagram(Bytes, SocketAddrV4),
    /// A datagram that is of no use, with a name for the reason.
    Useless(&'static str),
    /// Nothing more for now.
    Nothing,
}

impl Multicast {
    /// The groups that a role listens to, at least at times: see [`Multicast::hear`].
    pub fn groups(role: Role) -> &'static [Role] {
        match role {
            Role::Client => &[Role::Client],
            Role::Proposer => &[Role::Proposer, Role::Learner],
            Role::Acceptor => &[Role::Acceptor],
            Role::Learner => &[Role::Client, Role::Acceptor, Role::Learner],
        }
    }

    /// Opens the sockets of a role and joins its groups.
    ///
    /// # Errors
    ///
    /// When the kernel refuses one of them; the message says which and why.
    pub fn open(config: &Config, role: Role, interface: &Interface) -> Result<Multicast, Failure> {
        let refused = |what: String| {
            move |error: io::Error| {
                Failure::Configuration(format!("{what} on {interface}: {}", explain(&error)))
            }
        };
        let mut blocks = Blocks::default();
        let mut inlets = vec![
            unicast(config, interface, blocks.block())
                .map_err(refused("cannot open the sending socket".to_owned()))?,
        ];
        for group in Self::groups(role) {
            let address = config.groups.of(*group);
            let what = format!("cannot listen to the {} group {address}", group.plural());
            let inlet = listen(config, *group, interface, blocks.block()).map_err(refused(what))?;
            inlets.push(inlet);
        }
        let longest = segments::probe(interface.address);
        match longest {
            1 => log::info!("the kernel takes one datagram a call: it knows no UDP_SEGMENT here"),
            _ => log::info!("up to {longest} datagrams of one size leave in one call"),
        }
        Ok(Multicast {
            inlets,
            interface: InterfaceIndexOrAddress::Index(interface.index),
            blocks,
            longest,
        })
    }

    /// Says that so many bytes of what is received stay in memory, see [`Blocks::keep`].
    pub fn keep(&mut self, bytes: usize) {
        self.blocks.keep(bytes);
    }

    /// Joins the group of a role, or leaves it, if that is not done already: what
    /// nobody wants costs a wake-up all the same. What waits in the socket stays.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says; then nothing has changed.
    pub fn hear(&mut self, role: Role, wanted: bool) -> io::Result<()> {
        for inlet in &mut self.inlets {
            if let Some(membership) = &mut inlet.membership
                && membership.role == role
                && membership.joined != wanted
            {
                let socket = SockRef::from(&inlet.socket);
                calls::add(1);
                match wanted {
                    true => socket.join_multicast_v4_n(&membership.group, &self.interface)?,
                    false => socket.leave_multicast_v4_n(&membership.group, &self.interface)?,
                }
                membership.joined = wanted;
            }
        }
        Ok(())
    }

    /// How many sockets there are to receive from.
    pub fn count(&self) -> usize {
        self.inlets.len()
    }

    /// The descriptor of a socket, for the poll.
    pub fn descriptor(&self, index: usize) -> RawFd {
        self.inlets[index].socket.as_raw_fd()
    }

    /// The address that datagrams of this process come from.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn local_address(&self) -> io::Result<SocketAddrV4> {
        match self.inlets[0].socket.local_addr()? {
            std::net::SocketAddr::V4(address) => Ok(address),
            std::net::SocketAddr::V6(address) => {
                Err(io::Error::other(format!("{address} is not IPv4")))
            }
        }
    }

    /// What the smallest receive buffer holds, as the kernel counts it.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn buffer(&self) -> io::Result<usize> {
        let mut smallest = usize::MAX;
        for inlet in &self.inlets {
            smallest = smallest.min(SockRef::from(&inlet.socket).recv_buffer_size()?);
        }
        Ok(smallest)
    }

    /// How many datagrams the kernel dropped for want of buffer space. Some that
    /// came together count as one.
    pub fn kernel_drops(&self) -> u64 {
        self.inlets.iter().map(|inlet| inlet.total_dropped).sum()
    }

    /// Takes the next datagram of one socket.
    pub fn receive(&mut self, index: usize) -> Received {
        let inlet = &mut self.inlets[index];
        if !inlet.rest.is_empty() {
            return inlet.hand_on(&mut self.blocks);
        }
        let mut slices = [IoSliceMut::new(&mut inlet.block)];
        calls::add(1);
        match recvmsg::<SockaddrIn>(
            inlet.socket.as_raw_fd(),
            &mut slices,
            Some(&mut inlet.control),
            MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(message) => {
                inlet.size = message.bytes;
                for control in message.cmsgs().into_iter().flatten() {
                    match control {
                        ControlMessageOwned::RxqOvfl(dropped) => {
                            let new = dropped.wrapping_sub(inlet.dropped);
                            inlet.total_dropped += u64::from(new);
                            inlet.dropped = dropped;
                        }
                        ControlMessageOwned::UdpGroSegments(size) if size > 0 => {
                            inlet.size = size.unsigned_abs() as usize;
                        }
                        _ => {}
                    }
                }
                if message.flags.contains(MsgFlags::MSG_TRUNC) {
                    return Received::Useless("truncated");
                }
                let Some(from) = message.address else {
                    return Received::Useless("no-sender");
                };
                inlet.from = SocketAddrV4::new(from.ip(), from.port());
                inlet.rest = 0..message.bytes;
            }
            Err(Errno::EAGAIN) => return Received::Nothing,
            Err(Errno::EINTR) => return Received::Useless("interrupted"),
            // An error that an earlier datagram of ours brought back; reading
            // it has cleared it.
            Err(_) => return Received::Useless("receive-error"),
        }
        inlet.hand_on(&mut self.blocks)
    }

    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says. None of it is a reason to end: the protocol
    /// treats a datagram that did not leave like one that did not arrive.
    pub fn send(&self, bytes: &[u8], to: SocketAddrV4) -> io::Result<()> {
        loop {
            calls::add(1);
            match self.inlets[0].socket.send_to(bytes, to) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(drop),
            }
        }
    }

    /// Sends one datagram from its parts.
    ///
    /// # Errors
    ///
    /// As [`Multicast::send`].
    pub fn send_parts(&self, parts: &Parts, to: SocketAddrV4) -> io::Result<()> {
        let payloads = parts.payloads.iter().map(|payload| &payload[..]);
        let slices: Vec<IoSlice> = iter::once(&parts.head[..])
            .chain(payloads)
            .chain(iter::once(&parts.tag[..]))
            .map(IoSlice::new)
            .collect();
        let address = SockaddrIn::from(to);
        let socket = self.inlets[0].socket.as_raw_fd();
        loop {
            calls::add(1);
            match sendmsg(socket, &slices, &[], MsgFlags::empty(), Some(&address)) {
                Err(Errno::EINTR) => {}
                result => return result.map(drop).map_err(io::Error::from),
            }
        }
    }

    /// How many datagrams may be sent as one train.
    pub fn longest_train(&self) -> usize {
        self.longest
    }

    /// Sends all datagrams of a train in one call.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says; then none has left, and they are to be sent one
    /// by one. If it says that it cannot do this, no train will be longer than one.
    pub fn send_train(&mut self, train: &Train) -> io::Result<()> {
        let socket = &self.inlets[0].socket;
        segments::send(socket, train.bytes(), train.size(), train.to()).map_err(|error| {
            if segments::unable(error) {
                log::info!(
                    "from now on datagrams leave one by one: the kernel refused {} of {} bytes \
                     to {}: {error}",
                    train.count(),
                    train.size(),
                    train.to()
                );
                self.longest = 1;
            }
            error.into()
        })
    }
}

/// The socket that everything is sent from, and unicast answers arrive at.
fn unicast(config: &Config, interface: &Interface, block: BytesMut) -> io::Result<Inlet> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&SocketAddrV4::new(interface.address, 0).into())?;
    socket.set_multicast_if_v4(&interface.address)?;
    socket.set_multicast_ttl_v4(config.ttl)?;
    socket.set_multicast_loop_v4(true)?;
    // A send buffer as large as the receivers': a leader that fills its window
    // at once should find room for it. Best effort, as theirs is.
    socket.set_send_buffer_size(config.receive_buffer)?;
    Inlet::new(socket, config, block)
}

/// A socket that hears one group.
fn listen(
    config: &Config,
    role: Role,
    interface: &Interface,
    block: BytesMut,
) -> io::Result<Inlet> {
    let group = config.groups.of(role);
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&group.into())?;
    let index = InterfaceIndexOrAddress::Index(interface.index);
    socket.join_multicast_v4_n(group.ip(), &index)?;
    let mut inlet = Inlet::new(socket, config, block)?;
    inlet.membership = Some(Membership {
        role,
        group: *group.ip(),
        joined: true,
    });
    Ok(inlet)
}

impl Inlet {
    fn new(socket: Socket, config: &Config, block: BytesMut) -> io::Result<Inlet> {
        socket.set_multicast_all_v4(false)?;
        socket.set_recv_buffer_size(config.receive_buffer)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        // A kernel that does not know it hands on one datagram a call.
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        socket.set_nonblocking(true)?;
        Ok(Inlet {
            socket: socket.into(),
            dropped: 0,
            total_dropped: 0,
            control: nix::cmsg_space!(u32, i32),
            block,
            rest: 0..0,
            size: 0,
            from: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            membership: None,
        })
    }

    /// The next datagram of those that the last call brought: a large one with
    /// the block if it came alone, another copied.
    fn hand_on(&mut self, blocks: &mut Blocks) -> Received {
        let start = self.rest.start;
        let end = self.rest.end.min(start + self.size);
        self.rest.start = end;
        let large = end - start >= Blocks::LARGE && start == 0 && self.rest.is_empty();
        let datagram = if large {
            let full = std::mem::replace(&mut self.block, blocks.block());
            blocks.lend(full, end)
        } else {
            Bytes::copy_from_slice(&self.block[start..end])
        };
        Received::Datagram(datagram, self.from)
    }
}

/// An error of the kernel's with what most likely lies behind it.
pub(super) fn explain(error: &io::Error) -> String {
    let hint = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EADDRINUSE) => {
            "another program holds this port without sharing it; choose another port"
        }
        Some(Errno::EADDRNOTAVAIL) => "the interface has lost its address; check `interface`",
        Some(Errno::ENODEV) => "the interface does not do multicast; check `interface`",
        Some(Errno::ENOBUFS) => {
            "the host has joined too many groups; see `sysctl net.ipv4.igmp_max_memberships`"
        }
        Some(Errno::EACCES | Errno::EPERM) => {
            "not permitted; ports below 1024 need privileges, choose higher ones"
        }
        _ => return error.to_string(),
    };
    format!("{error}: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration of its own, on loopback.
    fn config(receive_buffer: usize) -> Config {
        let random = rand::TryRng::try_next_u64(&mut rand::rngs::SysRng).unwrap();
        let address = format!("239.{}", random & 0xff);
        let port = 20_000 + (random >> 16) % 40_000;
        // One port, four addresses: only what each socket is bound to and has
        // joined keeps the groups apart.
        let text = format!(
            "clients {address}.0.1 {port}\nproposers {address}.0.2 {port}\n\
             acceptors {address}.0.3 {port}\nlearners {address}.0.4 {port}\n\
             receive_buffer {receive_buffer}\n"
        );
        Config::parse("test", text.as_bytes()).unwrap()
    }

    fn open(config: &Config, role: Role) -> Multicast {
        let interface = Interface::resolve(&config.interface).unwrap();
        Multicast::open(config, role, &interface).unwrap()
    }

    /// Everything that waits at any of the sockets.
    fn drain(sockets: &mut Multicast) -> Vec<(Bytes, SocketAddrV4)> {
        let mut datagrams = Vec::new();
        for index in 0..sockets.count() {
            loop {
                match sockets.receive(index) {
                    Received::Datagram(bytes, from) => datagrams.push((bytes, from)),
                    Received::Useless(reason) => panic!("{reason}"),
                    Received::Nothing => break,
                }
            }
        }
        datagrams
    }

    #[test]
    fn a_role_hears_its_groups_and_no_other_on_the_same_port() {
        let config = config(200_000);
        let mut learner = open(&config, Role::Learner);
        let mut acceptor = open(&config, Role::Acceptor);
        let client = open(&config, Role::Client);
        for role in Role::ALL {
            let text = role.name().as_bytes();
            client.send(text, config.groups.of(role)).unwrap();
        }
        let from = client.local_address().unwrap();
        let heard = |sockets: &mut Multicast| -> Vec<Bytes> {
            let datagrams = drain(sockets);
            assert!(datagrams.iter().all(|(_, sender)| *sender == from));
            datagrams.into_iter().map(|(bytes, _)| bytes).collect()
        };
        assert_eq!(heard(&mut learner), ["client", "acceptor", "learner"]);
        assert_eq!(heard(&mut acceptor), ["acceptor"]);
    }

    #[test]
    fn a_group_that_is_left_is_not_heard_until_it_is_joined_again() {
        let config = config(200_000);
        let mut proposer = open(&config, Role::Proposer);
        let client = open(&config, Role::Client);
        for wanted in [true, false, false, true] {
            proposer.hear(Role::Learner, wanted).unwrap();
            for role in [Role::Learner, Role::Proposer] {
                client
                    .send(role.name().as_bytes(), config.groups.of(role))
                    .unwrap();
            }
            let mut heard: Vec<Bytes> =
                drain(&mut proposer).into_iter().map(|(it, _)| it).collect();
            heard.sort();
            match wanted {
                true => assert_eq!(heard, ["learner", "proposer"]),
                false => assert_eq!(heard, ["proposer"]),
            }
        }
    }

    #[test]
    fn an_answer_reaches_the_socket_that_asked() {
        let config = config(200_000);
        let mut learner = open(&config, Role::Learner);
        let mut acceptor = open(&config, Role::Acceptor);
        learner
            .send(b"question", config.groups.of(Role::Acceptor))
            .unwrap();
        let (_, from) = drain(&mut acceptor).pop().unwrap();
        let large = vec![7; Interface::MAX_DATAGRAM];
        acceptor.send(&large, from).unwrap();
        let answers = drain(&mut learner);
        // The question went to a group that learners hear, too.
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0].0, large);
        assert_eq!(answers[0].1, acceptor.local_address().unwrap());
    }

    #[test]
    fn what_the_kernel_drops_is_counted() {
        let config = config(20_000);
        let mut acceptor = open(&config, Role::Acceptor);
        let client = open(&config, Role::Client);
        let group = config.groups.of(Role::Acceptor);
        let sent = 500;
        for _ in 0..sent {
            client.send(&[7; 1000], group).unwrap();
        }
        let heard = drain(&mut acceptor).len() as u64;
        assert!((1..sent).contains(&heard), "{heard} fitted");
        // The count travels with the next datagram that is received.
        client.send(b"one more", group).unwrap();
        assert_eq!(drain(&mut acceptor).len(), 1);
        assert_eq!(acceptor.kernel_drops(), sent - heard);
    }

    #[test]
    fn a_train_arrives_as_the_datagrams_that_it_was_made_of() {
        let config = config(200_000);
        let mut learner = open(&config, Role::Learner);
        let mut acceptor = open(&config, Role::Acceptor);
        let mut client = open(&config, Role::Client);
        let group = config.groups.of(Role::Acceptor);
        let mut train = Train::new();
        train.begin(&mut BytesMut::from(&[0; 1_000][..]), group);
        let longest = client.longest_train().clamp(2, 50);
        while train.count() < longest - 1 {
            let datagram = [u8::try_from(train.count()).unwrap(); 1_000];
            assert!(train.join(&datagram, group, longest));
        }
        assert!(train.join(b"the last", group, longest));
        let sent: Vec<Bytes> = train.datagrams().map(Bytes::copy_from_slice).collect();
        match client.longest_train() {
            // Nothing else is possible here.
            1 => sent.iter().for_each(|it| client.send(it, group).unwrap()),
            _ => client.send_train(&train).unwrap(),
        }
        // Half of it is taken, then another socket's turn comes.
        client
            .send(b"between", config.groups.of(Role::Learner))
            .unwrap();
        let from = client.local_address().unwrap();
        let index = Multicast::groups(Role::Learner).iter();
        let index = 1 + index.clone().position(|it| *it == Role::Acceptor).unwrap();
        let mut heard = Vec::new();
        for datagram in &sent[..sent.len() / 2] {
            match learner.receive(index) {
                Received::Datagram(bytes, _) => heard.push(bytes),
                other => panic!("{other:?} instead of {datagram:?}"),
            }
        }
        let rest = drain(&mut learner);
        assert!(rest.iter().all(|(_, sender)| *sender == from));
        heard.extend(rest.into_iter().map(|(bytes, _)| bytes));
        assert_eq!(heard.pop().unwrap(), "between");
        assert_eq!(heard, sent);
        let others = drain(&mut acceptor);
        assert_eq!(others.len(), sent.len());
    }

    #[test]
    fn a_refused_train_is_the_last() {
        let config = config(200_000);
        let mut client = open(&config, Role::Client);
        let mut train = Train::new();
        // Port 0 is nobody's: the kernel says EINVAL, as where it cannot do it.
        let size = 20_000;
        let nowhere = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        train.begin(&mut BytesMut::from(&vec![0; size][..]), nowhere);
        assert!(train.join(&vec![0; size], nowhere, 2));
        assert!(client.send_train(&train).is_err());
        assert_eq!(client.longest_train(), 1);
        assert!(!train.join(&vec![0; size], nowhere, client.longest_train()));
    }
}
