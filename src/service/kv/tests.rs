//! The store does what Redis would, within its limits, by the log's time.

use super::command::{
    Answer, Command, Condition, Deadline, ExpireCondition, Lifetime, Operation, Stamped, Unit,
};
use super::limits::Limits;
use super::reply::{Refusal, Reply};
use super::text::Text;
use super::{Place, Reading, StateMachine, Store};

/// A store, and where the log stands.
struct Rig {
    store: Store,
    place: Place,
    now: u64,
}

impl Rig {
    fn new(limits: Limits) -> Rig {
        Rig {
            store: Store::new(limits),
            place: Place::ZERO,
            now: 1_000_000,
        }
    }

    fn apply(&mut self, command: Command<'_>) -> String {
        let stamp = self.now;
        let mut bytes = Vec::new();
        Stamped { stamp, command }.encode_into(&mut bytes);
        self.place = self.place.next();
        let mut reply = Vec::new();
        self.store.apply(self.place, &bytes, &mut reply);
        show(&Reply::decode(&reply).expect("a reply"))
    }

    fn run(&mut self, operation: Operation<'_>) -> String {
        self.apply(Command::One(operation))
    }

    fn read(&self, operation: Operation<'_>) -> Option<String> {
        let command = Command::One(operation);
        let mut bytes = Vec::new();
        Stamped { stamp: 0, command }.encode_into(&mut bytes);
        let mut reply = Vec::new();
        match self.store.read(&bytes, &mut reply) {
            Reading::Answered => Some(show(&Reply::decode(&reply).expect("a reply"))),
            Reading::NeedsPlace => {
                assert!(reply.is_empty());
                None
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) -> String {
        self.run(set(key, value))
    }

    fn get(&mut self, key: &str) -> String {
        let key = key.into();
        self.run(Operation::Get { key })
    }

    fn keys(&mut self, pattern: &str) -> String {
        let pattern = pattern.into();
        self.run(Operation::Keys { pattern })
    }

    fn version(&mut self, key: &str) -> u64 {
        let keys = vec![key.into()];
        let told = self.run(Operation::Versions { keys });
        told.trim_matches(['[', ']']).parse().expect("a version")
    }
}

/// A reply as a test writes it.
fn show(reply: &Reply<'_>) -> String {
    match reply {
        Reply::Done => "OK".to_owned(),
        Reply::Nil => "nil".to_owned(),
        Reply::Aborted => "aborted".to_owned(),
        Reply::Integer(number) => number.to_string(),
        Reply::Cursor(number) => format!("cursor {number}"),
        Reply::Text(text) | Reply::Word(text) => String::from_utf8_lossy(text.0).into_owned(),
        Reply::List(replies) => {
            let replies: Vec<String> = replies.iter().map(show).collect();
            format!("[{}]", replies.join(" "))
        }
        Reply::Refused(refusal) => refusal.to_string(),
    }
}

fn set<'a>(key: &'a str, value: &'a str) -> Operation<'a> {
    Operation::Set {
        key: key.into(),
        value: value.into(),
        condition: Condition::Always,
        lifetime: Lifetime::Forever,
        answer: Answer::Status,
    }
}

fn mortal<'a>(key: &'a str, value: &'a str, milliseconds: i64) -> Operation<'a> {
    Operation::Set {
        key: key.into(),
        value: value.into(),
        condition: Condition::Always,
        lifetime: Lifetime::Until(Deadline::In(milliseconds)),
        answer: Answer::Status,
    }
}

fn expire(key: &str, deadline: Deadline, condition: ExpireCondition) -> Operation<'_> {
    Operation::Expire {
        key: key.into(),
        deadline,
        condition,
    }
}

fn left(key: &str) -> Operation<'_> {
    Operation::TimeToLive {
        key: key.into(),
        unit: Unit::Milliseconds,
    }
}

fn texts<'a>(keys: &[&'a str]) -> Vec<Text<'a>> {
    keys.iter().map(|key| Text::from(*key)).collect()
}

