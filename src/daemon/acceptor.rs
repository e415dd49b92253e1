//! An acceptor's world: its log, or, when it is volatile, nothing.

use std::path::PathBuf;

use nix::unistd::{SysconfVar, sysconf};

use super::calls;
use super::command::{Command, draw, say};
use super::failure::Failure;
use super::node::Node;
use super::proposer::{no_disk, refuse_sync_fault};
use super::signals::Wish;
use super::turn::Turns;
use super::{Flow, World};
use crate::protocol::acceptor::{Acceptor, Memory};
use crate::protocol::{Found, Lookup, Outbox, Record, Time};
use crate::storage::StorageError;
use crate::storage::file::Directory;
use crate::storage::log::Log;
use crate::storage::segment::{Heading, IDENTITY_FILE, Identity};

/// Bytes of values that a durable acceptor keeps in memory; older ones are read
/// back from the log.
const RECENT: usize = 64 << 20;

/// How many records are replayed between two looks at the signals: a long log
/// must not keep the process from ending when it is told to.
const SIGNAL_CHECK: u64 = 1024;

/// Makes the data directory of an acceptor that starts for the first time.
///
/// # Errors
///
/// When the configuration names none, or there is anything in it already.
pub fn init_acceptor(command: &Command) -> Result<(), Failure> {
    let Some(path) = command.config.acceptor_directory(command.id) else {
        return Err(Failure::Usage(
            "--init makes a data directory, and the configuration names none: its acceptors are \
             volatile; add a line `data DIR` for all processes"
                .to_owned(),
        ));
    };
    let identity = Identity {
        cluster: command.config.cluster_hash(),
        acceptor: command.id,
        store: draw()?,
    };
    Directory::create(&path)
        .and_then(|directory| Log::init(directory, identity))
        .map_err(refused)?;
    say(&format!(
        "acceptor {}: made {}; start it without --init from now on",
        command.id,
        path.display()
    ));
    Ok(())
}

/// Runs an acceptor until it is told to end.
///
/// # Errors
///
/// When it cannot start, when its storage fails, or when it cannot go on.
pub fn run_acceptor(command: Command) -> Result<(), Failure> {
    match command.config.acceptor_directory(command.id) {
        Some(path) => run_durable(command, path),
        None => run_volatile(command),
    }
}

fn run_volatile(command: Command) -> Result<(), Failure> {
    refuse_sync_fault(&command)?;
    let mut node = Node::open(command, draw()?)?;
    log::warn!(
        "acceptor {} is volatile: it forgets its votes when it ends, which is safe only as long as \
         no acceptor is restarted; set `data DIR` to keep them",
        node.me.id
    );
    let bytes = node.config.history.unwrap_or_else(ample);
    node.sockets.keep(bytes);
    let memory = Memory::Volatile { bytes };
    let role = Acceptor::new(node.me, node.settings(), memory, node.buffer());
    node.announce(" store=volatile")?;
    Turns::run(node, role, Volatile::default())
}

/// What a volatile acceptor keeps of what is decided, unless it is told: three of
/// them, a busy learner or two and the system itself fit one machine.
fn ample() -> usize {
    const UNKNOWN: usize = 1 << 30;
    let value = |name| sysconf(name).ok().flatten();
    match (value(SysconfVar::_PHYS_PAGES), value(SysconfVar::PAGE_SIZE)) {
        (Some(pages), Some(bytes)) => usize::try_from(pages * bytes / 8).unwrap_or(UNKNOWN),
        _ => UNKNOWN,
    }
}

