//! Sessions that outlive connections and gateways.

use std::time::Duration;

use super::rig::{Client, Rig, settings};
use crate::gateway::caller::PLENTY;
use crate::gateway::irc::Front;
use crate::service::chat::limits::Limits;

const SESSION: &str = "CAP REQ :paxcast/session";

/// Joins, and hears all of it.
fn join(rig: &mut Rig, client: &mut Client, channel: &str) {
    client.send(&format!("JOIN {channel}"));
    rig.heard(client);
}

#[test]
fn a_plain_client_finds_its_channels_and_what_it_missed() {
    let mut rig = Rig::new(2);
    let mut a = rig.user(0, "a", &["PASS hush"]);
    let mut b = rig.user(1, "b", &[]);
    join(&mut rig, &mut a, "#x");
    join(&mut rig, &mut b, "#x");
    b.send("PRIVMSG #x :seen");
    rig.heard(&mut b);
    assert_eq!(
        rig.heard(&mut a).last().map(String::as_str),
        Some(":b!b@127.0.0.1 PRIVMSG #x :seen")
    );
    drop(a);
    for _ in 0..20 {
        rig.turn();
    }
    b.send("PRIVMSG #x :missed");
    b.send("PRIVMSG a :for you");
    // That one waits: nobody is told that it is away.
    assert_eq!(rig.heard(&mut b), [""; 0]);
    // Without the secret it is somebody else.
    let mut thief = rig.connect(1);
    thief.send("PASS guess");
    thief.send("NICK a");
    thief.send("USER a 0 * :a");
    rig.until(&mut thief, "433 * a :Nickname already in use");
    let mut a = rig.connect(1);
    a.send("PASS hush");
    a.send("NICK a");
    a.send("USER a 0 * :a itself");
    rig.until(&mut a, "MOTD file is missing");
    assert_eq!(
        rig.heard(&mut a),
        [
            ":a!a@127.0.0.1 JOIN :#x",
            ":gateway2.paxcast 353 a = #x :@a b",
            ":gateway2.paxcast 366 a #x :End of NAMES list",
            ":b!b@127.0.0.1 PRIVMSG #x :missed",
            ":b!b@127.0.0.1 PRIVMSG a :for you",
        ]
    );
    a.send("PRIVMSG #x :back");
    rig.heard(&mut a);
    assert_eq!(rig.heard(&mut b), [":a!a@127.0.0.1 PRIVMSG #x :back"]);
}

#[test]
fn one_that_knows_places_goes_on_exactly_and_nothing_happens_twice() {
    let mut rig = Rig::new(2);
    let mut a = rig.user(0, "a", &[SESSION, "PASS hush"]);
    let mut b = rig.user(1, "b", &[]);
    a.send("@paxcast/number=1 JOIN #x");
    let place = |line: &str| -> u64 {
        let tag = line.strip_prefix("@paxcast/place=").expect("a place");
        let (place, _) = tag.split_once(' ').expect("a blank");
        place.parse().expect("a number")
    };
    let mut heard = rig.until(&mut a, "PAXOS DONE 1");
    assert!(
        heard.remove(0).contains(" PAXOS AT "),
        "all of the welcome is shown"
    );
    assert!(heard[0].ends_with(" :a!a@127.0.0.1 JOIN :#x"), "{heard:?}");
    let joined = place(&heard[0]);
    assert!(heard[..3].iter().all(|line| place(line) == joined));
    join(&mut rig, &mut b, "#x");
    a.send("@paxcast/number=2 PRIVMSG #x :two");
    a.send("@paxcast/number=3 NAMES #x");
    a.send("@paxcast/number=4 PRIVMSG nobody :four");
    a.send("@paxcast/number=2 PRIVMSG #x :two");
    let heard = rig.heard(&mut a);
    let rest: Vec<&str> = heard[1..].iter().map(String::as_str).collect();
    let four = place(rest[4]);
    let refused = format!(
        "@paxcast/place={four} :gateway1.paxcast 401 a nobody :No such nick or channel name"
    );
    assert_eq!(
        rest,
        [
            ":gateway1.paxcast PAXOS DONE 2",
            ":gateway1.paxcast 353 a = #x :@a b",
            ":gateway1.paxcast 366 a #x :End of NAMES list",
            ":gateway1.paxcast PAXOS DONE 3",
            &refused,
            ":gateway1.paxcast PAXOS DONE 4",
            ":gateway1.paxcast PAXOS DONE 2",
        ]
    );
    assert_eq!(rig.heard(&mut b), [":a!a@127.0.0.1 PRIVMSG #x :two"]);
    // It moves while its old connection still stands.
    let mut moved = rig.connect(1);
    for line in [SESSION, "PASS hush", "NICK a", "USER a 0 * :a itself"] {
        moved.send(line);
    }
    moved.send(&format!("PAXOS SEEN {joined}"));
    moved.send("CAP END");
    rig.until(&mut moved, "MOTD file is missing");
    let heard = rig.until(&mut moved, "PAXOS RESUMED 4");
    assert_eq!(heard.len(), 1);
    // All that was shown behind that place, as it was shown.
    let again = rig.heard(&mut moved);
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(again[0].ends_with(" :b!b@127.0.0.1 JOIN :#x"), "{again:?}");
    assert_eq!(again[1], refused.replace("gateway1", "gateway2"));
    let last = rig.until_ended(&mut a);
    assert_eq!(last[0], ":gateway1.paxcast PAXOS DISPLACED");
    // What it sends again was done.
    moved.send("@paxcast/number=4 PRIVMSG b :four");
    moved.send("@paxcast/number=5 PRIVMSG b :five");
    assert_eq!(
        rig.heard(&mut moved),
        [
            ":gateway2.paxcast PAXOS DONE 4",
            ":gateway2.paxcast PAXOS DONE 5"
        ]
    );
    assert_eq!(rig.heard(&mut b), [":a!a@127.0.0.1 PRIVMSG b :five"]);
    // One whose session is not there begins afresh, and knows it.
    let mut late = rig.connect(0);
    for line in [
        SESSION,
        "PASS x",
        "NICK late",
        "USER late 0 * :late",
        "PAXOS SEEN 3",
        "CAP END",
    ] {
        late.send(line);
    }
    rig.until(&mut late, "PAXOS FRESH");
}

