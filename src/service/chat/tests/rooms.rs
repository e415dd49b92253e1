//! How people come into channels, leave them, and are thrown out.

use super::rig::{Rig, join, opening, part};
use crate::service::chat::channels::{Channels, Holdings};
use crate::service::chat::command::Deed;
use crate::service::chat::limits::Limits;

fn kick(channel: &str, nicks: &str) -> Deed {
    Deed::Kick {
        channel: channel.into(),
        nicks: nicks.split(',').map(str::to_owned).collect(),
        reason: "out\n".into(),
    }
}

fn invite(nick: &str, channel: &str) -> Deed {
    let (nick, channel) = (nick.into(), channel.into());
    Deed::Invite { nick, channel }
}

#[test]
fn who_founds_a_channel_rules_it() {
    let mut rig = Rig::new();
    let [bob, ann] = rig.people(["bob", "Ann"]);
    assert_eq!(rig.joins(bob, "#C"), "bob joined #C[@bob]");
    assert_eq!(rig.joins(ann, "#c"), "Ann joined #C[Ann @bob]");
    assert_eq!(rig.joins(ann, "#C"), "", "she is there already");
    let channel = rig.chat.channel("#c").expect("it is there");
    assert_eq!(channel.modes().letters(), "nt");
    assert_eq!(channel.created(), rig.now);
    assert_eq!(rig.chat.channels().count(), 1);
    assert_eq!(
        rig.does(bob, part("#c,#c,#d", "bye\r")),
        "bob parted #C (bye ) | bob not: NotOnChannel #C | bob not: NoSuchChannel #d"
    );
    assert_eq!(
        rig.joins(bob, "#c"),
        "bob joined #C[Ann bob]",
        "nobody rules it now"
    );
}

#[test]
fn a_channel_that_all_left_is_remembered_without_what_held_in_it() {
    let mut rig = Rig::new();
    let [ann, bob] = rig.people(["ann", "bob"]);
    rig.gather([ann], "#c");
    rig.mode(ann, "#c", "-t +m +l(1) +b(bob)");
    let (channel, topic) = ("#c".into(), "topic".into());
    rig.does(ann, Deed::Topic { channel, topic });
    rig.does(ann, part("#c", ""));
    assert!(rig.chat.channel("#c").is_none() && rig.chat.roster("#c").is_none());
    assert_eq!(rig.says(ann, "#c", "x"), "ann not: NoSuchTarget #c");
    assert_eq!(rig.joins(bob, "#C"), "bob joined #c[@bob]");
    let channel = rig.chat.channel("#c").expect("it is there");
    assert_eq!(channel.modes().letters(), "nt");
    assert!(channel.bans().is_empty());
    assert_eq!(channel.topic().map(|topic| &*topic.text), Some("topic"));
}

#[test]
fn a_channel_that_was_private_is_forgotten() {
    for modes in ["+k(key)", "+i", "+s"] {
        let mut rig = Rig::new();
        let [ann] = rig.people(["ann"]);
        rig.gather([ann], "#c");
        rig.mode(ann, "#c", modes);
        let (channel, topic) = ("#c".into(), "topic".into());
        rig.does(ann, Deed::Topic { channel, topic });
        rig.says(ann, "#c", "x");
        assert!(rig.chat.remembered() > 0);
        rig.does(ann, Deed::PartAll);
        rig.joins(ann, "#C");
        let channel = rig.chat.channel("#c").expect("it is there");
        assert_eq!((channel.name(), channel.topic()), ("#C", None));
        assert!(channel.messages.is_empty());
    }
}

