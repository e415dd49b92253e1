//! Misfortune on demand: `--faults drop=0.1,dup=0.01,delay=1..50ms,seed=7`.
//!
//! Datagrams are lost, doubled and delayed where they are *received*, so every
//! receiver has its own luck, as on a real network. (A firewall rule on one host
//! decides once for all receivers of a multicast datagram, which tests the one
//! case that hardly occurs.) The seed is mixed with the role and the id: one
//! option given to all processes makes each of them unlucky in its own,
//! repeatable way.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddrV4;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::protocol::{ProcessId, Time};
use crate::wire;

/// Which misfortunes are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// The part of the datagrams that is lost, from 0 to 1.
    pub drop: f64,
    /// The part of the rest that arrives twice, from 0 to 1.
    pub duplicate: f64,
    /// Every datagram is held up for a time between these two.
    pub delay: Option<(Duration, Duration)>,
    /// Only the messages of this phase of the protocol are lost, doubled and held up.
    pub phase: Option<Phase>,
    /// The how manieth sync of an acceptor's log fails, from 1.
    pub sync_fail: Option<u64>,
    /// Where the dice start; drawn anew when it is not given.
    pub seed: Option<u64>,
}

/// The messages of one phase of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// 1a and 1b: who leads, and what was voted for before.
    Prepare,
    /// 2a: what is to be voted for.
    Accept,
    /// 2b: what was, by which everybody learns what is decided.
    Commit,
}

impl Phase {
    const ALL: [(Phase, &str); 3] = [
        (Phase::Prepare, "prepare"),
        (Phase::Accept, "accept"),
        (Phase::Commit, "commit"),
    ];