#[test]
fn who_left_no_secret_is_gone_with_the_connection() {
    let mut rig = Rig::new(1);
    let mut a = rig.user(0, "a", &[]);
    let mut b = rig.user(0, "b", &[]);
    join(&mut rig, &mut a, "#x");
    join(&mut rig, &mut b, "#x");
    rig.heard(&mut a);
    drop(b);
    let heard = rig.until(&mut a, "Connection closed");
    assert_eq!(heard.len(), 1);
    assert!(heard[0].starts_with(":b!b@127.0.0.1 QUIT :"), "{heard:?}");
}

#[test]
fn a_nick_is_won_by_one_of_two_at_two_gateways() {
    let mut rig = Rig::new(2);
    let mut both: Vec<Client> = (0..2).map(|index| rig.connect(index)).collect();
    for client in &mut both {
        client.send("NICK same");
        client.send("USER same 0 * :s");
    }
    let [one, two] = &mut both[..] else {
        panic!("two");
    };
    rig.until(one, "MOTD file is missing");
    rig.until(two, "433 * same :Nickname already in use");
}

#[test]
fn what_was_sent_to_a_client_that_fell_silent_is_shown_again() {
    let mut rig = Rig::new(1);
    let mut a = rig.user(0, "a", &["PASS hush"]);
    let mut b = rig.user(0, "b", &[]);
    join(&mut rig, &mut a, "#x");
    join(&mut rig, &mut b, "#x");
    b.send("PRIVMSG #x :heard");
    rig.heard(&mut b);
    rig.until(&mut a, ":heard");
    rig.heard(&mut a);
    // Nothing reaches it any more, and it says nothing; the other goes on.
    b.send("PRIVMSG #x :into the void");
    rig.heard(&mut b);
    for seconds in [121, 60] {
        rig.pass(Duration::from_secs(seconds));
        rig.heard(&mut b);
    }
    rig.until_ended(&mut a);
    let mut a = rig.user(0, "a", &["PASS hush"]);
    let heard = rig.heard(&mut a);
    assert_eq!(
        heard[3..],
        [":b!b@127.0.0.1 PRIVMSG #x :into the void"],
        "{heard:?}"
    );
}

#[test]
fn a_nick_that_changed_while_its_gateway_went_is_found() {
    let mut rig = Rig::new(2);
    let mut a = rig.user(0, "a", &[SESSION, "PASS hush"]);
    let welcome = rig.heard(&mut a);
    let at = welcome[0].rsplit(' ').next().expect("PAXOS AT");
    a.send("@paxcast/number=1 NICK b");
    rig.until(&mut a, "PAXOS DONE 1");
    // None of that reached it.
    let mut a = rig.connect(1);
    for line in [SESSION, "PASS hush", "NICK a", "USER a 0 * :a"] {
        a.send(line);
    }
    a.send(&format!("PAXOS SEEN {at}"));
    a.send("CAP END");
    rig.until(&mut a, "PAXOS RESUMED 1");
    let heard = rig.heard(&mut a);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].ends_with(" :a!a@127.0.0.1 NICK :b"), "{heard:?}");
}

