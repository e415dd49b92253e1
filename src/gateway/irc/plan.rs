//! From a line to what is to be done about it: something that the log must know, or a
//! question that is answered here.

use super::caps::Caps;
use super::client::Client;
use super::line::Line;
use super::numerics::Numeric;
use crate::service::chat::command::{Deed, Manner, ModeChange};
use crate::service::chat::limits::Limits;
use crate::service::chat::name::is_channel;

/// What is to be done about a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The log must know.
    Act(Deed),
    /// It is answered here.
    Ask(Question),
    /// The client says good-bye.
    Quit(String),
    /// Nothing.
    Nothing,
}

/// What is answered from the state that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// This.
    Tell(Numeric),
    /// `CAP`.
    Cap(String, String),
    /// `PING`.
    Ping(String),
    /// The topic of a channel.
    Topic(String),
    /// Who is in channels; in all that can be seen, if none is named.
    Names(Vec<String>),
    /// Which channels there are.
    List(Vec<String>),
    /// Who fits.
    Who(String),
    /// Who these are.
    Whois(Vec<String>),
    /// Who these were.
    Whowas(String),
    /// The modes of a channel.
    ChannelModes(String),
    /// The bans of a channel.
    Bans(String),
    /// One's own modes.
    OwnModes,
    /// Who of these is there.
    IsOn(Vec<String>),
    /// Where these come from.
    UserHost(Vec<String>),
    /// The message of the day.
    Motd,
    /// How many users there are.
    Lusers,
    /// Which release this is.
    Version,
    /// What time it is.
    Time,
    /// What this is.
    Info,
    /// What was said.
    History(Vec<String>),
    /// How the log stands.
    Paxos(Vec<String>),
}

/// A command: its name, how many parameters it needs, and what it becomes.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    least: usize,
    plan: fn(&Client, &[&str]) -> Plan,
}

