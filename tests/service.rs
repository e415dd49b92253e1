//! The key-value store as replicas rely on it: bytes that stay what they are,
//! snapshots that give the state back, digests that tell states apart, and no
//! command that it cannot stomach.

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::path::Path;

use paxcast::service::kv::Store;
use paxcast::service::kv::command::{
    Answer, Command, Condition, Deadline, ExpireCondition, Lifetime, Operation, Stamped, Unit,
};
use paxcast::service::kv::limits::Limits;
use paxcast::service::kv::reply::{Refusal, Reply};
use paxcast::service::kv::text::Text;
use paxcast::service::{Damaged, Frozen, Place, StateMachine};
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string grows");
        text
    })
}

/// Compares with a file of `name hex` lines, or writes it.
fn compare(file: &str, lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    let text = lines.join("\n") + "\n";
    if std::env::var_os("PAXCAST_GOLDEN").is_some() {
        std::fs::write(&path, &text).expect("the file can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the file can be read");
    assert_eq!(golden, text, "{file}: bytes have changed");
}

fn encoded(stamp: u64, command: Command<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Stamped { stamp, command }.encode_into(&mut bytes);
    bytes
}

fn apply(store: &mut Store, place: u64, command: &[u8]) -> Vec<u8> {
    let mut reply = Vec::new();
    store.apply(Place(place), command, &mut reply);
    assert!(
        Reply::decode(&reply).is_some(),
        "a reply to {}",
        hex(command)
    );
    reply
}

fn snapshot(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.snapshot(&mut |part| bytes.extend_from_slice(part));
    bytes
}

fn restored(bytes: &[u8]) -> Result<Store, Damaged> {
    let mut store = Store::default();
    store.restore(bytes).map(|()| store)
}

/// One of each operation. A match without a wildcard keeps it complete.
fn operations() -> Vec<(&'static str, Operation<'static>)> {
    let key = Text(b"key");
    let keys = || vec![key, Text(b"other")];
    let all = vec![
        ("get", Operation::Get { key }),
        (
            "set",
            Operation::Set {
                key,
                value: Text(b"\0\r\n\xff"),
                condition: Condition::Present,
                lifetime: Lifetime::Until(Deadline::At(1_800_000_000_000)),
                answer: Answer::Previous,
            },
        ),
        ("delete", Operation::Delete { keys: keys() }),
        ("exists", Operation::Exists { keys: keys() }),
        ("add", Operation::Add { key, by: -300 }),
        (
            "append",
            Operation::Append {
                key,
                value: Text(b"more"),
            },
        ),
        ("length", Operation::Length { key }),
        ("get-many", Operation::GetMany { keys: keys() }),
        (
            "set-many",
            Operation::SetMany {
                pairs: vec![(key, Text(b"1")), (Text(b""), Text(b""))],
                absent: true,
            },
        ),
        ("take", Operation::Take { key }),
        (
            "expire",
            Operation::Expire {
                key,
                deadline: Deadline::In(1500),
                condition: ExpireCondition::Sooner,
            },
        ),
        (
            "time-to-live",
            Operation::TimeToLive {
                key,
                unit: Unit::EndMilliseconds,
            },
        ),
        ("persist", Operation::Persist { key }),
        (
            "keys",
            Operation::Keys {
                pattern: Text(b"*"),
            },
        ),
        (
            "scan",
            Operation::Scan {
                cursor: 12,
                pattern: Some(Text(b"k?y")),
                count: 10,
            },
        ),
        ("count", Operation::Count),
        ("kind", Operation::Kind { key }),
        ("flush", Operation::Flush),
        ("versions", Operation::Versions { keys: keys() }),
    ];
    for (_, operation) in &all {
        match operation {
            Operation::Get { .. }
            | Operation::Set { .. }
            | Operation::Delete { .. }
            | Operation::Exists { .. }
            | Operation::Add { .. }
            | Operation::Append { .. }
            | Operation::Length { .. }
            | Operation::GetMany { .. }
            | Operation::SetMany { .. }
            | Operation::Take { .. }
            | Operation::Expire { .. }
            | Operation::TimeToLive { .. }
            | Operation::Persist { .. }
            | Operation::Keys { .. }
            | Operation::Scan { .. }
            | Operation::Count
            | Operation::Kind { .. }
            | Operation::Flush
            | Operation::Versions { .. } => {}
        }
    }
    all
}

#[test]
fn commands_and_replies_keep_their_bytes() {
    const STAMP: u64 = 1_790_000_000_000;
    let mut commands = vec![("tick", Command::Tick)];
    for (name, operation) in operations() {
        commands.push((name, Command::One(operation)));
    }
    let watched = vec![(Text(b"key"), 300), (Text(b"none"), 0)];
    let some = operations();
    let operations = vec![some[0].1.clone(), some[4].1.clone()];
    commands.push((
        "transaction",
        Command::Transaction {
            watched,
            operations,
        },
    ));
    let mut lines = Vec::new();
    for (name, command) in commands {
        let bytes = encoded(STAMP, command.clone());
        let stamp = STAMP;
        assert_eq!(Stamped::decode(&bytes), Some(Stamped { stamp, command }));
        lines.push(format!("{name} {}", hex(&bytes)));
        for cut in 0..bytes.len() {
            assert_eq!(Stamped::decode(&bytes[..cut]), None, "{name}");
        }
        assert_eq!(
            Stamped::decode(&[&bytes[..], b"\0"].concat()),
            None,
            "{name}"
        );
    }
    let refusals = [
        Refusal::Malformed,
        Refusal::NotAnInteger,
        Refusal::Overflow,
        Refusal::LongKey,
        Refusal::LongValue,
        Refusal::Full,
        Refusal::Lifetime,
        Refusal::LongReply,
        Refusal::LongSearch,
        Refusal::LongTransaction,
    ];
    let replies = [
        ("done", Reply::Done),
        ("nil", Reply::Nil),
        ("aborted", Reply::Aborted),
        ("integer", Reply::Integer(-2)),
        ("text", Reply::Text(Text(b"\0\xff"))),
        ("word", Reply::Word(Text(b"string"))),
        ("list", Reply::List(vec![Reply::Nil, Reply::List(vec![])])),
        (
            "refused",
            Reply::List(refusals.map(Reply::Refused).to_vec()),
        ),
        ("cursor", Reply::Cursor(300)),
    ];
    for (name, reply) in replies {
        let mut bytes = Vec::new();
        reply.encode_into(&mut bytes);
        assert_eq!(Reply::decode(&bytes), Some(reply));
        lines.push(format!("reply-{name} {}", hex(&bytes)));
    }
    let mut store = Store::default();
    for (place, (_, operation)) in (1..).zip(
        some.iter()
            .filter(|(name, _)| !["take", "flush"].contains(name)),
    ) {
        apply(
            &mut store,
            place,
            &encoded(STAMP, Command::One(operation.clone())),
        );
    }
    let key = Text(b"mortal");
    let set = Operation::Set {
        key,
        value: Text(b"value"),
        condition: Condition::Always,
        lifetime: Lifetime::Until(Deadline::In(500)),
        answer: Answer::Status,
    };
    apply(&mut store, 50, &encoded(STAMP, Command::One(set)));
    assert!(store.keys() > 1);
    lines.push(format!("snapshot {}", hex(&snapshot(&store))));
    lines.push(format!("digest {:016x}", store.digest()));
    compare("kv.txt", &lines);
}

#[test]
fn a_damaged_snapshot_is_refused_and_changes_nothing() {
    let mut store = Store::default();
    let pairs = vec![(Text(b"a"), Text(b"1")), (Text(b"b"), Text(b"2"))];
    let absent = false;
    let set = encoded(1_000, Command::One(Operation::SetMany { pairs, absent }));
    apply(&mut store, 1, &set);
    let good = snapshot(&store);
    let before = store.clone();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(store.restore(&bytes).is_err(), "bit {bit}");
        assert_eq!(store, before);
    }
    for cut in 0..good.len() {
        assert!(store.restore(&good[..cut]).is_err(), "cut at {cut}");
    }
    assert_eq!(store.restore(&good), Ok(()));
    assert_eq!(store, before);
}

