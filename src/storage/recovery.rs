//! What a log holds after a crash, and whether that is all it ever held.
//!
//! A crash may take any sectors of what was written since the last sync, in any
//! combination: a later record may be whole while an earlier one lacks its
//! middle. It takes nothing that was synced. Damage takes anything. The two
//! must not be confused: cutting a damaged log at its first bad record would
//! silently forget votes that others count on.
//!
//! A bad record is the work of a crash, and the log is cut there, only if
//!
//! 1. no intact header behind it names its position as synced, and
//! 2. a sector that the record's bytes lie in is zero from the record's
//!    beginning (or the sector's) to the sector's end: it was never written. By
//!    the mask (see [`frame`]) written bytes are never zero for so long; by the
//!    header's own checksum a damaged length makes no record longer than it was.
//!
//! Everything else refuses to start. A crash between write and sync always
//! meets both; damage of single bits never does. What remains is a lost *sector*
//! of the very last write, and zeros that a disk put over the log's end by
//! mistake: neither can be told from what never arrived.
//!
//! A segment ends with a seal, written when the next one is durable, and the
//! next one's heading names the position it begins with. So a lost file is
//! seen, the last one included.
//!
//! Segments that are missing ahead of the first one are a different matter: a
//! trim deletes the oldest. It says in the log itself, and durably before any
//! goes, which is the first to be kept. So the log is read from the lowest segment
//! that is there, and at its end the last trim found must cover whatever is
//! missing ahead: a lost segment is not taken for one that was let go.
//!
//! What is recovered counts as synced only after it is: records behind the last
//! position that is named as synced are written once more (they may be in the
//! system's cache only, and after a failed sync even marked as clean there), the
//! space behind them is made zero where it is not, and both are synced before
//! anyone acts on them.

use std::collections::BTreeMap;

use super::entry;
use super::frame::{self, Header};
use super::index::Index;
use super::segment::{self, Heading, SECTOR};
use super::{Disk, StorageError};
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Instance, Record};

/// How much is read at once.
const CHUNK: u64 = 1 << 20;

/// Where a recovered log goes on.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The last segment.
    pub segment: u64,
    /// Where its last record ends.
    pub offset: u64,
    /// What stands there already in the same block.
    pub started: Vec<u8>,
    /// The position of the next record.
    pub next: u64,
    /// The outline of what is there.
    pub index: Index,
    /// The highest instance voted for in each segment.
    pub reach: BTreeMap<u64, Instance>,
    /// The oldest segment that is there.
    pub first: u64,
    /// The position of its first record.
    pub first_position: u64,
    /// Segments before this one may be deleted.
    pub kept: u64,
}

/// Reads the whole log, hands every record on in order, and makes it fit to go on.
pub(super) fn recover<D: Disk>(
    disk: &mut D,
    identity: &Heading,
    each: &mut dyn FnMut(Record),
) -> Result<Recovered, StorageError> {
    let headings = headings(disk, identity)?;
    let first = headings[0];
    let mut scan = Scan {
        disk,
        store: identity.identity.store,
        length: identity.segment_length,
        next: first.first,
        synced: 0,
        settled: SECTOR,
        index: Index::default(),
        reach: BTreeMap::new(),
        kept: 1,
        each,
    };
    let mut end = End::Open(SECTOR);
    for (place, heading) in headings.iter().enumerate() {
        let name = segment::file_name(heading.number);
        if heading.first != scan.next {
            let reason = format!(
                "begins with record {}, but the segment before ends ahead of record {}",
                heading.first, scan.next
            );
            return Err(StorageError::damaged(scan.disk, &name, 0, reason));
        }
        scan.settled = SECTOR;
        end = scan.segment(heading.number, &name)?;
        match (end, headings.get(place + 1)) {
            (End::Sealed, Some(_)) => {}
            (End::Sealed, None) if mutant(Mutant::LostSegmentNotMissed) => {
                end = End::Open(identity.segment_length);
            }
            (End::Sealed, None) => {
                let lost = segment::file_name(heading.number + 1);
                let reason = "the file is missing, but the segment before says that it is there";
                return Err(StorageError::damaged(scan.disk, &lost, 0, reason));
            }
            (End::Open(offset), Some(next)) => scan.seal(&name, offset, next)?,
            (End::Open(offset), None) => {
                scan.explain_missing(first.number)?;
                scan.settle(&name, offset)?;
            }
        }
    }
    let (End::Open(offset), Some(last)) = (end, headings.last()) else {
        unreachable!("a sealed end without a segment behind it was refused");
    };
    let block = offset - offset % scan.disk.block() as u64;
    let started = scan.read(&segment::file_name(last.number), block, offset - block)?;
    Ok(Recovered {
        segment: last.number,
        offset,
        started,
        next: scan.next,
        index: scan.index,
        reach: scan.reach,
        first: first.number,
        first_position: first.first,
        kept: scan.kept,
    })
}

