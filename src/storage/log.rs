//! The acceptor's log: what must outlive the process, in the order it happened.
//!
//! ```text
//! identity              whose memory this is
//! votes-0000000001.log  heading | frame | frame | … | seal | zeros
//! votes-0000000002.log  heading | frame | frame | zeros …
//! ```
//!
//! Records are gathered in memory by [`Log::append`] and made durable together by
//! [`Log::sync`]: one write and one `fdatasync`, however many there are. Segments
//! are zeroed before they are used, so that the sync has no metadata to write;
//! but not while so much is written that the zeros would be half of it.
//!
//! Whole blocks are written, so that the disk can fetch them from where they are:
//! what is durable in the first block is written again as it is, and the last one
//! is filled up with zeros.
//!
//! Invariants:
//!
//! - Positions number the records from 1 without a gap, across segments.
//! - A record is written only when all records before the current batch are
//!   durable: at any moment at most one batch, in one segment, is not.
//! - A segment has its final name only when its heading and its zeros are
//!   durable, and everything in the segments before is; only then is the seal
//!   put on the one before, and only behind the seal's sync comes the first record.
//! - Behind the last record there are only zeros, written or not.
//! - The segments that are there have consecutive numbers. Those missing ahead of
//!   them were let go by a trim that was durable before and is still there.
//! - After a failed write or sync nothing is written or answered any more: the
//!   system may have dropped what it could not write and report success the next
//!   time.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::index::Index;
use super::lookup::Reader;
use super::pages::Pages;
use super::recovery::{self, Recovered};
use super::segment::{self, Heading, IDENTITY_FILE, Identity, SECTOR, UNFINISHED_IDENTITY};
use super::{Disk, StorageError, entry, frame};
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Found, Instance, Lookup, Payloads, Record, Vote};

mod segments;
mod trimming;

/// Bytes of a segment, unless told otherwise.
pub const SEGMENT_LENGTH: u64 = 64 << 20;

/// The largest buffer that is kept for the next batch.
const MOST_KEPT: usize = 8 << 20;

/// An open log. Dropping it forgets what was appended and not synced.
#[derive(Debug)]
pub struct Log<D> {
    disk: D,
    identity: Identity,
    segment_length: u64,
    block: u64,
    /// The segment that is written, and how far it is.
    end: Place,
    /// Where the next record will go.
    planned: Place,
    /// The position of the next record.
    next: u64,
    /// The last durable position.
    synced: u64,
    /// Frames to be written, one part per segment; the first goes to `end` and
    /// may be empty.
    parts: Vec<Part>,
    /// The durable bytes of the block in which `end` lies: they are written again
    /// with what comes behind them.
    started: Vec<u8>,
    /// Memory for the next part.
    idle: Pages,
    /// Bytes that a sync writes, of late.
    batch: u64,
    /// What the parts hold, for lookups and the index.
    gathered: Vec<Gathered>,
    /// How much of the next segment is zeroed, if it was begun.
    spare: Option<u64>,
    /// The next segment found no room; it is tried again when it is needed.
    postponed: bool,
    index: Index,
    /// The highest instance voted for in each segment.
    reach: BTreeMap<u64, Instance>,
    /// The oldest segment that is there, and the position of its first record.
    first: u64,
    first_position: u64,
    /// Segments before this one may be deleted.
    kept: u64,
    /// And before this one, once what was appended is synced.
    kept_when_synced: u64,
    reader: Reader,
    scratch: BytesMut,
    payloads: Vec<Bytes>,
    /// The failure after which nothing goes on.
    closed: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    segment: u64,
    offset: u64,
}

/// What is written to one segment at once: whole blocks, the first of which may
/// begin with what is durable there.
#[derive(Debug)]
struct Part {
    /// Where it goes.
    from: u64,
    /// Place for what is durable, and the frames.
    pages: Pages,
    /// The position of its last record; nothing while there is none.
    last: Option<u64>,
}

#[derive(Debug)]
struct Gathered {
    place: Place,
    to: u64,
    vote: Option<Vote>,
}

impl<D: Disk> Log<D> {
    /// Makes an empty directory an acceptor's, durably.
    pub fn init(disk: D, identity: Identity) -> Result<(), StorageError> {
        Self::init_with_segments(disk, identity, SEGMENT_LENGTH)
    }

