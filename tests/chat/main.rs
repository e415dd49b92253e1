//! `paxcast chat` as its users meet it: gateways as real processes, on which people
//! talk, and which die.

#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "../daemons/cluster.rs"]
mod cluster;
mod gateways;
mod hell;
mod kills;
#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "../daemons/process.rs"]
mod process;
#[path = "../daemons/replicated.rs"]
mod replicated;
mod user;
