//! Exactly once and first in, first out: what the log says about each client.
//!
//! A client may send a value many times and a leader may propose it many times,
//! so the same run can stand in the log more than once. Whether a value is
//! delivered is decided here, by the log alone: **it is delivered if and only if
//! its number is the last delivered of its session plus one.** Every learner
//! reads the same log, so every learner decides alike, and each client's order
//! is kept.
//!
//! Sessions cannot be kept for ever. One is forgotten when its last delivery
//! lies too far back in the log ([`Settings::lifetime`]), or when there are too
//! many; both by the log, never by a clock. The danger is a late copy of a
//! forgotten session's first value: it would look like a new client. Therefore
//! each run names a *birth*, an instance that was decided before the client's
//! first value, and the log keeps a *horizon*: a session is forgotten only when
//! its last delivery, and so its birth, lies below the horizon, and a session is
//! opened only by a birth at or above it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};

use super::checksum;
use super::message::Progress;
use super::mutant::{Mutant, mutant};
use super::settings::Settings;
use super::value::{Instance, Run, Session};

mod encoding;

/// All sessions, as the log through some instance has them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sessions {
    /// How many instances a session outlives its last delivery.
    lifetime: u64,
    /// How many sessions are remembered.
    most: usize,
    sessions: BTreeMap<Session, State>,
    /// Every session, by the instance of its last delivery: the oldest first.
    by_age: BTreeSet<(Instance, Session)>,
    /// Sessions whose last delivery lies below are forgotten.
    horizon: Instance,
    /// Values delivered so far.
    position: u64,
    /// Bytes of large values that are not complete yet.
    unfinished: usize,
}

/// One session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    /// The number of the last item delivered.
    last: u64,
    /// Where it was delivered.
    instance: Instance,
    /// The pieces so far of a value that goes on.
    partial: BytesMut,
    /// The checksum of these pieces, so that a digest need not read them.
    checksum: u32,
    /// It broke a limit: nothing of it is delivered any more.
    broken: bool,
}

impl State {
    /// The pieces so far; there are none from then on.
    fn take_partial(&mut self) -> BytesMut {
        self.checksum = 0;
        std::mem::take(&mut self.partial)
    }
}

/// A value in its place in the total order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// Its place among all delivered values, from 1.
    pub position: u64,
    /// The instance that decided it, for a large value the one of its last piece.
    pub instance: Instance,
    /// Who submitted it.
    pub session: Session,
    /// Its number in the session, for a large value the one of its last piece.
    pub number: u64,
    /// The value.
    pub value: Bytes,
}

impl Sessions {
    /// The largest value, in bytes.
    pub const MAX_VALUE: usize = 1 << 20;

    /// Bytes of unfinished large values, over all sessions.
    pub const MAX_UNFINISHED: usize = 64 << 20;

    /// No sessions: the log is empty. Every learner must have the same lifetime
    /// and number of sessions, or they would not decide alike.
    pub fn new(settings: &Settings) -> Sessions {
        Sessions {
            lifetime: settings.lifetime,
            most: settings.sessions,
            sessions: BTreeMap::new(),
            by_age: BTreeSet::new(),
            horizon: Instance::ZERO,
            position: 0,
            unfinished: 0,
        }
    }

    /// Values delivered so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of large values that are not complete yet.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// How many sessions are remembered now.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is remembered.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How far a session has come, if it is remembered.
    pub fn progress(&self, session: Session) -> Option<Progress> {
        let state = self.sessions.get(&session)?;
        Some(Progress {
            session,
            last: state.last,
            evicted: state.broken,
        })
    }

