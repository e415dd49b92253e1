//! Conversations, word for word.

use super::rig::{Rig, settings};
use crate::gateway::irc::accounts::{Accounts, hash_password};

#[test]
fn registration_as_clients_do_it() {
    let mut rig = Rig::new(1);
    let mut client = rig.connect(0);
    client.send("CAP LS 302");
    client.send("JOIN :");
    client.send("NICK 1x");
    client.send("NICK a");
    client.send("USER a 0 * :A Person");
    client.send("CAP REQ :server-time nosuch");
    client.send("CAP REQ :multi-prefix");
    client.send("CAP LIST");
    client.send("CAP END");
    let heard = rig.until(&mut client, "MOTD file is missing");
    let offer = ":gateway1.paxcast CAP * LS :server-time message-tags echo-message batch";
    assert!(heard[0].starts_with(offer), "{heard:#?}");
    let rest: Vec<&str> = heard[1..7].iter().map(String::as_str).collect();
    assert_eq!(
        rest,
        [
            ":gateway1.paxcast 451 * :Connection not registered",
            ":gateway1.paxcast 432 * 1x :Erroneous nickname",
            ":gateway1.paxcast CAP a NAK :server-time nosuch",
            ":gateway1.paxcast CAP a ACK :multi-prefix",
            ":gateway1.paxcast CAP a LIST :multi-prefix",
            ":gateway1.paxcast 001 a :Welcome to the paxcast Network a!a@127.0.0.1",
        ]
    );
    let codes: Vec<&str> = heard[6..]
        .iter()
        .filter_map(|l| l.split(' ').nth(1))
        .collect();
    assert_eq!(
        codes,
        [
            "001", "002", "003", "004", "005", "005", "251", "252", "253", "254", "255", "265",
            "266", "422"
        ]
    );
    // A nick that is taken, and another one.
    let mut other = rig.connect(0);
    other.send("NICK A");
    other.send("USER b 0 * :B");
    rig.until(&mut other, "433 * A :Nickname already in use");
    other.send("NICK b");
    rig.until(&mut other, "MOTD file is missing");
}

#[test]
fn what_people_do_in_channels() {
    let mut rig = Rig::new(1);
    let mut a = rig.user(0, "a", &[]);
    let mut b = rig.user(0, "b", &["CAP REQ :echo-message multi-prefix"]);
    rig.expect(
        &mut a,
        "JOIN #X",
        &[
            ":a!a@127.0.0.1 JOIN :#X",
            ":gateway1.paxcast 353 a = #X :@a",
            ":gateway1.paxcast 366 a #X :End of NAMES list",
        ],
    );
    rig.expect(&mut a, "PRIVMSG #x :to nobody", &[]);
    rig.expect(
        &mut a,
        "TOPIC #x :on topic",
        &[":a!a@127.0.0.1 TOPIC #X :on topic"],
    );
    b.send("JOIN #x");
    let heard = rig.heard(&mut b);
    assert_eq!(heard[1], ":gateway1.paxcast 332 b #X :on topic");
    assert!(heard[2].starts_with(":gateway1.paxcast 333 b #X a!a@127.0.0.1 10000"));
    assert_eq!(heard[3], ":gateway1.paxcast 353 b = #X :@a b");
    // What was said before is shown to who joins.
    assert_eq!(heard[5..], [":a!a@127.0.0.1 PRIVMSG #X :to nobody"]);
    rig.expect(
        &mut b,
        "PRIVMSG #x,a :hello",
        &[
            ":b!b@127.0.0.1 PRIVMSG #X :hello",
            ":b!b@127.0.0.1 PRIVMSG a :hello",
        ],
    );
    assert_eq!(
        rig.heard(&mut a),
        [
            ":b!b@127.0.0.1 JOIN :#X",
            ":b!b@127.0.0.1 PRIVMSG #X :hello",
            ":b!b@127.0.0.1 PRIVMSG a :hello",
        ]
    );
    rig.expect(
        &mut a,
        "MODE #x +vb-n+k b q!*@* key",
        &[":a!a@127.0.0.1 MODE #X +vb-n+k b q!*@* key"],
    );
    rig.heard(&mut b);
    rig.expect(
        &mut b,
        "MODE #x",
        &[
            ":gateway1.paxcast 324 b #X +kt key",
            ":gateway1.paxcast 329 b #X 1000000000",
        ],
    );
    rig.expect(
        &mut b,
        "MODE #x b",
        &[
            ":gateway1.paxcast 367 b #X q!*@* a!a@127.0.0.1 1000000000",
            ":gateway1.paxcast 368 b #X :End of channel ban list",
        ],
    );
    rig.expect(
        &mut b,
        "NAMES #x",
        &[
            ":gateway1.paxcast 353 b = #X :@a +b",
            ":gateway1.paxcast 366 b #X :End of NAMES list",
        ],
    );
    rig.expect(
        &mut b,
        "KICK #x a",
        &[":gateway1.paxcast 482 b #X :You are not channel operator"],
    );
    rig.expect(
        &mut b,
        "AWAY :at lunch",
        &[":gateway1.paxcast 306 b :You have been marked as being away"],
    );
    rig.expect(
        &mut a,
        "PRIVMSG b :there?",
        &[":gateway1.paxcast 301 a b :at lunch"],
    );
    rig.expect(&mut a, "NICK aa", &[":a!a@127.0.0.1 NICK :aa"]);
    rig.expect(
        &mut a,
        "KICK #x b :out",
        &[":aa!a@127.0.0.1 KICK #X b :out"],
    );
    rig.expect(
        &mut b,
        "JOIN #x",
        &[
            ":a!a@127.0.0.1 PRIVMSG b :there?",
            ":a!a@127.0.0.1 NICK :aa",
            ":aa!a@127.0.0.1 KICK #X b :out",
            ":gateway1.paxcast 475 b #X :Cannot join channel (+k) -- Wrong channel key",
        ],
    );
    rig.expect(
        &mut a,
        "INVITE b #x",
        &[
            ":gateway1.paxcast 341 aa b #X",
            ":gateway1.paxcast 301 aa b :at lunch",
        ],
    );
    rig.expect(&mut a, "PART #x :bye", &[":aa!a@127.0.0.1 PART #X :bye"]);
    assert_eq!(rig.heard(&mut b), [":aa!a@127.0.0.1 INVITE b #X"]);
    b.send("QUIT :enough");
    let last = rig.until_ended(&mut b);
    assert_eq!(last, ["ERROR :Closing link: 127.0.0.1 [\"enough\"]"]);
    rig.expect(
        &mut a,
        "WHOIS b",
        &[
            ":gateway1.paxcast 401 aa b :No such nick or channel name",
            ":gateway1.paxcast 318 aa b :End of WHOIS list",
        ],
    );
}

