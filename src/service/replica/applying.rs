//! What a replica does with what was delivered, and with what other replicas say.

use bytes::Bytes;

use super::comparing::Finding;
use super::transfer::{Fetching, Progress, Transit};
use super::{Event, Found, Kept, Replica, Verdict, Wanted};
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{
    Address, Delivery, Instance, Message, Outbox, Payload, Process, ProcessId, Role, Sessions, Time,
};
use crate::service::{Place, Reading, StateMachine};

impl<S: StateMachine, T> Replica<S, T> {
    /// What a command weighs in the log beside its bytes, about.
    const COMMAND_WEIGHT: u64 = 16;

    /// Over so many bytes of answers that nobody has fetched no more reads are answered:
    /// a short question can have a long answer.
    const MOST_AT_ONCE: usize = 1 << 20;

    /// How often acceptors are told of a checkpoint though it is not new: one that
    /// was restarted has not heard, and datagrams get lost.
    const RETELL: u32 = 5;

    /// A command has its place.
    pub(super) fn apply(&mut self, now: Time, delivery: Delivery, out: &mut Outbox<Self>) {
        let own = delivery.session == self.client.session();
        let from = self.answers.end();
        let place = Place(delivery.position);
        self.machine
            .apply(place, &delivery.value, self.answers.buffer());
        let reply = self.options.tells.then(|| self.answers.copy(from));
        self.checkpoints.since += delivery.value.len() as u64 + Self::COMMAND_WEIGHT;
        match own.then(|| self.changes.pop()).flatten() {
            Some(ticket) => self.answers.reply(ticket, from),
            None => self.answers.cut(from),
        }
        if own && self.standing.hear(now) {
            out.event(Event::Standing { sound: true });
        }
        out.event(Event::Applied { delivery, reply });
    }

    /// Answers reads that the state is recent enough for; more of them when these
    /// answers were fetched.
    pub(super) fn release(&mut self, now: Time) {
        let applied = match mutant(Mutant::ReadBeforeApplied) {
            true => Instance(u64::MAX),
            false => self.applied(),
        };
        self.questions.reach(applied, self.place());
        while self.answers.held() < Self::MOST_AT_ONCE
            && let Some((ticket, question)) = self.questions.next_ready()
        {
            self.answer(now, ticket, question);
        }
    }

    /// Answers a read from the state as it is, or by a place of its own.
    pub(super) fn answer(&mut self, now: Time, ticket: T, question: Bytes) {
        let from = self.answers.end();
        match self.machine.read(&question, self.answers.buffer()) {
            Reading::Answered => self.answers.reply(ticket, from),
            Reading::NeedsPlace => {
                self.answers.cut(from);
                self.submit(now, Some(ticket), question);
            }
        }
    }

    /// A milestone was passed.
    pub(super) fn pass_milestone(
        &mut self,
        instance: Instance,
        sessions: u64,
        out: &mut Outbox<Self>,
    ) {
        let digest = self.machine.digest().rotate_left(1) ^ sessions;
        out.send(
            Address::Group(Role::Learner),
            Message::Digest { instance, digest },
        );
        let finding = self.comparing.pass(instance, digest);
        self.judge(instance, finding, out);
    }

    fn judge(&self, instance: Instance, finding: Option<Finding>, out: &mut Outbox<Self>) {
        match finding {
            None => {}
            Some(Finding::Others(against)) => log::error!(
                "replicas {against:?} had another state than the rest behind {instance}: they \
                 must end (exit status 10 says that they found it out themselves), and their \
                 checkpoints must not be used again"
            ),
            Some(Finding::Myself { mine, against }) => out.event(Event::Diverged {
                instance,
                mine,
                against,
            }),
        }
    }

    /// Another replica says something.
    pub(super) fn hear_replica(
        &mut self,
        now: Time,
        from: ProcessId,
        message: Message,
        out: &mut Outbox<Self>,
    ) {
        match message {
            Message::Digest { instance, digest } if from.id != self.me.id => {
                let finding = self.comparing.hear(instance, from.id, digest);
                self.judge(instance, finding, out);
            }
            Message::Behind { delivered } => {
                match self.checkpoints.kept {
                    Some(kept) if kept.through > delivered => self.offer(from, kept, out),
                    _ => self.checkpoints.called_for = self.applied() > delivered,
                };
            }
            Message::Offer {
                through,
                length,
                checksum,
            } => {
                let kept = Kept {
                    through,
                    length,
                    checksum,
                };
                let delivered = self.applied();
                if let Some(fetching) = &mut self.fetching {
                    fetching.consider(now, from, kept, delivered);
                }
            }
            Message::Fetch {
                through,
                offset,
                bytes,
            } => out.event(Event::Wanted(Wanted {
                to: from,
                through,
                offset,
                bytes: bytes.min(Fetching::WINDOW as u32),
            })),
            Message::Piece {
                through,
                offset,
                bytes,
            } => self.take_piece(now, from, through, offset, bytes.bytes(), out),
            _ => {}
        }
    }

    fn offer(&self, to: ProcessId, kept: Kept, out: &mut Outbox<Self>) {
        out.send(
            Address::Process(to),
            Message::Offer {
                through: kept.through,
                length: kept.length,
                checksum: kept.checksum,
            },
        );
    }

