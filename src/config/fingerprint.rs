//! Two numbers by which datagrams of another cluster or configuration are told.
//!
//! Every datagram carries both, so they must come out the same on every machine
//! and in every build: the 64-bit Fowler–Noll–Vo hash (FNV-1a) over bytes laid
//! out here, pinned by golden values below. They tell mistakes apart, not
//! attackers.

use crate::protocol::Role;

use super::Config;

impl Config {
    /// Identifies the cluster: its groups and its name.
    pub fn cluster_hash(&self) -> u64 {
        let mut hash = Fnv1a::default();
        for role in Role::ALL {
            let group = self.groups.of(role);
            hash.write(&group.ip().octets());
            hash.write(&group.port().to_be_bytes());
        }
        // The groups have a fixed size, so the name needs no end mark.
        hash.write(self.cluster.as_bytes());
        hash.0
    }

    /// Digest of what all processes of a cluster must agree on: acceptor ids,
    /// quorum, whether acceptors are durable, the limit of a datagram in bytes, and
    /// whose checkpoints let acceptors forget.
    ///
    /// The last has no bearing on what is decided, only on how long it is kept.
    /// But it would take just a quorum with a smaller list to delete what the others
    /// keep, perhaps on the word of the one replica whose disk fails next; so those
    /// who disagree are not to count for each other. A cluster that never set it
    /// has the digest that it always had.
    pub fn config_digest(&self, datagram: usize) -> u64 {
        let mut hash = Fnv1a::default();
        hash.write(&(self.membership().quorum() as u64).to_be_bytes());
        hash.write(&(datagram as u64).to_be_bytes());
        hash.write(&[u8::from(self.data.is_some())]);
        for id in self.acceptors.iter() {
            hash.write(&id.to_be_bytes());
        }
        if !self.replicas.is_empty() {
            // An end mark: 0 is no id.
            hash.write(&[0, 0]);
            for id in self.replicas.iter() {
                hash.write(&id.to_be_bytes());
            }
        }
        hash.0
    }
}

struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Fnv1a {
        Fnv1a(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "clients 239.0.0.1 5000\nproposers 239.0.0.1 6000\n\
                        acceptors 239.0.0.1 7000\nlearners 239.0.0.1 8000\n";

    fn config(more: &str) -> Config {
        Config::parse("paxos.conf", format!("{FILE}{more}").as_bytes()).unwrap()
    }

    /// From the authors' published test vectors.
    #[test]
    fn the_hash_is_the_published_one() {
        for (text, expected) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            let mut hash = Fnv1a::default();
            hash.write(text.as_bytes());
            assert_eq!(hash.0, expected, "{text}");
        }
    }

    /// Golden: a change here parts new processes from running ones.
    #[test]
    fn fingerprints_stay_what_they_are() {
        let config = config("");
        assert_eq!(config.cluster_hash(), 0x4d03_9560_dab2_7eed);
        assert_eq!(config.config_digest(65_507), 0x46cb_04db_06bd_fb8b);
    }

    #[test]
    fn another_group_or_name_is_another_cluster() {
        let base = config("").cluster_hash();
        assert_ne!(config("cluster other").cluster_hash(), base);
        let mut moved = config("");
        moved.groups.learners.set_port(8001);
        assert_ne!(moved.cluster_hash(), base);
        let mut swapped = config("");
        std::mem::swap(&mut swapped.groups.clients, &mut swapped.groups.learners);
        assert_ne!(swapped.cluster_hash(), base);
        assert_eq!(
            config("window 9\nacceptor_count 5\ndata x").cluster_hash(),
            base
        );
    }

    #[test]
    fn what_must_agree_is_in_the_digest_and_nothing_else() {
        let base = config("").config_digest(1472);
        assert_ne!(config("").config_digest(1473), base);
        assert_ne!(config("acceptor_ids 1 2 4").config_digest(1472), base);
        assert_ne!(config("acceptor_count 4").config_digest(1472), base);
        assert_ne!(config("data x").config_digest(1472), base);
        assert_eq!(config("acceptor_ids 3 2 1").config_digest(1472), base);
        let replicas = config("replica_ids 1 2 3").config_digest(1472);
        assert_ne!(replicas, base);
        assert_ne!(config("replica_ids 1 2").config_digest(1472), replicas);
        assert_eq!(config("replica_ids 3 1 2").config_digest(1472), replicas);
        // Ids of one list are not taken for ids of the other.
        assert_ne!(
            config("acceptor_ids 1 2\nreplica_ids 3").config_digest(1472),
            config("acceptor_ids 1 2 3").config_digest(1472)
        );
        assert_eq!(
            config("timeout 1\nwindow 9\ncluster x").config_digest(1472),
            base
        );
    }
}
