//! Acceptors that stop, together or one too many, and come back.

use std::io::Write;

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::process::Process;

fn values(name: &str, count: usize) -> String {
    (1..=count).map(|n| format!("{name}-{n}\n")).collect()
}

/// What a learner has printed so far, by its own count.
fn printed(learner: &mut Process) -> u64 {
    learner.signal(Signal::SIGUSR1);
    let line = learner.wait_for("statistics ");
    let count = line.split(" printed=").nth(1).expect(&line);
    count.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn nothing_is_chosen_without_a_quorum_and_everything_once_it_is_back() {
    // Two acceptors of three; then one of them stands still.
    let cluster = Cluster::new("").with(2, 1, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let output = learner.lines(21);
    let mut first = cluster.start("client", 1, &["--deadline", "60"]);
    first.stdin().write_all(b"first\n").unwrap();
    assert_eq!(first.outcome().0, Some(0));

    cluster.processes[1].signal(Signal::SIGSTOP);
    let mut pending = cluster.start("client", 2, &["--deadline", "1"]);
    pending
        .stdin()
        .write_all(values("pending", 10).as_bytes())
        .unwrap();
    let (status, errors) = pending.outcome();
    assert_eq!(status, Some(4), "{errors}");
    assert!(errors.contains("only 0 of 10 values"), "{errors}");
    assert_eq!(printed(&mut learner), 1, "one acceptor of three chose");

    cluster.processes[1].signal(Signal::SIGCONT);
    let mut second = cluster.start("client", 3, &["--deadline", "60"]);
    second
        .stdin()
        .write_all(values("second", 10).as_bytes())
        .unwrap();
    let (status, errors) = second.outcome();
    assert_eq!(status, Some(0), "{errors}");
    let text = String::from_utf8(output.bytes()).unwrap();
    let of = |name: &str| -> String {
        text.lines()
            .filter(|line| line.starts_with(name))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    assert!(text.starts_with("first\n"), "{text}");
    assert_eq!(of("pending"), values("pending", 10), "{text}");
    assert_eq!(of("second"), values("second", 10), "{text}");
    learner.stop();
}

#[test]
fn a_cluster_goes_on_after_all_its_acceptors_were_killed_at_once() {
    let mut cluster = Cluster::new("data votes");
    for id in 1..=3 {
        let (status, errors) = Process::start("acceptor", id, &cluster.conf, &["--init"]).outcome();
        assert_eq!(status, Some(0), "{errors}");
    }
    cluster = cluster.with(3, 2, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let mut client = cluster.start("client", 1, &["--deadline", "60"]);
    let mut stdin = client.stdin();
    let (before, after) = (values("before", 500), values("after", 500));
    let output = learner.lines(1000);
    stdin.write_all(before.as_bytes()).unwrap();
    // Wherever they are with those: in flight, voted for, or delivered.
    let acceptors: Vec<Process> = cluster.processes.drain(..3).collect();
    for mut acceptor in acceptors {
        acceptor.signal(Signal::SIGKILL);
        acceptor.wait();
    }
    stdin.write_all(after.as_bytes()).unwrap();
    drop(stdin);
    for id in 1..=3 {
        let acceptor = cluster.start("acceptor", id, &[]);
        cluster.processes.push(acceptor);
    }
    let (status, errors) = client.outcome();
    assert_eq!(status, Some(0), "{errors}");
    let expected = [before, after].concat();
    assert_eq!(String::from_utf8(output.bytes()).unwrap(), expected);
    let mut late = cluster.start("learner", 2, &[]);
    let text = String::from_utf8(late.lines(1000).bytes()).unwrap();
    assert_eq!(text, expected);
    late.stop();
    learner.stop();
    cluster.stop();
}
