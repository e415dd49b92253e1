//! What concurrent clients are told could have happened one by one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use nix::sys::signal::Signal;
use paxcast::history::{Key, KeyCall, KeyReturn, Operation, Verdict, check_keys, draw};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::server::Server;

/// A client that records what it calls and is told.
struct Recorder {
    name: u32,
    stream: BufReader<TcpStream>,
    rng: Xoshiro256PlusPlus,
    /// The clock that all of them share.
    born: Instant,
}

/// A reply of the few kinds that are asked for here.
enum Heard {
    Word,
    Number(i64),
    Text(Option<String>),
    Refused,
}

impl Recorder {
    fn say(&mut self, words: &[&str]) {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).expect("it is taken");
    }

    fn hear(&mut self) -> Heard {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a reply");
        let (kind, rest) = line.trim_end().split_at(1);
        match (kind, rest) {
            ("+", _) => Heard::Word,
            ("-", _) => Heard::Refused,
            (":", number) => Heard::Number(number.parse().expect("a number")),
            ("$", "-1") | ("*", "-1") => Heard::Text(None),
            ("$", length) => {
                let mut text = vec![0; length.parse::<usize>().expect("a length") + 2];
                self.stream.read_exact(&mut text).expect("the rest");
                text.truncate(text.len() - 2);
                Heard::Text(Some(String::from_utf8(text).expect("what was set")))
            }
            ("*", "1") => self.hear(),
            other => panic!("{other:?} was not expected"),
        }
    }

    /// Does what the call says, with the transaction that it takes if it must.
    fn perform(&mut self, key: &str, call: &KeyCall) -> KeyReturn {
        match call {
            KeyCall::Get => self.say(&["GET", key]),
            KeyCall::Set(value) => self.say(&["SET", key, value]),
            KeyCall::SetIfAbsent(value) => self.say(&["SETNX", key, value]),
            KeyCall::Delete => self.say(&["DEL", key]),
            KeyCall::Add(by) => self.say(&["INCRBY", key, &by.to_string()]),
            KeyCall::Append(more) => self.say(&["APPEND", key, more]),
            KeyCall::Replace(from, to) => {
                self.say(&["WATCH", key]);
                self.hear();
                self.say(&["GET", key]);
                let Heard::Text(held) = self.hear() else {
                    panic!("a value was asked for");
                };
                if held.as_ref() != Some(from) {
                    self.say(&["UNWATCH"]);
                    self.hear();
                    return KeyReturn::Flag(false);
                }
                self.say(&["MULTI"]);
                self.hear();
                self.say(&["SET", key, to]);
                self.hear();
                self.say(&["EXEC"]);
            }
        }
        match (call, self.hear()) {
            (KeyCall::Get, Heard::Text(value)) => KeyReturn::Value(value),
            (KeyCall::Set(_), Heard::Word) => KeyReturn::Done,
            (KeyCall::Replace(..), Heard::Word) => KeyReturn::Flag(true),
            // Somebody changed it between: that it did hold this is not known.
            (KeyCall::Replace(..), Heard::Text(None)) => KeyReturn::Refused,
            (KeyCall::Delete | KeyCall::SetIfAbsent(_), Heard::Number(count)) => {
                KeyReturn::Flag(count == 1)
            }
            (_, Heard::Number(number)) => KeyReturn::Number(number),
            (_, Heard::Refused) => KeyReturn::Refused,
            _ => panic!("{call} was told something else"),
        }
    }

    fn run(mut self, keys: &[&'static str], count: usize) -> Vec<Recorded> {
        let mut history = Vec::new();
        for at in 0..count {
            let key = keys[self.rng.random_range(0..keys.len())];
            let value = (self.name as usize * count + at).to_string();
            let recent = || history.iter().rev().find_map(written);
            let call = match self.rng.random_range(0..10) {
                0..4 => KeyCall::Get,
                4 | 5 => KeyCall::Set(value),
                6 => KeyCall::SetIfAbsent(value),
                7 => KeyCall::Delete,
                8 => KeyCall::Add(1),
                _ => KeyCall::Replace(recent().unwrap_or_default(), value),
            };
            let now = |born: Instant| born.elapsed().as_nanos() as u64;
            let called = now(self.born);
            let told = self.perform(key, &call);
            let returned = now(self.born);
            // A transaction that did not happen says nothing about the key.
            if matches!((&call, &told), (KeyCall::Replace(..), KeyReturn::Refused)) {
                continue;
            }
            let operation = Operation {
                client: self.name,
                call,
                called,
                returned: Some((returned, told)),
            };
            history.push((key, operation));
        }
        history
    }
}

type Recorded = (&'static str, Operation<KeyCall, KeyReturn>);

/// The value that an operation wrote or read.
fn written((_, operation): &Recorded) -> Option<String> {
    match (&operation.call, &operation.returned) {
        (KeyCall::Set(value), _) => Some(value.clone()),
        (_, Some((_, KeyReturn::Value(value)))) => value.clone(),
        _ => None,
    }
}

#[test]
fn concurrent_clients_are_told_what_could_have_happened_one_by_one() {
    const CLIENTS: u32 = 8;
    let server = Server::start(&[]);
    let born = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| {
            let recorder = Recorder {
                name,
                stream: BufReader::new(server.connect()),
                rng: Xoshiro256PlusPlus::seed_from_u64(name.into()),
                born,
            };
            std::thread::spawn(move || recorder.run(&["a", "b", "c"], 1_500))
        })
        .collect();
    let history = clients
        .into_iter()
        .map(|client| client.join().expect("it ends"));
    let mut history: Vec<Recorded> = history.flatten().collect();
    assert!(history.len() > 10_000, "{} operations", history.len());
    let replaced = |(_, operation): &Recorded| {
        let told = operation.returned.as_ref().map(|(_, told)| told);
        matches!(operation.call, KeyCall::Replace(..)) && told == Some(&KeyReturn::Flag(true))
    };
    assert!(history.iter().any(replaced), "no transaction happened");
    if let Err(wrong) = check_keys(&Key, history.iter().cloned()) {
        match &wrong.verdict {
            Verdict::Violated(window) => panic!("{}:\n{}", wrong.key, draw(&wrong.history, window)),
            other => panic!("{}: {other:?}", wrong.key),
        }
    }
    // One lie among ten thousand truths is found.
    let lie = history.iter_mut().rev().find_map(|(_, operation)| {
        let told = &mut operation.returned.as_mut()?.1;
        matches!(told, KeyReturn::Value(_)).then_some(told)
    });
    *lie.expect("there are reads") = KeyReturn::Value(Some("a lie".to_owned()));
    assert!(check_keys(&Key, history).is_err());
    server.stop(Signal::SIGTERM);
}
