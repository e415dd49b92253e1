//! paxcast: total order for a LAN in four small daemons.

pub mod config;
pub mod daemon;
pub mod protocol;
pub mod sim;
pub mod storage;
pub mod wire;
