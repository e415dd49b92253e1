//! A learner, whatever it is told: it delivers in order, without a gap, and only
//! what somebody else can see to be decided from the very same messages.

use std::collections::BTreeMap;

use paxcast::protocol::learner::Event;
use paxcast::protocol::{
    AcceptorSet, Ballot, Instance, Learner, Message, Outbox, Output, Process, ProcessId, Role,
    Settings, Span, Time, Watermark,
};

use super::said::{self, Context};
use super::script::Script;

const ME: ProcessId = ProcessId {
    role: Role::Learner,
    id: 2,
    incarnation: 12,
};

/// What the messages told, counted plainly.
#[derive(Default)]
struct Observer {
    /// The store each acceptor was first heard with.
    stores: BTreeMap<u16, u64>,
    votes: BTreeMap<(Instance, Ballot), AcceptorSet>,
    /// Spans with too many instances to write each down.
    spans: Vec<(Span, Ballot, u16)>,
    watermarks: BTreeMap<Ballot, Instance>,
    proposals: Vec<(Instance, Ballot)>,
}

struct World {
    learner: Learner,
    settings: Settings,
    observer: Observer,
    delivered: Instance,
    position: u64,
    /// The number of the value delivered last.
    number: u64,
}

/// Takes the bytes as what a learner hears.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script::new(data);
    let settings = said::settings(&mut script);
    let mut now = Time::ZERO;
    let seed = u64::from(script.byte());
    let mut world = World {
        learner: Learner::new(ME, settings.clone(), seed, 400_000, now),
        settings,
        observer: Observer::default(),
        delivered: Instance::ZERO,
        position: 0,
        number: 0,
    };
    while !script.is_over() {
        now = said::later(&mut script, now);
        let mut out = Outbox::new();
        match script.below(16) {
            0 => world.learner.handle_timeout(now, &mut out),
            1 => world.learner.set_open(now, script.one_in(2), &mut out),
            _ => {
                let context = Context {
                    ballot: Ballot {
                        round: 2,
                        proposer: 1,
                        incarnation: 11,
                    },
                    instance: world.learner.delivered().next(),
                    number: world.number,
                    ..Context::default()
                };
                if let Some((from, message)) =
                    said::message(&mut script, ME.role, &world.settings, context)
                {
                    world.observer.hear(from, &message, &world.settings);
                    world.learner.handle_message(now, from, message, &mut out);
                }
            }
        }
        if script.one_in(2) {
            world.learner.finish_turn(now, &mut out);
        }
        world.carry_out(&mut out);
        let World {
            learner, settings, ..
        } = &mut world;
        said::assert_timers_advance(learner, now, |_, out| {
            for output in out.drain() {
                said::assert_sendable(&output, ME, settings);
                let delivered = matches!(output, Output::Event(Event::Delivered(_)));
                assert!(!delivered, "time alone decides nothing");
            }
        });
    }
    world.position
}

impl World {
    fn carry_out(&mut self, out: &mut Outbox<Learner>) {
        let delivered = self.learner.delivered();
        assert!(delivered >= self.delivered, "went back");
        for instance in self.delivered.0 + 1..=delivered.0 {
            let decided = self.observer.decided(Instance(instance), &self.settings);
            assert!(decided, "nobody decided instance {instance}");
        }
        for output in out.drain() {
            said::assert_sendable(&output, ME, &self.settings);
            match output {
                Output::Event(Event::Delivered(delivery)) => {
                    self.position += 1;
                    self.number = delivery.number;
                    assert_eq!(delivery.position, self.position, "a gap in the order");
                    let news = self.delivered < delivery.instance;
                    assert!(news && delivery.instance <= delivered, "out of place");
                }
                Output::Event(Event::Skipped { instance }) => {
                    let news = self.delivered < instance;
                    assert!(news && instance <= delivered, "out of place");
                }
                Output::Event(Event::Requested { instances }) => {
                    assert!(instances > 0 && instances <= Learner::MAX_AHEAD as u64);
                }
                Output::Event(Event::Stuck { instance } | Event::Lost { instance }) => {
                    assert!(instance > self.delivered);
                }
                Output::Event(
                    Event::Confirmed { .. } | Event::Own(_) | Event::Milestone { .. },
                ) => {
                    panic!("nobody has asked for it")
                }
                Output::Send { message, .. } => match message {
                    Message::Acknowledge {
                        delivered: told, ..
                    } => assert!(told <= delivered),
                    Message::Request { spans, .. } => {
                        assert!(spans.iter().all(|span| span.from <= span.through));
                    }
                    Message::Following { .. } | Message::Stuck { .. } => {}
                    other => panic!("a learner does not say {}", other.name()),
                },
                Output::Lookup(_) => panic!("a learner asks no disk"),
            }
        }
        self.delivered = delivered;
        assert_eq!(self.learner.position(), self.position);
    }
}

impl Observer {
    fn hear(&mut self, from: ProcessId, message: &Message, settings: &Settings) {
        let owner = |ballot: &Ballot| {
            from.role == Role::Proposer && ballot.owner() == (from.id, from.incarnation)
        };
        match message {
            Message::Accept {
                ballot,
                decided,
                instance,
                ..
            } if owner(ballot) => {
                self.note(*ballot, *decided);
                self.proposals.push((*instance, *ballot));
            }
            Message::Heartbeat { ballot, decided } if owner(ballot) => self.note(*ballot, *decided),
            Message::Accepted { ballot, instances } if self.admits(from, settings) => {
                let spans = instances.iter().map(|span| (*span, *ballot, from.id));
                self.spans.extend(spans);
            }
            Message::Votes {
                watermarks, votes, ..
            } if self.admits(from, settings) => {
                for Watermark { ballot, through } in watermarks {
                    self.note(*ballot, *through);
                }
                for vote in votes {
                    self.proposals.push((vote.instance, vote.ballot));
                    let voters = self.votes.entry((vote.instance, vote.ballot)).or_default();
                    voters.insert(from.id);
                }
            }
            // It says nothing of votes, but whose word counts from now on.
            Message::Forgotten { .. } => _ = self.admits(from, settings),
            _ => {}
        }
    }

    fn note(&mut self, ballot: Ballot, through: Instance) {
        let known = self.watermarks.entry(ballot).or_default();
        *known = through.max(*known);
    }

    /// An acceptor counts with the store it was heard with first.
    fn admits(&mut self, from: ProcessId, settings: &Settings) -> bool {
        let known = settings.membership.acceptors().contains(from.id);
        from.role == Role::Acceptor
            && known
            && *self.stores.entry(from.id).or_insert(from.incarnation) == from.incarnation
    }

    /// Whether some ballot decided this instance, by a quorum of votes or a
    /// watermark of exactly that ballot.
    fn decided(&self, instance: Instance, settings: &Settings) -> bool {
        let proposed = self.proposals.iter().filter(|(at, _)| *at == instance);
        proposed.map(|(_, ballot)| *ballot).any(|ballot| {
            let announced = self.watermarks.get(&ballot);
            if announced.is_some_and(|through| instance <= *through) {
                return true;
            }
            let told = self.votes.get(&(instance, ballot));
            let mut voters = told.copied().unwrap_or_default();
            for (span, voted, acceptor) in &self.spans {
                if *voted == ballot && span.from <= instance && instance <= span.through {
                    voters.insert(*acceptor);
                }
            }
            settings.membership.is_quorum(voters)
        })
    }
}
