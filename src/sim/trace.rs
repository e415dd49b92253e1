//! What happened in a run: the last lines of it, and a digest of all of it.
//!
//! Two runs with the same digest took the same course. Lines are put into words
//! only when somebody reads them; until then a datagram is kept as its bytes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::{Message, Span, Time, Vote};
use crate::wire::{self, Scope};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Line {
    /// A datagram on its way.
    Datagram {
        /// What became of it: `sends`, `hears`, or the name of a loss.
        verb: &'static str,
        /// Whose it is.
        from: Arc<str>,
        /// Whom it is for.
        to: Arc<str>,
        /// Itself.
        bytes: Bytes,
    },
    /// Anything else.
    Note(String),
}

/// The record of a run.
#[derive(Debug)]
pub struct Trace {
    scope: Scope,
    lines: VecDeque<(Time, Line)>,
    digest: u64,
    aloud: bool,
    /// How many lines are kept.
    kept: usize,
}

impl Trace {
    /// How many lines are kept, unless all are.
    pub const KEPT: usize = 400;

    /// An empty trace; `aloud` says every line on standard error as it happens.
    pub fn new(scope: Scope, aloud: bool) -> Trace {
        Trace {
            scope,
            lines: VecDeque::with_capacity(Trace::KEPT),
            digest: 0,
            aloud,
            kept: Trace::KEPT,
        }
    }

    /// From now on no line is forgotten.
    pub fn keep_all(&mut self) {
        self.kept = usize::MAX;
    }

    /// Adds a line.
    pub fn add(&mut self, at: Time, line: Line) {
        self.mix(at.0);
        match &line {
            Line::Datagram {
                verb,
                from,
                to,
                bytes,
            } => {
                // The tag at a datagram's end stands for all of it.
                let tail = &bytes[bytes.len().saturating_sub(wire::TAG)..];
                for part in [verb.as_bytes(), from.as_bytes(), to.as_bytes(), tail] {
                    self.mix_bytes(part);
                }
            }
            Line::Note(note) => self.mix_bytes(note.as_bytes()),
        }
        self.keep(at, line);
    }

    fn keep(&mut self, at: Time, line: Line) {
        if self.aloud {
            eprintln!("{}", self.words(at, &line));
        }
        if self.lines.len() == self.kept {
            self.lines.pop_front();
        }
        self.lines.push_back((at, line));
    }

    /// Adds a line of words.
    pub fn note(&mut self, at: Time, note: impl fmt::Display) {
        self.add(at, Line::Note(note.to_string()));
    }

    /// Adds a line that explains others and is no part of the digest.
    pub fn remark(&mut self, at: Time, remark: impl fmt::Display) {
        self.keep(at, Line::Note(remark.to_string()));
    }

    /// The digest of everything so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The last lines, in words.
    pub fn last_lines(&self) -> Vec<String> {
        self.lines
            .iter()
            .map(|(at, line)| self.words(*at, line))
            .collect()
    }

