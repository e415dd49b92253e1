//! Replicas and their users: questions, answers, checkpoints.

use bytes::{Bytes, BytesMut};
use std::time::Duration;

use super::Cluster;
use crate::protocol::{Instance, Message, ProcessId, Role, Time};
use crate::service::{Place, StateMachine};
use crate::sim::check::Finding;
use crate::sim::node::{Effect, Machine, Node, State};
use crate::sim::users::{Teller, Visit};

impl Cluster {
    /// What a replica's world does in its turn: it brings questions and takes the
    /// answers along, and keeps checkpoints.
    pub(super) fn serve(&mut self, index: usize) -> Finding {
        let Some(mut users) = self.users.take() else {
            return Ok(());
        };
        let replicas = self.options.learners.max(1);
        let dead: Vec<u16> = self
            .nodes
            .iter()
            .filter(|node| node.me.role == Role::Learner && node.who.twin == 0)
            .filter(|node| node.state == State::Dead)
            .map(|node| node.me.id)
            .collect();
        let moved = users
            .crowd
            .move_on(self.now, replicas, &|id| dead.contains(&id));
        let node = &mut self.nodes[index];
        let Machine::Replica(replica) = &mut node.machine else {
            self.users = Some(users);
            return moved;
        };
        let local = node.clock.shows(self.now);
        if let Some(kept) = node.shelf.done(self.now) {
            replica.kept(local, Some(kept));
        }
        let outcome = users.crowd.visit(Visit {
            now: self.now,
            local,
            me: node.me,
            replica,
            twin: node.who.twin > 0,
        });
        let digest = replica.machine().digest();
        let compared = users.compare(&node.name, replica.place(), digest);
        let mut begun = false;
        if let Some(snapshot) = replica.due_checkpoint() {
            let mut content = BytesMut::new();
            snapshot.write(&mut |part| content.extend_from_slice(part));
            let longest = users.options().keeping;
            let takes = users.random.duration(Duration::ZERO, longest);
            let done = self.now + takes;
            node.shelf.write(done, snapshot.through, content.freeze());
            begun = true;
        }
        if begun {
            self.strike("checkpoint begun");
        }
        self.users = Some(users);
        moved.and(outcome).and(compared)
    }

    /// A replica to which a checkpoint of another one has come begins to open it, and goes
    /// on as it is meanwhile; from one that is open by now it goes on.
    pub(super) fn open_checkpoint(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let (Some(users), node) = (&mut self.users, &mut self.nodes[index]) else {
            return;
        };
        let Machine::Replica(replica) = &mut node.machine else {
            return;
        };
        if let Some(parcel) = replica.due_parcel() {
            let takes = users
                .random
                .duration(Duration::ZERO, users.options().keeping);
            node.shelf.open(self.now + takes, parcel.open(&mut || {}));
        }
        if let Some(opened) = node.shelf.opened(self.now) {
            let local = node.clock.shows(self.now);
            node.machine.take_over(local, opened, effects);
        }
    }

    /// What was applied in this turn so far is told ahead of what is done for users: what
    /// they are shown of the state is then all that was told. It is told again when it is
    /// carried out.
    pub(super) fn tell(&mut self, index: usize, effects: &[Effect]) -> Finding {
        if self.users.is_none() {
            return Ok(());
        }
        for effect in effects {
            match effect {
                Effect::Replied(place, reply) => self.replied(index, *place, reply)?,
                Effect::Restored(place, ..) => self.leapt(index, *place),
                _ => {}
            }
        }
        Ok(())
    }

    /// A replica tells the reply to a command.
    pub(super) fn replied(&mut self, index: usize, place: Place, reply: &[u8]) -> Finding {
        let (teller, users) = (teller(self.now, &self.nodes[index]), &mut self.users);
        match users {
            Some(users) => users.crowd.applied(&teller, place, reply),
            None => Ok(()),
        }
    }

