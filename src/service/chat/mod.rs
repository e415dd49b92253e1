//! A chat as a service: nicks, channels, messages and what is remembered of them.
//!
//! | room | what lives there |
//! |---|---|
//! | [`command`] | what can be asked, and its encoding |
//! | [`effect`] | what comes of it, for whom, and its encoding |
//! | [`limits`] | what is too much |
//! | [`name`], [`mask`] | names and texts, and what is made harmless; patterns of names |
//! | [`session`], `sessions` | somebody in the chat; all of them, and how to find one |
//! | [`channel`], `channels` | a channel; all of them |
//! | `gateways` | the gateways and what those attached to them have seen |
//! | [`ring`], `archive` | the latest of what happened somewhere; all that is remembered |
//! | [`recall`] | what somebody missed, and what was said earlier |
//! | `turn` | a command while it is applied |
//! | `presence` | how sessions begin, wait, are taken up again and end |
//! | `speech`, `rooms`, `modes` | what people do: talk, come and go, rule |
//! | `snapshot`, `audit` | the state as bytes; what holds in every state |
//!
//! # Sessions
//!
//! Who is in the chat is a *session*. It outlives connections and gateways: it is
//! *attached* to a connection of a gateway or, for some time, to none. A message's
//! name is its place in the order; so "everything behind this place" is all that it
//! takes to go on elsewhere, without a gap and with nothing twice.
//!
//! # What is decided here and nowhere else
//!
//! - A list that is too long is served as far as its limit; one refusal names the
//!   first that was not.
//! - A target that is named twice in one line hears it once.
//! - Topics, reasons and what people call themselves are cut; what somebody says is
//!   never cut but refused.
//! - Line ends and zero bytes in texts become blanks.
//! - An invitation opens `+i`, and nothing else; it is worth nothing after all have
//!   left the channel.
//! - A connection seats one session in its life; a second opening there is refused.
//! - A run of a gateway that is over opens nothing; another run of it must begin.
//! - Rosters in replies list the members of channels that are not too large; see
//!   [`Limits::ROSTER`].

mod archive;
mod audit;
pub mod channel;
mod channels;
pub mod command;
pub mod effect;
mod gateways;
pub mod limits;
pub mod mask;
mod modes;
pub mod name;
mod presence;
pub mod recall;
pub mod ring;
mod rooms;
pub mod runs;
pub mod session;
mod sessions;
mod snapshot;
mod speech;
#[cfg(test)]
mod tests;
mod turn;

use archive::Archive;
use channel::Channel;
use channels::Channels;
use command::{Command, Deed, Seat, SessionId, Stamped};
use effect::{Member, Roster};
use gateways::Gateways;
use limits::Limits;
use name::fold;
use session::Session;
use sessions::{Sessions, WayBack};
pub use snapshot::Frozen;
use turn::Turn;

use super::clock::LogTime;
use super::{Damaged, Place, Reading, StateMachine};
use crate::protocol::digest::mix;

/// What its checkpoints and journals are marked with.
pub const MARK: [u8; 8] = *b"chat\0\0\0\0";

/// The chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    sessions: Sessions,
    channels: Channels,
    gateways: Gateways,
    archive: Archive,
    time: LogTime,
    /// The time by which others are waited for, see `presence`.
    awake: u64,
    /// A short form of all replies so far.
    log: u64,
}

impl Default for Chat {
    fn default() -> Chat {
        Chat::new()
    }
}

impl Chat {
    /// An empty one.
    pub fn new() -> Chat {
        Chat::with_memory(Limits::MEMORY)
    }

    /// An empty one that remembers so many bytes.
    pub fn with_memory(bytes: usize) -> Chat {
        Chat {
            sessions: Sessions::default(),
            channels: Channels::default(),
            gateways: Gateways::default(),
            archive: Archive::new(bytes),
            time: LogTime::default(),
            awake: 0,
            log: 0,
        }
    }

    /// Milliseconds since 1970 by the log's clock; 0 before the first command.
    pub fn time(&self) -> u64 {
        self.time.now()
    }

