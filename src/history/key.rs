//! One key of a key-value store as a [`Model`].

use std::fmt;

use super::Model;

/// One key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Key;

/// What a key holds: a value, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held(pub Option<String>);

/// What a key is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyCall {
    /// Its value.
    Get,
    /// To hold this.
    Set(String),
    /// To hold this, if it holds nothing.
    SetIfAbsent(String),
    /// To hold the second, if it holds the first: a transaction that watches it.
    Replace(String, String),
    /// To hold nothing.
    Delete,
    /// To hold so much more; nothing counts as 0.
    Add(i64),
    /// To hold this behind what it holds.
    Append(String),
}

/// What a key tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReturn {
    /// Its value.
    Value(Option<String>),
    /// That it is done.
    Done,
    /// Whether it is done.
    Flag(bool),
    /// A number.
    Number(i64),
    /// That it cannot be done.
    Refused,
}

impl Model for Key {
    type State = Held;
    type Call = KeyCall;
    type Return = KeyReturn;

    fn first(&self) -> Held {
        Held(None)
    }

    fn happen(&self, state: &Held, call: &KeyCall) -> (Held, KeyReturn) {
        let same = || state.clone();
        let now = |value: &str| Held(Some(value.to_owned()));
        match (call, &state.0) {
            (KeyCall::Get, held) => (same(), KeyReturn::Value(held.clone())),
            (KeyCall::Set(value), _) => (now(value), KeyReturn::Done),
            (KeyCall::SetIfAbsent(value), None) => (now(value), KeyReturn::Flag(true)),
            (KeyCall::SetIfAbsent(_), Some(_)) => (same(), KeyReturn::Flag(false)),
            (KeyCall::Replace(from, to), Some(held)) if held == from => {
                (now(to), KeyReturn::Flag(true))
            }
            (KeyCall::Replace(..), _) => (same(), KeyReturn::Flag(false)),
            (KeyCall::Delete, held) => (Held(None), KeyReturn::Flag(held.is_some())),
            (KeyCall::Add(by), held) => {
                let before = held.as_ref().map_or(Ok(0), |held| held.parse::<i64>());
                match before.ok().and_then(|before| before.checked_add(*by)) {
                    Some(sum) => (now(&sum.to_string()), KeyReturn::Number(sum)),
                    None => (same(), KeyReturn::Refused),
                }
            }
            (KeyCall::Append(more), held) => {
                let whole = held.clone().unwrap_or_default() + more;
                let length = whole.len() as i64;
                (Held(Some(whole)), KeyReturn::Number(length))
            }
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => write!(f, "{value:?}"),
            None => f.write_str("nothing"),
        }
    }
}

impl fmt::Display for KeyCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyCall::Get => f.write_str("get"),
            KeyCall::Set(value) => write!(f, "set {value}"),
            KeyCall::SetIfAbsent(value) => write!(f, "set {value} if absent"),
            KeyCall::Replace(from, to) => write!(f, "replace {from} by {to}"),
            KeyCall::Delete => f.write_str("delete"),
            KeyCall::Add(by) => write!(f, "add {by}"),
            KeyCall::Append(more) => write!(f, "append {more}"),
        }
    }
}

impl fmt::Display for KeyReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyReturn::Value(Some(value)) => f.write_str(value),
            KeyReturn::Value(None) => f.write_str("nothing"),
            KeyReturn::Done => f.write_str("done"),
            KeyReturn::Flag(true) => f.write_str("yes"),
            KeyReturn::Flag(false) => f.write_str("no"),
            KeyReturn::Number(number) => number.fmt(f),
            KeyReturn::Refused => f.write_str("refused"),
        }
    }
}
