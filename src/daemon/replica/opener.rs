//! Opens checkpoints of other replicas, off the loop: ten million keys take seconds.
//!
//! A thread of its own does, for each, and rests as long as it works where the service
//! lets it (see [`StateMachine::restore_gently`]). Where processes share processors,
//! those that serve clients then wait for it no longer than for each other; on a machine
//! of its own a replica joins a little later than it could.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::Waker;

use crate::service::StateMachine;
use crate::service::replica::{Opened, Parcel};

/// Work by turns with rest: for as long as a process that was woken can well wait.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
}

impl Pace {
    /// How long to work without a rest.
    const STRETCH: Duration = Duration::from_micros(200);

    /// The longest rest. Whoever worked for longer was held up by others.
    const REST: Duration = Duration::from_millis(1);

    /// Work begins.
    pub(super) fn new() -> Pace {
        Pace {
            since: Instant::now(),
        }
    }

    /// Rests, if it is time to.
    pub(super) fn rest(&mut self) {
        let worked = self.since.elapsed();
        if worked >= Self::STRETCH {
            std::thread::sleep(worked.min(Self::REST));
            self.since = Instant::now();
        }
    }
}

/// The ways to the threads that open parcels; there is one at a time.
#[derive(Debug)]
pub(super) struct Opener<S> {
    tell: Sender<Opened<S>>,
    opened: Receiver<Opened<S>>,
    worker: Option<JoinHandle<()>>,
    waker: Arc<Waker>,
}

impl<S: StateMachine + Send + 'static> Opener<S> {
    /// One that wakes the loop when something is open.
    pub(super) fn new(waker: Arc<Waker>) -> Opener<S> {
        let (tell, opened) = channel();
        Opener {
            tell,
            opened,
            worker: None,
            waker,
        }
    }

    /// Opens this; where no thread can be had, here and now.
    pub(super) fn open(&mut self, parcel: Parcel<S>) {
        let (tell, waker) = (self.tell.clone(), Arc::clone(&self.waker));
        let (hand, parcels) = channel::<Parcel<S>>();
        let work = move || {
            if let Ok(parcel) = parcels.recv() {
                let mut pace = Pace::new();
                // Whoever does not listen any more is about to end.
                let _ = tell.send(parcel.open(&mut || pace.rest()));
                let _ = waker.wake();
            }
        };
        let started = std::thread::Builder::new()
            .name("opening".to_owned())
            .spawn(work);
        match started {
            // It takes the one that it is handed.
            Ok(worker) => {
                self.worker = Some(worker);
                drop(hand.send(parcel));
            }
            Err(error) => {
                log::warn!("cannot start a thread: {error}; opening a checkpoint without one");
                let _ = self.tell.send(parcel.open(&mut || {}));
                let _ = self.waker.wake();
            }
        }
    }

    /// What was opened, if something was.
    ///
    /// # Panics
    ///
    /// When the thread did: without it this replica would wait for ever, and say nothing.
    pub(super) fn opened(&mut self) -> Option<Opened<S>> {
        let worker = self.worker.take_if(|worker| worker.is_finished());
        if let Some(Err(panic)) = worker.map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        self.opened.try_recv().ok()
    }
}
