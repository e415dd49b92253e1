//! What is measured: rows of a contestant and a load, and the ratios of rows.
//!
//! The base case is two clients, two proposers, three acceptors, two learners and
//! values of 64 bytes; everything else differs from it in one thing.

mod stores;

use std::path::PathBuf;
use std::time::Duration;

use super::cluster::Cluster;
use super::columns::number;
use super::formation::{FORMATIONS, Formation};
use super::kv::{Store, Stores};
use super::ratio::{Figure, Side};
use super::{Chain, Contestant, Corosync, Disk, Etcd, Load, Pace, Packets, Programs, Redis, chain};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Within a minute: what the most telling ratios need.
    Quick,
    /// Everything; a quarter of an hour and more.
    Full,
}

/// A contestant, by its name, under a load.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// See [`Contestant::name`].
    pub contestant: &'static str,
    /// What it is to carry.
    pub load: Load,
}

/// A ratio to be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Its name, a word.
    pub name: &'static str,
    /// What is compared.
    pub figure: Figure,
    /// Our side.
    pub ours: Side,
    /// The other.
    pub other: Side,
    /// One line on what it means.
    pub meaning: &'static str,
}

/// Rows and ratios.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order in which they are measured.
    pub rows: Vec<Row>,
    /// In the order in which they are told.
    pub ratios: Vec<Wanted>,
    /// Loads under which the leader is killed.
    pub failovers: Vec<Load>,
    /// How long a cluster without traffic is watched.
    pub idle: Option<Duration>,
}

/// The sizes of values that are compared.
const SIZES: [usize; 4] = [64, 1024, 8192, 65_536];

/// Values under way at each client where as much as possible is to be delivered,
/// and the most bytes of them: enough that nobody waits for the client, also where
/// datagrams are lost.
const MANY: (usize, usize) = (16_384, 32 << 20);

/// Values a second, of all clients together, where nothing else is said.
pub const RATES: [f64; 8] = [1e3, 1e4, 5e4, 1e5, 2.5e5, 5e5, 7.5e5, 1e6];

/// Everybody who can take part; ours run the executables in this directory.
pub fn contestants(executables: Option<&PathBuf>) -> Vec<Box<dyn Contestant>> {
    let mut all: Vec<Box<dyn Contestant>> = Vec::new();
    for formation in FORMATIONS {
        all.push(Box::new(Cluster::new(formation, executables.cloned())));
    }
    all.push(Box::new(Chain::new(chain::Shape::Acks)));
    let corosync = |packets| Box::new(Corosync::new(Programs::default(), packets));
    all.push(corosync(Packets::Jumbo));
    all.push(corosync(Packets::Ethernet));
    all.push(Box::new(Etcd::new(Programs::default())));
    all.push(Box::new(Redis::new(Programs::default())));
    for store in [Store::BASE, Store::SEED] {
        all.push(Box::new(Stores::new(store, executables.cloned())));
    }
    all.push(Box::new(Disk::new(usize::from(Formation::BASE.acceptors))));
    all
}

impl Plan {
    /// The plan of a scope: each measurement lasts so long, open loops run at
    /// these rates, of all clients together.
    pub fn new(scope: Scope, duration: Duration, rates: &[f64]) -> Plan {
        let mut plan = Plan::default();
        plan.compare(duration);
        if scope == Scope::Full {
            plan.add_sizes(duration);
            plan.add_paces(duration, rates);
            plan.add_formations(duration);
            plan.add_stores(duration);
            plan.failovers = vec![full(64, duration), durable(full(64, duration))];
            plan.idle = Some(duration.max(Duration::from_secs(5)));
        }
        plan
    }

