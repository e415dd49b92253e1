//! The gateways that a front knows: which of them serve, and how many users each has.
//!
//! A *scout* asks each over a connection of its own how it is. One that does not
//! answer, that has no quorum, or that is not of the cluster gets nobody. Those that a
//! gateway has stay there as long as it says anything, be it to them, and not that it
//! cannot serve: a scout that finds no place, or hangs, condemns nobody.

use std::net::SocketAddr;
use std::time::Duration;

use crate::gateway::irc::line::Line;
use crate::protocol::Time;

/// The gateways.
#[derive(Debug)]
pub struct Gateways {
    /// The cluster that they must be of.
    cluster: u64,
    all: Vec<Gateway>,
}

/// One of them.
#[derive(Debug)]
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it said last, and when.
    told: Option<(Time, Told)>,
    /// When it said anything last, to whomever.
    heard: Time,
    /// Since when it is taken for silent.
    silent_since: Option<Time>,
    /// Since when it says of itself that it cannot serve.
    unfit_since: Option<Time>,
    /// Users brought to it since it said how many it has.
    brought: usize,
    /// A scout is on its way or there.
    pub scouted: bool,
    /// When the scout asks, or a new one is sent.
    pub ask_at: Time,
}

/// What a gateway says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    cluster: u64,
    users: usize,
    sound: bool,
}

/// What is to be said about a gateway, once each time that it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing new.
    Nothing,
    /// It serves.
    Serves,
    /// It has no quorum.
    Unsound,
    /// It belongs to another cluster.
    Stranger,
}

impl Gateways {
    /// How often a gateway is asked.
    pub const OFTEN: Duration = Duration::from_millis(500);

    /// A scout that waits for an answer for so long is replaced.
    pub const ANSWER: Duration = Duration::from_secs(2);

    /// Who says nothing for so long does not serve.
    const SILENCE: Duration = Duration::from_secs(2);