    /// [`Log::init`] with segments of another length: a multiple of 512, at least 2048.
    pub fn init_with_segments(
        mut disk: D,
        identity: Identity,
        segment_length: u64,
    ) -> Result<(), StorageError> {
        check_segment_length(segment_length)?;
        if let Some(found) = list(&mut disk)?.into_iter().next() {
            return Err(StorageError::NotEmpty {
                directory: disk.locate(""),
                found,
            });
        }
        let mut log = Log::assemble(disk, identity, segment_length, Recovered::nothing());
        log.make_segment(1, 1)?;
        log.write_identity()
    }

    /// Opens an acceptor's log: hands every record to `each`, oldest first, and
    /// returns the log and its store id.
    ///
    /// What `each` saw counts only when this returns the log: records that a crash
    /// left unsynced become durable at the end.
    pub fn open(
        mut disk: D,
        cluster: u64,
        acceptor: u16,
        mut each: impl FnMut(Record),
    ) -> Result<(Log<D>, u64), StorageError> {
        let names = list(&mut disk)?;
        if !names.iter().any(|name| name == IDENTITY_FILE) {
            let directory = disk.locate("");
            return Err(match names.into_iter().next() {
                None => StorageError::Empty { directory },
                Some(found) => StorageError::Unfinished { directory, found },
            });
        }
        let heading = Heading::load(&mut disk, IDENTITY_FILE)?;
        check_identity(&disk, &heading.identity, cluster, acceptor)?;
        if heading.number != 0 || check_segment_length(heading.segment_length).is_err() {
            let reason = "not the heading of an identity";
            return Err(StorageError::damaged(&disk, IDENTITY_FILE, 0, reason));
        }
        // The names may be seen and yet not be durable, as little as bytes are.
        disk.sync_directory()
            .map_err(|error| StorageError::from_io(&disk, "sync the directory", "", error))?;
        let recovered = recovery::recover(&mut disk, &heading, &mut each)?;
        let leftover = |name: &&String| name.starts_with("votes-") && name.ends_with(".new");
        for name in names.iter().filter(leftover) {
            disk.remove(name)
                .map_err(|error| StorageError::from_io(&disk, "remove", name, error))?;
        }
        let store = heading.identity.store;
        let log = Log::assemble(disk, heading.identity, heading.segment_length, recovered);
        Ok((log, store))
    }

    /// Appends a record. It is seen by lookups at once and becomes durable with
    /// the next [`Log::sync`]; until then it takes memory. Of trims, none goes less
    /// far than those before it.
    pub fn append(&mut self, record: &Record) -> Result<(), StorageError> {
        self.check_open()?;
        self.scratch.clear();
        // Where it will stand bears on what it lets go, and not on its length.
        entry::encode_fields(record, 0, &mut self.scratch);
        self.payloads.clear();
        record.each_payload(&mut |payload| self.payloads.push(payload.bytes().clone()));
        let bytes = self.scratch.len() + self.payloads.iter().map(Bytes::len).sum::<usize>();
        let whole = frame::frame_length(bytes) as u64;
        // Behind the last record there is always room for a seal.
        let seal = frame::HEADER as u64;
        if SECTOR + whole + seal > self.segment_length {
            return Err(StorageError::TooLarge {
                bytes,
                limit: (self.segment_length - SECTOR - seal) as usize - frame::HEADER,
            });
        }
        if self.parts.is_empty() {
            self.begin_part();
        }
        if self.planned.offset + whole + seal > self.segment_length {
            self.planned = Place {
                segment: self.planned.segment + 1,
                offset: SECTOR,
            };
            self.begin_part();
        }
        let kept = match record {
            Record::Trimmed { through, .. } => self.first_kept(*through),
            _ => 0,
        };
        if kept > 0 {
            self.scratch.clear();
            entry::encode_fields(record, kept, &mut self.scratch);
        }
        let part = self.parts.last_mut().expect("one was pushed");
        let store = self.identity.store;
        let synced = match mutant(Mutant::SyncClaimedEarly) {
            true => self.next - 1,
            false => self.synced,
        };
        let buffer = part.pages.room(whole as usize);
        let (fields, payloads) = (&self.scratch, &self.payloads);
        frame::write(store, self.next, synced, fields, payloads, buffer);
        // They may be the last to hold the memory of a block.
        self.payloads.clear();
        part.last = Some(self.next);
        let to = self.planned.offset + whole;
        self.gathered.push(Gathered {
            place: self.planned,
            to,
            vote: match record {
                Record::Voted { vote } => Some(vote.clone()),
                _ => None,
            },
        });
        let noted = self.note_reach(record, kept);
        self.planned.offset = to;
        self.next += 1;
        self.close_on_error(noted)
    }

