//! One server as a child of the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What no step of any test should take, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server. It is killed, by its own pid, when the test lets go of it.
pub struct Server {
    child: Child,
    errors: BufReader<ChildStderr>,
    pub address: SocketAddr,
}

impl Server {
    /// Starts one that is alone, on a port of its own.
    pub fn start(options: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paxcast"));
        command.args(["kv", "--single"]).args(options);
        Server::run(command, "mode=single ")
    }

    /// Starts a replica, on a port of its own.
    pub fn replica(id: u16, conf: &Path, options: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paxcast"));
        command.args(["kv", &id.to_string()]).arg(conf);
        command.args(options);
        Server::run(command, "mode=replica ")
    }

    fn run(mut command: Command, mode: &str) -> Server {
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the executable runs");
        let mut errors = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut seen = String::new();
        let address = loop {
            let mut line = String::new();
            let count = errors.read_line(&mut line).expect("its words can be read");
            assert!(count > 0, "it ended before it was ready: {seen}");
            if let Some(rest) = line.strip_prefix("ready role=kv ") {
                assert!(rest.starts_with(mode), "{line}");
                let address = rest
                    .split_whitespace()
                    .find_map(|word| word.strip_prefix("address="));
                break address.expect("it says where").parse().expect("an address");
            }
            seen += &line;
        };
        Server {
            child,
            errors,
            address,
        }
    }

    pub fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// A connection whose every step is bounded.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
        stream.set_write_timeout(Some(PATIENCE)).expect("a bound");
        stream
    }

    /// Sends, and insists on this reply.
    pub fn expect(&self, stream: &mut TcpStream, request: &[u8], reply: &str) {
        stream.write_all(request).expect("it takes requests");
        let mut heard = vec![0; reply.len()];
        stream.read_exact(&mut heard).expect("a reply");
        assert_eq!(String::from_utf8_lossy(&heard), reply);
    }

    /// It is there and works.
    pub fn is_well(&self) {
        let mut stream = self.connect();
        self.expect(&mut stream, b"SET well yes\r\n", "+OK\r\n");
        self.expect(&mut stream, b"GETDEL well\r\n", "$3\r\nyes\r\n");
    }

    /// The most bytes of memory that it ever had.
    pub fn peak(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).expect("it lives");
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let words = line.expect("a line").split_whitespace();
        let kibibytes: Option<u64> = words.skip(1).find_map(|word| word.parse().ok());
        kibibytes.expect("a number") << 10
    }

    /// Lets it have only so many descriptors from now on.
    pub fn limit_descriptors(&self, most: u32) {
        let status = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string()])
            .arg(format!("--nofile={most}"))
            .status();
        assert!(status.expect("prlimit, of util-linux, runs").success());
    }

    /// Ends it as a user would, insists on a good end, and gives what it said.
    pub fn stop(mut self, signal: Signal) -> String {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it lives");
        let mut said = String::new();
        self.errors
            .read_to_string(&mut said)
            .expect("its words can be read");
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{said}");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
