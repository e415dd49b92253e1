//! Which network interface, and how much fits a datagram on it.
//!
//! The interface is always explicit: a multicast datagram without one goes
//! where the routing table happens to point, which on most machines is not
//! where the other processes listen, and on a machine without a route nowhere.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::{getsockopt, sockopt};
use socket2::SockRef;

use super::failure::Failure;
use crate::config::InterfaceChoice;

/// An interface of this host, and the address we use on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `lo` or `eth0`.
    pub name: String,
    /// The kernel's index of it.
    pub index: u32,
    /// Our address on it; unicast answers come here.
    pub address: Ipv4Addr,
}

impl Interface {
    /// Bytes of IP and UDP header in front of every datagram.
    const HEADERS: usize = 28;

    /// The largest datagram that UDP over IPv4 can carry.
    pub const MAX_DATAGRAM: usize = 65_507;

    /// What every IPv4 host takes; the protocol's messages need about as much.
    pub const MIN_DATAGRAM: usize = 576;

    /// Finds the interface that the configuration means.
    ///
    /// # Errors
    ///
    /// When there is none, or it is down; the message lists those there are.
    pub fn resolve(choice: &InterfaceChoice) -> Result<Interface, Failure> {
        let candidates = Candidate::all()?;
        select(choice, &candidates).map_err(Failure::Configuration)
    }

    /// The largest datagram that travels in one piece to this group.
    ///
    /// The kernel is asked for the MTU of the path: a socket is connected to
    /// the group through this interface and never sends. (`/sys/class/net`
    /// shows the interfaces of whoever mounted it, which inside a network
    /// namespace may be another one's.)
    ///
    /// # Errors
    ///
    /// When the kernel cannot tell; the remedy is to set `datagram`.
    pub fn datagram_limit(&self, group: SocketAddrV4) -> Result<usize, Failure> {
        let mtu = self.path_mtu(group).map_err(|error| {
            Failure::Configuration(format!(
                "cannot find the MTU of interface {} towards {group}: {error}; \
                 set `datagram BYTES` in the configuration (1472 on Ethernet)",
                self.name
            ))
        })?;
        let limit = mtu.saturating_sub(Self::HEADERS).min(Self::MAX_DATAGRAM);
        if limit < Self::MIN_DATAGRAM {
            return Err(Failure::Configuration(format!(
                "interface {} has an MTU of {mtu} bytes, which is too small; \
                 set `datagram {}` in the configuration to send in fragments",
                self.name,
                Self::MIN_DATAGRAM
            )));
        }
        Ok(limit)
    }

    fn path_mtu(&self, group: SocketAddrV4) -> std::io::Result<usize> {
        let socket = UdpSocket::bind(SocketAddrV4::new(self.address, 0))?;
        SockRef::from(&socket).set_multicast_if_v4(&self.address)?;
        socket.connect(group)?;
        let mtu = getsockopt(&socket, sockopt::IpMtu)?;
        usize::try_from(mtu).map_err(std::io::Error::other)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.address)
    }
}

/// One IPv4 address of one interface of this host.
#[derive(Clone, Debug)]
struct Candidate {
    name: String,
    address: Ipv4Addr,
    up: bool,
}

impl Candidate {
    fn all() -> Result<Vec<Candidate>, Failure> {
        let addresses = getifaddrs().map_err(|error| {
            Failure::Configuration(format!("cannot list the network interfaces: {error}"))
        })?;
        Ok(addresses
            .filter_map(|entry| {
                let address = entry.address.as_ref()?.as_sockaddr_in()?.ip();
                Some(Candidate {
                    name: entry.interface_name,
                    address,
                    up: entry.flags.contains(InterfaceFlags::IFF_UP),
                })
            })
            .collect())
    }
}

fn select(choice: &InterfaceChoice, candidates: &[Candidate]) -> Result<Interface, String> {
    let fitting: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| choice.matches(&candidate.name, candidate.address))
        .collect();
    let Some(found) = fitting
        .iter()
        .find(|candidate| candidate.up)
        .or(fitting.first())
    else {
        return Err(format!(
            "no interface of this host matches `interface {choice}`; there are: {}; \
             set `interface` to one of these names or addresses, or to a subnet such as 10.0.0.0/24",
            list(candidates)
        ));
    };
    if !found.up {
        return Err(format!(
            "interface {} ({}) is down; bring it up with `ip link set {} up`, \
             or set `interface` to another; there are: {}",
            found.name,
            found.address,
            found.name,
            list(candidates)
        ));
    }
    let index = if_nametoindex(found.name.as_str())
        .map_err(|error| format!("interface {} has gone: {error}", found.name))?;
    Ok(Interface {
        name: found.name.clone(),
        index,
        address: found.address,
    })
}

fn list(candidates: &[Candidate]) -> String {
    if candidates.is_empty() {
        return "none with an IPv4 address".to_owned();
    }
    let each = |candidate: &Candidate| {
        let down = if candidate.up { "" } else { ", down" };
        format!("{} ({}{down})", candidate.name, candidate.address)
    };
    candidates.iter().map(each).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates() -> Vec<Candidate> {
        let candidate = |name: &str, address: [u8; 4], up| Candidate {
            name: name.to_owned(),
            address: Ipv4Addr::from(address),
            up,
        };
        vec![
            candidate("lo", [127, 0, 0, 1], true),
            candidate("wan7", [10, 0, 0, 9], false),
        ]
    }

    #[test]
    fn loopback_is_found_by_address_and_by_name() {
        let choice = InterfaceChoice::Address(Ipv4Addr::LOCALHOST);
        let by_address = Interface::resolve(&choice).unwrap();
        let by_name = Interface::resolve(&InterfaceChoice::Name(by_address.name.clone())).unwrap();
        assert_eq!(by_address, by_name);
        assert!(by_address.index > 0);
    }

    #[test]
    fn loopback_carries_the_largest_datagram() {
        let choice = InterfaceChoice::Address(Ipv4Addr::LOCALHOST);
        let loopback = Interface::resolve(&choice).unwrap();
        let group = SocketAddrV4::new(Ipv4Addr::new(239, 255, 0, 1), 9);
        assert_eq!(loopback.datagram_limit(group), Ok(Interface::MAX_DATAGRAM));
    }

    #[test]
    fn a_wrong_choice_is_answered_with_what_there_is() {
        let error = select(&InterfaceChoice::Name("eth9".into()), &candidates()).unwrap_err();
        assert!(error.contains("`interface eth9`"), "{error}");
        assert!(
            error.contains("lo (127.0.0.1), wan7 (10.0.0.9, down)"),
            "{error}"
        );
    }

    #[test]
    fn an_interface_that_is_down_is_named_with_the_remedy() {
        let error = select(&InterfaceChoice::Name("wan7".into()), &candidates()).unwrap_err();
        assert!(error.contains("`ip link set wan7 up`"), "{error}");
    }
}
