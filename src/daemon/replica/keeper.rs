//! Keeps checkpoints, off the loop: a large state takes seconds to be written.
//!
//! A thread has the shelf, in the replica's directory or, where the replica has
//! none, in memory. It takes jobs from a queue, and the loop hears of each when it
//! is done. What another replica asks for is read between the steps of a long
//! write, so that nobody waits for one.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mio::Waker;

use crate::daemon::Failure;
use crate::protocol::Instance;
use crate::protocol::checksum;
use crate::service::Frozen;
use crate::service::replica::{Found, Kept, Snapshot, Wanted};
use crate::storage::StorageError;
use crate::storage::checkpoint::{Checkpoint, Owner, Part, Reads, Shelf};
use crate::storage::file::Directory;

/// What is to be done.
#[derive(Debug)]
enum Job<F> {
    /// Keep this replica's own state.
    State(Snapshot<F>),
    /// Keep what another replica sent.
    Content(Instance, Bytes),
    /// Read this for another replica.
    Read(Wanted),
}

/// What became of it.
#[derive(Debug)]
pub(super) enum News {
    /// It is kept.
    Kept(Kept),
    /// It is not, and why.
    Failed(String),
    /// It was read, or is gone.
    Read(Found),
}

/// A checkpoint with its content.
type Latest = (Kept, Vec<u8>);

/// The thread, and the ways to it.
#[derive(Debug)]
pub(super) struct Keeper<F> {
    jobs: Option<Sender<Job<F>>>,
    news: Receiver<News>,
    thread: Option<JoinHandle<()>>,
}

