//! What somebody missed, and what was said earlier.

use super::rig::{Rig, join, notice, part, say, with_token};
use crate::service::chat::Chat;
use crate::service::chat::command::{Deed, SessionId};
use crate::service::chat::effect::{Effect, Event};
use crate::service::chat::limits::Limits;
use crate::service::chat::recall::{Conversation, NoHistory, Point, Selector};
use crate::service::chat::ring::At;
use crate::service::{Place, StateMachine};

/// What somebody missed behind a place, as a test writes it.
fn missed(rig: &Rig, session: SessionId, after: Place) -> Vec<String> {
    let missed = rig.chat.missed(session, after, rig.place);
    let told = missed.events.iter().map(|it| rig.show(&it.effect));
    let gap = (!missed.complete).then(|| "gap".to_owned());
    gap.into_iter().chain(told).collect()
}

fn texts(events: Vec<std::sync::Arc<Event>>) -> Vec<String> {
    let text = |event: &Event| match &event.effect {
        Effect::Said { text, .. } => text.clone(),
        other => panic!("no message: {other:?}"),
    };
    events.iter().map(|event| text(event)).collect()
}

#[test]
fn who_was_gone_misses_nothing() {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    let [bob, eve] = rig.people(["bob", "eve"]);
    rig.gather([bob, ann, eve], "#c");
    rig.gather([bob], "#elsewhere");
    let seen = rig.place;
    rig.lose(ann);
    rig.says(bob, "#c", "one");
    rig.says(bob, "#elsewhere", "not for her");
    rig.says(bob, "ann", "two");
    rig.mode(bob, "#c", "+v(ann)");
    rig.does(bob, Deed::Nick("rob".into()));
    rig.does(eve, Deed::Away(Some("out".into())));
    rig.does(bob, notice("eve", "not for her"));
    rig.does(eve, part("#c", "bye"));
    rig.says(bob, "#c,ann", "three");
    rig.open(with_token("ann"));
    assert_eq!(
        missed(&rig, ann, seen),
        [
            "bob -> #c: one",
            "bob -> ann: two",
            "bob mode #c +v(ann)",
            "bob is rob [\"#c\", \"#elsewhere\"]",
            "eve away [\"#c\"] Some(\"out\")",
            "eve parted #c (bye)",
            "rob -> #c: three",
            "rob -> ann: three",
        ]
    );
    assert_eq!(missed(&rig, ann, rig.place), [""; 0]);
    assert_eq!(missed(&rig, ann, Place(u64::MAX)), [""; 0]);
    assert_eq!(missed(&rig, SessionId(Place(999)), seen), ["gap"]);
}

#[test]
fn what_happened_before_they_came_and_after_they_left_is_not_theirs() {
    let mut rig = Rig::new();
    let [bob, ann] = rig.people(["bob", "ann"]);
    let start = rig.place;
    rig.gather([bob], "#c");
    rig.says(bob, "#c", "before");
    rig.gather([ann], "#c");
    rig.says(bob, "#c", "during");
    rig.does(ann, part("#c", "bye"));
    rig.says(bob, "#c", "between");
    rig.gather([ann], "#c");
    rig.says(bob, "#c", "again");
    rig.does(
        bob,
        Deed::Kick {
            channel: "#c".into(),
            nicks: vec!["ann".into()],
            reason: "out".into(),
        },
    );
    rig.says(bob, "#c", "after");
    assert_eq!(
        missed(&rig, ann, start),
        [
            "ann joined #c[ann @bob]",
            "bob -> #c: during",
            "ann parted #c (bye)",
            "ann joined #c[ann @bob]",
            "bob -> #c: again",
            "bob kicked ann from #c (out)",
        ]
    );
    assert_eq!(missed(&rig, bob, start).len(), 10);
    assert!(missed(&rig, bob, start).contains(&"ann joined #c[]".to_owned()));
}

