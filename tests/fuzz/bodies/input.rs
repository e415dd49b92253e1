//! Standard input: whatever the chunks, the lines are the input's.

use bytes::Bytes;
use paxcast::daemon::{Line, Splitter};

use super::script::Script;

/// Takes the bytes as a limit, the lengths of chunks, and what is read.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script::new(data);
    let limit = script.below(64) as usize;
    let lengths: Vec<usize> = (0..1 + script.below(8))
        .map(|_| 1 + script.below(40) as usize)
        .collect();
    let text = script.rest();
    let mut splitter = Splitter::new(limit);
    let mut lines = Vec::new();
    let mut rest = text;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at((*length).min(rest.len()));
        lines.extend(splitter.feed(Bytes::copy_from_slice(chunk)));
        rest = behind;
    }
    lines.extend(splitter.finish());
    // What follows the last line feed is a line only when there is something.
    let mut expected: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if expected.last().is_some_and(|last| last.is_empty()) {
        expected.pop();
    }
    assert_eq!(lines.len(), expected.len());
    for (index, (line, text)) in lines.iter().zip(expected).enumerate() {
        let expected = match text.len() <= limit {
            true => Line::Value(Bytes::copy_from_slice(text)),
            false => Line::TooLong {
                line: index as u64 + 1,
                bytes: text.len() as u64,
            },
        };
        assert_eq!(line, &expected);
    }
    lines.len() as u64
}
