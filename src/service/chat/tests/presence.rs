//! How sessions begin, wait, are taken up again and end.

use super::rig::{Rig, join, opening, say, with_account, with_token};
use crate::service::chat::command::{Command, Deed, Departure, Gateway, Opening, SessionId};
use crate::service::chat::effect::Effect;
use crate::service::chat::limits::Limits;
use crate::service::{Place, StateMachine};

/// What an opening brings about.
fn come(rig: &mut Rig, opening: Opening) -> String {
    let reply = rig.come(opening);
    let effects: Vec<String> = reply.effects.iter().map(|it| rig.show(it)).collect();
    effects.join(" | ")
}

#[test]
fn a_nick_is_opened_once_and_only_if_it_is_one() {
    let mut rig = Rig::new();
    assert_eq!(come(&mut rig, opening("Ann")), "Ann opened");
    assert_eq!(come(&mut rig, opening("aNN")), "aNN not: NickInUse aNN");
    assert_eq!(come(&mut rig, opening("a b")), "a?b not: BadNick a?b");
    let bad = with_account("bob", "a\nb");
    assert_eq!(come(&mut rig, bad), "bob not: TooLong a?b");
    let ann = rig.chat.find("ANN").expect("she is there");
    let session = rig.chat.session(ann).expect("she is there");
    assert_eq!(
        (session.mask().as_str(), session.real()),
        ("Ann!ann@host", "Real Ann")
    );
    assert_eq!(
        (session.opened(), session.seat().map(|it| it.connection)),
        (rig.now, Some(1))
    );
}

#[test]
fn what_is_said_of_oneself_is_made_harmless() {
    let mut rig = Rig::new();
    let hostile = Opening {
        user: "u!@ \r\n".repeat(9),
        host: "::1".into(),
        real: "r\n".repeat(999),
        ..opening("ann")
    };
    let ann = rig.open(hostile);
    let session = rig.chat.session(ann).expect("she is there");
    assert_eq!(session.user(), "u_____u_____u_____u_");
    assert_eq!(
        (session.host(), session.real().len()),
        ("0::1", Limits::REAL)
    );
}

#[test]
fn without_a_way_back_a_session_ends_with_its_connection() {
    let mut rig = Rig::new();
    let [ann, bob] = rig.people(["ann", "bob"]);
    rig.gather([ann, bob], "#c");
    assert_eq!(rig.lose(ann), "ann quit [\"#c\"] (Connection lost: reset)");
    let seen = rig.place;
    let bye = Departure::Quit("bye\n".into());
    assert_eq!(rig.leave(bob, seen, bye), "bob quit [\"#c\"] (bye )");
    assert_eq!((rig.chat.sessions(), rig.chat.channel_count()), (0, 0));
}

#[test]
fn a_secret_takes_a_session_up_again() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    rig.gather([ann], "#c");
    rig.act(ann, Some(7), Deed::Away(Some("out".into())));
    let seen = rig.place;
    assert_eq!(rig.lose(ann), "", "nobody is told");
    assert_eq!((rig.chat.attached(), rig.chat.sessions()), (0, 1));
    let thief = Opening {
        token: Some([8; 32]),
        ..opening("ann")
    };
    assert_eq!(come(&mut rig, thief), "ann not: NickInUse ann");
    assert_eq!(come(&mut rig, opening("ann")), "ann not: NickInUse ann");
    rig.gateway = Gateway { id: 2, run: 22 };
    assert_eq!(
        come(&mut rig, with_token("ANN")),
        // She begins to count anew; one that goes on does not.
        format!("ann opened behind {seen}, 0 done #c[@ann]")
    );
    let session = rig.chat.session(ann).expect("she is back");
    assert_eq!(session.away(), Some("out"));
    assert_eq!(session.seat().map(|it| it.gateway.id), Some(2));
}

