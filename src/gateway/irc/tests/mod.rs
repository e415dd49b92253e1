//! Gateways on one chat, over real sockets and without a network between them.

mod at_the_door;
mod coming_back;
mod commands;
mod rig;
mod weather;