    /// Applies a run that stands in the log at `instance`: calls `deliver` for
    /// each value that is now delivered, and returns what to tell the client, if
    /// anything. Instances must come in ascending order.
    pub fn apply(
        &mut self,
        instance: Instance,
        run: &Run,
        deliver: &mut dyn FnMut(Delivery),
    ) -> Option<Progress> {
        self.forget(Instance(instance.0.saturating_sub(self.lifetime)));
        let session = run.session;
        if !self.sessions.contains_key(&session) {
            let old = run.birth < self.horizon && !mutant(Mutant::OldSessionBegunAgain);
            if old || run.birth >= instance {
                return Some(Progress {
                    session,
                    last: 0,
                    evicted: true,
                });
            }
            // A later run of a young session: a former leader's first proposal
            // was lost and this one was not. The first comes again.
            let middle = mutant(Mutant::SessionBegunInTheMiddle);
            if run.first != 1 && !middle {
                return None;
            }
            if self.sessions.len() >= self.most {
                let (oldest, _) = *self.by_age.first().expect("there are sessions");
                self.forget(oldest.next());
            }
            self.by_age.insert((instance, session));
            self.sessions.insert(
                session,
                State {
                    last: run.first - 1,
                    instance,
                    ..State::default()
                },
            );
        }
        let state = self.sessions.get_mut(&session).expect("just looked up");
        let old = run.last() <= state.last && !mutant(Mutant::CopyDelivered);
        let early = run.first > state.last + 1 && !mutant(Mutant::GapDelivered);
        if !state.broken && !old && !early {
            let known = match mutant(Mutant::CopyDelivered) {
                true => 0,
                false => (state.last + 1).saturating_sub(run.first),
            };
            for item in run
                .items()
                .skip(usize::try_from(known).unwrap_or(usize::MAX))
            {
                state.last += 1;
                if item.continues || !state.partial.is_empty() {
                    if state.partial.len() + item.bytes.len() > Self::MAX_VALUE {
                        state.broken = true;
                        break;
                    }
                    state.partial.extend_from_slice(&item.bytes);
                    state.checksum = checksum::append(state.checksum, &item.bytes);
                    self.unfinished += item.bytes.len();
                    if item.continues {
                        continue;
                    }
                }
                let value = match state.partial.is_empty() {
                    true => item.bytes,
                    false => {
                        self.unfinished -= state.partial.len();
                        state.take_partial().freeze()
                    }
                };
                self.position += 1;
                deliver(Delivery {
                    position: self.position,
                    instance,
                    session,
                    number: state.last,
                    value,
                });
            }
            self.by_age.remove(&(state.instance, session));
            state.instance = instance;
            self.by_age.insert((instance, session));
        }
        if state.broken {
            self.unfinished -= state.take_partial().len();
        }
        while self.unfinished > Self::MAX_UNFINISHED {
            self.break_oldest_unfinished();
        }
        self.progress(session)
    }

    /// Forgets every session whose last delivery lies below `horizon`.
    fn forget(&mut self, horizon: Instance) {
        self.horizon = self.horizon.max(horizon);
        while let Some(&(instance, session)) = self.by_age.first()
            && instance < self.horizon
        {
            self.by_age.pop_first();
            let state = self.sessions.remove(&session).expect("both sets agree");
            self.unfinished -= state.partial.len();
        }
    }

