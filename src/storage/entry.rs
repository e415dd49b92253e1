//! What a frame's body says: a record, and behind a trim what it lets go.
//!
//! A [`Record::Trimmed`] speaks of instances; which segments may be deleted for
//! it only the log knows. It writes that down with the record, in eight bytes
//! behind its fields: the number of the first segment to be *kept*. So what
//! explains that the first segments are missing is durable exactly when the trim
//! is, and whoever opens the log can tell a segment that was let go from one that
//! was lost.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::protocol::{Payloads, Record};

/// Bytes behind a trim's fields.
const KEPT: usize = 8;

/// The body's fields; the payload, if there is one, stands behind them. Of a trim
/// `kept` is the first segment to be kept.
pub(super) fn encode_fields(record: &Record, kept: u64, buffer: &mut BytesMut) {
    record.encode_fields_into(buffer);
    if let Record::Trimmed { .. } = record {
        buffer.put_u64_le(kept);
    }
}

/// The record, and the first segment that it wants kept, if it is a trim; nothing
/// when the body is none that this version knows.
pub(super) fn decode(body: &Bytes) -> Option<(Record, Option<u64>)> {
    let (record, mut rest) = Record::decode_from(body)?;
    match record {
        Record::Trimmed { .. } if rest.len() == KEPT => Some((record, Some(rest.get_u64_le()))),
        Record::Trimmed { .. } => None,
        _ => rest.is_empty().then_some((record, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Ballot, Instance, Watermark};

    fn trimmed() -> Record {
        Record::Trimmed {
            through: Instance(7),
            promised: Ballot::ZERO,
            highest: Instance(9),
            watermark: Watermark::default(),
        }
    }

    #[test]
    fn a_trim_says_what_is_kept_and_others_do_not() {
        let promised = Record::Promised {
            ballot: Ballot::ZERO,
        };
        for (record, kept) in [(trimmed(), Some(300)), (promised, None)] {
            let mut body = BytesMut::new();
            encode_fields(&record, 300, &mut body);
            let body = body.freeze();
            assert_eq!(decode(&body), Some((record, kept)));
            for length in 0..body.len() {
                assert_eq!(decode(&body.slice(..length)), None, "cut short");
            }
            let longer = [&body[..], &[0]].concat();
            assert_eq!(decode(&longer.into()), None, "too long");
        }
    }
}
