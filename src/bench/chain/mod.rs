//! The chain: the processes of a cluster with no logic at all.
//!
//! Clients send values to a proposer, which numbers datagrams and multicasts
//! them to three acceptors; two learners count what two of the three have, and
//! the first of them tells the clients. Nothing is checked, kept, repaired or
//! sent again, no leader is elected, nobody may fail. What is left is what the
//! kernel takes to carry the bytes and to wake the sleepers: the limit that a
//! cluster of such processes can come near to and not pass.
//!
//! ```text
//!              ┌──▶ acceptor 1 ──┐
//! client ─▶ proposer ▶ acceptor 2 ─▶ learner 1 ─▶ client
//!              └──▶ acceptor 3 ──┘   learner 2
//! ```
//!
//! In [`Shape::Full`] the acceptors pass the values on to the learners. In
//! [`Shape::Acks`] learners hear the proposer themselves and acceptors send 64
//! bytes, once for all that they found at a time; our own protocol is built
//! like that, so this is what it is compared with.
//!
//! Every process is this executable, started again (`paxcast chain`, which the
//! help does not list): a client's and a learner's code differ, what they cost to
//! load does not. They meet on groups, a port and a token of their own on
//! loopback. Clients keep what is under way below what the receivers' buffers
//! hold, counted to the slowest receiver, so nothing is dropped; a run in which
//! something was lost has failed, for here nobody would send it again.

use std::env;
use std::io::Read;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;

use super::{Child, Contestant, Excuse, Load, Outcome, Pace, latencies};

mod client;
mod datagram;
mod part;
mod socket;
mod tally;

use client::Sending;
use datagram::{Head, Kind};
use part::{Meeting, Report, Role};
use socket::Wire;

pub use client::Packing;
pub use part::{Part, Shape};

/// The chain as a contestant.
#[derive(Debug)]
pub struct Chain {
    shape: Shape,
    packing: Packing,
    executable: Option<PathBuf>,
    running: Option<Running>,
}

/// Its processes that stay from load to load, and how to speak to them.
#[derive(Debug)]
struct Running {
    executable: PathBuf,
    meeting: Meeting,
    wire: Wire,
    stations: Vec<(Role, Child)>,
    /// Clients started so far; each has a number of its own.
    clients: u16,
    /// Questions asked so far.
    questions: u64,
}

impl Chain {
    /// The largest datagrams that a chain sends unless told otherwise: what a
    /// single system call and loopback carry well.
    pub const DATAGRAM: usize = 60_000 + Head::SIZE;

    /// A chain of a shape, with values packed into datagrams of
    /// [`DATAGRAM`](Self::DATAGRAM) bytes.
    pub fn new(shape: Shape) -> Chain {
        Chain {
            shape,
            packing: Packing::Datagrams(Self::DATAGRAM),
            executable: None,
            running: None,
        }
    }

    /// Packs values otherwise.
    ///
    /// # Panics
    ///
    /// When a datagram is to be smaller than any network would ask for.
    #[must_use]
    pub fn packing(mut self, packing: Packing) -> Chain {
        if let Packing::Datagrams(most) = packing {
            assert!(most > 2 * Head::SIZE, "{most} bytes are no datagram");
        }
        self.packing = packing;
        self
    }

    /// Starts its processes from another executable than the one that runs.
    #[must_use]
    pub fn executable(mut self, executable: PathBuf) -> Chain {
        self.executable = Some(executable);
        self
    }
}

impl Contestant for Chain {
    fn name(&self) -> &'static str {
        "chain"
    }

    fn about(&self) -> String {
        let shape = match self.shape {
            Shape::Full => "acceptors pass values on",
            Shape::Acks => "acceptors send 64-byte acks",
        };
        let packing = match self.packing {
            Packing::Datagrams(most) => format!("datagrams of up to {most} bytes"),
            Packing::Single => "one value a datagram".to_owned(),
        };
        format!(
            "no logic: clients, a proposer, {} acceptors, {} learners; {shape}; {packing}, \
             GSO/GRO, loopback",
            Meeting::ACCEPTORS,
            Meeting::LEARNERS
        )
    }

    fn prepare(&mut self, _directory: PathBuf) -> Result<(), Excuse> {
        let executable = match &self.executable {
            Some(executable) => executable.clone(),
            None => env::current_exe().map_err(failed("this executable has no path"))?,
        };
        self.running = Some(Running::start(executable, self.shape)?);
        Ok(())
    }

    fn measure(&mut self, load: &Load) -> Result<Outcome, Excuse> {
        if load.durable {
            return Err(Excuse::Absent("the chain keeps nothing on disks".into()));
        }
        let running = self.running.as_mut();
        let running = running.ok_or_else(|| Excuse::Failed("it was not prepared".into()))?;
        running.measure(load, self.packing)
    }
}

impl Running {
    fn start(executable: PathBuf, shape: Shape) -> Result<Running, Excuse> {
        let random = SysRng
            .try_next_u64()
            .map_err(|error| Excuse::Failed(format!("no random numbers: {error}")))?;
        let [a, b, c, d, e, f, g, h] = random.to_le_bytes();
        let meeting = Meeting {
            token: u32::from_le_bytes([a, b, c, d]),
            // Addresses for use within one organisation (RFC 2365), and ports
            // that the kernel does not give to anybody by itself.
            network: [239, 192 | (e & 3), f],
            port: 20_000 + u16::from_le_bytes([g, h]) % 12_000,
            shape,
        };
        let wire = Wire::open(&[], meeting.port).map_err(failed("no socket"))?;
        let mut running = Running {
            executable,
            meeting,
            wire,
            stations: Vec::new(),
            clients: 0,
            questions: 0,
        };
        let roles = [
            (Role::Learner, Meeting::LEARNERS),
            (Role::Acceptor, Meeting::ACCEPTORS),
            (Role::Proposer, 1),
        ];
        for (role, count) in roles {
            for id in 1..=count {
                let child = running.launch(role, id.into(), None)?;
                running.stations.push((role, child));
            }
        }
        for (_, child) in &mut running.stations {
            child.await_line("ready")?;
        }
        Ok(running)
    }

