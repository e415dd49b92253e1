//! Conversations through a relay, line by line.

use super::*;

/// A relay with what it has sent to either side.
struct Rig {
    relay: Relay,
    client: String,
    gateway: String,
    verdict: Verdict,
}

impl Rig {
    fn new() -> Rig {
        Rig {
            relay: Relay::new("s3cret".into()),
            client: String::new(),
            gateway: String::new(),
            verdict: Verdict::GoOn,
        }
    }

    /// A client that has come in as alice, by the Open at place 7.
    fn settled() -> Rig {
        let mut rig = Rig::new();
        rig.attach();
        rig.client_says(&["NICK alice", "USER a 0 * :Alice A."]);
        rig.gateway_says(&[
            ":g1 CAP * ACK :paxcast/session",
            "@paxcast/place=7 :g1 001 alice :Welcome",
            "@paxcast/place=7 :g1 422 alice :No message of today",
        ]);
        rig.told();
        rig.asked();
        rig
    }

    fn attach(&mut self) {
        self.relay.attach(&mut self.gateway);
    }

    fn client_says(&mut self, lines: &[&str]) {
        for line in lines {
            self.relay
                .hear_client(line, &mut self.client, &mut self.gateway);
        }
    }

    fn gateway_says(&mut self, lines: &[&str]) {
        for line in lines {
            let relay = &mut self.relay;
            self.verdict = relay.hear_gateway(line, &mut self.client, &mut self.gateway);
        }
    }

    /// What the client was sent since it was looked at.
    fn told(&mut self) -> Vec<String> {
        take(&mut self.client)
    }

    /// What the gateway was.
    fn asked(&mut self) -> Vec<String> {
        take(&mut self.gateway)
    }
}

