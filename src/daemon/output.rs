//! A learner's standard output: a bounded queue and a thread that empties it.
//!
//! Whoever reads our output may be slow or stopped altogether, and a write to a
//! full pipe blocks. It must block neither the loop, which has to answer the
//! protocol, nor grow the memory without end. So the loop only appends to a
//! queue; when the queue is full the learner stops *delivering* until it has
//! been drained below half, and catches up afterwards from the acceptors.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::{Buf, Bytes};
use mio::Waker;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::calls;

/// The queue in front of a file that lines are written to.
#[derive(Debug)]
pub struct Output {
    /// What this turn has appended.
    filling: Lines,
    /// The file, for what can be written here and now.
    file: File,
    limit: usize,
    shared: Arc<Shared>,
}

/// How the queue stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// More than the limit waits: append no more.
    Full,
    /// Between half and the whole of the limit.
    Between,
    /// Less than half waits: go on.
    Roomy,
    /// The reader closed its end; nobody will read any more.
    Closed,
    /// Writing failed for another reason.
    Failed(String),
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Handed over, not yet taken by the thread.
    pending: Lines,
    /// Bytes that the thread has taken and not yet written.
    writing: usize,
    failure: Option<Level>,
    /// The loop has stopped appending and wants to be woken when it may go on.
    waits: bool,
    ending: bool,
}

impl Output {
    /// Bytes that one write asks the kernel to take.
    const PIECE: usize = 256 << 10;

    /// Bytes that are written from the loop itself when nothing else waits: to
    /// wake the thread for a line costs more than the line. A pipe that is ready
    /// has room for so many and does not block.
    const AT_ONCE: usize = 4096;

    /// Starts the thread that writes to `file`. `waker` wakes the loop when
    /// there is room again, or never will be.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(file: File, limit: usize, waker: Arc<Waker>) -> io::Result<Output> {
        let own = file.try_clone()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let writer = Writer {
            file,
            limit,
            waker,
            shared: shared.clone(),
        };
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || writer.run())?;
        Ok(Output {
            filling: Lines::default(),
            file: own,
            limit,
            shared,
        })
    }

    /// Appends one line: the value's bytes as they are, behind its position if
    /// one is given.
    pub fn push(&mut self, position: Option<u64>, value: &Bytes) {
        if let Some(position) = position {
            write!(self.filling.tail, "{position} ").expect("writing to memory cannot fail");
        }
        if value.len() < Lines::LONG {
            self.filling.tail.extend_from_slice(value);
        } else {
            self.filling.close();
            self.filling.pieces.push_back(value.clone());
            self.filling.closed += value.len();
        }
        self.filling.tail.push(b'\n');
    }

    /// Writes what was appended, or hands it to the thread.
    pub fn hand_over(&mut self) {
        if self.filling.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        if self.filling.pieces.is_empty()
            && self.filling.len() <= Self::AT_ONCE
            && state.waiting() == 0
            && state.failure.is_none()
            && is_ready(&self.file, PollFlags::POLLOUT)
        {
            calls::add(2);
            // An error shows again when the thread writes the rest.
            let written = (&self.file).write(&self.filling.tail).unwrap_or(0);
            self.filling.tail.drain(..written);
            if self.filling.is_empty() {
                return;
            }
        }
        if state.failure.is_some() {
            self.filling = Lines::default();
        } else if state.pending.is_empty() {
            std::mem::swap(&mut state.pending, &mut self.filling);
        } else {
            state.pending.append(&mut self.filling);
        }
        self.shared.changed.notify_all();
    }

    /// How much waits. Once it was `Full`, the loop is woken when it is `Roomy`.
    pub fn level(&self) -> Level {
        let mut state = self.shared.lock();
        let level = state.level(self.limit);
        state.waits = level == Level::Full || (state.waits && level == Level::Between);
        level
    }

    /// Waits until everything is written, at most this long: a reader that has
    /// stalled must not keep us. Returns how many bytes were left unwritten.
    pub fn finish(&mut self, patience: Duration) -> usize {
        self.hand_over();
        let mut state = self.shared.lock();
        state.ending = true;
        self.shared.changed.notify_all();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, patience, |state| {
                state.failure.is_none() && state.waiting() > 0
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting()
    }
}

