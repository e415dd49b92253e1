//! What the server says of itself: its release, what holds here, how many there are,
//! the message of the day.

use super::client::Client;
use super::numerics::Numeric;
use super::settings::Settings;
use crate::service::chat::Chat;
use crate::service::chat::limits::Limits;

/// The release.
pub const RELEASE: &str = concat!("paxcast-", env!("CARGO_PKG_VERSION"));

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Sessions, those that wait for their users among them.
    pub users: usize,
    /// Those of them who do not want to be listed.
    pub invisible: usize,
    /// Channels in which somebody is.
    pub channels: usize,
    /// Gateways with somebody.
    pub servers: usize,
    /// Sessions here.
    pub local: usize,
    /// The most there were.
    pub most_local: usize,
    /// Connections here without a session.
    pub unknown: usize,
    /// The most sessions there were in all, as far as is known here.
    pub most: usize,
    /// When this process started, in milliseconds since 1970.
    pub began: u64,
}

/// What holds here, for programs (005).
pub fn supports(client: &mut Client, settings: &Settings) {
    /// Words on a line.
    const WORDS: usize = 13;
    let network = settings.network.replace(' ', "\\x20");
    let words = [
        "CASEMAPPING=ascii".to_owned(),
        "CHANTYPES=#".to_owned(),
        "PREFIX=(ov)@+".to_owned(),
        "CHANMODES=b,k,l,imnst".to_owned(),
        format!("CHANLIMIT=#:{}", Limits::CHANNELS_EACH),
        format!("NETWORK={network}"),
        format!("NICKLEN={}", Limits::NICK),
        format!("USERLEN={}", Limits::USER),
        format!("HOSTLEN={}", Limits::HOST),
        format!("CHANNELLEN={}", Limits::CHANNEL),
        format!("KEYLEN={}", Limits::KEY),
        format!("TOPICLEN={}", Limits::REMARK),
        format!("KICKLEN={}", Limits::REMARK),
        format!("AWAYLEN={}", Limits::REMARK),
        format!("MODES={}", Limits::MODES),
        format!("MAXLIST=b:{}", Limits::BANS),
        format!(
            "TARGMAX=PRIVMSG:{0},NOTICE:{0},KICK:{0},JOIN:{1},PART:{1},NAMES:,LIST:,WHOIS:",
            Limits::TARGETS,
            Limits::CHANNELS_AT_ONCE
        ),
        format!("CHATHISTORY={}", Limits::MESSAGES),
        "MSGREFTYPES=msgid,timestamp".to_owned(),
        "CLIENTTAGDENY=*".to_owned(),
        "SAFELIST".to_owned(),
        "UTF8ONLY".to_owned(),
    ];
    for words in words.chunks(WORDS) {
        let all = words.join(" ");
        client.tell(&Numeric::new(5, all, "are supported on this server"));
    }
}

/// At how many gateways somebody is, with this one.
pub fn servers(chat: &Chat, own: u16) -> usize {
    let others = chat.gateways_in_use().filter(|id| *id != own);
    others.count() + 1
}

/// How many there are.
pub fn lusers(client: &mut Client, census: &Census) {
    let mut tell = |code, middle: String, text: String| {
        client.tell(&Numeric::new(code, middle, text));
    };
    let Census {
        users,
        invisible,
        channels,
        servers,
        local,
        most_local,
        unknown,
        most,
        ..
    } = *census;
    let visible = users.saturating_sub(invisible);
    tell(
        251,
        String::new(),
        format!("There are {visible} users and {invisible} invisible on {servers} servers"),
    );
    tell(252, "0".to_owned(), "operator(s) online".to_owned());
    tell(253, unknown.to_string(), "unknown connection(s)".to_owned());
    tell(254, channels.to_string(), "channels formed".to_owned());
    tell(
        255,
        String::new(),
        format!("I have {local} users and 0 servers"),
    );
    tell(
        265,
        format!("{local} {most_local}"),
        format!("Current local users: {local}, Max: {most_local}"),
    );
    tell(
        266,
        format!("{users} {most}"),
        format!("Current global users: {users}, Max: {most}"),
    );
}

/// The message of the day.
pub fn motd(client: &mut Client, settings: &Settings) {
    let Some(lines) = &settings.motd else {
        return client.tell(&Numeric::new(422, "", "MOTD file is missing"));
    };
    let name = &settings.name;
    client.tell(&Numeric::new(
        375,
        "",
        format!("- {name} message of the day"),
    ));
    for line in lines {
        client.tell(&Numeric::new(372, "", format!("- {line}")));
    }
    client.tell(&Numeric::new(376, "", "End of MOTD command"));
}
