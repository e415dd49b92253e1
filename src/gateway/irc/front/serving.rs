//! The lines of one client, one after the other.
//!
//! Commands for the log may follow each other at once; whatever is answered here waits
//! until all that its client submitted is done, so that answers come in the order of
//! the lines.

use std::io;

use super::Front;
use crate::gateway::crowd::{Guest, Stay};
use crate::gateway::irc::client::{Client, Next, State};
use crate::gateway::irc::guesses::Line as _;
use crate::gateway::irc::line::Line;
use crate::gateway::irc::log::{Log, Ticket};
use crate::gateway::irc::numerics::Numeric;
use crate::gateway::irc::plan::{Plan, Question, plan};
use crate::gateway::irc::server::Census;
use crate::gateway::irc::{answers, registration, server};
use crate::gateway::stream::Received;
use crate::service::chat::command::{Command, Deed, Departure, SessionId};

/// What becomes of a line.
enum Fate {
    /// It is done with, or under way.
    Taken,
    /// It waits until what its client submitted is done.
    Waits,
    /// It waits until the log has room.
    Crowded,
}

impl Front {
    /// Commands of one client that may be under way at once.
    const UNDER_WAY: usize = 32;

    /// Gives a turn to each who has something to do.
    pub(super) fn serve_active(&mut self, log: &mut impl Log) {
        for slot in self.crowd.take_active() {
            // Taken out, so that others can be shown something meanwhile.
            let Some(mut client) = self.crowd.take(slot) else {
                continue;
            };
            let stay = self.serve(&mut client, log);
            let stay = stay.unwrap_or_else(|error| {
                client.reason.get_or_insert(match error.kind() {
                    io::ErrorKind::ConnectionReset => "Connection reset by peer",
                    io::ErrorKind::BrokenPipe => "Connection closed",
                    // The network, not the client.
                    _ => {
                        client.doubtful = true;
                        "Connection timed out"
                    }
                });
                Stay::Gone
            });
            if let Some(client) = self.crowd.put_back(self.now, slot, client, stay) {
                self.forget(&client, log.place());
            }
        }
    }

    /// One client's turn.
    fn serve(&mut self, client: &mut Client, log: &mut impl Log) -> io::Result<Stay> {
        let mut crowded = self.go_on(client, log);
        let may_read = client.wants_more() && !client.closing && !client.is_full();
        if may_read && client.stream().readable {
            let scratch = self.crowd.scratch();
            match client.stream().receive(scratch)? {
                Received::End => {
                    client.closing = true;
                    client.reason.get_or_insert("Connection closed");
                }
                Received::Some(count) => {
                    client.feed(&scratch[..count], self.now, self.place);
                    client.doubtful = false;
                    crowded = self.go_on(client, log);
                }
                Received::Nothing => {}
            }
        }
        let was_full = client.is_full();
        client.send(self.now)?;
        if client.choked || client.closing && client.pending() == 0 {
            return Ok(Stay::Gone);
        }
        self.waiting |= crowded;
        let readable = client.stream().readable;
        let wants = readable && client.wants_more() || was_full;
        let more = wants && !client.closing && !client.is_full();
        Ok(if more { Stay::More } else { Stay::Waits })
    }