    fn launch(&self, role: Role, id: u16, sending: Option<Sending>) -> Result<Child, Excuse> {
        let part = Part {
            role,
            id,
            meeting: self.meeting,
            sending,
        };
        let part = serde_json::to_string(&part)
            .map_err(|error| Excuse::Failed(format!("the load cannot be told: {error}")))?;
        let mut command = Command::new(&self.executable);
        command.args(["chain", &part]);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped());
        Child::start(&format!("chain {} {id}", role.name()), &mut command)
    }

    fn measure(&mut self, load: &Load, packing: Packing) -> Result<Outcome, Excuse> {
        let (outstanding, rate) = match load.pace {
            Pace::Outstanding(most) => (most.max(1), None),
            Pace::Rate(rate) => (usize::MAX, Some(rate)),
        };
        let sending = Sending {
            bytes: load.bytes,
            packing,
            outstanding,
            rate,
            clients: load.clients,
        };
        let mut clients = Vec::new();
        for _ in 0..load.clients {
            self.clients = self
                .clients
                .checked_add(1)
                .ok_or_else(|| Excuse::Failed("it has run out of clients".into()))?;
            clients.push(self.launch(Role::Client, self.clients, Some(sending.clone()))?);
        }
        for client in &mut clients {
            client.await_line("ready")?;
        }
        self.ask(load.clients)?;
        self.tell(Kind::Begin)?;
        // Until windows are full and the processor has found its pace.
        thread::sleep((load.duration / 5).min(Duration::from_millis(500)));

        let processor = self.processor(&clients)?;
        self.tell(Kind::Count)?;
        let before = self.ask(load.clients)?;
        thread::sleep(load.duration);
        let after = self.ask(load.clients)?;
        let processor = self.processor(&clients)? - processor;
        self.tell(Kind::End)?;

        let mut outcome = Outcome {
            values: u64::MAX,
            seconds: load.duration.as_secs_f64(),
            latencies: latencies(),
            processor: Some(processor),
            calls: None,
            drops: None,
        };
        let mut drops = 0;
        let mut missing = 0;
        for ((role, before), (_, after)) in before.iter().zip(&after) {
            let values = after.values - before.values;
            if *role == Role::Learner && values < outcome.values {
                outcome.values = values;
                outcome.seconds = after.seconds - before.seconds;
            }
            drops += u64::from(after.drops.wrapping_sub(before.drops));
            missing += after.lost - before.lost;
        }
        for client in &mut clients {
            let result = finish(client)?;
            for (nanoseconds, count) in result.latencies {
                outcome.latencies.saturating_record_n(nanoseconds, count);
            }
            drops += u64::from(result.drops);
            missing += result.lost;
        }
        outcome.drops = Some(drops);
        if missing > 0 {
            return Err(Excuse::Failed(format!(
                "{missing} datagrams or values were lost, {drops} of them dropped for want of \
                 buffer space; allow more: sysctl -w net.core.rmem_max=8388608"
            )));
        }
        Ok(outcome)
    }

    /// Tells all clients.
    fn tell(&mut self, kind: Kind) -> Result<(), Excuse> {
        let head = self.meeting.head(kind);
        self.say(&head, self.meeting.group(Role::Client))
    }

    /// Asks all but the clients how they are, and tells them how many clients there are.
    fn ask(&mut self, clients: usize) -> Result<Vec<(Role, Report)>, Excuse> {
        self.questions += 1;
        for role in [Role::Learner, Role::Acceptor, Role::Proposer] {
            let question = Head {
                client: role as u16,
                number: self.questions,
                through: clients as u64,
                ..self.meeting.head(Kind::Report)
            };
            self.say(&question, self.meeting.group(role))?;
        }
        let expected = format!("report {} ", self.questions);
        let mut reports = Vec::new();
        for (role, child) in &mut self.stations {
            let line = child.await_line(&expected)?;
            let report = line
                .strip_prefix(&expected)
                .and_then(|text| serde_json::from_str(text).ok())
                .ok_or_else(|| child.fault("gives no report"))?;
            reports.push((*role, report));
        }
        Ok(reports)
    }

    fn say(&mut self, head: &Head, to: SocketAddrV4) -> Result<(), Excuse> {
        let mut datagram = [0; Head::SIZE];
        head.write(&mut datagram);
        self.wire
            .send(&datagram, Head::SIZE, to)
            .map_err(failed("cannot send on loopback"))
    }

    /// Processor time of all processes so far.
    fn processor(&self, clients: &[Child]) -> Result<f64, Excuse> {
        let stations = self.stations.iter().map(|(_, child)| child);
        stations.chain(clients).map(Child::processor).sum()
    }
}

/// Waits for a client's last words.
fn finish(client: &mut Child) -> Result<client::Result, Excuse> {
    let mut text = String::new();
    if let Some(mut stdout) = client.process().stdout.take() {
        stdout
            .read_to_string(&mut text)
            .map_err(failed("a client cannot be heard"))?;
    }
    let result = serde_json::from_str(&text).map_err(|_| client.fault("says nothing at its end"));
    client.await_end(socket::PATIENCE)?;
    result
}

/// What an error of the system's means for the run.
fn failed(what: &'static str) -> impl Fn(std::io::Error) -> Excuse {
    move |error| Excuse::Failed(format!("{what}: {error}"))
}
