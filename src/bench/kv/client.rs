//! One client of the measurement: it calls operations on a list of servers, each
//! on the next one, and records what becomes of them.
//!
//! It is a closed loop: as soon as fewer operations are under way than allowed,
//! the next is called. A server that breaks is left alone for a moment, and the
//! others go on; what was under way there has an unknown outcome, because nobody
//! can say whether it was heard. Nothing is called twice.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;

use mio::net::TcpStream;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::operation::Operation;
use super::record::{Outcome, Recorded, now};
use super::reply::{Replies, Reply};

const MILLISECOND: u64 = 1_000_000;

/// How long a server that broke is left alone.
const PAUSE: u64 = 100 * MILLISECOND;

/// How long one that says that it cannot do something is.
const REST: u64 = 10 * MILLISECOND;

/// How a client goes about it.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Its number, which its records carry.
    pub client: u32,
    /// The servers.
    pub servers: Vec<SocketAddr>,
    /// So many operations under way at a time, on all servers together.
    pub under_way: usize,
    /// Whether it stays with a server until that breaks, beginning with one by its
    /// number, instead of taking turns.
    pub stays: bool,
    /// Nanoseconds after which an answer is not awaited any more, and after which
    /// it gives up if no server can be reached.
    pub patience: u64,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    manner: Manner,
    servers: Vec<Server>,
    /// Whose turn is next.
    next: usize,
    under_way: usize,
    /// When a server was reached the last time.
    reached: u64,
    records: Vec<Recorded>,
    block: Vec<u8>,
}

/// A server, and how it stands with it.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    link: Link,
    /// It is not to be called before.
    rests: u64,
}

/// A connection, or none.
#[derive(Debug)]
enum Link {
    Down,
    /// Under way since.
    Opening(TcpStream, u64),
    Up(Box<Talk>),
}

/// What is said on a connection.
#[derive(Debug)]
struct Talk {
    stream: TcpStream,
    /// What is to be sent,
    out: Vec<u8>,
    /// and how many bytes ever were.
    sent: u64,
    replies: Replies,
    waiting: VecDeque<Waiting>,
}

/// An operation that waits for its answer.
#[derive(Debug)]
struct Waiting {
    operation: Operation,
    called: u64,
    /// Where its request ends, in bytes ever sent.
    end: u64,
}

impl Client {
    /// A client that has begun to connect to all its servers.
    pub fn new(manner: Manner) -> Client {
        let servers = manner.servers.iter().map(|address| Server {
            address: *address,
            link: Link::Down,
            rests: 0,
        });
        let mut client = Client {
            servers: servers.collect(),
            next: manner.client as usize % manner.servers.len().max(1),
            under_way: 0,
            reached: now(),
            records: Vec::new(),
            block: vec![0; 64 << 10],
            manner,
        };
        client.open(now());
        client
    }

    /// Waits until it knows of each server whether it can be reached; says how
    /// many can.
    pub fn connect(&mut self) -> usize {
        let deadline = now() + self.manner.patience;
        let opening = |server: &Server| matches!(server.link, Link::Opening(..));
        while self.servers.iter().any(opening) && now() < deadline {
            self.await_news(deadline);
            self.hear();
        }
        let up = |server: &&Server| matches!(server.link, Link::Up(_));
        self.servers.iter().filter(up).count()
    }

    /// Calls all these operations, unless that time comes before; returns what
    /// became of them, and whether it gave up because no server could be reached.
    pub fn run(
        mut self,
        operations: impl Iterator<Item = Operation>,
        until: Option<u64>,
    ) -> (Vec<Recorded>, bool) {
        let mut operations = operations.peekable();
        self.reached = now();
        loop {
            let at = now();
            self.open(at);
            let over = until.is_some_and(|until| at >= until);
            if !over {
                self.call(at, &mut operations);
            }
            if self.under_way == 0 {
                if over || operations.peek().is_none() {
                    return (self.records, false);
                }
                if at > self.reached + self.manner.patience {
                    return (self.records, true);
                }
            }
            self.send();
            let wake = if over { None } else { until };
            self.await_news(wake.unwrap_or(u64::MAX).min(at + self.manner.patience));
            self.hear();
            self.lose_patience();
        }
    }

