//! One daemon as a child of the test.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What no step of any test should take, on however busy a machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon. It is killed, by its own pid, when the test lets go of it.
pub struct Process {
    name: String,
    child: Child,
    errors: Receiver<String>,
    /// Every line of standard error that was looked at.
    pub seen: Vec<String>,
}

/// Which executable.
pub fn executable(role: &str) -> &'static str {
    match role {
        "client" => env!("CARGO_BIN_EXE_client"),
        "proposer" => env!("CARGO_BIN_EXE_proposer"),
        "acceptor" => env!("CARGO_BIN_EXE_acceptor"),
        "learner" => env!("CARGO_BIN_EXE_learner"),
        "paxcast" => env!("CARGO_BIN_EXE_paxcast"),
        _ => panic!("no executable {role}"),
    }
}

impl Process {
    /// Starts a role; its standard input and output are the test's.
    pub fn start(role: &str, id: u16, conf: &Path, options: &[&str]) -> Process {
        let mut command = Command::new(executable(role));
        command.arg(id.to_string()).arg(conf).args(options);
        Process::spawn(format!("{role} {id}"), command)
    }

    /// The same for a command that becomes a role.
    pub fn spawn(name: String, mut command: Command) -> Process {
        let mut child = command
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, errors) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Process {
            name,
            child,
            errors,
            seen: Vec::new(),
        }
    }

    /// Waits for a line of standard error that contains this.
    pub fn wait_for(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.errors.recv_timeout(deadline - Instant::now()) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(_) => panic!("{} never said `{part}`: {:#?}", self.name, self.seen),
            }
        }
    }

    /// A number from its statistics.
    pub fn fact(&mut self, key: &str) -> u64 {
        self.signal(Signal::SIGUSR1);
        let line = self.wait_for(&format!(" {key}="));
        let value = line.split(&format!(" {key}=")).nth(1).unwrap();
        value.split(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until it is ready.
    pub fn ready(mut self) -> Process {
        let line = self.wait_for("ready ");
        assert!(line.starts_with("ready "), "{line}");
        self
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for the end, and for the rest of standard error.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.errors.recv_timeout(deadline - Instant::now()) {
                Ok(line) => self.seen.push(line),
                // Standard error is closed: it has ended, or is about to.
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} does not end: {:#?}", self.name, self.seen)
                }
            }
        }
    }

    /// Ends it as a user would, and insists on a good end.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}: {:#?}", self.name, self.seen);
    }

    /// Waits for the end and returns the exit status with all of standard error.
    pub fn outcome(mut self) -> (Option<i32>, String) {
        let status = self.wait();
        (status.code(), self.seen.join("\n"))
    }

    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Bytes of memory that are its own right now.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kibibytes: u64 = line
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        kibibytes << 10
    }

    /// Reads standard output in the background until it has this many lines.
    pub fn lines(&mut self, count: usize) -> Lines {
        let stdout = self.stdout();
        let (sender, text) = channel();
        thread::spawn(move || sender.send(read_lines(stdout, count)));
        Lines { text }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines that are being read.
pub struct Lines {
    text: Receiver<Vec<u8>>,
}

impl Lines {
    /// All of them, as the bytes they are.
    pub fn bytes(self) -> Vec<u8> {
        self.text
            .recv_timeout(PATIENCE)
            .expect("the lines never came")
    }
}

fn read_lines(mut stdout: ChildStdout, count: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    let mut lines = 0;
    while lines < count {
        let length = stdout.read(&mut chunk).unwrap();
        if length == 0 {
            break;
        }
        lines += chunk[..length].iter().filter(|b| **b == b'\n').count();
        text.extend_from_slice(&chunk[..length]);
    }
    text
}
