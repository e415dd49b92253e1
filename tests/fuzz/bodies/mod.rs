//! What must hold for *any* input: one function for each way in.
//!
//! Each takes bytes and panics when something is not as promised. They are run in
//! two ways that find different things: by `tests/fuzzing.rs` on a stable tool
//! chain with every change, over millions of inputs from a seed; and by libFuzzer,
//! which sees what the code does with its input and goes on from there (see
//! `tests/fuzz/Cargo.toml`).
//!
//! What parses bytes is given them as they are. What takes messages reads them as
//! a [`script`] of who says what and when.

pub mod acceptor;
pub mod client;
pub mod command;
pub mod config;
pub mod datagram;
pub mod input;
pub mod learner;
pub mod log;
pub mod proposer;
pub mod record;
pub mod resp;
pub mod said;
pub mod script;
pub mod sessions;

/// A way in: what it is called, and what takes the bytes. It says how often
/// something came of them: a body that always finds nothing proves nothing.
pub type Body = (&'static str, fn(&[u8]) -> u64);

/// All of them. Each has a target for libFuzzer and a directory of seeds.
pub const ALL: [Body; 12] = [
    ("datagram", datagram::run),
    ("record", record::run),
    ("log", log::run),
    ("config", config::run),
    ("input", input::run),
    ("acceptor", acceptor::run),
    ("proposer", proposer::run),
    ("learner", learner::run),
    ("client", client::run),
    ("resp", resp::run),
    ("command", command::run),
    ("sessions", sessions::run),
];

/// Gives bytes to the body of this name; says how often something came of them.
///
/// # Panics
///
/// When there is no such body, or something is not as promised.
pub fn feed(name: &str, data: &[u8]) -> u64 {
    let body = ALL.iter().find(|(known, _)| *known == name);
    body.expect("a body of this name").1(data)
}
