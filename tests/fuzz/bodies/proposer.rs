//! A proposer, whatever it is told: it proposes in ballots of its own only, after a
//! quorum has promised, one batch for one instance, and never calls decided what
//! no quorum voted for.

use std::collections::BTreeMap;

use bytes::Bytes;
use paxcast::protocol::proposer::Event;
use paxcast::protocol::{
    AcceptorSet, Ballot, Instance, Message, Outbox, Output, Process, ProcessId, Proposer, Role,
    Settings, Span, Time,
};

use super::said::{self, Context};
use super::script::Script;

const ME: ProcessId = ProcessId {
    role: Role::Proposer,
    id: 2,
    incarnation: 12,
};

struct World {
    settings: Settings,
    /// The store each acceptor was first heard with.
    stores: BTreeMap<u16, u64>,
    /// The ballot it last asked for.
    asked: Ballot,
    /// Who promised it.
    promised: AcceptorSet,
    /// The ballot it leads in, and how far that one has decided.
    leads: Option<(Ballot, Instance)>,
    /// Where it began to decide for itself.
    began: Instance,
    /// What acceptors told of their votes in its ballot.
    voted: Vec<(Span, u16)>,
    /// What it proposed behind its watermark.
    proposed: BTreeMap<(Ballot, Instance), Bytes>,
    /// How often it was elected or said that something is decided.
    decisions: u64,
}

/// Takes the bytes as what a proposer hears, and how the time goes on.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script::new(data);
    let settings = said::settings(&mut script);
    let mut now = Time::ZERO;
    let seed = u64::from(script.byte());
    let mut proposer = Proposer::new(ME, settings.clone(), seed, 400_000, now);
    let mut world = World {
        settings,
        stores: BTreeMap::new(),
        asked: Ballot::ZERO,
        promised: AcceptorSet::EMPTY,
        leads: None,
        began: Instance::ZERO,
        voted: Vec::new(),
        proposed: BTreeMap::new(),
        decisions: 0,
    };
    // Nobody leads yet; it soon asks to.
    now = now + world.settings.patience();
    while !script.is_over() {
        now = said::later(&mut script, now);
        let mut out = Outbox::new();
        match script.below(16) {
            0 => proposer.handle_timeout(now, &mut out),
            _ => {
                let context = Context {
                    ballot: world.asked,
                    instance: proposer.decided().next(),
                    ..Context::default()
                };
                if let Some((from, message)) =
                    said::message(&mut script, ME.role, &world.settings, context)
                {
                    world.hear(from, &message);
                    proposer.handle_message(now, from, message, &mut out);
                }
            }
        }
        if script.one_in(2) {
            proposer.finish_turn(now, &mut out);
        }
        world.carry_out(&proposer, &mut out);
        said::assert_timers_advance(&mut proposer, now, |proposer, out| {
            world.carry_out(proposer, out);
        });
    }
    world.decisions
}

impl World {
    fn hear(&mut self, from: ProcessId, message: &Message) {
        let known = self.settings.membership.acceptors().contains(from.id);
        if from.role != Role::Acceptor || !known {
            return;
        }
        let speaks = matches!(
            message,
            Message::Promise { .. }
                | Message::Nack { .. }
                | Message::Busy { .. }
                | Message::Accepted { .. }
                | Message::Alive { .. }
        );
        if !speaks || *self.stores.entry(from.id).or_insert(from.incarnation) != from.incarnation {
            return;
        }
        match message {
            Message::Promise { ballot, .. } if *ballot == self.asked => {
                self.promised.insert(from.id);
            }
            Message::Accepted { ballot, instances } if *ballot == self.asked => {
                let spans = instances.iter().map(|span| (*span, from.id));
                self.voted.extend(spans);
            }
            _ => {}
        }
    }

    fn carry_out(&mut self, proposer: &Proposer, out: &mut Outbox<Proposer>) {
        let repairs = out.len();
        for output in out.drain() {
            said::assert_sendable(&output, ME, &self.settings);
            match output {
                Output::Event(event) => self.note(event),
                Output::Send { message, .. } => self.assert_rightful(message),
                Output::Lookup(_) => panic!("a proposer asks no disk"),
            }
        }
        assert!(repairs < 10_000, "{repairs} outputs at once");
        assert_eq!(proposer.leads(), self.leads.map(|(ballot, _)| ballot));
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Elected { ballot } => {
                assert_eq!(ballot, self.asked, "elected unasked");
                let quorum = self.settings.membership.is_quorum(self.promised);
                assert!(quorum, "elected by {} only", self.promised);
                self.decisions += 1;
                self.leads = Some((ballot, Instance::ZERO));
                self.began = Instance::ZERO;
            }
            Event::Deposed { ballot } => {
                assert_eq!(self.leads.map(|(ballot, _)| ballot), Some(ballot));
                self.leads = None;
            }
            Event::Decided { through } => {
                self.decisions += 1;
                self.decide(through);
            }
            Event::Retransmitted { .. } | Event::Repaired { .. } => assert!(self.leads.is_some()),
        }
    }

    /// It says that everything through here is decided.
    fn decide(&mut self, through: Instance) {
        let (_, decided) = self.leads.as_mut().expect("only a leader decides");
        assert!(through >= *decided, "the watermark went back");
        let first = decided.0.max(self.began.0) + 1;
        *decided = through;
        for instance in first..=through.0 {
            let instance = Instance(instance);
            let voters = self
                .voted
                .iter()
                .filter(|(span, _)| span.from <= instance && instance <= span.through)
                .map(|(_, acceptor)| *acceptor)
                .collect();
            let quorum = self.settings.membership.is_quorum(voters);
            assert!(quorum, "{instance} decided by {voters} only");
        }
    }

    fn assert_rightful(&mut self, message: Message) {
        match message {
            Message::Prepare { ballot, .. } => {
                assert_eq!(ballot.owner(), (ME.id, ME.incarnation));
                assert!(ballot >= self.asked, "asked for a lower ballot");
                if ballot > self.asked {
                    assert!(self.leads.is_none(), "a leader asks for another ballot");
                    self.asked = ballot;
                    self.promised = AcceptorSet::EMPTY;
                    self.voted.clear();
                }
            }
            Message::Accept {
                ballot,
                decided,
                instance,
                value,
            } => {
                let (leads, _) = self.leads.expect("only a leader proposes");
                assert_eq!(ballot, leads);
                // At or below the watermark it repeats what acceptors say they
                // voted for, and these may say anything here.
                if instance > decided {
                    let before = self.proposed.entry((ballot, instance));
                    let before = before.or_insert_with(|| value.bytes().clone());
                    assert_eq!(before, value.bytes(), "two batches for {instance}");
                }
            }
            Message::Heartbeat { ballot, decided } => {
                assert_eq!(ballot, self.asked);
                // The first of a ballot says where phase 1 ended.
                if let Some((leads, before)) = &mut self.leads
                    && *leads == ballot
                {
                    if *before == Instance::ZERO {
                        self.began = decided;
                        *before = decided;
                    }
                    self.decide(decided);
                }
            }
            Message::Credit { .. } => assert!(self.leads.is_some()),
            Message::Missing { gaps, .. } => {
                assert!(gaps.iter().all(|(first, last)| first <= last));
            }
            Message::Listening { .. } => {}
            other => panic!("a proposer does not say {}", other.name()),
        }
    }
}
