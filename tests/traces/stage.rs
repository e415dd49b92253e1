//! The stage: one role, and everything around it played by a script.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Once;
use std::time::Duration;

use paxcast::protocol::acceptor::Memory;
use paxcast::protocol::{
    Acceptor, AcceptorSet, Address, Client, Found, Instance, Learner, Lookup, Membership, Message,
    Outbox, Output, Process, ProcessId, Proposer, Purpose, Record, ReplicaSet, Role, Session,
    Settings, Span, Time, Vote, client, learner, proposer,
};

use crate::words::{self, Read, Reader};

/// The longest that `wait for` waits.
const PATIENCE: Duration = Duration::from_secs(600);

/// A role and its surroundings.
///
/// Keys of `start`: `acceptors` (3), `datagram` (bytes), `window` (instances),
/// `lifetime` (of sessions, in instances), `sessions` (that are remembered), `pause`
/// (time between two sends of a client), `buffer` (400000 bytes), `memory` (bytes
/// that an acceptor with a disk keeps in memory; without it everything), `replicas`
/// (whose checkpoints count), `step` (instances forgotten at once), `seed` (1).
#[derive(Default)]
pub struct Stage {
    now: Time,
    machine: Option<Machine>,
    /// How to start it once more.
    beginning: String,
    /// What an acceptor has written down.
    records: Vec<Record>,
    lookups: VecDeque<Lookup>,
    /// Sessions that were seen, by name.
    sessions: BTreeMap<String, Session>,
    /// The turn goes on over many messages.
    in_turn: bool,
}

/// A role, whichever it is.
enum Machine {
    Client(Client),
    Proposer(Proposer),
    Acceptor(Acceptor),
    Learner(Learner),
}

/// What a role can be given.
enum Input {
    Message(ProcessId, Message),
    Timeout,
    Finish,
    Found(Found),
    Open(bool),
    Submit(bytes::Bytes),
}

/// One thing a role did.
struct Deed {
    words: String,
    record: Option<Record>,
    lookup: Option<Lookup>,
    session: Option<Session>,
}

impl Stage {
    /// Carries out a command; returns the trace.
    pub fn command(&mut self, command: &str) -> Read<Vec<String>> {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        if verb == "start" {
            self.beginning = rest.to_string();
            self.now = Time::ZERO;
            return self.start(1).map(|()| Vec::new());
        }
        if self.machine.is_none() {
            return Err("nothing was started".to_string());
        }
        let trace = match (verb, rest) {
            ("quietly", _) => return Ok(count(&self.command(rest)?)),
            ("each", _) => {
                let (range, command) = rest.split_once(' ').ok_or("each A..=B COMMAND")?;
                let (from, through) = words::range(range)?;
                let mut trace = Vec::new();
                for number in from..=through.ok_or("each A..=B COMMAND")? {
                    let lines = self.command(&command.replace('$', &number.to_string()))?;
                    trace.extend(lines.into_iter().filter(|line| line != NOTHING));
                }
                trace
            }
            ("from", _) => {
                let (from, message) = rest.split_once(": ").ok_or("from PROCESS: MESSAGE")?;
                let message = Reader::new(message, &self.sessions)?.message()?;
                self.give(Input::Message(words::process(from)?, message))?
            }
            ("begin", "turn") => {
                self.in_turn = true;
                return Ok(Vec::new());
            }
            ("end", "turn") => {
                self.in_turn = false;
                self.take(Input::Finish)?
            }
            ("wait", _) => match rest.strip_prefix("for ") {
                Some(word) => self.wait(self.now + PATIENCE, Some(word))?,
                None => self.wait(self.now + duration(rest)?, None)?,
            },
            ("elect", "") => {
                let mut trace = self.elect()?;
                trace.retain(|line| line.starts_with("event") || line.starts_with("warn"));
                trace
            }
            ("found", "") => {
                let lookup = self.lookups.pop_front().ok_or("nothing was looked up")?;
                let found = self.search(lookup);
                self.give(Input::Found(found))?
            }
            ("restart", "") => {
                self.start(1)?;
                let Some(Machine::Acceptor(acceptor)) = &mut self.machine else {
                    return Err("only acceptors remember anything".to_string());
                };
                for record in &self.records {
                    acceptor.replay(record.clone());
                }
                self.lookups.clear();
                return Ok(Vec::new());
            }
            ("delete", "") => {
                let trim = |record: &Record| matches!(record, Record::Trimmed { .. });
                let last = self.records.iter().rposition(trim);
                self.records.drain(..last.ok_or("nothing was trimmed")?);
                return Ok(Vec::new());
            }
            ("submit", _) => {
                let mut trace = Vec::new();
                for value in Reader::new(rest, &self.sessions)?.values()? {
                    trace.extend(self.take(Input::Submit(value))?);
                }
                if !self.in_turn {
                    trace.extend(self.take(Input::Finish)?);
                }
                trace
            }
            ("open" | "close", "") => self.give(Input::Open(verb == "open"))?,
            ("show", "") => vec![self.show()],
            _ => return Err(format!("unknown command {command:?}")),
        };
        Ok(match trace.is_empty() {
            true => vec![NOTHING.to_string()],
            false => trace,
        })
    }

