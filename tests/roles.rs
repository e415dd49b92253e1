//! One role at a time, one behaviour at a time: what hazards ask of each.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use paxcast::protocol::acceptor::Memory;
use paxcast::protocol::learner;
use paxcast::protocol::{
    Acceptor, AcceptorSet, Address, Ballot, Client, Found, Instance, Item, Learner, Lookup,
    Membership, Message, Outbox, Output, Payload, Payloads, Process, ProcessId, Progress, Proposer,
    Purpose, Record, Role, Run, Session, Settings, Span, Time, Vote, Watermark, client,
};

fn settings() -> Settings {
    Settings::new(Membership::majority(AcceptorSet::first(3)))
}

fn process(role: Role, id: u16) -> ProcessId {
    ProcessId {
        role,
        id,
        incarnation: 1_000 + u64::from(id),
    }
}

fn ballot(round: u64, proposer: u16) -> Ballot {
    let owner = process(Role::Proposer, proposer);
    Ballot {
        round,
        proposer,
        incarnation: owner.incarnation,
    }
}

fn owner(ballot: Ballot) -> ProcessId {
    process(Role::Proposer, ballot.proposer)
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

fn batch(value: &str) -> Payload {
    batch_of(1, value)
}

/// A batch with one value of a client that begins.
fn batch_of(client: u16, value: &str) -> Payload {
    let mut items = BytesMut::new();
    Item::encode(false, value.as_bytes(), &mut items);
    let run = Run {
        session: Session {
            client,
            incarnation: 7,
        },
        birth: Instance::ZERO,
        first: 1,
        count: 1,
        items: Payload::new(items.freeze()),
    };
    Payload::new(run.encode())
}

fn accept(ballot: Ballot, decided: u64, instance: u64, value: &Payload) -> Message {
    Message::Accept {
        ballot,
        decided: Instance(decided),
        instance: Instance(instance),
        value: value.clone(),
    }
}

fn accepted(ballot: Ballot, from: u64, through: u64) -> Message {
    Message::Accepted {
        ballot,
        instances: vec![Span {
            from: Instance(from),
            through: Instance(through),
        }],
    }
}

fn prepare(ballot: Ballot, from: u64) -> Message {
    Message::Prepare {
        ballot,
        from: Instance(from),
        through: None,
    }
}

/// A role under test, and what it put out.
struct Bench<P: Process> {
    role: P,
}

impl<P> Bench<P>
where
    P: Process<Sender = ProcessId, Message = Message, Address = Address>,
{
    /// Hands in one message; a turn of its own.
    fn hear(&mut self, now: Time, from: ProcessId, message: Message) -> Vec<Output<P>> {
        let mut out = Outbox::new();
        self.role.handle_message(now, from, message, &mut out);
        self.role.finish_turn(now, &mut out);
        out.drain().collect()
    }

    /// Lets time pass up to `until`, firing timers when they are due.
    fn wait(&mut self, until: Time) -> Vec<Output<P>> {
        let mut out = Outbox::new();
        while let Some(due) = self.role.next_timeout()
            && due <= until
        {
            self.role.handle_timeout(due, &mut out);
            self.role.finish_turn(due, &mut out);
        }
        out.drain().collect()
    }
}

fn sent<P: Process<Message = Message>>(outputs: &[Output<P>]) -> Vec<&Message> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send { message, .. } => Some(message),
            _ => None,
        })
        .collect()
}

fn acceptor() -> Bench<Acceptor> {
    let me = process(Role::Acceptor, 1);
    Bench {
        role: Acceptor::new(me, settings(), Memory::EVERYTHING, 400_000),
    }
}

fn learner() -> Bench<Learner> {
    let me = process(Role::Learner, 1);
    Bench {
        role: Learner::new(me, settings(), 1, 400_000, Time::ZERO),
    }
}

fn delivered(outputs: &[Output<Learner>]) -> Vec<String> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Event(learner::Event::Delivered(delivery)) => {
                Some(String::from_utf8_lossy(&delivery.value).into_owned())
            }
            _ => None,
        })
        .collect()
}

// ---- acceptor

#[test]
fn an_acceptor_answers_only_behind_the_record_of_what_it_says() {
    let mut a1 = acceptor();
    let b = ballot(1, 1);
    let outputs = a1.hear(at(0), owner(b), prepare(b, 1));
    assert!(matches!(outputs[0], Output::Event(Record::Promised { .. })));
    assert!(matches!(
        outputs[1],
        Output::Send {
            message: Message::Promise { .. },
            ..
        }
    ));
    let outputs = a1.hear(at(0), owner(b), accept(b, 0, 1, &batch("v")));
    assert!(matches!(outputs[0], Output::Event(Record::Voted { .. })));
    assert_eq!(sent(&outputs), [&accepted(b, 1, 1)]);
}

