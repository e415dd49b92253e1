//! What a front reads out of lines, and writes into them.

use crate::gateway::irc::line::Line;

/// What the front asks its gateways for.
pub const CAPABILITY: &str = "paxcast/session";

/// Appends a line with its end.
pub fn say(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

/// Whether two words are one, in whatever case.
pub fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Whether a command is part of saying who one is.
pub fn introduces(command: &str) -> bool {
    matches!(
        command,
        "AUTHENTICATE" | "CAP" | "NICK" | "PASS" | "PING" | "USER"
    )
}

/// Whether a client asks for what the front has asked for itself.
pub fn asks_for_ours(line: &Line<'_>) -> bool {
    let [command, names, ..] = line.parameters[..] else {
        return false;
    };
    let bare = |name: &str| name.trim_start_matches('-').to_owned();
    is(command, "REQ") && names.split(' ').any(|name| is(&bare(name), CAPABILITY))
}

/// Says no to that.
pub fn refuse(nick: &str, line: &Line<'_>, client: &mut String) {
    let names = line.parameters.get(1).copied().unwrap_or("");
    say(client, &format!("CAP {nick} NAK :{names}"));
}

/// A line with a number, and without one that it had.
pub fn number(number: u64, text: &str) -> String {
    let text = without_ours(text);
    match text.strip_prefix('@') {
        Some(tagged) => format!("@paxcast/number={number};{tagged}"),
        None => format!("@paxcast/number={number} {text}"),
    }
}

/// A line without the tags that gateways and fronts use among themselves.
pub fn without_ours(text: &str) -> String {
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
