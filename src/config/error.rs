//! What can be wrong with a configuration file.

use std::fmt;
use std::io;

/// Why there is no configuration: one line of text for each mistake.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read at all.
    #[error("{file}: cannot read the configuration: {cause}; {}", remedy(.cause))]
    Unreadable {
        /// The file, as it was given.
        file: String,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The file is far too large to be a configuration.
    #[error(
        "{file}: larger than {} bytes, so hardly a configuration: give the path of a paxos.conf",
        super::MAX_FILE
    )]
    TooLarge {
        /// The file, as it was given.
        file: String,
    },
    /// The file was read and has mistakes; never empty.
    #[error("{}", lines(.0))]
    Invalid(Vec<Complaint>),
}

impl ConfigError {
    pub(super) fn unreadable(file: &str, cause: io::Error) -> ConfigError {
        ConfigError::Unreadable {
            file: file.to_owned(),
            cause,
        }
    }
}

/// One mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file, as it was given.
    pub file: String,
    /// The line, from 1; none where the mistake is that a line is missing.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// More complaints than this are only counted: a file of another kind given by
/// mistake must not flood the screen.
const SHOWN: usize = 20;

/// A file with so many mistakes is read no further.
pub(super) const MOST_COMPLAINTS: usize = 1_000;

fn lines(complaints: &[Complaint]) -> String {
    let mut lines: Vec<String> = complaints
        .iter()
        .take(SHOWN)
        .map(Complaint::to_string)
        .collect();
    if complaints.len() > SHOWN {
        let least = match complaints.len() < MOST_COMPLAINTS {
            true => "",
            false => "at least ",
        };
        lines.push(format!("… and {least}{} more", complaints.len() - SHOWN));
    }
    lines.join("\n")
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => "is the path right, seen from the current directory?",
        io::ErrorKind::PermissionDenied => "let this user read it, or run as one who may",
        io::ErrorKind::IsADirectory => "give the path of the file in it",
        _ => "check the path and the file system",
    }
}
