//! The front end over a back end that takes its time, over real sockets.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Poll};
use proptest::prelude::*;

use super::backend::{Answer, BackEnd, Facts, Kind, Submitted, Ticket};
use super::front::{Allowances, Front};
use crate::protocol::Time;
use crate::service::kv::Store;
use crate::service::{Place, Reading, StateMachine};

/// A back end whose answers come when the test lets them, in the order that it
/// chooses.
#[derive(Default)]
struct Slow {
    store: Store,
    place: Place,
    /// Answers at once, as the single process does.
    prompt: bool,
    full: bool,
    verdict: Option<Answer>,
    /// Changes are applied when they come; of reads the question is kept.
    under_way: Vec<(Ticket, Kind, Vec<u8>)>,
    answers: Vec<(Ticket, Answer, Vec<u8>)>,
    submitted: usize,
}

impl Slow {
    fn apply(&mut self, command: &[u8], reply: &mut Vec<u8>) {
        self.place = self.place.next();
        self.store.apply(self.place, command, reply);
    }

    /// Lets the answer to one of the commands under way come.
    fn let_go(&mut self, index: usize) {
        let (ticket, kind, bytes) = self.under_way.remove(index);
        let mut reply = bytes.clone();
        if kind == Kind::Read {
            reply.clear();
            if self.store.read(&bytes, &mut reply) == Reading::NeedsPlace {
                self.apply(&bytes, &mut reply);
            }
        }
        let verdict = self.verdict.unwrap_or(Answer::Reply);
        self.answers.push((ticket, verdict, reply));
    }
}

impl BackEnd for Slow {
    fn submit(
        &mut self,
        ticket: Ticket,
        kind: Kind,
        command: &[u8],
        reply: &mut Vec<u8>,
    ) -> Submitted {
        self.submitted += 1;
        if self.prompt {
            self.apply(command, reply);
            return Submitted::Answered;
        }
        let of_the_same = |other: &&(Ticket, Kind, Vec<u8>)| {
            (other.0.slot, other.0.generation) == (ticket.slot, ticket.generation)
        };
        for (other, other_kind, _) in self.under_way.iter().filter(of_the_same) {
            assert!(other.number < ticket.number, "a ticket was used twice");
            assert!(
                kind == Kind::Read || *other_kind == Kind::Place,
                "a change was submitted while a read was under way"
            );
            assert!(
                kind == Kind::Place || *other_kind == Kind::Read,
                "a read was submitted as one behind a change under way"
            );
        }
        let mut kept = command.to_vec();
        if kind == Kind::Place {
            kept.clear();
            self.apply(command, &mut kept);
        }
        self.under_way.push((ticket, kind, kept));
        Submitted::UnderWay
    }

    fn answer(&mut self, reply: &mut Vec<u8>) -> Option<(Ticket, Answer)> {
        let (ticket, answer, bytes) = self.answers.pop()?;
        reply.extend_from_slice(&bytes);
        Some((ticket, answer))
    }

    fn has_room(&self) -> bool {
        !self.full
    }

    fn facts(&self) -> Facts {
        Facts::default()
    }
}

/// The front end with its loop, all in the test's own thread.
struct Rig {
    poll: Poll,
    front: Front,
    back: Slow,
    now: Time,
}

