//! Every choice that chance makes in a run, so that it can be written down and made again.
//!
//! In a world without chance a datagram takes [`STEADY`], a sync as long, a
//! process reads all that waits, and nothing is lost. Whatever goes otherwise is
//! an [`Accident`], named after the process it happens to and counted there:
//! `p1/12` is the twelfth datagram that `p1` sends. A run writes its accidents
//! down when asked to; told the same accidents, and with all chance off, a
//! cluster takes the same course. So a failed run can be cut down, accident by
//! accident, to those that it takes.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::name::Name;

/// How long everything takes when chance is off.
pub const STEADY: Duration = Duration::from_micros(100);

/// One datagram on its way to one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Who sends it.
    pub from: Name,
    /// The sender's count of datagrams, from 1, over all its starts.
    pub number: u64,
    /// Who would hear it.
    pub to: Name,
}

/// Something a process does for the `number`th time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Act {
    /// Who does it.
    pub who: Name,
    /// Its count, from 1, over all its starts.
    pub number: u64,
}

/// Something that goes otherwise than in a world without chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accident {
    /// A datagram never arrives.
    Lost(Way),
    /// It takes so long.
    Late(Way, Duration),
    /// It arrives once more, so long after the first time.
    Repeated(Way, Duration),
    /// One of its bits is flipped, counted from its first and round its end.
    Damaged(Way, u64),
    /// A sync takes so long.
    SlowSync(Act, Duration),
    /// A sync fails.
    FailedSync(Act),
    /// A process takes only so many datagrams in one turn.
    ShortTurn(Act, u64),
    /// The disk answers a question only after so long.
    SlowLookup(Act, Duration),
    /// A process begins only so long after it should.
    LateStart(Name, Duration),
}

impl Accident {
    /// A word for all accidents of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Accident::Lost(_) => "lost",
            Accident::Late(..) => "late",
            Accident::Repeated(..) => "repeated",
            Accident::Damaged(..) => "damaged",
            Accident::SlowSync(..) => "slow sync",
            Accident::FailedSync(_) => "failed sync",
            Accident::ShortTurn(..) => "short turn",
            Accident::SlowLookup(..) => "slow lookup",
            Accident::LateStart(..) => "late start",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} to {}", self.from, self.number, self.to)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.who, self.number)
    }
}

/// What becomes of a datagram on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// Whether it is lost by chance.
    pub lost: bool,
    /// How long it takes.
    pub takes: Duration,
    /// How long after that it comes once more.
    pub again: Option<Duration>,
    /// The bit of it that is flipped.
    pub damaged: Option<u64>,
}

impl Course {
    /// What becomes of a datagram when chance is off.
    pub const STEADY: Course = Course {
        lost: false,
        takes: STEADY,
        again: None,
        damaged: None,
    };
}

/// What becomes of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    /// How long it takes.
    pub takes: Duration,
    /// Whether it fails.
    pub fails: bool,
}

/// The accidents of a run: those it was told, and those it writes down.
#[derive(Clone, Debug, Default)]
pub struct Chance {
    courses: BTreeMap<Way, Course>,
    syncs: BTreeMap<Act, Sync>,
    turns: BTreeMap<Act, u64>,
    lookups: BTreeMap<Act, Duration>,
    starts: BTreeMap<Name, Duration>,
    written: Option<Vec<Accident>>,
}

impl Chance {
    /// How many datagrams a process takes in a turn when chance is off.
    pub const TURN: u64 = 256;

    /// Chance that brings these accidents about, whatever else it does.
    pub fn told(accidents: &[Accident]) -> Chance {
        let steady = Sync {
            takes: STEADY,
            fails: false,
        };
        let mut chance = Chance::default();
        for &accident in accidents {
            match accident {
                Accident::Lost(way) => chance.course(way).lost = true,
                Accident::Late(way, takes) => chance.course(way).takes = takes,
                Accident::Repeated(way, after) => chance.course(way).again = Some(after),
                Accident::Damaged(way, bit) => chance.course(way).damaged = Some(bit),
                Accident::SlowSync(act, takes) => {
                    chance.syncs.entry(act).or_insert(steady).takes = takes;
                }
                Accident::FailedSync(act) => {
                    chance.syncs.entry(act).or_insert(steady).fails = true;
                }
                Accident::ShortTurn(act, takes) => {
                    chance.turns.insert(act, takes);
                }
                Accident::SlowLookup(act, takes) => {
                    chance.lookups.insert(act, takes);
                }
                Accident::LateStart(name, after) => {
                    chance.starts.insert(name, after);
                }
            }
        }
        chance
    }