    /// Takes a client's lines as far as they go; says whether it waits for room in the
    /// log.
    fn go_on(&mut self, client: &mut Client, log: &mut impl Log) -> bool {
        loop {
            if client.closing || client.choked || client.is_full() {
                return false;
            }
            match client.state {
                State::Registering if client.guess.is_some() => return false,
                State::Registering if registration::is_complete(client) => {
                    self.open_session(client, log);
                }
                State::Registering | State::Open(_) => {}
                State::Opening(true) if log.is_sound() => {
                    if client.wish.as_ref().is_some_and(|wish| !wish.is_fresh()) {
                        client.ask(self.me, self.now, log.place());
                        return false;
                    }
                    self.open_session(client, log);
                }
                _ => return false,
            }
            if let State::Opening(again) = client.state {
                // Those who wait for the run to begin are listed when it has.
                return again && log.is_sound() && self.runs.has_begun();
            }
            let (line, paid) = match client.next_line() {
                Next::Line(line, paid) => (line, paid),
                Next::Nothing => return false,
                Next::TooLong => {
                    client.tell(&Numeric::new(417, "", "Input line was too long"));
                    continue;
                }
            };
            if !paid {
                self.lines += 1;
                if let Err(due) = client.bucket.take(self.now, self.settings.flood) {
                    client.held = Some((line, false));
                    self.lines -= 1;
                    if !std::mem::replace(&mut client.lagging, true) {
                        self.lagging.insert((due, client.slot, client.generation));
                    }
                    return false;
                }
            }
            let fate = match Line::parse(&line) {
                None => Fate::Taken,
                Some(parsed) => match client.state {
                    State::Open(session) => self.obey(client, session, &parsed, log),
                    _ => {
                        self.register(client, &parsed, log);
                        Fate::Taken
                    }
                },
            };
            match fate {
                Fate::Taken => {}
                Fate::Waits => {
                    client.held = Some((line, true));
                    return false;
                }
                Fate::Crowded => {
                    client.held = Some((line, true));
                    return true;
                }
            }
        }
    }

    /// A line of somebody who is not in yet.
    fn register(&mut self, client: &mut Client, line: &Line<'_>, log: &mut impl Log) {
        registration::handle(client, line, &self.settings, |words| {
            answers::paxos(words, &self.settings, self.runs.has_begun(), log)
        });
        if let Some(guess) = &client.guess {
            let path = (client.origin, (guess.account.clone(), ()));
            self.guesses.join(path, client.whose());
        }
    }

    /// A line of somebody who is in.
    fn obey(
        &mut self,
        client: &mut Client,
        session: SessionId,
        line: &Line<'_>,
        log: &mut impl Log,
    ) -> Fate {
        let number = client.number(line);
        let (verb, plan) = plan(client, line);
        match plan {
            Plan::Act(deed) => {
                if client.under_way >= Self::UNDER_WAY {
                    return Fate::Waits;
                }
                if !log.has_room() {
                    return Fate::Crowded;
                }
                self.act(client, session, number, verb, deed, log);
            }
            Plan::Nothing if number.is_none() => {}
            // Answers come in the order of the lines.
            _ if client.under_way > 0 => return Fate::Waits,
            Plan::Nothing => client.done(number),
            Plan::Ask(Question::Lusers) => {
                let census = self.census(log);
                server::lusers(client, &census);
                client.done(number);
            }
            Plan::Ask(question) => {
                answers::answer(client, session, &question, &self.settings, self.wall, log);
                client.done(number);
            }
            Plan::Quit(reason) => {
                client.state = State::Leaving(session);
                self.duties.owe(Command::Leave {
                    session,
                    connection: client.serial,
                    seen: log.place(),
                    departure: Departure::Quit(farewell(&reason)),
                });
                if !log.is_sound() {
                    client.end("Good-bye; the others will be told once they can be reached");
                }
            }
        }
        Fate::Taken
    }

    /// Tells the log what somebody does.
    fn act(
        &mut self,
        client: &mut Client,
        session: SessionId,
        number: Option<u64>,
        verb: &'static str,
        deed: Deed,
        log: &mut impl Log,
    ) {
        client.under_way += 1;
        let ticket = Ticket::Line {
            whose: client.whose(),
            number,
            verb,
        };
        let stamped = self.stamped(Command::Act {
            session,
            connection: client.serial,
            number,
            deed,
        });
        log.submit(Some(ticket), &stamped);
    }

    /// How many are there.
    pub(super) fn census(&self, log: &impl Log) -> Census {
        let chat = log.chat();
        let tally = self.crowd.tally();
        Census {
            users: chat.sessions(),
            invisible: chat.invisible(),
            channels: chat.channel_count(),
            servers: server::servers(chat, self.settings.id),
            local: self.view.len(),
            most_local: self.view.most(),
            unknown: tally.clients.saturating_sub(self.view.len()),
            most: self.most_users.max(chat.sessions()),
            began: self.began,
        }
    }
}

/// What the others are told of somebody who said good-bye.
fn farewell(reason: &str) -> String {
    match reason {
        "" => "Client closed connection".to_owned(),
        reason => format!("\"{reason}\""),
    }
}
