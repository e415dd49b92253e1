//! The front with gateways that do as the test wants, over real sockets.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::*;
use crate::gateway::caller::PLENTY;

/// A front, and the loop around it.
struct Rig {
    poll: Poll,
    front: Front,
    now: Time,
}

impl Rig {
    /// One with these gateways.
    fn new(gateways: &[&TcpListener]) -> Rig {
        let address = |gateway: &&TcpListener| gateway.local_addr().expect("it listens");
        let poll = Poll::new().expect("a poll");
        let now = Time(1);
        let options = Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            gateways: gateways.iter().map(address).collect(),
            cluster: 0xabc,
            allowances: PLENTY,
        };
        let front = Front::open(&options, poll.registry(), 0, now).expect("a front");
        Rig { poll, front, now }
    }

    /// Lets so much time pass, in steps in which the front takes turns.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + Duration::from_millis(50);
            let mut events = Events::with_capacity(64);
            let patience = Some(Duration::from_micros(200));
            self.poll.poll(&mut events, patience).expect("it polls");
            for event in &events {
                self.front.handle_event(event);
            }
            while self.front.turn(self.now, 0) {}
        }
    }
}

/// The next connection to a gateway, and what was said on it.
fn taken(gateway: &TcpListener) -> String {
    let (mut stream, _) = gateway.accept().expect("somebody comes");
    let wait = Some(Duration::from_secs(60));
    stream.set_read_timeout(wait).expect("it waits");
    let mut heard = String::new();
    let begun = Instant::now();
    // It is let go, so it ends.
    stream.read_to_string(&mut heard).expect("text");
    assert!(begun.elapsed() < Duration::from_secs(60));
    heard
}

#[test]
fn a_scout_that_hears_nothing_is_replaced() {
    let gateway = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut rig = Rig::new(&[&gateway]);
    rig.pass(Duration::from_secs(10));
    for _ in 0..2 {
        assert_eq!(taken(&gateway), "PAXOS INFO\r\n", "asked once, and no more");
    }
}
