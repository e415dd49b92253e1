//! The bare disk: append a block, sync, again.
//!
//! An acceptor on a disk may not vote before its record is synced, so a durable
//! cluster cannot answer faster than its slowest needed disk syncs. Here several
//! appenders, as many as there are acceptors, do nothing else: each has a file of
//! its own, preallocated and overwritten with zeros beforehand, so that a sync
//! has no metadata to write; a value is one block, appended with one write and
//! one `fdatasync`. On one machine they share one disk, as acceptors would.
//!
//! They are threads of this process: they wait for the disk, not for each other
//! and not for the processor.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

use super::{Contestant, Excuse, Load, Outcome, latencies};

/// The disk as a contestant. Of a load, it heeds the bytes and the duration.
#[derive(Debug)]
pub struct Disk {
    appenders: usize,
    files: Vec<File>,
}

/// What one appender did.
struct Appended {
    blocks: u64,
    seconds: f64,
    latencies: Histogram<u64>,
}

impl Disk {
    /// Bytes of each file; an appender at its end begins again, where the file
    /// system has as little to do as before.
    const SIZE: usize = 32 << 20;

    /// So many appenders at a time.
    pub fn new(appenders: usize) -> Disk {
        Disk {
            appenders,
            files: Vec::new(),
        }
    }
}

impl Contestant for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn about(&self) -> String {
        format!(
            "{} threads, each appends a block to a preallocated file and calls fdatasync; \
             counted at the slowest",
            self.appenders
        )
    }

    fn prepare(&mut self, directory: PathBuf) -> Result<(), Excuse> {
        for number in 0..self.appenders {
            let path = directory.join(format!("appended-{number}"));
            let file = zeroed(&path, Self::SIZE).map_err(|error| {
                Excuse::Failed(format!("cannot set aside {}: {error}", path.display()))
            })?;
            if fstatfs(&file).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC) {
                return Err(Excuse::Absent(format!(
                    "{} is memory (tmpfs), where a sync does nothing; use a directory on a disk",
                    directory.display()
                )));
            }
            self.files.push(file);
        }
        Ok(())
    }

    fn measure(&mut self, load: &Load) -> Result<Outcome, Excuse> {
        if self.files.is_empty() {
            return Err(Excuse::Failed("no file was set aside".into()));
        }
        if !(1..=Self::SIZE).contains(&load.bytes) {
            return Err(Excuse::Failed(format!(
                "a block of {} bytes is not one of 1 to {}",
                load.bytes,
                Self::SIZE
            )));
        }
        let start = Barrier::new(self.files.len());
        let results = thread::scope(|scope| {
            let started: Vec<_> = self
                .files
                .iter()
                .map(|file| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        append(file, load.bytes, load.duration)
                    })
                })
                .collect();
            let ended = started.into_iter().map(|thread| thread.join());
            ended.collect::<Vec<_>>()
        });
        let mut outcome = Outcome {
            values: u64::MAX,
            seconds: load.duration.as_secs_f64(),
            latencies: latencies(),
            processor: None,
            calls: None,
            drops: None,
        };
        for result in results {
            let appended = result
                .map_err(|_| Excuse::Failed("an appender panicked".into()))?
                .map_err(|error| Excuse::Failed(format!("cannot append: {error}")))?;
            if appended.blocks < outcome.values {
                outcome.values = appended.blocks;
                outcome.seconds = appended.seconds;
            }
            outcome
                .latencies
                .add(&appended.latencies)
                .map_err(|error| Excuse::Failed(format!("latencies do not add up: {error}")))?;
        }
        Ok(outcome)
    }
}

/// A new file of so many zeros, on the disk.
fn zeroed(path: &Path, size: usize) -> io::Result<File> {
    const PIECE: usize = 1 << 20;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let piece = vec![0; PIECE];
    for _ in 0..size / PIECE {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Appends blocks one after the other for so long.
fn append(file: &File, bytes: usize, duration: Duration) -> io::Result<Appended> {
    let block = vec![0x2a; bytes];
    let mut latencies = latencies();
    let mut blocks = 0;
    let mut end = 0;
    let started = Instant::now();
    let mut before = started;
    while before.duration_since(started) < duration {
        if end + bytes > Disk::SIZE {
            end = 0;
        }
        file.write_all_at(&block, end as u64)?;
        file.sync_data()?;
        end += bytes;
        blocks += 1;
        let now = Instant::now();
        let took = now.duration_since(before).as_nanos();
        latencies.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
        before = now;
    }
    Ok(Appended {
        blocks,
        seconds: started.elapsed().as_secs_f64(),
        latencies,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Pace;
    use super::*;

    const LOAD: Load = Load {
        bytes: 4_096,
        clients: 1,
        pace: Pace::Outstanding(1),
        duration: Duration::from_millis(100),
        durable: true,
    };

    #[test]
    fn blocks_are_appended_and_timed_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(2);
        match disk.prepare(directory.path().to_owned()) {
            // Where temporary files live in memory there is nothing to measure.
            Err(Excuse::Absent(why)) => return assert!(why.contains("tmpfs"), "{why}"),
            prepared => prepared.unwrap(),
        }
        let outcome = disk.measure(&LOAD).unwrap();
        assert!(outcome.values > 0);
        assert!(outcome.latencies.len() >= 2 * outcome.values);
        assert!(outcome.seconds >= LOAD.duration.as_secs_f64());
        for number in 0..2 {
            let path = directory.path().join(format!("appended-{number}"));
            let text = fs::read(path).unwrap();
            assert_eq!(text.len(), Disk::SIZE, "the file did not grow");
            let appended = usize::try_from(outcome.values).unwrap() * LOAD.bytes;
            let written = appended.min(Disk::SIZE);
            assert!(text[..written].iter().all(|&byte| byte == 0x2a));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(matches!(
            Disk::new(1).measure(&LOAD),
            Err(Excuse::Failed(_))
        ));
    }
}
