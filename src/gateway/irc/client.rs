//! One connection: what its client is, and what is said to it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use super::caps::Caps;
use super::flood::Bucket;
use super::guesses::{Guess, origin};
use super::line::{Line, Lines, Step};
use super::numerics::Numeric;
use super::sasl::Exchange;
use super::whose::Whose;
use super::wish::Wish;
use crate::gateway::crowd::{Guest, Newcomer};
use crate::gateway::stream::Stream;
use crate::protocol::Time;
use crate::service::Place;
use crate::service::chat::command::{Gateway, SessionId};
use crate::service::chat::name;

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    /// Its place in the crowd, and which guest of that place it is.
    pub slot: usize,
    /// See `slot`.
    pub generation: u32,
    /// Its number, never used twice in one run of the gateway.
    pub serial: u64,
    address: String,
    /// Whence it comes, as far as addresses tell who is who.
    pub origin: IpAddr,
    /// Whence it comes, as others are shown it.
    pub host: String,
    /// The name of this server.
    pub server: Arc<str>,
    /// How far it has come.
    pub state: State,
    /// The nick, wanted or had; empty while there is none.
    pub nick: String,
    /// User name and real name.
    pub user: Option<(String, String)>,
    /// The digest of the secret by which it can come back.
    pub token: Option<[u8; 32]>,
    /// The account whose password it knew.
    pub account: Option<String>,
    /// An authentication under way.
    pub exchange: Option<Exchange>,
    /// A password that waits to be checked.
    pub guess: Option<Guess>,
    /// Passwords that were not right.
    pub failures: u32,
    /// What it understands.
    pub caps: Caps,
    /// It negotiates capabilities: registration waits for the end of that.
    pub negotiating: bool,
    /// That it wants to come in, from when it has said all that it takes.
    pub wish: Option<Wish>,
    /// It goes on where it was: it has seen everything through here.
    pub seen: Option<Place>,
    /// It asks how the gateway is, as fronts do, and has not come in.
    pub asks: bool,
    /// When it came, or asked last.
    pub since: Time,
    /// When it said something last.
    pub heard: Time,
    /// It was asked whether it is there.
    pub pinged: bool,
    /// How many lines it may send.
    pub bucket: Bucket,
    /// It waits for the next one.
    pub lagging: bool,
    /// Commands that were submitted and not answered yet.
    pub under_way: usize,
    /// A line that waits, and whether it was taken out of the bucket.
    pub held: Option<(String, bool)>,
    lines: Lines,
    /// No whole line is left of what came in.
    pub drained: bool,
    /// Nothing more is read; it ends when all is sent.
    pub closing: bool,
    /// Why it ends, as others are told it.
    pub reason: Option<&'static str>,
    /// The last effect that it was shown.
    pub mark: u64,
    /// All that happened through here had left when what waits now began to wait.
    left: Place,
    /// All that was shown when it was heard last.
    pub alive: Place,
    /// What it was sent since then has perhaps not reached it.
    pub doubtful: bool,
    /// The first place of which it was not shown all.
    missed: Option<Place>,
    /// It does not take what it is sent.
    pub choked: bool,
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not said who it is.
    Registering,
    /// Its session is being opened; `true` when that is to be tried again.
    Opening(bool),
    /// Its session is open, and it has not been told.
    Arriving {
        /// The session.
        session: SessionId,
        /// Where it was opened.
        opened: Place,
        /// It came back: everything through here it has seen.
        resumed: Option<Place>,
        /// The highest number of what it has done.
        number: u64,
    },
    /// It is in the chat.
    Open(SessionId),
    /// It has said good-bye.
    Leaving(SessionId),
    /// It has no session any more.
    Over,
}

/// What comes next of what a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A line, and whether it was paid for.
    Line(String, bool),
    /// A line that was too long.
    TooLong,
    /// Nothing yet.
    Nothing,
}

impl Client {
    /// Bytes that may wait for a client; one that takes less is cut off.
    pub const QUEUE: usize = 4 << 20;

    /// Lists end when so much waits; other things have the rest.
    pub const LISTS: usize = 2 << 20;

    /// Over so many bytes that wait, nothing more is read from it.
    const PATIENCE: usize = 256 << 10;

    /// Bytes that are read in search of an answer that is waited for.
    const PROOF: usize = 128 << 10;

