//! The simulator's observers see what they are there to see.
//!
//! Each test tells them a short story with one lie in it.

use bytes::{Bytes, BytesMut};
use paxcast::protocol::{
    AcceptorSet, Ballot, Instance, Item, Membership, Message, Payload, Payloads, ProcessId,
    Progress, Record, ReplicaSet, Role, Run, Session, Settings, Span, Vote, Watermark,
};
use paxcast::sim::check::{Checker, Delivered, Finding};

fn checker() -> Checker {
    Checker::new(&Settings::new(Membership::majority(AcceptorSet::first(3))))
}

fn process(role: Role, id: u16) -> ProcessId {
    ProcessId {
        role,
        id,
        incarnation: 1,
    }
}

fn ballot(round: u64) -> Ballot {
    Ballot {
        round,
        proposer: 1,
        incarnation: 1,
    }
}

const SESSION: Session = Session {
    client: 1,
    incarnation: 9,
};

/// A batch with one value of the client.
fn batch(number: u64, value: &str) -> Payload {
    let mut items = BytesMut::new();
    Item::encode(false, value.as_bytes(), &mut items);
    let run = Run {
        session: SESSION,
        birth: Instance::ZERO,
        first: number,
        count: 1,
        items: Payload::new(items.freeze()),
    };
    Payload::new(run.encode())
}

fn accept(round: u64, decided: u64, instance: u64, value: Payload) -> Message {
    Message::Accept {
        ballot: ballot(round),
        decided: Instance(decided),
        instance: Instance(instance),
        value,
    }
}

fn propose(checker: &mut Checker, round: u64, instance: u64, value: Payload) -> Finding {
    let message = accept(round, 0, instance, value);
    checker.sent(process(Role::Proposer, 1), &message)
}

fn write(
    checker: &mut Checker,
    acceptor: u16,
    round: u64,
    instance: u64,
    value: Payload,
) -> Finding {
    let vote = Vote {
        instance: Instance(instance),
        ballot: ballot(round),
        value,
    };
    checker.recorded(acceptor, &Record::Voted { vote })
}

fn tell(checker: &mut Checker, acceptor: u16, round: u64, instance: u64) -> Finding {
    let message = Message::Accepted {
        ballot: ballot(round),
        instances: vec![Span {
            from: Instance(instance),
            through: Instance(instance),
        }],
    };
    checker.sent(process(Role::Acceptor, acceptor), &message)
}

/// The first value of the client is chosen for the first instance, in round 1.
fn chosen() -> Checker {
    let mut checker = checker();
    checker.submitted(1, Bytes::from_static(b"v"));
    propose(&mut checker, 1, 1, batch(1, "v")).unwrap();
    for acceptor in [1, 2] {
        assert_eq!(checker.chosen_through(), Instance::ZERO);
        write(&mut checker, acceptor, 1, 1, batch(1, "v")).unwrap();
        tell(&mut checker, acceptor, 1, 1).unwrap();
    }
    assert_eq!(checker.chosen_through(), Instance(1));
    checker
}

fn delivered(value: &'static str) -> Delivered {
    Delivered {
        instance: Instance(1),
        session: SESSION,
        number: 1,
        value: Bytes::from_static(value.as_bytes()),
    }
}

#[track_caller]
fn found(finding: Finding, words: &str) {
    let what = finding.expect_err("nothing was found");
    assert!(what.contains(words), "found instead: {what}");
}

#[test]
fn the_truth_passes() {
    let mut checker = chosen();
    let learner = process(Role::Learner, 1);
    checker.delivered(learner, 1, &delivered("v")).unwrap();
    checker.acknowledged(1, 1).unwrap();
    propose(&mut checker, 2, 1, batch(1, "v")).unwrap();
    assert_eq!(checker.log(), [delivered("v")]);
}

#[test]
fn one_ballot_has_one_value_for_an_instance() {
    let mut checker = checker();
    propose(&mut checker, 1, 1, batch(1, "v")).unwrap();
    let again = propose(&mut checker, 1, 1, batch(1, "w"));
    found(again, "two values for #1 in ballot");
}