#[test]
fn a_promise_holds_against_lower_ballots() {
    let mut a1 = acceptor();
    let (low, high) = (ballot(1, 1), ballot(2, 2));
    a1.hear(at(0), owner(high), prepare(high, 1));
    for message in [prepare(low, 1), accept(low, 0, 1, &batch("v"))] {
        let outputs = a1.hear(at(1_000), owner(low), message);
        let nack = Message::Nack {
            ballot: low,
            promised: high,
        };
        assert_eq!(sent(&outputs), [&nack]);
    }
    assert_eq!(a1.role.votes_in_memory(), 0);
}

#[test]
fn a_vote_promises_its_ballot() {
    let mut a1 = acceptor();
    let (low, high) = (ballot(1, 1), ballot(2, 2));
    a1.hear(at(0), owner(high), accept(high, 0, 1, &batch("v")));
    assert_eq!(a1.role.promised(), high);
    a1.hear(at(1_000), owner(low), accept(low, 0, 2, &batch("w")));
    assert_eq!(a1.role.highest(), Instance(1));
}

#[test]
fn a_ballot_is_served_only_to_its_owner() {
    let mut a1 = acceptor();
    let b = ballot(1, 1);
    let twin = ProcessId {
        incarnation: 4,
        ..owner(b)
    };
    for stranger in [twin, process(Role::Proposer, 2), process(Role::Learner, 1)] {
        assert!(a1.hear(at(0), stranger, prepare(b, 1)).is_empty());
        let value = batch("v");
        assert!(a1.hear(at(0), stranger, accept(b, 0, 1, &value)).is_empty());
    }
}

#[test]
fn one_absurd_ballot_does_not_end_the_cluster() {
    let mut a1 = acceptor();
    let absurd = ballot(u64::MAX, 1);
    assert!(a1.hear(at(0), owner(absurd), prepare(absurd, 1)).is_empty());
    let b = ballot(1, 2);
    a1.hear(at(0), owner(b), prepare(b, 1));
    assert_eq!(a1.role.promised(), b);
}

#[test]
fn a_live_leader_is_not_deposed_by_a_proposer_that_cannot_hear_it() {
    let mut a1 = acceptor();
    let (leader, deaf) = (ballot(1, 1), ballot(9, 2));
    a1.hear(at(0), owner(leader), prepare(leader, 1));
    let heartbeat = Message::Heartbeat {
        ballot: leader,
        decided: Instance::ZERO,
    };
    a1.hear(at(500), owner(leader), heartbeat);
    let outputs = a1.hear(at(510), owner(deaf), prepare(deaf, 1));
    let busy = Message::Busy {
        ballot: deaf,
        leader,
    };
    assert_eq!(sent(&outputs), [&busy]);
    let later = at(510) + settings().lease();
    let outputs = a1.hear(later, owner(deaf), prepare(deaf, 1));
    assert!(matches!(sent(&outputs)[..], [Message::Promise { .. }]));
}

#[test]
fn an_acceptor_is_the_fold_of_its_records() {
    let mut live = acceptor();
    let mut records = Vec::new();
    let (b1, b2) = (ballot(1, 1), ballot(2, 2));
    let mut script = vec![(at(0), b1, prepare(b1, 1))];
    script.extend((1..=600).map(|i| (at(1), b1, accept(b1, i - 1, i, &batch("x")))));
    script.push((at(2_000), b2, prepare(b2, 3)));
    script.push((at(2_000), b2, accept(b2, 0, 600, &batch("y"))));
    for (now, ballot, message) in script {
        for output in live.hear(now, owner(ballot), message) {
            if let Output::Event(record) = output {
                records.push(record);
            }
        }
    }
    let mut rebuilt = acceptor();
    records
        .into_iter()
        .for_each(|record| rebuilt.role.replay(record));
    let b3 = ballot(3, 1);
    let ask = |bench: &mut Bench<Acceptor>| {
        let outputs = bench.hear(at(9_000), owner(b3), prepare(b3, 1));
        let promise = sent(&outputs)[0].clone();
        let Message::Promise { from, votes, .. } = promise else {
            panic!("{promise:?}");
        };
        (from, votes)
    };
    let (from_live, live_votes) = ask(&mut live);
    let (from_rebuilt, rebuilt_votes) = ask(&mut rebuilt);
    // The rebuilt one may have noted an older watermark, and so tell more.
    assert!(from_rebuilt <= from_live);
    assert!(rebuilt_votes.ends_with(&live_votes));
    assert_eq!(live_votes.last().map(|vote| vote.ballot), Some(b2));
}

