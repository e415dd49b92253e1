//! Lines of IRC: cut out of what comes in, taken apart, put together.
//!
//! The form is the one of IRCv3's message tags: `@tags :source COMMAND parameters
//! :last parameter`. A line may have 512 bytes, and 4,096 more of tags; one that has
//! more is not kept, and said to be too long. Bytes that are no UTF-8 are replaced:
//! what is passed on is text.

use std::borrow::Cow;

/// What came in and is not understood yet.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// So much at the front is done with.
    done: usize,
    /// So much behind that has no end of line in it.
    searched: usize,
    /// The line at the front was too long: what is left of it is thrown away.
    skipping: bool,
}

/// What is at the front of what came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A line, without its end; never empty.
    Line(Cow<'a, str>),
    /// A line that was too long is gone.
    TooLong,
    /// The rest has not come yet.
    Incomplete,
}

impl Lines {
    /// Bytes that a line may have without its tags, its end among them.
    pub const LINE: usize = 512;

    /// Bytes of tags that a client may send, `@` and blank among them.
    pub const TAGS: usize = 4096;

    /// An emptied block of more than this is given back.
    const SPARE: usize = 16 << 10;

    /// Takes in what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.done);
        self.done = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next line. Empty ones are passed over.
    pub fn advance(&mut self) -> Step<'_> {
        loop {
            let rest = &self.bytes[self.done..];
            let end = rest[self.searched..].iter().position(|b| *b == b'\n');
            let Some(end) = end.map(|at| self.searched + at) else {
                self.searched = rest.len();
                if rest.len() > Self::LINE + Self::TAGS {
                    self.clear();
                    self.skipping = true;
                } else if rest.is_empty() {
                    self.clear();
                }
                return Step::Incomplete;
            };
            let from = self.done;
            self.done += end + 1;
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                return Step::TooLong;
            }
            let line = &self.bytes[from..from + end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let tags = match line[0] {
                b'@' => line
                    .iter()
                    .position(|b| *b == b' ')
                    .map_or(line.len(), |at| at + 1),
                _ => 0,
            };
            if tags > Self::TAGS || line.len() - tags + 2 > Self::LINE {
                return Step::TooLong;
            }
            // Borrowed anew: what came before was a conditional borrow.
            let line = &self.bytes[from..from + line.len()];
            return Step::Line(String::from_utf8_lossy(line));
        }
    }

    /// Bytes that were not taken yet.
    pub fn unread(&self) -> usize {
        self.bytes.len() - self.done
    }

    /// Bytes of memory that it holds.
    pub fn held(&self) -> usize {
        self.bytes.capacity()
    }

    fn clear(&mut self) {
        (self.done, self.searched) = (0, 0);
        self.bytes.clear();
        if self.bytes.capacity() > Self::SPARE {
            self.bytes = Vec::new();
        }
    }
}

/// A line, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Tags with their values, which may be empty; of a name that comes twice the
    /// last counts.
    pub tags: Vec<(&'a str, Cow<'a, str>)>,
    /// Whence it says it comes, without the colon.
    pub source: Option<&'a str>,
    /// The command, as it was written.
    pub command: &'a str,
    /// Its parameters.
    pub parameters: Vec<&'a str>,
}

impl<'a> Line<'a> {
    /// Takes a line apart; one without a command is none.
    pub fn parse(line: &'a str) -> Option<Line<'a>> {
        let mut rest = line.trim_start_matches(' ');
        let mut tags: Vec<(&str, Cow<'_, str>)> = Vec::new();
        if let Some(tagged) = rest.strip_prefix('@') {
            let (all, behind) = tagged.split_once(' ')?;
            for tag in all.split(';').filter(|tag| !tag.is_empty()) {
                let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
                let value = unescape(value);
                match tags.iter_mut().find(|(known, _)| *known == name) {
                    Some(known) => known.1 = value,
                    None => tags.push((name, value)),
                }
            }
            rest = behind.trim_start_matches(' ');
        }
        let mut source = None;
        if let Some(sourced) = rest.strip_prefix(':') {
            let (name, behind) = sourced.split_once(' ')?;
            source = Some(name);
            rest = behind.trim_start_matches(' ');
        }
        let (command, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if command.is_empty() {
            return None;
        }
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches(' ');
            if let Some(last) = rest.strip_prefix(':') {
                parameters.push(last);
                break;
            }
            if rest.is_empty() {
                break;
            }
            let (parameter, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            parameters.push(parameter);
            rest = behind;
        }
        Some(Line {
            tags,
            source,
            command,
            parameters,
        })
    }

    /// The value of a tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        let found = self.tags.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| &**value)
    }
}

/// The value of a tag as it was meant.
fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next().map(|escaped| match escaped {
                ':' => ';',
                's' => ' ',
                'r' => '\r',
                'n' => '\n',
                other => other,
            })),
            other => plain.push(other),
        }
    }
    Cow::Owned(plain)
}

