//! A replica inside of a program: any state machine of yours, replicated.
//!
//! A [`Member`] runs a replica in a thread of its own, with the same loop and the
//! same protocol as `paxcast kv`, which is built of the same parts
//! ([`run_replica`] and a [`Door`]). The program submits commands, asks questions
//! and listens to what is applied; acceptors and proposers run as usual.
//!
//! ```no_run
//! use std::path::Path;
//! use std::time::Duration;
//!
//! use paxcast::embedded::{Member, Outcome};
//! use paxcast::service::{Damaged, Frozen, Place, Reading, StateMachine};
//!
//! /// Adds up what it is told.
//! #[derive(Clone, Default)]
//! struct Sum(u64);
//!
//! impl StateMachine for Sum {
//!     type Frozen = Sum;
//!
//!     fn apply(&mut self, _: Place, command: &[u8], reply: &mut Vec<u8>) {
//!         // Any bytes are a command; what is no number adds nothing.
//!         let more = std::str::from_utf8(command).ok();
//!         let more = more.and_then(|text| text.parse().ok()).unwrap_or(0);
//!         self.0 = self.0.wrapping_add(more);
//!         reply.extend(self.0.to_string().bytes());
//!     }
//!
//!     fn read(&self, _: &[u8], reply: &mut Vec<u8>) -> Reading {
//!         reply.extend(self.0.to_string().bytes());
//!         Reading::Answered
//!     }
//!
//!     fn freeze(&self) -> Sum {
//!         self.clone()
//!     }
//!
//!     fn restore(&mut self, snapshot: &[u8]) -> Result<(), Damaged> {
//!         let bytes = snapshot.try_into().map_err(|_| Damaged::Foreign)?;
//!         self.0 = u64::from_le_bytes(bytes);
//!         Ok(())
//!     }
//!
//!     fn empty(&self) -> Sum {
//!         Sum::default()
//!     }
//!
//!     fn digest(&self) -> u64 {
//!         self.0
//!     }
//! }
//!
//! impl Frozen for Sum {
//!     fn write(&self, part: &mut dyn FnMut(&[u8])) {
//!         part(&self.0.to_le_bytes());
//!     }
//! }
//!
//! # fn main() -> Result<(), paxcast::daemon::Failure> {
//! let member = Member::start(1, Path::new("paxos.conf"), *b"sum\0\0\0\0\0", Sum::default())?;
//! let applied = member.subscribe();
//! match member.submit("40").wait(Duration::from_secs(10)) {
//!     Outcome::Reply(sum) => println!("{}", String::from_utf8_lossy(&sum)),
//!     other => println!("{other:?}"),
//! }
//! // Sees whatever any member was answered before.
//! println!("{:?}", member.read("").wait(Duration::from_secs(10)));
//! println!("{:?}", applied.recv().map(|one| one.place));
//! member.stop()
//! # }
//! ```

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel,
};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use mio::Waker;

use crate::daemon::{Common, Door, Entrance, Failure, Flow, Service, run_replica};
use crate::protocol::{Client, Delivery, Role, Time};
use crate::service::replica::{Replica, Verdict};
use crate::service::{Place, StateMachine};

/// A replica that runs in this program.
#[derive(Debug)]
pub struct Member {
    asks: Sender<Ask>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

/// How a command or a question came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and this is the reply.
    Reply(Vec<u8>),
    /// Not enough acceptors can be reached. It did not happen and will not.
    NoQuorum,
    /// It may have happened, or still happen: the time was up, a quorum was lost
    /// underway, or the member has ended.
    Indeterminate,
    /// The command is longer than [`Client::MAX_VALUE`] bytes; it was not sent.
    TooLong,
}

/// A command that was applied, by this member or any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where.
    pub place: Place,
    /// What.
    pub command: Bytes,
}

/// An outcome that is still to come.
#[derive(Debug)]
pub struct Pending(Receiver<Outcome>);

impl Pending {
    /// Waits for the outcome, no longer than this.
    pub fn wait(self, patience: Duration) -> Outcome {
        match self.0.recv_timeout(patience) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Outcome::Indeterminate
            }
        }
    }
}

/// What a member is asked to do.
#[derive(Debug)]
enum Ask {
    Submit(Bytes, Sender<Outcome>),
    Read(Bytes, Sender<Outcome>),
    ReadStale(Bytes, Sender<Outcome>),
    Subscribe(SyncSender<Applied>),
    End,
}

impl Member {
    /// How many commands a subscriber may be behind. One that is further behind has
    /// its subscription ended, for the replica waits for nobody.
    pub const BEHIND: usize = 1 << 16;