    /// Starts the role that the beginning names, from nothing.
    fn start(&mut self, incarnation: u64) -> Read<()> {
        let mut keys = self.beginning.split(' ');
        let me = words::process(keys.next().unwrap_or_default())?;
        let me = ProcessId { incarnation, ..me };
        let mut settings = Settings::new(Membership::majority(AcceptorSet::first(3)));
        let (mut memory, mut buffer, mut seed) = (Memory::EVERYTHING, 400_000, 1);
        for key in keys {
            let (key, value) = key.split_once('=').ok_or(format!("no value for {key:?}"))?;
            let number = || {
                value
                    .parse::<u32>()
                    .map_err(|_| format!("no number: {value:?}"))
            };
            match key {
                "acceptors" => {
                    let acceptors = AcceptorSet::first(number()? as u16);
                    settings.membership = Membership::majority(acceptors);
                }
                "datagram" => settings.datagram = number()? as usize,
                "window" => settings.window = number()?,
                "lifetime" => settings.lifetime = u64::from(number()?),
                "sessions" => settings.sessions = number()? as usize,
                "pause" => settings.pause = duration(value)?,
                "buffer" => buffer = number()?,
                "seed" => seed = u64::from(number()?),
                "memory" => {
                    let bytes = number()? as usize;
                    memory = Memory::Recent { bytes };
                }
                "replicas" => settings.replicas = ReplicaSet::first(number()? as u16),
                "step" => settings.trim_step = u64::from(number()?),
                "history" => {
                    let bytes = number()? as usize;
                    memory = Memory::Volatile { bytes };
                }
                _ => return Err(format!("unknown key {key:?}")),
            }
        }
        let now = self.now;
        self.machine = Some(match me.role {
            Role::Client => Machine::Client(Client::new(me, settings, seed, now)),
            Role::Proposer => Machine::Proposer(Proposer::new(me, settings, seed, buffer, now)),
            Role::Acceptor => Machine::Acceptor(Acceptor::new(me, settings, memory, buffer)),
            Role::Learner => Machine::Learner(Learner::new(me, settings, seed, buffer, now)),
        });
        Ok(())
    }

    /// Gives the role something, and ends the turn unless it goes on.
    fn give(&mut self, input: Input) -> Read<Vec<String>> {
        let mut trace = self.take(input)?;
        if !self.in_turn {
            trace.extend(self.take(Input::Finish)?);
        }
        Ok(trace)
    }

    /// Lets time pass, until then or until something with this word came out.
    fn wait(&mut self, until: Time, word: Option<&str>) -> Read<Vec<String>> {
        if self.in_turn {
            return Err("a turn takes no time".to_string());
        }
        let mut trace = Vec::new();
        while let Some(due) = self.next_timeout()
            && due <= until
        {
            self.now = self.now.max(due);
            let at = self.now.0 / 100_000;
            for line in self.give(Input::Timeout)? {
                trace.push(format!("@{}.{}ms {line}", at / 10, at % 10));
            }
            let said =
                |line: &String| word.is_some_and(|word| line.split(' ').any(|said| said == word));
            if trace.iter().any(said) {
                return Ok(trace);
            }
        }
        self.now = until;
        match word {
            Some(word) => Err(format!("no {word:?} within {PATIENCE:?}")),
            None => Ok(trace),
        }
    }

