//! Histories of operations, and whether they could have happened one by one.
//!
//! A service is *linearizable* when everything that its clients were told can be
//! explained by an order of their operations, each at one moment between its
//! call and its return. This is what a replicated service promises, whatever is
//! lost or killed meanwhile; whether it holds can be decided from the outside,
//! from what each client called and was told, and when.
//!
//! An operation without a return (its client was cut off, or told that the
//! outcome is not known) may have happened at any moment behind its call, or not
//! at all.
//!
//! # How it is decided
//!
//! The events are walked through in the order of time with all *explanations*
//! that are left: a state, and which of the operations under way happened already
//! to make it. At a return the operation must have happened: explanations in
//! which it has not are driven on, operation by operation of those under way, in
//! every order, until it has; those in which it cannot, or would have told
//! something else, are dropped. When none is left, no order explains the history
//! up to here. (Wing and Gong searched; Lowe made it remember; to do it in time's
//! order keeps what must be remembered to what is under way.)
//!
//! Operations without a return stay under way for ever, so what they might have
//! done must not pile up. An explanation that needed fewer of them for the same
//! state can do all that the other can, so the other is dropped; and of several
//! that are alike the first is taken.
//!
//! Keys do not depend on each other, so each key's history is checked alone
//! ([`check_keys`]); operations on several keys at once need a [`Model`] whose
//! state is all of them.

mod check;
mod key;
mod picture;

use std::fmt::{Debug, Display};

pub use check::{Unexplained, Verdict, Window, check, check_keys};
pub use key::{Key, KeyCall, KeyReturn};
pub use picture::draw;

/// What operations do when they happen one by one.
pub trait Model {
    /// What they change.
    type State: Clone + Debug + Display + Ord;
    /// What is asked.
    type Call: Clone + Debug + Display + PartialEq;
    /// What is told.
    type Return: Clone + Debug + Display + PartialEq;

    /// The state before all.
    fn first(&self) -> Self::State;

    /// An operation happens: the state behind it, and what is told.
    fn happen(&self, state: &Self::State, call: &Self::Call) -> (Self::State, Self::Return);
}

/// Something that a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<C, R> {
    /// Who; a client's operations do not overlap, but for those without a return.
    pub client: u32,
    /// What was asked.
    pub call: C,
    /// When, by a clock that all clients share.
    pub called: u64,
    /// What was told, and when; nothing if the outcome is not known. An operation
    /// that surely did not happen is none.
    pub returned: Option<(u64, R)>,
}
