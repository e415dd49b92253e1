//! Patterns of keys as Redis writes them: `*`, `?`, `[a-z]`, `[^a-z]`, `\x`.
//!
//! A star tries each length in turn, but only the last star ever has to: if the
//! rest fits behind a longer match of an earlier star, it also fits behind a
//! longer match of the last. So a match takes at most the product of the two
//! lengths, and is counted, for a product can still be large.

/// Steps that may still be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps(pub u64);

/// No steps are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Steps {
    /// Takes so many.
    ///
    /// # Errors
    ///
    /// When there are not so many left.
    pub fn take(&mut self, steps: u64) -> Result<(), Exhausted> {
        self.0 = self.0.checked_sub(steps).ok_or(Exhausted)?;
        Ok(())
    }
}

/// Whether the pattern fits the whole text.
///
/// # Errors
///
/// When the steps do not suffice to tell.
pub fn matches(pattern: &[u8], text: &[u8], steps: &mut Steps) -> Result<bool, Exhausted> {
    if pattern == b"*" {
        return steps.take(1).map(|()| true);
    }
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and where its match ends for now.
    let mut star: Option<(usize, usize)> = None;
    loop {
        steps.take(1)?;
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            star = Some((p, t));
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return Ok(true);
        }
        if t < text.len() && p < pattern.len() {
            let (fits, next) = one(&pattern[p..], text[t]);
            steps.take(next as u64)?;
            if fits {
                p += next;
                t += 1;
                continue;
            }
        }
        match star {
            Some((behind, through)) if through < text.len() => {
                star = Some((behind, through + 1));
                p = behind;
                t = through + 1;
            }
            _ => return Ok(false),
        }
    }
}

/// Whether the first element of the pattern, no star, fits this byte, and how
/// long the element is.
fn one(pattern: &[u8], byte: u8) -> (bool, usize) {
    match pattern {
        [b'?', ..] => (true, 1),
        [b'\\', escaped, ..] => (*escaped == byte, 2),
        [b'[', class @ ..] => {
            let (fits, length) = in_class(class, byte);
            (fits, 1 + length)
        }
        [plain, ..] => (*plain == byte, 1),
        [] => (false, 0),
    }
}

/// Whether a class, behind its bracket, holds the byte, and its length with the
/// closing bracket. One that is never closed ends with the pattern.
fn in_class(class: &[u8], byte: u8) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    while at < class.len() {
        match class[at..] {
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [from, b'-', to, ..] => {
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            [plain, ..] => {
                found |= plain == byte;
                at += 1;
            }
            [] => break,
        }
    }
    (found != negated, at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &[u8], text: &[u8]) -> bool {
        matches(pattern, text, &mut Steps(1_000_000)).expect("enough steps")
    }

    /// The obvious definition, exponential and all.
    fn obvious(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|skip| obvious(rest, &text[skip..])),
            _ => match text {
                [] => false,
                [byte, left @ ..] => {
                    let (fits, next) = one(pattern, *byte);
                    fits && obvious(&pattern[next..], left)
                }
            },
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*llo", "hllo", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h[a-b]llo", "hcllo", false),
            (r"h\?llo", "h?llo", true),
            (r"h\?llo", "hello", false),
            (r"[\]]", "]", true),
            ("[abc", "b", true),
            ("[", "[", false),
            (r"\", r"\", true),
            ("user:*:name", "user:7:name", true),
            ("user:*:name", "user:7:names", false),
            ("*a*b*c", "xaxbxc", true),
            ("*a*b*c", "xaxcxb", false),
        ] {
            assert_eq!(
                fits(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_pattern_from_hell_ends_when_its_steps_do() {
        let pattern = "a*".repeat(5_000) + "b";
        let text = vec![b'a'; 60_000];
        let mut steps = Steps(1_000_000);
        let verdict = matches(pattern.as_bytes(), &text, &mut steps);
        assert!(verdict != Ok(true) && steps.0 < 1_000_000);
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_obvious_definition(
            pattern in r"[ab*?\[\]\\^-]{0,7}", text in "[ab]{0,7}"
        ) {
            prop_assert_eq!(
                fits(pattern.as_bytes(), text.as_bytes()),
                obvious(pattern.as_bytes(), text.as_bytes())
            );
        }

        #[test]
        fn any_bytes_are_a_pattern(pattern: Vec<u8>, text: Vec<u8>) {
            let _ = matches(&pattern, &text, &mut Steps(100_000));
        }
    }
}