#[test]
fn questions_and_their_answers() {
    let mut rig = Rig::new(2);
    let mut a = rig.user(0, "a", &[]);
    let mut b = rig.user(1, "b", &[]);
    a.send("JOIN #open,#closed");
    a.send("MODE #closed +s");
    rig.heard(&mut a);
    rig.expect(
        &mut b,
        "WHO #open",
        &[
            ":gateway2.paxcast 352 b #open a 127.0.0.1 gateway1.paxcast a H@ :1 a itself",
            ":gateway2.paxcast 315 b #open :End of WHO list",
        ],
    );
    rig.expect(
        &mut b,
        "WHOIS a",
        &[
            ":gateway2.paxcast 311 b a a 127.0.0.1 * :a itself",
            ":gateway2.paxcast 319 b a :@#open",
            ":gateway2.paxcast 312 b a gateway1.paxcast :gateway 1 of paxcast",
            ":gateway2.paxcast 317 b a 0 1000000000 :seconds idle, signon time",
            ":gateway2.paxcast 318 b a :End of WHOIS list",
        ],
    );
    rig.expect(
        &mut b,
        "LIST",
        &[
            ":gateway2.paxcast 321 b Channel :Users  Name",
            ":gateway2.paxcast 322 b #open 1 : ",
            ":gateway2.paxcast 323 b :End of LIST",
        ],
    );
    rig.expect(
        &mut b,
        "MODE #closed",
        &[":gateway2.paxcast 403 b #closed :No such channel"],
    );
    rig.expect(&mut b, "ISON a nobody B", &[":gateway2.paxcast 303 b :a b"]);
    rig.expect(
        &mut b,
        "USERHOST a",
        &[":gateway2.paxcast 302 b :a=+a@127.0.0.1"],
    );
    rig.expect(&mut b, "MODE b", &[":gateway2.paxcast 221 b +"]);
    rig.expect(
        &mut b,
        "MODE a +i",
        &[":gateway2.paxcast 502 b :Can't set/get mode for other users"],
    );
    rig.expect(
        &mut b,
        "JOIN bad",
        &[":gateway2.paxcast 476 b bad :Not a name of a channel"],
    );
    rig.expect(
        &mut b,
        "PRIVMSG a",
        &[":gateway2.paxcast 412 b :No text to send"],
    );
    rig.expect(&mut b, "NOTICE nobody :x", &[]);
    rig.expect(
        &mut b,
        "KICK #open",
        &[":gateway2.paxcast 461 b KICK :Not enough parameters"],
    );
    rig.expect(
        &mut b,
        "nosuch",
        &[":gateway2.paxcast 421 b nosuch :Unknown command"],
    );
    rig.expect(
        &mut b,
        "USER x x x x",
        &[":gateway2.paxcast 462 b :Connection already registered"],
    );
    rig.expect(
        &mut b,
        &"x".repeat(600),
        &[":gateway2.paxcast 417 b :Input line was too long"],
    );
    rig.expect(
        &mut b,
        "JOIN #open",
        &[
            ":b!b@127.0.0.1 JOIN :#open",
            ":gateway2.paxcast 353 b = #open :@a b",
            ":gateway2.paxcast 366 b #open :End of NAMES list",
        ],
    );
}

