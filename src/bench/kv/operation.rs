//! What the clients of the measurement do: operations, read from a file or drawn.

use std::fmt;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// Something that a client does with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Gives the key a value.
    Put(String, String),
    /// Asks for its value.
    Get(String),
    /// Takes its value away.
    Delete(String),
}

impl Operation {
    /// The key.
    pub fn key(&self) -> &str {
        match self {
            Operation::Put(key, _) | Operation::Get(key) | Operation::Delete(key) => key,
        }
    }

    /// The same with another beginning of its key.
    #[must_use]
    pub fn below(self, prefix: &str) -> Operation {
        let below = |key: String| format!("{prefix}{key}");
        match self {
            Operation::Put(key, value) => Operation::Put(below(key), value),
            Operation::Get(key) => Operation::Get(below(key)),
            Operation::Delete(key) => Operation::Delete(below(key)),
        }
    }

    /// Writes the request for it behind what is there, as RESP has it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut words = |words: &[&str]| {
            out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                out.extend_from_slice(word.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        };
        match self {
            Operation::Put(key, value) => words(&["SET", key, value]),
            Operation::Get(key) => words(&["GET", key]),
            Operation::Delete(key) => words(&["DEL", key]),
        }
    }
}

/// A line that is no operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.why)
    }
}

/// Reads `PUT,key,value`, `GET,key` and `DELETE,key`, one a line. A value is the
/// rest of its line, commas and all; blank lines count for nothing, and lines may
/// end as they do on any system. What is malformed is left out, and told.
pub fn read(text: &[u8]) -> (Vec<Operation>, Vec<Malformed>) {
    let mut operations = Vec::new();
    let mut malformed = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match read_line(line) {
            Ok(operation) => operations.push(operation),
            Err(why) => malformed.push(Malformed {
                line: index + 1,
                why,
            }),
        }
    }
    (operations, malformed)
}

fn read_line(line: &[u8]) -> Result<Operation, String> {
    let line = str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut fields = line.splitn(3, ',');
    let word = fields.next().unwrap_or_default().trim();
    let key = fields.next().map(|key| key.trim().to_owned());
    let key = key.filter(|key| !key.is_empty());
    let rest = fields.next();
    let what = word.to_ascii_uppercase();
    match (what.as_str(), key, rest) {
        ("PUT", Some(key), Some(value)) => Ok(Operation::Put(key, value.to_owned())),
        ("GET", Some(key), None) => Ok(Operation::Get(key)),
        ("DELETE", Some(key), None) => Ok(Operation::Delete(key)),
        ("PUT", Some(_), None) => Err("PUT has no value; PUT,key,value is wanted".to_owned()),
        ("PUT" | "GET" | "DELETE", None, _) => Err(format!("{what} has no key")),
        ("GET" | "DELETE", Some(_), Some(_)) => {
            Err(format!("{what} has more than a key; {what},key is wanted"))
        }
        _ => {
            let word: String = word.chars().take(20).collect();
            Err(format!("{word:?} is none of PUT, GET and DELETE"))
        }
    }
}

/// What operations are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// So many keys, each as likely as another.
    pub keys: u64,
    /// Bytes of a value.
    pub size: usize,
    /// The part of all operations that only read.
    pub reads: f64,
    /// The part that deletes.
    pub deletes: f64,
}

impl Default for Mix {
    fn default() -> Mix {
        Mix {
            keys: 1000,
            size: 64,
            reads: 0.5,
            deletes: 0.1,
        }
    }
}

/// Operations without an end, drawn from a seed: the same for the same seed.
/// Values are all different, so that it can be told who wrote what was read.
#[derive(Clone, Debug)]
pub struct Drawn {
    mix: Mix,
    name: String,
    count: u64,
    rng: Xoshiro256PlusPlus,
}

impl Drawn {
    /// Of a client of this name.
    pub fn new(mix: Mix, client: u32, seed: u64) -> Drawn {
        Drawn {
            mix,
            name: format!("{client}."),
            count: 0,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed ^ u64::from(client) << 32),
        }
    }
}

