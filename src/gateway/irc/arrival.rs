//! What somebody is told who comes in: the welcome, and, if they were here before,
//! what they missed.

use std::sync::Arc;

use super::caps::Caps;
use super::client::{Client, end};
use super::date::iso;
use super::history;
use super::numerics::Numeric;
use super::server::{Census, RELEASE, lusers, motd, supports};
use super::settings::Settings;
use super::showing::{Moment, Sheet, welcome};
use crate::service::Place;
use crate::service::chat::Chat;
use crate::service::chat::effect::{Effect, Event};
use crate::service::chat::session::Session;

/// What somebody who comes in has to be shown of what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// Where their session was opened.
    pub opened: Place,
    /// If it was there before: everything through here they have seen.
    pub resumed: Option<Place>,
    /// All through here has happened.
    pub now: Place,
}

/// The most events that somebody who comes back is shown.
const MOST_MISSED: usize = 4_000;

/// The welcome: 001 to 005, how many there are, the message of the day.
pub fn burst(client: &mut Client, settings: &Settings, session: &Session, census: &Census) {
    let (name, network) = (&settings.name, &settings.network);
    let mask = session.mask();
    let mut tell = |code, middle: &str, text: &str| client.tell(&Numeric::new(code, middle, text));
    tell(1, "", &format!("Welcome to the {network} Network {mask}"));
    let version = format!("Your host is {name}, running version {RELEASE}");
    tell(2, "", &version);
    let started = format!("This server has been started {}", iso(census.began));
    tell(3, "", &started);
    tell(4, &format!("{name} {RELEASE} i biklmnostv bklov"), "");
    supports(client, settings);
    lusers(client, census);
    motd(client, settings);
    if session.invisible() {
        let line = format!(":{mask} MODE {} :+i", session.nick());
        client.push(&end(line));
    }
    if session.away().is_some() {
        client.tell(&Numeric::new(306, "", "You have been marked as being away"));
    }
}

/// Somebody who knows places goes on exactly where they were.
pub fn go_on(
    client: &mut Client,
    chat: &Chat,
    session: &Session,
    since: Since,
    number: u64,
    history: usize,
) {
    let Some(after) = since.resumed else {
        client.say("PAXOS FRESH");
        return come_back(client, chat, session, since);
    };
    client.say(&format!("PAXOS RESUMED {number}"));
    let missed = chat.missed(session.id(), after, since.now);
    if !missed.complete || missed.events.len() > MOST_MISSED {
        client.say("PAXOS GAP");
        return come_back(client, chat, session, since);
    }
    for event in &missed.events {
        let moment = Moment::of(event);
        Sheet::new(moment, &event.effect).show(chat, session.id(), client);
        if let Effect::Joined { who, roster, .. } = &event.effect
            && who.session == session.id()
        {
            let at = (moment.place, moment.index);
            history::play_back(chat, client, session.id(), &roster.channel, at, history);
        }
    }
}

/// Somebody comes in who has nothing on their screen: the channels that they are in,
/// and what was said meanwhile.
pub fn come_back(client: &mut Client, chat: &Chat, session: &Session, since: Since) {
    let Since {
        opened,
        resumed,
        now,
    } = since;
    let by = session.mask();
    for folded in session.channels() {
        let Some(roster) = chat.roster(folded) else {
            continue;
        };
        let channel = &roster.channel;
        let line = match client.caps.has(Caps::EXTENDED_JOIN) {
            true => {
                let account = session.account().unwrap_or("*");
                format!(":{by} JOIN {channel} {account} :{}", session.real())
            }
            false => format!(":{by} JOIN :{channel}"),
        };
        client.push(&end(line));
        welcome(chat, client, &roster, "");
    }
    let missed = chat.missed(session.id(), resumed.unwrap_or(opened), now);
    let said = |event: &&Arc<Event>| matches!(event.effect, Effect::Said { .. });
    let too_many = missed
        .events
        .iter()
        .filter(said)
        .count()
        .saturating_sub(MOST_MISSED);
    if resumed.is_some() && !missed.complete {
        client.notice("Some of what was said while you were away is not remembered any more");
    } else if too_many > 0 {
        client.notice("Only the last of what was said while you were away is shown");
    }
    let shown = missed.events.iter().filter(said).skip(too_many);
    history::replay(client, chat, session.id(), shown);
    if client.caps.has(Caps::SESSION) {
        client.say(&format!("PAXOS AT {}", now.0));
    }
}
