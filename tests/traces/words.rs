//! Messages as text, both ways.
//!
//! A message is said in the words of the simulator's traces ([`describe`]); its
//! values, of which those tell only the size, follow behind a colon:
//!
//! ```text
//! accept 1.p1 #1 12B decided #0: {c1.0001 1 "v"}
//! promise 2.p2 #1.. watermark 1.p1/#0 votes [#1@1.p1 #2@1.p1]: "v" -
//! submit c1.0001 1..=2 behind 0, born #5, 4B: "a" "b"
//! ```
//!
//! `-` is a no-op, `{…}` a batch of runs (session, first number, birth if it is not
//! #0, items), `"v"+` a piece of a value that goes on, `"x"*1000` a long value.
//! What is read need not name sizes.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use paxcast::protocol::value::runs;
use paxcast::protocol::{
    Ballot, Instance, Item, Message, Payload, Payloads, ProcessId, Progress, Role, Run, Session,
    Span, Vote, Watermark,
};
use paxcast::sim::trace::describe;

/// Says a message.
pub fn say(message: &Message) -> String {
    let mut values = Vec::new();
    match message {
        Message::Submit { run, .. } => values.push(say_items(run)),
        _ => message.each_payload(&mut |payload| values.push(say_value(payload.bytes()))),
    }
    match values.is_empty() {
        true => describe(message),
        false => format!("{}: {}", describe(message), values.join(" ")),
    }
}

/// Says a batch, or what only acceptors look at: a few bytes.
pub fn say_value(value: &Bytes) -> String {
    let read: Vec<Run> = runs(value).collect();
    let length: usize = read.iter().map(|run| run.encode().len()).sum();
    match (value.is_empty(), length == value.len()) {
        (true, _) => "-".to_string(),
        (_, false) => say_bytes(value),
        (_, true) => {
            let runs: Vec<String> = read.iter().map(say_run).collect();
            format!("{{{}}}", runs.join("; "))
        }
    }
}

/// Says a run in its place in a batch.
fn say_run(run: &Run) -> String {
    let born = match run.birth {
        Instance::ZERO => String::new(),
        birth => format!(" born {birth}"),
    };
    format!("{} {}{born} {}", run.session, run.first, say_items(run))
}

fn say_items(run: &Run) -> String {
    let items: Vec<String> = run
        .items()
        .map(|item| say_bytes(&item.bytes) + if item.continues { "+" } else { "" })
        .collect();
    items.join(" ")
}