/// The commands.
pub const ROWS: [Row; 35] = [
    row("ADMIN", 0, |_, _| Plan::Ask(Question::Info)),
    row("AUTHENTICATE", 0, |_, _| {
        tell(Numeric::new(907, "", "You have already authenticated"))
    }),
    row("AWAY", 0, |_, words| {
        let text = words.first().filter(|text| !text.is_empty());
        Plan::Act(Deed::Away(text.map(|text| (*text).to_owned())))
    }),
    row("CAP", 1, |_, words| {
        let list = words.get(1).copied().unwrap_or_default();
        Plan::Ask(Question::Cap(words[0].to_owned(), list.to_owned()))
    }),
    row("CHATHISTORY", 1, |_, words| {
        Plan::Ask(Question::History(owned(words)))
    }),
    row("INFO", 0, |_, _| Plan::Ask(Question::Info)),
    row("INVITE", 2, |_, words| {
        Plan::Act(Deed::Invite {
            nick: words[0].to_owned(),
            channel: words[1].to_owned(),
        })
    }),
    row("ISON", 1, |_, words| {
        Plan::Ask(Question::IsOn(blanks(words)))
    }),
    row("JOIN", 1, join),
    row("KICK", 2, |client, words| {
        let reason = words.get(2).copied().filter(|reason| !reason.is_empty());
        Plan::Act(Deed::Kick {
            channel: words[0].to_owned(),
            nicks: list(words[1]),
            reason: reason.unwrap_or(client.name()).to_owned(),
        })
    }),
    row("LIST", 0, |_, words| {
        let named = words.first().map(|word| list(word)).unwrap_or_default();
        Plan::Ask(Question::List(named))
    }),
    row("LUSERS", 0, |_, _| Plan::Ask(Question::Lusers)),
    row("MODE", 1, mode),
    row("MOTD", 0, |_, _| Plan::Ask(Question::Motd)),
    row("NAMES", 0, |_, words| {
        let named = words.first().map(|word| list(word)).unwrap_or_default();
        Plan::Ask(Question::Names(named))
    }),
    row("NICK", 0, |client, words| match words.first().copied() {
        None | Some("") => tell(Numeric::new(431, "", "No nickname given")),
        Some(nick) if nick == client.name() => Plan::Nothing,
        Some(nick) => Plan::Act(Deed::Nick(nick.to_owned())),
    }),
    row("NOTICE", 0, |_, words| match words {
        [targets, text, ..] if !targets.is_empty() => say(targets, Manner::Notice, text),
        // Nothing is ever said about a notice.
        _ => Plan::Nothing,
    }),
    row("OPER", 2, |_, _| {
        tell(Numeric::new(
            491,
            "",
            "There are no operators of servers here",
        ))
    }),
    row("PART", 1, |_, words| {
        Plan::Act(Deed::Part {
            channels: list(words[0]),
            reason: words.get(1).copied().unwrap_or_default().to_owned(),
        })
    }),
    row("PASS", 0, |_, _| registered()),
    row("PAXOS", 1, |_, words| {
        Plan::Ask(Question::Paxos(owned(words)))
    }),
    row("PING", 0, |_, words| match words.first() {
        Some(word) => Plan::Ask(Question::Ping((*word).to_owned())),
        None => tell(Numeric::new(409, "", "No origin specified")),
    }),
    row("PONG", 0, |_, _| Plan::Nothing),
    row("PRIVMSG", 0, |_, words| match words {
        [] | ["", ..] => tell(Numeric::new(411, "", "No recipient given (PRIVMSG)")),
        [_] | [_, ""] => tell(Numeric::new(412, "", "No text to send")),
        [targets, text, ..] => say(targets, Manner::Message, text),
    }),
    row("QUIT", 0, |_, words| {
        Plan::Quit(words.first().copied().unwrap_or_default().to_owned())
    }),
    row("TAGMSG", 1, |_, _| Plan::Nothing),
    row("TIME", 0, |_, _| Plan::Ask(Question::Time)),
    row("TOPIC", 1, |_, words| match words {
        [channel] => Plan::Ask(Question::Topic((*channel).to_owned())),
        [channel, topic, ..] => Plan::Act(Deed::Topic {
            channel: (*channel).to_owned(),
            topic: (*topic).to_owned(),
        }),
        [] => Plan::Nothing,
    }),
    row("USER", 0, |_, _| registered()),
    row("USERHOST", 1, |_, words| {
        Plan::Ask(Question::UserHost(blanks(words)))
    }),
    row("VERSION", 0, |_, _| Plan::Ask(Question::Version)),
    row("WEBIRC", 0, |_, _| registered()),
    row("WHO", 0, |_, words| {
        let mask = words.first().copied().unwrap_or("*");
        Plan::Ask(Question::Who(mask.to_owned()))
    }),
    row("WHOIS", 0, |_, words| match words {
        [] => tell(Numeric::new(431, "", "No nickname given")),
        // The first of two is the server to be asked.
        [nicks] | [_, nicks, ..] => Plan::Ask(Question::Whois(list(nicks))),
    }),
    row("WHOWAS", 0, |_, words| match words.first() {
        None => tell(Numeric::new(431, "", "No nickname given")),
        Some(nick) => Plan::Ask(Question::Whowas((*nick).to_owned())),
    }),
];

const fn row(name: &'static str, least: usize, plan: fn(&Client, &[&str]) -> Plan) -> Row {
    Row { name, least, plan }
}

/// What a line of a registered client becomes, and the command as people call it.
pub fn plan(client: &Client, line: &Line<'_>) -> (&'static str, Plan) {
    let found = ROWS
        .iter()
        .find(|row| row.name.eq_ignore_ascii_case(line.command));
    let Some(row) = found else {
        return (
            "*",
            tell(Numeric::about(421, line.command, "Unknown command")),
        );
    };
    let plan = match line.parameters.len() < row.least {
        true => tell(Numeric::needs_more(row.name)),
        false => (row.plan)(client, &line.parameters),
    };
    (row.name, plan)
}

