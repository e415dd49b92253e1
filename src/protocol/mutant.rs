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
    // What an acceptor says before it is safe, or forgets.
    /// A message leaves before what it speaks of is synced.
    SendBeforeSync = "A1",
    /// A failed sync is taken for a good one.
    FailedSyncIgnored = "A2",
    /// What a crash left behind is voted by without being synced once more.
    RecoveredNotSynced = "A2",
    /// New names in the directory are not made durable.
    DirectoryNotSynced = "A3",
    /// A log is cut at its first bad record, whether a crash or damage made it bad.
    CutAtFirstDamage = "A4",
    /// What a crash tore stays behind the end of the log.
    TornTailLeft = "A4",
    /// A record names records as synced that are being written with it.
    SyncClaimedEarly = "A4",
    /// A log whose last segment is gone is taken for one that ends before it.
    LostSegmentNotMissed = "A5",
    /// Whoever has an acceptor's id speaks for it, with whatever store.
    StoreIgnored = "A8",
    /// An acceptor without a disk forgets votes though their instances are open.
    UndecidedForgotten = "A9",
    /// Of what it has forgotten, an acceptor reports that there was nothing.
    ForgottenToldAsEmpty = "A9",
    /// A learner gives up though only one acceptor has forgotten, or none.
    LostTooSoon = "A9",
    /// A checkpoint gets its name though its bytes are never synced.
    CheckpointNotSynced = "A1",
    /// A checkpoint gets its name before its bytes are synced.
    CheckpointRenamedFirst = "A3",
    /// Acceptors forget what a single replica says that it has.
    TrimByOneReport = "A9",
    /// Acceptors forget what they do not know to be decided.
    TrimBeforeWatermark = "A9",
    /// Segments are deleted before it is durable that they may be.
    SegmentsDeletedFirst = "A9",
    /// What was promised goes with the segments that said so.
    PromiseTrimmedAway = "B3",
    /// How far was voted goes with the segments that said so.
    HighestTrimmedAway = "A9",
    /// An acceptor's promise is not written down.
    PromiseNotRecorded = "B3",
    /// Promises are not read back at a restart, only votes.
    PromiseForgottenAtRestart = "B3",
    /// A vote is not written down.
    VoteNotRecorded = "A1",
    /// Of two votes for an instance in the log the older one is read back.
    OldVoteRead = "B4",
    /// Votes that were written last, or are not written yet, are not read back.
    LatestNotRead = "B4",

    // Promises and votes.
    /// An acceptor votes in a ballot below the one it promised.
    VoteBelowPromise = "B3",
    /// An acceptor that is asked for a lower ballot promises that one from then on.
    PromiseLowered = "B3",
    /// A vote does not promise its ballot.
    VoteWithoutPromise = "B3",
    /// A vote that was refused for a higher promise is told nevertheless.
    RefusedVoteTold = "B6",
    /// A vote of an older ballot passes for one of the new ballot.
    VoteNotRenewed = "B6",
    /// Votes for two instances are told as votes for all between them, too.
    SpansJoined = "B12",
    /// An acceptor leaves its first vote out of a promise.
    FirstVoteConcealed = "B5",
    /// A page of a promise claims to cover the instance that did not fit it.
    PageClaimsTooMuch = "B5",
    /// An acceptor promises from memory, though older votes are on its disk.
    DiskNotAsked = "B4",
    /// An acceptor begins its report where it likes, not where it was asked to.
    AskedInstanceIgnored = "B5",
    /// A refusal does not name the ballot that stands against it.
    NackWithoutBallot = "B7",
    /// A round however absurd is taken.
    LeapTaken = "B13",

    // Phase 1.
    /// A new leader proposes the lowest vote of an instance again, not the highest.
    LowestVote = "B4",
    /// A new leader proposes the vote again that it heard of first.
    FirstVoteHeard = "B4",
    /// A new leader proposes the vote again that it heard of last.
    LastVoteHeard = "B4",
    /// A candidate heeds the votes of the first acceptor that answers, and no others.
    OneReportOnly = "B4",
    /// A candidate takes the first page of a promise for all of it.
    FirstPageIsAll = "B5",
    /// Pages of a promise for an earlier ballot count for a candidate's new one.
    FormerPromiseCounts = "F3",
    /// A proposer uses the same incarnation, and so the same ballots, after a restart.
    BallotReused = "B2",
    /// A candidate stands in the highest round that it heard of, not in the next.
    RoundNotRaised = "B2",

    // Leaders.
    /// Acceptors put no candidate off, though a leader lives.
    BusyNeverSaid = "F7",
    /// Acceptors put candidates off for ever after they have heard a leader.
    BusyForEver = "F7",
    /// A leader that hears no quorum goes on leading.
    DeafLeaderStays = "F7",

    // Phase 2.
    /// One acceptor less than a majority counts as a quorum.
    SmallQuorum = "B9",
    /// A vote that a leader hears twice counts twice.
    RepeatedVoteDecides = "B10",
    /// What gets no votes in time is not proposed again.
    OverdueNotSentAgain = "D1",
    /// What gets no votes in time is given up for a no-op.
    OverdueBecomesNoOp = "B11",
    /// The watermark is the last instance decided, whatever lies open before it.
    WatermarkOverGap = "F1",
    /// The watermark is the last instance proposed.
    WatermarkAtProposal = "F1",
    /// A watermark that was heard gives way to a lower one.
    WatermarkRegresses = "F1",
    /// The window counts instances that were decided long ago.
    WindowNeverReopens = "C10",
    /// The past is not proposed again for a learner that is stuck.
    PastNeverRepaired = "F2",
    /// The past is proposed again as a single acceptor has it, or as a no-op.
    RepairWithoutQuorum = "F2",

    // From clients to batches.
    /// A leader that does not know a client begins with whatever it hears first.
    NumberingFromTheMiddle = "F6",
    /// A leader proposes a client's values in the order in which they arrive.
    ProposedOutOfOrder = "F6",
    /// A batch grows beyond what a datagram holds.
    BatchOverfull = "C8",
    /// A client's values stand in their batch twice.
    RunTwiceInBatch = "C8",

    // Learners.
    /// A learner counts the votes of all ballots of an instance together.
    VotesAcrossBallots = "B12",
    /// A quorum's votes decide any proposal for the instance, whatever its ballot.
    AnyProposalDecided = "B12",
    /// A learner keeps the first proposal for an instance and no other ballot's.
    FirstProposalKept = "B12",
    /// A vote that a learner hears twice counts twice.
    RepeatedVoteCounts = "B10",
    /// A watermark of one ballot decides the votes of every other one, too.
    AnyBallotWatermark = "F1",
    /// A learner leaves out an instance that it lacks as soon as it has the next.
    GapSkipped = "C1",
    /// A learner leaves out an instance that it has asked for in vain for a while.
    GapSkippedInTheEnd = "C1",
    /// A learner never asks for what it lacks.
    GapNeverAskedFor = "C9",
    /// A learner asks always the same acceptor.
    OneAcceptorAsked = "C9",
    /// A learner asks for nothing without a reason.
    NeverAsksUnprompted = "C9",
    /// Some learners take the values of a batch in another order.
    OrderByProcess = "C7",
    /// What comes while the reader stalls is lost to it.
    StalledReaderSkipped = "F9",

    // Sessions.
    /// A value that stands in the log twice is delivered twice.
    CopyDelivered = "C3",
    /// A client's values are delivered though an earlier one is missing.
    GapDelivered = "C3",
    /// A session begins with whichever of its values stands in the log first.
    SessionBegunInTheMiddle = "C3",
    /// A session that was forgotten begins again with its first value.
    OldSessionBegunAgain = "F4",

    // Reads.
    /// Reads join a round that is under way already.
    RoundJoinedLate = "C4",
    /// An answer of an earlier round confirms this one.
    OldConfirmationCounts = "C4",
    /// One acceptor confirms a round.
    OneConfirmationEnough = "C4",
    /// A read is answered as soon as its round is over, whatever is applied by then.
    ReadBeforeApplied = "C4",
    /// Acceptors confirm what they know to be decided, not what they voted for.
    ConfirmedByWatermark = "F5",

    // The chat.
    /// A session of the chat that goes on elsewhere forgets which lines were done.
    LinesForgottenOnMove = "C3",
    /// An opening that comes late takes a session of the chat from where it is by now.
    LateOpeningHeeded = "C3",
    /// Who comes back to the chat is told what they missed from one event too late.
    ReplayBeginsLate = "C1",
    /// What happened in a channel that somebody has left since is not told to them.
    FormerStayForgotten = "C1",

    // Acknowledgements and clients.
    /// Values are acknowledged when they are proposed.
    AcknowledgedTooSoon = "C5",
    /// An acknowledgement that was lost is not repeated.
    AcknowledgedOnce = "C5",
    /// A client takes acknowledgements of other sessions for its own.
    AnySessionAcknowledges = "C5",
    /// A client forgets what is not acknowledged when another proposer leads.
    ForgottenWithTheLeader = "C5",
    /// A client sends its values once.
    SubmittedOnce = "C5",
    /// A client gives its values new numbers when it sends them again.
    NumberedAnew = "C3",
    /// The pieces of a large value are not taken for acknowledged one by one.
    PiecesNotAcknowledged = "F8",
    /// Each piece of a large value ends it.
    PieceEndsValue = "F8",

    // Datagrams.
    /// A damaged datagram is taken.
    TagNotChecked = "D12",
    /// The tag covers a datagram's header and nothing behind it.
    TagOfHeaderOnly = "D2",
    /// Datagrams of another cluster are taken.
    ClusterIgnored = "D4",
    /// Datagrams of a process with another configuration are taken.
    ConfigurationIgnored = "B9",
    /// Datagrams of another version are taken.
    VersionIgnored = "E1",
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

/// The mutant that lives on this thread: never one in a release build.
pub fn selected() -> Option<Mutant> {
    #[cfg(debug_assertions)]
    return SELECTED.get();
    #[cfg(not(debug_assertions))]
    None
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