/// The headings of all segments, which must be there without a gap from the
/// first one on; there is at least one.
fn headings(disk: &mut impl Disk, identity: &Heading) -> Result<Vec<Heading>, StorageError> {
    let names = disk
        .list()
        .map_err(|error| StorageError::from_io(disk, "list the directory", "", error))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::number_of(name))
        .collect();
    numbers.sort_unstable();
    let mut headings = Vec::new();
    let (first, last) = match numbers[..] {
        [] | [0, ..] => (1, 1),
        [first, ..] => (first, numbers[numbers.len() - 1]),
    };
    for number in first..=last {
        // Checked before anything is read, lest one stray name means a long search.
        if numbers.get(headings.len()) != Some(&number) {
            let name = segment::file_name(number);
            return Err(StorageError::damaged(disk, &name, 0, "the file is missing"));
        }
        headings.push(heading(disk, identity, number)?);
    }
    let begins = headings[0].first;
    if begins == 0 || (first == 1 && begins != 1) || begins > u64::MAX / 2 {
        let name = segment::file_name(first);
        let reason = format!("segment {first} cannot begin with record {begins}");
        return Err(StorageError::damaged(disk, &name, 0, reason));
    }
    Ok(headings)
}

/// The heading of one segment, which must belong to this log.
fn heading(disk: &mut impl Disk, identity: &Heading, number: u64) -> Result<Heading, StorageError> {
    let name = segment::file_name(number);
    let heading = Heading::load(disk, &name)?;
    if heading.identity != identity.identity {
        let show = |heading: &Heading| {
            let segment::Identity {
                cluster,
                acceptor,
                store,
            } = heading.identity;
            format!("{acceptor} of cluster {cluster:016x}, store {store:016x}")
        };
        return Err(StorageError::Foreign {
            file: disk.locate(&name),
            what: "acceptor",
            expected: show(identity),
            found: show(&heading),
        });
    }
    if (heading.number, heading.segment_length) != (number, identity.segment_length) {
        let reason = format!(
            "the heading is that of segment {}, of {} bytes",
            heading.number, heading.segment_length
        );
        return Err(StorageError::damaged(disk, &name, 0, reason));
    }
    let length = disk
        .length(&name)
        .map_err(|error| StorageError::from_io(disk, "read", &name, error))?
        .unwrap_or(0);
    if length != identity.segment_length {
        let reason = format!(
            "the file has {length} bytes instead of {}",
            identity.segment_length
        );
        return Err(StorageError::damaged(disk, &name, length, reason));
    }
    Ok(heading)
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With a seal.
    Sealed,
    /// Here, in one way or another.
    Open(u64),
}

struct Scan<'a, D> {
    disk: &'a mut D,
    store: u64,
    /// Of each segment.
    length: u64,
    /// The position expected next.
    next: u64,
    /// The last position that a record names as synced.
    synced: u64,
    /// All frames of this segment before this offset are named as synced, or
    /// belong to the first write into the segment.
    settled: u64,
    index: Index,
    /// The highest instance voted for in each segment.
    reach: BTreeMap<u64, Instance>,
    /// The first segment that the trims so far want kept.
    kept: u64,
    each: &'a mut dyn FnMut(Record),
}

