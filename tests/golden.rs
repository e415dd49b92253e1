//! Golden bytes: what is on the wire and in the log must not change by accident.
//!
//! One line per variant, `name hex`, in `tests/golden/`. After an intended change
//! (a new variant, appended; never a changed one) run
//! `PAXCAST_GOLDEN=write cargo test --test golden` and read the difference.

use std::fmt::Write as _;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use paxcast::protocol::{
    AcceptorSet, Ballot, Instance, Item, Membership, Message, Payload, Payloads, ProcessId,
    Progress, Record, Role, Run, Session, Sessions, Settings, Span, Vote, Watermark,
};
use paxcast::wire::{self, Reject, Scope};
use proptest::prelude::*;

const SCOPE: Scope = Scope {
    cluster: 0x1122_3344_5566_7788,
    config: 0x99aa_bbcc_ddee_ff00,
};

const SENDER: ProcessId = ProcessId {
    role: Role::Proposer,
    id: 2,
    incarnation: 0x0102_0304_0506_0708,
};

fn ballot() -> Ballot {
    Ballot {
        round: 3,
        proposer: 2,
        incarnation: 0xabcd,
    }
}

fn session() -> Session {
    Session {
        client: 1,
        incarnation: 0xfeed,
    }
}

fn payload(text: &'static str) -> Payload {
    Payload::new(Bytes::from_static(text.as_bytes()))
}

fn vote(instance: u64, text: &'static str) -> Vote {
    Vote {
        instance: Instance(instance),
        ballot: ballot(),
        value: payload(text),
    }
}

fn watermark() -> Watermark {
    Watermark {
        ballot: ballot(),
        through: Instance(300),
    }
}

fn span(from: u64, through: u64) -> Span {
    Span {
        from: Instance(from),
        through: Instance(through),
    }
}

/// One of each message. A match without a wildcard keeps it complete.
fn messages() -> Vec<Message> {
    let all = vec![
        Message::Submit {
            acknowledged: 7,
            run: Run {
                session: session(),
                birth: Instance(5),
                first: 8,
                count: 2,
                items: payload("\u{2}a\u{4}bc"),
            },
        },
        Message::Inquire {
            session: session(),
            acknowledged: 9,
        },
        Message::Acknowledge {
            delivered: Instance(41),
            sessions: vec![Progress {
                session: session(),
                last: 9,
                evicted: false,
            }],
        },
        Message::Credit {
            decided: Instance(41),
            bytes: 70_000,
        },
        Message::Missing {
            session: session(),
            gaps: vec![(10, 12), (15, 15)],
        },
        Message::Prepare {
            ballot: ballot(),
            from: Instance(301),
            through: None,
        },
        Message::Promise {
            ballot: ballot(),
            from: Instance(301),
            through: Some(Instance(302)),
            watermark: watermark(),
            votes: vec![vote(301, "one"), vote(302, "two")],
        },
        Message::Nack {
            ballot: ballot(),
            promised: ballot(),
        },
        Message::Busy {
            ballot: ballot(),
            leader: ballot(),
        },
        Message::Accept {
            ballot: ballot(),
            decided: Instance(300),
            instance: Instance(301),
            value: payload("batch"),
        },
        Message::Accepted {
            ballot: ballot(),
            instances: vec![span(301, 305), span(307, 307)],
        },
        Message::Heartbeat {
            ballot: ballot(),
            decided: Instance(300),
        },
        Message::Alive {
            ballot: ballot(),
            buffer: 425_984,
        },
        Message::Following {
            through: Instance(305),
            buffer: 425_984,
        },
        Message::Request {
            acceptor: 2,
            spans: vec![span(301, 305)],
            bytes: 65_536,
            everyone: true,
        },
        Message::Votes {
            watermarks: vec![watermark()],
            votes: vec![vote(301, "one")],
            last: true,
        },
        Message::Stuck { span: span(1, 64) },
        Message::Listening { buffer: 425_984 },
        Message::Forgotten {
            through: Instance(300),
        },
        Message::Confirm {
            nonce: 0x0123_4567_89ab_cdef,
        },
        Message::Confirmed {
            nonce: 0x0123_4567_89ab_cdef,
            highest: Instance(305),
        },
        Message::Checkpointed {
            through: Instance(300),
        },
        Message::Digest {
            instance: Instance(300),
            digest: 0xfedc_ba98_7654_3210,
        },
        Message::Behind {
            delivered: Instance(300),
        },
        Message::Offer {
            through: Instance(300),
            length: 1 << 20,
            checksum: 0x89ab_cdef,
        },
        Message::Fetch {
            through: Instance(300),
            offset: 65_536,
            bytes: 262_144,
        },
        Message::Piece {
            through: Instance(300),
            offset: 65_536,
            bytes: Payload::new(Bytes::from_static(b"piece")),
        },
    ];
    for message in &all {
        match message {
            Message::Submit { .. }
            | Message::Inquire { .. }
            | Message::Acknowledge { .. }
            | Message::Credit { .. }
            | Message::Missing { .. }
            | Message::Prepare { .. }
            | Message::Promise { .. }
            | Message::Nack { .. }
            | Message::Busy { .. }
            | Message::Accept { .. }
            | Message::Accepted { .. }
            | Message::Heartbeat { .. }
            | Message::Alive { .. }
            | Message::Following { .. }
            | Message::Request { .. }
            | Message::Votes { .. }
            | Message::Stuck { .. }
            | Message::Listening { .. }
            | Message::Forgotten { .. }
            | Message::Confirm { .. }
            | Message::Confirmed { .. }
            | Message::Checkpointed { .. }
            | Message::Digest { .. }
            | Message::Behind { .. }
            | Message::Offer { .. }
            | Message::Fetch { .. }
            | Message::Piece { .. } => {}
        }
    }
    all
}

