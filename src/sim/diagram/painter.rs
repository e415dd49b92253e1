//! From what happened to what is to be drawn: a walk through a history.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::picture::{Arrow, End, Fan, Mark, MarkKind, Remark, State, Stretch};
use super::wording::{label, letters, names, record_words, values};
use crate::protocol::{Ballot, Message, Role, Time};
use crate::sim::history::{self, Entry, Event, History, Parcel, Sent, Standing};
use crate::sim::trace::describe;

/// A picture that is being painted.
pub struct Painter<'a> {
    /// What happened.
    pub history: &'a History,
    /// The lane of each host.
    pub place: Vec<usize>,
    /// The ballots of the picture, ascending.
    pub ballots: Vec<Ballot>,
    /// How long a datagram typically takes.
    pub flight: Duration,
    /// Datagrams, by their number.
    pub fans: BTreeMap<u64, Fan>,
    /// What happened at processes.
    pub marks: Vec<Mark>,
    /// What is said about the cluster.
    pub remarks: Vec<Remark>,
}

impl Painter<'_> {
    /// Takes in one event, the `number`th of the history.
    pub fn take(&mut self, number: usize, entry: &Entry) {
        let at = entry.at;
        let Some(host) = entry.host else {
            self.remark(at, &entry.event);
            return;
        };
        let lane = self.place[host];
        let mut mark = |kind, label: String, story: String| {
            self.marks.push(Mark {
                lane,
                at,
                kind,
                label,
                story,
            });
        };
        match &entry.event {
            Event::Sent(sent) => {
                let fan = self.fan(sent);
                self.fans.insert(sent.number, fan);
            }
            Event::Left(parcel) => self.leave(number, parcel),
            Event::Lost(parcel, how) => {
                // Nobody knows where it was lost; half-way is as good as any place.
                self.end(parcel, parcel.sent.at + self.flight / 2, End::Lost(how));
            }
            Event::Overflowed(parcel) => self.end(parcel, at, End::Overflowed),
            Event::Missed(parcel) => self.end(parcel, at, End::Missed),
            Event::Arrived(parcel) => self.end(parcel, at, End::Arrived),
            Event::Heard(parcel, reject) => {
                if let Some(arrow) = self.arrow(parcel) {
                    arrow.heard = Some(at);
                    arrow.order.1 = reject.is_none().then_some(number);
                    if reject.is_some() {
                        arrow.end = End::Unreadable;
                    }
                }
            }
            Event::Started => mark(MarkKind::Started, String::new(), "starts".into()),
            Event::Died => mark(MarkKind::Died, "died".into(), "dies".into()),
            Event::Recovered { records, lost, .. } => {
                let label = match lost {
                    0 => String::new(),
                    lost => format!("unsynced records lost: {lost}"),
                };
                let story = format!("finds {records} records on its disk, {lost} are lost");
                mark(MarkKind::Started, label, story);
            }
            Event::Wrote(record) => mark(MarkKind::Wrote, String::new(), record_words(record)),
            Event::Synced(records) => {
                let plural = if *records == 1 { "" } else { "s" };
                let story = format!("{records} record{plural} synced");
                mark(MarkKind::Synced, String::new(), story);
            }
            Event::Submitted(value) => {
                let story = format!("submits {}", letters(value, 200));
                mark(MarkKind::Submitted, letters(value, 14), story);
            }
            Event::Delivered(position, delivered) => {
                let value = letters(&delivered.value, 14);
                let story = format!(
                    "delivers {position}: {} of {} {} at {}",
                    letters(&delivered.value, 200),
                    delivered.session,
                    delivered.number,
                    delivered.instance
                );
                mark(MarkKind::Delivered, format!("{position} {value}"), story);
            }
            Event::Acknowledged(values) => {
                let story = format!("knows {values} more delivered");
                mark(MarkKind::Acknowledged, format!("+{values}"), story);
            }
            Event::Evicted(lost) => {
                let story = format!("is evicted, the outcome of {lost} is unknown");
                mark(MarkKind::Evicted, "evicted".into(), story);
            }
            Event::Elected(ballot) => {
                let name = names(&self.ballots)[self.ballot(*ballot)].clone();
                self.marks.push(Mark {
                    lane,
                    at,
                    kind: MarkKind::Elected,
                    label: format!("leads {name}"),
                    story: format!("leads {name}"),
                });
            }
            // Drawn as stretches.
            Event::Deposed(_) | Event::Paused | Event::Resumed => {}
            Event::Cut(_) | Event::Mended(_) | Event::Note(_) => {}
        }
    }

    /// Something about the cluster.
    fn remark(&mut self, at: Time, event: &Event) {
        let paths = |paths: &[(usize, usize)]| {
            const MOST: usize = 4;
            let hosts = self.history.hosts();
            let mut words: Vec<String> = paths
                .iter()
                .take(MOST)
                .map(|(from, to)| format!("{}→{}", hosts[*from].name, hosts[*to].name))
                .collect();
            if paths.len() > MOST {
                words.push(format!("and {} more", paths.len() - MOST));
            }
            words.join(" ")
        };
        let words = match event {
            Event::Note(note) => note.clone(),
            Event::Cut(cut) => format!("cut: {}", paths(cut)),
            Event::Mended(mended) => format!("mended: {}", paths(mended)),
            _ => return,
        };
        self.remarks.push(Remark {
            at,
            words,
            broken: false,
        });
    }

    /// A datagram without its arrows.
    fn fan(&self, sent: &Sent) -> Fan {
        let from = &self.history.hosts()[sent.from].name;
        let (kind, ballot, label, said) = match self.history.read(sent) {
            Ok(datagram) => {
                let message = &datagram.message;
                let ballot = ballot_of(message).map(|ballot| self.ballot(ballot));
                let mut said = describe(message);
                for value in values(message) {
                    write!(said, "\n  {value}").expect("writing to memory cannot fail");
                }
                (message.name(), ballot, label(message), said)
            }
            Err(reject) => ("foreign", None, "foreign".into(), reject.to_string()),
        };
        Fan {
            at: sent.at,
            lane: self.place[sent.from],
            kind,
            ballot,
            label,
            story: format!(
                "{said}\n{from} → {}, datagram {}, {} bytes, sent at {}",
                sent.to,
                sent.number,
                sent.bytes.len(),
                sent.at
            ),
            arrows: Vec::new(),
        }
    }

    /// A copy leaves; its datagram may have been left out of what is kept.
    fn leave(&mut self, order: usize, parcel: &Arc<Parcel>) {
        let lane = self.place[parcel.to];
        let until = self.history.ended();
        if let Some(fan) = self.fans.get_mut(&parcel.sent.number) {
            fan.arrows.push(Arrow {
                number: parcel.number,
                lane,
                again: parcel.again,
                end: End::Underway,
                until,
                heard: None,
                order: (order, None),
            });
        }
    }

    /// The arrow of a copy.
    fn arrow(&mut self, parcel: &Arc<Parcel>) -> Option<&mut Arrow> {
        let fan = self.fans.get_mut(&parcel.sent.number)?;
        let number = parcel.number;
        fan.arrows.iter_mut().find(|arrow| arrow.number == number)
    }

    /// A copy's way ends.
    fn end(&mut self, parcel: &Arc<Parcel>, until: Time, end: End) {
        if let Some(arrow) = self.arrow(parcel) {
            arrow.until = until;
            arrow.end = end;
        }
    }

    /// What each lane was, and when.
    pub fn stretches(&self, ends: Time) -> Vec<Stretch> {
        let mut begins: Vec<Time> = Vec::new();
        let first = self.history.entries().next().map_or(ends, |entry| entry.at);
        begins.resize(self.place.len(), first);
        let mut standing: Vec<Standing> = self
            .history
            .hosts()
            .iter()
            .map(|host| host.opening)
            .collect();
        let mut stretches = Vec::new();
        let mut close = |host: usize, was: &Standing, from: Time, until: Time| {
            for state in self.states(host, was) {
                stretches.push(Stretch {
                    lane: self.place[host],
                    from,
                    until,
                    state,
                });
            }
        };
        for entry in self.history.entries() {
            let Some(host) = entry.host else {
                continue;
            };
            let was = standing[host];
            standing[host].follow(&entry.event);
            if standing[host] != was {
                if entry.at > begins[host] {
                    close(host, &was, begins[host], entry.at);
                }
                begins[host] = entry.at;
            }
        }
        for (host, was) in standing.iter().enumerate() {
            close(host, was, begins[host], ends);
        }
        stretches
    }

    /// What a standing looks like.
    fn states(&self, host: usize, standing: &Standing) -> Vec<State> {
        if !standing.alive {
            return Vec::new();
        }
        let mut states = vec![State::Alive];
        if self.history.hosts()[host].role == Role::Acceptor {
            let promised = standing.promised.map(|ballot| self.ballot(ballot));
            states.extend(promised.map(State::Promised));
        }
        let leads = standing.leads.map(|ballot| self.ballot(ballot));
        states.extend(leads.map(State::Leads));
        if standing.paused {
            states.push(State::Paused);
        }
        states
    }

    /// The place of a ballot among those of the picture.
    fn ballot(&self, ballot: Ballot) -> usize {
        self.ballots.binary_search(&ballot).unwrap_or(0)
    }
}

