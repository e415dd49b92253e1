//! The four executables as real processes on loopback: what they deliver, how
//! they end, and what they say.

mod cluster;
mod configuration;
mod delivery;
mod durability;
mod outages;
mod process;
mod strangers;
mod streams;
mod trimming;
