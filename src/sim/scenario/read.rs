//! Reads a scenario from its text.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::setting::Setting;
use super::words::Words;
use super::{Action, Condition, Rule, Scenario, Sent, Step, Target, Values, Verb};
use crate::protocol::{AcceptorSet, Instance, Membership, Role};
use crate::sim::chance::{Accident, Act, Way};
use crate::sim::deed::Deed;
use crate::sim::name::Name;

/// What is wrong with a scenario's text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

impl std::error::Error for Mistake {}

impl FromStr for Scenario {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Scenario, Mistake> {
        let mut scenario = Scenario::default();
        let mut called = Vec::new();
        let story = text.lines().take_while(|&line| line != Scenario::END);
        for (number, line) in story.enumerate() {
            let line_number = number + 1;
            let at = |what| Mistake {
                line: line_number,
                what,
            };
            let remark = line.trim().strip_prefix('#');
            if let Some(remark) = remark
                && scenario.steps.is_empty()
                && scenario.accidents.is_empty()
            {
                scenario.title.push(remark.trim().into());
                continue;
            }
            let mut words = Words::new(line).map_err(at)?;
            if words.is_empty() {
                continue;
            }
            let mut reader = Reader {
                words: &mut words,
                called: &mut called,
                line: line_number,
            };
            let read = reader.line(&mut scenario).and_then(|()| words.end());
            read.map_err(at)?;
        }
        Ok(scenario)
    }
}

/// Reads one line.
struct Reader<'a> {
    words: &'a mut Words,
    /// The names that `let` has given so far.
    called: &'a mut Vec<String>,
    line: usize,
}

