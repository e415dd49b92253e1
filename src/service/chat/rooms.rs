//! How people come into channels and leave them.

use super::Chat;
use super::channel::{Card, Channel, Modes};
use super::command::SessionId;
use super::effect::{Effect, Rank, Refusal};
use super::limits::Limits;
use super::name::{Folded, fold, is_channel, line, shown};
use super::ring::Ring;
use super::session::Session;
use super::turn::Turn;
use crate::service::Place;

impl Chat {
    /// Somebody enters channels.
    pub(super) fn join(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        channels: &[(String, Option<String>)],
    ) {
        let (served, rest) = channels.split_at(channels.len().min(Limits::CHANNELS_AT_ONCE));
        for (name, key) in served {
            let entered = match is_channel(name) {
                true => self.enter_channel(turn, id, name, key.as_deref()),
                false => Err(Refusal::BadChannel(shown(name))),
            };
            if let Err(refusal) = entered {
                self.refuse(turn, id, refusal);
            }
        }
        if let Some((name, _)) = rest.first() {
            self.refuse(turn, id, Refusal::TooLong(shown(name)));
        }
    }

    fn enter_channel(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        name: &str,
        key: Option<&str>,
    ) -> Result<(), Refusal> {
        let folded: Folded = fold(name).into();
        let Some(session) = self.sessions.find(id) else {
            return Ok(());
        };
        if session.is_in(&folded) {
            return Ok(());
        }
        if session.card.channels.len() >= Limits::CHANNELS_EACH {
            return Err(Refusal::TooManyChannels(name.to_owned()));
        }
        if !self.channels.take_members() {
            return Err(Refusal::ChannelsFull(name.to_owned()));
        }
        let (who, real) = (session.who(), session.real().to_owned());
        let founds = match self.channels.at(&folded) {
            Some(channel) if !channel.is_empty() => {
                let invited = session
                    .card
                    .invited
                    .contains(&(folded.clone(), channel.card.since));
                may_enter(channel, session, invited, key)?;
                false
            }
            remembered => {
                let there = remembered.is_some();
                self.found(turn, &folded, name, there)?;
                true
            }
        };
        let rank = Rank {
            voice: false,
            operator: founds,
        };
        let since = turn.at();
        let folded = self.channels.name(&folded).unwrap_or(folded);
        self.channels
            .change(&folded, |channel| channel.seat(id, rank));
        self.sessions.change(id, |session| {
            session.card.invited.retain(|(name, _)| *name != folded);
            session.card.channels.insert(folded.clone(), since);
        });
        if let Some(channel) = self.channels.at(&folded) {
            let roster = self.short_roster(channel);
            self.emit(turn, Effect::Joined { who, real, roster });
        }
        Ok(())
    }

    /// Somebody is about to be the first in a channel, which may be remembered.
    fn found(
        &mut self,
        turn: &Turn,
        folded: &str,
        name: &str,
        remembered: bool,
    ) -> Result<(), Refusal> {
        if remembered {
            self.channels.change(folded, |channel| {
                channel.card.modes = Modes::founding();
                channel.card.since = turn.place;
            });
            return Ok(());
        }
        if self.channels.len() >= Limits::CHANNELS {
            let Some(oldest) = self.channels.left_first() else {
                return Err(Refusal::ChannelsFull(name.to_owned()));
            };
            self.forget_channel(&oldest);
        }
        let card = Card {
            name: name.to_owned(),
            topic: None,
            modes: Modes::founding(),
            bans: Vec::new(),
            created: turn.time,
            founded: turn.place,
            since: turn.place,
        };
        self.channels
            .add(Channel::new(card, Ring::default(), Ring::default()));
        Ok(())
    }

    /// A channel is not even remembered any more.
    fn forget_channel(&mut self, folded: &str) {
        if let Some(channel) = self.channels.remove(folded) {
            self.clear(&channel.messages);
            self.clear(&channel.events);
        }
    }

