//! Datagrams: nothing panics, and what is accepted says again what it said.

use bytes::{Bytes, BytesMut};
use paxcast::protocol::value::runs;
use paxcast::protocol::{Message, Payload, Payloads, ProcessId, Role};
use paxcast::wire::{self, Datagram, HEADER, Scope, TAG};

/// The cluster whose datagrams they are, as in `tests/golden.rs`.
pub const SCOPE: Scope = Scope {
    cluster: 0x1122_3344_5566_7788,
    config: 0x99aa_bbcc_ddee_ff00,
};

/// Takes the bytes as a datagram; as one whose tag is right; and as the fields and
/// payloads of a message in a datagram that is otherwise in order.
pub fn run(data: &[u8]) -> u64 {
    let content = data.len().saturating_sub(TAG);
    let (header, fields) = data.split_at(HEADER.min(data.len()));
    let datagrams = [
        Bytes::copy_from_slice(data),
        tagged(&data[..content]),
        addressed(header, fields),
        addressed(&[], data),
    ];
    datagrams.into_iter().filter_map(check).count() as u64
}

/// These bytes and their tag.
pub fn tagged(content: &[u8]) -> Bytes {
    let mut bytes = content.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(content).to_le_bytes());
    bytes.extend_from_slice(&[0; TAG - 4]);
    bytes.into()
}

/// A datagram with these fields and payloads, sent to the right cluster; the
/// sender and the count are as the given header has them.
fn addressed(header: &[u8], fields: &[u8]) -> Bytes {
    let sender = ProcessId {
        role: Role::Learner,
        id: 3,
        incarnation: 9,
    };
    let hello = Message::Following {
        through: Default::default(),
        buffer: 0,
    };
    let mut own = BytesMut::new();
    wire::encode(&SCOPE, sender, 1, &hello, &mut own);
    own.truncate(HEADER);
    // The sender follows the magic, the version, the kind and the scope.
    if let Some(rest) = header.get(22..) {
        own[22..22 + rest.len()].copy_from_slice(rest);
    }
    own.extend_from_slice(fields);
    tagged(&own)
}

/// Decodes a datagram, if it is one.
pub fn check(datagram: Bytes) -> Option<Datagram> {
    let parsed = wire::decode(&SCOPE, datagram.clone()).ok()?;
    let mut again = BytesMut::new();
    wire::encode(
        &SCOPE,
        parsed.sender,
        parsed.sequence,
        &parsed.message,
        &mut again,
    );
    // A number may be written longer than need be, and nothing shorter.
    assert!(again.len() <= datagram.len(), "{parsed:?}: grew");
    if again.len() == datagram.len() {
        assert_eq!(again, datagram, "{parsed:?}: other bytes");
    }
    let second = wire::decode(&SCOPE, again.freeze());
    assert_eq!(second.as_ref(), Ok(&parsed), "read differently");
    let mut payloads = 0;
    parsed.message.each_payload(&mut |payload| {
        payloads += payload.len();
        walk(payload);
    });
    assert!(payloads <= datagram.len(), "payloads out of nothing");
    Some(parsed)
}

/// Looks at a batch as a learner does.
fn walk(payload: &Payload) {
    assert_eq!(payload.len(), payload.bytes().len());
    let mut bytes = 0;
    for run in runs(payload.bytes()) {
        bytes += 1 + run.items().map(|item| item.bytes.len()).sum::<usize>();
        assert!(run.last() >= run.first.saturating_sub(1));
    }
    assert!(bytes <= payload.len(), "items out of nothing");
}
