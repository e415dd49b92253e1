//! How far a learner of the chain is: counted by number only.

use std::collections::VecDeque;

use super::datagram::{Head, Progress};

/// What was heard, delivered and told.
#[derive(Debug)]
pub struct Tally {
    /// How far each acceptor is.
    votes: Vec<u64>,
    /// The last datagram that was heard.
    heard: u64,
    lost: u64,
    delivered: u64,
    /// What was heard and some acceptor has not yet.
    entries: VecDeque<Entry>,
    /// So many of them are delivered.
    ahead: usize,
    clients: Vec<Known>,
    /// Clients with something to be told.
    changed: Vec<u16>,
    buffer: usize,
    step: usize,
}

/// A train.
#[derive(Debug)]
struct Entry {
    number: u64,
    client: u16,
    through: u64,
    cost: usize,
}

/// How it stands with one client's values.
#[derive(Clone, Debug, Default)]
struct Known {
    delivered: u64,
    settled: u64,
    /// What was settled since it was last told.
    untold: usize,
    /// The last train that was settled ends inside a value.
    midway: bool,
    changed: bool,
}

impl Tally {
    /// All of a receive buffer's bytes that clients may fill.
    pub fn room(buffer: usize) -> usize {
        buffer / 4
    }

    /// For so many acceptors, and a receive buffer of this size.
    pub fn new(acceptors: usize, buffer: usize) -> Tally {
        let mut tally = Tally {
            votes: vec![0; acceptors],
            heard: 0,
            lost: 0,
            delivered: 0,
            entries: VecDeque::new(),
            ahead: 0,
            clients: Vec::new(),
            changed: Vec::new(),
            buffer,
            step: 0,
        };
        tally.expect(1);
        tally
    }

    /// From now on there are so many clients, who share the room.
    pub fn expect(&mut self, clients: usize) {
        self.step = Self::room(self.buffer) / 8 / clients.max(1);
    }

    /// A train of values was heard, from its first datagram to its last.
    pub fn values(&mut self, first: &Head, last: &Head, cost: usize) {
        if last.via > 0 {
            self.vote(last.via, last.number);
        }
        if last.number <= self.heard {
            return;
        }
        self.lost += first.number.saturating_sub(self.heard + 1);
        self.heard = last.number;
        self.entries.push_back(Entry {
            number: last.number,
            client: last.client,
            through: last.through,
            cost,
        });
    }

    /// An acceptor has everything through a number.
    pub fn vote(&mut self, acceptor: u8, through: u64) {
        if let Some(vote) = self.votes.get_mut(usize::from(acceptor).wrapping_sub(1)) {
            *vote = through.max(*vote);
        }
    }

    /// Moves on as far as the votes allow. Says whether clients are to be told:
    /// of every delivery if asked so, of room in the buffers now and then.
    pub fn advance(&mut self, eager: bool) -> bool {
        let mut votes = self.votes.clone();
        votes.sort_unstable();
        let quorum = votes[(votes.len() - 1) / 2];
        let mut tell = false;
        while let Some(entry) = self.entries.get(self.ahead) {
            if entry.number > quorum {
                break;
            }
            self.ahead += 1;
            let known = known(&mut self.clients, &mut self.changed, entry.client);
            self.delivered += entry.through.saturating_sub(known.delivered);
            known.delivered = entry.through;
            tell |= eager;
        }
        while self.ahead > 0 && self.entries[0].number <= votes[0] {
            let entry = self.entries.pop_front().expect("one was there");
            self.ahead -= 1;
            let known = known(&mut self.clients, &mut self.changed, entry.client);
            let ends = entry.through > known.settled;
            known.settled = entry.through;
            known.untold += entry.cost;
            // One value may be all that a client has room for: it waits for the
            // last piece to be told, however little that is.
            tell |= known.untold >= self.step || (ends && known.midway);
            known.midway = !ends;
        }
        tell
    }

    /// What is to be told, once.
    pub fn progress(&mut self) -> impl Iterator<Item = Progress> {
        let clients = &mut self.clients;
        self.changed.drain(..).map(|client| {
            let known = &mut clients[usize::from(client)];
            known.changed = false;
            known.untold = 0;
            Progress {
                client,
                delivered: known.delivered,
                settled: known.settled,
            }
        })
    }

    /// Values delivered, of all clients.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Datagrams missing in the proposer's order.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// What is known of a client, who will hear of it.
fn known<'a>(clients: &'a mut Vec<Known>, changed: &mut Vec<u16>, client: u16) -> &'a mut Known {
    let index = usize::from(client);
    if clients.len() <= index {
        clients.resize_with(index + 1, Known::default);
    }
    let known = &mut clients[index];
    if !known.changed {
        known.changed = true;
        changed.push(client);
    }
    known
}

#[cfg(test)]
mod tests {
    use super::super::datagram::Kind;
    use super::*;

    fn head(number: u64, client: u16, through: u64) -> Head {
        Head {
            token: 0,
            kind: Kind::Values,
            via: 0,
            client,
            number,
            through,
        }
    }

    #[test]
    fn two_of_three_deliver_and_the_third_settles() {
        let mut tally = Tally::new(3, 32_000);
        tally.values(&head(1, 4, 10), &head(3, 4, 30), 100);
        assert!(!tally.advance(true));
        tally.vote(1, 3);
        assert!(!tally.advance(true), "one is not enough");
        tally.vote(3, 3);
        assert!(tally.advance(true));
        assert_eq!(tally.delivered(), 30);
        let progress = |delivered, settled| Progress {
            client: 4,
            delivered,
            settled,
        };
        assert_eq!(tally.progress().collect::<Vec<_>>(), [progress(30, 0)]);
        tally.vote(2, 3);
        assert!(!tally.advance(true), "not worth a word of its own");
        tally.values(&head(4, 4, 31), &head(4, 4, 31), 1_000);
        (1..=3).for_each(|acceptor| tally.vote(acceptor, 4));
        assert!(tally.advance(false), "that is");
        assert_eq!(tally.progress().collect::<Vec<_>>(), [progress(31, 31)]);
        assert_eq!(tally.lost(), 0);
    }

    #[test]
    fn the_last_piece_of_a_value_is_told_whatever_it_weighs() {
        let mut tally = Tally::new(3, 32_000);
        for number in 1..=3 {
            let through = u64::from(number == 3);
            tally.values(&head(number, 4, through), &head(number, 4, through), 600);
            (1..=3).for_each(|acceptor| tally.vote(acceptor, number));
            // The second makes a thousand; the third is the last.
            assert_eq!(tally.advance(false), number > 1, "{number}");
            if number > 1 {
                assert_eq!(tally.progress().count(), 1);
            }
        }
    }

    #[test]
    fn copies_count_as_votes_and_gaps_as_losses() {
        let mut tally = Tally::new(3, 32_000);
        for via in [1, 2] {
            let copy = Head {
                via,
                ..head(3, 0, 5)
            };
            tally.values(&copy, &copy, 1);
        }
        assert!(tally.advance(true));
        assert_eq!((tally.delivered(), tally.lost()), (5, 2));
    }
}