#[test]
fn a_ballot_has_one_owner() {
    let message = accept(1, 0, 1, batch(1, "v"));
    let stranger = process(Role::Proposer, 2);
    found(checker().sent(stranger, &message), "not its own");
}

#[test]
fn what_is_chosen_is_proposed_again_and_nothing_else() {
    let mut checker = chosen();
    let other = propose(&mut checker, 2, 1, batch(1, "w"));
    found(other, "another value for #1 than the one chosen");
}

#[test]
fn nothing_is_chosen_below_another_proposal() {
    let mut checker = checker();
    checker.submitted(1, Bytes::from_static(b"v"));
    propose(&mut checker, 1, 1, batch(1, "v")).unwrap();
    propose(&mut checker, 2, 1, batch(1, "w")).unwrap();
    write(&mut checker, 1, 1, 1, batch(1, "v")).unwrap();
    tell(&mut checker, 1, 1, 1).unwrap();
    write(&mut checker, 2, 1, 1, batch(1, "v")).unwrap();
    found(tell(&mut checker, 2, 1, 1), "had proposed another value");
}

#[test]
fn votes_are_for_proposals_and_on_the_disk_before_they_are_told() {
    let mut checker = checker();
    let unproposed = write(&mut checker, 1, 1, 1, batch(1, "v"));
    found(unproposed, "where nothing was proposed");
    propose(&mut checker, 1, 1, batch(1, "v")).unwrap();
    let other = write(&mut checker, 2, 1, 1, batch(1, "w"));
    found(other, "another value than was proposed");
    found(tell(&mut checker, 3, 1, 1), "not on its disk");
}

#[test]
fn a_voice_counts_once() {
    let mut checker = checker();
    propose(&mut checker, 1, 1, batch(1, "v")).unwrap();
    write(&mut checker, 1, 1, 1, batch(1, "v")).unwrap();
    for _ in 0..5 {
        tell(&mut checker, 1, 1, 1).unwrap();
    }
    assert_eq!(checker.chosen_last(), Instance::ZERO);
}

#[test]
fn promises_never_regress() {
    let mut checker = checker();
    propose(&mut checker, 1, 1, batch(1, "v")).unwrap();
    let promised = Record::Promised { ballot: ballot(2) };
    checker.recorded(1, &promised).unwrap();
    let vote = write(&mut checker, 1, 1, 1, batch(1, "v"));
    found(vote, "after it had promised");
    found(checker.recorded(1, &promised), "promises");
    let acceptor = process(Role::Acceptor, 1);
    let nack = |promised| Message::Nack {
        ballot: ballot(1),
        promised,
    };
    found(
        checker.sent(acceptor, &nack(ballot(3))),
        "while its disk says",
    );
    checker.sent(acceptor, &nack(ballot(2))).unwrap();
    let buffer = 1;
    let alive = |ballot| Message::Alive { ballot, buffer };
    checker.sent(acceptor, &alive(ballot(3))).unwrap();
    found(
        checker.sent(acceptor, &alive(ballot(1))),
        "after it promised",
    );
}

#[test]
fn a_session_is_evicted_only_when_the_log_refuses_it_something() {
    let mut checker = chosen();
    let session = Session {
        client: 1,
        incarnation: 1,
    };
    let acknowledge = Message::Acknowledge {
        delivered: Instance(1),
        sessions: vec![Progress {
            session,
            last: 0,
            evicted: true,
        }],
    };
    let learner = process(Role::Learner, 1);
    found(checker.sent(learner, &acknowledge), "refused it nothing");
}

