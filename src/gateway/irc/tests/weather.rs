//! What happens when the log, or a client, does not behave.

use std::time::Duration;

use proptest::prelude::*;

use super::rig::{Rig, settings};
use crate::gateway::irc::Flood;
use crate::service::replica::Verdict;

#[test]
fn without_a_quorum_it_is_said_and_nothing_is_swallowed() {
    let mut rig = Rig::new(2);
    let mut a = rig.user(0, "a", &["CAP REQ :standard-replies"]);
    let mut b = rig.user(0, "b", &[]);
    rig.log.alone = vec![0];
    let heard = rig.heard(&mut b);
    assert!(
        heard[0].starts_with(":gateway1.paxcast NOTICE b :*** Too few"),
        "{heard:?}"
    );
    a.send("PRIVMSG b :lost?");
    let heard = rig.heard(&mut a);
    let refused = ":gateway1.paxcast FAIL PRIVMSG NO_QUORUM :";
    assert!(heard[1].starts_with(refused), "{heard:?}");
    b.send("PRIVMSG a :lost?");
    let heard = rig.heard(&mut b);
    assert!(
        heard[0].starts_with(":gateway1.paxcast NOTICE b :*** PRIVMSG: "),
        "{heard:?}"
    );
    assert!(heard[0].ends_with("(NO_QUORUM)"), "{heard:?}");
    // Who comes meanwhile waits; who leaves is gone.
    let mut c = rig.connect(0);
    c.send("NICK c");
    c.send("USER c 0 * :c");
    rig.until(&mut c, "you will come in once that changes");
    drop(b);
    for _ in 0..20 {
        rig.turn();
    }
    rig.log.alone.clear();
    rig.until(&mut c, "MOTD file is missing");
    let heard = rig.heard(&mut a);
    assert!(heard[0].ends_with("messages are taken"), "{heard:?}");
    let gone = "401 a b :No such nick or channel name";
    a.send("PRIVMSG b :there?");
    rig.until(&mut a, gone);
    // Sent, and nobody knows.
    rig.log.verdict = Some(Verdict::Indeterminate);
    a.send("PRIVMSG c :perhaps");
    let heard = rig.until(&mut a, "may still happen");
    let doubt = ":gateway1.paxcast FAIL PRIVMSG INDETERMINATE :";
    assert!(heard[0].starts_with(doubt), "{heard:?}");
}

#[test]
fn one_that_counts_is_sent_away_to_say_it_again() {
    let mut rig = Rig::new(1);
    let caps = ["CAP REQ :paxcast/session", "PASS s3cret"];
    let mut a = rig.user(0, "a", &caps);
    rig.log.verdict = Some(Verdict::Indeterminate);
    a.send("@paxcast/number=1 AWAY :perhaps");
    a.send("@paxcast/number=2 AWAY :or not");
    let heard = rig.until_ended(&mut a);
    let last = heard.last().expect("a word");
    assert!(last.starts_with("ERROR :"), "{heard:?}");
    assert!(!heard.iter().any(|line| line.contains("DONE")), "{heard:?}");
}

#[test]
fn answers_wait_for_what_was_sent_before() {
    let mut rig = Rig::new(1);
    let mut a = rig.user(0, "a", &[]);
    rig.log.slow = true;
    for line in ["JOIN #x", "TOPIC #x", "NICK b", "PING done"] {
        a.send(line);
    }
    for _ in 0..20 {
        rig.turn();
    }
    rig.log.slow = false;
    let heard = rig.until(&mut a, ":done");
    assert_eq!(
        heard[3..],
        [
            ":gateway1.paxcast 331 a #x :No topic is set",
            ":a!a@127.0.0.1 NICK :b",
            ":gateway1.paxcast PONG gateway1.paxcast :done",
        ]
    );
}

#[test]
fn a_gateway_that_the_log_has_given_up_sends_everybody_away_and_begins_anew() {
    let mut rig = Rig::new(2);
    let mut a = rig.user(0, "a", &["PASS hush"]);
    let mut b = rig.user(1, "b", &[]);
    rig.log.alone = vec![0];
    for _ in 0..30 {
        rig.pass(Duration::from_secs(2));
        b.send("PRIVMSG b :time passes");
        rig.heard(&mut b);
    }
    rig.log.alone.clear();
    let last = rig.until_ended(&mut a);
    let why = "ERROR :Closing link: 127.0.0.1 [This server was cut off from the others; come back]";
    assert_eq!(last.last().map(String::as_str), Some(why));
    let mut a = rig.user(0, "a", &["PASS hush"]);
    a.send("PRIVMSG b :back");
    rig.heard(&mut a);
    assert!(
        rig.heard(&mut b)
            .contains(&":a!a@127.0.0.1 PRIVMSG b :back".to_owned())
    );
}

