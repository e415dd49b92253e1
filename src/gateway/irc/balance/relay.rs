//! One client's way through the front: lines in, lines out, whatever gateway is behind.
//!
//! To the gateway the front is a client that counts. It asks for `paxcast/session`,
//! and numbers what its own client sends; the gateway says what is done, and at which
//! place of the log each thing that it shows stands. So when a gateway dies, another
//! one is told who this is and what was seen last, shows what is missing, and is sent
//! again what was not done. The client sees a pause.
//!
//! Nothing in here knows sockets: whoever has them hands lines in, takes lines along,
//! and says when a gateway is there or gone.

use std::collections::{BTreeSet, VecDeque};

use crate::gateway::irc::line::Line;

/// What the front asks its gateways for.
const CAPABILITY: &str = "paxcast/session";

/// One client's way.
#[derive(Clone, Debug)]
pub struct Relay {
    phase: Phase,
    /// By which a gateway knows the session again.
    token: Token,
    nick: String,
    /// The parameters of `USER`, as they came.
    user: String,
    /// What the client has negotiated.
    capabilities: BTreeSet<String>,
    /// The client has begun to negotiate and not ended.
    negotiating: bool,
    /// The number of the last line.
    number: u64,
    /// Lines that are not done.
    pending: VecDeque<(u64, String)>,
    /// What is said behind them, for good.
    farewell: Option<String>,
    /// What was shown last.
    shown: Shown,
    /// Of what is shown again, so much is known.
    known: Shown,
}

/// How far the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It says who it is.
    Greeting,
    /// It is in the chat.
    Settled,
    /// There is no gateway; what it says waits.
    Waiting,
    /// A gateway is told who it is.
    Returning,
    /// It has said good-bye.
    Leaving,
}

/// The secret of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// The front drew it: nobody else can come back by it.
    Ours(String),
    /// The client has its own.
    Theirs(String),
}

/// A place of the log, and how many lines of it were shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shown {
    place: u64,
    lines: usize,
}

/// What is to be done beside passing lines on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    GoOn,
    /// The client is to be let go, when what it was sent is taken.
    Close,
}

impl Relay {
    /// Lines that may wait to be done before no more are taken.
    pub const PENDING: usize = 128;

    /// A client that has just come; `secret` is drawn for it.
    pub fn new(secret: String) -> Relay {
        Relay {
            phase: Phase::Greeting,
            token: Token::Ours(secret),
            nick: String::new(),
            user: String::new(),
            capabilities: BTreeSet::new(),
            negotiating: false,
            number: 0,
            pending: VecDeque::new(),
            farewell: None,
            shown: Shown::default(),
            known: Shown::default(),
        }
    }

    /// Whether more of the client's lines are wanted.
    pub fn has_room(&self) -> bool {
        self.pending.len() < Self::PENDING
    }

    /// A gateway is there: tells it who this is.
    pub fn attach(&mut self, gateway: &mut String) {
        if self.phase == Phase::Greeting {
            say(gateway, &format!("CAP REQ :{CAPABILITY}"));
            return;
        }
        self.phase = Phase::Returning;
        let all = self.capabilities.iter().map(String::as_str);
        let all: Vec<&str> = std::iter::once(CAPABILITY).chain(all).collect();
        say(gateway, &format!("CAP REQ :{}", all.join(" ")));
        self.identify(gateway);
        say(gateway, &format!("NICK {}", self.nick));
        say(gateway, &format!("USER {}", self.user));
        // Of the last place perhaps not everything was shown.
        let seen = self.shown.place.saturating_sub(1);
        say(gateway, &format!("PAXOS SEEN {seen}"));
        say(gateway, "CAP END");
    }

    /// The gateway is gone. Says whether the client can wait for another one.
    pub fn detach(&mut self, client: &mut String) -> Verdict {
        match self.phase {
            Phase::Settled | Phase::Returning | Phase::Waiting => {
                self.phase = Phase::Waiting;
                Verdict::GoOn
            }
            Phase::Greeting => {
                say(client, "ERROR :The server is gone; try again");
                Verdict::Close
            }
            Phase::Leaving => Verdict::Close,
        }
    }

    /// The client is gone without a word. Says whether there is something left to be
    /// told to a gateway, now or when there is one again.
    pub fn abandon(&mut self, gateway: &mut String) -> bool {
        // Nobody could come back to a session whose secret only the front has.
        if matches!(self.token, Token::Ours(_)) {
            self.leave("QUIT :Connection closed", gateway);
        }
        self.farewell.is_some()
    }

