//! Datagrams that should not be there.

use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use paxcast::config::Config;
use paxcast::protocol::{Message, ProcessId, Role};
use paxcast::wire::{self, HEADER, Scope, TAG};
use rand::rngs::{SysRng, Xoshiro256PlusPlus};
use rand::{Rng, RngExt, SeedableRng, TryRng};
use socket2::SockRef;

use crate::cluster::Cluster;
use crate::process::Process;

const GROUPS: [&str; 4] = ["clients", "proposers", "acceptors", "learners"];

/// A socket that multicasts on loopback.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    SockRef::from(&socket)
        .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
        .unwrap();
    socket
}

#[test]
fn garbage_on_all_groups_changes_nothing_and_is_counted() {
    let mut cluster = Cluster::new("").with(3, 1, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let output = learner.lines(100);
    let socket = socket();
    let mut header = b"PXCT\x01\x01".to_vec();
    header.resize(80, 7);
    let large = [7; 60_000];
    for n in 0..200 {
        for group in GROUPS {
            let garbage = [&b""[..], b"hello", &header, &large][n % 4];
            socket.send_to(garbage, cluster.group(group)).unwrap();
        }
    }
    let mut client = cluster.start("client", 1, &["--deadline", "60"]);
    let values: String = (1..=100).map(|n| format!("{n}\n")).collect();
    client.stdin().write_all(values.as_bytes()).unwrap();
    let (status, errors) = client.outcome();
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(output.bytes(), values.as_bytes());
    cluster.processes.push(learner);
    cluster.stop();
    for process in &cluster.processes {
        let last = process.seen.last().unwrap();
        assert!(last.contains(" drops.foreign="), "{last}");
        let warnings = process
            .seen
            .iter()
            .filter(|line| line.contains("not a paxcast datagram"))
            .count();
        assert!((1..=20).contains(&warnings), "{warnings} warnings");
    }
}

#[test]
fn another_configuration_is_named_and_not_heeded() {
    let cluster = Cluster::new("");
    let conf = cluster.variant("five.conf", &format!("{}acceptor_count 5\n", cluster.text));
    let mut proposer = cluster.start("proposer", 1, &[]);
    let mut other = Process::start("proposer", 2, &conf, &[]).ready();
    for (process, id) in [(&mut proposer, 2), (&mut other, 1)] {
        let line = process.wait_for("runs with another configuration");
        assert!(
            line.contains(&format!("proposer {id} at 127.0.0.1:")),
            "{line}"
        );
        assert!(line.contains("--check-config"), "{line}");
    }
    proposer.stop();
    let last = proposer.seen.last().unwrap();
    assert!(last.contains(" drops.config="), "{last}");
}

#[test]
fn two_processes_with_one_id_are_told_so() {
    let cluster = Cluster::new("");
    let mut one = cluster.start("proposer", 1, &[]);
    let mut two = cluster.start("proposer", 1, &[]);
    one.wait_for("another proposer 1 is running at 127.0.0.1:");
    two.wait_for("another proposer 1 is running at 127.0.0.1:");
    one.stop();
    two.stop();
}

/// Datagrams that none of ours would send, of every kind there is a check for.
struct Garbage {
    scope: Scope,
    rng: Xoshiro256PlusPlus,
}

impl Garbage {
    fn next(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..8) {
            0 => Vec::new(),
            1 => self.bytes(2_000),
            2 => self.bytes(60_000),
            3 => {
                let mut cut = self.datagram();
                cut.truncate(self.rng.random_range(0..cut.len()));
                cut
            }
            // One bit of a whole datagram: anything from its magic to its tag.
            4 => {
                let mut flipped = self.datagram();
                let bit = self.rng.random_range(0..8 * flipped.len());
                flipped[bit / 8] ^= 1 << (bit % 8);
                flipped
            }
            _ => loop {
                // A right header and a right tag around anything. What happens to
                // read as a message is no garbage but a lie, and left out.
                let datagram = self.datagram();
                if wire::decode(&self.scope, Bytes::copy_from_slice(&datagram)).is_err() {
                    return datagram;
                }
            },
        }
    }

    /// Random bytes, at most so many.
    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.rng.random_range(0..most)];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A datagram of this cluster with random bytes for a message.
    fn datagram(&mut self) -> Vec<u8> {
        let sender = ProcessId {
            role: Role::ALL[self.rng.random_range(0..4)],
            id: self.rng.random_range(1..5),
            incarnation: self.rng.random(),
        };
        let mut buffer = BytesMut::new();
        let anything = Message::Listening { buffer: 0 };
        wire::encode(&self.scope, sender, 1, &anything, &mut buffer);
        let mut datagram = buffer[..HEADER].to_vec();
        let most = [12, 80, 1_400][self.rng.random_range(0..3)];
        let body = self.bytes(most);
        datagram.extend(body);
        let checksum = crc32c::crc32c(&datagram);
        datagram.extend(checksum.to_le_bytes());
        datagram.extend([0; TAG - 4]);
        datagram
    }
}