fn tell(numeric: Numeric) -> Plan {
    Plan::Ask(Question::Tell(numeric))
}

fn registered() -> Plan {
    tell(Numeric::new(462, "", "Connection already registered"))
}

/// A list with commas.
fn list(word: &str) -> Vec<String> {
    let parts = word.split(',').filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Words that may come as one parameter or as several.
fn blanks(words: &[&str]) -> Vec<String> {
    let words = words.iter().flat_map(|word| word.split_whitespace());
    words.map(str::to_owned).collect()
}

fn say(targets: &str, manner: Manner, text: &str) -> Plan {
    let targets = list(targets);
    if targets.len() > Limits::TARGETS && manner == Manner::Message {
        let first = targets[Limits::TARGETS].as_str();
        return tell(Numeric::about(407, first, "Too many recipients"));
    }
    Plan::Act(Deed::Say {
        targets,
        manner,
        text: text.to_owned(),
    })
}

fn join(_: &Client, words: &[&str]) -> Plan {
    if words[0] == "0" {
        return Plan::Act(Deed::PartAll);
    }
    let mut keys = words.get(1).copied().unwrap_or_default().split(',');
    let channels = list(words[0]).into_iter().map(|channel| {
        let key = keys.next().filter(|key| !key.is_empty());
        (channel, key.map(str::to_owned))
    });
    let channels: Vec<_> = channels.collect();
    match channels.is_empty() {
        true => tell(Numeric::no_such_channel("")),
        false => Plan::Act(Deed::Join(channels)),
    }
}

fn mode(client: &Client, words: &[&str]) -> Plan {
    let target = words[0];
    if !target.starts_with('#') {
        if !target.eq_ignore_ascii_case(client.name()) {
            return match is_channel(&format!("#{}", target.trim_start_matches(['&', '+', '!']))) {
                true if target.starts_with(['&', '+', '!']) => {
                    tell(Numeric::no_such_channel(target))
                }
                _ => tell(Numeric::new(502, "", "Can't set/get mode for other users")),
            };
        }
        let Some(letters) = words.get(1) else {
            return Plan::Ask(Question::OwnModes);
        };
        return Plan::Act(Deed::UserMode(changes(
            letters,
            &mut std::iter::empty(),
            "",
            "",
        )));
    }
    let Some(letters) = words.get(1).filter(|letters| !letters.is_empty()) else {
        return Plan::Ask(Question::ChannelModes(target.to_owned()));
    };
    let mut arguments = words[2..].iter().copied();
    let lists = letters.trim_start_matches(['+', '-']);
    if lists == "b" && arguments.len() == 0 {
        return Plan::Ask(Question::Bans(target.to_owned()));
    }
    let changes = changes(letters, &mut arguments, "kovb", "l");
    Plan::Act(Deed::Mode {
        channel: target.to_owned(),
        changes,
    })
}

/// Letters with their signs; those of `always` have an argument each, those of `set`
/// if they are set.
fn changes(
    letters: &str,
    arguments: &mut dyn Iterator<Item = &str>,
    always: &str,
    set: &str,
) -> Vec<ModeChange> {
    let mut sign = true;
    let mut changes = Vec::new();
    for letter in letters.chars() {
        match letter {
            '+' => sign = true,
            '-' => sign = false,
            letter => {
                let takes = always.contains(letter) || sign && set.contains(letter);
                let argument = if takes { arguments.next() } else { None };
                changes.push(ModeChange {
                    set: sign,
                    letter,
                    argument: argument.map(str::to_owned),
                });
            }
        }
    }
    changes
}

/// Whether history is something that this client asks for itself.
pub fn asks_for_history(caps: Caps) -> bool {
    caps.has(Caps::CHATHISTORY) && caps.has(Caps::BATCH)
}
