//! Real clients, as they come.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::server::Server;

/// Whether a program is there; if not, that is said aloud, and where every change
/// is judged it is a failure.
pub fn is_there(program: &Path, install: &str) -> bool {
    let found = program.exists()
        || Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok();
    if !found {
        let missing = format!("{} is not there: {install}", program.display());
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("NOT TESTED: {missing}");
    }
    found
}

/// Where tests/clients/install.sh puts libraries.
pub fn libraries() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    target.join("clients")
}

/// Runs it to a good end and gives what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{printed}{errors}");
    printed
}

pub const DEBIAN: &str = "apt-get install redis-tools";

#[test]
fn redis_cli_works_unchanged() {
    if !is_there(Path::new("redis-cli"), DEBIAN) {
        return;
    }
    let server = Server::start(&[]);
    let cli = |words: &[&str]| {
        let mut command = Command::new("redis-cli");
        run(command.args(["-p", &server.port()]).args(words))
    };
    assert_eq!(cli(&["PING"]), "PONG\n");
    assert_eq!(
        cli(&["SET", "greeting", "hello world", "EX", "100"]),
        "OK\n"
    );
    assert_eq!(cli(&["GET", "greeting"]), "hello world\n");
    assert_eq!(cli(&["-3", "GET", "greeting"]), "hello world\n");
    assert_eq!(cli(&["-r", "3", "INCR", "n"]), "1\n2\n3\n");
    assert_eq!(cli(&["GET", "none"]), "\n");
    assert_eq!(cli(&["--json", "MGET", "n", "none"]), "[\"3\",null]\n");
    assert_eq!(cli(&["--scan", "--pattern", "g*"]), "greeting\n");
    assert!(cli(&["NOSUCH", "a"]).starts_with("ERR unknown command 'NOSUCH', with args"));
    assert!(cli(&["INFO", "server"]).contains("redis_version:"));
    assert!(cli(&["-3", "INFO", "paxos"]).contains("mode:single"));
    assert_eq!(cli(&["PAXOS", "INSTANCE"]), "9\n");
    assert_eq!(cli(&["PAXOS", "HASH"]).len(), "0123456789abcdef@9\n".len());
    assert!(cli(&["COMMAND", "DOCS", "get"]).contains("Tells a value"));
    server.stop(Signal::SIGTERM);
}

#[test]
fn redis_benchmark_runs_to_its_end() {
    if !is_there(Path::new("redis-benchmark"), DEBIAN) {
        return;
    }
    let server = Server::start(&[]);
    for pipeline in ["1", "16"] {
        let mut command = Command::new("redis-benchmark");
        let printed = run(command
            .args(["-p", &server.port(), "-t", "set,get,incr,mset"])
            .args(["-n", "5000", "-P", pipeline, "--csv"]));
        for test in ["SET", "GET", "INCR", "MSET (10 keys)"] {
            assert!(printed.contains(&format!("\"{test}\",")), "{printed}");
        }
        assert!(!printed.to_lowercase().contains("error"), "{printed}");
    }
    let said = server.stop(Signal::SIGINT);
    assert_eq!(said, "", "nothing to complain about");
}

#[test]
fn redis_py_works_unchanged() {
    let python = libraries().join("python/bin/python");
    if !is_there(&python, "tests/clients/install.sh") {
        return;
    }
    let server = Server::start(&[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python.py");
    let printed = run(Command::new(python).arg(script).arg(server.port()));
    assert!(printed.ends_with("done\n"), "{printed}");
    server.stop(Signal::SIGTERM);
}

#[test]
fn ioredis_works_unchanged() {
    let modules = libraries().join("node/node_modules");
    if !is_there(&modules.join("ioredis"), "tests/clients/install.sh") {
        return;
    }
    let server = Server::start(&[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/node.mjs");
    let mut command = Command::new("node");
    let printed = run(command.arg(script).arg(server.port()).arg(modules));
    assert_eq!(printed, "done\n");
    server.stop(Signal::SIGTERM);
}
