//! What was said earlier: on joining, on coming back, and when a client asks for it.

use std::sync::Arc;

use super::caps::Caps;
use super::client::Client;
use super::date::{iso, parse_iso};
use super::plan::asks_for_history;
use super::showing::{Moment, Sheet};
use crate::service::Place;
use crate::service::chat::Chat;
use crate::service::chat::command::SessionId;
use crate::service::chat::effect::{Effect, Event, Target};
use crate::service::chat::limits::Limits;
use crate::service::chat::name::shown;
use crate::service::chat::recall::{Conversation, Point, Selector};
use crate::service::chat::ring::At;

/// Shows somebody who has just joined a channel what was said there before.
pub fn play_back(
    chat: &Chat,
    client: &mut Client,
    session: SessionId,
    channel: &str,
    (place, index): (Place, u16),
    count: usize,
) {
    if count == 0 || asks_for_history(client.caps) {
        return;
    }
    let before = Selector::Before(Point::At(At::first(place)));
    // Nothing, if they have left again meanwhile.
    if let Ok(events) = chat.history(session, channel, before, count)
        && !events.is_empty()
    {
        let joined = Moment {
            place,
            index,
            time: 0,
        };
        batch(
            client,
            chat,
            session,
            channel,
            &events,
            Purpose::Joined(joined),
        );
    }
}

/// Shows somebody what was said while they were away: in order, or, where they can
/// tell batches apart, in a batch for each channel and each conversation.
pub fn replay<'a>(
    client: &mut Client,
    chat: &Chat,
    session: SessionId,
    events: impl Iterator<Item = &'a Arc<Event>>,
) {
    // Who knows places is shown them in their order.
    if !client.caps.has(Caps::BATCH) || client.caps.has(Caps::SESSION) {
        for event in events {
            Sheet::new(Moment::of(event), &event.effect).show(chat, session, client);
        }
        return;
    }
    let mut batches: Vec<(String, Vec<Arc<Event>>)> = Vec::new();
    for event in events {
        let with = partner(&event.effect, session);
        match batches.iter_mut().find(|(known, _)| *known == with) {
            Some((_, all)) => all.push(Arc::clone(event)),
            None => batches.push((with, vec![Arc::clone(event)])),
        }
    }
    for (with, events) in batches {
        batch(client, chat, session, &with, &events, Purpose::Missed);
    }
}

/// With whom, or where, something was said, as this session sees it.
fn partner(effect: &Effect, session: SessionId) -> String {
    match effect {
        Effect::Said { who, target, .. } => match target {
            Target::Channel(channel) => channel.clone(),
            Target::Session(_, nick) if who.session == session => nick.clone(),
            Target::Session(..) => who.nick.clone(),
        },
        _ => "*".to_owned(),
    }
}

/// Why somebody is shown what was said earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// They joined: it belongs to that.
    Joined(Moment),
    /// They missed it; what they said themselves they know.
    Missed,
    /// They asked.
    Asked,
}

/// Shows events as what was said earlier with somebody or in a channel.
fn batch(
    client: &mut Client,
    chat: &Chat,
    session: SessionId,
    with: &str,
    events: &[Arc<Event>],
    purpose: Purpose,
) {
    let caps = client.caps;
    let mut tags = String::new();
    match purpose {
        Purpose::Missed => {}
        Purpose::Asked => client.caps = caps.with(Caps::ECHO_MESSAGE).without(Caps::SESSION),
        Purpose::Joined(joined) => {
            client.caps = caps.with(Caps::ECHO_MESSAGE);
            if caps.has(Caps::SESSION) {
                tags = format!("@paxcast/place={} ", joined.name());
            }
        }
    }
    let name = events
        .first()
        .map(|event| format!("h{}", Moment::of(event).name()));
    let name = name.unwrap_or_else(|| "h0".to_owned());
    let server = Arc::clone(&client.server);
    let batches = client.caps.has(Caps::BATCH);
    if batches {
        client.push(&format!(
            "{tags}:{server} BATCH +{name} chathistory {with}\r\n"
        ));
    }
    for event in events {
        let mut sheet = Sheet::new(Moment::of(event), &event.effect);
        if batches {
            sheet = sheet.within(&name);
        }
        if let Purpose::Joined(joined) = purpose {
            sheet = sheet.belonging_to(joined);
        }
        sheet.show(chat, session, client);
    }
    if batches {
        client.push(&format!("{tags}:{server} BATCH -{name}\r\n"));
    }
    client.caps = caps;
}