/// Bytes in their order: short lines copied behind each other, long values as they lie.
#[derive(Debug, Default)]
struct Lines {
    /// Ahead of the tail.
    pieces: VecDeque<Bytes>,
    /// Their bytes.
    closed: usize,
    tail: Vec<u8>,
    /// How many bytes of the tail are written.
    written: usize,
}

impl Lines {
    /// From so many bytes on a value is not copied. It keeps the datagram it came
    /// in, which has at most sixteen times as many.
    const LONG: usize = 4096;

    fn len(&self) -> usize {
        self.closed + self.tail.len() - self.written
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes a piece of the tail.
    fn close(&mut self) {
        if !self.tail.is_empty() {
            self.closed += self.tail.len();
            self.pieces.push_back(std::mem::take(&mut self.tail).into());
        }
    }

    /// Moves all of the other's behind its own.
    fn append(&mut self, other: &mut Lines) {
        if other.pieces.is_empty() {
            return self.tail.append(&mut other.tail);
        }
        self.close();
        self.pieces.append(&mut other.pieces);
        self.closed += std::mem::take(&mut other.closed);
        std::mem::swap(&mut self.tail, &mut other.tail);
    }

    /// What one write takes: the first bytes of all.
    fn front(&self, most: usize) -> Vec<IoSlice<'_>> {
        const PIECES: usize = 64;
        let mut bytes = 0;
        let tail = self.pieces.len() < PIECES;
        let slices = self.pieces.iter().map(|piece| &piece[..]).take(PIECES);
        slices
            .chain(tail.then_some(&self.tail[self.written..]))
            .map_while(|piece| {
                let piece = &piece[..piece.len().min(most - bytes)];
                bytes += piece.len();
                (!piece.is_empty()).then(|| IoSlice::new(piece))
            })
            .collect()
    }

    /// Forgets the first bytes, which are written.
    fn advance(&mut self, mut bytes: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            let there = piece.len().min(bytes);
            piece.advance(there);
            bytes -= there;
            self.closed -= there;
            if !piece.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        self.written += bytes;
        if self.written == self.tail.len() {
            self.tail.clear();
            self.written = 0;
        }
    }
}

impl Shared {
    /// Both sides only move bytes about under the lock, so its content is whole
    /// even if one of them should have panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.pending.len() + self.writing
    }

    fn level(&self, limit: usize) -> Level {
        match &self.failure {
            Some(failure) => failure.clone(),
            None if self.waiting() >= limit => Level::Full,
            None if self.waiting() >= limit / 2 => Level::Between,
            None => Level::Roomy,
        }
    }
}

/// The thread's half.
struct Writer {
    file: File,
    limit: usize,
    waker: Arc<Waker>,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self) {
        let mut taken = Lines::default();
        while self.take(&mut taken) {
            while !taken.is_empty() {
                calls::add(1);
                match self.file.write_vectored(&taken.front(Output::PIECE)) {
                    Ok(0) => return self.fail(&io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        taken.advance(written);
                        self.wrote(written);
                    }
                    Err(error) => match error.kind() {
                        io::ErrorKind::Interrupted => {}
                        io::ErrorKind::WouldBlock => wait_for(&self.file, PollFlags::POLLOUT),
                        _ => return self.fail(&error),
                    },
                }
            }
        }
    }

    /// Waits for something to write; returns whether there will be more.
    fn take(&self, taken: &mut Lines) -> bool {
        let state = self.shared.lock();
        let mut state = self
            .shared
            .changed
            .wait_while(state, |state| state.pending.is_empty() && !state.ending)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.pending, taken);
        state.writing = taken.len();
        !taken.is_empty()
    }

    fn wrote(&self, bytes: usize) {
        let mut state = self.shared.lock();
        state.writing -= bytes;
        if state.waits && state.level(self.limit) == Level::Roomy {
            state.waits = false;
            self.wake();
        }
        if state.ending {
            self.shared.changed.notify_all();
        }
    }

    fn fail(&self, error: &io::Error) {
        let mut state = self.shared.lock();
        state.failure = Some(match error.kind() {
            io::ErrorKind::BrokenPipe => Level::Closed,
            _ => Level::Failed(error.to_string()),
        });
        // What nobody will read is not left unwritten; it is gone.
        state.pending = Lines::default();
        state.writing = 0;
        self.shared.changed.notify_all();
        self.wake();
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the loop: {error}");
        }
    }
}