    /// Gives up the unfinished value that has waited longest.
    fn break_oldest_unfinished(&mut self) {
        for (_, session) in &self.by_age {
            let state = self.sessions.get_mut(session).expect("both sets agree");
            if !state.partial.is_empty() {
                state.broken = true;
                self.unfinished -= state.take_partial().len();
                return;
            }
        }
        unreachable!("unfinished bytes belong to a session");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::value::{Item, Payload};
    use crate::protocol::{AcceptorSet, Membership};

    fn sessions() -> Sessions {
        let membership = Membership::majority(AcceptorSet::first(1));
        Sessions::new(&Settings::new(membership))
    }

    fn run(client: u16, birth: u64, first: u64, items: &[(bool, &[u8])]) -> Run {
        let mut buffer = BytesMut::new();
        for (continues, bytes) in items {
            Item::encode(*continues, bytes, &mut buffer);
        }
        Run {
            session: Session {
                client,
                incarnation: 1,
            },
            birth: Instance(birth),
            first,
            count: items.len() as u32,
            items: Payload::new(buffer.freeze()),
        }
    }

    fn apply(sessions: &mut Sessions, instance: u64, run: &Run) -> (Vec<String>, Option<Progress>) {
        let mut delivered = Vec::new();
        let progress = sessions.apply(Instance(instance), run, &mut |delivery| {
            delivered.push(String::from_utf8_lossy(&delivery.value).into_owned());
        });
        (delivered, progress)
    }

    #[test]
    fn a_value_is_delivered_once_and_in_its_clients_order() {
        let mut sessions = sessions();
        let first = run(1, 0, 1, &[(false, b"a"), (false, b"b")]);
        let second = run(1, 0, 3, &[(false, b"c")]);
        assert_eq!(apply(&mut sessions, 1, &second).0, [""; 0], "too early");
        assert_eq!(apply(&mut sessions, 2, &first).0, ["a", "b"]);
        assert_eq!(apply(&mut sessions, 3, &first).0, [""; 0], "again");
        let overlapping = run(1, 0, 2, &[(false, b"b"), (false, b"c"), (false, b"d")]);
        assert_eq!(apply(&mut sessions, 4, &overlapping).0, ["c", "d"]);
        let (delivered, progress) = apply(&mut sessions, 5, &second);
        assert!(delivered.is_empty());
        assert_eq!(progress.map(|progress| progress.last), Some(4));
        assert_eq!(sessions.position(), 4);
    }

    #[test]
    fn pieces_become_one_value() {
        let mut sessions = sessions();
        let pieces = run(1, 0, 1, &[(true, b"ab"), (true, b"")]);
        let rest = run(1, 0, 3, &[(true, b"cd"), (false, b"e"), (false, b"f")]);
        assert_eq!(apply(&mut sessions, 1, &pieces).0, [""; 0]);
        assert_eq!(apply(&mut sessions, 2, &rest).0, ["abcde", "f"]);
        assert_eq!(sessions.unfinished, 0);
    }

    #[test]
    fn a_late_first_value_of_a_forgotten_session_is_refused() {
        let mut sessions = sessions();
        let first = run(1, 0, 1, &[(false, b"a")]);
        assert_eq!(apply(&mut sessions, 1, &first).0, ["a"]);
        let late = 2 + Settings::LIFETIME;
        let (delivered, progress) = apply(&mut sessions, late, &first);
        assert!(delivered.is_empty() && progress.unwrap().evicted);
        let middle = run(1, 0, 2, &[(false, b"b")]);
        assert!(apply(&mut sessions, late, &middle).1.unwrap().evicted);
        let newborn = run(2, late - 1, 1, &[(false, b"x")]);
        assert_eq!(apply(&mut sessions, late, &newborn).0, ["x"]);
        let from_the_future = run(3, late + 7, 1, &[(false, b"y")]);
        assert!(
            apply(&mut sessions, late, &from_the_future)
                .1
                .unwrap()
                .evicted
        );
    }

    #[test]
    fn sessions_and_unfinished_values_are_bounded() {
        let mut sessions = sessions();
        let count = Settings::MAX_SESSIONS as u64 + 10;
        for number in 1..=count {
            let mut first = run(1, number - 1, 1, &[(false, b"a")]);
            first.session.incarnation = number;
            assert_eq!(apply(&mut sessions, number, &first).0, ["a"]);
        }
        assert_eq!(sessions.len(), Settings::MAX_SESSIONS);
        let mut again = run(1, 0, 1, &[(false, b"a")]);
        again.session.incarnation = 1;
        assert!(apply(&mut sessions, count, &again).1.unwrap().evicted);

        let piece = vec![b'x'; 1 << 19];
        for client in 2..=200 {
            let large = run(client, count - 1, 1, &[(true, &piece)]);
            apply(&mut sessions, count + u64::from(client), &large);
            assert!(sessions.unfinished <= Sessions::MAX_UNFINISHED);
        }
        let rest = run(2, count - 1, 2, &[(false, b"end")]);
        let (delivered, progress) = apply(&mut sessions, count + 201, &rest);
        assert!(delivered.is_empty() && progress.unwrap().evicted);
    }

    #[test]
    fn a_value_over_the_limit_breaks_its_session_only() {
        let mut sessions = sessions();
        let piece = vec![b'x'; Sessions::MAX_VALUE];
        let large = run(1, 0, 1, &[(true, &piece), (false, b"!")]);
        let (delivered, progress) = apply(&mut sessions, 1, &large);
        assert!(delivered.is_empty() && progress.unwrap().evicted);
        assert_eq!(sessions.unfinished, 0);
        let other = run(2, 0, 1, &[(false, b"fine")]);
        assert_eq!(apply(&mut sessions, 2, &other).0, ["fine"]);
    }
}
