//! Answers that nobody has fetched yet.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Verdict;

/// Answers in the order they came about; their bytes stand in one buffer.
#[derive(Clone, Debug)]
pub(super) struct Answers<T> {
    queue: VecDeque<(T, Verdict, usize)>,
    bytes: Vec<u8>,
    /// How many bytes at the front were fetched.
    fetched: usize,
}

impl<T> Answers<T> {
    /// A larger empty buffer is not kept.
    const MOST_KEPT: usize = 1 << 20;

    pub(super) fn new() -> Answers<T> {
        Answers {
            queue: VecDeque::new(),
            bytes: Vec::new(),
            fetched: 0,
        }
    }

    /// Where the next reply is to be appended; [`Answers::reply`] says whose it is.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How many bytes the buffer has.
    pub(super) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// A copy of what was appended behind `from`.
    pub(super) fn copy(&self, from: usize) -> Bytes {
        Bytes::copy_from_slice(&self.bytes[from..])
    }

    /// What was appended behind `from` is nobody's.
    pub(super) fn cut(&mut self, from: usize) {
        self.bytes.truncate(from);
    }

    /// What was appended behind `from` is the reply to this.
    pub(super) fn reply(&mut self, ticket: T, from: usize) {
        let length = self.bytes.len() - from;
        self.queue.push_back((ticket, Verdict::Reply, length));
    }

    /// There is no reply to this.
    pub(super) fn none(&mut self, ticket: T, verdict: Verdict) {
        self.queue.push_back((ticket, verdict, 0));
    }

    /// The next answer; its bytes are appended.
    pub(super) fn fetch(&mut self, reply: &mut Vec<u8>) -> Option<(T, Verdict)> {
        let (ticket, verdict, length) = self.queue.pop_front()?;
        reply.extend_from_slice(&self.bytes[self.fetched..self.fetched + length]);
        self.fetched += length;
        if self.queue.is_empty() {
            self.fetched = 0;
            self.bytes.clear();
            if self.bytes.capacity() > Self::MOST_KEPT {
                self.bytes = Vec::new();
            }
        }
        Some((ticket, verdict))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn held(&self) -> usize {
        self.bytes.len() - self.fetched
    }
}
