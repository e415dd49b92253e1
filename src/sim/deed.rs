//! What is done to a cluster from outside, at a moment and on purpose.
//!
//! Whoever decides it — chance, a nemesis, a scenario — does it through
//! `Cluster::perform`, which writes it down: the deeds of a run, together with
//! its accidents, are all that went wrong in it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::damage::Damage;
use super::name::Name;
use super::stray::Stray;
use crate::protocol::Role;

/// One deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A process dies, and its machine with it: power fails.
    Crash(Name),
    /// A process dies alone.
    Kill(Name),
    /// A dead process starts again.
    Restart(Name),
    /// A process stops.
    Pause(Name),
    /// A stopped process goes on.
    Resume(Name),
    /// A learner's reader stalls.
    Close(Name),
    /// It reads on.
    Open(Name),
    /// The disk of a dead acceptor is damaged; a seed says where.
    Damage(Name, Damage, u64),
    /// A disk is full: its files grow no more.
    Fill(Name),
    /// There is room again.
    Free(Name),
    /// A clock leaps ahead.
    Leap(Name, Duration),
    /// Nothing passes from one process to another.
    Cut(Name, Name),
    /// No multicast passes from one process to another.
    CutMulticast(Name, Name),
    /// Every path is open again.
    Mend,
    /// Datagrams arrive that have no business here; a seed says which and where.
    Stray(Stray, u64),
    /// A new process starts, perhaps with the role and id of another.
    Add(Role, u16),
    /// Replicas hear of everything from now on.
    Inform,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deed::Crash(who) => write!(f, "crash {who}"),
            Deed::Kill(who) => write!(f, "kill {who}"),
            Deed::Restart(who) => write!(f, "restart {who}"),
            Deed::Pause(who) => write!(f, "pause {who}"),
            Deed::Resume(who) => write!(f, "resume {who}"),
            Deed::Close(who) => write!(f, "close {who}"),
            Deed::Open(who) => write!(f, "open {who}"),
            Deed::Damage(who, damage, seed) => {
                write!(f, "damage {who} by {} {seed}", damage.name())
            }
            Deed::Fill(who) => write!(f, "fill {who}"),
            Deed::Free(who) => write!(f, "free {who}"),
            Deed::Leap(who, ahead) => write!(f, "leap {who} by {ahead:?}"),
            Deed::Cut(from, to) => write!(f, "cut {from} to {to}"),
            Deed::CutMulticast(from, to) => write!(f, "cut multicast {from} to {to}"),
            Deed::Mend => f.write_str("mend"),
            Deed::Stray(stray, seed) => write!(f, "stray {} {seed}", stray.name()),
            Deed::Add(role, id) => write!(f, "add {}", Name::new(*role, *id)),
            Deed::Inform => f.write_str("inform replicas"),
        }
    }
}

impl Deed {
    /// Words with which those deeds begin that a scenario says as they are printed.
    pub const WORDS: [&str; 5] = ["damage", "fill", "free", "stray", "inform"];
}

impl FromStr for Deed {
    type Err = String;

    /// Reads a deed that begins with one of [`Deed::WORDS`].
    fn from_str(line: &str) -> Result<Deed, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["damage", who, "by", ref how @ .., seed] => {
                let how = how.join(" ");
                let damage = Damage::ALL.into_iter().find(|kind| kind.name() == how);
                let damage = damage.ok_or_else(|| format!("{how:?} is no damage"))?;
                let seed = seed
                    .parse()
                    .map_err(|_| format!("{seed:?} is no seed, a number"))?;
                Ok(Deed::Damage(who.parse()?, damage, seed))
            }
            ["stray", ref what @ .., seed] => {
                let what = what.join(" ");
                let stray = Stray::ALL.into_iter().find(|kind| kind.name() == what);
                let stray = stray.ok_or_else(|| format!("{what:?} is nothing that strays"))?;
                let seed = seed
                    .parse()
                    .map_err(|_| format!("{seed:?} is no seed, a number"))?;
                Ok(Deed::Stray(stray, seed))
            }
            ["fill", who] => Ok(Deed::Fill(who.parse()?)),
            ["free", who] => Ok(Deed::Free(who.parse()?)),
            ["inform", "replicas"] => Ok(Deed::Inform),
            _ => Err(format!("{line:?}: not understood")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_are_read_as_they_are_printed() {
        let a1 = Name::new(Role::Acceptor, 1);
        let damages = Damage::ALL.map(|damage| Deed::Damage(a1, damage, 7));
        let strays = Stray::ALL.map(|stray| Deed::Stray(stray, 8));
        let others = [Deed::Fill(a1), Deed::Free(a1), Deed::Inform];
        for deed in damages.into_iter().chain(strays).chain(others) {
            let words = deed.to_string();
            assert_eq!(words.parse(), Ok(deed));
            assert!(Deed::WORDS.iter().any(|word| words.starts_with(word)));
        }
        assert!("damage a1 by magic 7".parse::<Deed>().is_err());
    }
}
