//! Who comes in: sessions are asked for, opened, taken over, and their clients let in.

use super::Front;
use crate::gateway::crowd::Guest;
use crate::gateway::irc::caps::Caps;
use crate::gateway::irc::client::{Client, State};
use crate::gateway::irc::guesses::Line as _;
use crate::gateway::irc::log::{Log, Ticket};
use crate::gateway::irc::numerics::Numeric;
use crate::gateway::irc::whose::Whose;
use crate::gateway::irc::wish::Wish;
use crate::gateway::irc::{arrival, registration};
use crate::service::Place;
use crate::service::chat::command::{Command, Opening, Seat, SessionId};
use crate::service::chat::effect::{Effect, Refusal};
use crate::service::chat::limits::Limits;
use crate::service::chat::name;

impl Front {
    /// Checks the password of whose turn it is; one is enough for a turn of all.
    pub(super) fn check_password(&mut self) {
        while let Some(whose) = self.guesses.next() {
            self.crowd.list(whose.slot);
            let Some(client) = self.crowd.guest(whose.slot, whose.generation) else {
                continue;
            };
            // Who did not wait for it need not cost that.
            let Some(guess) = client.guess.take() else {
                continue;
            };
            if client.closing || client.stream().is_over() {
                // Nor come in without it.
                client.closing = true;
                continue;
            }
            let accounts = &self.settings.accounts;
            registration::guessed(client, accounts.check(&guess.account, &guess.password));
            self.checked += 1;
            return;
        }
    }

    /// Asks the log for a session, as soon as it has room for that.
    pub(super) fn open_session(&mut self, client: &mut Client, log: &mut impl Log) {
        let leaving = self.leaves_first(client, log);
        let said = client.alive.min(log.place());
        let wish = client.wish.get_or_insert(Wish::new(said));
        wish.follow(leaving, log.chat());
        let ready = self.runs.has_begun() && !self.duties.are_undone() && leaving.is_none();
        if log.is_sound() && !(ready && log.has_room()) {
            client.state = State::Opening(true);
            return;
        }
        if client.has_left() {
            // Who went while nobody listened, as when this process was stopped, must not
            // take the session from where they are by now.
            client.reason.get_or_insert("Connection closed");
            return client.end("You have hung up");
        }
        let (user, real) = client.user.clone().unwrap_or_default();
        let opening = Opening {
            connection: client.serial,
            nick: client.nick.clone(),
            user,
            host: name::part(&client.host, Limits::HOST),
            real: name::line(&real, Limits::REAL),
            account: client.account.clone(),
            token: client.token,
            seen: client.seen,
        };
        let known = client.wish.as_mut().map_or(Place::ZERO, Wish::spend);
        let command = Command::Come { opening, known };
        let whose = client.whose();
        client.state = State::Opening(false);
        self.view
            .expect(client.serial, whose.slot, whose.generation);
        let stamped = self.stamped(command);
        log.submit(Some(Ticket::Open(whose)), &stamped);
    }

    /// The session that somebody may take up of which the log has still to be told that
    /// it is left: they have come back at once.
    fn leaves_first(&self, client: &Client, log: &impl Log) -> Option<SessionId> {
        let (chat, account) = (log.chat(), client.account.as_deref());
        let mut claims = chat.claims(&client.nick, account, client.token);
        claims.find(|session| self.duties.is_leaving(*session))
    }

    /// Somebody came in, perhaps here.
    pub(super) fn opened(&mut self, place: Place, effect: &Effect) {
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
        let chair = self.view.at(seat.connection);
        if let Some(chair) = chair
            && let Some(client) = self.crowd.guest(chair.slot, chair.generation)
        {
            client.closing |= client.has_left();
            if !client.closing {
                client.state = State::Arriving {
                    session,
                    opened: place,
                    resumed: *resumed,
                    number: *number,
                };
                return self.arrivals.push(client.whose());
            }
            self.crowd.list(chair.slot);
        }
        // The connection did not wait for it.
        match resumed {
            Some(seen) => self.lose(session, seat.connection, *seen, "Connection closed"),
            None => self.drop_session(session, seat.connection, place),
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
    pub(super) fn not_opened(&mut self, seat: Seat, refusal: &Refusal) {
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
            // If it is still there, it is not what comes late.
            Refusal::Outdated => client.state = State::Opening(true),
            Refusal::NickInUse(_) | Refusal::BadNick(_) => {
                if let Some(wish) = &mut client.wish {
                    wish.renew(client.alive);
                }
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

    /// The log took this gateway for dead: nobody is attached to it any more.
    pub(super) fn emptied(&mut self, log: &impl Log) {
        if !self.runs.is_ours(log.chat().run_of(self.me.id)) {
            return self.give_way();
        }
        log::warn!(
            "the log heard nothing of this gateway for too long and has let its sessions go; \
             their clients are sent away to come back, and it begins anew"
        );
        self.begin_anew("This server was cut off from the others; come back");
    }

    /// Sends everybody away, and begins another run: whoever the log has attached to
    /// this one, known here or not, is let go by that.
    pub(super) fn begin_anew(&mut self, why: &str) {
        self.send_away(why);
        self.runs.advance();
        self.me = self.runs.present();
    }

    /// Another gateway with this one's id has begun behind it. To begin again would end that
    /// one's run, which would do the same, and so on for ever.
    pub(super) fn give_way(&mut self) {
        self.replaced = true;
        self.send_away("Another server has taken the place of this one; come back");
    }

    /// Nobody sits here any more.
    fn send_away(&mut self, why: &str) {
        for (_, client) in self.crowd.guests_mut() {
            if client.session().is_some() || matches!(client.state, State::Opening(_)) {
                client.end(why);
                client.state = State::Over;
            }
        }
        self.crowd.list_all();
        self.duties.clear();
        self.view = Default::default();
    }
}
