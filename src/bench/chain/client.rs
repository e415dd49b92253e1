//! The chain's client: keeps values under way and measures how long each takes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use serde::{Deserialize, Serialize};

use super::datagram::{Head, Kind, Progress};
use super::part::{Meeting, Part, Role};
use super::socket::{PATIENCE, ROOM, Wire};
use super::tally::Tally;
use crate::bench::latencies;

/// What a client sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sending {
    /// Bytes of a value.
    pub bytes: usize,
    /// How values go into datagrams.
    pub packing: Packing,
    /// The most under way at a time.
    pub outstanding: usize,
    /// Values a second, where the pace is a given one.
    pub rate: Option<f64>,
    /// Clients that share the receivers' buffers.
    pub clients: usize,
}

/// How values go into datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packing {
    /// As many as fit a datagram of so many bytes.
    Datagrams(usize),
    /// One each, of whatever size that makes.
    Single,
}

/// What a client says at its end.
#[derive(Debug, Serialize, Deserialize)]
pub struct Result {
    /// Values that were sent and never acknowledged.
    pub lost: u64,
    /// Datagrams that the kernel dropped.
    pub drops: u32,
    /// Nanoseconds, and how often.
    pub latencies: Vec<(u64, u64)>,
}

/// How values of one size become datagrams of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    /// Bytes of a datagram that is full.
    size: usize,
    /// Values in it.
    each: usize,
    /// Datagrams of a value that does not fit one.
    pieces: usize,
}

impl Cut {
    fn new(bytes: usize, packing: Packing) -> Cut {
        let bytes = bytes.max(1);
        let room = match packing {
            Packing::Datagrams(most) => most.min(super::socket::MOST) - Head::SIZE,
            Packing::Single => bytes.min(super::socket::MOST - Head::SIZE),
        };
        let each = (room / bytes).max(1);
        let pieces = bytes.div_ceil(room);
        Cut {
            size: Head::SIZE + (each * bytes).div_ceil(pieces),
            each,
            pieces,
        }
    }
}

/// Sends, listens and counts until told to end; then says what came of it.
pub fn run(part: &Part) -> io::Result<()> {
    let sending = part.sending.as_ref();
    let sending = sending.ok_or_else(|| io::Error::other("a client is told what to send"))?;
    let mut client = Client::open(part, sending)?;
    eprintln!("ready");
    while client.begun.is_none() {
        client.listen(None)?;
    }
    while !client.ending {
        client.send()?;
        client.wait()?;
    }
    let mut last = Instant::now();
    while client.acknowledged < client.sent && last.elapsed() < PATIENCE {
        let before = client.acknowledged;
        client.listen(Some(PATIENCE))?;
        if client.acknowledged > before {
            last = Instant::now();
        }
    }
    let result = Result {
        lost: client.sent - client.acknowledged,
        drops: client.wire.drops(),
        latencies: client
            .latencies
            .iter_recorded()
            .map(|at| (at.value_iterated_to(), at.count_at_value()))
            .collect(),
    };
    println!("{}", serde_json::to_string(&result)?);
    Ok(())
}

/// A sender of values.
struct Client {
    meeting: Meeting,
    id: u16,
    wire: Wire,
    room: Vec<u8>,
    /// What is sent: heads are written into it, the rest stays as it is.
    train: Vec<u8>,
    cut: Cut,
    /// Bytes of a value.
    bytes: usize,
    outstanding: usize,
    pace: Option<Pace>,
    /// What we may fill of the receivers' buffers.
    share: usize,
    sent: u64,
    acknowledged: u64,
    /// How far each learner has heard everybody out.
    settled: Vec<u64>,
    /// Sent and not acknowledged: through which value, and when.
    waiting: VecDeque<(u64, Instant)>,
    /// Sent and not settled: through which value, and what it may occupy.
    occupying: VecDeque<(u64, usize)>,
    occupied: usize,
    latencies: Histogram<u64>,
    begun: Option<Instant>,
    ending: bool,
}

/// A given pace, and the timer that keeps it.
struct Pace {
    interval: f64,
    timer: TimerFd,
}

