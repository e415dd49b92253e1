//! What is wrong with a request, worded as Redis words it: clients compare.

use thiserror::Error;

use crate::service::kv::limits::Limits;

/// Why a request is refused before it gets anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Complaint {
    /// There is no such command.
    #[error("ERR unknown command '{name}', with args beginning with: {arguments}")]
    Unknown {
        /// The name as it came.
        name: String,
        /// The first arguments, quoted.
        arguments: String,
    },
    /// There is no such subcommand.
    #[error("ERR unknown subcommand '{0}'. Try {1} HELP.")]
    UnknownSubcommand(String, &'static str),
    /// Too many arguments, or too few.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    /// Options that are none, or contradict each other.
    #[error("ERR syntax error")]
    Syntax,
    /// A number that is none.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// A number that has no opposite.
    #[error("ERR decrement would overflow")]
    Decrement,
    /// A time to live that is none.
    #[error("ERR invalid expire time in '{0}' command")]
    Lifetime(&'static str),
    /// A cursor that is none.
    #[error("ERR invalid cursor")]
    Cursor,
    /// An option of EXPIRE that is none.
    #[error("ERR Unsupported option {0}")]
    Option(String),
    /// A command longer than the log takes.
    #[error(
        "ERR the command is longer than the limit of {} bytes; send less at a time",
        Limits::COMMAND
    )]
    TooLong,
    /// Something else.
    #[error("{0}")]
    Other(&'static str),
}
