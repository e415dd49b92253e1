//! What befalls the disk of a dead acceptor: bits rot, writes went astray, files go.
//!
//! An acceptor must not start with less than it ever synced. What is done here it
//! can notice, and must: it comes back with everything, or it refuses. A write
//! that was lost or went elsewhere shows by the records that were written after
//! it and say that it was synced; so the last batch is spared that, because
//! nothing can tell its loss from a write that never happened. For the same
//! reason no disk is rolled back to an older copy of itself.

use super::disk::Disk;
use super::random::Random;
use crate::storage::Disk as _;
use crate::storage::memory::MemoryDisk;
use crate::storage::segment::{SECTOR, file_name, number_of};

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// Up to three bits of a file flip.
    Rot,
    /// What was written to a sector is gone, from somewhere in it to its end.
    LostWrite,
    /// What was written to one sector stands in another, too.
    Misdirected,
    /// A file is gone.
    LostFile,
    /// All files are gone.
    Wiped,
}

impl Damage {
    /// All kinds.
    pub const ALL: [Damage; 5] = [
        Damage::Rot,
        Damage::LostWrite,
        Damage::Misdirected,
        Damage::LostFile,
        Damage::Wiped,
    ];

    /// Its name in traces and counts.
    pub fn name(self) -> &'static str {
        match self {
            Damage::Rot => "bit rot",
            Damage::LostWrite => "lost write",
            Damage::Misdirected => "misdirected write",
            Damage::LostFile => "lost file",
            Damage::Wiped => "wiped disk",
        }
    }
}

impl Disk {
    /// Damages the disk of a dead acceptor; a seed says where. Says whether there
    /// was anything to damage.
    pub fn damage(&mut self, damage: Damage, seed: u64) -> bool {
        self.note_damage();
        let mut random = Random::new(seed, damage.name());
        let (segment, offset) = self.protected();
        let disk = self.disk();
        let names = disk.list().expect("a disk in memory can be read");
        if names.is_empty() {
            return false;
        }
        match damage {
            Damage::Rot => {
                let name = &names[random.place(names.len())];
                let content = read(disk, name);
                let written = content.iter().rposition(|&byte| byte != 0);
                let most = match random.chance(0.9) {
                    true => written.map_or(0, |last| last as u64),
                    false => content.len() as u64 - 1,
                };
                for _ in 0..random.between(1, 3) {
                    disk.flip(name, 8 * random.between(0, most) + random.between(0, 7));
                }
                true
            }
            Damage::LostWrite => {
                let sectors = sectors(disk, (segment, offset));
                if sectors.is_empty() {
                    return false;
                }
                let (name, sector) = &sectors[random.place(sectors.len())];
                let from = random.between(0, SECTOR / 8 - 1) * 8;
                let zeros = vec![0; (SECTOR - from) as usize];
                overwrite(disk, name, sector * SECTOR + from, &zeros);
                true
            }
            Damage::Misdirected => {
                let sectors = sectors(disk, (segment, offset));
                if sectors.len() < 2 {
                    return false;
                }
                let (from, source) = &sectors[random.place(sectors.len())];
                let (to, target) = &sectors[random.place(sectors.len())];
                let bytes = sector(disk, from, *source);
                overwrite(disk, to, target * SECTOR, &bytes);
                true
            }
            Damage::LostFile => {
                // The last segment is the one that is not missed by those behind it.
                let last = names.iter().rfind(|name| number_of(name).is_some());
                let name = match last {
                    Some(last) if random.chance(0.6) => last,
                    _ => &names[random.place(names.len())],
                };
                disk.remove(name).expect("it was listed");
                disk.sync_directory().expect("no fault is planned");
                true
            }
            Damage::Wiped => {
                for name in &names {
                    disk.remove(name).expect("it was listed");
                }
                disk.sync_directory().expect("no fault is planned");
                true
            }
        }
    }
}

/// The sectors of segments that hold anything and end before this place.
fn sectors(disk: &mut MemoryDisk, (last, offset): (u64, u64)) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for number in 1..=last {
        let name = file_name(number);
        let Ok(Some(length)) = disk.length(&name) else {
            continue;
        };
        let end = if number == last { offset } else { length };
        for index in 0..end / SECTOR {
            if sector(disk, &name, index).iter().any(|&byte| byte != 0) {
                found.push((name.clone(), index));
            }
        }
    }
    found
}

fn sector(disk: &mut MemoryDisk, name: &str, index: u64) -> Vec<u8> {
    let mut bytes = vec![0; SECTOR as usize];
    disk.read_at(name, index * SECTOR, &mut bytes)
        .expect("it was listed");
    bytes
}

fn read(disk: &mut MemoryDisk, name: &str) -> Vec<u8> {
    let length = disk.length(name).expect("no fault is planned");
    let mut content = vec![0; length.expect("it was listed") as usize];
    disk.read_at(name, 0, &mut content).expect("it was listed");
    content
}

fn overwrite(disk: &mut MemoryDisk, name: &str, offset: u64, bytes: &[u8]) {
    disk.write_at(name, offset, bytes).expect("it was listed");
    disk.sync(name).expect("no fault is planned");
}
