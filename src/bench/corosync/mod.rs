//! Corosync: three daemons that pass a token and multicast in its order, with a
//! client in a closed process group on each.
//!
//! The nearest relative of paxcast that Debian packages: total order over UDP
//! multicast. Corosync wants a node to itself, so every daemon gets a network
//! and a mount namespace ([`Network`]); the load is a small program in C
//! ([`PROGRAM`]), because corosync's interface is a C library. It is compiled on
//! the spot against the library's run-time half alone.
//!
//! The settings favour throughput on one machine, each as measured: packets as
//! large as the links between the namespaces carry, a window of 300 packets, no
//! cryptography, and no real-time priority, with which the daemons
//! starve their own clients of a small machine's processors (a third of the
//! throughput).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::time::{ClockId, clock_gettime};

use super::programs::{Programs, version};
use super::{Child, Contestant, Excuse, Load, Outcome, Pace, latencies};

mod network;

use network::{Network, address};

/// The load, for `cc`.
const PROGRAM: &str = include_str!("cpg.c");

/// The nodes of the ring.
const NODES: usize = 3;

/// The largest message that the process groups carry.
const MOST_BYTES: usize = 1_000_000;

/// The most messages under way, of all senders, and the most bytes of them.
/// They keep the ring full; with more, it loses some and carries fewer.
const MOST_UNDER_WAY: usize = 512;
const MOST_BYTES_UNDER_WAY: usize = 512 << 10;

/// For how long the ring finds its pace before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long a load may take to come to its end once its time is over; the
/// program itself gives up a little earlier and says why.
const PATIENCE: Duration = Duration::from_secs(25);

/// What fits between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// About as much as on loopback.
    Jumbo,
    /// What a common Ethernet carries.
    Ethernet,
}

impl Packets {
    fn mtu(self) -> usize {
        match self {
            Packets::Jumbo => 65_000,
            Packets::Ethernet => 1_500,
        }
    }
}

/// Corosync as a contestant.
#[derive(Debug)]
pub struct Corosync {
    programs: Programs,
    packets: Packets,
    version: String,
    ring: Option<Ring>,
    /// Loads so far; their number marks their messages.
    loads: usize,
}

/// What runs. Dropped in this order: clients, daemons, network.
#[derive(Debug)]
struct Ring {
    clients: Vec<Client>,
    daemons: Vec<Child>,
    _network: Network,
}

/// A process of the load, and what it says on its standard output.
#[derive(Debug)]
struct Client {
    child: Child,
    lines: Receiver<String>,
}

impl Corosync {
    /// A ring with such packets, of the programs found there.
    pub fn new(programs: Programs, packets: Packets) -> Corosync {
        Corosync {
            programs,
            packets,
            version: String::new(),
            ring: None,
            loads: 0,
        }
    }
}

impl Contestant for Corosync {
    fn name(&self) -> &'static str {
        match self.packets {
            Packets::Jumbo => "corosync",
            Packets::Ethernet => "corosync-ethernet",
        }
    }

    fn about(&self) -> String {
        format!(
            "{}, {NODES} nodes in network namespaces joined by a bridge, a process group with a \
             member on each, agreed order; transport udp (multicast), netmtu {mtu}, window_size \
             300, max_messages 100, no cryptography, no real-time priority; of all senders at \
             most {MOST_UNDER_WAY} messages and {} KiB under way",
            self.version,
            MOST_BYTES_UNDER_WAY >> 10,
            mtu = self.packets.mtu(),
        )
    }

    fn prepare(&mut self, directory: PathBuf) -> Result<(), Excuse> {
        let corosync = self.programs.need("corosync", "corosync")?;
        self.version = version(&corosync, "-v")?
            .replace(" Cluster Engine, version", "")
            .replace('\'', "");
        let program = compile(&self.programs, &directory)?;
        let mut network = Network::new(&self.programs, self.packets.mtu())?;
        let mut daemons = Vec::new();
        for node in 1..=NODES {
            let state = directory.join(format!("state{node}"));
            let settings = directory.join(format!("corosync{node}.conf"));
            fs::create_dir_all(&state)
                .and_then(|()| fs::write(&settings, configuration(self.packets.mtu(), &state)))
                .map_err(|error| Excuse::Failed(format!("{}: {error}", settings.display())))?;
            let settings = settings.display().to_string();
            let arguments = ["-f", "-c", &settings];
            daemons.push(network.start(&format!("node{node}"), &corosync, &arguments)?);
        }
        let mut clients = Vec::new();
        for daemon in &daemons {
            let mut command = network.beside(daemon);
            command.arg(&program).arg(NODES.to_string());
            clients.push(Client::start(&mut command)?);
        }
        let mut ring = Ring {
            clients,
            daemons,
            _network: network,
        };
        for client in 0..NODES {
            if let Err(excuse) = ring.clients[client].child.await_line("joined") {
                return Err(ring.fault(excuse));
            }
        }
        self.ring = Some(ring);
        Ok(())
    }

    fn most_under_way(&self, load: &Load) -> usize {
        let all = MOST_UNDER_WAY.min(MOST_BYTES_UNDER_WAY / load.bytes.max(1));
        (all / load.clients.max(1)).max(1)
    }

    fn measure(&mut self, load: &Load) -> Result<Outcome, Excuse> {
        if load.durable {
            return Err(Excuse::Absent(
                "corosync keeps no message on a disk".to_owned(),
            ));
        }
        if load.bytes == 0 || load.bytes > MOST_BYTES {
            return Err(Excuse::Absent(format!(
                "corosync carries messages of 1 to {MOST_BYTES} bytes, not of {}",
                load.bytes
            )));
        }
        let most = self.most_under_way(load);
        let Some(ring) = &mut self.ring else {
            return Err(Excuse::Failed("corosync is not running".to_owned()));
        };
        self.loads += 1;
        // A byte holds the number, and zero means none.
        let number = (self.loads - 1) % 255 + 1;
        ring.carry(number, load, most)
            .map_err(|excuse| ring.fault(excuse))
    }
}

