//! As much HTTP/2 and gRPC as it takes to put keys into etcd, many at a time.
//!
//! One connection, with prior knowledge (RFC 9113, section 3.3). Every put is a
//! stream: a HEADERS frame, always the same, and DATA with one gRPC message. The
//! server answers with HEADERS, DATA and trailers; a put is done when its
//! message has come, and a stream that ends otherwise is a refusal.
//!
//! Header compression (RFC 7541) is avoided rather than implemented: ours are
//! literals and static names, and the server is told to keep no table, so that
//! its trailers can be read one by one without memory of earlier ones.
//!
//! Flow control is obeyed in both directions: a value larger than the server's
//! window waits for its WINDOW_UPDATE while smaller streams go on.

use std::collections::VecDeque;

use super::super::pipeline::{ENOUGH, Speech};

/// Frame types (RFC 9113, section 6).
mod frame {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Settings (section 6.5.2).
mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
}

/// What a client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Of HEADERS and DATA: nothing more on this stream.
const END_STREAM: u8 = 1;
/// Of SETTINGS and PING: an answer to the other side's.
const ACK: u8 = 1;
/// Of HEADERS: no CONTINUATION follows.
const END_HEADERS: u8 = 4;
/// Of DATA and HEADERS: padding, which etcd never sends.
const PADDED: u8 = 8;
/// Of HEADERS: a priority, which etcd never sends.
const PRIORITY: u8 = 32;

/// Bytes of a frame's header.
const HEADER: usize = 9;

/// The windows and the largest frame, until a side says otherwise.
const WINDOW: i64 = 65_535;
const LARGEST_FRAME: usize = 16_384;

/// So many received bytes of DATA are credited at once.
const CREDIT: usize = 16_384;

/// The path of the call that puts a key.
pub const PUT: &str = "/etcdserverpb.KV/Put";

/// Streams are numbered 1, 3, 5 and so on, to this.
const LAST_STREAM: u32 = 0x7fff_ffff;

/// A connection that puts keys.
#[derive(Debug)]
pub struct Puts {
    /// Keys begin with it,
    client: usize,
    /// and with so many different ones it begins again.
    keys: u64,
    /// Bytes of a value.
    bytes: usize,
    /// The header block of every request.
    headers: Vec<u8>,
    asked: u64,
    /// Requests whose HEADERS were written.
    begun: u64,
    answered: u64,
    /// Begun, with bytes that wait for a window.
    sending: VecDeque<Sending>,
    /// Frames that overtake all others: the preface, acknowledgements, credit.
    urgent: Vec<u8>,
    /// What the server lets us send on the whole connection,
    window: i64,
    /// on every new stream,
    stream_window: i64,
    /// in one frame,
    largest_frame: usize,
    /// and how many streams at a time.
    most_streams: u64,
    /// Bytes of DATA received since the last credit.
    received: usize,
    /// Of each stream since the oldest open one: whether its message has come.
    open: VecDeque<Answer>,
    /// The request of the first of them.
    oldest: u64,
}

/// A request that is on its way out.
#[derive(Debug)]
struct Sending {
    stream: u32,
    /// The message up to its value.
    head: Vec<u8>,
    /// Bytes of head and value that have gone out.
    sent: usize,
    /// Of the whole message.
    length: usize,
    window: i64,
}

/// How far the answer to a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Message,
    Ended,
}

impl Puts {
    /// A connection of a client to a server of that name; of so many keys in
    /// turn, each with a value of so many bytes.
    pub fn new(authority: &str, client: usize, keys: u64, bytes: usize) -> Puts {
        let mut urgent = PREFACE.to_vec();
        let table = [&setting::HEADER_TABLE_SIZE.to_be_bytes()[..], &[0; 4]].concat();
        put_frame(&mut urgent, frame::SETTINGS, 0, 0, &table);
        Puts {
            client,
            keys,
            bytes,
            headers: headers(authority, PUT),
            asked: 0,
            begun: 0,
            answered: 0,
            sending: VecDeque::new(),
            urgent,
            window: WINDOW,
            stream_window: WINDOW,
            largest_frame: LARGEST_FRAME,
            // The least that RFC 9113 recommends, until the server says.
            most_streams: 100,
            received: 0,
            open: VecDeque::new(),
            oldest: 0,
        }
    }

