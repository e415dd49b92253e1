//! Lookups against a naive model, and what they cost.

use std::collections::BTreeMap;

use paxcast::protocol::{Address, Found, Instance, Lookup, Purpose, Record, Role, Span, Vote};
use paxcast::storage::log::Log;
use paxcast::storage::memory::MemoryDisk;
use proptest::prelude::*;

use super::{disk, open, promised, vote};

fn span(from: u64, through: u64) -> Span {
    Span {
        from: Instance(from),
        through: Instance(through),
    }
}

/// Asks for everything in a range.
pub(crate) fn all(range: std::ops::RangeInclusive<u64>, bytes: usize) -> Lookup {
    Lookup {
        purpose: Purpose::Votes {
            to: Address::Group(Role::Learner),
        },
        spans: vec![span(*range.start(), *range.end())],
        bytes,
    }
}

fn ask(log: &mut Log<&mut MemoryDisk>, spans: &[Span], bytes: usize) -> Found {
    let lookup = Lookup {
        spans: spans.to_vec(),
        ..all(0..=0, bytes)
    };
    let found = log.lookup(lookup.clone()).unwrap();
    assert_eq!(found.lookup, lookup);
    found
}

/// The model: the newest vote of each instance.
fn expected(votes: &[Vote], spans: &[Span]) -> Vec<Vote> {
    let newest: BTreeMap<Instance, &Vote> = votes.iter().map(|v| (v.instance, v)).collect();
    let asked = |at: Instance| spans.iter().any(|s| s.from <= at && at <= s.through);
    let asked = newest.into_iter().filter(|(at, _)| asked(*at));
    asked.map(|(_, vote)| vote.clone()).collect()
}

#[derive(Clone, Debug)]
struct Case {
    /// Instance and length of each vote.
    votes: Vec<(u64, usize)>,
    /// After how many votes there is a sync; the rest stays in memory.
    sync_every: usize,
    reopen: bool,
    /// Lengths of gaps and spans in turn.
    spans: Vec<(u64, u64)>,
    bytes: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let ascending = prop::collection::vec((0..4u64, 0..300usize), 1..120).prop_map(|steps| {
        let mut at = 0;
        let advance = |(step, length)| {
            at += step;
            (at, length)
        };
        steps.into_iter().map(advance).collect::<Vec<_>>()
    });
    let anyhow = prop::collection::vec((0..60u64, 0..300usize), 1..120);
    (
        prop_oneof![ascending, anyhow],
        1..40usize,
        any::<bool>(),
        prop::collection::vec((0..20u64, 1..40u64), 1..5),
        prop_oneof![Just(0), 1..2000usize, Just(1_000_000)],
    )
        .prop_map(|(votes, sync_every, reopen, spans, bytes)| Case {
            votes,
            sync_every,
            reopen,
            spans,
            bytes,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Segments are short and each has a block of its own.
    #[test]
    fn finds_what_a_naive_search_finds(case in case()) {
        let mut disk = disk(2048);
        let (mut log, _) = open(&mut disk).unwrap();
        let mut votes = Vec::new();
        for (number, &(instance, length)) in case.votes.iter().enumerate() {
            let vote = vote(instance, number as u64, vec![number as u8; length]);
            log.append(&Record::Voted { vote: vote.clone() }).unwrap();
            log.append(&promised(number as u64)).unwrap();
            votes.push(vote);
            if (number + 1) % case.sync_every == 0 {
                log.sync().unwrap();
            }
        }
        if case.reopen {
            log.sync().unwrap();
            log = open(&mut disk).unwrap().0;
        }
        let mut spans = Vec::new();
        let mut at = 0;
        for &(gap, length) in &case.spans {
            spans.push(span(at + gap, at + gap + length - 1));
            at += gap + length;
        }
        let expected = expected(&votes, &spans);
        // Page through all of it, as a learner does.
        let mut told: Vec<Vote> = Vec::new();
        let last = spans.last().unwrap().through;
        loop {
            let found = ask(&mut log, &spans, case.bytes);
            let bytes: usize = found.votes.iter().map(|vote| vote.value.len()).sum();
            prop_assert!(bytes <= case.bytes || found.votes.len() == 1);
            prop_assert!(found.votes.iter().all(|vote| vote.instance <= found.through));
            let (asked, through) = (spans[0].from, found.through);
            prop_assert!(through >= asked, "no progress");
            told.extend(found.votes);
            let complete = expected.iter().filter(|vote| vote.instance <= through).count();
            prop_assert_eq!(&told[..], &expected[..complete]);
            if through == last {
                break;
            }
            spans.retain(|span| span.through > through);
            spans[0].from = spans[0].from.max(through.next());
        }
        prop_assert_eq!(told, expected);
    }
}

#[test]
fn an_answer_has_a_vote_even_if_it_is_too_large_and_stops_behind_it() {
    let mut disk = disk(1 << 16);
    let (mut log, _) = open(&mut disk).unwrap();
    for instance in [3, 4] {
        let vote = vote(instance, 1, vec![1; 1000]);
        log.append(&Record::Voted { vote }).unwrap();
    }
    let found = ask(&mut log, &[span(1, 10)], 10);
    assert_eq!((found.votes.len(), found.through), (1, Instance(3)));
    let found = ask(&mut log, &[span(5, u64::MAX)], 10);
    assert_eq!((found.votes.len(), found.through), (0, Instance(u64::MAX)));
    let found = ask(&mut log, &[], 10);
    assert_eq!((found.votes.len(), found.through), (0, Instance::ZERO));
}

#[test]
fn no_ops_do_not_make_an_answer_endless() {
    let mut disk = disk(1 << 20);
    let (mut log, _) = open(&mut disk).unwrap();
    for instance in 1..=5000 {
        let vote = vote(instance, 1, vec![]);
        log.append(&Record::Voted { vote }).unwrap();
    }
    let found = ask(&mut log, &[span(1, 5000)], 0);
    assert_eq!((found.votes.len(), found.through), (4096, Instance(4096)));
}

/// Bulk catch-up in small pages, with an early instance voted for again at the
/// end: every block is read about once.
#[test]
fn paging_through_the_log_costs_what_it_returns() {
    let mut disk = disk(1 << 20);
    let (mut log, _) = open(&mut disk).unwrap();
    let count = 8000;
    for instance in 1..=count {
        let vote = vote(instance, 1, vec![instance as u8; 1000]);
        log.append(&Record::Voted { vote }).unwrap();
        if instance % 100 == 0 {
            log.sync().unwrap();
        }
    }
    let again = vote(2, 2, vec![9; 10]);
    log.append(&Record::Voted {
        vote: again.clone(),
    })
    .unwrap();
    log.sync().unwrap();
    let before = log.disk_mut().bytes_read();
    let mut next = 1;
    let mut told = Vec::new();
    while next <= count {
        let found = ask(&mut log, &[span(next, count)], 1400);
        next = found.through.0 + 1;
        told.extend(found.votes);
    }
    assert_eq!(told.len() as u64, count);
    assert_eq!(told[1], again);
    let read = log.disk_mut().bytes_read() - before;
    let held = count * 1056;
    assert!(read < held + held / 5, "{read} bytes read of {held}");
}
