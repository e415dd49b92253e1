//! A disk in memory that forgets like a real one.
//!
//! What was not synced may be gone after [`MemoryDisk::crash`], in any
//! combination: of the sectors written since a file's last sync each is found new
//! or old, and of the names made, changed or removed since the directory's last
//! sync each is found or not. Which, is decided by a seed. Reading always shows
//! the latest writes, as the operating system's cache does until the crash.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::Disk;

const SECTOR: usize = super::segment::SECTOR as usize;

/// What befalls a call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A creation or a write finds the disk full. Other calls pass.
    Full,
    /// The call fails. Where it was a sync, what should have become durable
    /// never will, though it can still be read and later syncs succeed: this is
    /// how the kernel treats pages it could not write.
    Broken,
    /// The call takes place but its success is never heard of, and no later call
    /// succeeds, until the crash.
    PowerOff,
}

/// A disk in memory. A clone is another disk with the same contents.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    files: BTreeMap<u64, MemoryFile>,
    next_file: u64,
    /// Names as they are seen.
    names: BTreeMap<String, u64>,
    /// Names as they are durable.
    durable_names: BTreeMap<String, u64>,
    /// Changes of names since the directory's last sync.
    changes: Vec<Change>,
    calls: u64,
    bytes_read: u64,
    fault: Option<(u64, Fault)>,
    power_off: bool,
    capacity: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct MemoryFile {
    /// As it is read.
    content: Vec<u8>,
    /// As it is durable.
    durable: Vec<u8>,
    /// Sectors that a crash may show new or old.
    unsynced: BTreeSet<usize>,
    /// Whether the length is durable.
    length_synced: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Created(String, u64),
    Renamed(String, String, u64),
    Removed(String),
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// How many calls were made that change or sync something.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// How many bytes were read.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Lets the given call, counted from 1 as [`MemoryDisk::calls`] counts, suffer a fault.
    pub fn fail_at(&mut self, call: u64, fault: Fault) {
        self.fault = Some((call, fault));
    }

    /// Lets the files together have this many bytes at most.
    pub fn limit(&mut self, capacity: Option<u64>) {
        self.capacity = capacity;
    }

    /// Bytes of all files together.
    pub fn used(&self) -> u64 {
        let length = |id| {
            self.files
                .get(id)
                .map_or(0, |file| file.content.len() as u64)
        };
        self.names.values().map(length).sum()
    }

    /// The power fails and comes back: what was not synced is lost or kept as
    /// the seed has it. Pending faults are forgotten.
    pub fn crash(&mut self, seed: u64) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        // All and nothing lost are cases that independent choices hardly ever give,
        // and neither is a hole: only the first sector of a write is not there.
        let mut hole = rng.random_bool(0.25);
        let kept = match hole {
            true => 1.0,
            false => [0.0, 1.0, 0.5, 0.1, 0.9][rng.random_range(0..5)],
        };
        for change in std::mem::take(&mut self.changes) {
            if rng.random_bool(kept) {
                apply(&mut self.durable_names, change);
            }
        }
        self.names = self.durable_names.clone();
        for file in self.files.values_mut() {
            if !file.length_synced && !rng.random_bool(kept) {
                file.durable.clear();
                file.unsynced.clear();
            }
            for sector in std::mem::take(&mut file.unsynced) {
                let lost = std::mem::take(&mut hole) || !rng.random_bool(kept);
                if !lost {
                    file.write_back(sector);
                }
            }
            file.length_synced = true;
            file.content = file.durable.clone();
        }
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|id, _| named.contains(id));
        self.power_off = false;
        self.fault = None;
    }

    /// The process that used the disk is gone and another takes over: no power
    /// failed, so nothing is lost, durable or not. Pending faults are forgotten.
    pub fn change_hands(&mut self) {
        self.power_off = false;
        self.fault = None;
    }

    /// Flips one bit of a file, durably. Bits count from the lowest of byte 0.
    ///
    /// # Panics
    ///
    /// When there is no such file or bit.
    pub fn flip(&mut self, name: &str, bit: u64) {
        let file = self.file(name).expect("a file to damage");
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        file.content[byte] ^= mask;
        file.durable[byte] ^= mask;
    }

    fn file(&mut self, name: &str) -> io::Result<&mut MemoryFile> {
        let id = self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.files.get_mut(id).expect("every name has its file"))
    }

    /// Counts a call and says what befalls it.
    fn strike(&mut self) -> io::Result<Option<Fault>> {
        if self.power_off {
            return Err(power_off());
        }
        self.calls += 1;
        let fault = match self.fault {
            Some((call, fault)) if call == self.calls => Some(fault),
            _ => None,
        };
        self.power_off = fault == Some(Fault::PowerOff);
        Ok(fault)
    }

    /// Strikes before anything happened.
    fn strike_first(&mut self, grows: bool) -> io::Result<()> {
        match self.strike()? {
            Some(Fault::Full) if grows => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Broken) => Err(broken()),
            _ => Ok(()),
        }
    }

    /// Reports a failing power supply after the call took place.
    fn struck(&self) -> io::Result<()> {
        if self.power_off {
            return Err(power_off());
        }
        Ok(())
    }
}