    fn course(&mut self, way: Way) -> &mut Course {
        self.courses.entry(way).or_insert(Course::STEADY)
    }

    /// Writes the accidents down from now on.
    pub fn write_down(&mut self) {
        self.written.get_or_insert_default();
    }

    /// What was written down.
    pub fn written(&self) -> &[Accident] {
        self.written.as_deref().unwrap_or_default()
    }

    /// What becomes of a datagram: what was told, or else what `draw` says.
    pub fn passes(&mut self, way: Way, draw: impl FnOnce() -> Course) -> Course {
        let course = self.courses.get(&way).copied().unwrap_or_else(draw);
        if let Some(written) = &mut self.written {
            if course.lost {
                written.push(Accident::Lost(way));
            } else if course.takes != STEADY {
                written.push(Accident::Late(way, course.takes));
            }
            written.extend(course.again.map(|after| Accident::Repeated(way, after)));
            written.extend(course.damaged.map(|bit| Accident::Damaged(way, bit)));
        }
        course
    }

    /// What becomes of a sync.
    pub fn syncs(&mut self, act: Act, draw: impl FnOnce() -> Sync) -> Sync {
        let sync = self.syncs.get(&act).copied().unwrap_or_else(draw);
        if let Some(written) = &mut self.written {
            if sync.takes != STEADY {
                written.push(Accident::SlowSync(act, sync.takes));
            }
            if sync.fails {
                written.push(Accident::FailedSync(act));
            }
        }
        sync
    }

    /// A sync that was to fail does not.
    pub fn spare(&mut self, act: Act) {
        if let Some(written) = &mut self.written {
            written.retain(|accident| *accident != Accident::FailedSync(act));
        }
    }

    /// How many datagrams a turn takes at most.
    pub fn turns(&self, act: Act, draw: impl FnOnce() -> u64) -> u64 {
        self.turns.get(&act).copied().unwrap_or_else(draw)
    }

    /// A turn ended while more waited, after it had taken so many.
    pub fn cut_short(&mut self, act: Act, taken: u64) {
        if let Some(written) = &mut self.written {
            written.push(Accident::ShortTurn(act, taken));
        }
    }

    /// How long the disk takes to answer; nothing when it does so at once.
    pub fn looks_up(
        &mut self,
        act: Act,
        draw: impl FnOnce() -> Option<Duration>,
    ) -> Option<Duration> {
        let takes = self.lookups.get(&act).copied().or_else(draw);
        if let (Some(written), Some(takes)) = (&mut self.written, takes) {
            written.push(Accident::SlowLookup(act, takes));
        }
        takes
    }

    /// How long a process waits before it begins.
    pub fn starts(&mut self, who: Name, draw: impl FnOnce() -> Duration) -> Duration {
        let after = self.starts.get(&who).copied().unwrap_or_else(draw);
        if let Some(written) = &mut self.written
            && after > Duration::ZERO
        {
            written.push(Accident::LateStart(who, after));
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Role;

    #[test]
    fn what_was_told_happens_and_is_written_down_again() {
        let (p1, a1) = (Name::new(Role::Proposer, 1), Name::new(Role::Acceptor, 1));
        let way = |number| Way {
            from: p1,
            number,
            to: a1,
        };
        let act = |number| Act { who: a1, number };
        let second = Duration::from_secs(1);
        let told = [
            Accident::Lost(way(1)),
            Accident::Late(way(2), second),
            Accident::Repeated(way(2), second),
            Accident::Damaged(way(2), 9),
            Accident::SlowSync(act(1), second),
            Accident::FailedSync(act(1)),
            Accident::ShortTurn(act(2), 3),
            Accident::SlowLookup(act(1), second),
            Accident::LateStart(a1, second),
        ];
        let mut chance = Chance::told(&told);
        chance.write_down();
        for number in 1..=3 {
            chance.passes(way(number), || Course::STEADY);
        }
        let steady = || Sync {
            takes: STEADY,
            fails: false,
        };
        chance.syncs(act(1), steady);
        chance.syncs(act(2), steady);
        assert_eq!(chance.turns(act(1), || Chance::TURN), Chance::TURN);
        assert_eq!(chance.turns(act(2), || Chance::TURN), 3);
        chance.cut_short(act(2), 3);
        chance.looks_up(act(1), || None);
        chance.looks_up(act(2), || None);
        chance.starts(a1, || Duration::ZERO);
        chance.starts(p1, || Duration::ZERO);
        assert_eq!(chance.written(), told);
    }
}
