//! CRC-32C, the one checksum of datagrams, records, checkpoints and states.
//!
//! Every byte of a value is checked six times and more on its way, so the speed of this
//! shows. All of the project computes it here, and so with the same instructions: those
//! that fold 512 bits at a time where the processor has them.

use crc_fast::{CrcAlgorithm, Digest, crc32_iscsi};

/// The checksum of these bytes.
pub fn of(bytes: &[u8]) -> u32 {
    crc32_iscsi(bytes)
}

/// The checksum of what `sum` is of with `more` behind it. That of nothing is zero.
pub fn append(sum: u32, more: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!sum));
    digest.update(more);
    u32::try_from(digest.finalize()).expect("a CRC of 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the definition has it, bit by bit.
    fn bit_by_bit(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum: u32, _| {
                (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg())
            })
        })
    }

    #[test]
    fn the_checksum_is_the_one_that_others_know() {
        assert_eq!(of(b"123456789"), 0xe306_9283);
        assert_eq!(of(b""), 0);
        let bytes: Vec<u8> = (0..3_000u32).map(|i| ((i * i) >> 3) as u8).collect();
        for length in (0..600).chain([1_023, 1_472, 2_999]) {
            let part = &bytes[length % 7..length.max(7)];
            assert_eq!(of(part), bit_by_bit(part), "{} bytes", part.len());
        }
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut() {
        let bytes: Vec<u8> = (0..70_000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 41, 255, 256, 257, 9_000, 69_999, 70_000] {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(append(of(one), other), of(&bytes), "cut at {cut}");
        }
    }
}
