//! The scenarios that ship are played: all go as they say, and each can fail.
//!
//! A story that nothing could spoil would prove nothing. So where a scenario is
//! there to show that a rule is kept, the rule is broken on purpose
//! ([`paxcast::protocol::mutant`]), and the scenario must not go as it says then.

use std::fs;
use std::path::{Path, PathBuf};

use paxcast::sim::scenario::play::Play;
use paxcast::sim::scenario::{Action, Scenario};

/// A file below the top directory.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// All scenarios that ship, by name.
fn scenarios() -> Vec<(String, Scenario)> {
    let files = fs::read_dir(path("docs/scenarios")).expect("a directory of scenarios");
    let mut scenarios: Vec<(String, Scenario)> = files
        .map(|entry| {
            let file = entry.expect("an entry").path();
            let name = file.file_name().expect("a name").to_string_lossy();
            let name = name.strip_suffix(".scenario").expect("a scenario's name");
            (name.to_string(), read(&file))
        })
        .collect();
    scenarios.sort_by(|(one, _), (other, _)| one.cmp(other));
    scenarios
}

fn read(file: &Path) -> Scenario {
    let text = fs::read_to_string(file).expect("a scenario");
    let scenario = text.parse();
    scenario.unwrap_or_else(|mistake| panic!("{}:{mistake}", file.display()))
}

/// Plays one, and says what went otherwise than it says.
fn play(scenario: &Scenario) -> Result<(), String> {
    let outcome = Play::new(scenario, false).run();
    outcome.map(|_| ()).map_err(|violation| {
        let last = violation.trace.iter().rev().take(12).rev();
        let last: Vec<String> = last.map(|line| format!("    {line}\n")).collect();
        let kind = violation.kind.name();
        format!("{kind}: {}\n{}", violation.what, last.concat())
    })
}

