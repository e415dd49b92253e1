//! The chat's golden bytes: commands live in logs, events in checkpoints, and replies
//! of two releases to one log are compared, so none of them may change by accident.
//!
//! One line per variant, `name hex`, in `tests/golden/chat.txt`. After an intended
//! change (a new variant, appended; never a changed one) run
//! `PAXCAST_GOLDEN=write cargo test --test chat_bytes` and read the difference.

use std::fmt::Write as _;
use std::path::Path;

use paxcast::service::chat::Chat;
use paxcast::service::chat::command::{
    Command, Deed, Departure, Gateway, Manner, ModeChange, Opening, Seat, SessionId, Stamped,
};
use paxcast::service::chat::effect::{
    Effect, Event, Member, Rank, Refusal, Reply, Roster, Target, Topic, Who,
};
use paxcast::service::{Place, StateMachine};

const GATEWAY: Gateway = Gateway {
    id: 2,
    run: 0x1122_3344,
};
const SEAT: Seat = Seat {
    gateway: GATEWAY,
    connection: 9,
};
const SESSION: SessionId = SessionId(Place(300));
const TIME: u64 = 1_700_000_000_000;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string grows");
        text
    })
}

fn deeds() -> Vec<Deed> {
    let s = str::to_owned;
    let change = |set, letter, argument: Option<&str>| ModeChange {
        set,
        letter,
        argument: argument.map(s),
    };
    let all = vec![
        Deed::Nick(s("ann")),
        Deed::Join(vec![(s("#a"), None), (s("#b"), Some(s("key")))]),
        Deed::Part {
            channels: vec![s("#a")],
            reason: s("bye"),
        },
        Deed::PartAll,
        Deed::Say {
            targets: vec![s("#a"), s("bob")],
            manner: Manner::Message,
            text: s("hello"),
        },
        Deed::Say {
            targets: vec![s("#a")],
            manner: Manner::Notice,
            text: s("é"),
        },
        Deed::Topic {
            channel: s("#a"),
            topic: s("topic"),
        },
        Deed::Mode {
            channel: s("#a"),
            changes: vec![change(true, 'k', Some("key")), change(false, 'é', None)],
        },
        Deed::UserMode(vec![change(true, 'i', None)]),
        Deed::Kick {
            channel: s("#a"),
            nicks: vec![s("bob")],
            reason: s("out"),
        },
        Deed::Invite {
            nick: s("bob"),
            channel: s("#a"),
        },
        Deed::Away(Some(s("out"))),
        Deed::Away(None),
    ];
    for deed in &all {
        match deed {
            Deed::Nick(_)
            | Deed::Join(_)
            | Deed::Part { .. }
            | Deed::PartAll
            | Deed::Say { .. }
            | Deed::Topic { .. }
            | Deed::Mode { .. }
            | Deed::UserMode(_)
            | Deed::Kick { .. }
            | Deed::Invite { .. }
            | Deed::Away(_) => {}
        }
    }
    all
}

/// One of each command. Matches without a wildcard keep it complete.
fn commands() -> Vec<Command> {
    let mut all = vec![
        Command::Begin,
        Command::Tick {
            seen: Place(400),
            except: vec![(SESSION, Place(399))],
        },
        Command::Open(Opening {
            connection: 9,
            nick: "ann".into(),
            user: "user".into(),
            host: "host".into(),
            real: "Ann".into(),
            account: Some("acc".into()),
            token: Some([7; 32]),
            seen: Some(Place(400)),
        }),
        Command::Open(Opening {
            connection: 9,
            nick: "ann".into(),
            user: "user".into(),
            host: "host".into(),
            real: "Ann".into(),
            account: None,
            token: None,
            seen: None,
        }),
    ];
    all.push(Command::Come {
        opening: Opening {
            connection: 9,
            nick: "ann".into(),
            user: "user".into(),
            host: "host".into(),
            real: "Ann".into(),
            account: None,
            token: Some([7; 32]),
            seen: Some(Place(400)),
        },
        known: Place(401),
    });
    all.push(Command::Start { after: Some(77) });
    for departure in [
        Departure::Quit("bye".into()),
        Departure::Lost("reset".into()),
    ] {
        match departure {
            Departure::Quit(_) | Departure::Lost(_) => {}
        }
        all.push(Command::Leave {
            session: SESSION,
            connection: 9,
            seen: Place(400),
            departure,
        });
    }
    for (index, deed) in deeds().into_iter().enumerate() {
        all.push(Command::Act {
            session: SESSION,
            connection: 9,
            number: (index > 0).then_some(index as u64),
            deed,
        });
    }
    for command in &all {
        match command {
            Command::Begin
            | Command::Tick { .. }
            | Command::Open(_)
            | Command::Leave { .. }
            | Command::Act { .. }
            | Command::Come { .. }
            | Command::Start { .. } => {}
        }
    }
    all
}

