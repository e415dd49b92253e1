//! An acceptor, whatever it is told: it keeps its promise, votes for nothing below
//! it, says nothing that it has not written down, and reports all its votes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use paxcast::protocol::acceptor::Memory;
use paxcast::protocol::{
    Acceptor, Ballot, Found, Instance, Lookup, Message, Outbox, Output, Payload, Process,
    ProcessId, Record, Role, Settings, Time, Vote,
};

use super::said::{self, Context};
use super::script::Script;

const ME: ProcessId = ProcessId {
    role: Role::Acceptor,
    id: 1,
    incarnation: 11,
};

/// The acceptor and everything that is known of it from outside.
struct World {
    acceptor: Acceptor,
    settings: Settings,
    memory: Memory,
    records: Vec<Record>,
    /// The highest ballot in the records.
    promised: Ballot,
    /// The newest vote for each instance.
    newest: BTreeMap<Instance, (Ballot, Bytes)>,
    /// What leaders propose.
    proposed: BTreeMap<(Ballot, Instance), Payload>,
    /// Answers of the disk that are still under way.
    found: VecDeque<Found>,
    /// The highest instance that a watermark it told of covers.
    decided: Instance,
    /// The same of watermarks that it heard.
    heard: Instance,
}

/// Takes the bytes as what an acceptor hears, and when it is restarted.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script::new(data);
    let settings = said::settings(&mut script);
    let memory = match script.byte() % 4 {
        0 => Memory::EVERYTHING,
        3 => Memory::Volatile { bytes: 200 },
        1 => Memory::Recent { bytes: 0 },
        _ => Memory::Recent { bytes: 1_000 },
    };
    let mut world = World {
        acceptor: Acceptor::new(ME, settings.clone(), memory, 400_000),
        settings,
        memory,
        records: Vec::new(),
        promised: Ballot::ZERO,
        newest: BTreeMap::new(),
        proposed: BTreeMap::new(),
        found: VecDeque::new(),
        decided: Instance::ZERO,
        heard: Instance::ZERO,
    };
    let mut now = Time::ZERO;
    while !script.is_over() {
        now = said::later(&mut script, now);
        world.step(&mut script, now);
    }
    world.records.len() as u64
}

impl World {
    fn step(&mut self, script: &mut Script, now: Time) {
        let mut out = Outbox::new();
        match script.below(16) {
            0 => self.restart(),
            1..=3 => {
                if let Some(found) = self.found.pop_front() {
                    self.acceptor.handle_found(now, found, &mut out);
                }
            }
            4 => self.acceptor.handle_timeout(now, &mut out),
            _ => {
                let context = Context {
                    ballot: self.promised.max(Ballot {
                        round: 1,
                        proposer: 1,
                        incarnation: 11,
                    }),
                    instance: self.decided.next(),
                    ..Context::default()
                };
                let Some((from, mut message)) =
                    said::message(script, ME.role, &self.settings, context)
                else {
                    return;
                };
                if let Message::Accept {
                    ballot,
                    instance,
                    value,
                    ..
                } = &mut message
                {
                    // Who owns a ballot proposes one batch for one instance in it.
                    let before = self.proposed.entry((*ballot, *instance));
                    *value = before.or_insert_with(|| value.clone()).clone();
                }
                if let Message::Accept { decided, .. } | Message::Heartbeat { decided, .. } =
                    message
                {
                    self.heard = self.heard.max(decided);
                }
                self.acceptor.handle_message(now, from, message, &mut out);
            }
        }
        if script.one_in(2) {
            self.acceptor.finish_turn(now, &mut out);
        }
        self.carry_out(&mut out);
    }

    /// What was written down is all that outlives a restart.
    fn restart(&mut self) {
        let me = (ME, self.settings.clone());
        let mut rebuilt = Acceptor::new(me.0, me.1, self.memory, 400_000);
        for record in &self.records {
            rebuilt.replay(record.clone());
        }
        assert!(rebuilt.remembers_like(&self.acceptor));
        self.acceptor = rebuilt;
        self.found.clear();
        // What was merely heard is forgotten.
        self.decided = Instance::ZERO;
    }

    fn carry_out(&mut self, out: &mut Outbox<Acceptor>) {
        let mut bytes = 0;
        for output in out.drain() {
            said::assert_sendable(&output, ME, &self.settings);
            match output {
                Output::Event(record) => self.write(record),
                Output::Lookup(lookup) => {
                    let found = self.look_up(lookup);
                    self.found.push_back(found);
                    self.found.truncate(8);
                }
                Output::Send { message, .. } => {
                    if let Message::Votes { votes, .. } = &message {
                        bytes += votes.iter().map(|vote| vote.value.len()).sum::<usize>();
                    }
                    self.assert_true(&message);
                }
            }
        }
        let most = Acceptor::MAX_ANSWER + self.settings.datagram;
        assert!(bytes <= most, "an answer of {bytes} bytes");
        assert_eq!(self.acceptor.promised(), self.promised);
        if let Memory::Recent { bytes } = self.memory {
            let held = self.acceptor.votes_in_memory();
            assert!(held <= 1 || held * 64 <= bytes, "{held} votes in memory");
        }
    }