#[test]
fn many_channels_are_entered_by_one_line_each_on_its_own() {
    let mut rig = Rig::new();
    let [ann, bob] = rig.people(["ann", "bob"]);
    rig.gather([ann], "#k");
    rig.mode(ann, "#k", "+k(key)");
    assert_eq!(
        rig.joins(bob, "#a,#k,bad,#k=key,#k=key,#"),
        "bob joined #a[@bob] | bob not: BadKey #k | bob not: BadChannel bad | \
         bob joined #k[@ann bob] | bob not: BadChannel #"
    );
    let names: Vec<String> = (0..=Limits::CHANNELS_AT_ONCE)
        .map(|i| format!("#x{i}"))
        .collect();
    let told = rig.joins(ann, &names.join(","));
    assert_eq!(told.matches("joined").count(), Limits::CHANNELS_AT_ONCE);
    assert!(told.ends_with("ann not: TooLong #x20"), "{told}");
    let told = rig.does(ann, Deed::PartAll);
    assert_eq!(told.matches("parted").count(), Limits::CHANNELS_AT_ONCE + 1);
}

#[test]
fn doors_are_closed_by_bans_invitations_keys_and_limits() {
    let mut rig = Rig::new();
    let [op, bob, eve] = rig.people(["op", "bob", "eve"]);
    rig.gather([op], "#c");
    rig.mode(op, "#c", "+b(EVE)");
    assert_eq!(rig.joins(eve, "#c"), "eve not: Banned #c");
    rig.mode(op, "#c", "-b(eve!*@*) +i");
    assert_eq!(rig.joins(eve, "#c"), "eve not: InviteOnly #c");
    assert_eq!(rig.does(op, invite("EVE", "#C")), "op invited eve to #c");
    rig.mode(op, "#c", "+k(key)");
    assert_eq!(rig.joins(eve, "#c"), "eve not: BadKey #c");
    assert_eq!(rig.joins(eve, "#c=key"), "eve joined #c[eve @op]");
    rig.does(eve, part("#c", ""));
    assert_eq!(
        rig.joins(eve, "#c=key"),
        "eve not: InviteOnly #c",
        "used up"
    );
    rig.mode(op, "#c", "-i -k(whatever) +l(1)");
    assert_eq!(rig.joins(bob, "#c"), "bob not: ChannelFull #c");
    rig.mode(op, "#c", "+l(2)");
    assert_eq!(rig.joins(bob, "#c"), "bob joined #c[bob @op]");
}

#[test]
fn an_invitation_ends_with_those_who_were_there() {
    let mut rig = Rig::new();
    let [ann, bob, eve] = rig.people(["ann", "bob", "eve"]);
    rig.gather([ann], "#c");
    rig.does(ann, invite("eve", "#c"));
    rig.does(ann, Deed::PartAll);
    rig.gather([bob], "#c");
    rig.mode(bob, "#c", "+i");
    assert_eq!(rig.joins(eve, "#c"), "eve not: InviteOnly #c");
}

#[test]
fn members_invite_and_to_closed_channels_operators() {
    let mut rig = Rig::new();
    let [op, bob, eve] = rig.people(["op", "bob", "eve"]);
    rig.gather([op, bob], "#c");
    assert_eq!(
        rig.does(eve, invite("op", "#c")),
        "eve not: NotOnChannel #c"
    );
    assert_eq!(
        rig.does(eve, invite("none", "#c")),
        "eve not: NoSuchTarget none"
    );
    assert_eq!(
        rig.does(eve, invite("op", "#d")),
        "eve not: NoSuchChannel #d"
    );
    assert_eq!(
        rig.does(bob, invite("op", "#c")),
        "bob not: AlreadyThere nick: op, channel: #c"
    );
    rig.does(eve, Deed::Away(Some("out".into())));
    assert_eq!(
        rig.does(bob, invite("eve", "#c")),
        "bob invited eve to #c | bob told eve is away (out)"
    );
    rig.mode(op, "#c", "+i");
    assert_eq!(
        rig.does(bob, invite("eve", "#c")),
        "bob not: NotOperator #c"
    );
    assert_eq!(rig.joins(eve, "#c"), "eve joined #c[bob eve @op]");
}