    /// The client says good-bye.
    fn leave(&mut self, line: &str, gateway: &mut String) {
        match self.phase {
            Phase::Waiting | Phase::Returning => {
                self.farewell.get_or_insert_with(|| line.to_owned());
            }
            Phase::Greeting | Phase::Settled => {
                say(gateway, line);
                self.phase = Phase::Leaving;
            }
            Phase::Leaving => {}
        }
    }

    /// Takes in a line of the client's.
    pub fn hear_client(&mut self, text: &str, client: &mut String, gateway: &mut String) {
        let Some(line) = Line::parse(text) else {
            return;
        };
        let command = line.command.to_ascii_uppercase();
        match (self.phase, command.as_str()) {
            (Phase::Leaving, _) => {}
            // Whoever asked is gone.
            (Phase::Waiting | Phase::Returning, "PONG") => {}
            _ if self.farewell.is_some() => {}
            (_, "QUIT") => self.leave(text, gateway),
            (_, "PAXOS") if line.parameters.first().is_some_and(|word| is(word, "SEEN")) => {}
            (Phase::Greeting, _) => self.greet(&command, &line, text, client, gateway),
            (Phase::Settled, "PONG") => say(gateway, text),
            (_, "CAP") if asks_for_ours(&line) => refuse(&self.nick, &line, client),
            (phase, _) => {
                self.number += 1;
                let numbered = number(self.number, text);
                if phase == Phase::Settled {
                    say(gateway, &numbered);
                }
                self.pending.push_back((self.number, numbered));
            }
        }
    }

    /// The client says who it is. The front holds the registration open, since it
    /// negotiates too, and ends it when its client would have.
    fn greet(
        &mut self,
        command: &str,
        line: &Line<'_>,
        text: &str,
        client: &mut String,
        gateway: &mut String,
    ) {
        let first = line.parameters.first().copied().unwrap_or("");
        match command {
            "PASS" if !first.is_empty() => {
                self.token = Token::Theirs(first.to_owned());
                return;
            }
            "CAP" if is(first, "END") => {
                self.negotiating = false;
                self.finish(gateway);
                return;
            }
            "CAP" if asks_for_ours(line) => return refuse("*", line, client),
            "CAP" => self.negotiating = true,
            "NICK" => self.nick = first.to_owned(),
            "USER" => {
                let all = line.parameters.split_last();
                self.user = all.map_or(String::new(), |(last, rest)| {
                    let rest: String = rest.iter().flat_map(|word| [word, " "]).collect();
                    format!("{rest}:{last}")
                });
            }
            _ => {}
        }
        say(gateway, &without_ours(text));
        if matches!(command, "NICK" | "USER") {
            self.finish(gateway);
        }
    }

    /// Ends the registration, if there is all that it takes.
    fn finish(&mut self, gateway: &mut String) {
        if !self.negotiating && !self.nick.is_empty() && !self.user.is_empty() {
            self.identify(gateway);
            say(gateway, "CAP END");
        }
    }

    fn identify(&self, gateway: &mut String) {
        let (Token::Ours(token) | Token::Theirs(token)) = &self.token;
        say(gateway, &format!("PASS :{token}"));
    }

    /// Takes in a line of the gateway's.
    pub fn hear_gateway(
        &mut self,
        text: &str,
        client: &mut String,
        gateway: &mut String,
    ) -> Verdict {
        let Some(line) = Line::parse(text) else {
            return Verdict::GoOn;
        };
        let word = |at: usize| line.parameters.get(at).copied().unwrap_or("");
        match line.command {
            "PAXOS" if is(word(0), "DONE") => self.done(word(1)),
            "PAXOS" if is(word(0), "RESUMED") => self.resume(gateway),
            "PAXOS" if is(word(0), "GAP") => self.known = Shown::default(),
            "PAXOS" if is(word(0), "FRESH") => {
                say(
                    client,
                    "ERROR :Your session has ended while no server could be reached; come in again",
                );
                self.phase = Phase::Leaving;
                return Verdict::Close;
            }
            "PAXOS" if is(word(0), "DISPLACED") => {
                say(client, "ERROR :You have come in somewhere else");
                self.phase = Phase::Leaving;
                return Verdict::Close;
            }
            // What comes now is known from the first time.
            _ if self.phase == Phase::Returning => {}
            // The gateway lets go of the front; the client stays.
            "ERROR" if self.phase == Phase::Settled => {}
            "CAP" if is(word(1), "ACK") || is(word(1), "NAK") => {
                if !is(word(2).trim(), CAPABILITY) {
                    self.agree(is(word(1), "ACK"), word(2));
                    say(client, text);
                }
            }
            "CAP" if is(word(1), "LS") || is(word(1), "LIST") => {
                let others = |name: &&str| !is(name, CAPABILITY);
                let last = line.parameters.last().copied().unwrap_or("");
                let all: Vec<&str> = last.split(' ').filter(others).collect();
                let head = text.strip_suffix(last).unwrap_or(text);
                say(client, &format!("{head}{}", all.join(" ")));
            }
            _ => self.show(&line, text, client),
        }
        Verdict::GoOn
    }