    /// The ratios that say most, and what they need.
    fn compare(&mut self, duration: Duration) {
        let many = full(64, duration);
        let large = full(8192, duration);
        let single = one(64, duration);
        let base = self.row("paxcast", many);
        let durable_base = self.row("paxcast", durable(many));
        let ours_large = self.row("paxcast", large);
        let ours_single = self.row("paxcast", single);
        let ours_single_durable = self.row("paxcast", durable(single));
        let other = Side::Row;
        use Figure::{Median, Megabytes, Tail, Values};
        let row = self.row("corosync", many);
        self.ratio(
            "corosync_64",
            Values,
            other(base),
            other(row),
            "64-byte values delivered a second, beside corosync's CPG",
        );
        let row = self.row("corosync", single);
        self.ratio(
            "corosync_latency",
            Median,
            other(ours_single),
            other(row),
            "one value under way, beside corosync's CPG",
        );
        let row = self.row("etcd", durable(many));
        self.ratio(
            "etcd_durable_64",
            Values,
            other(durable_base),
            other(row),
            "64-byte values a second, synced to disks, beside etcd",
        );
        let row = self.row("redis", many);
        self.ratio(
            "redis_64",
            Values,
            other(base),
            other(row),
            "64-byte values a second, beside one redis-server, which copies them to nobody",
        );
        let row = self.row("chain", many);
        self.ratio(
            "chain_64",
            Values,
            other(base),
            other(row),
            "64-byte values a second, beside the same processes with no logic",
        );
        let row = self.row("chain", large);
        self.ratio(
            "chain_bytes_8k",
            Megabytes,
            other(ours_large),
            other(row),
            "8 KiB values, beside the same processes with no logic",
        );
        let row = self.row("chain", single);
        self.ratio(
            "chain_latency",
            Median,
            other(ours_single),
            other(row),
            "one value under way, beside the same processes with no logic",
        );
        self.ratio("chain_tail", Tail, other(ours_single), other(row),
            "one value under way, the slowest of a hundred, beside the same processes with no logic");
        self.ratio(
            "durable_64",
            Values,
            other(durable_base),
            other(base),
            "64-byte values a second: synced to disks, beside kept in memory",
        );
        let row = self.row("disk", durable(one(4096, duration)));
        self.ratio(
            "disk_sync",
            Median,
            Side::Above(ours_single_durable, ours_single),
            other(row),
            "what durability adds to one value's way, in syncs of 4 KiB by as many processes",
        );
        let row = self.row("ethernet", many);
        self.ratio(
            "ethernet_64",
            Values,
            other(row),
            other(base),
            "64-byte values a second: datagrams of 1,472 bytes, beside as large as loopback takes",
        );
        let row = self.row("loss", many);
        self.ratio(
            "loss_64",
            Values,
            other(row),
            other(base),
            "64-byte values a second: every process loses 10 % of what it receives, beside none",
        );
    }

    /// Every size, volatile and durable, and what others do with it.
    fn add_sizes(&mut self, duration: Duration) {
        for bytes in SIZES {
            let load = full(bytes, duration);
            for contestant in ["paxcast", "chain", "corosync", "redis"] {
                self.row(contestant, load);
            }
            for contestant in ["paxcast", "etcd", "redis"] {
                self.row(contestant, durable(load));
            }
            self.row("ethernet", load);
        }
        self.row("etcd", durable(one(64, duration)));
        let ours = self.row("ethernet", full(64, duration));
        let other = self.row("corosync-ethernet", full(64, duration));
        self.ratio("corosync_ethernet_64", Figure::Values, Side::Row(ours), Side::Row(other),
            "64-byte values a second in datagrams that a common Ethernet carries, beside corosync's CPG");
        use Figure::{Median, Megabytes, Values};
        let beside = |plan: &mut Plan, contestant, bytes| {
            let load = full(bytes, duration);
            let ours = plan.row("paxcast", load);
            (Side::Row(ours), Side::Row(plan.row(contestant, load)))
        };
        for (name, bytes) in [
            ("corosync_bytes_1k", 1024),
            ("corosync_bytes_8k", 8192),
            ("corosync_bytes_64k", 65_536),
        ] {
            let (ours, other) = beside(self, "corosync", bytes);
            self.ratio(
                name,
                Megabytes,
                ours,
                other,
                "larger values, beside corosync's CPG",
            );
        }
        for (name, bytes) in [("chain_bytes_1k", 1024), ("chain_bytes_64k", 65_536)] {
            let (ours, other) = beside(self, "chain", bytes);
            self.ratio(
                name,
                Megabytes,
                ours,
                other,
                "larger values, beside the same processes with no logic",
            );
        }
        let ours = self.row("paxcast", durable(one(64, duration)));
        let other = self.row("etcd", durable(one(64, duration)));
        self.ratio(
            "etcd_durable_latency",
            Median,
            Side::Row(ours),
            Side::Row(other),
            "one value under way, synced to disks, beside etcd",
        );
        let ours = self.row("paxcast", durable(full(64, duration)));
        let other = self.row("redis", durable(full(64, duration)));
        self.ratio(
            "redis_durable_64",
            Values,
            Side::Row(ours),
            Side::Row(other),
            "64-byte values a second, synced to disks, beside one redis-server, which copies them to nobody",
        );
        let other = self.row("disk", durable(one(65_536, duration)));
        self.ratio("disk_bytes_64", Megabytes, Side::Row(ours), Side::Row(other),
            "64-byte values, synced, beside what as many processes append and sync in blocks of 64 KiB");
    }