#[test]
fn names_of_large_channels_say_that_they_are_of_now() {
    let mut rig = Rig::new(1);
    let mut a = rig.user(0, "a", &[SESSION]);
    rig.heard(&mut a);
    rig.bots(Limits::ROSTER - 1, "#x");
    let names = |heard: &[String]| -> Vec<bool> {
        let tagged = |line: &&String| line.contains(" 353 ") || line.contains(" 366 ");
        let lines = heard.iter().filter(tagged);
        lines.map(|line| line.contains("paxcast/now")).collect()
    };
    a.send("JOIN #x");
    let told = names(&rig.heard(&mut a));
    assert!(told.len() > 2 && !told.contains(&true), "{told:?}");
    rig.bots(2, "#x");
    a.send("PART #x");
    a.send("JOIN #x");
    let told = names(&rig.heard(&mut a));
    let (end, list) = told.split_last().expect("an end");
    assert!(!end && list.len() > 1 && !list.contains(&false), "{told:?}");
}

/// Says who it is, at a gateway.
fn introduce(rig: &mut Rig, index: usize, lines: &[&str]) -> Client {
    let mut client = rig.connect(index);
    for line in lines {
        client.send(line);
    }
    for line in ["PASS hush", "NICK a", "USER a 0 * :a", "CAP END"] {
        client.send(line);
    }
    client
}

/// Somebody at the second gateway whose first line is done.
fn who_has_said_one(rig: &mut Rig) -> Client {
    let mut client = rig.user(1, "a", &[SESSION, "PASS hush"]);
    rig.heard(&mut client);
    client.send("@paxcast/number=1 JOIN #x");
    rig.until(&mut client, "PAXOS DONE 1");
    client
}

/// They come in at the third gateway before what is under way has its place.
fn goes_elsewhere(rig: &mut Rig, here: Client, lines: &[&str]) -> Client {
    rig.hold_back();
    drop(here);
    let mut here = introduce(rig, 2, lines);
    rig.until(&mut here, "PAXOS RESUMED 1");
    here
}

#[test]
fn an_opening_that_comes_late_does_not_take_a_session_away() {
    let mut rig = Rig::new(3);
    let lines = [SESSION, "PAXOS SEEN 0"];
    for stays in [false, true] {
        let here = who_has_said_one(&mut rig);
        rig.log.slow = true;
        let elsewhere = introduce(&mut rig, 0, &lines);
        for _ in 0..20 {
            rig.turn();
        }
        let mut here = goes_elsewhere(&mut rig, here, &lines);
        match stays {
            false => {
                drop(elsewhere);
                for _ in 0..20 {
                    rig.turn();
                }
                rig.let_go();
                assert_eq!(rig.heard(&mut here).len(), 3, "it is shown its channel");
                here.send("QUIT");
                rig.until_ended(&mut here);
            }
            true => {
                // One who is still there is the one that counts, in the end.
                let mut elsewhere = elsewhere;
                rig.let_go();
                rig.until(&mut elsewhere, "PAXOS RESUMED 1");
                let last = rig.until_ended(&mut here);
                assert!(
                    last.iter().any(|line| line.ends_with("PAXOS DISPLACED")),
                    "{last:?}"
                );
            }
        }
    }
}

#[test]
fn who_hung_up_while_nobody_listened_does_not_come_in() {
    let mut rig = Rig::new(2);
    let mut here = rig.user(1, "a", &["PASS hush"]);
    rig.heard(&mut here);
    // All of it waits in the kernel, as where the gateway is stopped; and so that not all
    // of it is read at once.
    let mut elsewhere = introduce(&mut rig, 0, &[]);
    for _ in 0..5_000 {
        elsewhere.send("JOIN #x");
    }
    elsewhere.send("QUIT");
    drop(elsewhere);
    let place = rig.log.place;
    rig.heard(&mut here);
    while rig.fact(0, "connections") == 0 || rig.fact(0, "clients") > 0 {
        rig.turn();
    }
    assert_eq!(rig.log.place, place, "nothing was asked for");
    rig.heard(&mut here);
}