impl Client {
    fn open(part: &Part, sending: &Sending) -> io::Result<Client> {
        let wire = part.meeting.open(Role::Client)?;
        let share = Tally::room(wire.buffer()?) / sending.clients.max(1);
        let pace = sending.rate.map(|rate| -> io::Result<Pace> {
            Ok(Pace {
                interval: 1.0 / rate,
                timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?,
            })
        });
        Ok(Client {
            meeting: part.meeting,
            id: part.id,
            wire,
            room: vec![0; ROOM],
            train: Vec::new(),
            cut: Cut::new(sending.bytes, sending.packing),
            bytes: sending.bytes.max(1),
            outstanding: sending.outstanding,
            pace: pace.transpose()?,
            share,
            sent: 0,
            acknowledged: 0,
            settled: vec![0; Meeting::LEARNERS.into()],
            waiting: VecDeque::new(),
            occupying: VecDeque::new(),
            occupied: 0,
            latencies: latencies(),
            begun: None,
            ending: false,
        })
    }

    /// When a value, counted from 0, is due at the given pace.
    fn due(&self, index: u64) -> Option<Instant> {
        let pace = self.pace.as_ref()?;
        let after = Duration::from_secs_f64(index as f64 * pace.interval);
        Some(self.begun? + after)
    }

    /// Values that may leave now.
    fn room(&self) -> usize {
        let under_way = usize::try_from(self.sent - self.acknowledged).unwrap_or(usize::MAX);
        let free = self.outstanding.saturating_sub(under_way);
        let Some(pace) = &self.pace else {
            return free;
        };
        let elapsed = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        let due = (elapsed.as_secs_f64() / pace.interval) as u64 + 1;
        free.min(usize::try_from(due.saturating_sub(self.sent)).unwrap_or(usize::MAX))
    }

    /// Sends what may be sent. At its own pace it waits until that is worth a
    /// call: many small trains would carry less.
    fn send(&mut self) -> io::Result<()> {
        let Cut { size, each, pieces } = self.cut;
        let most = (each * self.wire.longest_train(size) / pieces).max(1);
        let worth = match self.pace {
            Some(_) => 1,
            None => most.min(self.outstanding / 4).max(1),
        };
        loop {
            let values = self.room().min(most);
            if values < worth || (self.occupied > 0 && self.occupied >= self.share) {
                return Ok(());
            }
            let now = Instant::now();
            let length = self.fill(values);
            let group = self.meeting.group(Role::Proposer);
            self.wire.send(&self.train[..length], size, group)?;
            let cost = Wire::cost(length);
            self.occupied += cost;
            self.occupying.push_back((self.sent, cost));
            self.waiting.push_back((self.sent, now));
        }
    }

    /// Makes a train of so many values; its length.
    fn fill(&mut self, values: usize) -> usize {
        let Cut { size, each, pieces } = self.cut;
        let head = Head {
            client: self.id,
            ..self.meeting.head(Kind::Values)
        };
        let count = values.div_ceil(each) * pieces;
        if self.train.len() < count * size {
            self.train.resize(count * size, 0x2a);
        }
        let before = self.sent;
        self.sent += values as u64;
        for (index, datagram) in self.train.chunks_mut(size).take(count).enumerate() {
            let complete = values.min((index + 1) * each / pieces) as u64;
            let through = before + complete;
            Head { through, ..head }.write(datagram);
        }
        match (pieces, values % each) {
            (1, rest) if rest > 0 => (count - 1) * size + Head::SIZE + rest * self.bytes,
            _ => count * size,
        }
    }

