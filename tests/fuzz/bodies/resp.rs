//! A stream from a client of Redis: the same requests however it is cut.

use paxcast::gateway::resp::{Intake, Step};

/// Takes the bytes as a stream, whole, byte by byte, and in pieces of a length
/// that they tell.
pub fn run(data: &[u8]) -> u64 {
    let whole = read(data, data.len().max(1));
    assert_eq!(whole, read(data, 1), "byte by byte");
    let length = data.first().map_or(1, |byte| 1 + usize::from(*byte) % 17);
    assert_eq!(whole, read(data, length), "in pieces of {length}");
    whole.len() as u64
}

/// What the stream gives when it comes in pieces of this length.
fn read(stream: &[u8], length: usize) -> Vec<Vec<Vec<u8>>> {
    let mut intake = Intake::default();
    let mut requests = Vec::new();
    for piece in stream.chunks(length) {
        intake.feed(piece);
        loop {
            match intake.advance() {
                Ok(Step::Incomplete) => break,
                Ok(Step::TooLong) => requests.push(Vec::new()),
                Ok(Step::Request) => {
                    let words = intake.arguments();
                    assert!(!words.is_empty());
                    requests.push(words.from(0).map(<[u8]>::to_vec).collect());
                }
                Err(broken) => {
                    requests.push(vec![broken.to_string().into_bytes()]);
                    return requests;
                }
            }
        }
        intake.relax();
        assert!(
            intake.held() <= 64 * (stream.len() + 64),
            "it holds too much"
        );
    }
    requests
}