#[test]
fn values_are_set_under_conditions_and_the_reply_tells() {
    let mut rig = Rig::new(Limits::default());
    let with = |value, condition, answer| Operation::Set {
        key: "k".into(),
        value,
        condition,
        lifetime: Lifetime::Forever,
        answer,
    };
    let (one, two) = (Text(b"one"), Text(b"two"));
    assert_eq!(
        rig.run(with(one, Condition::Present, Answer::Status)),
        "nil"
    );
    assert_eq!(
        rig.run(with(one, Condition::Absent, Answer::Previous)),
        "nil"
    );
    assert_eq!(rig.get("k"), "one");
    assert_eq!(rig.run(with(two, Condition::Absent, Answer::Flag)), "0");
    assert_eq!(
        rig.run(with(two, Condition::Absent, Answer::Previous)),
        "one"
    );
    assert_eq!(rig.get("k"), "one");
    assert_eq!(
        rig.run(with(two, Condition::Present, Answer::Previous)),
        "one"
    );
    let key = "k".into();
    assert_eq!(rig.run(Operation::Take { key }), "two");
    assert_eq!(rig.run(Operation::Take { key }), "nil");
    assert_eq!(rig.run(with(one, Condition::Absent, Answer::Flag)), "1");
    assert_eq!(rig.run(Operation::Kind { key }), "string");
    assert_eq!(rig.run(Operation::Kind { key: "n".into() }), "none");
}

#[test]
fn numbers_are_added_and_what_is_none_is_refused() {
    let mut rig = Rig::new(Limits::default());
    let add = |by| Operation::Add {
        key: "n".into(),
        by,
    };
    assert_eq!(rig.run(add(5)), "5");
    assert_eq!(rig.run(add(-7)), "-2");
    assert_eq!(rig.get("n"), "-2");
    rig.set("n", &i64::MAX.to_string());
    assert_eq!(rig.run(add(1)), Refusal::Overflow.to_string());
    assert_eq!(rig.get("n"), i64::MAX.to_string());
    for value in ["", " 1", "1.5", "one", "9223372036854775808"] {
        rig.set("n", value);
        assert_eq!(rig.run(add(1)), Refusal::NotAnInteger.to_string());
        assert_eq!(rig.get("n"), value);
    }
}

#[test]
fn many_keys_are_set_and_read_and_taken_at_once() {
    let mut rig = Rig::new(Limits::default());
    let set = |absent| Operation::SetMany {
        pairs: vec![
            ("a".into(), "1".into()),
            ("b".into(), "2".into()),
            ("a".into(), "3".into()),
        ],
        absent,
    };
    assert_eq!(rig.run(set(true)), "1");
    assert_eq!(rig.run(set(true)), "0");
    assert_eq!(rig.run(set(false)), "OK");
    let keys = || texts(&["a", "none", "b", "a"]);
    assert_eq!(rig.run(Operation::GetMany { keys: keys() }), "[3 nil 2 3]");
    assert_eq!(rig.run(Operation::Exists { keys: keys() }), "3");
    assert_eq!(rig.run(Operation::Delete { keys: keys() }), "2");
    assert_eq!(rig.run(Operation::Count), "0");
    let append = || Operation::Append {
        key: "a".into(),
        value: "xy".into(),
    };
    assert_eq!(
        (rig.run(append()), rig.run(append())),
        ("2".into(), "4".into())
    );
    assert_eq!(rig.get("a"), "xyxy");
    assert_eq!(rig.run(Operation::Length { key: "a".into() }), "4");
    assert_eq!(rig.run(Operation::Flush), "OK");
    assert_eq!(rig.run(Operation::Length { key: "a".into() }), "0");
}

#[test]
fn a_key_ends_by_the_time_of_the_log() {
    let mut rig = Rig::new(Limits::default());
    rig.run(mortal("k", "v", 100));
    rig.now += 99;
    assert_eq!(rig.get("k"), "v");
    // A replica whose clock is behind does not turn the time back.
    rig.now -= 50;
    assert_eq!(rig.run(left("k")), "1");
    rig.now += 51;
    assert_eq!(rig.get("k"), "nil");
    assert_eq!(rig.run(left("k")), "-2");
    assert_eq!(rig.run(Operation::Count), "0");
    // Over before it begins: the key is gone at once.
    rig.set("k", "v");
    assert_eq!(rig.run(mortal("k", "v", 0)), "OK");
    assert_eq!(rig.get("k"), "nil");
    assert_eq!(
        rig.run(mortal("k", "v", i64::MAX)),
        Refusal::Lifetime.to_string()
    );
}