    /// Whoever could not serve for so long has its users taken away. It may come back
    /// sooner, and then nobody need move.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// The gateways at these addresses.
    pub fn new(cluster: u64, addresses: &[SocketAddr], now: Time) -> Gateways {
        let gateway = |address: &SocketAddr| Gateway {
            address: *address,
            told: None,
            heard: now,
            silent_since: Some(now),
            unfit_since: None,
            brought: 0,
            scouted: false,
            ask_at: now,
        };
        Gateways {
            cluster,
            all: addresses.iter().map(gateway).collect(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// One of them.
    pub fn at(&mut self, index: usize) -> &mut Gateway {
        &mut self.all[index]
    }

    /// Where one of them listens.
    pub fn address(&self, index: usize) -> SocketAddr {
        self.all[index].address
    }

    /// A gateway said something, over whatever connection: it lives, for those whom it
    /// has.
    pub fn notice(&mut self, now: Time, index: usize) {
        let gateway = &mut self.all[index];
        gateway.heard = now;
        gateway.silent_since = None;
    }

    /// Takes in what a gateway says of itself.
    pub fn hear(&mut self, now: Time, index: usize, line: &Line<'_>) -> News {
        let mut told = Told::default();
        for word in &line.parameters {
            match word.split_once('=') {
                Some(("cluster", hash)) => {
                    told.cluster = u64::from_str_radix(hash, 16).unwrap_or(0);
                }
                Some(("users", users)) => told.users = users.parse().unwrap_or(0),
                Some(("sound", sound)) => told.sound = sound == "1",
                _ => {}
            }
        }
        self.notice(now, index);
        let gateway = &mut self.all[index];
        let before = gateway.told.map(|(_, told)| told);
        gateway.told = Some((now, told));
        gateway.brought = 0;
        let serves = |told: &Told| told.sound && told.cluster == self.cluster;
        match serves(&told) {
            true => gateway.unfit_since = None,
            false => gateway.unfit_since = gateway.unfit_since.or(Some(now)),
        }
        match (before.is_some_and(|before| serves(&before)), serves(&told)) {
            (false, true) => News::Serves,
            (_, false) if told.cluster != self.cluster => match before {
                Some(before) if before.cluster == told.cluster => News::Nothing,
                _ => News::Stranger,
            },
            (true, false) => News::Unsound,
            _ => News::Nothing,
        }
    }

    /// A gateway's scout is gone: it is asked anew.
    pub fn lose_scout(&mut self, now: Time, index: usize) {
        self.all[index].scouted = false;
        self.all[index].ask_at = now + Self::OFTEN;
    }

    /// A gateway did what only a dead one does.
    pub fn fail(&mut self, now: Time, index: usize) {
        let gateway = &mut self.all[index];
        gateway.told = None;
        gateway.silent_since = gateway.silent_since.or(Some(now));
    }

    /// Notices who has fallen silent.
    pub fn pass_time(&mut self, now: Time) {
        for gateway in &mut self.all {
            // Nobody new is brought to one whose scout hears nothing …
            gateway
                .told
                .take_if(|(at, _)| now.since(*at) > Self::SILENCE);
            // … and nobody is taken away from one that talks to those whom it has.
            if now.since(gateway.heard) > Self::SILENCE {
                gateway.silent_since = gateway.silent_since.or(Some(now));
            }
        }
    }

    /// Whether a gateway serves.
    pub fn serves(&self, index: usize) -> bool {
        let told = self.all[index].told;
        told.is_some_and(|(_, told)| told.sound && told.cluster == self.cluster)
    }

    /// Whether the users of a gateway had better be elsewhere.
    pub fn is_to_be_left(&self, now: Time, index: usize) -> bool {
        let gateway = &self.all[index];
        let bad = [gateway.silent_since, gateway.unfit_since];
        let mut bad = bad.into_iter().flatten();
        bad.any(|since| now.since(since) >= Self::PATIENCE)
            && (0..self.count()).any(|other| self.serves(other))
    }

    /// The gateway with the fewest users among those that serve; it is to be brought
    /// one more.
    pub fn choose(&mut self) -> Option<usize> {
        let users = |gateway: &Gateway| {
            let told = gateway.told.map_or(0, |(_, told)| told.users);
            told + gateway.brought
        };
        let serving = (0..self.count()).filter(|index| self.serves(*index));
        let chosen = serving.min_by_key(|index| users(&self.all[*index]))?;
        self.all[chosen].brought += 1;
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: u64 = 0xabc;

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    fn three() -> Gateways {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Gateways::new(CLUSTER, &[address(1), address(2), address(3)], at(0))
    }

    fn says(gateways: &mut Gateways, now: u64, index: usize, facts: &str) -> News {
        let text = format!(":g PAXOS INFO gateway=1 {facts} place=9");
        let line = Line::parse(&text).expect("a line");
        gateways.hear(at(now), index, &line)
    }

    #[test]
    fn the_one_with_the_fewest_users_gets_the_next() {
        let mut gateways = three();
        assert_eq!(gateways.choose(), None, "nobody has said anything");
        assert_eq!(
            says(&mut gateways, 0, 0, "cluster=abc users=2 sound=1"),
            News::Serves
        );
        says(&mut gateways, 0, 1, "cluster=abc users=0 sound=1");
        says(&mut gateways, 0, 2, "cluster=abc users=9 sound=1");
        let chosen: Vec<Option<usize>> = (0..6).map(|_| gateways.choose()).collect();
        assert_eq!(chosen, [1, 1, 0, 1, 0, 1].map(Some));
        says(&mut gateways, 1, 1, "cluster=abc users=20 sound=1");
        says(&mut gateways, 1, 0, "cluster=abc users=20 sound=1");
        assert_eq!(gateways.choose(), Some(2));
    }

    #[test]
    fn who_cannot_serve_gets_nobody_and_is_left_after_a_while() {
        let mut gateways = three();
        let good = "cluster=abc users=0 sound=1";
        for index in 0..3 {
            assert_eq!(says(&mut gateways, 0, index, good), News::Serves);
        }
        assert_eq!(
            says(&mut gateways, 500, 0, "cluster=abc users=0 sound=0"),
            News::Unsound
        );
        assert_eq!(
            says(&mut gateways, 600, 0, "cluster=abc users=0 sound=0"),
            News::Nothing
        );
        assert_eq!(
            says(&mut gateways, 600, 1, "cluster=abd users=0 sound=1"),
            News::Stranger
        );
        assert_eq!(
            says(&mut gateways, 700, 1, "cluster=abd users=0 sound=1"),
            News::Nothing
        );
        assert_eq!(gateways.choose(), Some(2));
        assert!(!gateways.is_to_be_left(at(1499), 0));
        assert!(gateways.is_to_be_left(at(1500), 0));
        assert!(!gateways.is_to_be_left(at(1500), 2));
        gateways.pass_time(at(2001));
        assert_eq!(gateways.choose(), None, "silent since 0");
        assert!(!gateways.is_to_be_left(at(9000), 0), "there is no other");
        assert_eq!(says(&mut gateways, 9000, 0, good), News::Serves);
        assert!(!gateways.is_to_be_left(at(9000), 0));
        assert!(gateways.is_to_be_left(at(9000), 2));
    }

    #[test]
    fn who_talks_to_its_users_keeps_them_though_its_scout_hears_nothing() {
        let mut gateways = three();
        let good = "cluster=abc users=0 sound=1";
        for now in (0..10_000).step_by(500) {
            for index in [0, 1] {
                if index == 1 || now < 1000 {
                    says(&mut gateways, now, index, good);
                }
            }
            // Over a wire.
            gateways.notice(at(now), 0);
            gateways.pass_time(at(now));
            assert!(!gateways.is_to_be_left(at(now), 0), "at {now}");
        }
        assert!(!gateways.serves(0), "nobody new is brought there");
        gateways.fail(at(10_000), 0);
        gateways.notice(at(10_100), 0);
        assert!(!gateways.is_to_be_left(at(12_000), 0));
        says(&mut gateways, 12_000, 1, good);
        gateways.pass_time(at(12_200));
        assert!(gateways.is_to_be_left(at(13_200), 0), "silent since 12,200");
        // What it says of itself counts, whatever it says to others.
        says(&mut gateways, 14_000, 0, "cluster=abc users=0 sound=0");
        says(&mut gateways, 15_000, 1, good);
        gateways.notice(at(15_000), 0);
        assert!(gateways.is_to_be_left(at(15_000), 0));
    }
}
