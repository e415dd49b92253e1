//! A session: somebody in the chat, over all their connections one after the other.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::command::{Seat, SessionId};
use super::effect::Who;
use super::limits::Limits;
use super::name::Folded;
use super::ring::{At, Ring};
use crate::protocol::digest::mix;
use crate::service::Place;

/// Somebody in the chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What changes seldom.
    pub(super) card: Card,
    /// The highest number of what they have done.
    pub(super) number: u64,
    /// When they said something last, or came in.
    pub(super) said: u64,
    /// What concerned them alone.
    pub(super) inbox: Ring,
    /// The card's share of the digest.
    sealed: u64,
}

/// What changes seldom about somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Card {
    pub id: SessionId,
    pub nick: String,
    pub user: String,
    pub host: String,
    pub real: String,
    pub account: Option<String>,
    pub token: Option<[u8; 32]>,
    pub away: Option<String>,
    pub invisible: bool,
    pub opened: u64,
    pub presence: Presence,
    /// The channels that they are in by their folded names, and since when.
    pub channels: BTreeMap<Folded, At>,
    /// Where they are invited: a folded name, and since when somebody is in there. An
    /// invitation is worth nothing after all have left.
    pub invited: VecDeque<(Folded, Place)>,
    /// Channels that they have left, the latest last.
    pub former: VecDeque<Stay>,
    /// Stays that ended through here are forgotten.
    pub forgotten: At,
}

/// Where somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Presence {
    /// Attached to a connection.
    Here {
        seat: Seat,
        /// Since this place.
        since: Place,
        /// What they had seen by then.
        seen: Place,
    },
    /// Attached to none.
    Gone {
        /// Since this place.
        since: Place,
        /// What they had seen by then.
        seen: Place,
        /// When nobody waits for them any more.
        deadline: u64,
    },
}

/// A time that somebody spent in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stay {
    pub channel: Folded,
    pub from: At,
    pub through: At,
}

impl Session {
    /// One with this card.
    pub(super) fn new(card: Card, number: u64, said: u64, inbox: Ring) -> Session {
        let mut session = Session {
            card,
            number,
            said,
            inbox,
            sealed: 0,
        };
        session.seal();
        session
    }

    /// Which one.
    pub fn id(&self) -> SessionId {
        self.card.id
    }

    /// Their nick.
    pub fn nick(&self) -> &str {
        &self.card.nick
    }

    /// Their user name.
    pub fn user(&self) -> &str {
        &self.card.user
    }

    /// Whence they come, as it is shown.
    pub fn host(&self) -> &str {
        &self.card.host
    }

    /// What they call themselves.
    pub fn real(&self) -> &str {
        &self.card.real
    }

    /// Their account, if they have one.
    pub fn account(&self) -> Option<&str> {
        self.card.account.as_deref()
    }

    /// Why they are away, if they are.
    pub fn away(&self) -> Option<&str> {
        self.card.away.as_deref()
    }

    /// Whether they want not to be listed for those who share no channel with them.
    pub fn invisible(&self) -> bool {
        self.card.invisible
    }

    /// The connection that they are attached to, if there is one.
    pub fn seat(&self) -> Option<Seat> {
        match self.card.presence {
            Presence::Here { seat, .. } => Some(seat),
            Presence::Gone { .. } => None,
        }
    }

    /// Since when they are attached to no connection, if they are not.
    pub fn gone_since(&self) -> Option<Place> {
        match self.card.presence {
            Presence::Here { .. } => None,
            Presence::Gone { since, .. } => Some(since),
        }
    }

    /// Where they came or went last.
    pub(super) fn moved(&self) -> Place {
        match self.card.presence {
            Presence::Here { since, .. } | Presence::Gone { since, .. } => since,
        }
    }

    /// The folded names of the channels that they are in, in their order.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.card.channels.keys().map(|name| &**name)
    }

    /// Whether they are in the channel of this folded name.
    pub fn is_in(&self, folded: &str) -> bool {
        self.card.channels.contains_key(folded)
    }

    /// When the session was opened, in milliseconds since 1970.
    pub fn opened(&self) -> u64 {
        self.card.opened
    }

    /// When they said something last, or came in.
    pub fn idle_since(&self) -> u64 {
        self.said
    }

    /// The highest number of what they have done.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// `nick!user@host`.
    pub fn mask(&self) -> String {
        let Card {
            nick, user, host, ..
        } = &self.card;
        format!("{nick}!{user}@{host}")
    }

    /// They, as the others are shown them.
    pub fn who(&self) -> Who {
        let card = &self.card;
        Who {
            session: card.id,
            nick: card.nick.clone(),
            user: card.user.clone(),
            host: card.host.clone(),
            account: card.account.clone(),
        }
    }

    /// Whether they could come back after their connection is lost.
    pub fn is_resumable(&self) -> bool {
        self.card.account.is_some() || self.card.token.is_some()
    }

    /// Milliseconds that the session waits for them to come back.
    pub(super) fn patience(&self) -> u64 {
        match (&self.card.account, &self.card.token) {
            (Some(_), _) => Limits::PATIENCE_WITH_ACCOUNT,
            (None, Some(_)) => Limits::PATIENCE,
            (None, None) => 0,
        }
    }

    /// They left a channel at this moment, one of those that they are in.
    pub(super) fn leave(&mut self, folded: &str, through: At) {
        let Some((channel, from)) = self.card.channels.remove_entry(folded) else {
            return;
        };
        self.card.former.push_back(Stay {
            channel,
            from,
            through,
        });
        if self.card.former.len() > Limits::FORMER
            && let Some(stay) = self.card.former.pop_front()
        {
            self.card.forgotten = self.card.forgotten.max(stay.through);
        }
    }

    /// They are invited into a channel in which somebody is since this place.
    pub(super) fn invite(&mut self, folded: &Folded, occupied: Place) {
        self.card.invited.retain(|(name, _)| name != folded);
        self.card.invited.push_back((folded.clone(), occupied));
        if self.card.invited.len() > Limits::INVITATIONS {
            self.card.invited.pop_front();
        }
    }

    /// The card has changed.
    pub(super) fn seal(&mut self) {
        self.sealed = print(&self.card);
    }

    /// What it adds to the digest.
    pub(super) fn print(&self) -> u64 {
        let numbers = mix(mix(self.sealed, self.number), self.said);
        mix(numbers, self.inbox.print())
    }
}

/// What something adds to a digest.
pub(super) fn print(item: &impl Serialize) -> u64 {
    let bytes = postcard::to_stdvec(item).expect("writing to memory cannot fail");
    mix(
        u64::from(crate::protocol::checksum::of(&bytes)),
        bytes.len() as u64,
    )
}