#[test]
fn operators_throw_others_out() {
    let mut rig = Rig::new();
    let [op, bob, eve] = rig.people(["op", "bob", "eve"]);
    rig.gather([op, bob], "#c");
    assert_eq!(rig.does(bob, kick("#c", "op")), "bob not: NotOperator #c");
    assert_eq!(rig.does(eve, kick("#c", "op")), "eve not: NotOnChannel #c");
    assert_eq!(rig.does(eve, kick("#d", "op")), "eve not: NoSuchChannel #d");
    assert_eq!(
        rig.does(op, kick("#C", "BOB,eve,none,op,bob")),
        "op kicked bob from #c (out ) | op not: NotThere nick: eve, channel: #c | \
         op not: NoSuchTarget none | op kicked op from #c (out ) | op not: TooLong bob"
    );
    assert!(rig.chat.channel("#c").is_none());
}

#[test]
fn nobody_is_in_more_channels_than_the_limit() {
    let mut rig = Rig::new();
    let [ann] = rig.people(["ann"]);
    for i in 0..Limits::CHANNELS_EACH {
        rig.gather([ann], &format!("#{i}"));
    }
    assert_eq!(rig.joins(ann, "#more"), "ann not: TooManyChannels #more");
    rig.does(ann, part("#7", ""));
    assert_eq!(rig.joins(ann, "#more"), "ann joined #more[@ann]");
}

#[test]
fn the_channel_that_was_left_longest_ago_makes_room() {
    let mut rig = Rig::new();
    let mut made = 0;
    let sessions = Limits::CHANNELS / Limits::CHANNELS_EACH;
    let mut some = Vec::new();
    for session in 0..sessions {
        let id = rig.unchecked_open(opening(&format!("n{session}")));
        some.push(id);
        for _ in 0..Limits::CHANNELS_EACH / Limits::CHANNELS_AT_ONCE {
            let names: Vec<String> = (made..made + Limits::CHANNELS_AT_ONCE)
                .map(|i| format!("#{i}"))
                .collect();
            made += names.len();
            let joined = rig.unchecked(id, join(&names.join(",")));
            assert_eq!(joined, Limits::CHANNELS_AT_ONCE);
        }
    }
    let [late] = rig.people(["late"]);
    assert_eq!(rig.joins(late, "#late"), "late not: ChannelsFull #late");
    rig.does(some[0], part("#5", ""));
    rig.does(some[0], part("#3", ""));
    assert_eq!(rig.joins(late, "#late"), "late joined #late[@late]");
    assert!(rig.chat.channels.find("#5").is_none());
    assert!(rig.chat.channels.find("#3").is_some());
}

#[test]
fn a_roster_in_a_reply_is_empty_when_it_would_be_too_long() {
    let mut rig = Rig::new();
    for i in 0..Limits::ROSTER {
        let id = rig.unchecked_open(opening(&format!("n{i}")));
        rig.unchecked(id, join("#c"));
    }
    let [late] = rig.people(["late"]);
    assert_eq!(rig.joins(late, "#c"), "late joined #c[]");
    let roster = rig.chat.roster("#c").expect("it is there");
    assert_eq!(roster.members.len(), Limits::ROSTER + 1);
}

#[test]
fn channels_hold_only_so_much_together() {
    let mut rig = Rig::new();
    rig.chat.channels = Channels::new(Holdings {
        members: 4,
        bans: 3,
    });
    let [a, b] = rig.people(["a", "b"]);
    rig.gather([a, b], "#x");
    rig.gather([a, b], "#y");
    assert_eq!(rig.joins(b, "#z"), "b not: ChannelsFull #z");
    assert!(rig.chat.channel("#z").is_none());
    // Who leaves makes room.
    rig.does(a, part("#x", ""));
    assert_eq!(rig.joins(b, "#z"), "b joined #z[@b]");
    rig.mode(a, "#y", "+b(one) +b(two)");
    rig.mode(b, "#z", "+b(three)");
    let refused = rig.mode(b, "#z", "+b(four)");
    assert!(refused.starts_with("b not: BansFull "), "{refused}");
    rig.mode(a, "#y", "-b(one)");
    let done = rig.mode(b, "#z", "+b(four)");
    assert!(!done.contains(" not: "), "{done}");
    // What ends gives back what it held.
    for who in [a, b] {
        rig.lose(who);
    }
    assert_eq!(rig.chat.channels.held(), Holdings::default());
}
