//! Deeds are done here, and here alone.

use super::Cluster;
use crate::sim::check::Finding;
use crate::sim::deed::Deed;
use crate::sim::node::State;

impl Cluster {
    /// Does a deed now. What cannot be done, to a process that is not there or is
    /// dead already, is no deed.
    pub fn perform(&mut self, deed: Deed) -> Finding {
        self.write_deed(deed);
        let state = |cluster: &Cluster, who| {
            let node = cluster.find(who)?;
            Some((node, cluster.nodes()[node].state))
        };
        match deed {
            Deed::Crash(who) => {
                if let Some((node, State::Running | State::Paused)) = state(self, who) {
                    self.strike("power failure");
                    self.crash(node)?;
                }
            }
            Deed::Kill(who) => {
                if let Some((node, State::Running | State::Paused)) = state(self, who) {
                    self.strike("kill");
                    self.kill(node)?;
                }
            }
            Deed::Restart(who) => {
                if let Some((node, State::Dead)) = state(self, who)
                    && self.nodes()[node].may_restart()
                {
                    self.strike("restart");
                    self.restart(node)?;
                }
            }
            Deed::Pause(who) => {
                if let Some((node, State::Running)) = state(self, who) {
                    self.strike("pause");
                    self.pause(node);
                }
            }
            Deed::Resume(who) => {
                if let Some((node, State::Paused)) = state(self, who) {
                    self.resume(node)?;
                }
            }
            Deed::Close(who) => {
                if let Some((node, State::Running)) = state(self, who) {
                    self.strike("stalled reader");
                    self.set_open(node, false)?;
                }
            }
            Deed::Open(who) => {
                if let Some((node, _)) = state(self, who) {
                    self.set_open(node, true)?;
                }
            }
            Deed::Damage(who, damage, seed) => {
                if let Some((node, State::Dead)) = state(self, who)
                    && self.damage(node, damage, seed)
                {
                    self.strike(damage.name());
                }
            }
            Deed::Fill(who) => self.fill(who, true),
            Deed::Free(who) => self.fill(who, false),
            Deed::Leap(who, ahead) => {
                if let Some((node, _)) = state(self, who) {
                    self.strike("clock leap");
                    self.leap(node, ahead);
                }
            }
            Deed::Cut(from, to) => {
                if let (Some(from), Some(to)) = (self.find(from), self.find(to)) {
                    self.network().cut(from, to);
                }
            }
            Deed::CutMulticast(from, to) => {
                if let (Some(from), Some(to)) = (self.find(from), self.find(to)) {
                    self.network().cut_multicast(from, to);
                }
            }
            Deed::Mend => {
                self.remark("the network mends");
                self.network().mend();
            }
            Deed::Stray(stray, seed) => {
                if self.stray(stray, seed) {
                    self.strike(stray.name());
                }
            }
            Deed::Add(role, id) => {
                self.add(role, id);
            }
            Deed::Inform => self.inform_replicas(),
        }
        Ok(())
    }
}