#[test]
fn a_time_to_live_is_kept_changed_and_taken_away() {
    let mut rig = Rig::new(Limits::default());
    rig.set("k", "v");
    assert_eq!(rig.run(left("k")), "-1");
    let always = ExpireCondition::Always;
    assert_eq!(rig.run(expire("none", Deadline::In(5), always)), "0");
    assert_eq!(rig.run(expire("k", Deadline::In(5000), always)), "1");
    let keep = Operation::Set {
        key: "k".into(),
        value: "w".into(),
        condition: Condition::Always,
        lifetime: Lifetime::Keep,
        answer: Answer::Status,
    };
    assert_eq!(rig.run(keep), "OK");
    assert_eq!(rig.run(left("k")), "5000");
    rig.run(Operation::Append {
        key: "k".into(),
        value: "x".into(),
    });
    assert_eq!(rig.run(left("k")), "5000");
    for (condition, milliseconds, done) in [
        (ExpireCondition::Absent, 100, "0"),
        (ExpireCondition::Later, 4000, "0"),
        (ExpireCondition::Later, 6000, "1"),
        (ExpireCondition::Sooner, 7000, "0"),
        (ExpireCondition::Present, 7000, "1"),
        (ExpireCondition::PresentSooner, 7000, "0"),
        (ExpireCondition::Sooner, 6999, "1"),
    ] {
        let asked = expire("k", Deadline::In(milliseconds), condition);
        assert_eq!(rig.run(asked), done, "{condition:?} {milliseconds}");
    }
    let key = "k".into();
    for (unit, told) in [
        (Unit::Milliseconds, 6999),
        (Unit::Seconds, 7),
        (Unit::EndMilliseconds, 1_006_999),
        (Unit::EndSeconds, 1_007),
    ] {
        assert_eq!(
            rig.run(Operation::TimeToLive { key, unit }),
            told.to_string()
        );
    }
    assert_eq!(rig.run(Operation::Persist { key }), "1");
    assert_eq!(rig.run(Operation::Persist { key }), "0");
    let later = expire("k", Deadline::In(9), ExpireCondition::Later);
    assert_eq!(
        rig.run(later),
        "0",
        "what lives for ever cannot live longer"
    );
    assert_eq!(rig.run(expire("k", Deadline::At(5), always)), "1");
    assert_eq!(rig.get("k"), "nil");
    rig.set("k", "v");
    rig.run(expire("k", Deadline::In(10), always));
    rig.set("k", "w");
    assert_eq!(rig.run(left("k")), "-1", "a new value lives for ever");
}

#[test]
fn keys_that_end_together_are_removed_a_few_at_a_time() {
    let mut rig = Rig::new(Limits::default());
    let count = 3 * Limits::SWEEP;
    for n in 0..count {
        rig.run(mortal(&n.to_string(), "v", 100));
    }
    rig.set("stays", "v");
    rig.now += 100;
    assert_eq!(rig.run(Operation::Count), "1");
    assert_eq!(rig.store.keys(), 1 + count - Limits::SWEEP);
    assert_eq!(rig.keys("*"), "[stays]");
    // One that is not removed yet can be created anew.
    rig.set(&(count - 1).to_string(), "new");
    assert_eq!(rig.get(&(count - 1).to_string()), "new");
    assert_eq!(rig.store.keys(), 2);
}

#[test]
fn a_leap_of_a_clock_ends_only_what_was_about_to_end() {
    let mut rig = Rig::new(Limits::default());
    rig.run(mortal("week", "v", 7 * 24 * 3600 * 1000));
    rig.now += 365 * 24 * 3600 * 1000;
    assert_eq!(rig.get("week"), "v");
}