#[test]
fn a_promise_is_on_the_disk_and_conceals_nothing() {
    let promise = |votes| Message::Promise {
        ballot: ballot(2),
        from: Instance(1),
        through: None,
        watermark: Watermark::default(),
        votes,
    };
    let acceptor = process(Role::Acceptor, 1);
    let mut checker = checker();
    found(
        checker.sent(acceptor, &promise(vec![])),
        "while its disk says",
    );
    propose(&mut checker, 1, 1, batch(1, "v")).unwrap();
    write(&mut checker, 1, 1, 1, batch(1, "v")).unwrap();
    let promised = Record::Promised { ballot: ballot(2) };
    checker.recorded(1, &promised).unwrap();
    found(
        checker.sent(acceptor, &promise(vec![])),
        "conceals its vote",
    );
    let vote = Vote {
        instance: Instance(1),
        ballot: ballot(1),
        value: batch(1, "v"),
    };
    checker.sent(acceptor, &promise(vec![vote])).unwrap();
}

#[test]
fn a_watermark_covers_only_what_is_chosen() {
    let mut checker = chosen();
    let proposer = process(Role::Proposer, 1);
    let beat = |decided| Message::Heartbeat {
        ballot: ballot(1),
        decided: Instance(decided),
    };
    checker.sent(proposer, &beat(1)).unwrap();
    found(checker.sent(proposer, &beat(2)), "beyond what is chosen");
}

#[test]
fn a_watermark_covers_no_other_proposal_of_its_ballot() {
    let mut checker = checker();
    checker.submitted(1, Bytes::from_static(b"v"));
    propose(&mut checker, 1, 1, batch(1, "w")).unwrap();
    propose(&mut checker, 2, 1, batch(1, "v")).unwrap();
    for acceptor in [1, 2] {
        write(&mut checker, acceptor, 2, 1, batch(1, "v")).unwrap();
        tell(&mut checker, acceptor, 2, 1).unwrap();
    }
    let watermark = Watermark {
        ballot: ballot(1),
        through: Instance(1),
    };
    let record = Record::Watermark { watermark };
    found(checker.recorded(3, &record), "covers #1 by its watermark");
}

/// A checker of acceptors with disks, and of two replicas that count; #1 is chosen,
/// and acceptor 1 promised round 1 and voted for it.
fn replicated() -> Checker {
    let mut settings = Settings::new(Membership::majority(AcceptorSet::first(3)));
    settings.replicas = ReplicaSet::first(2);
    let mut checker = Checker::new(&settings).on_disks();
    checker.submitted(1, Bytes::from_static(b"v"));
    propose(&mut checker, 1, 1, batch(1, "v")).unwrap();
    for acceptor in [1, 2] {
        write(&mut checker, acceptor, 1, 1, batch(1, "v")).unwrap();
        tell(&mut checker, acceptor, 1, 1).unwrap();
    }
    checker
}

fn report(checker: &mut Checker, replica: u16, through: u64) -> Finding {
    let through = Instance(through);
    let message = Message::Checkpointed { through };
    checker.sent(process(Role::Learner, replica), &message)
}

fn trim(checker: &mut Checker, promised: u64, highest: u64, covered: u64) -> Finding {
    let record = Record::Trimmed {
        through: Instance(1),
        promised: ballot(promised),
        highest: Instance(highest),
        watermark: Watermark {
            ballot: ballot(1),
            through: Instance(covered),
        },
    };
    checker.recorded(1, &record)
}

#[test]
fn acceptors_forget_what_is_decided_and_most_replicas_have() {
    let mut checker = replicated();
    found(report(&mut checker, 1, 2), "and only #1 is chosen");
    report(&mut checker, 1, 1).unwrap();
    // Twice, and a stranger: still one of two.
    report(&mut checker, 1, 1).unwrap();
    report(&mut checker, 3, 1).unwrap();
    found(trim(&mut checker, 1, 1, 1), "only 1 of 2 replicas have");
    report(&mut checker, 2, 1).unwrap();
    found(
        trim(&mut checker, 1, 1, 0),
        "has heard only that #0 is decided",
    );
    found(trim(&mut checker, 1, 1, 2), "lies beyond what is chosen");
    let mut forgetful = checker.clone();
    found(trim(&mut forgetful, 0, 1, 1), "but it promised 1.p1");
    let mut forgetful = checker.clone();
    found(trim(&mut forgetful, 1, 0, 1), "and voted through #1");
    // What its disk does not say, an acceptor may not say.
    let through = Instance(1);
    let forgotten = Message::Forgotten { through };
    let acceptor = process(Role::Acceptor, 1);
    found(checker.sent(acceptor, &forgotten), "and its disk says #0");
    trim(&mut checker, 1, 1, 1).unwrap();
    found(
        trim(&mut checker, 1, 1, 1),
        "forgets everything through #1 after #1",
    );
    checker.sent(acceptor, &forgotten).unwrap();
    let other = process(Role::Acceptor, 2);
    found(checker.sent(other, &forgotten), "and its disk says #0");
}