/// A client that never blocks.
struct Client {
    stream: TcpStream,
    heard: Vec<u8>,
    ended: bool,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the kernel takes it");
    }

    /// Reads what is there.
    fn listen(&mut self) {
        let mut buffer = [0; 65_536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.heard.extend_from_slice(&buffer[..count]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            return;
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }
}

impl Rig {
    fn new(back: Slow) -> Rig {
        let plenty = Allowances {
            connections: 100,
            buffers: 64 << 20,
        };
        Rig::with(back, plenty)
    }

    fn with(back: Slow, allowances: Allowances) -> Rig {
        let poll = Poll::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let now = Time(1);
        let front = Front::open(listener, poll.registry(), 10, allowances, now).unwrap();
        Rig {
            poll,
            front,
            back,
            now,
        }
    }

    fn connect(&mut self) -> Client {
        let stream = TcpStream::connect(self.front.address().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Client {
            stream,
            heard: Vec::new(),
            ended: false,
        }
    }

    /// One turn of the loop.
    fn turn(&mut self) {
        let mut events = Events::with_capacity(64);
        let patience = Some(Duration::from_millis(1));
        self.poll.poll(&mut events, patience).unwrap();
        events
            .iter()
            .for_each(|event| self.front.handle_event(event));
        while self.front.turn(self.now, 1_000_000, &mut self.back) {}
    }

    /// Turns until it is so.
    fn until(&mut self, what: &str, mut so: impl FnMut(&mut Rig) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !so(self) {
            assert!(Instant::now() < deadline, "not in a minute: {what}");
            self.turn();
        }
    }

    /// Turns until the client heard so many bytes, or its connection ended.
    fn hear(&mut self, client: &mut Client, count: usize) {
        self.until("the replies", |_| {
            client.listen();
            client.heard.len() >= count || client.ended
        });
    }

    /// Turns until so many commands were submitted in all.
    fn until_submitted(&mut self, count: usize) {
        self.until("submitted", |rig| rig.back.submitted >= count);
        assert_eq!(self.back.submitted, count);
    }
}

fn prompt() -> Slow {
    Slow {
        prompt: true,
        ..Slow::default()
    }
}

/// A line that some connection sends.
fn a_request() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "SET k 1",
        "SET k 2 GET",
        "GET k",
        "GET n",
        "INCR n",
        "APPEND k xyz",
        "MGET k n none",
        "DEL k",
        "EXISTS k n",
        "PING",
        "ECHO text",
        "NOSUCH thing",
        "SET k",
        "MULTI",
        "EXEC",
        "EXEC",
        "DISCARD",
        "WATCH k n",
        "UNWATCH",
        "HELLO 3",
        "HELLO 2",
        "CLIENT REPLY SKIP",
        "CLIENT REPLY OFF",
        "CLIENT REPLY ON",
        "SCAN 0",
        "SET t v PX 60000",
        "GET t",
        "SELECT 0",
        "RESET",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_pipeline_hears_the_same_whenever_its_answers_come(
        requests in prop::collection::vec(a_request(), 1..60),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 20),
        patience in 0..5usize,
    ) {
        let stream = requests.join("\r\n") + "\r\nCLIENT REPLY ON\r\nQUIT\r\n";
        let mut rig = Rig::new(prompt());
        let mut expected = rig.connect();
        expected.send(stream.as_bytes());
        rig.hear(&mut expected, usize::MAX);

        let mut rig = Rig::new(Slow::default());
        let mut client = rig.connect();
        client.send(stream.as_bytes());
        let mut choices = choices.iter().cycle();
        let mut idle = 0;
        rig.until("the end", |rig| {
            // Lets some answers gather before any comes.
            idle += 1;
            if idle > patience {
                let count = rig.back.under_way.len();
                if count > 0 {
                    rig.back.let_go(choices.next().unwrap().index(count));
                }
            }
            client.listen();
            client.ended
        });
        prop_assert_eq!(client.text(), expected.text());
    }
}

#[test]
fn what_was_watched_is_known_before_the_transaction_is_made() {
    let mut rig = Rig::new(Slow::default());
    let (mut one, mut other) = (rig.connect(), rig.connect());
    one.send(b"WATCH k\r\nMULTI\r\nSET k mine\r\nEXEC\r\n");
    rig.until_submitted(1);
    rig.turn();
    assert_eq!(rig.back.submitted, 1, "the rest waits for the versions");
    rig.back.let_go(0);
    rig.until_submitted(2);
    rig.back.let_go(0);
    rig.hear(&mut one, b"+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n".len());
    one.send(b"WATCH k\r\n");
    rig.until_submitted(3);
    rig.back.let_go(0);
    other.send(b"SET k theirs\r\n");
    rig.until_submitted(4);
    one.send(b"MULTI\r\nSET k mine\r\nEXEC\r\nGET k\r\n");
    rig.until_submitted(6);
    while !rig.back.under_way.is_empty() {
        rig.back.let_go(0);
    }
    let expected = "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n\
                    $6\r\ntheirs\r\n";
    rig.hear(&mut one, expected.len());
    assert_eq!(one.text(), expected);
}

#[test]
fn no_quorum_and_no_certainty_are_told_in_their_words() {
    let mut rig = Rig::new(Slow::default());
    let mut client = rig.connect();
    client.send(b"SET k v\r\nPING\r\n");
    rig.until_submitted(1);
    rig.back.verdict = Some(Answer::NoQuorum);
    rig.back.let_go(0);
    rig.until("one reply", |_| {
        client.listen();
        client.text().contains("PONG")
    });
    client.send(b"WATCH k\r\nINCR n\r\n");
    rig.until_submitted(2);
    rig.back.verdict = Some(Answer::Indeterminate);
    rig.back.let_go(0);
    rig.until_submitted(3);
    rig.back.let_go(0);
    rig.until("two replies", |_| {
        client.listen();
        client.text().matches("INDETERMINATE").count() == 2
    });
    assert!(client.text().starts_with("-NOQUORUM "));
}