#[test]
fn a_walk_tells_each_key_once() {
    let mut rig = Rig::new(Limits::default());
    for n in 0..25 {
        rig.set(&format!("key{n}"), "v");
    }
    let scan = |cursor, pattern: Option<&'static str>| Operation::Scan {
        cursor,
        pattern: pattern.map(Text::from),
        count: 10,
    };
    let mut told = Vec::new();
    let mut cursor = 0;
    for call in 0.. {
        let reply = rig.run(scan(cursor, None));
        let (next, keys) = reply.split_once(" [").expect("a cursor and keys");
        let keys = keys.trim_end_matches(']').split_whitespace();
        told.extend(keys.map(str::to_owned));
        cursor = next["[cursor ".len()..].parse().expect("a cursor");
        if cursor == 0 {
            assert_eq!(call, 2);
            break;
        }
        // What changes meanwhile does not make the walk start over.
        rig.set("key0", "changed");
        rig.set(&format!("new{call}"), "v");
    }
    let old: Vec<String> = (0..25).map(|n| format!("key{n}")).collect();
    assert_eq!(told[..25], old);
    assert_eq!(told[25..], ["new0", "new1"]);
    assert_eq!(rig.run(scan(0, Some("*4"))), "[cursor 11 [key4]]");
    assert_eq!(rig.run(scan(u64::MAX, None)), "[cursor 0 []]");
    assert_eq!(
        rig.keys("key?"),
        "[key0 key1 key2 key3 key4 key5 key6 key7 key8 key9]"
    );
}

#[test]
fn a_transaction_happens_as_one_or_not_at_all() {
    let mut rig = Rig::new(Limits::default());
    rig.set("balance", "10");
    let seen = rig.version("balance");
    let transaction = |watched| Command::Transaction {
        watched,
        operations: vec![
            Operation::Add {
                key: "balance".into(),
                by: -3,
            },
            Operation::Append {
                key: "balance".into(),
                value: "x".into(),
            },
            Operation::Add {
                key: "balance".into(),
                by: 1,
            },
            Operation::Get {
                key: "balance".into(),
            },
        ],
    };
    let none = rig.version("none");
    let watched = || vec![("none".into(), none), ("balance".into(), seen)];
    assert_eq!(
        rig.apply(transaction(watched())),
        "[7 2 ERR value is not an integer or out of range 7x]"
    );
    assert_eq!(rig.apply(transaction(watched())), "aborted");
    assert_eq!(rig.get("balance"), "7x");
    let mut others: Vec<_> = watched();
    others[1].1 = rig.version("balance");
    rig.set("none", "now there");
    assert_eq!(rig.apply(transaction(others)), "aborted");
}

#[test]
fn what_was_watched_and_ended_aborts() {
    let mut rig = Rig::new(Limits::default());
    rig.run(mortal("k", "v", 100));
    let watched = vec![("k".into(), rig.version("k"))];
    rig.now += 100;
    let operations = vec![Operation::Count];
    let transaction = Command::Transaction {
        watched,
        operations,
    };
    assert_eq!(rig.apply(transaction), "aborted");
}

#[test]
fn a_full_store_refuses_and_goes_on_when_there_is_room() {
    let mut rig = Rig::new(Limits {
        keys: 3,
        bytes: 1000 + 2 * Limits::OVERHEAD,
    });
    let full = Refusal::Full.to_string();
    rig.set("a", &"x".repeat(900));
    assert_eq!(rig.set("b", &"x".repeat(99)), full);
    assert_eq!(rig.set("b", "x"), "OK");
    assert_eq!(rig.set("b", &"x".repeat(300)), full);
    assert_eq!(rig.get("b"), "x");
    let append = Operation::Append {
        key: "b".into(),
        value: Text(&[0; 300]),
    };
    assert_eq!(rig.run(append), full);
    assert_eq!(rig.set("a", "less"), "OK");
    assert_eq!(rig.set("c", ""), "OK");
    assert_eq!(rig.set("d", ""), full);
    let pairs = vec![("b".into(), "y".into()), ("d".into(), "".into())];
    let absent = false;
    assert_eq!(rig.run(Operation::SetMany { pairs, absent }), full);
    assert_eq!(rig.get("b"), "x", "all or none");
    let keys = texts(&["c"]);
    assert_eq!(rig.run(Operation::Delete { keys }), "1");
    assert_eq!(rig.set("d", ""), "OK");
}

