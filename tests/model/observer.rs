//! An observer that believes no role: it counts votes from what acceptors made
//! durable and proposals from what was said, and says what is wrong.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use paxcast::protocol::value::runs;
use paxcast::protocol::{AcceptorSet, Ballot, Instance, Message, Record, Role, Vote, Watermark};

use super::bounds::{ACCEPTORS, Bounds, membership};
use super::process::{Fact, run};

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Two values are chosen for one instance.
    TwoChosen,
    /// Something is proposed, or voted for, that nobody submitted or proposed.
    Unproposed,
    /// Two values stand in one ballot for one instance.
    TwoInOneBallot,
    /// A leader proposes something else where a value is chosen already.
    AgainstChosen,
    /// An acceptor promises a lower ballot than it has promised before.
    PromiseRegressed,
    /// An acceptor votes below a ballot that it has promised, to others or to its disk.
    VoteBelowPromise,
    /// A promise keeps quiet about a vote, or makes one up.
    FalsePromise,
    /// An acceptor tells what is not durable.
    ToldTooEarly,
    /// A watermark covers what is not chosen, or a vote for something else.
    FalseWatermark,
    /// The learner delivers what is not chosen, or out of order, or twice.
    FalseDelivery,
}

/// What the observer knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observer {
    proposals: BTreeMap<(Instance, Ballot), Bytes>,
    votes: BTreeMap<(Instance, Ballot), AcceptorSet>,
    chosen: BTreeMap<Instance, (Ballot, Bytes)>,
    /// What each acceptor has promised aloud.
    said: [Ballot; ACCEPTORS],
    /// What each acceptor's disk has promised.
    durable: [Ballot; ACCEPTORS],
    /// How many values the learner delivered.
    delivered: u64,
    /// Whether a new leader was told a part of a promise only.
    paged: bool,
    fault: Option<Fault>,
}

impl Observer {
    /// What is wrong, if anything is.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// How many instances are chosen.
    pub fn chosen(&self) -> usize {
        self.chosen.len()
    }

    /// How many values the learner delivered.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How many proposers proposed anything.
    pub fn leaders(&self) -> usize {
        let mut leaders: Vec<u16> = self.proposals.keys().map(|(_, b)| b.proposer).collect();
        leaders.sort_unstable();
        leaders.dedup();
        leaders.len()
    }

    /// Whether a value was proposed in two ballots.
    pub fn proposed_again(&self) -> bool {
        self.proposals.iter().any(|((instance, ballot), value)| {
            let value_below = |((at, below), other): (&(Instance, Ballot), &Bytes)| {
                at == instance && below < ballot && other == value
            };
            !value.is_empty() && self.proposals.iter().any(value_below)
        })
    }

    /// Whether a hole was filled.
    pub fn no_op(&self) -> bool {
        self.proposals.values().any(Bytes::is_empty)
    }

    /// Whether a promise came in pages.
    pub fn paged(&self) -> bool {
        self.paged
    }

    /// What a learner's deliveries hang on, and nothing else.
    pub fn settled(&self) -> Observer {
        Observer {
            chosen: self.chosen.clone(),
            delivered: self.delivered,
            fault: self.fault,
            ..Observer::default()
        }
    }

    /// Takes a fact in.
    pub fn see(&mut self, fact: &Fact, bounds: &Bounds) {
        if self.fault.is_some() {
            return;
        }
        let verdict = match fact {
            Fact::Written(acceptor, record) => self.written(*acceptor, record),
            Fact::Durable(acceptor, record) => self.made_durable(*acceptor, record),
            Fact::Said(from, message) if from.role == Role::Acceptor => {
                self.acceptor_said(from.id, message, bounds)
            }
            Fact::Said(_, message) => self.proposer_said(message, bounds),
            Fact::Delivered(delivery) => {
                let expected = self.log().nth(self.delivered as usize);
                self.delivered += 1;
                let right = expected.is_some_and(|(instance, client)| {
                    delivery.position == self.delivered
                        && delivery.instance == instance
                        && delivery.session == run(client).session
                        && delivery.number == 1
                        && run(client).items().next().map(|item| item.bytes)
                            == Some(delivery.value.clone())
                });
                check(right, Fault::FalseDelivery)
            }
        };
        // Whoever looks for the harm that a broken rule does is not told of the
        // broken rule.
        self.fault = verdict
            .err()
            .filter(|fault| bounds.mutant.is_none() || fault.is_harm());
    }

