//! Replies of the store in the words of RESP.

use crate::gateway::resp::Writer;
use crate::service::kv::number::{self, LONGEST};
use crate::service::kv::reply::Reply;

/// Writes a reply. `asides` are replies that are there already, each with its
/// place in the list that the reply is: what a transaction asked of the
/// connection and not of the store.
pub fn render(reply: &Reply<'_>, asides: &[(usize, Vec<u8>)], writer: &mut Writer<'_>) {
    match reply {
        Reply::Done => writer.ok(),
        Reply::Nil => writer.nil(),
        Reply::Aborted => writer.nil_list(),
        Reply::Integer(number) => writer.integer(*number),
        Reply::Text(text) => writer.bulk(text.0),
        Reply::Word(word) => writer.simple(word.0),
        Reply::Refused(refusal) => writer.error(&refusal.to_string()),
        Reply::Cursor(cursor) => {
            let mut space = [0; LONGEST];
            match i64::try_from(*cursor) {
                Ok(cursor) => writer.bulk(number::write(cursor, &mut space)),
                Err(_) => writer.bulk(cursor.to_string().as_bytes()),
            }
        }
        Reply::List(replies) => {
            let count = replies.len() + asides.len();
            writer.list(count);
            let (mut replies, mut asides) = (replies.iter(), asides.iter().peekable());
            for place in 0..count {
                match asides.next_if(|(at, _)| *at == place) {
                    Some((_, bytes)) => writer.raw(bytes),
                    None => render(replies.next().expect("as many as counted"), &[], writer),
                }
            }
        }
    }
}
