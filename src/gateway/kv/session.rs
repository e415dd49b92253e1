//! What a connection is to its client: a name, a version of RESP, and perhaps a
//! transaction that it is about to make.
//!
//! A session understands requests. What concerns only the connection it answers
//! itself; what concerns the store it encodes; and what it cannot know (who else
//! is connected, how the store stands) it asks for.

mod paxos;

use super::about;
use super::backend::Kind;
use super::client;
use super::complaint::Complaint;
use super::table::{Act, Does, Row};
use crate::gateway::resp::{Arguments, Version, Writer};
use crate::service::kv::command::{Command, Operation, Stamped};
use crate::service::kv::limits::Limits;
use crate::service::kv::number;
use crate::service::kv::text::Text;

/// One connection's.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// Which connection of all it is.
    pub id: u64,
    /// Where the client is.
    pub address: String,
    /// Where it came to.
    pub local: String,
    /// What it calls itself.
    pub name: String,
    /// What its library calls itself, and its version.
    pub library: [String; 2],
    /// What it speaks.
    pub version: Version,
    /// Whether it wants replies.
    pub silence: Silence,
    /// Whether an old answer will do.
    pub stale: bool,
    /// The last command.
    pub last: &'static str,
    /// What is gathered behind MULTI.
    transaction: Option<Transaction>,
    /// Keys that a transaction depends on, with their versions.
    watched: Vec<(Vec<u8>, u64)>,
}

/// Whether a client wants replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// It does.
    #[default]
    Not,
    /// Not to the next command.
    Next,
    /// Not until it says so.
    On,
}

/// Commands that wait for EXEC.
#[derive(Clone, Debug, Default)]
struct Transaction {
    /// Encoded operations.
    operations: Vec<Vec<u8>>,
    /// Replies that are there already, with their place among all.
    asides: Vec<(usize, Vec<u8>)>,
    /// Bytes of all of them.
    bytes: usize,
    /// One of them was refused, so all are.
    broken: bool,
}

/// What is to be done about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the reply is written.
    Answered,
    /// The encoded command is for the store.
    Submit {
        /// How it is to be done.
        kind: Kind,
        /// What its reply becomes.
        shape: Shape,
    },
    /// The answer lies outside of the session.
    Ask(Question),
    /// The reply is written; the connection ends behind it.
    Close,
}

/// What the store's reply becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// The client's reply.
    #[default]
    Plain,
    /// The client's reply, with replies in it that are there already.
    Transaction(Vec<(usize, Vec<u8>)>),
    /// Versions of these keys, to be remembered; the client is told OK.
    Watch(Vec<Vec<u8>>),
}

/// What a session does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who is connected.
    Clients,
    /// About this connection alone.
    Client,
    /// How the server stands, in these sections.
    Info(Vec<String>),
    /// Where the log stands.
    Log,
    /// The digest of the state.
    Hash,
    /// The place of the last command.
    Instance,
    /// Count anew.
    ResetStatistics,
}

impl Session {
    /// Bytes of watched keys that a session keeps.
    const WATCHED: usize = 1 << 20;

    /// The session of a connection that has just come.
    pub fn new(id: u64, address: String, local: String) -> Session {
        Session {
            id,
            address,
            local,
            ..Session::default()
        }
    }

    /// Whether it gathers a transaction.
    pub fn is_gathering(&self) -> bool {
        self.transaction.is_some()
    }

    /// How many commands the transaction has so far.
    pub fn gathered(&self) -> Option<usize> {
        let transaction = self.transaction.as_ref()?;
        Some(transaction.operations.len() + transaction.asides.len())
    }

    /// Bytes of memory that it holds for its client.
    pub fn held(&self) -> usize {
        let transaction = self.transaction.as_ref().map_or(0, |t| t.bytes);
        transaction
            + self
                .watched
                .iter()
                .map(|(key, _)| key.len() + 48)
                .sum::<usize>()
    }

    /// The versions of watched keys came in; they are in the order of the keys.
    pub fn watch(&mut self, keys: Vec<Vec<u8>>, versions: impl Iterator<Item = u64>) {
        for (key, version) in keys.into_iter().zip(versions) {
            // What was seen first counts.
            if self.watched.iter().all(|(watched, _)| *watched != key) {
                self.watched.push((key, version));
            }
        }
    }

