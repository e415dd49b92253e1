//! What each process of the chain does: as little as can be done.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;
use std::{process, thread};

use serde::{Deserialize, Serialize};

use super::client;
use super::datagram::{Head, Kind, Progress, set_number, set_via};
use super::socket::{ROOM, Wire};
use super::tally::Tally;

/// Who passes values on to the learners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// The acceptors do: each value crosses to the learners three times.
    Full,
    /// The proposer's datagram reaches acceptors and learners at once, and
    /// acceptors only say that they have it. So do ours.
    Acks,
}

/// What a process of the chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Sends values and hears that they were delivered.
    Client,
    /// Numbers datagrams and passes them on.
    Proposer,
    /// Says that it has them.
    Acceptor,
    /// Counts a datagram once two of three acceptors have it.
    Learner,
}

impl Role {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Proposer => "proposer",
            Role::Acceptor => "acceptor",
            Role::Learner => "learner",
        }
    }
}

/// Where the processes of one chain meet; no other chain does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Meeting {
    /// In every datagram.
    pub token: u32,
    /// Three bytes of an address; each role's group has the fourth.
    pub network: [u8; 3],
    /// The port of all of them.
    pub port: u16,
    /// Who passes values on to the learners.
    pub shape: Shape,
}

impl Meeting {
    /// How many acceptors there are.
    pub const ACCEPTORS: u8 = 3;
    /// How many learners there are.
    pub const LEARNERS: u8 = 2;

    /// Where to reach all processes of a role.
    pub fn group(&self, role: Role) -> SocketAddrV4 {
        let [a, b, c] = self.network;
        SocketAddrV4::new(Ipv4Addr::new(a, b, c, 1 + role as u8), self.port)
    }

    /// What a role listens to.
    fn heard(&self, role: Role) -> &'static [Role] {
        match (role, self.shape) {
            (Role::Client, _) => &[Role::Client],
            (Role::Proposer, Shape::Full) => &[Role::Proposer],
            (Role::Proposer, Shape::Acks) => &[Role::Proposer, Role::Learner],
            (Role::Acceptor, _) => &[Role::Acceptor],
            (Role::Learner, Shape::Full) => &[Role::Learner],
            (Role::Learner, Shape::Acks) => &[Role::Acceptor, Role::Learner],
        }
    }

    /// Opens the socket of a role.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn open(&self, role: Role) -> io::Result<Wire> {
        let groups = self.heard(role).iter();
        let groups: Vec<Ipv4Addr> = groups.map(|role| *self.group(*role).ip()).collect();
        Wire::open(&groups, self.port)
    }

    /// A head of a datagram that carries no values.
    pub fn head(&self, kind: Kind) -> Head {
        Head {
            token: self.token,
            kind,
            via: 0,
            client: 0,
            number: 0,
            through: 0,
        }
    }
}

/// A process of a chain, as its command line tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub role: Role,
    /// Its number among those of its role, from 1.
    pub id: u16,
    /// Where it meets the others.
    pub meeting: Meeting,
    /// What a client sends.
    pub sending: Option<client::Sending>,
}

/// What a process says when asked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Values that it has delivered.
    pub values: u64,
    /// Datagrams that are missing in the proposer's order.
    pub lost: u64,
    /// Datagrams that the kernel dropped.
    pub drops: u32,
    /// Since it started.
    pub seconds: f64,
}

impl Part {
    /// Does it, until standard input ends or somebody ends the process.
    ///
    /// # Errors
    ///
    /// When the kernel refuses something.
    pub fn run(&self) -> io::Result<()> {
        end_with_standard_input()?;
        match self.role {
            Role::Client => client::run(self),
            Role::Proposer => Station::open(self)?.propose(),
            Role::Acceptor => Station::open(self)?.accept(),
            Role::Learner => Station::open(self)?.learn(),
        }
    }
}

/// Whoever started us holds the other end of our standard input: when it ends,
/// however it ends, nobody waits for us any more.
fn end_with_standard_input() -> io::Result<()> {
    thread::Builder::new()
        .name("input".to_owned())
        .spawn(|| {
            // Nothing is said there; an error is an end as well.
            let _ = io::stdin().read_to_end(&mut Vec::new());
            process::exit(0);
        })
        .map(drop)
}

/// A process that waits for datagrams.
struct Station {
    meeting: Meeting,
    role: Role,
    id: u8,
    wire: Wire,
    room: Vec<u8>,
    started: Instant,
}

impl Station {
    /// Trains that are taken from the socket ahead of one answer to them all.
    const TURN: usize = 16;

