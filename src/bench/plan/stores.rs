//! The rows and ratios of the key-value store.

use std::time::Duration;

use super::Plan;
use crate::bench::ratio::{Figure, Side};
use crate::bench::{Load, Pace};

/// Operations a second of the store that the measurement of five servers and two
/// clients was first made with.
const SEED: u32 = 51;

impl Plan {
    /// The key-value store, beside those that do the same for their clients.
    pub(super) fn add_stores(&mut self, duration: Duration) {
        let load = |clients, under_way, durable| Load {
            bytes: 64,
            clients,
            pace: Pace::Outstanding(under_way),
            duration,
            durable,
        };
        let mut beside = |name, contestant, load, other: Option<&'static str>, meaning| {
            let ours = Side::Row(self.row(contestant, load));
            let other = match other {
                Some(other) => Side::Row(self.row(other, load)),
                None => Side::Known(SEED),
            };
            self.ratio(name, Figure::Values, ours, other, meaning);
        };
        let many = load(50, 1, true);
        beside(
            "kv_set_durable_etcd",
            "kv",
            many,
            Some("etcd"),
            "SETs of 64 bytes by 50 clients, synced to disks: three replicas, beside three members of etcd",
        );
        beside(
            "kv_set_durable_redis",
            "kv",
            many,
            Some("redis"),
            "SETs of 64 bytes by 50 clients, synced to disks: three replicas, beside one redis-server",
        );
        beside(
            "kv_p16_redis",
            "kv",
            load(50, 16, false),
            Some("redis"),
            "SETs of 64 bytes by 50 clients with 16 under way at each: three replicas, beside one redis-server",
        );
        beside(
            "kv_seed_closed",
            "kv-seed",
            load(2, 1, false),
            None,
            "operations of two closed-loop clients that take turns with five servers, beside a store that was measured so",
        );
        beside(
            "kv_seed_pipelined",
            "kv-seed",
            load(2, 64, false),
            None,
            "the same with 64 under way at each client",
        );
    }
}