impl MemoryFile {
    /// Makes one sector durable.
    fn write_back(&mut self, sector: usize) {
        let from = sector * SECTOR;
        let to = (from + SECTOR).min(self.content.len());
        self.durable[from..to].copy_from_slice(&self.content[from..to]);
    }
}

impl Disk for MemoryDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.struck()?;
        Ok(self.names.keys().cloned().collect())
    }

    fn length(&mut self, name: &str) -> io::Result<Option<u64>> {
        self.struck()?;
        Ok(self.file(name).ok().map(|file| file.content.len() as u64))
    }

    fn create(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.strike_first(true)?;
        if self.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self
            .capacity
            .is_some_and(|capacity| self.used() + length > capacity)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let zeros = vec![0; usize::try_from(length).expect("fits memory")];
        let file = MemoryFile {
            content: zeros.clone(),
            durable: zeros,
            ..MemoryFile::default()
        };
        self.next_file += 1;
        self.files.insert(self.next_file, file);
        self.names.insert(name.to_owned(), self.next_file);
        self.changes
            .push(Change::Created(name.to_owned(), self.next_file));
        self.struck()
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.struck()?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(buffer.len());
        let content = &self.file(name)?.content;
        let bytes = content.get(from..to).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        self.bytes_read += buffer.len() as u64;
        Ok(())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.strike_first(true)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(bytes.len());
        let file = self.file(name)?;
        let place = file.content.get_mut(from..to);
        place
            .ok_or(io::ErrorKind::InvalidInput)?
            .copy_from_slice(bytes);
        if !bytes.is_empty() {
            file.unsynced.extend(from / SECTOR..=(to - 1) / SECTOR);
        }
        self.struck()
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let fault = self.strike()?;
        let power_off = self.power_off;
        let file = self.file(name)?;
        if power_off {
            return self.struck();
        }
        let unsynced = std::mem::take(&mut file.unsynced);
        if fault == Some(Fault::Broken) {
            return Err(broken());
        }
        unsynced
            .into_iter()
            .for_each(|sector| file.write_back(sector));
        file.length_synced = true;
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.strike_first(false)?;
        self.struck()?;
        self.changes.clear();
        self.durable_names = self.names.clone();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.strike_first(false)?;
        let id = *self.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let change = Change::Renamed(from.to_owned(), to.to_owned(), id);
        self.changes.push(change.clone());
        apply(&mut self.names, change);
        self.struck()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.strike_first(false)?;
        self.file(name)?;
        let change = Change::Removed(name.to_owned());
        self.changes.push(change.clone());
        apply(&mut self.names, change);
        self.struck()
    }

    /// A sector: what a crash keeps or loses as one.
    fn block(&self) -> usize {
        SECTOR
    }

    fn locate(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

fn apply(names: &mut BTreeMap<String, u64>, change: Change) {
    match change {
        Change::Created(name, id) => {
            names.insert(name, id);
        }
        Change::Renamed(from, to, id) => {
            names.remove(&from);
            names.insert(to, id);
        }
        Change::Removed(name) => {
            names.remove(&name);
        }
    }
}

fn power_off() -> io::Error {
    io::Error::other("the power is off")
}

fn broken() -> io::Error {
    io::Error::other("injected input/output error")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(disk: &mut MemoryDisk, name: &str) -> Vec<u8> {
        let length = disk.length(name).unwrap().unwrap();
        let mut buffer = vec![0; length as usize];
        disk.read_at(name, 0, &mut buffer).unwrap();
        buffer
    }

    /// Every subset of three unsynced sectors is seen; synced ones always stay.
    #[test]
    fn unsynced_sectors_are_lost_in_any_combination() {
        let mut disk = MemoryDisk::new();
        disk.create("f", 4 * SECTOR as u64).unwrap();
        disk.write_at("f", 0, &[1; SECTOR]).unwrap();
        disk.sync("f").unwrap();
        disk.sync_directory().unwrap();
        disk.write_at("f", SECTOR as u64, &[2; 3 * SECTOR]).unwrap();
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let mut crashed = disk.clone();
            crashed.crash(seed);
            let content = read(&mut crashed, "f");
            assert_eq!(content[..SECTOR], [1; SECTOR]);
            seen.insert([1, 2, 3].map(|sector| content[sector * SECTOR] == 2));
        }
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn names_need_a_sync_of_the_directory() {
        let mut disk = MemoryDisk::new();
        disk.create("old", 1).unwrap();
        disk.sync("old").unwrap();
        let lists = |disk: &MemoryDisk| -> BTreeSet<Vec<String>> {
            let after = |seed| {
                let mut crashed = disk.clone();
                crashed.crash(seed);
                crashed.list().unwrap()
            };
            (0..100).map(after).collect()
        };
        assert_eq!(lists(&disk).len(), 2, "there or not");
        disk.sync_directory().unwrap();
        assert_eq!(lists(&disk), [vec!["old".to_owned()]].into());
        disk.rename("old", "new").unwrap();
        let either = [vec!["new".to_owned()], vec!["old".to_owned()]];
        assert_eq!(lists(&disk), either.into());
        disk.sync_directory().unwrap();
        disk.remove("new").unwrap();
        assert_eq!(lists(&disk), [vec![], vec!["new".to_owned()]].into());
    }

    #[test]
    fn a_broken_sync_loses_what_a_later_one_seems_to_save() {
        let mut disk = MemoryDisk::new();
        disk.create("f", 8).unwrap();
        disk.sync("f").unwrap();
        disk.sync_directory().unwrap();
        disk.write_at("f", 0, b"lost").unwrap();
        disk.fail_at(disk.calls() + 1, Fault::Broken);
        disk.sync("f").unwrap_err();
        disk.sync("f").unwrap();
        assert_eq!(&read(&mut disk, "f")[..4], b"lost");
        for seed in 0..20 {
            let mut crashed = disk.clone();
            crashed.crash(seed);
            assert_eq!(read(&mut crashed, "f"), [0; 8]);
        }
    }

    #[test]
    fn no_call_gets_through_without_power() {
        let mut disk = MemoryDisk::new();
        disk.fail_at(1, Fault::PowerOff);
        disk.create("f", 8).unwrap_err();
        disk.sync_directory().unwrap_err();
        disk.list().unwrap_err();
        disk.crash(1);
        disk.create("g", 8).unwrap();
    }

    #[test]
    fn a_full_disk_refuses_to_grow() {
        let mut disk = MemoryDisk::new();
        disk.limit(Some(10));
        disk.create("f", 8).unwrap();
        let error = disk.create("g", 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        disk.remove("f").unwrap();
        disk.create("g", 3).unwrap();
    }
}
