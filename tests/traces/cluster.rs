//! Traces of whole clusters: a scenario, and below it all that happens in it.
//!
//! A file in `tests/scripts/cluster/` is a scenario as `paxcast play` reads it
//! (`docs/scenarios.md`). Behind the line `----` stands its trace: what is sent and
//! to whom, what is lost, what processes come to know. That a datagram arrives is
//! left out where it does, for it always takes the same time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use paxcast::sim::scenario::Scenario;
use paxcast::sim::scenario::play::Play;

use crate::script::REWRITE;

/// Plays all scenarios, or writes their traces anew when asked to; says how many
/// there are.
pub fn play_all() -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/cluster");
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("a directory of scenarios")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let rewrite = env::var_os("PAXCAST_GOLDEN").is_some_and(|value| value == "write");
    let mut complaints = String::new();
    for file in &files {
        let name = file.file_name().expect("a name").to_string_lossy();
        let text = fs::read_to_string(file).expect("a scenario");
        match play(&text) {
            Err(complaint) => complaints += &format!("{name}: {complaint}\n"),
            Ok(played) if rewrite => fs::write(file, played).expect("it can be written"),
            Ok(played) => complaints += &compare(&name, &text, &played),
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
    files.len()
}

/// Plays a scenario and returns it with the trace that came out.
fn play(text: &str) -> Result<String, String> {
    let story: String = text
        .lines()
        .take_while(|&line| line != Scenario::END)
        .map(|line| format!("{line}\n"))
        .collect();
    let scenario: Scenario = text.parse().map_err(|mistake| format!("{mistake}"))?;
    let mut play = Play::new(&scenario, false);
    play.cluster().keep_trace();
    play.run().map_err(|violation| violation.what.clone())?;
    let mut played = story;
    writeln!(played, "{}", Scenario::END).expect("a string");
    for line in play.cluster().trace().last_lines() {
        if !line.contains(" arrives: ") {
            writeln!(played, "{line}").expect("a string");
        }
    }
    Ok(played)
}

/// The first lines that differ, said so that one can act on it.
fn compare(name: &str, golden: &str, played: &str) -> String {
    if golden == played {
        return String::new();
    }
    let same = golden.lines().zip(played.lines());
    let same = same.take_while(|(golden, played)| golden == played).count();
    let from = |text: &str| -> String {
        let lines = text.lines().skip(same).take(5);
        lines.map(|line| format!("{line}\n")).collect()
    };
    format!(
        "{name}:{}: the trace differs\n--- golden\n{}+++ now\n{}\
         If this is intended, run `{REWRITE}` and read the difference.\n\n",
        same + 1,
        from(golden),
        from(played)
    )
}

#[test]
fn a_cluster_trace_that_differs_is_shown_with_its_line() {
    let text = "# Nothing.\nproposers 0\nclients 0\nlearners 0\nwait 1ms\nsay so\n";
    let played = play(text).expect("a good scenario");
    assert_eq!(played, format!("{text}----\n0.001000s * say so\n"));
    assert_eq!(play(&played).expect("a good scenario"), played);
    let said = compare("x", text, &played);
    assert!(said.starts_with("x:7: the trace differs"), "{said}");
    assert!(said.contains("+++ now\n----\n0.001000s * say so\n"));
}
