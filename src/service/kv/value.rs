//! A value's bytes: a few lie where the value does, more in a block of their own.
//!
//! Counters, flags and short words are what most keys hold. Without a block they take
//! less memory, cost one miss of the caches less to read, and are copied with the page
//! they are in when it was frozen.

use std::fmt;
use std::ops::Deref;

/// Bytes that need no block: as many as fit beside a vector's pointer and length.
const SHORT: usize = 15;

/// Bytes of a user.
#[derive(Clone)]
pub enum Value {
    /// So many of these.
    Short(u8, [u8; SHORT]),
    /// All of these.
    Long(Vec<u8>),
}

const _: () = assert!(size_of::<Value>() == size_of::<Vec<u8>>());

impl Value {
    /// A value with these bytes.
    pub fn new(bytes: &[u8]) -> Value {
        if bytes.len() > SHORT {
            return Value::Long(bytes.to_vec());
        }
        let mut short = [0; SHORT];
        short[..bytes.len()].copy_from_slice(bytes);
        Value::Short(bytes.len() as u8, short)
    }

    /// Replaces the bytes.
    pub fn set(&mut self, bytes: &[u8]) {
        match self {
            // A large block is not kept for a small value.
            Value::Long(block) if bytes.len() > SHORT && block.capacity() / 2 <= bytes.len() => {
                block.clear();
                block.extend_from_slice(bytes);
            }
            _ => *self = Value::new(bytes),
        }
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, more: &[u8]) {
        match self {
            Value::Short(length, bytes) => {
                let end = usize::from(*length) + more.len();
                match bytes.get_mut(usize::from(*length)..end) {
                    Some(room) => {
                        room.copy_from_slice(more);
                        *length = end as u8;
                    }
                    None => *self = Value::Long([self, more].concat()),
                }
            }
            Value::Long(block) => block.extend_from_slice(more),
        }
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Value::Short(length, bytes) => &bytes[..usize::from(*length)],
            Value::Long(block) => block,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_what_they_are_wherever_they_lie() {
        let all: Vec<u8> = (1..=60).collect();
        for length in 0..60 {
            let mut value = Value::new(&all[..length]);
            assert_eq!(*value, all[..length]);
            for more in 0..60 - length {
                let mut longer = value.clone();
                longer.append(&all[length..length + more]);
                assert_eq!(longer, Value::new(&all[..length + more]));
                longer.set(&all[more..]);
                assert_eq!(*longer, all[more..]);
                longer.set(&all[..length]);
                assert_eq!(longer, value);
            }
            value.append(b"");
            assert_eq!(*value, all[..length]);
        }
    }

    #[test]
    fn a_small_value_does_not_hold_a_large_block() {
        for small in [&b"small"[..], b"not quite so small"] {
            let mut value = Value::new(&[1; 100_000]);
            value.set(small);
            assert_eq!(*value, *small);
            if let Value::Long(block) = value {
                assert!(block.capacity() < 100);
            }
        }
    }
}