impl<D: Disk> Scan<'_, D> {
    /// Replays a segment as far as its records are intact.
    fn segment(&mut self, number: u64, name: &str) -> Result<End, StorageError> {
        let mut window = Window::default();
        let mut offset = SECTOR;
        while offset + frame::HEADER as u64 <= self.length {
            let bytes = self.window(&mut window, name, offset, frame::HEADER as u64)?;
            let Some(header) = Header::read(self.store, bytes) else {
                break;
            };
            let to = offset + header.frame_length();
            if to > self.length || !self.is_expected(&header) {
                break;
            }
            if header.is_seal() {
                return Ok(End::Sealed);
            }
            let bytes = self.window(&mut window, name, offset, header.frame_length())?;
            let Some(body) = header.body(self.store, bytes) else {
                break;
            };
            let Some((record, kept)) = entry::decode(&body) else {
                let reason = format!(
                    "record {} is intact but this version cannot read it (was it written by a \
                     newer one?)",
                    self.next
                );
                return Err(StorageError::damaged(self.disk, name, offset, reason));
            };
            if header.synced_through > self.synced {
                self.synced = header.synced_through;
                self.settled = offset;
            }
            let instance = match &record {
                Record::Voted { vote } => Some(vote.instance),
                _ => None,
            };
            self.index.note(number, offset, to, instance);
            if let Some(instance) = instance {
                let reach = self.reach.entry(number).or_default();
                *reach = instance.max(*reach);
            }
            // It never asks for its own segment to go, nor for one behind it.
            self.kept = self.kept.max(kept.unwrap_or(0).min(number));
            let forgotten = matches!(record, Record::Promised { .. });
            if !forgotten || !mutant(Mutant::PromiseForgottenAtRestart) {
                (self.each)(record);
            }
            self.next += 1;
            offset = to;
        }
        Ok(End::Open(offset))
    }

    /// Refuses a log that lacks more segments ahead of this one than were let go.
    fn explain_missing(&mut self, first: u64) -> Result<(), StorageError> {
        if first <= self.kept {
            return Ok(());
        }
        let lost = segment::file_name(first - 1);
        let reason = "the file is missing, and no trim in the log let it go";
        Err(StorageError::damaged(self.disk, &lost, 0, reason))
    }

    /// Whether a header is that of the next record.
    fn is_expected(&self, header: &Header) -> bool {
        header.position == self.next
            && header.synced_through < header.position
            && header.synced_through >= self.synced
    }

    /// Ends a segment that has a successor but no seal. The successor was made
    /// after all of this one was synced, so nothing but the seal may be missing.
    fn seal(&mut self, name: &str, offset: u64, next: &Heading) -> Result<(), StorageError> {
        let tail = self.tail(name, offset)?;
        if next.first != self.next {
            let reason = self.explain(&tail);
            return Err(StorageError::damaged(self.disk, name, offset, reason));
        }
        if !tail.is_empty() {
            self.judge(name, offset, &tail)?;
        }
        let mut seal = Vec::new();
        frame::write(self.store, self.next, self.next - 1, &[], &[], &mut seal);
        seal.resize(seal.len().max(tail.len()), 0);
        self.rewrite(name, offset, &seal)
    }

    /// Makes the end of the log durable as it was read, cutting off what a crash tore.
    fn settle(&mut self, name: &str, offset: u64) -> Result<(), StorageError> {
        let tail = self.tail(name, offset)?;
        if !tail.is_empty() {
            self.judge(name, offset, &tail)?;
            log::info!(
                "{}, byte {offset}: cut off {} bytes that were being written when the acceptor \
                 last stopped; nobody was told of them",
                self.disk.locate(name),
                tail.len()
            );
        }
        let mut bytes = self.read(name, self.settled, offset - self.settled)?;
        if !mutant(Mutant::TornTailLeft) {
            bytes.resize(bytes.len() + tail.len(), 0);
        }
        if bytes.is_empty() || mutant(Mutant::RecoveredNotSynced) {
            return Ok(());
        }
        self.rewrite(name, self.settled, &bytes)
    }

    /// Everything from `offset` to the last byte that is not zero.
    fn tail(&mut self, name: &str, offset: u64) -> Result<Vec<u8>, StorageError> {
        let mut end = offset;
        let mut from = offset;
        while from < self.length {
            let length = CHUNK.min(self.length - from);
            let bytes = self.read(name, from, length)?;
            if let Some(last) = bytes.iter().rposition(|&byte| byte != 0) {
                end = from + last as u64 + 1;
            }
            from += length;
        }
        self.read(name, offset, end - offset)
    }

    /// Refuses a tail that no crash can have left; `tail` is not empty.
    fn judge(&mut self, name: &str, offset: u64, tail: &[u8]) -> Result<(), StorageError> {
        if mutant(Mutant::CutAtFirstDamage) {
            return Ok(());
        }
        let mut padded = tail.to_vec();
        padded.resize(tail.len() + frame::HEADER, 0);
        if let Some(at) = self.names_as_synced(&padded) {
            let reason = format!(
                "record {} is damaged; the record at byte {} says that it was synced",
                self.next,
                offset + at as u64
            );
            return Err(StorageError::damaged(self.disk, name, offset, reason));
        }
        let header = Header::read(self.store, &padded);
        let extent = match header {
            Some(header) if self.is_expected(&header) => header.frame_length(),
            Some(_) => {
                let reason = self.explain(tail);
                return Err(StorageError::damaged(self.disk, name, offset, reason));
            }
            None => frame::HEADER as u64,
        };
        if offset + extent <= self.length && lacks_a_sector(offset, extent, tail) {
            return Ok(());
        }
        let reason = self.explain(tail);
        Err(StorageError::damaged(self.disk, name, offset, reason))
    }

    /// Where in the tail a header names the record at its front as synced.
    fn names_as_synced(&self, padded: &[u8]) -> Option<usize> {
        let most = self.next + (padded.len() / frame::HEADER) as u64;
        (frame::ALIGNMENT..=padded.len() - frame::HEADER)
            .step_by(frame::ALIGNMENT)
            .find(|&at| {
                let bytes = &padded[at..at + frame::HEADER];
                // Much cheaper than the checksum, and nearly always enough.
                let position = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"));
                (self.next + 1..=most).contains(&position)
                    && Header::read(self.store, bytes)
                        .is_some_and(|header| header.synced_through >= self.next)
            })
    }

    /// Says what is wrong with the record at the front of a tail.
    fn explain(&self, tail: &[u8]) -> String {
        let next = self.next;
        match Header::read(self.store, tail) {
            Some(header) if header.position != next => {
                format!(
                    "record {} stands where record {next} belongs",
                    header.position
                )
            }
            Some(header) if !self.is_expected(&header) => format!(
                "record {next} names record {} as synced, an earlier one {}",
                header.synced_through, self.synced
            ),
            Some(_) => format!("record {next} does not match its checksum"),
            None if tail.is_empty() => format!("record {next} is gone"),
            None => format!("the head of record {next} does not match its checksum"),
        }
    }

    fn window<'w>(
        &mut self,
        window: &'w mut Window,
        name: &str,
        offset: u64,
        length: u64,
    ) -> Result<&'w [u8], StorageError> {
        if offset < window.from || offset + length > window.from + window.bytes.len() as u64 {
            let read = length.max(CHUNK).min(self.length - offset);
            window.bytes = self.read(name, offset, read)?;
            window.from = offset;
        }
        let from = (offset - window.from) as usize;
        Ok(&window.bytes[from..from + length as usize])
    }

    fn read(&mut self, name: &str, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; length as usize];
        self.disk
            .read_at(name, offset, &mut bytes)
            .map_err(|error| StorageError::from_io(self.disk, "read", name, error))?;
        Ok(bytes)
    }

    fn rewrite(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.disk
            .write_at(name, offset, bytes)
            .map_err(|error| StorageError::from_io(self.disk, "write", name, error))?;
        self.disk
            .sync(name)
            .map_err(|error| StorageError::from_io(self.disk, "sync", name, error))
    }
}