    /// Makes everything appended durable. After a failure nothing more can be
    /// done with the log but to open it anew.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.check_open()?;
        if !self.is_dirty() {
            return Ok(());
        }
        let result = self.write_parts().and_then(|()| self.prepare_ahead());
        self.close_on_error(result)
    }

    /// Whether something was appended since the last sync.
    pub fn is_dirty(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// The newest vote for each instance in the spans that are asked for,
    /// ascending, as many as `bytes` of values allow: at least one, if there is
    /// one, and never more than a few thousand. Sees what is not yet synced.
    pub fn lookup(&mut self, lookup: Lookup) -> Result<Found, StorageError> {
        self.check_open()?;
        let unwritten = self
            .gathered
            .iter()
            .filter_map(|gathered| gathered.vote.as_ref());
        let store = self.identity.store;
        let result = self
            .reader
            .lookup(&mut self.disk, store, &self.index, unwritten, lookup);
        self.close_on_error(result)
    }

    /// Whose log it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The position of the last durable record, 0 when there is none.
    pub fn synced_through(&self) -> u64 {
        self.synced
    }

    /// Where the durable records end: the number of the segment, and the offset in it.
    pub fn end(&self) -> (u64, u64) {
        (self.end.segment, self.end.offset)
    }

    /// The disk, for simulators that look at what a crash would leave.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The disk, for simulators that let it fail.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Gives the disk back; what was not synced is forgotten.
    pub fn into_disk(self) -> D {
        self.disk
    }

    fn assemble(disk: D, identity: Identity, segment_length: u64, found: Recovered) -> Log<D> {
        let end = Place {
            segment: found.segment,
            offset: found.offset,
        };
        Log {
            block: disk.block() as u64,
            disk,
            identity,
            segment_length,
            end,
            planned: end,
            next: found.next,
            synced: found.next - 1,
            parts: Vec::new(),
            started: found.started,
            idle: Pages::default(),
            batch: 0,
            gathered: Vec::new(),
            spare: None,
            postponed: false,
            index: found.index,
            reach: found.reach,
            first: found.first,
            first_position: found.first_position,
            kept: found.kept,
            kept_when_synced: found.kept,
            reader: Reader::default(),
            scratch: BytesMut::new(),
            payloads: Vec::new(),
            closed: None,
        }
    }

    fn check_open(&self) -> Result<(), StorageError> {
        match &self.closed {
            None => Ok(()),
            Some(cause) => Err(StorageError::Closed {
                cause: cause.clone(),
            }),
        }
    }

    fn close_on_error<T>(&mut self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result {
            self.closed = Some(error.to_string());
        }
        result
    }

    /// Goes on where the last part ends, or at the beginning of a segment.
    fn begin_part(&mut self) {
        let mut pages = std::mem::take(&mut self.idle);
        pages.clear();
        let started = self.planned.offset % self.block;
        pages.grow(started as usize);
        self.parts.push(Part {
            from: self.planned.offset - started,
            pages,
            last: None,
        });
    }

    fn write_parts(&mut self) -> Result<(), StorageError> {
        for (number, mut part) in std::mem::take(&mut self.parts).into_iter().enumerate() {
            if number > 0 {
                self.rotate()?;
            }
            let Some(last) = part.last else {
                continue;
            };
            let end = part.from + part.pages.len() as u64;
            self.batch = (7 * self.batch + part.pages.len() as u64) / 8;
            part.pages[..self.started.len()].copy_from_slice(&self.started);
            part.pages.grow(self.padding(end));
            let name = segment::file_name(self.end.segment);
            self.write(&name, part.from, &part.pages)?;
            self.sync_file(&name)?;
            let block = (end - end % self.block - part.from) as usize;
            self.started.clear();
            self.started
                .extend_from_slice(&part.pages[block..(end - part.from) as usize]);
            self.end.offset = end;
            self.synced = last;
            if part.pages.capacity() <= MOST_KEPT {
                self.idle = part.pages;
            }
        }
        assert_eq!(
            self.end, self.planned,
            "records went where they were meant to"
        );
        self.kept = self.kept_when_synced;
        for gathered in self.gathered.drain(..) {
            let Place { segment, offset } = gathered.place;
            let instance: Option<Instance> = gathered.vote.map(|vote| vote.instance);
            self.index.note(segment, offset, gathered.to, instance);
        }
        Ok(())
    }

    /// How many zeros a write that ends there is filled up with: to the end of
    /// the block, for behind the last record there is nothing else.
    fn padding(&self, end: u64) -> usize {
        if mutant(Mutant::TornTailLeft) {
            return 0;
        }
        (end.next_multiple_of(self.block).min(self.segment_length) - end) as usize
    }

    /// Writes from the beginning of a block on, where zeros follow.
    fn write_blocks(&mut self, name: &str, from: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut pages = Pages::zeros(bytes.len() + self.padding(from + bytes.len() as u64));
        pages[..bytes.len()].copy_from_slice(bytes);
        self.write(name, from, &pages)
    }

    /// The last act of making a log: from here on it exists.
    fn write_identity(&mut self) -> Result<(), StorageError> {
        let heading = Heading {
            identity: self.identity,
            segment_length: self.segment_length,
            number: 0,
            first: 0,
        };
        let name = UNFINISHED_IDENTITY;
        self.disk
            .create(name, SECTOR)
            .map_err(|error| StorageError::from_io(&self.disk, "create", name, error))?;
        self.write(name, 0, &heading.encode())?;
        self.sync_file(name)?;
        self.rename(name, IDENTITY_FILE)?;
        self.sync_directory()
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.disk
            .write_at(name, offset, bytes)
            .map_err(|error| StorageError::from_io(&self.disk, "write", name, error))
    }

    fn sync_file(&mut self, name: &str) -> Result<(), StorageError> {
        self.disk
            .sync(name)
            .or_else(|error| match mutant(Mutant::FailedSyncIgnored) {
                true => Ok(()),
                false => Err(error),
            })
            .map_err(|error| StorageError::from_io(&self.disk, "sync", name, error))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), StorageError> {
        self.disk
            .rename(from, to)
            .map_err(|error| StorageError::from_io(&self.disk, "rename", from, error))
    }

    fn sync_directory(&mut self) -> Result<(), StorageError> {
        if mutant(Mutant::DirectoryNotSynced) {
            return Ok(());
        }
        self.disk
            .sync_directory()
            .map_err(|error| StorageError::from_io(&self.disk, "sync the directory", "", error))
    }
}