#[test]
fn every_scenario_goes_as_it_says() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 50, "only {} scenarios", scenarios.len());
    let mut complaints = String::new();
    for (name, scenario) in &scenarios {
        if let Err(complaint) = play(scenario) {
            complaints += &format!("{name}: {complaint}");
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn every_scenario_says_what_it_shows_and_what_must_come_of_it() {
    for (name, scenario) in scenarios() {
        assert!(!scenario.title.is_empty(), "{name} has no title");
        let expects = |action: &Action| matches!(action, Action::Expect(..));
        let last = &scenario.steps.last().expect("steps").action;
        assert!(expects(last), "{name} does not end with an expectation");
        let printed = scenario.to_string();
        let again: Scenario = printed.parse().expect("it is printed as a scenario");
        assert_eq!(again.to_string(), printed, "{name}");
    }
}

#[test]
fn every_example_of_the_languages_page_runs() {
    let page = fs::read_to_string(path("docs/scenarios.md")).expect("the language's page");
    let blocks: Vec<&str> = page
        .split("```scenario\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a part"))
        .collect();
    assert!(blocks.len() >= 2, "the page has examples");
    for block in blocks {
        let scenario: Scenario = block
            .parse()
            .unwrap_or_else(|mistake| panic!("{mistake}\n{block}"));
        if let Err(complaint) = broken::played_with_its_mutant(&scenario) {
            panic!("{complaint}\n{block}");
        }
    }
}

#[cfg(not(debug_assertions))]
mod broken {
    //! In a release build there are no mutants.

    use super::{Scenario, play};

    /// Plays what needs no mutant.
    pub fn played_with_its_mutant(scenario: &Scenario) -> Result<(), String> {
        match scenario.mutant {
            None => play(scenario),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(debug_assertions)]
mod broken {
    //! Scenarios with a rule broken.

    use std::cell::Cell;
    use std::sync::Once;

    use paxcast::protocol::mutant::{self, Mutant};

    use super::{Scenario, path, play, read};

    thread_local! {
        /// On this thread a panic is what is looked for.
        static PANICS_EXPECTED: Cell<bool> = const { Cell::new(false) };
    }

    /// Lets panics pass in silence where a mutant lives.
    fn keep_quiet() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if !PANICS_EXPECTED.get() {
                    usual(panic);
                }
            }));
        });
    }

    /// Plays a scenario while a mutant lives.
    fn played_with(mutant: Option<Mutant>, scenario: &Scenario) -> Result<(), String> {
        keep_quiet();
        PANICS_EXPECTED.set(mutant.is_some());
        mutant::select(mutant);
        let outcome = play(scenario);
        mutant::select(None);
        PANICS_EXPECTED.set(false);
        outcome
    }

    /// Plays a scenario while the mutant that it names lives.
    pub fn played_with_its_mutant(scenario: &Scenario) -> Result<(), String> {
        let named = scenario.mutant.as_deref();
        let mutant = named.map(|name| name.parse().expect("a mutant's name"));
        played_with(mutant, scenario)
    }

    /// Scenarios, and rules without which they do not go as they say.
    const SPOILED: &[(&str, &[Mutant])] = &[
        (
            "acknowledgement-lost",
            &[
                Mutant::AcknowledgedTooSoon,
                Mutant::AcknowledgedOnce,
                Mutant::SubmittedOnce,
            ],
        ),
        ("ballot-reused", &[Mutant::BallotReused]),
        ("chained", &[Mutant::DeafLeaderStays]),
        ("damaged-disk", &[Mutant::CutAtFirstDamage]),
        (
            "damaged-datagrams",
            &[Mutant::TagNotChecked, Mutant::TagOfHeaderOnly],
        ),
        (
            "deaf-leader",
            &[Mutant::DeafLeaderStays, Mutant::BusyForEver],
        ),
        ("deaf-proposer", &[Mutant::BusyNeverSaid]),
        (
            "duplicates",
            &[Mutant::RepeatedVoteDecides, Mutant::RepeatedVoteCounts],
        ),
        ("evicted-in-doubt", &[Mutant::OldSessionBegunAgain]),
        ("eviction", &[Mutant::AnySessionAcknowledges]),
        (
            "first-value-lost",
            &[Mutant::NumberingFromTheMiddle, Mutant::ProposedOutOfOrder],
        ),
        (
            "highest-vote",
            &[
                Mutant::LowestVote,
                Mutant::FirstVoteHeard,
                Mutant::OneReportOnly,
            ],
        ),
        (
            "highest-vote-first",
            &[Mutant::LowestVote, Mutant::LastVoteHeard],
        ),
        (
            "hole-below-the-watermark",
            &[Mutant::PastNeverRepaired, Mutant::RepairWithoutQuorum],
        ),
        (
            "large-value",
            &[Mutant::PiecesNotAcknowledged, Mutant::PieceEndsValue],
        ),
        ("last-learner", &[Mutant::NeverAsksUnprompted]),
        (
            "late-proposal-to-one-that-voted",
            &[Mutant::VoteWithoutPromise],
        ),
        (
            "late-vote",
            &[Mutant::VoteBelowPromise, Mutant::RefusedVoteTold],
        ),
        ("learner-asks-in-vain", &[Mutant::GapSkippedInTheEnd]),
        (
            "learner-misses-one",
            &[Mutant::GapSkipped, Mutant::GapNeverAskedFor],
        ),
        ("many-learners-miss-a-burst", &[Mutant::GapNeverAskedFor]),
        (
            "newest-vote-on-disk",
            &[Mutant::OldVoteRead, Mutant::DiskNotAsked],
        ),
        ("order-of-arrival", &[Mutant::ProposedOutOfOrder]),
        ("power-comes-and-goes", &[Mutant::DirectoryNotSynced]),
        (
            "power-failure",
            &[
                Mutant::SendBeforeSync,
                Mutant::VoteNotRecorded,
                Mutant::PromiseForgottenAtRestart,
            ],
        ),
        (
            "promise-in-pages",
            &[
                Mutant::FirstPageIsAll,
                Mutant::PageClaimsTooMuch,
                Mutant::DiskNotAsked,
                Mutant::AskedInstanceIgnored,
            ],
        ),
        (
            "promise-kept",
            &[
                Mutant::PromiseNotRecorded,
                Mutant::PromiseForgottenAtRestart,
                Mutant::VoteBelowPromise,
            ],
        ),
        (
            "proposal-lost",
            &[
                Mutant::SpansJoined,
                Mutant::OverdueNotSentAgain,
                Mutant::GapSkipped,
            ],
        ),
        ("quorum-lost", &[Mutant::SmallQuorum]),
        (
            "random-delay",
            &[Mutant::PromiseLowered, Mutant::VoteBelowPromise],
        ),
        (
            "retry-through-another",
            &[
                Mutant::CopyDelivered,
                Mutant::VoteNotRenewed,
                Mutant::FirstVoteConcealed,
            ],
        ),
        (
            "server-disconnected-with-its-client",
            &[Mutant::ForgottenWithTheLeader],
        ),
        (
            "skipped-instance",
            &[Mutant::GapSkipped, Mutant::GapSkippedInTheEnd],
        ),
        (
            "stalled-reader",
            &[Mutant::StalledReaderSkipped, Mutant::WindowNeverReopens],
        ),
        (
            "the-proposal-voted-for",
            &[Mutant::AnyProposalDecided, Mutant::FirstProposalKept],
        ),
        (
            "value-without-its-predecessor",
            &[Mutant::SessionBegunInTheMiddle],
        ),
        (
            "votes-lost",
            &[Mutant::OverdueBecomesNoOp, Mutant::OverdueNotSentAgain],
        ),
        ("votes-of-two-ballots", &[Mutant::VotesAcrossBallots]),
        (
            "watermark-before-the-gap",
            &[Mutant::WatermarkOverGap, Mutant::WatermarkAtProposal],
        ),
        (
            "watermark-of-another-ballot",
            &[Mutant::AnyBallotWatermark, Mutant::PastNeverRepaired],
        ),
    ];

    #[test]
    fn a_broken_rule_spoils_the_scenario_that_shows_it() {
        let mut complaints = String::new();
        for (name, mutants) in SPOILED {
            let scenario = read(&path(&format!("docs/scenarios/{name}.scenario")));
            for &mutant in *mutants {
                if played_with(Some(mutant), &scenario).is_ok() {
                    complaints += &format!("{name} goes as it says, though: {}\n", mutant.what());
                }
            }
        }
        assert!(complaints.is_empty(), "\n{complaints}");
    }
}
