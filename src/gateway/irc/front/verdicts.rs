//! What became of what was submitted, and what clients are told when the log is out of
//! reach.

use super::Front;
use crate::gateway::irc::caps::Caps;
use crate::gateway::irc::client::{Client, State};
use crate::gateway::irc::log::{Log, Ticket};
use crate::service::chat::command::Command;
use crate::service::replica::Verdict;

impl Front {
    /// Hands verdicts to whom they belong.
    pub(super) fn take_answers(&mut self, log: &mut impl Log) {
        while let Some((ticket, verdict)) = log.answer() {
            match ticket {
                Ticket::Duty(number) => {
                    let done = self.duties.take_answer(number, verdict);
                    if let Some(Command::Start { .. }) = done {
                        self.started(log);
                    }
                }
                Ticket::Open(whose) => {
                    if let Some(client) = self.crowd.guest(whose.slot, whose.generation) {
                        opening_answered(client, verdict);
                        self.crowd.list(whose.slot);
                    }
                }
                Ticket::Line {
                    whose,
                    number,
                    verb,
                } => {
                    if let Some(client) = self.crowd.guest(whose.slot, whose.generation) {
                        client.under_way -= 1;
                        line_answered(client, verdict, verb, number);
                        self.crowd.list(whose.slot);
                    }
                }
            }
        }
    }

    /// Tells clients when a quorum gets out of reach, and when one is back.
    pub(super) fn tell_standing(&mut self, sound: bool) {
        if sound == self.sound {
            return;
        }
        self.sound = sound;
        if sound {
            self.duties.resume();
        }
        let text = match sound {
            true => "The other servers can be reached again: messages are taken",
            false => {
                "Too few of the other servers can be reached: nothing that you send is taken \
                 until that changes, and you will be told"
            }
        };
        for (_, client) in self.crowd.guests_mut() {
            if matches!(client.state, State::Open(_) | State::Opening(true)) {
                client.notice(text);
            }
        }
        self.crowd.list_all();
    }
}

/// An opening was given up, or has its place.
fn opening_answered(client: &mut Client, verdict: Verdict) {
    match verdict {
        // What became of it was shown already.
        Verdict::Reply => {}
        Verdict::NoQuorum => {
            client.notice(
                "Too few of the other servers can be reached; you will come in once that changes",
            );
            if let Some(wish) = &mut client.wish {
                wish.keep();
            }
            client.state = State::Opening(true);
        }
        Verdict::Indeterminate => client.end("Nobody knows whether you came in; try again"),
    }
}

/// A line was given up, or has its place.
fn line_answered(client: &mut Client, verdict: Verdict, verb: &str, number: Option<u64>) {
    if verdict != Verdict::Reply && number.is_some() && client.caps.has(Caps::SESSION) {
        // It counts, so it can say this again wherever it comes back, and it happens once.
        return client.end("Too few of the other servers can be reached; come back");
    }
    match verdict {
        // All that came of it was shown already.
        Verdict::Reply => {}
        Verdict::NoQuorum => {
            let text = "Too few of the other servers can be reached; this did not happen";
            client.fail(verb, "NO_QUORUM", text);
            client.done(number);
        }
        Verdict::Indeterminate => {
            let text = "The outcome is not known: this may have happened, or may still happen";
            client.fail(verb, "INDETERMINATE", text);
            client.done(number);
        }
    }
}
