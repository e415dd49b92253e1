//! What a message, a file or a stranger can make a process allocate.
//!
//! Everything is measured by the allocator itself, so the tests of this file run
//! one after the other, in one thread.

#[expect(dead_code, reason = "only some of the bodies are measured here")]
#[path = "fuzz/bodies/mod.rs"]
mod bodies;

use std::alloc::System;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use paxcast::config::{Config, MAX_FILE};
use paxcast::daemon::Splitter;
use paxcast::protocol::acceptor::Memory;
use paxcast::protocol::jitter::Jitter;
use paxcast::protocol::{
    Acceptor, AcceptorSet, Ballot, Client, Instance, Item, Learner, Membership, Message, Outbox,
    Payload, Payloads, Process, ProcessId, Record, Role, Run, Session, Settings, Span, Time, Vote,
    Watermark,
};
use paxcast::protocol::{Proposer, Sessions};
use paxcast::wire;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use bodies::datagram::{SCOPE, tagged};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is left of what `build` allocated, its result included, and the most that
/// it can have held at any time.
fn measure<T>(build: impl FnOnce() -> T) -> (T, usize, usize) {
    let region = Region::new(ALLOCATOR);
    let built = build();
    let change = region.change();
    let left = change
        .bytes_allocated
        .saturating_sub(change.bytes_deallocated);
    (built, left, change.bytes_allocated)
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[test]
fn memory_stays_within_what_is_said() {
    datagrams();
    records();
    configurations();
    input();
    an_acceptor();
    a_proposer();
    a_learner();
    a_client();
}

/// Reports a measurement and holds it to its limit.
fn hold(what: &str, bytes: usize, most: usize) {
    println!("{what}: {bytes} bytes of {most}");
    assert!(bytes <= most, "{what}: {bytes} bytes, more than {most}");
}

fn process(role: Role, id: u16) -> ProcessId {
    ProcessId {
        role,
        id,
        incarnation: 10 + u64::from(id),
    }
}

fn ballot(round: u64) -> Ballot {
    Ballot {
        round,
        proposer: 1,
        incarnation: 11,
    }
}

fn settings() -> Settings {
    Settings::new(Membership::majority(AcceptorSet::first(3)))
}

/// The largest datagram of the most votes and of the longest claims.
fn datagrams() {
    let empty = |instance| Vote {
        instance: Instance(instance),
        ballot: ballot(1),
        value: Payload::default(),
    };
    let votes: Vec<Vote> = (0..10_000).map(|number| empty(number % 100)).collect();
    let watermarks = vec![
        Watermark {
            ballot: ballot(1),
            through: Instance(1)
        };
        1_000
    ];
    let message = Message::Votes {
        watermarks,
        votes,
        last: true,
    };
    let mut full = BytesMut::new();
    wire::encode(&SCOPE, process(Role::Acceptor, 1), 1, &message, &mut full);
    let full = full.freeze();
    assert!((50_000..65_507).contains(&full.len()), "{}", full.len());
    let (read, _, most) = measure(|| wire::decode(&SCOPE, full.clone()));
    read.unwrap();
    hold("the largest datagram", most, MIB);
    // Every place of every kind of message says that the longest list follows.
    let mut most = 0;
    let mut random = Jitter::new(1);
    for number in 0..50_000 {
        let mut bytes = full.slice(..wire::HEADER).to_vec();
        bytes.push((number % 20) as u8);
        for _ in 0..random.below(24) {
            bytes.push(match random.below(4) {
                0 => 0xff,
                1 => 0x7f,
                _ => random.below(4) as u8,
            });
        }
        let datagram = tagged(&bytes);
        most = most.max(measure(|| wire::decode(&SCOPE, datagram)).2);
    }
    hold("a short datagram that claims a long list", most, 4 * KIB);
}

fn records() {
    let mut random = Jitter::new(2);
    let mut most = 0;
    for _ in 0..30_000 {
        let bytes: Vec<u8> = (0..random.below(40))
            .map(|_| random.number() as u8)
            .collect();
        let bytes = Bytes::from(bytes);
        most = most.max(measure(|| Record::decode_from(&bytes)).2);
    }
    hold("a record", most, KIB);
}

/// Files as large as they may be, of the shortest lines and of one.
fn configurations() {
    for (what, line) in [
        ("unknown keys", "a\n"),
        ("empty lines", "\n"),
        ("comments", "#\n"),
        ("one line", "a "),
        ("quotes", "\"\\x00\" "),
        ("a key again", "window 1\n"),
    ] {
        let file = line.repeat(MAX_FILE / line.len());
        let (read, _, most) = measure(|| Config::parse("paxos.conf", file.as_bytes()));
        hold(&format!("a configuration of {what}"), most, 16 * MIB);
        let error = read.unwrap_err();
        let (text, _, most) = measure(|| error.to_string());
        hold("what is said of it", most, 16 * KIB);
        assert!(!text.is_empty());
    }
}

/// A line that never ends.
fn input() {
    let limit = Sessions::MAX_VALUE;
    let chunk = Bytes::from(vec![b'x'; 64 * KIB]);
    let (mut splitter, left, _) = measure(|| {
        let mut splitter = Splitter::new(limit);
        for _ in 0..1_000 {
            assert!(splitter.feed(chunk.clone()).is_empty());
        }
        splitter
    });
    hold("a line without end", left, KIB);
    let (_, left, _) = measure(|| {
        let mut splitter = Splitter::new(limit);
        for _ in 0..limit / chunk.len() {
            splitter.feed(chunk.clone());
        }
        splitter
    });
    hold("a line as long as a value", left, 2 * limit + KIB);
    assert_eq!(splitter.finish().len(), 1);
}

/// Hands a role messages, all in one moment and one turn, and drops what it says.
fn flood<P: Process<Sender = ProcessId, Message = Message>>(
    role: &mut P,
    count: u64,
    mut each: impl FnMut(u64) -> (ProcessId, Message),
) {
    let mut out = Outbox::new();
    for number in 0..count {
        let (from, message) = each(number);
        role.handle_message(Time(1), from, message, &mut out);
        while out.pop().is_some() {}
    }
}

fn an_acceptor() {
    let (_, left, _) = measure(|| {
        let me = process(Role::Acceptor, 1);
        let memory = Memory::Recent { bytes: MIB };
        let mut acceptor = Acceptor::new(me, settings(), memory, 400_000);
        flood(&mut acceptor, 200_000, |number| {
            let accept = Message::Accept {
                ballot: ballot(number / 1_000),
                decided: Instance(number),
                instance: Instance(number + 1 + number % 60_000),
                value: Payload::new(Bytes::from(vec![0; (number % 300) as usize])),
            };
            (process(Role::Proposer, 1), accept)
        });
        acceptor.finish_turn(Time(1), &mut Outbox::new());
        acceptor
    });
    hold("an acceptor that keeps 1 MiB of votes", left, 4 * MIB);
}

/// An item of a session that nobody has heard of.
fn submission(number: u64, session: Session, bytes: usize) -> Message {
    let mut items = BytesMut::new();
    Item::encode(false, &vec![0; bytes], &mut items);
    Message::Submit {
        acknowledged: 0,
        run: Run {
            session,
            birth: Instance::ZERO,
            first: number,
            count: 1,
            items: Payload::new(items.freeze()),
        },
    }
}

fn a_proposer() {
    let proposer = || {
        let me = process(Role::Proposer, 1);
        Proposer::new(me, settings(), 1, 400_000, Time::ZERO)
    };
    let client = process(Role::Client, 1);
    let session = |incarnation| Session {
        client: 1,
        incarnation,
    };
    let (_, left, _) = measure(|| {
        let mut proposer = proposer();
        flood(&mut proposer, 100_000, |number| {
            (client, submission(1, session(number), 10))
        });
        proposer
    });
    hold(
        "a proposer with submissions of 100,000 sessions",
        left,
        24 * MIB,
    );
    let (_, left, _) = measure(|| {
        let mut proposer = proposer();
        flood(&mut proposer, 200_000, |number| {
            (client, submission(number + 2, session(number % 100), 500))
        });
        proposer
    });
    hold("a proposer with 100 MB of submissions", left, 96 * MIB);
    let (_, left, _) = measure(|| {
        let mut proposer = proposer();
        flood(&mut proposer, 100_000, |number| {
            let from = ProcessId {
                incarnation: number,
                ..process(Role::Proposer, 2)
            };
            (from, Message::Listening { buffer: 1 })
        });
        proposer
    });
    hold("a proposer that heard 100,000 others", left, 256 * KIB);
    // A candidate that acceptors tell of ever more votes.
    let (_, left, _) = measure(|| {
        let mut proposer = proposer();
        let mut out = Outbox::new();
        let later = Time::ZERO + Duration::from_secs(1);
        proposer.handle_timeout(later, &mut out);
        let own = out.drain().find_map(|output| match output {
            paxcast::protocol::Output::Send {
                message: Message::Prepare { ballot, .. },
                ..
            } => Some(ballot),
            _ => None,
        });
        let own = own.expect("it stands for election");
        flood(&mut proposer, 200_000, |number| {
            let at = Instance(1 + 2 * number);
            let promise = Message::Promise {
                ballot: own,
                from: at,
                through: Some(at),
                watermark: Watermark::default(),
                votes: vec![Vote {
                    instance: at,
                    ballot: Ballot::ZERO,
                    value: Payload::default(),
                }],
            };
            (process(Role::Acceptor, 1), promise)
        });
        proposer
    });
    hold("a candidate told of 200,000 votes", left, 8 * MIB);
}

fn a_learner() {
    let learner = || {
        Learner::new(
            process(Role::Learner, 2),
            settings(),
            1,
            400_000,
            Time::ZERO,
        )
    };
    let value = Payload::new(Bytes::from(vec![0; 20_000]));
    let (_, left, _) = measure(|| {
        let mut learner = learner();
        flood(&mut learner, 40_000, |number| {
            let vote = |instance| Vote {
                instance: Instance(instance),
                ballot: ballot(number / 4_000),
                value: value.clone(),
            };
            let votes = Message::Votes {
                watermarks: Vec::new(),
                votes: vec![vote(2 + number % 4_000), vote(number)],
                last: true,
            };
            (process(Role::Acceptor, 1 + (number % 3) as u16), votes)
        });
        learner
    });
    hold("a learner that lacks the first instance", left, 8 * MIB);
    let (_, left, _) = measure(|| {
        let mut learner = learner();
        let spans: Vec<Span> = (0..4_000)
            .map(|_| Span {
                from: Instance(1),
                through: Instance::LAST,
            })
            .collect();
        flood(&mut learner, 3, |number| {
            let accepted = Message::Accepted {
                ballot: ballot(number),
                instances: spans.clone(),
            };
            (process(Role::Acceptor, 1), accepted)
        });
        learner
    });
    hold("a learner told of votes for everything", left, 2 * MIB);
    // Nobody is on duty but somebody else, so answers are put off.
    let (_, left, _) = measure(|| {
        let mut learner = learner();
        let duty = Message::Acknowledge {
            delivered: Instance::ZERO,
            sessions: Vec::new(),
        };
        flood(&mut learner, 1, |_| {
            (process(Role::Learner, 1), duty.clone())
        });
        for turn in 0..200 {
            flood(&mut learner, 1_000, |number| {
                let inquire = Message::Inquire {
                    session: Session {
                        client: 1,
                        incarnation: turn * 1_000 + number,
                    },
                    acknowledged: 0,
                };
                (process(Role::Client, 1), inquire)
            });
            learner.finish_turn(Time(1), &mut Outbox::new());
        }
        learner
    });
    hold("a learner that 200,000 sessions ask", left, MIB);
}

fn a_client() {
    let (_, left, _) = measure(|| {
        let mut client = Client::new(process(Role::Client, 1), settings(), 1, Time::ZERO);
        flood(&mut client, 100_000, |number| match number % 3 {
            0 => (
                process(Role::Proposer, 1 + (number % 7) as u16),
                Message::Credit {
                    decided: Instance(number),
                    bytes: number as u32,
                },
            ),
            1 => (
                process(Role::Proposer, 1),
                Message::Missing {
                    session: Session {
                        client: 1,
                        incarnation: 11,
                    },
                    gaps: vec![(0, number)],
                },
            ),
            _ => (
                process(Role::Learner, 1),
                Message::Acknowledge {
                    delivered: Instance(number),
                    sessions: Vec::new(),
                },
            ),
        });
        client
    });
    hold("a client that submits nothing", left, 4 * KIB);
}