    /// The values of the chosen log without gaps, each where it stands first.
    fn log(&self) -> impl Iterator<Item = (Instance, u16)> {
        let mut log: Vec<(Instance, u16)> = Vec::new();
        let mut next = Instance(1);
        while let Some((_, batch)) = self.chosen.get(&next) {
            for run in runs(batch) {
                if log.iter().all(|(_, client)| *client != run.session.client) {
                    log.push((next, run.session.client));
                }
            }
            next = next.next();
        }
        log.into_iter()
    }

    fn written(&self, acceptor: u16, record: &Record) -> Result<(), Fault> {
        let Record::Voted { vote } = record else {
            return Ok(());
        };
        let index = usize::from(acceptor - 1);
        let promised = self.said[index].max(self.durable[index]);
        check(vote.ballot >= promised, Fault::VoteBelowPromise)?;
        self.is_proposed(vote)
    }

    /// Forgets votes that an acceptor has replaced by later ones and that decide
    /// nothing any more: too few can join them, or their value is chosen.
    pub fn prune(&mut self) {
        let durable = self.durable;
        let latest: Vec<((Instance, Ballot), AcceptorSet)> =
            self.votes.iter().map(|(key, set)| (*key, *set)).collect();
        self.votes.retain(|(instance, ballot), voters| {
            let can_join =
                |id: &u16| voters.contains(*id) || durable[usize::from(id - 1)] <= *ballot;
            let most = (1..=ACCEPTORS as u16).filter(can_join).count();
            if voters.len() <= ACCEPTORS / 2 && most > ACCEPTORS / 2 {
                return true;
            }
            for id in 1..=ACCEPTORS as u16 {
                let replaced = latest.iter().any(|((at, above), others)| {
                    at == instance && above > ballot && others.contains(id)
                });
                if replaced {
                    voters.remove(id);
                }
            }
            !voters.is_empty()
        });
    }

    fn made_durable(&mut self, acceptor: u16, record: &Record) -> Result<(), Fault> {
        let durable = &mut self.durable[usize::from(acceptor - 1)];
        match record {
            Record::Promised { ballot } => *durable = (*durable).max(*ballot),
            Record::Voted { vote } => {
                *durable = (*durable).max(vote.ballot);
                let key = (vote.instance, vote.ballot);
                let voters = self.votes.entry(key).or_default();
                voters.insert(acceptor);
                if voters.len() > ACCEPTORS / 2 {
                    let value = vote.value.bytes();
                    let (_, chosen) = self
                        .chosen
                        .entry(vote.instance)
                        .or_insert_with(|| (vote.ballot, value.clone()));
                    check(chosen == value, Fault::TwoChosen)?;
                }
            }
            // No replica counts here.
            Record::Trimmed { .. } => unreachable!("nothing is trimmed"),
            Record::Watermark { watermark } => self.is_true(*watermark)?,
        }
        Ok(())
    }

