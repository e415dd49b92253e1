//! Script files: commands and the traces below them, read, played and written anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::stage::Stage;

/// How traces are written anew.
pub const REWRITE: &str = "PAXCAST_GOLDEN=write cargo test --test traces";

/// Plays all scripts of a role, or writes their traces anew when asked to; says
/// how many there are.
pub fn play_all(role: &str) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/scripts")
        .join(role);
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("a directory of scripts")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let rewrite = std::env::var_os("PAXCAST_GOLDEN").is_some_and(|value| value == "write");
    let mut complaints = String::new();
    for file in &files {
        let name = file.file_name().expect("a name").to_string_lossy();
        let name = format!("tests/scripts/{role}/{name}");
        let text = fs::read_to_string(file).expect("a script");
        match play(&name, &text) {
            Err(complaint) => complaints += &format!("{complaint}\n"),
            Ok(played) if rewrite => fs::write(file, played).expect("a script can be written"),
            Ok(played) => complaints += &compare(&name, &text, &played),
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
    files.len()
}

/// Plays a script and returns it with the traces that came out.
fn play(name: &str, text: &str) -> Result<String, String> {
    if !text.starts_with("# ") {
        return Err(format!("{name}:1: begin with the behaviour in a sentence"));
    }
    let mut stage = Stage::default();
    let mut played = String::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("> ") {
            let trace = stage
                .command(command)
                .map_err(|error| format!("{name}:{}: {error}", index + 1))?;
            writeln!(played, "{line}").expect("a string");
            for line in trace {
                writeln!(played, "{line}").expect("a string");
            }
        } else if line.is_empty() || line.starts_with('#') {
            writeln!(played, "{line}").expect("a string");
        }
    }
    Ok(played)
}

/// What differs, said so that one can act on it; empty when nothing does.
fn compare(name: &str, golden: &str, played: &str) -> String {
    let mut line = 1;
    for (golden, played) in steps(golden).zip(steps(played)) {
        if golden != played {
            return format!(
                "{name}:{line}: the trace differs\n--- golden\n{golden}+++ now\n{played}\
                 If this is intended, run `{REWRITE}` and read the difference.\n\n",
            );
        }
        line += golden.lines().count();
    }
    match golden == played {
        true => String::new(),
        false => format!("{name}: the trace differs in its end; run `{REWRITE}`\n"),
    }
}

/// The text cut before every command, so that each part is a command and its trace.
fn steps(text: &str) -> impl Iterator<Item = String> {
    let mut steps = vec![String::new()];
    for line in text.lines() {
        if line.starts_with("> ") {
            steps.push(String::new());
        }
        let step = steps.last_mut().expect("there is one");
        writeln!(step, "{line}").expect("a string");
    }
    steps.into_iter()
}

#[test]
fn a_script_that_cannot_be_played_says_where() {
    let nonsense = [
        ("> start a1\n", "x:1: begin with the behaviour"),
        ("# A.\n> start a1\n> dance\n", "x:3: unknown command"),
        ("# A.\n> wait 1s\n", "x:2: nothing was started"),
        (
            "# A.\n> start a1\n> from p1: sing 2.p1\n",
            "x:3: no message",
        ),
        ("# A.\n> start a1\n> from p1: stuck #1\n", "x:3: "),
        ("# A.\n> start a1 color=red\n", "x:2: unknown key"),
    ];
    for (text, complaint) in nonsense {
        let said = play("x", text).expect_err("nonsense");
        assert!(said.starts_with(complaint), "{said}");
    }
}

#[test]
fn a_trace_that_differs_is_shown_with_its_line() {
    let golden = "# A.\n\n> start a1\n> from p1: heartbeat 1.p1 decided #0\nnothing\n";
    let played = play("x", golden).expect("a good script");
    let said = compare("x", golden, &played);
    assert!(said.starts_with("x:4: the trace differs"), "{said}");
    assert!(said.contains("+++ now\n> from p1: heartbeat 1.p1 decided #0\nto p1: alive"));
    assert_eq!(compare("x", &played, &played), "");
}
