//! Standard input and output: slow readers, readers that leave, odd lines, and
//! a client that waits for nothing to come.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::process::Process;

#[test]
fn a_stalled_reader_holds_up_nobody_and_gets_everything_in_the_end() {
    let cluster = Cluster::new("").with(3, 1, &[]);
    let mut stalled = cluster.start("learner", 1, &[]);
    let mut reading = cluster.start("learner", 2, &[]);
    let count = 4000;
    let output = reading.lines(count);
    let options = ["--count", "4000", "--size", "10000", "--deadline", "60"];
    let (status, errors) = cluster.start("client", 1, &options).outcome();
    assert_eq!(status, Some(0), "{errors}");
    let expected = output.bytes();
    assert_eq!(expected.len(), count * 10_001);
    // 40 MB were delivered elsewhere; nothing was read here, and delivery waits.
    stalled.signal(Signal::SIGUSR1);
    let line = stalled.wait_for("statistics ");
    let printed = line.split(" printed=").nth(1).unwrap();
    let printed: usize = printed.split(' ').next().unwrap().parse().unwrap();
    assert!((1..count).contains(&printed), "{line}");
    assert!(
        stalled.resident() < 200 << 20,
        "{} bytes pile up",
        stalled.resident()
    );
    assert_eq!(stalled.lines(count).bytes(), expected);
    stalled.stop();
    reading.stop();
}

#[test]
fn a_stalled_reader_does_not_keep_a_learner_from_ending() {
    let cluster = Cluster::new("").with(3, 1, &[]);
    let mut stalled = cluster.start("learner", 1, &[]);
    let options = ["--count", "200", "--size", "10000", "--deadline", "60"];
    let (status, errors) = cluster.start("client", 1, &options).outcome();
    assert_eq!(status, Some(0), "{errors}");
    let asked = Instant::now();
    stalled.stop();
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    let said = stalled.seen.join("\n");
    assert!(said.contains("bytes of output were not written"), "{said}");
}

#[test]
fn a_reader_that_leaves_ends_its_learner_quietly() {
    let cluster = Cluster::new("").with(3, 1, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let other = cluster.start("learner", 2, &[]);
    let mut stdout = learner.stdout();
    let mut client = cluster.start("client", 1, &["--deadline", "60"]);
    let mut stdin = client.stdin();
    stdin.write_all(b"first\n").unwrap();
    let mut first = [0; 6];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first\n");
    drop(stdout);
    stdin.write_all(b"second\n").unwrap();
    drop(stdin);
    assert_eq!(client.outcome().0, Some(0));
    let (status, errors) = learner.outcome();
    assert_eq!(status, Some(0), "{errors}");
    assert!(!errors.contains("roken pipe"), "{errors}");
    drop(other);
}

#[test]
fn odd_lines_are_kept_and_one_over_the_limit_is_named_and_left_out() {
    let cluster = Cluster::new("").with(3, 1, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let output = learner.lines(6);
    let mut client = cluster.start("client", 1, &["--deadline", "60"]);
    let largest = vec![b'x'; 1 << 20];
    let parts: [&[u8]; 4] = [b"\n\0\xff\r\n", &largest, b"\nsame\nsame\n", b"last"];
    let mut stdin = client.stdin();
    stdin.write_all(parts[0]).unwrap();
    stdin.write_all(parts[1]).unwrap();
    stdin.write_all(b"\n").unwrap();
    stdin.write_all(&vec![b'y'; (1 << 20) + 1]).unwrap();
    stdin.write_all(parts[2]).unwrap();
    stdin.write_all(parts[3]).unwrap();
    drop(stdin);
    let (status, errors) = client.outcome();
    assert_eq!(status, Some(1), "{errors}");
    assert!(
        errors.contains("line 4 has 1048577 bytes, the limit is 1048576; not sent"),
        "{errors}"
    );
    assert!(errors.contains(" values=6 "), "{errors}");
    let mut expected = parts.concat();
    expected.push(b'\n');
    assert!(output.bytes() == expected, "the bytes differ");
}

#[test]
fn a_thousand_equal_lines_are_a_thousand_values() {
    let cluster = Cluster::new("").with(3, 2, &[]);
    let mut learner = cluster.start("learner", 1, &[]);
    let output = learner.lines(2001);
    for id in 1..=2 {
        let mut client = cluster.start("client", id, &["--deadline", "60"]);
        client.stdin().write_all(&b"same\n".repeat(1000)).unwrap();
        let (status, errors) = client.outcome();
        assert_eq!(status, Some(0), "{errors}");
    }
    // One more than there should be would stand before this one.
    let mut last = cluster.start("client", 3, &["--deadline", "60"]);
    last.stdin().write_all(b"last\n").unwrap();
    assert_eq!(last.outcome().0, Some(0));
    assert_eq!(
        output.bytes(),
        [b"same\n".repeat(2000), b"last\n".to_vec()].concat()
    );
    learner.stop();
}

#[test]
fn an_empty_input_is_done_at_once() {
    let cluster = Cluster::new("");
    let mut client = cluster.start("client", 1, &[]);
    drop(client.stdin());
    let (status, errors) = client.outcome();
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains(" values=0 "), "{errors}");
}

#[test]
fn a_deadline_ends_a_client_with_what_is_likely_missing() {
    let alone = Cluster::new("");
    let options = ["--count", "10", "--deadline", "0.3"];
    let (status, errors) = alone.start("client", 1, &options).outcome();
    assert_eq!(status, Some(4), "{errors}");
    assert!(errors.contains("only 0 of 10 values"), "{errors}");
    assert!(
        errors.contains("no proposer and no learner was heard"),
        "{errors}"
    );

    let minority = Cluster::new("").with(1, 1, &[]);
    let mut learner = minority.start("learner", 1, &[]);
    let (status, errors) = minority.start("client", 1, &options).outcome();
    assert_eq!(status, Some(4), "{errors}");
    assert!(errors.contains("2 of the 3 acceptors"), "{errors}");
    learner.stop();
    let mut text = Vec::new();
    learner.stdout().read_to_end(&mut text).unwrap();
    assert!(text.is_empty(), "one acceptor of three chose something");
}

#[test]
fn a_client_that_is_told_to_end_ends_well_with_values_unsent() {
    let alone = Cluster::new("");
    let mut client: Process = alone.start("client", 1, &["--count", "10"]);
    client.stop();
    let said = client.seen.join("\n");
    assert!(said.contains("submitted=10"), "{said}");
}
