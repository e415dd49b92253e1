//! What is said on a chat whose processes and networks fail in the ways that such
//! systems are asked about, one command each:
//!
//! ```text
//! cargo test --release --test chat scenarios::the_leader_dies -- --nocapture
//! ```
//!
//! In each, people at three gateways talk in turns; all must see the same in the same
//! order; somebody who comes in last is shown all of it; and each gateway tells the
//! hash of its state, which must be one.

use std::collections::BTreeSet;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::process::PATIENCE;
use crate::replicated::Replicated;
use crate::user::User;

/// Messages of each person in one round of talk.
const EACH: usize = 5;

/// A conversation.
struct Talk {
    chat: Replicated,
    people: Vec<Person>,
    /// What all have seen.
    order: Vec<String>,
    said: usize,
}

/// Somebody at a gateway.
struct Person {
    user: User,
    gateway: usize,
    name: String,
}

impl Talk {
    /// Five acceptors, of which two may fail, and one person at each of three gateways;
    /// all processes are started with these faults.
    fn begin(faults: Option<&str>) -> Talk {
        Talk::begin_with(faults, "")
    }

    /// The same where messages take seconds, and the configuration says so.
    fn begin_slowly(faults: &str) -> Talk {
        Talk::begin_with(Some(faults), "heartbeat 250ms\nrepropose 1200ms 2400ms\n")
    }

    fn begin_with(faults: Option<&str>, lines: &str) -> Talk {
        let option = faults.map(|faults| ["--faults", faults]);
        let option: Vec<&str> = option.into_iter().flatten().collect();
        let more = [&["--history", "1000", "--flood", "1000/1"], &option[..]].concat();
        let roles = [&["-v"], &option[..]].concat();
        let lines = format!("{lines}data votes\nreplica_ids 1 2 3");
        let chat = Replicated::start_with("chat", 5, &lines, &more, &roles);
        let mut talk = Talk {
            chat,
            people: Vec::new(),
            order: Vec::new(),
            said: 0,
        };
        for gateway in 0..3 {
            talk.come(gateway, &format!("p{gateway}"));
        }
        talk
    }

    fn come(&mut self, gateway: usize, name: &str) {
        let address = self.chat.replicas[gateway].address;
        let secret = format!("PASS secret-{name}");
        let caps = "CAP REQ :echo-message";
        let mut user = User::enter(address, name, &[caps, &secret]);
        user.send("JOIN #room");
        user.until("End of NAMES list");
        self.people.push(Person {
            user,
            gateway,
            name: name.to_owned(),
        });
    }

    /// Lets these people speak, without waiting for each other; `meanwhile` happens when
    /// half of it is sent. All must see all of it, in one order.
    fn round(&mut self, who: &[usize], meanwhile: impl FnOnce(&mut Replicated)) {
        let mut meanwhile = Some(meanwhile);
        for number in 0..EACH {
            for person in who {
                let person = &mut self.people[*person];
                self.said += 1;
                let line = format!("PRIVMSG #room :message {} of {}", self.said, person.name);
                person.user.send(&line);
            }
            if number == EACH / 2
                && let Some(meanwhile) = meanwhile.take()
            {
                meanwhile(&mut self.chat);
            }
        }
        let expected = who.len() * EACH;
        let mut seen: Option<Vec<String>> = None;
        for person in who {
            let person = &mut self.people[*person];
            let mut shown = Vec::new();
            while shown.len() < expected {
                let line = person
                    .user
                    .hear()
                    .unwrap_or_else(|| panic!("{} is cut off", person.name));
                shown.extend(message(&line));
            }
            let first = seen.get_or_insert_with(|| shown.clone());
            assert_eq!(*first, shown, "{} saw something else", person.name);
        }
        self.order.extend(seen.expect("somebody spoke"));
    }

    /// Somebody comes back to another gateway, and is shown what they missed.
    fn come_back(&mut self, person: usize, gateway: usize, missed: &[String]) {
        let name = self.people[person].name.clone();
        let address = self.chat.replicas[gateway].address;
        let secret = format!("PASS secret-{name}");
        let mut user = User::enter(address, &name, &["CAP REQ :echo-message", &secret]);
        // The moment before may be shown again, but nothing else, and nothing is left out.
        let lines = user.heard();
        let shown: Vec<String> = lines.iter().filter_map(|line| message(line)).collect();
        assert!(
            shown.ends_with(missed),
            "{name} missed {missed:?}: {lines:#?}"
        );
        assert!(self.order.ends_with(&shown), "{name} is shown {shown:?}");
        self.people[person].user = user;
        self.people[person].gateway = gateway;
    }

