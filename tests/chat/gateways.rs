//! Several gateways, as real processes on loopback.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::process::{PATIENCE, Process, executable};
use crate::user::User;

/// Acceptors, a proposer and gateways that use each other.
pub struct Chat {
    pub cluster: Cluster,
    pub acceptors: Vec<Process>,
    pub proposers: Vec<Process>,
    pub gateways: Vec<Gateway>,
}

/// One gateway, and where it listens.
pub struct Gateway {
    pub process: Process,
    pub address: SocketAddr,
}

impl Chat {
    /// Three acceptors, two proposers and so many gateways.
    pub fn start(gateways: u16, more: &str) -> Chat {
        let cluster = Cluster::new(more);
        let start = |role, id| cluster.start(role, id, &["-v"]);
        let mut chat = Chat {
            acceptors: (1..=3).map(|id| start("acceptor", id)).collect(),
            proposers: (1..=2).map(|id| start("proposer", id)).collect(),
            gateways: Vec::new(),
            cluster,
        };
        for id in 1..=gateways {
            let gateway = chat.gateway(id);
            chat.gateways.push(gateway);
        }
        chat
    }

    /// Starts a gateway.
    pub fn gateway(&self, id: u16) -> Gateway {
        let mut command = Command::new(executable("paxcast"));
        command
            .args(["chat", &id.to_string()])
            .arg(&self.cluster.conf)
            .args(["-v", "--listen", "127.0.0.1:0", "--flood", "10000/1"]);
        let mut process = Process::spawn(format!("chat {id}"), command);
        let line = process.wait_for("ready ");
        let start = format!("ready role=chat id={id} address=");
        let rest = line
            .strip_prefix(&start)
            .unwrap_or_else(|| panic!("{line}"));
        let address = rest.split(' ').next().and_then(|word| word.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{line}"));
        Gateway { process, address }
    }

    /// Somebody who is in at the gateway of this index.
    pub fn user(&self, index: usize, nick: &str, lines: &[&str]) -> User {
        User::enter(self.gateways[index].address, nick, lines)
    }

    /// Waits until all gateways are at one place with one state.
    pub fn agree(&self) {
        let deadline = Instant::now() + PATIENCE;
        let hash = |gateway: &Gateway| {
            let mut user = User::connect(gateway.address);
            user.send("PAXOS HASH");
            let line = user.hear().expect("an answer");
            let hash = line.split(" PAXOS HASH ").nth(1);
            hash.unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        loop {
            let hashes: Vec<String> = self.gateways.iter().map(hash).collect();
            if hashes.iter().all(|hash| *hash == hashes[0]) {
                return;
            }
            let place = |hash: &String| hash.split('@').nth(1).map(str::to_owned);
            let same = hashes.iter().all(|hash| place(hash) == place(&hashes[0]));
            assert!(!same, "one place and different states: {hashes:?}");
            assert!(Instant::now() < deadline, "no agreement: {hashes:?}");
        }
    }

    /// Ends everything as a user would, and insists on good ends.
    pub fn stop(mut self) {
        let gateways = self.gateways.iter_mut().map(|gateway| &mut gateway.process);
        for process in gateways
            .chain(&mut self.proposers)
            .chain(&mut self.acceptors)
        {
            process.stop();
        }
    }
}

/// What was said in a channel, of what somebody was shown.
fn said(lines: &[String]) -> Vec<String> {
    let text = |line: &String| line.split(" PRIVMSG #x :").nth(1).map(str::to_owned);
    lines.iter().filter_map(text).collect()
}

#[test]
fn all_gateways_show_one_order() {
    const EACH: usize = 100;
    let chat = Chat::start(2, "");
    let users: Vec<User> = (0..4)
        .map(|index| {
            let nick = format!("u{index}");
            let mut user = chat.user(index % 2, &nick, &["CAP REQ :echo-message"]);
            user.send("JOIN #x");
            user.until("End of NAMES list");
            user
        })
        .collect();
    let mut names = User::enter(chat.gateways[1].address, "looker", &[]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        names.send("NAMES #x");
        if names.heard()[0].ends_with(" = #x :@u0 u1 u2 u3") {
            break;
        }
        assert!(Instant::now() < deadline, "they never see each other");
    }
    let threads: Vec<_> = users
        .into_iter()
        .enumerate()
        .map(|(index, mut user)| {
            thread::spawn(move || {
                for number in 0..EACH {
                    user.send(&format!("PRIVMSG #x :{index} {number}"));
                }
                let mut seen = Vec::new();
                while seen.len() < 4 * EACH {
                    let line = user.hear().expect("it stays");
                    seen.extend(said(&[line]));
                }
                seen
            })
        })
        .collect();
    let seen: Vec<Vec<String>> = threads
        .into_iter()
        .map(|thread| thread.join().expect("it ends well"))
        .collect();
    for index in 0..4 {
        assert_eq!(seen[index], seen[0], "one order on every screen");
        let own = |text: &&String| text.starts_with(&format!("{index} "));
        let own: Vec<String> = seen[0].iter().filter(own).cloned().collect();
        let sent: Vec<String> = (0..EACH).map(|n| format!("{index} {n}")).collect();
        assert_eq!(own, sent, "each sender's order");
    }
    chat.agree();
    chat.stop();
}

#[test]
fn a_nick_has_one_owner_everywhere() {
    let chat = Chat::start(2, "");
    for round in 0..10 {
        let nick = format!("same{round}");
        let mut both: Vec<User> = (0..2)
            .map(|index| User::connect(chat.gateways[index].address))
            .collect();
        for user in &mut both {
            user.introduce(&nick, &[]);
        }
        let first: Vec<bool> = both
            .iter_mut()
            .map(|user| {
                loop {
                    let line = user.hear().expect("an answer");
                    let code = line.split(' ').nth(1);
                    match code {
                        Some("001") => break true,
                        Some("433") => break false,
                        _ => {}
                    }
                }
            })
            .collect();
        assert_eq!(first.iter().filter(|won| **won).count(), 1, "{first:?}");
    }
    chat.agree();
    chat.stop();
}

#[test]
fn a_session_goes_on_at_another_gateway_when_its_own_is_killed() {
    let mut chat = Chat::start(2, "");
    let mut a = chat.user(0, "a", &["PASS hush"]);
    let mut b = chat.user(1, "b", &[]);
    a.send("JOIN #x");
    a.until("End of NAMES list");
    b.send("JOIN #x");
    b.until("End of NAMES list");
    b.send("PRIVMSG #x :first");
    a.until(" PRIVMSG #x :first");
    // The log hears within a second what was shown.
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = 0;
    let mut place = String::new();
    while ticks < 3 {
        a.send("PAXOS INFO");
        let line = a.until_info();
        if line != place {
            place = line;
            ticks += 1;
        }
        assert!(Instant::now() < deadline, "no tick");
        thread::sleep(Duration::from_millis(20));
    }
    chat.gateways[0].process.signal(Signal::SIGKILL);
    chat.gateways[0].process.wait();
    a.until_ended();
    b.send("PRIVMSG #x :second");
    b.send("PRIVMSG a :alone");
    b.heard();
    let mut a = chat.user(1, "a", &["PASS hush"]);
    let heard = a.heard();
    assert_eq!(
        heard,
        [
            ":a!a@127.0.0.1 JOIN :#x",
            ":gateway2.paxcast 353 a = #x :@a b",
            ":gateway2.paxcast 366 a #x :End of NAMES list",
            ":b!b@127.0.0.1 PRIVMSG #x :second",
            ":b!b@127.0.0.1 PRIVMSG a :alone",
        ]
    );
    a.send("PRIVMSG #x :third");
    a.heard();
    assert_eq!(
        b.heard(),
        [":a!a@127.0.0.1 PRIVMSG #x :third"],
        "nobody saw it go"
    );
    // The gateway comes back, without anybody.
    chat.gateways[0] = chat.gateway(1);
    chat.agree();
    let mut c = chat.user(0, "c", &[]);
    c.send("WHOIS a");
    assert!(c.heard()[2].contains("gateway2.paxcast"));
    chat.agree();
    chat.stop();
}

#[test]
fn without_acceptors_it_is_said_and_nothing_is_swallowed() {
    let mut chat = Chat::start(2, "");
    let mut a = chat.user(0, "a", &["CAP REQ :standard-replies"]);
    let mut b = chat.user(1, "b", &[]);
    for acceptor in &chat.acceptors[..2] {
        acceptor.signal(Signal::SIGSTOP);
    }
    a.send("PRIVMSG b :perhaps");
    let heard = a.until("may still happen");
    let doubt = ":gateway1.paxcast FAIL PRIVMSG INDETERMINATE :";
    assert!(
        heard.last().is_some_and(|line| line.starts_with(doubt)),
        "{heard:?}"
    );
    a.send("PRIVMSG b :surely not");
    let heard = a.until("this did not happen");
    let refused = ":gateway1.paxcast FAIL PRIVMSG NO_QUORUM :";
    assert!(
        heard.last().is_some_and(|line| line.starts_with(refused)),
        "{heard:?}"
    );
    for acceptor in &chat.acceptors[..2] {
        acceptor.signal(Signal::SIGCONT);
    }
    a.until("messages are taken");
    a.send("PRIVMSG b :now");
    a.heard();
    let heard = b.until(" PRIVMSG b :now");
    let texts: Vec<&str> = heard
        .iter()
        .filter_map(|line| line.split(" PRIVMSG b :").nth(1))
        .collect();
    assert_eq!(texts, ["perhaps", "now"]);
    chat.gateways[0].process.signal(Signal::SIGUSR1);
    let facts = chat.gateways[0].process.wait_for("statistics ");
    assert!(
        facts.contains(" digest=") && facts.contains(" local_sessions=1"),
        "{facts}"
    );
    chat.agree();
    chat.stop();
}

#[test]
fn a_gateway_whose_id_another_one_takes_says_so_and_ends() {
    let mut chat = Chat::start(2, "");
    let mut a = chat.user(0, "a", &[]);
    // With an id that it should not have.
    let newer = chat.gateway(1);
    let told = a.until_ended();
    let away = "Another server has taken the place of this one";
    assert!(told.iter().any(|line| line.contains(away)), "{told:?}");
    let older = std::mem::replace(&mut chat.gateways[0], newer);
    let (status, said) = older.process.outcome();
    assert_eq!(status, Some(3), "{said}");
    let why = "another gateway with id 1 has begun";
    assert!(
        said.contains(why) && said.contains("an id of its own"),
        "{said}"
    );
    let mut a = chat.user(0, "a", &[]);
    let mut b = chat.user(1, "b", &[]);
    a.send("PRIVMSG b :here now");
    a.heard();
    b.until(" PRIVMSG b :here now");
    chat.agree();
    chat.stop();
}
