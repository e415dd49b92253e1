//! `paxcast canary`: an old journal through this release.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use paxcast::service::StateMachine;
use paxcast::service::chat::{self, Chat};
use paxcast::service::journal::{Broken, Entries, Entry, Replay};
use paxcast::service::kv::{self, Store};

use crate::telling::tell;

/// Apply an old journal once more, and compare what comes of it
///
/// `paxcast kv … --journal FILE` and `paxcast chat … --journal FILE` write down every
/// command that a replica applies, with a checksum of the reply, and now and then the
/// digest of its state. A new release that answers anything else must not run beside the
/// old one: give it a journal of it first.
///
/// Exit status: 0 all is the same, 1 the journal cannot be read, 10 something is
/// different; it is told which command.
#[derive(Debug, Args)]
pub struct Options {
    /// The journal
    #[arg(value_name = "FILE")]
    journal: PathBuf,
}

/// Applies it.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let name = options.journal.display().to_string();
    let unreadable = || format!("cannot read {name}");
    let mut file = File::open(&options.journal).with_context(unreadable)?;
    let mut entries = Entries::default();
    let mut block = vec![0; 1 << 20];
    let mut first = None;
    while first.is_none() {
        let count = file.read(&mut block).with_context(unreadable)?;
        if count == 0 {
            break;
        }
        entries.feed(&block[..count]);
        first = entries.advance().with_context(|| name.clone())?;
    }
    let Some(Entry::Begin { service, release }) = first else {
        anyhow::bail!("{name} is no journal");
    };
    let mut next = || -> anyhow::Result<Option<Entry>> {
        loop {
            if let Some(entry) = entries.advance().with_context(|| name.clone())? {
                return Ok(Some(entry));
            }
            let count = file.read(&mut block).with_context(unreadable)?;
            if count == 0 {
                return Ok(None);
            }
            entries.feed(&block[..count]);
        }
    };
    let begin = Entry::Begin { service, release };
    if service == kv::MARK {
        replay(service, Store::default(), begin, &mut next)
    } else if service == chat::MARK {
        replay(service, Chat::new(), begin, &mut next)
    } else {
        anyhow::bail!("{name} is a journal of a service that this release does not have")
    }
}

fn replay<S: StateMachine>(
    service: [u8; 8],
    machine: S,
    begin: Entry,
    next: &mut dyn FnMut() -> anyhow::Result<Option<Entry>>,
) -> anyhow::Result<ExitCode> {
    let mut replay = Replay::new(service, machine);
    let mut entry = Some(begin);
    while let Some(taken) = entry {
        match replay.take(taken) {
            Ok(()) => {}
            Err(difference @ (Broken::Reply { .. } | Broken::Digest { .. })) => {
                tell!("DIFFERENT: {difference}");
                return Ok(ExitCode::from(10));
            }
            Err(broken) => return Err(broken.into()),
        }
        entry = next()?;
    }
    let passed = &replay.passed;
    tell!(
        "OK: {} commands and {} digests are the same as with release {}; {:016x}{}",
        passed.commands,
        passed.digests,
        passed.releases.join(", "),
        replay.machine().digest(),
        replay.place()
    );
    Ok(ExitCode::SUCCESS)
}
