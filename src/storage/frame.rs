//! One record as it lies in a segment.
//!
//! ```text
//!  0       4            8          16               24        28     32
//!  | length | header crc | position | synced through | body crc | salt | body, masked, zero-padded to 8 |
//! ```
//!
//! All numbers are little-endian and every frame begins at a multiple of 8. The
//! position numbers the log's records from 1, so a frame that is missing, stale
//! or in the wrong place is seen. "Synced through" is the last position that was
//! durable when the frame was made: whoever reads it knows that everything up to
//! there was promised to the world. The store id is part of the header's checksum
//! without being written: a frame of another acceptor is no frame here.
//!
//! The header has a checksum of its own. Without it a damaged length could claim
//! bytes behind the log's end, which are zero, and damage would look like a
//! write that a crash cut short.
//!
//! For the same reason the body is masked: the mask is chosen so that *no
//! eight-byte word of a written frame is zero, nor one bit away from it* (the
//! header's latter words excepted, which never stand alone in a sector). A
//! sector that is all zero has therefore never been written; a value that
//! happens to consist of zeros cannot be taken for one.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::protocol::checksum;

/// Bytes ahead of a frame's body.
pub const HEADER: usize = 32;

/// Frames begin at multiples of this.
pub const ALIGNMENT: usize = 8;

/// How many masks are tried before a body is taken as it comes. One practically
/// always does; running out of them costs certainty in a double fault, no more.
const SALTS: u32 = 16;

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the body. A frame without a body is a seal: the segment ends
    /// here, and another one follows.
    pub length: u32,
    /// The record's number, from 1. A seal has the number of the next record.
    pub position: u64,
    /// The last position known durable when the frame was made.
    pub synced_through: u64,
    body_crc: u32,
    salt: u32,
}

impl Header {
    /// Reads the header at the front of `bytes`, if one is there that belongs to
    /// this store and is intact.
    pub fn read(store: u64, bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.get(..HEADER)?;
        let mut fields = bytes;
        let length = fields.get_u32_le();
        let crc = fields.get_u32_le();
        if crc != header_crc(store, bytes) {
            return None;
        }
        Some(Header {
            length,
            position: fields.get_u64_le(),
            synced_through: fields.get_u64_le(),
            body_crc: fields.get_u32_le(),
            salt: fields.get_u32_le(),
        })
    }

    /// Whether this ends a segment.
    pub fn is_seal(&self) -> bool {
        self.length == 0
    }

    /// Bytes of the whole frame.
    pub fn frame_length(&self) -> u64 {
        frame_length(self.length as usize) as u64
    }

    /// The body, unmasked, if it is intact. `frame` is the whole frame.
    pub fn body(&self, store: u64, frame: &[u8]) -> Option<Bytes> {
        let masked = frame.get(HEADER..self.frame_length() as usize)?;
        if checksum::of(masked) != self.body_crc {
            return None;
        }
        let mut body = BytesMut::with_capacity(masked.len());
        body.put_slice(masked);
        apply(mask(store, self.position, self.salt), &mut body);
        body.truncate(self.length as usize);
        Some(body.freeze())
    }
}

/// Bytes of a frame whose body has `length` bytes.
pub fn frame_length(length: usize) -> usize {
    HEADER + length.next_multiple_of(ALIGNMENT)
}

/// Appends the frame of a body: its fields, and the payloads behind them. No body
/// makes a seal.
pub fn write(
    store: u64,
    position: u64,
    synced_through: u64,
    fields: &[u8],
    payloads: &[Bytes],
    buffer: &mut Vec<u8>,
) {
    let bytes = fields.len() + payloads.iter().map(Bytes::len).sum::<usize>();
    let length = u32::try_from(bytes).expect("a body is limited by its segment");
    let start = buffer.len();
    for salt in 0..SALTS {
        buffer.truncate(start);
        buffer.resize(start + HEADER, 0);
        buffer.extend_from_slice(fields);
        for payload in payloads {
            buffer.extend_from_slice(payload);
        }
        buffer.resize(start + frame_length(bytes), 0);
        let frame = &mut buffer[start..];
        let strong = apply(mask(store, position, salt), &mut frame[HEADER..]);
        let body_crc = checksum::of(&frame[HEADER..]);
        let mut header = &mut frame[..HEADER];
        header.put_u32_le(length);
        header.put_u32_le(0);
        header.put_u64_le(position);
        header.put_u64_le(synced_through);
        header.put_u32_le(body_crc);
        header.put_u32_le(salt);
        let crc = header_crc(store, &frame[..HEADER]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        if strong && is_strong(u64::from(length) | u64::from(crc) << 32) {
            return;
        }
    }
}

/// The checksum of a header, over all of it but the checksum's own place.
fn header_crc(store: u64, header: &[u8]) -> u32 {
    let crc = checksum::of(&store.to_le_bytes());
    let crc = checksum::append(crc, &header[..4]);
    checksum::append(crc, &header[8..HEADER])
}

/// A word that no single flipped bit makes zero.
fn is_strong(word: u64) -> bool {
    word & word.wrapping_sub(1) != 0
}

/// Spreads store, position and salt over a word (the finish of SplitMix64).
fn mask(store: u64, position: u64, salt: u32) -> u64 {
    let mut word = store
        .wrapping_add(position.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(u64::from(salt).wrapping_mul(0xd1b5_4a32_d192_ed03));
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Masks or unmasks whole words in place; says whether all results are strong.
fn apply(mask: u64, words: &mut [u8]) -> bool {
    let mut strong = true;
    for word in words.chunks_exact_mut(ALIGNMENT) {
        let value = u64::from_le_bytes((&*word).try_into().expect("chunks of eight")) ^ mask;
        word.copy_from_slice(&value.to_le_bytes());
        strong &= is_strong(value);
    }
    strong
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body comes in two parts that no word ends with.
    fn written(position: u64, body: &[u8]) -> Vec<u8> {
        let mut buffer = b"ahead".to_vec();
        let (front, back) = body.split_at(body.len() / 3);
        let back = Bytes::copy_from_slice(back);
        write(7, position, position - 1, front, &[back], &mut buffer);
        buffer.split_off(5)
    }

    #[test]
    fn a_frame_gives_back_its_body() {
        for length in [0, 1, 7, 8, 9, 511, 70_000] {
            let body: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let frame = written(5, &body);
            let header = Header::read(7, &frame).unwrap();
            assert_eq!((header.position, header.synced_through), (5, 4));
            assert_eq!(header.is_seal(), length == 0);
            assert_eq!(header.frame_length(), frame.len() as u64);
            assert_eq!(header.body(7, &frame).unwrap(), body);
            assert_eq!(Header::read(8, &frame), None, "another store's");
        }
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let frame = written(5, b"some body");
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let body = Header::read(7, &flipped).and_then(|header| header.body(7, &flipped));
            assert_eq!(body, None, "bit {bit}");
        }
    }

    /// Zeros, and bodies made to cancel the first mask, come out without a weak word.
    #[test]
    fn no_word_of_a_body_is_nearly_zero() {
        for position in 1..200 {
            let first = mask(7, position, 0);
            for body in [
                vec![0; 4096],
                first.to_le_bytes().repeat(9),
                (first ^ 1 << 17).to_le_bytes().repeat(9),
            ] {
                let frame = written(position, &body);
                for (index, word) in frame.chunks(8).enumerate() {
                    let word = u64::from_le_bytes(word.try_into().unwrap());
                    let latter_header = (1..4).contains(&index);
                    assert!(latter_header || word.count_ones() >= 2);
                }
            }
        }
    }
}
