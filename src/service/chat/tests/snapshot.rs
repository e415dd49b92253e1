//! A chat that was written down comes back, and nothing else does.

use proptest::prelude::*;

use super::rig::{Rig, modes, opening, with_account, with_token};
use crate::service::chat::Chat;
use crate::service::chat::command::{Command, Deed, Gateway, SessionId};
use crate::service::{Damaged, Frozen as _, Place, StateMachine};

/// One with something of everything.
fn busy() -> Rig {
    let mut rig = Rig::new();
    let ann = rig.open(with_token("ann"));
    let bob = rig.open(with_account("bob", "acc"));
    let eve = rig.open(opening("eve"));
    rig.gather([ann, bob, eve], "#c");
    rig.gather([bob], "#secret");
    rig.gather([eve], "#left");
    rig.mode(ann, "#c", "+k(key) +l(9) +m +b(x) +v(bob)");
    rig.mode(bob, "#secret", "+s +i");
    let (nick, channel) = ("eve".into(), "#secret".into());
    rig.does(bob, Deed::Invite { nick, channel });
    let (channel, topic) = ("#c".into(), "topic".into());
    rig.does(ann, Deed::Topic { channel, topic });
    rig.does(
        eve,
        Deed::Part {
            channels: vec!["#left".into()],
            reason: "x".into(),
        },
    );
    rig.does(ann, Deed::Away(Some("out".into())));
    rig.does(eve, Deed::UserMode(modes("+i")));
    rig.does(bob, Deed::Nick("rob".into()));
    rig.act(bob, Some(7), super::rig::say("#c,ann,eve", "hello"));
    let except = vec![(ann, Place(3)), (SessionId(Place(99)), Place(1))];
    let seen = rig.place;
    rig.apply(Command::Tick { seen, except });
    rig.lose(bob);
    rig.gateway = Gateway { id: 2, run: 22 };
    rig.apply(Command::Begin);
    rig
}

fn written(chat: &Chat) -> Vec<u8> {
    let mut bytes = Vec::new();
    chat.snapshot(&mut |part| bytes.extend_from_slice(part));
    bytes
}

/// The checksum behind these bytes.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crate::protocol::checksum::of(&bytes).to_le_bytes();
    bytes.extend_from_slice(&sum);
    bytes
}

fn restored(bytes: &[u8]) -> Result<Chat, Damaged> {
    let mut chat = Chat::new();
    chat.restore(bytes).map(|()| chat)
}

#[test]
fn it_comes_back_as_it_was() {
    let rig = busy();
    let bytes = written(&rig.chat);
    let back = restored(&bytes).expect("just written");
    assert_eq!(back, rig.chat);
    assert_eq!((back.digest(), written(&back)), (rig.chat.digest(), bytes));
    let empty = Chat::new();
    assert_eq!(restored(&written(&empty)), Ok(empty));
}

#[test]
fn what_is_frozen_stays_as_it_was() {
    let mut rig = busy();
    let (bytes, frozen) = (written(&rig.chat), rig.chat.freeze());
    let ann = rig.chat.find("ann").expect("she is there");
    rig.says(ann, "#c", "later");
    rig.mode(ann, "#c", "-k");
    rig.lose(ann);
    for _ in 0..2 {
        let mut again = Vec::new();
        frozen.write(&mut |part| again.extend_from_slice(part));
        assert!(again == bytes);
    }
    assert!(written(&rig.chat) != bytes);
}

#[test]
fn each_change_changes_the_digest() {
    let mut rig = busy();
    let mut digests = vec![rig.chat.digest()];
    let ann = rig.chat.find("ann").expect("she is there");
    rig.says(ann, "#c", "x");
    digests.push(rig.chat.digest());
    rig.mode(ann, "#c", "-m");
    digests.push(rig.chat.digest());
    rig.now += 1;
    rig.tick();
    digests.push(rig.chat.digest());
    let mut apart = digests.clone();
    apart.sort_unstable();
    apart.dedup();
    assert_eq!(apart.len(), digests.len());
}

#[test]
fn a_state_that_only_the_past_tells_apart_has_another_digest() {
    let (mut one, mut other) = (busy(), busy());
    assert_eq!(one.chat.digest(), other.chat.digest());
    // Both do nothing, and the replies differ.
    let ann = one.chat.find("ann").expect("she is there");
    one.act(ann, Some(1), Deed::PartAll);
    other.act(ann, Some(1), Deed::PartAll);
    assert_eq!(one.chat.digest(), other.chat.digest());
    one.act(ann, Some(1), Deed::PartAll);
    other.act(ann, Some(0), Deed::PartAll);
    assert_ne!(one.chat.digest(), other.chat.digest());
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let bytes = written(&busy().chat);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(restored(&damaged).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(restored(&bytes[..length]).is_err());
    }
    let mut other = bytes[..bytes.len() - 4].to_vec();
    other[8] = 9;
    assert_eq!(restored(&sealed(other)), Err(Damaged::Version(9)));
}

#[test]
fn what_does_not_hold_in_any_chat_is_refused_though_the_checksum_fits() {
    let bytes = written(&busy().chat);
    let body = &bytes[..bytes.len() - 4];
    let before = busy().chat;
    let (mut refused, mut kept) = (0, 0);
    for at in 10..body.len() {
        for change in [1_u8, 0x80, 0xff] {
            let mut damaged = body.to_vec();
            damaged[at] ^= change;
            let mut chat = before.clone();
            match chat.restore(&sealed(damaged)) {
                Err(_) => {
                    assert_eq!(chat, before, "nothing has changed");
                    refused += 1;
                }
                Ok(()) => {
                    assert_eq!(chat.audit(), Ok(()));
                    kept += 1;
                }
            }
        }
    }
    assert!(refused > kept && kept > 0, "{refused} {kept}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_a_chat_or_an_error(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = written(&Chat::new())[..10].to_vec();
        bytes.extend_from_slice(&content);
        if let Ok(chat) = restored(&sealed(bytes)) {
            prop_assert_eq!(chat.audit(), Ok(()));
        }
    }
}
