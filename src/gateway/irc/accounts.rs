//! Accounts: a file with a name and the hash of a password on each line.
//!
//! ```text
//! # made with: paxcast chat --hash-password
//! alice $pbkdf2-sha256$i=10000,l=32$…
//! ```
//!
//! Every gateway has the file; the chat itself knows only the names. Passwords are
//! not kept anywhere: a hash says whether one is right, and each guess at one costs
//! ten thousand rounds. That is few as such hashes go: it is done in the loop that
//! serves everybody, and must not stop it for long. When, is for `guesses` to say.

use std::collections::BTreeMap;
use std::path::Path;

use pbkdf2::password_hash::{CustomizedPasswordHasher, PasswordVerifier};
use pbkdf2::phc::PasswordHash;
use pbkdf2::{Params, Pbkdf2};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::service::chat::limits::Limits;

/// The accounts there are.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// By folded name: the name as it is written, and the hash.
    all: BTreeMap<String, (String, PasswordHash)>,
}

/// Why a file has no accounts.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the kernel says.
        error: std::io::Error,
    },
    /// A line is none.
    #[error(
        "{path}:{line}: {what}; a line is NAME HASH, as `paxcast chat --hash-password` makes it"
    )]
    Malformed {
        /// The file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl Accounts {
    /// Rounds of a hash.
    const ROUNDS: u32 = 10_000;

    /// The most rounds that a hash of another's making may have: half a second.
    const MOST_ROUNDS: u32 = 1_000_000;

    /// Bytes of a hash.
    const LENGTH: usize = 32;

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a line is malformed.
    pub fn read(path: &Path) -> Result<Accounts, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Unreadable {
            path: path.display().to_string(),
            error,
        })?;
        Self::parse(&text).map_err(|(line, what)| Error::Malformed {
            path: path.display().to_string(),
            line,
            what,
        })
    }

    fn parse(text: &str) -> Result<Accounts, (usize, &'static str)> {
        let mut accounts = Accounts::default();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let wrong = |what| (line, what);
            let (name, hash) = text
                .split_once(char::is_whitespace)
                .ok_or(wrong("there is no hash"))?;
            let graphic = |byte: u8| byte.is_ascii_graphic();
            if name.len() > Limits::ACCOUNT || !name.bytes().all(graphic) {
                return Err(wrong("that is no name of an account"));
            }
            let hash = PasswordHash::new(hash.trim()).map_err(|_| wrong("that is no hash"))?;
            let params = Params::try_from(&hash).map_err(|_| wrong("that is no hash of ours"))?;
            if params.rounds() > Self::MOST_ROUNDS {
                return Err(wrong("the hash has more rounds than can be waited for"));
            }
            let named = (name.to_owned(), hash);
            if accounts
                .all
                .insert(name.to_ascii_lowercase(), named)
                .is_some()
            {
                return Err(wrong("the account is there twice"));
            }
        }
        Ok(accounts)
    }

    /// The account of this name, as it is written in the file, if the password is
    /// right.
    pub fn check(&self, name: &str, password: &str) -> Option<&str> {
        let (name, hash) = self.all.get(&name.to_ascii_lowercase())?;
        let right = Pbkdf2::default().verify_password(password.as_bytes(), hash);
        right.is_ok().then_some(name)
    }

    /// The folded name of the account of this name, if there is one.
    pub fn find(&self, name: &str) -> Option<String> {
        let folded = name.to_ascii_lowercase();
        self.all.contains_key(&folded).then_some(folded)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// The hash of a password, with a salt of its own.
///
/// # Errors
///
/// When the operating system has no random bytes.
pub fn hash_password(password: &str) -> Result<String, std::io::Error> {
    let mut salt = [0; 16];
    SysRng
        .try_fill_bytes(&mut salt)
        .map_err(std::io::Error::other)?;
    let params = Params::new_with_output_len(Accounts::ROUNDS, Accounts::LENGTH)
        .expect("these numbers are in bounds");
    let hash: PasswordHash = Pbkdf2::default()
        .hash_password_customized(password.as_bytes(), &salt, None, None, params)
        .expect("the salt has a good length");
    Ok(hash.to_string())
}

/// A secret that nobody can guess.
///
/// # Panics
///
/// When the operating system has no random bytes; there were some at the start.
pub fn secret() -> String {
    let mut bytes = [0; 16];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system has random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What stands in the log for a secret by which somebody can come back.
pub fn token(secret: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(b"paxcast chat token\0");
    digest.update(secret.as_bytes());
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_opens_its_account_and_no_other() {
        let hash = hash_password("correct horse").expect("random bytes");
        assert_ne!(hash, hash_password("correct horse").expect("random bytes"));
        let other = hash_password("battery").expect("random bytes");
        let text = format!("# ours\n\nAlice {hash}\r\n  bob\t{other}\n");
        let accounts = Accounts::parse(&text).expect("accounts");
        assert_eq!(accounts.check("alice", "correct horse"), Some("Alice"));
        assert_eq!(accounts.check("ALICE", "correct horse"), Some("Alice"));
        assert_eq!(accounts.check("bob", "battery"), Some("bob"));
        for (name, password) in [("alice", "battery"), ("bob", ""), ("carol", "battery")] {
            assert_eq!(accounts.check(name, password), None, "{name}");
        }
        assert!(!accounts.is_empty() && Accounts::default().is_empty());
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let hash = hash_password("x").expect("random bytes");
        let long = "n".repeat(Limits::ACCOUNT + 1);
        for (text, line, what) in [
            ("alice".to_owned(), 1, "there is no hash"),
            ("\nalice x".to_owned(), 2, "that is no hash"),
            (
                format!("a\u{e4} {hash}"),
                1,
                "that is no name of an account",
            ),
            (format!("{long} {hash}"), 1, "that is no name of an account"),
            (
                format!("a {hash}\nA {hash}"),
                2,
                "the account is there twice",
            ),
            (
                "a $argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo".to_owned(),
                1,
                "that is no hash of ours",
            ),
            (
                format!("a {}", hash.replace("i=10000", "i=9000000")),
                1,
                "the hash has more rounds than can be waited for",
            ),
        ] {
            assert_eq!(Accounts::parse(&text).err(), Some((line, what)), "{text}");
        }
        let missing = Accounts::read(Path::new("/nowhere/at/all")).expect_err("no file");
        assert!(missing.to_string().starts_with("/nowhere/at/all: "));
    }

    #[test]
    fn secrets_have_digests_of_their_own() {
        assert_eq!(token("a"), token("a"));
        assert_ne!(token("a"), token("b"));
    }
}