impl Ring {
    /// Each sender has at most so many values under way.
    fn carry(&mut self, number: usize, load: &Load, most: usize) -> Result<Outcome, Excuse> {
        let from = monotonic() + WARM_UP;
        let until = from + load.duration;
        let start = Instant::now() + WARM_UP;
        for (index, client) in self.clients.iter_mut().enumerate() {
            // The senders are dealt out to the nodes.
            let senders = (0..load.clients).filter(|n| n % NODES == index).count();
            let (outstanding, rate) = match load.pace {
                Pace::Outstanding(each) => (each.min(most) * senders, 0.0),
                Pace::Rate(each) => (most * senders, each * senders as f64),
            };
            client.say(&format!(
                "{number} {} {outstanding} {rate} {} {}\n",
                load.bytes,
                from.as_nanos(),
                until.as_nanos(),
            ))?;
        }
        thread::sleep(start.saturating_duration_since(Instant::now()));
        let (used_before, drops_before) = (self.processor()?, self.drops());
        thread::sleep((start + load.duration).saturating_duration_since(Instant::now()));
        let mut used = self.processor()? - used_before;

        let deadline = Instant::now() + PATIENCE;
        let mut fewest = u64::MAX;
        let mut histogram = latencies();
        for client in &mut self.clients {
            let report = client.report(&mut histogram, deadline)?;
            fewest = fewest.min(report.values);
            used += report.processor;
        }
        let drops = self.drops().zip(drops_before);
        Ok(Outcome {
            values: fewest,
            seconds: load.duration.as_secs_f64(),
            latencies: histogram,
            processor: Some(used),
            calls: None,
            drops: drops.map(|(now, before)| now.saturating_sub(before)),
        })
    }

    /// Processor time of the daemons so far, in seconds.
    fn processor(&self) -> Result<f64, Excuse> {
        self.daemons.iter().map(Child::processor).sum()
    }

    /// Datagrams that the nodes' kernels dropped so far, where they tell.
    fn drops(&self) -> Option<u64> {
        self.daemons.iter().map(|node| drops(node.id())).sum()
    }

    /// The reason behind a reason: a client's trouble is often its daemon's end.
    fn fault(&mut self, excuse: Excuse) -> Excuse {
        for daemon in &mut self.daemons {
            if daemon.await_end(Duration::ZERO).is_ok() {
                return daemon.fault("has ended");
            }
        }
        excuse
    }
}

/// What one client counted.
struct Report {
    values: u64,
    processor: f64,
}

