//! A random run told as a scenario takes the same course, and a failure that is
//! cut down still fails, for the same reason.

use std::fs;
use std::path::Path;
use std::time::Duration;

use paxcast::protocol::mutant::{Mutant, select};
use paxcast::sim::scenario::play::Play;
use paxcast::sim::scenario::{Action, Scenario, Step};
use paxcast::sim::shrink::{plain, scenario, shrink};
use paxcast::sim::users::Kind;
use paxcast::sim::{Cluster, Plan, run, run_cluster};

#[test]
fn a_run_told_as_a_scenario_takes_the_same_course() {
    let chat = |seed: &u64| {
        let service = Plan::new(*seed).cluster.service;
        service.is_some_and(|service| service.kind == Kind::Chat)
    };
    // Some with replicas of the store are among the first.
    for seed in (1..=60).chain((61..).filter(chat).take(10)) {
        let plan = plain(&Plan::new(seed));
        let mut cluster = Cluster::recorded(seed, plan.cluster.clone());
        let report = run_cluster(seed, &plan, &mut cluster).expect("a good seed");
        let mut told = scenario(seed, &plan, &cluster);
        // The same length, to the nanosecond: a run that is done the moment the
        // last deed is done ends before what happens then, any other after it.
        let last = cluster.deeds().last().map(|(at, _)| *at);
        let end_of_it = cluster.now().0 + u64::from(last < Some(cluster.now()));
        let end = told.steps.last_mut().expect("the demand at the end");
        *end = Step {
            line: 0,
            at: Some(Duration::from_nanos(end_of_it)),
            action: Action::Say("the end".into()),
        };
        let text = told.to_string();
        let read: Scenario = text.parse().expect("what is printed can be read");
        let played = Play::new(&read, false).run().expect("a good scenario");
        assert_eq!(played.steps, report.steps, "seed {seed}");
        assert_eq!(played.digest, report.digest, "seed {seed}");
        assert_eq!(played.values, report.values, "seed {seed}");
    }
}

#[test]
fn a_failure_is_cut_down_to_what_it_takes() {
    let mutants = [
        Mutant::VotesAcrossBallots,
        Mutant::PromiseNotRecorded,
        Mutant::ReadBeforeApplied,
        Mutant::ReplayBeginsLate,
    ];
    for mutant in mutants {
        select(Some(mutant));
        // Longer trouble is cut down, too, but that takes minutes.
        let short = |seed: &u64| Plan::new(*seed).trouble < Duration::from_secs(3);
        let mut seeds = (1..2_000).filter(short);
        let seed = seeds.find(|&seed| run(seed, false).is_err());
        let seed = seed.unwrap_or_else(|| panic!("{mutant} survives"));
        let shrunk = shrink(seed, &Plan::new(seed)).expect("it fails when told");
        println!(
            "{}\n{} of {}, {} runs",
            shrunk.scenario, shrunk.after, shrunk.before, shrunk.runs
        );
        assert!(shrunk.after * 4 < shrunk.before || shrunk.after < 40);
        // It is broken as a text too, and whole without the mutant.
        let read: Scenario = shrunk.scenario.to_string().parse().unwrap();
        assert!(
            Play::new(&read, false).run().is_ok(),
            "it breaks as it must"
        );
        select(None);
        let violation = Play::new(&read, false).run().unwrap_err();
        assert!(
            violation.what.contains("no promise was broken"),
            "{violation}"
        );
    }
}

/// The counterexamples that the documents show: each breaks where its rule is
/// broken, and holds where it is kept; each has its picture.
#[test]
fn the_counterexamples_are_what_they_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/counterexamples");
    let mut count = 0;
    for entry in fs::read_dir(directory).expect("docs/counterexamples") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_none_or(|extension| extension != "scenario")
        {
            continue;
        }
        let name = path.display();
        let mut scenario: Scenario = fs::read_to_string(&path).unwrap().parse().unwrap();
        let mutant = scenario.mutant.as_deref().expect("a mutant");
        select(Some(mutant.parse().unwrap()));
        let mut play = Play::new(&scenario, false);
        let broken = play.run().map(|_| play.broken().is_some());
        assert!(
            matches!(broken, Ok(true)),
            "{name} does not break: {broken:?}"
        );
        select(None);
        scenario.heal();
        let whole = Play::new(&scenario, false).run();
        assert!(
            whole.is_ok(),
            "{name} breaks by itself: {}",
            whole.unwrap_err()
        );
        assert!(path.with_extension("svg").exists(), "{name} has no picture");
        count += 1;
    }
    assert!(count >= 3, "only {count} counterexamples");
}
