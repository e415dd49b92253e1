//! What one seed stands for: a cluster, its work, and the faults it lives through.
//!
//! Each class of faults is on or off by a throw of its own. Runs in which all is
//! a little wrong look much alike; runs with a few things very wrong do not.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::cluster::ClusterOptions;
use super::fault::FaultOptions;
use super::network::NetworkOptions;
use super::random::Random;
use super::scenario::SETTINGS;
use super::users::{Kind, ServiceOptions};
use crate::protocol::{AcceptorSet, Membership, ReplicaSet, Settings, Time};
use crate::service::chat::limits::Limits;

/// All that is drawn from a seed before the run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cluster.
    pub cluster: ClusterOptions,
    /// What goes wrong.
    pub faults: FaultOptions,
    /// How long it goes wrong.
    pub trouble: Duration,
    /// The network after that.
    pub healed: NetworkOptions,
    /// What is submitted: by which client, when, what. Ascending in time.
    pub work: Vec<(u16, Time, Bytes)>,
    /// Whether a learner starts after all is done.
    pub late_learner: bool,
    /// Whether the proposers and clients are gone by then.
    pub late_and_quiet: bool,
}

impl Plan {
    /// How much longer the longest runs are.
    pub const LONG: u32 = 30;

    /// Draws a plan.
    pub fn new(seed: u64) -> Plan {
        Plan::draw(seed, |_| {})
    }

