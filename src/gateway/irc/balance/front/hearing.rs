//! What comes from one side, and what becomes of it on the other.

use std::net::SocketAddr;

use super::Front;
use crate::gateway::crowd::Stay;
use crate::gateway::irc::balance::gateways::News;
use crate::gateway::irc::balance::party::{Part, Party};
use crate::gateway::irc::balance::relay::Verdict;
use crate::gateway::irc::line::{Line, Step};
use crate::gateway::stream::Received;
use crate::protocol::Time;

impl Front {
    /// One party's turn.
    pub(super) fn serve(&mut self, now: Time, party: &mut Party) -> Stay {
        let held_up = |party: &Party| party.stream.pending() >= Self::HOLD;
        let mut open = !party.cut;
        if !party.closing && open {
            // What could not be taken before may be now.
            party.full = !self.hear(now, party);
        }
        while !party.closing && !party.full && party.stream.readable && open {
            match party.stream.receive(self.crowd.scratch()) {
                Ok(Received::Some(count)) => {
                    let bytes = &self.crowd.scratch()[..count];
                    party.lines.feed(bytes);
                    party.full = !self.hear(now, party);
                }
                Ok(Received::Nothing) => {}
                Ok(Received::End) | Err(_) => open = false,
            }
        }
        let was_held_up = held_up(party);
        let sent = party.stream.send(now).is_ok();
        if was_held_up && !held_up(party) {
            let other = match &party.part {
                Part::Client(client) => client.wire,
                Part::Wire { client, .. } => Some(*client),
                Part::Farewell { .. } | Part::Scout { .. } => None,
            };
            if let Some(other) = other {
                self.crowd.list(other.slot);
            }
        }
        let done = party.closing && party.stream.pending() == 0;
        match open && sent && !done {
            true => Stay::Waits,
            false => Stay::Gone,
        }
    }

    /// Understands what came, as far as others take it; says whether all was.
    fn hear(&mut self, now: Time, party: &mut Party) -> bool {
        let Party {
            lines,
            stream,
            place,
            part,
            closing,
            ..
        } = party;
        match part {
            Part::Client(client) => {
                let Some(wire) = client.wire else {
                    // While nobody is there, only what can be kept is read.
                    let mut out = String::new();
                    let all = client.hear(lines, &mut out, &mut String::new());
                    stream.out().extend_from_slice(out.as_bytes());
                    return all;
                };
                if !self.takes(wire) {
                    return false;
                }
                let (mut own, mut other) = (String::new(), String::new());
                let all = client.hear(lines, &mut own, &mut other);
                stream.out().extend_from_slice(own.as_bytes());
                self.pass(wire, &other);
                all
            }
            Part::Wire {
                client,
                gateway,
                until,
            } => {
                let to = *client;
                let index = *gateway;
                let place = *place;
                let party = self.crowd.guest(to.slot, to.generation);
                let Some(party) = party.filter(|party| party.stream.pending() < Self::HOLD) else {
                    return false;
                };
                let Part::Client(client) = &mut party.part else {
                    return true;
                };
                if client.wire != Some(place) {
                    *closing = true;
                    return true;
                }
                let (mut own, mut other) = (String::new(), String::new());
                loop {
                    match lines.advance() {
                        Step::Line(text) => {
                            *until = None;
                            self.gateways.notice(now, index);
                            let relay = &mut client.relay;
                            if relay.hear_gateway(&text, &mut other, &mut own) == Verdict::Close {
                                party.closing = true;
                            }
                        }
                        Step::TooLong => {}
                        Step::Incomplete => break,
                    }
                }
                stream.out().extend_from_slice(own.as_bytes());
                self.pass(to, &other);
                // Lines that waited for others to be done may go on.
                self.crowd.list(to.slot);
                true
            }
            Part::Farewell { relay, .. } => {
                let mut own = String::new();
                loop {
                    match lines.advance() {
                        Step::Line(text) => {
                            let verdict = relay.hear_gateway(&text, &mut String::new(), &mut own);
                            *closing |= verdict == Verdict::Close;
                        }
                        Step::TooLong => {}
                        Step::Incomplete => break,
                    }
                }
                stream.out().extend_from_slice(own.as_bytes());
                true
            }
            Part::Scout { gateway, asked } => {
                let index = *gateway;
                loop {
                    match lines.advance() {
                        Step::Line(text) => {
                            self.gateways.notice(now, index);
                            if let Some(line) = Line::parse(&text)
                                && line.command == "PAXOS"
                            {
                                *asked = None;
                                let news = self.gateways.hear(now, index, &line);
                                tell(news, self.gateways.address(index));
                            }
                        }
                        Step::TooLong => {}
                        Step::Incomplete => return true,
                    }
                }
            }
        }
    }
}

/// Says what is new about a gateway.
fn tell(news: News, address: SocketAddr) {
    match news {
        News::Nothing => {}
        News::Serves => log::info!("the gateway at {address} serves"),
        News::Unsound => log::warn!(
            "the gateway at {address} reaches no quorum; its users are brought elsewhere, if there \
             is another one"
        ),
        News::Stranger => log::error!(
            "the gateway at {address} is of another cluster and gets nobody: its paxos.conf has \
             other groups or another `cluster` than the one given here"
        ),
    }
}
