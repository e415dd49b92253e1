//! Where the other processes live: at the address they were last heard from.

use std::collections::HashMap;
use std::net::SocketAddrV4;

use crate::protocol::ProcessId;

/// The addresses of the processes heard so far.
///
/// A process that moves, or restarts on another port, is found again with its
/// next datagram. What is not known here is sent to the group instead.
#[derive(Debug, Default)]
pub struct Peers {
    heard: HashMap<ProcessId, Peer>,
    clock: u64,
}

#[derive(Debug)]
struct Peer {
    address: SocketAddrV4,
    /// Where it was before it moved here.
    before: Option<SocketAddrV4>,
    heard: u64,
}

impl Peers {
    /// How many processes are remembered; the one silent for longest makes room.
    const MOST: usize = 1024;

    /// Notes where a datagram of this process came from. If it has come back to
    /// where it was before, gives the place between: a process that starts again
    /// moves once and never back, so two speak with one identity.
    pub fn heard(&mut self, process: ProcessId, address: SocketAddrV4) -> Option<SocketAddrV4> {
        self.clock += 1;
        if let Some(peer) = self.heard.get_mut(&process) {
            peer.heard = self.clock;
            if peer.address == address {
                return None;
            }
            let twin = (peer.before == Some(address)).then_some(peer.address);
            peer.before = Some(peer.address);
            peer.address = address;
            return twin;
        }
        if self.heard.len() >= Self::MOST {
            let silent = self.heard.iter().min_by_key(|(_, peer)| peer.heard);
            if let Some(process) = silent.map(|(process, _)| *process) {
                self.heard.remove(&process);
            }
        }
        self.heard.insert(
            process,
            Peer {
                address,
                before: None,
                heard: self.clock,
            },
        );
        None
    }

    /// Where this process was last heard from.
    pub fn address(&self, process: ProcessId) -> Option<SocketAddrV4> {
        self.heard.get(&process).map(|peer| peer.address)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::protocol::Role;

    fn process(incarnation: u64) -> ProcessId {
        ProcessId {
            role: Role::Learner,
            id: 1,
            incarnation,
        }
    }

    fn port(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    #[test]
    fn the_last_address_counts() {
        let mut peers = Peers::default();
        assert_eq!(peers.address(process(1)), None);
        peers.heard(process(1), port(5));
        peers.heard(process(1), port(6));
        assert_eq!(peers.address(process(1)), Some(port(6)));
    }

    #[test]
    fn a_process_that_moves_is_no_twin_and_one_that_comes_back_is() {
        let mut peers = Peers::default();
        let moves = [5, 5, 6, 6, 7].map(|from| peers.heard(process(1), port(from)));
        assert_eq!(moves, [None; 5]);
        assert_eq!(peers.heard(process(1), port(6)), Some(port(7)));
        assert_eq!(peers.heard(process(1), port(7)), Some(port(6)));
    }

    #[test]
    fn the_one_silent_for_longest_makes_room() {
        let mut peers = Peers::default();
        for n in 0..Peers::MOST as u64 {
            peers.heard(process(n), port(7));
        }
        peers.heard(process(0), port(8));
        peers.heard(process(9_999), port(9));
        assert_eq!(peers.heard.len(), Peers::MOST);
        assert_eq!(peers.address(process(0)), Some(port(8)));
        assert_eq!(peers.address(process(1)), None);
        assert_eq!(peers.address(process(9_999)), Some(port(9)));
    }
}