    /// A record agrees with all before.
    fn write(&mut self, record: Record) {
        match &record {
            Record::Promised { ballot } => {
                assert!(*ballot > self.promised, "a promise that is none");
                self.promised = *ballot;
            }
            Record::Voted { vote } => {
                assert!(vote.ballot >= self.promised, "a vote below the promise");
                assert!(vote.instance > Instance::ZERO);
                let reach = self.heard.plus(Acceptor::MAX_AHEAD);
                assert!(vote.instance <= reach, "a vote far ahead");
                self.promised = vote.ballot;
                let value = vote.value.bytes().clone();
                self.newest.insert(vote.instance, (vote.ballot, value));
            }
            Record::Watermark { watermark } => assert!(watermark.through > Instance::ZERO),
            Record::Trimmed { .. } => panic!("no replica counts here"),
        }
        self.records.push(record);
    }

    fn look_up(&self, lookup: Lookup) -> Found {
        let mut votes: Vec<Vote> = Vec::new();
        let mut through = lookup.spans.last().map_or(Instance::ZERO, |s| s.through);
        let mut bytes = 0;
        for (&instance, (ballot, value)) in &self.newest {
            let asked =
                |span: &&paxcast::protocol::Span| span.from <= instance && instance <= span.through;
            if lookup.spans.iter().find(asked).is_none() {
                continue;
            }
            bytes += value.len();
            if bytes > lookup.bytes && !votes.is_empty() {
                through = instance.previous();
                break;
            }
            votes.push(Vote {
                instance,
                ballot: *ballot,
                value: Payload::new(value.clone()),
            });
        }
        Found {
            lookup,
            through,
            votes,
        }
    }

    /// What it says of itself is written down.
    fn assert_true(&mut self, message: &Message) {
        match message {
            Message::Promise {
                ballot,
                from,
                through,
                watermark,
                votes,
            } => {
                assert_eq!(*ballot, self.promised, "promised something else");
                assert!(watermark.through >= self.decided, "a watermark regressed");
                self.decided = watermark.through;
                self.assert_complete(*ballot, *from, *through, votes);
            }
            Message::Accepted { ballot, instances } => {
                for span in instances {
                    assert!(span.from <= span.through);
                    for instance in span.from.0..=span.through.0 {
                        let voted = self.newest.get(&Instance(instance));
                        let voted = voted.is_some_and(|(voted, _)| voted >= ballot);
                        assert!(voted, "told of a vote for {instance} that is none");
                    }
                }
            }
            Message::Votes {
                watermarks, votes, ..
            } => {
                self.decided = watermarks[0].through.max(self.decided);
                for vote in votes {
                    let known = self.newest.get(&vote.instance);
                    let written = known.is_some_and(|(ballot, value)| {
                        *ballot > vote.ballot
                            || (*ballot == vote.ballot && value == vote.value.bytes())
                    });
                    assert!(written, "told of a vote that it never gave");
                }
            }
            Message::Nack { ballot, promised } => {
                assert!(ballot < promised && *promised == self.promised);
            }
            Message::Busy { ballot, .. } => assert!(*ballot > self.promised),
            Message::Alive { ballot, .. } => assert!(*ballot >= self.promised),
            Message::Forgotten { through } => {
                assert!(*through <= self.heard, "forgot {through}, which is open");
                let disk = matches!(self.memory, Memory::Recent { .. });
                assert!(!disk, "forgot what its disk has");
            }
            other => panic!("an acceptor does not say {}", other.name()),
        }
    }

    /// A page has every vote of its interval that was given before the promise.
    fn assert_complete(
        &self,
        ballot: Ballot,
        from: Instance,
        through: Option<Instance>,
        votes: &[Vote],
    ) {
        let through = through.unwrap_or(Instance(u64::MAX));
        if from > through {
            return assert!(votes.is_empty());
        }
        for (instance, (voted, value)) in self.newest.range(from..=through) {
            let told = votes.iter().find(|vote| vote.instance == *instance);
            match told {
                Some(vote) => {
                    let same = vote.ballot == *voted && vote.value.bytes() == value;
                    assert!(same || *voted >= ballot, "told another vote for {instance}");
                }
                None => assert!(*voted >= ballot, "kept the vote for {instance} to itself"),
            }
        }
        let inside = |vote: &Vote| from <= vote.instance && vote.instance <= through;
        assert!(votes.iter().all(inside), "told votes of elsewhere");
    }
}
