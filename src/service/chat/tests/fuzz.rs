//! Whatever anybody submits: nothing breaks, all agree, and gateways that only follow
//! the effects know who is where.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::service::chat::Chat;
use crate::service::chat::command::{
    Command, Deed, Departure, Gateway, Manner, ModeChange, Opening, SessionId, Stamped,
};
use crate::service::chat::effect::{Audience, Effect, Reply};
use crate::service::chat::ring::At;
use crate::service::{Place, StateMachine};

/// What a gateway knows that only follows the effects, and what it would have shown.
#[derive(Default)]
struct Follower {
    members: BTreeMap<String, BTreeSet<SessionId>>,
    shown: BTreeMap<SessionId, Vec<At>>,
}

impl Follower {
    fn follow(&mut self, at: At, effect: &Effect) {
        if let Effect::Joined { who, roster, .. } = effect {
            let members = self.members.entry(roster.channel.clone()).or_default();
            members.insert(who.session);
            let listed: BTreeSet<SessionId> = roster.members.iter().map(|it| it.session).collect();
            assert_eq!(*members, listed);
        }
        self.show(at, effect);
        match effect {
            Effect::Parted { who, channel, .. } => self.leave(channel, who.session),
            Effect::Kicked {
                session, channel, ..
            } => self.leave(channel, *session),
            Effect::Quit { who, channels, .. } => {
                for channel in channels {
                    self.leave(channel, who.session);
                }
                self.shown.remove(&who.session);
            }
            _ => {}
        }
    }

    fn leave(&mut self, channel: &str, session: SessionId) {
        let members = self.members.get_mut(channel).expect("a channel");
        assert!(members.remove(&session), "who leaves was there");
        if members.is_empty() {
            self.members.remove(channel);
        }
    }

    fn show(&mut self, at: At, effect: &Effect) {
        let of = |channel: &str| self.members.get(channel).cloned().unwrap_or_default();
        let concerned: BTreeSet<SessionId> = match effect.audience() {
            Audience::Nobody => return,
            _ if matches!(effect, Effect::Opened { .. }) => return,
            Audience::One(one) => [one].into(),
            Audience::Two(one, other) => [one, other].into(),
            Audience::Channel(channel) => of(channel),
            Audience::Around(one, channels) => {
                let around = channels.iter().flat_map(|channel| of(channel));
                around.chain([one]).collect()
            }
        };
        for session in concerned {
            self.shown.entry(session).or_default().push(at);
        }
    }

    /// What it knows is so.
    fn agrees_with(&self, chat: &Chat) {
        let there: BTreeMap<String, BTreeSet<SessionId>> = chat
            .channels()
            .map(|it| (it.name().to_owned(), it.members().map(|it| it.0).collect()))
            .collect();
        assert_eq!(self.members, there);
    }

    /// What somebody missed is what they would have been shown.
    fn agrees_on_missed(&self, chat: &Chat, after: u64, through: Place) -> bool {
        let mut complete = true;
        for session in chat.everybody() {
            let missed = chat.missed(session.id(), Place(after), through);
            let told: Vec<At> = missed
                .events
                .iter()
                .map(|it| at(it.place, it.index))
                .collect();
            let within = |it: &&At| it.place > Place(after) && it.place <= through;
            let shown = self.shown.get(&session.id());
            let shown: Vec<At> = shown
                .into_iter()
                .flatten()
                .filter(within)
                .copied()
                .collect();
            match missed.complete {
                true => assert_eq!(told, shown, "{}", session.nick()),
                false => assert!(told.iter().all(|it| shown.contains(it))),
            }
            complete &= missed.complete;
        }
        complete
    }
}

fn at(place: Place, index: u16) -> At {
    At { place, index }
}

