//! How many system calls this process made: what a value costs is mostly that.
//!
//! The calls that grow with the traffic are counted where they are made. What is
//! not seen: memory asked of the kernel, a thread that wakes another, and what
//! happens once at the start.

use std::sync::atomic::{AtomicU64, Ordering};

static MADE: AtomicU64 = AtomicU64::new(0);

/// So many calls are made.
pub fn add(calls: u64) {
    MADE.fetch_add(calls, Ordering::Relaxed);
}

/// How many were made so far.
pub fn made() -> u64 {
    MADE.load(Ordering::Relaxed)
}