#[test]
fn a_state_taken_over_sends_everybody_away() {
    let mut rig = Rig::new(1);
    let mut a = rig.user(0, "a", &["PASS hush"]);
    rig.fronts[0].restored();
    let last = rig.until_ended(&mut a);
    assert!(last[0].starts_with("ERROR :Closing link: 127.0.0.1 [This server fell behind"));
    rig.user(0, "a", &["PASS hush"]);
}

#[test]
fn who_talks_too_fast_is_slowed_down() {
    let mut slow = settings(1);
    slow.flood = Flood {
        lines: 5,
        seconds: 10,
    };
    let mut rig = Rig::with(vec![slow]);
    // Three lines are gone for coming in.
    let mut a = rig.user(0, "a", &[]);
    for number in 0..4 {
        a.send(&format!("PING {number}"));
    }
    rig.until(&mut a, ":1");
    for number in 2..4 {
        for _ in 0..10 {
            rig.turn();
        }
        rig.pass(Duration::from_millis(1999));
        rig.pass(Duration::from_millis(1));
        let heard = rig.until(&mut a, &format!(":{number}"));
        assert_eq!(heard.len(), 1, "{heard:?}");
    }
}

#[test]
fn who_says_nothing_is_asked_and_then_gone() {
    let mut rig = Rig::new(1);
    let mut mute = rig.connect(0);
    let mut a = rig.user(0, "a", &["PASS hush"]);
    rig.pass(Duration::from_secs(61));
    let last = rig.until_ended(&mut mute);
    assert_eq!(
        last,
        ["ERROR :Closing link: 127.0.0.1 [Registration timed out]"]
    );
    rig.pass(Duration::from_secs(60));
    rig.until(&mut a, "PING :gateway1.paxcast");
    a.send("PONG x");
    rig.heard(&mut a);
    rig.pass(Duration::from_secs(121));
    rig.until(&mut a, "PING :gateway1.paxcast");
    rig.pass(Duration::from_secs(60));
    let last = rig.until_ended(&mut a);
    assert_eq!(
        last,
        ["ERROR :Closing link: 127.0.0.1 [Ping timeout: 180 seconds]"]
    );
}

