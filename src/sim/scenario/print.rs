//! Writes a scenario as a text that reads as the same scenario.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use bytes::Bytes;

use super::setting::SETTINGS;
use super::{Action, Condition, Scenario, Step, Target, Values, Verb};
use crate::protocol::Instance;
use crate::sim::chance::Accident;

impl Display for Scenario {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for line in &self.title {
            writeln!(f, "{}", format!("# {line}").trim_end())?;
        }
        writeln!(f, "seed {}", self.seed)?;
        if let Some(mutant) = &self.mutant {
            writeln!(f, "mutant {mutant}")?;
        }
        let options = &self.options;
        writeln!(f, "proposers {}", options.proposers)?;
        writeln!(
            f,
            "acceptors {}",
            options.settings.membership.acceptors().len()
        )?;
        writeln!(f, "learners {}", options.learners)?;
        writeln!(f, "clients {}", options.clients)?;
        let usual = Scenario::default().options;
        for setting in SETTINGS {
            let value = setting.value(options);
            if value != setting.value(&usual) {
                writeln!(f, "set {} {value}", setting.key)?;
            }
        }
        for accident in &self.accidents {
            writeln!(f, "accident {accident}")?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "at {at:?} ")?;
        }
        write!(f, "{}", self.action)
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Action::Submit { client, values } => write!(f, "submit c{client} {values}"),
            Action::Wait(time) => write!(f, "wait {time:?}"),
            Action::Do(verb, targets) => write!(f, "{} {}", verb.word(), several(targets)),
            Action::Leap(target, ahead) => write!(f, "leap {target} by {ahead:?}"),
            Action::Cut {
                multicast,
                from,
                to,
                both,
            } => {
                let multicast = if *multicast { "multicast " } else { "" };
                let between = if *both { "and" } else { "to" };
                let (from, to) = (several(from), several(to));
                write!(f, "cut {multicast}{from} {between} {to}")
            }
            Action::Mend => f.write_str("mend"),
            Action::Deed(deed) => write!(f, "{deed}"),
            Action::Add(name) => write!(f, "add {name}"),
            Action::Rule(rule) => write!(f, "{rule}"),
            Action::SkipInstance => f.write_str("skip an instance"),
            Action::NoRules => f.write_str("drop nothing"),
            Action::CountAnew => f.write_str("count anew"),
            Action::Set(key, value) => write!(f, "set {key} {value}"),
            Action::Let(name, target) => write!(f, "let {name} = {target}"),
            Action::Expect(condition, None) => write!(f, "expect {condition}"),
            Action::Expect(condition, Some(Scenario::PATIENCE)) => {
                write!(f, "wait for {condition}")
            }
            Action::Expect(condition, Some(within)) => {
                write!(f, "expect {condition} within {within:?}")
            }
            Action::ExpectBroken(words) => write!(f, "expect broken {}", quote(words.as_bytes())),
            Action::Say(words) => write!(f, "say {words}"),
        }
    }
}

impl Verb {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Crash => "crash",
            Verb::Kill => "kill",
            Verb::Restart => "restart",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Close => "close",
            Verb::Open => "open",
            Verb::Isolate => "isolate",
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Target::Name(name) => write!(f, "{name}"),
            Target::All(role) => write!(f, "all {}", role.plural()),
            Target::Leader => f.write_str("leader"),
            Target::Followers => f.write_str("followers"),
            Target::Called(name) => f.write_str(name),
        }
    }
}

impl Display for Values {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Values::Texts(texts) => f.write_str(&quote_all(texts)),
            Values::Many(number, Duration::ZERO) => write!(f, "{number} values"),
            Values::Many(number, every) => write!(f, "{number} values every {every:?}"),
            Values::Large(bytes) => write!(f, "{bytes} bytes"),
        }
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let by = |by: &Option<Target>| by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
        match self {
            Condition::Leader(None) => f.write_str("leader"),
            Condition::Leader(Some(target)) => write!(f, "leader {target}"),
            Condition::NoLeader => f.write_str("no leader"),
            Condition::Delivered(number, who) => write!(f, "delivered {number}{}", by(who)),
            Condition::DeliveredTexts(texts, who) => {
                write!(f, "delivered {}{}", quote_all(texts), by(who))
            }
            Condition::Done => f.write_str("done"),
            Condition::Acknowledged(number, who) => write!(f, "acknowledged {number} to {who}"),
            Condition::Chosen(number) => write!(f, "chosen {number}"),
            Condition::NoOp(Instance::ZERO) => f.write_str("no-op"),
            Condition::NoOp(instance) => write!(f, "no-op at {}", instance.0),
            Condition::Running(target) => write!(f, "running {target}"),
            Condition::Dead(target) => write!(f, "dead {target}"),
            Condition::Sent(sent) => write!(f, "{sent}"),
            Condition::Nothing(time) => write!(f, "nothing delivered for {time:?}"),
            Condition::Peace(time) => write!(f, "peace for {time:?}"),
        }
    }
}

