//! Independent observers: they read what processes say and write, count for
//! themselves, and never ask a role what it believes.
//!
//! A value is *chosen* here when a quorum of acceptors has told a vote for it in
//! one ballot, each with the vote on its disk. From the chosen batches the
//! checker derives, by a session rule of its own, the one log that every
//! learner must deliver; what learners deliver is compared with it byte by byte.

mod author;
mod order;
mod trim;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::protocol::{
    AcceptorSet, Ballot, Instance, Membership, Message, ProcessId, ReplicaSet, Role, Session,
    Settings, Vote, Watermark,
};
use author::Author;
use order::Order;
use witness::Witness;

/// What a check finds: nothing, or a sentence that says which promise was broken.
pub type Finding = Result<(), String>;

/// One value as it must be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The instance that completes it.
    pub instance: Instance,
    /// Whose it is.
    pub session: Session,
    /// The number of its last item.
    pub number: u64,
    /// All of it.
    pub value: Bytes,
}

/// The observers of one run.
#[derive(Clone, Debug)]
pub struct Checker {
    membership: Membership,
    proposals: BTreeMap<(Instance, Ballot), Bytes>,
    votes: BTreeMap<(Instance, Ballot), AcceptorSet>,
    chosen: BTreeMap<Instance, (Ballot, Bytes)>,
    /// Every instance through this one is chosen.
    through: Instance,
    /// The log, as far as it is chosen without gaps.
    order: Order,
    acceptors: BTreeMap<u16, Witness>,
    authors: BTreeMap<u16, Author>,
    anonymous: bool,
    /// How far the leader of each ballot has announced decisions.
    announced: BTreeMap<Ballot, Instance>,
    /// The furthest watermark that each start of an acceptor has told.
    reached: BTreeMap<ProcessId, Instance>,
    learners: BTreeMap<ProcessId, usize>,
    /// Whose checkpoints count, and how far each said that its reaches.
    replicas: ReplicaSet,
    checkpoints: BTreeMap<u16, Instance>,
    /// The acceptors have disks.
    durable: bool,
    /// The longest log that any learner has delivered.
    longest: usize,
}

impl Checker {
    /// How many instances one datagram may speak of. Nothing in a run comes near.
    const MAX_SPAN: u64 = 1 << 20;

    /// How many proposals are remembered. Nothing may be forgotten, so a run that
    /// has more is too long.
    const MAX_PROPOSALS: usize = 1 << 20;

    /// Observers of a cluster with these settings.
    pub fn new(settings: &Settings) -> Checker {
        Checker {
            membership: settings.membership,
            proposals: BTreeMap::new(),
            votes: BTreeMap::new(),
            chosen: BTreeMap::new(),
            through: Instance::ZERO,
            order: Order::new(settings),
            acceptors: BTreeMap::new(),
            authors: BTreeMap::new(),
            anonymous: false,
            announced: BTreeMap::new(),
            reached: BTreeMap::new(),
            learners: BTreeMap::new(),
            replicas: settings.replicas,
            checkpoints: BTreeMap::new(),
            durable: false,
            longest: 0,
        }
    }

    /// The log that every learner must deliver, as far as it is chosen without gaps.
    pub fn log(&self) -> &[Delivered] {
        self.order.log()
    }

    /// How many sessions were begun by clients that had one before.
    pub fn sessions_renewed(&self) -> usize {
        self.order.renewed()
    }

    /// How many sessions were refused something because the log had forgotten them.
    pub fn sessions_refused(&self) -> usize {
        self.order.refused()
    }

    /// Every instance through this one is chosen.
    pub fn chosen_through(&self) -> Instance {
        self.through
    }

    /// The last instance that is chosen, with or without gaps before it.
    pub fn chosen_last(&self) -> Instance {
        self.chosen
            .last_key_value()
            .map_or(Instance::ZERO, |(&instance, _)| instance)
    }

    /// What is chosen for an instance: a batch, empty for a no-op.
    pub fn chosen(&self, instance: Instance) -> Option<&Bytes> {
        self.chosen.get(&instance).map(|(_, batch)| batch)
    }

    /// The last instance that anybody proposed for.
    pub fn proposed_last(&self) -> Instance {
        self.proposals
            .last_key_value()
            .map_or(Instance::ZERO, |(&(instance, _), _)| instance)
    }

    /// Whether the latest votes of the acceptors alone show everything that is
    /// chosen. After changes of leader they need not: then a leader must propose
    /// the past again before a newcomer can learn it.
    pub fn is_plain_to_see(&self) -> bool {
        self.hidden_without(None) == 0
    }