    /// Writes the HEADERS of the next request, and has its message sent.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let stream = u32::try_from(self.begun * 2 + 1).unwrap_or(LAST_STREAM);
        let flags = END_HEADERS;
        put_frame(out, frame::HEADERS, flags, stream, &self.headers);
        let key = format!("{}/{:08}", self.client, self.begun % self.keys);
        let (head, length) = message(key.as_bytes(), self.bytes);
        self.sending.push_back(Sending {
            stream,
            head,
            sent: 0,
            length,
            window: self.stream_window,
        });
        self.open.push_back(Answer::Awaited);
        self.begun += 1;
    }

    /// Takes in one frame.
    fn take(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        answered: &mut Vec<u64>,
    ) -> Result<(), String> {
        match kind {
            frame::DATA | frame::HEADERS if flags & (PADDED | PRIORITY) != 0 => {
                Err("the server pads its frames, which it never did".to_owned())
            }
            frame::DATA => {
                self.credit(payload.len());
                if !payload.is_empty() {
                    self.note(stream, Answer::Message, answered)?;
                }
                match flags & END_STREAM {
                    0 => Ok(()),
                    _ => self.note(stream, Answer::Ended, answered),
                }
            }
            frame::HEADERS if flags & END_HEADERS == 0 => {
                Err("the server splits its headers, which it never did".to_owned())
            }
            frame::HEADERS if flags & END_STREAM != 0 => match status(payload)? {
                0 => self.note(stream, Answer::Ended, answered),
                code => Err(format!("etcd refuses a put: {}", meaning(code))),
            },
            frame::SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    let name = u16::from_be_bytes([setting[0], setting[1]]);
                    let value = number(&setting[2..]);
                    self.set(name, value);
                }
                put_frame(&mut self.urgent, frame::SETTINGS, ACK, 0, &[]);
                Ok(())
            }
            frame::PING if flags & ACK == 0 => {
                put_frame(&mut self.urgent, frame::PING, ACK, 0, payload);
                Ok(())
            }
            frame::WINDOW_UPDATE if payload.len() == 4 => {
                let more = i64::from(number(payload) & LAST_STREAM);
                if stream == 0 {
                    self.window += more;
                } else if let Some(sending) =
                    self.sending.iter_mut().find(|one| one.stream == stream)
                {
                    sending.window += more;
                }
                Ok(())
            }
            frame::RST_STREAM if payload.len() == 4 => Err(format!(
                "etcd ends a put unanswered (HTTP/2 error {})",
                number(payload)
            )),
            frame::GOAWAY if payload.len() >= 8 => Err(format!(
                "etcd ends the connection (HTTP/2 error {}): {}",
                number(&payload[4..8]),
                String::from_utf8_lossy(&payload[8..])
            )),
            frame::RST_STREAM | frame::GOAWAY | frame::WINDOW_UPDATE | frame::CONTINUATION => {
                Err(format!("a frame of kind {kind} that makes no sense"))
            }
            // Initial headers, acknowledgements, and what RFC 9113 has us ignore.
            _ => Ok(()),
        }
    }

    fn set(&mut self, name: u16, value: u32) {
        match name {
            setting::MAX_CONCURRENT_STREAMS => self.most_streams = u64::from(value),
            setting::MAX_FRAME_SIZE => self.largest_frame = value as usize,
            setting::INITIAL_WINDOW_SIZE => {
                let more = i64::from(value) - self.stream_window;
                self.stream_window += more;
                for sending in &mut self.sending {
                    sending.window += more;
                }
            }
            _ => {}
        }
    }

    /// Gives the server back what it has used of our window. A stream's own
    /// needs nothing: an answer is far smaller than it.
    fn credit(&mut self, bytes: usize) {
        self.received += bytes;
        if self.received >= CREDIT {
            let more = u32::try_from(self.received).expect("less than a frame beyond the limit");
            put_frame(
                &mut self.urgent,
                frame::WINDOW_UPDATE,
                0,
                0,
                &more.to_be_bytes(),
            );
            self.received = 0;
        }
    }

    /// Notes that a stream has come so far.
    fn note(&mut self, stream: u32, news: Answer, answered: &mut Vec<u64>) -> Result<(), String> {
        let request = u64::from(stream / 2);
        let slot = request
            .checked_sub(self.oldest)
            .and_then(|index| self.open.get_mut(usize::try_from(index).ok()?))
            .filter(|slot| stream % 2 == 1 && **slot != Answer::Ended)
            .ok_or_else(|| format!("an answer on stream {stream}, which is not open"))?;
        match (*slot, news) {
            (Answer::Awaited, Answer::Message) => {
                self.answered += 1;
                answered.push(request);
            }
            (Answer::Awaited, Answer::Ended) => {
                return Err("etcd ends a put without an answer".to_owned());
            }
            _ => {}
        }
        *slot = news;
        while self.open.front() == Some(&Answer::Ended) {
            self.open.pop_front();
            self.oldest += 1;
        }
        Ok(())
    }
}

