//! Whose file is this? The identity of an acceptor, and the heading that every
//! file of its directory carries.
//!
//! ```text
//! 0  "paxcast acceptor"   16  format   20  cluster   28  acceptor   30  zero
//! 32  store   40  segment length   48  number   56  first   64  zeros   508  crc
//! ```
//!
//! The heading fills a sector of 512 bytes, so that writing a record never
//! touches it again. The file `identity` is such a heading with the number 0;
//! the segments count from 1, and `first` is the position of a segment's first
//! record: it says that everything before is durable elsewhere.

use bytes::{Buf, BufMut};

use super::{Disk, StorageError};
use crate::protocol::checksum;

/// What a disk writes whole or not at all. A disk with larger sectors writes
/// several of these together, which is as good.
pub const SECTOR: u64 = 512;

/// The file that says whose directory it is.
pub const IDENTITY_FILE: &str = "identity";

/// The identity while it is being written.
pub const UNFINISHED_IDENTITY: &str = "identity.new";

/// The newest format; it is the only one so far.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 16] = b"paxcast acceptor";

/// Where the checksum stands.
const CHECKSUM: usize = SECTOR as usize - 4;

/// Who an acceptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster it votes in.
    pub cluster: u64,
    /// Its id there.
    pub acceptor: u16,
    /// Drawn at random when the directory was made. It names this memory: an
    /// acceptor with another store id has forgotten what this one knows.
    pub store: u64,
}

/// The first sector of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Whose file.
    pub identity: Identity,
    /// Bytes of each segment.
    pub segment_length: u64,
    /// Which segment, from 1; 0 in the identity.
    pub number: u64,
    /// The position of its first record; 0 in the identity.
    pub first: u64,
}

impl Heading {
    /// The heading as it is written.
    pub fn encode(&self) -> [u8; SECTOR as usize] {
        let mut sector = [0; SECTOR as usize];
        let mut fields = &mut sector[..];
        fields.put_slice(MAGIC);
        fields.put_u32_le(FORMAT);
        fields.put_u64_le(self.identity.cluster);
        fields.put_u16_le(self.identity.acceptor);
        fields.put_u16_le(0);
        fields.put_u64_le(self.identity.store);
        fields.put_u64_le(self.segment_length);
        fields.put_u64_le(self.number);
        fields.put_u64_le(self.first);
        let crc = checksum::of(&sector[..CHECKSUM]);
        sector[CHECKSUM..].copy_from_slice(&crc.to_le_bytes());
        sector
    }

    /// Reads the heading of a file.
    pub fn load(disk: &mut impl Disk, name: &str) -> Result<Heading, StorageError> {
        let length = disk
            .length(name)
            .map_err(|error| StorageError::from_io(disk, "read", name, error))?;
        let damaged =
            |disk: &_, offset, reason: &str| Err(StorageError::damaged(disk, name, offset, reason));
        match length {
            None => return damaged(disk, 0, "the file is missing"),
            Some(length) if length < SECTOR => {
                return damaged(disk, length, "the file ends inside its heading");
            }
            Some(_) => {}
        }
        let mut sector = [0; SECTOR as usize];
        disk.read_at(name, 0, &mut sector)
            .map_err(|error| StorageError::from_io(disk, "read", name, error))?;
        let mut fields = &sector[..];
        if fields[..MAGIC.len()] != MAGIC[..] {
            return damaged(disk, 0, "not an acceptor's file");
        }
        fields.advance(MAGIC.len());
        let format = fields.get_u32_le();
        let intact = sector[CHECKSUM..] == checksum::of(&sector[..CHECKSUM]).to_le_bytes();
        if format > FORMAT {
            return Err(StorageError::Newer {
                file: disk.locate(name),
                found: format,
                known: FORMAT,
            });
        }
        if !intact || format == 0 {
            return damaged(disk, 0, "the heading does not match its checksum");
        }
        let cluster = fields.get_u64_le();
        let acceptor = fields.get_u16_le();
        fields.advance(2);
        Ok(Heading {
            identity: Identity {
                cluster,
                acceptor,
                store: fields.get_u64_le(),
            },
            segment_length: fields.get_u64_le(),
            number: fields.get_u64_le(),
            first: fields.get_u64_le(),
        })
    }
}

/// The name of a segment.
pub fn file_name(number: u64) -> String {
    format!("votes-{number:010}.log")
}

/// The name of a segment that is still being made ready.
pub fn spare_name(number: u64) -> String {
    format!("votes-{number:010}.log.new")
}

/// The number of the segment that has this name, if it is one.
pub fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix("votes-")?.strip_suffix(".log")?;
    number.parse().ok().filter(|&n| file_name(n) == name)
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryDisk;
    use super::*;

    const HEADING: Heading = Heading {
        identity: Identity {
            cluster: 0x1122_3344_5566_7788,
            acceptor: 3,
            store: 0x99aa_bbcc_ddee_ff00,
        },
        segment_length: 4096,
        number: 2,
        first: 17,
    };

    fn stored(sector: &[u8]) -> MemoryDisk {
        let mut disk = MemoryDisk::new();
        disk.create("f", sector.len() as u64).unwrap();
        disk.write_at("f", 0, sector).unwrap();
        disk
    }

    #[test]
    fn golden_bytes() {
        let sector = HEADING.encode();
        let mut expected = Vec::new();
        expected.extend(b"paxcast acceptor");
        expected.extend([1, 0, 0, 0]);
        expected.extend([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
        expected.extend([3, 0, 0, 0]);
        expected.extend([0x00, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99]);
        expected.extend([0, 16, 0, 0, 0, 0, 0, 0]);
        expected.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([17, 0, 0, 0, 0, 0, 0, 0]);
        expected.resize(508, 0);
        expected.extend([245, 38, 170, 42]);
        assert_eq!(sector[..], expected[..]);
        assert_eq!(Heading::load(&mut stored(&sector), "f").unwrap(), HEADING);
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let sector = HEADING.encode();
        for bit in 0..sector.len() * 8 {
            let mut flipped = sector;
            flipped[bit / 8] ^= 1 << (bit % 8);
            Heading::load(&mut stored(&flipped), "f").unwrap_err();
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut sector = HEADING.encode();
        sector[16] = 2;
        let error = Heading::load(&mut stored(&sector), "f").unwrap_err();
        assert!(error.to_string().contains("written in format 2"), "{error}");
    }

    #[test]
    fn names_are_recognised_and_only_they() {
        assert_eq!(file_name(42), "votes-0000000042.log");
        assert_eq!(number_of(&file_name(42)), Some(42));
        assert_eq!(number_of(&file_name(12_345_678_901)), Some(12_345_678_901));
        for other in ["votes-42.log", "votes-+000000042.log", &spare_name(42)] {
            assert_eq!(number_of(other), None);
        }
    }
}
