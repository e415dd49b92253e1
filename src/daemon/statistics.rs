//! What happened so far, as one line of `key=value` pairs.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::protocol::{ProcessId, Time};

/// Counters of one process. They are about the daemon's work and are no part
/// of any role's state.
#[derive(Debug)]
pub struct Statistics {
    me: ProcessId,
    started: Time,
    sent: BTreeMap<&'static str, u64>,
    received: BTreeMap<&'static str, u64>,
    drops: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
}

impl Statistics {
    /// All zero.
    pub fn new(me: ProcessId, now: Time) -> Statistics {
        Statistics {
            me,
            started: now,
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            drops: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// A message of this kind left.
    pub fn sent(&mut self, kind: &'static str) {
        *self.sent.entry(kind).or_default() += 1;
    }

    /// A message of this kind reached the role.
    pub fn received(&mut self, kind: &'static str) {
        *self.received.entry(kind).or_default() += 1;
    }

    /// A datagram that was received went no further.
    pub fn dropped(&mut self, reason: &str) {
        count(&mut self.drops, reason);
    }

    /// The kernel refused to send a datagram.
    pub fn send_failed(&mut self, reason: &str) {
        count(&mut self.failed, reason);
    }

    /// The line; `facts` is what the role's world has to add.
    pub fn line(
        &self,
        now: Time,
        kernel_drops: u64,
        calls: u64,
        facts: &[(&'static str, u64)],
    ) -> String {
        let mut line = format!(
            "statistics role={} id={} seconds={:.3}",
            self.me.role,
            self.me.id,
            now.since(self.started).as_secs_f64()
        );
        let mut add = |key: &str, name: &str, value: u64| {
            write!(line, " {key}{name}={value}").expect("writing to memory cannot fail");
        };
        for (name, value) in facts {
            add("", name, *value);
        }
        for (kind, value) in &self.sent {
            add("sent.", kind, *value);
        }
        for (kind, value) in &self.received {
            add("received.", kind, *value);
        }
        for (reason, value) in &self.drops {
            add("drops.", reason, *value);
        }
        for (reason, value) in &self.failed {
            add("send_errors.", reason, *value);
        }
        add("", "kernel_drops", kernel_drops);
        add("", "calls", calls);
        line
    }
}

/// Counts without allocating for a key that is there already.
fn count(counters: &mut BTreeMap<String, u64>, key: &str) {
    match counters.get_mut(key) {
        Some(value) => *value += 1,
        None => {
            counters.insert(key.to_owned(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Role;

    #[test]
    fn the_line_is_made_of_pairs() {
        let me = ProcessId {
            role: Role::Learner,
            id: 2,
            incarnation: 5,
        };
        let mut statistics = Statistics::new(me, Time(0));
        statistics.sent("following");
        statistics.received("accept");
        statistics.received("accept");
        statistics.dropped("own");
        statistics.send_failed("ENOBUFS");
        assert_eq!(
            statistics.line(Time(1_500_000_000), 3, 9, &[("values", 7)]),
            "statistics role=learner id=2 seconds=1.500 values=7 sent.following=1 \
             received.accept=2 drops.own=1 send_errors.ENOBUFS=1 kernel_drops=3 calls=9"
        );
    }
}