fn take(out: &mut String) -> Vec<String> {
    let text = std::mem::take(out);
    assert!(text.is_empty() || text.ends_with("\r\n"));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_plain_client_is_given_a_secret_and_comes_in() {
    let mut rig = Rig::new();
    rig.attach();
    assert_eq!(rig.asked(), ["CAP REQ :paxcast/session"]);
    rig.client_says(&["NICK alice"]);
    assert_eq!(rig.asked(), ["NICK alice"]);
    rig.client_says(&["USER a 0 * :Alice A."]);
    assert_eq!(
        rig.asked(),
        ["USER a 0 * :Alice A.", "PASS :s3cret", "CAP END"]
    );
    rig.gateway_says(&[
        ":g1 CAP * ACK :paxcast/session",
        "@paxcast/place=7 :g1 001 alice :Welcome",
    ]);
    assert_eq!(rig.told(), [":g1 001 alice :Welcome"]);
    rig.client_says(&[
        "JOIN #a",
        "@+x=1;paxcast/number=9 PRIVMSG #a :hi",
        "PONG :x",
    ]);
    assert_eq!(
        rig.asked(),
        [
            "@paxcast/number=1 JOIN #a",
            "@paxcast/number=2;+x=1 PRIVMSG #a :hi",
            "PONG :x"
        ]
    );
}

#[test]
fn another_nick_is_part_of_coming_in() {
    let mut rig = Rig::new();
    rig.attach();
    rig.client_says(&["NICK alice", "USER a 0 * :A"]);
    rig.gateway_says(&[":g1 433 * alice :Nickname is already in use"]);
    rig.asked();
    rig.client_says(&["NICK alice_"]);
    assert_eq!(rig.asked(), ["NICK alice_"]);
    rig.gateway_says(&["@paxcast/place=7 :g1 001 alice_ :Welcome"]);
    rig.client_says(&["WHO alice_"]);
    assert_eq!(rig.asked(), ["@paxcast/number=1 WHO alice_"]);
}

#[test]
fn a_client_in_a_hurry_says_everything_at_once() {
    let mut rig = Rig::new();
    rig.attach();
    rig.client_says(&["NICK alice", "USER a 0 * :A", "JOIN #a", "QUIT :bye"]);
    let asked = rig.asked();
    assert_eq!(
        asked[4..],
        ["CAP END", "@paxcast/number=1 JOIN #a", "QUIT :bye"]
    );
    rig.gateway_says(&[
        "@paxcast/place=7 :g1 001 alice :Welcome",
        "@paxcast/place=8 :alice!a@h JOIN #a",
        "ERROR :bye",
    ]);
    assert_eq!(rig.told().len(), 3);
    assert_eq!(rig.relay.detach(&mut rig.client), Verdict::Close);
}

#[test]
fn a_client_that_negotiates_does_not_see_the_fronts_part() {
    let mut rig = Rig::new();
    rig.attach();
    rig.client_says(&["CAP LS 302", "PASS :my own", "NICK alice", "USER a 0 * :A"]);
    rig.gateway_says(&[
        ":g1 CAP * ACK :paxcast/session",
        ":g1 CAP * LS :server-time paxcast/session batch",
    ]);
    assert_eq!(rig.told(), [":g1 CAP * LS :server-time batch"]);
    rig.client_says(&["CAP REQ :server-time batch", "CAP REQ paxcast/session"]);
    assert_eq!(rig.told(), ["CAP * NAK :paxcast/session"]);
    rig.gateway_says(&[":g1 CAP * ACK :server-time batch"]);
    assert_eq!(rig.told(), [":g1 CAP * ACK :server-time batch"]);
    rig.asked();
    rig.client_says(&["CAP END"]);
    assert_eq!(rig.asked(), ["PASS :my own", "CAP END"]);
    rig.gateway_says(&["@paxcast/place=7 :g1 001 alice_ :Welcome"]);
    let mut out = String::new();
    assert_eq!(rig.relay.detach(&mut out), Verdict::GoOn);
    rig.attach();
    assert_eq!(
        rig.asked(),
        [
            "CAP REQ :paxcast/session batch server-time",
            "PASS :my own",
            "NICK alice_",
            "USER a 0 * :A",
            "PAXOS SEEN 6",
            "CAP END"
        ]
    );
}

#[test]
fn a_move_shows_what_is_missing_once_and_says_again_what_was_not_done() {
    let mut rig = Rig::settled();
    rig.client_says(&["PRIVMSG #a :one", "PRIVMSG #a :two", "WHO #a"]);
    rig.gateway_says(&[
        ":g1 PAXOS DONE 1",
        "@paxcast/place=20;time=x :bob!b@h JOIN #a",
        "@paxcast/place=21 :g1 332 alice #a :first line of three",
    ]);
    assert_eq!(
        rig.told(),
        [
            "@time=x :bob!b@h JOIN #a",
            ":g1 332 alice #a :first line of three"
        ]
    );
    rig.asked();
    assert_eq!(rig.relay.detach(&mut rig.client), Verdict::GoOn);
    rig.client_says(&["PRIVMSG #a :three", "PONG late"]);
    assert!(rig.asked().is_empty() && rig.told().is_empty());
    rig.attach();
    assert!(rig.asked().contains(&"PAXOS SEEN 20".to_owned()));
    rig.gateway_says(&[
        ":g2 CAP * ACK :paxcast/session",
        "@paxcast/place=30 :g2 001 alice :Welcome",
        ":g2 PAXOS RESUMED 2",
    ]);
    assert_eq!(
        rig.asked(),
        [
            "@paxcast/number=2 PRIVMSG #a :two",
            "@paxcast/number=3 WHO #a",
            "@paxcast/number=4 PRIVMSG #a :three"
        ]
    );
    rig.gateway_says(&[
        "@paxcast/place=21 :g2 332 alice #a :first line of three",
        "@paxcast/place=21.1 :g2 353 alice = #a :second",
        "@paxcast/place=25 :bob!b@h NICK rob",
        ":g2 PAXOS DONE 2",
        ":g2 315 alice #a :End of WHO",
        ":g2 PAXOS DONE 3",
        ":g2 PAXOS DONE 4",
    ]);
    assert_eq!(
        rig.told(),
        [
            ":g2 353 alice = #a :second",
            ":bob!b@h NICK rob",
            ":g2 315 alice #a :End of WHO"
        ]
    );
    assert!(rig.relay.pending.is_empty());
}

#[test]
fn who_waits_for_long_is_told_so_once() {
    let mut rig = Rig::settled();
    rig.relay.hold(&mut rig.client);
    assert!(rig.told().is_empty(), "there is a gateway");
    rig.relay.detach(&mut rig.client);
    rig.relay.hold(&mut rig.client);
    rig.relay.hold(&mut rig.client);
    let told = rig.told();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with(":front NOTICE alice :*** No server"),
        "{told:?}"
    );
    rig.attach();
    rig.gateway_says(&[":g2 PAXOS RESUMED 0"]);
    assert_eq!(
        rig.told(),
        [":front NOTICE alice :*** A server can be reached again"]
    );
}