    /// Somebody is not in a channel any more. Where they were the last, nothing holds
    /// any more; what nobody was to see is forgotten.
    pub(super) fn vacate(&mut self, place: Place, folded: &str, id: SessionId) {
        let forget = self.channels.change(folded, |channel| {
            channel.unseat(id);
            let forget = channel.is_empty() && channel.card.modes.is_private();
            if channel.is_empty() {
                channel.card.modes = Modes::default();
                channel.card.bans.clear();
                channel.card.since = place;
            }
            forget
        });
        if forget == Some(true) {
            self.forget_channel(folded);
        }
    }

    /// Somebody has left a channel, as the next effect of the turn tells.
    fn leave(&mut self, turn: &mut Turn, id: SessionId, folded: &str, effect: Effect) {
        let through = turn.at();
        self.emit(turn, effect);
        self.sessions
            .change(id, |session| session.leave(folded, through));
        self.vacate(turn.place, folded, id);
    }

    /// Somebody leaves channels.
    pub(super) fn part(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        channels: &[String],
        reason: &str,
    ) {
        let reason = line(reason, Limits::REMARK);
        let (served, rest) = channels.split_at(channels.len().min(Limits::CHANNELS_AT_ONCE));
        for name in served {
            match self.member(id, name) {
                Ok((folded, _)) => self.part_from(turn, id, &folded, reason.clone()),
                Err(refusal) => self.refuse(turn, id, refusal),
            }
        }
        if let Some(name) = rest.first() {
            self.refuse(turn, id, Refusal::TooLong(shown(name)));
        }
    }

    /// Somebody leaves all channels.
    pub(super) fn part_all(&mut self, turn: &mut Turn, id: SessionId) {
        let session = self.sessions.find(id);
        let all: Vec<Folded> = session
            .into_iter()
            .flat_map(|session| session.card.channels.keys().cloned())
            .collect();
        for folded in all {
            self.part_from(turn, id, &folded, String::new());
        }
    }

    fn part_from(&mut self, turn: &mut Turn, id: SessionId, folded: &str, reason: String) {
        let who = self.sessions.find(id).map(Session::who);
        let name = self
            .channels
            .at(folded)
            .map(|channel| channel.name().to_owned());
        if let (Some(who), Some(channel)) = (who, name) {
            let parted = Effect::Parted {
                who,
                channel,
                reason,
            };
            self.leave(turn, id, folded, parted);
        }
    }

    /// The channel that somebody names, folded, and what they may there.
    pub(super) fn member(&self, id: SessionId, name: &str) -> Result<(String, Rank), Refusal> {
        let Some(channel) = self.channel(name) else {
            return Err(Refusal::NoSuchChannel(shown(name)));
        };
        match channel.member(id) {
            Some(rank) => Ok((fold(name), rank)),
            None => Err(Refusal::NotOnChannel(channel.name().to_owned())),
        }
    }

    /// The channel that somebody names and rules, folded.
    pub(super) fn operator(&self, id: SessionId, name: &str) -> Result<String, Refusal> {
        let (folded, rank) = self.member(id, name)?;
        match rank.operator {
            true => Ok(folded),
            false => Err(Refusal::NotOperator(self.name_of(&folded))),
        }
    }

    /// The name of a channel as its founder wrote it.
    pub(super) fn name_of(&self, folded: &str) -> String {
        let channel = self.channels.at(folded);
        channel.map_or(folded, Channel::name).to_owned()
    }

    /// The member of a channel who has this nick.
    pub(super) fn member_by_nick(
        &self,
        folded: &str,
        nick: &str,
    ) -> Result<(SessionId, Rank), Refusal> {
        let Some(session) = self.find(nick).and_then(|id| self.sessions.find(id)) else {
            return Err(Refusal::NoSuchTarget(shown(nick)));
        };
        let channel = self.channels.at(folded);
        match channel.and_then(|channel| channel.member(session.id())) {
            Some(rank) => Ok((session.id(), rank)),
            None => Err(Refusal::NotThere {
                nick: session.nick().to_owned(),
                channel: self.name_of(folded),
            }),
        }
    }

