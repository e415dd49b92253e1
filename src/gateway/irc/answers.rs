//! Questions that are answered from the state that is here.

mod people;
mod places;

use super::client::Client;
use super::date::iso;
use super::log::Log;
use super::numerics::Numeric;
use super::plan::Question;
use super::server::{RELEASE, motd, supports};
use super::settings::Settings;
use super::{history, registration};
use crate::service::StateMachine;
use crate::service::chat::Chat;
use crate::service::chat::command::SessionId;

/// One question, and who asks.
struct Asking<'a> {
    client: &'a mut Client,
    chat: &'a Chat,
    session: SessionId,
    settings: &'a Settings,
}

impl Asking<'_> {
    /// Tells something by number.
    fn tell(&mut self, code: u16, middle: impl Into<String>, text: impl Into<String>) {
        self.client.tell(&Numeric::new(code, middle, text));
    }

    /// The name of a gateway.
    fn server(&self, id: Option<u16>) -> String {
        match id {
            Some(id) if id == self.settings.id => self.settings.name.to_string(),
            Some(id) => format!("gateway{id}.paxcast"),
            None => "waiting.paxcast".to_owned(),
        }
    }
}

/// Answers a question of somebody who is in.
pub fn answer(
    client: &mut Client,
    session: SessionId,
    question: &Question,
    settings: &Settings,
    wall: u64,
    log: &impl Log,
) {
    let chat = log.chat();
    let mut asking = Asking {
        client,
        chat,
        session,
        settings,
    };
    match question {
        Question::Tell(numeric) => asking.client.tell(numeric),
        Question::Cap(sub, list) => {
            registration::capabilities(asking.client, sub, list, settings);
        }
        Question::Ping(word) => registration::pong(asking.client, word),
        Question::Topic(name) => places::topic(&mut asking, name),
        Question::Names(names) => places::names(&mut asking, names),
        Question::List(names) => places::list(&mut asking, names),
        Question::ChannelModes(name) => places::modes(&mut asking, name),
        Question::Bans(name) => places::bans(&mut asking, name),
        Question::Who(mask) => people::who(&mut asking, mask),
        Question::Whois(nicks) => people::whois(&mut asking, nicks),
        Question::Whowas(nick) => {
            asking
                .client
                .tell(&Numeric::about(406, nick, "There was no such nickname"));
            asking
                .client
                .tell(&Numeric::about(369, nick, "End of WHOWAS list"));
        }
        Question::OwnModes => {
            let invisible = chat.session(session).is_some_and(|who| who.invisible());
            asking.tell(221, if invisible { "+i" } else { "+" }, "");
        }
        Question::IsOn(nicks) => people::is_on(&mut asking, nicks),
        Question::UserHost(nicks) => people::user_host(&mut asking, nicks),
        Question::Motd => motd(asking.client, settings),
        // The front end knows that.
        Question::Lusers => {}
        Question::Version => {
            let middle = format!("{RELEASE} {}", settings.name);
            asking.tell(351, middle, "a replicated chat");
            supports(asking.client, settings);
        }
        Question::Time => asking.tell(391, &*settings.name, iso(wall)),
        Question::Info => {
            asking.tell(
                371,
                "",
                format!("{RELEASE}: one chat on many servers, in one order"),
            );
            asking.tell(374, "", "End of INFO list");
        }
        Question::History(words) => history::answer(asking.client, chat, session, words),
        Question::Paxos(words) => {
            // Who asks is in.
            for line in paxos(words, settings, true, log) {
                asking.client.say(&line);
            }
        }
    }
}

/// How the log stands, and whether anybody is let in here.
pub fn paxos(words: &[String], settings: &Settings, serves: bool, log: &impl Log) -> Vec<String> {
    let chat = log.chat();
    let place = log.place().0;
    let local = chat.attached_at(settings.id);
    let sub = words.first().map(|word| word.to_ascii_uppercase());
    match sub.as_deref() {
        Some("HASH") => vec![format!("PAXOS HASH {:016x}@{place}", chat.digest())],
        Some("INFO") => vec![format!(
            "PAXOS INFO gateway={} cluster={:x} users={local} sound={} place={place} \
             digest={:016x} time={} sessions={} attached={} channels={} remembered_bytes={}",
            settings.id,
            settings.cluster,
            u8::from(serves && log.is_sound()),
            chat.digest(),
            chat.time(),
            chat.sessions(),
            chat.attached(),
            chat.channel_count(),
            chat.remembered(),
        )],
        _ => vec!["NOTICE * :*** PAXOS HASH, or PAXOS INFO".to_owned()],
    }
}
