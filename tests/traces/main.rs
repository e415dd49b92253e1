//! Golden traces: one role, one behaviour, one file that reads as a story.
//!
//! A file in `tests/scripts/{acceptor,proposer,learner,client}/` begins with the
//! behaviour in a sentence. Then come commands, each behind a `>`, and below each
//! command everything that the role did in answer, in order. Lines with `#` are
//! the story. A role that behaves differently fails here with the line and both
//! traces. After an intended change run
//!
//! ```text
//! PAXCAST_GOLDEN=write cargo test --test traces
//! ```
//!
//! which writes every trace anew, and read the difference as critically as code.
//!
//! # Commands
//!
//! | command | what happens |
//! |---|---|
//! | `start a1 key=value …` | a role begins: `a1`, `p1`, `l1` or `c1`; the keys are those of [`stage::Stage`] |
//! | `from p1: prepare 2.p1 #1..` | a message arrives and the turn ends; the words are those of [`words`] |
//! | `begin turn`, `end turn` | what arrives in between is one turn |
//! | `wait 100ms` | time passes, timers fire when they are due |
//! | `wait for prepare` | the same, until something with this word comes out |
//! | `found` | the oldest lookup is answered with what was recorded |
//! | `restart` | an acceptor begins again with its records |
//! | `delete` | the records ahead of an acceptor's last trim are gone from its disk |
//! | `elect` | a proposer asks, and a1 and a2, which know of nothing, promise and announce their buffers; only the outcome is told |
//! | `submit "a" "b"` | a client is given values |
//! | `close`, `open` | a learner's reader stops, and goes on |
//! | `show` | what the role says of itself |
//! | `each 1..=9 COMMAND` | the command once for each number, which stands for `$` |
//! | `quietly COMMAND` | the command, its trace only counted |
//!
//! Whole clusters have traces, too: [`cluster`].
//!
//! Processes are called as everywhere, `a2`; `a2~7` is another start of it (or
//! another store). What a role is told by chance comes from `seed`, so a trace is
//! the same on every machine.

mod cluster;
mod script;
mod stage;
mod words;

/// Plays every script of a role. There are at least so many behaviours.
fn play(role: &str, least: usize) {
    let played = script::play_all(role);
    assert!(played >= least, "only {played} scripts for the {role}");
}

#[test]
fn the_acceptor_behaves_as_its_traces_say() {
    play("acceptor", 32);
}

#[test]
fn the_proposer_behaves_as_its_traces_say() {
    play("proposer", 34);
}

#[test]
fn the_learner_behaves_as_its_traces_say() {
    play("learner", 28);
}

#[test]
fn the_client_behaves_as_its_traces_say() {
    play("client", 18);
}

#[test]
fn a_cluster_behaves_as_its_traces_say() {
    let played = cluster::play_all();
    assert!(played >= 8, "only {played} scenarios of clusters");
}