#[test]
fn what_is_forgotten_is_told_to_be() {
    let mut rig = Rig::new();
    let [bob, ann] = rig.people(["bob", "ann"]);
    let start = rig.place;
    rig.gather([bob, ann], "#c");
    let joined = rig.place;
    for i in 0..Limits::MESSAGES {
        rig.unchecked(bob, say("#c", &i.to_string()));
    }
    assert_eq!(missed(&rig, ann, joined).len(), Limits::MESSAGES);
    rig.says(bob, "#c", "one more");
    let told = missed(&rig, ann, joined);
    assert_eq!((told.len(), &*told[0]), (Limits::MESSAGES + 1, "gap"));
    assert_eq!(
        missed(&rig, ann, Place(joined.0 + 1)).len(),
        Limits::MESSAGES
    );
    // A channel that is no more, which was another one's with the same name.
    rig.mode(bob, "#c", "+s");
    rig.does(ann, Deed::PartAll);
    let left = rig.place;
    assert_eq!(missed(&rig, ann, Place(left.0 - 2)).len(), 2);
    rig.does(bob, Deed::PartAll);
    rig.gather([bob], "#c");
    assert_eq!(missed(&rig, ann, Place(left.0 - 2)), ["gap"]);
    assert_eq!(missed(&rig, ann, left), [""; 0]);
    assert!(start < left);
}

#[test]
fn channels_that_were_left_are_remembered_only_so_many() {
    let mut rig = Rig::new();
    let [ann] = rig.people(["ann"]);
    let start = rig.place;
    for i in 0..Limits::FORMER {
        rig.unchecked(ann, join(&format!("#{i}")));
        rig.unchecked(ann, part(&format!("#{i}"), ""));
    }
    assert_eq!(missed(&rig, ann, start).len(), Limits::FORMER * 2);
    rig.gather([ann], "#more");
    rig.does(ann, Deed::PartAll);
    assert_eq!(missed(&rig, ann, start)[0], "gap");
    assert_ne!(missed(&rig, ann, Place(start.0 + 2))[0], "gap");
}

#[test]
fn an_inbox_drops_its_oldest() {
    let mut rig = Rig::new();
    let [ann] = rig.people(["ann"]);
    let start = rig.place;
    for _ in 0..=Limits::INBOX {
        rig.unchecked(ann, say("ann", "x"));
    }
    assert_eq!(missed(&rig, ann, start)[0], "gap");
    assert_eq!(missed(&rig, ann, Place(start.0 + 1)).len(), Limits::INBOX);
    // What was dropped is nowhere any more.
    let mut bytes = Vec::new();
    rig.chat.snapshot(&mut |part| bytes.extend_from_slice(part));
    let mut back = Chat::new();
    back.restore(&bytes).expect("just written");
    assert_eq!(back, rig.chat);
}

#[test]
fn all_that_is_remembered_stays_within_its_limit_and_the_oldest_goes() {
    let mut rig = Rig::new();
    let limit = 40_000;
    rig.chat = Chat::with_memory(limit);
    let [ann, bob, eve] = rig.people(["ann", "bob", "eve"]);
    rig.gather([ann, bob], "#old");
    rig.gather([ann], "#new");
    rig.says(ann, "#old", "old");
    let old = rig.place;
    rig.says(eve, "eve", "old");
    for _ in 0..100 {
        rig.says(bob, "bob", &"x".repeat(500));
        rig.says(ann, "#new", &"x".repeat(500));
        assert!(rig.chat.remembered() <= limit);
    }
    assert!(rig.chat.remembered() > limit - 1_000);
    let before = Place(old.0 - 1);
    for (session, after) in [(ann, before), (bob, before), (eve, old)] {
        assert_eq!(missed(&rig, session, after)[0], "gap");
    }
    let oldest = rig.chat.history(ann, "#old", Selector::Latest(None), 9);
    assert_eq!(oldest.map(|it| it.len()), Ok(0));
    // What one channel has is dropped with it.
    rig.mode(ann, "#new", "+s");
    rig.does(ann, Deed::PartAll);
    rig.does(bob, Deed::PartAll);
    rig.lose(bob);
    rig.lose(ann);
    assert!(rig.chat.remembered() < 2_000, "{}", rig.chat.remembered());
}