    fn open(part: &Part) -> io::Result<Station> {
        let station = Station {
            meeting: part.meeting,
            role: part.role,
            id: u8::try_from(part.id).map_err(io::Error::other)?,
            wire: part.meeting.open(part.role)?,
            room: vec![0; ROOM],
            started: Instant::now(),
        };
        eprintln!("ready");
        Ok(station)
    }

    /// Numbers datagrams in the order in which they come, and passes them on.
    fn propose(mut self) -> io::Result<()> {
        let acceptors = self.meeting.group(Role::Acceptor);
        let mut number = 0;
        loop {
            let Some(train) = self.wire.receive(&mut self.room, true)? else {
                continue;
            };
            let Some(head) = Head::read(self.meeting.token, &self.room) else {
                continue;
            };
            match head.kind {
                Kind::Values => {
                    for datagram in train.datagrams(&mut self.room) {
                        number += 1;
                        set_number(datagram, number);
                    }
                    let bytes = &self.room[..train.length];
                    self.wire.send(bytes, train.size, acceptors)?;
                }
                Kind::Report => self.report(&head, 0, 0),
                // A proposer hears the votes; this one has no use for them.
                _ => {}
            }
        }
    }

    /// Passes values on, or says that it has them.
    fn accept(mut self) -> io::Result<()> {
        const VOTE: usize = 64;
        let learners = self.meeting.group(Role::Learner);
        let mut vote = [0; VOTE];
        loop {
            let mut last = None;
            for turn in 0..Self::TURN {
                let Some(train) = self.wire.receive(&mut self.room, turn == 0)? else {
                    break;
                };
                let Some(head) = Head::read(self.meeting.token, &self.room) else {
                    continue;
                };
                match (head.kind, self.meeting.shape) {
                    (Kind::Values, Shape::Full) => {
                        for datagram in train.datagrams(&mut self.room) {
                            set_via(datagram, self.id);
                        }
                        let bytes = &self.room[..train.length];
                        self.wire.send(bytes, train.size, learners)?;
                    }
                    (Kind::Values, Shape::Acks) => {
                        let datagram = train.datagrams(&mut self.room).next_back();
                        last = datagram.and_then(|last| Head::read(self.meeting.token, last));
                    }
                    (Kind::Report, _) => self.report(&head, 0, 0),
                    _ => {}
                }
            }
            if let Some(last) = last {
                Head {
                    via: self.id,
                    number: last.number,
                    ..self.meeting.head(Kind::Vote)
                }
                .write(&mut vote);
                self.wire.send(&vote, VOTE, learners)?;
            }
        }
    }

    /// Counts what two of three acceptors have, and tells the clients.
    fn learn(mut self) -> io::Result<()> {
        let clients = self.meeting.group(Role::Client);
        let mut tally = Tally::new(Meeting::ACCEPTORS.into(), self.wire.buffer()?);
        let mut answer = Vec::new();
        loop {
            for turn in 0..Self::TURN {
                let Some(train) = self.wire.receive(&mut self.room, turn == 0)? else {
                    break;
                };
                let token = self.meeting.token;
                let Some(first) = Head::read(token, &self.room) else {
                    continue;
                };
                let datagram = train.datagrams(&mut self.room).next_back();
                let last = datagram.and_then(|last| Head::read(token, last));
                match (first.kind, last) {
                    (Kind::Values, Some(last)) => {
                        tally.values(&first, &last, Wire::cost(train.length));
                    }
                    (Kind::Vote, Some(last)) => tally.vote(last.via, last.number),
                    (Kind::Report, _) => {
                        tally.expect(usize::try_from(first.through).unwrap_or(1));
                        self.report(&first, tally.delivered(), tally.lost());
                    }
                    _ => {}
                }
            }
            // Clients hear of a delivery once; room in the buffers is only told
            // of now and then.
            if tally.advance(self.id == 1) {
                answer.resize(Head::SIZE, 0);
                let head = self.meeting.head(Kind::Delivered);
                let via = self.id;
                Head { via, ..head }.write(&mut answer);
                for progress in tally.progress() {
                    Progress::append(&progress, &mut answer);
                }
                self.wire.send(&answer, answer.len(), clients)?;
                answer.clear();
            }
        }
    }

    /// Answers whoever asked all of our role.
    fn report(&self, question: &Head, values: u64, lost: u64) {
        if question.client != self.role as u16 {
            return;
        }
        let report = Report {
            values,
            lost,
            drops: self.wire.drops(),
            seconds: self.started.elapsed().as_secs_f64(),
        };
        let text = serde_json::to_string(&report).expect("numbers are finite");
        eprintln!("report {} {text}", question.number);
    }
}