impl Speech for Puts {
    fn ask(&mut self) {
        self.asked += 1;
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.urgent);
        // What was begun first; a stream whose window is shut lets others by.
        let mut blocked = 0;
        while out.len() < ENOUGH && self.window > 0 {
            if blocked == self.sending.len() {
                let room = self.begun - self.oldest < self.most_streams;
                if self.begun == self.asked || !room {
                    break;
                }
                self.begin(out);
            }
            let sending = &mut self.sending[blocked];
            let room = self.window.min(sending.window).max(0);
            let left = sending.length - sending.sent;
            let size = left
                .min(self.largest_frame)
                .min(usize::try_from(room).unwrap_or(0));
            if size == 0 {
                blocked += 1;
                continue;
            }
            let last = size == left;
            let flags = if last { END_STREAM } else { 0 };
            put_header(out, size, frame::DATA, flags, sending.stream);
            let from_head = sending.head.len().saturating_sub(sending.sent).min(size);
            if from_head > 0 {
                out.extend_from_slice(&sending.head[sending.sent..][..from_head]);
            }
            out.resize(out.len() + size - from_head, b'x');
            sending.sent += size;
            sending.window -= size as i64;
            self.window -= size as i64;
            if last {
                self.sending.remove(blocked);
            }
        }
    }

    fn read(&mut self, input: &[u8], answered: &mut Vec<u64>) -> Result<usize, String> {
        let mut understood = 0;
        loop {
            let rest = &input[understood..];
            let Some((header, rest)) = rest.split_at_checked(HEADER) else {
                return Ok(understood);
            };
            let length = number(&[0, header[0], header[1], header[2]]) as usize;
            if length > LARGEST_FRAME {
                return Err(format!(
                    "a frame of {length} bytes: this is no HTTP/2 server"
                ));
            }
            let Some(payload) = rest.get(..length) else {
                return Ok(understood);
            };
            let stream = number(&header[5..]) & LAST_STREAM;
            self.take(header[3], header[4], stream, payload, answered)?;
            understood += HEADER + length;
        }
    }
}

/// A big-endian number of four bytes.
fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