#[test]
fn history_is_the_members_and_is_selected_by_place_or_time() {
    let mut rig = Rig::new();
    let [ann, bob] = rig.people(["ann", "bob"]);
    rig.gather([ann], "#c");
    let mut places = Vec::new();
    for i in 0..10 {
        rig.now += 1_000;
        rig.says(ann, "#c", &i.to_string());
        rig.mode(ann, "#c", if i % 2 == 0 { "+s" } else { "-s" });
        places.push((rig.place.0 - 1, rig.now));
    }
    let at = |i: usize| Point::At(At::first(Place(places[i].0)));
    let time = |i: usize| Point::Time(places[i].1);
    let told = |selector, limit| {
        let events = rig.chat.history(ann, "#C", selector, limit);
        texts(events.expect("she is in it")).concat()
    };
    assert_eq!(told(Selector::Latest(None), 3), "789");
    assert_eq!(told(Selector::Latest(None), 99), "0123456789");
    assert_eq!(told(Selector::Latest(None), 0), "");
    assert_eq!(told(Selector::Latest(Some(at(6))), 9), "789");
    assert_eq!(told(Selector::Latest(Some(time(6))), 2), "89");
    assert_eq!(told(Selector::Before(at(4)), 3), "123");
    assert_eq!(told(Selector::Before(time(4)), 9), "0123");
    assert_eq!(told(Selector::After(at(4)), 3), "567");
    assert_eq!(told(Selector::After(time(8)), 3), "9");
    assert_eq!(told(Selector::Between(at(2), at(6)), 2), "34");
    assert_eq!(told(Selector::Between(at(6), time(2)), 2), "45");
    assert_eq!(told(Selector::Between(time(2), at(6)), 9), "345");
    assert_eq!(told(Selector::Around(at(5)), 4), "3456");
    assert_eq!(told(Selector::Around(time(0)), 4), "0123");
    assert_eq!(told(Selector::Around(at(9)), 4), "6789");
    assert_eq!(
        told(Selector::After(Point::At(At::last(Place(u64::MAX)))), 4),
        ""
    );
    let all = Selector::Latest(None);
    assert_eq!(
        rig.chat.history(bob, "#c", all, 9),
        Err(NoHistory::NotOnChannel)
    );
    assert_eq!(
        rig.chat.history(ann, "#d", all, 9),
        Err(NoHistory::NotOnChannel)
    );
    let nobody = SessionId(Place(999));
    assert_eq!(
        rig.chat.history(nobody, "#c", all, 9),
        Err(NoHistory::NoSession)
    );
    rig.joins(bob, "#c");
    let events = rig.chat.history(bob, "#c", all, 2).expect("he is in it");
    assert_eq!(texts(events), ["8", "9"], "those before he came, too");
}

#[test]
fn a_conversation_is_that_of_two() {
    let mut rig = Rig::new();
    let [ann, bob, eve] = rig.people(["ann", "bob", "eve"]);
    rig.says(ann, "bob", "1");
    rig.says(bob, "ann", "2");
    rig.says(eve, "ann", "3");
    rig.says(eve, "bob", "4");
    rig.says(ann, "ann", "5");
    rig.says(bob, "none", "6");
    let all = Selector::Latest(None);
    let told =
        |rig: &Rig, of, with| texts(rig.chat.history(of, with, all, 9).expect("his")).concat();
    assert_eq!(told(&rig, ann, "BOB"), "12");
    assert_eq!(told(&rig, bob, "ann"), "12");
    assert_eq!(told(&rig, ann, "ann"), "5");
    rig.does(bob, Deed::Nick("rob".into()));
    assert_eq!(told(&rig, ann, "rob"), "12");
    assert_eq!(told(&rig, ann, "bob"), "12");
    assert_eq!(told(&rig, ann, "none"), "");
}

#[test]
fn conversations_are_told_by_their_last_message() {
    let mut rig = Rig::new();
    let [ann, bob, eve] = rig.people(["ann", "bob", "eve"]);
    rig.gather([ann, eve], "#C");
    rig.gather([ann], "#quiet");
    rig.gather([eve], "#other");
    let start = rig.now;
    for (who, target) in [
        (bob, "ann"),
        (ann, "bob"),
        (eve, "#c"),
        (ann, "BOB"),
        (eve, "#other"),
        (eve, "ann"),
    ] {
        rig.now += 1_000;
        rig.says(who, target, "x");
    }
    let told = |times, limit| {
        let told = rig.chat.conversations(ann, times, limit);
        let one = |it: &Conversation| format!("{} {}", it.target, (it.time - start) / 1_000);
        told.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(told((0, u64::MAX), 9), "#C 3, bob 4, eve 6");
    assert_eq!(told((u64::MAX, 0), 2), "#C 3, bob 4");
    assert_eq!(told((start + 3_000, start + 6_000), 9), "bob 4");
    assert_eq!(rig.chat.conversations(SessionId(Place(99)), (0, 9), 9), []);
}
