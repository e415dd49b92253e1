//! The chain of processes without logic carries what it is given, and loses nothing.

use std::path::PathBuf;
use std::time::Duration;

use paxcast::bench::chain::{Packing, Shape};
use paxcast::bench::{Chain, Contestant, Excuse, Load, Outcome, Pace};

fn load(bytes: usize, pace: Pace) -> Load {
    Load {
        bytes,
        clients: 2,
        pace,
        duration: Duration::from_millis(200),
        durable: false,
    }
}

fn chain(shape: Shape, packing: Packing) -> Chain {
    let executable = PathBuf::from(env!("CARGO_BIN_EXE_paxcast"));
    let mut chain = Chain::new(shape).packing(packing).executable(executable);
    chain
        .prepare(std::env::temp_dir())
        .expect("its processes start");
    chain
}

fn carries(chain: &mut Chain, load: &Load) -> Outcome {
    let outcome = chain.measure(load).expect("nothing is lost");
    assert!(
        outcome.values > 0,
        "{load:?}: nothing in {} s",
        outcome.seconds
    );
    assert!(outcome.seconds >= load.duration.as_secs_f64());
    assert_eq!(outcome.drops, Some(0), "{load:?}");
    assert!(outcome.processor.is_some());
    // Those who count are not the same, and neither do they begin and end at
    // the same moment: yet values and latencies are of one run.
    let timed = outcome.latencies.len();
    assert!(timed >= outcome.values / 2, "{load:?}: {timed} timed");
    outcome
}

#[test]
fn every_shape_carries_every_size() {
    for shape in [Shape::Full, Shape::Acks] {
        let mut chain = chain(shape, Packing::Datagrams(Chain::DATAGRAM));
        for bytes in [64, 8 << 10, 60_000, 1 << 20] {
            carries(&mut chain, &load(bytes, Pace::Outstanding(256)));
        }
    }
}

#[test]
fn values_of_their_own_datagrams_travel_in_trains_and_cut_ones_arrive() {
    for packing in [Packing::Single, Packing::Datagrams(1_472)] {
        let mut chain = chain(Shape::Acks, packing);
        for bytes in [64, 8 << 10] {
            carries(&mut chain, &load(bytes, Pace::Outstanding(4_096)));
        }
    }
}

#[test]
fn one_at_a_time_and_at_a_given_pace_values_are_timed_one_by_one() {
    let mut chain = chain(Shape::Acks, Packing::Single);
    let outcome = carries(&mut chain, &load(64, Pace::Outstanding(1)));
    assert!(outcome.latencies.min() >= 1_000, "not even a system call");
    let outcome = carries(&mut chain, &load(64, Pace::Rate(500.0)));
    let most = 2.0 * 500.0 * (outcome.seconds + 0.1) + 2.0;
    assert!(
        (outcome.values as f64) < most,
        "{} values are more than were due",
        outcome.values
    );
}

#[test]
fn two_chains_do_not_meet() {
    let mut chains = [Shape::Acks, Shape::Full].map(|shape| chain(shape, Packing::Single));
    for chain in &mut chains {
        carries(chain, &load(64, Pace::Outstanding(16)));
    }
    let (one, other) = {
        let [one, other] = &mut chains;
        std::thread::scope(|scope| {
            let load = load(64, Pace::Outstanding(16));
            let one = scope.spawn(move || carries(one, &load));
            let other = carries(other, &load);
            (one.join().expect("it carries its own"), other)
        })
    };
    assert!(one.values > 0 && other.values > 0);
}

#[test]
fn what_it_cannot_do_it_says() {
    let mut chain = chain(Shape::Acks, Packing::Single);
    let durable = Load {
        durable: true,
        ..load(64, Pace::Outstanding(1))
    };
    assert!(matches!(chain.measure(&durable), Err(Excuse::Absent(_))));
}
