//! Those who use a replicated store: what they ask, what they are told, and
//! whether it can be true.
//!
//! A user stands at one replica and asks one thing after the other. When the
//! replica dies, or takes too long, the user goes to another one and never learns
//! what became of the question. What each was told is written down, and at the end
//! somebody looks for an order of all that happened that explains it
//! ([`crate::history`]). States are compared too, at every place at which two
//! replicas were seen.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::check::Finding;
use super::random::Random;
use crate::history::{Key, KeyCall, KeyReturn, Operation, Unexplained, Verdict, check_keys, draw};
use crate::protocol::{Instance, Time};
use crate::service::Place;
use crate::service::kv::command::{
    Answer, Command, Condition, Lifetime, Operation as Asked, Stamped,
};
use crate::service::kv::reply::Reply;
use crate::service::kv::text::Text;
use crate::service::replica::{self, Kept, Verdict as Outcome, Wanted};

/// What a service is, and who uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServiceOptions {
    /// How many users.
    pub users: u16,
    /// How many questions each has.
    pub questions: u32,
    /// How many keys they ask about.
    pub keys: u16,
    /// How long a user thinks before a question, at most.
    pub leisure: Duration,
    /// Bytes of commands between two checkpoints.
    pub checkpoint: u64,
    /// How long it takes to keep one, at most.
    pub keeping: Duration,
    /// How long one replica or the other hears of no proposals and no votes, and then
    /// another one, or none; never if zero. It is asked all the same.
    pub ignorance: Duration,
    /// The probability that a replica that starts again has lost what it kept.
    /// Only one of them ever does: there must be somebody to ask.
    pub amnesia: f64,
}

impl ServiceOptions {
    /// What replicas are told.
    pub fn replica(&self) -> replica::Options {
        replica::Options {
            checkpoint: self.checkpoint,
            tells: false,
            durable: true,
        }
    }
}

/// A replica's checkpoints on its disk.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// The latest two.
    kept: Vec<(Kept, Bytes)>,
    /// One that is being written, and when that is done.
    writing: Option<(Time, Kept, Bytes)>,
}

impl Shelf {
    /// Begins to write one.
    pub fn write(&mut self, done: Time, through: Instance, content: Bytes) {
        let kept = Kept {
            through,
            length: content.len() as u64,
            checksum: crc32c::crc32c(&content),
        };
        self.writing = Some((done, kept, content));
    }

    /// What is written by now, if anything new is.
    pub fn done(&mut self, now: Time) -> Option<Kept> {
        let (_, kept, content) = self.writing.take_if(|(done, ..)| *done <= now)?;
        self.kept.push((kept, content));
        if self.kept.len() > 2 {
            self.kept.remove(0);
        }
        Some(kept)
    }

    /// When something will be written.
    pub fn done_at(&self) -> Option<Time> {
        self.writing.as_ref().map(|(done, ..)| *done)
    }

    /// Its machine dies: what was not synced is gone.
    pub fn crash(&mut self) {
        self.writing = None;
    }

    /// Loses everything.
    pub fn wipe(&mut self) {
        *self = Shelf::default();
    }

    /// The latest.
    pub fn latest(&self) -> Option<(Kept, Bytes)> {
        self.kept.last().cloned()
    }

    /// A part of one, unless it is gone.
    pub fn read(&self, wanted: Wanted) -> replica::Found {
        let there = self.kept.iter();
        let found = there
            .filter(|(kept, _)| kept.through == wanted.through)
            .find_map(|(_, content)| {
                let from = usize::try_from(wanted.offset).ok()?;
                let to = from.checked_add(wanted.bytes as usize)?;
                (to <= content.len()).then(|| content.slice(from..to))
            });
        replica::Found {
            bytes: found,
            wanted,
        }
    }
}

/// A question on its way to a replica.
#[derive(Clone, Debug)]
pub struct Question {
    /// What the answer comes with.
    pub ticket: u64,
    /// Whether it takes no place in the order.
    pub reads: bool,
    /// The encoded command.
    pub command: Bytes,
}

/// All users, and all that they were told.
#[derive(Debug)]
pub struct Users {
    options: ServiceOptions,
    users: Vec<User>,
    history: Vec<(String, Operation<KeyCall, KeyReturn>)>,
    /// Operations of which it is certain that they did not happen.
    undone: Vec<usize>,
    /// The state that some replica had behind each place, and who.
    digests: BTreeMap<Place, (u64, String)>,
    /// Chance, for what is no single user's.
    pub random: Random,
    /// Whether a replica has lost what it kept.
    pub wiped: bool,
    tickets: u64,
    /// Says who is kept ignorant when.
    ignorance: u64,
}

/// A number that looks like chance, the same for the same two.
fn mix(one: u64, other: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let wide = u128::from(one ^ ODD) * u128::from(other.wrapping_mul(ODD) | 1);
    (wide >> 64) as u64 ^ (wide as u64) >> 32
}