#[test]
fn a_promise_that_does_not_fit_a_datagram_comes_in_pages_that_say_what_they_cover() {
    let me = process(Role::Acceptor, 1);
    let small = Settings {
        datagram: 1_472,
        ..settings()
    };
    let mut a1 = Bench {
        role: Acceptor::new(me, small.clone(), Memory::EVERYTHING, 400_000),
    };
    let (b1, b2) = (ballot(1, 1), ballot(2, 2));
    let big = batch(&"x".repeat(1_000));
    for instance in [1, 2, 5] {
        a1.hear(at(0), owner(b1), accept(b1, 0, instance, &big));
    }
    let mut from = 1;
    let mut pages = Vec::new();
    while pages.len() < 10 {
        let outputs = a1.hear(at(1_000), owner(b2), prepare(b2, from));
        let Message::Promise {
            from: first,
            through,
            votes,
            ..
        } = sent(&outputs)[0]
        else {
            panic!("{outputs:?}");
        };
        pages.push((first.0, through.map(|t| t.0), votes.len()));
        match through {
            Some(through) => from = through.0 + 1,
            None => break,
        }
    }
    assert_eq!(pages, [(1, Some(1), 1), (2, Some(4), 1), (5, None, 1)]);
}

#[test]
fn votes_that_left_the_memory_are_read_back_from_the_disk() {
    let me = process(Role::Acceptor, 1);
    let memory = Memory::Recent { bytes: 1_000 };
    let mut a1 = Bench {
        role: Acceptor::new(me, settings(), memory, 400_000),
    };
    let (b1, b2) = (ballot(1, 1), ballot(2, 2));
    let mut disk = Vec::new();
    for instance in 1..=100 {
        for output in a1.hear(at(0), owner(b1), accept(b1, 0, instance, &batch("v"))) {
            if let Output::Event(Record::Voted { vote }) = output {
                disk.push(vote);
            }
        }
    }
    assert!(a1.role.votes_in_memory() < 20);
    let outputs = a1.hear(at(1_000), owner(b2), prepare(b2, 1));
    let lookup = outputs
        .iter()
        .find_map(|output| match output {
            Output::Lookup(lookup) => Some(lookup.clone()),
            _ => None,
        })
        .expect("the disk is asked");
    assert!(matches!(lookup.purpose, Purpose::Promise { .. }));
    let through = lookup.spans[0].through;
    let votes: Vec<Vote> = disk
        .iter()
        .filter(|vote| vote.instance <= through)
        .cloned()
        .collect();
    let mut out = Outbox::new();
    let found = Found {
        lookup: Lookup { ..lookup },
        through,
        votes: votes.clone(),
    };
    a1.role.handle_found(at(1_001), found, &mut out);
    let outputs: Vec<Output<Acceptor>> = out.drain().collect();
    let Message::Promise {
        from,
        through: end,
        votes: told,
        ..
    } = sent(&outputs)[0]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!((*from, *end, told), (Instance(1), Some(through), &votes));
}

// ---- learner

#[test]
fn distinct_acceptors_of_one_ballot_make_a_decision_and_nothing_else_does() {
    let (b1, b2) = (ballot(1, 1), ballot(2, 2));
    let a = |id| process(Role::Acceptor, id);
    let mut l1 = learner();
    let value = batch("v");
    let mut heard = Vec::new();
    heard.extend(l1.hear(at(0), owner(b1), accept(b1, 0, 1, &value)));
    heard.extend(l1.hear(at(0), a(1), accepted(b1, 1, 1)));
    heard.extend(l1.hear(at(0), a(1), accepted(b1, 1, 1)));
    heard.extend(l1.hear(at(0), a(2), accepted(b2, 1, 1)));
    heard.extend(l1.hear(at(0), process(Role::Acceptor, 4), accepted(b1, 1, 1)));
    let restarted = ProcessId {
        incarnation: 5,
        ..a(1)
    };
    heard.extend(l1.hear(at(0), restarted, accepted(b1, 1, 1)));
    assert_eq!(delivered(&heard), [""; 0], "one acceptor, however often");
    assert_eq!(delivered(&l1.hear(at(0), a(3), accepted(b1, 1, 1))), ["v"]);
}

