//! The front end over a back end that takes its time, over real sockets.

mod rig;
mod words;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};

use proptest::prelude::*;
use rig::{Rig, Slow, prompt};

use super::backend::Answer;
use super::connection::Connection;
use crate::gateway::caller::Caller;
use crate::gateway::crowd::{Allowances, Crowd};

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
fn push(rig: &mut Rig, client: &mut Caller, bytes: &[u8], turns: usize) -> usize {
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
    let most = 3 * Connection::PATIENCE;
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
    rig.now = rig.now + Crowd::<Connection>::PATIENCE / 2;
    rig.turn();
    assert_eq!(rig.front.clients(), 2);
    rig.now = rig.now + Crowd::<Connection>::PATIENCE;
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
    let mut clients: BTreeMap<usize, Caller> = (0..40).map(|n| (n, rig.connect())).collect();
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