    /// Starts a replica of `machine` with this id and configuration file, and waits
    /// until it takes part. With `data` in the configuration it goes on from its
    /// last checkpoint; `mark` tells checkpoints of one service from another's.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or the replica cannot start.
    pub fn start<S>(id: u16, conf: &Path, mark: [u8; 8], machine: S) -> Result<Member, Failure>
    where
        S: StateMachine + Send + 'static,
    {
        let command = Common::embedded(id, conf).prepare_embedded(Role::Learner)?;
        let (asks, queue) = channel();
        let (ready, waker) = channel();
        let service = Service {
            name: "embedded",
            mark,
            tells: false,
        };
        let failed = |error| Failure::Failed(format!("cannot start a thread: {error}"));
        let thread = std::thread::Builder::new()
            .name("replica".to_owned())
            .spawn(move || {
                run_replica(command, service, machine, |entrance: &Entrance<'_>| {
                    // Whoever started it waits for this.
                    let _ = ready.send(Arc::clone(&entrance.waker));
                    Ok(Desk {
                        queue,
                        postponed: VecDeque::new(),
                        subscribers: Vec::new(),
                    })
                })
            })
            .map_err(failed)?;
        match waker.recv() {
            Ok(waker) => Ok(Member {
                asks,
                waker,
                thread: Some(thread),
            }),
            Err(_) => match thread.join() {
                Ok(outcome) => Err(outcome.err().unwrap_or_else(|| ended("before it began"))),
                Err(_) => Err(ended("with a panic")),
            },
        }
    }

    /// Submits a command: it gets a place in the order, and its reply is the
    /// outcome.
    pub fn submit(&self, command: impl Into<Bytes>) -> Pending {
        self.ask(command.into(), Ask::Submit)
    }

    /// Asks a question. The answer has everything that any member was answered
    /// before.
    pub fn read(&self, question: impl Into<Bytes>) -> Pending {
        self.ask(question.into(), Ask::Read)
    }

    /// Asks the state as it is here, however old that is.
    pub fn read_stale(&self, question: impl Into<Bytes>) -> Pending {
        self.ask(question.into(), Ask::ReadStale)
    }

    fn ask(&self, bytes: Bytes, what: impl FnOnce(Bytes, Sender<Outcome>) -> Ask) -> Pending {
        let (tell, outcome) = channel();
        if bytes.len() > Client::MAX_VALUE {
            let _ = tell.send(Outcome::TooLong);
        } else {
            self.send(what(bytes, tell));
        }
        Pending(outcome)
    }

    /// All commands that are applied from now on, in their order. What was in a
    /// checkpoint that this member took over is not among them: places then have a
    /// gap.
    pub fn subscribe(&self) -> Receiver<Applied> {
        let (tell, applied) = sync_channel(Self::BEHIND);
        self.send(Ask::Subscribe(tell));
        applied
    }

    fn send(&self, ask: Ask) {
        // A member that has ended says so when it is stopped.
        if self.asks.send(ask).is_ok() {
            let _ = self.waker.wake();
        }
    }

    /// Ends the replica.
    ///
    /// # Errors
    ///
    /// When it had ended before, and why.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.send(Ask::End);
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(ended("with a panic")),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Err(failure) = self.end() {
            log::error!("a replica in this program ended: {failure}");
        }
    }
}

fn ended(how: &str) -> Failure {
    Failure::Failed(format!("the replica's thread ended {how}"))
}

/// The member's side of the loop.
#[derive(Debug)]
struct Desk {
    queue: Receiver<Ask>,
    /// What came while the replica had no room.
    postponed: VecDeque<Ask>,
    subscribers: Vec<SyncSender<Applied>>,
}

impl<S: StateMachine> Door<S, Sender<Outcome>> for Desk {
    fn turn(
        &mut self,
        now: Time,
        replica: &mut Replica<S, Sender<Outcome>>,
    ) -> Result<Flow, Failure> {
        self.postponed.extend(self.queue.try_iter());
        while replica.has_room()
            && let Some(ask) = self.postponed.pop_front()
        {
            match ask {
                Ask::Submit(command, tell) => replica.submit(now, Some(tell), command),
                Ask::Read(question, tell) => replica.read(now, tell, question),
                Ask::ReadStale(question, tell) => replica.read_stale(now, tell, question),
                Ask::Subscribe(tell) => self.subscribers.push(tell),
                Ask::End => return Ok(Flow::Done),
            }
        }
        let mut reply = Vec::new();
        while let Some((tell, verdict)) = replica.fetch_answer(&mut reply) {
            // Whoever does not wait any more does not miss it.
            let _ = tell.send(match verdict {
                Verdict::Reply => Outcome::Reply(std::mem::take(&mut reply)),
                Verdict::NoQuorum => Outcome::NoQuorum,
                Verdict::Indeterminate => Outcome::Indeterminate,
            });
        }
        Ok(Flow::Going)
    }

    fn applied(&mut self, delivery: &Delivery, _reply: Option<&[u8]>) {
        self.subscribers.retain(|subscriber| {
            let applied = Applied {
                place: Place(delivery.position),
                command: delivery.value.clone(),
            };
            match subscriber.try_send(applied) {
                Ok(()) => true,
                Err(TrySendError::Disconnected(_)) => false,
                Err(TrySendError::Full(_)) => {
                    log::warn!(
                        "a subscriber is {} commands behind; its subscription ends",
                        Member::BEHIND
                    );
                    false
                }
            }
        });
    }
}