impl Iterator for Drawn {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        let key = format!("key{}", self.rng.random_range(0..self.mix.keys.max(1)));
        let kind: f64 = self.rng.random();
        self.count += 1;
        Some(if kind < self.mix.reads {
            Operation::Get(key)
        } else if kind < self.mix.reads + self.mix.deletes {
            Operation::Delete(key)
        } else {
            let mut value = format!("{}{}.", self.name, self.count);
            let missing = self.mix.size.saturating_sub(value.len());
            value.extend(std::iter::repeat_n('x', missing));
            Operation::Put(key, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(key: &str, value: &str) -> Operation {
        Operation::Put(key.to_owned(), value.to_owned())
    }

    #[test]
    fn lines_are_operations_and_what_is_none_is_told_with_its_number() {
        let text = b"PUT,a,1\r\n\r\nget, a\nPUT,a\n   \nDELETE,b\nGET,\nMOVE,a,b\nPUT,c,x,y, \nGET,a,b\nPUT,e,\n\xff\nDELETE";
        let (operations, malformed) = read(text);
        assert_eq!(
            operations,
            [
                put("a", "1"),
                Operation::Get("a".to_owned()),
                Operation::Delete("b".to_owned()),
                put("c", "x,y, "),
                put("e", ""),
            ]
        );
        let told: Vec<String> = malformed.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "4: PUT has no value; PUT,key,value is wanted",
                "7: GET has no key",
                "8: \"MOVE\" is none of PUT, GET and DELETE",
                "10: GET has more than a key; GET,key is wanted",
                "12: it is not UTF-8",
                "13: DELETE has no key",
            ]
        );
        assert_eq!(read(b""), (vec![], vec![]));
    }

    proptest! {
        #[test]
        fn every_line_is_an_operation_or_malformed_or_blank(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (operations, malformed) = read(&text);
            let lines = text.split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count();
            prop_assert_eq!(operations.len() + malformed.len(), lines);
        }

        #[test]
        fn what_is_written_is_read(keys in proptest::collection::vec("[a-z0-9]{1,9}", 0..50), value in "[ -~]{0,20}") {
            let text: String = keys.iter().map(|key| format!("PUT,{key},{value}\n")).collect();
            let (operations, malformed) = read(text.as_bytes());
            prop_assert!(malformed.is_empty());
            let expected: Vec<Operation> = keys.iter().map(|key| put(key, &value)).collect();
            prop_assert_eq!(operations, expected);
        }
    }

    #[test]
    fn a_seed_draws_the_same_again_and_no_value_comes_twice() {
        let mix = Mix {
            keys: 10,
            size: 20,
            reads: 0.4,
            deletes: 0.2,
        };
        let draw = |client, seed| Drawn::new(mix.clone(), client, seed).take(10_000);
        assert!(draw(1, 7).eq(draw(1, 7)));
        assert!(!draw(1, 7).eq(draw(1, 8)));
        let mut values: Vec<String> = draw(1, 7)
            .chain(draw(2, 7))
            .filter_map(|operation| match operation {
                Operation::Put(_, value) => Some(value),
                _ => None,
            })
            .collect();
        let count = values.len();
        assert!((7_500..8_500).contains(&count), "{count} of 20,000");
        assert!(values.iter().all(|value| value.len() == 20));
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), count);
        let deletes = draw(1, 7).filter(|one| matches!(one, Operation::Delete(_)));
        let deletes = deletes.count();
        assert!((1_800..2_200).contains(&deletes), "{deletes} of 10,000");
    }

    #[test]
    fn requests_count_bytes() {
        let mut out = Vec::new();
        put("k", "ä").below("p-").write(&mut out);
        Operation::Get("k".to_owned()).write(&mut out);
        Operation::Delete("k".to_owned()).write(&mut out);
        let expected = "*3\r\n$3\r\nSET\r\n$3\r\np-k\r\n$2\r\nä\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n";
        assert_eq!(String::from_utf8(out), Ok(expected.to_owned()));
    }
}