    /// Everything was shown to everybody, also to somebody who comes now; and the state
    /// is one. Ends it all.
    fn end(mut self) {
        let distinct: BTreeSet<&String> = self.order.iter().collect();
        assert_eq!(
            distinct.len(),
            self.order.len(),
            "something was shown twice"
        );
        self.come(1, "newcomer");
        let newcomer = self.people.last_mut().expect("they came");
        let mut shown = Vec::new();
        while shown.len() < self.order.len() {
            shown.extend(message(
                &newcomer.user.hear().expect("what was said before"),
            ));
        }
        assert_eq!(shown, self.order, "a newcomer is shown something else");
        let deadline = Instant::now() + PATIENCE;
        let hashes = loop {
            let hashes: Vec<String> = (0..3).map(|gateway| self.hash(gateway)).collect();
            if hashes.iter().all(|hash| *hash == hashes[0]) {
                break hashes;
            }
            assert!(Instant::now() < deadline, "no agreement: {hashes:?}");
        };
        for (gateway, hash) in hashes.iter().enumerate() {
            println!(
                "gateway {}: {} messages, hash {hash}",
                gateway + 1,
                self.order.len()
            );
        }
        self.people.clear();
        self.chat.stop();
    }

    /// How many holes in the log the gateways have passed over, by the one that has
    /// counted most.
    fn no_ops(&mut self) -> u64 {
        let replicas = self.chat.replicas.iter_mut();
        let counts = replicas.map(|replica| replica.process.fact("no_ops"));
        counts.max().expect("there are gateways")
    }

    fn hash(&self, gateway: usize) -> String {
        let mut user = User::connect(self.chat.replicas[gateway].address);
        user.send("PAXOS HASH");
        loop {
            let line = user.hear().expect("an answer");
            if let Some((_, hash)) = line.split_once(" PAXOS HASH ") {
                return hash.to_owned();
            }
        }
    }
}

/// What was said in the room, if a line tells it.
fn message(line: &str) -> Option<String> {
    let (source, text) = line.split_once(" PRIVMSG #room :")?;
    let source = source.split(' ').next_back()?;
    let name = source.trim_start_matches(':').split('!').next()?;
    assert!(text.ends_with(&format!(" of {name}")), "{line}");
    Some(text.to_owned())
}

fn nothing(_: &mut Replicated) {}

fn kill_leader(chat: &mut Replicated) -> usize {
    let leader = chat.leader();
    chat.proposers[leader].signal(Signal::SIGKILL);
    chat.proposers[leader].wait();
    leader
}

const ALL: [usize; 3] = [0, 1, 2];

#[test]
fn normal() {
    let mut talk = Talk::begin(None);
    for _ in 0..5 {
        talk.round(&ALL, nothing);
    }
    talk.end();
}

#[test]
fn the_leader_dies() {
    let mut talk = Talk::begin(None);
    talk.round(&ALL, nothing);
    talk.round(&ALL, |chat| {
        kill_leader(chat);
    });
    talk.round(&ALL, nothing);
    talk.chat.revive_proposer(0);
    talk.chat.revive_proposer(1);
    talk.end();
}

#[test]
fn leaders_and_acceptors_die_as_often_as_they_may() {
    let mut talk = Talk::begin(None);
    for failure in 0..2 {
        let mut dead = 0;
        talk.round(&ALL, |chat| {
            dead = kill_leader(chat);
            chat.acceptors[failure].signal(Signal::SIGKILL);
            chat.acceptors[failure].wait();
        });
        talk.chat.revive_proposer(dead);
        talk.round(&ALL, nothing);
    }
    for acceptor in 0..2 {
        talk.chat.revive_acceptor(acceptor);
    }
    talk.end();
}

