//! Etcd: three members, Raft over TCP, every put on the disks of two before it
//! is answered.
//!
//! What most reach for who need agreement. Its members run on loopback, on ports
//! drawn when they start, with their data in the run's directory. They are
//! loaded with puts over HTTP/2 ([`http2`]), on one connection for each sender,
//! to the leader, which saves the followers the forwarding.
//!
//! It can do nothing but durable: asked for a volatile load, it carries the same.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::pipeline::{drive, free_port};
use super::programs::{Programs, version};
use super::redis::keys;
use super::{Child, Contestant, Excuse, Load, Outcome};

mod http2;

use http2::Puts;

/// Members of the cluster.
const MEMBERS: usize = 3;

/// The largest value that etcd takes with its own limit on requests, 1.5 MiB.
const MOST_BYTES: usize = 1_500_000;

/// The most puts under way: with twice as many, etcd refuses some.
const MOST_UNDER_WAY: usize = 2048;

/// The most bytes of values under way; with more, its members lose sight of
/// each other and elect instead of working.
const MOST_BYTES_UNDER_WAY: usize = 8 << 20;

/// Settings that keep it from doing anything else meanwhile: it takes no
/// snapshot within a run, its space does not run out, and it counts and says
/// little.
const SETTINGS: [&str; 4] = [
    "--snapshot-count=100000000",
    "--quota-backend-bytes=8589934592",
    "--enable-v2=false",
    "--metrics=basic",
];

/// Etcd as a contestant.
#[derive(Debug)]
pub struct Etcd {
    programs: Programs,
    version: String,
    members: Vec<Member>,
}

/// A member that runs.
#[derive(Debug)]
struct Member {
    child: Child,
    /// Where clients find it.
    port: u16,
}

impl Etcd {
    /// Of the program found there.
    pub fn new(programs: Programs) -> Etcd {
        Etcd {
            programs,
            version: String::new(),
            members: Vec::new(),
        }
    }

    /// The member that leads now.
    fn leader(&self) -> Result<&Member, Excuse> {
        for member in &self.members {
            let metrics = metrics(member.port)
                .map_err(|error| member.child.fault(&format!("does not answer ({error})")))?;
            if metrics
                .lines()
                .any(|line| line == "etcd_server_is_leader 1")
            {
                return Ok(member);
            }
        }
        Err(Excuse::Failed("etcd has no leader".to_owned()))
    }
}

impl Contestant for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn about(&self) -> String {
        format!(
            "{}, {MEMBERS} members on loopback, always durable, puts to the leader over HTTP/2, of all \
             senders at most {MOST_UNDER_WAY} and {} MiB under way; {}",
            self.version,
            MOST_BYTES_UNDER_WAY >> 20,
            SETTINGS.join(" ")
        )
    }

    fn prepare(&mut self, directory: PathBuf) -> Result<(), Excuse> {
        let program = self.programs.need("etcd", "etcd-server")?;
        self.version = version(&program, "--version")?.replace("etcd Version:", "etcd");
        // Between drawing a port and taking it, somebody else may take it.
        const ATTEMPTS: usize = 3;
        let mut attempt = 1;
        loop {
            let directory = directory.join(format!("attempt{attempt}"));
            match start(&program, &directory) {
                Ok(members) => {
                    self.members = members;
                    return Ok(());
                }
                Err(excuse) if attempt == ATTEMPTS => return Err(excuse),
                Err(_) => attempt += 1,
            }
        }
    }

    fn most_under_way(&self, load: &Load) -> usize {
        let all = MOST_UNDER_WAY.min(MOST_BYTES_UNDER_WAY / load.bytes.max(1));
        (all / load.clients.max(1)).max(1)
    }

    fn measure(&mut self, load: &Load) -> Result<Outcome, Excuse> {
        if load.bytes > MOST_BYTES {
            return Err(Excuse::Absent(format!(
                "etcd takes values of at most {MOST_BYTES} bytes, not of {}",
                load.bytes
            )));
        }
        let leader = self.leader()?;
        let authority = format!("127.0.0.1:{}", leader.port);
        let connections = (0..load.clients)
            .map(|client| {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, leader.port))
                    .map_err(|error| leader.child.fault(&format!("does not answer ({error})")))?;
                let puts = Puts::new(&authority, client, keys(load.bytes), load.bytes);
                Ok((stream, puts))
            })
            .collect::<Result<_, Excuse>>()?;
        drive(load, connections, self.most_under_way(load), || {
            self.members.iter().map(|one| one.child.processor()).sum()
        })
    }
}