impl<F: Frozen> Keeper<F> {
    /// A replica without a directory keeps its latest checkpoint in memory, for
    /// others that need one.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub(super) fn in_memory(waker: Arc<Waker>) -> Result<Keeper<F>, Failure> {
        Keeper::start(waker, Place::Memory(None))
    }

    /// Opens a replica's directory, which is made when it is not there, and reads
    /// its latest checkpoint.
    ///
    /// # Errors
    ///
    /// When the directory cannot be used, or what is in it.
    pub(super) fn open(
        path: &Path,
        owner: Owner,
        waker: Arc<Waker>,
    ) -> Result<(Keeper<F>, Option<Latest>), Failure> {
        let refused = |error: StorageError| Failure::Storage(error.to_string());
        let directory = match path.exists() {
            true => Directory::open(path),
            false => Directory::create(path),
        };
        let mut shelf = directory
            .and_then(|directory| Shelf::open(directory, owner))
            .map_err(refused)?;
        let latest = match shelf.latest() {
            None => None,
            Some(checkpoint) => {
                let content = shelf.load(checkpoint.through).map_err(refused)?;
                Some((kept(checkpoint), content))
            }
        };
        Ok((Keeper::start(waker, Place::Shelf(Box::new(shelf)))?, latest))
    }

    fn start(waker: Arc<Waker>, place: Place) -> Result<Keeper<F>, Failure> {
        let (jobs, queue) = channel();
        let (tell, news) = channel();
        let work = Work {
            place,
            queue,
            postponed: VecDeque::new(),
            voice: Voice { tell, waker },
            spared: None,
        };
        let thread = std::thread::Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || work.run())
            .map_err(|error| Failure::Failed(format!("cannot start a thread: {error}")))?;
        Ok(Keeper {
            jobs: Some(jobs),
            news,
            thread: Some(thread),
        })
    }

    /// Keeps this state.
    pub(super) fn keep(&self, snapshot: Snapshot<F>) {
        self.push(Job::State(snapshot));
    }

    /// Keeps what another replica sent.
    pub(super) fn adopt(&self, through: Instance, content: Bytes) {
        self.push(Job::Content(through, content));
    }

    /// Reads a part of a checkpoint.
    pub(super) fn read(&self, wanted: Wanted) {
        self.push(Job::Read(wanted));
    }

    fn push(&self, job: Job<F>) {
        if let Some(jobs) = &self.jobs {
            // The thread ends with the queue, not before.
            let _ = jobs.send(job);
        }
    }

    /// What has become of a job, if there is news.
    pub(super) fn news(&self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// No more jobs; waits for those that there are.
    pub(super) fn end(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where checkpoints are.
#[derive(Debug)]
enum Place {
    /// In memory, the latest one.
    Memory(Option<(Kept, Bytes)>),
    /// In a directory.
    Shelf(Box<Shelf<Directory>>),
}

/// The way back to the loop.
#[derive(Debug)]
struct Voice {
    tell: Sender<News>,
    waker: Arc<Waker>,
}

impl Voice {
    fn say(&self, news: News) {
        // Whoever does not listen any more is about to end.
        let _ = self.tell.send(news);
        let _ = self.waker.wake();
    }
}

/// What the thread has.
#[derive(Debug)]
struct Work<F> {
    place: Place,
    queue: Receiver<Job<F>>,
    /// What came while something was being kept.
    postponed: VecDeque<Job<F>>,
    voice: Voice,
    /// When something was last read for another replica.
    spared: Option<Instant>,
}

impl<F: Frozen> Work<F> {
    /// How long a checkpoint that was read from is held back: longer than a
    /// replica takes from one window to the next.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn run(mut self) {
        while let Some(job) = self.next() {
            match job {
                Job::State(snapshot) => {
                    self.keep(snapshot.through, &mut |part| snapshot.write(part));
                }
                Job::Content(through, content) => self.keep(through, &mut |part| part(&content)),
                Job::Read(wanted) => self.read(wanted),
            }
        }
    }

    fn next(&mut self) -> Option<Job<F>> {
        self.postponed
            .pop_front()
            .or_else(|| self.queue.recv().ok())
    }

    fn keep(&mut self, through: Instance, write: &mut dyn FnMut(&mut Part<'_>)) {
        let shelf = match &mut self.place {
            Place::Shelf(shelf) => shelf,
            Place::Memory(latest) => {
                let mut content = BytesMut::new();
                write(&mut |part| content.extend_from_slice(part));
                let content = content.freeze();
                let kept = Kept {
                    through,
                    length: content.len() as u64,
                    checksum: checksum::of(&content),
                };
                *latest = Some((kept, content));
                return self.voice.say(News::Kept(kept));
            }
        };
        if self.spared.is_some_and(|at| at.elapsed() > Self::PATIENCE) {
            shelf.spare(None);
            self.spared = None;
        }
        let (queue, postponed) = (&self.queue, &mut self.postponed);
        let (voice, spared) = (&self.voice, &mut self.spared);
        let mut between = |reads: &mut Reads<'_, Directory>| {
            while let Ok(job) = queue.try_recv() {
                match job {
                    Job::Read(wanted) => {
                        *spared = Some(Instant::now());
                        reads.spare(Some(wanted.through));
                        let read =
                            |buffer: &mut [u8]| reads.read(wanted.through, wanted.offset, buffer);
                        voice.say(News::Read(found(wanted.clone(), read)));
                    }
                    other => postponed.push_back(other),
                }
            }
        };
        let news = match shelf.keep_between(through, write, &mut between) {
            Ok(checkpoint) => News::Kept(kept(checkpoint)),
            Err(error) => News::Failed(error.to_string()),
        };
        self.voice.say(news);
    }

    fn read(&mut self, wanted: Wanted) {
        let found = match &mut self.place {
            Place::Memory(latest) => {
                let bytes = latest.as_ref().and_then(|(kept, content)| {
                    let from = usize::try_from(wanted.offset).ok()?;
                    let to = from.checked_add(wanted.bytes as usize)?;
                    let there = kept.through == wanted.through && to <= content.len();
                    there.then(|| content.slice(from..to))
                });
                Found { wanted, bytes }
            }
            Place::Shelf(shelf) => {
                self.spared = Some(Instant::now());
                shelf.spare(Some(wanted.through));
                let read = |buffer: &mut [u8]| shelf.read(wanted.through, wanted.offset, buffer);
                found(wanted.clone(), read)
            }
        };
        self.voice.say(News::Read(found));
    }
}

/// What a shelf has of what is wanted.
fn found(wanted: Wanted, read: impl FnOnce(&mut [u8]) -> Result<bool, StorageError>) -> Found {
    let mut buffer = BytesMut::zeroed(wanted.bytes as usize);
    let there = read(&mut buffer).unwrap_or_else(|error| {
        log::error!("cannot read a checkpoint for another replica: {error}");
        false
    });
    Found {
        wanted,
        bytes: there.then(|| buffer.freeze()),
    }
}

fn kept(checkpoint: Checkpoint) -> Kept {
    Kept {
        through: checkpoint.through,
        length: checkpoint.length,
        checksum: checkpoint.checksum,
    }
}
