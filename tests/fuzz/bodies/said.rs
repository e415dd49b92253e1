//! What may be said: valid messages from anybody, with fields that sometimes match.

use bytes::{Bytes, BytesMut};
use paxcast::protocol::{
    AcceptorSet, Ballot, Instance, Item, Membership, Message, Output, Payload, Payloads, Process,
    ProcessId, Progress, Role, Run, Session, Settings, Span, Time, Vote, Watermark,
};
use paxcast::wire;

use super::datagram::{SCOPE, check};
use super::script::Script;

/// What the speakers know of the role they speak to, so that some of what they
/// say concerns it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// A ballot that matters.
    pub ballot: Ballot,
    /// An instance that matters.
    pub instance: Instance,
    /// A session that matters, and how far it has come.
    pub session: Session,
    /// The last number of it that was sent.
    pub number: u64,
}

/// Settings of a small cluster.
pub fn settings(script: &mut Script) -> Settings {
    let acceptors = script.pick(&[3, 3, 5, 1]);
    let membership = Membership::majority(AcceptorSet::first(acceptors));
    Settings {
        datagram: script.pick(&[576, 1_472, 65_507]),
        window: script.pick(&[1, 4, 64]),
        ..Settings::new(membership)
    }
}

/// The time goes on, by nothing or by more than anybody waits.
pub fn later(script: &mut Script, now: Time) -> Time {
    let millis = match script.below(64) {
        0 => 3_600_000,
        1 => 2_000,
        2..=4 => 200,
        5..=9 => 30,
        10..=20 => 1 + script.below(5),
        _ => 0,
    };
    now + std::time::Duration::from_millis(millis)
}

/// A process with this role; now and then with another incarnation.
pub fn process(script: &mut Script, role: Role) -> ProcessId {
    let id = 1 + script.below(3) as u16;
    ProcessId {
        role,
        id,
        incarnation: 10 + u64::from(id) + 100 * u64::from(script.one_in(16)),
    }
}

/// A message that the wire lets through, and who says it; mostly one that this
/// role listens to.
pub fn message(
    script: &mut Script,
    listener: Role,
    settings: &Settings,
    context: Context,
) -> Option<(ProcessId, Message)> {
    let kinds: &[u64] = match listener {
        Role::Client => &[3, 3, 4, 5, 6],
        Role::Proposer => &[
            0, 0, 0, 2, 9, 9, 9, 9, 12, 13, 17, 17, 17, 17, 17, 17, 19, 20, 20,
        ],
        Role::Acceptor => &[7, 8, 14, 15, 16, 19, 21],
        Role::Learner => &[2, 3, 14, 14, 15, 16, 17, 17, 18, 19, 20, 21, 22, 22],
    };
    let kind = match script.one_in(16) {
        true => script.below(KINDS),
        false => script.pick(kinds),
    };
    let (role, message) = any(script, kind, settings, context);
    let role = match script.one_in(16) {
        true => script.pick(&Role::ALL),
        false => role,
    };
    let from = match message {
        Message::Prepare { ballot, .. }
        | Message::Accept { ballot, .. }
        | Message::Heartbeat { ballot, .. }
            if !script.one_in(16) =>
        {
            ProcessId {
                role,
                id: ballot.proposer,
                incarnation: ballot.incarnation,
            }
        }
        Message::Submit { ref run, .. } if !script.one_in(16) => ProcessId {
            id: run.session.client.max(1),
            ..process(script, role)
        },
        _ => process(script, role),
    };
    let mut buffer = BytesMut::new();
    wire::encode(&SCOPE, from, 1, &message, &mut buffer);
    let datagram = check(buffer.freeze())?;
    Some((datagram.sender, datagram.message))
}

/// How many kinds of messages [`any`] tells apart.
const KINDS: u64 = 23;

