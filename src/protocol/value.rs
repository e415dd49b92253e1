//! What is ordered: values, runs of values, batches of runs.
//!
//! A client numbers its values from 1 and sends them as [`Run`]s; the leader
//! strings runs together into a batch, and one batch is what one instance
//! decides. To acceptors a batch is a string of bytes. A batch without any run
//! is a no-op.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::settings::Settings;

/// The number of one decision in the log, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Instance(pub u64);

impl<'de> Deserialize<'de> for Instance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Instance, D::Error> {
        let number = u64::deserialize(deserializer)?;
        match number <= Instance::LAST.0 {
            true => Ok(Instance(number)),
            false => Err(serde::de::Error::custom("no log comes this far")),
        }
    }
}

impl Instance {
    /// No log comes this far, and no message or record from beyond is read: where
    /// instances are added up, nothing overflows.
    pub const LAST: Instance = Instance(1 << 62);

    /// The place before the first instance.
    pub const ZERO: Instance = Instance(0);

    /// The instance that follows.
    pub fn next(self) -> Instance {
        self.plus(1)
    }

    /// The instance before; zero stays zero.
    pub fn previous(self) -> Instance {
        Instance(self.0.saturating_sub(1))
    }

    /// The instance `count` further on.
    pub fn plus(self, count: u64) -> Instance {
        Instance(self.0.saturating_add(count))
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// One life of one client: what exactly-once and first-in-first-out hold for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Session {
    /// The client's id, from 1.
    pub client: u16,
    /// Drawn anew whenever the client begins to count from 1.
    pub incarnation: u64,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}.{:04x}", self.client, self.incarnation & 0xffff)
    }
}

/// Bytes that travel behind the fields of a message or a record.
///
/// Encoded, a payload is its length; the bytes themselves follow after all
/// fields, as they are, so that neither side copies or walks them. Whoever
/// decodes hands the bytes back with [`Payloads::decode_from`].
#[derive(Clone, Default)]
pub struct Payload {
    length: u32,
    bytes: Bytes,
    /// What the bytes were the end of when they arrived, if somebody wants to know:
    /// most payloads are many and small, and must not be larger for the sake of few.
    arrived: Option<Box<Bytes>>,
}

impl Payload {
    /// A payload with these bytes.
    ///
    /// # Panics
    ///
    /// When the bytes are longer than `u32::MAX`.
    pub fn new(bytes: Bytes) -> Payload {
        Payload {
            length: u32::try_from(bytes.len()).expect("a payload fits a datagram"),
            bytes,
            arrived: None,
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes this payload's share off the front of `rest`.
    fn attach(&mut self, rest: &mut Bytes) -> bool {
        if self.len() > rest.len() {
            return false;
        }
        self.bytes = rest.split_to(self.len());
        true
    }

    /// From so many bytes on it is worth to remember whence they came: a few share a
    /// batch with others, and are copied.
    const WORTH: usize = 4 << 10;

    /// Remembers what these bytes are the end of, so that nobody need put together
    /// again what lies together already. It is the same memory.
    fn arrived_at_the_end_of(&mut self, whole: &Bytes) {
        let place = whole.len().saturating_sub(self.len());
        if self.len() >= Self::WORTH && whole[place..].as_ptr_range() == self.bytes.as_ptr_range() {
            self.arrived = Some(Box::new(whole.clone()));
        }
    }
}

/// How a payload came here makes no difference.
impl PartialEq for Payload {
    fn eq(&self, other: &Payload) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Payload {}

impl PartialOrd for Payload {
    fn partial_cmp(&self, other: &Payload) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Payload {
    fn cmp(&self, other: &Payload) -> Ordering {
        (self.length, &self.bytes).cmp(&(other.length, &other.bytes))
    }
}

impl Hash for Payload {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.length, &self.bytes).hash(state);
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.length.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
        Ok(Payload {
            length: u32::deserialize(deserializer)?,
            ..Payload::default()
        })
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}B", self.length)
    }
}

/// Anything with payloads: encoded as its fields by postcard, then the bytes of
/// each payload in turn.
pub trait Payloads: Serialize + for<'de> Deserialize<'de> {
    /// Calls `visit` with every payload, in the order of the fields.
    fn each_payload(&self, visit: &mut dyn FnMut(&Payload));

