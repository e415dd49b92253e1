//! A front for clients that know nothing of all this: it brings each to the gateway
//! with the fewest users, and to another one when that is gone.
//!
//! | room | what lives there |
//! |---|---|
//! | [`relay`] | one client's way: what is passed on, held back, said again |

pub mod relay;