#[test]
fn what_is_too_long_is_refused() {
    let mut rig = Rig::new(Limits::default());
    let key = "k".repeat(Limits::KEY);
    let value = "v".repeat(Limits::VALUE);
    assert_eq!(rig.set(&key, &value), "OK");
    assert_eq!(
        rig.set(&(key.clone() + "k"), ""),
        Refusal::LongKey.to_string()
    );
    assert_eq!(
        rig.set("k", &(value.clone() + "v")),
        Refusal::LongValue.to_string()
    );
    let append = Operation::Append {
        key: Text(key.as_bytes()),
        value: "v".into(),
    };
    assert_eq!(rig.run(append), Refusal::LongValue.to_string());
    let keys = vec![Text(key.as_bytes()); 15];
    let long = Refusal::LongReply.to_string();
    assert!(rig.run(Operation::GetMany { keys }).len() > 14_000_000);
    // In a transaction the replies count together; what has no reply any more
    // but would lose a value is not done.
    rig.set("s", &value);
    let keys = vec!["s".into(); 18];
    assert_eq!(rig.run(Operation::GetMany { keys }), long);
    let key = "s".into();
    let mut operations = vec![Operation::Get { key }; 17];
    operations.push(Operation::Take { key });
    let watched = vec![];
    let told = rig.apply(Command::Transaction {
        watched,
        operations,
    });
    assert!(told.len() > 16_000_000 && told.len() < Limits::REPLY);
    let end = format!("{long}]");
    assert!(told.ends_with(&end), "{}", &told[told.len() - 200..]);
    assert_eq!(
        rig.run(Operation::Length { key }),
        Limits::VALUE.to_string()
    );
    let operations = vec![Operation::Count; Limits::TRANSACTION + 1];
    let watched = vec![];
    let told = rig.apply(Command::Transaction {
        watched,
        operations,
    });
    assert_eq!(told, Refusal::LongTransaction.to_string());
}

#[test]
fn a_search_from_hell_is_given_up() {
    let mut rig = Rig::new(Limits::default());
    for n in 0..100 {
        rig.set(&format!("{}{n}", "a".repeat(3000)), "");
    }
    let pattern = format!("*{}b", "a".repeat(1000));
    assert_eq!(rig.keys(&pattern), Refusal::LongSearch.to_string());
    let operations = vec![
        Operation::Keys {
            pattern: Text(pattern.as_bytes())
        };
        1000
    ];
    let told = rig.apply(Command::Transaction {
        watched: vec![],
        operations,
    });
    assert_eq!(told.matches(&Refusal::LongSearch.to_string()).count(), 1000);
}

#[test]
fn the_state_alone_answers_what_does_not_depend_on_the_time() {
    let mut rig = Rig::new(Limits::default());
    rig.set("k", "v");
    let get = |key: &'static str| Operation::Get { key: key.into() };
    assert_eq!(rig.read(get("k")), Some("v".to_owned()));
    assert_eq!(rig.read(get("none")), Some("nil".to_owned()));
    assert_eq!(rig.read(Operation::Count), Some("1".to_owned()));
    assert_eq!(rig.read(set("k", "w")), None);
    rig.run(mortal("m", "v", 100));
    assert_eq!(rig.read(get("m")), None);
    assert_eq!(rig.read(get("k")), Some("v".to_owned()));
    assert_eq!(rig.read(Operation::Count), None);
    let keys = texts(&["k", "m"]);
    assert_eq!(rig.read(Operation::GetMany { keys }), None);
}

#[test]
fn a_key_that_came_and_went_has_changed() {
    let mut rig = Rig::new(Limits::default());
    let never = rig.version("k");
    let gone = |rig: &mut Rig| {
        let keys = texts(&["k"]);
        rig.run(Operation::Delete { keys });
        rig.version("k")
    };
    rig.set("k", "v");
    let first = gone(&mut rig);
    rig.set("k", "v");
    let second = gone(&mut rig);
    // By its time, before and behind its removal.
    rig.run(mortal("k", "v", 100));
    let alive = rig.version("k");
    rig.now += 100;
    let over = rig.version("k");
    rig.set("k", "v");
    rig.run(Operation::Flush);
    let flushed = rig.version("k");
    let all = [never, first, second, alive, over, flushed];
    let distinct: std::collections::BTreeSet<u64> = all.into_iter().collect();
    assert_eq!(distinct.len(), all.len(), "{all:?}");
    // What merely stays away does not change.
    assert_eq!(rig.version("k"), flushed);
    // One transaction sets it for a moment and removes another: its end shows.
    let operations = vec![
        mortal("k", "v", 50),
        set("l", "w"),
        Operation::Delete {
            keys: texts(&["l"]),
        },
    ];
    rig.apply(Command::Transaction {
        watched: vec![],
        operations,
    });
    let alive = rig.version("k");
    rig.now += 50;
    assert_ne!(rig.version("k"), alive);
}
