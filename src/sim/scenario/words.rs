//! The words of a scenario's line: bare ones, quoted ones, times.

use std::str::Chars;
use std::time::Duration;

use bytes::Bytes;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// As it stands.
    Bare(String),
    /// What stood between quotes.
    Quoted(Bytes),
}

/// The words of a line that are not yet read.
#[derive(Clone, Debug)]
pub struct Words {
    words: Vec<Word>,
    at: usize,
}

impl Words {
    /// Takes a line apart. A `#` outside quotes ends it.
    pub fn new(line: &str) -> Result<Words, String> {
        let mut words = Vec::new();
        let mut letters = line.chars();
        loop {
            letters = letters.as_str().trim_start().chars();
            let mut ahead = letters.clone();
            match ahead.next() {
                None | Some('#') => return Ok(Words { words, at: 0 }),
                Some('"') => {
                    words.push(Word::Quoted(quoted(&mut ahead)?));
                    letters = ahead;
                }
                // Some instances are named with the sign that begins a remark.
                Some(_) => {
                    let rest = letters.as_str();
                    let end = rest.find([' ', '\t', '"']).unwrap_or(rest.len());
                    words.push(Word::Bare(rest[..end].into()));
                    letters = rest[end..].chars();
                }
            }
        }
    }

    /// The next word, left where it is.
    pub fn peek(&self) -> Option<&str> {
        match self.words.get(self.at)? {
            Word::Bare(word) => Some(word),
            Word::Quoted(_) => None,
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.at == self.words.len()
    }

    /// Takes the next word if it is this one.
    pub fn take(&mut self, word: &str) -> bool {
        let is = self.peek() == Some(word);
        self.at += usize::from(is);
        is
    }

    /// The next word, which must be this one.
    pub fn demand(&mut self, word: &str) -> Result<(), String> {
        match self.take(word) {
            true => Ok(()),
            false => Err(format!("expected {word:?}, found {}", self.found())),
        }
    }

    /// The next word, which is to be `what`.
    pub fn word(&mut self, what: &str) -> Result<&str, String> {
        let Some(Word::Bare(_)) = self.words.get(self.at) else {
            return Err(format!("expected {what}, found {}", self.found()));
        };
        self.at += 1;
        Ok(self.peek_back())
    }

    fn peek_back(&self) -> &str {
        match &self.words[self.at - 1] {
            Word::Bare(word) => word,
            Word::Quoted(_) => "",
        }
    }

    /// The next word, read as something.
    pub fn read<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.word(what)?;
        word.parse()
            .map_err(|_| format!("expected {what}, found {word:?}"))
    }

    /// The next word, read as something if it can be.
    pub fn read_if<T: std::str::FromStr>(&mut self) -> Option<T> {
        let value = self.peek()?.parse().ok()?;
        self.at += 1;
        Some(value)
    }

    /// The next word, a time.
    pub fn duration(&mut self) -> Result<Duration, String> {
        duration(self.word("a time, as in 20ms")?)
    }

    /// The quoted text that comes next.
    pub fn quoted(&mut self) -> Option<Bytes> {
        let Some(Word::Quoted(text)) = self.words.get(self.at) else {
            return None;
        };
        let text = text.clone();
        self.at += 1;
        Some(text)
    }

    /// The bare words that are left, as they stood but for the spaces.
    pub fn rest(&mut self) -> String {
        let rest: Vec<String> = self.words[self.at..]
            .iter()
            .map(|word| match word {
                Word::Bare(word) => word.clone(),
                Word::Quoted(text) => text.escape_ascii().to_string(),
            })
            .collect();
        self.at = self.words.len();
        rest.join(" ")
    }

    /// The line must be over.
    pub fn end(&self) -> Result<(), String> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(format!("nothing can follow here, found {}", self.found())),
        }
    }

    /// The next word as a complaint names it.
    pub fn found(&self) -> String {
        match self.words.get(self.at) {
            None => "the end of the line".into(),
            Some(Word::Bare(word)) => format!("{word:?}"),
            Some(Word::Quoted(text)) => format!("the text \"{}\"", text.escape_ascii()),
        }
    }
}

