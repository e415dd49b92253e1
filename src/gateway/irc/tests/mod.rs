//! Gateways on one chat, over real sockets and without a network between them.

mod coming_back;
mod commands;
mod rig;
mod weather;
