//! The README is run: every `console` block as one script, its output held
//! against what stands there, numbers and times apart.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A transcript: the commands, and what they print.
struct Transcript {
    script: String,
    output: Vec<String>,
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a part").to_string())
        .collect()
}

fn transcript(block: &str) -> Transcript {
    let (commands, output): (Vec<&str>, Vec<&str>) =
        block.lines().partition(|line| line.starts_with("$ "));
    Transcript {
        script: commands
            .iter()
            .map(|line| format!("{}\n", &line[2..]))
            .collect(),
        output: output.into_iter().map(plain).collect(),
    }
}

/// A line without what differs from run to run: where runs are kept, numbers, who leads.
fn plain(line: &str) -> String {
    if line.starts_with("run ") {
        return "run".to_string();
    }
    let line = line.replace(char::is_numeric, "0");
    let mut plain = String::new();
    for character in line.chars() {
        let repeated = matches!(character, '0' | '.') && plain.ends_with('0');
        if !repeated {
            plain.push(character);
        }
    }
    plain
}

/// Where this build's executables are.
fn executables() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_learner"))
        .parent()
        .expect("a directory")
        .to_path_buf()
}

/// Runs a script in a network namespace with nothing but loopback, where there
/// are namespaces to be had.
fn run(script: &str, runs: &Path) -> (Vec<String>, String) {
    // The tool of this build: there is no need for another one.
    let script = script.replace("cargo run -q --release --bin", "");
    let script = script.replace(" paxcast -- ", "\"$PAXCAST_BIN\"/paxcast ");
    let prepared = format!("ip link set lo up 2>/dev/null || true\n{script}");
    let mut command = Command::new("unshare");
    command.args(["--net", "--map-root-user", "--user", "bash", "-c"]);
    let possible = Command::new("unshare")
        .args(["--net", "--map-root-user", "--user", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !possible {
        command = Command::new("bash");
        command.arg("-c");
    }
    let output = command
        .arg(prepared)
        .current_dir(root())
        .env("PAXCAST_RUNS", runs)
        .env("PAXCAST_BIN", executables())
        .output()
        .expect("bash runs");
    let lines = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(plain)
        .collect();
    (lines, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_transcript_is_what_happens() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let transcripts: Vec<Transcript> = blocks(&readme, "console")
        .iter()
        .map(|block| transcript(block))
        .collect();
    assert!(transcripts.len() >= 3, "the README has transcripts");
    let runs = tempfile::tempdir().expect("a directory");
    for Transcript { script, output } in transcripts {
        if script.contains("redis-cli") && Command::new("redis-cli").arg("-v").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "redis-cli is not there");
            eprintln!("NOT TESTED: redis-cli is not there: apt-get install redis-tools");
            continue;
        }
        let (printed, errors) = run(&script, runs.path());
        assert_eq!(printed, output, "{script}{errors}");
    }
}

#[test]
fn the_test_command_is_the_one_that_every_change_must_pass() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let gate = std::fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
    let commands = blocks(&readme, "sh");
    assert_eq!(commands.len(), 1);
    assert!(
        gate.lines()
            .any(|line| line.trim_start_matches("step ").trim() == commands[0].trim()),
        ".ci/run does not run {}",
        commands[0]
    );
}

#[test]
fn every_option_and_file_that_is_named_exists() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    for (role, options) in [
        ("learner", &["--positions", "--after", "--check-config"][..]),
        ("client", &["--count", "--size", "--faults"]),
        ("acceptor", &["--init"]),
    ] {
        let help = Command::new(executables().join(role))
            .arg("--help")
            .output()
            .expect("the executable runs");
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        for option in options {
            assert!(readme.contains(option), "README.md: {option}");
            assert!(help.contains(option), "{role} --help: {option}");
        }
    }
    for link in readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.starts_with("https://"))
    {
        assert!(root().join(link).exists(), "README.md links to {link}");
    }
}
