//! Doors for programs that know nothing of ours: TCP services on one loop.
//!
//! | room | what lives there |
//! |---|---|
//! | [`resp`] | RESP2 and RESP3, the language of Redis: requests in, replies out |
//! | [`kv`] | the key-value store for any client of Redis |
//! | [`irc`] | the chat for any client of IRC |

pub mod irc;
pub mod kv;
pub mod resp;