    /// How many of the chosen instances the latest votes do not show when one of the
    /// acceptors says nothing.
    pub fn hidden_without(&self, silent: Option<u16>) -> usize {
        let shown = |instance: &Instance| {
            let mut latest: BTreeMap<Ballot, AcceptorSet> = BTreeMap::new();
            for (&id, witness) in &self.acceptors {
                if silent != Some(id)
                    && let Some(ballot) = witness.votes.get(instance).and_then(BTreeSet::last)
                {
                    latest.entry(*ballot).or_default().insert(id);
                }
            }
            latest.values().any(|&voters| self.is_majority(voters))
        };
        self.chosen
            .keys()
            .filter(|&instance| !shown(instance))
            .count()
    }

    /// The ballots in which anything was proposed for an instance, ascending.
    pub fn proposed_for(&self, instance: Instance) -> impl Iterator<Item = Ballot> + '_ {
        let all = (instance, Ballot::ZERO)..(instance.next(), Ballot::ZERO);
        self.proposals.range(all).map(|(&(_, ballot), _)| ballot)
    }

    /// The votes for an instance that are on disks: whose, and in which ballot.
    pub fn votes_for(&self, instance: Instance) -> impl Iterator<Item = (u16, Ballot)> + '_ {
        self.acceptors.iter().flat_map(move |(&acceptor, witness)| {
            let ballots = witness.votes.get(&instance).into_iter().flatten();
            ballots.map(move |&ballot| (acceptor, ballot))
        })
    }

    /// How many values this start of a learner has delivered.
    pub fn delivered_by(&self, learner: ProcessId) -> usize {
        self.learners.get(&learner).copied().unwrap_or(0)
    }

    /// A learner goes on behind a checkpoint, in which so many values were delivered.
    pub fn resumed(&mut self, learner: ProcessId, position: u64) -> Finding {
        if position > self.order.log().len() as u64 {
            return Err(format!(
                "{learner} has a checkpoint of {position} values, and only {} are chosen",
                self.order.log().len()
            ));
        }
        self.learners.insert(learner, position as usize);
        Ok(())
    }

    /// Whether it is nobody's business here what clients submit: somebody else
    /// looks after that.
    pub fn set_anonymous(&mut self, anonymous: bool) {
        self.anonymous = anonymous;
    }

    /// A process starts again: it may know less than it did before.
    pub fn restarted(&mut self, process: ProcessId) {
        self.reached.remove(&process);
    }

    /// How many promises were written down.
    pub fn promises(&self) -> u64 {
        self.acceptors
            .values()
            .map(|witness| witness.promises)
            .sum()
    }

    /// A message leaves its sender.
    pub fn sent(&mut self, from: ProcessId, message: &Message) -> Finding {
        match message {
            Message::Accept {
                ballot,
                decided,
                instance,
                value,
            } => {
                self.check_owner(from, *ballot)?;
                self.check_watermark(Watermark {
                    ballot: *ballot,
                    through: *decided,
                })?;
                self.proposed(*ballot, *instance, value.bytes())
            }
            Message::Prepare { ballot, .. } => self.check_owner(from, *ballot),
            Message::Heartbeat { ballot, decided } => {
                self.check_owner(from, *ballot)?;
                self.check_watermark(Watermark {
                    ballot: *ballot,
                    through: *decided,
                })
            }
            Message::Promise {
                ballot,
                from: first,
                through,
                watermark,
                votes,
            } => {
                self.check_acceptor(from)?;
                self.check_reach(from, *watermark)?;
                self.promised(from, *ballot)?;
                self.check_page(from, *ballot, *first, *through, votes)?;
                self.told(from, votes)
            }
            Message::Nack { ballot, promised } => {
                self.check_acceptor(from)?;
                if promised <= ballot {
                    return Err(format!(
                        "{from} refuses {ballot} for {promised}, which is no higher"
                    ));
                }
                self.promised(from, *promised)
            }
            Message::Forgotten { through } => {
                self.check_acceptor(from)?;
                self.check_forgotten(from, *through)?;
                self.forgot(from, *through)
            }
            Message::Checkpointed { through } => self.checkpointed(from, *through),
            Message::Alive { ballot, .. } => {
                self.check_acceptor(from)?;
                let told = self.acceptors.entry(from.id).or_default().told;
                match *ballot < told {
                    false => Ok(()),
                    true => Err(format!("{from} serves {ballot} after it promised {told}")),
                }
            }
            Message::Votes {
                watermarks, votes, ..
            } => {
                self.check_acceptor(from)?;
                if let Some(furthest) = watermarks.first() {
                    self.check_reach(from, *furthest)?;
                }
                for watermark in watermarks {
                    self.check_watermark(*watermark)?;
                }
                self.told(from, votes)
            }
            Message::Accepted { ballot, instances } => {
                self.check_acceptor(from)?;
                for span in instances {
                    if span.through < span.from || span.through.0 - span.from.0 >= Checker::MAX_SPAN
                    {
                        return Err(format!("{from} says that it voted for {span}"));
                    }
                    for instance in span.from.0..=span.through.0 {
                        self.voted(from, *ballot, Instance(instance))?;
                    }
                }
                Ok(())
            }
            Message::Acknowledge {
                delivered,
                sessions,
            } => {
                if *delivered > self.through {
                    return Err(format!(
                        "{from} says that it delivered {delivered}, but only {} is chosen",
                        self.through
                    ));
                }
                for progress in sessions {
                    let last = self.order.furthest(progress.session);
                    if progress.last > last {
                        return Err(format!(
                            "{from} acknowledges {} of {}, the log has {last}",
                            progress.last, progress.session
                        ));
                    }
                    if progress.evicted && !self.order.is_refused(progress.session) {
                        return Err(format!(
                            "{from} says that {} was evicted, but the log refused it nothing",
                            progress.session
                        ));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A learner hands a value on.
    pub fn delivered(
        &mut self,
        learner: ProcessId,
        position: u64,
        delivered: &Delivered,
    ) -> Finding {
        let count = self.learners.entry(learner).or_insert(0);
        if position != *count as u64 + 1 {
            return Err(format!(
                "{learner} delivers position {position} after {count}"
            ));
        }
        let Some(expected) = self.order.log().get(*count) else {
            return Err(format!(
                "{learner} delivers {} {} at position {position}, {}, beyond all that is chosen \
                 (through {})",
                delivered.session, delivered.number, delivered.instance, self.through
            ));
        };
        if expected != delivered {
            return Err(format!(
                "{learner} delivers {} at position {position}, where the chosen log has {}",
                words(delivered),
                words(expected)
            ));
        }
        *count += 1;
        if *count > self.longest {
            self.longest = *count;
            let author = self.authors.entry(delivered.session.client).or_default();
            author.delivered += 1;
        }
        Ok(())
    }

    /// What holds at the end of a run: nothing that a client was told is delivered
    /// is missing in the log.
    pub fn conclude(&self) -> Finding {
        for (client, author) in &self.authors {
            if author.acknowledged > author.logged as u64 {
                return Err(format!(
                    "client {client} takes {} values for delivered, the log has {}",
                    author.acknowledged, author.logged
                ));
            }
        }
        Ok(())
    }

    /// A leader proposed a batch.
    fn proposed(&mut self, ballot: Ballot, instance: Instance, value: &Bytes) -> Finding {
        if instance == Instance::ZERO {
            return Err(format!("{ballot} proposes for {instance}"));
        }
        if let Some(before) = self.proposals.get(&(instance, ballot)) {
            return match before == value {
                true => Ok(()),
                false => Err(format!("two values for {instance} in ballot {ballot}")),
            };
        }
        // Lamport's P2b: once a value is chosen, higher ballots propose no other.
        if let Some((chosen, standing)) = self.chosen.get(&instance)
            && *chosen < ballot
            && standing != value
        {
            return Err(format!(
                "{ballot} proposes another value for {instance} than the one chosen in {chosen}"
            ));
        }
        if self.proposals.len() >= Self::MAX_PROPOSALS {
            return Err("the run is too long for its observers".to_owned());
        }
        self.proposals.insert((instance, ballot), value.clone());
        if self.announced.get(&ballot) >= Some(&instance) {
            self.check_covered(ballot, instance)?;
        }
        Ok(())
    }

    /// An acceptor tells votes of its own.
    fn told(&mut self, from: ProcessId, votes: &[Vote]) -> Finding {
        for pair in votes.windows(2) {
            if pair[0].instance >= pair[1].instance {
                return Err(format!("{from} tells votes out of order"));
            }
        }
        for vote in votes {
            self.check_proposed(from.id, vote)?;
            self.voted(from, vote.ballot, vote.instance)?;
        }
        Ok(())
    }

    /// An acceptor says that it voted.
    fn voted(&mut self, from: ProcessId, ballot: Ballot, instance: Instance) -> Finding {
        let on_disk = self
            .acceptors
            .get(&from.id)
            .and_then(|witness| witness.votes.get(&instance))
            .is_some_and(|ballots| ballots.contains(&ballot));
        if !on_disk {
            return Err(format!(
                "{from} tells a vote for {instance} in {ballot} that is not on its disk"
            ));
        }
        let voters = self.votes.entry((instance, ballot)).or_default();
        let new = voters.insert(from.id);
        let voters = *voters;
        if new && self.is_majority(voters) {
            self.choose(ballot, instance)?;
        }
        Ok(())
    }

    /// A quorum voted in one ballot.
    fn choose(&mut self, ballot: Ballot, instance: Instance) -> Finding {
        let value = self.proposals[&(instance, ballot)].clone();
        if let Some((before, standing)) = self.chosen.get_mut(&instance) {
            if *standing != value {
                return Err(format!(
                    "two values chosen for {instance}: one in {before}, another in {ballot}"
                ));
            }
            *before = ballot.min(*before);
            return Ok(());
        }
        let above = (instance, ballot)..(instance.next(), Ballot::ZERO);
        for ((_, higher), other) in self.proposals.range(above) {
            if *other != value {
                return Err(format!(
                    "{instance} is chosen in {ballot}, but {higher} had proposed another value"
                ));
            }
        }
        self.chosen.insert(instance, (ballot, value));
        while let Some((_, batch)) = self.chosen.get(&self.through.next()) {
            let batch = batch.clone();
            self.through = self.through.next();
            self.extend(&batch)?;
        }
        Ok(())
    }

    /// The log grows by a batch, and must hold what its clients submitted, in
    /// their order.
    fn extend(&mut self, batch: &Bytes) -> Finding {
        let new = self.order.extend(self.through, batch);
        if self.anonymous {
            return Ok(());
        }
        for delivered in &self.order.log()[new] {
            let client = delivered.session.client;
            let author = self.authors.entry(client).or_default();
            match author.submitted.get(author.logged) {
                Some(submitted) if *submitted == delivered.value => author.logged += 1,
                Some(_) => {
                    return Err(format!(
                        "value {} of client {client} in the log is not what it submitted",
                        author.logged + 1
                    ));
                }
                None => {
                    return Err(format!(
                        "the log has more values of client {client} than it submitted"
                    ));
                }
            }
        }
        Ok(())
    }

    /// A watermark covers only what is chosen, and its own ballot's proposals
    /// below it are the chosen ones.
    fn check_watermark(&mut self, watermark: Watermark) -> Finding {
        if watermark.through > self.through {
            return Err(format!(
                "watermark {} of {} lies beyond what is chosen, {}",
                watermark.through, watermark.ballot, self.through
            ));
        }
        let announced = self.announced.entry(watermark.ballot).or_default();
        let before = *announced;
        *announced = before.max(watermark.through);
        for instance in before.0 + 1..=watermark.through.0 {
            self.check_covered(watermark.ballot, Instance(instance))?;
        }
        Ok(())
    }

    /// What an acceptor says of how far the log has come is never less than it said
    /// before.
    fn check_reach(&mut self, from: ProcessId, furthest: Watermark) -> Finding {
        let reached = self.reached.entry(from).or_default();
        if furthest.through < *reached {
            return Err(format!(
                "{from} tells a watermark of {} after one of {reached}",
                furthest.through
            ));
        }
        *reached = furthest.through;
        self.check_watermark(furthest)
    }

    /// What a ballot proposed below its own watermark is what was chosen, or a
    /// vote in that ballot would pass for a decision.
    fn check_covered(&self, ballot: Ballot, instance: Instance) -> Finding {
        let proposed = self.proposals.get(&(instance, ballot));
        match (proposed, self.chosen.get(&instance)) {
            (Some(proposed), Some((_, chosen))) if proposed != chosen => Err(format!(
                "{ballot} covers {instance} by its watermark, but proposed another value than \
                 the chosen one"
            )),
            _ => Ok(()),
        }
    }

    /// More than half of the acceptors, counted here and not by the roles' own rule.
    fn is_majority(&self, voters: AcceptorSet) -> bool {
        let acceptors = self.membership.acceptors();
        2 * voters.iter().filter(|&id| acceptors.contains(id)).count() > acceptors.len()
    }

    /// Only its owner uses a ballot.
    fn check_owner(&self, from: ProcessId, ballot: Ballot) -> Finding {
        let owner = (ballot.proposer, ballot.incarnation) == (from.id, from.incarnation);
        match owner && from.role == Role::Proposer {
            true => Ok(()),
            false => Err(format!("{from} uses ballot {ballot}, which is not its own")),
        }
    }

    /// Only acceptors speak for acceptors.
    fn check_acceptor(&self, from: ProcessId) -> Finding {
        match from.role == Role::Acceptor {
            true => Ok(()),
            false => Err(format!("{from} speaks as an acceptor")),
        }
    }
}

fn words(delivered: &Delivered) -> String {
    format!(
        "{} {} from {} ({} bytes)",
        delivered.session,
        delivered.number,
        delivered.instance,
        delivered.value.len()
    )
}