#[test]
fn learners_deliver_the_chosen_log_and_nothing_else() {
    let learner = process(Role::Learner, 1);
    let mut checker = chosen();
    let other = checker.delivered(learner, 1, &delivered("w"));
    found(other, "where the chosen log has");
    let skipped = checker.delivered(learner, 2, &delivered("v"));
    found(skipped, "delivers position 2 after 0");
    checker.delivered(learner, 1, &delivered("v")).unwrap();
    let twice = checker.delivered(learner, 2, &delivered("v"));
    found(twice, "beyond all that is chosen");
}

#[test]
fn the_log_has_what_clients_submitted_once_and_in_order() {
    let mut checker = checker();
    checker.submitted(1, Bytes::from_static(b"a"));
    let choose = |checker: &mut Checker, instance, number, value| -> Finding {
        propose(checker, 1, instance, batch(number, value))?;
        write(checker, 1, 1, instance, batch(number, value))?;
        write(checker, 2, 1, instance, batch(number, value))?;
        tell(checker, 1, 1, instance)?;
        tell(checker, 2, 1, instance)
    };
    choose(&mut checker, 1, 2, "b").unwrap();
    assert!(checker.log().is_empty(), "2 before 1 is skipped");
    choose(&mut checker, 2, 1, "a").unwrap();
    choose(&mut checker, 3, 1, "a").unwrap();
    assert_eq!(checker.log().len(), 1, "a repetition is no value");
    let more = choose(&mut checker, 4, 2, "c");
    found(more, "more values of client 1 than it submitted");
}

#[test]
fn an_acknowledgement_follows_a_delivery() {
    let mut checker = chosen();
    found(checker.acknowledged(1, 1), "learners have delivered 0");
    let message = Message::Acknowledge {
        delivered: Instance(2),
        sessions: vec![],
    };
    let learner = process(Role::Learner, 1);
    found(checker.sent(learner, &message), "but only #1 is chosen");
}

#[test]
fn a_client_gives_up_no_session_that_the_log_did_not_refuse() {
    let mut checker = chosen();
    assert_eq!(
        (checker.submitted_to(1), checker.acknowledged_to(1)),
        (1, 0)
    );
    found(
        checker.evicted(1, 1),
        "gives up 1 of its sessions, the log refused 0",
    );
    // Born in an instance that is still to come: refused.
    let mut checker = chosen();
    let mut items = BytesMut::new();
    Item::encode(false, b"w", &mut items);
    let run = Run {
        session: Session {
            incarnation: 10,
            ..SESSION
        },
        birth: Instance(9),
        first: 1,
        count: 1,
        items: Payload::new(items.freeze()),
    };
    let refused = Payload::new(run.encode());
    propose(&mut checker, 1, 2, refused.clone()).unwrap();
    for acceptor in [1, 2] {
        write(&mut checker, acceptor, 1, 2, refused.clone()).unwrap();
        tell(&mut checker, acceptor, 1, 2).unwrap();
    }
    let mut more = checker.clone();
    found(more.evicted(1, 2), "2 values are in doubt, of 1");
    checker.evicted(1, 1).unwrap();
    found(
        checker.evicted(1, 0),
        "gives up 2 of its sessions, the log refused 1",
    );
}