/// Appends the value of a tag as it has to be written.
pub fn escape(value: &str, out: &mut String) {
    for letter in value.chars() {
        match letter {
            ';' => out.push_str("\\:"),
            ' ' => out.push_str("\\s"),
            '\\' => out.push_str("\\\\"),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a line is taken apart into: tags, source, command, parameters.
    type Atoms = (
        &'static [(&'static str, &'static str)],
        Option<&'static str>,
        &'static str,
        &'static [&'static str],
    );

    /// The public vectors of the ircdocs parser tests (by Daniel Oaks, with some of
    /// grawity, Mozilla and Sadie; in the public domain).
    #[rustfmt::skip]
    const VECTORS: &[(&str, Atoms)] = &[
        ("foo bar baz asdf", (&[], None, "foo", &["bar", "baz", "asdf"])),
        (":coolguy foo bar baz asdf", (&[], Some("coolguy"), "foo", &["bar", "baz", "asdf"])),
        ("foo bar baz :asdf quux", (&[], None, "foo", &["bar", "baz", "asdf quux"])),
        ("foo bar baz :", (&[], None, "foo", &["bar", "baz", ""])),
        ("foo bar baz ::asdf", (&[], None, "foo", &["bar", "baz", ":asdf"])),
        (":coolguy foo bar baz :asdf quux", (&[], Some("coolguy"), "foo", &["bar", "baz", "asdf quux"])),
        (":coolguy foo bar baz :  asdf quux ", (&[], Some("coolguy"), "foo", &["bar", "baz", "  asdf quux "])),
        (":coolguy PRIVMSG bar :lol :) ", (&[], Some("coolguy"), "PRIVMSG", &["bar", "lol :) "])),
        (":coolguy foo bar baz :", (&[], Some("coolguy"), "foo", &["bar", "baz", ""])),
        (":coolguy foo bar baz :  ", (&[], Some("coolguy"), "foo", &["bar", "baz", "  "])),
        ("@a=b;c=32;k;rt=ql7 foo", (&[("a", "b"), ("c", "32"), ("k", ""), ("rt", "ql7")], None, "foo", &[])),
        ("@a=b\\\\and\\nk;c=72\\s45;d=gh\\:764 foo", (&[("a", "b\\and\nk"), ("c", "72 45"), ("d", "gh;764")], None, "foo", &[])),
        ("@c;h=;a=b :quux ab cd", (&[("c", ""), ("h", ""), ("a", "b")], Some("quux"), "ab", &["cd"])),
        (":src JOIN #chan", (&[], Some("src"), "JOIN", &["#chan"])),
        (":src JOIN :#chan", (&[], Some("src"), "JOIN", &["#chan"])),
        (":src AWAY", (&[], Some("src"), "AWAY", &[])),
        (":src AWAY ", (&[], Some("src"), "AWAY", &[])),
        (":cool\tguy foo bar baz", (&[], Some("cool\tguy"), "foo", &["bar", "baz"])),
        (":coolguy!ag@net\x035w\x03ork.admin PRIVMSG foo :bar baz", (&[], Some("coolguy!ag@net\x035w\x03ork.admin"), "PRIVMSG", &["foo", "bar baz"])),
        (":coolguy!~ag@n\x02et\x0305w\x0fork.admin PRIVMSG foo :bar baz", (&[], Some("coolguy!~ag@n\x02et\x0305w\x0fork.admin"), "PRIVMSG", &["foo", "bar baz"])),
        ("@tag1=value1;tag2;vendor1/tag3=value2;vendor2/tag4= :irc.example.com COMMAND param1 param2 :param3 param3", (&[("tag1", "value1"), ("tag2", ""), ("vendor1/tag3", "value2"), ("vendor2/tag4", "")], Some("irc.example.com"), "COMMAND", &["param1", "param2", "param3 param3"])),
        (":irc.example.com COMMAND param1 param2 :param3 param3", (&[], Some("irc.example.com"), "COMMAND", &["param1", "param2", "param3 param3"])),
        ("@tag1=value1;tag2;vendor1/tag3=value2;vendor2/tag4 COMMAND param1 param2 :param3 param3", (&[("tag1", "value1"), ("tag2", ""), ("vendor1/tag3", "value2"), ("vendor2/tag4", "")], None, "COMMAND", &["param1", "param2", "param3 param3"])),
        ("COMMAND", (&[], None, "COMMAND", &[])),
        ("@foo=\\\\\\\\\\:\\\\s\\s\\r\\n COMMAND", (&[("foo", "\\\\;\\s \r\n")], None, "COMMAND", &[])),
        (":gravel.mozilla.org 432  #momo :Erroneous Nickname: Illegal characters", (&[], Some("gravel.mozilla.org"), "432", &["#momo", "Erroneous Nickname: Illegal characters"])),
        (":gravel.mozilla.org MODE #tckk +n ", (&[], Some("gravel.mozilla.org"), "MODE", &["#tckk", "+n"])),
        (":services.esper.net MODE #foo-bar +o foobar  ", (&[], Some("services.esper.net"), "MODE", &["#foo-bar", "+o", "foobar"])),
        ("@tag1=value\\\\ntest COMMAND", (&[("tag1", "value\\ntest")], None, "COMMAND", &[])),
        ("@tag1=value\\1 COMMAND", (&[("tag1", "value1")], None, "COMMAND", &[])),
        ("@tag1=value1\\ COMMAND", (&[("tag1", "value1")], None, "COMMAND", &[])),
        ("@tag1=1;tag2=3;tag3=4;tag1=5 COMMAND", (&[("tag1", "5"), ("tag2", "3"), ("tag3", "4")], None, "COMMAND", &[])),
        ("@tag1=1;tag2=3;tag3=4;tag1=5;vendor/tag2=8 COMMAND", (&[("tag1", "5"), ("tag2", "3"), ("tag3", "4"), ("vendor/tag2", "8")], None, "COMMAND", &[])),
        (":SomeOp MODE #channel :+i", (&[], Some("SomeOp"), "MODE", &["#channel", "+i"])),
        (":SomeOp MODE #channel +oo SomeUser :AnotherUser", (&[], Some("SomeOp"), "MODE", &["#channel", "+oo", "SomeUser", "AnotherUser"])),
    ];

    #[test]
    fn lines_are_taken_apart_as_everywhere() {
        for (line, (tags, source, command, parameters)) in VECTORS {
            let parsed = Line::parse(line).unwrap_or_else(|| panic!("{line}"));
            let found: Vec<(&str, &str)> = parsed.tags.iter().map(|(n, v)| (*n, &**v)).collect();
            assert_eq!(found, *tags, "{line}");
            assert_eq!(parsed.source, *source, "{line}");
            assert_eq!(parsed.command, *command, "{line}");
            assert_eq!(parsed.parameters, *parameters, "{line}");
        }
        for line in [
            "", " ", "@", "@a", "@a ", ":", ":x", ":x ", "@a :x ", "@a=b :x",
        ] {
            assert_eq!(Line::parse(line), None, "{line}");
        }
    }

    fn all(lines: &mut Lines) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            match lines.advance() {
                Step::Line(line) => found.push(line.into_owned()),
                Step::TooLong => found.push("too long".into()),
                Step::Incomplete => return found,
            }
        }
    }

    #[test]
    fn lines_end_in_any_way_and_are_never_too_long() {
        let mut lines = Lines::default();
        lines.feed(b"NICK a\r\nUSER b\n\r\n\n\xff\xfe x\r\nhalf");
        assert_eq!(all(&mut lines), ["NICK a", "USER b", "\u{fffd}\u{fffd} x"]);
        lines.feed(b" a line\n");
        assert_eq!(all(&mut lines), ["half a line"]);
        let (most, more) = ("a".repeat(510), "a".repeat(511));
        let tags = format!("@{} ", "t".repeat(4094));
        for (line, taken) in [
            (most.clone(), true),
            (more.clone(), false),
            (format!("{tags}{most}"), true),
            (format!("{tags}{more}"), false),
            (format!("@t{tags}{most}"), false),
            ("@".repeat(4097), false),
        ] {
            lines.feed(format!("{line}\r\n").as_bytes());
            let expected = if taken { &line } else { "too long" };
            assert_eq!(all(&mut lines), [expected]);
        }
        // A flood without an end is not kept, and its end is found.
        for _ in 0..1000 {
            lines.feed(&[b'x'; 1000]);
            assert_eq!(all(&mut lines), [""; 0]);
            assert!(lines.held() < 32 << 10, "{}", lines.held());
        }
        lines.feed(b"x\nPING\n");
        assert_eq!(all(&mut lines), ["too long", "PING"]);
    }

    proptest! {
        #[test]
        fn whatever_comes_however_cut_gives_the_same_lines(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b':'), Just(b'@'), any::<u8>()], 0..600),
            cuts in prop::collection::vec(1..40usize, 1..20),
        ) {
            let mut whole = Lines::default();
            whole.feed(&bytes);
            let expected = all(&mut whole);
            let mut cut = Lines::default();
            let mut found = Vec::new();
            let mut rest = &bytes[..];
            for size in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (part, behind) = rest.split_at((*size).min(rest.len()));
                cut.feed(part);
                found.extend(all(&mut cut));
                rest = behind;
            }
            for line in &found {
                let _ = Line::parse(line);
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_is_escaped_is_what_was_meant(value in ".*") {
            let mut escaped = String::new();
            escape(&value, &mut escaped);
            prop_assert_eq!(unescape(&escaped), value);
            prop_assert!(!escaped.contains([' ', ';', '\r', '\n']));
        }
    }
}
