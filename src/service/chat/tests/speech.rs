//! What is said, to whom, and what nobody hears.

use super::rig::{Rig, join, notice, opening, say};
use crate::service::chat::command::Deed;
use crate::service::chat::limits::Limits;

#[test]
fn a_message_to_a_channel_is_heard_under_the_founders_spelling() {
    let mut rig = Rig::new();
    let [ann, bob] = rig.people(["Ann", "Bob"]);
    rig.gather([ann, bob], "#Chat");
    assert_eq!(rig.says(bob, "#cHAT", "hello"), "Bob -> #Chat: hello");
    assert_eq!(rig.does(bob, notice("#chat", "psst")), "Bob => #Chat: psst");
}

#[test]
fn a_line_has_four_targets_and_each_hears_it_once() {
    let mut rig = Rig::new();
    let [ann, ..] = rig.people(["ann", "b", "c"]);
    assert_eq!(rig.says(ann, "b,B,c,c", "x"), "ann -> b: x | ann -> c: x");
    assert_eq!(
        rig.says(ann, "b,none,#none,c,ann", "x"),
        "ann -> b: x | ann not: NoSuchTarget none | ann not: NoSuchTarget #none | \
         ann -> c: x | ann not: TooLong ann"
    );
}

#[test]
fn a_notice_is_never_answered() {
    let mut rig = Rig::new();
    let [ann, bob] = rig.people(["ann", "bob"]);
    rig.does(bob, Deed::Away(Some("lunch".into())));
    assert_eq!(
        rig.says(ann, "bob", "x"),
        "ann -> bob: x | ann told bob is away (lunch)"
    );
    assert_eq!(rig.does(ann, notice("bob", "x")), "ann => bob: x");
    assert_eq!(rig.does(ann, notice("none", "x")), "");
    assert_eq!(rig.does(ann, notice("bob", "")), "");
    assert_eq!(rig.does(ann, notice("a,b,c,d,e", "x")), "");
    assert_eq!(rig.says(ann, "bob", ""), "ann not: NoText");
}

#[test]
fn people_talk_to_themselves() {
    let mut rig = Rig::new();
    let [ann] = rig.people(["ann"]);
    assert_eq!(rig.says(ann, "ANN", "x"), "ann -> ann: x");
}

#[test]
fn outsiders_and_the_silent_are_not_heard() {
    let mut rig = Rig::new();
    let [op, bob, out] = rig.people(["op", "bob", "out"]);
    rig.gather([op, bob], "#c");
    assert_eq!(rig.says(out, "#c", "x"), "out not: CannotSay #c");
    rig.mode(op, "#c", "-n +m");
    assert_eq!(rig.says(out, "#c", "x"), "out not: CannotSay #c");
    assert_eq!(rig.says(bob, "#c", "x"), "bob not: CannotSay #c");
    assert_eq!(rig.says(op, "#c", "x"), "op -> #c: x");
    rig.mode(op, "#c", "+v(bob)");
    assert_eq!(rig.says(bob, "#c", "x"), "bob -> #c: x");
    rig.mode(op, "#c", "-m");
    assert_eq!(rig.says(out, "#c", "x"), "out -> #c: x");
    rig.mode(op, "#c", "+b(*!*@host)");
    assert_eq!(rig.says(out, "#c", "x"), "out not: CannotSay #c");
    assert_eq!(rig.says(bob, "#c", "x"), "bob -> #c: x", "he has a voice");
    rig.mode(op, "#c", "-v(bob)");
    assert_eq!(rig.says(bob, "#c", "x"), "bob not: CannotSay #c");
}

