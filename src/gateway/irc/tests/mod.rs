//! Gateways on one chat, over real sockets and without a network between them.

mod coming_back;
mod commands;
mod guessing;
mod rig;
mod weather;
