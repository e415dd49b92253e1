//! A load over connections that carry many requests at a time.
//!
//! Some peers are servers: whoever wants a value kept asks for it on a TCP
//! connection and hears when it is. [`drive`] keeps one connection for each
//! sender, each in a thread of this process, and goes about it as the load's
//! pace says; what the bytes mean is a [`Speech`]'s business.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use super::{Excuse, Load, Outcome, Pace, latencies};

/// What is said on a connection, and what is understood of the answers.
pub trait Speech: Send {
    /// Takes on one more request. Requests are numbered from 0.
    fn ask(&mut self);

    /// Adds to the bytes that wait to be sent what may be sent now, until there
    /// are about [`ENOUGH`] of them.
    fn write(&mut self, out: &mut Vec<u8>);

    /// Takes in received bytes and lists the requests that were answered well;
    /// returns how many bytes it has understood. The others come again, with
    /// more behind them.
    ///
    /// # Errors
    ///
    /// When the server refuses, or cannot be understood; says why.
    fn read(&mut self, input: &[u8], answered: &mut Vec<u64>) -> Result<usize, String>;
}

/// So many bytes keep a connection busy.
pub const ENOUGH: usize = 256 << 10;

/// For how long the server finds its pace before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long the last answers may take once the load's time is over.
const PATIENCE: Duration = Duration::from_secs(30);

/// When things happen.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    begin: Instant,
    /// From here on, answers are counted,
    from: Instant,
    /// up to here, when asking ends too.
    until: Instant,
}

/// What one sender counted.
struct Counted {
    values: u64,
    latencies: Histogram<u64>,
    /// Processor time of its thread while it was watched, in seconds.
    processor: f64,
}

/// A port of this machine that nobody uses now.
///
/// # Errors
///
/// When there is none.
pub fn free_port() -> Result<u16, Excuse> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Excuse::Failed(format!("no free port on 127.0.0.1: {error}")))
}

/// Carries a load over these connections, one for each sender, each with at most
/// so many requests under way, whatever the load asks for: past them the server
/// would be overwhelmed, and what is due waits here. `processor` tells the time
/// that the servers have used so far; the senders' is added to it.
///
/// # Errors
///
/// When a connection fails, or a server refuses.
pub fn drive<S: Speech>(
    load: &Load,
    connections: Vec<(TcpStream, S)>,
    most: usize,
    processor: impl Fn() -> Result<f64, Excuse>,
) -> Result<Outcome, Excuse> {
    let begin = Instant::now();
    let from = begin + WARM_UP;
    let until = from + load.duration;
    let schedule = Schedule { begin, from, until };
    thread::scope(|scope| {
        let senders: Vec<_> = connections
            .into_iter()
            .map(|(stream, speech)| {
                scope.spawn(move || Sender::new(stream, speech, load.pace, most, schedule)?.carry())
            })
            .collect();
        thread::sleep(from.saturating_duration_since(Instant::now()));
        let before = processor();
        thread::sleep(until.saturating_duration_since(Instant::now()));
        let after = processor();

        let mut values = 0;
        let mut histogram = latencies();
        let mut used = 0.0;
        for sender in senders {
            let counted = sender.join().expect("a sender does not panic");
            let counted = counted.map_err(Excuse::Failed)?;
            values += counted.values;
            used += counted.processor;
            histogram
                .add(counted.latencies)
                .expect("all have the same bounds");
        }
        Ok(Outcome {
            values,
            seconds: load.duration.as_secs_f64(),
            latencies: histogram,
            processor: Some(after? - before? + used),
            calls: None,
            drops: None,
        })
    })
}

/// One sender on its connection.
struct Sender<S> {
    stream: TcpStream,
    speech: S,
    pace: Pace,
    most: usize,
    schedule: Schedule,
    /// Requests so far.
    asked: u64,
    /// From when the latencies of the requests under way count; the first is of
    /// request `asked - since.len()`. Nothing for those that were answered ahead
    /// of an earlier one.
    since: VecDeque<Option<Instant>>,
    under_way: usize,
    out: Vec<u8>,
    /// What was received and not yet understood,
    input: Vec<u8>,
    /// by way of this block.
    block: Vec<u8>,
    answered: Vec<u64>,
    counted: Counted,
}