/// Every ballot that anybody asked for, led in or promised, ascending.
pub fn ballots(history: &History) -> Vec<Ballot> {
    let mut ballots: Vec<Ballot> = Vec::new();
    for host in history.hosts() {
        ballots.extend(host.opening.leads);
        ballots.extend(host.opening.promised);
    }
    for entry in history.entries() {
        match &entry.event {
            Event::Sent(sent) => {
                if let Ok(datagram) = history.read(sent) {
                    ballots.extend(ballot_of(&datagram.message));
                }
            }
            Event::Wrote(record) => ballots.extend(history::promise(record)),
            Event::Recovered { promised, .. } => ballots.extend(*promised),
            Event::Elected(ballot) => ballots.push(*ballot),
            _ => {}
        }
    }
    ballots.sort_unstable();
    ballots.dedup();
    ballots
}

/// How long the median datagram takes.
pub fn flight(history: &History) -> Duration {
    let mut flights: Vec<Duration> = history
        .entries()
        .filter_map(|entry| match &entry.event {
            Event::Arrived(parcel) if !parcel.again => Some(entry.at.since(parcel.sent.at)),
            _ => None,
        })
        .collect();
    flights.sort_unstable();
    let middle = flights.get(flights.len() / 2);
    middle.copied().unwrap_or(Duration::from_micros(100))
}

/// The ballot that a message is about.
fn ballot_of(message: &Message) -> Option<Ballot> {
    match message {
        Message::Prepare { ballot, .. }
        | Message::Promise { ballot, .. }
        | Message::Nack { ballot, .. }
        | Message::Busy { ballot, .. }
        | Message::Accept { ballot, .. }
        | Message::Accepted { ballot, .. }
        | Message::Heartbeat { ballot, .. }
        | Message::Alive { ballot, .. } => Some(*ballot),
        _ => None,
    }
}
