//! A real directory.
//!
//! Files are set aside with `fallocate` and overwritten with zeros by the log
//! before it uses them, so that an `fdatasync` behind a record has no metadata to
//! write. The directory is locked for as long as it is open, and the kernel
//! takes the lock away with the process, however that ends.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, OFlag, fallocate};

use super::pages::{BLOCK, is_aligned};
use super::{Disk, StorageError};

/// The file that is locked; it holds the process id of its last holder.
const LOCK_FILE: &str = "lock";

/// Names that are no part of the contents: the lock, and what some file systems
/// put at their root.
const IGNORED: [&str; 2] = [LOCK_FILE, "lost+found"];

/// How many files are kept open.
const MOST_OPEN: usize = 16;

/// A directory of the file system, held by this process alone.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Most recently used last.
    open: VecDeque<OpenFile>,
    /// Writes of whole blocks go around the system's cache, see [`pages`](super::pages).
    direct: bool,
    _lock: Flock<File>,
}

#[derive(Debug)]
struct OpenFile {
    name: String,
    file: File,
    /// The same, around the system's cache.
    direct: Option<File>,
    /// Holds writes not yet synced: closing it could lose the news that they failed.
    written: bool,
}

impl Directory {
    /// Opens an existing directory and locks it.
    pub fn open(path: &Path) -> Result<Directory, StorageError> {
        let failed = |action, source| unusable(path, action, source);
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let source = io::Error::from(io::ErrorKind::NotADirectory);
                return Err(failed("use as a data directory", source));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StorageError::Missing {
                    directory: path.display().to_string(),
                });
            }
            Err(error) => return Err(failed("open", error)),
        }
        Ok(Directory {
            path: path.to_owned(),
            open: VecDeque::new(),
            direct: true,
            _lock: lock(path)?,
        })
    }

    /// Makes the directory, and those above it, where they are missing; opens and
    /// locks it.
    pub fn create(path: &Path) -> Result<Directory, StorageError> {
        let mut missing: Vec<&Path> = path
            .ancestors()
            .filter(|above| !above.as_os_str().is_empty())
            .take_while(|above| !above.exists())
            .collect();
        while let Some(next) = missing.pop() {
            fs::create_dir(next).map_err(|error| unusable(next, "make the directory", error))?;
            let above = match next.parent() {
                Some(above) if !above.as_os_str().is_empty() => above,
                _ => Path::new("."),
            };
            File::open(above)
                .and_then(|above| above.sync_all())
                .map_err(|error| failed(above, "sync the directory", error))?;
        }
        Directory::open(path)
    }

    /// The file, opened if it is not.
    fn file(&mut self, name: &str) -> io::Result<&mut OpenFile> {
        match self.open.iter().position(|open| open.name == name) {
            Some(index) => {
                let open = self.open.remove(index).expect("just found");
                self.open.push_back(open);
            }
            None => {
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(self.path.join(name))?;
                self.keep(name, file);
            }
        }
        Ok(self.open.back_mut().expect("just put there"))
    }

    /// Writes around the system's cache. What is cached of the place is dropped,
    /// so that reading through the cache stays true.
    fn write_around(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.path.join(name);
        let open = self.file(name)?;
        let direct = match &open.direct {
            Some(direct) => direct,
            None => open.direct.insert(
                OpenOptions::new()
                    .write(true)
                    .custom_flags(OFlag::O_DIRECT.bits())
                    .open(path)?,
            ),
        };
        open.written = true;
        direct.write_all_at(bytes, offset)
    }

    fn keep(&mut self, name: &str, file: File) {
        if self.open.len() >= MOST_OPEN {
            let idle = self.open.iter().position(|open| !open.written);
            idle.and_then(|index| self.open.remove(index));
        }
        self.open.push_back(OpenFile {
            name: name.to_owned(),
            file,
            direct: None,
            written: false,
        });
    }
}

impl Disk for Directory {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !IGNORED.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn length(&mut self, name: &str) -> io::Result<Option<u64>> {
        match fs::metadata(self.path.join(name)) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&mut self, name: &str, length: u64) -> io::Result<()> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path.join(name))?;
        let bytes = i64::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        let made = match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            // Not every file system can set room aside; the zeros that the log
            // writes do it there.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => file.set_len(length),
            result => result.map_err(io::Error::from),
        };
        match made {
            Ok(()) => self.keep(name, file),
            // The want of room is what must be told, whether this works or not.
            Err(_) => drop(fs::remove_file(self.path.join(name))),
        }
        made
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file(name)?.file.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.direct && is_aligned(offset, bytes) {
            match self.write_around(name, offset, bytes) {
                // Not every file system can; it is asked only once.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.direct = false,
                result => return result,
            }
        }
        let open = self.file(name)?;
        open.written = true;
        open.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let open = self.file(name)?;
        open.file.sync_data()?;
        open.written = false;
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        self.open.retain(|open| open.name != to);
        for open in &mut self.open {
            if open.name == from {
                to.clone_into(&mut open.name);
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.retain(|open| open.name != name);
        fs::remove_file(self.path.join(name))
    }

    fn block(&self) -> usize {
        BLOCK
    }

    fn locate(&self, name: &str) -> String {
        if name.is_empty() {
            return self.path.display().to_string();
        }
        self.path.join(name).display().to_string()
    }
}