impl<S: Speech> Sender<S> {
    fn new(
        stream: TcpStream,
        speech: S,
        pace: Pace,
        most: usize,
        schedule: Schedule,
    ) -> Result<Self, String> {
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_nonblocking(true))
            .map_err(|error| format!("a connection cannot be set up: {error}"))?;
        Ok(Sender {
            stream,
            speech,
            pace,
            most,
            schedule,
            asked: 0,
            since: VecDeque::new(),
            under_way: 0,
            out: Vec::new(),
            input: Vec::new(),
            block: vec![0; ENOUGH],
            answered: Vec::new(),
            counted: Counted {
                values: 0,
                latencies: latencies(),
                processor: 0.0,
            },
        })
    }

    /// Asks until the time is over, and waits for the last answers.
    fn carry(mut self) -> Result<Counted, String> {
        let Schedule { from, until, .. } = self.schedule;
        let mut used = None;
        let mut over = false;
        loop {
            let now = Instant::now();
            if used.is_none() && now >= from {
                used = Some(thread_time());
            }
            if !over && now >= until {
                over = true;
                self.counted.processor = thread_time() - used.unwrap_or_default();
            }
            if over && self.under_way == 0 {
                return Ok(self.counted);
            }
            if now >= until + PATIENCE {
                return Err(format!("{} requests were never answered", self.under_way));
            }
            let mut wake = match () {
                () if now < from => from,
                () if now < until => until,
                () => until + PATIENCE,
            };
            if !over && let Some(due) = self.ask(now) {
                wake = wake.min(due);
            }
            self.send()?;
            self.await_news(wake)?;
            self.receive()?;
        }
    }

    /// Asks what is to be asked now; returns when there will be more, unless
    /// that depends on an answer.
    fn ask(&mut self, now: Instant) -> Option<Instant> {
        match self.pace {
            Pace::Outstanding(asked_for) => {
                while self.under_way < asked_for.min(self.most) {
                    self.ask_one(now);
                }
                None
            }
            Pace::Rate(rate) => {
                while self.under_way < self.most {
                    let due = self.asked as f64 / rate;
                    let due = self.schedule.begin + Duration::from_secs_f64(due);
                    if due > now {
                        return Some(due);
                    }
                    self.ask_one(due);
                }
                None
            }
        }
    }

    fn ask_one(&mut self, since: Instant) {
        self.speech.ask();
        self.since.push_back(Some(since));
        self.asked += 1;
        self.under_way += 1;
    }

    fn send(&mut self) -> Result<(), String> {
        loop {
            if self.out.len() < ENOUGH {
                self.speech.write(&mut self.out);
            }
            if self.out.is_empty() {
                return Ok(());
            }
            match self.stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("a connection broke: {error}")),
            }
        }
    }

    fn await_news(&self, until: Instant) -> Result<(), String> {
        let mut events = PollFlags::POLLIN;
        if !self.out.is_empty() {
            events |= PollFlags::POLLOUT;
        }
        let left = until.saturating_duration_since(Instant::now());
        let mut descriptors = [PollFd::new(self.stream.as_fd(), events)];
        match ppoll(&mut descriptors, Some(TimeSpec::from_duration(left)), None) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(format!("cannot wait for answers: {error}")),
        }
    }

    fn receive(&mut self) -> Result<(), String> {
        let read = match self.stream.read(&mut self.block) {
            Ok(0) => return Err("the server closed a connection".to_owned()),
            Ok(read) => read,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(());
            }
            Err(error) => return Err(format!("a connection broke: {error}")),
        };
        self.input.extend_from_slice(&self.block[..read]);
        let understood = self.speech.read(&self.input, &mut self.answered)?;
        self.input.drain(..understood);
        let now = Instant::now();
        let watched = now >= self.schedule.from && now < self.schedule.until;
        for number in std::mem::take(&mut self.answered) {
            self.note(number, now, watched)?;
        }
        Ok(())
    }

    fn note(&mut self, number: u64, now: Instant, watched: bool) -> Result<(), String> {
        let first = self.asked - self.since.len() as u64;
        let since = number
            .checked_sub(first)
            .and_then(|index| self.since.get_mut(usize::try_from(index).ok()?))
            .and_then(Option::take)
            .ok_or_else(|| format!("request {number} was answered twice, or never asked"))?;
        while self.since.front() == Some(&None) {
            self.since.pop_front();
        }
        self.under_way -= 1;
        if watched {
            self.counted.values += 1;
            let latency = now.saturating_duration_since(since).as_nanos();
            let latency = u64::try_from(latency).unwrap_or(u64::MAX);
            self.counted.latencies.saturating_record(latency);
        }
        Ok(())
    }
}

