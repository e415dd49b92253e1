//! What stands ahead of a checkpoint's content, and the file's name.
//!
//! ```text
//! 0  "paxcast snapshot"   16  format   20  cluster   28  service   36  replica   38  zero
//! 40  through   48  length   56  content crc   60  zeros   4092  crc
//! ```
//!
//! Numbers are little-endian. The heading fills a block, so that the content can be
//! written around the system's cache; the content is filled up with zeros to whole
//! blocks. Later formats keep the magic, the format and the last checksum where they
//! are, so that this version can tell a newer file from a damaged one.

use bytes::{Buf, BufMut};

use super::{Checkpoint, CheckpointError, STEP};
use crate::protocol::Instance;
use crate::protocol::checksum;
use crate::storage::{Disk, StorageError};

/// Bytes of the heading.
pub const HEADING: u64 = 4096;

/// The newest format; it is the only one so far.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 16] = b"paxcast snapshot";

/// Where the checksum stands.
const CHECKSUM: usize = HEADING as usize - 4;

/// Where the fields end and zeros begin.
const FIELDS: usize = 60;

/// Whose checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The cluster whose log it follows.
    pub cluster: u64,
    /// The service whose state it is, as a name of eight bytes.
    pub service: [u8; 8],
    /// The replica's id.
    pub replica: u16,
}

/// The first block of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Whose file.
    pub owner: Owner,
    /// What is in it.
    pub checkpoint: Checkpoint,
}

/// The name of a checkpoint.
pub fn file_name(through: Instance) -> String {
    format!("checkpoint-{:010}.state", through.0)
}

/// How far the checkpoint of this name reaches, if it is one.
pub fn through_of(name: &str) -> Option<Instance> {
    let number = name.strip_prefix("checkpoint-")?.strip_suffix(".state")?;
    let through = Instance(number.parse().ok()?);
    (file_name(through) == name).then_some(through)
}

/// Bytes of a file with so much content.
pub fn file_length(content: u64) -> u64 {
    HEADING + content.next_multiple_of(HEADING)
}