    /// Calls as much as may be under way.
    fn call(&mut self, at: u64, operations: &mut impl Iterator<Item = Operation>) {
        while self.under_way < self.manner.under_way {
            let Some(index) = self.choose(at) else { return };
            let Some(operation) = operations.next() else {
                return;
            };
            let Link::Up(talk) = &mut self.servers[index].link else {
                unreachable!("only a server that is up is chosen");
            };
            operation.write(&mut talk.out);
            talk.waiting.push_back(Waiting {
                operation,
                called: now(),
                end: talk.sent + talk.out.len() as u64,
            });
            self.under_way += 1;
        }
    }

    /// The server to call next. None has more than its share under way, so that one
    /// that says nothing does not keep everything waiting.
    fn choose(&mut self, at: u64) -> Option<usize> {
        let count = self.servers.len();
        let share = match self.manner.stays {
            true => self.manner.under_way,
            false => self.manner.under_way.div_ceil(count),
        };
        let found = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|index| {
                let server = &self.servers[*index];
                let room = |talk: &Talk| talk.waiting.len() < share;
                matches!(&server.link, Link::Up(talk) if room(talk)) && server.rests <= at
            })?;
        self.next = match self.manner.stays {
            true => found,
            false => (found + 1) % count,
        };
        Some(found)
    }

    /// Begins to connect to servers that are down and had their rest.
    fn open(&mut self, at: u64) {
        for server in &mut self.servers {
            if matches!(server.link, Link::Down) && server.rests <= at {
                match TcpStream::connect(server.address) {
                    Ok(stream) => server.link = Link::Opening(stream, at),
                    Err(_) => server.rests = at + PAUSE,
                }
            }
        }
    }

    fn send(&mut self) {
        for index in 0..self.servers.len() {
            let Link::Up(talk) = &mut self.servers[index].link else {
                continue;
            };
            if let Err(error) = talk.send() {
                self.break_off(index, &format!("the connection broke: {error}"));
            }
        }
    }

    /// Waits for anything to happen, until some time.
    fn await_news(&self, until: u64) {
        let mut wake = until;
        let mut descriptors = Vec::with_capacity(self.servers.len());
        for server in &self.servers {
            match &server.link {
                Link::Down => wake = wake.min(server.rests),
                Link::Opening(stream, since) => {
                    wake = wake.min(since + self.manner.patience);
                    descriptors.push(PollFd::new(stream.as_fd(), PollFlags::POLLOUT));
                }
                Link::Up(talk) => {
                    if let Some(oldest) = talk.waiting.front() {
                        wake = wake.min(oldest.called + self.manner.patience);
                    }
                    let mut events = PollFlags::POLLIN;
                    if !talk.out.is_empty() {
                        events |= PollFlags::POLLOUT;
                    }
                    descriptors.push(PollFd::new(talk.stream.as_fd(), events));
                    if server.rests > now() {
                        wake = wake.min(server.rests);
                    }
                }
            }
        }
        let left = std::time::Duration::from_nanos(wake.saturating_sub(now()));
        // Whatever it says, all are looked at next.
        let _ = ppoll(&mut descriptors, Some(TimeSpec::from_duration(left)), None);
    }

    /// Takes in all that came.
    fn hear(&mut self) {
        for index in 0..self.servers.len() {
            let server = &mut self.servers[index];
            match &mut server.link {
                Link::Down => {}
                Link::Opening(stream, since) => match is_open(stream) {
                    Ok(true) => {
                        let _ = stream.set_nodelay(true);
                        let Link::Opening(stream, _) =
                            std::mem::replace(&mut server.link, Link::Down)
                        else {
                            unreachable!("it was just seen");
                        };
                        server.link = Link::Up(Box::new(Talk {
                            stream,
                            out: Vec::new(),
                            sent: 0,
                            replies: Replies::default(),
                            waiting: VecDeque::new(),
                        }));
                        self.reached = now();
                    }
                    Ok(false) if now() <= *since + self.manner.patience => {}
                    _ => {
                        server.link = Link::Down;
                        server.rests = now() + PAUSE;
                    }
                },
                Link::Up(_) => {
                    if let Err(why) = self.listen(index) {
                        self.break_off(index, &why);
                    }
                }
            }
        }
    }

    /// Takes in what a server says, to its end for now.
    fn listen(&mut self, index: usize) -> Result<(), String> {
        let Server { link, rests, .. } = &mut self.servers[index];
        let Link::Up(talk) = link else {
            return Ok(());
        };
        loop {
            let read = match talk.stream.read(&mut self.block) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("the connection broke: {error}")),
            };
            talk.replies.take(&self.block[..read]);
            let ended = now();
            self.reached = ended;
            while let Some(reply) = talk
                .replies
                .next_reply()
                .map_err(|error| error.to_string())?
            {
                let Some(waiting) = talk.waiting.pop_front() else {
                    return Err(match reply {
                        Reply::Error(why) => why,
                        _ => "an answer to nothing".to_owned(),
                    });
                };
                let outcome = outcome(&waiting.operation, reply);
                self.under_way -= 1;
                if matches!(outcome, Outcome::Failed(_)) {
                    *rests = ended + REST;
                }
                self.records.push(Recorded {
                    client: self.manner.client,
                    operation: waiting.operation,
                    called: waiting.called,
                    ended,
                    outcome,
                });
            }
            if read < self.block.len() {
                return Ok(());
            }
        }
    }

    /// Gives up connections that owe an answer for too long.
    fn lose_patience(&mut self) {
        for index in 0..self.servers.len() {
            if let Link::Up(talk) = &self.servers[index].link
                && let Some(oldest) = talk.waiting.front()
                && now() > oldest.called + self.manner.patience
            {
                let seconds = self.manner.patience as f64 / 1e9;
                self.break_off(index, &format!("no answer within {seconds} s"));
            }
        }
    }

    /// Lets go of a connection: what was sent on it may have happened.
    fn break_off(&mut self, index: usize, why: &str) {
        let server = &mut self.servers[index];
        let at = now();
        server.rests = at + PAUSE;
        let Link::Up(talk) = std::mem::replace(&mut server.link, Link::Down) else {
            return;
        };
        self.under_way -= talk.waiting.len();
        for waiting in talk.waiting {
            let outcome = match waiting.end > talk.sent {
                true => Outcome::Failed("the connection broke before it was sent".to_owned()),
                false => Outcome::Unknown(why.to_owned()),
            };
            self.records.push(Recorded {
                client: self.manner.client,
                operation: waiting.operation,
                called: waiting.called,
                ended: at,
                outcome,
            });
        }
        if self.manner.stays {
            self.next = (index + 1) % self.servers.len();
        }
    }
}

