//! What is too much, alike at every replica: limits decide the state.

/// The limits of the chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits;

impl Limits {
    /// Bytes of a nick.
    pub const NICK: usize = 30;

    /// Bytes of a user name.
    pub const USER: usize = 20;

    /// Bytes of a host as it is shown.
    pub const HOST: usize = 63;

    /// Bytes of what somebody calls themselves.
    pub const REAL: usize = 100;

    /// Bytes of an account's name.
    pub const ACCOUNT: usize = 32;

    /// Bytes of a channel's name.
    pub const CHANNEL: usize = 50;

    /// Bytes of a channel's key.
    pub const KEY: usize = 32;

    /// Bytes of a topic, of a reason, of why somebody is away.
    pub const REMARK: usize = 390;

    /// Bytes of a mask, `nick!user@host` with stars.
    pub const MASK: usize = Self::NICK + Self::USER + Self::HOST + 2;

    /// Bytes of what is said at once. A line of IRC has less room; a gateway that
    /// takes longer lines is not to be refused for it.
    pub const TEXT: usize = 4096;

    /// Targets of one line: of what is said, and who is thrown out by it.
    pub const TARGETS: usize = 4;

    /// Channels that one line enters or leaves.
    pub const CHANNELS_AT_ONCE: usize = 20;

    /// Members that a roster in a reply lists; that of a larger channel is empty.
    pub const ROSTER: usize = 500;

    /// Changes of modes in one line.
    pub const MODES: usize = 8;

    /// Channels that one session is in.
    pub const CHANNELS_EACH: usize = 100;

    /// Channels in all, those without members that are remembered among them.
    pub const CHANNELS: usize = 20_000;

    /// Members of a channel.
    pub const MEMBERS: usize = 5_000;

    /// Members of all channels together: each takes some 150 bytes, in the channel and in
    /// the session.
    pub const MEMBERSHIPS: usize = 400_000;

    /// Bans of a channel.
    pub const BANS: usize = 100;

    /// Bans of all channels together: each takes some 300 bytes.
    pub const BANS_IN_ALL: usize = 100_000;

    /// Invitations of a session.
    pub const INVITATIONS: usize = 32;

    /// Sessions in all.
    pub const SESSIONS: usize = 20_000;

    /// Sessions with one account or one secret that are looked through for who had
    /// another nick.
    pub const NAMESAKES: usize = 16;

    /// Messages that a channel remembers.
    pub const MESSAGES: usize = 1_000;

    /// Other events that a channel remembers, for those who come back.
    pub const EVENTS: usize = 1_000;

    /// Events that a session remembers which concern it alone.
    pub const INBOX: usize = 500;

    /// Bytes of a channel's messages, of its other events, and of a session's own
    /// events that are remembered at most.
    pub const RING: usize = 5 << 20;

    /// Channels that a session has left and that are remembered for it, so that it can
    /// still be told of what it missed in there.
    pub const FORMER: usize = 32;

    /// Bytes of all that is remembered, about.
    pub const MEMORY: usize = 128 << 20;

    /// Milliseconds that a session without an account waits for its user.
    pub const PATIENCE: u64 = 10 * 60 * 1000;

    /// Milliseconds that a session with an account does.
    pub const PATIENCE_WITH_ACCOUNT: u64 = 7 * 24 * 3600 * 1000;

    /// Milliseconds without a word after which a gateway is taken for dead.
    pub const SILENCE: u64 = 30 * 1000;

    /// Milliseconds by which one command moves the time by which others are waited for.
    pub const STEP: u64 = 10 * 1000;

    /// Sessions that are ended by one command in passing, because nobody came back.
    pub const SWEEP: usize = 4;

    /// Sessions that are ended by one command of a gateway about itself.
    pub const GREAT_SWEEP: usize = 1_000;
}
