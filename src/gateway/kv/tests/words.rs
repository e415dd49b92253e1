//! Any command with any words behind it.

use proptest::prelude::*;

use super::rig::{Rig, Slow, prompt};
use crate::gateway::kv::table;

/// The rest behind one whole reply, of either version.
fn behind_a_reply(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let (line, rest) = (std::str::from_utf8(&bytes[1..end]).ok(), &bytes[end + 2..]);
    let number = || line.and_then(|line| line.parse::<i64>().ok());
    let parts = match bytes[0] {
        b'+' | b'-' | b':' | b'_' => return Some(rest),
        b'$' | b'=' => {
            let length = usize::try_from(number()?).ok();
            return match length {
                None => Some(rest),
                Some(length) => {
                    assert_eq!(&rest[length..length + 2], b"\r\n");
                    Some(&rest[length + 2..])
                }
            };
        }
        b'*' | b'~' => number()?,
        b'%' => 2 * number()?,
        other => panic!("{:?} begins no reply", other as char),
    };
    (0..parts.max(0)).try_fold(rest, |rest, _| behind_a_reply(rest))
}

/// A word that means something somewhere, or nothing anywhere.
fn a_word() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "k",
        "k",
        "n",
        "0",
        "1",
        "-1",
        "10",
        "9223372036854775807",
        "-9223372036854775808",
        "EX",
        "PX",
        "NX",
        "XX",
        "GET",
        "KEEPTTL",
        "EXAT",
        "PXAT",
        "GT",
        "LT",
        "MATCH",
        "COUNT",
        "TYPE",
        "string",
        "*",
        "LIST",
        "INFO",
        "ID",
        "SETNAME",
        "GETNAME",
        "DOCS",
        "HASH",
        "INSTANCE",
        "SETINFO",
        "LIB-NAME",
        "2",
        "3",
        "SETNAME",
        "AUTH",
        "RESETSTAT",
        "on",
        "help",
        "save",
        "ASYNC",
    ]);
    prop_oneof![
        8 => known.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

/// Any command with any words behind it, but for what ends a connection or makes
/// it silent.
fn any_request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names: Vec<&str> = table::ROWS.iter().map(|row| row.name).collect();
    let name = prop::sample::select(names).prop_filter("it ends", |name| *name != "QUIT");
    (name, prop::collection::vec(a_word(), 0..6)).prop_map(|(name, mut words)| {
        words.insert(0, name.as_bytes().to_vec());
        words
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_command_with_any_words_gets_one_reply(
        requests in prop::collection::vec(any_request(), 1..80),
        slow: bool,
    ) {
        let mut rig = Rig::new(if slow { Slow::default() } else { prompt() });
        let mut client = rig.connect();
        let mut stream = Vec::new();
        for words in &requests {
            stream.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                stream.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                stream.extend_from_slice(word);
                stream.extend_from_slice(b"\r\n");
            }
        }
        stream.extend_from_slice(b"RESET\r\nQUIT\r\n");
        client.send(&stream);
        rig.until("the end", |rig| {
            if !rig.back.under_way.is_empty() {
                rig.back.let_go(0);
            }
            client.listen();
            client.ended
        });
        let mut rest = &client.heard[..];
        for words in &requests {
            let behind = behind_a_reply(rest);
            prop_assert!(behind.is_some(), "no reply to {words:?}: {:?}", rest.escape_ascii());
            rest = behind.expect("just checked");
        }
        prop_assert_eq!(rest, b"+RESET\r\n+OK\r\n");
    }
}