impl Recovered {
    /// What there is before there is anything.
    fn nothing() -> Recovered {
        Recovered {
            segment: 1,
            offset: SECTOR,
            started: Vec::new(),
            next: 1,
            index: Index::default(),
            reach: BTreeMap::new(),
            first: 1,
            first_position: 1,
            kept: 1,
        }
    }
}

fn list(disk: &mut impl Disk) -> Result<Vec<String>, StorageError> {
    disk.list()
        .map_err(|error| StorageError::from_io(disk, "list the directory", "", error))
}

fn check_segment_length(bytes: u64) -> Result<(), StorageError> {
    if bytes.is_multiple_of(SECTOR) && (4 * SECTOR..=1 << 30).contains(&bytes) {
        return Ok(());
    }
    Err(StorageError::SegmentLength { bytes })
}

fn check_identity(
    disk: &impl Disk,
    found: &Identity,
    cluster: u64,
    acceptor: u16,
) -> Result<(), StorageError> {
    let foreign = |what, expected, found| {
        Err(StorageError::Foreign {
            file: disk.locate(IDENTITY_FILE),
            what,
            expected,
            found,
        })
    };
    if found.cluster != cluster {
        let show = |cluster: u64| format!("{cluster:016x}");
        return foreign("cluster", show(cluster), show(found.cluster));
    }
    if found.acceptor != acceptor {
        return foreign("acceptor", acceptor.to_string(), found.acceptor.to_string());
    }
    Ok(())
}
