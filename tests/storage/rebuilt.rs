//! An acceptor rebuilt from its disk remembers what the running one does.

use bytes::Bytes;
use paxcast::protocol::acceptor::Memory;
use paxcast::protocol::jitter::Jitter;
use paxcast::protocol::{
    Acceptor, AcceptorSet, Ballot, Instance, Membership, Message, Outbox, Output, Payload, Process,
    ProcessId, Record, ReplicaSet, Role, Settings, Time,
};
use paxcast::storage::memory::MemoryDisk;

use super::{IDENTITY, disk, left, open, trim_all};

fn acceptor(memory: Memory) -> Acceptor {
    let me = ProcessId {
        role: Role::Acceptor,
        id: IDENTITY.acceptor,
        incarnation: IDENTITY.store,
    };
    let mut settings = Settings::new(Membership::majority(AcceptorSet::first(3)));
    settings.replicas = ReplicaSet::first(3);
    settings.trim_step = 4;
    Acceptor::new(me, settings, memory, 400_000)
}

fn rebuilt(memory: Memory, records: &[Record]) -> Acceptor {
    let mut acceptor = acceptor(memory);
    for record in records {
        acceptor.replay(record.clone());
    }
    acceptor
}

/// Something a proposer may say: two of them, in rounds that mostly ascend. Or a
/// replica, of which there are three.
fn said(jitter: &mut Jitter, turn: u64) -> (ProcessId, Message) {
    if jitter.below(7) == 0 {
        let from = ProcessId {
            role: Role::Learner,
            id: 1 + jitter.below(3) as u16,
            incarnation: 9,
        };
        let through = Instance(jitter.below(turn + 1));
        return (from, Message::Checkpointed { through });
    }
    let from = ProcessId {
        role: Role::Proposer,
        id: 1 + jitter.below(2) as u16,
        incarnation: 9,
    };
    let ballot = Ballot {
        round: turn / 4 + jitter.below(2),
        proposer: from.id,
        incarnation: from.incarnation,
    };
    let decided = Instance(jitter.below(turn + 1));
    let message = match jitter.below(6) {
        0 => Message::Prepare {
            ballot,
            from: Instance(jitter.below(20)),
            through: None,
        },
        1 => Message::Heartbeat { ballot, decided },
        _ => Message::Accept {
            ballot,
            decided,
            instance: Instance(jitter.below(turn + 10)),
            value: Payload::new(Bytes::from(vec![turn as u8; jitter.below(300) as usize])),
        },
    };
    (from, message)
}

/// Runs an acceptor over a log; after every sync it is rebuilt from the disk.
/// Says how much was written, and how many segments were deleted.
fn run(seed: u64, memory: Memory, disk: &mut MemoryDisk) -> (usize, u64) {
    let mut jitter = Jitter::new(seed);
    let mut running = acceptor(memory);
    let mut written = Vec::new();
    let mut deleted = 0;
    for turn in 0..60 {
        let (mut log, remembered) = open(disk).unwrap();
        let there = left(&written, log.first_position(), "opened");
        assert!(there == remembered);
        assert!(rebuilt(memory, &remembered).remembers_like(&running));
        let mut out = Outbox::new();
        // A promise is given whenever the last leader is long silent.
        let now = Time(turn * 1_000_000_000);
        for _ in 0..jitter.below(8) {
            let (from, message) = said(&mut jitter, turn);
            running.handle_message(now, from, message, &mut out);
        }
        running.finish_turn(now, &mut out);
        for output in out.drain() {
            if let Output::Event(record) = output {
                log.append(&record).unwrap();
                written.push(record);
            }
        }
        log.sync().unwrap();
        deleted += trim_all(&mut log).unwrap();
    }
    (written.len(), deleted)
}

#[test]
fn after_every_turn_the_disk_tells_what_the_acceptor_knows() {
    for memory in [Memory::EVERYTHING, Memory::Recent { bytes: 1_000 }] {
        let (mut written, mut deleted) = (0, 0);
        for seed in 0..40 {
            let (records, segments) = run(seed, memory, &mut disk(2048));
            written += records;
            deleted += segments;
        }
        assert!(written > 2_000, "little was said: {written}");
        assert!(deleted > 50, "little was deleted: {deleted}");
    }
}

#[test]
fn whatever_is_forgotten_is_missed() {
    let mut all = acceptor(Memory::EVERYTHING);
    let records = [
        super::promised(3),
        super::voted(1, 3, vec![1]),
        super::voted(2, 3, vec![2, 2]),
        super::watermark(3, 1),
        super::promised(4),
    ];
    records.iter().for_each(|record| all.replay(record.clone()));
    for forgotten in 1..records.len() {
        let mut others = records.to_vec();
        others.remove(forgotten);
        assert!(!rebuilt(Memory::EVERYTHING, &others).remembers_like(&all));
    }
    let mut other_value = records.to_vec();
    other_value[2] = super::voted(2, 3, vec![2, 3]);
    assert!(!rebuilt(Memory::EVERYTHING, &other_value).remembers_like(&all));
    assert!(rebuilt(Memory::EVERYTHING, &records).remembers_like(&all));
}