fn any(script: &mut Script, kind: u64, settings: &Settings, context: Context) -> (Role, Message) {
    let limit = settings.batch_limit();
    match kind {
        0 | 1 => (
            Role::Client,
            Message::Submit {
                acknowledged: number(script, context.number),
                run: run(script, context),
            },
        ),
        2 => (
            Role::Client,
            Message::Inquire {
                session: session(script, context),
                acknowledged: number(script, context.number),
            },
        ),
        3 | 4 => (
            Role::Learner,
            Message::Acknowledge {
                delivered: instance(script, context),
                sessions: list(script, |script| Progress {
                    session: session(script, context),
                    last: number(script, context.number),
                    evicted: script.one_in(16),
                }),
            },
        ),
        5 => (
            Role::Proposer,
            Message::Credit {
                decided: instance(script, context),
                bytes: script.number() as u32,
            },
        ),
        6 => (
            Role::Proposer,
            Message::Missing {
                session: session(script, context),
                gaps: list(script, |script| {
                    (
                        number(script, context.number),
                        number(script, context.number),
                    )
                }),
            },
        ),
        7 | 8 => (
            Role::Proposer,
            Message::Prepare {
                ballot: ballot(script, context),
                from: instance(script, context),
                through: through(script, context),
            },
        ),
        9..=11 => (
            Role::Acceptor,
            Message::Promise {
                ballot: ballot(script, context),
                from: match script.one_in(4) {
                    true => instance(script, context),
                    false => Instance(1),
                },
                through: through(script, context),
                watermark: match script.one_in(16) {
                    true => watermark(script, context),
                    false => Watermark::default(),
                },
                votes: list(script, |script| vote(script, context, limit)),
            },
        ),
        12 => (
            Role::Acceptor,
            Message::Nack {
                ballot: ballot(script, context),
                promised: ballot(script, context),
            },
        ),
        13 => (
            Role::Acceptor,
            Message::Busy {
                ballot: ballot(script, context),
                leader: ballot(script, context),
            },
        ),
        14..=16 => (
            Role::Proposer,
            Message::Accept {
                ballot: ballot(script, context),
                decided: match script.one_in(3) {
                    true => instance(script, context),
                    false => Instance::ZERO,
                },
                instance: instance(script, context),
                value: batch(script, context, limit),
            },
        ),
        17 | 18 => (
            Role::Acceptor,
            Message::Accepted {
                ballot: ballot(script, context),
                instances: list(script, |script| span(script, context)),
            },
        ),
        19 => (
            Role::Proposer,
            Message::Heartbeat {
                ballot: ballot(script, context),
                decided: instance(script, context),
            },
        ),
        20 => match script.below(5) {
            0 => (
                Role::Acceptor,
                Message::Alive {
                    ballot: ballot(script, context),
                    buffer: script.number() as u32,
                },
            ),
            1 => (
                Role::Learner,
                Message::Following {
                    through: instance(script, context),
                    buffer: script.number() as u32,
                },
            ),
            2 => (
                Role::Learner,
                Message::Stuck {
                    span: span(script, context),
                },
            ),
            3 => (
                Role::Acceptor,
                Message::Forgotten {
                    through: instance(script, context),
                },
            ),
            _ => (
                Role::Proposer,
                Message::Listening {
                    buffer: script.number() as u32,
                },
            ),
        },
        21 => (
            Role::Learner,
            Message::Request {
                acceptor: 1 + script.below(3) as u16,
                spans: list(script, |script| span(script, context)),
                bytes: script.number() as u32,
                everyone: script.one_in(2),
            },
        ),
        _ => (
            Role::Acceptor,
            Message::Votes {
                watermarks: list(script, |script| watermark(script, context)),
                votes: list(script, |script| vote(script, context, limit)),
                last: script.one_in(2),
            },
        ),
    }
}

/// Up to three of something; now and then more.
fn list<T>(script: &mut Script, mut each: impl FnMut(&mut Script) -> T) -> Vec<T> {
    let count = match script.one_in(64) {
        true => script.below(40),
        false => script.below(4),
    };
    (0..count).map(|_| each(script)).collect()
}

fn ballot(script: &mut Script, context: Context) -> Ballot {
    let proposer = 1 + script.below(3) as u16;
    match script.below(64) {
        0..=47 => context.ballot,
        48 => Ballot {
            round: script.number(),
            proposer,
            incarnation: script.number(),
        },
        49 => Ballot {
            round: context.ballot.round.saturating_add(Ballot::MAX_LEAP),
            ..context.ballot
        },
        _ => Ballot {
            round: (context.ballot.round + script.below(4)).saturating_sub(2),
            proposer,
            incarnation: 10 + u64::from(proposer),
        },
    }
}

