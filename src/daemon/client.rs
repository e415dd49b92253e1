//! A client's world: values come in, acknowledgements are counted and timed.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use super::command::{Command, draw, say};
use super::failure::Failure;
use super::generator::{Generator, Made, Plan};
use super::input::{Input, Line, Next};
use super::latency::Latencies;
use super::node::Node;
use super::proposer::{no_disk, refuse_sync_fault};
use super::turn::Turns;
use super::{Ending, Flow, World};
use crate::protocol::client::{Client, Event};
use crate::protocol::{Found, Lookup, Membership, Outbox, ProcessId, Role, Time};

/// What a client is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// What values to make up, instead of reading standard input.
    pub made: Option<Plan>,
    /// How many values may be under way at a time, if fewer than the cluster takes.
    pub outstanding: Option<u64>,
    /// Where to write how long the values took.
    pub latencies: Option<PathBuf>,
    /// When to give up.
    pub deadline: Option<Duration>,
}

/// Between one line about the progress and the next, on a terminal and elsewhere.
const PROGRESS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

/// Runs a client until all its values are acknowledged, or it is told to end.
///
/// # Errors
///
/// When it cannot start or read, when a value could not be sent or its fate is
/// unknown, or when the deadline passes.
pub fn run_client(command: Command, workload: Workload) -> Result<(), Failure> {
    refuse_sync_fault(&command)?;
    let node = Node::open(command, draw()?)?;
    let now = node.clock.now();
    let source = match workload.made {
        Some(plan) => Source::Made(Box::new(Generator::new(node.me.id, plan, now))),
        None => Source::Read(read_input(&node)?),
    };
    let role = Client::new(node.me, node.settings(), draw()?, now);
    node.announce("")?;
    let pause = match io::stderr().is_terminal() {
        true => PROGRESS.0,
        false => PROGRESS.1,
    };
    let feeder = Feeder {
        id: node.me.id,
        membership: node.config.membership(),
        source,
        ended: false,
        refused: 0,
        submitted: 0,
        acknowledged: 0,
        retransmissions: 0,
        outstanding: workload.outstanding.unwrap_or(u64::MAX),
        latencies: Latencies::new(),
        latencies_file: workload.latencies,
        first: None,
        last: now,
        started: now,
        deadline: workload.deadline,
        pause,
        progress_at: now + pause,
        heard: Heard::default(),
        hungry: true,
        room: false,
    };
    Turns::run(node, role, feeder)
}

fn read_input(node: &Node) -> Result<Input, Failure> {
    io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|stdin| Input::start(File::from(stdin), Client::MAX_VALUE, node.waker.clone()))
        .map_err(|error| Failure::Failed(format!("no standard input: {error}")))
}

#[derive(Debug)]
enum Source {
    Read(Input),
    Made(Box<Generator>),
}

/// Feeds the role, and keeps the books.
#[derive(Debug)]
struct Feeder {
    id: u16,
    membership: Membership,
    source: Source,
    ended: bool,
    /// Lines that are too long to be a value.
    refused: u64,
    submitted: u64,
    acknowledged: u64,
    retransmissions: u64,
    /// How many may be submitted and not acknowledged.
    outstanding: u64,
    latencies: Latencies,
    latencies_file: Option<PathBuf>,
    /// When the first value was due, and the last one acknowledged.
    first: Option<Time>,
    last: Time,
    started: Time,
    deadline: Option<Duration>,
    pause: Duration,
    progress_at: Time,
    heard: Heard,
    /// Whether the role took all there was; until it wants more, no value is due.
    hungry: bool,
    /// Acknowledgements of this turn made room for values that the next turn sends.
    room: bool,
}

/// Who has answered so far; tells what is likely missing when nothing moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heard {
    proposer: bool,
    learner: bool,
}