#[test]
fn a_watermark_decides_votes_of_its_own_ballot_only() {
    // F1: A1 alone voted v in b1; w was chosen in b2 and announced.
    let (b1, b2) = (ballot(1, 1), ballot(2, 2));
    let mut l1 = learner();
    let (v, w) = (batch("v"), batch("w"));
    let vote = |ballot, value: &Payload| Message::Votes {
        watermarks: vec![Watermark {
            ballot: b2,
            through: Instance(1),
        }],
        votes: vec![Vote {
            instance: Instance(1),
            ballot,
            value: value.clone(),
        }],
        last: true,
    };
    let from_a1 = l1.hear(at(0), process(Role::Acceptor, 1), vote(b1, &v));
    assert_eq!(delivered(&from_a1), [""; 0]);
    let from_a2 = l1.hear(at(0), process(Role::Acceptor, 2), vote(b2, &w));
    assert_eq!(delivered(&from_a2), ["w"]);
}

#[test]
fn what_is_missing_holds_back_what_comes_after() {
    let b = ballot(1, 1);
    let mut l1 = learner();
    let quorum = |l1: &mut Bench<Learner>, instance| {
        let mut outputs = Vec::new();
        for id in [1, 3] {
            let message = accepted(b, instance, instance);
            outputs.extend(l1.hear(at(0), process(Role::Acceptor, id), message));
        }
        delivered(&outputs)
    };
    l1.hear(at(0), owner(b), accept(b, 0, 2, &batch_of(2, "second")));
    assert_eq!(quorum(&mut l1, 2), [""; 0]);
    l1.hear(at(0), owner(b), accept(b, 0, 1, &batch_of(1, "first")));
    assert_eq!(quorum(&mut l1, 1), ["first", "second"]);
}

#[test]
fn a_learner_asks_one_acceptor_after_the_other_and_then_the_leader() {
    // F2: all it hears is that something is decided.
    let b = ballot(1, 1);
    let mut l1 = learner();
    let heartbeat = Message::Heartbeat {
        ballot: b,
        decided: Instance(1),
    };
    l1.hear(at(0), owner(b), heartbeat);
    let outputs = l1.wait(at(3_000));
    let mut asked = AcceptorSet::EMPTY;
    let mut stuck = false;
    for message in sent(&outputs) {
        match message {
            Message::Request { acceptor, .. } => {
                asked.insert(*acceptor);
            }
            Message::Stuck { span } => {
                assert_eq!((span.from, span.through), (Instance(1), Instance(1)));
                assert_eq!(asked.len(), 3, "the acceptors come first");
                stuck = true;
            }
            _ => {}
        }
    }
    assert!(stuck);
    // Its patience grows: a stuck learner is no storm.
    assert!(sent(&outputs).len() < 40, "{}", sent(&outputs).len());
}

#[test]
fn a_learner_that_overhears_its_own_question_does_not_repeat_it() {
    let b = ballot(1, 1);
    let heartbeat = Message::Heartbeat {
        ballot: b,
        decided: Instance(1),
    };
    let mut l1 = learner();
    l1.wait(at(100));
    l1.hear(at(100), owner(b), heartbeat);
    let request = Message::Request {
        acceptor: 1,
        spans: vec![Span {
            from: Instance(1),
            through: Instance(1),
        }],
        bytes: 65_536,
        everyone: true,
    };
    l1.hear(at(100), process(Role::Learner, 2), request);
    assert!(sent(&l1.wait(at(106))).is_empty());
}

#[test]
fn a_learner_that_cannot_hand_on_waits_and_loses_nothing() {
    let b = ballot(1, 1);
    let mut l1 = learner();
    let mut out = Outbox::new();
    l1.role.set_open(at(0), false, &mut out);
    l1.hear(at(0), owner(b), accept(b, 0, 1, &batch("v")));
    let mut outputs = Vec::new();
    for id in [1, 2] {
        outputs.extend(l1.hear(at(0), process(Role::Acceptor, id), accepted(b, 1, 1)));
    }
    assert_eq!(delivered(&outputs), [""; 0]);
    l1.role.set_open(at(1), true, &mut out);
    let outputs: Vec<Output<Learner>> = out.drain().collect();
    assert_eq!(delivered(&outputs), ["v"]);
}

// ---- proposer

