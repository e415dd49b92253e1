//! A network that does to datagrams what networks do.
//!
//! Every fault is a number in [`NetworkOptions`]; every choice comes from one
//! stream of the seed. Loss strikes each receiver of a multicast by itself, as
//! it does behind a switch. Delays are exponential above a minimum, so
//! datagrams overtake each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::chance::{Course, STEADY};
use super::random::Random;
use crate::protocol::Time;

/// What the network does, as plain numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkOptions {
    /// Probability that a receiver misses a datagram.
    pub loss: f64,
    /// The same once more for every [`NetworkOptions::FRAGMENT`] bytes: large
    /// datagrams travel in fragments, and one lost is all lost.
    pub fragment_loss: f64,
    /// Probability that a receiver gets a datagram twice.
    pub duplication: f64,
    /// How much later the second copy comes, on average.
    pub replay: Duration,
    /// Probability that a datagram arrives damaged.
    pub corruption: f64,
    /// The least time a datagram takes.
    pub delay: Duration,
    /// How much longer it takes on average.
    pub jitter: Duration,
    /// Probability that a datagram finds its path clogged.
    pub clog: f64,
    /// For how long, on average. Nothing is lost, all of it comes late.
    pub clog_mean: Duration,
}

impl NetworkOptions {
    /// Bytes that travel in one piece.
    pub const FRAGMENT: usize = 1_480;

    /// A quiet LAN: a tenth of a millisecond and a little more, nothing lost.
    pub fn quiet() -> NetworkOptions {
        NetworkOptions {
            jitter: Duration::from_micros(20),
            ..NetworkOptions::steady()
        }
    }

    /// A network in which nothing is left to chance.
    pub fn steady() -> NetworkOptions {
        NetworkOptions {
            loss: 0.0,
            fragment_loss: 0.0,
            duplication: 0.0,
            replay: Duration::ZERO,
            corruption: 0.0,
            delay: STEADY,
            jitter: Duration::ZERO,
            clog: 0.0,
            clog_mean: Duration::ZERO,
        }
    }
}

/// The network between nodes, which are numbered from 0.
#[derive(Clone, Debug)]
pub struct Network {
    options: NetworkOptions,
    random: Random,
    clogged: BTreeMap<(usize, usize), Time>,
    cut: BTreeSet<(usize, usize)>,
    multicast_cut: BTreeSet<(usize, usize)>,
    clogs: u64,
    lost_by_size: u64,
}

impl Network {
    /// A network with all paths open.
    pub fn new(options: NetworkOptions, random: Random) -> Network {
        Network {
            options,
            random,
            clogged: BTreeMap::new(),
            cut: BTreeSet::new(),
            multicast_cut: BTreeSet::new(),
            clogs: 0,
            lost_by_size: 0,
        }
    }

    /// Changes how the network behaves from now on and unclogs its paths;
    /// paths that are cut stay cut.
    pub fn set_options(&mut self, options: NetworkOptions) {
        self.options = options;
        self.clogged.clear();
    }

    /// Lets nothing pass from one node to another. The way back stays as it is.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// Lets no multicast pass from one node to another; unicast still does.
    pub fn cut_multicast(&mut self, from: usize, to: usize) {
        self.multicast_cut.insert((from, to));
    }

    /// Opens every path that was cut.
    pub fn mend(&mut self) {
        self.cut.clear();
        self.multicast_cut.clear();
    }

    /// The paths that let multicast or everything through no more, ascending.
    pub fn cut_paths(&self) -> Vec<(usize, usize)> {
        self.cut.union(&self.multicast_cut).copied().collect()
    }

    /// How often a path clogged.
    pub fn clogs(&self) -> u64 {
        self.clogs
    }

    /// How many datagrams were lost for their size.
    pub fn lost_by_size(&self) -> u64 {
        self.lost_by_size
    }

    /// Whether there is no way from one node to another.
    pub fn is_cut(&self, from: usize, to: usize, multicast: bool) -> bool {
        let path = (from, to);
        self.cut.contains(&path) || (multicast && self.multicast_cut.contains(&path))
    }

    /// Decides what becomes of a datagram sent now on an open path.
    pub fn course(&mut self, now: Time, from: usize, to: usize, bytes: usize) -> Course {
        let path = (from, to);
        let lost = Course {
            lost: true,
            ..Course::STEADY
        };
        if self.random.chance(self.options.loss) {
            return lost;
        }
        if self.options.fragment_loss > 0.0 {
            let fragments = bytes.div_ceil(NetworkOptions::FRAGMENT);
            if (0..fragments).any(|_| self.random.chance(self.options.fragment_loss)) {
                self.lost_by_size += 1;
                return lost;
            }
        }
        if self.random.chance(self.options.clog) {
            let until = now + self.random.exponential(self.options.clog_mean);
            self.clogged.insert(path, until);
            self.clogs += 1;
        }
        let waits = match self.clogged.get(&path) {
            Some(&until) => until.since(now),
            None => Duration::ZERO,
        };
        let takes = waits + self.delay();
        let again = self
            .random
            .chance(self.options.duplication)
            .then(|| self.random.exponential(self.options.replay));
        let damaged = self
            .random
            .chance(self.options.corruption)
            .then(|| self.random.number());
        Course {
            lost: false,
            takes,
            again,
            damaged,
        }
    }

    /// How long one datagram takes.
    fn delay(&mut self) -> Duration {
        match self.options.jitter {
            Duration::ZERO => self.options.delay,
            jitter => self.options.delay + self.random.exponential(jitter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(options: NetworkOptions) -> Network {
        Network::new(options, Random::new(1, "network"))
    }

    fn lost(network: &mut Network, bytes: usize) -> usize {
        (0..10_000)
            .filter(|_| network.course(Time::ZERO, 0, 1, bytes).lost)
            .count()
    }

    #[test]
    fn large_datagrams_are_lost_more_often() {
        let mut network = network(NetworkOptions {
            fragment_loss: 0.01,
            ..NetworkOptions::quiet()
        });
        let small = lost(&mut network, 100);
        let large = lost(&mut network, 60_000);
        assert!((50..200).contains(&small), "{small} of 10,000");
        assert!((2_900..3_800).contains(&large), "{large} of 10,000");
    }

    #[test]
    fn a_cut_is_one_way_and_a_multicast_cut_spares_unicast() {
        let mut network = network(NetworkOptions::quiet());
        network.cut(0, 1);
        network.cut_multicast(2, 1);
        assert!(network.is_cut(0, 1, false) && network.is_cut(0, 1, true));
        assert!(!network.is_cut(1, 0, false) && !network.is_cut(1, 0, true));
        assert!(network.is_cut(2, 1, true) && !network.is_cut(2, 1, false));
        network.mend();
        assert!(!network.is_cut(0, 1, true) && !network.is_cut(2, 1, true));
    }

    #[test]
    fn a_clogged_path_delivers_late_and_datagrams_overtake() {
        let mut network = network(NetworkOptions {
            clog: 1.0,
            clog_mean: Duration::from_secs(1),
            jitter: Duration::from_millis(5),
            duplication: 0.5,
            ..NetworkOptions::quiet()
        });
        let arrivals: Vec<Duration> = (0..100)
            .map(|_| network.course(Time::ZERO, 0, 1, 9).takes)
            .collect();
        assert!(
            arrivals
                .iter()
                .any(|&takes| takes > Duration::from_millis(500))
        );
        assert!(arrivals.windows(2).any(|pair| pair[0] > pair[1]));
        assert!(network.clogs() > 0);
    }
}
