//! Millions of inputs from a seed, through the same bodies that libFuzzer runs, and
//! the committed seeds of each.

#[path = "fuzz/bodies/mod.rs"]
mod bodies;

use std::path::Path;
use std::{fs, panic};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

/// Inputs for each body: more than two million. Where an input is a script, it makes
/// some dozens of messages, another two million together. `PAXCAST_FUZZ_FACTOR`
/// multiplies them.
const INPUTS: [(&str, u64); 12] = [
    ("datagram", 1_000_000),
    ("record", 600_000),
    ("log", 40_000),
    ("config", 200_000),
    ("input", 300_000),
    ("acceptor", 8_000),
    ("proposer", 16_000),
    ("learner", 12_000),
    ("client", 12_000),
    ("resp", 300_000),
    ("command", 40_000),
    ("sessions", 100_000),
];

/// The committed inputs of a body.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(name);
    let mut paths: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name} has no seeds");
    paths
        .iter()
        .map(|path| fs::read(path).expect("a seed"))
        .collect()
}

/// An input: one of the seeds with something done to it, parts of two, or anything.
fn made(random: &mut Xoshiro256PlusPlus, seeds: &[Vec<u8>], longest: usize) -> Vec<u8> {
    if random.random_ratio(1, 3) {
        let length = random.random_range(0..longest);
        let mut bytes = vec![0; length];
        random.fill_bytes(&mut bytes);
        return bytes;
    }
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..5) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..8) {
            0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes[at] = random.random(),
            3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
            4 => bytes.truncate(at),
            5 => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            6 => {
                let upto = random.random_range(at..bytes.len());
                bytes.drain(at..=upto);
            }
            _ => {
                let upto = random.random_range(at..bytes.len()).min(at + 16);
                let again = bytes[at..upto].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

/// Runs one input; says which when it panics.
fn feed(name: &str, seed: u64, bytes: &[u8]) -> u64 {
    panic::catch_unwind(|| bodies::feed(name, bytes)).unwrap_or_else(|cause| {
        println!("{name}, input {seed}: {bytes:02x?}");
        panic::resume_unwind(cause);
    })
}

fn run(name: &str) {
    let (_, mut inputs) = *INPUTS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a count");
    if let Ok(factor) = std::env::var("PAXCAST_FUZZ_FACTOR") {
        inputs *= factor.parse::<u64>().expect("a number of times");
    }
    let seeds = seeds(name);
    let mut came = 0;
    for (index, bytes) in seeds.iter().enumerate() {
        came += feed(name, index as u64, bytes);
    }
    let longest = match name {
        "datagram" | "record" | "config" | "input" | "resp" => 200,
        _ => 3_000,
    };
    for number in 0..inputs {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(number);
        let bytes = made(&mut random, &seeds, longest);
        came += feed(name, number, &bytes);
    }
    println!(
        "{name}: {} seeds, {inputs} inputs, {came} came to something",
        seeds.len()
    );
    assert!(
        came >= inputs / 20,
        "{name}: {came} of {inputs} came to something"
    );
}

macro_rules! each {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*
    };
}

each!(datagram record log config input acceptor proposer learner client resp command sessions);
