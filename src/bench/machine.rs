//! The machine that was measured on: without it a figure says nothing.

use std::fs;
use std::path::Path;
use std::thread;

use nix::sys::utsname::uname;
use serde::Serialize;

/// What a figure depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many of it this process may use.
    pub cores: usize,
    /// Of memory.
    pub gibibytes: u64,
    /// The operating system's kernel.
    pub kernel: String,
    /// What the directory for logs lies on.
    pub file_system: String,
    /// What the kernel lets a socket buffer be, in bytes.
    pub rmem_max: String,
}

impl Machine {
    /// This machine, with logs in this directory.
    pub fn here(directory: &Path) -> Machine {
        let unknown = || "unknown".to_owned();
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Machine {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            cores: thread::available_parallelism().map_or(1, usize::from),
            gibibytes: field(&read("/proc/meminfo"), "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kibibytes| kibibytes.div_ceil(1 << 20)),
            kernel: uname().map_or_else(
                |_| unknown(),
                |name| {
                    let part = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
                    format!("{} {}", part(name.sysname()), part(name.release()))
                },
            ),
            file_system: file_system(&read("/proc/mounts"), directory).unwrap_or_else(unknown),
            rmem_max: read("/proc/sys/net/core/rmem_max").trim().to_owned(),
        }
    }

    /// In a sentence.
    pub fn describe(&self) -> String {
        format!(
            "{}, {} cores, {} GiB, {}; logs on {}; net.core.rmem_max {}",
            self.processor,
            self.cores,
            self.gibibytes,
            self.kernel,
            self.file_system,
            self.rmem_max
        )
    }

    /// Whether what is written there is on a disk at all.
    pub fn has_disk(&self) -> bool {
        !self.file_system.starts_with("tmpfs")
    }
}

/// The value of the first line `key : value`.
fn field(text: &str, key: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.into_iter().find(|(name, _)| name.trim() == key)?;
    Some(found.1.trim().to_owned())
}

/// Type and device of the mount that a directory lies below.
fn file_system(mounts: &str, directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mut best: Option<(usize, String)> = None;
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [device, point, kind, ..] = words[..] else {
            continue;
        };
        // Of several mounts in one place the last one is seen.
        let deeper = best
            .as_ref()
            .is_none_or(|(length, _)| point.len() >= *length);
        if directory.starts_with(point) && deeper {
            best = Some((point.len(), format!("{kind} on {device}")));
        }
    }
    Some(best?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /proc proc rw 0 0\n/dev/b /nowhere xfs rw 0 0\n";
        let of = |path: &str| file_system(mounts, Path::new(path));
        assert_eq!(of("/"), Some("ext4 on /dev/a".to_owned()));
        assert_eq!(of("/proc/self"), Some("proc on tmpfs".to_owned()));
    }

    #[test]
    fn this_machine_can_be_told() {
        let machine = Machine::here(Path::new("/"));
        assert!(machine.cores > 0 && machine.gibibytes > 0);
        assert!(machine.kernel.starts_with("Linux "), "{}", machine.kernel);
        assert_ne!(machine.file_system, "unknown");
    }
}