#[test]
fn who_takes_nothing_is_cut_off_and_misses_nothing_in_the_end() {
    let mut rig = Rig::new(1);
    let mut a = rig.user(0, "a", &["PASS hush"]);
    let mut b = rig.user(0, "b", &[]);
    a.send("JOIN #x");
    rig.heard(&mut a);
    b.send("JOIN #x");
    rig.heard(&mut b);
    let text = "x".repeat(450);
    let mut count = 0;
    // More than the kernel and the queue hold together.
    while rig.fronts[0].facts().contains(&("clients", 2)) {
        for _ in 0..500 {
            b.send(&format!("PRIVMSG #x :{count} {text}"));
            count += 1;
        }
        rig.heard(&mut b);
        assert!(count < 200_000, "it is never cut off");
    }
    // What fits into the memory of the channel is shown again, to the last.
    let mut a = rig.user(0, "a", &["PASS hush"]);
    let last = format!(" PRIVMSG #x :{} {text}", count - 1);
    let heard = rig.until(&mut a, &last);
    let numbers: Vec<u64> = heard
        .iter()
        .filter_map(|line| {
            line.split(" PRIVMSG #x :")
                .nth(1)?
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "in order, each once"
    );
    assert!(numbers.len() >= 900, "{}", numbers.len());
}

fn a_line() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "NICK",
        "JOIN",
        "PART",
        "PRIVMSG",
        "NOTICE",
        "MODE",
        "KICK",
        "TOPIC",
        "WHO",
        "WHOIS",
        "LIST",
        "NAMES",
        "CHATHISTORY",
        "INVITE",
        "AWAY",
        "CAP",
        "PAXOS",
        "USER",
        "PASS",
        "LATEST",
        "BETWEEN",
        "TARGETS",
        "REQ",
        "#a",
        "#b",
        "#a,#b",
        "a",
        "b",
        "a,b",
        "+o",
        "+ovbkl-n",
        "+b",
        "*",
        "5",
        "-1",
        "msgid=3",
        "timestamp=2001-09-09T01:46:40.000Z",
        ":",
        ":text of it",
        "@paxcast/number=1",
        "@paxcast/number=9",
        "paxcast/session",
        "batch",
        "SEEN",
        "INFO",
        "AUTHENTICATE",
        "PLAIN",
        "ISON",
        "USERHOST",
        "LUSERS",
        "VERSION",
        "TAGMSG",
        "JOIN 0",
    ]);
    let words = prop::collection::vec(word, 1..6).prop_map(|words| words.join(" ").into_bytes());
    prop_oneof![8 => words, 1 => prop::collection::vec(any::<u8>(), 0..80)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_sent_the_gateways_go_on(
        lines in prop::collection::vec((0..4usize, a_line()), 1..60),
        cut in 0..3usize,
    ) {
        let mut rig = Rig::new(2);
        let mut clients = [
            rig.user(0, "a", &["CAP REQ :paxcast/session batch"]),
            rig.user(1, "b", &["PASS x"]),
            rig.user(1, "c", &["CAP REQ :server-time message-tags echo-message"]),
            rig.connect(0),
        ];
        for (at, (whose, line)) in lines.iter().enumerate() {
            clients[*whose].send_raw(line);
            clients[*whose].send_raw(b"\r\n");
            if at % (cut + 1) == 0 {
                rig.turn();
            }
        }
        let mut last = rig.user(0, "last", &[]);
        last.send("PAXOS HASH");
        let heard = rig.heard(&mut last);
        // Others may still be at it, so only that it answers is known.
        let told = |line: &String| line.starts_with(":gateway1.paxcast PAXOS HASH ");
        prop_assert!(heard.last().is_some_and(told), "{:?}", heard);
    }
}

#[test]
fn nobody_comes_in_before_the_gateway_has_begun_anew() {
    let mut rig = Rig::new(1);
    let mut before = rig.user(0, "before", &[]);
    rig.fronts[0].restored();
    let mut client = rig.connect(0);
    client.send("NICK a");
    client.send("USER a 0 * :a");
    rig.until(&mut client, "MOTD file is missing");
    rig.until_ended(&mut before);
    // Where there is no room, they wait for it.
    rig.log.full.push(0);
    rig.fronts[0].restored();
    let mut client = rig.connect(0);
    client.send("NICK a");
    client.send("USER a 0 * :a");
    for _ in 0..20 {
        rig.turn();
    }
    assert_eq!(rig.fact(0, "duties"), 1);
    rig.log.full.clear();
    rig.until(&mut client, "MOTD file is missing");
}

#[test]
fn what_was_not_seen_is_shown_though_the_loss_waits_for_room() {
    let mut rig = Rig::new(2);
    let mut a = rig.user(0, "a", &["PASS hush"]);
    let mut b = rig.user(1, "b", &[]);
    for client in [&mut a, &mut b] {
        client.send("JOIN #x");
        rig.heard(client);
    }
    rig.heard(&mut a);
    // Nothing reaches it any more. The other one goes on.
    b.send("PRIVMSG #x :into the void");
    rig.heard(&mut b);
    rig.pass(Duration::from_secs(121));
    rig.heard(&mut b);
    rig.log.full.push(0);
    rig.pass(Duration::from_secs(60));
    rig.heard(&mut b);
    rig.until_ended(&mut a);
    assert_eq!(
        rig.fact(0, "duties"),
        1,
        "that it is gone is not in the log"
    );
    // Time for a word about everybody else.
    rig.pass(Duration::from_secs(11));
    rig.heard(&mut b);
    let mut a = rig.user(1, "a", &["PASS hush"]);
    let heard = rig.heard(&mut a);
    assert_eq!(
        heard[3..],
        [":b!b@127.0.0.1 PRIVMSG #x :into the void"],
        "{heard:?}"
    );
}

#[test]
fn a_gateway_without_a_quorum_sleeps() {
    let mut rig = Rig::new(1);
    let mut a = rig.user(0, "a", &[]);
    rig.log.alone.push(0);
    a.send("PRIVMSG #x :x");
    rig.heard(&mut a);
    rig.pass(Duration::from_secs(11));
    rig.heard(&mut a);
    assert!(rig.fronts[0].next_timeout() > Some(rig.now));
}
