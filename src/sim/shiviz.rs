//! A run as a log for ShiViz, the viewer of distributed executions.
//!
//! The viewer knows no messages: it draws an arrow wherever the vector clocks
//! say that one event depends on another. So the clocks are made here, from the
//! run's [`History`]: every event of a process counts one, and what a process
//! takes out of its socket brings the sender's clock along. An arrival that
//! nobody read, or that could not be read, made nobody any wiser and is no event.
//!
//! The first line of the log is the regular expression that takes it apart, the
//! second, which would part several executions, is empty. Every event has two
//! lines: time, process and clock, then what happened.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::history::{Event, History, Sent};
use super::trace::describe;

/// The regular expression that takes the log apart, in the viewer's syntax.
pub const PARSER: &str = r"(?<time>\S+) (?<host>\S+) (?<clock>{.*})\n(?<event>.*)";

/// A vector clock: how many events of each host are known.
type Clock = BTreeMap<usize, u64>;

/// The log of a run.
pub fn log(history: &History) -> String {
    let mut log = format!("{PARSER}\n\n");
    let mut clocks: Vec<Clock> = vec![Clock::new(); history.hosts().len()];
    let mut sent_with: BTreeMap<u64, Clock> = BTreeMap::new();
    for entry in history.entries() {
        let Some(host) = entry.host else {
            continue;
        };
        let Some(words) = words(history, &entry.event) else {
            continue;
        };
        if let Event::Heard(parcel, _) = &entry.event
            // The beginning of the run may have been left out.
            && let Some(known) = sent_with.get(&parcel.sent.number)
        {
            for (&other, &count) in known {
                let mine = clocks[host].entry(other).or_insert(0);
                *mine = count.max(*mine);
            }
        }
        *clocks[host].entry(host).or_insert(0) += 1;
        if let Event::Sent(sent) = &entry.event {
            sent_with.insert(sent.number, clocks[host].clone());
        }
        let clock: Vec<String> = clocks[host]
            .iter()
            .map(|(&other, count)| format!("\"{}\":{count}", history.hosts()[other].name))
            .collect();
        let name = &history.hosts()[host].name;
        writeln!(log, "{} {name} {{{}}}\n{words}", entry.at, clock.join(","))
            .expect("writing to memory cannot fail");
    }
    log
}

/// An event of a process on one line; nothing for what is none of its own.
fn words(history: &History, event: &Event) -> Option<String> {
    let said = |sent: &Sent| match history.read(sent) {
        Ok(datagram) => describe(&datagram.message),
        Err(reject) => format!("({reject})"),
    };
    let words = match event {
        Event::Sent(sent) => format!("sends to {}: {}", sent.to, said(sent)),
        Event::Heard(parcel, None) => {
            let from = &history.hosts()[parcel.sent.from].name;
            format!("hears {from}: {}", said(&parcel.sent))
        }
        Event::Started => "starts".into(),
        Event::Died => "dies".into(),
        Event::Recovered { records, lost, .. } => {
            format!("finds {records} records, {lost} are lost")
        }
        Event::Paused => "is stopped".into(),
        Event::Resumed => "goes on".into(),
        Event::Synced(records) => format!("has synced {records} records"),
        Event::Submitted(value) => format!("submits {} bytes", value.len()),
        Event::Delivered(position, delivered) => format!(
            "delivers {position}: {} {} at {}",
            delivered.session, delivered.number, delivered.instance
        ),
        Event::Acknowledged(values) => format!("knows {values} more delivered"),
        Event::Evicted(lost) => format!("is evicted, {lost} lost"),
        Event::Elected(ballot) => format!("leads {ballot}"),
        Event::Deposed(ballot) => format!("no longer leads {ballot}"),
        Event::Heard(_, Some(_))
        | Event::Left(_)
        | Event::Lost(..)
        | Event::Arrived(_)
        | Event::Overflowed(_)
        | Event::Missed(_)
        | Event::Wrote(_)
        | Event::Cut(_)
        | Event::Mended(_)
        | Event::Note(_) => return None,
    };
    Some(words)
}