    /// Understands a request. What is to be said is appended to `out`; a command
    /// for the store is written to `command`, which is empty.
    pub fn execute(
        &mut self,
        arguments: &Arguments<'_>,
        wall: u64,
        out: &mut Vec<u8>,
        command: &mut Vec<u8>,
    ) -> Outcome {
        match self.understand(arguments, wall, out, command) {
            Ok(outcome) => outcome,
            Err(complaint) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.broken = true;
                }
                Writer::new(out, self.version).error(&complaint.to_string());
                Outcome::Answered
            }
        }
    }

    /// A request was too long to be kept.
    pub fn refuse(&mut self, out: &mut Vec<u8>) {
        if let Some(transaction) = &mut self.transaction {
            transaction.broken = true;
        }
        Writer::new(out, self.version).error(&Complaint::TooLong.to_string());
    }

    fn understand(
        &mut self,
        arguments: &Arguments<'_>,
        wall: u64,
        out: &mut Vec<u8>,
        command: &mut Vec<u8>,
    ) -> Result<Outcome, Complaint> {
        let row = Row::find(arguments.at(0)).ok_or_else(|| unknown(arguments))?;
        self.last = row.name;
        if !row.takes(arguments.len()) {
            return Err(Complaint::Arity(row.lower()));
        }
        let reader = match row.does {
            Does::Session(act) => return self.act(act, arguments, wall, out, command),
            Does::Read(reader) | Does::Write(reader) => reader,
        };
        let operation = reader(arguments)?;
        if self.transaction.is_some() {
            let mut bytes = Vec::new();
            bytes = postcard::to_extend(&operation, bytes).expect("memory can be written");
            self.gather(bytes, None)?;
            Writer::new(out, self.version).simple(b"QUEUED");
            return Ok(Outcome::Answered);
        }
        let kind = self.kind(operation.is_read());
        self.submit(Command::One(operation), wall, kind, Shape::Plain, command)
    }

    /// How something is to be done that only reads, or does not.
    fn kind(&self, reads: bool) -> Kind {
        match (reads, self.stale) {
            (false, _) => Kind::Place,
            (true, false) => Kind::Read,
            (true, true) => Kind::Stale,
        }
    }

    pub(super) fn submit(
        &self,
        asked: Command<'_>,
        stamp: u64,
        kind: Kind,
        shape: Shape,
        command: &mut Vec<u8>,
    ) -> Result<Outcome, Complaint> {
        let asked = Stamped {
            stamp,
            command: asked,
        };
        asked.encode_into(command);
        if command.len() > Limits::COMMAND {
            return Err(Complaint::TooLong);
        }
        Ok(Outcome::Submit { kind, shape })
    }

    /// Adds to the transaction: an operation, or a reply that is there already.
    fn gather(&mut self, operation: Vec<u8>, aside: Option<Vec<u8>>) -> Result<(), Complaint> {
        let transaction = self.transaction.get_or_insert_default();
        let count = transaction.operations.len() + transaction.asides.len();
        transaction.bytes += operation.len() + aside.as_ref().map_or(0, Vec::len) + 64;
        // Some of the bytes are ours; a command within the limit is not refused here.
        let most = Limits::COMMAND + 64 * Limits::TRANSACTION;
        let too_long = count >= Limits::TRANSACTION || transaction.bytes > most;
        if transaction.broken || too_long {
            // What is not going to happen need not be kept.
            *transaction = Transaction {
                broken: true,
                ..Transaction::default()
            };
            return match too_long {
                true => Err(Complaint::TooLong),
                false => Ok(()),
            };
        }
        match aside {
            Some(reply) => transaction.asides.push((count, reply)),
            None => transaction.operations.push(operation),
        }
        Ok(())
    }

    fn act(
        &mut self,
        act: Act,
        arguments: &Arguments<'_>,
        wall: u64,
        out: &mut Vec<u8>,
        command: &mut Vec<u8>,
    ) -> Result<Outcome, Complaint> {
        if self.transaction.is_some() {
            match act {
                Act::Exec | Act::Discard | Act::Quit | Act::Reset => {}
                Act::Ping | Act::Echo | Act::Select => {
                    return self.gather_aside(act, arguments, out);
                }
                // These leave the transaction whole, as they do in Redis.
                Act::Multi | Act::Watch => {
                    Writer::new(out, self.version).error(match act {
                        Act::Multi => "ERR MULTI calls can not be nested",
                        _ => "ERR WATCH inside MULTI is not allowed",
                    });
                    return Ok(Outcome::Answered);
                }
                _ => {
                    return Err(Complaint::Other(
                        "ERR Command not allowed inside a transaction",
                    ));
                }
            }
        }
        match act {
            Act::Ping | Act::Echo | Act::Select => self.say(act, arguments, out)?,
            Act::Quit => {
                Writer::new(out, self.version).ok();
                return Ok(Outcome::Close);
            }
            Act::Reset => {
                self.transaction = None;
                self.watched.clear();
                self.name.clear();
                self.version = Version::Two;
                self.silence = Silence::Not;
                self.stale = false;
                Writer::new(out, self.version).simple(b"RESET");
            }
            Act::Auth => auth(arguments)?,
            Act::Hello => about::hello(self, arguments, out)?,
            Act::Client => return client::client(self, arguments, out),
            Act::Command => about::command(arguments, &mut Writer::new(out, self.version))?,
            Act::Config => return about::config(arguments, &mut Writer::new(out, self.version)),
            Act::Info => {
                let sections = arguments.from(1).map(lower).collect();
                return Ok(Outcome::Ask(Question::Info(sections)));
            }
            Act::Paxos => return paxos::paxos(self, arguments, wall, out, command),
            Act::Readonly | Act::Readwrite => {
                self.stale = act == Act::Readonly;
                Writer::new(out, self.version).ok();
            }
            Act::Multi => {
                self.transaction = Some(Transaction::default());
                Writer::new(out, self.version).ok();
            }
            Act::Discard => {
                if self.transaction.take().is_none() {
                    return Err(Complaint::Other("ERR DISCARD without MULTI"));
                }
                self.watched.clear();
                Writer::new(out, self.version).ok();
            }
            Act::Unwatch => {
                self.watched.clear();
                Writer::new(out, self.version).ok();
            }
            Act::Watch => return self.ask_versions(arguments, wall, command),
            Act::Exec => return self.exec(wall, command),
        }
        Ok(Outcome::Answered)
    }

    /// Answers what depends on nothing.
    fn say(&self, act: Act, arguments: &Arguments<'_>, out: &mut Vec<u8>) -> Result<(), Complaint> {
        let mut writer = Writer::new(out, self.version);
        match (act, arguments.len()) {
            (Act::Ping, 1) => writer.simple(b"PONG"),
            (Act::Ping, 2) | (Act::Echo, _) => writer.bulk(arguments.at(1)),
            (Act::Select, _) => match number::parse(arguments.at(1)) {
                Some(0) => writer.ok(),
                Some(_) => return Err(Complaint::Other("ERR DB index is out of range")),
                None => return Err(Complaint::NotAnInteger),
            },
            _ => return Err(Complaint::Arity("ping".to_owned())),
        }
        Ok(())
    }

    /// What depends on nothing is answered now and told when its turn comes.
    fn gather_aside(
        &mut self,
        act: Act,
        arguments: &Arguments<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Complaint> {
        let mut reply = Vec::new();
        self.say(act, arguments, &mut reply)?;
        self.gather(Vec::new(), Some(reply))?;
        Writer::new(out, self.version).simple(b"QUEUED");
        Ok(Outcome::Answered)
    }

    fn ask_versions(
        &mut self,
        arguments: &Arguments<'_>,
        wall: u64,
        command: &mut Vec<u8>,
    ) -> Result<Outcome, Complaint> {
        let count = self.watched.len() + arguments.len() - 1;
        let bytes: usize = arguments.from(1).map(<[u8]>::len).sum();
        let room = Self::WATCHED.saturating_sub(self.watched.iter().map(|w| w.0.len()).sum());
        if count > Limits::TRANSACTION || bytes > room {
            return Err(Complaint::Other("ERR too many keys are watched"));
        }
        let keys = arguments.from(1).map(Text).collect();
        let shape = Shape::Watch(arguments.from(1).map(<[u8]>::to_vec).collect());
        let versions = Command::One(Operation::Versions { keys });
        // What is watched must not be old, or the transaction would fail.
        self.submit(versions, wall, Kind::Read, shape, command)
    }

    fn exec(&mut self, wall: u64, command: &mut Vec<u8>) -> Result<Outcome, Complaint> {
        let Some(transaction) = self.transaction.take() else {
            return Err(Complaint::Other("ERR EXEC without MULTI"));
        };
        let watched = std::mem::take(&mut self.watched);
        if transaction.broken {
            return Err(Complaint::Other(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        let operations = transaction
            .operations
            .iter()
            .map(|bytes| postcard::from_bytes(bytes).expect("what was encoded can be decoded"));
        let operations: Vec<Operation<'_>> = operations.collect();
        let reads = operations.iter().all(Operation::is_read);
        let watched = watched.iter();
        let asked = Command::Transaction {
            watched: watched.map(|(key, at)| (Text(key), *at)).collect(),
            operations,
        };
        let shape = Shape::Transaction(transaction.asides);
        let kind = self.kind(reads);
        self.submit(asked, wall, kind, shape, command)
    }
}

/// A word in small letters, for people.
pub fn lower(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_ascii_lowercase()
}

fn unknown(arguments: &Arguments<'_>) -> Complaint {
    /// So much of the arguments is told.
    const PLENTY: usize = 128;
    let show = |word: &[u8], most: usize| {
        let word = &word[..word.len().min(most)];
        String::from_utf8_lossy(word).into_owned()
    };
    let mut told = String::new();
    for argument in arguments.from(1) {
        if told.len() >= PLENTY {
            break;
        }
        told += &format!("'{}' ", show(argument, PLENTY - told.len()));
    }
    Complaint::Unknown {
        name: show(arguments.at(0), PLENTY),
        arguments: told,
    }
}

/// There are no passwords; who sends one believes to be somewhere else.
fn auth(arguments: &Arguments<'_>) -> Result<(), Complaint> {
    Err(match arguments.len() {
        2 => Complaint::Other(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ),
        3 => Complaint::Other("WRONGPASS invalid username-password pair or user is disabled."),
        _ => Complaint::Syntax,
    })
}