    /// Calls `visit` with every payload, to be changed, in the order of the fields.
    fn each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload));

    /// Appends the fields to `buffer`: all that stands ahead of the payloads.
    fn encode_fields_into(&self, buffer: &mut BytesMut) {
        let buf = std::mem::take(buffer);
        *buffer = postcard::to_extend(self, buf).expect("writing to memory cannot fail");
    }

    /// Appends the encoding to `buffer`.
    fn encode_into(&self, buffer: &mut BytesMut) {
        self.encode_fields_into(buffer);
        self.each_payload(&mut |payload| buffer.put_slice(payload.bytes()));
    }

    /// The encoding alone.
    fn encode(&self) -> Bytes {
        let mut buffer = BytesMut::new();
        self.encode_into(&mut buffer);
        buffer.freeze()
    }

    /// Decodes one item from the front of `bytes`; the payloads share its
    /// memory. Returns the item and what follows it, or nothing when the bytes
    /// are no such item.
    fn decode_from(bytes: &Bytes) -> Option<(Self, Bytes)> {
        let (mut item, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        let mut rest = bytes.slice_ref(rest);
        let mut whole = true;
        item.each_payload_mut(&mut |payload| whole = whole && payload.attach(&mut rest));
        whole.then_some((item, rest))
    }

    /// Decodes an item that must fill `bytes` to the last.
    fn decode(bytes: &Bytes) -> Option<Self> {
        let (item, rest) = Self::decode_from(bytes)?;
        rest.is_empty().then_some(item)
    }
}

/// Consecutive values of one session, as the client cut them.
///
/// The leader and the learners handle a run as a whole; its items are looked at
/// one by one only where they are delivered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Run {
    /// Whose values.
    pub session: Session,
    /// A decided instance that the client had heard of before its first value.
    /// A session is opened by a first value that is not older than what the
    /// learners still remember.
    pub birth: Instance,
    /// The number of the first item, from 1.
    pub first: u64,
    /// How many items, at least 1.
    pub count: u32,
    /// The items, see [`Item`].
    pub items: Payload,
}

impl Run {
    /// No client comes this far: where numbers are added up, nothing overflows.
    pub const MAX_NUMBER: u64 = 1 << 62;

    /// The number of the last item.
    pub fn last(&self) -> u64 {
        self.first
            .saturating_add(u64::from(self.count))
            .saturating_sub(1)
    }

    /// The encoding of this run, where it lies in what arrived: it need not be copied.
    /// Only if it lies there exactly as [`Payloads::encode`] would put it.
    pub fn as_arrived(&self) -> Option<Bytes> {
        let arrived = self.items.arrived.as_deref()?;
        let mut room = [0; Settings::RUN_HEADROOM];
        let fields = postcard::to_slice(self, &mut room).ok()?;
        let end = arrived.len().checked_sub(self.items.len())?;
        let start = end.checked_sub(fields.len())?;
        (arrived[start..end] == *fields).then(|| arrived.slice(start..))
    }

    /// The items, one by one. Ends early where the bytes are malformed: every
    /// learner sees the same end.
    pub fn items(&self) -> Items {
        Items::new(self.items.bytes().clone(), self.count)
    }
}

impl Run {
    /// Remembers what the run is the end of, if it is, see [`Run::as_arrived`].
    pub(super) fn arrived_at_the_end_of(&mut self, whole: &Bytes) {
        self.items.arrived_at_the_end_of(whole);
    }
}

impl Payloads for Run {
    fn each_payload(&self, visit: &mut dyn FnMut(&Payload)) {
        visit(&self.items);
    }

    fn each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        visit(&mut self.items);
    }
}

/// One numbered thing of a session: a whole value, or a piece of a large one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whether the value goes on in the next item.
    pub continues: bool,
    /// The bytes.
    pub bytes: Bytes,
}

impl Item {
    /// The most bytes an item needs in a run beyond its own.
    pub const OVERHEAD: usize = 5;

    /// Appends an item to a run's payload.
    pub fn encode(continues: bool, bytes: &[u8], buffer: &mut BytesMut) {
        let mut head = (bytes.len() as u64) << 1 | u64::from(continues);
        while head >= 0x80 {
            buffer.put_u8(head as u8 | 0x80);
            head >>= 7;
        }
        buffer.put_u8(head as u8);
        buffer.put_slice(bytes);
    }
}

