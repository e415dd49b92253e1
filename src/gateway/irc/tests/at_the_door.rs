//! Ahead of registration: passwords that are guessed at, and those who only ask.

use std::time::Duration;

use super::rig::{Client, Rig, settings};
use crate::gateway::crowd::connections;
use crate::gateway::irc::accounts::{Accounts, hash_password};
use crate::gateway::irc::{Flood, Settings};

/// The account `alice` in base64, with a password that is not right.
const GUESS: &str = "AGFsaWNlAHdyb25n";

/// The same with the right one.
const ALICE: &str = "AGFsaWNlAHNlc2FtZQ==";

/// The account `bob` with the right one.
const BOB: &str = "AGJvYgBzZXNhbWU=";

/// A gateway with accounts whose password is `sesame`.
fn guarded(names: &[&str]) -> Settings {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("accounts");
    let hash = hash_password("sesame").expect("random bytes");
    let lines: Vec<String> = names
        .iter()
        .map(|name| format!("{name} {hash}\n"))
        .collect();
    std::fs::write(&path, lines.concat()).expect("it is written");
    let mut settings = settings(1);
    settings.accounts = Accounts::read(&path).expect("accounts");
    settings
}

/// Somebody with an account comes in; gives how many passwords were checked meanwhile.
fn log_in(rig: &mut Rig, from: &str, nick: &str, word: &str) -> (Client, u64) {
    let before = rig.fact(0, "passwords_checked");
    let mut client = rig.connect_from(0, from);
    client.send("CAP REQ sasl");
    client.send("AUTHENTICATE PLAIN");
    client.send(&format!("AUTHENTICATE {word}"));
    client.send(&format!("NICK {nick}"));
    client.send(&format!("USER {nick} 0 * :{nick}"));
    client.send("CAP END");
    rig.until(&mut client, "MOTD file is missing");
    (client, rig.fact(0, "passwords_checked") - before)
}

#[test]
fn guessing_holds_up_neither_those_who_talk_nor_those_who_know() {
    // Both ends of each connection are here.
    let many = connections(10_000).saturating_sub(500) / 2;
    let many = many.min(4_000) as u64;
    let mut rig = Rig::with(vec![guarded(&["alice", "bob"])]);
    let mut a = rig.user(0, "a", &[]);
    let mut b = rig.user(0, "b", &[]);
    let mut guessers = Vec::new();
    while (guessers.len() as u64) < many {
        for _ in 0..50 {
            let mut guesser = rig.connect(0);
            guesser.send("CAP REQ sasl");
            guesser.send("AUTHENTICATE PLAIN");
            guesser.send(&format!("AUTHENTICATE {GUESS}"));
            guessers.push(guesser);
        }
        rig.turn();
    }
    let all = guessers.len() as u64;
    while rig.fact(0, "passwords_checked") + rig.fact(0, "passwords_waiting") < all {
        rig.turn();
    }
    // A few checks, and not all of them.
    let few = all / 20;
    let before = rig.fact(0, "passwords_checked");
    assert!(before < 4 * few, "{before} checked while they came");
    for _ in 0..5 {
        a.send("PRIVMSG b :psst");
        rig.until(&mut b, ":a!a@127.0.0.1 PRIVMSG b :psst");
    }
    let checked = rig.fact(0, "passwords_checked") - before;
    assert!(checked < few, "{checked} checked while two talked");
    let elsewhere = log_in(&mut rig, "127.0.0.2", "alice", ALICE);
    assert!(elsewhere.1 < few, "alice waited for {} checks", elsewhere.1);
    let same = log_in(&mut rig, "127.0.0.1", "bob", BOB);
    assert!(same.1 < few, "bob waited for {} checks", same.1);
    // Those who go need not be checked.
    drop(guessers);
    while rig.fact(0, "passwords_waiting") > 0 {
        rig.turn();
    }
    let checked = rig.fact(0, "passwords_checked");
    assert!(checked < all / 2, "{checked} checked in all");
}

#[test]
fn three_wrong_passwords_end_a_connection_and_what_follows_waits() {
    let mut rig = Rig::with(vec![guarded(&["alice"])]);
    let mut client = rig.connect(0);
    client.send("CAP REQ sasl");
    for _ in 0..4 {
        client.send("AUTHENTICATE PLAIN");
        client.send(&format!("AUTHENTICATE {GUESS}"));
    }
    let heard = rig.until_ended(&mut client);
    let failed = heard.iter().filter(|line| line.contains(" 904 "));
    assert_eq!(failed.count(), 3, "{heard:?}");
    assert_eq!(rig.fact(0, "passwords_checked"), 3);
    assert!(
        heard
            .last()
            .is_some_and(|line| line.contains("Too many wrong passwords"))
    );
}

#[test]
fn questions_ahead_of_registration_are_lines_like_others() {
    let mut slow = settings(1);
    slow.flood = Flood {
        lines: 2,
        seconds: 2,
    };
    let mut rig = Rig::with(vec![slow]);
    let mut client = rig.connect(0);
    for _ in 0..3 {
        client.send("PAXOS INFO");
    }
    for _ in 0..2 {
        let heard = rig.until(&mut client, "remembered_bytes=0");
        assert!(heard[0].contains(" users=0 "), "{heard:?}");
    }
    assert_eq!(rig.fact(0, "lines"), 2);
    rig.pass(Duration::from_secs(1));
    rig.until(&mut client, "remembered_bytes=0");
    assert_eq!(rig.fact(0, "lines"), 3);
}

#[test]
fn who_only_asks_may_stay_and_takes_nobody_their_place() {
    let mut rig = Rig::holding(2);
    let mut scout = rig.connect(0);
    for _ in 0..4 {
        scout.send("PAXOS INFO");
        rig.until(&mut scout, "remembered_bytes=0");
        rig.pass(Duration::from_secs(40));
    }
    // Who says nothing at all is sent away.
    let mut silent = rig.connect(0);
    for _ in 0..3 {
        scout.send("PAXOS INFO");
        rig.until(&mut scout, "remembered_bytes=0");
        rig.pass(Duration::from_secs(30));
    }
    rig.until_ended(&mut silent);
    let _one = rig.user(0, "one", &[]);
    let _two = rig.user(0, "two", &[]);
    let mut three = rig.connect(0);
    let told = rig.until_ended(&mut three);
    assert!(told[0].starts_with("ERROR :Closing link: "), "{told:?}");
}
