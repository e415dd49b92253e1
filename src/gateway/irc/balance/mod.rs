//! A front for clients that know nothing of all this: it brings each to the gateway
//! with the fewest users, and to another one when that is gone.
//!
//! | room | what lives there |
//! |---|---|
//! | [`relay`] | one client's way: what is passed on, held back, said again |
//! | [`gateways`] | which gateways serve, and how many users each has |
//! | `wording` | what it reads out of lines, and writes into them |
//! | `front`, `party` | sockets on both sides |

mod front;
pub mod gateways;
mod party;
pub mod relay;
mod wording;

use std::net::SocketAddr;

use crate::daemon::Failure;
use crate::gateway::alone;
use crate::gateway::crowd::Allowances;
use front::Front;

/// What the front is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Where the gateways listen.
    pub gateways: Vec<SocketAddr>,
    /// The cluster that they must be of, as
    /// [`Config::cluster_hash`](crate::config::Config::cluster_hash) has it.
    pub cluster: u64,
    /// What clients may cost.
    pub allowances: Allowances,
}

/// Serves until a signal ends it. To be called before any thread is started.
///
/// # Errors
///
/// When it cannot listen, or the kernel refuses to wait.
pub fn run_balance(options: &Options) -> Result<(), Failure> {
    alone::run(|registry, token, now| Front::open(options, registry, token, now))
}
