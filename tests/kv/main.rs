//! `paxcast kv` as its users meet it: through the clients of Redis that they
//! have, unchanged, through commands from hell, and through replicas that die.

mod canary;
mod clients;
#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "../daemons/cluster.rs"]
mod cluster;
mod hell;
mod history;
#[path = "../daemons/journal.rs"]
mod journal;
mod kills;
#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "../daemons/process.rs"]
mod process;
mod replicas;
#[allow(dead_code, reason = "the chat's own tests use the rest")]
#[path = "../daemons/replicated.rs"]
mod replicated;
mod server;
mod talk;