#[test]
fn a_second_move_in_the_middle_of_the_first_loses_nothing() {
    let mut rig = Rig::settled();
    rig.gateway_says(&["@paxcast/place=8 :bob!b@h PRIVMSG alice :a"]);
    rig.relay.detach(&mut rig.client);
    rig.attach();
    rig.gateway_says(&[":g2 PAXOS RESUMED 0"]);
    rig.gateway_says(&["@paxcast/place=8 :bob!b@h PRIVMSG alice :a"]);
    rig.relay.detach(&mut rig.client);
    rig.asked();
    rig.attach();
    assert!(rig.asked().contains(&"PAXOS SEEN 7".to_owned()));
    rig.gateway_says(&[
        ":g3 PAXOS RESUMED 0",
        "@paxcast/place=8 :bob!b@h PRIVMSG alice :a",
        "@paxcast/place=9 :bob!b@h PRIVMSG alice :b",
    ]);
    assert_eq!(
        rig.told(),
        [":bob!b@h PRIVMSG alice :a", ":bob!b@h PRIVMSG alice :b"]
    );
}

#[test]
fn the_nick_is_followed_and_a_gap_is_shown_in_full() {
    let mut rig = Rig::settled();
    rig.gateway_says(&["@paxcast/place=9 :alice!a@h NICK :carol"]);
    rig.relay.detach(&mut rig.client);
    rig.told();
    rig.attach();
    assert!(rig.asked().contains(&"NICK carol".to_owned()));
    rig.gateway_says(&[
        ":g2 PAXOS RESUMED 0",
        ":g2 PAXOS GAP",
        ":carol!a@h JOIN #a",
        "@paxcast/place=9 :bob!b@h PRIVMSG #a :known",
        "@paxcast/place=12 :bob!b@h PRIVMSG #a :new",
        ":g2 PAXOS AT 15",
    ]);
    assert_eq!(
        rig.told(),
        [":carol!a@h JOIN #a", ":bob!b@h PRIVMSG #a :new"]
    );
    rig.relay.detach(&mut rig.client);
    rig.asked();
    rig.attach();
    assert!(rig.asked().contains(&"PAXOS SEEN 15".to_owned()));
}