/// Says bytes; long ones of one letter by their number.
pub fn say_bytes(bytes: &[u8]) -> String {
    match bytes {
        [first, rest @ ..] if rest.len() > 20 && rest.iter().all(|byte| byte == first) => {
            format!("\"{}\"*{}", [*first].escape_ascii(), bytes.len())
        }
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// Reads words one after the other.
pub struct Reader<'a> {
    words: std::vec::IntoIter<String>,
    /// Sessions whose names do not tell all of them.
    sessions: &'a BTreeMap<String, Session>,
}

/// What was read, or what is wrong with it.
pub type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    /// A reader of this text. `sessions` are known by more than their names tell.
    pub fn new(text: &str, sessions: &'a BTreeMap<String, Session>) -> Read<Reader<'a>> {
        Ok(Reader {
            words: split(text)?.into_iter(),
            sessions,
        })
    }

    /// The message that fills the text.
    pub fn message(mut self) -> Read<Message> {
        let name = self.word()?;
        let mut message = self.fields(&name)?;
        if self.skip(":") {
            match &mut message {
                Message::Submit { run, .. } => {
                    let (count, items) = self.items()?;
                    let said = u64::from(run.count);
                    if u64::from(count) != said {
                        return Err(format!("{count} items, but {said} numbers"));
                    }
                    run.items = Payload::new(items);
                }
                _ => {
                    let mut wrong = None;
                    message.each_payload_mut(&mut |payload| match self.value() {
                        Ok(value) => *payload = Payload::new(value),
                        Err(error) => wrong = Some(error),
                    });
                    if let Some(error) = wrong {
                        return Err(error);
                    }
                }
            }
        }
        match self.words.next() {
            None => Ok(message),
            Some(word) => Err(format!("{word:?} is too much")),
        }
    }

    /// The fields of a message of this name, in the order in which they are said.
    fn fields(&mut self, name: &str) -> Read<Message> {
        Ok(match name {
            "submit" => {
                let session = self.session()?;
                let (first, last) = self.numbers()?;
                let acknowledged = self.after("behind")?;
                let birth = Instance(self.after("born")?);
                self.size();
                let count = (last + 1).checked_sub(first).ok_or("numbers ascend")?;
                let run = Run {
                    session,
                    birth,
                    first,
                    count: u32::try_from(count).map_err(|_| "too many items")?,
                    items: Payload::default(),
                };
                Message::Submit { acknowledged, run }
            }
            "inquire" => Message::Inquire {
                session: self.session()?,
                acknowledged: self.after("behind")?,
            },
            "acknowledge" => {
                let mut sessions = Vec::new();
                while !self.skip("at") {
                    sessions.push(Progress {
                        session: self.session()?,
                        last: number(&self.word()?)?,
                        evicted: self.skip("evicted"),
                    });
                }
                Message::Acknowledge {
                    delivered: Instance(number(&self.word()?)?),
                    sessions,
                }
            }
            "credit" => Message::Credit {
                bytes: self.buffer()?,
                decided: Instance(self.after("decided")?),
            },
            "missing" => {
                let session = self.session()?;
                let gaps = std::iter::from_fn(|| self.more().then(|| self.numbers()));
                let gaps = gaps.collect::<Read<Vec<(u64, u64)>>>()?;
                Message::Missing { session, gaps }
            }
            "prepare" => {
                let ballot = self.ballot()?;
                let (from, through) = self.interval()?;
                Message::Prepare {
                    ballot,
                    from,
                    through,
                }
            }
            "promise" => {
                let ballot = self.ballot()?;
                let (from, through) = self.interval()?;
                self.expect("watermark")?;
                let watermark = watermark(&self.word()?)?;
                self.expect("votes")?;
                Message::Promise {
                    ballot,
                    from,
                    through,
                    watermark,
                    votes: self.votes()?,
                }
            }
            "nack" => Message::Nack {
                ballot: self.ballot()?,
                promised: {
                    self.expect("promised")?;
                    self.ballot()?
                },
            },
            "busy" => Message::Busy {
                ballot: self.ballot()?,
                leader: {
                    self.expect("hears")?;
                    self.ballot()?
                },
            },
            "accept" => {
                let ballot = self.ballot()?;
                let instance = Instance(number(&self.word()?)?);
                self.size();
                Message::Accept {
                    ballot,
                    instance,
                    decided: Instance(self.after("decided")?),
                    value: Payload::default(),
                }
            }
            "accepted" => Message::Accepted {
                ballot: self.ballot()?,
                instances: self.spans()?,
            },
            "heartbeat" => Message::Heartbeat {
                ballot: self.ballot()?,
                decided: Instance(self.after("decided")?),
            },
            "alive" => Message::Alive {
                ballot: self.ballot()?,
                buffer: self.buffer()?,
            },
            "following" => Message::Following {
                through: Instance(number(&self.word()?)?),
                buffer: self.buffer()?,
            },
            "request" => {
                self.expect("of")?;
                let acceptor = process(&self.word()?)?.id;
                let everyone = self.skip("for") && self.skip("everyone");
                let spans = self.spans()?;
                self.expect("up")?;
                self.expect("to")?;
                Message::Request {
                    acceptor,
                    spans,
                    bytes: bytes(&self.word()?)?,
                    everyone,
                }
            }
            "votes" => {
                let votes = self.votes()?;
                self.expect("watermarks")?;
                self.expect("[")?;
                let mut watermarks = Vec::new();
                while !self.skip("]") {
                    watermarks.push(watermark(&self.word()?)?);
                }
                Message::Votes {
                    watermarks,
                    votes,
                    last: self.skip("last"),
                }
            }
            "stuck" => {
                let word = self.word()?;
                let (from, through) = range(&word)?;
                let span = Span {
                    from: Instance(from),
                    through: Instance(through.ok_or(format!("no end in {word:?}"))?),
                };
                Message::Stuck { span }
            }
            "forgotten" => {
                let through = Instance(self.after("through")?);
                Message::Forgotten { through }
            }
            "checkpointed" => {
                let through = Instance(self.after("through")?);
                Message::Checkpointed { through }
            }
            "listening" => Message::Listening {
                buffer: self.buffer()?,
            },
            "confirm" => Message::Confirm {
                nonce: hexadecimal(&self.word()?)?,
            },
            "confirmed" => Message::Confirmed {
                nonce: hexadecimal(&self.word()?)?,
                highest: Instance(self.after("highest")?),
            },
            "digest" => Message::Digest {
                instance: Instance(number(&self.word()?)?),
                digest: hexadecimal(&self.word()?)?,
            },
            "behind" => Message::Behind {
                delivered: Instance(self.after("delivered")?),
            },
            "offer" => Message::Offer {
                through: Instance(self.after("through")?),
                length: bytes(&self.word()?)?.into(),
                checksum: hexadecimal(&self.word()?)? as u32,
            },
            "fetch" => Message::Fetch {
                through: Instance(self.after("through")?),
                offset: self.after("from")?,
                bytes: bytes(&self.word()?)?,
            },
            "piece" => {
                let through = Instance(self.after("through")?);
                let offset = self.after("from")?;
                self.size();
                Message::Piece {
                    through,
                    offset,
                    bytes: Payload::default(),
                }
            }
            _ => return Err(format!("no message is called {name:?}")),
        })
    }

    /// A value: a no-op, a batch, or a few bytes.
    fn value(&mut self) -> Read<Bytes> {
        if self.skip("-") {
            return Ok(Bytes::new());
        }
        if self.peek().is_none_or(|word| word != "{") {
            return text(&self.word()?).map(|(bytes, _)| bytes);
        }
        self.expect("{")?;
        let mut batch = BytesMut::new();
        loop {
            self.run()?.encode_into(&mut batch);
            if self.skip("}") {
                return Ok(batch.freeze());
            }
            self.expect(";")?;
        }
    }

    /// A run in a batch.
    fn run(&mut self) -> Read<Run> {
        let session = self.session()?;
        let first = number(&self.word()?)?;
        let birth = match self.peek().is_some_and(|word| word == "born") {
            true => Instance(self.after("born")?),
            false => Instance::ZERO,
        };
        let (count, items) = self.items()?;
        Ok(Run {
            session,
            birth,
            first,
            count,
            items: Payload::new(items),
        })
    }

    /// Items of a run, through the next word that is none.
    fn items(&mut self) -> Read<(u32, Bytes)> {
        let mut items = BytesMut::new();
        let mut count = 0;
        while self.peek().is_some_and(|word| word.starts_with('"')) {
            let (bytes, continues) = text(&self.word()?)?;
            Item::encode(continues, &bytes, &mut items);
            count += 1;
        }
        Ok((count, items.freeze()))
    }

    /// Values one after the other, through the end.
    pub fn values(self) -> Read<Vec<Bytes>> {
        self.words.map(|word| Ok(text(&word)?.0)).collect()
    }

    fn votes(&mut self) -> Read<Vec<Vote>> {
        self.expect("[")?;
        let mut votes = Vec::new();
        while !self.skip("]") {
            let word = self.word()?;
            let (instance, voted) = word.split_once('@').ok_or(format!("no vote: {word:?}"))?;
            votes.push(Vote {
                instance: Instance(number(instance)?),
                ballot: ballot(voted)?,
                value: Payload::default(),
            });
        }
        Ok(votes)
    }

    fn spans(&mut self) -> Read<Vec<Span>> {
        let mut spans = Vec::new();
        while self.peek().is_some_and(|word| word.starts_with('#')) {
            let (from, through) = range(&self.word()?)?;
            spans.push(Span {
                from: Instance(from),
                through: Instance(through.ok_or("a span ends")?),
            });
        }
        Ok(spans)
    }

    fn interval(&mut self) -> Read<(Instance, Option<Instance>)> {
        let (from, through) = range(&self.word()?)?;
        Ok((Instance(from), through.map(Instance)))
    }

    fn numbers(&mut self) -> Read<(u64, u64)> {
        let word = self.word()?;
        let (first, last) = range(&word)?;
        Ok((first, last.ok_or(format!("no end in {word:?}"))?))
    }

    fn session(&mut self) -> Read<Session> {
        let word = self.word()?;
        if let Some(session) = self.sessions.get(&word) {
            return Ok(*session);
        }
        let (client, incarnation) = word.split_once('.').unwrap_or((&word, "1"));
        let incarnation = u64::from_str_radix(incarnation, 16);
        Ok(Session {
            client: process(client)?.id,
            incarnation: incarnation.map_err(|_| format!("no session: {word:?}"))?,
        })
    }

    fn ballot(&mut self) -> Read<Ballot> {
        ballot(&self.word()?)
    }

    fn buffer(&mut self) -> Read<u32> {
        self.skip("buffer");
        bytes(&self.word()?)
    }

    /// Passes over a size, which nobody needs to name.
    fn size(&mut self) {
        let digits = |word: &String| word.starts_with(|letter: char| letter.is_ascii_digit());
        if self.peek().is_some_and(digits) {
            self.words.next();
        }
    }

    /// The number behind this word.
    fn after(&mut self, word: &str) -> Read<u64> {
        self.expect(word)?;
        number(&self.word()?)
    }

    fn word(&mut self) -> Read<String> {
        self.words
            .next()
            .ok_or_else(|| "something is missing at the end".to_string())
    }

    fn expect(&mut self, expected: &str) -> Read<()> {
        match self.word()? {
            word if word == expected => Ok(()),
            word => Err(format!("{expected:?} is expected, not {word:?}")),
        }
    }

    fn skip(&mut self, word: &str) -> bool {
        let here = self.peek().is_some_and(|next| next == word);
        if here {
            self.words.next();
        }
        here
    }

    fn peek(&self) -> Option<&String> {
        self.words.as_slice().first()
    }

    fn more(&self) -> bool {
        self.peek().is_some()
    }
}

/// Cuts a text into words; brackets and the colon before values are their own.
fn split(text: &str) -> Read<Vec<String>> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        let word = words.last_mut().expect("there is one");
        match letter {
            '"' => {
                quoted = !quoted;
                word.push('"');
            }
            _ if quoted => word.push(letter),
            ' ' | ',' => words.push(String::new()),
            '[' | ']' | '{' | '}' | ':' | ';' => {
                words.push(letter.to_string());
                words.push(String::new());
            }
            _ => word.push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    match quoted {
        true => Err("a quote is not closed".to_string()),
        false => Ok(words),
    }
}

/// A process: `a2`, or `a2~7` in its start 7.
pub fn process(word: &str) -> Read<ProcessId> {
    let (name, incarnation) = word.split_once('~').unwrap_or((word, "1"));
    let role = Role::ALL
        .into_iter()
        .find(|role| name.starts_with(&role.name()[..1]))
        .ok_or(format!("no process: {word:?}"))?;
    let id = name[1..].parse();
    Ok(ProcessId {
        role,
        id: id.map_err(|_| format!("no process: {word:?}"))?,
        incarnation: number(incarnation)?,
    })
}

/// A process as it is read.
pub fn say_process(process: ProcessId) -> String {
    match process.incarnation {
        1 => process.to_string(),
        incarnation => format!("{process}~{incarnation}"),
    }
}

/// A ballot: `3.p1`, or `3.p1~7` of another start of p1; `0.p0` is nobody's.
fn ballot(word: &str) -> Read<Ballot> {
    let (round, owner) = word.split_once('.').ok_or(format!("no ballot: {word:?}"))?;
    let round = number(round)?;
    let owner = process(owner)?;
    Ok(match (round, owner.id) {
        (0, 0) => Ballot::ZERO,
        _ => Ballot {
            round,
            proposer: owner.id,
            incarnation: owner.incarnation,
        },
    })
}

fn watermark(word: &str) -> Read<Watermark> {
    let (announced, through) = word
        .split_once('/')
        .ok_or(format!("no watermark: {word:?}"))?;
    Ok(Watermark {
        ballot: ballot(announced)?,
        through: Instance(number(through)?),
    })
}

/// A number, with or without the mark of an instance.
fn number(word: &str) -> Read<u64> {
    let digits = word.strip_prefix('#').unwrap_or(word);
    digits.parse().map_err(|_| format!("no number: {word:?}"))
}

/// A number in the digits of hexadecimal.
fn hexadecimal(word: &str) -> Read<u64> {
    u64::from_str_radix(word, 16).map_err(|_| format!("no number: {word:?}"))
}

/// A number of bytes.
fn bytes(word: &str) -> Read<u32> {
    word.strip_suffix('B')
        .and_then(|digits| digits.parse().ok())
        .ok_or(format!("no number of bytes: {word:?}"))
}

/// `from..=through`, or `from..`.
pub fn range(word: &str) -> Read<(u64, Option<u64>)> {
    let (from, through) = word.split_once("..").ok_or(format!("no range: {word:?}"))?;
    let through = match through.strip_prefix('=') {
        None if through.is_empty() => None,
        None => return Err(format!("no range: {word:?}")),
        Some(through) => Some(number(through)?),
    };
    Ok((number(from)?, through))
}

/// A value in quotes, and whether it goes on.
fn text(word: &str) -> Read<(Bytes, bool)> {
    let (word, continues) = match word.strip_suffix('+') {
        Some(word) => (word, true),
        None => (word, false),
    };
    let wrong = || format!("no value: {word:?}");
    let (quoted, times) = match word.rsplit_once("\"*") {
        Some((quoted, times)) => (&word[..=quoted.len()], times.parse().map_err(|_| wrong())?),
        None => (word, 1),
    };
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|inner| !inner.contains(['"', '\\']))
        .ok_or_else(wrong)?;
    Ok((Bytes::from(inner.repeat(times)), continues))
}

