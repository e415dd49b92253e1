//! A replica's world: its checkpoints on disk, and a door for those who use it.
//!
//! The replica itself is pure ([`Replica`]). Here it gets a loop, a shelf for its
//! checkpoints ([`keeper`]), and a [`Door`]: whoever brings commands and takes the
//! answers along, be it a front end with ten thousand connections or a program
//! that has the replica in itself.

mod journal;
mod keeper;
mod opener;

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event as Readiness;
use mio::{Registry, Waker};

use super::command::{Command, draw};
use super::failure::Failure;
use super::node::Node;
use super::proposer::refuse_sync_fault;
use super::turn::Turns;
use super::{Ending, Flow, World};
use crate::protocol::{Delivery, Instance, Outbox, Output, Process, Time};
use crate::service::replica::{Event, Found, Options, Replica};
use crate::service::{Place, StateMachine};
use crate::storage::checkpoint::Owner;
use journal::Journal;
use keeper::{Keeper, News};
use opener::Opener;

/// Which service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, as its users know it.
    pub name: &'static str,
    /// What its checkpoints are marked with.
    pub mark: [u8; 8],
    /// Whether its doors are told the replies to all commands.
    pub tells: bool,
}

/// The place where a door is built in.
#[derive(Debug)]
pub struct Entrance<'a> {
    /// The replica's id.
    pub id: u16,
    /// The poll of the loop.
    pub registry: &'a Registry,
    /// From here on the poll's names are the door's.
    pub token: usize,
    /// Wakes the loop, from any thread.
    pub waker: Arc<Waker>,
    /// The time by the loop's clock.
    pub now: Time,
    /// What the log would like to know of the replica, for the line that says it
    /// is ready.
    pub about: String,
}

/// Where commands come in and answers go out. It lives in the replica's loop and
/// must not block.
pub trait Door<S: StateMachine, T> {
    /// Something happened to a descriptor of the door's.
    fn ready(&mut self, _event: &Readiness) {}

    /// The door's turn: to submit, to read, and to fetch answers. Says whether the
    /// work is done. If the [`Service`] tells replies, then all that the state holds by
    /// now was told with [`Door::applied`] or [`Door::restored`].
    ///
    /// # Errors
    ///
    /// When the process must end.
    fn turn(&mut self, now: Time, replica: &mut Replica<S, T>) -> Result<Flow, Failure>;

    /// A command was applied; `reply` is there if the [`Service`] tells it.
    fn applied(&mut self, _delivery: &Delivery, _reply: Option<&[u8]>) {}

    /// The state is another replica's now: commands through this place were applied
    /// there, and [`Door::applied`] heard nothing of some of them.
    fn restored(&mut self, _through: Place) {}

    /// When it wants a turn though nothing happens.
    fn next_timeout(&self) -> Option<Time> {
        None
    }

