//! Redis: one server, no replication, no order but its own.
//!
//! No equal of paxcast, but what many reach for: it shows what one process that
//! keeps values in memory, or in a file that it syncs before it answers, can do
//! on this machine. SETs are pipelined over TCP on loopback, as clients of a
//! service on a network would send them.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::pipeline::{ENOUGH, Speech, drive, free_port};
use super::programs::{Programs, version};
use super::{Child, Contestant, Excuse, Load, Outcome};

/// The most requests of a sender under way; more only fill buffers.
const MOST_UNDER_WAY: usize = 65_536;

/// Redis as a contestant.
#[derive(Debug)]
pub struct Redis {
    programs: Programs,
    version: String,
    servers: Option<Servers>,
}

/// One for either kind of load.
#[derive(Debug)]
struct Servers {
    volatile: Server,
    durable: Server,
}

/// A redis-server.
#[derive(Debug)]
pub(super) struct Server {
    /// Its process.
    pub child: Child,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

/// Settings of a server that keeps nothing.
pub(super) const VOLATILE: &[&str] = &["--appendonly", "no"];

/// Settings of one that has synced a command before it answers.
pub(super) const DURABLE: &[&str] = &[
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--auto-aof-rewrite-percentage",
    "0",
];

impl Redis {
    /// Of the program found there.
    pub fn new(programs: Programs) -> Redis {
        Redis {
            programs,
            version: String::new(),
            servers: None,
        }
    }
}

impl Contestant for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn about(&self) -> String {
        format!(
            "{}, one process, pipelined SETs over TCP on loopback; volatile: no snapshots, no \
             log; durable: appendonly yes, appendfsync always, no rewriting",
            self.version
        )
    }

    fn prepare(&mut self, directory: PathBuf) -> Result<(), Excuse> {
        let program = self.programs.need("redis-server", "redis-server")?;
        self.version = version(&program, "--version")?;
        let start = |name: &str, settings: &[&str]| {
            let directory = directory.join(name);
            Server::start(&program, &directory, settings)
        };
        self.servers = Some(Servers {
            volatile: start("volatile", VOLATILE)?,
            durable: start("durable", DURABLE)?,
        });
        Ok(())
    }

    fn most_under_way(&self, _: &Load) -> usize {
        MOST_UNDER_WAY
    }

    fn measure(&mut self, load: &Load) -> Result<Outcome, Excuse> {
        let Some(servers) = &self.servers else {
            return Err(Excuse::Failed("redis is not running".to_owned()));
        };
        let server = match load.durable {
            true => &servers.durable,
            false => &servers.volatile,
        };
        let connections = (0..load.clients)
            .map(|client| {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))
                    .map_err(|error| server.child.fault(&format!("does not answer ({error})")))?;
                Ok((stream, Sets::new(client, load.bytes)))
            })
            .collect::<Result<_, Excuse>>()?;
        drive(load, connections, self.most_under_way(load), || {
            server.child.processor()
        })
    }
}

impl Server {
    /// Starts one on a port of its own, with its data in a directory.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(program: &Path, directory: &Path, settings: &[&str]) -> Result<Server, Excuse> {
        // Between drawing a port and taking it, somebody else may take it.
        const ATTEMPTS: usize = 3;
        std::fs::create_dir_all(directory)
            .map_err(|error| Excuse::Failed(format!("{}: {error}", directory.display())))?;
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            let mut command = Command::new(program);
            command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--hz", "1", "--daemonize", "no"])
                .args(["--logfile", "/dev/stderr", "--dir"])
                .arg(directory)
                .args(settings)
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            let mut child = Child::start("redis-server", &mut command)?;
            match child.await_line("Ready to accept connections") {
                Ok(_) => return Ok(Server { child, port }),
                Err(excuse) if attempt == ATTEMPTS => return Err(excuse),
                Err(_) => attempt += 1,
            }
        }
    }
}

/// SETs of one client, of so many keys in turn.
pub(super) struct Sets {
    client: usize,
    value: Vec<u8>,
    keys: u64,
    asked: u64,
    written: u64,
    answered: u64,
}

impl Sets {
    /// Of a client, with values of so many bytes.
    pub fn new(client: usize, bytes: usize) -> Sets {
        Sets {
            client,
            value: vec![b'x'; bytes],
            keys: keys(bytes),
            asked: 0,
            written: 0,
            answered: 0,
        }
    }
}

