//! Standard output, whose reader may leave.
//!
//! `paxcast bench --list | head` closes the pipe when it has seen enough. That is
//! no failure of ours and nothing to be told of; whoever asks for the status
//! sees what the shell shows for a program that a closed pipe has ended.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process;

/// The status of a process that SIGPIPE has ended.
const CLOSED: i32 = 128 + 13;

/// Writes a line, as `println!` does, or ends the process if nobody can read it.
macro_rules! tell {
    ($($words:tt)*) => { $crate::telling::line(format_args!($($words)*)) };
}
pub(crate) use tell;

/// See [`tell`].
pub fn line(words: Arguments<'_>) {
    let mut out = io::stdout().lock();
    match writeln!(out, "{words}").and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(CLOSED),
        Err(error) => {
            eprintln!("paxcast: cannot write to standard output: {error}");
            process::exit(1);
        }
    }
}
