//! What people say, and what they say of themselves.

use std::collections::BTreeSet;

use super::Chat;
use super::command::{Manner, SessionId};
use super::effect::{Effect, Refusal, Target};
use super::limits::Limits;
use super::name::{fold, is_nick, line, shown};
use super::session::Session;
use super::turn::Turn;

impl Chat {
    /// Somebody says something.
    pub(super) fn say(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        targets: &[String],
        manner: Manner,
        text: &str,
    ) {
        let time = turn.time;
        self.sessions.touch(id, |session| session.said = time);
        let (served, rest) = targets.split_at(targets.len().min(Limits::TARGETS));
        let refusal = match (text.len(), served.first()) {
            (0, _) => Some(Refusal::NoText),
            (Limits::TEXT.., Some(target)) if text.len() > Limits::TEXT => {
                Some(Refusal::TooLong(shown(target)))
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            return self.answer(turn, id, manner, refusal);
        }
        let text = line(text, Limits::TEXT);
        let mut heard = BTreeSet::new();
        for target in served {
            if !heard.insert(fold(target)) {
                continue;
            }
            let said = match target.starts_with('#') {
                true => self.say_in(turn, id, target, manner, &text),
                false => self.say_to(turn, id, target, manner, &text),
            };
            if let Err(refusal) = said {
                self.answer(turn, id, manner, refusal);
            }
        }
        if let Some(target) = rest.first() {
            self.answer(turn, id, manner, Refusal::TooLong(shown(target)));
        }
    }

    /// A notice is never answered.
    fn answer(&mut self, turn: &mut Turn, id: SessionId, manner: Manner, refusal: Refusal) {
        if manner == Manner::Message {
            self.refuse(turn, id, refusal);
        }
    }

    fn say_in(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        name: &str,
        manner: Manner,
        text: &str,
    ) -> Result<(), Refusal> {
        let (Some(channel), Some(session)) = (self.channel(name), self.sessions.find(id)) else {
            return Err(Refusal::NoSuchTarget(shown(name)));
        };
        let member = channel.member(id);
        let ranks = member.is_some_and(|rank| rank.operator || rank.voice);
        let closed = channel.modes().members_only && member.is_none();
        let silent = channel.modes().moderated && !ranks;
        if closed || silent || (!ranks && channel.bans_name(&session.mask())) {
            return Err(Refusal::CannotSay(channel.name().to_owned()));
        }
        let said = Effect::Said {
            who: session.who(),
            target: Target::Channel(channel.name().to_owned()),
            manner,
            text: text.to_owned(),
        };
        self.emit(turn, said);
        Ok(())
    }

    fn say_to(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        nick: &str,
        manner: Manner,
        text: &str,
    ) -> Result<(), Refusal> {
        let target = self.find(nick).and_then(|id| self.sessions.find(id));
        let (Some(target), Some(session)) = (target, self.sessions.find(id)) else {
            return Err(Refusal::NoSuchTarget(shown(nick)));
        };
        let nick = target.nick().to_owned();
        let absent = target.away().filter(|_| manner == Manner::Message);
        let absent = absent.map(|text| Effect::IsAway {
            session: id,
            nick: nick.clone(),
            text: text.to_owned(),
        });
        let said = Effect::Said {
            who: session.who(),
            target: Target::Session(target.id(), nick),
            manner,
            text: text.to_owned(),
        };
        self.emit(turn, said);
        if let Some(absent) = absent {
            self.emit(turn, absent);
        }
        Ok(())
    }

    /// Somebody takes another nick.
    pub(super) fn rename(&mut self, turn: &mut Turn, id: SessionId, nick: String) {
        if !is_nick(&nick) {
            return self.refuse(turn, id, Refusal::BadNick(shown(&nick)));
        }
        if self.find(&nick).is_some_and(|holder| holder != id) {
            return self.refuse(turn, id, Refusal::NickInUse(nick));
        }
        let Some(who) = self.sessions.find(id).map(Session::who) else {
            return;
        };
        if who.nick == nick {
            return;
        }
        let renamed = Effect::Renamed {
            who,
            nick: nick.clone(),
            channels: self.names(id),
        };
        self.emit(turn, renamed);
        self.sessions.change(id, |session| session.card.nick = nick);
    }

    /// Somebody is away, or back. That they say it again is told to them alone.
    pub(super) fn set_away(&mut self, turn: &mut Turn, id: SessionId, text: Option<String>) {
        let text = text
            .map(|text| line(&text, Limits::REMARK))
            .filter(|text| !text.is_empty());
        let Some(session) = self.sessions.find(id) else {
            return;
        };
        let channels = match session.away() == text.as_deref() {
            true => Vec::new(),
            false => self.names(id),
        };
        let away = Effect::AwaySet {
            who: session.who(),
            channels,
            text: text.clone(),
        };
        self.emit(turn, away);
        self.sessions.change(id, |session| session.card.away = text);
    }
}
