//! Why a daemon ends before its work is done, and what it tells its caller.

use thiserror::Error;

/// A reason to end, worded for the person in front of the terminal: what
/// happened, where, the likely cause, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// Something that no other status covers.
    #[error("{0}")]
    Failed(String),
    /// The command line contradicts itself.
    #[error("{0}")]
    Usage(String),
    /// The configuration, or what it says about this host, is wrong.
    #[error("{0}")]
    Configuration(String),
    /// The deadline passed before everything was acknowledged.
    #[error("{0}")]
    NoQuorum(String),
    /// This process's state is not what the others agree on.
    #[error("{0}")]
    Diverged(String),
    /// The acceptor's storage refuses to serve.
    #[error("{0}")]
    Storage(String),
}

impl Failure {
    /// The exit status that stands for this reason.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Configuration(_) => 3,
            Failure::NoQuorum(_) => 4,
            Failure::Storage(_) => 5,
            Failure::Diverged(_) => 10,
        }
    }
}