    /// A replica's state is another one's.
    fn leapt(&mut self, index: usize, place: Place) {
        let (teller, users) = (teller(self.now, &self.nodes[index]), &mut self.users);
        if let Some(users) = users {
            users.crowd.restored(&teller, place);
        }
    }

    /// Whether a replica is kept from hearing this: what is proposed and voted for,
    /// of which it may know nothing and yet is asked.
    pub(super) fn is_kept_from(&self, to: ProcessId, message: &Message) -> bool {
        let news = matches!(
            message,
            Message::Accept { .. } | Message::Accepted { .. } | Message::Votes { .. }
        );
        let ignorant = || self.users.as_ref()?.kept_ignorant(self.now);
        news && to.role == Role::Learner && ignorant() == Some(to.id)
    }

    /// How much longer a replica that is kept ignorant waits for this: an acceptor's
    /// word on how far the log had come is old when it comes.
    pub(super) fn is_kept_waiting(&self, to: ProcessId, message: &Message) -> Duration {
        let answer = matches!(message, Message::Confirmed { .. }) && to.role == Role::Learner;
        match &self.users {
            Some(users) if answer && users.kept_ignorant(self.now) == Some(to.id) => {
                users.options().ignorance / 4
            }
            _ => Duration::ZERO,
        }
    }

    /// All replicas hear of everything from now on.
    pub(super) fn inform_replicas(&mut self) {
        if let Some(users) = &mut self.users {
            users.inform_all();
        }
    }

    /// When a replica has something to do for its users.
    pub(super) fn user_at(&self, index: usize) -> Option<Time> {
        let node = &self.nodes[index];
        let Machine::Replica(replica) = &node.machine else {
            return None;
        };
        if replica.has_answers() {
            return Some(self.now);
        }
        let due = match node.who.twin {
            0 => self
                .users
                .as_ref()
                .and_then(|users| users.crowd.due(node.me.id)),
            _ => None,
        };
        [due, node.shelf.done_at()].into_iter().flatten().min()
    }

    /// A replica that starts again begins with its last checkpoint, if it has one.
    pub(super) fn recover_replica(&mut self, index: usize) -> Finding {
        let node = &mut self.nodes[index];
        let Machine::Replica(replica) = &mut node.machine else {
            return Ok(());
        };
        if let Some(users) = &mut self.users
            && !users.wiped
            && users.random.chance(users.options().amnesia)
        {
            users.wiped = true;
            node.shelf.wipe();
            *self.struck.entry("replica's disk wiped").or_insert(0) += 1;
        }
        let Some((kept, content)) = node.shelf.latest() else {
            return Ok(());
        };
        let local = node.clock.shows(self.now);
        if let Err(damaged) = replica.recover(local, kept, &content) {
            return Err(format!(
                "{} cannot use its checkpoint: {damaged}",
                node.name
            ));
        }
        let (me, place) = (node.me, replica.place());
        *self.struck.entry("start from a checkpoint").or_insert(0) += 1;
        self.checker.resumed(me, place.0)
    }

    /// A replica took over another one's checkpoint.
    pub(super) fn restored(
        &mut self,
        index: usize,
        place: Place,
        through: Instance,
        content: Bytes,
    ) -> Finding {
        let node = &mut self.nodes[index];
        let me = node.me;
        node.shelf.write(self.now, through, content);
        self.leapt(index, place);
        self.note(format!(
            "{} goes on behind {through}",
            self.nodes[index].name
        ));
        self.checker.resumed(me, place.0)
    }

    /// Whether users were told what can be true, if there are any.
    pub fn check_users(&self) -> Finding {
        self.users
            .as_ref()
            .map_or(Ok(()), |users| users.crowd.conclude())
    }

    /// How many questions of users were answered.
    pub fn answered(&self) -> usize {
        self.users
            .as_ref()
            .map_or(0, |users| users.crowd.answered())
    }
}

/// A replica that tells something.
fn teller(now: Time, node: &Node) -> Teller<'_> {
    Teller {
        now,
        me: node.me,
        name: &node.name,
        twin: node.who.twin > 0,
    }
}
