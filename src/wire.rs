//! Datagrams: a fixed header, a message, a tag.
//!
//! ```text
//! magic 4 | version 1 | kind 1 | cluster 8 | config 8 | role 1 | id 2 | incarnation 8 | sequence 8
//! fields of the message (postcard) | payloads as they are | tag 16
//! ```
//!
//! Numbers of the header are little-endian. The header comes first so that a
//! stranger's datagram is dropped after two comparisons. The tag covers all
//! bytes before it: CRC-32C in its first four bytes and zeros in the others,
//! the room for a keyed authenticator. UDP's own checksum is 16 bits wide and
//! optional, which is too little to bet a log on.
//!
//! Nothing in here panics on any bytes; whatever is odd is a [`Reject`].

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::protocol::checksum;
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{AcceptorSet, Message, Payloads, ProcessId, Role};

/// The first bytes of every datagram.
pub const MAGIC: [u8; 4] = *b"PXCT";

/// The version of the format written here.
pub const VERSION: u8 = 1;

/// The only kind of content so far: a protocol message.
pub const KIND_MESSAGE: u8 = 1;

/// Bytes of the header.
pub const HEADER: usize = 41;

/// Bytes of the tag.
pub const TAG: usize = 16;

/// What all processes of a cluster have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Names the cluster: its groups and its name.
    pub cluster: u64,
    /// A digest of the configuration that safety hangs on.
    pub config: u64,
}

/// A datagram, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub sender: ProcessId,
    /// The sender's count of datagrams.
    pub sequence: u64,
    /// What it says. Its payloads share the datagram's memory.
    pub message: Message,
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum Reject {
    /// Not ours at all, or cut off.
    #[error("not a paxcast datagram")]
    Foreign,
    /// Ours, of another version.
    #[error("wire version {0}, this is version {VERSION}")]
    Version(u8),
    /// Of another cluster on the same groups.
    #[error("another cluster")]
    Cluster,
    /// Of this cluster, with another configuration.
    #[error("another configuration at {sender}")]
    Config {
        /// Who has it.
        sender: ProcessId,
    },
    /// Damaged on its way.
    #[error("bad checksum")]
    Tag,
    /// Whole, yet no message: of a kind or a form that is not known here.
    #[error("malformed")]
    Malformed,
}

impl Reject {
    /// A short name for counters.
    pub fn name(&self) -> &'static str {
        match self {
            Reject::Foreign => "foreign",
            Reject::Version(_) => "version",
            Reject::Cluster => "cluster",
            Reject::Config { .. } => "config",
            Reject::Tag => "checksum",
            Reject::Malformed => "malformed",
        }
    }
}

/// The number of the message in a datagram among all there are, if it is one of ours:
/// a glance, without a look at anything else.
pub fn variant(datagram: &[u8]) -> Option<u8> {
    datagram
        .starts_with(&MAGIC)
        .then(|| datagram.get(HEADER).copied())?
}

/// Appends a datagram to `buffer`.
pub fn encode(
    scope: &Scope,
    sender: ProcessId,
    sequence: u64,
    message: &Message,
    buffer: &mut BytesMut,
) {
    let start = buffer.len();
    encode_header(scope, sender, sequence, buffer);
    message.encode_into(buffer);
    let tag = tag(&buffer[start..], &[]);
    buffer.put_slice(&tag);
}

/// A datagram in the parts that it is sent from: bytes that are large and there
/// already need not be copied to stand behind the fields.
#[derive(Debug, Default)]
pub struct Parts {
    /// Header and fields.
    pub head: BytesMut,
    /// The payloads, in their order.
    pub payloads: Vec<Bytes>,
    /// What ends it.
    pub tag: [u8; TAG],
}

impl Parts {
    /// Bytes of the whole datagram.
    pub fn length(&self) -> usize {
        let payloads: usize = self.payloads.iter().map(Bytes::len).sum();
        self.head.len() + payloads + TAG
    }
}

/// Puts a datagram into `parts`, which are emptied first.
pub fn encode_parts(
    scope: &Scope,
    sender: ProcessId,
    sequence: u64,
    message: &Message,
    parts: &mut Parts,
) {
    parts.head.clear();
    parts.payloads.clear();
    encode_header(scope, sender, sequence, &mut parts.head);
    message.encode_fields_into(&mut parts.head);
    message.each_payload(&mut |payload| parts.payloads.push(payload.bytes().clone()));
    parts.tag = tag(&parts.head, &parts.payloads);
}

fn encode_header(scope: &Scope, sender: ProcessId, sequence: u64, buffer: &mut BytesMut) {
    let start = buffer.len();
    buffer.put_slice(&MAGIC);
    buffer.put_u8(VERSION);
    buffer.put_u8(KIND_MESSAGE);
    buffer.put_u64_le(scope.cluster);
    buffer.put_u64_le(scope.config);
    buffer.put_u8(sender.role as u8);
    buffer.put_u16_le(sender.id);
    buffer.put_u64_le(sender.incarnation);
    buffer.put_u64_le(sequence);
    debug_assert_eq!(buffer.len() - start, HEADER);
}

/// Takes a datagram apart, or says why not.
pub fn decode(scope: &Scope, datagram: Bytes) -> Result<Datagram, Reject> {
    if datagram.len() < HEADER + TAG || datagram[..4] != MAGIC {
        return Err(Reject::Foreign);
    }
    if datagram[4] != VERSION && !mutant(Mutant::VersionIgnored) {
        return Err(Reject::Version(datagram[4]));
    }
    let word = |at: usize| u64::from_le_bytes(datagram[at..at + 8].try_into().expect("8 bytes"));
    if word(6) != scope.cluster && !mutant(Mutant::ClusterIgnored) {
        return Err(Reject::Cluster);
    }
    let end = datagram.len() - TAG;
    if datagram[end..] != tag(&datagram[..end], &[]) && !mutant(Mutant::TagNotChecked) {
        return Err(Reject::Tag);
    }
    let role = *Role::ALL
        .get(usize::from(datagram[22]))
        .ok_or(Reject::Malformed)?;
    let sender = ProcessId {
        role,
        id: u16::from_le_bytes([datagram[23], datagram[24]]),
        incarnation: word(25),
    };
    if word(14) != scope.config && !mutant(Mutant::ConfigurationIgnored) {
        return Err(Reject::Config { sender });
    }
    let known_acceptor = role != Role::Acceptor || sender.id <= AcceptorSet::MAX_ID;
    if datagram[5] != KIND_MESSAGE || sender.id == 0 || !known_acceptor {
        return Err(Reject::Malformed);
    }
    Ok(Datagram {
        sender,
        sequence: word(33),
        message: Message::decode(&datagram.slice(HEADER..end)).ok_or(Reject::Malformed)?,
    })
}

/// The tag of these bytes, and of those behind them.
fn tag(bytes: &[u8], behind: &[Bytes]) -> [u8; TAG] {
    let (bytes, behind) = match mutant(Mutant::TagOfHeaderOnly) {
        true => (&bytes[..HEADER], &[][..]),
        false => (bytes, behind),
    };
    let sum = behind
        .iter()
        .fold(checksum::of(bytes), |sum, part| checksum::append(sum, part));
    let mut tag = [0; TAG];
    tag[..4].copy_from_slice(&sum.to_le_bytes());
    tag
}