#[test]
fn a_leader_that_hears_no_quorum_stops_leading() {
    let me = process(Role::Proposer, 1);
    let mut p1 = Bench {
        role: Proposer::new(me, settings(), 1, 400_000, Time::ZERO),
    };
    let outputs = p1.wait(at(100));
    let ballot = sent(&outputs)
        .iter()
        .find_map(|message| match message {
            Message::Prepare { ballot, .. } => Some(*ballot),
            _ => None,
        })
        .expect("it stands for election");
    assert_eq!(ballot.owner(), (me.id, me.incarnation));
    for id in [1, 2] {
        let promise = Message::Promise {
            ballot,
            from: Instance(1),
            through: None,
            watermark: Watermark::default(),
            votes: vec![],
        };
        p1.hear(at(100), process(Role::Acceptor, id), promise);
    }
    assert_eq!(p1.role.leads(), Some(ballot));
    p1.wait(at(100) + settings().endurance() - settings().heartbeat);
    assert_eq!(p1.role.leads(), Some(ballot), "patience");
    p1.wait(at(100) + settings().endurance() + settings().heartbeat * 2);
    assert_ne!(p1.role.leads(), Some(ballot));
}

// ---- client

/// A client that knows where the log stands.
fn client() -> Bench<Client> {
    let me = process(Role::Client, 1);
    let mut c1 = Bench {
        role: Client::new(me, settings(), 1, Time::ZERO),
    };
    let position = Message::Credit {
        decided: Instance(5),
        bytes: 1 << 20,
    };
    c1.hear(at(0), process(Role::Proposer, 1), position);
    c1
}

fn events(outputs: &[Output<Client>]) -> Vec<&client::Event> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Event(event) => Some(event),
            _ => None,
        })
        .collect()
}