/// Another cluster on the same groups, two of each role with one id, and garbage
/// as fast as it can be sent, all at once: for two seconds, or for as long as
/// `tests/campaigns/strangers.sh` says.
#[test]
fn strangers_of_all_kinds_change_nothing() {
    let seconds = std::env::var("PAXCAST_TEST_SECONDS").map_or(2, |text| text.parse().unwrap());
    let here = Cluster::new("").with(3, 2, &[]);
    let mut there = Cluster::new("");
    there.conf = there.variant(
        "there.conf",
        &format!("{}cluster there\n", unnamed(&here.text)),
    );
    let there = there.with(3, 1, &[]);

    // Each with a learner, and a client that submits for as long as garbage comes.
    let count = (200 * seconds).to_string();
    let deadline = (3 * seconds + 60).to_string();
    let options = ["--count", &count, "--rate", "200", "--deadline", &deadline];
    let mut sides = Vec::new();
    for (id, cluster) in [(1, &here), (2, &there)] {
        let mut learner = cluster.start("learner", 1, &[]);
        let output = learner.lines(200 * seconds + if id == 1 { 1_000 } else { 0 });
        sides.push((learner, output, cluster.start("client", id, &options)));
    }
    let mut twins = vec![here.start("proposer", 1, &[])];
    twins[0].wait_for("another proposer 1 is running at 127.0.0.1:");
    let mut twin = here.start("learner", 1, &[]);
    let twin_output = twin.lines(200 * seconds + 1_000);
    twin.wait_for("another learner 1 is running at 127.0.0.1:");
    twins.push(twin);
    let mut client = here.start("client", 1, &["--deadline", &deadline]);
    let of_twin: String = (1..=1_000).map(|n| format!("twin-{n}\n")).collect();
    client.stdin().write_all(of_twin.as_bytes()).unwrap();

    let config = Config::load(&here.conf).unwrap();
    let scope = Scope {
        cluster: config.cluster_hash(),
        config: config.config_digest(65_507),
    };
    let seed = SysRng.try_next_u64().unwrap();
    println!("garbage from seed {seed}");
    let mut garbage = Garbage {
        scope,
        rng: Xoshiro256PlusPlus::seed_from_u64(seed),
    };
    let socket = socket();
    let end = Instant::now() + Duration::from_secs(seconds as u64);
    let mut sent = 0u64;
    while Instant::now() < end {
        let datagram = garbage.next();
        for group in GROUPS {
            // A full queue is none of its concern.
            sent += u64::from(socket.send_to(&datagram, here.group(group)).is_ok());
        }
    }
    println!("{sent} datagrams of garbage");

    let (status, errors) = client.outcome();
    assert_eq!(status, Some(0), "{errors}");
    let twin_text = twin_output.bytes();
    let mut ours = here.processes;
    ours.extend(twins);
    let mut theirs = there.processes;
    for (id, (learner, output, client)) in sides.into_iter().enumerate() {
        let (status, errors) = client.outcome();
        assert_eq!(status, Some(0), "{errors}");
        println!("{}", errors.lines().last().unwrap());
        let text = output.bytes();
        assert!(id != 0 || text == twin_text, "two learners 1 differ");
        let text = String::from_utf8(text).unwrap();
        let (of_twin_here, rest): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("twin-"));
        assert!(id != 0 || of_twin_here.iter().copied().eq(of_twin.lines()));
        assert_eq!(rest.len(), 200 * seconds);
        for (line, number) in rest.iter().zip(1..) {
            let expected = format!("client-{}-value-{number:09}", id + 1);
            assert!(line.starts_with(&expected), "{line}, not {expected}");
        }
        match id {
            0 => ours.push(learner),
            _ => theirs.push(learner),
        }
    }
    // What has this cluster's name on it is to the other merely another cluster's.
    let reasons = ["foreign", "version", "cluster", "checksum", "malformed"];
    for (process, reasons) in ours
        .iter_mut()
        .map(|process| (process, &reasons[..]))
        .chain(theirs.iter_mut().map(|process| (process, &reasons[..3])))
    {
        assert!(process.resident() < 200 << 20, "{}", process.resident());
        process.stop();
        let last = process.seen.last().unwrap();
        println!("{last}");
        for reason in reasons {
            let counted = last.contains(&format!(" drops.{reason}="));
            assert!(counted, "no drops.{reason} in {last}");
        }
        // One a second for each reason, however much comes.
        let lines = process.seen.len();
        assert!(lines < 20 * (seconds + 60), "{lines} lines");
    }
}

/// The configuration without its cluster's name.
fn unnamed(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("cluster"))
        .map(|line| format!("{line}\n"))
        .collect()
}
