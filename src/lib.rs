//! paxcast: total order for a LAN in four small daemons.
//!
//! Clients submit values, proposers order them, acceptors remember, learners
//! deliver. Every learner delivers the same values in the same order, exactly
//! once, whatever is lost, duplicated, reordered or killed.
//!
//! # Paxos in one page
//!
//! The log is a row of *instances*, numbered from 1; each decides one batch of
//! values. A proposer that wants to lead picks a *ballot* nobody used before and
//! asks the acceptors for their *promise* (phase 1): serve no lower ballot from
//! now on, and tell what you voted for so far. With promises from a *quorum*, more
//! than half of the acceptors, it leads. For every instance it proposes a batch
//! (phase 2): one that an acceptor already voted for, in the highest ballot
//! reported, if there is one; else what clients submitted. Acceptors vote for it
//! unless they promised a higher ballot. A batch that a quorum voted for in one
//! ballot is *chosen*, and stays so: two quorums share an acceptor, so every later
//! leader hears of it in phase 1 and proposes it again.
//!
//! Phase 1 is done once for all instances, so a leader orders values in one round
//! trip. Learners hear proposals and votes themselves, by multicast, and deliver a
//! batch the moment they know it is chosen.
//!
//! [`protocol`] tells the whole story; `docs/architecture.md` draws it.
//!
//! # The house
//!
//! Three floors; imports run downwards only.
//!
//! | floor | module | what lives there |
//! |---|---|---|
//! | 1 | [`protocol`] | the roles as deterministic state machines: no socket, file, clock or thread |
//! | 2 | [`wire`] | datagrams: header, message, tag |
//! | 2 | [`storage`] | the acceptor's log and a replica's checkpoints on a disk |
//! | 2 | [`config`] | `paxos.conf` |
//! | 2 | [`service`] | what stands on the log: deterministic state machines, such as a key-value store |
//! | 2 | [`history`] | whether what clients were told could have happened one by one |
//! | 3 | [`daemon`] | the real world: sockets, timers, signals, standard input and output |
//! | 3 | [`gateway`] | doors for other programs: TCP services in front of [`service`] |
//! | 3 | [`embedded`] | a replica of any state machine inside of a program |
//! | 3 | [`sim`] | the other world: virtual time, a lossy network, crashing disks, and checkers |
//! | 3 | [`mod@bench`] | the measuring world: real processes beside what others built, and the bare machine |
//!
//! `protocol` imports nothing of ours; floor 2 imports only `protocol`; `daemon`,
//! `sim` and `bench` never import each other; `gateway` and `embedded` stand on `daemon`. `tests/tidy.rs` holds the rule. The executables in
//! `src/bin` join the floors: they read arguments and configuration, and run.

pub mod bench;
pub mod config;
pub mod daemon;
pub mod embedded;
pub mod gateway;
pub mod history;
pub mod protocol;
pub mod service;
pub mod sim;
pub mod storage;
pub mod wire;
