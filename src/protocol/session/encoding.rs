//! All sessions as bytes, for checkpoints: whoever goes on from a state must know
//! what was delivered before it.
//!
//! ```text
//! format 2 | lifetime 8 | most 8 | horizon 8 | position 8 | count 4 | session, session, …
//! session: client 2 | incarnation 8 | last 8 | instance 8 | broken 1 | length 4 | partial
//! ```
//!
//! Numbers are little-endian and have one width each, and sessions ascend; so there is
//! one encoding for each state, and what was decoded encodes to the same bytes. What
//! follows from the rest, such as the order by age, is not written.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Sessions, State};
use crate::protocol::checksum;
use crate::protocol::digest::mix;
use crate::protocol::settings::Settings;
use crate::protocol::value::{Instance, Run, Session};

/// What the first bytes say; another number is another layout.
const FORMAT: u16 = 1;

/// Bytes ahead of the first session.
const HEAD: usize = 2 + 4 * 8 + 4;

/// Bytes of a session without its partial value.
const FIXED: usize = 2 + 3 * 8 + 1 + 4;

impl Sessions {
    /// The state as bytes; equal states give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let length = HEAD + FIXED * self.sessions.len() + self.unfinished;
        let mut bytes = Vec::with_capacity(length);
        bytes.put_u16_le(FORMAT);
        bytes.put_u64_le(self.lifetime);
        bytes.put_u64_le(self.most as u64);
        bytes.put_u64_le(self.horizon.0);
        bytes.put_u64_le(self.position);
        bytes.put_u32_le(u32::try_from(self.sessions.len()).expect("sessions are bounded"));
        for (session, state) in &self.sessions {
            bytes.put_u16_le(session.client);
            bytes.put_u64_le(session.incarnation);
            bytes.put_u64_le(state.last);
            bytes.put_u64_le(state.instance.0);
            bytes.put_u8(u8::from(state.broken));
            bytes.put_u32_le(u32::try_from(state.partial.len()).expect("a value is bounded"));
            bytes.put_slice(&state.partial);
        }
        bytes
    }

    /// The state that these bytes are, if they are one: written by a process with the
    /// same lifetime and number of sessions, and one that a log can lead to as far as
    /// can be told. Takes no more memory than the bytes do, give or take a factor.
    pub fn decode(settings: &Settings, bytes: &[u8]) -> Option<Sessions> {
        let mut rest = bytes;
        if rest.len() < HEAD || rest.get_u16_le() != FORMAT {
            return None;
        }
        let mut read = Sessions::new(settings);
        let alike = rest.get_u64_le() == read.lifetime && rest.get_u64_le() == read.most as u64;
        read.horizon = Instance(rest.get_u64_le());
        read.position = rest.get_u64_le();
        let count = rest.get_u32_le() as usize;
        let possible = read.horizon <= Instance::LAST && read.position <= Run::MAX_NUMBER;
        if !alike || !possible || count > read.most {
            return None;
        }
        for _ in 0..count {
            let (session, state) = take_session(&mut rest)?;
            // What is opened in the instance of the one that had to go for it lies
            // just below the horizon, until the next instance.
            let forgotten = state.instance.next() < read.horizon;
            let last = read.sessions.last_key_value();
            if forgotten || last.is_some_and(|(last, _)| *last >= session) {
                return None;
            }
            read.unfinished += state.partial.len();
            read.by_age.insert((state.instance, session));
            read.sessions.insert(session, state);
        }
        let whole = rest.is_empty() && read.unfinished <= Self::MAX_UNFINISHED;
        whole.then_some(read)
    }

    /// A short form of the whole state: equal states have equal ones. Takes the time
    /// to visit each session, not to read the unfinished values.
    pub fn digest(&self) -> u64 {
        let whole = [self.sessions.len() as u64, self.horizon.0, self.position];
        let each = self.sessions.iter().flat_map(|(session, state)| {
            [
                u64::from(session.client) << 1 | u64::from(state.broken),
                session.incarnation,
                state.last,
                state.instance.0,
                (state.partial.len() as u64) << 32 | u64::from(state.checksum),
            ]
        });
        whole.into_iter().chain(each).fold(0, mix)
    }
}

