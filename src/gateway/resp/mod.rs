//! RESP, the language that Redis and its clients speak, in both its versions.
//!
//! A client sends *requests*: lists of byte strings, or a plain line that a
//! person types. [`Intake`] takes bytes as they come, in whatever pieces, and
//! gives whole requests. A server sends *replies*, which [`Writer`] writes as the
//! client's version has them: version 2 has no maps and several kinds of nothing,
//! version 3 has both and one nothing. A client that says no `HELLO 3` speaks 2.
//!
//! Nothing here knows a command.

mod intake;
mod line;
mod writer;

pub use intake::{Arguments, Broken, Intake, Step};
pub use writer::{Version, Writer};
