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

use super::wording::{
    CAPABILITY, asks_for_ours, introduces, is, number, refuse, say, without_ours,
};
use crate::gateway::irc::line::Line;

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
    /// It has said all that it takes to come in.
    introduced: bool,
    /// The number of the last line.
    number: u64,
    /// Lines that are not done.
    pending: VecDeque<(u64, String)>,
    /// The client was asked whether it is there, and has said nothing since.
    asked: bool,
    /// The client was told that it waits.
    held: bool,
    /// The nick by which the gateway greeted who came back.
    greeted: Option<String>,
    /// By what the gateway that is told who this is asks whether that is still wished.
    question: Option<String>,
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
            introduced: false,
            number: 0,
            pending: VecDeque::new(),
            asked: false,
            held: false,
            greeted: None,
            question: None,
            farewell: None,
            shown: Shown::default(),
            known: Shown::default(),
        }
    }

    /// Whether more of the client's lines are wanted.
    pub fn has_room(&self) -> bool {
        self.pending.len() < Self::PENDING
    }

    /// Tells the client, once, that what it says waits.
    pub fn hold(&mut self, client: &mut String) {
        if matches!(self.phase, Phase::Waiting | Phase::Returning) && !self.held {
            self.held = true;
            self.notice(
                "No server can be reached now; what you say waits for one",
                client,
            );
        }
    }

    fn notice(&self, text: &str, client: &mut String) {
        say(client, &format!(":front NOTICE {} :*** {text}", self.nick));
    }

    /// Whether it has still to be known at a gateway: then there is nobody who could
    /// take its lines.
    pub fn is_greeting(&self) -> bool {
        self.phase == Phase::Greeting
    }

    /// Whether a gateway knows it, as far as it has heard.
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Settled
    }

    /// Bytes of memory that it holds.
    pub fn held(&self) -> usize {
        let lines = self.pending.iter().map(|(_, line)| line.capacity());
        lines.sum::<usize>() + self.pending.capacity() * size_of::<(u64, String)>()
    }

    /// Tells the client that a line was too long.
    pub fn refuse_long(&self, client: &mut String) {
        let nick = if self.nick.is_empty() {
            "*"
        } else {
            &self.nick
        };
        say(client, &format!("417 {nick} :Input line was too long"));
    }

    /// A gateway is there: tells it who this is.
    pub fn attach(&mut self, gateway: &mut String) {
        if self.phase == Phase::Greeting {
            say(gateway, &format!("CAP REQ :{CAPABILITY}"));
            return;
        }
        self.phase = Phase::Returning;
        self.question = None;
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
                if self.introduced {
                    // It may have come in all the same, and must not stay as a ghost.
                    self.phase = Phase::Waiting;
                    self.farewell = Some("QUIT :Connection closed".to_owned());
                }
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

    /// Answers what the gateway has asked, if it has.
    fn answer(&mut self, gateway: &mut String) {
        if let Some(word) = self.question.take() {
            say(gateway, &format!("PONG :{word}"));
        }
    }

    /// The client says good-bye.
    fn leave(&mut self, line: &str, gateway: &mut String) {
        match self.phase {
            Phase::Waiting | Phase::Returning => {
                self.farewell.get_or_insert_with(|| line.to_owned());
                self.answer(gateway);
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
        self.asked = false;
        match (self.phase, command.as_str()) {
            (Phase::Leaving, _) => {}
            // Whoever asked is gone.
            (Phase::Waiting, "PONG") => {}
            (Phase::Returning, "PONG") => {
                let word = line.parameters.last().copied();
                if self.question.as_deref() == word {
                    self.answer(gateway);
                }
            }
            _ if self.farewell.is_some() => {}
            (_, "QUIT") => self.leave(text, gateway),
            (_, "PAXOS") if line.parameters.first().is_some_and(|word| is(word, "SEEN")) => {}
            (Phase::Greeting, command) if !self.introduced || introduces(command) => {
                self.greet(command, &line, text, client, gateway)
            }
            (_, "PONG") => say(gateway, text),
            (_, "CAP") if asks_for_ours(&line) => refuse(&self.nick, &line, client),
            (phase, _) => {
                self.number += 1;
                let numbered = number(self.number, text);
                if matches!(phase, Phase::Settled | Phase::Greeting) {
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
            "PASS" if self.introduced => return,
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
        if !self.introduced && !self.negotiating && !self.nick.is_empty() && !self.user.is_empty() {
            self.introduced = true;
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
            "PAXOS" if is(word(0), "RESUMED") => {
                if std::mem::take(&mut self.held) {
                    self.notice("A server can be reached again", client);
                }
                self.resume(gateway);
            }
            "PAXOS" if is(word(0), "GAP") => {
                self.known.lines = usize::MAX;
                self.follow(client);
            }
            "PAXOS" if is(word(0), "AT") => self.arrive(word(1)),
            "PAXOS" if is(word(0), "FRESH") => {
                say(
                    client,
                    "ERROR :Your session has ended while no server could be reached; come in again",
                );
                // And that other session is nobody's.
                say(gateway, "QUIT :Connection closed");
                self.phase = Phase::Leaving;
                return Verdict::Close;
            }
            "PAXOS" if is(word(0), "DISPLACED") => {
                say(client, "ERROR :You have come in somewhere else");
                self.phase = Phase::Leaving;
                return Verdict::Close;
            }
            // Nobody here can do anything about that.
            "CAP" if self.phase == Phase::Returning && is(word(1), "NAK") => {
                return self.turn_away("other capabilities", client);
            }
            "432" | "433" | "437" | "451" | "465" if self.phase == Phase::Returning => {
                return self.turn_away(line.command, client);
            }
            "001" if self.phase == Phase::Returning => {
                self.greeted = Some(word(0).to_owned());
            }
            // The gateway asks whether this is the client's wish still; of one that is
            // gone the front wishes to say so.
            "PING" if self.phase == Phase::Returning => {
                self.question = Some(word(0).to_owned());
                match self.farewell.is_some() || !self.has_room() {
                    // Nor is anything read of one that has so much to say.
                    true => self.answer(gateway),
                    false => say(client, text),
                }
            }
            // What comes now is known from the first time.
            _ if self.phase == Phase::Returning => {}
            // It has not answered for too long.
            "ERROR" if self.phase == Phase::Settled && self.asked => {
                self.leave("QUIT :Ping timeout", gateway);
                say(client, text);
                return Verdict::Close;
            }
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

    /// The client has another nick, and will not be shown since when.
    fn follow(&mut self, client: &mut String) {
        if let Some(nick) = self.greeted.take().filter(|nick| *nick != self.nick) {
            say(client, &format!(":{} NICK :{nick}", self.nick));
            self.nick = nick;
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

    /// Everything through this place is on the client's screen.
    fn arrive(&mut self, place: &str) {
        let next = place
            .parse()
            .map_or(0, |place: u64| place.saturating_add(1));
        if next > self.shown.place {
            self.shown = Shown {
                place: next,
                lines: 0,
            };
        }
    }

    /// The client cannot be brought back.
    fn turn_away(&mut self, why: &str, client: &mut String) -> Verdict {
        say(
            client,
            &format!("ERROR :You cannot be brought to another server ({why}); come in again"),
        );
        self.phase = Phase::Leaving;
        Verdict::Close
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
            // There may be another number of these when they are shown again; a line
            // that is counted is behind them.
            let counts = usize::from(line.tag("paxcast/now").is_none());
            if place == self.known.place && self.known.lines > 0 {
                self.known.lines -= counts;
                return;
            }
            let lines = match place == self.shown.place {
                true => self.shown.lines + counts,
                false => counts,
            };
            self.shown = Shown { place, lines };
        }
        match line.command {
            "PING" => self.asked = true,
            "001" => {
                // Unless it has said good-bye already.
                if self.phase == Phase::Greeting {
                    self.phase = Phase::Settled;
                }
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

#[cfg(test)]
mod tests;