#[test]
fn lines_do_not_end_within_a_text_and_long_ones_are_refused() {
    let mut rig = Rig::new();
    let [ann] = rig.people(["ann"]);
    assert_eq!(
        rig.says(ann, "ann", "a\r\nQUIT\0\u{1}"),
        "ann -> ann: a  QUIT \u{1}"
    );
    let most = "x".repeat(Limits::TEXT);
    assert_eq!(rig.says(ann, "ann", &most), format!("ann -> ann: {most}"));
    assert_eq!(rig.says(ann, "ann", &(most + "x")), "ann not: TooLong ann");
    assert_eq!(rig.says(ann, "a\nb", "x"), "ann not: NoSuchTarget a?b");
}

#[test]
fn nicks_are_taken_by_who_comes_first_in_any_case() {
    let mut rig = Rig::new();
    let [ann, bob] = rig.people(["ann", "bob"]);
    rig.gather([ann, bob], "#c");
    let nick = |nick: &str| Deed::Nick(nick.into());
    assert_eq!(rig.does(bob, nick("ANN")), "bob not: NickInUse ANN");
    assert_eq!(rig.does(bob, nick("1\n")), "bob not: BadNick 1?");
    assert_eq!(rig.does(bob, nick("BOB")), "bob is BOB [\"#c\"]");
    assert_eq!(rig.does(bob, nick("BOB")), "");
    assert_eq!(rig.does(bob, nick("rob")), "BOB is rob [\"#c\"]");
    assert_eq!(rig.chat.find("bob"), None);
    assert_eq!(rig.chat.find("ROB"), Some(bob));
    assert_eq!(rig.does(ann, nick("bob")), "ann is bob [\"#c\"]");
    let who = rig.chat.session(bob).expect("he is there").mask();
    assert_eq!(who, "rob!bob@host");
}

#[test]
fn being_away_is_told_around_once() {
    let mut rig = Rig::new();
    let [ann] = rig.people(["ann"]);
    rig.gather([ann], "#c");
    let away = |text: &str| Deed::Away(Some(text.into()));
    assert_eq!(
        rig.does(ann, away("x\ny")),
        "ann away [\"#c\"] Some(\"x y\")"
    );
    assert_eq!(rig.does(ann, away("x y")), "ann away [] Some(\"x y\")");
    assert_eq!(rig.does(ann, away("")), "ann away [\"#c\"] None");
    assert_eq!(rig.does(ann, Deed::Away(None)), "ann away [] None");
    let long = "é".repeat(Limits::REMARK);
    rig.does(ann, away(&long));
    let session = rig.chat.session(ann).expect("she is there");
    assert_eq!(session.away().map(str::len), Some(Limits::REMARK));
}

#[test]
fn what_has_a_number_is_done_once() {
    let mut rig = Rig::new();
    let [ann] = rig.people(["ann"]);
    let first = rig.act(ann, Some(5), say("ann", "x"));
    assert_eq!(
        (first.author, first.effects.len()),
        (Some((ann, Some(5))), 1)
    );
    for number in [5, 4, 0] {
        let again = rig.act(ann, Some(number), say("ann", "x"));
        let author = Some((ann, Some(number)));
        assert_eq!((again.author, again.effects.len()), (author, 0));
    }
    // What is refused is done, too.
    assert_eq!(rig.act(ann, Some(6), say("none", "x")).effects.len(), 1);
    assert_eq!(rig.act(ann, Some(6), say("none", "x")).effects.len(), 0);
    assert_eq!(rig.act(ann, None, say("ann", "x")).effects.len(), 1);
    assert_eq!(rig.act(ann, Some(u64::MAX), join("#c")).effects.len(), 1);
    assert_eq!(rig.chat.session(ann).map(|it| it.number()), Some(u64::MAX));
}

#[test]
fn saying_something_ends_idleness() {
    let mut rig = Rig::new();
    let ann = rig.open(opening("ann"));
    let since = |rig: &Rig| rig.chat.session(ann).map(|it| it.idle_since());
    let opened = since(&rig);
    rig.now += 5_000;
    rig.joins(ann, "#c");
    assert_eq!(since(&rig), opened);
    rig.says(ann, "#c", "x");
    assert_eq!(since(&rig), opened.map(|time| time + 5_000));
}