#[test]
fn an_answer_does_not_reach_the_next_one_in_the_same_place() {
    let mut rig = Rig::new(Slow::default());
    let mut first = rig.connect();
    first.send(b"SET secret 1\r\nGET secret\r\n");
    rig.until_submitted(2);
    drop(first);
    // The first is gone once its end was read and its answers cannot be sent.
    let mut second = rig.connect();
    second.send(b"ECHO hello\r\n");
    rig.hear(&mut second, 11);
    while !rig.back.under_way.is_empty() {
        rig.back.let_go(0);
    }
    rig.until("the first is forgotten", |rig| rig.front.clients() == 1);
    let mut third = rig.connect();
    third.send(b"PING\r\n");
    rig.hear(&mut third, 7);
    assert_eq!(third.text(), "+PONG\r\n");
    assert_eq!(second.text(), "$5\r\nhello\r\n");
}

#[test]
fn without_room_commands_wait_and_with_it_they_go_on() {
    let mut rig = Rig::new(prompt());
    rig.back.full = true;
    let mut client = rig.connect();
    client.send(b"INCR n\r\nINCR n\r\n");
    for _ in 0..20 {
        rig.turn();
    }
    assert_eq!(rig.back.submitted, 0);
    rig.back.full = false;
    rig.hear(&mut client, 8);
    assert_eq!(client.text(), ":1\r\n:2\r\n");
}

#[test]
fn one_connection_too_many_is_told_so() {
    let allowances = Allowances {
        connections: 2,
        buffers: 1 << 20,
    };
    let mut rig = Rig::with(prompt(), allowances);
    let mut clients = [rig.connect(), rig.connect(), rig.connect()];
    let [.., third] = &mut clients;
    rig.until("the third is refused", |_| {
        third.listen();
        third.ended
    });
    assert_eq!(third.text(), "-ERR max number of clients reached\r\n");
    clients[0].send(b"QUIT\r\n");
    rig.hear(&mut clients[0], usize::MAX);
    assert_eq!(clients[0].text(), "+OK\r\n");
    let mut fourth = rig.connect();
    fourth.send(b"PING\r\n");
    rig.hear(&mut fourth, 7);
    assert_eq!(fourth.text(), "+PONG\r\n");
}

/// Sends as much as the kernel takes within so many turns.
fn push(rig: &mut Rig, client: &mut Client, bytes: &[u8], turns: usize) -> usize {
    let mut sent = 0;
    for _ in 0..turns {
        match client.stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        rig.turn();
        if sent == bytes.len() {
            break;
        }
    }
    sent
}

#[test]
fn who_does_not_take_replies_is_not_read_and_hears_all_when_he_does() {
    let mut rig = Rig::new(prompt());
    let mut client = rig.connect();
    let value = "v".repeat(10_000);
    client.send(format!("SET k {value}\r\n").as_bytes());
    let requests = b"GET k\r\n".repeat(10_000);
    let mut sent = push(&mut rig, &mut client, &requests, 500);
    // A block that grows is up to twice as large as what is in it.
    let most = 3 * super::connection::Connection::PATIENCE;
    assert!(rig.front.buffers() < most, "{} bytes", rig.front.buffers());
    assert!(
        rig.back.submitted < 10_000,
        "it went on without being heard"
    );
    let whole = b"+OK\r\n".len() + 10_000 * ("$10000\r\n\r\n".len() + value.len());
    rig.until("all replies", |rig| {
        sent += push(rig, &mut client, &requests[sent..], 1);
        client.listen();
        client.heard.len() >= whole
    });
    assert_eq!(client.heard.len(), whole);
    assert_eq!(rig.back.submitted, 10_001);
}

#[test]
fn who_never_takes_anything_is_cut_off_in_the_end() {
    let mut rig = Rig::new(prompt());
    let mut client = rig.connect();
    client.send(format!("SET k {}\r\n", "v".repeat(60_000)).as_bytes());
    push(&mut rig, &mut client, &b"GET k\r\n".repeat(3_000), 300);
    let mut other = rig.connect();
    other.send(b"PING\r\n");
    rig.hear(&mut other, 7);
    rig.now = rig.now + Front::PATIENCE / 2;
    rig.turn();
    assert_eq!(rig.front.clients(), 2);
    rig.now = rig.now + Front::PATIENCE;
    rig.turn();
    assert_eq!(
        (rig.front.clients(), rig.front.buffers() < 70_000),
        (1, true)
    );
}

