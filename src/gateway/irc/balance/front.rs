//! The front itself: clients on one side, gateways on the other, on one loop.

use std::net::SocketAddr;
use std::time::Duration;

use mio::Registry;
use mio::event::Event;
use mio::net::TcpStream;

use super::Options;
use super::gateways::{Gateways, News};
use super::party::{Client, Part, Party, Place};
use super::relay::{Relay, Verdict};
use crate::daemon::{Failure, say};
use crate::gateway::alone::{Alone, refused};
use crate::gateway::crowd::{Allowances, Crowd, Newcomer, Stay, listen};
use crate::gateway::irc::accounts::secret;
use crate::gateway::irc::line::{Line, Step};
use crate::gateway::stream::Received;
use crate::protocol::Time;

/// The front.
#[derive(Debug)]
pub struct Front {
    crowd: Crowd<Party>,
    gateways: Gateways,
    /// Clients that have no gateway now, to be given one.
    waiting: Vec<Place>,
    /// What is left of clients that went while they had none, and until when.
    orphans: Vec<(Box<Relay>, Time)>,
    next_round: Time,
    counts: Counts,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Clients that came.
    clients: u64,
    /// Clients now.
    present: usize,
    /// How often one was moved to another gateway.
    moves: u64,
}

impl Front {
    /// How often clients without a gateway are given one, and gateways asked.
    const ROUND: Duration = Duration::from_millis(100);

    /// A gateway that takes a connection must say something within this.
    const ANSWER: Duration = Duration::from_secs(3);

    /// A client that cannot be brought anywhere for so long is let go.
    const PATIENCE: Duration = Duration::from_secs(120);

    /// A client that waits for so long is told so.
    const SOON: Duration = Duration::from_secs(2);

    /// Over so many bytes that one side does not take, the other is not read.
    const HOLD: usize = 256 << 10;

    /// Opens the doors.
    ///
    /// # Errors
    ///
    /// When it cannot listen, or the kernel refuses.
    pub fn open(
        options: &Options,
        registry: &Registry,
        token: usize,
        now: Time,
    ) -> Result<Front, Failure> {
        let listener = listen(options.listen, "another server of IRC")?;
        let gateways = Gateways::new(options.cluster, &options.gateways, now);
        // Each client needs a connection to a gateway, too.
        let allowances = Allowances {
            connections: options.allowances.connections * 2 + gateways.count(),
            ..options.allowances
        };
        let crowd = Crowd::open(Some(listener), registry, token, allowances, now);
        let crowd = crowd.map_err(refused)?;
        let address = crowd.address().map_err(refused)?;
        say(&format!(
            "ready role=balance address={address} gateways={}",
            gateways.count()
        ));
        Ok(Front {
            crowd,
            gateways,
            waiting: Vec::new(),
            orphans: Vec::new(),
            next_round: now,
            counts: Counts::default(),
        })
    }

    /// Looks after gateways, and after clients that have none.
    fn go_round(&mut self, now: Time) {
        if now < self.next_round {
            return;
        }
        self.next_round = now + Self::ROUND;
        self.gateways.pass_time(now);
        for index in 0..self.gateways.count() {
            let gateway = self.gateways.at(index);
            if !gateway.scouted && now >= gateway.ask_at {
                gateway.scouted = true;
                let part = Part::Scout { gateway: index };
                if self.connect(index, part).is_none() {
                    self.gateways.lose_scout(now, index);
                }
            }
        }
        let mut left = Vec::new();
        for (slot, party) in self.crowd.guests_mut() {
            match &party.part {
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
                Part::Scout { gateway } if now >= self.gateways.at(*gateway).ask_at => {
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
        let enter = |newcomer: Newcomer| Party::new(newcomer, part);
        let slot = self.crowd.enter(socket, address, enter).ok()?;
        let (_, party) = self.crowd.guests().find(|(at, _)| *at == slot)?;
        Some(party.place)
    }

    /// Brings a client to a gateway, or lets it wait.
    fn bring(&mut self, now: Time, place: Place) {
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

    /// Appends to what is sent to somebody.
    fn pass(&mut self, to: Place, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(party) = self.crowd.guest(to.slot, to.generation) {
            party.stream.out().extend_from_slice(text.as_bytes());
            self.crowd.list(to.slot);
        }
    }

    /// Whether somebody takes what they are sent.
    fn takes(&mut self, place: Place) -> bool {
        let party = self.crowd.guest(place.slot, place.generation);
        party.is_none_or(|party| party.stream.pending() < Self::HOLD)
    }

    /// One party's turn.
    fn serve(&mut self, now: Time, party: &mut Party) -> Stay {
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
            Part::Wire { client, until, .. } => {
                let to = *client;
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
            Part::Scout { gateway } => {
                let index = *gateway;
                loop {
                    match lines.advance() {
                        Step::Line(text) => {
                            if let Some(line) = Line::parse(&text)
                                && line.command == "PAXOS"
                            {
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

    /// Somebody is gone.
    fn miss(&mut self, now: Time, party: Party) {
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
            Part::Scout { gateway } => {
                self.gateways.lose_scout(now, gateway);
            }
        }
    }
}

impl Alone for Front {
    fn handle_event(&mut self, event: &Event) {
        self.crowd.handle_event(event);
    }

    fn turn(&mut self, now: Time, _wall: u64) -> bool {
        let counts = &mut self.counts;
        let waiting = &mut self.waiting;
        self.crowd.accept(
            now,
            b"ERROR :There are too many here already\r\n",
            |newcomer| {
                counts.clients += 1;
                counts.present += 1;
                let client = Client {
                    relay: Relay::new(secret()),
                    wire: None,
                    moved: false,
                    since: now,
                };
                let party = Party::new(newcomer, Part::Client(Box::new(client)));
                waiting.push(party.place);
                party
            },
        );
        if !self.waiting.is_empty() {
            for place in std::mem::take(&mut self.waiting) {
                self.bring(now, place);
            }
        }
        self.go_round(now);
        let mut missed = Vec::new();
        self.crowd.sweep(now, |party| missed.push(party));
        for slot in self.crowd.take_active() {
            let Some(mut party) = self.crowd.take(slot) else {
                continue;
            };
            let stay = self.serve(now, &mut party);
            missed.extend(self.crowd.put_back(now, slot, party, stay));
        }
        for party in missed {
            self.miss(now, *party);
        }
        self.crowd.is_busy()
    }

    fn next_timeout(&self) -> Option<Time> {
        let others = self.crowd.next_timeout().unwrap_or(self.next_round);
        Some(self.next_round.min(others))
    }

    fn report(&self) -> String {
        let serving = (0..self.gateways.count()).filter(|index| self.gateways.serves(*index));
        format!(
            "statistics role=balance clients={} clients_ever={} moves={} waiting={} \
             gateways={} serving={} buffer_bytes={}",
            self.counts.present,
            self.counts.clients,
            self.counts.moves,
            self.waiting.len(),
            self.gateways.count(),
            serving.count(),
            self.crowd.tally().buffers
        )
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
