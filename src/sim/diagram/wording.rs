//! What is written beside arrows and marks, and what shows when one points at them.

use std::fmt::Write;
use std::time::Duration;

use super::picture::{End, Fan};
use crate::protocol::value::runs;
use crate::protocol::{Ballot, Message, Record, Time};
use crate::sim::history::History;

/// The names of ballots; those of two starts of one proposer are told apart.
pub fn names(ballots: &[Ballot]) -> Vec<String> {
    let twins = |ballot: &Ballot| {
        let alike = |other: &&Ballot| other.to_string() == ballot.to_string();
        ballots.iter().filter(alike).count() > 1
    };
    ballots
        .iter()
        .map(|ballot| match twins(ballot) {
            true => format!("{ballot}.{:04x}", ballot.incarnation & 0xffff),
            false => ballot.to_string(),
        })
        .collect()
}

/// A message in a few letters.
pub fn label(message: &Message) -> String {
    let name = message.name();
    match message {
        Message::Submit { run, .. } if run.count == 1 => format!("{name} {}", run.first),
        Message::Submit { run, .. } => format!("{name} {}–{}", run.first, run.last()),
        Message::Accept { instance, .. } => format!("{name} {instance}"),
        Message::Accepted { instances, .. } => match &instances[..] {
            [span] if span.from == span.through => format!("{name} {}", span.from),
            [span, ..] => format!("{name} {}…", span.from),
            [] => name.into(),
        },
        Message::Prepare { ballot, .. }
        | Message::Promise { ballot, .. }
        | Message::Nack { ballot, .. }
        | Message::Busy { ballot, .. } => format!("{name} {ballot}"),
        _ => name.into(),
    }
}

/// The first values that a message carries, as far as they can be read.
pub fn values(message: &Message) -> Vec<String> {
    const MOST: usize = 6;
    let batch = match message {
        Message::Submit { run, .. } => vec![run.clone()],
        Message::Accept { value, .. } => runs(value.bytes()).take(MOST).collect(),
        _ => Vec::new(),
    };
    let mut values = Vec::new();
    for run in batch {
        for (item, number) in run.items().zip(run.first..) {
            if values.len() == MOST {
                values.push("…".into());
                return values;
            }
            values.push(format!(
                "{} {number}: {}",
                run.session,
                letters(&item.bytes, 60)
            ));
        }
    }
    values
}

/// A record in words.
pub fn record_words(record: &Record) -> String {
    match record {
        Record::Promised { ballot } => format!("writes: promised {ballot}"),
        Record::Voted { vote } => format!(
            "writes: voted for {} bytes at {} in {}",
            vote.value.len(),
            vote.instance,
            vote.ballot
        ),
        Record::Watermark { watermark } => format!(
            "writes: all is chosen through {} ({})",
            watermark.through, watermark.ballot
        ),
        Record::Trimmed {
            through, promised, ..
        } => format!("writes: forgets everything through {through}, promised {promised}"),
    }
}

/// Bytes as letters, cut to a length.
pub fn letters(bytes: &[u8], most: usize) -> String {
    let mut letters: String = bytes
        .iter()
        .take(most)
        .flat_map(|byte| match byte {
            b'\\' | b'"' | b'\'' => vec![char::from(*byte)],
            byte => byte.escape_ascii().map(char::from).collect(),
        })
        .collect();
    if bytes.len() > most {
        write!(letters, "… ({} bytes)", bytes.len()).expect("writing to memory cannot fail");
    }
    if bytes.is_empty() {
        letters.push_str("(empty)");
    }
    letters
}

/// Says what became of each copy.
pub fn finish_story(fan: &mut Fan, history: &History, order: &[usize]) {
    for arrow in &fan.arrows {
        let to = &history.hosts()[order[arrow.lane]].name;
        let after = |at: Time| format!("after {:?}", at.since(fan.at));
        let again = if arrow.again { " (second copy)" } else { "" };
        let fate = match (arrow.end, arrow.heard) {
            (End::Underway, _) => "still under way".into(),
            (End::Lost(how), _) => match how {
                "lost on purpose" => how.into(),
                how => format!("lost ({how})"),
            },
            (End::Overflowed, _) => format!("{}, the socket was full", after(arrow.until)),
            (End::Missed, _) => format!("{}, nobody was there", after(arrow.until)),
            (End::Unreadable, _) => format!("{}, damaged and dropped", after(arrow.until)),
            (End::Arrived, None) => format!("{}, never read", after(arrow.until)),
            (End::Arrived, Some(heard)) => match heard.since(arrow.until) {
                Duration::ZERO => after(arrow.until),
                waited => format!("{}, read {waited:?} later", after(arrow.until)),
            },
        };
        write!(fan.story, "\n{to}{again}: {fate}").expect("writing to memory cannot fail");
    }
}