impl Display for Accident {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = self.kind().replace(' ', "-");
        match self {
            Accident::Lost(way) => write!(f, "{kind} {way}"),
            Accident::Late(way, time) | Accident::Repeated(way, time) => {
                write!(f, "{kind} {way} {time:?}")
            }
            Accident::Damaged(way, bit) => write!(f, "{kind} {way} {bit}"),
            Accident::FailedSync(act) => write!(f, "{kind} {act}"),
            Accident::SlowSync(act, time) | Accident::SlowLookup(act, time) => {
                write!(f, "{kind} {act} {time:?}")
            }
            Accident::ShortTurn(act, taken) => write!(f, "{kind} {act} {taken}"),
            Accident::LateStart(who, after) => write!(f, "{kind} {who} {after:?}"),
        }
    }
}

fn several(targets: &[Target]) -> String {
    let targets: Vec<String> = targets.iter().map(Target::to_string).collect();
    targets.join(" ")
}

fn quote_all(texts: &[Bytes]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quote(text)).collect();
    texts.join(" ")
}

fn quote(text: &[u8]) -> String {
    // What escapes a quote escapes the other kind too, and needlessly.
    format!(
        "\"{}\"",
        text.escape_ascii().to_string().replace("\\'", "'")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Role;
    use crate::sim::name::Name;

    /// One line of every kind, as it is printed.
    const LINES: &str = r#"# What it shows,
# on two lines.
seed 7
mutant no-such-thing
proposers 3
acceptors 5
learners 1
clients 2
set window 1
set memory volatile
set loss 0.05
accident lost p1/12 to a2
accident late p1'/12 to a2 35.2ms
accident repeated p1/12 to a2 1s
accident damaged p1/12 to a2 77
accident slow-sync a1/3 2µs
accident failed-sync a1/4
accident short-turn l1/9 3
accident slow-lookup a1/1 1ms
accident late-start p2 3ns
submit c1 "a" "it's \"b\"\x00"
at 3ms submit c2 20 values every 5ms
submit c2 3 values
submit c1 300000 bytes
wait 100ms
wait for leader
let old = leader
crash leader
kill old p2
restart old
pause all acceptors
resume all acceptors
close l1
open l1
isolate followers
leap c1 by 3600s
cut p1 to a1 a2
cut multicast p1 and all learners
mend
stray another cluster 5
damage a1 by bit rot 77
fill a2
free a2
add l3
drop next accept from p1 to a2
drop next 3 promise
drop number 2 accepted of 5
drop 5% of every message
delay every prepare by 1s
delay every message from leader by 0ns..1s
repeat next 2 accepted to p1 by 5ms
drop nothing
count anew
skip an instance
set loss 30%
say hello, world
expect leader p2 within 1s
expect no leader
expect delivered 3 by l1
expect delivered "a" "b"
expect nothing delivered for 5s
expect peace for 5s
expect done within 60s
expect acknowledged 3 to c1
expect chosen 5
expect no-op
expect no-op at 5 within 1s
expect sent at least 1 message
expect sent at most 3 request of 5 from all learners
expect running p1
expect dead all acceptors
expect broken "two values"
"#;

    #[test]
    fn what_is_printed_reads_as_the_same() {
        let scenario: Scenario = LINES.parse().unwrap();
        assert_eq!(scenario.to_string(), LINES);
        assert_eq!(scenario.steps.len(), 52);
        let killed = [
            Target::Called("old".into()),
            Target::Name(Name::new(Role::Proposer, 2)),
        ];
        let kill = Action::Do(Verb::Kill, killed.into());
        assert!(scenario.steps.iter().any(|step| step.action == kill));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let wrong = [
            ("crush p1", "1: \"crush\" is no step"),
            (
                "\ncrash x1",
                "2: \"x1\" is no process: a letter and a number, as in p1",
            ),
            (
                "wait 5",
                "1: \"5\" is no time: a number and its unit, as in 20ms or 1.5s",
            ),
            (
                "drop every hello",
                "1: \"hello\" is no message; there are: submit",
            ),
            (
                "wait 1s\nseed 5",
                "2: \"seed\" must come before the first step",
            ),
            (
                "set colour red",
                "1: \"colour\" cannot be set; there are: datagram",
            ),
            (
                "wait 1s\nset window 1",
                "2: window must be set before the first step",
            ),
            ("mend now", "1: nothing can follow here, found \"now\""),
            ("submit p1 \"x\"", "1: p1 is no client"),
            (
                "submit c1",
                "1: expected a text in quotes, or a number, found the end of the line",
            ),
            ("expect war", "1: \"war\" is nothing that can hold"),
            ("expect sent often", "1: expected \"at\", found \"often\""),
            ("acceptors 0", "1: acceptors: 0 is out of range"),
        ];
        for (text, mistake) in wrong {
            let found = text.parse::<Scenario>().unwrap_err().to_string();
            assert!(found.starts_with(mistake), "{text:?}: {found}");
        }
    }

    #[test]
    fn what_follows_the_end_is_not_read() {
        let scenario: Scenario = "mend\n----\nno step, whatever it says\n".parse().unwrap();
        assert_eq!(scenario.steps.len(), 1);
    }
}
