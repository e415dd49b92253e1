//! Masks: `nick!user@host` with `*` and `?`, of which bans are made.

use super::limits::Limits;
use super::name::{cut, fold, part};

/// The mask that somebody meant: what they left out may be anything.
pub fn whole(text: &str) -> String {
    let text = cut(text, Limits::MASK);
    let (nick, rest) = match text.split_once('!') {
        Some((nick, rest)) => (nick, rest),
        None if text.contains('@') => ("", text),
        None => (text, ""),
    };
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => (rest, ""),
    };
    let any = |word: &str, limit| match word {
        "" => "*".to_owned(),
        word => part(word, limit),
    };
    format!(
        "{}!{}@{}",
        any(nick, Limits::NICK),
        any(user, Limits::USER),
        any(host, Limits::HOST)
    )
}

/// Whether the mask fits the whole name, in whatever case both are written.
///
/// Only the last star ever has to try another length, so it takes at most the product
/// of the two lengths; both have a limit.
pub fn fits(mask: &str, name: &str) -> bool {
    let (mask, name) = (fold(mask), fold(name));
    let (mask, name) = (mask.as_bytes(), name.as_bytes());
    let (mut m, mut n) = (0, 0);
    // Behind the last star, and where its match ends for now.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if m < mask.len() && mask[m] == b'*' {
            m += 1;
            star = Some((m, n));
        } else if n < name.len() && m < mask.len() && (mask[m] == b'?' || mask[m] == name[n]) {
            m += 1;
            n += 1;
        } else if n == name.len() && m == mask.len() {
            return true;
        } else {
            match star {
                Some((behind, through)) if through < name.len() => {
                    star = Some((behind, through + 1));
                    (m, n) = (behind, through + 1);
                }
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The obvious definition, exponential and all.
    fn obvious(mask: &[u8], name: &[u8]) -> bool {
        match (mask, name) {
            ([], _) => name.is_empty(),
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| obvious(rest, &name[skip..])),
            ([b'?', rest @ ..], [_, left @ ..]) => obvious(rest, left),
            ([plain, rest @ ..], [byte, left @ ..]) if plain == byte => obvious(rest, left),
            _ => false,
        }
    }

    #[test]
    fn what_was_left_out_may_be_anything() {
        for (text, mask) in [
            ("bob", "bob!*@*"),
            ("bob!u", "bob!u@*"),
            ("u@host", "*!u@host"),
            ("@host", "*!*@host"),
            ("a!b@c", "a!b@c"),
            ("", "*!*@*"),
            ("a b\n!c!d@e", "a_b_!c_d@e"),
        ] {
            assert_eq!(whole(text), mask, "{text}");
        }
        assert!(whole(&"é".repeat(999)).len() <= Limits::MASK);
        let most = format!("{0}!{0}@{0}", "x".repeat(999));
        assert!(whole(&most).len() <= Limits::MASK);
    }

    #[test]
    fn a_mask_fits_in_any_case() {
        assert!(fits("B?b!*@*.example", "bob!~u@a.EXAMPLE"));
        assert!(!fits("bob!*@*", "bobby!u@h"));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_obvious_definition(mask in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(
                fits(&mask, &name),
                obvious(mask.as_bytes(), name.as_bytes())
            );
        }
    }
}