    /// Lets two acceptors that know of nothing promise a proposer its ballot, and
    /// announce their buffers.
    fn elect(&mut self) -> Read<Vec<String>> {
        let mut trace = self.wait(self.now + PATIENCE, Some("prepare"))?;
        let asked = trace
            .iter()
            .rev()
            .find_map(|line| line.split_once("prepare "));
        let (ballot, from) = asked
            .and_then(|(_, asked)| asked.split_once(' '))
            .expect("it was waited for");
        let (ballot, from) = (ballot.to_string(), from.to_string());
        for message in [
            format!("promise {ballot} {from} watermark 0.p0/#0 votes []"),
            format!("alive {ballot} buffer 400000B"),
        ] {
            for acceptor in ["a1", "a2"] {
                trace.extend(self.command(&format!("from {acceptor}: {message}"))?);
            }
        }
        Ok(trace)
    }

    fn next_timeout(&self) -> Option<Time> {
        match self.machine.as_ref()? {
            Machine::Client(client) => client.next_timeout(),
            Machine::Proposer(proposer) => proposer.next_timeout(),
            Machine::Acceptor(acceptor) => acceptor.next_timeout(),
            Machine::Learner(learner) => learner.next_timeout(),
        }
    }

    /// Gives the role one input; keeps what it wrote down and asked for.
    fn take(&mut self, input: Input) -> Read<Vec<String>> {
        let now = self.now;
        listen();
        let deeds = match (self.machine.as_mut().expect("started"), input) {
            (Machine::Client(client), Input::Submit(value)) => {
                client.submit(now, &value);
                Vec::new()
            }
            (Machine::Learner(learner), Input::Open(open)) => {
                let mut out = Outbox::new();
                learner.set_open(now, open, &mut out);
                gather(&mut out)
            }
            (_, Input::Submit(_)) => return Err("only clients submit".to_string()),
            (_, Input::Open(_)) => return Err("only learners hand values on".to_string()),
            (Machine::Client(client), input) => drive(client, now, input),
            (Machine::Proposer(proposer), input) => drive(proposer, now, input),
            (Machine::Acceptor(acceptor), input) => drive(acceptor, now, input),
            (Machine::Learner(learner), input) => drive(learner, now, input),
        };
        let mut trace = overheard();
        for deed in deeds {
            self.records.extend(deed.record);
            self.lookups.extend(deed.lookup);
            if let Some(session) = deed.session {
                self.sessions.insert(session.to_string(), session);
            }
            trace.push(deed.words);
        }
        Ok(trace)
    }

    /// What was recorded of what is looked up: the newest votes, as far as the
    /// bytes go.
    fn search(&self, lookup: Lookup) -> Found {
        let mut newest: BTreeMap<Instance, &Vote> = BTreeMap::new();
        for record in &self.records {
            if let Record::Voted { vote } = record {
                newest.insert(vote.instance, vote);
            }
        }
        let asked = |instance: Instance| {
            let within = |span: &Span| (span.from..=span.through).contains(&instance);
            lookup.spans.iter().any(within)
        };
        let mut through = lookup.spans.last().expect("spans").through;
        let mut bytes = 0;
        let mut votes: Vec<Vote> = Vec::new();
        for (instance, vote) in newest {
            if !asked(instance) {
                continue;
            }
            bytes += vote.value.len();
            if bytes > lookup.bytes && !votes.is_empty() {
                through = instance.previous();
                break;
            }
            votes.push(vote.clone());
        }
        Found {
            lookup,
            through,
            votes,
        }
    }