/// Whether a descriptor can be written or read without waiting.
fn is_ready(file: &File, what: PollFlags) -> bool {
    let mut descriptors = [PollFd::new(file.as_fd(), what)];
    let ready = poll(&mut descriptors, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
    // A reader that has left is the thread's to find out.
    ready && descriptors[0].revents() == Some(what)
}

/// Blocks until a descriptor that somebody made non-blocking is ready.
pub(super) fn wait_for(file: &File, what: PollFlags) {
    // An error here shows again at the next read or write, which reports it.
    let _ = poll(&mut [PollFd::new(file.as_fd(), what)], PollTimeout::NONE);
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use mio::{Events, Poll, Token};

    use super::*;

    /// The waker is kept by the caller, as the loop does: a wake-up is lost with
    /// the last of its wakers.
    fn pipe(limit: usize) -> (io::PipeReader, Output, Poll, Arc<Waker>) {
        let (reader, writer) = io::pipe().unwrap();
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let file = File::from(OwnedFd::from(writer));
        let output = Output::start(file, limit, waker.clone()).unwrap();
        (reader, output, poll, waker)
    }

    fn woken(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::from_secs(10)))
            .unwrap();
        !events.is_empty()
    }

    #[test]
    fn lines_come_out_in_order_with_their_positions() {
        let (mut reader, mut output, _poll, _waker) = pipe(1 << 20);
        output.push(None, &Bytes::from_static(b"plain"));
        output.push(Some(2), &Bytes::new());
        output.push(Some(3), &Bytes::from_static(b"\xff\r"));
        assert_eq!(output.finish(Duration::from_secs(10)), 0);
        drop(output);
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"plain\n2 \n3 \xff\r\n");
    }

    #[test]
    fn short_and_long_lines_keep_their_order() {
        let (mut reader, mut output, _poll, _waker) = pipe(1 << 30);
        let mut expected = Vec::new();
        let text = std::thread::spawn(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).unwrap();
            text
        });
        for number in 0..3000usize {
            let length = [0, 7, 100, Lines::LONG - 1, Lines::LONG, 70_000][number * number % 6];
            let line = vec![b'a' + (number % 26) as u8; length];
            let position = (number % 3 == 0).then_some(number as u64);
            expected.extend(
                position
                    .map(|at| format!("{at} "))
                    .unwrap_or_default()
                    .bytes(),
            );
            expected.extend(&line);
            expected.push(b'\n');
            output.push(position, &line.into());
            if number % 7 == 0 {
                output.hand_over();
            }
        }
        assert_eq!(output.finish(Duration::from_secs(60)), 0);
        drop(output);
        assert!(text.join().unwrap() == expected);
    }

    #[test]
    fn a_stalled_reader_fills_the_queue_and_the_loop_is_woken_when_it_reads_on() {
        let limit = 1 << 20;
        let (mut reader, mut output, mut poll, _waker) = pipe(limit);
        let line = Bytes::from(vec![b'x'; 1023]);
        let mut pushed = 0;
        while output.level() != Level::Full {
            output.push(None, &line);
            output.hand_over();
            pushed += 1024;
            assert!(pushed < 4 * limit, "the queue has no bound");
        }
        let mut buffer = vec![0; pushed];
        reader.read_exact(&mut buffer).unwrap();
        assert!(woken(&mut poll));
        assert_eq!(output.level(), Level::Roomy);
        assert_eq!(output.finish(Duration::from_secs(10)), 0);
    }

    #[test]
    fn the_end_does_not_wait_for_a_stalled_reader() {
        let (_reader, mut output, _poll, _waker) = pipe(1 << 20);
        output.push(None, &vec![b'x'; 2 << 20].into());
        assert!(output.finish(Duration::from_millis(50)) > 0);
    }

    #[test]
    fn a_reader_that_left_is_noticed() {
        let (reader, mut output, mut poll, _waker) = pipe(1 << 20);
        drop(reader);
        output.push(None, &Bytes::from_static(b"nobody reads this"));
        output.hand_over();
        assert!(woken(&mut poll));
        assert_eq!(output.level(), Level::Closed);
        assert_eq!(output.finish(Duration::from_secs(10)), 0);
    }
}