/// Reads one session off the front.
fn take_session(rest: &mut &[u8]) -> Option<(Session, State)> {
    if rest.len() < FIXED {
        return None;
    }
    let session = Session {
        client: rest.get_u16_le(),
        incarnation: rest.get_u64_le(),
    };
    let last = rest.get_u64_le();
    let instance = Instance(rest.get_u64_le());
    let broken = match rest.get_u8() {
        0 => false,
        1 => true,
        _ => return None,
    };
    let length = rest.get_u32_le() as usize;
    let possible = last <= Run::MAX_NUMBER && (Instance(1)..=Instance::LAST).contains(&instance);
    // A broken session keeps nothing.
    if !possible || length > rest.len().min(Sessions::MAX_VALUE) || (broken && length > 0) {
        return None;
    }
    let (partial, behind) = rest.split_at(length);
    *rest = behind;
    let state = State {
        last,
        instance,
        checksum: checksum::of(partial),
        partial: BytesMut::from(Bytes::copy_from_slice(partial)),
        broken,
    };
    Some((session, state))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::value::{Item, Payload};
    use crate::protocol::{AcceptorSet, Delivery, Membership, Progress};

    /// Few sessions with short lives, so that all that can happen to them does.
    fn settings() -> Settings {
        let mut settings = Settings::new(Membership::majority(AcceptorSet::first(1)));
        settings.lifetime = 12;
        settings.sessions = 4;
        settings
    }

    /// How far the instance is ahead of the last one, and a run.
    fn a_run() -> impl Strategy<Value = (u64, Run)> {
        let item = (
            prop::bool::weighted(0.4),
            prop_oneof![
                8 => prop::collection::vec(any::<u8>(), 0..5),
                1 => Just(vec![b'x'; Sessions::MAX_VALUE / 2]),
            ],
        );
        let items = prop::collection::vec(item, 1..4);
        (0..4u64, 1..4u16, 1..4u64, 0..30u64, 1..6u64, items).prop_map(
            |(ahead, client, incarnation, birth, first, items)| {
                let mut buffer = BytesMut::new();
                for (continues, bytes) in &items {
                    Item::encode(*continues, bytes, &mut buffer);
                }
                let session = Session {
                    client,
                    incarnation,
                };
                let run = Run {
                    session,
                    birth: Instance(birth),
                    first,
                    count: items.len() as u32,
                    items: Payload::new(buffer.freeze()),
                };
                (ahead, run)
            },
        )
    }

    type Outcome = (Vec<Delivery>, Option<Progress>);

    fn apply(sessions: &mut Sessions, instance: u64, run: &Run) -> Outcome {
        let mut delivered = Vec::new();
        let progress = sessions.apply(Instance(instance), run, &mut |one| delivered.push(one));
        (delivered, progress)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn what_is_decoded_is_what_was_encoded_and_goes_on_alike(
            before in prop::collection::vec(a_run(), 0..60),
            after in prop::collection::vec(a_run(), 0..30),
        ) {
            let mut sessions = Sessions::new(&settings());
            let mut instance = 1;
            for (ahead, run) in &before {
                instance += ahead;
                let (was, digest) = (sessions.clone(), sessions.digest());
                apply(&mut sessions, instance, run);
                prop_assert_eq!(was == sessions, digest == sessions.digest());
                prop_assert_eq!(was == sessions, was.encode() == sessions.encode());
            }
            let bytes = sessions.encode();
            let mut restored = Sessions::decode(&settings(), &bytes).expect("just encoded");
            prop_assert_eq!(&restored, &sessions);
            prop_assert_eq!(restored.digest(), sessions.digest());
            prop_assert_eq!(restored.encode(), bytes);
            for (ahead, run) in &after {
                instance += ahead;
                let outcome = apply(&mut restored, instance, run);
                prop_assert_eq!(apply(&mut sessions, instance, run), outcome);
            }
            prop_assert_eq!(restored, sessions);
        }
    }

    #[test]
    fn what_no_log_leads_to_is_refused() {
        let mut sessions = Sessions::new(&settings());
        let mut buffer = BytesMut::new();
        Item::encode(true, b"so far", &mut buffer);
        let items = Payload::new(buffer.freeze());
        for client in 1..=2 {
            let run = Run {
                session: Session {
                    client,
                    incarnation: 7,
                },
                birth: Instance(19),
                first: 1,
                count: 1,
                items: items.clone(),
            };
            apply(&mut sessions, 20, &run);
        }
        let good = sessions.encode();
        let decode = |bytes: &[u8]| Sessions::decode(&settings(), bytes);
        assert_eq!(decode(&good), Some(sessions));
        for cut in 0..good.len() {
            assert_eq!(decode(&good[..cut]), None, "cut at {cut}");
        }
        let second = HEAD + FIXED + 6;
        assert_eq!(good.len(), second + FIXED + 6);
        for (what, at, byte) in [
            ("another format", 0, 2),
            ("another lifetime", 2, 13),
            ("another number of sessions", 10, 5),
            ("sessions beyond the horizon", 18, 22),
            ("a horizon beyond the log", 25, 0xff),
            ("more values than there can be", 33, 0xff),
            ("more sessions than may be", 34, 5),
            ("more sessions than follow", 34, 3),
            ("fewer sessions than follow", 34, 1),
            ("the same session again", second, 1),
            ("a number that no client comes to", second + 17, 0xff),
            ("an instance beyond the log", second + 25, 0xff),
            ("neither broken nor whole", second + 26, 2),
            ("broken, and keeps something", second + 26, 1),
            ("a piece that is not there", second + 27, 7),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(decode(&bad), None, "{what}");
        }
        assert_eq!(decode(&[&good[..], &[0]].concat()), None, "more behind");
    }
}