    /// Bytes of a line as it is sent, without tags and its end.
    const LINE: usize = 510;

    /// One that has just come.
    pub fn new(newcomer: Newcomer, server: Arc<str>, now: Time) -> Client {
        let host = match newcomer.from.ip().to_canonical() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => ip.to_string(),
        };
        // A word that begins with a colon would be the last.
        let host = match host.starts_with(':') {
            true => format!("0{host}"),
            false => host,
        };
        Client {
            stream: newcomer.stream,
            slot: newcomer.slot,
            generation: newcomer.generation,
            serial: newcomer.serial,
            address: newcomer.from.to_string(),
            origin: origin(newcomer.from.ip()),
            host,
            server,
            state: State::Registering,
            nick: String::new(),
            user: None,
            token: None,
            account: None,
            exchange: None,
            guess: None,
            failures: 0,
            caps: Caps::default(),
            negotiating: false,
            wish: None,
            seen: None,
            asks: false,
            since: now,
            heard: now,
            pinged: false,
            bucket: Bucket::new(now),
            lagging: false,
            under_way: 0,
            held: None,
            lines: Lines::default(),
            drained: true,
            closing: false,
            reason: None,
            mark: 0,
            left: Place::ZERO,
            alive: Place::ZERO,
            doubtful: false,
            missed: None,
            choked: false,
        }
    }

    /// What it is known by.
    pub fn whose(&self) -> Whose {
        Whose {
            slot: self.slot,
            generation: self.generation,
        }
    }

    /// Takes bytes in; everything through `place` was shown by now.
    pub fn feed(&mut self, bytes: &[u8], now: Time, place: Place) {
        self.lines.feed(bytes);
        if let Some(wish) = &mut self.wish {
            wish.hear(bytes);
        }
        self.alive = place;
        self.drained = false;
        self.heard = now;
        self.pinged = false;
    }

    /// The next line.
    pub fn next_line(&mut self) -> Next {
        if let Some((line, paid)) = self.held.take() {
            return Next::Line(line, paid);
        }
        match self.lines.advance() {
            Step::Line(line) => Next::Line(line.into_owned(), false),
            Step::TooLong => Next::TooLong,
            Step::Incomplete => {
                self.drained = true;
                Next::Nothing
            }
        }
    }

    /// Whether it has so much to take that nothing more is done for it.
    pub fn is_full(&self) -> bool {
        self.stream.pending() >= Self::PATIENCE
    }

    /// Whether lines of it wait.
    pub fn has_lines(&self) -> bool {
        self.held.is_some() || !self.drained
    }

    /// Whether it has gone, and could come back, or has by now. One that could not may be a
    /// script that has said all it has to say.
    pub fn has_left(&self) -> bool {
        (self.account.is_some() || self.token.is_some()) && self.stream.is_over()
    }

    /// Asks whether it is there still, once; everything through `place` was shown by now.
    pub fn ask(&mut self, gateway: Gateway, now: Time, place: Place) {
        let name = format!("{}-{:x}-{}", gateway.id, gateway.run, self.serial);
        let wish = self.wish.get_or_insert(Wish::new(place));
        if let Some(word) = wish.question(&name, now, place) {
            let ping = format!("PING :{word}\r\n");
            self.push(&ping);
        }
    }

    /// Whether more is wanted of it, before its lines are done or behind them.
    pub fn wants_more(&self) -> bool {
        match self.wish.as_ref().and_then(Wish::asked) {
            Some(_) => self.lines.unread() < Self::PROOF,
            None => !self.has_lines(),
        }
    }

    /// Bytes that wait to be sent.
    pub fn pending(&self) -> usize {
        self.stream.pending()
    }

    /// The session that it has.
    pub fn session(&self) -> Option<SessionId> {
        match self.state {
            State::Open(session) | State::Leaving(session) | State::Arriving { session, .. } => {
                Some(session)
            }
            State::Registering | State::Opening(_) | State::Over => None,
        }
    }

    /// Everything through where was sent, when everything through `place` was shown.
    pub fn sent_through(&self, place: Place) -> Place {
        let shown = match self.missed {
            Some(missed) => Place(missed.0.saturating_sub(1)).min(place),
            None => place,
        };
        let shown = match self.doubtful {
            true => self.alive.min(shown),
            false => shown,
        };
        match self.stream.pending() {
            0 => shown,
            _ => self.left.min(shown),
        }
    }

    /// What happened at this place it was not shown.
    pub fn miss(&mut self, place: Place) {
        self.missed.get_or_insert(place);
    }

    /// What it is called by the server: `*` while it has no nick.
    pub fn name(&self) -> &str {
        match self.state {
            State::Registering | State::Opening(_) if self.nick.is_empty() => "*",
            _ => &self.nick,
        }
    }

    /// Says a line that comes of the command at `place`, with its tags and its end.
    pub fn show(&mut self, place: Place, line: &str) {
        if self.stream.pending() == 0 {
            self.left = Place(place.0.saturating_sub(1));
        }
        self.push(line);
        if self.closing || self.choked {
            self.miss(place);
        }
    }

    /// Says a line, with its end, unless too much waits.
    pub fn push(&mut self, line: &str) {
        if self.closing || self.choked {
            return;
        }
        if self.stream.pending() + line.len() > Self::QUEUE {
            self.choked = true;
            self.reason.get_or_insert("Send queue exceeded");
            return;
        }
        self.stream.out().extend_from_slice(line.as_bytes());
    }

    /// Says something from the server: command and parameters.
    pub fn say(&mut self, words: &str) {
        let line = format!(":{} {words}", self.server);
        self.push(&end(line));
    }

    /// Tells something by number.
    pub fn tell(&mut self, numeric: &Numeric) {
        self.tell_tagged("", numeric);
    }

    /// Tells something by number, behind these tags.
    pub fn tell_tagged(&mut self, tags: &str, numeric: &Numeric) {
        let mut line = format!(":{} {:03} {}", self.server, numeric.code, self.name());
        if !numeric.middle.is_empty() {
            write!(line, " {}", numeric.middle).expect("a string grows");
        }
        if !numeric.text.is_empty() {
            write!(line, " :{}", numeric.text).expect("a string grows");
        }
        let line = end(line);
        match tags {
            "" => self.push(&line),
            tags => self.push(&format!("{tags}{line}")),
        }
    }

    /// Says something to people.
    pub fn notice(&mut self, text: &str) {
        let line = format!("NOTICE {} :*** {text}", self.name());
        self.say(&line);
    }

    /// Says what went wrong with a command: for programs, if they read that, or for
    /// people.
    pub fn fail(&mut self, command: &str, code: &str, text: &str) {
        match self.caps.has(Caps::STANDARD_REPLIES) {
            true => self.say(&format!("FAIL {command} {code} :{text}")),
            false => self.notice(&format!("{command}: {text} ({code})")),
        }
    }

    /// Says good-bye, and ends once that is sent.
    pub fn end(&mut self, why: &str) {
        self.push(&end(format!("ERROR :Closing link: {} [{why}]", self.host)));
        self.closing = true;
    }

    /// A line of this number is done with.
    pub fn done(&mut self, number: Option<u64>) {
        if let Some(number) = number.filter(|_| self.caps.has(Caps::SESSION)) {
            self.say(&format!("PAXOS DONE {number}"));
        }
    }

    /// The number that the client gave a line.
    pub fn number(&self, line: &Line<'_>) -> Option<u64> {
        let wanted = self.caps.has(Caps::SESSION);
        let number = line.tag("paxcast/number").filter(|_| wanted)?;
        number.parse().ok().filter(|number| *number > 0)
    }

    /// Sends what waits; says how many bytes left.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn send(&mut self, now: Time) -> std::io::Result<usize> {
        self.stream.send(now)
    }
}

impl Guest for Client {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn held(&self) -> usize {
        let line = self.held.as_ref().map_or(0, |(line, _)| line.len());
        let guess = self.guess.as_ref();
        let guess = guess.map_or(0, |guess| guess.account.len() + guess.password.len());
        self.stream.held() + self.lines.held() + line + guess
    }

    fn address(&self) -> &str {
        &self.address
    }
}

/// A line with its end, cut to what a line may have.
pub fn end(mut line: String) -> String {
    if line.len() > Client::LINE {
        let length = name::cut(&line, Client::LINE).len();
        line.truncate(length);
    }
    line.push_str("\r\n");
    line
}