    fn show(&self) -> String {
        match self.machine.as_ref().expect("started") {
            Machine::Client(client) => match client.is_done() {
                true => "everything is acknowledged".to_string(),
                false => "something is outstanding".to_string(),
            },
            Machine::Proposer(proposer) => {
                let leads = match proposer.leads() {
                    Some(ballot) => format!("leads {ballot}"),
                    None => "does not lead".to_string(),
                };
                let (decided, open) = (proposer.decided(), proposer.open());
                format!("{leads}, decided {decided}, {open} open")
            }
            Machine::Acceptor(acceptor) => format!(
                "promised {}, highest vote {}, {} votes in memory{}",
                acceptor.promised(),
                acceptor.highest(),
                acceptor.votes_in_memory(),
                match acceptor.forgotten() {
                    Instance::ZERO => String::new(),
                    through => format!(", forgot through {through}"),
                }
            ),
            Machine::Learner(learner) => format!(
                "delivered {} values through {}{}",
                learner.position(),
                learner.delivered(),
                if learner.is_behind() {
                    ", is behind"
                } else {
                    ""
                }
            ),
        }
    }
}

/// What the trace says where a role did nothing.
const NOTHING: &str = "nothing";

/// How often each kind of thing was done, in the order in which it was first.
/// What was done once is told whole.
fn count(trace: &[String]) -> Vec<String> {
    let mut kinds: Vec<(String, &String, usize)> = Vec::new();
    for line in trace {
        let said = match line.strip_prefix('@') {
            Some(timed) => timed.split_once(' ').map_or("", |(_, said)| said),
            None => line,
        };
        let words = if said.starts_with("to ") { 3 } else { 2 };
        let kind: Vec<&str> = said.split(' ').take(words).collect();
        let kind = kind.join(" ");
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            _ if line == NOTHING && trace.len() > 1 => {}
            Some((.., times)) => *times += 1,
            None => kinds.push((kind, line, 1)),
        }
    }
    kinds
        .into_iter()
        .map(|(kind, line, times)| match times {
            1 => line.clone(),
            _ => format!("{times} times {kind} …"),
        })
        .collect()
}

/// A time that passes: `100ms` or `2s`.
fn duration(word: &str) -> Read<Duration> {
    let parse = |digits: &str| digits.parse::<u64>().ok();
    let millis = match word.strip_suffix("ms") {
        Some(digits) => parse(digits),
        None => word
            .strip_suffix('s')
            .and_then(parse)
            .map(|seconds| seconds * 1_000),
    };
    millis
        .map(Duration::from_millis)
        .ok_or(format!("no duration: {word:?}"))
}

fn drive<P>(role: &mut P, now: Time, input: Input) -> Vec<Deed>
where
    P: Process<
            Address = Address,
            Sender = ProcessId,
            Message = Message,
            Lookup = Lookup,
            Found = Found,
        >,
    P::Event: Event,
{
    let mut out = Outbox::new();
    match input {
        Input::Message(from, message) => role.handle_message(now, from, message, &mut out),
        Input::Timeout => role.handle_timeout(now, &mut out),
        Input::Finish => role.finish_turn(now, &mut out),
        Input::Found(found) => role.handle_found(now, found, &mut out),
        Input::Open(_) | Input::Submit(_) => unreachable!("given before"),
    }
    gather(&mut out)
}

/// Empties an outbox into words, in order.
fn gather<P>(out: &mut Outbox<P>) -> Vec<Deed>
where
    P: Process<Address = Address, Message = Message, Lookup = Lookup>,
    P::Event: Event,
{
    out.drain()
        .map(|output| match output {
            Output::Send { to, message } => {
                let to = match to {
                    Address::Group(role) => role.plural().to_string(),
                    Address::Process(process) => words::say_process(process),
                };
                let session = match &message {
                    Message::Submit { run, .. } => Some(run.session),
                    Message::Inquire { session, .. } => Some(*session),
                    _ => None,
                };
                Deed {
                    words: format!("to {to}: {}", words::say(&message)),
                    record: None,
                    lookup: None,
                    session,
                }
            }
            Output::Event(event) => Deed {
                words: event.words(),
                record: event.record(),
                lookup: None,
                session: None,
            },
            Output::Lookup(lookup) => {
                let purpose = match &lookup.purpose {
                    Purpose::Promise { to, ballot } => format!("promise {ballot} to {to}"),
                    Purpose::Votes {
                        to: Address::Process(to),
                    } => format!("votes to {to}"),
                    Purpose::Votes {
                        to: Address::Group(role),
                    } => {
                        format!("votes to {}", role.plural())
                    }
                };
                let spans: Vec<String> = lookup.spans.iter().map(Span::to_string).collect();
                let (spans, bytes) = (spans.join(" "), lookup.bytes);
                Deed {
                    words: format!("look up {spans} up to {bytes}B: {purpose}"),
                    record: None,
                    lookup: Some(lookup),
                    session: None,
                }
            }
        })
        .collect()
}

