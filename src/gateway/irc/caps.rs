//! Capabilities: what a client has said that it understands.

use std::fmt::Write as _;

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caps(u16);

impl Caps {
    /// Every message says when it was sent.
    pub const SERVER_TIME: Caps = Caps(1);
    /// Messages have names (`msgid`), and clients may send tags.
    pub const MESSAGE_TAGS: Caps = Caps(1 << 1);
    /// Who says something is shown it, too.
    pub const ECHO_MESSAGE: Caps = Caps(1 << 2);
    /// What belongs together is told to.
    pub const BATCH: Caps = Caps(1 << 3);
    /// The client asks for history itself.
    pub const CHATHISTORY: Caps = Caps(1 << 4);
    /// Accounts and passwords.
    pub const SASL: Caps = Caps(1 << 5);
    /// Messages say which account sent them.
    pub const ACCOUNT_TAG: Caps = Caps(1 << 6);
    /// Who joins is told with account and real name.
    pub const EXTENDED_JOIN: Caps = Caps(1 << 7);
    /// All that somebody may is shown, not only the most.
    pub const MULTI_PREFIX: Caps = Caps(1 << 8);
    /// NAMES tells users and hosts.
    pub const USERHOST_IN_NAMES: Caps = Caps(1 << 9);
    /// The list of capabilities may change; it does not.
    pub const CAP_NOTIFY: Caps = Caps(1 << 10);
    /// Who goes away is told to those who share a channel.
    pub const AWAY_NOTIFY: Caps = Caps(1 << 11);
    /// Failures are told in a form for programs.
    pub const STANDARD_REPLIES: Caps = Caps(1 << 12);
    /// Numbers and places: see `docs/chat.md`.
    pub const SESSION: Caps = Caps(1 << 13);

    /// All of them, by name.
    const NAMES: [(&str, Caps); 14] = [
        ("server-time", Self::SERVER_TIME),
        ("message-tags", Self::MESSAGE_TAGS),
        ("echo-message", Self::ECHO_MESSAGE),
        ("batch", Self::BATCH),
        ("draft/chathistory", Self::CHATHISTORY),
        ("sasl", Self::SASL),
        ("account-tag", Self::ACCOUNT_TAG),
        ("extended-join", Self::EXTENDED_JOIN),
        ("multi-prefix", Self::MULTI_PREFIX),
        ("userhost-in-names", Self::USERHOST_IN_NAMES),
        ("cap-notify", Self::CAP_NOTIFY),
        ("away-notify", Self::AWAY_NOTIFY),
        ("standard-replies", Self::STANDARD_REPLIES),
        ("paxcast/session", Self::SESSION),
    ];

    /// Those that a line which is shown to many depends on.
    pub const SHAPING: Caps = Caps(
        Self::SERVER_TIME.0
            | Self::MESSAGE_TAGS.0
            | Self::ACCOUNT_TAG.0
            | Self::EXTENDED_JOIN.0
            | Self::SESSION.0,
    );

    /// Whether all of these are in it.
    pub fn has(self, others: Caps) -> bool {
        self.0 & others.0 == others.0
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, others: Caps) -> Caps {
        Caps(self.0 & others.0)
    }

    /// All that are in either.
    #[must_use]
    pub fn with(self, others: Caps) -> Caps {
        Caps(self.0 | others.0)
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(self, others: Caps) -> Caps {
        Caps(self.0 & !others.0)
    }

    /// Their names, with what belongs to them where the client knows how to read it;
    /// without `sasl` where there are no accounts.
    pub fn offer(values: bool, accounts: bool) -> String {
        let mut text = String::new();
        for (name, cap) in Self::NAMES {
            if cap == Self::SASL && !accounts {
                continue;
            }
            let value = if values && cap == Self::SASL {
                "=PLAIN"
            } else {
                ""
            };
            let blank = if text.is_empty() { "" } else { " " };
            write!(text, "{blank}{name}{value}").expect("a string grows");
        }
        text
    }

    /// The names of those in it.
    pub fn names(self) -> String {
        let held = Self::NAMES.iter().filter(|(_, cap)| self.has(*cap));
        let names: Vec<&str> = held.map(|(name, _)| *name).collect();
        names.join(" ")
    }

    /// The set behind a request, if all of it can be: names, with a hyphen ahead of
    /// what is not wanted any more.
    pub fn request(self, names: &str, accounts: bool) -> Option<Caps> {
        let mut caps = self;
        for word in names.split_whitespace() {
            let (wanted, name) = match word.strip_prefix('-') {
                Some(name) => (false, name),
                None => (true, word),
            };
            let (_, cap) = Self::NAMES.iter().find(|(known, _)| *known == name)?;
            match wanted {
                true if *cap == Self::SASL && !accounts => return None,
                true => caps.0 |= cap.0,
                false => caps.0 &= !cap.0,
            }
        }
        Some(caps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_granted_whole_or_not_at_all() {
        let caps = Caps::default();
        let granted = caps.request("server-time  batch", false).expect("both");
        assert!(granted.has(Caps::SERVER_TIME) && granted.has(Caps::BATCH));
        assert_eq!(granted.names(), "server-time batch");
        assert_eq!(granted.request("-batch", false), Some(Caps::SERVER_TIME));
        assert_eq!(caps.request("batch nosuch", true), None);
        assert_eq!(caps.request("sasl", false), None);
        assert_eq!(caps.request("sasl", true), Some(Caps::SASL));
        assert!(Caps::offer(true, true).contains(" sasl=PLAIN "));
        assert!(!Caps::offer(true, false).contains("sasl"));
        assert!(Caps::offer(false, true).contains(" sasl "));
    }
}
