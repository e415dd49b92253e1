//! A store that goes on while it is written down: what that costs.
//!
//! ```text
//! PAXCAST_KEYS=10000000 cargo test --release --test freezing -- --ignored --nocapture
//! ```

use std::time::{Duration, Instant};

use paxcast::service::kv::Store;
use paxcast::service::kv::command::{Answer, Command, Condition, Lifetime, Operation, Stamped};
use paxcast::service::kv::text::Text;
use paxcast::service::{Frozen, Place, StateMachine};

/// A SET.
fn set(key: u64, value: u64, buffer: &mut Vec<u8>) {
    let (key, value) = (format!("key:{key:012}"), format!("{value:03}"));
    let operation = Operation::Set {
        key: Text(key.as_bytes()),
        value: Text(value.as_bytes()),
        condition: Condition::Always,
        lifetime: Lifetime::Forever,
        answer: Answer::Status,
    };
    let (stamp, command) = (1, Command::One(operation));
    buffer.clear();
    Stamped { stamp, command }.encode_into(buffer);
}

/// Places, and numbers that look like chance.
struct Rig {
    store: Store,
    place: Place,
    number: u64,
    command: Vec<u8>,
    reply: Vec<u8>,
}

impl Rig {
    fn new() -> Rig {
        Rig {
            store: Store::default(),
            place: Place::ZERO,
            number: 1,
            command: Vec::new(),
            reply: Vec::new(),
        }
    }

    fn chance(&mut self, limit: u64) -> u64 {
        self.number = self
            .number
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.number >> 33) % limit
    }

    /// How long it takes to apply this.
    fn set(&mut self, key: u64, value: u64) -> Duration {
        set(key, value, &mut self.command);
        self.place = self.place.next();
        self.reply.clear();
        let begin = Instant::now();
        self.store.apply(self.place, &self.command, &mut self.reply);
        begin.elapsed()
    }

    /// Changes keys at random until told to stop, or so many times; says what it took.
    fn change(&mut self, keys: u64, mut go_on: impl FnMut(usize) -> bool) -> Vec<Duration> {
        let mut times = Vec::new();
        while go_on(times.len()) {
            let (key, value) = (self.chance(keys), self.chance(1_000));
            times.push(self.set(key, value));
        }
        times
    }
}

fn show(what: &str, mut times: Vec<Duration>) {
    let count = times.len();
    let sum: Duration = times.iter().sum();
    times.sort();
    let at = |part: f64| times[((count - 1) as f64 * part) as usize].as_nanos();
    println!(
        "{what}: {count} times, mean {} ns, p50 {}, p99 {}, p99.9 {}, max {} ns",
        sum.as_nanos() / count as u128,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// How many keys to have.
fn keys() -> u64 {
    std::env::var("PAXCAST_KEYS").map_or(1_000_000, |keys| keys.parse().expect("a number"))
}

/// Memory of this process.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or_default().replace(['\t', ' '], "")
}

#[test]
#[ignore = "a measurement; run it in a release build"]
fn figures() {
    let keys = keys();
    let mut rig = Rig::new();
    println!("{keys} keys of 16 bytes, values of 3");
    let times = (0..keys).map(|key| rig.set(key, key % 1_000)).collect();
    show("SET of a new key", times);
    println!("{}", memory());
    let few = rig.change(1_000.min(keys), |done| done < 1_000_000);
    show("SET of one of a thousand keys", few);
    for _ in 0..2 {
        let calm = rig.change(keys, |done| done < 1_000_000);
        show("SET of any key", calm);
    }
    for _ in 0..2 {
        let begin = Instant::now();
        let frozen = rig.store.freeze();
        println!("freeze: {:?}", begin.elapsed());
        let writing = std::thread::spawn(move || {
            let begin = Instant::now();
            let mut bytes = 0;
            frozen.write(&mut |part| bytes += part.len());
            (bytes, begin.elapsed())
        });
        let busy = rig.change(keys, |_| !writing.is_finished());
        show("SET of any key meanwhile", busy);
        println!("written: {:?}", writing.join().expect("no panic"));
        let after = rig.change(keys, |done| done < 1_000_000);
        show("SET of any key afterwards", after);
    }
    println!("{}", memory());
    restore(&rig.store);
}

/// Writes a store down and reads it back; says what that took.
fn restore(store: &Store) {
    let mut snapshot = Vec::new();
    store.snapshot(&mut |part| snapshot.extend_from_slice(part));
    let mut other = Store::default();
    let begin = Instant::now();
    other.restore(&snapshot).expect("a snapshot");
    println!("restore: {:?}", begin.elapsed());
    assert_eq!(other.digest(), store.digest());
}

#[test]
#[ignore = "a measurement; run it in a release build"]
fn restoring() {
    let mut rig = Rig::new();
    for key in 0..keys() {
        rig.set(key, key % 1_000);
    }
    for _ in 0..3 {
        restore(&rig.store);
    }
}