#[test]
fn who_comes_back_while_still_attached_takes_over() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    assert_eq!(
        come(&mut rig, with_token("ann")),
        format!("ann opened in place of 1 behind {}, 0 done", ann.0)
    );
    // What comes late over the old connection is nobody's.
    let late = Command::Act {
        session: ann,
        connection: 1,
        number: Some(1),
        deed: say("ann", "x"),
    };
    let reply = rig.reply(late);
    assert_eq!((reply.author, reply.effects.len()), (None, 0));
    let late = Command::Leave {
        session: ann,
        connection: 1,
        seen: Place::ZERO,
        departure: Departure::Quit("x".into()),
    };
    assert_eq!(rig.apply(late), "");
    assert_eq!(rig.chat.session(ann).map(|it| it.number()), Some(0));
    assert_eq!(rig.says(ann, "ann", "x"), "ann -> ann: x");
}

#[test]
fn an_account_takes_up_what_waits_for_it_the_latest_first() {
    let mut rig = Rig::new();
    let first = rig.open(with_account("one", "Acc"));
    let second = rig.open(with_account("two", "acc"));
    assert_ne!(first, second, "both are attached");
    rig.lose(second);
    rig.lose(first);
    let opened = rig.come(with_account("three", "ACC"));
    let Some(Effect::Opened { who, .. }) = opened.effects.first() else {
        panic!("it opened");
    };
    assert_eq!((who.session, &*who.nick), (first, "one"));
    let opened = rig.come(with_account("two", "acc"));
    assert_eq!(opened.author, Some((second, None)));
    let opened = rig.come(with_account("three", "acc"));
    assert!(
        opened
            .author
            .is_some_and(|(id, _)| id != first && id != second)
    );
    // The nick of one's own session that is attached: it is taken over.
    let opened = rig.come(with_account("three", "acc"));
    assert_eq!(
        rig.show(&opened.effects[0]).split(" behind").next(),
        Some("three opened in place of 5")
    );
    // Somebody else's nick, but an own session that waits.
    rig.lose(first);
    let opened = rig.come(with_account("three", "other"));
    assert!(opened.author.is_none());
    rig.people(["x"]);
    assert_eq!(
        rig.come(with_account("x", "acc")).author,
        Some((first, None))
    );
}

#[test]
fn who_goes_on_says_behind_what() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    rig.wait(30_000);
    rig.lose(ann);
    let seen = |seen| Opening {
        seen: Some(Place(seen)),
        ..with_token("ann")
    };
    assert_eq!(come(&mut rig, seen(2)), "ann opened behind @2, 0 done");
    // What the gateway said before she came back says nothing of her.
    assert_eq!(rig.chat.seen(ann), Place(2));
    rig.lose(ann);
    let before = rig.place;
    assert_eq!(
        come(&mut rig, seen(u64::MAX)),
        format!("ann opened behind {before}, 0 done")
    );
    let fresh = Opening {
        nick: "bob".into(),
        token: Some([9; 32]),
        ..seen(3)
    };
    assert_eq!(come(&mut rig, fresh), "bob opened", "nothing waits");
}

#[test]
fn what_was_seen_is_what_the_gateway_said_last() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    assert_eq!(rig.chat.seen(ann), ann.0);
    // Said before anything of hers was sent: it says nothing of her.
    rig.apply(Command::Tick {
        seen: Place::ZERO,
        except: Vec::new(),
    });
    assert_eq!(rig.chat.seen(ann), ann.0);
    for _ in 0..5 {
        rig.tick();
    }
    let all = Place(rig.place.0 - 1);
    assert_eq!(rig.chat.seen(ann), all);
    let nobody = SessionId(Place(77));
    let except = vec![(ann, Place(4)), (nobody, Place(1))];
    let seen = Place(u64::MAX);
    rig.apply(Command::Tick { seen, except });
    assert_eq!(rig.chat.seen(ann), Place(4));
    let gateway = Gateway { id: 1, run: 12 };
    rig.gateway = gateway;
    assert_eq!(rig.apply(Command::Begin), "emptied 1.11");
    assert_eq!(rig.chat.seen(ann), Place(4));
    assert_eq!(
        come(&mut rig, with_token("ann")),
        "ann opened behind @4, 0 done"
    );
    assert_eq!(rig.chat.seen(ann), Place(4), "nothing more was sent yet");
}