/// How many keys a client uses in turn: many, but not more than some tens of
/// megabytes' worth, whatever the size of a value.
pub fn keys(bytes: usize) -> u64 {
    const WORTH: u64 = 64 << 20;
    (WORTH / (bytes as u64).max(1)).clamp(16, 100_000)
}

impl Speech for Sets {
    fn ask(&mut self) {
        self.asked += 1;
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        while self.written < self.asked && out.len() < ENOUGH {
            let key = format!("{}:{}", self.client, self.written % self.keys);
            let (length, size) = (key.len(), self.value.len());
            out.extend_from_slice(
                format!("*3\r\n$3\r\nSET\r\n${length}\r\n{key}\r\n${size}\r\n").as_bytes(),
            );
            out.extend_from_slice(&self.value);
            out.extend_from_slice(b"\r\n");
            self.written += 1;
        }
    }

    fn read(&mut self, input: &[u8], answered: &mut Vec<u64>) -> Result<usize, String> {
        const GOOD: &[u8] = b"+OK\r\n";
        let mut understood = 0;
        loop {
            let rest = &input[understood..];
            if rest.starts_with(GOOD) {
                answered.push(self.answered);
                self.answered += 1;
                understood += GOOD.len();
            } else if let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
                let said = String::from_utf8_lossy(&rest[..end]);
                return Err(format!("the server refuses a SET: {said}"));
            } else {
                return Ok(understood);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Pace;
    use super::*;

    fn load(pace: Pace, durable: bool) -> Load {
        Load {
            bytes: 64,
            clients: 2,
            pace,
            duration: Duration::from_millis(200),
            durable,
        }
    }

    #[test]
    fn a_server_carries_both_kinds_of_loads() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut redis = Redis::new(Programs::default());
        match redis.prepare(directory.path().to_owned()) {
            Ok(()) => {}
            Err(Excuse::Absent(what)) => {
                assert_eq!(
                    what,
                    "redis-server is not installed; apt-get install redis-server"
                );
                return;
            }
            Err(excuse) => panic!("{excuse}"),
        }
        assert!(redis.about().contains("Redis server v="));
        for durable in [false, true] {
            for pace in [Pace::Outstanding(16), Pace::Rate(500.0)] {
                let outcome = redis.measure(&load(pace, durable)).expect("it works");
                assert!(outcome.values > 0, "{pace:?}, durable: {durable}");
                assert!(outcome.processor.is_some());
            }
        }
        // What was to be on the disk is there.
        let log = directory.path().join("durable/appendonlydir");
        let bytes: u64 = std::fs::read_dir(log)
            .expect("a log")
            .map(|entry| entry.expect("an entry").metadata().expect("a size").len())
            .sum();
        assert!(bytes > 64, "{bytes} bytes");
        assert!(!directory.path().join("volatile/appendonlydir").exists());
    }

    #[test]
    fn a_missing_redis_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut redis = Redis::new(Programs::within("/nowhere"));
        let excuse = redis.prepare(directory.path().to_owned());
        assert_eq!(
            excuse.expect_err("not there").to_string(),
            "skipped: redis-server is not installed; apt-get install redis-server"
        );
    }

    #[test]
    fn answers_are_understood_in_pieces() {
        let mut sets = Sets::new(0, 1);
        let mut answered = Vec::new();
        assert_eq!(sets.read(b"+OK\r\n+O", &mut answered), Ok(5));
        assert_eq!(sets.read(b"+OK\r\n+OK\r\n", &mut answered), Ok(10));
        assert_eq!(answered, [0, 1, 2]);
        assert_eq!(sets.read(b"-OOM command", &mut answered), Ok(0));
        let refused = sets.read(b"-OOM command not allowed\r\n", &mut answered);
        assert!(refused.is_err_and(|error| error.contains("OOM command not allowed")));
    }

    #[test]
    fn requests_are_whole_and_keys_come_again() {
        let mut sets = Sets::new(7, 3);
        sets.keys = 2;
        let mut out = Vec::new();
        (0..3).for_each(|_| sets.ask());
        sets.write(&mut out);
        let expected: String = ["7:0", "7:1", "7:0"]
            .iter()
            .map(|key| format!("*3\r\n$3\r\nSET\r\n$3\r\n{key}\r\n$3\r\nxxx\r\n"))
            .collect();
        assert_eq!(String::from_utf8(out), Ok(expected));
    }
}
