//! Gateways, acceptors and proposers are killed and stopped at random while two hundred
//! users talk: all must see one order, in which everything that was acknowledged stands
//! once, and each sender's messages in theirs.
//!
//! ```text
//! PAXCAST_SECONDS=600 cargo test --release --test chat killed -- --nocapture
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use paxcast::bench::chat::Users;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::front::front;
use crate::replicated::Replicated;

/// How long it goes on, unless told otherwise.
const SECONDS: u64 = 60;

/// Users that a front moves between gateways.
const MOVED: usize = 170;

/// Users with a secret that come back by themselves, as a person's client does.
const RETURNING: usize = 30;

/// What nothing should take where all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user, and all that they were shown.
struct Person {
    name: String,
    /// Their connection now.
    connection: usize,
    /// Whether they come back by themselves.
    returns: bool,
    /// In the channel, as far as they know.
    inside: bool,
    /// The number of their last message.
    said: u32,
    /// It was shown to them.
    acknowledged: bool,
    /// When they speak next.
    speaks_at: Instant,
    screen: Vec<Shown>,
    /// Those of their messages that were shown to them.
    own: Vec<u32>,
}

/// A message: whose, their how manieth, and its id if the user is told ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    author: u16,
    number: u32,
    id: u64,
}

/// Everybody.
struct Crowd {
    users: Users,
    people: Vec<Person>,
    /// Whose connection it is; nobody's once it broke.
    owners: Vec<Option<usize>>,
    front: SocketAddr,
    gateways: Vec<SocketAddr>,
    rng: Xoshiro256PlusPlus,
}

