//! What is said to a server byte by byte, and what its answers are taken for.

use super::*;

/// Trailers as etcd writes them: no table, then the status and an empty message.
const GOOD: &[u8] = &[
    0x20, 0x00, 0x88, 0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f, 0x01, b'0', 0x00, 0x03, b'a',
    b'-', b'b', 0x00,
];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_frame(&mut bytes, kind, flags, stream, payload);
    bytes
}

/// The frames that were written: kind, flags, stream, length.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, usize)> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let length = number(&[0, header[0], header[1], header[2]]) as usize;
        frames.push((header[3], header[4], number(&header[5..]), length));
        bytes = &rest[length..];
    }
    frames
}

/// A connection with so many puts of so many bytes asked, and what it wrote
/// behind its preface and settings.
fn asked(puts: usize, bytes: usize) -> (Puts, Vec<u8>) {
    let mut connection = Puts::new("127.0.0.1:1", 0, 10, bytes);
    let mut greeting = Vec::new();
    connection.write(&mut greeting);
    assert!(greeting.starts_with(PREFACE));
    let settings = [(frame::SETTINGS, 0, 0, 6)];
    assert_eq!(frames(&greeting[PREFACE.len()..]), settings);
    (0..puts).for_each(|_| connection.ask());
    let mut out = Vec::new();
    connection.write(&mut out);
    (connection, out)
}

#[test]
fn a_put_is_two_frames() {
    let (_, out) = asked(2, 3);
    let kinds: Vec<_> = frames(&out)
        .iter()
        .map(|(kind, flags, stream, _)| (*kind, *flags, *stream))
        .collect();
    assert_eq!(
        kinds,
        [
            (frame::HEADERS, END_HEADERS, 1),
            (frame::DATA, END_STREAM, 1),
            (frame::HEADERS, END_HEADERS, 3),
            (frame::DATA, END_STREAM, 3),
        ]
    );
    // Uncompressed, 17 bytes: the key (field 1) and the value (field 2).
    assert!(out.ends_with(b"\0\0\0\0\x11\x0a\x0a0/00000001\x12\x03xxx"));
}

#[test]
fn a_request_has_the_headers_that_grpc_wants() {
    let block = headers("host", PUT);
    let expected = b"\x83\x86\x04\x14/etcdserverpb.KV/Put\x01\x04host\x0f\x10\x10application/grpc\
                     \0\x02te\x08trailers";
    assert_eq!(block, expected);
}

#[test]
fn a_put_is_done_when_its_message_has_come() {
    let (mut puts, _) = asked(3, 1);
    let mut answered = Vec::new();
    let answers = [
        frame(frame::HEADERS, END_HEADERS, 5, &[0x88]),
        frame(frame::DATA, 0, 5, b"message"),
        frame(frame::HEADERS, END_HEADERS | END_STREAM, 5, GOOD),
        frame(frame::DATA, 0, 1, b"message"),
        frame(frame::HEADERS, END_HEADERS | END_STREAM, 1, GOOD),
    ]
    .concat();
    // However the bytes are cut.
    let mut waiting: Vec<u8> = Vec::new();
    for piece in answers.chunks(7) {
        waiting.extend_from_slice(piece);
        let understood = puts.read(&waiting, &mut answered).expect("good answers");
        waiting.drain(..understood);
    }
    assert!(waiting.is_empty());
    assert_eq!(answered, [2, 0]);
    // The first is over, the third is remembered until the second is too.
    assert_eq!((puts.oldest, puts.open.len()), (1, 2));
    let again = frame(frame::DATA, 0, 1, b"message");
    assert!(puts.read(&again, &mut answered).is_err());
}

