//! Replicas, acceptors and proposers are killed and stopped at random while clients
//! write through every replica: what the clients were told must be explained by one
//! order, nothing acknowledged may be lost, and the replicas must agree in the end.
//!
//! ```text
//! PAXCAST_SECONDS=600 cargo test --release --test kv killed -- --nocapture
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paxcast::history::{Key, KeyCall, KeyReturn, Operation, Verdict, check_keys, draw};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::replicas::{SOON, Store};
use crate::talk::{Talk, Told};

/// How long it goes on, unless told otherwise.
const SECONDS: u64 = 60;

/// Clients at once.
const CLIENTS: u32 = 6;

/// An operation on a key.
type Recorded = (String, Operation<KeyCall, KeyReturn>);

/// A client that records what it was told, and goes elsewhere when it is not.
struct Writer {
    name: u32,
    addresses: Vec<SocketAddr>,
    at: usize,
    talk: Option<Talk>,
    rng: Xoshiro256PlusPlus,
    born: Instant,
    history: Vec<Recorded>,
    asked: u64,
}

impl Writer {
    fn now(&self) -> u64 {
        self.born.elapsed().as_nanos() as u64
    }

    /// Waits for a replica that listens.
    fn connect(&mut self, ended: &AtomicBool) -> bool {
        while self.talk.is_none() {
            if ended.load(Ordering::Relaxed) {
                return false;
            }
            self.at = self.rng.random_range(0..self.addresses.len());
            self.talk = Talk::to(self.addresses[self.at], SOON).ok();
            if self.talk.is_none() {
                // Refused at once: it is dead, and another one may not be.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        true
    }

    fn choose(&mut self) -> (String, KeyCall) {
        self.asked += 1;
        let value = format!("{}.{}", self.name, self.asked);
        // Each key has a minute of its own, lest one history grows too long to explain.
        let era = self.born.elapsed().as_secs() / 20;
        match self.rng.random_range(0..10) {
            0 => (format!("n{era}"), KeyCall::Add(1)),
            1 => (format!("n{era}"), KeyCall::Get),
            2 => (format!("t{era}"), KeyCall::SetIfAbsent(value)),
            3 => (format!("t{era}"), KeyCall::Delete),
            4 | 5 => (format!("t{era}"), KeyCall::Set(value)),
            _ => (format!("t{era}"), KeyCall::Get),
        }
    }

    fn perform(&mut self, key: &str, call: &KeyCall) -> io::Result<Told> {
        let talk = self.talk.as_mut().expect("connected");
        match call {
            KeyCall::Get => talk.ask(&["GET", key]),
            KeyCall::Set(value) => talk.ask(&["SET", key, value]),
            KeyCall::SetIfAbsent(value) => talk.ask(&["SETNX", key, value]),
            KeyCall::Delete => talk.ask(&["DEL", key]),
            KeyCall::Add(by) => talk.ask(&["INCRBY", key, &by.to_string()]),
            other => unreachable!("{other} is not chosen"),
        }
    }

    fn run(mut self, ended: &AtomicBool) -> Vec<Recorded> {
        while !ended.load(Ordering::Relaxed) && self.connect(ended) {
            let (key, call) = self.choose();
            let called = self.now();
            let told = self.perform(&key, &call);
            let returned = match (&call, told) {
                (_, Ok(Told::Refused(error))) if error.starts_with("NOQUORUM") => continue,
                (_, Ok(Told::Refused(error))) if error.starts_with("INDETERMINATE") => None,
                (KeyCall::Get, Ok(Told::Text(value))) => Some(KeyReturn::Value(Some(value))),
                (KeyCall::Get, Ok(Told::Nothing)) => Some(KeyReturn::Value(None)),
                (KeyCall::Set(_), Ok(Told::Word(_))) => Some(KeyReturn::Done),
                (KeyCall::SetIfAbsent(_) | KeyCall::Delete, Ok(Told::Number(count))) => {
                    Some(KeyReturn::Flag(count == 1))
                }
                (KeyCall::Add(_), Ok(Told::Number(sum))) => Some(KeyReturn::Number(sum)),
                (_, Ok(other)) => panic!("{call} was told {other}"),
                (_, Err(_)) => {
                    self.talk = None;
                    None
                }
            };
            let returned = returned.map(|told| (self.now(), told));
            let lost = returned.is_none();
            let client = self.name;
            let operation = Operation {
                client,
                call,
                called,
                returned,
            };
            self.history.push((key, operation));
            if lost {
                // An operation without an end is its client's last.
                self.name += CLIENTS;
            }
        }
        self.history
    }
}

#[test]
fn what_clients_are_told_while_processes_are_killed_could_have_happened() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("PAXCAST_SECONDS").unwrap_or(SECONDS);
    let seed = number("PAXCAST_SEED").unwrap_or(1);
    let mut store = Store::start("data votes\nreplica_ids 1 2 3\ncheckpoint 256KiB");
    let addresses: Vec<SocketAddr> = store.replicas.iter().map(|r| r.address).collect();
    let ended = Arc::new(AtomicBool::new(false));
    let born = Instant::now();
    let all = Arc::new(Mutex::new(Vec::new()));
    let writers: Vec<_> = (0..CLIENTS)
        .map(|name| {
            let writer = Writer {
                name,
                addresses: addresses.clone(),
                at: 0,
                talk: None,
                rng: Xoshiro256PlusPlus::seed_from_u64(seed + u64::from(name)),
                born,
                history: Vec::new(),
                asked: 0,
            };
            let (ended, all) = (Arc::clone(&ended), Arc::clone(&all));
            std::thread::spawn(move || {
                let history = writer.run(&ended);
                all.lock().expect("nobody panics with it").extend(history);
            })
        })
        .collect();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let counts = store.harm(&mut rng, born + Duration::from_secs(seconds));
    // The last changes come when all is well again.
    store.agree();
    ended.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().expect("a writer ends well");
    }
    let history = std::mem::take(&mut *all.lock().expect("all have ended"));
    let told = |(_, operation): &&Recorded| operation.returned.is_some();
    let answered = history.iter().filter(told).count();
    println!(
        "seed {seed}: {} operations in {seconds} s, {answered} answered; harm to replicas, \
         acceptors, proposers, majorities: {counts:?}",
        history.len()
    );
    assert!(answered > 100, "{answered} of {}", history.len());
    if let Err(wrong) = check_keys(&Key, history) {
        match &wrong.verdict {
            Verdict::Violated(window) => panic!("{}:\n{}", wrong.key, draw(&wrong.history, window)),
            other => panic!("{}: {other:?}", wrong.key),
        }
    }
    store.agree();
    store.stop();
}
