//! A client's standard input, read line by line in a thread of its own.
//!
//! Standard input may be a regular file, which `epoll` refuses, or a terminal
//! that other processes share, which must not be made non-blocking. So a
//! thread reads it in large chunks and wakes the loop; a bounded channel
//! between them stops the reading when the client has as much as it can use.
//!
//! A line is its bytes without the `\n`. Nothing else is taken off: a `\r`, a
//! zero byte or invalid UTF-8 belongs to the value. The last line counts with
//! or without its `\n`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use bytes::{Bytes, BytesMut};
use mio::Waker;
use nix::poll::PollFlags;

use super::output::wait_for;

/// The lines of a file, as they come in.
#[derive(Debug)]
pub struct Input {
    batches: Receiver<Batch>,
    lines: VecDeque<Line>,
    ended: bool,
}

/// One line of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Its bytes.
    Value(Bytes),
    /// It is longer than a value may be.
    TooLong {
        /// Which line, from 1.
        line: u64,
        /// How long it is.
        bytes: u64,
    },
}

/// What the input has right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A line.
    Line(Line),
    /// Nothing yet; the loop will be woken.
    Later,
    /// Nothing any more.
    End,
    /// Reading failed.
    Failed(String),
}

/// What the thread sends.
#[derive(Debug)]
enum Batch {
    Lines(Vec<Line>),
    Failed(String),
    End,
}

impl Input {
    /// Bytes that one read asks for.
    const CHUNK: usize = 64 << 10;

    /// How many batches of lines may wait.
    const AHEAD: usize = 16;

    /// Starts reading `file`; lines longer than `limit` bytes are not kept.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(file: File, limit: usize, waker: Arc<Waker>) -> io::Result<Input> {
        let (sender, batches) = sync_channel(Self::AHEAD);
        let reader = Reader {
            file,
            splitter: Splitter::new(limit),
            sender,
            waker,
        };
        thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || reader.run())?;
        Ok(Input {
            batches,
            lines: VecDeque::new(),
            ended: false,
        })
    }

    /// Takes the next line, if there is one already.
    pub fn next(&mut self) -> Next {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Next::Line(line);
            }
            if self.ended {
                return Next::End;
            }
            match self.batches.try_recv() {
                Ok(Batch::Lines(lines)) => self.lines.extend(lines),
                Ok(Batch::End) => self.ended = true,
                Ok(Batch::Failed(error)) => {
                    self.ended = true;
                    return Next::Failed(error);
                }
                Err(TryRecvError::Empty) => return Next::Later,
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    return Next::Failed("the reading thread has gone".to_owned());
                }
            }
        }
    }
}

/// The thread's half.
struct Reader {
    file: File,
    splitter: Splitter,
    sender: SyncSender<Batch>,
    waker: Arc<Waker>,
}

impl Reader {
    fn run(mut self) {
        let mut chunk = vec![0; Input::CHUNK];
        loop {
            match self.file.read(&mut chunk) {
                Ok(0) => {
                    let lines = self.splitter.finish();
                    self.send(Batch::Lines(lines));
                    self.send(Batch::End);
                    return;
                }
                Ok(length) => {
                    let bytes = Bytes::copy_from_slice(&chunk[..length]);
                    let lines = self.splitter.feed(bytes);
                    if !lines.is_empty() && !self.send(Batch::Lines(lines)) {
                        return;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => wait_for(&self.file, PollFlags::POLLIN),
                    _ => {
                        self.send(Batch::Failed(error.to_string()));
                        return;
                    }
                },
            }
        }
    }

    /// Returns whether anybody still listens.
    fn send(&self, batch: Batch) -> bool {
        if self.sender.send(batch).is_err() {
            return false;
        }
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the loop: {error}");
        }
        true
    }
}

/// Cuts chunks into lines.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    /// How many lines were seen, whole ones.
    seen: u64,
    /// The beginning of a line that has not ended.
    begun: BytesMut,
    /// Its length so far; larger than `begun` holds once it is too long.
    length: u64,
}

impl Splitter {
    /// Lines longer than `limit` bytes are named and not kept.
    pub fn new(limit: usize) -> Splitter {
        Splitter {
            limit,
            seen: 0,
            begun: BytesMut::new(),
            length: 0,
        }
    }

