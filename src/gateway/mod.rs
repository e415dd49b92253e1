//! Doors for programs that know nothing of ours: TCP services on one loop.
//!
//! | room | what lives there |
//! |---|---|
//! | [`alone`] | a loop for a front end without a replica |
//! | [`crowd`] | listener, connections, what they cost |
//! | [`stream`] | a socket with what waits to be sent on it |
//! | [`resp`] | RESP2 and RESP3, the language of Redis: requests in, replies out |
//! | [`kv`] | the key-value store for any client of Redis |
//! | [`irc`] | the chat for any client of IRC |

pub mod alone;
#[cfg(test)]
mod caller;
pub mod crowd;
pub mod irc;
pub mod kv;
pub mod resp;
pub mod stream;