    /// Somebody.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.find(id)
    }

    /// Who has this nick, in whatever case it is written.
    pub fn find(&self, nick: &str) -> Option<SessionId> {
        self.sessions.by_nick(nick)
    }

    /// All sessions, in the order in which they were opened.
    pub fn everybody(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().map(|session| &**session)
    }

    /// A channel in which somebody is, in whatever case its name is written.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels
            .find(name)
            .filter(|channel| !channel.is_empty())
    }

    /// All channels in which somebody is, by their folded names.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.channels.occupied()
    }

    /// In how many channels somebody is.
    pub fn channel_count(&self) -> usize {
        self.channels.count_occupied()
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many of them want not to be listed.
    pub fn invisible(&self) -> usize {
        self.sessions.invisible()
    }

    /// How many of them are attached to a connection.
    pub fn attached(&self) -> usize {
        self.sessions.attached()
    }

    /// How many of them are attached to a gateway.
    pub fn attached_at(&self, gateway: u16) -> usize {
        let attached = self.sessions.by_gateway().get(&gateway);
        attached.copied().unwrap_or(0)
    }

    /// The run of this gateway that began last.
    pub fn run_of(&self, gateway: u16) -> Option<u64> {
        self.gateways.run(gateway)
    }

    /// The sessions that somebody may take up who comes in so: by their nick, and by the
    /// ways back to them.
    pub fn claims(
        &self,
        nick: &str,
        account: Option<&str>,
        token: Option<[u8; 32]>,
    ) -> impl Iterator<Item = SessionId> {
        let ways = WayBack::all(account, token);
        let ways = ways.flat_map(|way| self.sessions.by_way_back(way).take(Limits::NAMESAKES));
        self.sessions.by_nick(nick).into_iter().chain(ways)
    }

    /// The gateways to which somebody is attached.
    pub fn gateways_in_use(&self) -> impl Iterator<Item = u16> {
        self.sessions.by_gateway().keys().copied()
    }

    /// Bytes of all that is remembered, about.
    pub fn remembered(&self) -> usize {
        self.archive.bytes()
    }

    /// Who is in a channel, all of them.
    pub fn roster(&self, channel: &str) -> Option<Roster> {
        let channel = self.channel(channel)?;
        let mut members: Vec<Member> = channel
            .members()
            .filter_map(|(id, rank)| {
                let session = self.sessions.find(id)?;
                Some(Member {
                    session: id,
                    nick: session.nick().to_owned(),
                    mask: session.mask(),
                    rank,
                })
            })
            .collect();
        members.sort_by_cached_key(|member| fold(&member.nick));
        Some(Roster {
            channel: channel.name().to_owned(),
            secret: channel.modes().secret,
            topic: channel.topic().cloned(),
            members,
        })
    }

    /// Who is in a channel, unless there are too many for a reply.
    fn short_roster(&self, channel: &Channel) -> Roster {
        let all = (channel.len() <= Limits::ROSTER).then(|| self.roster(channel.name()));
        all.flatten().unwrap_or_else(|| Roster {
            channel: channel.name().to_owned(),
            secret: channel.modes().secret,
            topic: channel.topic().cloned(),
            members: Vec::new(),
        })
    }

    /// The names of the channels that somebody is in, as their founders wrote them.
    fn names(&self, id: SessionId) -> Vec<String> {
        let session = self.sessions.find(id);
        session
            .into_iter()
            .flat_map(Session::channels)
            .filter_map(|folded| self.channels.at(folded))
            .map(|channel| channel.name().to_owned())
            .collect()
    }

    /// The time passes, as this clock shows it.
    fn hear(&mut self, stamp: u64) {
        let before = self.time.now();
        self.time.hear(stamp);
        self.awake += (self.time.now() - before).min(Limits::STEP);
    }

    /// What a command does.
    fn obey(&mut self, turn: &mut Turn, stamped: Stamped) {
        let gateway = stamped.gateway;
        let current = self.gateways.hear(gateway, self.awake);
        self.tidy(turn);
        let seat = |connection| Seat {
            gateway,
            connection,
        };
        match stamped.command {
            Command::Begin => self.begin(turn, gateway),
            Command::Start { after } if after == self.gateways.run(gateway.id) => {
                self.begin(turn, gateway);
            }
            Command::Start { .. } => {}
            Command::Tick { seen, except } if current => self.tick(turn, gateway, seen, &except),
            Command::Tick { .. } => {}
            Command::Open(opening) => {
                let seat = seat(opening.connection);
                self.open(turn, current, seat, opening, Place(u64::MAX));
            }
            Command::Come { opening, known } => {
                self.open(turn, current, seat(opening.connection), opening, known);
            }
            Command::Leave {
                session,
                connection,
                seen,
                departure,
            } => {
                if self.sessions.by_seat(seat(connection)) == Some(session) {
                    self.depart(turn, session, seen, &departure);
                }
            }
            Command::Act {
                session,
                connection,
                number,
                deed,
            } => {
                if self.sessions.by_seat(seat(connection)) == Some(session) {
                    turn.author = Some((session, number));
                    self.act(turn, session, number, deed);
                }
            }
        }
    }

    /// Somebody does something, unless they did it already.
    fn act(&mut self, turn: &mut Turn, id: SessionId, number: Option<u64>, deed: Deed) {
        if let Some(number) = number {
            let news = self.sessions.touch(id, |session| {
                let news = number > session.number;
                session.number = session.number.max(number);
                news
            });
            if news != Some(true) {
                return;
            }
        }
        match deed {
            Deed::Nick(nick) => self.rename(turn, id, nick),
            Deed::Join(channels) => self.join(turn, id, &channels),
            Deed::Part { channels, reason } => self.part(turn, id, &channels, &reason),
            Deed::PartAll => self.part_all(turn, id),
            Deed::Say {
                targets,
                manner,
                text,
            } => self.say(turn, id, &targets, manner, &text),
            Deed::Topic { channel, topic } => self.set_topic(turn, id, &channel, &topic),
            Deed::Mode { channel, changes } => self.set_modes(turn, id, &channel, changes),
            Deed::UserMode(changes) => self.set_own_modes(turn, id, &changes),
            Deed::Kick {
                channel,
                nicks,
                reason,
            } => self.kick(turn, id, &channel, &nicks, &reason),
            Deed::Invite { nick, channel } => self.invite(turn, id, &nick, &channel),
            Deed::Away(text) => self.set_away(turn, id, text),
        }
    }
}