/// Starts all members, and waits until they serve.
fn start(program: &Path, directory: &Path) -> Result<Vec<Member>, Excuse> {
    let ports = (0..MEMBERS)
        .map(|_| Ok((free_port()?, free_port()?)))
        .collect::<Result<Vec<_>, Excuse>>()?;
    let cluster: Vec<String> = ports
        .iter()
        .enumerate()
        .map(|(index, (_, peer))| format!("member{index}=http://127.0.0.1:{peer}"))
        .collect();
    let mut members = Vec::new();
    for (index, (port, peer)) in ports.into_iter().enumerate() {
        let name = format!("member{index}");
        let (url, peer_url) = (
            format!("http://127.0.0.1:{port}"),
            format!("http://127.0.0.1:{peer}"),
        );
        let mut command = Command::new(program);
        command
            .args(["--name", &name, "--data-dir"])
            .arg(directory.join(&name))
            .args([
                "--listen-client-urls",
                &url,
                "--advertise-client-urls",
                &url,
            ])
            .args(["--listen-peer-urls", &peer_url])
            .args(["--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &cluster.join(",")])
            .args(["--initial-cluster-state", "new"])
            .args(["--logger", "zap", "--log-outputs", "stderr"])
            .args(SETTINGS)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = Child::start(&format!("etcd's {name}"), &mut command)?;
        members.push(Member { child, port });
    }
    for member in &mut members {
        // Said once it has a leader and a cluster to belong to.
        member.child.await_line("serving client traffic")?;
    }
    Ok(members)
}

/// What a member tells of itself, over HTTP.
fn metrics(port: u16) -> std::io::Result<String> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::Pace;
    use super::*;

    fn load(bytes: usize, pace: Pace) -> Load {
        Load {
            bytes,
            clients: 2,
            pace,
            // Three servers sync large values, beside whatever else the machine does.
            duration: Duration::from_secs(2),
            durable: true,
        }
    }

    #[test]
    fn a_cluster_carries_closed_and_open_loops() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut etcd = Etcd::new(Programs::default());
        match etcd.prepare(directory.path().to_owned()) {
            Ok(()) => {}
            Err(Excuse::Absent(what)) => {
                assert_eq!(what, "etcd is not installed; apt-get install etcd-server");
                return;
            }
            Err(excuse) => panic!("{excuse}"),
        }
        assert!(etcd.about().contains("etcd 3."), "{}", etcd.about());
        // Small and large ones: these wait for the server's windows.
        for bytes in [64, 200_000] {
            for pace in [Pace::Outstanding(16), Pace::Rate(50.0)] {
                let outcome = etcd.measure(&load(bytes, pace)).expect("it works");
                assert!(outcome.values > 0, "{bytes} bytes, {pace:?}");
                assert_eq!(outcome.values, outcome.latencies.len());
                assert!(outcome.processor.is_some());
            }
        }
        // It has counted them itself.
        let counted = |port| {
            let metrics = metrics(port).expect("metrics");
            let line = metrics
                .lines()
                .find_map(|line| line.strip_prefix("etcd_debugging_mvcc_put_total "));
            line.and_then(|count| count.parse::<f64>().ok())
        };
        let port = etcd.leader().expect("a leader").port;
        assert!(counted(port).is_some_and(|count| count >= 16.0));
    }

    #[test]
    fn a_value_that_it_refuses_is_told_with_the_reason() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut etcd = Etcd::new(Programs::default());
        if etcd.prepare(directory.path().to_owned()).is_err() {
            return; // The other test says why.
        }
        let large = etcd.measure(&load(MOST_BYTES + 1, Pace::Outstanding(1)));
        assert!(matches!(large, Err(Excuse::Absent(_))), "{large:?}");
        // Past our own limit, the server's answer comes through.
        let leader = etcd.leader().expect("a leader");
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, leader.port)).expect("it listens");
        let puts = Puts::new("127.0.0.1", 0, 1, 1_600_000);
        let load = load(1_600_000, Pace::Outstanding(1));
        let refused = drive(&load, vec![(stream, puts)], 1, || Ok(0.0));
        let error = refused.expect_err("too large").to_string();
        assert!(
            error.contains("etcd refuses a put: grpc-status 3"),
            "{error}"
        );
    }

    #[test]
    fn a_load_is_told_as_it_is_carried() {
        let etcd = Etcd::new(Programs::default());
        let told = |load: Load| load.within(etcd.most_under_way(&load)).describe();
        let deep = load(64, Pace::Outstanding(4096));
        assert_eq!(told(deep), "64 B durable, 2 × 1024 under way");
        let large = load(64 << 10, Pace::Outstanding(4096));
        assert_eq!(told(large), "64 KiB durable, 2 × 64 under way");
        for as_asked in [
            load(64, Pace::Outstanding(16)),
            load(64, Pace::Rate(5_000.0)),
        ] {
            assert_eq!(told(as_asked), as_asked.describe());
        }
    }

    #[test]
    fn a_missing_etcd_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut etcd = Etcd::new(Programs::within("/nowhere"));
        let excuse = etcd.prepare(directory.path().to_owned());
        assert_eq!(
            excuse.expect_err("not there").to_string(),
            "skipped: etcd is not installed; apt-get install etcd-server"
        );
    }
}
