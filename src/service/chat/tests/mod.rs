//! The chat does what its manual says, by the log's time, whatever it is told.

mod modes;
mod presence;

mod rig;
mod rooms;

mod speech;
