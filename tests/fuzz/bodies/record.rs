//! Records, and the frames they lie in.

use bytes::Bytes;
use paxcast::protocol::{Payloads, Record};
use paxcast::storage::frame::{self, Header};

use super::script::Script;

const STORE: u64 = 0x5eed_0000_5eed;

/// Takes the bytes as a record, as a frame, and as a body to be framed.
pub fn run(data: &[u8]) -> u64 {
    let mut read = 0;
    let bytes = Bytes::copy_from_slice(data);
    if let Some((record, rest)) = Record::decode_from(&bytes) {
        let taken = bytes.len() - rest.len();
        let again = record.encode();
        assert!(again.len() <= taken, "{record:?}: grew");
        if again.len() == taken {
            assert_eq!(again, bytes[..taken], "{record:?}: other bytes");
        }
        assert_eq!(Record::decode(&again), Some(record), "read differently");
        read += 1;
    }
    if let Some(header) = Header::read(STORE, data) {
        let body = header.body(STORE, data);
        assert!(body.is_none_or(|body| body.len() == header.length as usize));
    }
    framed(data);
    read
}

/// What is framed comes back, and not when it is damaged.
fn framed(data: &[u8]) {
    let mut script = Script::new(data);
    let (position, synced) = (script.number(), script.number());
    let (at, flip) = (script.below(1 << 16) as usize, 1 << script.below(8));
    let body = script.rest();
    let (fields, payload) = body.split_at(body.len() / 2);
    let payload = Bytes::copy_from_slice(payload);
    let mut buffer = b"ahead".to_vec();
    frame::write(STORE, position, synced, fields, &[payload], &mut buffer);
    let mut frame = buffer.split_off(5);
    assert_eq!(buffer, b"ahead");
    assert_eq!(frame.len(), frame::frame_length(body.len()));
    let header = Header::read(STORE, &frame).expect("a whole header");
    assert_eq!((header.position, header.synced_through), (position, synced));
    assert_eq!(header.is_seal(), body.is_empty());
    assert_eq!(header.body(STORE, &frame).expect("a whole body"), body);
    let at = at % frame.len();
    frame[at] ^= flip;
    let read = Header::read(STORE, &frame).and_then(|header| header.body(STORE, &frame));
    assert_eq!(read, None, "byte {at} with {flip:#x} flipped");
}
