//! Commands of the key-value store, each behind its length: a reply to each, and
//! a state that its snapshot gives back.

use paxcast::service::kv::Store;
use paxcast::service::kv::reply::{Refusal, Reply};
use paxcast::service::{Place, StateMachine};

/// Takes the bytes as commands, and as a snapshot.
pub fn run(data: &[u8]) -> u64 {
    let mut store = Store::default();
    let mut done = 0;
    let mut place = Place::ZERO;
    let mut rest = data;
    while let [length, behind @ ..] = rest {
        let (command, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = behind;
        place = place.next();
        let (before, digest) = (store.clone(), store.digest());
        let mut reply = Vec::new();
        store.apply(place, command, &mut reply);
        let reply = Reply::decode(&reply).expect("a reply");
        match reply {
            Reply::Refused(Refusal::Malformed) => assert_eq!(store, before),
            _ => done += 1,
        }
        assert_eq!(store == before, store.digest() == digest);
    }
    let mut snapshot = Vec::new();
    store.snapshot(&mut |part| snapshot.extend_from_slice(part));
    let mut again = Store::default();
    assert_eq!(again.restore(&snapshot), Ok(()));
    assert_eq!((&again, again.digest()), (&store, store.digest()));
    assert!(again.restore(data).is_err() || data.starts_with(b"paxcstkv"));
    done
}
