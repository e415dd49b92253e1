//! A chat as a service: nicks, channels, messages and what is remembered of them.
//!
//! | room | what lives there |
//! |---|---|
//! | [`command`] | what can be asked, and its encoding |
//! | [`effect`] | what comes of it, for whom, and its encoding |
//! | [`limits`] | what is too much |
//!
//! # Sessions
//!
//! Who is in the chat is a *session*. It outlives connections and gateways: it is
//! *attached* to a connection of a gateway or, for some time, to none. A message's
//! name is its place in the order; so "everything behind this place" is all that it
//! takes to go on elsewhere, without a gap and with nothing twice.

pub mod command;
pub mod effect;
pub mod limits;