/// Few keys, so that operations meet.
fn a_key() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![&b"a"[..], b"b", b"c", b"longer key", b""])
}

fn a_value() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![&b"1"[..], b"-5", b"", b"text", &[0xff; 300]])
}

fn a_deadline() -> impl Strategy<Value = Deadline> {
    prop_oneof![
        (-50..200i64).prop_map(Deadline::In),
        (900..1500i64).prop_map(Deadline::At),
        any::<i64>().prop_map(Deadline::In),
        any::<i64>().prop_map(Deadline::At),
    ]
}

fn an_operation() -> impl Strategy<Value = Operation<'static>> {
    let condition = prop::sample::select(vec![
        Condition::Always,
        Condition::Absent,
        Condition::Present,
    ]);
    let lifetime = prop_oneof![
        Just(Lifetime::Forever),
        Just(Lifetime::Keep),
        a_deadline().prop_map(Lifetime::Until),
    ];
    let answer = prop::sample::select(vec![Answer::Status, Answer::Previous, Answer::Flag]);
    let set = (a_key(), a_value(), condition, lifetime, answer).prop_map(
        |(key, value, condition, lifetime, answer)| Operation::Set {
            key: Text(key),
            value: Text(value),
            condition,
            lifetime,
            answer,
        },
    );
    let expire = (
        a_key(),
        a_deadline(),
        prop::sample::select(vec![
            ExpireCondition::Always,
            ExpireCondition::Absent,
            ExpireCondition::Present,
            ExpireCondition::Later,
            ExpireCondition::Sooner,
            ExpireCondition::PresentSooner,
        ]),
    )
        .prop_map(|(key, deadline, condition)| Operation::Expire {
            key: Text(key),
            deadline,
            condition,
        });
    let append = (a_key(), a_value()).prop_map(|(key, value)| Operation::Append {
        key: Text(key),
        value: Text(value),
    });
    let add = (a_key(), any::<i64>()).prop_map(|(key, by)| Operation::Add { key: Text(key), by });
    let all: Vec<Operation<'static>> = operations().into_iter().map(|(_, one)| one).collect();
    prop_oneof![
        4 => set,
        2 => expire,
        1 => append,
        1 => add,
        1 => a_key().prop_map(|key| Operation::Take { key: Text(key) }),
        1 => a_key().prop_map(|key| Operation::Persist { key: Text(key) }),
        4 => prop::sample::select(all),
    ]
}