#[test]
fn who_cannot_come_back_is_told_so() {
    for (line, told) in [
        (":g2 PAXOS FRESH", "ERROR :Your session has ended"),
        (
            ":g2 PAXOS DISPLACED",
            "ERROR :You have come in somewhere else",
        ),
    ] {
        let mut rig = Rig::settled();
        rig.gateway_says(&["ERROR :bye"]);
        assert!(rig.told().is_empty(), "the client stays");
        rig.relay.detach(&mut rig.client);
        rig.attach();
        rig.gateway_says(&[line]);
        assert_eq!(rig.verdict, Verdict::Close);
        assert!(rig.told()[0].starts_with(told));
    }
    // Whoever has not said who they are leaves nothing; who has, a ghost perhaps.
    for introduced in [false, true] {
        let mut rig = Rig::new();
        rig.attach();
        if introduced {
            rig.client_says(&["NICK alice", "USER a 0 * :A"]);
        }
        assert_eq!(rig.relay.detach(&mut rig.client), Verdict::Close);
        assert_eq!(rig.told(), ["ERROR :The server is gone; try again"]);
        assert_eq!(rig.relay.abandon(&mut rig.gateway), introduced);
    }
    for line in [
        ":g2 433 * alice :Nickname is already in use",
        ":g2 CAP * NAK :sasl",
    ] {
        let mut rig = Rig::settled();
        rig.relay.detach(&mut rig.client);
        rig.attach();
        rig.gateway_says(&[line]);
        assert_eq!(rig.verdict, Verdict::Close, "{line}");
        assert!(rig.told()[0].starts_with("ERROR :You cannot be brought"));
    }
    // One that owes an answer to a PING is not brought anywhere.
    let mut rig = Rig::settled();
    rig.gateway_says(&[":g1 PING :g1", "ERROR :Closing link: Ping timeout"]);
    assert_eq!(rig.verdict, Verdict::Close);
    let mut rig = Rig::settled();
    rig.gateway_says(&[":g1 PING :g1"]);
    rig.client_says(&["PONG :g1"]);
    rig.gateway_says(&["ERROR :Closing link: the end"]);
    assert_eq!(rig.verdict, Verdict::GoOn);
}

#[test]
fn who_leaves_without_a_word_leaves_no_ghost() {
    let mut rig = Rig::settled();
    assert!(!rig.relay.abandon(&mut rig.gateway));
    assert_eq!(rig.asked(), ["QUIT :Connection closed"]);
    let mut rig = Rig::settled();
    rig.client_says(&["PRIVMSG #a :last"]);
    rig.relay.detach(&mut rig.client);
    assert!(rig.relay.abandon(&mut rig.gateway), "a ghost is left");
    rig.attach();
    rig.asked();
    rig.gateway_says(&[":g2 PAXOS RESUMED 0"]);
    assert_eq!(
        rig.asked(),
        [
            "@paxcast/number=1 PRIVMSG #a :last",
            "QUIT :Connection closed"
        ]
    );
    let mut rig = Rig::new();
    rig.attach();
    rig.client_says(&["PASS mine", "NICK alice", "USER a 0 * :A"]);
    rig.gateway_says(&["@paxcast/place=7 :g1 001 alice :Welcome"]);
    rig.asked();
    rig.relay.abandon(&mut rig.gateway);
    assert!(rig.asked().is_empty(), "whoever has a secret may come back");
    let mut rig = Rig::settled();
    rig.client_says(&["QUIT :bye"]);
    assert_eq!(rig.asked(), ["QUIT :bye"]);
    assert_eq!(rig.relay.detach(&mut rig.client), Verdict::Close);
}

#[test]
fn what_waits_is_bounded() {
    let mut rig = Rig::settled();
    rig.relay.detach(&mut rig.client);
    while rig.relay.has_room() {
        rig.client_says(&["PRIVMSG #a :x"]);
    }
    assert_eq!(rig.relay.pending.len(), Relay::PENDING);
}