#[test]
fn half_commands_share_what_there_is() {
    let allowances = Allowances {
        connections: 100,
        buffers: 8 << 20,
    };
    let mut rig = Rig::with(prompt(), allowances);
    let half = [&b"*2\r\n$3\r\nGET\r\n$1000000\r\n"[..], &[b'x'; 900_000]].concat();
    let mut clients: BTreeMap<usize, Client> = (0..40).map(|n| (n, rig.connect())).collect();
    for client in clients.values_mut() {
        let mut sent = 0;
        rig.until("it is taken, or cut off", |_| {
            match client.stream.write(&half[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => client.ended = true,
            }
            sent == half.len() || client.ended
        });
        assert!(rig.front.buffers() <= allowances.buffers);
    }
    let mut sober = rig.connect();
    sober.send(b"SET k v\r\nGET k\r\n");
    rig.hear(&mut sober, 12);
    assert_eq!(sober.text(), "+OK\r\n$1\r\nv\r\n");
    assert!(rig.front.buffers() <= allowances.buffers);
}

/// The rest behind one whole reply, of either version.
fn behind_a_reply(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let (line, rest) = (std::str::from_utf8(&bytes[1..end]).ok(), &bytes[end + 2..]);
    let number = || line.and_then(|line| line.parse::<i64>().ok());
    let parts = match bytes[0] {
        b'+' | b'-' | b':' | b'_' => return Some(rest),
        b'$' | b'=' => {
            let length = usize::try_from(number()?).ok();
            return match length {
                None => Some(rest),
                Some(length) => {
                    assert_eq!(&rest[length..length + 2], b"\r\n");
                    Some(&rest[length + 2..])
                }
            };
        }
        b'*' | b'~' => number()?,
        b'%' => 2 * number()?,
        other => panic!("{:?} begins no reply", other as char),
    };
    (0..parts.max(0)).try_fold(rest, |rest, _| behind_a_reply(rest))
}

/// A word that means something somewhere, or nothing anywhere.
fn a_word() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "k",
        "k",
        "n",
        "0",
        "1",
        "-1",
        "10",
        "9223372036854775807",
        "-9223372036854775808",
        "EX",
        "PX",
        "NX",
        "XX",
        "GET",
        "KEEPTTL",
        "EXAT",
        "PXAT",
        "GT",
        "LT",
        "MATCH",
        "COUNT",
        "TYPE",
        "string",
        "*",
        "LIST",
        "INFO",
        "ID",
        "SETNAME",
        "GETNAME",
        "DOCS",
        "HASH",
        "INSTANCE",
        "SETINFO",
        "LIB-NAME",
        "2",
        "3",
        "SETNAME",
        "AUTH",
        "RESETSTAT",
        "on",
        "help",
        "save",
        "ASYNC",
    ]);
    prop_oneof![
        8 => known.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

/// Any command with any words behind it, but for what ends a connection or makes
/// it silent.
fn any_request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names: Vec<&str> = super::table::ROWS.iter().map(|row| row.name).collect();
    let name = prop::sample::select(names).prop_filter("it ends", |name| *name != "QUIT");
    (name, prop::collection::vec(a_word(), 0..6)).prop_map(|(name, mut words)| {
        words.insert(0, name.as_bytes().to_vec());
        words
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_command_with_any_words_gets_one_reply(
        requests in prop::collection::vec(any_request(), 1..80),
        slow: bool,
    ) {
        let mut rig = Rig::new(Slow { prompt: !slow, ..Slow::default() });
        let mut client = rig.connect();
        let mut stream = Vec::new();
        for words in &requests {
            stream.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                stream.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                stream.extend_from_slice(word);
                stream.extend_from_slice(b"\r\n");
            }
        }
        stream.extend_from_slice(b"RESET\r\nQUIT\r\n");
        client.send(&stream);
        rig.until("the end", |rig| {
            if !rig.back.under_way.is_empty() {
                rig.back.let_go(0);
            }
            client.listen();
            client.ended
        });
        let mut rest = &client.heard[..];
        for words in &requests {
            let behind = behind_a_reply(rest);
            prop_assert!(behind.is_some(), "no reply to {words:?}: {:?}", rest.escape_ascii());
            rest = behind.expect("just checked");
        }
        prop_assert_eq!(rest, b"+RESET\r\n+OK\r\n");
    }
}