fn run_durable(command: Command, path: PathBuf) -> Result<(), Failure> {
    let sync_fail = command.faults.as_ref().and_then(|faults| faults.sync_fail);
    let cluster = command.config.cluster_hash();
    let id = command.id;
    let mut directory = Directory::open(&path).map_err(refused)?;
    // An acceptor is what it remembers: its incarnation is its store id. If that
    // cannot be read, opening the log below says why, better than we could here.
    let store =
        Heading::load(&mut directory, IDENTITY_FILE).map_or(0, |found| found.identity.store);
    let mut node = Node::open(command, store)?;
    node.sockets.keep(RECENT);
    let memory = Memory::Recent { bytes: RECENT };
    let mut role = Acceptor::new(node.me, node.settings(), memory, node.buffer());
    let mut replayed = 0u64;
    let (log, opened) = Log::open(directory, cluster, id, |record| {
        role.replay(record);
        replayed += 1;
        if replayed.is_multiple_of(SIGNAL_CHECK) && node.signals.next() == Some(Wish::End) {
            // Reading has changed nothing; there is nothing to tidy up.
            std::process::exit(0);
        }
    })
    .map_err(refused)?;
    assert_eq!(store, opened, "one directory, one identity");
    node.announce(&format!(" store={}", path.display()))?;
    let durable = Durable {
        log,
        votes: 0,
        records: 0,
        syncs: 0,
        lookups: 0,
        sync_fail,
    };
    Turns::run(node, role, durable)
}

fn refused(error: StorageError) -> Failure {
    Failure::Storage(error.to_string())
}

/// Nothing is written; the role's own memory is all there is.
#[derive(Debug, Default)]
struct Volatile {
    votes: u64,
}

impl World<Acceptor> for Volatile {
    fn event(&mut self, _: Time, record: Record) -> Result<(), Failure> {
        self.votes += u64::from(matches!(record, Record::Voted { .. }));
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn lookup(&mut self, lookup: Lookup) -> Result<Found, Failure> {
        Err(no_disk("volatile acceptor", &lookup))
    }

    fn facts(&self, role: &Acceptor) -> Vec<(&'static str, u64)> {
        vec![
            ("instances", role.highest().0),
            ("votes", self.votes),
            ("votes_in_memory", role.votes_in_memory() as u64),
            ("forgotten", role.forgotten().0),
        ]
    }
}

/// Every record goes to the log, and is synced before anything is answered.
#[derive(Debug)]
struct Durable {
    log: Log<Directory>,
    votes: u64,
    records: u64,
    syncs: u64,
    lookups: u64,
    /// Which sync is to fail, for experiments.
    sync_fail: Option<u64>,
}

impl World<Acceptor> for Durable {
    /// Deletes what a trim before has let go: a segment a turn, for that takes a sync
    /// of the directory, and answers wait meanwhile. What an earlier life did not
    /// get done goes first.
    fn begin(
        &mut self,
        _: Time,
        role: &mut Acceptor,
        _: &mut Outbox<Acceptor>,
    ) -> Result<Flow, Failure> {
        if let Some(number) = self.log.trim().map_err(refused)? {
            log::info!(
                "deleted segment {number} of the log: everything through {} is in the checkpoints of \
                 more than half of the replicas; {} segments are left",
                role.forgotten(),
                self.log.segments()
            );
        }
        Ok(Flow::Going)
    }

    fn event(&mut self, _: Time, record: Record) -> Result<(), Failure> {
        self.votes += u64::from(matches!(record, Record::Voted { .. }));
        self.records += 1;
        self.log.append(&record).map_err(refused)
    }

    /// A failed sync is the end: the kernel may have thrown away what it could
    /// not write, and would report the next sync as a good one.
    fn sync(&mut self) -> Result<(), Failure> {
        self.syncs += 1;
        // What was gathered is one write; two where a segment of the log ends.
        calls::add(2);
        if self.sync_fail == Some(self.syncs) {
            return Err(Failure::Storage(format!(
                "sync {} of the log failed, as --faults sync-fail={} wanted; nothing unsynced was \
                 answered; start the acceptor again",
                self.syncs, self.syncs
            )));
        }
        self.log.sync().map_err(refused)
    }

    fn lookup(&mut self, lookup: Lookup) -> Result<Found, Failure> {
        self.lookups += 1;
        self.log.lookup(lookup).map_err(refused)
    }

    fn facts(&self, role: &Acceptor) -> Vec<(&'static str, u64)> {
        vec![
            ("instances", role.highest().0),
            ("votes", self.votes),
            ("records", self.records),
            ("syncs", self.syncs),
            ("lookups", self.lookups),
            ("forgotten", role.forgotten().0),
            ("segments", self.log.segments()),
        ]
    }
}
