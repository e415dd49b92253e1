//! Multi-Paxos.

pub mod ballot;
pub mod message;
pub mod outbox;
pub mod quorum;
pub mod settings;
pub mod time;
pub mod value;

pub use ballot::Ballot;
pub use message::{
    Address, Found, Lookup, Message, ProcessId, Progress, Purpose, Record, Role, Span, Vote,
    Watermark,
};
pub use outbox::{Outbox, Output, Process};
pub use quorum::{AcceptorSet, Membership};
pub use settings::Settings;
pub use time::Time;
pub use value::{Instance, Item, Payload, Payloads, Run, Session};