    /// The lines that end in this chunk.
    pub fn feed(&mut self, mut chunk: Bytes) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let part = chunk.split_to(end);
            // The line feed itself.
            let _ = chunk.split_to(1);
            lines.push(self.line(part));
        }
        self.begin(&chunk);
        lines
    }

    /// The last line, if the input ends without a line feed.
    pub fn finish(&mut self) -> Vec<Line> {
        match self.length {
            0 => Vec::new(),
            _ => vec![self.line(Bytes::new())],
        }
    }

    /// The line that `part` completes.
    fn line(&mut self, part: Bytes) -> Line {
        self.seen += 1;
        let bytes = self.length + part.len() as u64;
        let value = if self.length == 0 {
            part
        } else {
            self.begin(&part);
            std::mem::take(&mut self.begun).freeze()
        };
        self.length = 0;
        if bytes <= self.limit as u64 {
            return Line::Value(value);
        }
        Line::TooLong {
            line: self.seen,
            bytes,
        }
    }

    /// Keeps the beginning of a line, unless it is too long to be kept.
    fn begin(&mut self, part: &[u8]) {
        self.length += part.len() as u64;
        if self.length <= self.limit as u64 {
            self.begun.extend_from_slice(part);
        } else {
            self.begun = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use mio::{Events, Poll, Token};
    use proptest::prelude::*;

    use super::*;

    fn value(text: &'static [u8]) -> Line {
        Line::Value(Bytes::from_static(text))
    }

    fn split(text: &[u8], chunk: usize, limit: usize) -> Vec<Line> {
        let mut splitter = Splitter::new(limit);
        let mut lines = Vec::new();
        for part in text.chunks(chunk) {
            lines.extend(splitter.feed(Bytes::copy_from_slice(part)));
        }
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn bytes_are_kept_as_they_are() {
        for chunk in 1..20 {
            assert_eq!(
                split(b"a\n\nb\r\n\0\xff\nlast", chunk, 10),
                [
                    value(b"a"),
                    value(b""),
                    value(b"b\r"),
                    value(b"\0\xff"),
                    value(b"last")
                ]
            );
        }
        assert_eq!(split(b"", 1, 10), []);
        assert_eq!(split(b"\n", 1, 10), [value(b"")]);
    }

    #[test]
    fn a_line_over_the_limit_is_named_and_the_rest_stays() {
        for chunk in 1..30 {
            assert_eq!(
                split(b"one\n12345\n123456789\nfour\n123456", chunk, 5),
                [
                    value(b"one"),
                    value(b"12345"),
                    Line::TooLong { line: 3, bytes: 9 },
                    value(b"four"),
                    Line::TooLong { line: 5, bytes: 6 },
                ]
            );
        }
    }

    proptest! {
        #[test]
        fn lines_joined_again_are_the_input(text: Vec<u8>, chunk in 1usize..50) {
            let mut joined = Vec::new();
            for line in split(&text, chunk, usize::MAX) {
                let Line::Value(value) = line else { panic!("no line is too long") };
                joined.extend_from_slice(&value);
                joined.push(b'\n');
            }
            if !text.is_empty() && text.last() != Some(&b'\n') {
                joined.pop();
            }
            prop_assert_eq!(joined, text);
        }
    }

    #[test]
    fn the_loop_is_woken_for_lines_and_for_the_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let file = File::from(OwnedFd::from(reader));
        let mut input = Input::start(file, 1 << 20, waker.clone()).unwrap();
        assert_eq!(input.next(), Next::Later);
        let mut next = |input: &mut Input| loop {
            match input.next() {
                Next::Later => {
                    let mut events = Events::with_capacity(1);
                    let patience = Some(Duration::from_secs(10));
                    poll.poll(&mut events, patience).unwrap();
                    assert!(!events.is_empty(), "nobody woke the loop");
                }
                other => return other,
            }
        };
        writer.write_all(b"first\nsec").unwrap();
        assert_eq!(next(&mut input), Next::Line(value(b"first")));
        writer.write_all(b"ond").unwrap();
        drop(writer);
        assert_eq!(next(&mut input), Next::Line(value(b"second")));
        assert_eq!(next(&mut input), Next::End);
        assert_eq!(next(&mut input), Next::End);
    }

    #[test]
    fn a_directory_is_no_input() {
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let directory = File::open("/").unwrap();
        let mut input = Input::start(directory, 1 << 20, waker.clone()).unwrap();
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::from_secs(10)))
            .unwrap();
        assert!(matches!(input.next(), Next::Failed(_)));
        assert_eq!(input.next(), Next::End);
    }
}