#[test]
fn the_log_is_asked_again_only_for_who_answers() {
    let mut rig = Rig::new(3);
    let lines = [SESSION, "PAXOS SEEN 0"];
    let here = who_has_said_one(&mut rig);
    rig.log.slow = true;
    let mut elsewhere = introduce(&mut rig, 0, &lines);
    // Nobody is behind it any more, and that does not come here.
    for line in ["JOIN #y", "PONG :still-there", "QUIT"] {
        elsewhere.send(line);
    }
    for _ in 0..20 {
        rig.turn();
    }
    let mut here = goes_elsewhere(&mut rig, here, &lines);
    rig.let_go();
    rig.heard(&mut here);
    for seconds in 0..50 {
        assert!(rig.fact(0, "clients") == 1, "gone after {seconds} s");
        rig.pass(Duration::from_secs(1));
        rig.heard(&mut here);
    }
    while rig.fact(0, "clients") > 0 {
        rig.pass(Duration::from_secs(1));
    }
    let told: Vec<String> = std::iter::from_fn(|| elsewhere.hear()).collect();
    let last = told.last().expect("it is told something");
    assert!(last.contains("You did not answer; come back"), "{told:?}");
    here.send("@paxcast/number=2 PRIVMSG #x :still here");
    rig.until(&mut here, "PAXOS DONE 2");
}

#[test]
fn a_session_that_nobody_waited_for_ends() {
    let mut rig = Rig::new(1);
    let mut b = rig.user(0, "b", &[]);
    rig.log.slow = true;
    let a = introduce(&mut rig, 0, &[]);
    for _ in 0..20 {
        rig.turn();
    }
    drop(a);
    for _ in 0..20 {
        rig.turn();
    }
    rig.log.slow = false;
    while rig.log.chat.sessions() == 1 {
        rig.turn();
    }
    for _ in 0..5 {
        rig.heard(&mut b);
    }
    rig.expect(&mut b, "ISON a", &[":gateway1.paxcast 303 b :"]);
    assert_eq!(rig.log.chat.sessions(), 1);
}

#[test]
fn who_comes_back_at_once_need_not_be_asked() {
    let mut rig = Rig::new(1);
    let mut b = rig.user(0, "b", &[]);
    for _ in 0..3 {
        let mut a = rig.user(0, "a", &["PASS hush"]);
        rig.heard(&mut a);
        drop(a);
        let mut a = introduce(&mut rig, 0, &[]);
        let deadline = 10_000;
        let mut told = Vec::new();
        for _ in 0..deadline {
            rig.turn();
            told.extend(std::iter::from_fn(|| a.hear()));
            if told.iter().any(|line: &String| line.contains(" 422 ")) {
                break;
            }
        }
        assert!(told.iter().any(|line| line.contains(" 001 a ")), "{told:?}");
        assert!(
            !told.iter().any(|line| line.starts_with("PING")),
            "{told:?}"
        );
        drop(a);
        rig.heard(&mut b);
    }
}

#[test]
fn of_two_gateways_with_one_id_the_newer_goes_on() {
    // The older one hears of it at once; or when it has been taken for dead before; or when
    // it goes on from the state of another replica.
    for late in ["", "taken for dead", "restored"] {
        let mut newer = settings(1);
        newer.run += 1_000_000;
        let mut rig = Rig::with(vec![settings(1), settings(2)]);
        let mut a = rig.user(0, "a", &[]);
        let mut other = rig.user(1, "other", &[]);
        match late {
            "" => {}
            _ => rig.log.alone.push(0),
        }
        if late == "taken for dead" {
            for _ in 0..20 {
                rig.pass(Duration::from_secs(10));
                rig.heard(&mut other);
            }
            rig.until_ended(&mut a);
        }
        rig.open(newer, PLENTY);
        let mut b = rig.user(2, "b", &[]);
        if late == "restored" {
            rig.fronts[0].restored();
        }
        rig.log.alone.clear();
        for _ in 0..50 {
            rig.pass(Duration::from_millis(100));
        }
        let replaced: Vec<bool> = rig.fronts.iter().map(Front::is_replaced).collect();
        assert_eq!(replaced, [true, false, false], "{late}");
        if late != "taken for dead" {
            rig.until_ended(&mut a);
        }
        rig.heard(&mut b);
        let place = rig.log.place;
        for _ in 0..20 {
            rig.turn();
        }
        rig.heard(&mut b);
        assert_eq!(rig.log.place, place, "neither ends the other again");
    }
}