    /// Every number of values under way, and every rate.
    fn add_paces(&mut self, duration: Duration, rates: &[f64]) {
        for outstanding in [1, 16, 256, 4096] {
            let clients = if outstanding == 1 { 1 } else { 2 };
            let load = Load {
                pace: Pace::Outstanding(outstanding),
                clients,
                ..full(64, duration)
            };
            for contestant in ["paxcast", "chain"] {
                self.row(contestant, load);
            }
            self.row("paxcast", durable(load));
        }
        for rate in rates {
            let load = Load {
                pace: Pace::Rate(rate / 2.0),
                ..full(64, duration)
            };
            for contestant in ["paxcast", "chain", "corosync"] {
                self.row(contestant, load);
            }
            self.row("paxcast", durable(load));
        }
    }

    /// Our cluster, changed in one thing.
    fn add_formations(&mut self, duration: Duration) {
        let load = full(64, duration);
        for formation in FORMATIONS {
            if !formation.one_stopped {
                self.row(formation.name, load);
            }
        }
        // It is the learner that comes back that has to be seen to catch up.
        let long = Load {
            duration: duration.max(Duration::from_secs(10)),
            ..load
        };
        let stopped = self.row("stopped", long);
        // Acceptors must remember what it missed, and that has its price.
        let base = self.row("long-memory", long);
        self.ratio(
            "stopped_64",
            Figure::Values,
            Side::Row(stopped),
            Side::Row(base),
            "64-byte values a second at one learner while the other is stopped, beside two that run",
        );
        for clients in [1, 4] {
            self.row("paxcast", Load { clients, ..load });
        }
    }

    /// The index of a row, which is added if it is not there.
    fn row(&mut self, contestant: &'static str, load: Load) -> usize {
        let row = Row { contestant, load };
        match self.rows.iter().position(|other| *other == row) {
            Some(index) => index,
            None => {
                self.rows.push(row);
                self.rows.len() - 1
            }
        }
    }

    fn ratio(
        &mut self,
        name: &'static str,
        figure: Figure,
        ours: Side,
        other: Side,
        meaning: &'static str,
    ) {
        self.ratios.push(Wanted {
            name,
            figure,
            ours,
            other,
            meaning,
        });
    }

    /// Leaves what these names stand for, ratios or contestants, with the rows
    /// that the ratios need.
    ///
    /// # Errors
    ///
    /// When a name stands for nothing; the message says what there is.
    pub fn only(&mut self, names: &[String]) -> Result<(), String> {
        for name in names {
            let known = self.ratios.iter().any(|ratio| ratio.name == name)
                || self.rows.iter().any(|row| row.contestant == name)
                || *name == FAILOVER
                || *name == IDLE;
            if !known {
                return Err(format!(
                    "nothing is called {name:?}; there are {}",
                    self.names().join(" ")
                ));
            }
        }
        let named = |name: &str| names.iter().any(|other| other == name);
        let mut kept: Vec<usize> = (0..self.rows.len())
            .filter(|&index| named(self.rows[index].contestant))
            .collect();
        for ratio in self.ratios.iter().filter(|ratio| named(ratio.name)) {
            kept.extend(ratio.ours.rows());
            kept.extend(ratio.other.rows());
        }
        kept.sort_unstable();
        kept.dedup();
        let moved = |side: Side| {
            let place = |row: usize| kept.binary_search(&row).ok();
            Some(match side {
                Side::Row(row) => Side::Row(place(row)?),
                Side::Above(row, base) => Side::Above(place(row)?, place(base)?),
                Side::Known(_) => side,
            })
        };
        self.ratios = self
            .ratios
            .iter()
            .filter_map(|ratio| {
                Some(Wanted {
                    ours: moved(ratio.ours)?,
                    other: moved(ratio.other)?,
                    ..*ratio
                })
            })
            .collect();
        self.rows = kept.iter().map(|&index| self.rows[index].clone()).collect();
        if !named(FAILOVER) {
            self.failovers.clear();
        }
        if !named(IDLE) {
            self.idle = None;
        }
        Ok(())
    }