impl World<Client> for Feeder {
    fn begin(
        &mut self,
        now: Time,
        role: &mut Client,
        _: &mut Outbox<Client>,
    ) -> Result<Flow, Failure> {
        while !self.ended && self.takes_more(role) && self.feed(now, role)? {}
        self.hungry = self.takes_more(role);
        self.room = false;
        if self.ended && role.is_done() {
            return Ok(Flow::Done);
        }
        if self.deadline_at().is_some_and(|deadline| deadline <= now) {
            return Err(self.too_late(now));
        }
        if self.progress_at <= now {
            self.progress_at = now + self.pause;
            self.say_progress(now);
        }
        Ok(Flow::Going)
    }

    fn event(&mut self, now: Time, event: Event) -> Result<(), Failure> {
        match event {
            Event::Acknowledged { values, .. } => {
                self.room |= self.submitted - self.acknowledged >= self.outstanding;
                self.acknowledged += values;
                self.last = now;
                self.latencies.acknowledged(now, values);
            }
            Event::Evicted { lost: 0 } => {}
            Event::Evicted { lost } => {
                return Err(Failure::Failed(format!(
                    "the cluster has forgotten this client, which was not heard for too long; \
                     {} values were acknowledged, and whether the {lost} sent after them were \
                     delivered is unknown: look at a learner's output before sending them again",
                    self.acknowledged
                )));
            }
            Event::Retransmitted => self.retransmissions += 1,
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn lookup(&mut self, lookup: Lookup) -> Result<Found, Failure> {
        Err(no_disk("client", &lookup))
    }

    fn heard(&mut self, sender: ProcessId) {
        match sender.role {
            Role::Proposer => self.heard.proposer = true,
            Role::Learner => self.heard.learner = true,
            Role::Client | Role::Acceptor => {}
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        let pace = match &self.source {
            Source::Made(generator) if !self.ended && self.hungry => generator.due(),
            // The time may be up while nothing is acknowledged.
            Source::Made(generator) if !self.ended => generator.end(),
            _ => None,
        };
        let room = (self.room && !self.ended).then_some(Time::ZERO);
        [Some(self.progress_at), self.deadline_at(), pace, room]
            .into_iter()
            .flatten()
            .min()
    }

    fn facts(&self, _: &Client) -> Vec<(&'static str, u64)> {
        vec![
            ("values", self.acknowledged),
            ("submitted", self.submitted),
            ("refused", self.refused),
            ("retransmissions", self.retransmissions),
        ]
    }

    fn report(&self) {
        if let Err(failure) = self.write_latencies() {
            log::warn!("{failure}");
        }
    }

    fn end(&mut self, _: Time, _: &Client, ending: Ending) -> Result<(), Failure> {
        self.say_summary();
        self.write_latencies()?;
        if ending == Ending::Done && self.refused > 0 {
            return Err(Failure::Failed(format!(
                "{} lines were longer than {} bytes and not sent; the others were delivered",
                self.refused,
                Client::MAX_VALUE
            )));
        }
        Ok(())
    }
}

impl Feeder {
    /// Whether another value may be submitted.
    fn takes_more(&self, role: &Client) -> bool {
        self.submitted - self.acknowledged < self.outstanding && role.wants_more()
    }

    /// Submits the next value, if there is one now, and says whether there was.
    fn feed(&mut self, now: Time, role: &mut Client) -> Result<bool, Failure> {
        let due = match &mut self.source {
            Source::Made(generator) => match generator.next(now) {
                Made::Value(value, due) => {
                    role.submit(now, value);
                    due
                }
                Made::At(_) => return Ok(false),
                Made::End => {
                    self.ended = true;
                    return Ok(false);
                }
            },
            Source::Read(input) => loop {
                match input.next() {
                    Next::Line(Line::Value(value)) => {
                        role.submit(now, &value);
                        break now;
                    }
                    Next::Line(Line::TooLong { line, bytes }) => {
                        self.refused += 1;
                        say(&format!(
                            "client {}: line {line} has {bytes} bytes, the limit is {}; not sent",
                            self.id,
                            Client::MAX_VALUE
                        ));
                    }
                    Next::Later => return Ok(false),
                    Next::End => {
                        self.ended = true;
                        return Ok(false);
                    }
                    Next::Failed(error) => {
                        return Err(Failure::Failed(format!(
                            "cannot read standard input: {error}; {} values were sent before, {} \
                             of them are acknowledged",
                            self.submitted, self.acknowledged
                        )));
                    }
                }
            },
        };
        self.submitted += 1;
        self.first.get_or_insert(due);
        self.latencies.submitted(due);
        Ok(true)
    }

    fn deadline_at(&self) -> Option<Time> {
        self.deadline.map(|deadline| self.started + deadline)
    }

    fn too_late(&self, now: Time) -> Failure {
        let waited = now.since(self.started).as_secs_f64();
        if self.acknowledged == self.submitted {
            return Failure::NoQuorum(format!(
                "after {waited:.1} s the input has not ended; all {} values so far are acknowledged",
                self.acknowledged
            ));
        }
        let cause = self.likely_cause();
        let more = if self.ended { "" } else { " so far" };
        Failure::NoQuorum(format!(
            "after {waited:.1} s only {} of {} values{more} are acknowledged; {cause}",
            self.acknowledged, self.submitted
        ))
    }

    /// Only a leader speaks to clients, and it leads only while a quorum of
    /// acceptors answers it; a learner speaks as soon as it is asked.
    fn likely_cause(&self) -> String {
        let quorum = format!(
            "{} of the {} acceptors",
            self.membership.quorum(),
            self.membership.acceptors().len()
        );
        let wrong = "the same configuration and cluster name, the same interface";
        match (self.heard.proposer, self.heard.learner) {
            (false, false) => format!(
                "no proposer and no learner was heard: are they running, with {wrong}? \
                 (a proposer speaks up once {quorum} answer it)"
            ),
            (false, true) => format!(
                "a learner was heard and no leader: a proposer and {quorum} must be running, with {wrong}"
            ),
            (true, false) => format!(
                "a leader was heard and no learner, which is what acknowledges values: is one \
                 running, with {wrong}?"
            ),
            (true, true) => format!(
                "a leader and a learner were heard: most likely fewer than {quorum} are running by \
                 now, or datagrams are lost (see kernel_drops and drops in the statistics)"
            ),
        }
    }

    fn say_progress(&self, now: Time) {
        let seconds = now.since(self.started).as_secs();
        let stalled = now.since(self.last) >= self.pause;
        let hint = match stalled && self.acknowledged < self.submitted {
            true => format!("; {}", self.likely_cause()),
            false => String::new(),
        };
        say(&format!(
            "client {}: {} of {} values acknowledged after {seconds} s{hint}",
            self.id, self.acknowledged, self.submitted
        ));
    }

    fn say_summary(&self) {
        let seconds = match self.first {
            Some(first) => self.last.since(first).as_secs_f64(),
            None => 0.0,
        };
        let rate = match seconds > 0.0 {
            true => self.acknowledged as f64 / seconds,
            false => 0.0,
        };
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let quantile = |part| milliseconds(self.latencies.quantile(part));
        say(&format!(
            "summary client={} values={} seconds={seconds:.3} values_per_second={rate:.0} \
             p50_ms={:.3} p90_ms={:.3} p99_ms={:.3} p999_ms={:.3} max_ms={:.3}",
            self.id,
            self.acknowledged,
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            quantile(0.999),
            milliseconds(self.latencies.longest())
        ));
    }

    fn write_latencies(&self) -> Result<(), Failure> {
        let Some(path) = &self.latencies_file else {
            return Ok(());
        };
        self.latencies.write(path).map_err(|error| {
            Failure::Failed(format!(
                "cannot write the latencies to {}: {error}",
                path.display()
            ))
        })
    }
}
