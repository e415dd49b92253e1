//! Passwords that wait to be checked, and whose turn it is.
//!
//! A check is thousands of rounds of hashing, in the loop that serves everybody. So
//! there is one in a turn at most, and between two of them everybody else is served.
//!
//! Who guesses must not keep out who knows. Those who wait stand in lines: addresses
//! take turns, whatever stands behind each, and of one address the accounts that are
//! asked for do. Four thousand connections that guess at one account cost somebody who
//! comes from elsewhere one check more, and somebody who comes over the same front for
//! an account of their own two. Only who shares both with them waits as they do; each of
//! them has three guesses, and a minute.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

use super::whose::Whose;

/// A password that somebody says is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The account, folded.
    pub account: String,
    /// The password.
    pub password: String,
}

/// Those whose passwords wait: by whence they come, and by account.
pub type Guesses = Turns<IpAddr, Turns<String, VecDeque<Whose>>>;

/// Whence somebody comes, for turns: who has one address of IPv6 has 2^64 of them.
pub fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

/// Where some wait.
pub trait Line: Default {
    /// What tells the lines within apart.
    type Path;

    /// Somebody waits.
    fn join(&mut self, path: Self::Path, whose: Whose);

    /// Somebody waits no more.
    fn leave(&mut self, path: Self::Path, whose: Whose);

    /// Who is next, and does not wait any more.
    fn next(&mut self) -> Option<Whose>;

    /// How many wait.
    fn len(&self) -> usize;
}

impl Line for VecDeque<Whose> {
    type Path = ();

    fn join(&mut self, (): (), whose: Whose) {
        self.push_back(whose);
    }

    fn leave(&mut self, (): (), whose: Whose) {
        self.retain(|other| *other != whose);
    }

    fn next(&mut self) -> Option<Whose> {
        self.pop_front()
    }

    fn len(&self) -> usize {
        VecDeque::len(self)
    }
}

/// Lines that take turns.
#[derive(Clone, Debug)]
pub struct Turns<K, L> {
    /// None of them is empty.
    lines: BTreeMap<K, L>,
    /// Each of them once; the first is the next.
    order: VecDeque<K>,
    len: usize,
}

impl<K, L> Default for Turns<K, L> {
    fn default() -> Turns<K, L> {
        Turns {
            lines: BTreeMap::new(),
            order: VecDeque::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Clone, L: Line> Line for Turns<K, L> {
    type Path = (K, L::Path);

    fn join(&mut self, (key, path): Self::Path, whose: Whose) {
        let line = self.lines.entry(key.clone()).or_insert_with(|| {
            self.order.push_back(key);
            L::default()
        });
        line.join(path, whose);
        self.len += 1;
    }

    fn leave(&mut self, (key, path): Self::Path, whose: Whose) {
        let Some(line) = self.lines.get_mut(&key) else {
            return;
        };
        let before = line.len();
        line.leave(path, whose);
        self.len -= before - line.len();
        if line.len() == 0 {
            self.lines.remove(&key);
            self.order.retain(|other| *other != key);
        }
    }

    fn next(&mut self) -> Option<Whose> {
        let key = self.order.pop_front()?;
        let line = self.lines.get_mut(&key)?;
        let next = line.next();
        self.len -= usize::from(next.is_some());
        match line.len() {
            0 => drop(self.lines.remove(&key)),
            _ => self.order.push_back(key),
        }
        next
    }

    fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(slot: usize) -> Whose {
        Whose {
            slot,
            generation: 0,
        }
    }

    fn path(from: &str, account: &str) -> (IpAddr, (String, ())) {
        let from = from.parse().expect("an address");
        (origin(from), (account.to_owned(), ()))
    }

    fn all(guesses: &mut Guesses) -> Vec<usize> {
        std::iter::from_fn(|| guesses.next().map(|whose| whose.slot)).collect()
    }

    #[test]
    fn addresses_take_turns_and_accounts_do_within_them() {
        let mut guesses = Guesses::default();
        for slot in 0..4 {
            guesses.join(path("10.0.0.1", "alice"), whose(slot));
        }
        guesses.join(path("10.0.0.1", "bob"), whose(10));
        guesses.join(path("10.0.0.2", "alice"), whose(20));
        guesses.join(path("10.0.0.2", "alice"), whose(21));
        assert_eq!(guesses.len(), 7);
        assert_eq!(all(&mut guesses), [0, 20, 10, 21, 1, 2, 3]);
        assert_eq!(guesses.len(), 0);
        assert!(guesses.lines.is_empty() && guesses.order.is_empty());
    }

    #[test]
    fn who_goes_leaves_nothing_behind() {
        let mut guesses = Guesses::default();
        for slot in 0..3 {
            guesses.join(path("10.0.0.1", "alice"), whose(slot));
        }
        guesses.join(path("10.0.0.3", "carol"), whose(30));
        guesses.leave(path("10.0.0.1", "alice"), whose(1));
        guesses.leave(path("10.0.0.3", "carol"), whose(30));
        guesses.leave(path("10.0.0.3", "carol"), whose(30));
        guesses.leave(path("10.0.0.1", "bob"), whose(0));
        assert_eq!((guesses.len(), guesses.order.len()), (2, 1));
        assert_eq!(all(&mut guesses), [0, 2]);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let origin = |text: &str| origin(text.parse().expect("an address")).to_string();
        assert_eq!(origin("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(origin("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(origin("10.0.0.1"), "10.0.0.1");
    }
}
