//! Modes, topics and bans.

use super::rig::{Rig, modes};
use crate::service::chat::command::Deed;
use crate::service::chat::limits::Limits;

#[test]
fn modes_are_changed_by_operators_and_told_if_they_changed() {
    let mut rig = Rig::new();
    let [op, bob, eve] = rig.people(["op", "bob", "eve"]);
    rig.gather([op, bob], "#c");
    assert_eq!(rig.mode(bob, "#c", "+m"), "bob not: NotOperator #c");
    assert_eq!(rig.mode(eve, "#c", "+m"), "eve not: NotOnChannel #c");
    assert_eq!(rig.mode(eve, "#d", "+m"), "eve not: NoSuchChannel #d");
    assert_eq!(
        rig.mode(op, "#C", "+n +m -t +k(key) +l(07) -s +i"),
        "op mode #c +m -t +k(key) +l(7) +i"
    );
    let letters = |rig: &Rig| rig.chat.channel("#c").map(|it| it.modes().letters());
    assert_eq!(letters(&rig).as_deref(), Some("iklmn"));
    assert_eq!(rig.mode(op, "#c", "+k(key) +l(7) +m"), "");
    assert_eq!(
        rig.mode(op, "#c", "-k -l -i -m -n"),
        "op mode #c -k(*) -l -i -m -n"
    );
    assert_eq!(rig.mode(op, "#c", "-k(x) -l(x)"), "");
    assert_eq!(letters(&rig).as_deref(), Some(""));
}

#[test]
fn what_is_wrong_is_told_once_and_the_rest_is_done() {
    let mut rig = Rig::new();
    let [op, eve] = rig.people(["op", "eve"]);
    rig.gather([op], "#c");
    assert_eq!(
        rig.mode(op, "#c", "+z +z +o +s +k +k(a,b) +l(0)"),
        "op mode #c +s | op not: UnknownMode letter: 'z', channel: #c | \
         op not: NeedsArgument letter: 'o', channel: #c | \
         op not: NeedsArgument letter: 'k', channel: #c | op not: TooLong a,b | \
         op not: NeedsArgument letter: 'l', channel: #c"
    );
    assert_eq!(
        rig.mode(op, "#c", "+v(none) +o(eve)"),
        "op not: NoSuchTarget none | op not: NotThere nick: eve, channel: #c"
    );
    assert_eq!(
        rig.does(
            op,
            Deed::Mode {
                channel: "#c".into(),
                changes: modes("+\u{1}")
            }
        ),
        "op not: UnknownMode letter: '?', channel: #c"
    );
    let nine = ["-s", "+s"].repeat(5)[..=Limits::MODES].join(" ");
    let told = rig.mode(op, "#c", &nine);
    assert!(told.ends_with("-s +s -s +s | op not: TooLong #c"), "{told}");
    assert_eq!(rig.mode(eve, "#c", "+b"), "", "to ask is no change");
}

#[test]
fn ranks_are_given_and_taken() {
    let mut rig = Rig::new();
    let [op, bob] = rig.people(["op", "bob"]);
    rig.gather([op, bob], "#c");
    assert_eq!(
        rig.mode(op, "#c", "+v(BOB) +o(bob) +v(bob)"),
        "op mode #c +v(bob) +o(bob)"
    );
    assert_eq!(rig.mode(bob, "#c", "-o(op)"), "bob mode #c -o(op)");
    assert_eq!(rig.mode(op, "#c", "+o(op)"), "op not: NotOperator #c");
}

#[test]
fn bans_are_masks_and_have_a_limit() {
    let mut rig = Rig::new();
    let [op] = rig.people(["op"]);
    rig.gather([op], "#c");
    assert_eq!(
        rig.mode(op, "#c", "+b(Bob) +b(bob!*@*) +b(a\u{1}b@x)"),
        "op mode #c +b(Bob!*@*) +b(*!a_b@x)"
    );
    let channel = rig.chat.channel("#c").expect("it is there");
    let ban = &channel.bans()[0];
    assert_eq!(
        (&*ban.mask, &*ban.by, ban.time),
        ("Bob!*@*", "op!op@host", rig.now)
    );
    assert_eq!(
        rig.mode(op, "#c", "-b(BOB) -b(bob)"),
        "op mode #c -b(Bob!*@*)"
    );
    for i in 1..Limits::BANS {
        rig.mode(op, "#c", &format!("+b(n{i})"));
    }
    assert_eq!(
        rig.mode(op, "#c", "+b(more)"),
        "op not: BansFull channel: #c, mask: more!*@*"
    );
}

#[test]
fn topics_are_set_by_operators_unless_they_let_others() {
    let mut rig = Rig::new();
    let [op, bob, eve] = rig.people(["op", "bob", "eve"]);
    rig.gather([op, bob], "#c");
    let topic = |topic: &str| Deed::Topic {
        channel: "#C".into(),
        topic: topic.into(),
    };
    assert_eq!(rig.does(bob, topic("x")), "bob not: NotOperator #c");
    assert_eq!(rig.does(eve, topic("x")), "eve not: NotOnChannel #c");
    assert_eq!(rig.does(op, topic("a\nb")), "op topic #c (a b)");
    rig.mode(op, "#c", "-t");
    let long = "x".repeat(Limits::REMARK + 9);
    rig.does(bob, topic(&long));
    let set = rig.chat.channel("#c").and_then(|it| it.topic());
    let set = set.expect("a topic");
    assert_eq!((set.text.len(), &*set.by), (Limits::REMARK, "bob!bob@host"));
    assert_eq!(rig.does(bob, topic("")), "bob topic #c ()");
    assert_eq!(rig.chat.channel("#c").and_then(|it| it.topic()), None);
}

#[test]
fn own_modes_are_invisibility() {
    let mut rig = Rig::new();
    let [ann] = rig.people(["ann"]);
    let mut mode = |changes: &str| rig.does(ann, Deed::UserMode(modes(changes)));
    assert_eq!(mode("+i +o"), "ann mode +i");
    assert_eq!(mode("+i -r +a"), "");
    assert_eq!(mode("+z -i +y"), "ann mode -i | ann not: UnknownUserMode");
    mode("+i");
    assert_eq!((rig.chat.invisible(), rig.chat.sessions()), (1, 1));
    rig.lose(ann);
    assert_eq!((rig.chat.invisible(), rig.chat.sessions()), (0, 0));
}