/// What stands before the closing quote.
fn quoted(letters: &mut Chars<'_>) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4];
    loop {
        match letters.next().ok_or("a text without its closing quote")? {
            '"' => return Ok(bytes.into()),
            '\\' => match letters.next() {
                Some('n') => bytes.push(b'\n'),
                Some('r') => bytes.push(b'\r'),
                Some('t') => bytes.push(b'\t'),
                Some('x') => {
                    let digits: String = letters.by_ref().take(2).collect();
                    let byte = u8::from_str_radix(&digits, 16)
                        .map_err(|_| format!("\\x needs two hexadecimal digits, not {digits:?}"))?;
                    bytes.push(byte);
                }
                Some(other) => bytes.extend(other.encode_utf8(&mut buffer).bytes()),
                None => return Err("a text without its closing quote".into()),
            },
            other => bytes.extend(other.encode_utf8(&mut buffer).bytes()),
        }
    }
}

/// A time: a number and its unit.
pub fn duration(word: &str) -> Result<Duration, String> {
    let wrong = || format!("{word:?} is no time: a number and its unit, as in 20ms or 1.5s");
    let digits = word
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .ok_or_else(wrong)?;
    let (number, unit) = word.split_at(digits);
    let unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(wrong()),
    };
    // By hand: a floating-point number would not keep nanoseconds exact.
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let mut nanos = whole.checked_mul(unit).ok_or_else(wrong)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        let digit = u64::from(digit).checked_sub(u64::from(b'0'));
        place /= 10;
        let digit = digit.filter(|&digit| digit < 10).ok_or_else(wrong)?;
        nanos = nanos.checked_add(digit * place).ok_or_else(wrong)?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// A share: `5%` or `0.05`.
pub fn share(word: &str) -> Result<f64, String> {
    let wrong = || format!("{word:?} is no share, as in 5%");
    let value = match word.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map_err(|_| wrong())? / 100.0,
        None => word.parse().map_err(|_| wrong())?,
    };
    match (0.0..=1.0).contains(&value) {
        true => Ok(value),
        false => Err(format!("{word:?} is no share: it lies between 0% and 100%")),
    }
}

/// A time or two: `20ms`, `0s..1s`.
pub fn range(word: &str) -> Result<(Duration, Duration), String> {
    let (from, through) = word.split_once("..").unwrap_or((word, word));
    let (from, through) = (duration(from)?, duration(through)?);
    match from <= through {
        true => Ok((from, through)),
        false => Err(format!("{word:?} ends before it begins")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_words() {
        let mut words = Words::new(r#" submit c1 "a \"b\"\x00" "é"  20ms # and so on"#).unwrap();
        assert!(words.take("submit") && !words.take("submit"));
        assert_eq!(words.word("a name"), Ok("c1"));
        assert_eq!(words.quoted().unwrap(), &b"a \"b\"\0"[..]);
        assert_eq!(words.quoted().unwrap(), "é");
        assert_eq!(words.duration(), Ok(Duration::from_millis(20)));
        assert!(words.is_empty() && words.end().is_ok());
        assert!(Words::new("\"open").is_err() && Words::new("\"\\x9").is_err());
        let mut words = Words::new("expect no-op at #5").unwrap();
        words.rest();
        assert!(words.is_empty());
    }

    #[test]
    fn times_are_read_to_the_nanosecond() {
        for nanos in [0, 1, 999, 1_001, 1_234_567_891, 86_400_000_000_001] {
            let time = Duration::from_nanos(nanos);
            assert_eq!(duration(&format!("{time:?}")), Ok(time));
        }
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3_600)));
        for wrong in [
            "",
            "5",
            "ms",
            "1.2.3s",
            "-1s",
            "1d",
            "99999999999h",
            "18446744073.9s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            range("0s..1s"),
            Ok((Duration::ZERO, Duration::from_secs(1)))
        );
        assert!(range("2s..1s").is_err());
        assert_eq!(share("5%"), Ok(0.05));
        assert!(share("105%").is_err() && share("x").is_err());
    }
}
