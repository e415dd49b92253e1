//! What the four role executables have in common: arguments, log, configuration.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgAction, Args};
use rand::TryRng;
use rand::rngs::SysRng;

use super::failure::Failure;
use super::faults::Faults;
use super::interface::Interface;
use super::signals::Signals;
use crate::config::Config;
use crate::protocol::Role;

/// The arguments that every role takes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// This process's id, from 1; no other process of its role has it
    #[arg(value_name = "ID")]
    pub id: u16,

    /// The configuration file, the same for all processes
    #[arg(value_name = "CONF")]
    pub conf: PathBuf,

    /// Print the configuration in force and where each value comes from, then end
    #[arg(long)]
    pub check_config: bool,

    /// Lose, double or delay what is received, for experiments:
    /// drop=0.1,dup=0.01,delay=1..50ms,phase=accept,sync-fail=1000,seed=7
    #[arg(long, value_name = "LIST")]
    pub faults: Option<Faults>,

    /// Say more on standard error; twice for still more (RUST_LOG works too)
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Say only errors on standard error
    #[arg(short, long)]
    pub quiet: bool,
}

/// A role about to start: its arguments are read and its configuration is sound.
#[derive(Debug)]
pub struct Command {
    /// Which role.
    pub role: Role,
    /// Its id.
    pub id: u16,
    /// The configuration in force.
    pub config: Config,
    /// The interface that the configuration means on this host.
    pub interface: Interface,
    /// Bytes that a datagram may have.
    pub datagram: usize,
    /// The faults asked for.
    pub faults: Option<Faults>,
    /// Where a replica writes down what it applies.
    pub journal: Option<PathBuf>,
    pub(super) signals: Signals,
    /// It runs inside of another program, whose standard error is that one's.
    pub(super) embedded: bool,
}

impl Common {
    /// Runs one role from its arguments to its exit status. `start` gets to see
    /// a command only when everything is in order and nothing but
    /// `--check-config` was asked for.
    pub fn run(
        &self,
        role: Role,
        data: Option<PathBuf>,
        start: impl FnOnce(Command) -> Result<(), Failure>,
    ) -> ExitCode {
        self.run_as(role.name(), role, data, start)
    }

    /// As [`Common::run`], for a program that plays a role under another name.
    pub fn run_as(
        &self,
        name: &str,
        role: Role,
        data: Option<PathBuf>,
        start: impl FnOnce(Command) -> Result<(), Failure>,
    ) -> ExitCode {
        start_log(self.verbose, self.quiet);
        let result = self.prepare(role, data).and_then(|command| {
            if self.check_config {
                return command.print_config();
            }
            start(command)
        });
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                say(&format!("{name}: {failure}"));
                ExitCode::from(failure.status())
            }
        }
    }

    /// The arguments of a role inside of another program.
    pub fn embedded(id: u16, conf: &Path) -> Common {
        Common {
            id,
            conf: conf.to_owned(),
            check_config: false,
            faults: None,
            verbose: 0,
            quiet: false,
        }
    }

    /// Reads the configuration for a role inside of another program, whose business
    /// signals and the log are.
    ///
    /// # Errors
    ///
    /// When the configuration, or what it says about this host, is wrong.
    pub fn prepare_embedded(&self, role: Role) -> Result<Command, Failure> {
        let command = self.prepare_with(role, None, Signals::of_another())?;
        Ok(Command {
            embedded: true,
            ..command
        })
    }

    fn prepare(&self, role: Role, data: Option<PathBuf>) -> Result<Command, Failure> {
        // First of all: a SIGTERM that comes early must end us as cleanly as a
        // late one, and no thread has started yet.
        self.prepare_with(role, data, Signals::take_over())
    }

    fn prepare_with(
        &self,
        role: Role,
        data: Option<PathBuf>,
        signals: io::Result<Signals>,
    ) -> Result<Command, Failure> {
        let signals = signals
            .map_err(|error| Failure::Failed(format!("cannot take over the signals: {error}")))?;
        let mut config =
            Config::load(&self.conf).map_err(|error| Failure::Configuration(error.to_string()))?;
        if let Some(data) = data {
            // Whether acceptors are durable is a fact of the cluster, part of what
            // every datagram carries; one that knows better would not be heeded.
            if config.data.is_none() {
                return Err(Failure::Configuration(format!(
                    "--data only moves the directory of a durable acceptor, and {} makes \
                     acceptors volatile, for every process that reads it; add a line \
                     `data {}` there",
                    self.conf.display(),
                    data.display()
                )));
            }
            config.override_data(data);
        }
        self.check_id(role, &config)?;
        let interface = Interface::resolve(&config.interface)?;
        let datagram = match config.datagram {
            Some(bytes) => bytes,
            None => interface.datagram_limit(config.groups.of(Role::Acceptor))?,
        };
        Ok(Command {
            role,
            id: self.id,
            faults: self.faults.clone(),
            journal: None,
            config,
            interface,
            datagram,
            signals,
            embedded: false,
        })
    }

    fn check_id(&self, role: Role, config: &Config) -> Result<(), Failure> {
        let conf = self.conf.display();
        if self.id == 0 {
            return Err(Failure::Configuration(format!(
                "id 0: ids start at 1; call it as `{role} 1 {conf}`"
            )));
        }
        if role == Role::Acceptor && !config.acceptors.contains(self.id) {
            let ids: Vec<String> = config.acceptors.iter().map(|id| id.to_string()).collect();
            return Err(Failure::Configuration(format!(
                "{conf}: acceptor {} is not in this configuration, which has acceptors {}; \
                 use one of these ids, or set `acceptor_count` or `acceptor_ids` at every process",
                self.id,
                ids.join(" ")
            )));
        }
        Ok(())
    }
}

impl Command {
    /// Prints the configuration in force. The digests come with it: processes
    /// understand each other if and only if both agree.
    fn print_config(&self) -> Result<(), Failure> {
        let mut text = self.config.explain();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text += &format!(
            "# {} {} uses interface {} and datagrams of at most {} bytes\n\
             # cluster {:016x}, configuration {:016x}: the same at every process\n",
            self.role,
            self.id,
            self.interface,
            self.datagram,
            self.config.cluster_hash(),
            self.config.config_digest(self.datagram)
        );
        match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Failed(
                format!("cannot write to standard output: {error}"),
            )),
            _ => Ok(()),
        }
    }
}

/// Begins to write the log to standard error: so much more than warnings, or only
/// errors.
pub fn start_log(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => log::LevelFilter::Error,
        (false, 0) => log::LevelFilter::Warn,
        (false, 1) => log::LevelFilter::Info,
        (false, 2) => log::LevelFilter::Debug,
        (false, _) => log::LevelFilter::Trace,
    };
    env_logger::Builder::new()
        .filter_level(level)
        .parse_default_env()
        .format_target(false)
        .init();
}

/// Writes one line to standard error, whole, and whether or not anybody reads it.
pub fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// A number from the operating system's entropy: what incarnations and store
/// ids are made of, which must never repeat.
///
/// # Errors
///
/// When the operating system has none to give.
pub(super) fn draw() -> Result<u64, Failure> {
    SysRng.try_next_u64().map_err(|error| {
        Failure::Failed(format!(
            "the operating system gives no random numbers: {error}"
        ))
    })
}