    fn words(&self, at: Time, line: &Line) -> String {
        match line {
            Line::Note(note) => format!("{at} * {note}"),
            Line::Datagram {
                verb,
                from,
                to,
                bytes,
            } => {
                let said = match wire::decode(&self.scope, bytes.clone()) {
                    Ok(datagram) => describe(&datagram.message),
                    Err(reject) => format!("({reject})"),
                };
                format!("{at} {from} > {to} {verb}: {said}")
            }
        }
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn mix(&mut self, word: u64) {
        let mixed = (self.digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.digest = mixed ^ (mixed >> 29);
    }
}

/// A message on one line.
pub fn describe(message: &Message) -> String {
    let name = message.name();
    match message {
        Message::Submit { acknowledged, run } => format!(
            "{name} {} {}..={} behind {acknowledged}, born {}, {:?}",
            run.session,
            run.first,
            run.last(),
            run.birth,
            run.items
        ),
        Message::Inquire {
            session,
            acknowledged,
        } => format!("{name} {session} behind {acknowledged}"),
        Message::Acknowledge {
            delivered,
            sessions,
        } => {
            let sessions: Vec<String> = sessions
                .iter()
                .map(|progress| {
                    let evicted = if progress.evicted { " evicted" } else { "" };
                    format!("{} {}{evicted}", progress.session, progress.last)
                })
                .collect();
            format!("{name} {} at {delivered}", sessions.join(", "))
        }
        Message::Prepare {
            ballot,
            from,
            through,
        } => match through {
            Some(through) => format!("{name} {ballot} {from}..={through}"),
            None => format!("{name} {ballot} {from}.."),
        },
        Message::Promise {
            ballot,
            from,
            through,
            watermark,
            votes,
        } => {
            let end = through.map_or(String::new(), |through| format!("={through}"));
            format!(
                "{name} {ballot} {from}..{end} watermark {}/{} votes {}",
                watermark.ballot,
                watermark.through,
                describe_votes(votes)
            )
        }
        Message::Nack { ballot, promised } => format!("{name} {ballot}, promised {promised}"),
        Message::Busy { ballot, leader } => format!("{name} {ballot}, hears {leader}"),
        Message::Accept {
            ballot,
            decided,
            instance,
            value,
        } => format!("{name} {ballot} {instance} {value:?} decided {decided}"),
        Message::Accepted { ballot, instances } => {
            format!("{name} {ballot} {}", describe_spans(instances))
        }
        Message::Heartbeat { ballot, decided } => format!("{name} {ballot} decided {decided}"),
        Message::Request {
            acceptor,
            spans,
            bytes,
            everyone,
        } => format!(
            "{name} of a{acceptor}{} {} up to {bytes}B",
            if *everyone { " for everyone" } else { "" },
            describe_spans(spans)
        ),
        Message::Votes {
            watermarks,
            votes,
            last,
        } => {
            let watermarks: Vec<String> = watermarks
                .iter()
                .map(|watermark| format!("{}/{}", watermark.ballot, watermark.through))
                .collect();
            format!(
                "{name} {} watermarks [{}]{}",
                describe_votes(votes),
                watermarks.join(" "),
                if *last { " last" } else { "" }
            )
        }
        Message::Stuck { span } => format!("{name} {span}"),
        Message::Forgotten { through } => format!("{name} through {through}"),
        Message::Confirm { nonce } => format!("{name} {nonce:016x}"),
        Message::Confirmed { nonce, highest } => format!("{name} {nonce:016x} highest {highest}"),
        Message::Checkpointed { through } => format!("{name} through {through}"),
        Message::Digest { instance, digest } => format!("{name} {instance} {digest:016x}"),
        Message::Behind { delivered } => format!("{name} delivered {delivered}"),
        Message::Offer {
            through,
            length,
            checksum,
        } => format!("{name} through {through} {length}B {checksum:08x}"),
        Message::Fetch {
            through,
            offset,
            bytes,
        } => format!("{name} through {through} from {offset} {bytes}B"),
        Message::Piece {
            through,
            offset,
            bytes,
        } => format!("{name} through {through} from {offset} {}B", bytes.len()),
        Message::Credit { decided, bytes } => format!("{name} {bytes}B decided {decided}"),
        Message::Missing { session, gaps } => {
            let gaps: Vec<String> = gaps
                .iter()
                .map(|(first, last)| format!("{first}..={last}"))
                .collect();
            format!("{name} {session} {}", gaps.join(" "))
        }
        Message::Alive { ballot, buffer } => format!("{name} {ballot} buffer {buffer}B"),
        Message::Following { through, buffer } => format!("{name} {through} buffer {buffer}B"),
        Message::Listening { buffer } => format!("{name} buffer {buffer}B"),
    }
}

fn describe_spans(spans: &[Span]) -> String {
    let spans: Vec<String> = spans.iter().map(Span::to_string).collect();
    spans.join(" ")
}

fn describe_votes(votes: &[Vote]) -> String {
    let votes: Vec<String> = votes
        .iter()
        .map(|vote| format!("{}@{}", vote.instance, vote.ballot))
        .collect();
    format!("[{}]", votes.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_sees_order_and_content_and_the_memory_is_bounded() {
        let scope = Scope {
            cluster: 1,
            config: 2,
        };
        let digest = |notes: &[&str]| {
            let mut trace = Trace::new(scope, false);
            for note in notes {
                trace.note(Time::ZERO, note);
            }
            trace.digest()
        };
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
        assert_ne!(digest(&["a", "b"]), digest(&["b", "a"]));
        let mut trace = Trace::new(scope, false);
        for count in 0..2 * Trace::KEPT {
            trace.note(Time(count as u64), count);
        }
        assert_eq!(trace.last_lines().len(), Trace::KEPT);
        assert!(trace.last_lines()[0].ends_with(&Trace::KEPT.to_string()));
    }
}
