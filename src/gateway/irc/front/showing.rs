//! What was applied, shown to those here whom it concerns.

use super::Front;
use crate::gateway::irc::client::State;
use crate::gateway::irc::history;
use crate::gateway::irc::log::Log;
use crate::gateway::irc::showing::{Moment, Sheet};
use crate::gateway::irc::view::Chair;
use crate::service::Place;
use crate::service::chat::Chat;
use crate::service::chat::command::{Seat, SessionId};
use crate::service::chat::effect::{Audience, Effect, Reply};

impl Front {
    /// Shows what came of a command.
    pub(super) fn show(&mut self, place: Place, reply: &Reply, log: &impl Log) {
        self.place = place;
        for (index, effect) in (0..).zip(&reply.effects) {
            let moment = Moment {
                place,
                index,
                time: reply.time,
            };
            match effect {
                Effect::Opened { .. } => self.opened(place, effect),
                Effect::NotOpened {
                    seat,
                    nick: _,
                    refusal,
                } => self.not_opened(*seat, refusal),
                Effect::Emptied { gateway } if *gateway == self.me => self.emptied(log),
                Effect::Quit { seat, reason, .. } => {
                    self.spread(log.chat(), moment, effect);
                    self.quit(*seat, reason);
                }
                effect => self.spread(log.chat(), moment, effect),
            }
        }
        if let Some((session, number)) = reply.author
            && number.is_some()
            && let Some(chair) = self.view.find(session)
            && let Some(client) = self.crowd.guest(chair.slot, chair.generation)
        {
            client.done(number);
            self.crowd.list(chair.slot);
        }
    }

    /// Shows an effect to those here whom it concerns, and follows it.
    fn spread(&mut self, chat: &Chat, moment: Moment, effect: &Effect) {
        if let Effect::Joined { who, roster, .. } = effect {
            self.view.join(who.session, &roster.channel);
        }
        self.mark += 1;
        let mut sheet = Sheet::new(moment, effect);
        let one = |session: SessionId| self.view.find(session).into_iter();
        let chairs: Vec<Chair> = match effect.audience() {
            Audience::Nobody => Vec::new(),
            Audience::One(session) => one(session).collect(),
            Audience::Two(first, second) => one(first).chain(one(second)).collect(),
            Audience::Channel(channel) => self.view.members(channel).to_vec(),
            Audience::Around(session, channels) => {
                let around = channels.iter().flat_map(|name| self.view.members(name));
                one(session).chain(around.copied()).collect()
            }
        };
        for chair in chairs {
            let Some(session) = chair.session else {
                continue;
            };
            // One who is gone since is not shown anything.
            let Some(client) = self.crowd.guest(chair.slot, chair.generation) else {
                continue;
            };
            if std::mem::replace(&mut client.mark, self.mark) == self.mark {
                continue;
            }
            sheet.show(chat, session, client);
            self.shown += 1;
            self.unsettled = true;
            if let Effect::Joined { who, roster, .. } = effect
                && who.session == session
            {
                history::play_back(
                    chat,
                    client,
                    session,
                    &roster.channel,
                    (moment.place, moment.index),
                    self.settings.history,
                );
            }
            if let Effect::Renamed { who, nick, .. } = effect
                && who.session == session
            {
                client.nick.clone_from(nick);
            }
            self.crowd.list(chair.slot);
        }
        match effect {
            Effect::Parted { who, channel, .. } => self.view.part(who.session, channel),
            Effect::Kicked {
                session, channel, ..
            } => self.view.part(*session, channel),
            _ => {}
        }
    }

    /// A session ended, and with it its connection, if that is here.
    fn quit(&mut self, seat: Option<Seat>, reason: &str) {
        let Some(seat) = seat.filter(|seat| seat.gateway == self.me) else {
            return;
        };
        let Some(chair) = self.view.at(seat.connection) else {
            return;
        };
        if let Some(client) = self.crowd.guest(chair.slot, chair.generation) {
            let session = client.session();
            client.end(reason);
            client.state = State::Over;
            self.view.leave(seat.connection, session);
            self.crowd.list(chair.slot);
        }
    }
}
