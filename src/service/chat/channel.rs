//! A channel: who is in it, what holds there, and what happened in it lately.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::SessionId;
use super::effect::{Rank, Topic};
use super::mask;
use super::name::{Folded, fold};
use super::ring::Ring;
use super::session::print;
use crate::protocol::digest::mix;
use crate::service::Place;

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// What changes seldom.
    pub(super) card: Card,
    members: BTreeMap<SessionId, Rank>,
    members_sum: u64,
    /// What was said.
    pub(super) messages: Ring,
    /// What else happened.
    pub(super) events: Ring,
    /// The card's share of the digest.
    sealed: u64,
}

/// What changes seldom about a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Card {
    /// As its founder wrote it.
    pub name: String,
    pub topic: Option<Topic>,
    pub modes: Modes,
    pub bans: Vec<Ban>,
    /// When it was founded, in milliseconds since 1970.
    pub created: u64,
    /// Where it was founded.
    pub founded: Place,
    /// Since when somebody is in it, or where the last one left.
    pub since: Place,
}

/// What holds in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes {
    /// Only who is invited enters (`i`).
    pub invite_only: bool,
    /// Only who has a voice speaks (`m`).
    pub moderated: bool,
    /// Only members speak (`n`).
    pub members_only: bool,
    /// It is not listed (`s`).
    pub secret: bool,
    /// Only operators set the topic (`t`).
    pub topic_locked: bool,
    /// Who knows this enters (`k`).
    pub key: Option<String>,
    /// So many may be in it (`l`).
    pub limit: Option<u32>,
}

/// Who may not enter, and not speak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Those whom this mask fits.
    pub mask: String,
    /// `nick!user@host` of who set it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub time: u64,
}

impl Modes {
    /// The letters of modes that hold or do not, without anything that belongs to them.
    pub const FLAGS: [char; 5] = ['i', 'm', 'n', 's', 't'];

    /// Those of a channel that was just founded.
    pub fn founding() -> Modes {
        Modes {
            members_only: true,
            topic_locked: true,
            ..Modes::default()
        }
    }

    /// The flag of this letter.
    pub(super) fn flag_mut(&mut self, letter: char) -> Option<&mut bool> {
        match letter {
            'i' => Some(&mut self.invite_only),
            'm' => Some(&mut self.moderated),
            'n' => Some(&mut self.members_only),
            's' => Some(&mut self.secret),
            't' => Some(&mut self.topic_locked),
            _ => None,
        }
    }

    /// The letters of all that hold, with `k` and `l`.
    pub fn letters(&self) -> String {
        [
            (self.invite_only, 'i'),
            (self.key.is_some(), 'k'),
            (self.limit.is_some(), 'l'),
            (self.moderated, 'm'),
            (self.members_only, 'n'),
            (self.secret, 's'),
            (self.topic_locked, 't'),
        ]
        .into_iter()
        .filter_map(|(holds, letter)| holds.then_some(letter))
        .collect()
    }

    /// Whether nothing of the channel is to be shown to those who come after all left.
    pub(super) fn is_private(&self) -> bool {
        self.invite_only || self.secret || self.key.is_some()
    }
}

impl Channel {
    /// One with nobody in it.
    pub(super) fn new(card: Card, messages: Ring, events: Ring) -> Channel {
        let mut channel = Channel {
            card,
            members: BTreeMap::new(),
            members_sum: 0,
            messages,
            events,
            sealed: 0,
        };
        channel.seal();
        channel
    }

    /// Its name, as its founder wrote it.
    pub fn name(&self) -> &str {
        &self.card.name
    }

    /// Its topic, if it has one.
    pub fn topic(&self) -> Option<&Topic> {
        self.card.topic.as_ref()
    }

    /// What holds in it.
    pub fn modes(&self) -> &Modes {
        &self.card.modes
    }

    /// Who may not enter, in the order in which they were set.
    pub fn bans(&self) -> &[Ban] {
        &self.card.bans
    }

    /// When it was founded, in milliseconds since 1970.
    pub fn created(&self) -> u64 {
        self.card.created
    }

    /// Who is in it, and what they may.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (SessionId, Rank)> {
        self.members.iter().map(|(id, rank)| (*id, *rank))
    }

    /// What somebody may in it, if they are in it.
    pub fn member(&self, id: SessionId) -> Option<Rank> {
        self.members.get(&id).copied()
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in it: it is only remembered.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether one of the bans fits `nick!user@host`.
    pub(super) fn bans_name(&self, name: &str) -> bool {
        self.card.bans.iter().any(|ban| mask::fits(&ban.mask, name))
    }

    /// The folded name.
    pub(super) fn folded(&self) -> Folded {
        fold(&self.card.name).into()
    }

    /// Somebody is in it, with this rank.
    pub(super) fn seat(&mut self, id: SessionId, rank: Rank) {
        self.unseat(id);
        self.members.insert(id, rank);
        self.members_sum = self.members_sum.wrapping_add(share(id, rank));
    }

    /// Somebody is not in it any more.
    pub(super) fn unseat(&mut self, id: SessionId) {
        if let Some(rank) = self.members.remove(&id) {
            self.members_sum = self.members_sum.wrapping_sub(share(id, rank));
        }
    }

    /// The card has changed.
    pub(super) fn seal(&mut self) {
        self.sealed = print(&self.card);
    }

    /// What it adds to the digest.
    pub(super) fn print(&self) -> u64 {
        let members = mix(self.members_sum, self.members.len() as u64);
        let rings = mix(self.messages.print(), self.events.print());
        mix(mix(self.sealed, members), rings)
    }
}

/// What a member adds to the digest of a channel.
fn share(id: SessionId, rank: Rank) -> u64 {
    mix(
        id.0.0,
        u64::from(rank.voice) | u64::from(rank.operator) << 1,
    )
}
