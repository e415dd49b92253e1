//! Multi-Paxos.

pub mod acceptor;
pub mod ballot;
pub mod client;
pub mod jitter;
pub mod learner;
pub mod message;
pub mod outbox;
pub mod proposer;
pub mod quorum;
pub mod roster;
pub mod session;
pub mod settings;
pub mod time;
pub mod value;
pub mod watermarks;

pub use acceptor::Acceptor;
pub use ballot::Ballot;
pub use client::Client;
pub use learner::Learner;
pub use message::{
    Address, Found, Lookup, Message, ProcessId, Progress, Purpose, Record, Role, Span, Vote,
    Watermark,
};
pub use outbox::{Outbox, Output, Process};
pub use proposer::Proposer;
pub use quorum::{AcceptorSet, Membership};
pub use session::{Delivery, Sessions};
pub use settings::Settings;
pub use time::Time;
pub use value::{Instance, Item, Payload, Payloads, Run, Session};
