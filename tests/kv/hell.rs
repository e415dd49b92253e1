//! Commands from hell: refused or served within limits, alike by a process that is
//! alone and by each of three replicas, and all of them stay up and small.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use nix::sys::signal::Signal;

use crate::process::PATIENCE;
use crate::replicas::{Store, agreement};
use crate::server::Server;
use crate::talk::Talk;

/// What the process may take at its worst in any of these, a debug build and all.
const SMALL: u64 = 96 << 20;

/// Lets one process that is alone, and each of three replicas, go through this, which
/// gives what was heard: the same from all. Then all are well, and small, and the
/// replicas have one state.
fn everywhere(options: &[&str], hell: impl Fn(&Server) -> Vec<String>) {
    let well = |server: &Server| {
        server.is_well();
        assert!(server.peak() < SMALL, "{} bytes", server.peak());
    };
    let alone = Server::start(options);
    let expected = hell(&alone);
    well(&alone);
    alone.stop(Signal::SIGTERM);
    let store = Store::of_acceptors("", 3);
    let replica = |id| Server::replica(id, &store.cluster.conf, options);
    let replicas = [1, 2, 3].map(replica);
    for replica in &replicas {
        assert_eq!(hell(replica), expected);
    }
    replicas.iter().for_each(well);
    let talk = |replica: &Server| Talk::to(replica.address, PATIENCE).expect("it listens");
    agreement(|| replicas.iter().map(talk).collect());
    for replica in replicas {
        replica.stop(Signal::SIGTERM);
    }
    store.stop();
}

