//! The multicast group of each role.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use crate::protocol::Role;

use super::key::Key;
use super::quantity;
use super::reader::Reader;
use super::word::Word;

/// Where each role listens. No two roles share group and port: each would hear
/// what is meant for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Acknowledgements and flow control.
    pub clients: SocketAddrV4,
    /// Submissions, promises and heartbeats.
    pub proposers: SocketAddrV4,
    /// Prepare and accept requests, watermarks, repair.
    pub acceptors: SocketAddrV4,
    /// Votes.
    pub learners: SocketAddrV4,
}

impl Groups {
    /// The group of one role.
    pub fn of(&self, role: Role) -> SocketAddrV4 {
        match role {
            Role::Client => self.clients,
            Role::Proposer => self.proposers,
            Role::Acceptor => self.acceptors,
            Role::Learner => self.learners,
        }
    }

    pub(super) fn read(reader: &mut Reader) -> Groups {
        let [clients, proposers, acceptors, learners] =
            Role::ALL.map(|role| reader.required(Key::group(role), NOWHERE, read_group));
        let groups = Groups {
            clients,
            proposers,
            acceptors,
            learners,
        };
        for (index, &one) in Role::ALL.iter().enumerate() {
            for &other in &Role::ALL[index + 1..] {
                let group = groups.of(one);
                if group != NOWHERE && group == groups.of(other) {
                    reader.refuse_clash(Key::group(one), Key::group(other), &group.to_string());
                }
            }
        }
        groups
    }
}

/// Stands for a group that is missing or was refused; no real one, since its
/// port is 0.
const NOWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

fn read_group([address, port]: [&Word; 2]) -> Result<SocketAddrV4, String> {
    let text = address.lossy();
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!(
            "{address} is an IPv6 address: \
             groups are IPv4, take one from 239.0.0.0 through 239.255.255.255"
        ));
    }
    let group: Ipv4Addr = text.parse().map_err(|_| {
        format!(
            "{address} is no IPv4 address: write four numbers from 0 through 255, as in 239.0.0.1"
        )
    })?;
    if !group.is_multicast() {
        return Err(format!(
            "{group} is no multicast address: \
             take one from 224.0.0.0 through 239.255.255.255, best one that begins with 239"
        ));
    }
    let port = quantity::number(port, 1..=u16::MAX).map_err(|what| format!("the port {what}"))?;
    Ok(SocketAddrV4::new(group, port))
}
