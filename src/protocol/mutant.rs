//! Seeded bugs: the proof that the checks see what they are there to see.
//!
//! A simulator that finds nothing may mean that there is nothing to be found, or
//! that it does not look. So each rule that matters can be broken on purpose: a
//! [`Mutant`] names one rule taken out, and the place in the code that keeps the
//! rule asks [`mutant`] whether it shall for once not. `tests/mutants.rs` selects
//! one after the other and demands that the simulator notices each.
//!
//! This is the one exception to the purity of the protocol: a role's behaviour
//! hangs on something that is neither its state nor its input. A switch handed to
//! every role, quorum and tally would be purer and would stand in every signature
//! for the sake of the tests alone. So the switch belongs to the thread, which a
//! simulated cluster shares with nobody, and exists under `debug_assertions` only:
//! in a release build [`mutant`] is the constant `false`, there is nothing to
//! select, and the hooks are compiled away.

#[cfg(debug_assertions)]
use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

/// Declares the mutants: what is broken, a name, and the hazard it stands for.
macro_rules! mutants {
    ($($(#[doc = $what:literal])+ $name:ident = $hazard:literal,)+) => {
        /// A seeded bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutant {
            $($(#[doc = $what])+ $name,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Mutant] = &[$(Mutant::$name,)+];

            /// The number of the hazard it stands for, such as `B3`.
            pub fn hazard(self) -> &'static str {
                match self {
                    $(Mutant::$name => $hazard,)+
                }
            }

            /// What is broken, in a sentence.
            pub fn what(self) -> &'static str {
                let what = match self {
                    $(Mutant::$name => concat!($($what,)+),)+
                };
                what.trim_start()
            }
        }
    };
}

mutants! {
    /// An acceptor votes in a ballot below the one it promised.
    VoteBelowPromise = "B3",
    /// An acceptor's promise is not written down, and gone after a restart.
    PromiseNotRecorded = "B3",
    /// A vote does not promise its ballot.
    VoteWithoutPromise = "B3",
    /// A new leader proposes the lowest vote of an instance again, not the highest.
    LowestVote = "B4",
    /// A candidate takes the first page of a promise for all of it.
    FirstPageIsAll = "B5",
    /// A proposer uses the same incarnation, and so the same ballots, after a restart.
    BallotReused = "B2",
    /// One acceptor less than a majority counts as a quorum.
    SmallQuorum = "B9",
    /// A learner counts the votes of all ballots of an instance together.
    VotesAcrossBallots = "B12",
    /// A watermark of one ballot decides the votes of every other one, too.
    AnyBallotWatermark = "F1",
    /// A quorum's votes decide any proposal for the instance, whatever its ballot.
    AnyProposalDecided = "B12",
    /// A value that stands in the log twice is delivered twice.
    CopyDelivered = "C3",
    /// A client's values are delivered though an earlier one is missing.
    GapDelivered = "C3",
    /// A message leaves before what it speaks of is synced.
    SendBeforeSync = "A1",
}

impl fmt::Display for Mutant {
    /// The name in small letters, its words joined by hyphens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in format!("{self:?}").char_indices() {
            if index > 0 && letter.is_uppercase() {
                f.write_str("-")?;
            }
            write!(f, "{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// There is no mutant of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(pub String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no mutant is called {:?}", self.0)
    }
}

impl std::error::Error for Unknown {}

impl FromStr for Mutant {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Mutant, Unknown> {
        Mutant::ALL
            .iter()
            .copied()
            .find(|mutant| mutant.to_string() == name)
            .ok_or_else(|| Unknown(name.into()))
    }
}

#[cfg(debug_assertions)]
thread_local! {
    /// The mutant that lives on this thread.
    static SELECTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Whether this rule is to be broken here and now. Never in a release build.
#[inline]
pub fn mutant(_mutant: Mutant) -> bool {
    #[cfg(debug_assertions)]
    return SELECTED.get() == Some(_mutant);
    #[cfg(not(debug_assertions))]
    false
}

/// Lets a mutant live on this thread from now on, or none.
#[cfg(debug_assertions)]
pub fn select(mutant: Option<Mutant>) {
    SELECTED.set(mutant);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_has_a_name_of_its_own_and_is_found_by_it() {
        for &mutant in Mutant::ALL {
            assert_eq!(mutant.to_string().parse(), Ok(mutant));
            assert!(mutant.what().ends_with('.'), "{mutant}: {}", mutant.what());
            assert!(!mutant.hazard().is_empty());
        }
        assert_eq!(Mutant::LowestVote.to_string(), "lowest-vote");
        assert!("no-such-mutant".parse::<Mutant>().is_err());
    }
}
