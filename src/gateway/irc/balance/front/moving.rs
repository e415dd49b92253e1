//! Who is brought to which gateway, when they are taken away, and what becomes of those
//! who are gone.

use std::time::Duration;

use mio::net::TcpStream;

use super::Front;
use crate::gateway::crowd::Newcomer;
use crate::gateway::irc::balance::gateways::Gateways;
use crate::gateway::irc::balance::party::{Part, Party, Place};
use crate::gateway::irc::balance::relay::Verdict;
use crate::protocol::Time;

impl Front {
    /// How often clients without a gateway are given one, and gateways asked.
    const ROUND: Duration = Duration::from_millis(100);

    /// A gateway that takes a connection must say something within this.
    const ANSWER: Duration = Duration::from_secs(3);

    /// A client that cannot be brought anywhere for so long is let go.
    const PATIENCE: Duration = Duration::from_secs(120);

    /// A client that waits for so long is told so.
    const SOON: Duration = Duration::from_secs(2);

    /// Looks after gateways, and after clients that have none.
    pub(super) fn go_round(&mut self, now: Time) {
        if now < self.next_round {
            return;
        }
        self.next_round = now + Self::ROUND;
        self.gateways.pass_time(now);
        for index in 0..self.gateways.count() {
            let gateway = self.gateways.at(index);
            if !gateway.scouted && now >= gateway.ask_at {
                gateway.scouted = true;
                let part = Part::Scout {
                    gateway: index,
                    asked: None,
                };
                if self.connect(index, part).is_none() {
                    self.gateways.lose_scout(now, index);
                }
            }
        }
        let mut left = Vec::new();
        for (slot, party) in self.crowd.guests_mut() {
            match &mut party.part {
                Part::Wire { gateway, until, .. } => {
                    let late = until.is_some_and(|until| now >= until);
                    if late || self.gateways.is_to_be_left(now, *gateway) {
                        party.cut = true;
                        left.push(slot);
                    }
                }
                Part::Farewell { until, .. } if now >= *until => {
                    party.cut = true;
                    left.push(slot);
                }
                Part::Scout {
                    asked: Some(asked), ..
                } if now.since(*asked) >= Gateways::ANSWER => {
                    party.cut = true;
                    left.push(slot);
                }
                Part::Scout {
                    gateway,
                    asked: asked @ None,
                } if now >= self.gateways.at(*gateway).ask_at => {
                    *asked = Some(now);
                    self.gateways.at(*gateway).ask_at = now + Gateways::OFTEN;
                    party.stream.out().extend_from_slice(b"PAXOS INFO\r\n");
                    left.push(slot);
                }
                _ => {}
            }
        }
        for slot in left {
            self.crowd.list(slot);
        }
        for place in std::mem::take(&mut self.waiting) {
            self.bring(now, place);
        }
        for (mut relay, until) in std::mem::take(&mut self.orphans) {
            if now >= until {
                continue;
            }
            let Some(index) = self.gateways.choose() else {
                self.orphans.push((relay, until));
                continue;
            };
            let mut out = String::new();
            relay.attach(&mut out);
            // Should that fail, the session ends by itself in a while.
            if let Some(place) = self.connect(index, Part::Farewell { relay, until }) {
                self.pass(place, &out);
            }
        }
    }

    /// Begins a connection to a gateway.
    fn connect(&mut self, index: usize, part: Part) -> Option<Place> {
        let address = self.gateways.address(index);
        let socket = TcpStream::connect(address).ok()?;
        let mut place = None;
        let enter = |newcomer: Newcomer| {
            let party = Party::new(newcomer, part);
            place = Some(party.place);
            party
        };
        self.crowd.enter(socket, address, enter).ok()?;
        place
    }

    /// Brings a client to a gateway, or lets it wait.
    pub(super) fn bring(&mut self, now: Time, place: Place) {
        let Some(party) = self.crowd.guest(place.slot, place.generation) else {
            return;
        };
        let Part::Client(client) = &mut party.part else {
            return;
        };
        if now.since(client.since) >= Self::PATIENCE {
            let out = party.stream.out();
            out.extend_from_slice(b"ERROR :No server can be reached\r\n");
            party.closing = true;
            return self.crowd.list(place.slot);
        }
        if now.since(client.since) >= Self::SOON {
            let mut out = String::new();
            client.relay.hold(&mut out);
            party.stream.out().extend_from_slice(out.as_bytes());
            self.crowd.list(place.slot);
        }
        let Some(index) = self.gateways.choose() else {
            return self.waiting.push(place);
        };
        let part = Part::Wire {
            client: place,
            gateway: index,
            until: Some(now + Self::ANSWER),
        };
        let Some(wire) = self.connect(index, part) else {
            return self.waiting.push(place);
        };
        let mut out = String::new();
        if let Some(party) = self.crowd.guest(place.slot, place.generation)
            && let Part::Client(client) = &mut party.part
        {
            client.wire = Some(wire);
            self.counts.moves += u64::from(std::mem::replace(&mut client.moved, true));
            client.relay.attach(&mut out);
        }
        self.pass(wire, &out);
        self.crowd.list(place.slot);
    }

    /// Somebody is gone.
    pub(super) fn miss(&mut self, now: Time, party: Party) {
        match party.part {
            Part::Client(mut client) => {
                self.counts.present -= 1;
                let mut out = String::new();
                let left = client.relay.abandon(&mut out);
                let until = now + Self::PATIENCE;
                let relay = Box::new(client.relay);
                let Some(wire) = client.wire else {
                    if left {
                        self.orphans.push((relay, until));
                    }
                    return;
                };
                self.pass(wire, &out);
                if let Some(party) = self.crowd.guest(wire.slot, wire.generation) {
                    match left {
                        true => party.part = Part::Farewell { relay, until },
                        false => party.closing = true,
                    }
                    self.crowd.list(wire.slot);
                }
            }
            Part::Wire {
                client: to,
                gateway,
                until,
            } => {
                if until.is_some() {
                    self.gateways.fail(now, gateway);
                }
                let Some(party) = self.crowd.guest(to.slot, to.generation) else {
                    return;
                };
                let Part::Client(client) = &mut party.part else {
                    return;
                };
                client.wire = None;
                // Who is on the way back already has waited since then.
                if client.relay.is_settled() {
                    client.since = now;
                }
                let mut out = String::new();
                match client.relay.detach(&mut out) {
                    Verdict::GoOn => self.waiting.push(to),
                    Verdict::Close => party.closing = true,
                }
                party.stream.out().extend_from_slice(out.as_bytes());
                self.crowd.list(to.slot);
                self.next_round = now;
            }
            Part::Farewell { mut relay, until } => {
                if relay.detach(&mut String::new()) == Verdict::GoOn {
                    self.orphans.push((relay, until));
                }
            }
            Part::Scout { gateway, .. } => self.gateways.lose_scout(now, gateway),
        }
    }
}