#[test]
fn tags_and_history_for_those_who_ask() {
    let mut rig = Rig::new(1);
    let caps = "CAP REQ :server-time message-tags batch draft/chathistory echo-message";
    let mut a = rig.user(0, "a", &[caps]);
    a.send("JOIN #x");
    rig.heard(&mut a);
    let time = "time=2001-09-09T01:46:40.000Z";
    let mut names = Vec::new();
    for text in ["one", "two", "three"] {
        a.send(&format!("PRIVMSG #x :{text}"));
        let place = rig.heard(&mut a);
        let said = place[0]
            .strip_prefix(&format!("@{time};msgid="))
            .expect("tags");
        let (name, rest) = said.split_once(' ').expect("a blank");
        assert_eq!(rest, format!(":a!a@127.0.0.1 PRIVMSG #x :{text}"));
        names.push(name.to_owned());
    }
    let texts = |lines: &[String]| -> Vec<String> {
        assert!(lines[0].contains(" BATCH +h") && lines[0].ends_with(" chathistory #x"));
        assert!(lines.last().is_some_and(|line| line.contains(" BATCH -h")));
        let said = &lines[1..lines.len() - 1];
        assert!(
            said.iter().all(|line| line.starts_with("@batch=h")),
            "{said:?}"
        );
        let text = |line: &String| line.rsplit_once(':').map(|(_, text)| text.to_owned());
        said.iter().filter_map(text).collect()
    };
    for (asked, expected) in [
        ("LATEST #x * 2".to_owned(), vec!["two", "three"]),
        (format!("BEFORE #x msgid={} 5", names[1]), vec!["one"]),
        (format!("AFTER #x msgid={} 1", names[0]), vec!["two"]),
        (
            format!("AROUND #x msgid={} 3", names[1]),
            vec!["one", "two", "three"],
        ),
        (
            format!("BETWEEN #x msgid={} msgid={} 9", names[0], names[2]),
            vec!["two"],
        ),
        (
            "AFTER #x timestamp=2001-09-09T01:46:39.000Z 9".to_owned(),
            vec!["one", "two", "three"],
        ),
    ] {
        a.send(&format!("CHATHISTORY {asked}"));
        let lines = rig.heard(&mut a);
        assert_eq!(texts(&lines), expected, "{asked}");
    }
    rig.expect(&mut a, "CHATHISTORY LATEST #y * 5", &[
        ":gateway1.paxcast FAIL CHATHISTORY INVALID_TARGET LATEST #y :There is no history of that for you",
    ]);
    rig.expect(&mut a, "CHATHISTORY BEFORE #x nonsense 5", &[
        ":gateway1.paxcast FAIL CHATHISTORY INVALID_PARAMS BEFORE :The point or the limit is none",
    ]);
    a.send("PRIVMSG a :to myself");
    rig.heard(&mut a);
    rig.expect(
        &mut a,
        "CHATHISTORY TARGETS timestamp=2001-01-01T00:00:00.000Z timestamp=2002-01-01T00:00:00.000Z 5",
        &[
            ":gateway1.paxcast BATCH +targets draft/chathistory-targets",
            "@batch=targets :gateway1.paxcast CHATHISTORY TARGETS #x 2001-09-09T01:46:40.000Z",
            "@batch=targets :gateway1.paxcast CHATHISTORY TARGETS a 2001-09-09T01:46:40.000Z",
            ":gateway1.paxcast BATCH -targets",
        ],
    );
}

#[test]
fn accounts_need_their_passwords() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("accounts");
    let hash = hash_password("sesame").expect("random bytes");
    std::fs::write(&path, format!("Jilles {hash}\n")).expect("it is written");
    let mut with = settings(1);
    with.accounts = Accounts::read(&path).expect("accounts");
    let mut rig = Rig::with(vec![with]);
    let mut client = rig.connect(0);
    client.send("CAP LS 302");
    client.send("CAP REQ :sasl account-tag");
    client.send("AUTHENTICATE PLAIN");
    client.send("AUTHENTICATE AGppbGxlcwB4");
    client.send("AUTHENTICATE PLAIN");
    client.send("AUTHENTICATE AGppbGxlcwBzZXNhbWU=");
    client.send("NICK j");
    client.send("USER j 0 * :J");
    client.send("CAP END");
    let heard = rig.until(&mut client, "MOTD file is missing");
    let said: Vec<&str> = heard[2..7].iter().map(String::as_str).collect();
    assert_eq!(
        said,
        [
            "AUTHENTICATE +",
            ":gateway1.paxcast 904 * :SASL authentication failed",
            "AUTHENTICATE +",
            ":gateway1.paxcast 900 * *!*@127.0.0.1 Jilles :You are now logged in as Jilles",
            ":gateway1.paxcast 903 * :SASL authentication successful",
        ]
    );
    client.send("WHOIS j");
    let heard = rig.heard(&mut client);
    assert!(heard.contains(&":gateway1.paxcast 330 j j Jilles :is logged in as".to_owned()));
    rig.expect(
        &mut client,
        "PRIVMSG j :me",
        &["@account=Jilles :j!j@127.0.0.1 PRIVMSG j :me"],
    );
}