impl Crowd {
    fn new(front: SocketAddr, gateways: Vec<SocketAddr>, seed: u64) -> Crowd {
        Crowd {
            users: Users::new().expect("the kernel has room"),
            people: Vec::new(),
            owners: Vec::new(),
            front,
            gateways,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// Connects somebody, for the first time or once more.
    fn connect(&mut self, person: usize) {
        let returns = self.people[person].returns;
        let address = match returns {
            true => self.gateways[self.rng.random_range(0..self.gateways.len())],
            false => self.front,
        };
        let connection = self.users.connect(address).expect("the kernel has room");
        self.owners.resize(connection, None);
        self.owners.push(Some(person));
        self.people[person].connection = connection;
        self.people[person].inside = false;
        let name = self.people[person].name.clone();
        let mut lines = vec![
            "CAP REQ :echo-message".to_owned(),
            format!("NICK {name}"),
            format!("USER {name} 0 * :{name}"),
            "CAP END".to_owned(),
        ];
        if returns {
            lines[0] = "CAP REQ :echo-message message-tags server-time".to_owned();
            lines.insert(1, format!("PASS secret-of-{name}"));
        }
        for line in lines {
            self.users.say(connection, &line);
        }
    }

    /// Lets everybody hear, speak and come back for a moment.
    fn go_on(&mut self, speak: bool) {
        let now = Instant::now();
        for person in 0..self.people.len() {
            let connection = self.people[person].connection;
            if self.users.is_gone(connection) {
                assert!(self.people[person].returns, "the front let go of somebody");
                self.owners[connection] = None;
                // What was not acknowledged may or may not have been said.
                self.people[person].acknowledged = true;
                self.connect(person);
                continue;
            }
            let someone = &mut self.people[person];
            if speak && someone.inside && someone.acknowledged && someone.speaks_at <= now {
                someone.said += 1;
                someone.acknowledged = false;
                someone.speaks_at = now + Duration::from_millis(self.rng.random_range(500..2500));
                let (number, text) = (someone.said, &someone.name);
                let line = format!("PRIVMSG #room :{text} {number}");
                self.users.say(connection, &line);
            }
        }
        let (people, owners) = (&mut self.people, &self.owners);
        let mut joins = Vec::new();
        let mut hear = |connection: usize, line: &[u8]| {
            if let Some(person) = owners[connection] {
                let line = String::from_utf8_lossy(line);
                if people[person].hear(&line) {
                    joins.push(connection);
                }
            }
            true
        };
        let lasts = Duration::from_millis(5);
        self.users.listen(lasts, &mut hear).expect("it can wait");
        for connection in joins {
            self.users.say(connection, "JOIN #room");
        }
    }

    /// Goes on until this is so.
    fn until(&mut self, what: &str, speak: bool, so: impl Fn(&[Person]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so(&self.people) {
            self.go_on(speak);
            assert!(Instant::now() < deadline, "in vain: {what}");
        }
    }
}

impl Person {
    /// Takes a line in; says whether it is the moment to join.
    fn hear(&mut self, line: &str) -> bool {
        let (tags, line) = match line.strip_prefix('@').and_then(|line| line.split_once(' ')) {
            Some((tags, line)) => (tags, line),
            None => ("", line),
        };
        let mut words = line.splitn(4, ' ');
        let source = words.next().unwrap_or("");
        let command = words.next().unwrap_or("");
        let target = words.next().unwrap_or("");
        let text = words.next().unwrap_or("").trim_start_matches(':');
        match command {
            "001" => return true,
            "366" => self.inside = true,
            "433" => panic!("{} cannot have their name back: {line}", self.name),
            "PRIVMSG" if target == "#room" => {
                let id = tags.split(';').find_map(|tag| tag.strip_prefix("msgid="));
                let id = id.map_or(0, |id| id.parse().expect("a place"));
                let (author, number) = text.split_once(' ').expect("two words");
                let shown = Shown {
                    author: author[1..].parse().expect("a number"),
                    number: number.parse().expect("a number"),
                    id,
                };
                assert!(source.starts_with(&format!(":{author}!")), "{line}");
                self.screen.push(shown);
                if author == self.name {
                    self.own.push(shown.number);
                    self.acknowledged |= shown.number == self.said;
                }
            }
            _ => {}
        }
        false
    }
}

#[test]
fn what_is_said_while_processes_are_killed_is_shown_to_all_once_and_in_one_order() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("PAXCAST_SECONDS").unwrap_or(SECONDS);
    let seed = number("PAXCAST_SEED").unwrap_or(1);
    let lines = "data votes\nreplica_ids 1 2 3\ncheckpoint 128KiB";
    let more = ["--flood", "1000/1", "--history", "0"];
    let mut chat = Replicated::start("chat", 3, lines, &more);
    let gateways: Vec<SocketAddr> = chat.replicas.iter().map(|r| r.address).collect();
    let (mut front, address) = front(&chat, &gateways);

    let mut crowd = Crowd::new(address, gateways, seed);
    let now = Instant::now();
    for index in 0..MOVED + RETURNING {
        crowd.people.push(Person {
            name: format!("u{index}"),
            connection: 0,
            returns: index >= MOVED,
            inside: false,
            said: 0,
            acknowledged: true,
            speaks_at: now,
            screen: Vec::new(),
            own: Vec::new(),
        });
        crowd.connect(index);
    }
    crowd.until("all come in", false, |people| {
        people.iter().all(|person| person.inside)
    });

    let until = Instant::now() + Duration::from_secs(seconds);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (chat, counts) = std::thread::scope(|scope| {
        let harm = scope.spawn(move || {
            let counts = chat.harm(&mut rng, until);
            (chat, counts)
        });
        while !harm.is_finished() {
            crowd.go_on(true);
        }
        harm.join().expect("harm is made good")
    });
    // Now that all is well, everything is acknowledged, and a last word reaches all.
    crowd.until("what was said is acknowledged", false, |people| {
        people
            .iter()
            .all(|person| person.inside && person.acknowledged)
    });
    crowd.people[0].said += 1;
    let last = crowd.people[0].said;
    let connection = crowd.people[0].connection;
    crowd
        .users
        .say(connection, &format!("PRIVMSG #room :u0 {last}"));
    let is_last = |shown: &Shown| shown.author == 0 && shown.number == last;
    crowd.until("the last word reaches all", false, |people| {
        people
            .iter()
            .all(|person| person.screen.last().is_some_and(is_last))
    });

    let order: Vec<(u16, u32)> = screen(&crowd.people[0]);
    let mut twice = 0;
    for person in &mut crowd.people {
        if person.returns {
            // Whoever comes back by themselves may be shown the last moments again,
            // under the same ids.
            let mut known = 0;
            let before = person.screen.len();
            person.screen.retain(|shown| {
                let new = shown.id > known;
                known = known.max(shown.id);
                new
            });
            twice += before - person.screen.len();
        }
        let seen = screen(person);
        let differs = seen
            .iter()
            .zip(&order)
            .position(|(one, other)| one != other);
        assert_eq!(differs, None, "{} saw another order", person.name);
        assert_eq!(seen.len(), order.len(), "{} saw more, or less", person.name);
    }
    let mut numbers = vec![0; crowd.people.len()];
    for (author, number) in &order {
        let author = usize::from(*author);
        let before = std::mem::replace(&mut numbers[author], *number);
        assert!(*number > before, "u{author}: {number} behind {before}");
        if !crowd.people[author].returns {
            assert_eq!(*number, before + 1, "u{author} lost something");
        }
    }
    for (person, numbers) in crowd.people.iter().zip(numbers) {
        assert!(
            person.returns || numbers == person.said,
            "{} lost the end",
            person.name
        );
    }
    println!(
        "seed {seed}: {} messages in {seconds} s, each on {} screens; {twice} shown again to \
         {RETURNING} who came back; harm to gateways, acceptors, proposers, majorities: {counts:?}",
        order.len(),
        crowd.people.len()
    );
    assert!(order.len() > 1000, "{} messages", order.len());
    front.stop();
    chat.stop();
}

/// Whose message and which, in the order of a screen.
fn screen(person: &Person) -> Vec<(u16, u32)> {
    let screen = person.screen.iter();
    screen.map(|shown| (shown.author, shown.number)).collect()
}
