//! What became of every operation: the record that a client of the measurement
//! writes, and the history that it is judged by.
//!
//! A record is a file with one operation a line, as JSON. Times are nanoseconds of
//! the machine's monotonic clock, which all processes of a machine share.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use crate::history::{self, Key, KeyCall, KeyReturn, Verdict, check_keys, draw};

/// Nanoseconds of the clock that all processes of this machine share.
pub fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        let nanoseconds = std::time::Duration::from(time).as_nanos();
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    })
}

/// An operation with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Who called it.
    pub client: u32,
    /// What was called.
    pub operation: Operation,
    /// When.
    pub called: u64,
    /// When its outcome was known, or was given up.
    pub ended: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A value was put.
    Done,
    /// A value was read.
    Value(Option<String>),
    /// Whether there was something to delete.
    Deleted(bool),
    /// It did not happen and will not; says why.
    Failed(String),
    /// It may have happened, or may still happen; says why.
    Unknown(String),
}

impl Outcome {
    /// Whether it happened and was answered.
    pub fn is_good(&self) -> bool {
        !matches!(self, Outcome::Failed(_) | Outcome::Unknown(_))
    }
}

/// Writes a record.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write(path: &Path, records: &[Recorded]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for record in records {
        serde_json::to_writer(&mut out, record)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads a record.
///
/// # Errors
///
/// When the file cannot be read, or a line of it is none of a record.
pub fn read(path: &Path) -> io::Result<Vec<Recorded>> {
    let lines = BufReader::new(File::open(path)?).lines();
    lines
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect()
}

/// What a history is, told for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Every key's operations could have happened one by one.
    Linearizable,
    /// There are too many orders to try.
    Undecided(String),
    /// They could not; the key, and a picture of where.
    Violated(String, String),
}

impl Judgement {
    /// The worse, the more.
    pub fn gravity(&self) -> u8 {
        match self {
            Judgement::Linearizable => 0,
            Judgement::Undecided(_) => 1,
            Judgement::Violated(..) => 2,
        }
    }

    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Judgement::Linearizable => "linearizable",
            Judgement::Undecided(_) => "undecided",
            Judgement::Violated(..) => "NOT LINEARIZABLE",
        }
    }
}

/// Judges what all clients of a run recorded, key by key. The keys held nothing
/// before.
pub fn judge(records: &[Recorded]) -> Judgement {
    let history = records.iter().filter_map(|record| {
        let operation = history(record)?;
        Some((record.operation.key(), operation))
    });
    match check_keys(&Key, history) {
        Ok(()) => Judgement::Linearizable,
        Err(wrong) => match &wrong.verdict {
            Verdict::Violated(window) => {
                Judgement::Violated(wrong.key.to_owned(), draw(&wrong.history, window))
            }
            _ => Judgement::Undecided(wrong.key.to_owned()),
        },
    }
}

/// The operation as the checker knows it; none where nothing happened.
fn history(record: &Recorded) -> Option<history::Operation<KeyCall, KeyReturn>> {
    let call = match &record.operation {
        Operation::Put(_, value) => KeyCall::Set(value.clone()),
        Operation::Get(_) => KeyCall::Get,
        Operation::Delete(_) => KeyCall::Delete,
    };
    let told = match &record.outcome {
        Outcome::Done => Some(KeyReturn::Done),
        Outcome::Value(value) => Some(KeyReturn::Value(value.clone())),
        Outcome::Deleted(whether) => Some(KeyReturn::Flag(*whether)),
        Outcome::Unknown(_) if call == KeyCall::Get => return None,
        Outcome::Unknown(_) => None,
        Outcome::Failed(_) => return None,
    };
    Some(history::Operation {
        client: record.client,
        call,
        called: record.called,
        returned: told.map(|told| (record.ended, told)),
    })
}

/// Why operations failed or have no outcome, each reason once.
pub fn reasons(records: &[Recorded]) -> BTreeSet<&str> {
    let reasons = records.iter().filter_map(|record| match &record.outcome {
        Outcome::Failed(why) | Outcome::Unknown(why) => Some(why.as_str()),
        _ => None,
    });
    reasons.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(client: u32, at: u64, operation: Operation, outcome: Outcome) -> Recorded {
        Recorded {
            client,
            operation,
            called: at,
            ended: at + 5,
            outcome,
        }
    }

    fn put(value: &str) -> Operation {
        Operation::Put("k".to_owned(), value.to_owned())
    }

    fn get() -> Operation {
        Operation::Get("k".to_owned())
    }

    #[test]
    fn a_record_comes_back_from_its_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("record");
        let all = [
            record(1, 1, put("ä\"\n"), Outcome::Done),
            record(1, 9, get(), Outcome::Value(None)),
            record(2, 3, get(), Outcome::Value(Some("ä\"\n".to_owned()))),
            record(2, 30, put("2"), Outcome::Unknown("it broke".to_owned())),
            record(2, 40, put("3"), Outcome::Failed("NOQUORUM".to_owned())),
            record(
                2,
                50,
                Operation::Delete("k".to_owned()),
                Outcome::Deleted(true),
            ),
        ];
        write(&path, &all).expect("it is written");
        assert_eq!(read(&path).expect("it is read"), all);
        assert_eq!(reasons(&all).len(), 2);
        std::fs::write(&path, "{}\n").expect("it is written");
        assert!(read(&path).is_err());
        assert!(now() > 0);
    }

    #[test]
    fn what_is_not_known_may_have_happened_and_what_failed_has_not() {
        let unknown = || Outcome::Unknown(String::new());
        let failed = || Outcome::Failed(String::new());
        let value = |value: &str| Outcome::Value(Some(value.to_owned()));
        let late = |outcome| {
            let first = record(1, 0, put("a"), Outcome::Done);
            let lost = record(2, 10, put("b"), outcome);
            move |seen: &str| {
                judge(&[
                    first.clone(),
                    lost.clone(),
                    record(1, 20, get(), value(seen)),
                ])
            }
        };
        for seen in ["a", "b"] {
            assert_eq!(late(unknown())(seen), Judgement::Linearizable);
        }
        assert_eq!(late(failed())("a"), Judgement::Linearizable);
        match late(failed())("b") {
            Judgement::Violated(key, picture) => {
                assert_eq!(key, "k");
                assert!(picture.contains("no order explains this"), "{picture}");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(late(unknown())("c"), Judgement::Violated(..)));
    }
}
