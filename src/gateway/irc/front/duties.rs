//! What the log is told by the gateway itself: that its run begins, that one of its
//! connections ended, and now and then that it lives.
//!
//! What must not get lost of that is a *duty*: it is submitted again until it has its
//! place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use super::Front;
use crate::gateway::irc::client::{Client, State};
use crate::gateway::irc::guesses::Line as _;
use crate::gateway::irc::log::{Log, Ticket};
use crate::protocol::Time;
use crate::service::Place;
use crate::service::chat::command::{Command, Departure, Gateway, SessionId, Stamped};
use crate::service::chat::runs::Step;
use crate::service::replica::Verdict;

/// What must get into the log, in this order.
#[derive(Debug, Default)]
pub(super) struct Duties {
    /// By their numbers, of which none is used twice.
    all: BTreeMap<u64, Duty>,
    next: u64,
    /// How many there are to the sessions that leave.
    leaving: BTreeMap<SessionId, usize>,
    /// Some are not submitted, as far as is known.
    undone: bool,
}

/// One of them.
#[derive(Debug)]
struct Duty {
    command: Command,
    under_way: bool,
}

impl Duties {
    /// Something must get into the log.
    pub fn owe(&mut self, command: Command) {
        if let Command::Leave { session, .. } = &command {
            *self.leaving.entry(*session).or_default() += 1;
        }
        let duty = Duty {
            command,
            under_way: false,
        };
        self.all.insert(self.next, duty);
        self.next += 1;
        self.undone = true;
    }

    /// Nothing of it matters any more.
    pub fn clear(&mut self) {
        self.all.clear();
        self.leaving.clear();
    }

    /// Whether a session is to leave a connection of this gateway, as far as the log is
    /// not known to know that.
    pub fn is_leaving(&self, session: SessionId) -> bool {
        self.leaving.contains_key(&session)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether some are not submitted.
    pub fn are_undone(&self) -> bool {
        self.undone
    }

    /// Those whose connections are lost, as far as the log is not known to know that,
    /// and what they had seen.
    fn lost(&self) -> impl Iterator<Item = (SessionId, Place)> {
        self.all.values().filter_map(|duty| match &duty.command {
            Command::Leave { session, seen, .. } => Some((*session, *seen)),
            _ => None,
        })
    }

    /// The log can be reached again: what was not done is done now.
    pub fn resume(&mut self) {
        self.undone = true;
    }

    /// One has its place, and is given back, or was given up.
    pub fn take_answer(&mut self, number: u64, verdict: Verdict) -> Option<Command> {
        match verdict {
            Verdict::Reply => {
                let command = self.all.remove(&number)?.command;
                if let Command::Leave { session, .. } = &command
                    && let Entry::Occupied(mut count) = self.leaving.entry(*session)
                {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
                Some(command)
            }
            // It may happen twice, and the second time does nothing.
            Verdict::NoQuorum | Verdict::Indeterminate => {
                let duty = self.all.get_mut(&number)?;
                duty.under_way = false;
                self.undone = true;
                None
            }
        }
    }

    /// Submits what is not under way, as far as there is room.
    fn submit(&mut self, stamp: u64, gateway: Gateway, log: &mut impl Log) {
        if !self.undone || !log.is_sound() {
            return;
        }
        self.undone = false;
        for (number, duty) in &mut self.all {
            if duty.under_way {
                continue;
            }
            if !log.has_room() {
                self.undone = true;
                return;
            }
            duty.under_way = true;
            let stamped = Stamped {
                stamp,
                gateway,
                command: duty.command.clone(),
            };
            log.submit(Some(Ticket::Duty(*number)), &stamped);
        }
    }
}

impl Front {
    /// How often the log hears that this gateway lives.
    const TICK: Duration = Duration::from_secs(10);

    /// How soon it hears what clients have seen.
    const SETTLE: Duration = Duration::from_millis(100);

    /// When the log is to hear that this gateway lives.
    pub(super) fn tick_at(&self) -> Time {
        self.ticked
            + match self.unsettled {
                true => Self::SETTLE,
                false => Self::TICK,
            }
    }

    /// A command of this gateway's.
    pub(super) fn stamped(&self, command: Command) -> Stamped {
        Stamped {
            stamp: self.wall,
            gateway: self.me,
            command,
        }
    }

    /// Asks the log to begin this run, unless that is done or under way.
    pub(super) fn start(&mut self, log: &impl Log) {
        if self.replaced {
            return;
        }
        match self.runs.step(log.chat().run_of(self.me.id)) {
            Step::Nothing => {}
            Step::Ask(command) => self.duties.owe(command),
            Step::GiveWay => self.give_way(),
        }
    }

    /// The log was asked to begin this run, and has, or another one had begun.
    pub(super) fn started(&mut self, log: &impl Log) {
        self.runs.started(log.chat().run_of(self.me.id));
        self.crowd.list_all();
    }

    /// Submits what must get into the log.
    pub(super) fn do_duties(&mut self, log: &mut impl Log) {
        self.duties.submit(self.wall, self.me, log);
    }

    /// Tells the log that this gateway lives, and what its clients have seen.
    pub(super) fn tick(&mut self, log: &mut impl Log) {
        if self.now < self.tick_at() || !log.is_sound() || !self.runs.has_begun() {
            return;
        }
        let seen = log.place();
        let here = self.crowd.guests().filter_map(|(_, client)| {
            let session = client.session()?;
            let sent = client.sent_through(seen);
            (sent < seen).then_some((session, sent))
        });
        // The log may hear of this ahead of that; unless they are back already.
        let gone = |(session, _): &(SessionId, Place)| self.view.find(*session).is_none();
        let except = self.duties.lost().filter(gone).chain(here).collect();
        let tick = self.stamped(Command::Tick { seen, except });
        log.submit(None, &tick);
        self.ticked = self.now;
        self.unsettled = false;
    }

    /// A connection is gone. Its session waits, or ends.
    pub(super) fn forget(&mut self, client: &Client, place: Place) {
        if let Some(guess) = &client.guess {
            let path = (client.origin, (guess.account.clone(), ()));
            self.guesses.leave(path, client.whose());
        }
        let session = client.session();
        self.view.leave(client.serial, session);
        let leaving = matches!(client.state, State::Leaving(_));
        if let Some(session) = session.filter(|_| !leaving) {
            let reason = client.reason.unwrap_or("Connection closed");
            let seen = match client.state {
                State::Arriving {
                    opened, resumed, ..
                } => resumed.unwrap_or(opened),
                _ => client.sent_through(place),
            };
            self.lose(session, client.serial, seen, reason);
        }
    }

    /// A session was opened for somebody who did not wait for it: nobody knows of it.
    pub(super) fn drop_session(&mut self, session: SessionId, connection: u64, opened: Place) {
        self.duties.owe(Command::Leave {
            session,
            connection,
            seen: opened,
            departure: Departure::Quit("Connection closed".to_owned()),
        });
    }

    /// A session lost its connection.
    pub(super) fn lose(&mut self, session: SessionId, connection: u64, seen: Place, reason: &str) {
        self.duties.owe(Command::Leave {
            session,
            connection,
            seen,
            departure: Departure::Lost(reason.to_owned()),
        });
    }
}
