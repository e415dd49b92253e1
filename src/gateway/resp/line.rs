//! A request that a person typed: words between blanks, with quotes.

/// Splits a line into words, appended to `words`; `ranges` tells where each
/// lies. Between double quotes a backslash escapes (`\n`, `\x7f`, `\"`), between
/// single ones only `\'` does; a closing quote ends its word. Says whether all
/// quotes are closed.
pub fn split(line: &[u8], words: &mut Vec<u8>, ranges: &mut Vec<(u32, u32)>) -> bool {
    let blank = |byte: u8| byte == 0 || byte == 0x0b || byte == 0x0c || byte.is_ascii_whitespace();
    let mut rest = line;
    loop {
        while let [first, behind @ ..] = rest
            && blank(*first)
        {
            rest = behind;
        }
        if rest.is_empty() {
            return true;
        }
        let start = words.len() as u32;
        loop {
            rest = match rest {
                [] => break,
                [first, ..] if blank(*first) => break,
                [quote @ (b'"' | b'\''), behind @ ..] => match quoted(*quote, behind, words) {
                    Some(behind) => {
                        ranges.push((start, words.len() as u32));
                        rest = behind;
                        break;
                    }
                    None => return false,
                },
                [plain, behind @ ..] => {
                    words.push(*plain);
                    behind
                }
            };
        }
        if ranges
            .last()
            .is_none_or(|last| last.0 != start || last.1 != words.len() as u32)
        {
            ranges.push((start, words.len() as u32));
        }
    }
}

/// The rest of the line behind the closing quote, which a blank must follow.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [end, behind @ ..] if *end == quote => {
                let ends = behind
                    .first()
                    .is_none_or(|next| *next == 0 || next.is_ascii_whitespace());
                return ends.then_some(behind);
            }
            [b'\\', b'\'', behind @ ..] if quote == b'\'' => {
                words.push(b'\'');
                behind
            }
            [b'\\', b'x', high, low, behind @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digit = |byte: u8| (byte as char).to_digit(16).expect("a digit") as u8;
                words.push(digit(*high) << 4 | digit(*low));
                behind
            }
            [b'\\', escaped, behind @ ..] if quote == b'"' => {
                words.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                behind
            }
            [plain, behind @ ..] => {
                words.push(*plain);
                behind
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let (mut words, mut ranges) = (Vec::new(), Vec::new());
        split(line.as_bytes(), &mut words, &mut ranges).then(|| {
            let word = |(from, to): &(u32, u32)| &words[*from as usize..*to as usize];
            let text = |range| String::from_utf8_lossy(word(range)).into_owned();
            ranges.iter().map(text).collect()
        })
    }

    #[test]
    fn words_are_split_as_redis_splits_them() {
        for (line, expected) in [
            ("", Some(vec![])),
            ("  \t ", Some(vec![])),
            (" SET  k v ", Some(vec!["SET", "k", "v"])),
            (r#"SET "a b" 'c d'"#, Some(vec!["SET", "a b", "c d"])),
            (r#"x "" '' y"#, Some(vec!["x", "", "", "y"])),
            (r#""" "" """#, Some(vec!["", "", ""])),
            (r#""\x41\n\"\q""#, Some(vec!["A\n\"q"])),
            (r#"'\x41 \' '"#, Some(vec!["\\x41 ' "])),
            (r#"pre"fix" next"#, Some(vec!["prefix", "next"])),
            (r#""glued"on"#, None),
            (r#""open"#, None),
            ("'open", None),
            (r#""\"#, None),
        ] {
            let expected = expected.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
