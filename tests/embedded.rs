//! A replica inside of a program: the documented example, run as it stands.

#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "daemons/cluster.rs"]
mod cluster;
#[allow(dead_code, reason = "the daemons' own tests use the rest")]
#[path = "daemons/process.rs"]
mod process;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cluster::Cluster;
use paxcast::embedded::{Member, Outcome};
use paxcast::service::kv::Store;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_example_adds_up_across_members_and_starts() {
    let mut cluster = Cluster::new("").with(3, 2, &[]);
    let example = Path::new(env!("CARGO_BIN_EXE_paxcast"));
    let example = example.parent().expect("a directory").join("examples/sum");
    let run = |id: &str, numbers: &[&str]| {
        let mut command = Command::new(&example);
        let output = command.arg(id).arg(&cluster.conf).args(numbers).output();
        let output = output.expect("cargo builds examples with the tests");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).expect("numbers")
    };
    assert_eq!(run("1", &["40", "2"]), "40\n42\nthe sum is 42\n");
    assert_eq!(run("2", &["x", "1"]), "42\n43\nthe sum is 43\n");
    assert_eq!(run("1", &[]), "the sum is 43\n");
    cluster.stop();
}

#[test]
fn the_example_in_the_documentation_is_the_one_that_runs() {
    let documented = include_str!("../src/embedded.rs");
    let shown = documented
        .lines()
        .filter_map(|line| line.strip_prefix("//! "));
    let shown: Vec<&str> = shown.collect();
    let example = include_str!("examples/sum.rs");
    let machine = example.split("#[derive").nth(1).expect("the machine");
    let machine = machine.split("fn main").next().expect("the machine");
    for line in machine
        .lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
    {
        assert!(shown.contains(&line), "the documentation lacks {line:?}");
    }
}

#[test]
fn members_agree_and_are_told_when_there_is_nobody() {
    let mut cluster = Cluster::new("").with(3, 1, &[]);
    let member = |id| {
        let store = Store::default();
        Member::start(id, &cluster.conf, *b"test\0\0\0\0", store).expect("it starts")
    };
    let members = [member(1), member(2), member(3)];
    let heard = members.each_ref().map(Member::subscribe);
    // No command of the store's, and refused alike everywhere.
    let pending: Vec<_> = (0..200)
        .map(|number: usize| members[number % 3].submit(number.to_string()))
        .collect();
    for outcome in pending {
        assert!(matches!(outcome.wait(PATIENCE), Outcome::Reply(_)));
    }
    let order = heard.map(|applied| {
        let all = (0..200).map(|_| applied.recv_timeout(PATIENCE).expect("news"));
        all.collect::<Vec<_>>()
    });
    assert!(order.iter().all(|one| *one == order[0]), "one order");
    assert!(
        order[0]
            .iter()
            .zip(1..)
            .all(|(one, place)| one.place.0 == place)
    );
    assert_eq!(
        members[0].submit(vec![0; (1 << 20) + 1]).wait(PATIENCE),
        Outcome::TooLong
    );
    cluster.stop();
    let read = members[1].read("x").wait(PATIENCE);
    assert_eq!(read, Outcome::NoQuorum, "nobody is there");
    for member in members {
        member.stop().expect("a good end");
    }
}

#[test]
fn a_member_that_cannot_start_says_why() {
    let none = Path::new("/nowhere/paxos.conf");
    let failure = Member::start(1, none, *b"test\0\0\0\0", Store::default()).expect_err("no file");
    assert!(
        failure.to_string().contains("/nowhere/paxos.conf"),
        "{failure}"
    );
}