    /// Draws a plan for a cluster that is made to fit once it is drawn.
    pub(super) fn draw(seed: u64, fit: impl FnOnce(&mut ClusterOptions)) -> Plan {
        let mut random = Random::new(seed, "plan");
        // Most runs are short, for there to be many; a few have processes that are
        // away for minutes.
        let long = match Random::new(seed, "long").chance(0.005) {
            true => Plan::LONG,
            false => 1,
        };
        let trouble = long * random.duration(Duration::from_millis(500), Duration::from_secs(6));
        let mut cluster = cluster(&mut random);
        let mut past = Random::new(seed, "history");
        if past.chance(0.4) {
            cluster.history = past.pick(&[1, 500, 2_000, 20_000]);
        }
        let service = store(&mut Random::new(seed, "service"))
            .or_else(|| chat(&mut Random::new(seed, "chat")));
        if let Some(service) = service {
            serve(&mut cluster, service);
        }
        fit(&mut cluster);
        let mut kept = Random::new(seed, "replicas");
        let share = if cluster.service.is_some() { 0.6 } else { 0.25 };
        if kept.chance(share) {
            replicate(&mut kept, &mut cluster);
        }
        let work = work(&mut random, &cluster, trouble);
        let mut faults = faults(&mut random);
        faults.stretch(long);
        // A newcomer finds most to ask for where somebody is missing.
        let late = if faults.leave_cut_off { 0.8 } else { 0.4 };
        Plan {
            faults,
            healed: healed(&mut random),
            late_learner: random.chance(late),
            late_and_quiet: random.chance(0.5),
            cluster,
            trouble,
            work,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = &self.cluster;
        writeln!(
            f,
            "{} proposers, {} acceptors, {} learners, {} clients with {} values",
            cluster.proposers,
            cluster.settings.membership.acceptors().len(),
            cluster.learners,
            cluster.clients,
            self.work.len()
        )?;
        let usual = ClusterOptions::quiet(Settings::new(cluster.settings.membership));
        let set: Vec<String> = SETTINGS
            .iter()
            .filter(|setting| setting.value(cluster) != setting.value(&usual))
            .map(|setting| format!("{} {}", setting.key, setting.value(cluster)))
            .collect();
        writeln!(f, "set: {}", set.join(", "))?;
        if let Some(service) = &cluster.service {
            writeln!(f, "learners are replicas: {service:?}")?;
        }
        write!(f, "for {:?}: {}", self.trouble, self.faults)?;
        match (self.late_learner, self.late_and_quiet) {
            (false, _) => Ok(()),
            (true, false) => f.write_str("\nthen a learner joins late"),
            (true, true) => f.write_str("\nthen a learner joins late, with nobody left to propose"),
        }
    }
}

fn cluster(random: &mut Random) -> ClusterOptions {
    let acceptors = random.pick(&[3, 3, 5]);
    let mut settings = Settings::new(Membership::majority(AcceptorSet::first(acceptors)));
    settings.datagram = random.pick(&[1_472, 1_472, 8_972, 65_507]);
    settings.window = random.pick(&[1, 3, 16, 64]);
    if random.chance(0.2) {
        settings.pause = random.duration(Duration::ZERO, Duration::from_millis(10));
    }
    if random.chance(0.2) {
        settings.lifetime = random.pick(&[20, 50, 200]);
    }
    if random.chance(0.1) {
        settings.sessions = random.pick(&[1, 2, 4]);
    }
    let durable = random.chance(0.75);
    let memory = random.pick(&[1, 1, 2_000, 20_000, 1 << 20]);
    let slowest = random.pick(&[0, 1, 5, 5, 30]);
    // A slow disk that syncs for every single datagram could not keep up with
    // repetitions; the daemons sync once for all that waits.
    let turn = match slowest {
        0 | 1 => random.pick(&[1, 8, 64, 256]),
        _ => random.pick(&[64, 256]),
    };
    // Room for the largest record, and then rotation often, now and then, or never.
    let least = (settings.datagram as u64 + 1_024).next_multiple_of(512);
    let segment = random.pick(&[least, least, 4 * least, 1 << 20]);
    ClusterOptions {
        segment,
        history: usize::MAX,
        checkpoint: 1,
        proposers: random.pick(&[1, 2, 2, 3, 3]),
        learners: random.between(1, 4) as u16,
        clients: match random.chance(0.2) {
            true => random.between(4, 8) as u16,
            false => random.between(1, 3) as u16,
        },
        durable: durable.then_some(memory),
        network: network(random),
        buffer: random.pick(&[212_992, 212_992, 425_984, 8 << 20]),
        drift: random.pick(&[0, 100, 50_000]),
        turn: (1, turn),
        sync: (Duration::ZERO, Duration::from_millis(slowest)),
        sync_blocks: random.chance(0.5),
        sync_failure: if random.chance(0.1) { 0.003 } else { 0.0 },
        slow_reads: random.chance(0.3),
        start: random.pick(&[Duration::ZERO, Duration::from_millis(500)]),
        service: None,
        settings,
    }
}

/// Some learners count as replicas, and acceptors forget what most of them have.
fn replicate(random: &mut Random, cluster: &mut ClusterOptions) {
    let mut count = random.between(1, u64::from(cluster.learners) + 1);
    if cluster.service.is_some() {
        // One of them may lose its disk.
        count = u64::from(cluster.learners);
    }
    cluster.settings.replicas = ReplicaSet::first(count as u16);
    cluster.settings.trim_step = random.pick(&[1, 1, 4, 16]);
    cluster.checkpoint = random.pick(&[1, 3, 10]);
}

/// Learners are replicas of a service.
fn serve(cluster: &mut ClusterOptions, service: ServiceOptions) {
    cluster.service = Some(service);
    // Its users are the clients.
    cluster.clients = 0;
    cluster.learners = 3;
    cluster.history = usize::MAX;
}

/// Learners are replicas of this service, whatever was drawn.
pub(super) fn demand(seed: u64, kind: Kind, cluster: &mut ClusterOptions) {
    if cluster.service.is_some_and(|service| service.kind == kind) {
        return;
    }
    let mut random = Random::new(seed, kind.name());
    let service = match kind {
        Kind::Store => any_store(&mut random),
        Kind::Chat => any_chat(&mut random),
    };
    serve(cluster, service);
}

/// In some runs learners are replicas of a store.
fn store(random: &mut Random) -> Option<ServiceOptions> {
    random.chance(0.25).then(|| any_store(random))
}

/// A store and its users.
fn any_store(random: &mut Random) -> ServiceOptions {
    ServiceOptions {
        kind: Kind::Store,
        users: random.pick(&[1, 3, 6, 8]),
        questions: random.pick(&[10, 40, 100]),
        keys: random.pick(&[1, 1, 2, 5]),
        leisure: Duration::from_millis(random.pick(&[0, 5, 50, 200])),
        checkpoint: random.pick(&[1, 200, 1_000, 4_000]),
        keeping: Duration::from_millis(random.pick(&[0, 5, 200, 2_000])),
        ignorance: Duration::from_millis(random.pick(&[0, 0, 30, 300, 1_000])),
        amnesia: random.pick(&[0.0, 0.3, 1.0]),
        memory: Limits::MEMORY,
    }
}

/// In some others they are gateways of a chat.
fn chat(random: &mut Random) -> Option<ServiceOptions> {
    random.chance(1.0 / 6.0).then(|| any_chat(random))
}

/// A chat and its users.
fn any_chat(random: &mut Random) -> ServiceOptions {
    ServiceOptions {
        kind: Kind::Chat,
        users: random.pick(&[1, 2, 4, 6]),
        questions: random.pick(&[10, 30, 60]),
        keys: random.pick(&[1, 1, 2, 4]),
        leisure: Duration::from_millis(random.pick(&[0, 5, 50, 200])),
        checkpoint: random.pick(&[1, 500, 3_000, 20_000]),
        keeping: Duration::from_millis(random.pick(&[0, 5, 200, 2_000])),
        ignorance: Duration::from_millis(random.pick(&[0, 0, 0, 300])),
        amnesia: random.pick(&[0.0, 0.3, 1.0]),
        memory: random.pick(&[Limits::MEMORY, Limits::MEMORY, 20_000, 4_000]),
    }
}

fn network(random: &mut Random) -> NetworkOptions {
    let mut network = NetworkOptions::quiet();
    if random.chance(0.5) {
        network.loss = random.probability(0.3);
    }
    if random.chance(0.25) {
        network.fragment_loss = random.probability(0.02);
    }
    if random.chance(0.5) {
        network.duplication = random.probability(0.5);
        network.replay = random.pick(&[
            Duration::from_millis(1),
            Duration::from_millis(50),
            Duration::from_secs(2),
        ]);
    }
    if random.chance(0.25) {
        network.corruption = random.probability(0.05);
    }
    if random.chance(0.6) {
        network.delay = random.duration(Duration::ZERO, Duration::from_millis(30));
        network.jitter = random.duration(Duration::ZERO, Duration::from_millis(100));
        if random.chance(0.5) {
            network.delay /= 20;
            network.jitter /= 20;
        }
    }
    if random.chance(0.3) {
        network.clog = random.probability(0.02);
        network.clog_mean = random.duration(Duration::ZERO, Duration::from_secs(5));
    }
    network
}

/// Not perfect, but good enough to demand progress.
fn healed(random: &mut Random) -> NetworkOptions {
    let mut network = NetworkOptions::quiet();
    if random.chance(0.4) {
        network.loss = random.probability(0.1);
        network.duplication = random.probability(0.1);
        network.replay = Duration::from_millis(5);
    }
    network.delay = random.duration(Duration::ZERO, Duration::from_millis(1));
    network.jitter = random.duration(Duration::ZERO, Duration::from_millis(2));
    network
}

fn faults(random: &mut Random) -> FaultOptions {
    let mut kind = |probability| {
        random.chance(probability).then(|| {
            (
                random.duration(Duration::from_millis(100), Duration::from_secs(2)),
                random.duration(Duration::from_millis(1), Duration::from_secs(2)),
            )
        })
    };
    FaultOptions {
        crash: kind(0.5),
        pause: kind(0.3),
        // Long enough that an isolated leader gives up, and stands again.
        partition: kind(0.4).map(|(mean, long)| (mean, long * 2)),
        stall: kind(0.2),
        leap: kind(0.1).map(|(mean, _)| mean),
        damage: kind(0.15).map(|(mean, _)| mean),
        full: kind(0.15),
        stray: kind(0.3).map(|(mean, _)| mean / 4),
        twin: kind(0.1).map(|(mean, _)| mean),
        nemesis: kind(0.4).map(|(mean, _)| mean / 4),
        crash_clients: random.chance(0.3),
        leave_dead: random.chance(0.5),
        leave_deaf: random.chance(0.2),
        leave_cut_off: random.chance(0.2),
    }
}

fn work(
    random: &mut Random,
    cluster: &ClusterOptions,
    trouble: Duration,
) -> Vec<(u16, Time, Bytes)> {
    let mut work = Vec::new();
    let large = random.chance(0.15);
    for client in 1..=cluster.clients {
        let values = random.pick(&[0, 1, 10, 40, 100]);
        let span = match random.chance(0.5) {
            true => trouble.as_nanos() as u64,
            false => 0,
        };
        let mut times: Vec<u64> = (0..values).map(|_| random.between(0, span)).collect();
        times.sort_unstable();
        for (number, at) in times.into_iter().enumerate() {
            work.push((client, Time(at), value(random, client, number)));
        }
        if large && client <= 2 {
            let length = random.between(100 << 10, 300 << 10) as usize;
            let bytes: Vec<u8> = (0..length).map(|at| (at / 7) as u8).collect();
            let at = random.between(0, span);
            work.push((client, Time(at), bytes.into()));
        }
    }
    // Stable: what a client submits at one time keeps its order.
    work.sort_by_key(|(_, at, _)| *at);
    work
}

/// Mostly short and telling, sometimes empty, sometimes equal to others.
fn value(random: &mut Random, client: u16, number: usize) -> Bytes {
    match random.between(0, 19) {
        0 => Bytes::new(),
        1 => Bytes::from_static(b"the same"),
        2 => {
            let mut bytes = vec![b'.'; random.between(1, 4_000) as usize];
            bytes[0] = number as u8;
            bytes.into()
        }
        _ => format!("c{client}-{number}").into(),
    }
}