#[test]
fn a_gateway_that_begins_again_has_nobody_any_more() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    let bob = rig.open(opening("bob"));
    let old = rig.gateway;
    let new = Gateway { id: 1, run: 12 };
    rig.gateway = new;
    assert_eq!(
        rig.apply(Command::Begin),
        "emptied 1.11 | bob quit [] (Connection lost)"
    );
    assert_eq!(rig.apply(Command::Begin), "");
    assert!(rig.chat.session(ann).is_some() && rig.chat.session(bob).is_none());
    // The old one is heard no more.
    rig.gateway = old;
    assert_eq!(come(&mut rig, opening("eve")), "eve not: NotAttached");
    rig.apply(Command::Tick {
        seen: Place(9),
        except: Vec::new(),
    });
    rig.gateway = new;
    assert_eq!(come(&mut rig, opening("eve")), "eve opened");
}

#[test]
fn a_gateway_that_is_silent_is_taken_for_dead() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    let silent = rig.gateway;
    rig.gateway = Gateway { id: 2, run: 22 };
    rig.open(opening("bob"));
    assert_eq!(rig.wait(Limits::SILENCE), "");
    assert_eq!(rig.wait(1), "emptied 1.11");
    assert_eq!(rig.chat.session(ann).and_then(|it| it.seat()), None);
    // It lives: it was cut off. All that it says is about what is over …
    rig.gateway = silent;
    let late = Command::Act {
        session: ann,
        connection: 1,
        number: None,
        deed: join("#c"),
    };
    let reply = rig.reply(late);
    assert_eq!((reply.author, reply.effects.len()), (None, 0));
    assert_eq!(come(&mut rig, opening("eve")), "eve not: NotAttached");
    assert_eq!(rig.apply(Command::Begin), "");
    assert_eq!(come(&mut rig, opening("eve")), "eve not: NotAttached");
    // … until it begins anew.
    rig.gateway.run += 1;
    assert_eq!(
        rig.apply(Command::Begin),
        "",
        "the old run was over already"
    );
    assert_eq!(come(&mut rig, opening("eve")), "eve opened");
}

#[test]
fn a_clock_that_leaps_ends_nothing() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    let bob = rig.open(with_token("bob"));
    rig.lose(bob);
    rig.gateway = Gateway { id: 2, run: 22 };
    rig.now += 40 * 24 * 3600 * 1000;
    for _ in 0..2 {
        assert_eq!(rig.tick(), "");
    }
    assert!(rig.chat.session(ann).is_some_and(|it| it.seat().is_some()));
    assert!(rig.chat.session(bob).is_some());
}

#[test]
fn nobody_is_waited_for_for_ever() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    let acc = rig.open(with_account("acc", "acc"));
    rig.gather([ann], "#c");
    rig.lose(ann);
    rig.lose(acc);
    assert_eq!(rig.wait(Limits::PATIENCE - 1), "");
    assert_eq!(rig.wait(1), "ann quit [\"#c\"] (Did not come back)");
    let rest = Limits::PATIENCE_WITH_ACCOUNT - Limits::PATIENCE;
    assert_eq!(rig.wait(rest - 1), "");
    assert_eq!(rig.wait(1), "acc quit [] (Did not come back)");
}

#[test]
fn a_few_are_given_up_in_passing_and_many_by_a_gateways_word() {
    let mut rig = Rig::new();
    rig.gateway = Gateway { id: 2, run: 22 };
    let ann = rig.open(opening("ann"));
    rig.gateway = Gateway { id: 1, run: 11 };
    let crowd = Limits::GREAT_SWEEP + 100;
    for i in 0..crowd {
        rig.unchecked_open(opening(&format!("n{i}")));
    }
    rig.gateway.run = 12;
    let told = rig.apply(Command::Begin);
    assert_eq!(told.matches("quit").count(), Limits::GREAT_SWEEP);
    // Who is not given up yet is in nobody's way.
    let last = format!("n{}", crowd - 1);
    let told = come(&mut rig, opening(&last));
    assert!(
        told.ends_with(&format!("{last} quit [] (Connection lost) | {last} opened")),
        "{told}"
    );
    let told = rig.says(ann, "ann", "x");
    assert_eq!(told.matches("quit").count(), Limits::SWEEP);
    rig.tick();
    assert_eq!(rig.chat.sessions(), 2);
}

