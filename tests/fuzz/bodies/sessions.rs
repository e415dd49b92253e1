//! Sessions as bytes: whatever they are, they are refused or are the one encoding of
//! a state; and a state that runs lead to comes back and goes on like the original.

use bytes::{Bytes, BytesMut};
use paxcast::protocol::{
    AcceptorSet, Delivery, Instance, Item, Membership, Payload, Progress, Run, Session, Sessions,
    Settings,
};

use super::script::Script;

/// Takes the bytes as an encoding, and as a script of runs.
pub fn run(data: &[u8]) -> u64 {
    let mut settings = Settings::new(Membership::majority(AcceptorSet::first(1)));
    settings.lifetime = 12;
    settings.sessions = 4;
    let mut came = 0;
    if let Some(sessions) = Sessions::decode(&settings, data) {
        assert_eq!(sessions.encode(), data, "one encoding for each state");
        go_on(&settings, sessions, Script::new(data));
        came += 1;
    }
    let mut script = Script::new(data);
    let mut sessions = Sessions::new(&settings);
    let mut instance = 1;
    for _ in 0..script.below(20) {
        let (at, run) = a_run(&mut script, instance);
        instance = at;
        came += u64::from(!apply(&mut sessions, at, &run).0.is_empty());
    }
    go_on(&settings, sessions, script);
    came
}

/// A state and its copy by way of bytes: the same things happen to both.
fn go_on(settings: &Settings, mut sessions: Sessions, mut script: Script<'_>) {
    let bytes = sessions.encode();
    let mut copy = Sessions::decode(settings, &bytes).expect("just encoded");
    assert_eq!(copy, sessions);
    assert_eq!(copy.digest(), sessions.digest());
    let mut instance = script.number().clamp(1, Instance::LAST.0 / 2);
    for _ in 0..8 {
        let (at, run) = a_run(&mut script, instance);
        instance = at;
        let outcome = apply(&mut copy, at, &run);
        assert_eq!(apply(&mut sessions, at, &run), outcome);
    }
    assert_eq!(copy, sessions);
}

fn a_run(script: &mut Script<'_>, instance: u64) -> (u64, Run) {
    let instance = instance + script.below(4);
    let client = 1 + script.below(3) as u16;
    let incarnation = 1 + script.below(3);
    let birth = Instance(instance.saturating_sub(script.below(20)));
    let (first, count) = (1 + script.below(6), 1 + script.below(3));
    let mut buffer = BytesMut::new();
    for _ in 0..count {
        let continues = script.one_in(3);
        let length = match script.one_in(40) {
            true => Sessions::MAX_VALUE / 2,
            false => script.below(6) as usize,
        };
        let item = vec![script.byte(); length];
        Item::encode(continues, &item, &mut buffer);
    }
    let run = Run {
        session: Session {
            client,
            incarnation,
        },
        birth,
        first,
        count: count as u32,
        items: Payload::new(match script.one_in(30) {
            true => Bytes::copy_from_slice(script.bytes(9)),
            false => buffer.freeze(),
        }),
    };
    (instance, run)
}

type Outcome = (Vec<Delivery>, Option<Progress>);

fn apply(sessions: &mut Sessions, instance: u64, run: &Run) -> Outcome {
    let mut delivered = Vec::new();
    let progress = sessions.apply(Instance(instance), run, &mut |one| delivered.push(one));
    (delivered, progress)
}
