//! What a checkpoint holds: everything that a replica has from the log through an
//! instance, and nothing else.
//!
//! ```text
//! head (postcard: instance, length of the sessions) | sessions | state
//! ```
//!
//! That the bytes are whole is the care of whoever keeps or sends them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::protocol::{Instance, ProcessId, Sessions, Settings};
use crate::service::{Damaged, Frozen, StateMachine};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Head {
    through: Instance,
    sessions: u64,
}

/// A replica as it was behind an instance, to be written down by another thread.
#[derive(Debug)]
pub struct Snapshot<F> {
    /// The last instance in it.
    pub through: Instance,
    sessions: Vec<u8>,
    state: F,
}

impl<F: Frozen> Snapshot<F> {
    pub(super) fn new(through: Instance, sessions: &Sessions, state: F) -> Snapshot<F> {
        Snapshot {
            through,
            sessions: sessions.encode(),
            state,
        }
    }

    /// Writes the content of the checkpoint, in parts that come in order.
    pub fn write(&self, part: &mut dyn FnMut(&[u8])) {
        let head = Head {
            through: self.through,
            sessions: self.sessions.len() as u64,
        };
        part(&postcard::to_stdvec(&head).expect("memory can be written"));
        part(&self.sessions);
        self.state.write(part);
    }
}

/// The state in the content of a checkpoint, as [`StateMachine::restore`] takes it.
///
/// # Errors
///
/// When it is none.
pub fn state_in(content: &[u8]) -> Result<&[u8], Damaged> {
    apart(content).map(|(_, _, state)| state)
}

fn apart(content: &[u8]) -> Result<(Head, &[u8], &[u8]), Damaged> {
    let (head, rest): (Head, &[u8]) =
        postcard::take_from_bytes(content).map_err(|_| Damaged::Contradiction("its head"))?;
    let length = usize::try_from(head.sessions).ok();
    let (sessions, state) = length
        .and_then(|length| rest.split_at_checked(length))
        .ok_or(Damaged::Contradiction("the length of its sessions"))?;
    Ok((head, sessions, state))
}

/// A checkpoint as it came from another replica. To open it takes as long as the state
/// is large, so another thread may, and rest meanwhile.
#[derive(Debug)]
pub struct Parcel<S> {
    pub(super) from: ProcessId,
    pub(super) content: Bytes,
    pub(super) machine: S,
    pub(super) settings: Settings,
}

/// What was in a parcel, for [`Replica::take_over`](super::Replica::take_over).
#[derive(Debug)]
pub struct Opened<S> {
    pub(super) from: ProcessId,
    pub(super) content: Bytes,
    pub(super) state: Result<(Instance, Sessions, S), Damaged>,
}

impl<S: StateMachine> Parcel<S> {
    /// Reads the state that is in it; calls `rest` now and then.
    pub fn open(mut self, rest: &mut dyn FnMut()) -> Opened<S> {
        let state = restore(&mut self.machine, &self.settings, &self.content, rest);
        Opened {
            from: self.from,
            content: self.content,
            state: state.map(|(through, sessions)| (through, sessions, self.machine)),
        }
    }
}

/// Takes the content of a checkpoint apart, and lets `machine` become its state.
///
/// # Errors
///
/// When it is none; then nothing has changed.
pub(super) fn restore(
    machine: &mut impl StateMachine,
    settings: &Settings,
    content: &[u8],
    rest: &mut dyn FnMut(),
) -> Result<(Instance, Sessions), Damaged> {
    let (head, sessions, state) = apart(content)?;
    let sessions =
        Sessions::decode(settings, sessions).ok_or(Damaged::Contradiction("its sessions"))?;
    machine.restore_gently(state, rest)?;
    Ok((head.through, sessions))
}