impl Client {
    fn start(command: &mut Command) -> Result<Client, Excuse> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Child::start("corosync's client", command)?;
        let stdout = child.process().stdout.take().expect("it was asked for");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Client { child, lines })
    }

    fn say(&mut self, line: &str) -> Result<(), Excuse> {
        let stdin = self
            .child
            .process()
            .stdin
            .as_mut()
            .expect("it was asked for");
        stdin
            .write_all(line.as_bytes())
            .map_err(|error| self.child.fault(&format!("does not listen ({error})")))
    }

    fn report(
        &mut self,
        histogram: &mut Histogram<u64>,
        deadline: Instant,
    ) -> Result<Report, Excuse> {
        let mut report = Report {
            values: 0,
            processor: 0.0,
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                // Its last words, if it has ended.
                let _ = self.child.await_end(Duration::ZERO);
                return Err(self.child.fault("does not report"));
            };
            if line == "end" {
                return Ok(report);
            }
            self.note(&line, histogram, &mut report)
                .ok_or_else(|| self.child.fault(&format!("reports nonsense: {line}")))?;
        }
    }

    fn note(&self, line: &str, histogram: &mut Histogram<u64>, report: &mut Report) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["values", count] => report.values = count.parse().ok()?,
            ["processor", seconds] => report.processor = seconds.parse().ok()?,
            ["latency", low, count] => {
                histogram.saturating_record_n(low.parse().ok()?, count.parse().ok()?);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Compiles the load into the run's directory.
///
/// Without the library's headers: the program declares the six functions that
/// it calls, so that whoever installed corosync needs nothing but a compiler.
fn compile(programs: &Programs, directory: &Path) -> Result<PathBuf, Excuse> {
    let compiler = programs.need("cc", "gcc")?;
    let source = directory.join("cpg.c");
    let program = directory.join("cpg");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&source, PROGRAM))
        .map_err(|error| Excuse::Failed(format!("{}: {error}", source.display())))?;
    let output = Command::new(&compiler)
        .args(["-O2", "-Wall", "-Wextra", "-o"])
        .args([&program, &source])
        .arg("-l:libcpg.so.4")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Excuse::Failed(format!("cc does not start: {error}")))?;
    match output.status.success() {
        true => Ok(program),
        false => Err(Excuse::Absent(format!(
            "the client for corosync cannot be compiled; apt-get install libcpg4 gcc libc6-dev: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

/// A node's configuration.
fn configuration(mtu: usize, state: &Path) -> String {
    let nodes: String = (1..=NODES)
        .map(|node| {
            let address = address(node);
            format!(
                "  node {{\n    name: node{node}\n    nodeid: {node}\n    ring0_addr: {address}\n  }}\n"
            )
        })
        .collect();
    format!(
        "totem {{
  version: 2
  cluster_name: bench
  transport: udp
  crypto_cipher: none
  crypto_hash: none
  netmtu: {mtu}
  window_size: 300
  max_messages: 100
  token: 1000
  interface {{
    mcastaddr: 239.77.0.1
    mcastport: 5405
    ttl: 1
  }}
}}
nodelist {{
{nodes}}}
logging {{
  to_stderr: yes
  to_syslog: no
  to_logfile: no
  logfile_priority: warning
}}
system {{
  sched_rr: no
  move_to_root_cgroup: no
  state_dir: {}
}}
",
        state.display()
    )
}

/// The clock that the clients share, all being on this machine.
fn monotonic() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    Duration::from(time)
}

/// Datagrams dropped for want of buffer space, in the network of a process.
fn drops(id: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/net/snmp")).ok()?;
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let (_, value) = names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "RcvbufErrors")?;
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pace: Pace) -> Load {
        Load {
            bytes: 64,
            clients: 2,
            pace,
            duration: Duration::from_millis(200),
            durable: false,
        }
    }

    #[test]
    fn a_ring_carries_closed_and_open_loops() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut corosync = Corosync::new(Programs::default(), Packets::Ethernet);
        match corosync.prepare(directory.path().to_owned()) {
            Ok(()) => {}
            Err(Excuse::Absent(what)) => {
                eprintln!("{what}");
                assert!(what.contains("apt-get install") || what.contains("namespaces"));
                return;
            }
            Err(excuse) => panic!("{excuse}"),
        }
        assert!(
            corosync.about().contains("Corosync"),
            "{}",
            corosync.about()
        );
        let closed = corosync
            .measure(&load(Pace::Outstanding(16)))
            .expect("a closed loop");
        assert!(closed.values > 0 && !closed.latencies.is_empty());
        assert!(closed.processor.is_some_and(|seconds| seconds > 0.0));

        // Both senders' messages come to all: 2 × 500 a second. No more than were
        // due since the warm-up began can arrive while it is watched.
        let open = corosync
            .measure(&load(Pace::Rate(500.0)))
            .expect("an open loop");
        assert!((1..=501).contains(&open.values), "{} values", open.values);

        let durable = Load {
            durable: true,
            ..load(Pace::Outstanding(1))
        };
        assert!(matches!(corosync.measure(&durable), Err(Excuse::Absent(_))));

        let ids: Vec<u32> = {
            let ring = corosync.ring.as_ref().expect("it runs");
            let clients = ring.clients.iter().map(|client| client.child.id());
            clients.chain(ring.daemons.iter().map(Child::id)).collect()
        };
        drop(corosync);
        for id in ids {
            assert!(!Path::new(&format!("/proc/{id}")).exists(), "{id} lives on");
        }
    }

    #[test]
    fn a_dead_daemon_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut corosync = Corosync::new(Programs::default(), Packets::Jumbo);
        if corosync.prepare(directory.path().to_owned()).is_err() {
            return; // The other test says why.
        }
        let ring = corosync.ring.as_mut().expect("it runs");
        ring.daemons[1].signal(nix::sys::signal::Signal::SIGKILL);
        ring.daemons[1].await_end(PATIENCE).expect("it ends");
        let excuse = corosync
            .measure(&load(Pace::Outstanding(4)))
            .expect_err("no daemon");
        assert!(excuse.to_string().contains("node2 has ended"), "{excuse}");
    }

    #[test]
    fn a_missing_corosync_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut corosync = Corosync::new(Programs::within("/nowhere"), Packets::Jumbo);
        let excuse = corosync
            .prepare(directory.path().to_owned())
            .expect_err("not there");
        assert_eq!(
            excuse.to_string(),
            "skipped: corosync is not installed; apt-get install corosync"
        );
    }
}
