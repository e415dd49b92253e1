//! How a client says who it is: capabilities, a nick, a user name, perhaps a secret to
//! come back by, perhaps an account. It is in once all of that is said and the log has
//! taken it.

use super::accounts::token;
use super::caps::Caps;
use super::client::Client;
use super::guesses::Guess;
use super::line::Line;
use super::numerics::Numeric;
use super::sasl::{Exchange, Step};
use super::settings::Settings;
use crate::service::Place;
use crate::service::chat::limits::Limits;
use crate::service::chat::name;

/// Passwords that one connection may try.
const TRIALS: u32 = 3;

/// A line of somebody who is not in yet; `paxos` answers what is asked about the log.
pub fn handle(
    client: &mut Client,
    line: &Line<'_>,
    settings: &Settings,
    paxos: impl FnOnce(&[String]) -> Vec<String>,
) {
    let words = &line.parameters;
    let first = words.first().copied();
    let command = line.command.to_ascii_uppercase();
    match (command.as_str(), first) {
        ("CAP", Some(sub)) => {
            let list = words.get(1).copied().unwrap_or_default();
            capabilities(client, sub, list, settings);
        }
        ("NICK", Some(nick)) if !nick.is_empty() => match name::is_nick(nick) {
            true => nick.clone_into(&mut client.nick),
            false => client.tell(&Numeric::about(432, nick, "Erroneous nickname")),
        },
        ("NICK", _) => client.tell(&Numeric::new(431, "", "No nickname given")),
        ("USER", _) => match words[..] {
            [user, _, _, real, ..] if !user.is_empty() => {
                let user = name::part(user, Limits::USER);
                client.user = Some((user, real.to_owned()));
            }
            _ => client.tell(&Numeric::needs_more("USER")),
        },
        ("PASS", Some(secret)) if !secret.is_empty() => client.token = Some(token(secret)),
        ("AUTHENTICATE", Some(word)) => authenticate(client, word, settings),
        ("QUIT", _) => client.end("Client closed connection"),
        ("PING", Some(word)) => pong(client, word),
        ("PONG", _) => {}
        ("PAXOS", Some(word)) if word.eq_ignore_ascii_case("SEEN") => seen(client, words),
        ("PAXOS", Some(_)) => {
            // Who asks need not come in.
            client.asks = true;
            client.since = client.heard;
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            for line in paxos(&words) {
                client.say(&line);
            }
        }
        ("CAP" | "PASS" | "AUTHENTICATE" | "PING" | "PAXOS", _) => {
            client.tell(&Numeric::needs_more(&command));
        }
        _ => client.tell(&Numeric::new(451, "", "Connection not registered")),
    }
}

/// Whether all is said that must be.
pub fn is_complete(client: &Client) -> bool {
    !client.closing
        && !client.negotiating
        && !client.nick.is_empty()
        && client.user.is_some()
        && client.exchange.is_none()
        && client.guess.is_none()
}

/// Where somebody goes on.
fn seen(client: &mut Client, words: &[&str]) {
    let place = words.get(1).and_then(|word| word.parse().ok());
    match place {
        Some(place) if client.caps.has(Caps::SESSION) => client.seen = Some(Place(place)),
        _ => client.tell(&Numeric::new(
            461,
            "PAXOS",
            "SEEN needs a place, and the capability paxcast/session",
        )),
    }
}

/// Answers a `PING`.
pub fn pong(client: &mut Client, word: &str) {
    let line = format!("PONG {} :{word}", client.server);
    client.say(&line);
}

/// What there is to understand, and what the client does.
pub fn capabilities(client: &mut Client, sub: &str, list: &str, settings: &Settings) {
    let accounts = !settings.accounts.is_empty();
    let registering = client.session().is_none();
    let me = client.name().to_owned();
    match sub.to_ascii_uppercase().as_str() {
        "LS" => {
            client.negotiating |= registering;
            let version: u32 = list.parse().unwrap_or(301);
            let offer = Caps::offer(version >= 302, accounts);
            client.say(&format!("CAP {me} LS :{offer}"));
        }
        "LIST" => {
            let names = client.caps.names();
            client.say(&format!("CAP {me} LIST :{names}"));
        }
        "REQ" => {
            client.negotiating |= registering;
            let list = list.trim_end();
            match client.caps.request(list, accounts) {
                Some(caps) => {
                    client.caps = caps;
                    client.say(&format!("CAP {me} ACK :{list}"));
                }
                None => client.say(&format!("CAP {me} NAK :{list}")),
            }
        }
        "END" => client.negotiating = false,
        _ => client.tell(&Numeric::about(410, sub, "Invalid CAP subcommand")),
    }
}

/// A step of SASL.
fn authenticate(client: &mut Client, word: &str, settings: &Settings) {
    if !client.caps.has(Caps::SASL) || settings.accounts.is_empty() {
        return client.tell(&Numeric::new(904, "", "SASL authentication failed"));
    }
    if client.account.is_some() {
        return client.tell(&Numeric::new(907, "", "You have already authenticated"));
    }
    if word == "*" {
        client.exchange = None;
        return client.tell(&Numeric::new(906, "", "SASL authentication aborted"));
    }
    let Some(exchange) = &mut client.exchange else {
        if !word.eq_ignore_ascii_case("PLAIN") {
            client.tell(&Numeric::new(908, "PLAIN", "are available SASL mechanisms"));
            return client.tell(&Numeric::new(904, "", "SASL authentication failed"));
        }
        client.exchange = Some(Exchange::default());
        return client.push("AUTHENTICATE +\r\n");
    };
    let step = exchange.take(word);
    if step == Step::More {
        return;
    }
    client.exchange = None;
    match step {
        Step::Complete(name, password) => match settings.accounts.find(&name) {
            // What that costs is not spent here.
            Some(account) => client.guess = Some(Guess { account, password }),
            None => guessed(client, None),
        },
        Step::TooLong => client.tell(&Numeric::new(905, "", "SASL message too long")),
        _ => client.tell(&Numeric::new(904, "", "SASL authentication failed")),
    }
}

/// A password was checked: this is the account that it opens, if any.
pub fn guessed(client: &mut Client, account: Option<&str>) {
    if let Some(account) = account {
        client.account = Some(account.to_owned());
        let mask = format!("{}!*@{}", client.name(), client.host);
        let text = format!("You are now logged in as {account}");
        client.tell(&Numeric::new(900, format!("{mask} {account}"), text));
        return client.tell(&Numeric::new(903, "", "SASL authentication successful"));
    }
    client.failures += 1;
    client.tell(&Numeric::new(904, "", "SASL authentication failed"));
    if client.failures >= TRIALS {
        client.end("Too many wrong passwords");
    }
}
