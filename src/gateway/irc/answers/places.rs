//! Questions about channels.

use super::Asking;
use crate::gateway::irc::client::Client;
use crate::gateway::irc::numerics::Numeric;
use crate::gateway::irc::showing;
use crate::service::chat::channel::Channel;
use crate::service::chat::mask::fits;
use crate::service::chat::name::shown;

impl<'a> Asking<'a> {
    /// A channel that may be seen by who asks.
    pub(super) fn visible(&self, name: &str) -> Option<&'a Channel> {
        let channel = self.chat.channel(name)?;
        let hidden = channel.modes().secret && channel.member(self.session).is_none();
        (!hidden).then_some(channel)
    }
}

/// The topic of a channel.
pub(super) fn topic(asking: &mut Asking<'_>, name: &str) {
    let Some(channel) = asking.visible(name) else {
        return asking.client.tell(&Numeric::no_such_channel(name));
    };
    match channel.topic() {
        None => asking.tell(331, channel.name(), "No topic is set"),
        Some(topic) => {
            asking.tell(332, channel.name(), &topic.text);
            let set = format!("{} {} {}", channel.name(), topic.by, topic.time / 1000);
            asking.tell(333, set, "");
        }
    }
}

/// Who is in channels. Of those who do not want to be listed only who shares the
/// channel is told.
pub(super) fn names(asking: &mut Asking<'_>, names: &[String]) {
    if names.is_empty() {
        let chat = asking.chat;
        for channel in chat.channels() {
            if channel.member(asking.session).is_some() {
                members_of(asking, channel);
            }
        }
        return asking.tell(366, "*", "End of NAMES list");
    }
    for name in names {
        match asking.visible(name) {
            Some(channel) => members_of(asking, channel),
            None => asking.tell(366, shown(name), "End of NAMES list"),
        }
    }
}

fn members_of(asking: &mut Asking<'_>, channel: &Channel) {
    let chat = asking.chat;
    let Some(roster) = chat.roster(channel.name()) else {
        return;
    };
    let inside = channel.member(asking.session).is_some();
    showing::names(asking.client, &roster, |session| {
        inside || chat.session(session).is_none_or(|who| !who.invisible())
    });
}

/// Which channels there are: all, those that are named, those that fit a mask, or
/// those with more (`>5`) or fewer (`<5`) members.
pub(super) fn list(asking: &mut Asking<'_>, names: &[String]) {
    let chat = asking.chat;
    asking.tell(321, "Channel", "Users  Name");
    let wanted = |channel: &Channel| {
        names.is_empty()
            || names.iter().any(|name| match name.split_at_checked(1) {
                Some((">", count)) => count
                    .parse()
                    .is_ok_and(|count: usize| channel.len() > count),
                Some(("<", count)) => count
                    .parse()
                    .is_ok_and(|count: usize| channel.len() < count),
                _ => fits(name, channel.name()),
            })
    };
    for channel in chat.channels() {
        let hidden = channel.modes().secret && channel.member(asking.session).is_none();
        if hidden || !wanted(channel) {
            continue;
        }
        if asking.client.pending() > Client::LISTS {
            asking
                .client
                .notice("There are more channels than a list can show: LIST with a mask");
            break;
        }
        let topic = channel.topic().map_or("", |topic| topic.text.as_str());
        let middle = format!("{} {}", channel.name(), channel.len());
        asking.tell(322, middle, if topic.is_empty() { " " } else { topic });
    }
    asking.tell(323, "", "End of LIST");
}

/// The modes of a channel; its key is for its members.
pub(super) fn modes(asking: &mut Asking<'_>, name: &str) {
    let Some(channel) = asking.visible(name) else {
        return asking.client.tell(&Numeric::no_such_channel(name));
    };
    let modes = channel.modes();
    let inside = channel.member(asking.session).is_some();
    let mut words = format!("{} +{}", channel.name(), modes.letters());
    // In the order of the letters.
    if let Some(key) = &modes.key {
        words += &format!(" {}", if inside { key } else { "*" });
    }
    if let Some(limit) = modes.limit {
        words += &format!(" {limit}");
    }
    asking.tell(324, words, "");
    let created = format!("{} {}", channel.name(), channel.created() / 1000);
    asking.tell(329, created, "");
}

/// Who may not enter a channel.
pub(super) fn bans(asking: &mut Asking<'_>, name: &str) {
    let Some(channel) = asking.visible(name) else {
        return asking.client.tell(&Numeric::no_such_channel(name));
    };
    for ban in channel.bans() {
        let words = format!(
            "{} {} {} {}",
            channel.name(),
            ban.mask,
            ban.by,
            ban.time / 1000
        );
        asking.tell(367, words, "");
    }
    asking.tell(368, channel.name(), "End of channel ban list");
}