/// The part of a segment that was read last.
#[derive(Default)]
struct Window {
    from: u64,
    bytes: Vec<u8>,
}

/// Whether, of the sectors that `extent` bytes from `offset` on lie in, one is
/// zero from there to its end. `tail` begins at `offset`; what follows it is zero.
fn lacks_a_sector(offset: u64, extent: u64, tail: &[u8]) -> bool {
    let mut from = offset;
    while from < offset + extent {
        let to = (from / SECTOR + 1) * SECTOR;
        let at = |place: u64| tail.len().min((place - offset) as usize);
        if tail[at(from)..at(to)].iter().all(|&byte| byte == 0) {
            return true;
        }
        from = to;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_is_lacking_if_it_is_zero_to_its_end() {
        // A record of 1200 bytes from 1000 on lies in four sectors.
        let whole = vec![1; 1200];
        assert!(!lacks_a_sector(1000, 1200, &whole));
        for (from, to) in [(1000, 1024), (1024, 1536), (1536, 2048), (2048, 2560)] {
            let mut tail = vec![1; 2000];
            tail[from - 1000..to - 1000].fill(0);
            assert!(lacks_a_sector(1000, 1200, &tail), "{from}..{to}");
            tail[to - 1001] = 1;
            assert!(!lacks_a_sector(1000, 1200, &tail), "{from}..{to} but one");
        }
        let mut tail = whole;
        tail.resize(3000, 1);
        tail[1560..2072].fill(0);
        assert!(!lacks_a_sector(1000, 1200, &tail), "behind the record");
        assert!(lacks_a_sector(1000, 1200, &[1; 1000]), "cut short");
    }
}