#[test]
fn names_as_they_are_now_are_not_counted() {
    let join = "@paxcast/place=9 :alice!a@h JOIN :#big";
    let names = |gateway: &str, names: &str| {
        format!("@paxcast/now;paxcast/place=9 :{gateway} 353 alice = #big :{names}")
    };
    let rest = [
        "@paxcast/place=9 :g1 366 alice #big :End of NAMES list",
        "@paxcast/place=9 :b!b@h PRIVMSG #big :earlier",
    ];
    let cut_off_behind = |lines: &[&str]| {
        let mut rig = Rig::settled();
        rig.gateway_says(lines);
        rig.told();
        assert_eq!(rig.relay.detach(&mut rig.client), Verdict::GoOn);
        rig.attach();
        rig.gateway_says(&[":g2 001 alice :Welcome", ":g2 PAXOS RESUMED 0", join]);
        // There is one line of them more by now.
        for word in ["x", "y", "z"] {
            rig.gateway_says(&[&names("g2", word)]);
        }
        rig.gateway_says(&rest);
        rig.told()
    };
    let (x, y) = (names("g1", "x"), names("g1", "y"));
    let again: Vec<String> = ["x", "y", "z"]
        .map(|word| format!(":g2 353 alice = #big :{word}"))
        .to_vec();
    let end = ":g1 366 alice #big :End of NAMES list".to_owned();
    let said = ":b!b@h PRIVMSG #big :earlier".to_owned();
    // In the middle of the names: they are given again.
    let told = cut_off_behind(&[join, &x]);
    assert_eq!(told, [again.as_slice(), &[end, said.clone()]].concat());
    // Behind them: they are known.
    assert_eq!(cut_off_behind(&[join, &x, &y, rest[0]]), [said]);
    let all = [join, &x, &y, rest[0], rest[1]];
    assert_eq!(cut_off_behind(&all), [""; 0]);
}

#[test]
fn a_nick_that_changed_unseen_is_told_where_it_is_not_remembered() {
    let mut rig = Rig::settled();
    rig.relay.detach(&mut rig.client);
    rig.attach();
    rig.gateway_says(&[
        ":g2 001 bea :Welcome",
        ":g2 PAXOS RESUMED 0",
        ":g2 PAXOS GAP",
    ]);
    assert_eq!(rig.told(), [":alice NICK :bea"]);
    rig.asked();
    rig.relay.detach(&mut rig.client);
    rig.attach();
    assert!(rig.asked().contains(&"NICK bea".to_owned()));
    // Where it is, that is shown.
    rig.gateway_says(&[":g2 001 cat :Welcome", ":g2 PAXOS RESUMED 0"]);
    rig.gateway_says(&["@paxcast/place=12 :bea!a@h NICK :cat"]);
    assert_eq!(rig.told(), [":bea!a@h NICK :cat"]);
}

#[test]
fn whether_its_client_is_there_the_client_answers() {
    let mut rig = Rig::settled();
    rig.relay.detach(&mut rig.client);
    rig.client_says(&["PONG :nobody asks any more"]);
    rig.attach();
    rig.asked();
    rig.gateway_says(&["PING :still-there-3-1"]);
    assert_eq!(
        (rig.told(), rig.asked()),
        (vec!["PING :still-there-3-1".into()], vec![])
    );
    rig.client_says(&["PONG :still-there-2-9", "PONG :still-there-3-1"]);
    assert_eq!(rig.asked(), ["PONG :still-there-3-1"]);
    // For one that has so much to say that nothing more is read, the front does.
    let mut full = Rig::settled();
    full.relay.detach(&mut full.client);
    for _ in 0..Relay::PENDING {
        full.client_says(&["PRIVMSG #a :more"]);
    }
    full.attach();
    full.asked();
    full.gateway_says(&["PING :still-there-3-1"]);
    assert_eq!(full.asked(), ["PONG :still-there-3-1"]);
    // And for one that has gone, to say good-bye for it, whether it was asked or not.
    rig.gateway_says(&["PING :still-there-3-2"]);
    rig.told();
    rig.relay.abandon(&mut rig.gateway);
    assert_eq!(rig.asked(), ["PONG :still-there-3-2"]);
    rig.gateway_says(&["PING :still-there-3-3"]);
    assert!(rig.told().is_empty());
    assert_eq!(rig.asked(), ["PONG :still-there-3-3"]);
}
