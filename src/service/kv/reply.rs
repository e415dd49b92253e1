//! What the store answers: no protocol's words yet, for one client speaks RESP2,
//! the other RESP3, and the reply is the same.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::text::Text;

/// An answer. Variants are only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// It is done, and there is no more to say.
    Done,
    /// There is nothing, or the condition does not hold.
    Nil,
    /// The transaction did not happen: a watched key has changed.
    Aborted,
    /// A number.
    Integer(i64),
    /// Bytes.
    #[serde(borrow)]
    Text(Text<'a>),
    /// A word, such as the kind of a value.
    Word(Text<'a>),
    /// Several answers.
    List(Vec<Reply<'a>>),
    /// It was not done.
    Refused(Refusal),
    /// Where to go on with a walk over the keys; 0 at its end.
    Cursor(u64),
}

/// Why a command was not done. Worded as Redis words it, where it has the case;
/// clients compare the first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Refusal {
    /// The bytes are no command that this release knows.
    #[error("ERR the command cannot be read; do all replicas run the same release?")]
    Malformed,
    /// The value is no number, or no number of 64 bits.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// The sum is no number of 64 bits.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// A key over the limit.
    #[error("ERR the key is longer than the limit of 65536 bytes")]
    LongKey,
    /// A value over the limit.
    #[error("ERR the value is longer than the limit of 974848 bytes")]
    LongValue,
    /// The store is full.
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    Full,
    /// The time to live ends beyond all times.
    #[error("ERR invalid expire time")]
    Lifetime,
    /// The reply would be too long.
    #[error("ERR the reply is longer than the limit of 16777216 bytes; ask for less at a time")]
    LongReply,
    /// Comparing with the pattern would take too long.
    #[error("ERR the pattern takes too long on this many keys; use SCAN")]
    LongSearch,
    /// Too many operations, or too many watched keys.
    #[error("ERR the transaction has more than 10000 commands or watched keys")]
    LongTransaction,
}

impl<'a> Reply<'a> {
    /// Appends the encoding.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let room = std::mem::take(bytes);
        *bytes = postcard::to_extend(self, room).expect("writing to memory cannot fail");
    }

    /// Appends the beginning of a list of so many replies, which follow.
    pub fn begin_list(count: usize, bytes: &mut Vec<u8>) {
        const LIST: u8 = 6;
        bytes.push(LIST);
        let room = std::mem::take(bytes);
        *bytes = postcard::to_extend(&count, room).expect("writing to memory cannot fail");
    }

    /// Reads a reply back.
    pub fn decode(bytes: &'a [u8]) -> Option<Reply<'a>> {
        postcard::from_bytes(bytes).ok()
    }
}

impl From<Refusal> for Reply<'_> {
    fn from(refusal: Refusal) -> Self {
        Reply::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Limits;
    use super::*;

    #[test]
    fn a_list_begun_by_hand_is_a_list() {
        for count in [0, 1, 127, 128, 300] {
            let list = Reply::List(vec![Reply::Integer(-5); count]);
            let (mut whole, mut parts) = (Vec::new(), Vec::new());
            list.encode_into(&mut whole);
            Reply::begin_list(count, &mut parts);
            for _ in 0..count {
                Reply::Integer(-5).encode_into(&mut parts);
            }
            assert_eq!(whole, parts);
            assert_eq!(Reply::decode(&whole), Some(list));
        }
    }

    #[test]
    fn the_limits_that_are_told_are_the_limits() {
        for (refusal, limit) in [
            (Refusal::LongKey, Limits::KEY),
            (Refusal::LongValue, Limits::VALUE),
            (Refusal::LongReply, Limits::REPLY),
            (Refusal::LongTransaction, Limits::TRANSACTION),
        ] {
            assert!(
                refusal.to_string().contains(&format!(" {limit} ")),
                "{refusal}"
            );
        }
    }
}
