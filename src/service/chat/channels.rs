//! All channels, those among them that are only remembered.
//!
//! Whatever changes a channel goes through here, so the digest, and which channels
//! have somebody in them, belong to what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::channel::Channel;
use super::limits::Limits;
use super::name::{Folded, fold};
use crate::service::Place;

/// What channels hold together, beside what is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holdings {
    /// Their members, everybody once for each channel.
    pub members: usize,
    /// Their bans.
    pub bans: usize,
}

impl Holdings {
    fn of(channel: &Channel) -> Holdings {
        Holdings {
            members: channel.len(),
            bans: channel.bans().len(),
        }
    }

    fn add(&mut self, other: Holdings) {
        self.members += other.members;
        self.bans += other.bans;
    }

    fn subtract(&mut self, other: Holdings) {
        self.members -= other.members;
        self.bans -= other.bans;
    }
}

impl Default for Channels {
    fn default() -> Channels {
        Channels::new(Holdings {
            members: Limits::MEMBERSHIPS,
            bans: Limits::BANS_IN_ALL,
        })
    }
}

/// All channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channels {
    /// By their folded names.
    rows: BTreeMap<Folded, Arc<Channel>>,
    sum: u64,
    /// Those with nobody in them, by where the last one left.
    left: BTreeSet<(Place, Folded)>,
    held: Holdings,
    /// What they may hold together.
    most: Holdings,
}

impl Channels {
    /// None, which may come to hold so much.
    pub fn new(most: Holdings) -> Channels {
        Channels {
            rows: BTreeMap::new(),
            sum: 0,
            left: BTreeSet::new(),
            held: Holdings::default(),
            most,
        }
    }

    /// What they hold.
    pub fn held(&self) -> Holdings {
        self.held
    }

    /// Whether there is room for one more who enters one.
    pub fn take_members(&self) -> bool {
        self.held.members < self.most.members
    }

    /// Whether there is room for one more ban.
    pub fn take_bans(&self) -> bool {
        self.held.bans < self.most.bans
    }

    /// The folded name of one, as all share it.
    pub fn name(&self, folded: &str) -> Option<Folded> {
        self.rows
            .get_key_value(folded)
            .map(|(name, _)| name.clone())
    }

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
        self.held.add(Holdings::of(&channel));
        if channel.is_empty() {
            self.left.insert((channel.card.since, folded.clone()));
        }
        self.rows.insert(folded, Arc::new(channel));
    }

    /// Takes one away.
    pub fn remove(&mut self, folded: &str) -> Option<Arc<Channel>> {
        let (folded, channel) = self.rows.remove_entry(folded)?;
        self.sum = self.sum.wrapping_sub(channel.print());
        self.held.subtract(Holdings::of(&channel));
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
        self.held.subtract(Holdings::of(channel));
        let result = change(channel);
        channel.seal();
        self.held.add(Holdings::of(channel));
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