    /// All there is, one thing a line.
    pub fn list(&self) -> Vec<String> {
        let rows = self.rows.iter();
        let rows = rows.map(|row| format!("row    {:<12} {}", row.contestant, row.load.describe()));
        let ratios = self.ratios.iter();
        let ratios = ratios.map(|ratio| format!("ratio  {:<20} {}", ratio.name, ratio.meaning));
        let failovers = self.failovers.iter();
        let failovers = failovers.map(|load| format!("story  failover     {}", load.describe()));
        let idle = self
            .idle
            .map(|_| "story  idle         no traffic".to_owned());
        rows.chain(ratios).chain(failovers).chain(idle).collect()
    }

    /// What [`Plan::only`] understands.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = self.ratios.iter().map(|ratio| ratio.name).collect();
        for row in &self.rows {
            if !names.contains(&row.contestant) {
                names.push(row.contestant);
            }
        }
        if !self.failovers.is_empty() {
            names.push(FAILOVER);
        }
        if self.idle.is_some() {
            names.push(IDLE);
        }
        names
    }
}

/// The names of what is no row.
const FAILOVER: &str = "failover";
const IDLE: &str = "idle";

/// As much as two clients can bring in, volatile.
fn full(bytes: usize, duration: Duration) -> Load {
    // Processes whose memory has not filled up once are measured growing.
    let least = match bytes {
        0..8192 => Duration::ZERO,
        _ => Duration::from_millis(1200),
    };
    Load {
        bytes,
        clients: 2,
        pace: Pace::Outstanding(MANY.0.min(MANY.1 / bytes)),
        duration: duration.max(least),
        durable: false,
    }
}

/// One value at a time, volatile.
fn one(bytes: usize, duration: Duration) -> Load {
    Load {
        clients: 1,
        pace: Pace::Outstanding(1),
        ..full(bytes, duration)
    }
}

fn durable(load: Load) -> Load {
    Load {
        durable: true,
        ..load
    }
}

impl Load {
    /// In a few words.
    pub fn describe(&self) -> String {
        let size = match self.bytes {
            bytes if bytes >= 1024 && bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
            bytes => format!("{bytes} B"),
        };
        let kept = if self.durable { "durable" } else { "volatile" };
        let clients = self.clients;
        match self.pace {
            Pace::Outstanding(count) => format!("{size} {kept}, {clients} × {count} under way"),
            Pace::Rate(rate) => {
                let rate = number(rate * clients as f64);
                format!("{size} {kept}, {rate} a second")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rows_are_measured_once_and_ratios_point_at_them() {
        for scope in [Scope::Quick, Scope::Full] {
            let plan = Plan::new(scope, SECOND, &RATES);
            for (index, row) in plan.rows.iter().enumerate() {
                assert!(!plan.rows[..index].contains(row), "{row:?}");
            }
            for ratio in &plan.ratios {
                let rows = [ratio.ours.rows(), ratio.other.rows()].concat();
                assert!(rows.iter().all(|row| *row < plan.rows.len()));
                assert!(!ratio.name.contains(' '));
            }
        }
        let quick = Plan::new(Scope::Quick, SECOND, &RATES);
        let full = Plan::new(Scope::Full, SECOND, &RATES);
        assert!(quick.ratios.len() < full.ratios.len());
        assert_eq!(quick.rows, full.rows[..quick.rows.len()]);
    }

    #[test]
    fn a_choice_keeps_the_rows_that_its_ratios_need() {
        let mut plan = Plan::new(Scope::Quick, SECOND, &RATES);
        plan.only(&["disk_sync".to_owned()]).unwrap();
        assert_eq!(plan.rows.len(), 3);
        assert_eq!(plan.ratios.len(), 1);
        let ratio = plan.ratios[0];
        let Side::Above(durable, volatile) = ratio.ours else {
            panic!("{ratio:?}");
        };
        assert!(plan.rows[durable].load.durable && !plan.rows[volatile].load.durable);
        let mut plan = Plan::new(Scope::Full, SECOND, &RATES);
        plan.only(&["chain".to_owned(), "failover".to_owned()])
            .unwrap();
        assert!(plan.rows.iter().all(|row| row.contestant == "chain"));
        assert!(plan.ratios.is_empty() && plan.idle.is_none());
        assert_eq!(plan.failovers.len(), 2);
        let mistake = plan.only(&["chian".to_owned()]).unwrap_err();
        assert!(
            mistake.contains("\"chian\"") && mistake.contains("chain"),
            "{mistake}"
        );
    }

    #[test]
    fn every_name_means_one_thing() {
        let plan = Plan::new(Scope::Full, SECOND, &RATES);
        let mut names = plan.names();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