fn refusals() -> Vec<Refusal> {
    let s = str::to_owned;
    let (nick, channel) = (s("bob"), s("#a"));
    let all = vec![
        Refusal::BadNick(s("b?d")),
        Refusal::NickInUse(nick.clone()),
        Refusal::Full,
        Refusal::NotAttached,
        Refusal::NoSuchTarget(nick.clone()),
        Refusal::NoSuchChannel(channel.clone()),
        Refusal::BadChannel(s("x")),
        Refusal::TooManyChannels(channel.clone()),
        Refusal::ChannelsFull(channel.clone()),
        Refusal::ChannelFull(channel.clone()),
        Refusal::InviteOnly(channel.clone()),
        Refusal::Banned(channel.clone()),
        Refusal::BadKey(channel.clone()),
        Refusal::NotOnChannel(channel.clone()),
        Refusal::NotThere {
            nick: nick.clone(),
            channel: channel.clone(),
        },
        Refusal::AlreadyThere {
            nick,
            channel: channel.clone(),
        },
        Refusal::CannotSay(channel.clone()),
        Refusal::NotOperator(channel.clone()),
        Refusal::UnknownMode {
            letter: 'z',
            channel: channel.clone(),
        },
        Refusal::UnknownUserMode,
        Refusal::NeedsArgument {
            letter: 'k',
            channel: channel.clone(),
        },
        Refusal::BansFull {
            channel,
            mask: s("*!*@*"),
        },
        Refusal::TooLong(s("#a")),
        Refusal::NoText,
        Refusal::Outdated,
    ];
    for refusal in &all {
        match refusal {
            Refusal::BadNick(_)
            | Refusal::NickInUse(_)
            | Refusal::Full
            | Refusal::NotAttached
            | Refusal::NoSuchTarget(_)
            | Refusal::NoSuchChannel(_)
            | Refusal::BadChannel(_)
            | Refusal::TooManyChannels(_)
            | Refusal::ChannelsFull(_)
            | Refusal::ChannelFull(_)
            | Refusal::InviteOnly(_)
            | Refusal::Banned(_)
            | Refusal::BadKey(_)
            | Refusal::NotOnChannel(_)
            | Refusal::NotThere { .. }
            | Refusal::AlreadyThere { .. }
            | Refusal::CannotSay(_)
            | Refusal::NotOperator(_)
            | Refusal::UnknownMode { .. }
            | Refusal::UnknownUserMode
            | Refusal::NeedsArgument { .. }
            | Refusal::BansFull { .. }
            | Refusal::TooLong(_)
            | Refusal::NoText
            | Refusal::Outdated => {}
        }
    }
    all
}

/// One of each effect. A match without a wildcard keeps it complete.
fn effects() -> Vec<Effect> {
    let s = str::to_owned;
    let (channel, nick, session) = (s("#a"), s("bob"), SESSION);
    let channels = vec![s("#a"), s("#b")];
    let who = Who {
        session,
        nick: s("ann"),
        user: s("user"),
        host: s("host"),
        account: Some(s("acc")),
    };
    let roster = Roster {
        channel: channel.clone(),
        secret: true,
        topic: Some(Topic {
            text: s("topic"),
            by: s("ann!user@host"),
            time: TIME,
        }),
        members: vec![Member {
            session,
            nick: s("ann"),
            mask: s("ann!user@host"),
            rank: Rank {
                voice: false,
                operator: true,
            },
        }],
    };
    let changes = vec![ModeChange {
        set: true,
        letter: 'l',
        argument: Some(s("7")),
    }];
    let said = |target, manner| Effect::Said {
        who: who.clone(),
        target,
        manner,
        text: s("hello"),
    };
    let all = vec![
        Effect::Opened {
            who: who.clone(),
            seat: SEAT,
            displaced: Some(SEAT),
            resumed: Some(Place(399)),
            number: 7,
            invisible: true,
            channels: vec![roster.clone()],
        },
        Effect::NotOpened {
            seat: SEAT,
            nick: nick.clone(),
            refusal: Refusal::Full,
        },
        Effect::Refused {
            session,
            refusal: Refusal::NoText,
        },
        Effect::Joined {
            who: who.clone(),
            real: s("Ann"),
            roster,
        },
        Effect::Parted {
            who: who.clone(),
            channel: channel.clone(),
            reason: s("bye"),
        },
        Effect::Kicked {
            by: who.clone(),
            session,
            nick: nick.clone(),
            channel: channel.clone(),
            reason: s("out"),
        },
        Effect::Quit {
            who: who.clone(),
            channels: channels.clone(),
            seat: Some(SEAT),
            reason: s("bye"),
        },
        Effect::Renamed {
            who: who.clone(),
            nick: nick.clone(),
            channels: channels.clone(),
        },
        said(Target::Channel(channel.clone()), Manner::Message),
        said(Target::Session(session, nick.clone()), Manner::Notice),
        Effect::IsAway {
            session,
            nick: nick.clone(),
            text: s("out"),
        },
        Effect::TopicSet {
            by: who.clone(),
            channel: channel.clone(),
            text: s("topic"),
        },
        Effect::ModesSet {
            by: who.clone(),
            channel: channel.clone(),
            changes: changes.clone(),
        },
        Effect::OwnModesSet {
            who: who.clone(),
            changes,
        },
        Effect::Invited {
            by: who.clone(),
            session,
            nick,
            channel,
        },
        Effect::AwaySet {
            who,
            channels,
            text: Some(s("out")),
        },
        Effect::Emptied { gateway: GATEWAY },
    ];
    for effect in &all {
        match effect {
            Effect::Opened { .. }
            | Effect::NotOpened { .. }
            | Effect::Refused { .. }
            | Effect::Joined { .. }
            | Effect::Parted { .. }
            | Effect::Kicked { .. }
            | Effect::Quit { .. }
            | Effect::Renamed { .. }
            | Effect::Said { .. }
            | Effect::IsAway { .. }
            | Effect::TopicSet { .. }
            | Effect::ModesSet { .. }
            | Effect::OwnModesSet { .. }
            | Effect::Invited { .. }
            | Effect::AwaySet { .. }
            | Effect::Emptied { .. } => {}
        }
    }
    all
}