fn submissions(outputs: &[Output<Client>]) -> Vec<Run> {
    sent(outputs)
        .into_iter()
        .filter_map(|message| match message {
            Message::Submit { run, .. } => Some(run.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_client_sends_again_until_a_learner_acknowledges() {
    let mut c1 = client();
    c1.role.submit(at(1), b"v");
    let mut out = Outbox::new();
    c1.role.finish_turn(at(1), &mut out);
    let first: Vec<Output<Client>> = out.drain().collect();
    let run = submissions(&first)[0].clone();
    assert_eq!((run.birth, run.first, run.count), (Instance(5), 1, 1));
    let again = c1.wait(at(1_000));
    assert!(submissions(&again).len() >= 2, "again and again");
    assert!(submissions(&again).iter().all(|other| *other == run));
    let acknowledge = Message::Acknowledge {
        delivered: Instance(6),
        sessions: vec![Progress {
            session: run.session,
            last: 1,
            evicted: false,
        }],
    };
    let outputs = c1.hear(at(1_001), process(Role::Learner, 2), acknowledge);
    let reported = client::Event::Acknowledged {
        values: 1,
        submitted: at(1),
    };
    assert_eq!(events(&outputs), [&reported]);
    assert!(c1.role.is_done());
    assert_eq!(submissions(&c1.wait(at(9_000))).len(), 0);
}

#[test]
fn a_client_refused_before_it_knows_where_the_log_stands_does_not_ask_for_ever() {
    let me = process(Role::Client, 1);
    let mut c1 = Bench {
        role: Client::new(me, settings(), 1, Time::ZERO),
    };
    let refusal = Message::Acknowledge {
        delivered: Instance(5),
        sessions: vec![Progress {
            session: Session {
                client: 1,
                incarnation: me.incarnation,
            },
            last: 3,
            evicted: true,
        }],
    };
    c1.hear(at(1), process(Role::Learner, 1), refusal);
    c1.role.handle_timeout(at(1), &mut Outbox::new());
    assert!(c1.role.next_timeout().is_none_or(|due| due > at(1)));
}

#[test]
fn an_evicted_client_says_that_the_outcome_is_unknown_only_when_it_is() {
    let evicted = |session, last| Message::Acknowledge {
        delivered: Instance(9),
        sessions: vec![Progress {
            session,
            last,
            evicted: true,
        }],
    };
    let mut c1 = client();
    c1.role.submit(at(1), b"v");
    let mut out = Outbox::new();
    c1.role.finish_turn(at(1), &mut out);
    let outputs: Vec<Output<Client>> = out.drain().collect();
    let session = submissions(&outputs)[0].session;
    let outputs = c1.hear(at(2), process(Role::Learner, 1), evicted(session, 0));
    assert_eq!(events(&outputs), [&client::Event::Evicted { lost: 1 }]);
    c1.role.submit(at(3), b"w");
    let mut out = Outbox::new();
    c1.role.finish_turn(at(3), &mut out);
    let outputs: Vec<Output<Client>> = out.drain().collect();
    let next = submissions(&outputs)[0].clone();
    assert_ne!(next.session, session, "a new life, counted from 1");
    assert_eq!(next.first, 1);
}

#[test]
fn a_client_is_not_born_where_a_learner_far_behind_stands() {
    let me = process(Role::Client, 1);
    let mut c1 = Bench {
        role: Client::new(me, settings(), 1, Time::ZERO),
    };
    c1.role.submit(at(0), b"v");
    let from_learner = Message::Acknowledge {
        delivered: Instance(5),
        sessions: vec![],
    };
    let outputs = c1.hear(at(1), process(Role::Learner, 1), from_learner);
    assert_eq!(submissions(&outputs), []);
    let from_leader = Message::Credit {
        decided: Instance(2_000_000),
        bytes: 1 << 20,
    };
    let outputs = c1.hear(at(2), process(Role::Proposer, 1), from_leader);
    assert_eq!(submissions(&outputs)[0].birth, Instance(2_000_000));
}

#[test]
fn an_absurd_heartbeat_does_not_make_a_proposer_deaf_to_real_leaders() {
    let mut p1 = Bench {
        role: Proposer::new(
            process(Role::Proposer, 1),
            settings(),
            1,
            400_000,
            Time::ZERO,
        ),
    };
    let heartbeat = |round, decided| Message::Heartbeat {
        ballot: ballot(round, 2),
        decided: Instance(decided),
    };
    let from = process(Role::Proposer, 2);
    p1.hear(at(0), from, heartbeat(u64::MAX, 1 << 40));
    for tick in 0..100 {
        let now = at(25 * tick);
        p1.hear(now, from, heartbeat(5, 3));
        let outputs = p1.wait(now);
        let stood = sent(&outputs)
            .iter()
            .any(|message| matches!(message, Message::Prepare { .. }));
        assert!(!stood, "at {now}");
    }
    assert_eq!(p1.role.decided(), Instance(3));
}

#[test]
fn a_volatile_acceptor_never_asks_a_disk() {
    let mut a1 = acceptor();
    let b = ballot(1, 1);
    let request = Message::Request {
        acceptor: 1,
        spans: vec![Span {
            from: Instance::ZERO,
            through: Instance(9),
        }],
        bytes: 1_000,
        everyone: false,
    };
    let asked = Message::Prepare {
        ballot: b,
        from: Instance::ZERO,
        through: Some(Instance(9)),
    };
    for (from, message) in [(process(Role::Learner, 1), request), (owner(b), asked)] {
        let outputs = a1.hear(at(0), from, message);
        assert!(!outputs.is_empty());
        assert!(
            !outputs
                .iter()
                .any(|output| matches!(output, Output::Lookup(_)))
        );
    }
}

#[test]
fn an_eviction_inside_a_large_value_leaves_no_half_of_it_behind() {
    let small = Settings {
        datagram: 1_472,
        ..settings()
    };
    let piece = small.run_limit() - Item::OVERHEAD;
    for acknowledged_pieces in [0, 1] {
        let me = process(Role::Client, 1);
        let mut c1 = Bench {
            role: Client::new(me, small.clone(), 1, Time::ZERO),
        };
        let leader = process(Role::Proposer, 1);
        let credit = |bytes| Message::Credit {
            decided: Instance(5),
            bytes,
        };
        // Room for one datagram at a time.
        c1.hear(at(0), leader, credit(1));
        c1.role.submit(at(1), &vec![b'x'; 3 * piece]);
        c1.role.submit(at(1), b"whole");
        let first = submissions(&c1.hear(at(1), leader, credit(1)))[0].clone();
        let progress = |last, evicted| Message::Acknowledge {
            delivered: Instance(9),
            sessions: vec![Progress {
                session: first.session,
                last,
                evicted,
            }],
        };
        let learner = process(Role::Learner, 1);
        if acknowledged_pieces > 0 {
            c1.hear(at(2), learner, progress(acknowledged_pieces, false));
        }
        let outputs = c1.hear(at(3), learner, progress(acknowledged_pieces, true));
        assert_eq!(events(&outputs), [&client::Event::Evicted { lost: 1 }]);
        let next = submissions(&outputs)[0].clone();
        assert_ne!(next.session, first.session);
        let values: Vec<Bytes> = next.items().map(|item| item.bytes).collect();
        assert_eq!(values, ["whole"], "and no rest of the large one");
    }
}