impl Heading {
    /// The heading as it is written.
    pub fn encode(&self) -> [u8; HEADING as usize] {
        let mut block = [0; HEADING as usize];
        let mut fields = &mut block[..];
        fields.put_slice(MAGIC);
        fields.put_u32_le(FORMAT);
        fields.put_u64_le(self.owner.cluster);
        fields.put_slice(&self.owner.service);
        fields.put_u16_le(self.owner.replica);
        fields.put_u16_le(0);
        fields.put_u64_le(self.checkpoint.through.0);
        fields.put_u64_le(self.checkpoint.length);
        fields.put_u32_le(self.checkpoint.checksum);
        let crc = checksum::of(&block[..CHECKSUM]);
        block[CHECKSUM..].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// Reads the heading of a file that is there, and sees whether the file has the
    /// length that it says.
    pub fn load(disk: &mut impl Disk, name: &str) -> Result<Heading, StorageError> {
        let length = disk
            .length(name)
            .map_err(|error| CheckpointError::from_io(disk, "read", name, error))?
            .unwrap_or(0);
        let damaged = |disk: &_, offset, reason: String| {
            Err(CheckpointError::damaged(disk, name, offset, reason).into())
        };
        if length < HEADING {
            return damaged(disk, length, "the file ends inside its heading".into());
        }
        let mut block = [0; HEADING as usize];
        disk.read_at(name, 0, &mut block)
            .map_err(|error| CheckpointError::from_io(disk, "read", name, error))?;
        let mut fields = &block[..];
        if !fields.starts_with(MAGIC) {
            return damaged(disk, 0, "not a checkpoint".into());
        }
        fields.advance(MAGIC.len());
        let format = fields.get_u32_le();
        if block[CHECKSUM..] != checksum::of(&block[..CHECKSUM]).to_le_bytes() || format == 0 {
            return damaged(disk, 0, "the heading does not match its checksum".into());
        }
        if format > FORMAT {
            return Err(StorageError::Newer {
                file: disk.locate(name),
                found: format,
                known: FORMAT,
            });
        }
        let cluster = fields.get_u64_le();
        let mut service = [0; 8];
        fields.copy_to_slice(&mut service);
        let replica = fields.get_u16_le();
        fields.advance(2);
        let checkpoint = Checkpoint {
            through: Instance(fields.get_u64_le()),
            length: fields.get_u64_le(),
            checksum: fields.get_u32_le(),
        };
        debug_assert_eq!(fields.len(), block.len() - FIELDS);
        let rounded = checkpoint.length.checked_next_multiple_of(HEADING);
        if rounded.and_then(|content| content.checked_add(HEADING)) != Some(length) {
            let reason = format!(
                "the file has {length} bytes, which is not what {} bytes of content take",
                checkpoint.length
            );
            return damaged(disk, length, reason);
        }
        let owner = Owner {
            cluster,
            service,
            replica,
        };
        Ok(Heading { owner, checkpoint })
    }

    /// Whether it is this owner's; an error says what differs.
    pub fn belongs_to(
        &self,
        disk: &impl Disk,
        name: &str,
        owner: &Owner,
    ) -> Result<(), CheckpointError> {
        let shown = |owner: &Owner| {
            [
                ("cluster", format!("{:016x}", owner.cluster)),
                (
                    "service",
                    format!("\"{}\"", owner.service.trim_ascii_end().escape_ascii()),
                ),
                ("replica", owner.replica.to_string()),
            ]
        };
        for ((what, expected), (_, found)) in shown(owner).into_iter().zip(shown(&self.owner)) {
            if expected != found {
                return Err(CheckpointError::Foreign {
                    file: disk.locate(name),
                    what,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }

    /// Reads all of the file and sees whether it is what was written.
    pub fn check_content(&self, disk: &mut impl Disk, name: &str) -> Result<(), StorageError> {
        let end = file_length(self.checkpoint.length);
        let mut buffer = vec![0; STEP.min((end - HEADING) as usize)];
        let (mut at, mut left, mut sum) = (HEADING, self.checkpoint.length, 0);
        while at < end {
            let bytes = &mut buffer[..STEP.min((end - at) as usize)];
            disk.read_at(name, at, bytes)
                .map_err(|error| CheckpointError::from_io(disk, "read", name, error))?;
            let (content, padding) = bytes.split_at(left.min(bytes.len() as u64) as usize);
            sum = checksum::append(sum, content);
            if padding.iter().any(|&byte| byte != 0) {
                let reason = "not zero behind the content";
                let from = at + content.len() as u64;
                return Err(CheckpointError::damaged(disk, name, from, reason).into());
            }
            left -= content.len() as u64;
            at += bytes.len() as u64;
        }
        if sum != self.checkpoint.checksum {
            return Err(CheckpointError::content(disk, name).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::MemoryDisk;

    const HEADING_OF_ALL: Heading = Heading {
        owner: Owner {
            cluster: 0x1122_3344_5566_7788,
            service: *b"kv      ",
            replica: 3,
        },
        checkpoint: Checkpoint {
            through: Instance(1024),
            length: 0,
            checksum: 0x0102_0304,
        },
    };

    fn load(block: &[u8]) -> Result<Heading, StorageError> {
        let mut disk = MemoryDisk::new();
        disk.create("f", block.len() as u64).unwrap();
        disk.write_at("f", 0, block).unwrap();
        Heading::load(&mut disk, "f")
    }

    #[test]
    fn golden_bytes() {
        let block = HEADING_OF_ALL.encode();
        let mut expected = Vec::new();
        expected.extend(b"paxcast snapshot");
        expected.extend([1, 0, 0, 0]);
        expected.extend([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
        expected.extend(b"kv      ");
        expected.extend([3, 0, 0, 0]);
        expected.extend([0, 4, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([4, 3, 2, 1]);
        expected.resize(4092, 0);
        expected.extend([233, 83, 37, 96]);
        assert_eq!(block[..], expected[..]);
        assert_eq!(load(&block).unwrap(), HEADING_OF_ALL);
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let block = HEADING_OF_ALL.encode();
        for bit in 0..block.len() * 8 {
            let mut flipped = block;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = load(&flipped).unwrap_err();
            assert!(error.to_string().contains("is at fault"), "{error}");
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut block = HEADING_OF_ALL.encode();
        block[16] = 2;
        let crc = checksum::of(&block[..CHECKSUM]);
        block[CHECKSUM..].copy_from_slice(&crc.to_le_bytes());
        let error = load(&block).unwrap_err();
        assert!(error.to_string().contains("written in format 2"), "{error}");
    }

    #[test]
    fn names_are_recognised_and_only_they() {
        assert_eq!(file_name(Instance(42)), "checkpoint-0000000042.state");
        for through in [Instance(0), Instance(42), Instance(12_345_678_901)] {
            assert_eq!(through_of(&file_name(through)), Some(through));
        }
        for other in [
            "checkpoint-42.state",
            "checkpoint-+000000042.state",
            super::super::UNFINISHED,
        ] {
            assert_eq!(through_of(other), None);
        }
    }
}
