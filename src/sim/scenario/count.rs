//! How often something was sent: what `expect sent …` asks.
//!
//! Counted is what leaves a process, once for all who hear it, and whether or not
//! anybody does.

use std::fmt;

use super::Target;
use super::rule::{kind_of_message, speaks_of};
use super::words::Words;
use crate::protocol::{Instance, Message, ProcessId};

/// So many datagrams of a kind were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Whether the number is the most there may be, rather than the least.
    pub at_most: bool,
    /// How many.
    pub number: u64,
    /// The message's name; any without one.
    pub kind: Option<String>,
    /// The instance it speaks of; any without one.
    pub instance: Option<Instance>,
    /// Who sent it; anyone without one.
    pub from: Option<Target>,
}

impl Sent {
    /// Reads what follows `sent`.
    pub(super) fn read(
        words: &mut Words,
        target: impl Fn(&mut Words) -> Result<Target, String>,
    ) -> Result<Sent, String> {
        words.demand("at")?;
        let at_most = words.take("most");
        if !at_most {
            words.demand("least")?;
        }
        let mut sent = Sent {
            at_most,
            number: words.read("a number")?,
            kind: kind_of_message(words)?,
            instance: None,
            from: None,
        };
        if words.take("of") {
            let instance: String = words.read("an instance, as in 5")?;
            sent.instance = Some(super::read::instance(&instance)?);
        }
        if words.take("from") {
            sent.from = Some(target(words)?);
        }
        Ok(sent)
    }

    /// Whether it holds of what was sent. `from` says whether a sender is meant.
    pub(super) fn holds(
        &self,
        sent: &[(ProcessId, Message)],
        from: impl Fn(ProcessId) -> bool,
    ) -> bool {
        let meant = sent.iter().filter(|(sender, message)| {
            let kind = self.kind.as_deref();
            let instance = self.instance;
            kind.is_none_or(|kind| kind == message.name())
                && instance.is_none_or(|instance| speaks_of(message, instance))
                && from(*sender)
        });
        let number = meant.count() as u64;
        match self.at_most {
            true => number <= self.number,
            false => number >= self.number,
        }
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = if self.at_most { "most" } else { "least" };
        let kind = self.kind.as_deref().unwrap_or("message");
        write!(f, "sent at {bound} {} {kind}", self.number)?;
        if let Some(instance) = self.instance {
            write!(f, " of {}", instance.0)?;
        }
        match &self.from {
            Some(from) => write!(f, " from {from}"),
            None => Ok(()),
        }
    }
}