/// One of them.
#[derive(Debug)]
struct User {
    random: Random,
    /// Who it is in the history; another one whenever it gives up.
    name: u32,
    /// Which replica it stands at, from 1.
    at: u16,
    left: u32,
    due: Time,
    asked: Option<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    ticket: u64,
    /// The index in the history.
    operation: usize,
    since: Time,
}

impl Users {
    /// How long a user waits for an answer.
    const PATIENCE: Duration = Duration::from_secs(6);

    /// Users of so many replicas, who have not asked anything yet.
    pub fn new(seed: u64, options: ServiceOptions, replicas: u16) -> Box<Users> {
        let users = (0..u32::from(options.users)).map(|name| {
            let mut random = Random::new(seed, &format!("user {name}"));
            User {
                at: random.between(1, u64::from(replicas)) as u16,
                due: Time::ZERO + random.duration(Duration::ZERO, options.leisure),
                random,
                name,
                left: options.questions,
                asked: None,
            }
        });
        Box::new(Users {
            users: users.collect(),
            options,
            history: Vec::new(),
            undone: Vec::new(),
            digests: BTreeMap::new(),
            random: Random::new(seed, "users"),
            wiped: false,
            tickets: 0,
            ignorance: Random::new(seed, "ignorance").number(),
        })
    }

    /// What they were told to do.
    pub fn options(&self) -> ServiceOptions {
        self.options
    }

    /// Which replica hears of no proposals now, if any does not.
    pub fn kept_ignorant(&self, now: Time) -> Option<u16> {
        let long = self.options.ignorance.as_nanos() as u64;
        let period = now.0.checked_div(long)?;
        // Any mixture of the two will do; none is for one period in four.
        let draw = mix(self.ignorance, period) % 4;
        (draw > 0).then_some(draw as u16)
    }

    /// From now on all replicas hear of everything.
    pub fn inform_all(&mut self) {
        self.options.ignorance = Duration::ZERO;
    }

    /// When the next user at this replica has a question.
    pub fn due(&self, replica: u16) -> Option<Time> {
        let users = self.users.iter();
        let idle = users.filter(|user| user.at == replica && user.asked.is_none() && user.left > 0);
        idle.map(|user| user.due).min()
    }

    /// Whether everybody has asked everything.
    pub fn are_done(&self) -> bool {
        let mut users = self.users.iter();
        users.all(|user| user.left == 0 && user.asked.is_none())
    }

    /// The questions that are put to this replica now; `wall` is its clock.
    pub fn ask(&mut self, now: Time, replica: u16, wall: Time) -> Vec<Question> {
        let mut questions = Vec::new();
        let (options, tickets, history) = (self.options, &mut self.tickets, &mut self.history);
        for user in &mut self.users {
            if user.at != replica || user.asked.is_some() || user.left == 0 || user.due > now {
                continue;
            }
            *tickets += 1;
            user.left -= 1;
            let (key, call) = user.choose(&options, *tickets);
            let command = encode(&key, &call, wall);
            user.asked = Some(Waiting {
                ticket: *tickets,
                operation: history.len(),
                since: now,
            });
            questions.push(Question {
                ticket: *tickets,
                reads: call == KeyCall::Get,
                command,
            });
            let operation = Operation {
                client: user.name,
                call,
                called: now.0,
                returned: None,
            };
            history.push((key, operation));
        }
        questions
    }

    /// An answer came. Nobody may wait for it any more.
    pub fn hear(&mut self, now: Time, ticket: u64, outcome: Outcome, reply: &[u8]) -> Finding {
        let users = self.users.iter_mut();
        let mut waiting =
            users.filter(|user| user.asked.is_some_and(|asked| asked.ticket == ticket));
        let Some(user) = waiting.next() else {
            return Ok(());
        };
        let Some(asked) = user.asked.take() else {
            return Ok(());
        };
        user.due = now + user.random.duration(Duration::ZERO, self.options.leisure);
        let (_, operation) = &mut self.history[asked.operation];
        match outcome {
            Outcome::Reply => {
                let told = decode(&operation.call, reply)
                    .ok_or_else(|| format!("{} was answered {reply:?}", operation.call))?;
                operation.returned = Some((now.0, told));
            }
            Outcome::NoQuorum => self.undone.push(asked.operation),
            Outcome::Indeterminate => user.become_another(),
        }
        Ok(())
    }

    /// Sends away those who wait too long, or whose replica is gone.
    pub fn move_on(&mut self, now: Time, replicas: u16, gone: impl Fn(u16) -> bool) {
        for user in &mut self.users {
            let lost = gone(user.at);
            let weary = |asked: Waiting| now.since(asked.since) >= Self::PATIENCE;
            if user.asked.is_some_and(|asked| lost || weary(asked)) {
                user.asked = None;
                user.become_another();
                user.due = now
                    + user
                        .random
                        .duration(Duration::ZERO, Duration::from_millis(50));
            } else if !lost {
                continue;
            }
            user.at = user.random.between(1, u64::from(replicas)) as u16;
        }
    }