impl Reader<'_> {
    /// So many values may be submitted with one line, or one of so many bytes.
    const MOST: u64 = 10_000_000;

    /// For so long, a hundred years.
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

    fn line(&mut self, scenario: &mut Scenario) -> Result<(), String> {
        let begun = !scenario.steps.is_empty();
        let first = self.words.peek().unwrap_or_default().to_string();
        let header = [
            "seed",
            "mutant",
            "proposers",
            "acceptors",
            "learners",
            "clients",
        ];
        if header.contains(&first.as_str()) {
            if begun {
                return Err(format!("{first:?} must come before the first step"));
            }
            self.words.take(&first);
            return self.header(&first, scenario);
        }
        if self.words.take("accident") {
            scenario.accidents.push(self.accident()?);
            return Ok(());
        }
        if first == "set" && !begun {
            self.words.take("set");
            let key: String = self.words.read("what to set")?;
            let value: String = self.words.read("its value")?;
            return Setting::find(&key)?.set(&mut scenario.options, &value);
        }
        let at = match self.words.take("at") {
            true => Some(self.words.duration()?),
            false => None,
        };
        let action = self.action()?;
        scenario.steps.push(Step {
            line: self.line,
            at,
            action,
        });
        Ok(())
    }

    fn header(&mut self, key: &str, scenario: &mut Scenario) -> Result<(), String> {
        if key == "mutant" {
            scenario.mutant = Some(self.words.read("the name of a mutant")?);
            return Ok(());
        }
        let number: u64 = self.words.read("a number")?;
        if key == "seed" {
            scenario.seed = number;
            return Ok(());
        }
        let most = if key == "acceptors" { 15 } else { 100 };
        if number > most || (number == 0 && key == "acceptors") {
            return Err(format!("{key}: {number} is out of range"));
        }
        let number = number as u16;
        let options = &mut scenario.options;
        match key {
            "proposers" => options.proposers = number,
            "learners" => options.learners = number,
            "clients" => options.clients = number,
            _ => options.settings.membership = Membership::majority(AcceptorSet::first(number)),
        }
        Ok(())
    }

    fn accident(&mut self) -> Result<Accident, String> {
        let kind = self.words.word("the kind of accident")?.to_string();
        Ok(match kind.as_str() {
            "lost" => Accident::Lost(self.way()?),
            "late" => Accident::Late(self.way()?, self.words.duration()?),
            "repeated" => Accident::Repeated(self.way()?, self.words.duration()?),
            "damaged" => Accident::Damaged(self.way()?, self.words.read("a bit's number")?),
            "failed-sync" => Accident::FailedSync(self.act()?),
            "slow-sync" => Accident::SlowSync(self.act()?, self.words.duration()?),
            "slow-lookup" => Accident::SlowLookup(self.act()?, self.words.duration()?),
            "short-turn" => Accident::ShortTurn(self.act()?, self.words.read("a number")?),
            "late-start" => Accident::LateStart(
                self.words.read("a process, as in p1")?,
                self.words.duration()?,
            ),
            other => return Err(format!("{other:?} is no kind of accident")),
        })
    }

    fn act(&mut self) -> Result<Act, String> {
        let word = self.words.word("a process and its count, as in a1/3")?;
        let (who, number) = word
            .split_once('/')
            .ok_or_else(|| format!("{word:?} is no process and its count, as in a1/3"))?;
        let number = number
            .parse()
            .map_err(|_| format!("{number:?} is no number"))?;
        Ok(Act {
            who: who.parse()?,
            number,
        })
    }

    fn way(&mut self) -> Result<Way, String> {
        let Act { who: from, number } = self.act()?;
        self.words.demand("to")?;
        let to = self.words.read("a process, as in a1")?;
        Ok(Way { from, number, to })
    }

    fn action(&mut self) -> Result<Action, String> {
        let verb = self.words.word("a step")?.to_string();
        Ok(match verb.as_str() {
            "submit" => self.submit()?,
            "wait" if self.words.take("for") => {
                let condition = self.condition()?;
                Action::Expect(condition, Some(Scenario::PATIENCE))
            }
            "wait" => Action::Wait(self.words.duration()?),
            "crash" => Action::Do(Verb::Crash, self.targets()?),
            "kill" => Action::Do(Verb::Kill, self.targets()?),
            "restart" => Action::Do(Verb::Restart, self.targets()?),
            "pause" => Action::Do(Verb::Pause, self.targets()?),
            "resume" => Action::Do(Verb::Resume, self.targets()?),
            "close" => Action::Do(Verb::Close, self.targets()?),
            "open" => Action::Do(Verb::Open, self.targets()?),
            "isolate" => Action::Do(Verb::Isolate, self.targets()?),
            "leap" => {
                let target = self.target()?;
                self.words.demand("by")?;
                Action::Leap(target, self.words.duration()?)
            }
            "cut" => {
                let multicast = self.words.take("multicast");
                let from = self.targets()?;
                let both = self.words.take("and");
                if !both {
                    self.words.demand("to")?;
                }
                Action::Cut {
                    multicast,
                    from,
                    to: self.targets()?,
                    both,
                }
            }
            "mend" => Action::Mend,
            verb if Deed::WORDS.contains(&verb) => {
                Action::Deed(format!("{verb} {}", self.words.rest()).parse()?)
            }
            "add" => Action::Add(self.words.read("a new process, as in l3")?),
            "drop" if self.words.take("nothing") => Action::NoRules,
            "drop" | "delay" | "repeat" => {
                let called = &*self.called;
                let target = |words: &mut Words| target(words, called);
                Action::Rule(Rule::read(&verb, self.words, target)?)
            }
            "skip" => {
                self.words.demand("an")?;
                self.words.demand("instance")?;
                Action::SkipInstance
            }
            "set" => {
                let key: String = self.words.read("what to set")?;
                let value: String = self.words.read("its value")?;
                let setting = Setting::find(&key)?;
                if !setting.live {
                    return Err(format!("{key} must be set before the first step"));
                }
                setting.set(&mut Scenario::default().options, &value)?;
                Action::Set(key, value)
            }
            "let" => {
                let name: String = self.words.read("a new name")?;
                self.words.demand("=")?;
                let target = self.target()?;
                self.called.push(name.clone());
                Action::Let(name, target)
            }
            "expect" if self.words.take("broken") => {
                let words = self.words.quoted().unwrap_or_default();
                Action::ExpectBroken(String::from_utf8_lossy(&words).into())
            }
            "expect" => {
                let condition = self.condition()?;
                let within = match self.words.take("within") {
                    true => Some(self.words.duration()?),
                    false => None,
                };
                Action::Expect(condition, within)
            }
            "count" => {
                self.words.demand("anew")?;
                Action::CountAnew
            }
            "say" => Action::Say(self.words.rest()),
            other => return Err(format!("{other:?} is no step")),
        })
    }

    fn submit(&mut self) -> Result<Action, String> {
        let client: Name = self.words.read("a client, as in c1")?;
        if client.role != Role::Client || client.twin > 0 {
            return Err(format!("{client} is no client"));
        }
        let mut texts = Vec::new();
        while let Some(text) = self.words.quoted() {
            texts.push(text);
        }
        let values = if !texts.is_empty() {
            Values::Texts(texts)
        } else {
            let number: u64 = self.words.read("a text in quotes, or a number")?;
            if number > Self::MOST {
                return Err(format!("{number} is out of range"));
            }
            if self.words.take("bytes") {
                Values::Large(number as usize)
            } else {
                if !self.words.take("value") {
                    self.words.demand("values")?;
                }
                let every = match self.words.take("every") {
                    true => self.words.duration()?,
                    false => Duration::ZERO,
                };
                if every
                    .checked_mul(number as u32)
                    .is_none_or(|all| all > Self::LONGEST)
                {
                    return Err(format!("{number} values every {every:?} take too long"));
                }
                Values::Many(number, every)
            }
        };
        Ok(Action::Submit {
            client: client.id,
            values,
        })
    }

    fn condition(&mut self) -> Result<Condition, String> {
        let word = self.words.word("what must hold")?.to_string();
        Ok(match word.as_str() {
            "leader" => match self.words.peek() {
                None | Some("within") => Condition::Leader(None),
                Some(_) => Condition::Leader(Some(self.target()?)),
            },
            "no" => {
                self.words.demand("leader")?;
                Condition::NoLeader
            }
            "delivered" => {
                let mut texts = Vec::new();
                while let Some(text) = self.words.quoted() {
                    texts.push(text);
                }
                let number = match texts.is_empty() {
                    true => Some(self.words.read("a number, or texts in quotes")?),
                    false => None,
                };
                let by = match self.words.take("by") {
                    true => Some(self.target()?),
                    false => None,
                };
                match number {
                    Some(number) => Condition::Delivered(number, by),
                    None => Condition::DeliveredTexts(texts, by),
                }
            }
            "nothing" => {
                self.words.demand("delivered")?;
                self.words.demand("for")?;
                Condition::Nothing(self.words.duration()?)
            }
            "peace" => {
                self.words.demand("for")?;
                Condition::Peace(self.words.duration()?)
            }
            "done" => Condition::Done,
            "acknowledged" => {
                let number = self.words.read("a number")?;
                self.words.demand("to")?;
                Condition::Acknowledged(number, self.target()?)
            }
            "chosen" => Condition::Chosen(self.words.read("a number")?),
            "no-op" => match self.words.take("at") {
                true => {
                    let word: String = self.words.read("an instance, as in 5")?;
                    Condition::NoOp(instance(&word)?)
                }
                false => Condition::NoOp(Instance::ZERO),
            },
            "sent" => {
                let called = &*self.called;
                Condition::Sent(Sent::read(self.words, |words| target(words, called))?)
            }
            "running" => Condition::Running(self.target()?),
            "dead" => Condition::Dead(self.target()?),
            other => return Err(format!("{other:?} is nothing that can hold")),
        })
    }

    fn target(&mut self) -> Result<Target, String> {
        target(self.words, self.called)
    }

    /// One target or several.
    fn targets(&mut self) -> Result<Vec<Target>, String> {
        let mut targets = vec![self.target()?];
        while !self.words.is_empty() && !matches!(self.words.peek(), Some("to" | "and")) {
            targets.push(self.target()?);
        }
        Ok(targets)
    }
}

fn target(words: &mut Words, called: &[String]) -> Result<Target, String> {
    if words.take("all") {
        let word = words.word("acceptors, proposers, learners or clients")?;
        return Role::ALL
            .into_iter()
            .find(|role| role.plural() == word)
            .map(Target::All)
            .ok_or_else(|| format!("{word:?} are no roles"));
    }
    let word = words.word("a process, as in p1")?;
    Ok(match word {
        "leader" => Target::Leader,
        "followers" => Target::Followers,
        word if called.iter().any(|name| name == word) => Target::Called(word.into()),
        word => Target::Name(word.parse()?),
    })
}

/// An instance: `5` or `#5`.
pub(super) fn instance(word: &str) -> Result<Instance, String> {
    let number = word.strip_prefix('#').unwrap_or(word);
    match number.parse() {
        Ok(number) if number > 0 => Ok(Instance(number)),
        _ => Err(format!("{word:?} is no instance, as in 5")),
    }
}
