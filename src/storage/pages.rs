//! Bytes in whole blocks, where the disk can fetch them itself.
//!
//! A log is written once and hardly ever read, so the system's cache does nothing
//! for it but cost: a copy, and a fresh page of memory for every four kilobytes,
//! which on a virtual machine can take longer than the disk. A write goes around
//! the cache when its memory, its length and its place in the file are multiples
//! of a block.

use std::ops::{Deref, DerefMut};

/// Bytes of a block: the page of memory and the largest sector of common disks.
pub const BLOCK: usize = 4096;

/// Bytes that begin at a multiple of [`BLOCK`] in memory, however many they become.
#[derive(Debug, Default)]
pub struct Pages {
    /// Never grown in place, which could move it to another alignment.
    memory: Vec<u8>,
    start: usize,
}

impl Pages {
    /// So many zeros. They take no room in memory before they are touched.
    pub fn zeros(length: usize) -> Pages {
        let mut memory = vec![0; length + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        memory.truncate(start + length);
        Pages { memory, start }
    }

    /// Adds so many zeros at the end.
    pub fn grow(&mut self, more: usize) {
        let buffer = self.room(more);
        buffer.resize(buffer.len() + more, 0);
    }

    /// A buffer that ends where the bytes end, and takes so many more. Not one
    /// more: it could move.
    pub fn room(&mut self, more: usize) -> &mut Vec<u8> {
        let length = self.len();
        if self.memory.is_empty() || self.memory.len() + more > self.memory.capacity() {
            let capacity = (2 * length).max(length + more).max(16 * BLOCK);
            let mut larger: Vec<u8> = Vec::with_capacity(capacity + BLOCK);
            let start = larger.as_ptr().align_offset(BLOCK);
            larger.resize(start, 0);
            larger.extend_from_slice(self);
            (self.memory, self.start) = (larger, start);
        }
        &mut self.memory
    }

    /// Forgets the bytes and keeps their memory.
    pub fn clear(&mut self) {
        self.memory.truncate(self.start);
    }

    /// How many bytes fit without another allocation.
    pub fn capacity(&self) -> usize {
        self.memory.capacity() - self.start
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..]
    }
}

/// Whether a write of these bytes, there in a file, can go around the cache.
pub fn is_aligned(offset: u64, bytes: &[u8]) -> bool {
    offset.is_multiple_of(BLOCK as u64)
        && bytes.len().is_multiple_of(BLOCK)
        && bytes.as_ptr().align_offset(BLOCK) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stay_aligned_however_they_grow() {
        let mut pages = Pages::default();
        let mut expected = Vec::new();
        for round in 0..2000 {
            let more = (round * 37) % 1000;
            let byte = round as u8;
            pages.grow(round % 50);
            expected.resize(expected.len() + round % 50, 0);
            let buffer = pages.room(more);
            buffer.resize(buffer.len() + more, byte);
            expected.resize(expected.len() + more, byte);
            assert_eq!(pages.as_ptr().align_offset(BLOCK), 0);
        }
        assert_eq!(pages[..], expected[..]);
        let capacity = pages.capacity();
        pages.clear();
        assert!(pages.is_empty());
        pages.grow(7);
        assert_eq!(pages[..], [0; 7], "nothing old shows through");
        assert_eq!(pages.capacity(), capacity);
    }

    #[test]
    fn zeros_are_aligned() {
        for length in [0, 1, BLOCK, 3 * BLOCK] {
            let pages = Pages::zeros(length);
            assert_eq!(pages.len(), length);
            assert_eq!(is_aligned(0, &pages), length.is_multiple_of(BLOCK));
            assert!(!is_aligned(512, &pages));
        }
    }
}