/// Processor time of this thread so far, in seconds.
fn thread_time() -> f64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(0.0, |time| Duration::from(time).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every request is one byte, its number's last; so is every answer.
    struct Bytes {
        asked: u64,
        written: u64,
    }

    impl Speech for Bytes {
        fn ask(&mut self) {
            self.asked += 1;
        }

        fn write(&mut self, out: &mut Vec<u8>) {
            out.extend((self.written..self.asked).map(|number| number as u8));
            self.written = self.asked;
        }

        fn read(&mut self, input: &[u8], answered: &mut Vec<u64>) -> Result<usize, String> {
            for byte in input {
                // Never 256 under way, so the last byte tells which it is.
                let back = (self.written as u8).wrapping_sub(*byte);
                answered.push(self.written - u64::from(back));
            }
            Ok(input.len())
        }
    }

    /// A server that hands every block that it reads to a function, and sends
    /// what comes back.
    fn serve(mut answer: impl FnMut(&mut Vec<u8>) + Send + 'static) -> TcpStream {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut block = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut block) {
                let mut bytes = block[..read].to_vec();
                answer(&mut bytes);
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        TcpStream::connect(address).expect("a connection")
    }

    fn load(pace: Pace) -> Load {
        Load {
            bytes: 1,
            clients: 1,
            pace,
            duration: Duration::from_millis(100),
            durable: false,
        }
    }

    fn speech() -> Bytes {
        Bytes {
            asked: 0,
            written: 0,
        }
    }

    #[test]
    fn answers_may_come_in_any_order_and_no_more_are_awaited_than_may_be() {
        let mut most = 0;
        let (sender, receiver) = std::sync::mpsc::channel();
        let stream = serve(move |bytes| {
            bytes.reverse();
            most = most.max(bytes.len());
            let _ = sender.send(most);
        });
        let connections = vec![(stream, speech())];
        let outcome = drive(&load(Pace::Outstanding(40)), connections, 16, || Ok(1.0));
        let outcome = outcome.expect("it works");
        assert!(outcome.values > 0);
        assert_eq!(outcome.values, outcome.latencies.len());
        let most = receiver.iter().last().expect("blocks came");
        assert!((1..=16).contains(&most), "{most} at a time");
    }

    #[test]
    fn a_stall_counts_for_all_that_was_due_meanwhile() {
        // Once 700 values have come, which is behind the warm-up at 2,000 a
        // second, the server keeps its answers until 100 more have. The last of
        // them is not due before 50 ms have passed, so, on however fast a
        // machine, the first sixty wait for more than 20.
        let (mut heard, mut kept) = (0, Vec::new());
        let stream = serve(move |bytes| {
            heard += bytes.len();
            if heard >= 700 {
                kept.append(bytes);
                if heard >= 800 {
                    bytes.append(&mut kept);
                }
            }
        });
        let load = Load {
            duration: Duration::from_millis(700),
            ..load(Pace::Rate(2_000.0))
        };
        let outcome = drive(&load, vec![(stream, speech())], 255, || Ok(0.0));
        let outcome = outcome.expect("it works");
        let late = outcome.latencies.count_between(20_000_000, u64::MAX);
        assert!(late >= 59, "{late} of {} waited", outcome.values);
    }

    #[test]
    fn a_server_that_goes_away_is_no_result() {
        let mut blocks = 0;
        let stream = serve(move |_| {
            blocks += 1;
            assert!(blocks < 5, "the server ends here, on purpose");
        });
        let connections = vec![(stream, speech())];
        let outcome = drive(&load(Pace::Outstanding(1)), connections, 64, || Ok(0.0));
        let error = outcome.expect_err("nobody answers").to_string();
        assert!(error.contains("connection"), "{error}");
    }

    #[test]
    fn an_answer_to_nothing_is_noticed() {
        let stream = serve(|bytes| bytes.push(0));
        let connections = vec![(stream, speech())];
        let outcome = drive(&load(Pace::Outstanding(1)), connections, 64, || Ok(0.0));
        assert!(outcome.is_err());
    }
}
