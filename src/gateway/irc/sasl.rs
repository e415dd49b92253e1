//! SASL PLAIN: an account's name and password, in base64 and in pieces.

/// What was sent so far.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    text: String,
}

/// What has become of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// More comes.
    More,
    /// A name and a password.
    Complete(String, String),
    /// These are none.
    Malformed,
    /// It is longer than it may be.
    TooLong,
}

impl Exchange {
    /// Bytes of one piece; a shorter one is the last.
    pub const PIECE: usize = 400;

    /// Bytes of all pieces.
    const MOST: usize = 1200;

    /// Takes a piece in.
    pub fn take(&mut self, piece: &str) -> Step {
        if piece.len() > Self::PIECE || self.text.len() + piece.len() > Self::MOST {
            return Step::TooLong;
        }
        if piece != "+" {
            self.text.push_str(piece);
        }
        if piece.len() == Self::PIECE {
            return Step::More;
        }
        match decode(&self.text).as_deref().map(plain) {
            Some(Some((name, password))) => Step::Complete(name, password),
            _ => Step::Malformed,
        }
    }
}

/// The name and the password in `authorization NUL name NUL password`. Nobody acts for
/// another: the authorization is empty, or the name.
fn plain(bytes: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parts = text.split('\0');
    let (authorization, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && !name.is_empty();
    let own = authorization.is_empty() || authorization == name;
    (whole && own).then(|| (name.to_owned(), password.to_owned()))
}

/// Reads base64 with its padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - body.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in body.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over is nothing.
    (bits == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_everywhere() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYmFy", b"foobar"),
            ("++//", &[0xfb, 0xef, 0xff]),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
        }
        for text in [
            "Z",
            "Zg=",
            "Zg",
            "Zh==",
            "Z===",
            "Zm9v\n",
            "Zm=v",
            "====",
            "\u{e4}\u{e4}",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_and_a_password_in_pieces() {
        let complete = Step::Complete("jilles".into(), "sesame".into());
        assert_eq!(
            Exchange::default().take("amlsbGVzAGppbGxlcwBzZXNhbWU="),
            complete
        );
        assert_eq!(Exchange::default().take("AGppbGxlcwBzZXNhbWU="), complete);
        // Acting for another, no name, no password, nothing.
        for wrong in ["eABqaWxsZXMAc2VzYW1l", "AAB4", "AHg=", "+", "*"] {
            assert_eq!(Exchange::default().take(wrong), Step::Malformed, "{wrong}");
        }
        // 300 bytes are 400 of base64: a whole piece, so another one follows.
        let mut long = Exchange::default();
        assert_eq!(long.take(&format!("AGEA{}", "eHh4".repeat(99))), Step::More);
        assert_eq!(long.take("+"), Step::Complete("a".into(), "x".repeat(297)));
        let mut endless = Exchange::default();
        let piece = "A".repeat(Exchange::PIECE);
        let steps: Vec<Step> = (0..4).map(|_| endless.take(&piece)).collect();
        assert_eq!(steps[2..], [Step::More, Step::TooLong]);
    }
}
