//! The key-value store for any client of Redis.
//!
//! ```text
//!   clients ⇄ Connection ⇄ Session ── command, ticket ──▶ BackEnd ⇄ the log
//!             bytes, order  words  ◀── ticket, reply ────
//! ```
//!
//! | room | what lives there |
//! |---|---|
//! | [`Front`] | connections, and who has a turn |
//! | `connection` | one connection: requests in, replies out in their order |
//! | `session` | what a client is: RESP version, transaction, name |
//! | `table` | the commands, one row each |
//! | `request` | from words to operations of the store |
//! | `rendering` | from replies of the store to words |
//! | `about`, `client` | what the server tells about itself and its clients |
//! | [`backend`] | the seam to whatever brings commands to their place |
//! | [`run_single`] | a back end that is one process, and the loop around it |

mod about;
pub mod backend;
mod client;
mod complaint;
mod connection;
mod front;
mod rendering;
mod replicated;
mod request;
mod session;
mod single;
mod table;
#[cfg(test)]
mod tests;

pub use front::Front;
pub use replicated::run_replicated;
pub use single::{Options, run_single};
