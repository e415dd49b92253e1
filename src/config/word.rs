//! One line of the file as words.
//!
//! A word is a run of characters between white space, or anything between
//! double quotes. Words are bytes rather than text because a path may be any
//! bytes, and what is printed must read back.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::Chars;

/// One word of a line; as `Display` it is quoted, escaped and cut for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word(Vec<u8>);

impl Word {
    /// Cuts a line, which has no line feed in it, into words; a comment ends it.
    pub(super) fn split(line: &[u8]) -> Result<Vec<Word>, String> {
        let (text, odd) = match std::str::from_utf8(line) {
            Ok(text) => (text, None),
            Err(error) => {
                let (text, rest) = line.split_at(error.valid_up_to());
                (std::str::from_utf8(text).unwrap_or_default(), rest.first())
            }
        };
        let refused = odd.map(|byte| {
            let column = text.chars().count() + 1;
            format!(
                "byte 0x{byte:02x} in column {column} is not UTF-8: save the file as UTF-8 text"
            )
        });
        match (words(text), refused) {
            // Whatever stands in a comment, in any encoding, is nobody's concern.
            (Ok((words, Ending::Comment)), _) | (Ok((words, _)), None) => Ok(words),
            (_, Some(refused)) | (Err(refused), None) => Err(refused),
        }
    }

    /// The word as text.
    pub(super) fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.0).map_err(|_| format!("{self} is not UTF-8 text"))
    }

    /// The word as text with a mark in the place of what is not; enough
    /// wherever such a mark is refused anyway.
    pub(super) fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The word as the path of a file.
    pub(super) fn path(&self) -> Result<&Path, String> {
        if self.0.is_empty() || self.0.contains(&0) {
            return Err(format!("{self} cannot be a path: name a directory"));
        }
        Ok(Path::new(OsStr::from_bytes(&self.0)))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        let text = self.lossy();
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{:?}…", &text[..end]),
            None => write!(f, "{text:?}"),
        }
    }
}

/// Writes bytes as one word that [`Word::split`] reads back, in quotes if need be.
pub(super) fn quote(bytes: &[u8]) -> String {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '#' | '\\');
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.is_empty()
        && text.chars().all(plain)
    {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if plain(c) || matches!(c, ' ' | '#') {
                quoted.push(c);
            } else if matches!(c, '"' | '\\') {
                quoted.extend(['\\', c]);
            } else {
                let mut buffer = [0; 4];
                quoted.extend(c.encode_utf8(&mut buffer).bytes().map(escape));
            }
        }
        quoted.extend(chunk.invalid().iter().copied().map(escape));
    }
    quoted.push('"');
    quoted
}

fn escape(byte: u8) -> String {
    format!("\\x{byte:02x}")
}

enum Ending {
    Line,
    Comment,
}

fn words(text: &str) -> Result<(Vec<Word>, Ending), String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '#' {
            return Ok((words, Ending::Comment));
        }
        let word = if first == '"' {
            let mut chars = rest[1..].chars();
            let word = unquote(&mut chars)?;
            rest = chars.as_str();
            if rest.starts_with(|c: char| !c.is_whitespace() && c != '#') {
                return Err(format!(
                    "put white space behind the closing quote of {word}"
                ));
            }
            word
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || c == '#')
                .unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            rest = behind;
            Word(word.as_bytes().to_vec())
        };
        words.push(word);
        rest = rest.trim_start();
    }
    Ok((words, Ending::Line))
}

/// Reads up to the closing quote and takes it.
fn unquote(chars: &mut Chars<'_>) -> Result<Word, String> {
    let mut bytes = Vec::new();
    loop {
        let c = chars.next();
        match c {
            Some('"') => return Ok(Word(bytes)),
            Some('\\') => bytes.push(unescape(chars)?),
            Some(c) => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            None => return Err("a quote is not closed: end the value with \"".to_owned()),
        }
    }
}

fn unescape(chars: &mut Chars<'_>) -> Result<u8, String> {
    let escaped = match chars.next() {
        Some(c @ ('"' | '\\')) => return Ok(c as u8),
        Some('x') => chars
            .as_str()
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
        _ => None,
    };
    let Some(byte) = escaped else {
        return Err(
            r#"in quotes, \ stands before \, " or x and two hexadecimal digits"#.to_owned(),
        );
    };
    chars.nth(1);
    Ok(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        let words = Word::split(line.as_bytes()).unwrap();
        words.iter().map(Word::lossy).collect()
    }

    #[test]
    fn any_white_space_separates() {
        assert_eq!(
            split("\t clients\u{a0}239.0.0.1 \x0b\x0c 5000 \r"),
            ["clients", "239.0.0.1", "5000"]
        );
        assert_eq!(split(" \t\r"), [""; 0]);
    }

    #[test]
    fn a_comment_ends_the_line() {
        assert_eq!(split("# timeout 1"), [""; 0]);
        assert_eq!(split("timeout 1# two"), ["timeout", "1"]);
        assert_eq!(split(r##"data "a # b"# c"##), ["data", "a # b"]);
    }

    #[test]
    fn quotes_hold_anything() {
        assert_eq!(split(r#"data "a b\"\\\x41""#), ["data", "a b\"\\A"]);
        assert_eq!(split(r#"data """#), ["data", ""]);
        assert_eq!(split(r#"a\b c"d"#), [r"a\b", "c\"d"]);
    }

    #[test]
    fn broken_quotes_are_refused() {
        for (line, part) in [
            ("data \"a b", "not closed"),
            (r#"data "a\n""#, "hexadecimal"),
            (r#"data "a\x4""#, "hexadecimal"),
            (r#"data "\x+1""#, "hexadecimal"),
            (r#"data "\"#, "hexadecimal"),
            (r#"data "a"b"#, "behind the closing quote"),
        ] {
            let what = Word::split(line.as_bytes()).unwrap_err();
            assert!(what.contains(part), "{line}: {what}");
        }
    }

    #[test]
    fn foreign_bytes_pass_only_in_comments() {
        let words = Word::split(b"timeout 0 # f\xfcr").unwrap();
        assert_eq!(words.len(), 2);
        let what = Word::split(b"cluster f\xfcr # comment").unwrap_err();
        assert!(what.contains("byte 0xfc in column 10"), "{what}");
        let what = Word::split(b"data \"f\xfcr\"").unwrap_err();
        assert!(what.contains("byte 0xfc"), "{what}");
    }

    #[test]
    fn messages_show_words_cut_and_escaped() {
        assert_eq!(Word(b"a\x1b[1m".to_vec()).to_string(), r#""a\u{1b}[1m""#);
        assert!(Word(vec![b'x'; 5000]).to_string().len() < 80);
    }

    proptest::proptest! {
        #[test]
        fn what_is_quoted_reads_back(bytes: Vec<u8>) {
            let words = Word::split(quote(&bytes).as_bytes()).unwrap();
            proptest::prop_assert_eq!(words, [Word(bytes)]);
        }
    }
}
