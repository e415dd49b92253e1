//! `paxcast kv` as its users meet it: through the clients of Redis that they
//! have, unchanged, and through commands from hell.

mod clients;
mod hell;
mod history;
mod server;
