//! Several datagrams in one system call.
//!
//! With UDP segmentation offload (`UDP_SEGMENT`, GSO) one call sends a *train*:
//! datagrams of equal size to one address, only the last of them may be shorter.
//! On the wire they are datagrams like any other. A receiver that asked for it
//! (`UDP_GRO`) may get several that came together in one call, too; another
//! gets them one by one. What a value costs with small datagrams is mostly the
//! calls, so this is worth an order of magnitude.
//!
//! Whether the kernel can do it is tried at the start, on the interface's own
//! address. Where it cannot, or refuses later, everything leaves one by one.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use bytes::BytesMut;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};

use super::calls;

/// How many datagrams kernels take in one call: 128 since Linux 6.10, 64 before.
const LONGEST: [usize; 2] = [128, 64];

/// The most bytes of a train. Linux cuts one up by itself, which is slower than
/// a call for each datagram, when all of it with its headers, down to the
/// Ethernet's, comes to 65,536 bytes.
const MOST: usize = 65_400;

/// Datagrams that wait to leave together.
#[derive(Debug)]
pub struct Train {
    bytes: BytesMut,
    /// Bytes of each but the last.
    size: usize,
    count: usize,
    to: SocketAddrV4,
}

impl Train {
    /// A datagram of so many bytes never leaves with others.
    pub const LONE: usize = MOST / 2;

    /// With nothing aboard.
    pub fn new() -> Train {
        Train {
            bytes: BytesMut::new(),
            size: 0,
            count: 0,
            to: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
        }
    }

    /// Whether a datagram can leave with those aboard, if `longest` may leave together.
    fn takes(&self, length: usize, to: SocketAddrV4, longest: usize) -> bool {
        (1..longest).contains(&self.count)
            && to == self.to
            && (1..=self.size).contains(&length)
            // Behind a shorter one there is no place.
            && self.bytes.len() == self.count * self.size
            && self.bytes.len() + length <= MOST
            // Two of them would leave in two calls, and a receiver hands a
            // large one on as it is, if it is alone.
            && self.size <= Self::LONE
    }

    /// Takes a datagram aboard if it can leave with the others, and says so.
    pub fn join(&mut self, datagram: &[u8], to: SocketAddrV4, longest: usize) -> bool {
        let joins = self.takes(datagram.len(), to, longest);
        if joins {
            self.bytes.extend_from_slice(datagram);
            self.count += 1;
        }
        joins
    }

    /// Begins anew with one datagram, whose memory is taken and other returned.
    pub fn begin(&mut self, datagram: &mut BytesMut, to: SocketAddrV4) {
        self.bytes.clear();
        std::mem::swap(&mut self.bytes, datagram);
        self.size = self.bytes.len();
        self.count = 1;
        self.to = to;
    }

    /// Lets everybody off.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// All their bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of each but the last.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where they go.
    pub fn to(&self) -> SocketAddrV4 {
        self.to
    }

    /// The datagrams, in order.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.size.max(1)).take(self.count)
    }
}

/// Sends bytes in one call, as datagrams of `size`.
pub fn send(socket: &UdpSocket, bytes: &[u8], size: usize, to: SocketAddrV4) -> nix::Result<()> {
    let size = u16::try_from(size).map_err(|_| Errno::EMSGSIZE)?;
    let control = [ControlMessage::UdpGsoSegments(&size)];
    let slices = [IoSlice::new(bytes)];
    let address = SockaddrIn::from(to);
    loop {
        calls::add(1);
        let flags = MsgFlags::empty();
        match sendmsg(socket.as_raw_fd(), &slices, &control, flags, Some(&address)) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// Whether an error says that the kernel, or the way there, cannot do trains.
pub fn unable(error: Errno) -> bool {
    matches!(
        error,
        Errno::EINVAL | Errno::EIO | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT | Errno::EMSGSIZE
    )
}

/// How many datagrams can leave from an address in one call, found by sending
/// some to a socket of our own: 1 if that does not work.
pub fn probe(address: Ipv4Addr) -> usize {
    let works = |&longest: &usize| arrives(address, longest).unwrap_or(false);
    LONGEST.into_iter().find(works).unwrap_or(1)
}

/// Whether a train of so many datagrams arrives as they were.
fn arrives(address: Ipv4Addr, count: usize) -> io::Result<bool> {
    const SIZE: usize = 8;
    // On one machine that is at once; what has not come by then is not coming.
    const PATIENCE: Duration = Duration::from_millis(200);
    let sender = UdpSocket::bind(SocketAddrV4::new(address, 0))?;
    let receiver = UdpSocket::bind(SocketAddrV4::new(address, 0))?;
    receiver.connect(sender.local_addr()?)?;
    receiver.set_read_timeout(Some(PATIENCE))?;
    let std::net::SocketAddr::V4(to) = receiver.local_addr()? else {
        return Ok(false);
    };
    // The last one is shorter.
    let bytes: Vec<u8> = (0..count * SIZE - 1).map(|byte| byte as u8).collect();
    send(&sender, &bytes, SIZE, to)?;
    let mut room = [0; 2 * SIZE];
    for datagram in bytes.chunks(SIZE) {
        let length = receiver.recv(&mut room)?;
        if &room[..length] != datagram {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    fn train(length: usize) -> Train {
        let mut train = Train::new();
        train.begin(&mut BytesMut::from(&vec![1; length][..]), to(1));
        train
    }

    #[test]
    fn only_equals_join_and_one_shorter_one_at_the_end() {
        let mut train = train(4);
        assert!(train.join(b"2222", to(1), 64));
        assert!(!train.join(b"3333", to(2), 64), "goes elsewhere");
        assert!(!train.join(b"33333", to(1), 64), "is longer");
        assert!(!train.join(b"3333", to(1), 2), "is one too many");
        assert!(!train.join(b"", to(1), 64), "is nothing");
        assert!(train.join(b"33", to(1), 64));
        assert!(!train.join(b"44", to(1), 64), "comes behind a shorter one");
        let datagrams: Vec<&[u8]> = train.datagrams().collect();
        assert_eq!(datagrams, [&[1, 1, 1, 1][..], b"2222", b"33"]);
        train.clear();
        assert!(!train.join(b"5", to(1), 64), "nobody to join");
        assert_eq!(train.datagrams().count(), 0);
    }

    #[test]
    fn a_train_has_its_limit_and_large_ones_travel_alone() {
        let mut small = train(1_472);
        while small.join(&[2; 1_472], to(1), 64) {}
        assert_eq!(small.count(), MOST / 1_472);
        assert!(!train(60_000).join(&[2; 10], to(1), 64));
    }

    #[test]
    fn a_probe_finds_one_of_the_known_limits_or_that_there_is_none() {
        let found = probe(Ipv4Addr::LOCALHOST);
        assert!(found == 1 || LONGEST.contains(&found), "{found}");
        // An address that is not ours.
        assert_eq!(probe(Ipv4Addr::new(192, 0, 2, 1)), 1);
    }
}
