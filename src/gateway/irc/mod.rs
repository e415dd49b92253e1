//! The chat for any client of IRC.
//!
//! ```text
//!   clients ⇄ Client ── line ──▶ plan ── command, ticket ──▶ Log ⇄ the log
//!             bytes              │                            │
//!               ▲                ▼ question                   │ what was applied,
//!               ├──────────── answers ◀── state ──────────────┤ in order
//!               └──────────── showing ◀── effects, View ──────┘
//! ```
//!
//! | room | what lives there |
//! |---|---|
//! | [`mod@line`] | lines: cut out of what comes in, taken apart |
//! | [`accounts`] | who may call themselves by an account's name |
//! | [`balance`] | a front that moves plain clients between gateways |
//! | [`Front`] | connections, whose turn it is, what everybody is shown |
//! | `client` | one connection: what its client is, what is said to it |
//! | `registration`, `caps`, `sasl`, `guesses`, `wish` | how a client says who it is, and that it wants in |
//! | `plan` | the commands, one row each: what a line becomes |
//! | `answers`, `history` | what is answered from the state that is here |
//! | `showing`, `numerics`, `date` | from effects to lines |
//! | `view`, `whose` | who of the chat sits here; the name of a connection |
//! | `arrival` | what somebody is told who comes in, or comes back |
//! | `server`, [`Settings`] | what the server says of itself; what it is told at its start |
//! | `flood` | how fast a client may talk |
//! | [`log`] | the seam to the replica behind |
//! | `desk` | the replica, and the loop around all this |

pub mod accounts;
mod answers;
mod arrival;
pub mod balance;
mod caps;
mod client;
mod date;
mod desk;
mod flood;
mod front;
mod guesses;
mod history;
pub mod line;
pub mod log;
mod numerics;
mod plan;
mod registration;
mod sasl;
mod server;
mod settings;
mod showing;
#[cfg(test)]
mod tests;
mod view;
mod whose;
mod wish;

pub use desk::run;
pub use flood::Flood;
pub use front::Front;
pub use settings::Settings;