    /// What it has to add to the statistics.
    fn facts(&self, _replica: &Replica<S, T>) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// Runs a replica of a service until it is told to end; `open` builds the door.
///
/// # Errors
///
/// When it cannot start, when its state differs from the others', or when it
/// cannot go on.
pub fn run_replica<S, T, D>(
    command: Command,
    service: Service,
    machine: S,
    open: impl FnOnce(&Entrance<'_>) -> Result<D, Failure>,
) -> Result<(), Failure>
where
    S: StateMachine + Send + 'static,
    T: Debug,
    D: Door<S, T>,
{
    refuse_sync_fault(&command)?;
    let id = command.id;
    let directory = command.config.replica_directory(id);
    let cluster = command.config.cluster_hash();
    let journal = command.journal.as_ref();
    let mut journal = journal
        .map(|path| Journal::create(path, service.mark))
        .transpose()?;
    let service = Service {
        tells: service.tells || journal.is_some(),
        ..service
    };
    let node = Node::open(command, draw()?)?;
    let now = node.clock.now();
    let options = Options {
        checkpoint: node.config.checkpoint as u64,
        durable: directory.is_some(),
        tells: service.tells,
    };
    let mut replica = Replica::new(
        node.me,
        node.settings(),
        options,
        machine,
        draw()?,
        node.buffer(),
        now,
    );
    let mut about = String::from("checkpoint=none");
    let opener = Opener::new(Arc::clone(&node.waker));
    let waker = Arc::clone(&node.waker);
    let keeper = match directory {
        None => Keeper::in_memory(waker)?,
        Some(path) => {
            let owner = Owner {
                cluster,
                service: service.mark,
                replica: id,
            };
            let (keeper, kept) = Keeper::open(&path, owner, waker)?;
            if let Some((kept, content)) = kept {
                let through = replica.recover(now, kept, &content).map_err(|damaged| {
                    Failure::Storage(format!(
                        "{}: the checkpoint through {} is whole and cannot be used: {damaged}; \
                         start the release that wrote it, or move the directory away: then \
                         this replica fetches a checkpoint from another one",
                        path.display(),
                        kept.through
                    ))
                })?;
                if let Some(journal) = &mut journal {
                    journal.state(replica.place(), content.into());
                }
                about = format!("checkpoint={}", through.0);
            }
            keeper
        }
    };
    node.warn_about_buffer();
    if options.durable && node.config.replicas.is_empty() {
        log::warn!(
            "the configuration has no `replica_ids`, so acceptors keep the whole log for ever: list \
             the replicas whose checkpoints let them forget, at every process"
        );
    }
    let entrance = Entrance {
        id,
        registry: node.poll.registry(),
        token: Node::WORLD,
        waker: Arc::clone(&node.waker),
        now,
        about: format!("{about} {}", node.place()),
    };
    let door = open(&entrance)?;
    let house = House {
        service,
        door,
        keeper,
        opener,
        // From nothing it comes to where the others are.
        guest_until: (replica.applied() == Instance::ZERO).then(|| now + GUEST),
        is_guest: false,
        journal,
        checkpoints: 0,
        restored: 0,
        standing: 0,
        no_ops: 0,
        sound: true,
        answers: false,
    };
    Turns::run(node, replica, house)
}

/// How long a replica that comes from nothing, or from another one's checkpoint, takes
/// heed of the others. If it is not where they are by then, it needs all its time.
const GUEST: Duration = Duration::from_secs(10);

/// So few decided instances away it is where the others are: under load some always are
/// decided and not applied.
const NEAR: u64 = 256;

/// What is around a replica.
#[derive(Debug)]
struct House<S: StateMachine, D> {
    service: Service,
    door: D,
    keeper: Keeper<S::Frozen>,
    opener: Opener<S>,
    /// Until when it comes to where the others are at the most; nothing when it is there.
    guest_until: Option<Time>,
    is_guest: bool,
    journal: Option<Journal>,
    checkpoints: u64,
    restored: u64,
    /// How often a quorum was out of reach.
    standing: u64,
    /// How many instances held a no-op.
    no_ops: u64,
    sound: bool,
    /// The door left answers behind.
    answers: bool,
}

impl<S: StateMachine, D> House<S, D> {
    /// Takes the events in that are in the outbox already, ahead of the door's turn:
    /// what it shows of the state is then all that it was told. Events may always come
    /// ahead of messages.
    fn tell<T>(&mut self, now: Time, out: &mut Outbox<Replica<S, T>>) -> Result<(), Failure>
    where
        T: Debug,
        D: Door<S, T>,
        Self: World<Replica<S, T>>,
    {
        if out.is_empty() {
            return Ok(());
        }
        let mut rest = Outbox::new();
        for output in out.drain() {
            match output {
                Output::Event(event) => self.event(now, event)?,
                Output::Send { to, message } => rest.send(to, message),
                Output::Lookup(lookup) => rest.lookup(lookup),
            }
        }
        *out = rest;
        Ok(())
    }
}

impl<S, T, D> World<Replica<S, T>> for House<S, D>
where
    S: StateMachine + Send + 'static,
    T: Debug,
    D: Door<S, T>,
{
    fn begin(
        &mut self,
        now: Time,
        replica: &mut Replica<S, T>,
        out: &mut Outbox<Replica<S, T>>,
    ) -> Result<Flow, Failure> {
        while let Some(news) = self.keeper.news() {
            match news {
                News::Kept(kept) => {
                    self.checkpoints += 1;
                    log::info!(
                        "kept a checkpoint through {}, {} bytes",
                        kept.through,
                        kept.length
                    );
                    replica.kept(now, Some(kept));
                }
                News::Failed(error) => {
                    log::error!(
                        "cannot keep a checkpoint: {error}; going on with the one before, and \
                         trying again later. Acceptors forget nothing of this replica's meanwhile"
                    );
                    replica.kept(now, None);
                }
                News::Read(found) => replica.handle_found(now, found, out),
            }
        }
        if let Some(parcel) = replica.due_parcel() {
            self.opener.open(parcel);
        }
        if let Some(opened) = self.opener.opened() {
            replica.take_over(now, opened, out);
            self.guest_until = Some(now + GUEST);
        }
        let near = replica.lag() <= NEAR;
        let there = near && replica.applied() > Instance::ZERO;
        self.guest_until.take_if(|until| there || *until <= now);
        self.is_guest = self.guest_until.is_some() && !near;
        if self.service.tells {
            self.tell(now, out)?;
        }
        if let Some(journal) = &mut self.journal {
            journal.settle(replica.place(), false, || replica.machine().digest());
        }
        let flow = self.door.turn(now, replica)?;
        if let Some(snapshot) = replica.due_checkpoint() {
            self.keeper.keep(snapshot);
        }
        self.answers = replica.has_answers();
        Ok(flow)
    }

    fn event(&mut self, _: Time, event: Event) -> Result<(), Failure> {
        match event {
            Event::Applied { delivery, reply } => {
                if let (Some(journal), Some(reply)) = (&mut self.journal, &reply) {
                    journal.applied(&delivery, reply);
                }
                self.door.applied(&delivery, reply.as_deref());
            }
            Event::Skipped { .. } => self.no_ops += 1,
            Event::Diverged {
                instance,
                mine,
                against,
            } => {
                return Err(Failure::Diverged(format!(
                    "the state of this replica behind {instance} has digest {mine:016x}, and \
                     replicas {against:?} have another: one of them has failed, and nobody may \
                     believe this one any more. Check the machine's memory and that all run the \
                     same release; then move its data directory away and start it again: it \
                     fetches a checkpoint from another replica"
                )));
            }
            Event::Behind { instance } => log::info!(
                "the acceptors have forgotten {instance}; asking the other replicas for a checkpoint"
            ),
            Event::Restored {
                through,
                place,
                content,
            } => {
                self.restored += 1;
                log::info!(
                    "took over a checkpoint through {through}, {} bytes",
                    content.len()
                );
                if let Some(journal) = &mut self.journal {
                    journal.state(place, content.clone());
                }
                self.keeper.adopt(through, content);
                self.door.restored(place);
            }
            Event::Wanted(wanted) => self.keeper.read(wanted),
            Event::Standing { sound } => {
                if sound {
                    log::warn!("a quorum of the acceptors answers again");
                } else {
                    self.standing += 1;
                    log::warn!(
                        "no quorum of the acceptors answers; {} refuses commands until one does",
                        self.service.name
                    );
                }
                self.sound = sound;
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn is_guest(&self) -> bool {
        self.is_guest
    }

    fn lookup(&mut self, lookup: Infallible) -> Result<Found, Failure> {
        match lookup {}
    }

    fn ready(&mut self, event: &Readiness) {
        self.door.ready(event);
    }

    fn next_timeout(&self) -> Option<Time> {
        match self.answers {
            true => Some(Time::ZERO),
            false => self.door.next_timeout(),
        }
    }

    fn facts(&self, replica: &Replica<S, T>) -> Vec<(&'static str, u64)> {
        let (changes, reads) = replica.waiting();
        let mut facts = vec![
            ("commands", replica.place().0),
            ("instances", replica.applied().0),
            ("changes_waiting", changes as u64),
            ("reads_waiting", reads as u64),
            ("checkpoints", self.checkpoints),
            (
                "checkpoint",
                replica.checkpoint().map_or(0, |k| k.through.0),
            ),
            ("restored", self.restored),
            ("quorum_lost", self.standing),
            ("sound", u64::from(self.sound)),
            ("no_ops", self.no_ops),
        ];
        facts.extend(self.door.facts(replica));
        facts
    }

    fn end(&mut self, _: Time, replica: &Replica<S, T>, _: Ending) -> Result<(), Failure> {
        if let Some(journal) = &mut self.journal {
            journal.settle(replica.place(), true, || replica.machine().digest());
        }
        self.keeper.end();
        Ok(())
    }
}
