//! Takes a file apart line by line and keeps account of what is wrong with it.

use std::collections::BTreeMap;

use super::error::{Complaint, ConfigError, MOST_COMPLAINTS};
use super::explain::Origin;
use super::key::Key;
use super::word::Word;

/// The lines of one file by key, and the complaints so far.
///
/// A mistake never ends the reading: whoever asks for a value gets the default
/// in its place, and [`Reader::finish`] tells in the end.
pub(super) struct Reader {
    file: String,
    lines: BTreeMap<Key, Line>,
    /// Keys that some unknown word was probably meant to be; to call them
    /// missing as well would only confuse.
    suspected: Vec<Key>,
    complaints: Vec<Complaint>,
}

struct Line {
    number: usize,
    values: Vec<Word>,
}

impl Reader {
    /// Cuts the file into lines and words and sorts them by key.
    pub(super) fn new(file: &str, bytes: &[u8]) -> Reader {
        let mut reader = Reader {
            file: file.to_owned(),
            lines: BTreeMap::new(),
            suspected: Vec::new(),
            complaints: Vec::new(),
        };
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            reader.complain(
                Some(1),
                "the file is UTF-16: save it as UTF-8 text".to_owned(),
            );
            reader.suspected.extend(Key::ALL);
            return reader;
        }
        // Some editors begin every UTF-8 file with a byte order mark.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            reader.read_line(index + 1, line);
            if reader.complaints.len() == MOST_COMPLAINTS {
                // What was not read is not missing.
                reader.suspected.extend(Key::ALL);
                break;
            }
        }
        reader
    }

    /// The value of a key that takes `N` words.
    pub(super) fn value<const N: usize, T>(
        &mut self,
        key: Key,
        default: T,
        read: impl FnOnce([&Word; N]) -> Result<T, String>,
    ) -> T {
        self.values(key, default, |words| {
            let refs: Vec<&Word> = words.iter().collect();
            let found = refs.len();
            let words = refs.try_into().map_err(|_| {
                let plural = if N == 1 { "value" } else { "values" };
                format!(
                    "takes {N} {plural} and has {found}: write for example \"{key} {}\"",
                    key.example()
                )
            })?;
            read(words)
        })
    }

    /// The value of a key that takes at least one word.
    pub(super) fn values<T>(
        &mut self,
        key: Key,
        default: T,
        read: impl FnOnce(&[Word]) -> Result<T, String>,
    ) -> T {
        let Some(line) = self.lines.get(&key) else {
            return default;
        };
        let value = if line.values.is_empty() {
            Err(format!(
                "has no value: write for example \"{key} {}\"",
                key.example()
            ))
        } else {
            read(&line.values)
        };
        let number = line.number;
        value.unwrap_or_else(|what| {
            self.complain(Some(number), format!("{key}: {what}"));
            default
        })
    }

    /// The value of a key that must not be missing.
    pub(super) fn required<const N: usize, T>(
        &mut self,
        key: Key,
        default: T,
        read: impl FnOnce([&Word; N]) -> Result<T, String>,
    ) -> T {
        if !self.lines.contains_key(&key) && !self.suspected.contains(&key) {
            self.complain(
                None,
                format!("no {key} line: add for example \"{key} {}\"", key.example()),
            );
        }
        self.value(key, default, read)
    }

    /// Refuses a file that has both of two keys that say the same.
    pub(super) fn refuse_both(&mut self, one: Key, other: Key) {
        if let Some([(_, first), (key, second)]) = self.in_order(one, other) {
            let rival = if key == one { other } else { one };
            self.complain(
                Some(second),
                format!("{key} says again what {rival} in line {first} says: keep one of them"),
            );
        }
    }

    /// Refuses two keys that have one value where each needs its own.
    pub(super) fn refuse_clash(&mut self, one: Key, other: Key, value: &str) {
        if let Some([(rival, first), (key, second)]) = self.in_order(one, other) {
            self.complain(
                Some(second),
                format!("{key} and {rival} (line {first}) share {value}: give each its own port"),
            );
        }
    }

    /// Where each value comes from that the file gives.
    pub(super) fn origins(&self) -> BTreeMap<Key, Origin> {
        let origin = |(key, line): (&Key, &Line)| (*key, Origin::Line(line.number));
        self.lines.iter().map(origin).collect()
    }

    /// Ends with the complaints, if there are any.
    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        if self.complaints.is_empty() {
            return Ok(());
        }
        // By line; what is missing altogether comes last.
        self.complaints
            .sort_by_key(|complaint| complaint.line.unwrap_or(usize::MAX));
        Err(ConfigError::Invalid(self.complaints))
    }

    fn read_line(&mut self, number: usize, line: &[u8]) {
        let mut words = match Word::split(line) {
            Ok(words) => words,
            Err(what) => return self.complain(Some(number), what),
        };
        if words.is_empty() {
            return;
        }
        let name = words.remove(0);
        let Some(key) = Key::find(&name.lossy()) else {
            return self.refuse_unknown(number, &name, &words);
        };
        if let Some(first) = self.lines.get(&key) {
            let first = first.number;
            return self.complain(
                Some(number),
                format!("{key} is given again, first in line {first}: keep one of the two lines"),
            );
        }
        let values = words;
        self.lines.insert(key, Line { number, values });
    }

    fn refuse_unknown(&mut self, number: usize, name: &Word, values: &[Word]) {
        let text = name.lossy();
        let before_equals = text.split('=').next().unwrap_or_default();
        let what = if let Some(key) = Key::nearest(before_equals) {
            self.suspected.push(key);
            if text.contains('=') && key.name() == before_equals {
                format!(
                    "{name} has an equals sign: write for example \"{key} {}\"",
                    key.example()
                )
            } else {
                format!("unknown key {name}, did you mean \"{key}\"?")
            }
        } else if values.is_empty() {
            format!("{name} is no key: write one key and its values on each line")
        } else {
            let keys = Key::ALL.map(Key::name).join(" ");
            format!("unknown key {name}: there are {keys}")
        };
        self.complain(Some(number), what);
    }

    /// Two keys with their lines in the order of the lines, if the file has both.
    fn in_order(&self, one: Key, other: Key) -> Option<[(Key, usize); 2]> {
        let line = |key| Some((key, self.lines.get(&key)?.number));
        let mut both = [line(one)?, line(other)?];
        both.sort_by_key(|&(_, line)| line);
        Some(both)
    }

    fn complain(&mut self, line: Option<usize>, what: String) {
        self.complaints.push(Complaint {
            file: self.file.clone(),
            line,
            what,
        });
    }
}
