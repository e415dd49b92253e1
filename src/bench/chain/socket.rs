//! The one socket of a process of the chain: trains of datagrams in and out.
//!
//! All groups of a chain share a port, so a single socket, bound to no address
//! and joined to some of the groups, hears what it should and nothing else
//! (`IP_MULTICAST_ALL=0`). A process can then sleep in `recvmsg` itself: one
//! system call less for each wake-up than with a poll in front of several.
//!
//! A *train* is what one system call carries: datagrams of equal size, only the
//! last of them may be shorter. UDP segmentation offload (`UDP_SEGMENT`, GSO)
//! sends one, and `UDP_GRO` receives it as it was sent.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Bytes to receive a train into: no call carries more.
pub const ROOM: usize = 1 << 16;

/// The most that one datagram can carry over IPv4.
pub const MOST: usize = 65_507;

/// The most that a train may carry. Linux cuts one up by itself, which costs
/// more than a call for each datagram would, when all of it with its headers,
/// down to the Ethernet's, comes to 65,536 bytes.
const MOST_OF_TRAIN: usize = 65_400;

/// A socket of a chain.
#[derive(Debug)]
pub struct Wire {
    socket: UdpSocket,
    control: Vec<u8>,
    drops: u32,
    /// Datagrams that the kernel takes in one call, as far as we know.
    longest: usize,
}

/// What one call received: so many bytes, in datagrams of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Train {
    /// All its bytes, at the beginning of the room.
    pub length: usize,
    /// Bytes of each datagram but the last.
    pub size: usize,
}

impl Train {
    /// Its datagrams, in order.
    pub fn datagrams(self, room: &mut [u8]) -> impl DoubleEndedIterator<Item = &mut [u8]> {
        room[..self.length].chunks_mut(self.size)
    }
}

impl Wire {
    /// Asked for as receive buffer, as our daemons do.
    const BUFFER: usize = 8 << 20;

    /// What kernels take in one call: 128 since Linux 6.10, 64 before.
    const LONGEST: usize = 128;

    /// Opens a socket that hears these groups on loopback.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn open(groups: &[Ipv4Addr], port: u16) -> io::Result<Wire> {
        let loopback = Ipv4Addr::LOCALHOST;
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_multicast_all_v4(false)?;
        socket.set_multicast_if_v4(&loopback)?;
        socket.set_multicast_ttl_v4(0)?;
        socket.set_recv_buffer_size(Self::BUFFER)?;
        socket.set_send_buffer_size(Self::BUFFER)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        // A kernel without it delivers one datagram a call: slower, not wrong.
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        if !groups.is_empty() {
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
            for group in groups {
                socket.join_multicast_v4(group, &loopback)?;
            }
        }
        Ok(Wire {
            socket: socket.into(),
            control: nix::cmsg_space!(u32, i32),
            drops: 0,
            longest: Self::LONGEST,
        })
    }

    /// Receives a train into the room, of [`ROOM`] bytes; waits for one if told so.
    ///
    /// # Errors
    ///
    /// When the kernel reports anything but that there is nothing.
    pub fn receive(&mut self, room: &mut [u8], wait: bool) -> io::Result<Option<Train>> {
        let flags = match wait {
            true => MsgFlags::empty(),
            false => MsgFlags::MSG_DONTWAIT,
        };
        loop {
            let mut slices = [IoSliceMut::new(room)];
            let descriptor = self.socket.as_raw_fd();
            let control = Some(&mut self.control[..]);
            match recvmsg::<SockaddrIn>(descriptor, &mut slices, control, flags) {
                Ok(message) => {
                    let length = message.bytes;
                    let mut size = length;
                    for control in message.cmsgs()? {
                        match control {
                            ControlMessageOwned::RxqOvfl(drops) => self.drops = drops,
                            ControlMessageOwned::UdpGroSegments(each) => {
                                size = usize::try_from(each).unwrap_or(length);
                            }
                            _ => {}
                        }
                    }
                    // An empty datagram is nobody's of ours.
                    if length > 0 {
                        let size = size.clamp(1, length);
                        return Ok(Some(Train { length, size }));
                    }
                }
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends bytes as datagrams of `size`, in as few calls as the kernel allows.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a single datagram.
    pub fn send(&mut self, mut bytes: &[u8], size: usize, to: SocketAddrV4) -> io::Result<()> {
        let address = SockaddrIn::from(to);
        while !bytes.is_empty() {
            let count = self.longest_train(size);
            let part = &bytes[..bytes.len().min(count * size)];
            let each = u16::try_from(size).map_err(io::Error::other)?;
            let segments = [ControlMessage::UdpGsoSegments(&each)];
            let controls = match part.len() > size {
                true => &segments[..],
                false => &[],
            };
            let slices = [IoSlice::new(part)];
            let descriptor = self.socket.as_raw_fd();
            match sendmsg(
                descriptor,
                &slices,
                controls,
                MsgFlags::empty(),
                Some(&address),
            ) {
                Ok(_) => bytes = &bytes[part.len()..],
                Err(Errno::EINTR) => {}
                // An older kernel takes fewer at a time, or knows nothing of it.
                Err(Errno::EINVAL | Errno::EIO | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT)
                    if part.len() > size =>
                {
                    self.longest = part.len().div_ceil(size) / 2;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How many datagrams of a size to gather for one call.
    pub fn longest_train(&self, size: usize) -> usize {
        self.longest.min(MOST_OF_TRAIN / size).max(1)
    }

    /// How many bytes the receive buffer holds, as the kernel counts them.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn buffer(&self) -> io::Result<usize> {
        SockRef::from(&self.socket).recv_buffer_size()
    }

    /// Datagrams that the kernel dropped so far for want of buffer space, as
    /// told with the last that was received.
    pub fn drops(&self) -> u32 {
        self.drops
    }

    /// What the kernel charges a receiver's buffer for a train, at most.
    pub fn cost(bytes: usize) -> usize {
        // Whole pages of memory, and the kernel's own notes on them.
        bytes + (4 << 10)
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A wait of so long is for ever: it means that something was lost.
pub const PATIENCE: Duration = Duration::from_secs(2);