fn put_header(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let length = u32::try_from(length).expect("frames are small");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

fn put_frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    put_header(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// The header block of a gRPC request: static names and fields by their index
/// (RFC 7541, appendix A), all else as literals that no table remembers.
fn headers(authority: &str, path: &str) -> Vec<u8> {
    const POST: u8 = 3;
    const HTTP: u8 = 6;
    const AUTHORITY: u8 = 1;
    const PATH: u8 = 4;
    const CONTENT_TYPE: u8 = 31;
    fn text(block: &mut Vec<u8>, text: &str) {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
        block.push(length.expect("our headers are short"));
        block.extend_from_slice(text.as_bytes());
    }
    let mut block = vec![0x80 | POST, 0x80 | HTTP];
    block.push(PATH);
    text(&mut block, path);
    block.push(AUTHORITY);
    text(&mut block, authority);
    // An index that does not fit in four bits is continued in the next byte.
    block.extend_from_slice(&[15, CONTENT_TYPE - 15]);
    text(&mut block, "application/grpc");
    block.push(0);
    text(&mut block, "te");
    text(&mut block, "trailers");
    block
}

/// A `PutRequest` as a gRPC message: its bytes up to the value, and its length.
fn message(key: &[u8], bytes: usize) -> (Vec<u8>, usize) {
    const KEY: u8 = 1 << 3 | 2;
    const VALUE: u8 = 2 << 3 | 2;
    let mut request = vec![KEY];
    put_varint(&mut request, key.len());
    request.extend_from_slice(key);
    request.push(VALUE);
    put_varint(&mut request, bytes);
    let length = request.len() + bytes;
    // Not compressed, and its length.
    let mut head = vec![0];
    let announced = u32::try_from(length).expect("values are smaller than that");
    head.extend_from_slice(&announced.to_be_bytes());
    head.append(&mut request);
    let whole = head.len() + bytes;
    (head, whole)
}

/// A protocol buffer's number: seven bits a byte, the lowest first.
fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The `grpc-status` in a block of trailers.
fn status(block: &[u8]) -> Result<u32, String> {
    const NAME: &[u8] = b"grpc-status";
    /// The same in the fixed Huffman code (RFC 7541, appendix B), as servers
    /// that save bytes write it.
    const SHORT_NAME: &[u8] = &[0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f];
    let mut rest = block;
    while let Some(&first) = rest.first() {
        // Which bits of the first byte hold the index, by the kind of field.
        let bits = match first {
            0x80.. => 7,
            0x40.. => 6,
            0x20.. => 5,
            _ => 4,
        };
        let (index, behind) = integer(rest, bits).ok_or("a header is cut off")?;
        rest = behind;
        if matches!(first, 0x20..0x40 | 0x80..) {
            // The size of the table, or a field that is all index: never ours.
            continue;
        }
        let mut name: &[u8] = &[];
        if index == 0 {
            (name, rest) = string(rest).ok_or("a header's name is cut off")?;
        }
        let (value, behind) = string(rest).ok_or("a header's value is cut off")?;
        rest = behind;
        if name == NAME || name == SHORT_NAME {
            return std::str::from_utf8(value)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| format!("a grpc-status that is no number: {value:?}"));
        }
    }
    Err("an answer without a grpc-status".to_owned())
}

/// A number that begins in the low bits of a byte (RFC 7541, section 5.1).
fn integer(bytes: &[u8], bits: u32) -> Option<(usize, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let mask = (1_u8 << bits) - 1;
    let mut value = usize::from(first & mask);
    if value < usize::from(mask) {
        return Some((value, rest));
    }
    for shift in [0, 7, 14] {
        let (&next, behind) = rest.split_first()?;
        rest = behind;
        value += usize::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Some((value, rest));
        }
    }
    None
}

/// The bytes of a string, as they are written, in whichever code.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = integer(bytes, 7)?;
    rest.split_at_checked(length)
}

/// What a status of gRPC means.
fn meaning(code: u32) -> String {
    let word = match code {
        3 => "an argument it does not take; the value may be too large",
        4 => "its own time was up; is the disk overloaded?",
        8 => "no resources; too many requests, or its space is used up",
        14 => "unavailable; has it no leader?",
        _ => return format!("grpc-status {code}"),
    };
    format!("grpc-status {code}: {word}")
}

#[cfg(test)]
mod tests;
