//! What holds in every chat, between any two commands.
//!
//! A snapshot of which it does not hold is refused; tests ask after each command.

use super::Chat;
use super::channel::{Channel, Modes};
use super::channels::Holdings;
use super::command::SessionId;
use super::limits::Limits;
use super::name::{fold, is_account, is_channel, is_key, is_nick, line, part};
use super::ring::Ring;
use super::session::{Presence, Session};

/// Goes on if it holds; otherwise says what does not.
fn hold(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    match holds {
        true => Ok(()),
        false => Err(otherwise),
    }
}

/// Whether a text is harmless, and short enough.
fn is_line(text: &str, limit: usize) -> bool {
    line(text, limit) == text
}

impl Chat {
    /// Whether everything agrees with everything else, and no limit is broken.
    ///
    /// # Errors
    ///
    /// What does not.
    pub(super) fn audit(&self) -> Result<(), &'static str> {
        hold(
            self.sessions.len() <= Limits::SESSIONS && self.channels.len() <= Limits::CHANNELS,
            "more sessions or channels than there may be",
        )?;
        hold(
            self.archive.bytes() <= self.archive.limit(),
            "more events than may be remembered",
        )?;
        for session in self.everybody() {
            self.audit_session(session)?;
        }
        hold(self.sessions.is_consistent(), "two with one nick or seat")?;
        let (mut members, mut bans) = (0, 0);
        for channel in self.channels.shared() {
            members += channel.len();
            bans += channel.bans().len();
        }
        hold(
            self.channels.held() == Holdings { members, bans },
            "what channels hold together",
        )?;
        for channel in self.channels.shared() {
            self.audit_channel(channel)?;
        }
        self.audit_gateways()
    }

    fn audit_session(&self, session: &Session) -> Result<(), &'static str> {
        let card = &session.card;
        hold(is_nick(&card.nick), "a session's nick")?;
        hold(
            part(&card.user, Limits::USER) == card.user
                && part(&card.host, Limits::HOST) == card.host
                && is_line(&card.real, Limits::REAL)
                && card.account.as_deref().is_none_or(is_account)
                && card
                    .away
                    .as_deref()
                    .is_none_or(|text| is_line(text, Limits::REMARK)),
            "a session's texts",
        )?;
        hold(
            card.channels.len() <= Limits::CHANNELS_EACH
                && card.invited.len() <= Limits::INVITATIONS
                && card.former.len() <= Limits::FORMER,
            "more channels of a session than there may be",
        )?;
        for folded in session.channels() {
            let channel = self.channels.at(folded);
            let member = channel.and_then(|channel| channel.member(card.id));
            hold(member.is_some(), "a session in a channel without it")?;
        }
        if let Presence::Here { seat, .. } = card.presence {
            let current = self.gateways.current(seat.gateway);
            hold(current, "a session attached to a run that is over")?;
        }
        audit_ring(&session.inbox, Limits::INBOX)
    }

    fn audit_channel(&self, channel: &Channel) -> Result<(), &'static str> {
        let card = &channel.card;
        hold(is_channel(&card.name), "a channel's name")?;
        hold(
            card.modes.key.as_deref().is_none_or(is_key)
                && card.bans.len() <= Limits::BANS
                && card.bans.iter().all(|ban| is_line(&ban.mask, Limits::MASK))
                && card
                    .topic
                    .as_ref()
                    .is_none_or(|topic| is_line(&topic.text, Limits::REMARK)),
            "a channel's texts",
        )?;
        hold(
            !channel.is_empty() || (card.modes == Modes::default() && card.bans.is_empty()),
            "a channel without members in which something holds",
        )?;
        hold(channel.len() <= Limits::MEMBERS, "a channel's members")?;
        let folded = fold(&card.name);
        for (id, _) in channel.members() {
            let member = self.session(id).is_some_and(|it| it.is_in(&folded));
            hold(member, "a member who is not in the channel")?;
        }
        audit_ring(&channel.messages, Limits::MESSAGES)?;
        audit_ring(&channel.events, Limits::EVENTS)
    }

    fn audit_gateways(&self) -> Result<(), &'static str> {
        for (id, run) in self.gateways.iter() {
            let here = |session: &SessionId| {
                let seat = self.session(*session).and_then(Session::seat);
                seat.is_some_and(|seat| (seat.gateway.id, seat.gateway.run) == (id, run.run))
            };
            hold(
                run.except.keys().all(here),
                "an exception for who is not attached",
            )?;
        }
        Ok(())
    }
}

/// Whether a ring is in order, and within its limits.
fn audit_ring(ring: &Ring, most: usize) -> Result<(), &'static str> {
    hold(
        ring.len() <= most && ring.bytes() <= Limits::RING,
        "a ring with too much in it",
    )?;
    let mut last = None;
    for kept in ring.iter() {
        hold(last < Some(kept.at()), "the order of a ring")?;
        last = Some(kept.at());
    }
    let first = ring.first().map(|kept| kept.at());
    hold(
        first.is_none_or(|first| first > ring.dropped() || ring.dropped() == Default::default()),
        "a ring that has what it dropped",
    )
}
