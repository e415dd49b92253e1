//! Who of the chat sits here: the sessions of this gateway's connections, and the
//! channels that they are in. What happens is shown by it, so that showing costs what
//! is here and not what is in the chat.

use std::collections::HashMap;

use crate::service::chat::command::SessionId;
use crate::service::chat::name::fold;

/// The sessions and channels of this gateway.
#[derive(Debug, Default)]
pub struct View {
    sessions: HashMap<SessionId, Local>,
    /// By folded name; none is empty.
    channels: HashMap<String, Vec<Chair>>,
    /// Connections whose sessions are open, or being opened.
    serials: HashMap<u64, Chair>,
    most: usize,
}

/// Where a session's connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chair {
    /// The place in the crowd.
    pub slot: usize,
    /// Which guest of that place.
    pub generation: u32,
    /// The session, if it is open.
    pub session: Option<SessionId>,
}

#[derive(Debug)]
struct Local {
    chair: Chair,
    /// Folded names.
    channels: Vec<String>,
}

impl View {
    /// A connection asks for a session.
    pub fn expect(&mut self, serial: u64, slot: usize, generation: u32) {
        let chair = Chair {
            slot,
            generation,
            session: None,
        };
        self.serials.insert(serial, chair);
    }

    /// Where a connection with this number is, if it is there.
    pub fn at(&self, serial: u64) -> Option<Chair> {
        self.serials.get(&serial).copied()
    }

    /// A session sits here from now on.
    pub fn enter<'a>(
        &mut self,
        session: SessionId,
        slot: usize,
        generation: u32,
        channels: impl Iterator<Item = &'a str>,
    ) {
        let chair = Chair {
            slot,
            generation,
            session: Some(session),
        };
        let local = Local {
            chair,
            channels: Vec::new(),
        };
        self.sessions.insert(session, local);
        self.most = self.most.max(self.sessions.len());
        for channel in channels {
            self.join(session, channel);
        }
    }

    /// A connection is gone, and its session does not sit here any more.
    pub fn leave(&mut self, serial: u64, session: Option<SessionId>) {
        self.serials.remove(&serial);
        let Some(session) = session else {
            return;
        };
        if let Some(local) = self.sessions.remove(&session) {
            for channel in local.channels {
                self.remove(session, &channel);
            }
        }
    }

    /// A session enters a channel.
    pub fn join(&mut self, session: SessionId, channel: &str) {
        let Some(local) = self.sessions.get_mut(&session) else {
            return;
        };
        let folded = fold(channel);
        if !local.channels.contains(&folded) {
            local.channels.push(folded.clone());
            self.channels.entry(folded).or_default().push(local.chair);
        }
    }

    /// A session leaves a channel.
    pub fn part(&mut self, session: SessionId, channel: &str) {
        let folded = fold(channel);
        if let Some(local) = self.sessions.get_mut(&session) {
            local.channels.retain(|known| *known != folded);
            self.remove(session, &folded);
        }
    }

    fn remove(&mut self, session: SessionId, folded: &str) {
        if let Some(members) = self.channels.get_mut(folded) {
            members.retain(|chair| chair.session != Some(session));
            if members.is_empty() {
                self.channels.remove(folded);
            }
        }
    }

    /// Where a session sits, if it sits here.
    pub fn find(&self, session: SessionId) -> Option<Chair> {
        self.sessions.get(&session).map(|local| local.chair)
    }

    /// Who of a channel sits here.
    pub fn members(&self, channel: &str) -> &[Chair] {
        self.channels.get(&fold(channel)).map_or(&[], |all| all)
    }

    /// How many sessions sit here.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// How many there were at most.
    pub fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Place;

    #[test]
    fn who_sits_here_and_in_which_channels() {
        let (one, two) = (SessionId(Place(1)), SessionId(Place(2)));
        let mut view = View::default();
        view.expect(7, 0, 0);
        view.enter(one, 0, 0, ["#A", "#b"].into_iter());
        view.enter(two, 1, 0, ["#a"].into_iter());
        view.join(two, "#A");
        assert_eq!(view.members("#a").len(), 2);
        assert_eq!(view.at(7).map(|chair| chair.slot), Some(0));
        view.part(one, "#A");
        let left: Vec<_> = view
            .members("#a")
            .iter()
            .map(|chair| chair.session)
            .collect();
        assert_eq!(left, [Some(two)]);
        view.join(SessionId(Place(3)), "#a");
        view.leave(7, Some(one));
        assert!(view.members("#b").is_empty() && view.at(7).is_none());
        view.leave(8, Some(two));
        assert!(view.channels.is_empty() && view.sessions.is_empty());
        assert_eq!((view.len(), view.most()), (0, 2));
    }
}