fn bulk(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The line that comes next.
fn line(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(b"\r\n") {
        stream.read_exact(&mut byte).expect("a line");
        heard.push(byte[0]);
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[test]
fn what_is_too_long_is_refused_and_the_connection_goes_on() {
    everywhere(&[], |server| {
        let mut stream = server.connect();
        let million = vec![b'k'; 1 << 20];
        let hundred = vec![b'x'; 100 << 20];
        let mut heard = Vec::new();
        for (request, refusal) in [
            (
                bulk(&[b"SET", &million, b"v"]),
                "-ERR the command is longer than the limit",
            ),
            (
                bulk(&[b"SET", &million[..100_000], b"v"]),
                "-ERR the key is longer than the limit",
            ),
            (
                bulk(&[b"SET", b"k", &million[..1_000_000]]),
                "-ERR the value is longer than",
            ),
            (
                bulk(&[b"GET", &million]),
                "-ERR the command is longer than the limit",
            ),
            (bulk(&[&million]), "-ERR unknown command 'kkkk"),
            (
                bulk(&[b"ECHO", &hundred]),
                "-ERR the command is longer than the limit",
            ),
            (
                bulk(&vec![&b"a"[..]; 1 << 20]),
                "-ERR the command is longer than the limit",
            ),
        ] {
            stream.write_all(&request).expect("it is taken");
            heard.push(line(&mut stream));
            let last = heard.last().expect("a line");
            assert!(last.starts_with(refusal), "{last}");
            server.expect(&mut stream, b"PING\r\n", "+PONG\r\n");
        }
        heard
    });
}

#[test]
fn a_hundred_thousand_keys_in_one_mset_are_served_or_refused_whole() {
    everywhere(&[], |server| {
        let mut stream = server.connect();
        let keys: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
        let mut words: Vec<&[u8]> = vec![b"MSET"];
        for key in &keys {
            words.extend([key.as_bytes(), b"v"]);
        }
        server.expect(&mut stream, &bulk(&words), "+OK\r\n");
        server.expect(&mut stream, b"DBSIZE\r\n", ":100000\r\n");
        let long = "v".repeat(20);
        let mut words: Vec<&[u8]> = vec![b"MSET"];
        for key in &keys {
            words.extend([key.as_bytes(), long.as_bytes()]);
        }
        stream.write_all(&bulk(&words)).expect("it is taken");
        let refused = line(&mut stream);
        assert!(refused.starts_with("-ERR the command is longer than the limit"));
        server.expect(&mut stream, b"GET 99999\r\n", "$1\r\nv\r\n");
        vec![refused]
    });
}

#[test]
fn a_pipeline_that_is_never_read_stops_being_served() {
    everywhere(&[], |server| {
        let mut stream = server.connect();
        let value = vec![b'v'; 500_000];
        server.expect(&mut stream, &bulk(&[b"SET", b"k", &value]), "+OK\r\n");
        stream.set_nonblocking(true).expect("a socket can");
        let requests = b"GET k\r\n".repeat(10_000);
        // 100,000 replies would be 50 GB. The server stops reading, and so the kernel
        // stops taking.
        let mut sent = 0;
        let mut patience = 200;
        while patience > 0 && sent < 10 * requests.len() {
            match stream.write(&requests[sent % requests.len()..]) {
                Ok(count) => sent += count,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    patience -= 1;
                    server.is_well();
                }
            }
        }
        Vec::new()
    });
}

#[test]
fn half_commands_and_silence_cost_little() {
    everywhere(&["--max-buffers", "16"], |server| {
        let mut silent = Vec::new();
        for n in 0..300 {
            let mut stream = server.connect();
            let half: &[u8] = match n % 4 {
                0 => b"*3\r\n$3\r\nSET\r\n$100",
                1 => b"*3\r\n$3\r\nSET\r\n$536870912\r\nxxxx",
                2 => b"SET k ",
                _ => b"*1048576\r\n",
            };
            stream.write_all(half).expect("it is taken");
            silent.push(stream);
        }
        server.is_well();
        // Some of them say much before they fall silent.
        let much = vec![b'x'; 2 << 20];
        for stream in silent.iter_mut().step_by(8) {
            stream.set_nonblocking(true).expect("a socket can");
            let _ = stream.write(b"\r\n$2500000\r\n");
            let _ = stream.write(&much);
        }
        server.is_well();
        assert!(server.peak() < SMALL, "{} bytes", server.peak());
        drop(silent);
        Vec::new()
    });
}

#[test]
fn a_flood_of_a_million_lines_is_answered_line_by_line() {
    everywhere(&[], |server| {
        const LINES: usize = 1_000_000;
        let mut stream = server.connect();
        let mut reader = stream.try_clone().expect("a socket can");
        let flood = std::thread::spawn(move || {
            let lines = b"PING\r\n\r\nnonsense here\r\n".repeat(1_000);
            for _ in 0..LINES / 3_000 {
                stream.write_all(&lines).expect("it is taken");
            }
            stream.write_all(b"QUIT\r\n").expect("it is taken");
        });
        server.is_well();
        let mut heard = Vec::new();
        reader.read_to_end(&mut heard).expect("replies and an end");
        flood.join().expect("all was sent");
        let count = |reply: &str| {
            heard
                .windows(reply.len())
                .filter(|w| *w == reply.as_bytes())
                .count()
        };
        assert_eq!(count("+PONG\r\n"), LINES / 3_000 * 1_000);
        assert_eq!(
            count("-ERR unknown command 'nonsense'"),
            LINES / 3_000 * 1_000
        );
        assert!(heard.ends_with(b"+OK\r\n"));
        Vec::new()
    });
}

#[test]
fn what_is_no_resp_is_told_so_and_ends() {
    everywhere(&[], |server| {
        let mut all = Vec::new();
        for (bytes, told) in [
            (
                &b"*1\r\nGET\r\n"[..],
                "-ERR Protocol error: expected '$', got 'G'\r\n",
            ),
            (
                b"*x\r\n",
                "-ERR Protocol error: invalid multibulk length\r\n",
            ),
            (
                b"*1\r\n$-5\r\n",
                "-ERR Protocol error: invalid bulk length\r\n",
            ),
            (
                b"GET \"k\r\n",
                "-ERR Protocol error: unbalanced quotes in request\r\n",
            ),
        ] {
            let mut stream = server.connect();
            stream.write_all(b"PING\r\n").expect("it is taken");
            stream.write_all(bytes).expect("it is taken");
            let mut heard = String::new();
            stream.read_to_string(&mut heard).expect("words and an end");
            assert_eq!(heard, format!("+PONG\r\n{told}"));
            all.push(heard);
        }
        // A browser, and random bytes.
        let mut random: u64 = 7;
        for _ in 0..200 {
            let mut stream = server.connect();
            let bytes: Vec<u8> = (0..5_000)
                .map(|_| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (random >> 56) as u8
                })
                .collect();
            let _ = stream.write_all(&bytes);
        }
        all
    });
}

#[test]
fn a_full_store_says_so_and_one_client_too_many_too() {
    let server = Server::start(&["--max-memory", "1", "--max-clients", "2", "--quiet"]);
    let mut stream = server.connect();
    let value = vec![b'v'; 600_000];
    server.expect(&mut stream, &bulk(&[b"SET", b"a", &value]), "+OK\r\n");
    stream
        .write_all(&bulk(&[b"SET", b"b", &value]))
        .expect("it is taken");
    assert!(line(&mut stream).starts_with("-OOM command not allowed"));
    server.expect(&mut stream, b"DEL a\r\n", ":1\r\n");
    server.expect(&mut stream, &bulk(&[b"SET", b"b", &value]), "+OK\r\n");
    let mut second = server.connect();
    server.expect(&mut second, b"PING\r\n", "+PONG\r\n");
    let mut third = server.connect();
    assert_eq!(line(&mut third), "-ERR max number of clients reached\r\n");
    assert_eq!(server.stop(Signal::SIGTERM), "");
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let server = Server::start(&[]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_paxcast"))
        .args(["kv", "--single", "--listen", &server.address.to_string()])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&server.port()) && said.contains("--listen"),
        "{said}"
    );
    server.stop(Signal::SIGTERM);
}

#[test]
fn whoever_comes_when_there_are_no_descriptors_left_is_served_later() {
    // Fewer than it believes to have.
    let server = Server::start(&["--max-clients", "200", "--quiet"]);
    server.limit_descriptors(20);
    let mut crowd: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    server.expect(&mut crowd[0], b"PING\r\n", "+PONG\r\n");
    let mut last = crowd.pop().expect("forty");
    last.write_all(b"PING\r\n").expect("the kernel takes it");
    // All the others leave, one after the other; nobody new comes.
    drop(crowd);
    server.expect(&mut last, b"", "+PONG\r\n");
    server.stop(Signal::SIGTERM);
}