/// Takes the lock, or says who has it.
fn lock(path: &Path) -> Result<Flock<File>, StorageError> {
    let name = path.join(LOCK_FILE);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(|error| unusable(&name, "open the lock file", error))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            // A stale or missing process id makes a poorer message, nothing else.
            let written = lock
                .set_len(0)
                .and_then(|()| writeln!(*lock, "{}", std::process::id()));
            if let Err(error) = written {
                log::debug!("{}: process id not noted: {error}", name.display());
            }
            Ok(lock)
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            let holder = match file.read_to_string(&mut text).map(|_| text.trim().parse()) {
                Ok(Ok(pid)) => {
                    let pid: u32 = pid;
                    format!("process {pid}")
                }
                _ => "another process".to_owned(),
            };
            Err(StorageError::Locked {
                directory: path.display().to_string(),
                holder,
            })
        }
        Err((_, errno)) => Err(failed(&name, "lock", errno.into())),
    }
}

/// Nothing was written yet: what is wrong is the place, not the disk.
fn unusable(path: &Path, action: &'static str, source: io::Error) -> StorageError {
    match failed(path, action, source) {
        StorageError::Failed {
            action,
            file,
            source,
        } => StorageError::Unusable {
            action,
            directory: file,
            source,
        },
        other => other,
    }
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> StorageError {
    let file = path.display().to_string();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full {
            action,
            file,
            source,
        },
        _ => StorageError::Failed {
            action,
            file,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_what_is_written_under_any_name() {
        let place = tempfile::tempdir().unwrap();
        let mut disk = Directory::create(&place.path().join("a/b")).unwrap();
        disk.create("one", 4096).unwrap();
        assert!(disk.create("one", 1).is_err(), "the name is taken");
        disk.write_at("one", 100, b"hello").unwrap();
        disk.sync("one").unwrap();
        disk.rename("one", "two").unwrap();
        disk.sync_directory().unwrap();
        let mut buffer = [9; 7];
        disk.read_at("two", 99, &mut buffer).unwrap();
        assert_eq!(&buffer, b"\0hello\0");
        assert_eq!(disk.length("one").unwrap(), None);
        assert_eq!(disk.length("two").unwrap(), Some(4096));
        assert!(
            disk.read_at("two", 4090, &mut buffer).is_err(),
            "past the end"
        );
        assert_eq!(disk.list().unwrap(), ["two"], "the lock is not listed");
        disk.remove("two").unwrap();
        assert!(disk.list().unwrap().is_empty());
    }

    #[test]
    fn a_file_that_finds_no_room_does_not_keep_its_name() {
        let place = tempfile::tempdir().unwrap();
        let mut disk = Directory::create(place.path()).unwrap();
        for _ in 0..2 {
            let error = disk.create("one", 1 << 62).unwrap_err();
            assert_ne!(error.kind(), io::ErrorKind::AlreadyExists);
        }
        assert!(disk.list().unwrap().is_empty());
        disk.create("one", 8).unwrap();
    }

    #[test]
    fn few_files_stay_open_and_all_can_be_used() {
        let place = tempfile::tempdir().unwrap();
        let mut disk = Directory::create(place.path()).unwrap();
        let names: Vec<String> = (0..3 * MOST_OPEN).map(|n| n.to_string()).collect();
        for name in &names {
            disk.create(name, 8).unwrap();
            disk.write_at(name, 0, b"x").unwrap();
            disk.sync(name).unwrap();
        }
        assert_eq!(disk.open.len(), MOST_OPEN);
        for name in &names {
            let mut buffer = [0];
            disk.read_at(name, 0, &mut buffer).unwrap();
            assert_eq!(&buffer, b"x");
        }
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who_is_first() {
        let place = tempfile::tempdir().unwrap();
        let first = Directory::open(place.path()).unwrap();
        let error = Directory::open(place.path()).unwrap_err().to_string();
        let holder = format!("in use by process {}", std::process::id());
        assert!(error.contains(&holder), "{error}");
        drop(first);
        Directory::open(place.path()).unwrap();
    }

    #[test]
    fn a_missing_directory_is_named_with_the_remedy() {
        let place = tempfile::tempdir().unwrap();
        let missing = place.path().join("gone");
        let error = Directory::open(&missing).unwrap_err();
        assert!(matches!(error, StorageError::Missing { .. }));
        assert!(error.to_string().contains("acceptor --init ID CONF"));
        fs::write(&missing, b"a file").unwrap();
        let error = Directory::open(&missing).unwrap_err();
        assert!(matches!(error, StorageError::Unusable { .. }), "{error}");
    }
}
