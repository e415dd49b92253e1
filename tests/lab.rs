//! `paxcast sim` and `paxcast play` as a person or a script meets them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the tool in a directory of its own.
fn paxcast(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paxcast"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("paxcast runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into()
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).expect("a file");
    path
}

#[test]
fn a_seed_is_told_and_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = [
        "sim",
        "--seed",
        "5",
        "--diagram",
        "5.html",
        "--shiviz",
        "5.log",
        "-v",
    ];
    let ran = paxcast(directory.path(), &arguments);
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
    let said = out(&ran);
    for words in [
        "proposers",
        "set: ",
        "all is well: ",
        "what struck: ",
        "trace ",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(err(&ran).lines().count() > 100, "every line of the trace");
    let page = fs::read_to_string(directory.path().join("5.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("paxcast sim --seed 5"));
    let log = fs::read_to_string(directory.path().join("5.log")).unwrap();
    assert!(log.contains("{\""), "vector clocks");
    let again = paxcast(directory.path(), &["sim", "--seed", "5"]);
    assert_eq!(out(&again), said, "the same seed, the same words");
}

#[test]
fn summaries_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut files = vec!["sim".to_string(), "--merge".into()];
    for seeds in ["1..4", "4..9"] {
        let ran = paxcast(
            path,
            &["sim", "--json", "--faults", "loss,crash", "--seeds", seeds],
        );
        assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
        assert_eq!(out(&ran).lines().count(), 1, "one line");
        write(path, seeds, &out(&ran));
        files.push(seeds.into());
    }
    let arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    let sum = paxcast(path, &arguments);
    assert_eq!(sum.status.code(), Some(0), "{}", err(&sum));
    assert!(out(&sum).starts_with("8 seeds, "), "{}", out(&sum));
    assert!(out(&sum).contains("seeds 1..9"), "{}", out(&sum));
    write(
        path,
        "again",
        &fs::read_to_string(path.join("1..4")).unwrap(),
    );
    let twice = paxcast(path, &["sim", "--merge", "1..4", "again"]);
    assert_eq!(twice.status.code(), Some(1));
    assert!(
        err(&twice).contains("again:1: seeds 1..4 and 1..4 overlap"),
        "{}",
        err(&twice)
    );
}

/// What a mutant breaks ends with the exit status of its kind, and leaves a
/// scenario that breaks too, and does not without the mutant.
#[test]
fn a_broken_rule_is_caught_and_cut_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let arguments = [
        "sim",
        "--seeds",
        "1..200",
        "--failures",
        "1",
        "--threads",
        "1",
        "--mutant",
        "small-quorum",
        "--scenario",
        "cut",
        "--json",
    ];
    let caught = paxcast(path, &arguments);
    assert_eq!(caught.status.code(), Some(10), "{}", err(&caught));
    let said = err(&caught);
    assert!(
        said.contains("cutting it down") && said.contains(" are left, after "),
        "{said}"
    );
    let scenario = fs::read_to_string(path.join("cut")).unwrap();
    assert!(
        scenario.contains("mutant small-quorum") && scenario.len() < 6_000,
        "{scenario}"
    );
    let broken = paxcast(path, &["play", "cut"]);
    assert_eq!(
        broken.status.code(),
        Some(0),
        "{}{}",
        out(&broken),
        err(&broken)
    );
    let whole = paxcast(path, &["play", "--healthy", "cut"]);
    assert_eq!(
        whole.status.code(),
        Some(0),
        "{}{}",
        out(&whole),
        err(&whole)
    );
    let wish: String = scenario
        .lines()
        .filter(|line| !line.starts_with("expect"))
        .collect::<Vec<_>>()
        .join("\n");
    write(path, "unwished", &wish);
    let bare = paxcast(path, &["play", "unwished"]);
    assert_eq!(bare.status.code(), Some(10), "{}{}", out(&bare), err(&bare));
}

#[test]
fn a_scenario_says_where_it_went_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(
        path,
        "good",
        "submit c1 \"a\"\nexpect done within 1s\nexpect delivered \"a\"\n",
    );
    write(
        path,
        "unmet",
        "submit c1 \"a\"\nexpect delivered 2 within 1s\n",
    );
    write(
        path,
        "stuck",
        "kill a1 a2\nsubmit c1 \"a\"\nexpect done within 5s\n",
    );
    write(path, "wrong", "submit c1 \"a\"\ncrush p1\n");
    let cases = [
        ("good", 0, "good: as it should be, 1 values"),
        (
            "unmet",
            1,
            "line 2: expect delivered 2 within 1s: not within 1s",
        ),
        ("stuck", 11, "liveness at "),
        ("wrong", 3, "wrong:2: \"crush\" is no step"),
        ("absent", 1, "cannot read absent"),
    ];
    for (name, code, words) in cases {
        let played = paxcast(path, &["play", name]);
        let said = out(&played) + &err(&played);
        assert_eq!(played.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
    }
    write(path, "dead", "crash c1\nsubmit c1 \"a\"\n");
    write(path, "past", "at 1s mend\nat 500ms mend\n");
    write(path, "twin", "add a1\n");
    for (name, words) in [
        ("dead", "c1 is dead"),
        ("past", "this time is past"),
        ("twin", "a1"),
    ] {
        let played = paxcast(path, &["play", name]);
        let said = out(&played) + &err(&played);
        assert_eq!(played.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
    }
    let both = paxcast(path, &["play", "good", "unmet"]);
    assert_eq!(both.status.code(), Some(1));
    assert!(out(&both).contains("good: as it should be"));
}

#[test]
fn mistakes_on_the_command_line_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["sim", "--faults", "rust"],
            1,
            "\"rust\" is no class of faults; there are: loss",
        ),
        (&["sim", "--roles", "p0"], 2, "there can be 1 to 9"),
        (&["sim", "--seeds", "9..3"], 2, "is no range of seeds"),
        (&["sim", "--mutant", "nonsense"], 1, "nonsense"),
        (&["play"], 2, "<FILE>"),
    ];
    for (arguments, code, words) in cases {
        let ran = paxcast(directory.path(), arguments);
        assert_eq!(
            ran.status.code(),
            Some(code),
            "{arguments:?}: {}",
            err(&ran)
        );
        assert!(err(&ran).contains(words), "{arguments:?}: {}", err(&ran));
    }
}
