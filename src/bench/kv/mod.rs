//! The measurement of the replicated key-value store: numbers of operations, by
//! client processes that take turns with the servers, beside one server alone.
//!
//! ```text
//!   Operation ── file or seed ──▶ Client ── next server, RESP ──▶ Set, Running
//!                                   │                              │
//!                              Recorded                     Trouble, Story kill
//!                                   │
//!                 judge (history) ◀─┴─▶ Sample ──▶ Findings ──▶ table, JSON, page
//! ```
//!
//! Each client is a process of its own (`paxcast bench kv-load`) that records the
//! call and the end of every operation and what came of it. So a run is measured
//! and judged by the same record: figures of a store that tells old values as new
//! mean nothing.

mod client;
mod findings;
mod load;
mod operation;
mod page;
mod record;
mod reply;
mod run;
mod servers;
mod store;
mod table;
mod timeline;
mod trouble;

pub use client::Manner;
pub use findings::{Findings, Mode};
pub use load::{Order, Ready, Source, Summary};
pub use operation::{Malformed, Mix, Operation, read};
pub use record::{Judgement, Outcome, Recorded, judge};
pub use reply::{NoReply, Replies, Reply};
pub use run::{Settings, measure};
pub use servers::{Kind, Set};
pub use store::{Store, Stores};
