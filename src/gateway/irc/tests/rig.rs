//! Gateways on one chat, all in the test's own thread: a log that orders what they
//! submit as it comes, and clients that never block.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Poll};

use crate::gateway::caller::{Caller, PLENTY};
use crate::gateway::crowd::Allowances;
use crate::gateway::irc::accounts::Accounts;
use crate::gateway::irc::log::{Log, Ticket};
use crate::gateway::irc::{Flood, Front, Settings};
use crate::protocol::Time;
use crate::service::chat::Chat;
use crate::service::chat::command::{Command, Deed, Gateway, Opening, SessionId, Stamped};
use crate::service::replica::Verdict;
use crate::service::{Place, StateMachine};

/// The poll's names of one gateway.
const NAMES: usize = 100_000;

/// Gateways and their chat.
pub struct Rig {
    poll: Poll,
    pub fronts: Vec<Front>,
    pub log: Shared,
    pub now: Time,
    pub wall: u64,
    /// Somebody has more to do at once.
    busy: bool,
}

/// The chat, and what was submitted.
pub struct Shared {
    pub chat: Chat,
    pub place: Place,
    submitted: Vec<(usize, Option<Ticket>, Stamped)>,
    answers: Vec<VecDeque<(Ticket, Verdict)>>,
    /// Gateways that reach no quorum.
    pub alone: Vec<usize>,
    /// What becomes of commands instead of a reply, once they are submitted.
    pub verdict: Option<Verdict>,
    /// Gateways for which there is no room in it.
    pub full: Vec<usize>,
    /// Nothing gets its place for now.
    pub slow: bool,
    /// What comes later than all else.
    late: Vec<(usize, Option<Ticket>, Stamped)>,
}

/// One gateway's way to it.
struct Side<'a> {
    log: &'a mut Shared,
    index: usize,
}

impl Log for Side<'_> {
    fn submit(&mut self, ticket: Option<Ticket>, command: &Stamped) {
        if !self.is_sound() {
            let refused = ticket.map(|ticket| (ticket, Verdict::NoQuorum));
            return self.log.answers[self.index].extend(refused);
        }
        self.log
            .submitted
            .push((self.index, ticket, command.clone()));
    }

    fn answer(&mut self) -> Option<(Ticket, Verdict)> {
        self.log.answers[self.index].pop_front()
    }

    fn chat(&self) -> &Chat {
        &self.log.chat
    }

    fn place(&self) -> Place {
        self.log.place
    }

    fn is_sound(&self) -> bool {
        !self.log.alone.contains(&self.index)
    }

    fn has_room(&self) -> bool {
        self.log.submitted.len() < 1000 && !self.log.full.contains(&self.index)
    }
}

/// A client that never blocks.
pub struct Client {
    caller: Caller,
}

impl Client {
    pub fn send(&mut self, line: &str) {
        self.caller.send(format!("{line}\r\n").as_bytes());
    }

    /// The next whole line that has come, whatever it is.
    pub fn hear(&mut self) -> Option<String> {
        self.caller.listen();
        self.next_line()
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        // One that was sent away does not take more.
        let _ = self.caller.stream.write_all(bytes);
    }

    /// The next whole line, if it is there, but those that ask whether it is: these it
    /// answers as any client does.
    fn line(&mut self) -> Option<String> {
        let line = self.next_line()?;
        match line.strip_prefix("PING :still-there") {
            Some(rest) => {
                self.send(&format!("PONG :still-there{rest}"));
                self.line()
            }
            None => Some(line),
        }
    }

