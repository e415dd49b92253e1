//! Those who use a replicated store.
//!
//! A user stands at one replica and asks one thing after the other. When the
//! replica dies, or takes too long, the user goes to another one and never learns
//! what became of the question. What each was told is written down, and at the end
//! somebody looks for an order of all that happened that explains it
//! ([`crate::history`]).

use std::time::Duration;

use bytes::Bytes;

use super::{Crowd, ServiceOptions, Visit};
use crate::history::{Key, KeyCall, KeyReturn, Operation, Unexplained, Verdict, check_keys, draw};
use crate::protocol::Time;
use crate::service::kv::command::{
    Answer, Command, Condition, Lifetime, Operation as Asked, Stamped,
};
use crate::service::kv::reply::Reply;
use crate::service::kv::text::Text;
use crate::service::replica::Verdict as Outcome;
use crate::sim::check::Finding;
use crate::sim::random::Random;

/// A question on its way to a replica.
#[derive(Clone, Debug)]
struct Question {
    /// What the answer comes with.
    ticket: u64,
    /// Whether it takes no place in the order.
    reads: bool,
    /// The encoded command.
    command: Bytes,
}

/// All users, and all that they were told.
#[derive(Debug)]
pub struct Askers {
    options: ServiceOptions,
    users: Vec<User>,
    history: Vec<(String, Operation<KeyCall, KeyReturn>)>,
    /// Operations of which it is certain that they did not happen.
    undone: Vec<usize>,
    tickets: u64,
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

impl Askers {
    /// How long a user waits for an answer.
    const PATIENCE: Duration = Duration::from_secs(6);

    /// Users of so many replicas, who have not asked anything yet.
    pub fn new(seed: u64, options: ServiceOptions, replicas: u16) -> Askers {
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
        Askers {
            users: users.collect(),
            options,
            history: Vec::new(),
            undone: Vec::new(),
            tickets: 0,
        }
    }

    /// The questions that are put to this replica now; `wall` is its clock.
    fn ask(&mut self, now: Time, replica: u16, wall: Time) -> Vec<Question> {
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
    fn hear(&mut self, now: Time, ticket: u64, outcome: Outcome, reply: &[u8]) -> Finding {
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
}

impl Crowd for Askers {
    fn move_on(&mut self, now: Time, replicas: u16, gone: &dyn Fn(u16) -> bool) -> Finding {
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
        Ok(())
    }

    fn visit(&mut self, visit: Visit<'_>) -> Finding {
        let Visit {
            now,
            local,
            me,
            replica,
            twin,
        } = visit;
        let mut outcome = Ok(());
        let mut reply = Vec::new();
        while let Some((ticket, verdict)) = replica.fetch_answer(&mut reply) {
            outcome = outcome.and(self.hear(now, ticket, verdict, &reply));
            reply.clear();
        }
        if !twin && replica.has_room() {
            for question in self.ask(now, me.id, local) {
                match question.reads {
                    true => replica.read(local, question.ticket, question.command),
                    false => replica.submit(local, Some(question.ticket), question.command),
                }
            }
        }
        outcome
    }

    fn due(&self, replica: u16) -> Option<Time> {
        let users = self.users.iter();
        let idle = users.filter(|user| user.at == replica && user.asked.is_none() && user.left > 0);
        idle.map(|user| user.due).min()
    }

    fn are_done(&self) -> bool {
        let mut users = self.users.iter();
        users.all(|user| user.left == 0 && user.asked.is_none())
    }

    fn unfinished(&self) -> Vec<String> {
        let users = self.users.iter();
        let busy = users.filter(|user| user.left > 0 || user.asked.is_some());
        let words = |user: &User| format!("user {} has {} questions left", user.name, user.left);
        busy.map(words).collect()
    }

    fn answered(&self) -> usize {
        let told = self.history.iter();
        told.filter(|(_, operation)| operation.returned.is_some())
            .count()
    }

    fn conclude(&self) -> Finding {
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
