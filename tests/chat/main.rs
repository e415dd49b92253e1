//! `paxcast chat` as its users meet it, with gateways that die.

#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "../daemons/cluster.rs"]
mod cluster;
mod kills;
#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "../daemons/process.rs"]
mod process;
#[path = "../daemons/replicated.rs"]
mod replicated;
