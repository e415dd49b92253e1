//! Rules: what happens to datagrams that a scenario picks out.

use std::fmt;
use std::time::Duration;

use super::Target;
use super::words::{self, Words};
use crate::protocol::{Instance, Message, ProcessId};
use crate::sim::cluster::{Meddling, Passage};
use crate::sim::random::Random;

/// What happens to which datagrams.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What happens.
    pub doing: Doing,
    /// To how many of those picked out.
    pub which: Which,
    /// The message's name; any without one.
    pub kind: Option<String>,
    /// The instance it speaks of; any without one.
    pub instance: Option<Instance>,
    /// Who sends it; anyone without one.
    pub from: Option<Target>,
    /// Who would hear it; anyone without one.
    pub to: Option<Target>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// They are lost.
    Drop,
    /// They come so much later, at least and at most.
    Delay(Duration, Duration),
    /// They come as they would and once more so much later, at least and at most.
    Repeat(Duration, Duration),
}

/// How many datagrams a rule is for. One sent to a group is one, whoever hears it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Which {
    /// All.
    Every,
    /// The next few.
    Next(u64),
    /// Only the one of this number, from 1.
    Nth(u64),
    /// A share, by chance, for every receiver alone.
    Share(f64),
}

impl Rule {
    /// Reads what follows `drop`, `delay` or `repeat`.
    pub(super) fn read(
        verb: &str,
        words: &mut Words,
        target: impl Fn(&mut Words) -> Result<Target, String>,
    ) -> Result<Rule, String> {
        words.take("the");
        let which = match words.word("every, next, number or a share")? {
            "every" => Which::Every,
            "next" => Which::Next(words.read_if().unwrap_or(1)),
            "number" => Which::Nth(words.read("a number")?),
            share if share.ends_with('%') => {
                let share = words::share(share)?;
                words.take("of");
                words.take("every");
                Which::Share(share)
            }
            other => {
                return Err(format!(
                    "expected every, next, number or a share, found {other:?}"
                ));
            }
        };
        let kind = kind_of_message(words)?;
        let mut rule = Rule {
            doing: Doing::Drop,
            which,
            kind,
            instance: None,
            from: None,
            to: None,
        };
        loop {
            if words.take("of") {
                let instance: String = words.read("an instance, as in 5")?;
                rule.instance = Some(super::read::instance(&instance)?);
            } else if words.take("from") {
                rule.from = Some(target(words)?);
            } else if words.take("to") {
                rule.to = Some(target(words)?);
            } else {
                break;
            }
        }
        if verb != "drop" {
            words.demand("by")?;
            let (from, through) = words::range(words.word("a time, as in 20ms or 0s..1s")?)?;
            rule.doing = match verb {
                "delay" => Doing::Delay(from, through),
                _ => Doing::Repeat(from, through),
            };
        }
        Ok(rule)
    }

    /// The rule at work. `from` and `to` say whether a process is meant.
    pub(super) fn meddler(
        &self,
        from: impl Fn(ProcessId) -> bool + 'static,
        to: impl Fn(ProcessId) -> bool + 'static,
        mut random: Random,
    ) -> impl FnMut(Passage<'_>) -> Meddling + 'static {
        let rule = self.clone();
        let mut seen = 0;
        let mut last = None;
        move |passage| {
            let picked = rule
                .kind
                .as_deref()
                .is_none_or(|kind| kind == passage.message.name())
                && rule
                    .instance
                    .is_none_or(|instance| speaks_of(passage.message, instance))
                && from(passage.from)
                && to(passage.to);
            if !picked {
                return Meddling::None;
            }
            // Copies of one multicast follow each other, for one receiver after the other.
            let copy = (passage.from, passage.sequence);
            if last != Some(copy) {
                last = Some(copy);
                seen += 1;
            }
            let hit = match rule.which {
                Which::Every => true,
                Which::Next(most) => seen <= most,
                Which::Nth(number) => seen == number,
                Which::Share(share) => random.chance(share),
            };
            match rule.doing {
                _ if !hit => Meddling::None,
                Doing::Drop => Meddling::Lose,
                Doing::Delay(from, through) => Meddling::Delay(random.duration(from, through)),
                Doing::Repeat(from, through) => Meddling::Repeat(random.duration(from, through)),
            }
        }
    }
}

/// Reads a message's name, in the singular or the plural; none for any message.
pub(super) fn kind_of_message(words: &mut Words) -> Result<Option<String>, String> {
    let kind = words.word("a message's name, or \"message\"")?;
    let singular = kind.strip_suffix('s').unwrap_or(kind);
    if singular == "message" {
        return Ok(None);
    }
    let names = Message::NAMES;
    let name = names.iter().find(|&&name| name == kind || name == singular);
    match name {
        Some(name) => Ok(Some((*name).into())),
        None => Err(format!(
            "{kind:?} is no message; there are: {}",
            names.join(" ")
        )),
    }
}

/// Whether a message proposes, or says that its sender voted for, an instance.
pub(super) fn speaks_of(message: &Message, instance: Instance) -> bool {
    match message {
        Message::Accept { instance: of, .. } => *of == instance,
        Message::Accepted { instances, .. } => instances
            .iter()
            .any(|span| (span.from..=span.through).contains(&instance)),
        Message::Promise { votes, .. } | Message::Votes { votes, .. } => {
            votes.iter().any(|vote| vote.instance == instance)
        }
        _ => false,
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.doing {
            Doing::Drop => f.write_str("drop ")?,
            Doing::Delay(..) => f.write_str("delay ")?,
            Doing::Repeat(..) => f.write_str("repeat ")?,
        }
        match self.which {
            Which::Every => f.write_str("every ")?,
            Which::Next(1) => f.write_str("next ")?,
            Which::Next(most) => write!(f, "next {most} ")?,
            Which::Nth(number) => write!(f, "number {number} ")?,
            Which::Share(share) => write!(f, "{}% of every ", share * 100.0)?,
        }
        f.write_str(self.kind.as_deref().unwrap_or("message"))?;
        if let Some(instance) = self.instance {
            write!(f, " of {}", instance.0)?;
        }
        if let Some(from) = &self.from {
            write!(f, " from {from}")?;
        }
        if let Some(to) = &self.to {
            write!(f, " to {to}")?;
        }
        match self.doing {
            Doing::Drop => Ok(()),
            Doing::Delay(from, through) | Doing::Repeat(from, through) => {
                write!(f, " by {from:?}")?;
                match from == through {
                    true => Ok(()),
                    false => write!(f, "..{through:?}"),
                }
            }
        }
    }
}
