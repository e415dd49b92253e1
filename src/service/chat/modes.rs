//! What holds in a channel, who rules it, and what it is about.

use super::Chat;
use super::channel::{Ban, Modes};
use super::command::{ModeChange, SessionId};
use super::effect::{Effect, Refusal, Topic};
use super::limits::Limits;
use super::mask;
use super::name::{fold, is_key, line, shown};
use super::session::Session;
use super::turn::Turn;

impl Chat {
    /// Somebody sets the topic of a channel.
    pub(super) fn set_topic(&mut self, turn: &mut Turn, id: SessionId, name: &str, text: &str) {
        let refusal = match self.member(id, name) {
            Err(refusal) => Some(refusal),
            Ok((folded, rank)) => {
                let locked = self.channel(name).is_some_and(|it| it.modes().topic_locked);
                (locked && !rank.operator).then(|| Refusal::NotOperator(self.name_of(&folded)))
            }
        };
        if let Some(refusal) = refusal {
            return self.refuse(turn, id, refusal);
        }
        let Some(session) = self.sessions.find(id) else {
            return;
        };
        let (by, mask) = (session.who(), session.mask());
        let text = line(text, Limits::REMARK);
        let topic = (!text.is_empty()).then(|| Topic {
            text: text.clone(),
            by: mask,
            time: turn.time,
        });
        let folded = fold(name);
        let channel = self.name_of(&folded);
        self.channels
            .change(&folded, |channel| channel.card.topic = topic);
        self.emit(turn, Effect::TopicSet { by, channel, text });
    }

    /// Somebody changes modes of a channel.
    pub(super) fn set_modes(
        &mut self,
        turn: &mut Turn,
        id: SessionId,
        name: &str,
        mut changes: Vec<ModeChange>,
    ) {
        // To ask for the bans is no change, and anybody may.
        changes.retain(|change| change.letter != 'b' || change.argument.is_some());
        if changes.is_empty() {
            return;
        }
        let folded = match self.operator(id, name) {
            Ok(folded) => folded,
            Err(refusal) => return self.refuse(turn, id, refusal),
        };
        let Some(by) = self.sessions.find(id).map(Session::who) else {
            return;
        };
        let (mut done, mut refusals) = (Vec::new(), Vec::new());
        let excess = changes.len() > Limits::MODES;
        for change in changes.drain(..).take(Limits::MODES) {
            match self.change_mode(turn.time, &folded, id, change) {
                Ok(change) => done.extend(change),
                Err(refusal) if refusals.contains(&refusal) => {}
                Err(refusal) => refusals.push(refusal),
            }
        }
        let channel = self.name_of(&folded);
        if excess {
            refusals.push(Refusal::TooLong(channel.clone()));
        }
        if !done.is_empty() {
            let changes = done;
            self.emit(
                turn,
                Effect::ModesSet {
                    by,
                    channel,
                    changes,
                },
            );
        }
        for refusal in refusals {
            self.refuse(turn, id, refusal);
        }
    }

    /// Changes one mode, and gives what has changed, if anything.
    fn change_mode(
        &mut self,
        time: u64,
        folded: &str,
        id: SessionId,
        change: ModeChange,
    ) -> Result<Option<ModeChange>, Refusal> {
        let ModeChange {
            set,
            letter,
            argument,
        } = change;
        let channel = self.name_of(folded);
        let needs = || Refusal::NeedsArgument {
            letter,
            channel: channel.clone(),
        };
        let argument = match (letter, set, argument) {
            ('o' | 'v' | 'b', _, Some(argument)) => {
                self.appoint(time, folded, id, letter, set, &argument)?
            }
            ('o' | 'v' | 'b', _, None) | ('k' | 'l', true, None) => return Err(needs()),
            ('k', true, Some(key)) if !is_key(&key) => return Err(Refusal::TooLong(shown(&key))),
            ('l', true, Some(limit)) if parse(&limit).is_none() => return Err(needs()),
            ('k' | 'l', _, argument) => {
                let argument = argument.unwrap_or_default();
                self.change_modes(folded, |modes| set_bound(modes, letter, set, &argument))
            }
            (letter, set, _) if Modes::FLAGS.contains(&letter) => {
                let changed = self.change_modes(folded, |modes| {
                    let flag = modes.flag_mut(letter)?;
                    (*flag != set).then(|| *flag = set)
                });
                changed.map(|()| None)
            }
            _ => {
                let letter = match letter.is_ascii_graphic() {
                    true => letter,
                    false => '?',
                };
                return Err(Refusal::UnknownMode { letter, channel });
            }
        };
        Ok(argument.map(|argument| ModeChange {
            set,
            letter,
            argument,
        }))
    }