/// A command and the time by which the clock of its submitter has moved.
fn a_command() -> impl Strategy<Value = (u64, Vec<u8>)> {
    let transaction = (
        prop::collection::vec((a_key(), 0..4u64), 0..2),
        prop::collection::vec(an_operation(), 0..5),
    )
        .prop_map(|(watched, operations)| Command::Transaction {
            watched: watched
                .into_iter()
                .map(|(key, at)| (Text(key), at))
                .collect(),
            operations,
        });
    let command = prop_oneof![
        6 => an_operation().prop_map(Command::One),
        2 => transaction,
        1 => Just(Command::Tick),
    ];
    (0..60u64, command).prop_map(|(step, command)| (step, encoded(1_000 + step, command)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn replicas_agree_and_a_restored_one_goes_on_like_the_others(
        before in prop::collection::vec(a_command(), 0..60),
        after in prop::collection::vec(a_command(), 0..30),
    ) {
        let (mut one, mut other) = (Store::default(), Store::default());
        let mut place = 0;
        for (_, command) in &before {
            place += 1;
            let digest = one.digest();
            let was = one.clone();
            prop_assert_eq!(apply(&mut one, place, command), apply(&mut other, place, command));
            prop_assert_eq!(one.digest(), other.digest());
            // A digest changes exactly when the state does.
            prop_assert_eq!(one == was, one.digest() == digest);
        }
        let bytes = snapshot(&one);
        prop_assert_eq!(&bytes, &snapshot(&other));
        let mut third = restored(&bytes).expect("a snapshot");
        prop_assert_eq!(&third, &one);
        // What was kept up by every change is what is summed up anew.
        prop_assert_eq!(third.digest(), one.digest());
        prop_assert_eq!((third.bytes(), third.mortal()), (one.bytes(), one.mortal()));
        let frozen = one.freeze();
        for (_, command) in &after {
            place += 1;
            prop_assert_eq!(apply(&mut one, place, command), apply(&mut third, place, command));
        }
        prop_assert_eq!(&third, &one);
        prop_assert_eq!(snapshot(&third), snapshot(&one));
        // What was frozen knows nothing of it, as often as it is written.
        for _ in 0..2 {
            let mut again = Vec::new();
            frozen.write(&mut |part| again.extend_from_slice(part));
            prop_assert_eq!(&again, &bytes);
        }
    }

    #[test]
    fn a_read_changes_nothing_and_tells_what_the_log_would(
        commands in prop::collection::vec(a_command(), 0..40),
        question in an_operation(),
    ) {
        let mut store = Store::default();
        for (place, (_, command)) in (1..).zip(&commands) {
            apply(&mut store, place, command);
        }
        let question = encoded(0, Command::One(question));
        let mut told = Vec::new();
        if store.read(&question, &mut told) == paxcast::service::Reading::Answered {
            prop_assert_eq!(apply(&mut store, 1_000, &question), told);
        }
    }

    #[test]
    fn any_bytes_are_a_command(
        commands in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
        valid in prop::collection::vec(a_command(), 0..10),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..10),
    ) {
        let mut store = Store::default();
        let mut place = 0;
        for command in &commands {
            place += 1;
            apply(&mut store, place, command);
        }
        // Nearly right is worse than nonsense.
        for (n, (_, command)) in valid.iter().enumerate() {
            let mut command = command.clone();
            if let Some((index, byte)) = flips.get(n) {
                let at = index.index(command.len());
                command[at] = *byte;
            }
            place += 1;
            apply(&mut store, place, &command);
        }
        prop_assert_eq!(restored(&snapshot(&store)), Ok(store));
    }

    #[test]
    fn any_bytes_with_a_good_checksum_are_a_snapshot_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..200),
        time: u64, born in prop_oneof![0..5u64, any::<u64>()],
        rows in prop::collection::vec((a_key(), any::<u64>(), any::<Option<NonZeroU64>>()), 0..4),
        raw: bool,
    ) {
        let mut bytes = b"paxcstkv\x01\x00".to_vec();
        if raw {
            bytes.extend_from_slice(&body);
        } else {
            bytes = postcard::to_extend(&(time, born, rows.len() as u64, vec![(3u32, 9u64)]), bytes).unwrap();
            for (key, birth, deadline) in &rows {
                let row = (Text(key), Text(b"value"), 7u64, birth, deadline);
                bytes = postcard::to_extend(&row, bytes).unwrap();
            }
        }
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        if let Ok(mut store) = restored(&bytes) {
            let pairs = vec![(Text(b"new"), Text(b"value"))];
            let absent = false;
            let set = Operation::SetMany { pairs, absent };
            apply(&mut store, 1, &encoded(u64::MAX / 2, Command::One(set)));
            for (_, operation) in operations() {
                apply(&mut store, 2, &encoded(5, Command::One(operation)));
            }
        }
    }
}

#[test]
fn a_command_of_a_million_bytes_is_bounded_in_what_it_costs() {
    let mut store = Store::default();
    let keys = vec![Text(b""); 500_000];
    let command = encoded(1, Command::One(Operation::Delete { keys: keys.clone() }));
    assert!(command.len() <= Limits::COMMAND);
    apply(&mut store, 1, &command);
    let command = encoded(1, Command::One(Operation::GetMany { keys }));
    let reply = apply(&mut store, 2, &command);
    assert!(reply.len() <= Limits::REPLY);
    let operations = vec![Operation::Count; 1_000_000];
    let watched = vec![];
    let command = encoded(
        1,
        Command::Transaction {
            watched,
            operations,
        },
    );
    assert!(command.len() <= Limits::COMMAND);
    let reply = apply(&mut store, 3, &command);
    let expected = Reply::Refused(Refusal::LongTransaction);
    assert_eq!(Reply::decode(&reply), Some(expected));
    let long = vec![0; Limits::COMMAND + 1];
    let reply = apply(&mut store, 4, &long);
    assert_eq!(
        Reply::decode(&reply),
        Some(Reply::Refused(Refusal::Malformed))
    );
}