    /// Sleeps until something was heard or the next value is due.
    fn wait(&mut self) -> io::Result<()> {
        let (Some(due), Some(pace)) = (self.due(self.sent), &self.pace) else {
            return self.listen(None);
        };
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            pace.timer.set(
                Expiration::OneShot(TimeSpec::from_duration(left)),
                TimerSetTimeFlags::empty(),
            )?;
            let mut both = [
                PollFd::new(self.wire.as_fd(), PollFlags::POLLIN),
                PollFd::new(pace.timer.as_fd(), PollFlags::POLLIN),
            ];
            interruptible(poll(&mut both, PollTimeout::NONE))?;
        } else if self.room() == 0 || self.occupied >= self.share {
            let mut one = [PollFd::new(self.wire.as_fd(), PollFlags::POLLIN)];
            interruptible(poll(&mut one, PollTimeout::NONE))?;
        }
        self.take_all(false)
    }

    /// Waits for something, for at most so long, and takes in all there is.
    fn listen(&mut self, patience: Option<Duration>) -> io::Result<()> {
        if let Some(patience) = patience {
            let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
            let mut one = [PollFd::new(self.wire.as_fd(), PollFlags::POLLIN)];
            interruptible(poll(&mut one, patience))?;
        }
        self.take_all(patience.is_none())
    }

    /// Takes in all there is, waiting for the first if told so.
    fn take_all(&mut self, mut wait: bool) -> io::Result<()> {
        while let Some(train) = self.wire.receive(&mut self.room, wait)? {
            wait = false;
            let datagram = &self.room[..train.length];
            let Some(head) = Head::read(self.meeting.token, datagram) else {
                continue;
            };
            match head.kind {
                Kind::Begin => self.begun = Some(Instant::now()),
                Kind::Count => self.latencies.reset(),
                Kind::End => self.ending = true,
                Kind::Delivered => {
                    let mine = |progress: &Progress| progress.client == self.id;
                    let told = Progress::all(datagram).find(mine);
                    if let Some(progress) = told {
                        self.hear(head.via, &progress);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A learner says how far it is.
    fn hear(&mut self, learner: u8, progress: &Progress) {
        let now = Instant::now();
        if progress.delivered > self.acknowledged {
            self.record(now, progress.delivered);
        }
        if let Some(settled) = self.settled.get_mut(usize::from(learner).wrapping_sub(1)) {
            *settled = progress.settled.max(*settled);
        }
        let settled = self.settled.iter().copied().min().unwrap_or(0);
        while let Some((through, cost)) = self.occupying.front() {
            if *through > settled {
                break;
            }
            self.occupied -= cost;
            self.occupying.pop_front();
        }
    }

    /// Notes how long each value took through `delivered`.
    fn record(&mut self, now: Instant, delivered: u64) {
        let nanoseconds = |since: Instant| {
            let passed = now.saturating_duration_since(since);
            u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
        };
        if self.pace.is_some() {
            for index in self.acknowledged..delivered {
                let due = self.due(index).unwrap_or(now);
                self.latencies.saturating_record(nanoseconds(due));
            }
            self.acknowledged = delivered;
        }
        while let Some((through, at)) = self.waiting.front().copied() {
            if self.pace.is_none() {
                let count = through.min(delivered).saturating_sub(self.acknowledged);
                if count > 0 {
                    self.latencies.saturating_record_n(nanoseconds(at), count);
                }
                self.acknowledged += count;
            }
            if through > delivered {
                break;
            }
            self.waiting.pop_front();
        }
    }
}

/// A wait that a signal cut short is as good as one that ended.
fn interruptible(waited: nix::Result<i32>) -> io::Result<()> {
    match waited {
        Err(nix::errno::Errno::EINTR) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_packed_or_cut_to_fit() {
        let cut = |bytes, packing| Cut::new(bytes, packing);
        let of = |size, each, pieces| Cut { size, each, pieces };
        assert_eq!(cut(64, Packing::Single), of(88, 1, 1));
        assert_eq!(cut(64, Packing::Datagrams(1_472)), of(1_432, 22, 1));
        assert_eq!(cut(8_192, Packing::Datagrams(60_024)), of(57_368, 7, 1));
        assert_eq!(cut(60_000, Packing::Datagrams(60_024)), of(60_024, 1, 1));
        assert_eq!(cut(65_536, Packing::Datagrams(60_024)), of(32_792, 1, 2));
        assert_eq!(cut(8_192, Packing::Datagrams(1_472)), of(1_390, 1, 6));
        assert_eq!(cut(0, Packing::Single), of(25, 1, 1));
    }
}