    /// Sends what was read of a checkpoint, or says that there is another one now.
    pub(super) fn send_pieces(&mut self, found: Found, out: &mut Outbox<Self>) {
        let Wanted {
            to,
            through,
            offset,
            ..
        } = found.wanted;
        let Some(bytes) = found.bytes else {
            if let Some(kept) = self.checkpoints.kept {
                self.offer(to, kept, out);
            }
            return;
        };
        let mut rest = bytes;
        let mut offset = offset;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(self.settings.batch_limit()));
            let length = piece.len() as u64;
            out.send(
                Address::Process(to),
                Message::Piece {
                    through,
                    offset,
                    bytes: Payload::new(piece),
                },
            );
            offset += length;
        }
    }

    /// The acceptors have forgotten what comes next.
    pub(super) fn fall_behind(&mut self, now: Time, instance: Instance, out: &mut Outbox<Self>) {
        if self.fetching.is_none() && self.parcel == Transit::None {
            self.fetching = Some(Fetching::new(now, instance, self.buffer));
            out.event(Event::Behind { instance });
        }
    }

    pub(super) fn ask_for_checkpoint(&mut self, now: Time, out: &mut Outbox<Self>) {
        let delivered = self.applied();
        self.fetching
            .take_if(|fetching| fetching.is_idle(delivered));
        let Some(fetching) = &mut self.fetching else {
            return;
        };
        let repropose = self.settings.repropose;
        let asked = fetching.ask(now, delivered, &mut self.jitter, repropose);
        let Some((whom, message)) = asked else {
            return;
        };
        let to = match whom {
            Some(process) => Address::Process(process),
            None => Address::Group(Role::Learner),
        };
        out.send(to, message);
    }

    fn take_piece(
        &mut self,
        now: Time,
        from: ProcessId,
        through: Instance,
        offset: u64,
        bytes: &Bytes,
        out: &mut Outbox<Self>,
    ) {
        let Some(fetching) = &mut self.fetching else {
            return;
        };
        let Progress::Complete(through, content) = fetching.take(now, from, through, offset, bytes)
        else {
            // The next window may be due at once.
            return self.ask_for_checkpoint(now, out);
        };
        self.fetching = None;
        if through > self.applied() {
            self.parcel = Transit::Arrived(from, content);
        }
    }

    /// Goes on from the state of a checkpoint, which the machine has.
    pub(super) fn go_on(&mut self, now: Time, through: Instance, sessions: Sessions) {
        // Own commands that are in there happened, and their replies are not.
        let session = self.client.session();
        let before = self.learner.sessions().progress(session);
        let after = sessions.progress(session);
        let sent = |progress: Option<crate::protocol::Progress>| {
            progress.map_or(0, |progress| self.client.sent_through(progress.last))
        };
        self.restored = Place(sessions.position());
        let passed = sent(after).saturating_sub(sent(before));
        for ticket in self.changes.lose(passed) {
            self.answers.none(ticket, Verdict::Indeterminate);
        }
        self.learner
            .resume(now, through, sessions, &mut self.learned);
        if let Some(progress) = after {
            let message = Message::Acknowledge {
                delivered: through,
                sessions: vec![progress],
            };
            self.client
                .handle_message(now, self.me, message, &mut self.submitted);
        }
    }

    /// Tells the acceptors how far the log is in a checkpoint: in the one before the
    /// latest. Replicas keep theirs at moments of their own, and most of the others may
    /// be a little ahead; from where they are, one that starts again would have to fetch
    /// the whole state for want of a few instances.
    pub(super) fn tell_checkpoint(&mut self, now: Time, out: &mut Outbox<Self>) {
        if self.checkpoints.tell_at.is_none_or(|at| at > now) {
            return;
        }
        let catch_up = self.settings.catch_up * Self::RETELL;
        self.checkpoints.tell_at = Some(now + self.jitter.between(catch_up / 2, catch_up));
        if let Some(through) = self.checkpoints.before.filter(|_| self.options.durable) {
            out.send(
                Address::Group(Role::Acceptor),
                Message::Checkpointed { through },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{AcceptorSet, Membership, Output, Settings};
    use crate::service::kv::Store;
    use crate::service::replica::Options;

    fn checkpoint(through: u64) -> Kept {
        Kept {
            through: Instance(through),
            length: 1,
            checksum: 0,
        }
    }

    #[test]
    fn acceptors_are_told_of_the_checkpoint_before_the_latest() {
        let me = ProcessId {
            role: Role::Learner,
            id: 1,
            incarnation: 7,
        };
        let settings = Settings::new(Membership::majority(AcceptorSet::first(3)));
        let options = Options {
            checkpoint: 1,
            durable: true,
            tells: false,
        };
        let store = Store::default();
        let mut replica: Replica<Store, ()> =
            Replica::new(me, settings, options, store, 1, 1 << 20, Time::ZERO);
        let told = |replica: &mut Replica<Store, ()>| {
            let mut out = Outbox::new();
            replica.tell_checkpoint(Time::ZERO, &mut out);
            let mut told = Vec::new();
            while let Some(output) = out.pop() {
                if let Output::Send { message, .. } = output {
                    told.push(message);
                }
            }
            told
        };
        replica.kept(Time::ZERO, Some(checkpoint(1_000)));
        assert_eq!(told(&mut replica), []);
        replica.kept(Time::ZERO, Some(checkpoint(2_000)));
        let through = Instance(1_000);
        assert_eq!(told(&mut replica), [Message::Checkpointed { through }]);
        // One that is no later changes nothing.
        replica.kept(Time::ZERO, Some(checkpoint(1_500)));
        replica.kept(Time::ZERO, None);
        assert_eq!(told(&mut replica), []);
    }
}
