//! The measurement of the chat: how many messages reach how many people, how fast,
//! and how long it takes to come in where much was said.
//!
//! ```text
//!   Users (one thread, a connection each) ⇄ gateways of a Cluster
//!     │ say: the time, at a pace            │
//!     └ hear: the time until now ───────────┘──▶ Figures ──▶ table, JSON
//! ```
//!
//! A *delivery* is a message that reached one of those it was for. The pace is kept
//! whatever becomes of the messages, and each is timed from when it was due, so that
//! nobody is spared by being slow.

mod run;
mod users;

pub use run::{Figures, Joins, Report, Settings, measure};
pub use users::Users;