#[test]
fn a_refusal_is_told() {
    let refusals = [
        (vec![0, 11], "grpc-status", "14", "has it no leader"),
        (vec![0x40, 11], "grpc-status", "8", "no resources"),
        (vec![0x10, 11], "grpc-status", "99", "grpc-status 99"),
        (vec![0x10, 11], "other-thing", "0", "without a grpc-status"),
    ];
    for (mut block, name, value, said) in refusals {
        block.extend_from_slice(name.as_bytes());
        block.push(u8::try_from(value.len()).expect("short"));
        block.extend_from_slice(value.as_bytes());
        let (mut puts, _) = asked(1, 1);
        let bytes = frame(frame::HEADERS, END_HEADERS | END_STREAM, 1, &block);
        let error = puts.read(&bytes, &mut Vec::new()).expect_err("a refusal");
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn an_end_without_a_message_is_no_answer() {
    let (mut puts, _) = asked(1, 1);
    let bytes = frame(frame::HEADERS, END_HEADERS | END_STREAM, 1, GOOD);
    assert!(puts.read(&bytes, &mut Vec::new()).is_err());
}

#[test]
fn an_end_of_the_connection_is_told_with_its_reason() {
    let (mut puts, _) = asked(1, 1);
    let bytes = frame(frame::GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\x0btoo many pings");
    let error = puts.read(&bytes, &mut Vec::new()).expect_err("the end");
    assert!(error.contains("error 11") && error.contains("too many pings"));
}

#[test]
fn settings_and_pings_are_acknowledged_ahead_of_requests() {
    let (mut puts, _) = asked(0, 1);
    let bytes = [
        frame(frame::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]),
        frame(frame::PING, 0, 0, b"12345678"),
    ]
    .concat();
    assert_eq!(puts.read(&bytes, &mut Vec::new()), Ok(bytes.len()));
    (0..2).for_each(|_| puts.ask());
    let mut out = Vec::new();
    puts.write(&mut out);
    let written = frames(&out);
    assert_eq!(written[0], (frame::SETTINGS, ACK, 0, 0));
    assert_eq!(written[1], (frame::PING, ACK, 0, 8));
    // And one stream at a time is all that the server wants.
    assert_eq!(written.len(), 4);
}

#[test]
fn windows_are_obeyed() {
    // Three that fit into no stream's window, and together not the connection's.
    let (mut puts, out) = asked(3, 100_000);
    let data = |out: &[u8]| -> i64 {
        let lengths = frames(out).into_iter();
        lengths
            .filter(|(kind, ..)| *kind == frame::DATA)
            .map(|(.., length)| length as i64)
            .sum()
    };
    assert_eq!(data(&out), WINDOW);
    assert!(frames(&out).iter().all(|one| one.3 <= LARGEST_FRAME));

    // The connection may go on, the first stream may not: the second does.
    let more = 100_000_u32.to_be_bytes();
    let bytes = frame(frame::WINDOW_UPDATE, 0, 0, &more);
    puts.read(&bytes, &mut Vec::new()).expect("credit");
    let mut out = Vec::new();
    puts.write(&mut out);
    assert_eq!(data(&out), 100_000);
    assert!(
        frames(&out).iter().all(|one| one.2 != 1),
        "its window is shut"
    );

    // All may.
    let bytes = [
        frame(frame::SETTINGS, 0, 0, b"\0\x04\0\x10\0\0"),
        frame(frame::WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes()),
    ]
    .concat();
    puts.read(&bytes, &mut Vec::new()).expect("credit");
    let mut out = Vec::new();
    puts.write(&mut out);
    let ends = frames(&out)
        .iter()
        .filter(|one| one.0 == frame::DATA && one.1 == END_STREAM)
        .count();
    assert_eq!(ends, 3);
    assert!(puts.sending.is_empty());
}

#[test]
fn what_was_received_is_credited() {
    let (mut puts, _) = asked(2, 1);
    let mut answered = Vec::new();
    for stream in [1, 3] {
        let bytes = frame(frame::DATA, 0, stream, &vec![0; CREDIT / 2]);
        puts.read(&bytes, &mut answered).expect("a message");
    }
    let mut out = Vec::new();
    puts.write(&mut out);
    let credit = [&[0; 2][..], &(CREDIT as u16).to_be_bytes()].concat();
    assert_eq!(out, frame(frame::WINDOW_UPDATE, 0, 0, &credit));
}

#[test]
fn bytes_of_something_else_are_no_answer() {
    let (mut puts, _) = asked(1, 1);
    let html = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    assert!(puts.read(html, &mut Vec::new()).is_err());
}