fn instance(script: &mut Script, context: Context) -> Instance {
    match script.below(64) {
        0 => Instance(script.number()),
        1 => context.instance.plus(1 << 12),
        2 => context.instance.plus((1 << 16) - 1 + script.below(3)),
        3 => Instance::ZERO,
        _ => Instance((context.instance.0.saturating_add(script.below(10))).saturating_sub(3)),
    }
}

fn through(script: &mut Script, context: Context) -> Option<Instance> {
    match script.one_in(3) {
        true => Some(instance(script, context)),
        false => None,
    }
}

fn span(script: &mut Script, context: Context) -> Span {
    let from = instance(script, context);
    Span {
        from,
        through: match script.one_in(8) {
            true => instance(script, context),
            false => from.plus(script.below(4)),
        },
    }
}

fn watermark(script: &mut Script, context: Context) -> Watermark {
    Watermark {
        ballot: ballot(script, context),
        through: instance(script, context),
    }
}

fn vote(script: &mut Script, context: Context, limit: usize) -> Vote {
    Vote {
        instance: instance(script, context),
        ballot: ballot(script, context),
        value: batch(script, context, limit),
    }
}

fn session(script: &mut Script, context: Context) -> Session {
    match script.one_in(4) {
        false => Session {
            client: context.session.client.max(1),
            ..context.session
        },
        true => Session {
            client: 1 + script.below(3) as u16,
            incarnation: script.below(3),
        },
    }
}

fn number(script: &mut Script, near: u64) -> u64 {
    match script.below(32) {
        0 => script.number(),
        1 => 0,
        _ => near.saturating_add(script.below(6)).saturating_sub(3),
    }
}

/// Consecutive items of a session; their bytes may be anything.
fn run(script: &mut Script, context: Context) -> Run {
    let count = script.below(5) as u32;
    let mut items = BytesMut::new();
    for _ in 0..count {
        let length = script.below(6) as usize;
        Item::encode(script.one_in(4), script.bytes(length), &mut items);
    }
    if script.one_in(32) {
        items.extend_from_slice(script.bytes(8));
    }
    let session = session(script, context);
    Run {
        session,
        birth: match script.one_in(4) {
            true => instance(script, context),
            false => Instance::ZERO,
        },
        first: match script.below(8) {
            0 => number(script, context.number + 1),
            1 => 1 + script.below(4),
            _ => context.number + 1,
        },
        count: match script.one_in(32) {
            true => script.number() as u32,
            false => count,
        },
        items: Payload::new(items.freeze()),
    }
}

/// A batch of runs, or something that is none.
fn batch(script: &mut Script, context: Context, limit: usize) -> Payload {
    let mut batch = BytesMut::new();
    for _ in 0..script.below(3) {
        run(script, context).encode_into(&mut batch);
    }
    match script.below(64) {
        0 => batch.resize(limit, script.byte()),
        1 => batch = BytesMut::from(script.bytes(40)),
        _ => {}
    }
    batch.truncate(limit);
    Payload::new(Bytes::from(batch))
}

/// What a role sends must fit a datagram and be understood.
pub fn assert_sendable<P: Process<Message = Message>>(
    output: &Output<P>,
    from: ProcessId,
    settings: &Settings,
) {
    let Output::Send { message, .. } = output else {
        return;
    };
    let mut buffer = BytesMut::new();
    wire::encode(&SCOPE, from, u64::MAX, message, &mut buffer);
    let (length, most) = (buffer.len(), settings.datagram);
    assert!(length <= most, "{length} bytes of {most}: {message:?}");
    let datagram = check(buffer.freeze());
    let understood = datagram.is_some_and(|datagram| datagram.message == *message);
    assert!(understood, "not understood: {message:?}");
}

/// A timer that is due has something done about it: after a few calls none is
/// due any more, or the world would do nothing else for ever.
pub fn assert_timers_advance<P: Process>(
    role: &mut P,
    now: Time,
    mut each: impl FnMut(&mut P, &mut paxcast::protocol::Outbox<P>),
) {
    for _ in 0..8 {
        if role.next_timeout().is_none_or(|due| due > now) {
            return;
        }
        let mut out = paxcast::protocol::Outbox::new();
        role.handle_timeout(now, &mut out);
        role.finish_turn(now, &mut out);
        each(role, &mut out);
    }
    panic!("at {now} a timer is due again and again");
}