    /// The next whole line, if it is there.
    fn next_line(&mut self) -> Option<String> {
        let end = self.caller.heard.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.caller.heard.drain(..=end).collect();
        let line = String::from_utf8(line).expect("text");
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

pub fn settings(id: u16) -> Settings {
    Settings {
        id,
        run: 1000 * u64::from(id),
        began: 0,
        cluster: 0xabc,
        name: format!("gateway{id}.paxcast").into(),
        network: "paxcast".to_owned(),
        motd: None,
        history: 10,
        flood: Flood {
            lines: 1_000_000,
            seconds: 1,
        },
        accounts: Accounts::default(),
    }
}

impl Rig {
    /// So many gateways.
    pub fn new(count: u16) -> Rig {
        Rig::with((1..=count).map(settings).collect())
    }

    pub fn with(all: Vec<Settings>) -> Rig {
        Rig::allowing(all, PLENTY)
    }

    /// One gateway that takes so many connections.
    pub fn holding(connections: usize) -> Rig {
        let few = Allowances {
            connections,
            ..PLENTY
        };
        Rig::allowing(vec![settings(1)], few)
    }

    fn allowing(all: Vec<Settings>, allowances: Allowances) -> Rig {
        let mut rig = Rig {
            log: Shared {
                chat: Chat::new(),
                place: Place::ZERO,
                submitted: Vec::new(),
                answers: Vec::new(),
                alone: Vec::new(),
                full: Vec::new(),
                verdict: None,
                slow: false,
                late: Vec::new(),
            },
            poll: Poll::new().expect("a poll"),
            fronts: Vec::new(),
            now: Time(1),
            wall: 1_000_000_000_000,
            busy: false,
        };
        for settings in all {
            rig.open(settings, allowances);
        }
        rig
    }

    /// One more gateway.
    pub fn open(&mut self, settings: Settings, allowances: Allowances) {
        let listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address"));
        let listener = listener.expect("a port");
        let (registry, token) = (self.poll.registry(), self.fronts.len() * NAMES);
        let front = Front::open(settings, listener, registry, token, allowances, self.now);
        self.fronts.push(front.expect("a front"));
        self.log.answers.push(VecDeque::new());
    }

    pub fn connect(&mut self, index: usize) -> Client {
        self.connect_from(index, "127.0.0.1")
    }

    /// Connects from an address of this host.
    pub fn connect_from(&mut self, index: usize, from: &str) -> Client {
        let address = self.fronts[index].address().expect("it listens");
        let from = from.parse().expect("an address");
        Client {
            caller: Caller::connect_from(from, address),
        }
    }

    /// One of the facts that a gateway tells.
    pub fn fact(&self, index: usize, name: &str) -> u64 {
        let facts = self.fronts[index].facts();
        let fact = facts.iter().find(|(known, _)| *known == name);
        fact.expect("it tells that").1
    }

    /// Keeps back what was submitted so far and has no place.
    pub fn hold_back(&mut self) {
        let submitted = std::mem::take(&mut self.log.submitted);
        assert!(!submitted.is_empty(), "something is under way");
        self.log.late.extend(submitted);
        self.log.slow = false;
    }

    /// What was kept back gets its place.
    pub fn let_go(&mut self) {
        let late = std::mem::take(&mut self.log.late);
        self.log.submitted.extend(late);
        self.turn();
    }

    /// One turn of all gateways, and then of the log.
    pub fn turn(&mut self) {
        let mut events = Events::with_capacity(1024);
        let patience = Some(Duration::from_micros(if self.busy { 0 } else { 200 }));
        self.poll.poll(&mut events, patience).expect("it polls");
        for event in &events {
            self.fronts[event.token().0 / NAMES].handle_event(event);
        }
        self.busy = false;
        for (index, front) in self.fronts.iter_mut().enumerate() {
            let log = &mut self.log;
            self.busy |= front.turn(self.now, self.wall, &mut Side { log, index });
        }
        if self.log.slow {
            return;
        }
        for (index, ticket, command) in std::mem::take(&mut self.log.submitted) {
            if let Some(verdict) = self.log.verdict {
                self.log.answers[index].extend(ticket.map(|ticket| (ticket, verdict)));
                continue;
            }
            self.place(&command);
            let answer = ticket.map(|ticket| (ticket, Verdict::Reply));
            self.log.answers[index].extend(answer);
        }
    }

    /// Lets so many come in at a gateway that is not here, into a channel.
    pub fn bots(&mut self, count: usize, channel: &str) {
        let gateway = Gateway { id: 99, run: 1 };
        for _ in 0..count {
            let connection = self.log.place.0;
            let opening = Opening {
                connection,
                nick: format!("bot{connection}"),
                user: "bot".into(),
                host: "host".into(),
                real: "a bot".into(),
                account: None,
                token: None,
                seen: None,
            };
            let known = self.log.place;
            let session = SessionId(self.apply(gateway, Command::Come { opening, known }));
            let deed = Deed::Join(vec![(channel.to_owned(), None)]);
            let join = Command::Act {
                session,
                connection,
                number: None,
                deed,
            };
            self.apply(gateway, join);
        }
    }

    /// A command gets its place.
    fn apply(&mut self, gateway: Gateway, command: Command) -> Place {
        let stamped = Stamped {
            stamp: self.wall,
            gateway,
            command,
        };
        self.place(&stamped);
        self.log.place
    }

    /// Gives a command the next place, and tells everybody.
    fn place(&mut self, command: &Stamped) {
        let mut bytes = Vec::new();
        command.encode_into(&mut bytes);
        let mut reply = Vec::new();
        self.log.place = self.log.place.next();
        self.log.chat.apply(self.log.place, &bytes, &mut reply);
        for front in &mut self.fronts {
            front.applied(self.log.place, &reply);
        }
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.wall += time.as_millis() as u64;
        self.turn();
    }

    /// Turns until the client hears a line that ends so, and gives all through it.
    pub fn until(&mut self, client: &mut Client, end: &str) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut lines = Vec::new();
        loop {
            while let Some(line) = client.line() {
                lines.push(line);
                if lines.last().is_some_and(|line| line.ends_with(end)) {
                    return lines;
                }
            }
            assert!(!client.caller.ended, "it ended without `{end}`: {lines:#?}");
            assert!(Instant::now() < deadline, "never `{end}`: {lines:#?}");
            self.turn();
            client.caller.listen();
        }
    }

    /// Everything that the client is told until all that it sent is done.
    pub fn heard(&mut self, client: &mut Client) -> Vec<String> {
        client.send("PING fence");
        let mut lines = self.until(client, " :fence");
        lines.pop();
        lines
    }

    /// Turns until the connection ends; gives what was still said.
    pub fn until_ended(&mut self, client: &mut Client) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !client.caller.ended {
            assert!(Instant::now() < deadline, "it does not end");
            self.turn();
            client.caller.listen();
        }
        std::iter::from_fn(|| client.line()).collect()
    }

    /// Somebody who is in, at a gateway; `lines` come ahead of NICK and USER.
    pub fn user(&mut self, index: usize, nick: &str, lines: &[&str]) -> Client {
        let mut client = self.connect(index);
        for line in lines {
            client.send(line);
        }
        client.send(&format!("NICK {nick}"));
        client.send(&format!("USER {nick} 0 * :{nick} itself"));
        client.send("CAP END");
        self.until(&mut client, "MOTD file is missing");
        client
    }

    /// Sends, and insists on what comes back.
    pub fn expect(&mut self, client: &mut Client, line: &str, answers: &[&str]) {
        client.send(line);
        let heard = self.heard(client);
        assert_eq!(heard, answers, "behind {line}");
    }
}