/// What a role reports, in words.
trait Event {
    fn words(&self) -> String;

    /// What is to be written down.
    fn record(&self) -> Option<Record> {
        None
    }
}

impl Event for Record {
    fn words(&self) -> String {
        match self {
            Record::Promised { ballot } => format!("record promised {ballot}"),
            Record::Voted { vote } => format!(
                "record voted {}@{}: {}",
                vote.instance,
                vote.ballot,
                words::say_value(vote.value.bytes())
            ),
            Record::Watermark { watermark } => {
                format!(
                    "record watermark {}/{}",
                    watermark.ballot, watermark.through
                )
            }
            Record::Trimmed {
                through,
                promised,
                highest,
                watermark,
            } => format!(
                "record trimmed through {through}: promised {promised}, voted through {highest}, \
                 watermark {}/{}",
                watermark.ballot, watermark.through
            ),
        }
    }

    fn record(&self) -> Option<Record> {
        Some(self.clone())
    }
}

impl Event for proposer::Event {
    fn words(&self) -> String {
        match self {
            proposer::Event::Elected { ballot } => format!("event elected {ballot}"),
            proposer::Event::Deposed { ballot } => format!("event deposed {ballot}"),
            proposer::Event::Decided { through } => format!("event decided {through}"),
            proposer::Event::Retransmitted { instance } => format!("event retransmits {instance}"),
            proposer::Event::Repaired { instances } => format!("event repairs {instances}"),
        }
    }
}

impl Event for learner::Event {
    fn words(&self) -> String {
        match self {
            learner::Event::Delivered(delivery) => format!(
                "deliver {} {} {} {}: {}",
                delivery.position,
                delivery.instance,
                delivery.session,
                delivery.number,
                words::say_bytes(&delivery.value)
            ),
            learner::Event::Skipped { instance } => format!("event no-op {instance}"),
            learner::Event::Requested { instances } => format!("event requests {instances}"),
            learner::Event::Stuck { instance } => format!("event stuck {instance}"),
            learner::Event::Lost { instance } => format!("event lost {instance}"),
            learner::Event::Confirmed { round, through } => {
                format!("event confirmed {round} through {through}")
            }
            learner::Event::Own(progress) => {
                format!("event own {} {}", progress.session, progress.last)
            }
            learner::Event::Milestone { instance, .. } => format!("event milestone {instance}"),
        }
    }
}

impl Event for client::Event {
    fn words(&self) -> String {
        match self {
            client::Event::Acknowledged { values, submitted } => {
                let since = submitted.0 / 1_000_000;
                format!("event acknowledged {values} submitted at {since}ms")
            }
            client::Event::Evicted { lost } => format!("event evicted, {lost} unknown"),
            client::Event::Retransmitted => "event retransmits".to_string(),
        }
    }
}

thread_local! {
    static WARNINGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Hears what roles say aloud to whoever reads their log.
struct Ear;

impl log::Log for Ear {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            let words = format!("{level}: {}", record.args());
            WARNINGS.with_borrow_mut(|warnings| warnings.push(words));
        }
    }

    fn flush(&self) {}
}

/// Begins to listen, once for all threads.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Ear).expect("nobody else listens");
        log::set_max_level(log::LevelFilter::Warn);
    });
}

/// What was said aloud on this thread.
fn overheard() -> Vec<String> {
    WARNINGS.take()
}