    /// A replica was seen with this state.
    pub fn compare(&mut self, who: &str, place: Place, digest: u64) -> Finding {
        const MOST: usize = 10_000;
        if self.digests.len() >= MOST {
            self.digests.pop_first();
        }
        let (known, first) = self
            .digests
            .entry(place)
            .or_insert_with(|| (digest, who.to_owned()));
        match *known == digest {
            true => Ok(()),
            false => Err(format!(
                "{who} and {first} have different states behind {place}"
            )),
        }
    }

    /// How many questions were answered.
    pub fn answered(&self) -> usize {
        let told = self.history.iter();
        told.filter(|(_, operation)| operation.returned.is_some())
            .count()
    }

    /// Whether all that was told can be true.
    pub fn conclude(&self) -> Finding {
        let happened = self.history.iter().enumerate();
        let happened = happened.filter(|(index, _)| !self.undone.contains(index));
        let history = happened.map(|(_, operation)| operation.clone());
        let Err(Unexplained {
            key,
            history,
            verdict,
        }) = check_keys(&Key, history)
        else {
            return Ok(());
        };
        Err(match verdict {
            Verdict::Violated(window) => format!(
                "what users were told of {key} cannot be explained:\n{}",
                draw(&history, &window)
            ),
            // With so much under way at once that nobody can tell: it may be true.
            Verdict::Undecided(_) => return Ok(()),
            Verdict::Linearizable => unreachable!("that is no error"),
        })
    }
}

impl User {
    /// Its question has no end, so it is somebody else from now on.
    fn become_another(&mut self) {
        self.name += 1_000;
    }

    fn choose(&mut self, options: &ServiceOptions, ticket: u64) -> (String, KeyCall) {
        let number = self.random.between(1, u64::from(options.keys));
        let value = || format!("v{ticket}");
        // Counters and texts apart, or most would be refused.
        if self.random.chance(0.3) {
            let call = match self.random.between(0, 3) {
                0 => KeyCall::Get,
                1 => KeyCall::Delete,
                _ => KeyCall::Add(1),
            };
            return (format!("n{number}"), call);
        }
        let call = match self.random.between(0, 9) {
            0..=4 => KeyCall::Get,
            5..=6 => KeyCall::Set(value()),
            7 => KeyCall::SetIfAbsent(value()),
            8 => KeyCall::Append(format!(".{ticket}")),
            _ => KeyCall::Delete,
        };
        (format!("t{number}"), call)
    }
}

/// The command that asks this.
fn encode(key: &str, call: &KeyCall, wall: Time) -> Bytes {
    let key = Text(key.as_bytes());
    let set = |value, condition| Asked::Set {
        key,
        value,
        condition,
        lifetime: Lifetime::Forever,
        answer: Answer::Status,
    };
    let operation = match call {
        KeyCall::Get => Asked::Get { key },
        KeyCall::Set(value) => set(Text(value.as_bytes()), Condition::Always),
        KeyCall::SetIfAbsent(value) => set(Text(value.as_bytes()), Condition::Absent),
        KeyCall::Delete => Asked::Delete { keys: vec![key] },
        KeyCall::Add(by) => Asked::Add { key, by: *by },
        KeyCall::Append(more) => Asked::Append {
            key,
            value: Text(more.as_bytes()),
        },
        KeyCall::Replace(..) => unreachable!("no user asks for it"),
    };
    let stamped = Stamped {
        stamp: wall.0 / 1_000_000,
        command: Command::One(operation),
    };
    let mut bytes = Vec::new();
    stamped.encode_into(&mut bytes);
    bytes.into()
}

/// What a reply says.
fn decode(call: &KeyCall, reply: &[u8]) -> Option<KeyReturn> {
    let reply = Reply::decode(reply)?;
    Some(match (call, reply) {
        (KeyCall::Get, Reply::Nil) => KeyReturn::Value(None),
        (KeyCall::Get, Reply::Text(text)) => {
            KeyReturn::Value(Some(String::from_utf8(text.0.to_vec()).ok()?))
        }
        (KeyCall::Set(_), Reply::Done) => KeyReturn::Done,
        (KeyCall::SetIfAbsent(_), Reply::Done) => KeyReturn::Flag(true),
        (KeyCall::SetIfAbsent(_), Reply::Nil) => KeyReturn::Flag(false),
        (KeyCall::Delete, Reply::Integer(count)) => KeyReturn::Flag(count > 0),
        (KeyCall::Add(_) | KeyCall::Append(_), Reply::Integer(number)) => KeyReturn::Number(number),
        _ => return None,
    })
}