    fn change_modes<R>(
        &mut self,
        folded: &str,
        change: impl FnOnce(&mut Modes) -> Option<R>,
    ) -> Option<R> {
        let changed = self
            .channels
            .change(folded, |channel| change(&mut channel.card.modes));
        changed.flatten()
    }

    /// Changes who rules, speaks or is banned; gives whom it concerns, if that was not
    /// so before.
    fn appoint(
        &mut self,
        time: u64,
        folded: &str,
        id: SessionId,
        letter: char,
        set: bool,
        argument: &str,
    ) -> Result<Option<Option<String>>, Refusal> {
        if letter == 'b' {
            return self.ban(time, folded, id, set, argument);
        }
        let (member, mut rank) = self.member_by_nick(folded, argument)?;
        let held = match letter {
            'o' => &mut rank.operator,
            _ => &mut rank.voice,
        };
        if *held == set {
            return Ok(None);
        }
        *held = set;
        self.channels
            .change(folded, |channel| channel.seat(member, rank));
        let nick = self.sessions.find(member).map(Session::nick);
        Ok(Some(nick.map(str::to_owned)))
    }

    fn ban(
        &mut self,
        time: u64,
        folded: &str,
        id: SessionId,
        set: bool,
        argument: &str,
    ) -> Result<Option<Option<String>>, Refusal> {
        let mask = mask::whole(argument);
        let Some(channel) = self.channels.at(folded) else {
            return Ok(None);
        };
        let bans = channel.bans();
        let there = bans
            .iter()
            .position(|ban| ban.mask.eq_ignore_ascii_case(&mask));
        let full = bans.len() >= Limits::BANS || !self.channels.take_bans();
        if set && there.is_none() && full {
            let channel = channel.name().to_owned();
            return Err(Refusal::BansFull { channel, mask });
        }
        let by = self.sessions.find(id).map(Session::mask);
        let changed = self.channels.change(folded, |channel| match (set, there) {
            (true, None) => {
                let by = by.unwrap_or_default();
                channel.card.bans.push(Ban {
                    mask: mask.clone(),
                    by,
                    time,
                });
                Some(mask)
            }
            (false, Some(at)) => Some(channel.card.bans.remove(at).mask),
            _ => None,
        });
        Ok(changed.flatten().map(Some))
    }

    /// Somebody changes modes of their own. Who they are allowed to be is not decided
    /// here, so letters about that are passed over.
    pub(super) fn set_own_modes(&mut self, turn: &mut Turn, id: SessionId, changes: &[ModeChange]) {
        let mut unknown = false;
        let Some(before) = self.sessions.find(id).map(Session::invisible) else {
            return;
        };
        let mut invisible = before;
        for change in changes.iter().take(Limits::MODES) {
            match change.letter {
                'i' => invisible = change.set,
                'o' | 'a' | 'r' => {}
                _ => unknown = true,
            }
        }
        if invisible != before {
            self.sessions
                .change(id, |session| session.card.invisible = invisible);
            let change = ModeChange {
                set: invisible,
                letter: 'i',
                argument: None,
            };
            if let Some(who) = self.sessions.find(id).map(Session::who) {
                let changes = vec![change];
                self.emit(turn, Effect::OwnModesSet { who, changes });
            }
        }
        if unknown {
            self.refuse(turn, id, Refusal::UnknownUserMode);
        }
    }
}

/// The limit that somebody typed.
fn parse(limit: &str) -> Option<u32> {
    limit.parse().ok().filter(|limit| *limit > 0)
}

/// Changes the key or the limit; gives what is told of it, if it changed. The key that
/// is taken away need not be known.
fn set_bound(modes: &mut Modes, letter: char, set: bool, argument: &str) -> Option<Option<String>> {
    if letter == 'k' {
        let key = set.then(|| argument.to_owned());
        let changed = key != modes.key;
        modes.key = key;
        let told = if set { argument } else { "*" };
        return changed.then(|| Some(told.to_owned()));
    }
    let limit = parse(argument).filter(|_| set);
    let changed = limit != modes.limit;
    modes.limit = limit;
    changed.then(|| limit.map(|limit| limit.to_string()))
}
