//! The chat does what its manual says, by the log's time, whatever it is told.

mod fuzz;
mod modes;
mod presence;
mod recall;
mod rig;
mod rooms;
mod snapshot;
mod speech;