fn datagram(message: &Message) -> Bytes {
    let mut buffer = BytesMut::new();
    wire::encode(&SCOPE, SENDER, 77, message, &mut buffer);
    buffer.freeze()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string");
        text
    })
}

/// Holds `lines` against the golden file, or writes it when asked to.
fn compare(name: &str, lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let text = lines.join("\n") + "\n";
    if std::env::var_os("PAXCAST_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("a golden file");
    assert_eq!(
        text,
        golden,
        "{name} changed: formats are append-only. If this is a new variant, see the head of {}",
        file!()
    );
}

/// What is sent in parts is, byte for byte, what is sent in one piece.
#[test]
fn a_datagram_in_parts_is_the_same_datagram() {
    let mut parts = wire::Parts::default();
    for message in messages() {
        wire::encode_parts(&SCOPE, SENDER, 77, &message, &mut parts);
        let payloads = parts.payloads.iter().map(|payload| &payload[..]);
        let all: Vec<&[u8]> = [&parts.head[..]]
            .into_iter()
            .chain(payloads)
            .chain([&parts.tag[..]])
            .collect();
        assert_eq!(all.concat(), datagram(&message), "{}", message.name());
        assert_eq!(parts.length(), datagram(&message).len());
    }
}

#[test]
fn datagrams_keep_their_bytes() {
    let lines: Vec<String> = messages()
        .iter()
        .map(|message| format!("{} {}", message.name(), hex(&datagram(message))))
        .collect();
    compare("datagrams.txt", &lines);
}

#[test]
fn records_keep_their_bytes() {
    let records = [
        ("promised", Record::Promised { ballot: ballot() }),
        (
            "voted",
            Record::Voted {
                vote: vote(301, "batch"),
            },
        ),
        (
            "watermark",
            Record::Watermark {
                watermark: watermark(),
            },
        ),
        (
            "trimmed",
            Record::Trimmed {
                through: Instance(299),
                promised: ballot(),
                highest: Instance(301),
                watermark: watermark(),
            },
        ),
    ];
    for (_, record) in &records {
        match record {
            Record::Promised { .. }
            | Record::Voted { .. }
            | Record::Watermark { .. }
            | Record::Trimmed { .. } => {}
        }
        assert_eq!(Record::decode(&record.encode()).as_ref(), Some(record));
    }
    let lines: Vec<String> = records
        .iter()
        .map(|(name, record)| format!("{name} {}", hex(&record.encode())))
        .collect();
    compare("records.txt", &lines);
}

/// Sessions as a checkpoint has them: none, one that is whole, one with a value that
/// goes on, and one that broke a limit.
#[test]
fn sessions_keep_their_bytes() {
    let settings = Settings::new(Membership::majority(AcceptorSet::first(1)));
    let mut sessions = Sessions::new(&settings);
    let none = sessions.encode();
    let long = vec![0; Sessions::MAX_VALUE + 1];
    type Items<'a> = &'a [(bool, &'a [u8])];
    let items: [(u16, Items<'_>); 3] = [
        (1, &[(false, b"one"), (false, b"two")]),
        (2, &[(false, b"three"), (true, b"fo"), (true, b"u")]),
        (3, &[(true, &long)]),
    ];
    for (client, items) in items {
        let mut buffer = BytesMut::new();
        for (continues, bytes) in items {
            Item::encode(*continues, bytes, &mut buffer);
        }
        let run = Run {
            session: Session {
                client,
                incarnation: 0xfeed,
            },
            birth: Instance(1_100_000),
            first: 1,
            count: items.len() as u32,
            items: Payload::new(buffer.freeze()),
        };
        let instance = Instance(1_100_000 + u64::from(client));
        sessions.apply(instance, &run, &mut |_| {});
    }
    let some = sessions.encode();
    for (bytes, empty) in [(&none, true), (&some, false)] {
        let decoded = Sessions::decode(&settings, bytes).expect("just encoded");
        assert_eq!(
            (decoded.is_empty(), decoded.encode()),
            (empty, bytes.clone())
        );
    }
    compare(
        "sessions.txt",
        &[
            format!("none {}", hex(&none)),
            format!("some {}", hex(&some)),
            format!("digest {:016x}", sessions.digest()),
        ],
    );
}

#[test]
fn what_was_encoded_decodes() {
    for message in messages() {
        let decoded = wire::decode(&SCOPE, datagram(&message)).expect("a good datagram");
        assert_eq!(decoded.message, message);
        assert_eq!((decoded.sender, decoded.sequence), (SENDER, 77));
    }
}

#[test]
fn a_payload_shares_the_datagrams_memory() {
    let message = &messages()[9];
    let bytes = datagram(message);
    let decoded = wire::decode(&SCOPE, bytes.clone()).expect("a good datagram");
    let Message::Accept { value, .. } = decoded.message else {
        panic!("an accept was encoded");
    };
    assert!(bytes.as_ptr_range().contains(&value.bytes().as_ptr()));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    for message in messages() {
        let good = datagram(&message);
        for bit in 0..good.len() * 8 {
            let mut bytes = BytesMut::from(&good[..]);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                wire::decode(&SCOPE, bytes.freeze()).is_err(),
                "{}: bit {bit} flipped",
                message.name()
            );
        }
        for length in 0..good.len() {
            assert!(wire::decode(&SCOPE, good.slice(..length)).is_err());
        }
    }
}

#[test]
fn each_stranger_is_told_from_the_other() {
    let message = &messages()[11];
    let decode_in = |scope: Scope| wire::decode(&scope, datagram(message)).unwrap_err();
    let elsewhere = Scope {
        cluster: 1,
        ..SCOPE
    };
    assert_eq!(decode_in(elsewhere), Reject::Cluster);
    let misconfigured = Scope { config: 1, ..SCOPE };
    assert_eq!(decode_in(misconfigured), Reject::Config { sender: SENDER });
    let mut newer = BytesMut::from(&datagram(message)[..]);
    newer[4] = wire::VERSION + 1;
    assert_eq!(
        wire::decode(&SCOPE, newer.freeze()).unwrap_err(),
        Reject::Version(wire::VERSION + 1)
    );
    let noise =
        Bytes::from_static(b"GET / HTTP/1.1\r\nHost: this is long enough to hold a header\r\n");
    assert_eq!(wire::decode(&SCOPE, noise).unwrap_err(), Reject::Foreign);
}

/// The tag of these bytes, as `wire` writes it.
fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let tag = crc32c::crc32c(&bytes).to_le_bytes();
    bytes.extend_from_slice(&tag);
    bytes.extend_from_slice(&[0; wire::TAG - 4]);
    Bytes::from(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    /// A good header and tag around anything at all: refused or decoded to what
    /// encodes again, never a panic.
    #[test]
    fn arbitrary_contents_never_panic(content in proptest::collection::vec(any::<u8>(), 0..300)) {
        let header = &datagram(&messages()[0])[..wire::HEADER];
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(&content);
        if let Ok(decoded) = wire::decode(&SCOPE, sealed(bytes)) {
            let again = wire::decode(&SCOPE, datagram(&decoded.message)).expect("just encoded");
            prop_assert_eq!(again.message, decoded.message);
        }
    }

    /// Real messages with a few bytes changed and a fresh tag.
    #[test]
    fn damaged_contents_never_panic(
        index in 0..18usize,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let good = datagram(&messages()[index]);
        let mut bytes = good[..good.len() - wire::TAG].to_vec();
        for (at, byte) in changes {
            let at = wire::HEADER + at.index(bytes.len() - wire::HEADER);
            bytes[at] = byte;
        }
        if let Ok(decoded) = wire::decode(&SCOPE, sealed(bytes)) {
            prop_assert!(decoded.message.name().len() > 2);
        }
    }
}
