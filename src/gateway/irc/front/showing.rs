//! What was applied, shown to those here whom it concerns; and who comes in by it.

use super::Front;
use crate::gateway::irc::caps::Caps;
use crate::gateway::irc::client::State;
use crate::gateway::irc::log::{Log, Whose};
use crate::gateway::irc::numerics::Numeric;
use crate::gateway::irc::showing::{Moment, Sheet};
use crate::gateway::irc::view::Chair;
use crate::gateway::irc::{arrival, history};
use crate::service::Place;
use crate::service::chat::Chat;
use crate::service::chat::command::{Command, Seat, SessionId};
use crate::service::chat::effect::{Audience, Effect, Refusal, Reply};

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
                Effect::Emptied { gateway } if *gateway == self.me => self.emptied(),
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

    /// Somebody came in, perhaps here.
    fn opened(&mut self, place: Place, effect: &Effect) {
        let Effect::Opened {
            who,
            seat,
            displaced,
            resumed,
            number,
            ..
        } = effect
        else {
            return;
        };
        if let Some(old) = displaced {
            self.displace(*old, who.session);
        }
        if seat.gateway != self.me {
            return;
        }
        let session = who.session;
        let client = self.view.at(seat.connection).and_then(|chair| {
            self.crowd
                .guest(chair.slot, chair.generation)
                .filter(|client| !client.closing)
        });
        match client {
            Some(client) => {
                client.state = State::Arriving {
                    session,
                    opened: place,
                    resumed: *resumed,
                    number: *number,
                };
                self.arrivals.push(Whose::of(client));
            }
            // The connection did not wait for it.
            None => {
                let seen = resumed.unwrap_or(place);
                self.lose(session, seat.connection, seen, "Connection closed");
            }
        }
    }

    /// A session sits somewhere else now.
    fn displace(&mut self, seat: Seat, session: SessionId) {
        if seat.gateway != self.me {
            return;
        }
        if let Some(chair) = self.view.at(seat.connection)
            && let Some(client) = self.crowd.guest(chair.slot, chair.generation)
        {
            if client.caps.has(Caps::SESSION) {
                client.say("PAXOS DISPLACED");
            }
            client.end("Your session goes on over another connection");
            client.state = State::Over;
            self.crowd.list(chair.slot);
        }
        self.view.leave(seat.connection, Some(session));
    }

    /// Somebody did not come in.
    fn not_opened(&mut self, seat: Seat, refusal: &Refusal) {
        if seat.gateway != self.me {
            return;
        }
        let Some(chair) = self.view.at(seat.connection) else {
            return;
        };
        self.view.leave(seat.connection, None);
        let Some(client) = self.crowd.guest(chair.slot, chair.generation) else {
            return;
        };
        client.state = State::Registering;
        let numeric = Numeric::refusal(refusal);
        match refusal {
            Refusal::NickInUse(_) | Refusal::BadNick(_) => {
                client.nick.clear();
                client.tell(&numeric);
            }
            _ => {
                client.tell(&numeric);
                client.end(&numeric.text);
            }
        }
        self.crowd.list(chair.slot);
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

    /// The log took this gateway for dead: nobody is attached to it any more.
    fn emptied(&mut self) {
        log::warn!(
            "the log heard nothing of this gateway for too long and has let its sessions go; \
             their clients are sent away to come back, and it begins anew"
        );
        self.begin_anew("This server was cut off from the others; come back");
    }

    /// Sends everybody away, and begins another run: whoever the log has attached to
    /// this one, known here or not, is let go by that.
    pub(super) fn begin_anew(&mut self, why: &str) {
        for (_, client) in self.crowd.guests_mut() {
            if client.session().is_some() || matches!(client.state, State::Opening(_)) {
                client.end(why);
                client.state = State::Over;
            }
        }
        self.crowd.list_all();
        self.duties.clear();
        self.view = Default::default();
        self.me.run = self.me.run.wrapping_add(1);
        self.owe(Command::Begin);
    }

    /// Lets somebody in whose session is open.
    pub(super) fn arrive(&mut self, whose: Whose, log: &impl Log) {
        let Whose { slot, generation } = whose;
        let chat = log.chat();
        let Some(client) = self.crowd.guest(slot, generation) else {
            return;
        };
        let State::Arriving {
            session: id,
            opened,
            resumed,
            number,
        } = client.state
        else {
            return;
        };
        let seat = Seat {
            gateway: self.me,
            connection: client.serial,
        };
        let here = chat
            .session(id)
            .filter(|session| session.seat() == Some(seat));
        let Some(session) = here else {
            client.end("Your session went on elsewhere at once");
            client.state = State::Over;
            self.crowd.list(slot);
            return self.view.leave(seat.connection, None);
        };
        self.view.enter(id, slot, generation, session.channels());
        let census = self.census(log);
        let Some(client) = self.crowd.guest(slot, generation) else {
            return;
        };
        client.state = State::Open(id);
        client.alive = log.place();
        session.nick().clone_into(&mut client.nick);
        arrival::burst(client, &self.settings, session, &census);
        let since = arrival::Since {
            opened,
            resumed,
            now: log.place(),
        };
        if client.seen.is_some() && client.caps.has(Caps::SESSION) {
            let history = self.settings.history;
            arrival::go_on(client, chat, session, since, number, history);
        } else {
            arrival::come_back(client, chat, session, since);
        }
        self.unsettled = true;
        self.crowd.list(slot);
    }
}