    /// Somebody throws others out of a channel.
    pub(super) fn kick(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        channel: &str,
        nicks: &[String],
        reason: &str,
    ) {
        let folded = match self.operator(id, channel) {
            Ok(folded) => folded,
            Err(refusal) => return self.refuse(turn, id, refusal),
        };
        let reason = line(reason, Limits::REMARK);
        let Some(by) = self.sessions.find(id).map(Session::who) else {
            return;
        };
        let name = self.name_of(&folded);
        let (served, rest) = nicks.split_at(nicks.len().min(Limits::TARGETS));
        for nick in served {
            match self.member_by_nick(&folded, nick) {
                Ok((session, _)) => {
                    let target = self.sessions.find(session).map(Session::nick);
                    let kicked = Effect::Kicked {
                        by: by.clone(),
                        session,
                        nick: target.unwrap_or(nick).to_owned(),
                        channel: name.clone(),
                        reason: reason.clone(),
                    };
                    self.leave(turn, session, &folded, kicked);
                }
                Err(refusal) => self.refuse(turn, id, refusal),
            }
        }
        if let Some(nick) = rest.first() {
            self.refuse(turn, id, Refusal::TooLong(shown(nick)));
        }
    }

    /// Somebody invites somebody into a channel.
    pub(super) fn invite(&mut self, turn: &mut Turn, id: SessionId, nick: &str, channel: &str) {
        let invited = match self.may_invite(id, nick, channel) {
            Ok(invited) => invited,
            Err(refusal) => return self.refuse(turn, id, refusal),
        };
        let (Some(by), Some(target), Some(channel)) = (
            self.sessions.find(id).map(Session::who),
            self.sessions.find(invited),
            self.channels.find(channel),
        ) else {
            return;
        };
        let (folded, since) = (channel.folded(), channel.card.since);
        let channel = channel.name().to_owned();
        let nick = target.nick().to_owned();
        let away = target.away().map(|text| Effect::IsAway {
            session: id,
            nick: nick.clone(),
            text: text.to_owned(),
        });
        self.sessions
            .change(invited, |session| session.invite(&folded, since));
        let effect = Effect::Invited {
            by,
            session: invited,
            nick,
            channel,
        };
        self.emit(turn, effect);
        if let Some(away) = away {
            self.emit(turn, away);
        }
    }

    fn may_invite(&self, id: SessionId, nick: &str, channel: &str) -> Result<SessionId, Refusal> {
        let target = self.find(nick).and_then(|id| self.sessions.find(id));
        let target = target.ok_or_else(|| Refusal::NoSuchTarget(shown(nick)))?;
        let (folded, rank) = self.member(id, channel)?;
        let name = self.name_of(&folded);
        if target.is_in(&folded) {
            return Err(Refusal::AlreadyThere {
                nick: target.nick().to_owned(),
                channel: name,
            });
        }
        let closed = self
            .channel(channel)
            .is_some_and(|it| it.modes().invite_only);
        match closed && !rank.operator {
            true => Err(Refusal::NotOperator(name)),
            false => Ok(target.id()),
        }
    }
}

/// Whether somebody may enter a channel in which others are.
fn may_enter(
    channel: &Channel,
    session: &Session,
    invited: bool,
    key: Option<&str>,
) -> Result<(), Refusal> {
    let name = || channel.name().to_owned();
    let modes = channel.modes();
    if channel.bans_name(&session.mask()) {
        return Err(Refusal::Banned(name()));
    }
    if modes.invite_only && !invited {
        return Err(Refusal::InviteOnly(name()));
    }
    if modes.key.is_some() && modes.key.as_deref() != key {
        return Err(Refusal::BadKey(name()));
    }
    let limit = modes.limit.map_or(usize::MAX, |limit| limit as usize);
    match channel.len() < limit.min(Limits::MEMBERS) {
        true => Ok(()),
        false => Err(Refusal::ChannelFull(name())),
    }
}