#[test]
fn a_connection_seats_one_session() {
    let mut rig = Rig::new();
    rig.people(["ann"]);
    let again = Opening {
        connection: 1,
        ..opening("bob")
    };
    assert_eq!(rig.apply(Command::Open(again)), "bob not: NotAttached");
}

#[test]
fn there_are_only_so_many_sessions() {
    let mut rig = Rig::new();
    for i in 0..Limits::SESSIONS {
        rig.unchecked_open(opening(&format!("n{i}")));
    }
    assert_eq!(come(&mut rig, opening("more")), "more not: Full");
    let one = rig.chat.find("n5").expect("it is there");
    rig.lose(one);
    assert_eq!(come(&mut rig, opening("more")), "more opened");
}

#[test]
fn what_is_no_command_changes_nothing_but_the_digest() {
    let mut rig = Rig::new();
    rig.people(["ann"]);
    let (before, time) = (rig.chat.digest(), rig.chat.time());
    let reply = rig.bytes(b"\xff\xff\xff");
    assert_eq!(
        (reply.time, reply.author, reply.effects.len()),
        (time, None, 0)
    );
    assert_ne!(rig.chat.digest(), before);
}

#[test]
fn who_goes_on_is_found_under_the_nick_that_they_have_by_now() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    let seen = rig.place;
    let on = |nick: &str, seen| Opening {
        seen: Some(seen),
        ..with_token(nick)
    };
    for nick in ["bea", "cat"] {
        rig.act(ann, None, Deed::Nick(nick.into()));
    }
    // Others with that secret, or that nick, are not her.
    rig.open(with_token("dan"));
    let [other] = rig.people(["ann"]);
    for nick in ["ann", "BEA", "cat"] {
        rig.lose(ann);
        assert_eq!(
            come(&mut rig, on(nick, seen)),
            format!("cat opened behind {seen}, 0 done"),
            "as {nick}"
        );
    }
    let another = Opening {
        token: Some([9; 32]),
        ..on("ann", seen)
    };
    assert_eq!(come(&mut rig, another), "ann not: NickInUse ann");
    // Who has seen it, or does not go on, means who is called so.
    let now = rig.place;
    assert_eq!(come(&mut rig, on("ann", now)), "ann not: NickInUse ann");
    assert_eq!(come(&mut rig, with_token("bea")), "bea opened");
    assert!(rig.chat.session(other).is_some());
    // An account is a way back, too, while a connection is still there.
    let eve = rig.open(with_account("eve", "eve"));
    let seen = rig.place;
    rig.act(eve, None, Deed::Nick("fay".into()));
    let on = Opening {
        seen: Some(seen),
        ..with_account("eve", "EVE")
    };
    let told = come(&mut rig, on);
    assert!(told.starts_with("fay opened in place of "), "{told}");
}

#[test]
fn what_comes_late_takes_no_session_from_where_it_is() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    let before = rig.place;
    let asked = |known, connection, seen| Command::Come {
        opening: Opening {
            connection,
            seen,
            ..with_token("ann")
        },
        known,
    };
    // She has come in elsewhere since, and has done something there.
    let there = rig.come(with_token("ann"));
    assert_eq!(
        rig.show(&there.effects[0]),
        "ann opened in place of 1 behind @1, 0 done"
    );
    rig.act(ann, Some(7), Deed::Away(None));
    for seen in [None, Some(before)] {
        assert_eq!(rig.apply(asked(before, 90, seen)), "ann not: Outdated");
    }
    let session = rig.chat.session(ann).expect("it stands");
    assert_eq!(
        (session.number(), session.seat().map(|seat| seat.connection)),
        (7, Some(2))
    );
    // She has gone since: that counts alike.
    let known = rig.place;
    rig.lose(ann);
    assert_eq!(rig.apply(asked(known, 91, None)), "ann not: Outdated");
    // Whoever asks again knows.
    let known = rig.place;
    let told = rig.apply(asked(known, 91, Some(known)));
    assert_eq!(told, format!("ann opened behind {known}, 7 done"));
    // So it was before anybody said what they know: logs have it.
    let told = rig.apply(Command::Open(Opening {
        connection: 92,
        ..with_token("ann")
    }));
    assert!(told.starts_with("ann opened in place of 91"), "{told}");
}
