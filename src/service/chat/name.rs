//! Names and texts: which there are, which are the same, and what is made harmless.
//!
//! What somebody typed is shown to others on lines of a protocol, so nothing that
//! would end a line, or a word of it, may get through here, whoever wrote the command.

use std::borrow::Borrow;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// A folded name that many share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Folded(Arc<str>);

impl From<String> for Folded {
    fn from(folded: String) -> Folded {
        Folded(folded.into())
    }
}

impl From<Folded> for String {
    fn from(folded: Folded) -> String {
        folded.0.to_string()
    }
}

impl Borrow<str> for Folded {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for Folded {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The name by which two are told to be the same: letters of ASCII are alike in both
/// cases, and no others (`CASEMAPPING=ascii`).
pub fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Whether it is a nick: a letter or one of ``[]\`_^{|}`` first, then digits and
/// hyphens, too.
pub fn is_nick(text: &str) -> bool {
    let begins = |byte: u8| byte.is_ascii_alphabetic() || b"[]\\`_^{|}".contains(&byte);
    match text.as_bytes() {
        [first, rest @ ..] => {
            begins(*first)
                && text.len() <= Limits::NICK
                && rest
                    .iter()
                    .all(|byte| begins(*byte) || byte.is_ascii_digit() || *byte == b'-')
        }
        [] => false,
    }
}

/// Whether it is a channel's name: a `#`, then at least one character, none of which
/// ends a word or a list.
pub fn is_channel(text: &str) -> bool {
    let ends = |letter: char| breaks(letter) || letter == ',' || letter == ':';
    text.starts_with('#') && (2..=Limits::CHANNEL).contains(&text.len()) && !text.contains(ends)
}

/// Whether it is the key of a channel.
pub fn is_key(text: &str) -> bool {
    (1..=Limits::KEY).contains(&text.len())
        && !text.starts_with(':')
        && !text.contains(|letter: char| breaks(letter) || letter == ',')
}

/// Whether it is the name of an account.
pub fn is_account(text: &str) -> bool {
    (1..=Limits::ACCOUNT).contains(&text.len()) && !text.starts_with(':') && !text.contains(breaks)
}

/// Whether a word of a line ends there, or is not seen for what it is.
fn breaks(letter: char) -> bool {
    letter.is_control() || letter.is_whitespace()
}

/// What is left of a text within so many bytes, in whole characters.
pub fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A text of at most so many bytes in which no line ends.
pub fn line(text: &str, limit: usize) -> String {
    cut(text, limit).replace(['\r', '\n', '\0'], " ")
}

/// A word that can stand anywhere on a line, and is never empty: a name as it is told
/// to somebody who typed it, whether it is one or not.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 64;
    let word = cut(text, LONGEST).replace(breaks, "?");
    match word.as_bytes() {
        [] => "*".to_owned(),
        [b':', ..] => word.replacen(':', "?", 1),
        _ => word,
    }
}

/// A user name or a host: a word without what divides `nick!user@host`, never empty.
pub fn part(text: &str, limit: usize) -> String {
    let divides = |letter: char| breaks(letter) || matches!(letter, '!' | '@' | ',');
    let word = cut(text, limit).replace(divides, "_");
    match word.as_bytes() {
        [] => "unknown".to_owned(),
        // As addresses are written that would begin so: `::1` is `0::1`.
        [b':', ..] => cut(&format!("0{word}"), limit).to_owned(),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicks_and_channels_are_what_the_manual_says() {
        for nick in [
            "a",
            "Zed",
            "[x]",
            "`_^{|}\\",
            "a-1",
            &"n".repeat(Limits::NICK),
        ] {
            assert!(is_nick(nick), "{nick}");
        }
        let long = "n".repeat(Limits::NICK + 1);
        for nick in [
            "", "1a", "-a", "a b", "a!b", "a\n", "é", "#a", "a\0", "~a", &long,
        ] {
            assert!(!is_nick(nick), "{nick:?}");
        }
        let longest = format!("#{}", "c".repeat(Limits::CHANNEL - 1));
        for channel in ["#a", "##", "#Ünïcode", "#a*?", &longest] {
            assert!(is_channel(channel), "{channel}");
        }
        let long = format!("{longest}c");
        for channel in [
            "", "#", "a", "&a", "#a b", "#a,b", "#a:b", "#\u{7}", "#a\r", "#a\u{a0}", &long,
        ] {
            assert!(!is_channel(channel), "{channel:?}");
        }
        assert!(is_key("secret") && !is_key("") && !is_key("a b") && !is_key(":a"));
    }

    #[test]
    fn only_letters_of_ascii_have_two_cases() {
        assert_eq!(fold("#ÄbC[]"), "#Äbc[]");
    }

    #[test]
    fn nothing_ends_a_line_or_a_word_of_it() {
        assert_eq!(line("a\r\nb\0c\u{1}", 99), "a  b c\u{1}");
        assert_eq!(line("aéé", 4), "aé");
        assert_eq!(shown(" a\nb"), "?a?b");
        assert_eq!((shown(""), shown(":a")), ("*".to_owned(), "?a".to_owned()));
        assert_eq!(part("a!b@c d", 99), "a_b_c_d");
        assert_eq!(
            (part("", 9), part("::1", 3)),
            ("unknown".to_owned(), "0::".to_owned())
        );
    }
}
