//! Acceptors with disks forget what most replicas have in checkpoints, and say so.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

use bytes::BytesMut;
use paxcast::config::Config;
use paxcast::protocol::{Instance, Message, ProcessId, Role};
use paxcast::wire::{self, Scope};
use socket2::SockRef;

use crate::cluster::Cluster;
use crate::process::{PATIENCE, Process};

/// Bytes of a datagram: one value fills it.
const DATAGRAM: usize = 600;

/// More instances than an acceptor forgets at once at least.
const VALUES: u64 = 1_500;

/// How far the checkpoints reach.
const THROUGH: u64 = 1_200;

/// Says to all acceptors, as two replicas of three, how far the checkpoints reach.
struct Replicas {
    socket: UdpSocket,
    scope: Scope,
    group: String,
}

impl Replicas {
    fn of(cluster: &Cluster) -> Replicas {
        let config = Config::load(&cluster.conf).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        SockRef::from(&socket)
            .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
            .unwrap();
        Replicas {
            socket,
            scope: Scope {
                cluster: config.cluster_hash(),
                config: config.config_digest(DATAGRAM),
            },
            group: cluster.group("acceptors"),
        }
    }

    fn report(&self) {
        for id in [1, 2] {
            let sender = ProcessId {
                role: Role::Learner,
                id,
                incarnation: 77,
            };
            let through = Instance(THROUGH);
            let report = Message::Checkpointed { through };
            let mut buffer = BytesMut::new();
            wire::encode(&self.scope, sender, 1, &report, &mut buffer);
            self.socket.send_to(&buffer, &self.group).unwrap();
        }
    }
}

#[test]
fn what_most_replicas_have_is_forgotten_for_good_and_a_late_learner_is_told() {
    let more = format!("data votes\nreplica_ids 1 2 3\ndatagram {DATAGRAM}");
    let cluster = Cluster::new(&more);
    for id in 1..=3 {
        let (status, errors) = Process::start("acceptor", id, &cluster.conf, &["--init"]).outcome();
        assert_eq!(status, Some(0), "{errors}");
    }
    let mut cluster = cluster.with(3, 1, &[]);
    let mut learner = cluster.start("learner", 4, &[]);
    let output = learner.lines(VALUES as usize);
    let count = VALUES.to_string();
    let load = ["--count", &count, "--size", "300", "--deadline", "60"];
    let (status, errors) = cluster.start("client", 1, &load).outcome();
    assert_eq!(status, Some(0), "{errors}");
    output.bytes();

    // A report may be lost, and a watermark may come behind it.
    let replicas = Replicas::of(&cluster);
    let deadline = Instant::now() + PATIENCE;
    for acceptor in &mut cluster.processes[..3] {
        assert!(
            acceptor.fact("instances") >= VALUES,
            "one value an instance"
        );
        while acceptor.fact("forgotten") < THROUGH {
            assert!(Instant::now() < deadline, "nothing is forgotten");
            replicas.report();
        }
        assert_eq!(acceptor.fact("forgotten"), THROUGH);
        assert_eq!(acceptor.fact("segments"), 1);
    }

    // It is forgotten for good.
    cluster.processes[0].stop();
    let mut again = cluster.start("acceptor", 1, &[]);
    assert_eq!(again.fact("forgotten"), THROUGH);
    assert!(again.fact("instances") >= VALUES);
    cluster.processes[0] = again;

    // Who needs it is told, and who was there goes on.
    let (status, errors) = cluster.start("learner", 5, &[]).outcome();
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("trimmed it from their logs"), "{errors}");
    assert!(errors.contains("take `replica_ids` out"), "{errors}");
    let load = ["--count", "10", "--deadline", "60"];
    let (status, errors) = cluster.start("client", 2, &load).outcome();
    assert_eq!(status, Some(0), "{errors}");
    learner.stop();
    cluster.stop();
}
