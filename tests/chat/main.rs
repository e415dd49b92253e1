//! `paxcast chat` as its users meet it: gateways as real processes, on which people and
//! their clients talk, and which die.

mod beside_ngircd;
mod canary;
mod clients;
#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "../daemons/cluster.rs"]
mod cluster;
mod front;
mod gateways;
mod hell;
#[path = "../daemons/journal.rs"]
mod journal;
mod kills;
#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "../daemons/process.rs"]
mod process;
#[path = "../daemons/replicated.rs"]
mod replicated;
mod scenarios;
mod user;