/// The items of a run, see [`Run::items`].
#[derive(Clone, Debug)]
pub struct Items {
    rest: Bytes,
    left: u32,
}

impl Items {
    /// So many items, encoded one behind the other.
    pub(super) fn new(rest: Bytes, left: u32) -> Items {
        Items { rest, left }
    }
}

impl Iterator for Items {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.left == 0 {
            return None;
        }
        let mut head = 0u64;
        let mut length = 0;
        loop {
            let byte = *self.rest.get(length)?;
            head |= u64::from(byte & 0x7f) << (7 * length);
            length += 1;
            if byte < 0x80 {
                break;
            }
            if length == Item::OVERHEAD {
                return None;
            }
        }
        let bytes = usize::try_from(head >> 1).ok()?;
        if self.rest.len() - length < bytes {
            return None;
        }
        let mut item = self.rest.split_to(length + bytes);
        self.left -= 1;
        Some(Item {
            continues: head & 1 == 1,
            bytes: item.split_off(length),
        })
    }
}

/// The runs of a batch. Ends early where the bytes are malformed: every learner
/// sees the same end.
pub fn runs(batch: &Bytes) -> impl Iterator<Item = Run> {
    let mut rest = batch.clone();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        match Run::decode_from(&rest) {
            Some((run, behind)) => {
                rest = behind;
                Some(run)
            }
            None => {
                rest = Bytes::new();
                None
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;

    fn run(first: u64, items: &[(bool, &[u8])]) -> Run {
        let mut buffer = BytesMut::new();
        for (continues, bytes) in items {
            Item::encode(*continues, bytes, &mut buffer);
        }
        Run {
            session: Session {
                client: 7,
                incarnation: 99,
            },
            birth: Instance(3),
            first,
            count: items.len() as u32,
            items: Payload::new(buffer.freeze()),
        }
    }

    #[test]
    fn a_batch_gives_back_its_runs() {
        let big = vec![b'x'; 70_000];
        let written = [
            run(1, &[(false, b"a"), (false, b""), (false, b"bcd")]),
            run(4, &[(true, &big), (false, b"end")]),
        ];
        let mut batch = BytesMut::new();
        for run in &written {
            run.encode_into(&mut batch);
        }
        let read: Vec<Run> = runs(&batch.freeze()).collect();
        assert_eq!(read, written);
        let items: Vec<Item> = read[1].items().collect();
        assert!(items[0].continues && items[0].bytes.len() == 70_000);
        assert!(!items[1].continues && items[1].bytes[..] == b"end"[..]);
    }

    #[test]
    fn a_run_that_arrived_is_there_encoded_already() {
        let large = [7; 5_000];
        let sent = run(300, &[(false, b"hello"), (true, &large)]);
        assert_eq!(sent.as_arrived(), None, "it never arrived");
        let submit = Message::Submit {
            acknowledged: 7,
            run: sent.clone(),
        };
        let datagram = submit.encode();
        let Some(Message::Submit { mut run, .. }) = Message::decode(&datagram) else {
            panic!("what was encoded is decoded");
        };
        let arrived = run.as_arrived().expect("all of it came in one piece");
        assert_eq!(arrived, sent.encode());
        assert_eq!(arrived.as_ptr_range().end, datagram.as_ptr_range().end);
        assert_eq!(run, sent);
        run.first += 1;
        assert_eq!(run.as_arrived(), None, "that is not what arrived");
    }

    #[test]
    fn no_instance_is_read_from_beyond_the_last() {
        let read = |instance: Instance| {
            postcard::to_stdvec(&instance)
                .and_then(|bytes| postcard::from_bytes::<Instance>(&bytes))
        };
        assert_eq!(read(Instance::LAST), Ok(Instance::LAST));
        for beyond in [Instance::LAST.next(), Instance(u64::MAX)] {
            assert!(read(beyond).is_err());
        }
    }

    #[test]
    fn a_cut_batch_ends_early_and_never_panics() {
        let whole = run(1, &[(false, b"hello"), (false, b"world")]).encode();
        for end in 0..whole.len() {
            assert_eq!(runs(&whole.slice(..end)).count(), 0);
        }
        let mut lying = run(1, &[(false, b"hello")]);
        lying.count = 5;
        assert_eq!(lying.items().count(), 1);
    }
}
