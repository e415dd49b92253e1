//! What a server answers to one operation: a small reader of RESP.
//!
//! Only the kinds of reply that the operations can have are read. Whatever else
//! comes is no answer to them, and the connection is not believed any more.

use thiserror::Error;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A word: that all is well.
    Word(String),
    /// What went wrong.
    Error(String),
    /// A number.
    Number(i64),
    /// Bytes, or nothing.
    Value(Option<Vec<u8>>),
}

/// Bytes that are no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoReply {
    /// It begins as none of them does.
    #[error("an answer begins with {0:#04x}")]
    Mark(u8),
    /// A number that is none, or a length beyond all bounds.
    #[error("{0:?} is no number that an answer can have")]
    Number(String),
    /// A line that does not end.
    #[error("a line of an answer is longer than {LINE} bytes")]
    Line,
    /// Bytes that do not end where they should.
    #[error("a value does not end where its length says")]
    Unended,
}

/// The longest line of an answer.
const LINE: usize = 64 << 10;

/// The longest value of an answer: more than any server here holds.
const LONGEST: usize = 64 << 20;

/// Takes bytes as they come, and gives answers.
#[derive(Debug, Default)]
pub struct Replies {
    bytes: Vec<u8>,
    /// Bytes at the front that were understood.
    understood: usize,
}

impl Replies {
    /// Takes in what was received.
    pub fn take(&mut self, bytes: &[u8]) {
        // What was understood goes before more comes, once for all of it.
        self.bytes.drain(..self.understood);
        self.understood = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole answer, if there is one.
    ///
    /// # Errors
    ///
    /// When what came is none; what comes after means nothing then.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, NoReply> {
        let rest = &self.bytes[self.understood..];
        let Some((reply, length)) = read(rest)? else {
            return Ok(None);
        };
        self.understood += length;
        Ok(Some(reply))
    }
}

/// The answer that these bytes begin with, and its length.
fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, NoReply> {
    let Some((&mark, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if !matches!(mark, b'+' | b'-' | b':' | b'$' | b'_') {
        return Err(NoReply::Mark(mark));
    }
    let window = &rest[..rest.len().min(LINE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return match window.len() {
            LINE => Err(NoReply::Line),
            _ => Ok(None),
        };
    };
    let line = &rest[..end];
    let length = 1 + end + 2;
    let text = || String::from_utf8_lossy(line).into_owned();
    let number = || {
        let number = str::from_utf8(line).ok().and_then(|line| line.parse().ok());
        number.ok_or_else(|| NoReply::Number(text()))
    };
    Ok(Some(match mark {
        b'+' => (Reply::Word(text()), length),
        b'-' => (Reply::Error(text()), length),
        b':' => (Reply::Number(number()?), length),
        b'_' => (Reply::Value(None), length),
        _ => match usize::try_from(number()?) {
            Err(_) if line == b"-1" => (Reply::Value(None), length),
            Ok(size) if size <= LONGEST => {
                let behind = &bytes[length..];
                if behind.len() < size + 2 {
                    return Ok(None);
                }
                if &behind[size..size + 2] != b"\r\n" {
                    return Err(NoReply::Unended);
                }
                let value = Reply::Value(Some(behind[..size].to_vec()));
                (value, length + size + 2)
            }
            _ => return Err(NoReply::Number(text())),
        },
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All answers in bytes that come in pieces of at most so many.
    fn all(bytes: &[u8], piece: usize) -> (Vec<Reply>, Option<NoReply>) {
        let mut replies = Replies::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(piece.max(1)) {
            replies.take(piece);
            loop {
                match replies.next_reply() {
                    Ok(Some(reply)) => found.push(reply),
                    Ok(None) => break,
                    Err(error) => return (found, Some(error)),
                }
            }
        }
        (found, None)
    }

    fn write(replies: &[Reply]) -> Vec<u8> {
        let mut out = Vec::new();
        for reply in replies {
            match reply {
                Reply::Word(word) => out.extend(format!("+{word}\r\n").into_bytes()),
                Reply::Error(error) => out.extend(format!("-{error}\r\n").into_bytes()),
                Reply::Number(number) => out.extend(format!(":{number}\r\n").into_bytes()),
                Reply::Value(None) => out.extend(b"$-1\r\n"),
                Reply::Value(Some(value)) => {
                    out.extend(format!("${}\r\n", value.len()).into_bytes());
                    out.extend(value);
                    out.extend(b"\r\n");
                }
            }
        }
        out
    }

    fn reply() -> impl Strategy<Value = Reply> {
        prop_oneof![
            "[ -~]{0,30}".prop_map(Reply::Word),
            "[ -~]{0,30}".prop_map(Reply::Error),
            any::<i64>().prop_map(Reply::Number),
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50))
                .prop_map(Reply::Value),
        ]
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_alike_in_all_pieces(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'$'), b'0'..=b'9', any::<u8>()], 0..200),
            mark in proptest::sample::select(&b"+-:$_*"[..]),
            piece in 1usize..20,
        ) {
            let bytes = [&[mark], &bytes[..]].concat();
            prop_assert_eq!(all(&bytes, piece), all(&bytes, usize::MAX));
        }

        #[test]
        fn what_is_answered_is_read(
            replies in proptest::collection::vec(reply(), 0..20),
            piece in 1usize..40,
        ) {
            prop_assert_eq!(all(&write(&replies), piece), (replies, None));
        }
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for (bytes, error) in [
            (&b"*1\r\n"[..], NoReply::Mark(b'*')),
            (b":1x\r\n", NoReply::Number("1x".to_owned())),
            (b"$-2\r\n", NoReply::Number("-2".to_owned())),
            (
                b"$99999999999\r\n",
                NoReply::Number("99999999999".to_owned()),
            ),
            (b"$1\r\nabc", NoReply::Unended),
        ] {
            assert_eq!(all(bytes, usize::MAX), (vec![], Some(error)));
        }
        let endless = [&b"+"[..], &[b'x'; LINE + 1]].concat();
        assert_eq!(all(&endless, 1000), (vec![], Some(NoReply::Line)));
    }
}
