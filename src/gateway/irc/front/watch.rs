//! Who is waited for, and who waits: clients that never say who they are or fall
//! silent, and lines that may go on by now.

use std::time::Duration;

use super::Front;
use crate::gateway::irc::client::{Client, State};
use crate::gateway::irc::wish::Wish;

impl Front {
    /// How often connections are looked after.
    const OFTEN: Duration = Duration::from_secs(1);

    /// How long a client may take to say who it is.
    const REGISTRATION: Duration = Duration::from_secs(60);

    /// So many who only ask how the gateway is have room beside all others.
    const ASKING: usize = 16;

    /// How long a client waits until the log has taken it.
    const PATIENCE: Duration = Duration::from_secs(600);

    /// After so long without a word a client is asked whether it is there.
    const SILENCE: Duration = Duration::from_secs(120);

    /// If it has not answered by then, what it was sent has perhaps not reached it.
    const DOUBT: Duration = Duration::from_secs(5);

    /// So long it has to answer.
    const ANSWER: Duration = Duration::from_secs(60);

    /// Looks after connections: who never says who they are, who says nothing at all.
    pub(super) fn look_after(&mut self) {
        if self.now < self.next_sweep {
            return;
        }
        self.next_sweep = self.now + Self::OFTEN;
        let now = self.now;
        let asks = |(_, client): &(usize, &Client)| {
            client.asks && matches!(client.state, State::Registering)
        };
        let asking = self.crowd.guests().filter(asks).count();
        self.crowd.set_beside(asking.min(Self::ASKING));
        let mut changed = Vec::new();
        for (slot, client) in self.crowd.guests_mut() {
            if client.has_lines() {
                // It has said more than it may so far: that is no silence.
                client.heard = now;
            }
            let silent = now.since(client.heard);
            let asked = client.wish.as_ref().and_then(Wish::asked);
            match client.state {
                State::Registering if now.since(client.since) >= Self::REGISTRATION => {
                    client.end("Registration timed out");
                }
                State::Opening(_) if asked.is_some_and(|at| now.since(at) >= Self::ANSWER) => {
                    client.end("You did not answer; come back");
                }
                State::Opening(_) if now.since(client.since) >= Self::PATIENCE => {
                    client.end("Too few of the other servers can be reached; try again later");
                }
                State::Leaving(_) if silent >= Self::ANSWER => client.end("Good-bye"),
                State::Open(_) if client.pinged && silent >= Self::SILENCE + Self::ANSWER => {
                    client.doubtful = true;
                    client.reason.get_or_insert("Ping timeout: 180 seconds");
                    client.end("Ping timeout: 180 seconds");
                }
                State::Open(_) if client.pinged && silent >= Self::SILENCE + Self::DOUBT => {
                    client.doubtful = true;
                    continue;
                }
                State::Open(_) if !client.pinged && silent >= Self::SILENCE => {
                    client.pinged = true;
                    let ping = format!("PING :{}\r\n", client.server);
                    client.push(&ping);
                }
                _ => continue,
            }
            changed.push(slot);
        }
        for slot in changed {
            self.crowd.list(slot);
        }
    }

    /// Lists those who waited for something that may be there now.
    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.crowd.list_all();
        }
        while let Some((due, slot, generation)) = self.lagging.pop_first() {
            if due > self.now {
                self.lagging.insert((due, slot, generation));
                return;
            }
            if let Some(client) = self.crowd.guest(slot, generation) {
                client.lagging = false;
                self.crowd.list(slot);
            }
        }
    }
}
