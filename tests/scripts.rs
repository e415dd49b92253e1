//! The scripts of the top level, run as a person runs them, with the executables of this build.
//!
//! Everything that sends datagrams runs in a network namespace of its own, so tests run side by side and beside any
//! cluster of this machine; where namespaces cannot be had, `run.sh` keeps apart by its cluster's name alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A name, what each client proposed, what each learner printed, and the verdicts that follow.
type Case<'a> = (&'a str, &'a [&'a [u8]], &'a [&'a [u8]], [bool; 3]);

#[test]
fn check_all_sees_what_the_original_checks_did_not() {
    let cases: &[Case] = &[
        (
            "all is well",
            &[b"a\nb\na\n", b"c\n"],
            &[b"a\nc\nb\na\n", b"a\nc\nb\na\n"],
            [true, true, true],
        ),
        (
            "nothing proposed, nothing learned",
            &[b"", b""],
            &[b"", b""],
            [true, true, true],
        ),
        (
            "two empty learners",
            &[b"a\n", b"b\n"],
            &[b"", b""],
            [false, true, false],
        ),
        (
            "one empty learner",
            &[b"a\n"],
            &[b"a\n", b""],
            [false, true, false],
        ),
        (
            "learners that disagree on the order",
            &[b"a\n", b"b\n"],
            &[b"a\nb\n", b"b\na\n"],
            [false, true, true],
        ),
        (
            "a duplicate dropped",
            &[b"a\nb\na\n"],
            &[b"a\nb\n", b"a\nb\n"],
            [true, true, false],
        ),
        (
            "a duplicate tripled",
            &[b"a\nb\na\n"],
            &[b"a\nb\na\na\n", b"a\nb\na\na\n"],
            [true, false, true],
        ),
        (
            "a client's order swapped",
            &[b"a\nb\nc\n"],
            &[b"a\nc\nb\n", b"a\nc\nb\n"],
            [true, false, true],
        ),
        (
            "a hole in a client's values",
            &[b"a\nb\nc\n", b"d\n"],
            &[b"a\nd\nc\n"],
            [true, false, false],
        ),
        (
            "a value that nobody proposed",
            &[b"a\n"],
            &[b"a\nx\n", b"a\nx\n"],
            [true, false, true],
        ),
        (
            "a missing tail",
            &[b"a\nb\nc\n", b"d\n"],
            &[b"a\nd\nb\n", b"a\nd\nb\n"],
            [true, true, false],
        ),
        (
            "a last line without its end",
            &[b"a\nb"],
            &[b"a\nb\n"],
            [true, true, true],
        ),
        (
            "a learner cut within a value",
            &[b"a\nbcd\n"],
            &[b"a\nbcd\n", b"a\nbc"],
            [false, false, false],
        ),
        (
            "numbers that are equal but not the same",
            &[b"01\n1\n1.0\n"],
            &[b"1\n01\n1.0\n"],
            [true, false, true],
        ),
        (
            "empty values",
            &[b"\n\n\n"],
            &[b"\n\n\n", b"\n\n\n"],
            [true, true, true],
        ),
        (
            "an empty value lost",
            &[b"\n\n\n"],
            &[b"\n\n", b"\n\n"],
            [true, true, false],
        ),
        (
            "arbitrary bytes",
            &[b"\0\n\xff\\0\r\n", b"\\\n"],
            &[b"\0\n\\\n\xff\\0\r\n"],
            [true, true, true],
        ),
        (
            "a NUL is not its name",
            &[b"\0\n\\0\n"],
            &[b"\\0\n\0\n"],
            [true, false, true],
        ),
    ];
    for (name, proposed, learned, expected) in cases {
        let (verdicts, output) = judge(proposed, learned);
        assert_eq!(&verdicts, expected, "{name}:\n{}", text(&output.stdout));
        let all_well = expected.iter().all(|passed| *passed);
        assert_eq!(
            output.status.code(),
            Some(if all_well { 0 } else { 1 }),
            "{name}"
        );
    }
}

