//! What a cluster writes into its history, when it keeps one.

use std::sync::Arc;

use bytes::Bytes;

use super::Cluster;
use crate::sim::history::{Event, History, Limits, Parcel, Sent};
use crate::sim::node::{Machine, State};

impl Cluster {
    /// Keeps a history from now on. It is best asked for before anything happens.
    pub fn keep_history(&mut self, limits: Limits) {
        let mut history = History::new(self.scope, limits);
        for node in &self.nodes {
            let host = history.add_host(&node.who.to_string(), node.who.role);
            if node.state != State::Dead {
                history.add(self.now, Some(host), Event::Started);
            }
            if node.state == State::Paused {
                history.add(self.now, Some(host), Event::Paused);
            }
            if node.state != State::Dead
                && let Machine::Proposer(proposer) = &node.machine
                && let Some(ballot) = proposer.leads()
            {
                history.add(self.now, Some(host), Event::Elected(ballot));
            }
        }
        self.history = Some(Box::new(history));
    }

    /// The history, when one is kept.
    pub fn history(&self) -> Option<&History> {
        self.history.as_deref()
    }

    /// Adds to the history what happened at a node. Nothing is even put
    /// together when none is kept.
    pub(super) fn record(&mut self, node: usize, event: impl FnOnce() -> Event) {
        if let Some(history) = &mut self.history {
            history.add(self.now, Some(node), event());
        }
    }

    /// Adds to the history what became of a parcel.
    pub(super) fn record_parcel(
        &mut self,
        node: usize,
        parcel: &Option<Arc<Parcel>>,
        event: impl FnOnce(Arc<Parcel>) -> Event,
    ) {
        if let (Some(history), Some(parcel)) = (&mut self.history, parcel) {
            history.add(self.now, Some(node), event(parcel.clone()));
        }
    }

    /// Adds to the history what was said about the cluster, and which paths
    /// were cut or mended until now.
    pub(super) fn record_note(&mut self, note: &dyn std::fmt::Display) {
        self.record_paths();
        if let Some(history) = &mut self.history {
            history.add(self.now, None, Event::Note(note.to_string()));
        }
    }

    /// Adds to the history which paths were cut or mended until now.
    pub(super) fn record_paths(&mut self) {
        if let Some(history) = &mut self.history {
            history.see_paths(self.now, &self.network.cut_paths());
        }
    }

    /// Adds a process that starts now to the history.
    pub(super) fn record_host(&mut self, node: usize) {
        let who = self.nodes[node].who;
        if let Some(history) = &mut self.history {
            let host = history.add_host(&who.to_string(), who.role);
            debug_assert_eq!(host, node, "hosts are numbered as nodes are");
            history.add(self.now, Some(host), Event::Started);
        }
    }

    /// Adds a datagram that leaves to the history.
    pub(super) fn record_send(
        &mut self,
        node: usize,
        to: &Arc<str>,
        bytes: &Bytes,
    ) -> Option<Arc<Sent>> {
        let history = self.history.as_mut()?;
        Some(history.send(self.now, node, to.clone(), bytes.clone()))
    }

    /// Adds the copy of a datagram for one receiver to the history.
    pub(super) fn record_leave(
        &mut self,
        sent: &Option<Arc<Sent>>,
        to: usize,
        again: bool,
    ) -> Option<Arc<Parcel>> {
        let history = self.history.as_mut()?;
        Some(history.leave(self.now, sent.as_ref()?, to, again))
    }
}
