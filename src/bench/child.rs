//! Processes that a benchmark starts, and their certain end.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::Excuse;

/// Processes that run now; whoever ends this one ends them first.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Lets SIGINT and SIGTERM end the children ahead of this process, and remove
/// this directory of theirs. To be called before any thread is started, which
/// would inherit the signals unblocked.
///
/// # Errors
///
/// When the kernel refuses, which it has no reason to.
pub fn end_children_on_signals(directory: PathBuf) -> io::Result<()> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let signal = set.wait().map_or(1, |signal| signal as i32);
            // Held to the end: no other child is started meanwhile.
            let running = running();
            for &pid in running.iter() {
                // It may have ended meanwhile.
                let _ = kill(pid, Signal::SIGKILL);
            }
            // A process that is being killed may still be writing.
            for _ in 0..100 {
                match fs::remove_dir_all(&directory) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        thread::sleep(Duration::from_millis(10));
                    }
                    _ => break,
                }
            }
            process::exit(128 + signal);
        })?;
    Ok(())
}

fn running() -> MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process of a benchmark. It is killed, by its own pid, when it is dropped.
#[derive(Debug)]
pub struct Child {
    name: String,
    child: process::Child,
    lines: Receiver<String>,
    /// The last lines that it said.
    seen: Vec<String>,
}

/// What no step of starting or ending should take, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(30);

impl Child {
    /// Starts a command whose standard error, line by line, can be waited for;
    /// its standard input and output are the caller's choice.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Child, Excuse> {
        command.stderr(Stdio::piped());
        // The children must not inherit the blocked signals; a process that was
        // killed between the two lines is not started.
        let mut running = running();
        let mut child = command
            .spawn()
            .map_err(|error| Excuse::Failed(format!("{name} does not start: {error}")))?;
        running.push(pid(&child));
        drop(running);
        let stderr = child.stderr.take().expect("it was asked for");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Child {
            name: name.to_owned(),
            child,
            lines,
            seen: Vec::new(),
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process itself, for its standard input and output.
    pub fn process(&mut self) -> &mut process::Child {
        &mut self.child
    }

    /// Waits for a line of standard error that contains this, and returns it.
    ///
    /// # Errors
    ///
    /// When it ends or a long time passes without; with the last it said.
    pub fn await_line(&mut self, part: &str) -> Result<String, Excuse> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.note(line.clone());
                    if line.contains(part) {
                        return Ok(line);
                    }
                }
                Err(_) => return Err(self.fault(&format!("never said `{part}`"))),
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // One that has ended is noticed when it is waited for.
        let _ = kill(pid(&self.child), signal);
    }

    /// Waits for its end; returns its exit status and all lines of standard
    /// error that nobody waited for.
    ///
    /// # Errors
    ///
    /// When it does not end for a long time.
    pub fn await_end(&mut self, patience: Duration) -> Result<(ExitStatus, Vec<String>), Excuse> {
        let deadline = Instant::now() + patience;
        let mut rest = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.note(line.clone());
                    rest.push(line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(self.fault("does not end")),
            }
        }
        let status = self
            .child
            .wait()
            .map_err(|error| Excuse::Failed(format!("{}: {error}", self.name)))?;
        Ok((status, rest))
    }

    /// Asks it to end and waits for it; its last lines of standard error.
    ///
    /// # Errors
    ///
    /// When it does not end, or not well.
    pub fn stop(&mut self) -> Result<Vec<String>, Excuse> {
        self.signal(Signal::SIGTERM);
        let (status, rest) = self.await_end(PATIENCE)?;
        match status.success() {
            true => Ok(rest),
            false => Err(self.fault(&format!("ended with {status}"))),
        }
    }

    /// Processor time that it has used so far, in seconds.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn processor(&self) -> Result<f64, Excuse> {
        processor(self.id()).ok_or_else(|| self.fault("has ended"))
    }

    fn note(&mut self, line: String) {
        const KEPT: usize = 5;
        if self.seen.len() == KEPT {
            self.seen.remove(0);
        }
        self.seen.push(line);
    }

    /// What is wrong with it, with the last it said.
    pub fn fault(&self, what: &str) -> Excuse {
        let last = match self.seen.last() {
            Some(line) => format!("; the last it said: {line}"),
            None => String::new(),
        };
        Excuse::Failed(format!("{} {what}{last}", self.name))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let pid = pid(&self.child);
        // Killing one that has ended, and was waited for, does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
        running().retain(|other| *other != pid);
    }
}

fn pid(child: &process::Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids are small"))
}

/// Seconds of processor time that a process has used, from `/proc`.
pub fn processor(id: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in brackets, may hold anything; the fields behind it do not.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let rate = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some(ticks as f64 / rate as f64)
}
