//! What all snapshots have around them: marks ahead, a checksum behind.
//!
//! ```text
//! magic 8 | format 2 | items … | crc32c 4
//! ```
//!
//! The magic says which service wrote it, and the checksum covers everything ahead of
//! it. Items are postcard, one behind the other; which there are is the service's.
//! A [`Writer`] passes them on as they come, in parts, and a [`Reader`] hands them out
//! again once it has seen that all bytes are what they were.

use serde::{Deserialize, Serialize};

use super::Damaged;
use crate::protocol::checksum;

/// The marks of one service's snapshots.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// How they begin.
    pub magic: [u8; 8],
    /// What changes when their items do.
    pub format: u16,
}

impl Marks {
    /// Bytes ahead of the first item.
    const HEADER: usize = 8 + 2;

    /// Bytes behind the last.
    const CHECKSUM: usize = 4;
}

/// A snapshot on its way out, in parts of about a megabyte.
pub struct Writer<'a> {
    buffer: Vec<u8>,
    sum: u32,
    part: &'a mut dyn FnMut(&[u8]),
}

impl<'a> Writer<'a> {
    const PART: usize = 1 << 20;

    /// Begins one; `part` takes what is written, in order.
    pub fn begin(marks: Marks, part: &'a mut dyn FnMut(&[u8])) -> Writer<'a> {
        let mut buffer = Vec::new();
        buffer.extend_from_slice(&marks.magic);
        buffer.extend_from_slice(&marks.format.to_le_bytes());
        Writer {
            buffer,
            sum: 0,
            part,
        }
    }

    /// Adds an item.
    pub fn append(&mut self, item: &impl Serialize) {
        let room = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(item, room).expect("writing to memory cannot fail");
        if self.buffer.len() >= Self::PART {
            self.sum = checksum::append(self.sum, &self.buffer);
            (self.part)(&self.buffer);
            self.buffer.clear();
        }
    }

    /// Ends it.
    pub fn end(mut self) {
        let sum = checksum::append(self.sum, &self.buffer);
        self.buffer.extend_from_slice(&sum.to_le_bytes());
        (self.part)(&self.buffer);
    }
}

/// A snapshot on its way in.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Opens one that is whole.
    ///
    /// # Errors
    ///
    /// When the bytes are no snapshot with these marks, or not as they were written.
    pub fn open(marks: Marks, bytes: &'a [u8]) -> Result<Reader<'a>, Damaged> {
        let least = Marks::HEADER + Marks::CHECKSUM;
        if bytes.len() < least || !bytes.starts_with(&marks.magic) {
            return Err(Damaged::Foreign);
        }
        let (body, checksum) = bytes.split_at(bytes.len() - Marks::CHECKSUM);
        if checksum::of(body).to_le_bytes() != checksum {
            return Err(Damaged::Checksum);
        }
        let (header, rest) = body.split_at(Marks::HEADER);
        let format = u16::from_le_bytes([header[8], header[9]]);
        if format != marks.format {
            return Err(Damaged::Version(format));
        }
        Ok(Reader { rest })
    }

    /// The next item; `what` it should be, for the complaint that there is none.
    ///
    /// # Errors
    ///
    /// When the bytes are no such item.
    pub fn take<T: Deserialize<'a>>(&mut self, what: &'static str) -> Result<T, Damaged> {
        let (item, rest) =
            postcard::take_from_bytes(self.rest).map_err(|_| Damaged::Contradiction(what))?;
        self.rest = rest;
        Ok(item)
    }

    /// Bytes that were not taken yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks {
        magic: *b"a test's",
        format: 7,
    };

    fn written(items: &[&[u8]]) -> (Vec<u8>, usize) {
        let (mut bytes, mut parts) = (Vec::new(), 0);
        let mut part = |part: &[u8]| {
            bytes.extend_from_slice(part);
            parts += 1;
        };
        let mut writer = Writer::begin(MARKS, &mut part);
        for item in items {
            writer.append(item);
        }
        writer.end();
        (bytes, parts)
    }

    #[test]
    fn what_was_written_is_read_whatever_parts_it_went_out_in() {
        let long = vec![3; Writer::PART];
        let items: [&[u8]; 4] = [b"one", &long, b"", b"four"];
        let (bytes, parts) = written(&items);
        assert_eq!(parts, 2);
        let mut reader = Reader::open(MARKS, &bytes).expect("it is whole");
        for item in items {
            assert_eq!(reader.take::<&[u8]>("an item"), Ok(item));
        }
        assert_eq!(reader.left(), 0);
        let none = reader.take::<u64>("a number");
        assert_eq!(none, Err(Damaged::Contradiction("a number")));
    }

    #[test]
    fn each_way_to_be_no_snapshot_is_told() {
        let (bytes, _) = written(&[b"item"]);
        let open = |marks, bytes: &[u8]| Reader::open(marks, bytes).map(|_| ());
        for end in 0..bytes.len() {
            let expected = match end {
                ..14 => Damaged::Foreign,
                _ => Damaged::Checksum,
            };
            assert_eq!(open(MARKS, &bytes[..end]), Err(expected));
        }
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 4;
            let expected = match at {
                ..8 => Damaged::Foreign,
                _ => Damaged::Checksum,
            };
            assert_eq!(open(MARKS, &other), Err(expected));
        }
        let later = Marks { format: 8, ..MARKS };
        assert_eq!(open(later, &bytes), Err(Damaged::Version(7)));
    }
}