#[test]
fn more_die_than_may_and_come_back() {
    let mut talk = Talk::begin(None);
    talk.round(&ALL, nothing);
    for acceptor in &talk.chat.acceptors[..3] {
        acceptor.signal(Signal::SIGSTOP);
    }
    // Nothing is swallowed: whoever speaks is told.
    let speaker = &mut talk.people[0].user;
    speaker.send("PRIVMSG #room :message 0 of p0");
    let mut told = speaker.hear().expect("a word");
    while !told.contains(" NOTICE ") {
        assert_eq!(message(&told), None, "it cannot have been said");
        told = speaker.hear().expect("a word");
    }
    for acceptor in &talk.chat.acceptors[..3] {
        acceptor.signal(Signal::SIGCONT);
    }
    for person in &mut talk.people {
        person.user.send("PAXOS INFO");
    }
    talk.chat.replicas[0].process.wait_for("answers again");
    // Whether that first message came about is for the log to say.
    let speaker = &mut talk.people[0].user;
    speaker.send("JOIN #after");
    let seen = speaker.until("End of NAMES list");
    talk.order
        .extend(seen.iter().filter_map(|line| message(line)));
    for other in 1..3 {
        let user = &mut talk.people[other].user;
        user.send("JOIN #after");
        user.until("End of NAMES list");
    }
    talk.round(&ALL, nothing);
    talk.end();
}

#[test]
fn a_leader_that_dies_leaves_holes_for_the_next_one_to_fill() {
    // Most proposals are lost on their way to acceptors, later ones overtake them; so
    // when the leader dies, its instances are chosen here and there.
    let mut talk = Talk::begin(Some("drop=0.6,phase=accept,seed=11"));
    let mut deaths = 0;
    // Whether a death leaves a hole that no acceptor can fill is a matter of moments.
    while deaths < 3 || talk.no_ops() == 0 {
        assert!(deaths < 30, "{deaths} leaders died, and none left a hole");
        let mut dead = 0;
        talk.round(&ALL, |chat| dead = kill_leader(chat));
        talk.chat.revive_proposer(dead);
        deaths += 1;
    }
    println!("{} holes after {deaths} deaths", talk.no_ops());
    talk.end();
}

#[test]
fn five_in_a_hundred_are_lost() {
    let mut talk = Talk::begin(Some("drop=0.05,seed=5"));
    for _ in 0..5 {
        talk.round(&ALL, nothing);
    }
    talk.end();
}

#[test]
fn everything_is_late_by_up_to_a_second() {
    let mut talk = Talk::begin_slowly("delay=0..1s,seed=6");
    talk.round(&ALL, nothing);
    talk.round(&ALL, nothing);
    talk.end();
}

#[test]
fn each_phase_is_late_by_a_second() {
    for phase in ["prepare", "accept", "commit"] {
        let mut talk = Talk::begin_slowly(&format!("delay=1s,phase={phase},seed=8"));
        talk.round(&ALL, nothing);
        talk.round(&ALL, |chat| {
            kill_leader(chat);
        });
        talk.chat.revive_proposer(0);
        talk.chat.revive_proposer(1);
        talk.end();
    }
}

#[test]
fn a_server_without_users_is_away_and_comes_back() {
    let mut talk = Talk::begin(None);
    talk.round(&ALL, nothing);
    talk.come_back(2, 0, &[]);
    talk.chat.replicas[2].process.signal(Signal::SIGSTOP);
    talk.round(&ALL, nothing);
    talk.chat.replicas[2].process.signal(Signal::SIGCONT);
    talk.round(&ALL, nothing);
    talk.end();
}

#[test]
fn a_server_with_users_is_away_and_comes_back() {
    let mut talk = Talk::begin(None);
    talk.round(&ALL, nothing);
    let address = talk.chat.replicas[2].address;
    talk.chat.replicas[2].process.signal(Signal::SIGKILL);
    talk.chat.replicas[2].process.wait();
    talk.round(&[0, 1], nothing);
    let missed = talk.order[talk.order.len() - 2 * EACH..].to_vec();
    // Its user goes on elsewhere, and later where they were.
    talk.come_back(2, 0, &missed);
    talk.round(&ALL, nothing);
    talk.chat.replicas[2] = talk.chat.replica(3, Some(address));
    talk.come_back(2, 2, &[]);
    talk.round(&ALL, nothing);
    talk.end();
}