#[test]
fn check_all_uses_the_words_that_users_know() {
    let (_, output) = judge(&[b"1\n2\n"], &[b"1\n2\n3\n", b"1\n2\n3\n"]);
    let expected = "\
Test 1 - Learners learned the same set of values in total order
  > OK

Test 2 - Values learned were actually proposed
  > Failed!
    learn1 has values that nobody proposed, or more often than proposed: \"3\" (1 in all)

Test 3 - Learners learned every value that was sent by some client
  > OK
";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn check_all_judges_many_values() {
    let values = |client: u32| -> Vec<u8> {
        (0..20_000u32)
            .flat_map(|i| format!("{}\n", (i * 7919 + client) % 30_011).into_bytes())
            .collect()
    };
    let (first, second) = (values(1), values(2));
    let learned: Vec<u8> = first
        .split_inclusive(|byte| *byte == b'\n')
        .zip(second.split_inclusive(|byte| *byte == b'\n'))
        .flat_map(|(one, other)| [one, other].concat())
        .collect();
    let (verdicts, _) = judge(&[&first, &second], &[&learned, &learned]);
    assert_eq!(verdicts, [true; 3]);
    // Two of the first client's that follow each other swapped, far inside.
    let mut lines: Vec<&[u8]> = learned.split_inclusive(|byte| *byte == b'\n').collect();
    lines.swap(20_000, 20_002);
    let (verdicts, _) = judge(&[&first, &second], &[&lines.concat(), &lines.concat()]);
    assert_eq!(verdicts, [true, false, true]);
}

#[test]
fn check_all_says_when_there_is_nothing_to_judge() {
    let empty = TempDir::new().unwrap();
    let output = script("check_all.sh").arg(empty.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("nothing says what was proposed"),
        "{output:?}"
    );
}

#[test]
fn wrappers_become_the_executable() {
    let place = TempDir::new().unwrap();
    let conf = place.path().join("paxos.conf");
    fs::copy(root().join("paxos.conf"), &conf).unwrap();
    for role in ["acceptor", "proposer", "learner", "client"] {
        let log = place.path().join(role);
        let mut command = in_namespace(&format!("{role}.sh"));
        command.arg("1").arg(&conf).current_dir(place.path());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap());
        let mut child = Owned(command.spawn().unwrap());
        eventually("the role to be ready", || {
            read(&log).lines().any(|line| line.starts_with("ready "))
        });
        let process = PathBuf::from(format!("/proc/{}", child.0.id()));
        assert_eq!(
            fs::read_link(process.join("exe")).unwrap(),
            fs::canonicalize(executables().join(role)).unwrap()
        );
        let arguments = read(&process.join("cmdline"));
        assert!(
            arguments
                .split('\0')
                .any(|argument| Path::new(argument) == conf),
            "{role}: {arguments}"
        );
        kill(child.pid(), Signal::SIGTERM).unwrap();
        assert_eq!(
            child.0.wait().unwrap().code(),
            Some(0),
            "{role}: {}",
            read(&log)
        );
    }
}

#[test]
fn wrappers_say_when_the_executable_is_missing() {
    let nowhere = TempDir::new().unwrap();
    let output = script("learner.sh")
        .args(["1", "x"])
        .env("PAXCAST_BIN", nowhere.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).contains("learner"), "{output:?}");
}

