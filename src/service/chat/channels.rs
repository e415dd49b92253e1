//! All channels, those among them that are only remembered.
//!
//! Whatever changes a channel goes through here, so the digest, and which channels
//! have somebody in them, belong to what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::channel::Channel;
use super::name::{Folded, fold};
use crate::service::Place;

/// All channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Channels {
    /// By their folded names.
    rows: BTreeMap<Folded, Arc<Channel>>,
    sum: u64,
    /// Those with nobody in them, by where the last one left.
    left: BTreeSet<(Place, Folded)>,
}

impl Channels {
    /// One, in whatever case its name is written, even if nobody is in it.
    pub fn find(&self, name: &str) -> Option<&Channel> {
        self.at(&fold(name))
    }

    /// The one with this folded name.
    pub fn at(&self, folded: &str) -> Option<&Channel> {
        self.rows.get(folded).map(|channel| &**channel)
    }

    /// The one with this folded name, to be shared with those who keep it as it is.
    pub fn shared(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.rows.values()
    }

    /// All in which somebody is.
    pub fn occupied(&self) -> impl Iterator<Item = &Channel> {
        self.shared()
            .map(|channel| &**channel)
            .filter(|channel| !channel.is_empty())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// In how many somebody is.
    pub fn count_occupied(&self) -> usize {
        self.rows.len() - self.left.len()
    }

    /// The folded name of the one that was left longest ago.
    pub fn left_first(&self) -> Option<Folded> {
        self.left.first().map(|(_, folded)| folded.clone())
    }

    /// Their share of the digest.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Adds one.
    pub fn add(&mut self, channel: Channel) {
        let folded = channel.folded();
        self.sum = self.sum.wrapping_add(channel.print());
        if channel.is_empty() {
            self.left.insert((channel.card.since, folded.clone()));
        }
        self.rows.insert(folded, Arc::new(channel));
    }

    /// Takes one away.
    pub fn remove(&mut self, folded: &str) -> Option<Arc<Channel>> {
        let (folded, channel) = self.rows.remove_entry(folded)?;
        self.sum = self.sum.wrapping_sub(channel.print());
        self.left.remove(&(channel.card.since, folded));
        Some(channel)
    }

    /// Changes anything about one.
    pub fn change<R>(&mut self, folded: &str, change: impl FnOnce(&mut Channel) -> R) -> Option<R> {
        let name = self.rows.get_key_value(folded)?.0.clone();
        let row = self.rows.get_mut(folded)?;
        if row.is_empty() {
            self.left.remove(&(row.card.since, name.clone()));
        }
        let channel = Arc::make_mut(row);
        self.sum = self.sum.wrapping_sub(channel.print());
        let result = change(channel);
        channel.seal();
        self.sum = self.sum.wrapping_add(channel.print());
        if channel.is_empty() {
            self.left.insert((channel.card.since, name));
        }
        Some(result)
    }

    /// Changes what is remembered of one.
    pub fn touch<R>(&mut self, folded: &str, change: impl FnOnce(&mut Channel) -> R) -> Option<R> {
        let channel = Arc::make_mut(self.rows.get_mut(folded)?);
        self.sum = self.sum.wrapping_sub(channel.print());
        let result = change(channel);
        self.sum = self.sum.wrapping_add(channel.print());
        Some(result)
    }
}