#[test]
fn every_message_is_read_as_it_is_said() {
    let said = [
        "submit c1.0001 1..=2 behind 0, born #5, 4B: \"a\" \"b\"+",
        "inquire c1.002a behind 9",
        "acknowledge c1.0001 9, c2.0001 0 evicted at #41",
        "acknowledge  at #41",
        "credit 70000B decided #41",
        "missing c1.0001 10..=12 15..=15",
        "prepare 3.p2 #301..",
        "prepare 3.p2 #301..=#302",
        "promise 3.p2 #1..=#2 watermark 2.p1/#0 votes [#1@1.p1 #2@2.p1]: \"one\" -",
        "promise 3.p2 #1.. watermark 0.p0/#0 votes []",
        "nack 1.p1, promised 2.p2",
        "busy 2.p2, hears 1.p1",
        "accept 3.p2 #301 5B decided #300: \"batch\"",
        "accept 3.p2 #301 0B decided #300: -",
        "accept 3.p2 #1 29B decided #0: {c1.0001 1 \"v\" \"w\"; c2.0001 7 born #3 \"x\"*30}",
        "accepted 3.p2 #301..=#305 #307..=#307",
        "heartbeat 3.p2 decided #300",
        "alive 3.p2 buffer 425984B",
        "following #305 buffer 425984B",
        "request of a2 for everyone #301..=#305 up to 65536B",
        "request of a2 #1..=#2 #4..=#4 up to 65536B",
        "votes [#301@3.p2] watermarks [3.p2/#300] last: \"one\"",
        "votes [] watermarks []",
        "stuck #1..=#64",
        "listening buffer 425984B",
        "forgotten through #300",
        "checkpointed through #300",
        "confirm 0123456789abcdef",
        "confirmed 0123456789abcdef highest #305",
        "digest #1024 fedcba9876543210",
        "behind delivered #300",
        "offer through #300 1048576B 89abcdef",
        "fetch through #300 from 65536 262144B",
        "piece through #300 from 65536 5B: \"piece\"",
    ];
    let mut names = std::collections::BTreeSet::new();
    for words in said {
        let read = |words: &str| Reader::new(words, &BTreeMap::new())?.message();
        let message = read(words).unwrap_or_else(|error| panic!("{words}: {error}"));
        names.insert(message.name());
        let again = say(&message);
        // Sizes need not be right to be read.
        assert_eq!(
            again.split(' ').count(),
            words.split(' ').count(),
            "{again}"
        );
        assert_eq!(read(&again), Ok(message), "{again}");
    }
    assert_eq!(names.len(), Message::NAMES.len(), "one of each");
}
