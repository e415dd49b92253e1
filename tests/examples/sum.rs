//! A replicated sum: what three lines of state machine and a log can do.
//!
//! ```text
//! cargo run --release --example sum -- 1 paxos.conf 40 2     # prints 40, then 42
//! ```
//!
//! It needs acceptors and a proposer with the same configuration. Start it again,
//! or with another id at the same time: the sum is everybody's.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use paxcast::embedded::{Member, Outcome};
use paxcast::service::{Damaged, Frozen, Place, Reading, StateMachine};

/// Adds up what it is told.
#[derive(Clone, Default)]
struct Sum(u64);

impl StateMachine for Sum {
    type Frozen = Sum;

    fn apply(&mut self, _: Place, command: &[u8], reply: &mut Vec<u8>) {
        // Any bytes are a command; what is no number adds nothing.
        let more = std::str::from_utf8(command).ok();
        let more = more.and_then(|text| text.parse().ok()).unwrap_or(0);
        self.0 = self.0.wrapping_add(more);
        reply.extend(self.0.to_string().bytes());
    }

    fn read(&self, _: &[u8], reply: &mut Vec<u8>) -> Reading {
        reply.extend(self.0.to_string().bytes());
        Reading::Answered
    }

    fn freeze(&self) -> Sum {
        self.clone()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Damaged> {
        let bytes = snapshot.try_into().map_err(|_| Damaged::Foreign)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }

    fn empty(&self) -> Sum {
        Sum::default()
    }

    fn digest(&self) -> u64 {
        self.0
    }
}

impl Frozen for Sum {
    fn write(&self, part: &mut dyn FnMut(&[u8])) {
        part(&self.0.to_le_bytes());
    }
}

fn main() -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let mut arguments = std::env::args().skip(1);
    let id = arguments.next().context("usage: sum ID CONF [NUMBER…]")?;
    let conf = arguments.next().context("usage: sum ID CONF [NUMBER…]")?;
    let mark = *b"sum\0\0\0\0\0";
    let member = Member::start(id.parse()?, &PathBuf::from(conf), mark, Sum::default())?;
    let applied = member.subscribe();
    for number in arguments {
        match member.submit(number).wait(PATIENCE) {
            Outcome::Reply(sum) => println!("{}", String::from_utf8_lossy(&sum)),
            other => bail!("{other:?}"),
        }
        // It was applied here, so the subscriber heard of it.
        applied.recv_timeout(PATIENCE).context("no news")?;
    }
    let Outcome::Reply(sum) = member.read("").wait(PATIENCE) else {
        bail!("no answer");
    };
    println!("the sum is {}", String::from_utf8_lossy(&sum));
    member.stop()?;
    Ok(())
}