/// Answers `CHATHISTORY`.
pub fn answer(client: &mut Client, chat: &Chat, session: SessionId, words: &[String]) {
    let sub = words[0].to_ascii_uppercase();
    let rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let fail = |client: &mut Client, code: &str, more: &str, text: &str| {
        client.say(&format!(
            "FAIL CHATHISTORY {code} {}{more} :{text}",
            shown(&sub)
        ));
    };
    if sub == "TARGETS" {
        return targets(client, chat, session, &rest);
    }
    let asked = match (sub.as_str(), &rest[..]) {
        ("LATEST", [target, "*", limit]) => Some((target, Some(Selector::Latest(None)), limit)),
        ("LATEST", [target, point, limit]) => Some((
            target,
            parse(point).map(|p| Selector::Latest(Some(p))),
            limit,
        )),
        ("BEFORE", [target, point, limit]) => {
            Some((target, parse(point).map(Selector::Before), limit))
        }
        ("AFTER", [target, point, limit]) => {
            Some((target, parse(point).map(Selector::After), limit))
        }
        ("AROUND", [target, point, limit]) => {
            Some((target, parse(point).map(Selector::Around), limit))
        }
        ("BETWEEN", [target, from, to, limit]) => {
            let both = parse(from).zip(parse(to));
            Some((
                target,
                both.map(|(from, to)| Selector::Between(from, to)),
                limit,
            ))
        }
        ("LATEST" | "BEFORE" | "AFTER" | "AROUND" | "BETWEEN", _) => None,
        _ => return fail(client, "INVALID_PARAMS", "", "There is no such subcommand"),
    };
    let Some((target, selector, limit)) = asked else {
        return fail(
            client,
            "NEED_MORE_PARAMS",
            "",
            "Target, point and limit are needed",
        );
    };
    let (Some(selector), Ok(limit)) = (selector, limit.parse::<usize>()) else {
        return fail(
            client,
            "INVALID_PARAMS",
            "",
            "The point or the limit is none",
        );
    };
    match chat.history(session, target, selector, limit.min(Limits::MESSAGES)) {
        Ok(events) => batch(
            client,
            chat,
            session,
            &shown(target),
            &events,
            Purpose::Asked,
        ),
        Err(_) => fail(
            client,
            "INVALID_TARGET",
            &format!(" {}", shown(target)),
            "There is no history of that for you",
        ),
    }
}

/// Tells where, and with whom, something was said last between two times.
fn targets(client: &mut Client, chat: &Chat, session: SessionId, words: &[&str]) {
    let point = |index: usize| words.get(index).and_then(|word| parse(word));
    let (Some(Point::Time(one)), Some(Point::Time(other))) = (point(0), point(1)) else {
        return client.say("FAIL CHATHISTORY INVALID_PARAMS TARGETS :Two timestamps are needed");
    };
    let limit = words.get(2).and_then(|word| word.parse().ok());
    let limit: usize = limit.unwrap_or(Limits::CHANNELS_EACH).min(Limits::MESSAGES);
    let (from, to) = (one.min(other), one.max(other));
    let found = chat.conversations(session, (from, to), limit);
    let batches = client.caps.has(Caps::BATCH);
    if batches {
        client.say("BATCH +targets draft/chathistory-targets");
    }
    let tags = if batches { "@batch=targets " } else { "" };
    for Conversation { time, target } in found {
        let server = Arc::clone(&client.server);
        let line = format!(
            "{tags}:{server} CHATHISTORY TARGETS {target} {}\r\n",
            iso(time)
        );
        client.push(&line);
    }
    if batches {
        client.say("BATCH -targets");
    }
}

/// A point of the history: `msgid=…` or `timestamp=…`.
fn parse(text: &str) -> Option<Point> {
    let (kind, value) = text.split_once('=')?;
    match kind {
        "msgid" => {
            let (place, index) = value.split_once('.').unwrap_or((value, "0"));
            Some(Point::At(At {
                place: Place(place.parse().ok()?),
                index: index.parse().ok()?,
            }))
        }
        "timestamp" => Some(Point::Time(parse_iso(value)?)),
        _ => None,
    }
}