#[test]
fn run_explains_wrong_usage() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["mine", "100"],
            "no project's name is needed here: ./run.sh 100",
        ),
        (&[], "how many values"),
        (&["0"], "a whole number from 1 on, not \"0\""),
        (&["ten"], "a whole number from 1 on, not \"ten\""),
        (&["--acceptors", "4", "1"], "more than the 3"),
        (
            &["--kill-leader", "--proposers", "1", "1"],
            "needs a second proposer",
        ),
        (
            &["--late-learner", "--learners", "1", "1"],
            "needs another learner",
        ),
        (&["--frob", "1"], "there is no option --frob"),
        (&["--faults"], "such as drop=0.1"),
    ];
    for (arguments, expected) in cases {
        let output = script("run.sh").args(*arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(expected),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn run_delivers_everything_and_check_all_agrees() {
    let runs = TempDir::new().unwrap();
    for options in [
        &["20"][..],
        &["--late-learner", "--durable", "200"],
        &["--kill-leader", "200"],
    ] {
        let output = in_namespace("run.sh")
            .args(options)
            .env("PAXCAST_RUNS", runs.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{options:?}: {output:?}");
        let last = text(&output.stdout).lines().last().map(str::to_owned);
        assert_eq!(last.as_deref(), Some("next       ./check_all.sh"));
        let verdict = script("check_all.sh")
            .env("PAXCAST_RUNS", runs.path())
            .output()
            .unwrap();
        assert!(
            verdict.status.success(),
            "{options:?}: {}",
            text(&verdict.stdout)
        );
    }
    assert_eq!(processes_about(runs.path()), [0; 0]);
}

#[test]
fn run_with_too_few_acceptors_prints_nothing_and_says_why() {
    let runs = TempDir::new().unwrap();
    let mut command = in_namespace("run.sh");
    let output = command
        .args(["--acceptors", "1", "--deadline", "3", "20"])
        .env("PAXCAST_RUNS", runs.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("1 of 3 acceptors run and a quorum is 2"),
        "{complaint}"
    );
    for learn in ["learn1", "learn2"] {
        assert_eq!(read(&runs.path().join("latest").join(learn)), "");
    }
    assert_eq!(processes_about(runs.path()), [0; 0]);
}

#[test]
fn run_goes_on_without_one_acceptor_and_stops_unharmed_without_two() {
    let runs = TempDir::new().unwrap();
    let run = |options: &[&str]| {
        let mut command = in_namespace("run.sh");
        let output = command
            .args(options)
            .env("PAXCAST_RUNS", runs.path())
            .output()
            .unwrap();
        let verdict = script("check_all.sh")
            .env("PAXCAST_RUNS", runs.path())
            .output()
            .unwrap();
        (output, text(&verdict.stdout).replace('\n', " "))
    };
    let (output, verdict) = run(&["--kill-acceptors", "1", "400"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(verdict.matches("  > OK").count(), 3, "{verdict}");

    let (output, verdict) = run(&["--kill-acceptors", "2", "400"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("1 of 3 acceptors run and a quorum is 2"),
        "{complaint}"
    );
    let learned = |name| read(&runs.path().join("latest").join(name));
    assert!(learned("learn1").lines().count() > 100, "nothing flowed");
    assert_eq!(learned("learn1"), learned("learn2"));
    assert!(
        verdict.contains("actually proposed   > OK"),
        "something was made up: {verdict}"
    );
}

#[test]
fn an_ordinary_user_without_any_network_needs_nothing_else() {
    let place = TempDir::new().unwrap();
    let home = place.path();
    for name in [
        "run.sh",
        "check_all.sh",
        "acceptor.sh",
        "proposer.sh",
        "learner.sh",
        "client.sh",
        "paxos.conf",
    ] {
        fs::copy(root().join(name), home.join(name)).unwrap();
    }
    fs::create_dir(home.join("bin")).unwrap();
    for name in ["acceptor", "proposer", "learner", "client"] {
        fs::copy(executables().join(name), home.join("bin").join(name)).unwrap();
    }
    fs::create_dir(home.join("runs")).unwrap();
    // The owner of a process is the owner of its directory here.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let (namespaces, become_ordinary): (&[&str], _) = match is_root {
        true => (
            &["--net"],
            "setpriv --reuid 65534 --regid 65534 --clear-groups",
        ),
        // Whoever runs this is one already, and root only to the namespace.
        false => (&["--user", "--map-root-user", "--net"], ""),
    };
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(namespaces).args(arguments);
        command
    };
    if !unshare(&["true"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("skipped: this machine lets us make no network namespace");
        return;
    }
    if is_root {
        fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
        chown(home.join("runs"), Some(65534), Some(65534)).unwrap();
    }
    let alone = r#"ip link set lo up; test -z "$(ip route)"; exec $BECOME sh -ec "$RUN""#;
    let output = unshare(&["sh", "-ec", alone])
        .env("BECOME", become_ordinary)
        .env("RUN", "id -u; ./run.sh --durable 100; ./check_all.sh")
        .env("PAXCAST_BIN", home.join("bin"))
        .env("PAXCAST_RUNS", home.join("runs"))
        .current_dir(home)
        .output()
        .unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    assert!(!is_root || said.starts_with("65534\n"), "{said}");
    assert_eq!(said.matches("  > OK").count(), 3, "{said}");
}

#[test]
fn the_harness_passes() {
    let output = script("tests/harness.sh").arg("100").output().unwrap();
    if namespaces() {
        assert!(
            output.status.success(),
            "{}\n{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    } else {
        assert!(
            !output.status.success(),
            "passed without a namespace: {output:?}"
        );
    }
}

#[test]
fn loss_really_drops_and_everything_arrives() {
    let runs = TempDir::new().unwrap();
    let output = script("loss.sh")
        .args(["0.2", "100"])
        .env("PAXCAST_RUNS", runs.path())
        .output()
        .unwrap();
    if !namespaces() {
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("namespaces"), "{output:?}");
        return;
    }
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    let lost = said
        .lines()
        .find(|line| line.starts_with("lost "))
        .expect("a line about what was lost");
    assert!(!lost.contains(" 0 of "), "{lost}");
    assert_eq!(said.matches("  > OK").count(), 3, "{said}");
}

#[test]
fn loss_leaves_nothing_behind_when_killed() {
    if !namespaces() {
        return; // What it says then is the test above.
    }
    let runs = TempDir::new().unwrap();
    let mut command = script("loss.sh");
    // So lossy and so much that it is still under way when it is killed.
    command
        .args(["0.6", "1000000"])
        .env("PAXCAST_RUNS", runs.path());
    let mut child = Owned(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    eventually("clients to run", || processes_about(runs.path()).len() >= 9);
    kill(child.pid(), Signal::SIGKILL).unwrap();
    child.0.wait().unwrap();
    eventually("every process to be gone", || {
        processes_about(runs.path()).is_empty()
    });
    for left in [
        "/run/netns/acceptor1",
        "/sys/class/net/lan",
        "/sys/class/net/acceptor1",
    ] {
        assert!(!Path::new(left).exists(), "{left} was left behind");
    }
}

/// Writes what was proposed and learned to a directory and has it judged: whether each test passed, and all it said.
fn judge(proposed: &[&[u8]], learned: &[&[u8]]) -> ([bool; 3], Output) {
    let directory = TempDir::new().unwrap();
    for (name, files) in [("prop", proposed), ("learn", learned)] {
        for (number, bytes) in files.iter().enumerate() {
            fs::write(
                directory.path().join(format!("{name}{}", number + 1)),
                bytes,
            )
            .unwrap();
        }
    }
    let output = script("check_all.sh")
        .arg(directory.path())
        .output()
        .unwrap();
    let verdicts: Vec<bool> = text(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("  > "))
        .map(|verdict| verdict == "OK")
        .collect();
    (verdicts.try_into().expect("three verdicts"), output)
}

/// The root of the project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the executables of this build are.
fn executables() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_learner"))
        .parent()
        .expect("an executable lies in a directory")
}

/// One of the project's scripts, about to use the executables of this build.
fn script(name: &str) -> Command {
    let mut command = Command::new(root().join(name));
    command.env("PAXCAST_BIN", executables());
    command
}

/// The same in a network namespace with nothing but a loopback interface, or here where there are none to be had.
fn in_namespace(name: &str) -> Command {
    if !namespaces() {
        return script(name);
    }
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        r#"ip link set lo up && exec "$0" "$@""#,
    ]);
    command
        .arg(root().join(name))
        .env("PAXCAST_BIN", executables());
    command
}

/// Whether this machine lets us make namespaces.
fn namespaces() -> bool {
    let attempt = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "true"])
        .output();
    attempt.is_ok_and(|output| output.status.success())
}

/// The ids of all processes that have a path below this directory on their command line.
fn processes_about(directory: &Path) -> Vec<u32> {
    let directory = directory.to_str().expect("a temporary path is text");
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id| {
            fs::read(format!("/proc/{id}/cmdline"))
                .is_ok_and(|line| text(&line).contains(directory))
        })
        .collect()
}

/// Waits until something is so, but not for ever.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "waited in vain for {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn read(path: &Path) -> String {
    text(&fs::read(path).unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process of ours that does not outlive its test.
struct Owned(Child);

impl Owned {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().expect("a process id is positive"))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended already, which is what we want.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