impl Talk {
    fn send(&mut self) -> std::io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.out.drain(..written);
                    self.sent += written as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether a connection that was begun is there.
fn is_open(stream: &TcpStream) -> std::io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// What an answer means for an operation.
fn outcome(operation: &Operation, reply: Reply) -> Outcome {
    match (operation, reply) {
        (_, Reply::Error(why)) if why.starts_with("INDETERMINATE") => Outcome::Unknown(why),
        // Every other error is a refusal: nothing happened.
        (_, Reply::Error(why)) => Outcome::Failed(why),
        (Operation::Put(..), Reply::Word(_)) => Outcome::Done,
        (Operation::Get(_), Reply::Value(value)) => {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            Outcome::Value(value.map(text))
        }
        (Operation::Delete(_), Reply::Number(count)) => Outcome::Deleted(count != 0),
        (_, reply) => Outcome::Unknown(format!("an answer to something else: {reply:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::super::operation::{Drawn, Mix};
    use super::*;

    /// A server that reads whole requests of three and answers what it is told
    /// to, request by request, until it is told nothing; then it closes.
    fn serve(answers: Vec<&'static [u8]>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            drop(listener);
            let mut answers = answers.into_iter();
            let (mut seen, mut answered) = (Vec::new(), 0);
            let mut block = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut block) {
                seen.extend_from_slice(&block[..read]);
                let asked = seen.iter().filter(|byte| **byte == b'*').count();
                while answered < asked {
                    let Some(answer) = answers.next() else { return };
                    answered += 1;
                    stream.write_all(answer).expect("it is taken");
                }
            }
        });
        address
    }

    fn manner(servers: Vec<SocketAddr>) -> Manner {
        Manner {
            client: 0,
            servers,
            under_way: 1,
            stays: false,
            patience: 2_000 * MILLISECOND,
        }
    }

    fn puts(count: usize) -> impl Iterator<Item = Operation> {
        let mix = Mix {
            reads: 0.0,
            deletes: 0.0,
            ..Mix::default()
        };
        Drawn::new(mix, 1, 1).take(count)
    }

    fn outcomes(records: &[Recorded]) -> Vec<Outcome> {
        records.iter().map(|one| one.outcome.clone()).collect()
    }

    #[test]
    fn servers_take_turns_and_outcomes_are_what_was_said() {
        let first = serve(vec![b"+OK\r\n", b"-NOQUORUM none\r\n"]);
        // The fifth comes here, too: the first has its rest.
        let second = serve(vec![b"+OK\r\n", b"-INDETERMINATE perhaps\r\n", b"+OK\r\n"]);
        let mut client = Client::new(manner(vec![first, second]));
        assert_eq!(client.connect(), 2);
        let (records, gave_up) = client.run(puts(5), None);
        assert!(!gave_up);
        let failed = Outcome::Failed("NOQUORUM none".to_owned());
        let unknown = Outcome::Unknown("INDETERMINATE perhaps".to_owned());
        let done = Outcome::Done;
        assert_eq!(
            outcomes(&records),
            [done.clone(), done.clone(), failed, unknown, done]
        );
        assert!(
            records
                .windows(2)
                .all(|two| two[0].ended <= two[1].called && two[0].called <= two[0].ended)
        );
    }

    #[test]
    fn what_a_server_takes_with_it_is_not_known_and_the_next_goes_on() {
        let brief = serve(vec![b"+OK\r\n"]);
        let lasting = serve(vec![b"+OK\r\n"; 10]);
        let mut client = Client::new(manner(vec![brief, lasting]));
        assert_eq!(client.connect(), 2);
        let (records, gave_up) = client.run(puts(8), None);
        assert!(!gave_up);
        let all = outcomes(&records);
        assert_eq!(all.len(), 8);
        let lost = |outcome: &&Outcome| matches!(outcome, Outcome::Unknown(_));
        assert_eq!(all.iter().filter(lost).count(), 1, "{all:?}");
        assert!(lost(&&all[2]), "{all:?}");
    }

    #[test]
    fn one_that_is_reached_by_nobody_gives_up_and_one_that_stays_stays() {
        let patience = 300 * MILLISECOND;
        let first = serve(vec![b"+OK\r\n"; 3]);
        let second = serve(vec![b"+OK\r\n"; 2]);
        let mut client = Client::new(Manner {
            stays: true,
            under_way: 2,
            patience,
            ..manner(vec![first, second])
        });
        assert_eq!(client.connect(), 2);
        let (records, gave_up) = client.run(puts(1000), None);
        assert!(gave_up);
        let done = records.iter().filter(|one| one.outcome.is_good()).count();
        assert_eq!(done, 5, "{records:?}");
        assert!(records.len() < 20);
        let first_three = outcomes(&records[..3]);
        assert!(first_three.iter().all(Outcome::is_good));
    }

    #[test]
    fn an_answer_that_does_not_come_is_not_awaited_for_ever() {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = silent.local_addr().expect("an address");
        let mut client = Client::new(Manner {
            patience: 100 * MILLISECOND,
            ..manner(vec![address])
        });
        assert_eq!(client.connect(), 1);
        let (records, _) = client.run(puts(1), None);
        assert_eq!(
            outcomes(&records),
            [Outcome::Unknown("no answer within 0.1 s".to_owned())]
        );
    }
}