    /// Whether a datagram is of this phase.
    fn has(self, datagram: &[u8]) -> bool {
        let phase = match wire::variant(datagram) {
            Some(5 | 6) => Phase::Prepare,
            Some(9) => Phase::Accept,
            Some(10) => Phase::Commit,
            _ => return false,
        };
        phase == self
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Faults, String> {
        let mut faults = Faults::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` lacks a value; write it as {EXAMPLE}"))?;
            match key {
                "drop" => faults.drop = probability(key, value)?,
                "dup" => faults.duplicate = probability(key, value)?,
                "delay" => faults.delay = Some(span(value)?),
                "phase" => {
                    let named = Phase::ALL.iter().find(|(_, name)| *name == value);
                    let (phase, _) = named.ok_or_else(|| {
                        format!("`phase={value}`: there are prepare, accept and commit")
                    })?;
                    faults.phase = Some(*phase);
                }
                "sync-fail" => faults.sync_fail = Some(ordinal(key, value)?),
                "seed" => faults.seed = Some(number(key, value)?),
                _ => {
                    return Err(format!(
                        "unknown fault `{key}`; there are drop, dup, delay, phase, sync-fail and seed, as in {EXAMPLE}"
                    ));
                }
            }
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drop={},dup={}", self.drop, self.duplicate)?;
        if let Some((least, most)) = self.delay {
            write!(f, ",delay={}..{}us", least.as_micros(), most.as_micros())?;
        }
        let named = Phase::ALL
            .iter()
            .find(|(phase, _)| Some(*phase) == self.phase);
        if let Some((_, name)) = named {
            write!(f, ",phase={name}")?;
        }
        if let Some(sync) = self.sync_fail {
            write!(f, ",sync-fail={sync}")?;
        }
        if let Some(seed) = self.seed {
            write!(f, ",seed={seed}")?;
        }
        Ok(())
    }
}

const EXAMPLE: &str = "drop=0.1,dup=0.01,delay=1..50ms,phase=accept,sync-fail=1000,seed=7";

fn probability(key: &str, value: &str) -> Result<f64, String> {
    match value.parse::<f64>() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err(format!("`{key}={value}`: a part from 0 to 1 is wanted")),
    }
}

fn number(key: &str, value: &str) -> Result<u64, String> {
    value
        .parse()
        .map_err(|_| format!("`{key}={value}`: a whole number is wanted"))
}

fn ordinal(key: &str, value: &str) -> Result<u64, String> {
    match number(key, value)? {
        0 => Err(format!("`{key}=0`: counting starts at 1")),
        n => Ok(n),
    }
}

/// `5ms`, or `1..50ms` where the unit holds for both ends.
fn span(value: &str) -> Result<(Duration, Duration), String> {
    let wrong = || format!("`delay={value}`: a time or a range is wanted, such as 5ms or 1..50ms");
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &value[digits.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        _ => return Err(wrong()),
    };
    let time = |text: &str| {
        let number = text.parse::<f64>().map_err(|_| wrong())?;
        match Duration::try_from_secs_f64(number * unit) {
            Ok(time) if time <= Injector::LONGEST => Ok(time),
            _ => Err(format!(
                "`delay={value}`: at most {} s can be asked for",
                Injector::LONGEST.as_secs()
            )),
        }
    };
    let (least, most) = match digits.split_once("..") {
        Some((least, most)) => (time(least)?, time(most)?),
        None => (time(digits)?, time(digits)?),
    };
    if least > most {
        return Err(format!("`delay={value}`: the range is upside down"));
    }
    Ok((least, most))
}

/// A datagram and where it came from.
pub type Arrival = (Bytes, SocketAddrV4);

/// Deals out the misfortunes, from a seed.
#[derive(Debug)]
pub struct Injector {
    faults: Faults,
    dice: Xoshiro256PlusPlus,
    held: BTreeMap<(Time, u64), Arrival>,
    count: u64,
}

/// What became of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives now, this often.
    Now(u32),
    /// It is lost.
    Lost,
    /// It arrives later, see [`Injector::due`].
    Held,
}

impl Injector {
    /// How many datagrams can be on hold; the next one is lost.
    const MOST: usize = 65_536;

    /// The longest delay that can be asked for.
    const LONGEST: Duration = Duration::from_secs(60);

    /// An injector for this process.
    pub fn new(faults: Faults, me: ProcessId) -> Injector {
        let seed = faults.seed.unwrap_or(me.incarnation);
        let own = (me.role as u64 + 1) << 32 | u64::from(me.id);
        Injector {
            faults,
            dice: Xoshiro256PlusPlus::seed_from_u64(seed ^ own.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            held: BTreeMap::new(),
            count: 0,
        }
    }

    /// Decides about one datagram.
    pub fn admit(&mut self, now: Time, arrival: &Arrival) -> Fate {
        let spared = |phase: &Phase| !phase.has(&arrival.0);
        if self.faults.phase.as_ref().is_some_and(spared) {
            return Fate::Now(1);
        }
        if self.strikes(self.faults.drop) {
            return Fate::Lost;
        }
        let copies = 1 + u32::from(self.strikes(self.faults.duplicate));
        let Some((least, most)) = self.faults.delay else {
            return Fate::Now(copies);
        };
        if self.held.len() >= Self::MOST {
            return Fate::Lost;
        }
        for _ in 0..copies {
            let delay = least + (most - least).mul_f64(self.roll());
            self.count += 1;
            let key = (now + delay, self.count);
            self.held.insert(key, arrival.clone());
        }
        Fate::Held
    }

    /// Takes a datagram whose time has come.
    pub fn due(&mut self, now: Time) -> Option<Arrival> {
        let first = self.held.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next datagram is due.
    pub fn next_timeout(&self) -> Option<Time> {
        self.held.first_key_value().map(|((at, _), _)| *at)
    }

    /// Draws only where there is a chance, so that adding one kind of fault
    /// leaves the luck of the others as it was with that kind at zero.
    fn strikes(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.roll() < probability
    }

    /// From 0 up to, not including, 1.
    fn roll(&mut self) -> f64 {
        (self.dice.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use bytes::BytesMut;

    use super::*;
    use crate::protocol::{Ballot, Instance, Message, Payload, Role, Watermark};
    use crate::wire::Scope;

    fn me(id: u16) -> ProcessId {
        ProcessId {
            role: Role::Acceptor,
            id,
            incarnation: 1,
        }
    }

    fn datagram() -> Arrival {
        (
            Bytes::from_static(b"x"),
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1),
        )
    }

    #[test]
    fn the_option_is_read_and_printed() {
        let text = "drop=0.1,dup=0.01,delay=1..50ms,phase=accept,sync-fail=1000,seed=7";
        let faults: Faults = text.parse().unwrap();
        assert_eq!(faults.drop, 0.1);
        assert_eq!(faults.duplicate, 0.01);
        let milli = Duration::from_millis;
        assert_eq!(faults.delay, Some((milli(1), milli(50))));
        assert_eq!(faults.phase, Some(Phase::Accept));
        assert_eq!(faults.sync_fail, Some(1000));
        assert_eq!(faults.seed, Some(7));
        assert_eq!(faults.to_string().parse::<Faults>().unwrap(), faults);
        let fixed: Faults = "delay=0.5s".parse().unwrap();
        assert_eq!(fixed.delay, Some((milli(500), milli(500))));
    }

    #[test]
    fn nonsense_is_refused_with_what_was_wanted() {
        for (text, part) in [
            ("drop", "lacks a value"),
            ("drop=2", "from 0 to 1"),
            ("drop=NaN", "from 0 to 1"),
            ("delay=5..1ms", "upside down"),
            ("delay=5parsec", "a time or a range"),
            ("delay=1e30s", "at most 60 s"),
            ("phase=2", "prepare, accept and commit"),
            ("sync-fail=0", "starts at 1"),
            ("seed=x", "whole number"),
            ("dorp=0.1", "unknown fault `dorp`"),
        ] {
            let error = text.parse::<Faults>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_phase_is_struck_and_the_others_are_spared() {
        let ballot = Ballot {
            round: 3,
            proposer: 1,
            incarnation: 9,
        };
        let instance = Instance(1);
        let scope = Scope {
            cluster: 1,
            config: 2,
        };
        let prepare = Some(Phase::Prepare);
        for (message, phase) in [
            (
                Message::Prepare {
                    ballot,
                    from: instance,
                    through: None,
                },
                prepare,
            ),
            (
                Message::Promise {
                    ballot,
                    from: instance,
                    through: None,
                    watermark: Watermark::default(),
                    votes: Vec::new(),
                },
                prepare,
            ),
            (
                Message::Accept {
                    ballot,
                    decided: Instance::ZERO,
                    instance,
                    value: Payload::new(Bytes::new()),
                },
                Some(Phase::Accept),
            ),
            (
                Message::Accepted {
                    ballot,
                    instances: Vec::new(),
                },
                Some(Phase::Commit),
            ),
            (
                Message::Heartbeat {
                    ballot,
                    decided: Instance::ZERO,
                },
                None,
            ),
        ] {
            let mut buffer = BytesMut::new();
            wire::encode(&scope, me(1), 1, &message, &mut buffer);
            let arrival = (buffer.freeze(), datagram().1);
            for (struck, name) in Phase::ALL {
                let faults: Faults = format!("drop=1,phase={name}").parse().unwrap();
                let fate = Injector::new(faults, me(1)).admit(Time(0), &arrival);
                let expected = if phase == Some(struck) {
                    Fate::Lost
                } else {
                    Fate::Now(1)
                };
                assert_eq!(fate, expected, "{message:?}");
            }
        }
    }

    #[test]
    fn one_seed_gives_one_fate_and_each_process_its_own() {
        let faults: Faults = "drop=0.3,dup=0.1,seed=7".parse().unwrap();
        let fates = |id| {
            let mut injector = Injector::new(faults.clone(), me(id));
            (0..10_000)
                .map(|_| injector.admit(Time(0), &datagram()))
                .collect::<Vec<_>>()
        };
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
        let share = |fate: Fate| fates(1).iter().filter(|f| **f == fate).count();
        assert!((2_800..3_200).contains(&share(Fate::Lost)));
        assert!((600..800).contains(&share(Fate::Now(2))));
    }

    #[test]
    fn held_datagrams_come_in_the_order_of_their_time() {
        let faults: Faults = "delay=1..50ms,seed=3".parse().unwrap();
        let mut injector = Injector::new(faults, me(1));
        for _ in 0..100 {
            assert_eq!(injector.admit(Time(0), &datagram()), Fate::Held);
        }
        assert!(injector.due(Time(999_999)).is_none());
        let mut arrived = 0;
        let mut last = Time(0);
        while let Some(at) = injector.next_timeout() {
            assert!(at >= last && at <= Time(50_000_000));
            assert!(injector.due(at).is_some());
            last = at;
            arrived += 1;
        }
        assert_eq!(arrived, 100);
    }
}
