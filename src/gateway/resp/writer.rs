//! Replies, as the client's version of RESP has them.

use crate::service::kv::number::{self, LONGEST};

/// Which RESP a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Without maps, and with several kinds of nothing.
    #[default]
    Two,
    /// What `HELLO 3` asks for.
    Three,
}

/// Writes replies behind what is there.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

impl<'a> Writer<'a> {
    /// A writer for a client of this version.
    pub fn new(out: &'a mut Vec<u8>, version: Version) -> Writer<'a> {
        Writer { out, version }
    }

    /// The version it writes.
    pub fn version(&self) -> Version {
        self.version
    }

    fn header(&mut self, mark: u8, number: i64) {
        self.out.push(mark);
        let mut space = [0; LONGEST];
        self.out
            .extend_from_slice(number::write(number, &mut space));
        self.out.extend_from_slice(b"\r\n");
    }

    /// A line; an end of line within would end the reply, so it becomes a blank.
    fn line(&mut self, mark: u8, text: &[u8]) {
        self.out.push(mark);
        let plain = |byte: &u8| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                *byte
            }
        };
        self.out.extend(text.iter().map(plain));
        self.out.extend_from_slice(b"\r\n");
    }

    /// That all is well.
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A word or two without an end of line.
    pub fn simple(&mut self, text: &[u8]) {
        self.line(b'+', text);
    }

    /// What went wrong: a word in capitals, then the rest.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text.as_bytes());
    }

    /// A number.
    pub fn integer(&mut self, number: i64) {
        self.header(b':', number);
    }

    /// Bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A text for people.
    pub fn verbatim(&mut self, text: &str) {
        match self.version {
            Version::Two => self.bulk(text.as_bytes()),
            Version::Three => {
                const FORMAT: &[u8] = b"txt:";
                self.header(b'=', (FORMAT.len() + text.len()) as i64);
                self.out.extend_from_slice(FORMAT);
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A reply, or several, that was written before.
    pub fn raw(&mut self, reply: &[u8]) {
        self.out.extend_from_slice(reply);
    }

    /// Nothing, where bytes could be.
    pub fn nil(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Two => b"$-1\r\n",
            Version::Three => b"_\r\n",
        });
    }

    /// Nothing, where a list could be.
    pub fn nil_list(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Two => b"*-1\r\n",
            Version::Three => b"_\r\n",
        });
    }

    /// So many replies, which follow.
    pub fn list(&mut self, count: usize) {
        self.header(b'*', count as i64);
    }

    /// So many pairs of replies, which follow.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            Version::Two => self.header(b'*', 2 * pairs as i64),
            Version::Three => self.header(b'%', pairs as i64),
        }
    }

    /// So many replies without an order, which follow.
    pub fn set(&mut self, count: usize) {
        match self.version {
            Version::Two => self.header(b'*', count as i64),
            Version::Three => self.header(b'~', count as i64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(version: Version) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, version);
        writer.ok();
        writer.simple(b"PO\r\nNG");
        writer.error("ERR no\nsuch");
        writer.integer(i64::MIN);
        writer.bulk(b"\r\n\0");
        writer.bulk(b"");
        writer.verbatim("a:1\r\n");
        writer.nil();
        writer.nil_list();
        writer.list(2);
        writer.map(3);
        writer.set(1);
        out.escape_ascii().to_string()
    }

    #[test]
    fn both_versions_keep_their_bytes() {
        assert_eq!(
            all(Version::Two),
            r"+OK\r\n+PO  NG\r\n-ERR no such\r\n:-9223372036854775808\r\n$3\r\n\r\n\x00\r\n$0\r\n\r\n$5\r\na:1\r\n\r\n$-1\r\n*-1\r\n*2\r\n*6\r\n*1\r\n"
        );
        assert_eq!(
            all(Version::Three),
            r"+OK\r\n+PO  NG\r\n-ERR no such\r\n:-9223372036854775808\r\n$3\r\n\r\n\x00\r\n$0\r\n\r\n=9\r\ntxt:a:1\r\n\r\n_\r\n_\r\n*2\r\n%3\r\n~1\r\n"
        );
    }
}
