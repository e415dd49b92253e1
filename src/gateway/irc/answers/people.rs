//! Questions about people.

use super::Asking;
use crate::gateway::irc::caps::Caps;
use crate::gateway::irc::numerics::Numeric;
use crate::gateway::irc::showing::prefix;
use crate::service::chat::channel::Channel;
use crate::service::chat::effect::Rank;
use crate::service::chat::mask::fits;
use crate::service::chat::name::shown;
use crate::service::chat::session::Session;

/// The most that one question about people shows.
const MOST: usize = 5_000;

/// Who is in a channel, or whom a mask fits.
pub(super) fn who(asking: &mut Asking<'_>, mask: &str) {
    let chat = asking.chat;
    if mask.starts_with('#') {
        if let Some(channel) = asking.visible(mask) {
            let inside = channel.member(asking.session).is_some();
            for (id, rank) in channel.members().take(MOST) {
                if let Some(session) = chat.session(id)
                    && (inside || !session.invisible())
                {
                    row(asking, channel.name(), session, rank);
                }
            }
        }
    } else {
        let found: Vec<&Session> = match mask.contains(['*', '?']) || mask == "0" {
            false => chat
                .find(mask)
                .and_then(|id| chat.session(id))
                .into_iter()
                .collect(),
            true => {
                let mask = if mask == "0" { "*" } else { mask };
                let meets = |session: &&Session| {
                    fits(mask, session.nick())
                        || fits(mask, session.user())
                        || fits(mask, session.host())
                        || fits(mask, session.real())
                };
                let seen = |session: &&Session| {
                    !session.invisible()
                        || session.id() == asking.session
                        || session.channels().any(|name| {
                            let channel = chat.channel(name);
                            channel.is_some_and(|it| it.member(asking.session).is_some())
                        })
                };
                chat.everybody()
                    .filter(meets)
                    .filter(seen)
                    .take(MOST)
                    .collect()
            }
        };
        for session in found {
            row(asking, "*", session, Rank::default());
        }
    }
    asking.tell(315, shown(mask), "End of WHO list");
}

fn row(asking: &mut Asking<'_>, channel: &str, session: &Session, rank: Rank) {
    let seat = session.seat().map(|seat| seat.gateway.id);
    let server = asking.server(seat);
    let here = if session.away().is_some() { 'G' } else { 'H' };
    let multi = asking.client.caps.has(Caps::MULTI_PREFIX);
    let hops = u8::from(seat != Some(asking.settings.id));
    let words = format!(
        "{channel} {} {} {server} {} {here}{}",
        session.user(),
        session.host(),
        session.nick(),
        prefix(rank, multi),
    );
    asking.tell(352, words, format!("{hops} {}", session.real()));
}

/// Who somebody is.
pub(super) fn whois(asking: &mut Asking<'_>, nicks: &[String]) {
    let chat = asking.chat;
    for nick in nicks {
        match chat.find(nick).and_then(|id| chat.session(id)) {
            None => asking.client.tell(&Numeric::no_such_nick(nick)),
            Some(session) => describe(asking, session),
        }
        asking.tell(318, shown(nick), "End of WHOIS list");
    }
}

fn describe(asking: &mut Asking<'_>, session: &Session) {
    let nick = session.nick();
    let whence = format!("{nick} {} {} *", session.user(), session.host());
    asking.tell(311, whence, session.real());
    let shared = |channel: &Channel| {
        let inside = channel.member(asking.session).is_some();
        inside || !channel.modes().secret && !session.invisible()
    };
    let multi = asking.client.caps.has(Caps::MULTI_PREFIX);
    let channels: Vec<String> = session
        .channels()
        .filter_map(|name| asking.chat.channel(name))
        .filter(|channel| session.id() == asking.session || shared(channel))
        .map(|channel| {
            let rank = channel.member(session.id()).unwrap_or_default();
            format!("{}{}", prefix(rank, multi), channel.name())
        })
        .collect();
    for some in channels.chunks(8) {
        asking.tell(319, nick, some.join(" "));
    }
    let seat = session.seat().map(|seat| seat.gateway.id);
    let about = match seat {
        Some(id) => format!("gateway {id} of {}", asking.settings.network),
        None => "not connected; the session waits".to_owned(),
    };
    let server = asking.server(seat);
    asking.tell(312, format!("{nick} {server}"), about);
    if let Some(account) = session.account() {
        asking.tell(330, format!("{nick} {account}"), "is logged in as");
    }
    if let Some(text) = session.away() {
        asking.tell(301, nick, text);
    }
    let idle = asking.chat.time().saturating_sub(session.idle_since()) / 1000;
    let times = format!("{nick} {idle} {}", session.opened() / 1000);
    asking.tell(317, times, "seconds idle, signon time");
}

/// Who of these is there.
pub(super) fn is_on(asking: &mut Asking<'_>, nicks: &[String]) {
    let chat = asking.chat;
    let there = nicks.iter().filter_map(|nick| {
        let session = chat.session(chat.find(nick)?)?;
        Some(session.nick())
    });
    let there: Vec<&str> = there.collect();
    said(asking, 303, &there.join(" "));
}

/// Where these come from.
pub(super) fn user_host(asking: &mut Asking<'_>, nicks: &[String]) {
    const PLENTY: usize = 5;
    let chat = asking.chat;
    let there = nicks.iter().take(PLENTY).filter_map(|nick| {
        let session = chat.session(chat.find(nick)?)?;
        let sign = if session.away().is_some() { '-' } else { '+' };
        let (nick, user, host) = (session.nick(), session.user(), session.host());
        Some(format!("{nick}={sign}{user}@{host}"))
    });
    let there: Vec<String> = there.collect();
    said(asking, 302, &there.join(" "));
}

/// A list that may be empty, and is said all the same.
fn said(asking: &mut Asking<'_>, code: u16, words: &str) {
    let line = format!("{code} {} :{words}", asking.client.name());
    asking.client.say(&line);
}
