//! What a gateway of the chat is told at its start.

use std::sync::Arc;

use super::accounts::Accounts;
use super::flood::Flood;

/// What a gateway is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The replica's id.
    pub id: u16,
    /// Drawn anew at each start.
    pub run: u64,
    /// When that was, in milliseconds since 1970.
    pub began: u64,
    /// What tells the cluster from others.
    pub cluster: u64,
    /// The name of this server.
    pub name: Arc<str>,
    /// The name of the network.
    pub network: String,
    /// The message of the day, by lines; none is none.
    pub motd: Option<Vec<String>>,
    /// Messages that somebody who joins is shown.
    pub history: usize,
    /// How fast a client may talk.
    pub flood: Flood,
    /// Who may call themselves by an account's name.
    pub accounts: Accounts,
}
