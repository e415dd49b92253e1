//! The chat for any client of IRC.
//!
//! | room | what lives there |
//! |---|---|
//! | [`mod@line`] | lines: cut out of what comes in, taken apart |
//! | [`accounts`] | who may call themselves by an account's name |
//! | [`balance`] | a front that moves plain clients between gateways |

pub mod accounts;
pub mod balance;
pub mod line;