    /// The gateway knows who this is: all that is not done is said again.
    fn resume(&mut self, gateway: &mut String) {
        self.phase = Phase::Settled;
        self.known = self.shown;
        for (_, line) in &self.pending {
            say(gateway, line);
        }
        if let Some(farewell) = self.farewell.take() {
            self.leave(&farewell, gateway);
        }
    }

    fn done(&mut self, number: &str) {
        let number: Option<u64> = number.parse().ok();
        self.pending.retain(|(of, _)| Some(*of) != number);
    }

    /// The client and the gateway have agreed about capabilities.
    fn agree(&mut self, granted: bool, names: &str) {
        for name in names.split(' ').filter(|name| !name.is_empty() && granted) {
            match name.strip_prefix('-') {
                Some(name) => self.capabilities.remove(name),
                None => self.capabilities.insert(name.to_owned()),
            };
        }
    }

    /// Passes a line on, unless it was shown before.
    fn show(&mut self, line: &Line<'_>, text: &str, client: &mut String) {
        let place = line.tag("paxcast/place").and_then(|place| {
            let (place, _) = place.split_once('.').unwrap_or((place, ""));
            place.parse::<u64>().ok()
        });
        if let Some(place) = place {
            if place < self.known.place {
                return;
            }
            if place == self.known.place && self.known.lines > 0 {
                self.known.lines -= 1;
                return;
            }
            match place == self.shown.place {
                true => self.shown.lines += 1,
                false => self.shown = Shown { place, lines: 1 },
            }
        }
        match line.command {
            "001" => {
                self.phase = Phase::Settled;
                if let Some(nick) = line.parameters.first() {
                    self.nick = (*nick).to_owned();
                }
            }
            "NICK" => {
                let by = line.source.and_then(|source| source.split('!').next());
                if by.is_some_and(|by| is(by, &self.nick))
                    && let Some(nick) = line.parameters.first()
                {
                    self.nick = (*nick).to_owned();
                }
            }
            _ => {}
        }
        say(client, &without_ours(text));
    }
}

/// Appends a line with its end.
fn say(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Whether a client asks for what the front has asked for itself.
fn asks_for_ours(line: &Line<'_>) -> bool {
    let [command, names, ..] = line.parameters[..] else {
        return false;
    };
    let bare = |name: &str| name.trim_start_matches('-').to_owned();
    is(command, "REQ") && names.split(' ').any(|name| is(&bare(name), CAPABILITY))
}

/// Says no to that.
fn refuse(nick: &str, line: &Line<'_>, client: &mut String) {
    let names = line.parameters.get(1).copied().unwrap_or("");
    say(client, &format!("CAP {nick} NAK :{names}"));
}

/// A line with a number, and without one that it had.
fn number(number: u64, text: &str) -> String {
    let text = without_ours(text);
    match text.strip_prefix('@') {
        Some(tagged) => format!("@paxcast/number={number};{tagged}"),
        None => format!("@paxcast/number={number} {text}"),
    }
}

/// A line without the tags that gateways and fronts use among themselves.
fn without_ours(text: &str) -> String {
    let Some((tags, rest)) = text.strip_prefix('@').and_then(|text| text.split_once(' ')) else {
        return text.to_owned();
    };
    let others = |tag: &&str| !tag.starts_with("paxcast/");
    let tags: Vec<&str> = tags.split(';').filter(others).collect();
    match tags.is_empty() {
        true => rest.to_owned(),
        false => format!("@{} {rest}", tags.join(";")),
    }
}

#[cfg(test)]
mod tests {
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
            "@paxcast/place=9 :carol!a@h JOIN #a",
        ]);
        assert_eq!(rig.told(), [":carol!a@h JOIN #a"]);
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
        let mut rig = Rig::new();
        rig.attach();
        assert_eq!(rig.relay.detach(&mut rig.client), Verdict::Close);
        assert_eq!(rig.told(), ["ERROR :The server is gone; try again"]);
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
}