/// The name of a variant, as it is written.
fn name(of: &impl std::fmt::Debug) -> String {
    let text = format!("{of:?}");
    let name = text.split(['(', ' ', '{']).next().unwrap_or_default();
    name.to_lowercase()
}

fn stamped(command: Command) -> Vec<u8> {
    let mut bytes = Vec::new();
    let stamped = Stamped {
        stamp: TIME,
        gateway: GATEWAY,
        command,
    };
    stamped.encode_into(&mut bytes);
    assert_eq!(Stamped::decode(&bytes), Some(stamped));
    bytes
}

fn reply(effects: Vec<Effect>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reply = Reply {
        time: TIME,
        author: Some((SESSION, Some(7))),
        effects,
    };
    reply.encode_into(&mut bytes);
    assert_eq!(Reply::decode(&bytes), Some(reply));
    bytes
}

/// A chat in which something of everything happened, as a checkpoint has it.
fn checkpoint() -> (Vec<u8>, u64) {
    let mut chat = Chat::new();
    let mut place = Place::ZERO;
    let mut apply = |command| {
        place = place.next();
        chat.apply(place, &stamped(command), &mut Vec::new());
    };
    let opening = |connection, nick: &str, token| {
        Command::Open(Opening {
            connection,
            nick: nick.into(),
            user: "user".into(),
            host: "host".into(),
            real: "Real".into(),
            account: (connection == 1).then(|| "acc".to_owned()),
            token,
            seen: None,
        })
    };
    apply(opening(1, "ann", None));
    apply(opening(2, "bob", Some([7; 32])));
    let mut act = |session, connection, deed| {
        apply(Command::Act {
            session: SessionId(Place(session)),
            connection,
            number: Some(place_of(&deed)),
            deed,
        });
    };
    for deed in deeds() {
        act(1, 1, deed.clone());
        act(2, 2, deed);
    }
    apply(Command::Tick {
        seen: Place(9),
        except: vec![(SessionId(Place(2)), Place(3))],
    });
    apply(Command::Leave {
        session: SessionId(Place(1)),
        connection: 1,
        seen: Place(8),
        departure: Departure::Lost("reset".into()),
    });
    let mut bytes = Vec::new();
    chat.snapshot(&mut |part| bytes.extend_from_slice(part));
    let mut back = Chat::new();
    back.restore(&bytes).expect("just written");
    assert_eq!(back, chat);
    (bytes, chat.digest())
}

/// A number for each deed of a session, above those before.
fn place_of(deed: &Deed) -> u64 {
    let at = deeds().iter().position(|other| other == deed);
    at.expect("one of them") as u64 + 1
}

#[test]
fn bytes_stay_what_they_are() {
    let mut lines = Vec::new();
    for command in commands() {
        let name = match &command {
            Command::Act { deed, .. } => format!("act-{}", name(deed)),
            Command::Leave { departure, .. } => format!("leave-{}", name(departure)),
            other => name(other),
        };
        lines.push(format!("{name} {}", hex(&stamped(command))));
    }
    for effect in effects() {
        let event = Event {
            place: Place(400),
            index: 1,
            time: TIME,
            effect: effect.clone(),
        };
        let event = postcard::to_stdvec(&event).expect("a vector grows");
        let effect_name = name(&effect);
        lines.push(format!("event-{effect_name} {}", hex(&event)));
        lines.push(format!("reply-{effect_name} {}", hex(&reply(vec![effect]))));
    }
    for refusal in refusals() {
        let refusal_name = name(&refusal);
        let refused = Effect::Refused {
            session: SESSION,
            refusal,
        };
        lines.push(format!(
            "refusal-{refusal_name} {}",
            hex(&reply(vec![refused]))
        ));
    }
    let (checkpoint, digest) = checkpoint();
    lines.push(format!("checkpoint {}", hex(&checkpoint)));
    lines.push(format!("digest {digest:016x}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chat.txt");
    let text = lines.join("\n") + "\n";
    if std::env::var_os("PAXCAST_GOLDEN").is_some() {
        std::fs::write(&path, &text).expect("the file can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the file can be read");
    assert_eq!(golden, text, "chat.txt: bytes have changed");
}