impl StateMachine for Chat {
    type Frozen = Frozen;

    fn apply(&mut self, place: Place, command: &[u8], reply: &mut Vec<u8>) {
        let from = reply.len();
        match Stamped::decode(command) {
            Some(stamped) => {
                self.hear(stamped.stamp);
                let mut turn = Turn::new(place, self.time());
                self.obey(&mut turn, stamped);
                turn.encode_into(reply);
            }
            None => Turn::new(place, self.time()).encode_into(reply),
        }
        let told = &reply[from..];
        let told = mix(
            u64::from(crate::protocol::checksum::of(told)),
            told.len() as u64,
        );
        self.log = mix(mix(self.log, place.0), told);
    }

    /// The chat is asked directly, by who has it before them: see [`Chat`]. Through the
    /// log, everything is a change.
    fn read(&self, _: &[u8], _: &mut Vec<u8>) -> Reading {
        Reading::NeedsPlace
    }

    fn freeze(&self) -> Frozen {
        Frozen::new(self)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Damaged> {
        *self = snapshot::read(snapshot, self.archive.limit())?;
        Ok(())
    }

    fn empty(&self) -> Chat {
        Chat::with_memory(self.archive.limit())
    }

    fn digest(&self) -> u64 {
        [
            self.sessions.sum(),
            self.channels.sum(),
            self.gateways.sum(),
            self.time(),
            self.awake,
            self.log,
        ]
        .into_iter()
        .fold(0, mix)
    }
}
