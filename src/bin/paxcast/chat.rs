//! `paxcast chat`: the replicated chat.

use std::io::{BufRead, stdin};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use paxcast::config::Config;
use paxcast::daemon::{Command, Failure, say, start_log};
use paxcast::gateway::crowd::wall;
use paxcast::gateway::irc::accounts::{Accounts, hash_password};
use paxcast::gateway::irc::balance::{self, run_balance};
use paxcast::gateway::irc::{self, Flood, Settings};
use paxcast::protocol::Role;
use paxcast::service::chat::limits::Limits;
use rand::TryRng;
use rand::rngs::SysRng;

use super::door::Door;

/// Serve one chat to any client of IRC, together with other gateways
///
/// Every gateway shows the same messages in the same order, and a user who comes back
/// at any of them, by an account or by nick and PASS, goes on where they were.
/// docs/chat.md lists the commands and the limits, and what differs from other IRC.
/// A gateway is a replica: it needs acceptors and a proposer with the same
/// configuration. With `data` in the configuration it keeps checkpoints there, from
/// which it starts again.
/// With --balance it is no gateway but a front: clients that connect to it are brought
/// to the gateway with the fewest users, and to another one when that dies.
/// When it listens, it says so on standard error: `ready … address=HOST:PORT`.
/// Exit status: 0 when SIGTERM or SIGINT ended it, 1 when it failed, 2 usage, 3
/// configuration, 5 checkpoints that cannot be used, 10 when its state is not what the
/// other replicas have. SIGUSR1 makes it print a line of statistics.
#[derive(Debug, Args)]
pub struct Options {
    /// This replica's id, from 1; no other replica or learner has it
    #[arg(value_name = "ID", required_unless_present_any = ["hash_password", "balance"])]
    id: Option<u16>,

    /// The configuration file, the same for all processes
    #[arg(value_name = "CONF", required_unless_present_any = ["hash_password", "balance"])]
    conf: Option<PathBuf>,

    /// Read a password from standard input and print what belongs behind its NAME in
    /// the file of accounts
    #[arg(long, exclusive = true)]
    hash_password: bool,

    /// Be a front for the gateways that listen at these addresses
    #[arg(long, value_name = "ADDRS", value_delimiter = ',', requires = "cluster", conflicts_with_all = ["id", "conf"])]
    balance: Vec<SocketAddr>,

    /// The configuration of the gateways: a front brings nobody to a server that is not
    /// of this cluster
    #[arg(long, value_name = "CONF", requires = "balance")]
    cluster: Option<PathBuf>,

    /// Where to listen; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6667")]
    listen: SocketAddr,

    /// Who may log in: lines of NAME HASH, the same file at every gateway
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,

    /// The name of this server; gatewayID.paxcast if it is not said
    #[arg(long)]
    name: Option<String>,

    /// The name of the network
    #[arg(long, default_value = "paxcast")]
    network: String,

    /// The message of the day
    #[arg(long, value_name = "FILE")]
    motd: Option<PathBuf>,

    /// Messages that somebody who joins a channel is shown
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    history: usize,

    /// How fast one client may talk: so many lines at once, and as many again in so
    /// many seconds
    #[arg(long, value_name = "LINES/SECONDS", default_value = "20/10")]
    flood: Flood,

    #[command(flatten)]
    door: Door,
}

/// Serves until a signal ends it.
pub fn run(options: &Options) -> ExitCode {
    if options.hash_password {
        return finish(print_hash());
    }
    let door = &options.door;
    if let Some(cluster) = &options.cluster {
        start_log(door.verbose, door.quiet);
        return finish(balance(options, cluster));
    }
    let (Some(id), Some(conf)) = (options.id, &options.conf) else {
        return finish(Err(Failure::Failed("ID and CONF are needed".to_owned())));
    };
    let serve = |mut command: Command| {
        command.journal.clone_from(&door.journal);
        let settings = settings(options, id, command.config.cluster_hash())?;
        irc::run(command, options.listen, door.allowances(1), settings)
    };
    let common = door.common(id, conf);
    common.run_as("paxcast chat", Role::Learner, door.data.clone(), serve)
}

/// Brings clients to gateways until a signal ends it.
fn balance(options: &Options, cluster: &Path) -> Result<(), Failure> {
    let config =
        Config::load(cluster).map_err(|error| Failure::Configuration(error.to_string()))?;
    run_balance(&balance::Options {
        listen: options.listen,
        gateways: options.balance.clone(),
        cluster: config.cluster_hash(),
        // Each client takes a connection to a gateway, too.
        allowances: options.door.allowances(2),
    })
}

/// What the gateway is told.
fn settings(options: &Options, id: u16, cluster: u64) -> Result<Settings, Failure> {
    let name = options.name.clone();
    let name = name.unwrap_or_else(|| format!("gateway{id}.paxcast"));
    let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || name.len() > Limits::HOST || name.starts_with(':') || !word(&name) {
        return Err(Failure::Failed(format!(
            "--name {name:?} is no name of a server: letters, digits, dots and hyphens, {} at most",
            Limits::HOST
        )));
    }
    let network = options.network.clone();
    if network.len() > Limits::HOST || network.contains(char::is_control) {
        return Err(Failure::Failed(format!(
            "--network {network:?} is no name of a network: {} bytes at most",
            Limits::HOST
        )));
    }
    let accounts = match &options.accounts {
        None => Accounts::default(),
        Some(path) => Accounts::read(path).map_err(|error| {
            Failure::Failed(format!("cannot use the file of accounts: {error}"))
        })?,
    };
    let motd = options.motd.as_deref().map(motd).transpose()?;
    let run = SysRng.try_next_u64().map_err(|error| {
        Failure::Failed(format!("the operating system has no random bytes: {error}"))
    })?;
    Ok(Settings {
        id,
        run,
        began: wall(),
        cluster,
        name: name.into(),
        network,
        motd,
        history: options.history.min(Limits::MESSAGES),
        flood: options.flood,
        accounts,
    })
}

/// The lines of the message of the day.
fn motd(path: &Path) -> Result<Vec<String>, Failure> {
    /// Lines of it that are shown.
    const MOST: usize = 500;
    let text = std::fs::read(path).map_err(|error| {
        Failure::Failed(format!(
            "cannot read the message of the day: {}: {error}",
            path.display()
        ))
    })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let harmless = |line: &str| line.replace(['\r', '\0'], " ");
    Ok(text.lines().take(MOST).map(harmless).collect())
}

fn print_hash() -> Result<(), Failure> {
    let mut password = String::new();
    let read = stdin().lock().read_line(&mut password);
    read.map_err(|error| Failure::Failed(format!("cannot read a password: {error}")))?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::Failed(
            "there is no password on standard input: give one line".to_owned(),
        ));
    }
    let hash = hash_password(password).map_err(|error| {
        Failure::Failed(format!("the operating system has no random bytes: {error}"))
    })?;
    println!("{hash}");
    Ok(())
}

fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("paxcast chat: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}