fn nick() -> impl Strategy<Value = String> {
    let plain = select(vec!["a", "B", "b", "c"]);
    let odd = select(vec![
        "",
        "#x",
        "a b",
        "x\r\ny",
        "\0",
        ":",
        "é",
        "a,b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]);
    prop_oneof![15 => plain, 1 => odd].prop_map(str::to_owned)
}

fn channel() -> impl Strategy<Value = String> {
    let plain = select(vec!["#x", "#Y", "#y"]);
    let odd = select(vec!["", "#", "x", "#a b", "#\r\n", "#\0", "#:", "#é", "#,"]);
    prop_oneof![15 => plain, 1 => odd].prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    let plain = select(vec![
        "",
        "hello",
        "a\r\nQUIT",
        "\0",
        "\u{1}ACTION\u{1}",
        "é",
    ]);
    prop_oneof![
        8 => plain.prop_map(str::to_owned),
        1 => (0..5_000_usize).prop_map(|length| "x".repeat(length)),
    ]
}

fn change() -> impl Strategy<Value = ModeChange> {
    let letter = select("imnstklbovz\r".chars().collect::<Vec<_>>());
    let word = select(vec!["1", "2", "0", "key", "*!*@*", "a!*", "x y", "\r", ""]);
    let argument = prop_oneof![nick(), word.prop_map(str::to_owned)];
    (any::<bool>(), letter, option::of(argument)).prop_map(|(set, letter, argument)| ModeChange {
        set,
        letter,
        argument,
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let target = || prop_oneof![nick(), channel()];
    let manner = select(vec![Manner::Message, Manner::Notice]);
    let key = option::of(select(vec!["key", "1"]).prop_map(str::to_owned));
    prop_oneof![
        1 => nick().prop_map(Deed::Nick),
        6 => vec((channel(), key), 0..3).prop_map(Deed::Join),
        3 => (vec(channel(), 0..3), text())
            .prop_map(|(channels, reason)| Deed::Part { channels, reason }),
        1 => Just(Deed::PartAll),
        6 => (vec(target(), 0..6), manner, text())
            .prop_map(|(targets, manner, text)| Deed::Say { targets, manner, text }),
        2 => (channel(), text()).prop_map(|(channel, topic)| Deed::Topic { channel, topic }),
        3 => (channel(), vec(change(), 0..10))
            .prop_map(|(channel, changes)| Deed::Mode { channel, changes }),
        1 => vec(change(), 0..3).prop_map(Deed::UserMode),
        2 => (channel(), vec(nick(), 0..6), text())
            .prop_map(|(channel, nicks, reason)| Deed::Kick { channel, nicks, reason }),
        3 => (nick(), channel()).prop_map(|(nick, channel)| Deed::Invite { nick, channel }),
        1 => option::of(text()).prop_map(Deed::Away),
    ]
}

/// A command whose session and connection are chosen when it is applied.
#[derive(Clone, Debug)]
struct Drawn {
    /// Which of those who are there.
    who: usize,
    /// Whether the gateway and the connection are theirs.
    honest: bool,
    stamped: Stamped,
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![4 => 0..60_u64, 1 => Just(u64::MAX)].prop_map(Place)
}

fn command() -> impl Strategy<Value = Command> {
    let session = SessionId(Place::ZERO);
    let number = option::weighted(0.3, prop_oneof![40 => 0..60_u64, 1 => Just(u64::MAX)]);
    let secret = option::of((0..2_u8).prop_map(|byte| [byte; 32]));
    let account = option::of(select(vec!["x", "X", "y", "z", "x", "\r"]).prop_map(str::to_owned));
    let opening = (
        nick(),
        text(),
        account,
        secret,
        option::of(place()),
        0..6_u64,
    )
        .prop_map(|(nick, text, account, token, seen, connection)| Opening {
            connection,
            nick,
            user: text.clone(),
            host: text.clone(),
            real: text,
            account,
            token,
            seen,
        });
    let lost = any::<bool>();
    let known = prop_oneof![1 => place(), 2 => Just(Place(u64::MAX))];
    let departure = (text(), lost).prop_map(|(text, lost)| match lost {
        true => Departure::Lost(text),
        false => Departure::Quit(text),
    });
    let except = vec(
        ((0..40_u64).prop_map(|it| SessionId(Place(it))), place()),
        0..3,
    );
    prop_oneof![
        1 => Just(Command::Begin),
        1 => option::of(1..4_u64).prop_map(|after| Command::Start { after }),
        3 => (place(), except).prop_map(|(seen, except)| Command::Tick { seen, except }),
        12 => (opening, option::weighted(0.9, known)).prop_map(|(opening, known)| match known {
            Some(known) => Command::Come { opening, known },
            None => Command::Open(opening),
        }),
        2 => (place(), departure).prop_map(move |(seen, departure)| Command::Leave {
            session,
            connection: 0,
            seen,
            departure,
        }),
        60 => (number, deed()).prop_map(move |(number, deed)| Command::Act {
            session,
            connection: 0,
            number,
            deed,
        }),
    ]
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let stamp = prop_oneof![
        40 => 1_000_000_000_000..1_000_000_020_000_u64,
        1 => 0..2_000_000_000_000_u64,
        1 => Just(u64::MAX),
    ];
    let honest = prop_oneof![19 => Just(true), 1 => Just(false)];
    let run = prop_oneof![19 => Just(1_u64), 1 => 2..4_u64];
    (0..8_usize, honest, stamp, 1..3_u16, run, command()).prop_map(
        |(who, honest, stamp, id, run, command)| Drawn {
            who,
            honest,
            stamped: Stamped {
                stamp,
                gateway: Gateway { id, run },
                command,
            },
        },
    )
}

/// The bytes of a command that was drawn, as things stand.
fn settle(chat: &Chat, drawn: Drawn) -> Vec<u8> {
    let Drawn {
        who,
        honest,
        mut stamped,
    } = drawn;
    let chosen = chat.everybody().nth(who % chat.sessions().max(1));
    let seat = chosen.and_then(|it| it.seat());
    if let (
        Command::Act {
            session,
            connection,
            ..
        }
        | Command::Leave {
            session,
            connection,
            ..
        },
        Some(chosen),
    ) = (&mut stamped.command, chosen)
    {
        *session = chosen.id();
        if let (true, Some(seat)) = (honest, seat) {
            stamped.gateway = seat.gateway;
            *connection = seat.connection;
        }
    }
    let mut bytes = Vec::new();
    stamped.encode_into(&mut bytes);
    bytes
}

fn written(chat: &Chat) -> Vec<u8> {
    let mut bytes = Vec::new();
    chat.snapshot(&mut |part| bytes.extend_from_slice(part));
    bytes
}

/// Applies commands, each also to a copy that came out of a snapshot, and asks after
/// each for all that holds.
fn run(memory: usize, commands: Vec<Drawn>, after: u64) -> bool {
    let mut chat = Chat::with_memory(memory);
    let mut copy = chat.clone();
    let mut follower = Follower::default();
    for (index, drawn) in commands.into_iter().enumerate() {
        let place = Place(index as u64 * 2 + 1);
        let bytes = settle(&chat, drawn);
        let (mut told, mut again) = (Vec::new(), Vec::new());
        chat.apply(place, &bytes, &mut told);
        copy.apply(place, &bytes, &mut again);
        assert_eq!(told, again);
        let reply = Reply::decode(&told).expect("a reply");
        // The strings that are drawn have no backslashes of their own.
        let shown = format!("{reply:?}");
        assert!(
            ["\\r", "\\n", "\\0"].iter().all(|end| !shown.contains(end)),
            "{shown}"
        );
        for (index, effect) in reply.effects.iter().enumerate() {
            follower.follow(at(place, index as u16), effect);
        }
        follower.agrees_with(&chat);
        chat.audit().expect("what holds in every chat");
        let bytes = written(&chat);
        copy = Chat::with_memory(memory);
        copy.restore(&bytes).expect("just written");
        assert_eq!(copy, chat);
        assert_eq!((copy.digest(), written(&copy)), (chat.digest(), bytes));
    }
    follower.agrees_on_missed(&chat, after, Place(u64::MAX))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_anybody_submits(commands in vec(drawn(), 1..120), after in 0..120_u64) {
        run(1 << 20, commands, after);
    }

    #[test]
    fn whatever_anybody_submits_when_little_is_remembered(
        commands in vec(drawn(), 1..120), after in 0..120_u64
    ) {
        run(3_000, commands, after);
    }

    #[test]
    fn any_bytes_are_a_command(commands in vec(vec(any::<u8>(), 0..40), 1..20)) {
        let mut chat = Chat::new();
        for (index, bytes) in commands.iter().enumerate() {
            let mut reply = Vec::new();
            chat.apply(Place(index as u64 + 1), bytes, &mut reply);
            prop_assert!(Reply::decode(&reply).is_some());
            prop_assert_eq!(chat.audit(), Ok(()));
        }
    }

    /// Bytes that were a command until a few were changed.
    #[test]
    fn damaged_commands_are_commands(
        commands in vec(drawn(), 1..30),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 30),
    ) {
        let mut chat = Chat::new();
        let turns = commands.into_iter().zip(changes).enumerate();
        for (index, (drawn, (at, byte))) in turns {
            let mut bytes = settle(&chat, drawn);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            chat.apply(Place(index as u64 + 1), &bytes, &mut Vec::new());
            prop_assert_eq!(chat.audit(), Ok(()));
        }
    }
}

/// What is drawn is not refused throughout: people come, meet and come back.
#[test]
fn what_is_drawn_leads_somewhere() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut names, mut resumed, mut complete) = (BTreeSet::new(), 0, 0);
    for _ in 0..60 {
        let tree = vec(drawn(), 120).new_tree(&mut runner);
        let commands = tree.expect("drawn").current();
        let mut chat = Chat::new();
        for (index, drawn) in commands.iter().enumerate() {
            let bytes = settle(&chat, drawn.clone());
            let mut reply = Vec::new();
            chat.apply(Place(index as u64 + 1), &bytes, &mut reply);
            for effect in Reply::decode(&reply).expect("a reply").effects {
                let back = matches!(
                    effect,
                    Effect::Opened {
                        resumed: Some(_),
                        ..
                    }
                );
                resumed += usize::from(back);
                let text = format!("{effect:?}");
                names.extend(text.split(' ').next().map(str::to_owned));
            }
        }
        complete += usize::from(run(1 << 20, commands, 10));
    }
    assert!(resumed > 10 && complete > 5, "{resumed} {complete}");
    assert_eq!(names.len(), 16, "every effect: {names:?}");
}
