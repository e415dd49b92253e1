//! What is to be drawn of a run, before anybody thinks of pixels.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Title;
use super::clockwork::Clockwork;
use super::painter::{Painter, ballots, flight};
use super::wording::{finish_story, names};
use crate::protocol::{Role, Time};
use crate::sim::history::History;

/// A process's place in the picture.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The name that stands above it.
    pub name: String,
    /// What it does.
    pub role: Role,
}

/// A datagram with the arrows of all its copies.
#[derive(Clone, Debug)]
pub struct Fan {
    /// When it left.
    pub at: Time,
    /// The sender's lane.
    pub lane: usize,
    /// What kind of message it is; `foreign` when this cluster cannot read it.
    pub kind: &'static str,
    /// Which of the picture's ballots it is about.
    pub ballot: Option<usize>,
    /// What it says, in a few letters.
    pub label: String,
    /// What it says and what became of it.
    pub story: String,
    /// Its copies.
    pub arrows: Vec<Arrow>,
}

/// A copy of a datagram on its way to one receiver.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// Its number in the run.
    pub number: u64,
    /// The receiver's lane.
    pub lane: usize,
    /// Whether the network made this copy by itself.
    pub again: bool,
    /// How it ended.
    pub end: End,
    /// When it ended, or was last seen.
    pub until: Time,
    /// When it was taken out of the socket.
    pub heard: Option<Time>,
    /// The places of its sending and of its hearing in the order of the run.
    pub order: (usize, Option<usize>),
}

/// How the way of a copy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing is known yet: the run ended first.
    Underway,
    /// On the way, and why.
    Lost(&'static str),
    /// Before a full socket.
    Overflowed,
    /// At an address where nobody is.
    Missed,
    /// In a socket.
    Arrived,
    /// In a socket, with an error that made it worthless.
    Unreadable,
}

/// A stretch of a lane.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Which lane.
    pub lane: usize,
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// What it was then.
    pub state: State,
}

/// What a process is during a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It lives.
    Alive,
    /// It is stopped.
    Paused,
    /// It leads in this ballot of the picture.
    Leads(usize),
    /// It, an acceptor, serves no ballot below this one of the picture.
    Promised(usize),
}

/// Something that happened at one process, or several of a kind at one time.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Which lane.
    pub lane: usize,
    /// When.
    pub at: Time,
    /// What.
    pub kind: MarkKind,
    /// What stands beside it.
    pub label: String,
    /// The whole of it.
    pub story: String,
}

/// What a mark stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    /// The process began to run.
    Started,
    /// The process died.
    Died,
    /// Records were written.
    Wrote,
    /// Records became durable.
    Synced,
    /// A client submitted values.
    Submitted,
    /// A learner handed values on.
    Delivered,
    /// A client heard that values were delivered.
    Acknowledged,
    /// A client lost its session.
    Evicted,
    /// A proposer began to lead.
    Elected,
}

/// Something about the cluster, for the margin.
#[derive(Clone, Debug)]
pub struct Remark {
    /// When.
    pub at: Time,
    /// What.
    pub words: String,
    /// Whether a promise was broken.
    pub broken: bool,
}

/// All that is to be drawn of a run.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Processes, from left to right.
    pub lanes: Vec<Lane>,
    /// Ballots, ascending, by the names that tell them apart.
    pub ballots: Vec<String>,
    /// Datagrams, in the order in which they were sent.
    pub fans: Vec<Fan>,
    /// What the lanes were.
    pub stretches: Vec<Stretch>,
    /// What happened on them.
    pub marks: Vec<Mark>,
    /// What stands in the margin.
    pub remarks: Vec<Remark>,
    /// How many copies of each kind of message there were, and whether it is shown at first.
    pub kinds: BTreeMap<&'static str, (usize, bool)>,
    /// How long a datagram typically takes.
    pub flight: Duration,
    /// The moment at which the picture ends.
    pub ends: Time,
    /// What is missing, if anything is.
    pub shortfall: Option<String>,
}

/// Messages that say nothing but that somebody is there; shown at first only
/// where there is room.
const CHATTER: [&str; 6] = [
    "heartbeat",
    "alive",
    "following",
    "listening",
    "credit",
    "inquire",
];

/// More copies than this are a crowd.
const CROWD: usize = 150;

impl Picture {
    /// What is to be drawn of this history.
    pub fn new(history: &History, title: &Title) -> Picture {
        let mut order: Vec<usize> = (0..history.hosts().len()).collect();
        // From left to right as a value travels.
        order.sort_by_key(|&host| match history.hosts()[host].role {
            Role::Client => 0,
            Role::Proposer => 1,
            Role::Acceptor => 2,
            Role::Learner => 3,
        });
        let mut place = vec![0; order.len()];
        for (lane, &host) in order.iter().enumerate() {
            place[host] = lane;
        }
        let mut painter = Painter {
            history,
            place,
            ballots: ballots(history),
            flight: flight(history),
            fans: BTreeMap::new(),
            marks: Vec::new(),
            remarks: Vec::new(),
        };
        for (number, entry) in history.entries().enumerate() {
            painter.take(number, entry);
        }
        let mut ends = history.ended();
        if let Some((at, words)) = &title.violation {
            ends = ends.max(*at);
            painter.remarks.push(Remark {
                at: *at,
                words: words.clone(),
                broken: true,
            });
            painter.remarks.sort_by_key(|remark| remark.at);
        }
        let stretches = painter.stretches(ends);
        let mut fans: Vec<Fan> = painter.fans.into_values().collect();
        let mut kinds: BTreeMap<&'static str, (usize, bool)> = BTreeMap::new();
        for fan in &mut fans {
            finish_story(fan, history, &order);
            kinds.entry(fan.kind).or_insert((0, true)).0 += fan.arrows.len();
        }
        let crowd = kinds.values().map(|(copies, _)| copies).sum::<usize>() > CROWD;
        for (kind, (_, shown)) in &mut kinds {
            *shown = !(crowd && CHATTER.contains(kind));
        }
        Picture {
            lanes: order
                .iter()
                .map(|&host| Lane {
                    name: history.hosts()[host].name.clone(),
                    role: history.hosts()[host].role,
                })
                .collect(),
            ballots: names(&painter.ballots),
            fans,
            stretches,
            marks: painter.marks,
            remarks: painter.remarks,
            kinds,
            flight: painter.flight,
            ends,
            shortfall: history.shortfall(),
        }
    }

    /// Whether messages of a kind are shown at first.
    pub fn shows(&self, kind: &str) -> bool {
        self.kinds.get(kind).is_none_or(|(_, shown)| *shown)
    }

    /// The heights of all that is shown at first.
    pub fn clockwork(&self) -> Clockwork {
        let mut moments: Vec<Time> = Vec::new();
        for fan in self.fans.iter().filter(|fan| self.shows(fan.kind)) {
            moments.push(fan.at);
            for arrow in &fan.arrows {
                moments.push(arrow.until);
                moments.extend(arrow.heard);
            }
        }
        moments.extend(self.stretches.iter().flat_map(|s| [s.from, s.until]));
        moments.extend(self.marks.iter().map(|mark| mark.at));
        moments.extend(self.remarks.iter().map(|remark| remark.at));
        Clockwork::new(moments, self.flight)
    }
}