    fn acceptor_said(
        &mut self,
        acceptor: u16,
        message: &Message,
        bounds: &Bounds,
    ) -> Result<(), Fault> {
        let index = usize::from(acceptor - 1);
        match message {
            Message::Promise {
                ballot,
                from,
                through,
                watermark,
                votes,
            } => {
                check(*ballot <= self.durable[index], Fault::ToldTooEarly)?;
                check(*ballot >= self.said[index], Fault::PromiseRegressed)?;
                self.said[index] = *ballot;
                self.paged |= bounds.paged && through.is_some();
                let through = through.unwrap_or(Instance(u64::MAX));
                for (&(instance, voted), voters) in &self.votes {
                    let told = votes
                        .iter()
                        .any(|vote| vote.instance == instance && vote.ballot >= voted);
                    let asked = (*from..=through).contains(&instance);
                    let kept_quiet = asked && voters.contains(acceptor) && !told;
                    check(!kept_quiet, Fault::FalsePromise)?;
                }
                for vote in votes {
                    self.is_vote(acceptor, vote)?;
                }
                self.is_true(*watermark)
            }
            Message::Accepted { ballot, instances } => {
                for span in instances {
                    for instance in span.from.0..=span.through.0 {
                        let key = (Instance(instance), *ballot);
                        let voters = self.votes.get(&key).copied().unwrap_or_default();
                        check(voters.contains(acceptor), Fault::ToldTooEarly)?;
                    }
                }
                // Nothing that was voted for before may be told after a higher
                // promise only if it was durable before; whoever votes promises.
                self.said[index] = self.said[index].max(*ballot);
                Ok(())
            }
            Message::Votes {
                watermarks, votes, ..
            } => {
                for vote in votes {
                    self.is_vote(acceptor, vote)?;
                }
                watermarks.iter().try_for_each(|&mark| self.is_true(mark))
            }
            _ => Ok(()),
        }
    }

    fn proposer_said(&mut self, message: &Message, bounds: &Bounds) -> Result<(), Fault> {
        match message {
            Message::Accept {
                ballot,
                decided,
                instance,
                value,
            } => {
                let value = value.bytes();
                let clients = 1..=bounds.values.iter().sum();
                for found in runs(value) {
                    let submitted = clients.contains(&found.session.client)
                        && found == run(found.session.client);
                    check(submitted, Fault::Unproposed)?;
                }
                let key = (*instance, *ballot);
                let known = self.proposals.entry(key).or_insert_with(|| value.clone());
                check(known == value, Fault::TwoInOneBallot)?;
                if let Some((chosen_in, chosen)) = self.chosen.get(instance)
                    && ballot > chosen_in
                {
                    check(chosen == value, Fault::AgainstChosen)?;
                }
                self.is_true(Watermark {
                    ballot: *ballot,
                    through: *decided,
                })
            }
            Message::Heartbeat { ballot, decided } => self.is_true(Watermark {
                ballot: *ballot,
                through: *decided,
            }),
            _ => Ok(()),
        }
    }

    /// Whether the ballot's owner proposed what was voted for.
    fn is_proposed(&self, vote: &Vote) -> Result<(), Fault> {
        let proposal = self.proposals.get(&(vote.instance, vote.ballot));
        check(proposal == Some(vote.value.bytes()), Fault::Unproposed)
    }

    /// Whether an acceptor may tell this vote as its own.
    fn is_vote(&self, acceptor: u16, vote: &Vote) -> Result<(), Fault> {
        let voters = self.votes.get(&(vote.instance, vote.ballot));
        let cast = voters.is_some_and(|voters| voters.contains(acceptor));
        check(cast, Fault::FalsePromise)?;
        self.is_proposed(vote)
    }

    /// Whether everything below a watermark is chosen, and what its ballot proposed
    /// there is what was chosen.
    fn is_true(&self, watermark: Watermark) -> Result<(), Fault> {
        for instance in 1..=watermark.through.0 {
            let instance = Instance(instance);
            let Some((_, chosen)) = self.chosen.get(&instance) else {
                return Err(Fault::FalseWatermark);
            };
            let proposal = self.proposals.get(&(instance, watermark.ballot));
            check(proposal.is_none_or(|p| p == chosen), Fault::FalseWatermark)?;
        }
        Ok(())
    }
}

impl Fault {
    /// Whether it is what users would suffer from, not a rule on the way there.
    pub fn is_harm(self) -> bool {
        matches!(self, Fault::TwoChosen | Fault::FalseDelivery)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

fn check(right: bool, fault: Fault) -> Result<(), Fault> {
    debug_assert!(membership().quorum() == ACCEPTORS / 2 + 1);
    match right {
        true => Ok(()),
        false => Err(fault),
    }
}
