//! A random run told as a scenario takes the same course, and a failure that is
//! cut down still fails, for the same reason.

use std::time::Duration;

use paxcast::protocol::mutant::{Mutant, select};
use paxcast::sim::scenario::play::Play;
use paxcast::sim::scenario::{Action, Scenario, Step};
use paxcast::sim::shrink::{plain, scenario, shrink};
use paxcast::sim::{Cluster, Plan, run, run_cluster};

#[test]
fn a_run_told_as_a_scenario_takes_the_same_course() {
    for seed in 1..=60 {
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
    for mutant in [Mutant::VoteBelowPromise, Mutant::PromiseNotRecorded] {
        select(Some(mutant));
        let seed = (1..2_000).find(|&seed| run(seed, false).is_err());
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
