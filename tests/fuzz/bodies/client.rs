//! A client, whatever it is told: it numbers without a gap, says the same under
//! the same number, and accounts for every value.

use std::collections::BTreeMap;

use paxcast::protocol::client::Event;
use paxcast::protocol::{
    Client, Message, Outbox, Output, Process, ProcessId, Role, Run, Session, Settings, Time,
};

use super::said::{self, Context};
use super::script::Script;

const ME: ProcessId = ProcessId {
    role: Role::Client,
    id: 1,
    incarnation: 1,
};

struct World {
    settings: Settings,
    session: Session,
    /// How far each session was numbered, and the last run with each first number.
    sent: BTreeMap<Session, u64>,
    runs: BTreeMap<(Session, u64), Run>,
    submitted: u64,
    acknowledged: u64,
    lost: u64,
}

/// Takes the bytes as what a client is given to submit, and what it hears.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script::new(data);
    let mut settings = said::settings(&mut script);
    settings.pause = std::time::Duration::from_millis(script.pick(&[0, 0, 10]));
    let mut now = Time::ZERO;
    let mut client = Client::new(ME, settings.clone(), u64::from(script.byte()), now);
    let mut world = World {
        settings,
        session: Session {
            client: ME.id,
            incarnation: ME.incarnation,
        },
        sent: BTreeMap::new(),
        runs: BTreeMap::new(),
        submitted: 0,
        acknowledged: 0,
        lost: 0,
    };
    while !script.is_over() {
        now = said::later(&mut script, now);
        let mut out = Outbox::new();
        match script.below(4) {
            0 => {
                let length = match script.one_in(8) {
                    true => script.below(3_000) as usize,
                    false => script.below(20) as usize,
                };
                client.submit(now, &vec![script.byte(); length]);
                world.submitted += 1;
            }
            1 => client.handle_timeout(now, &mut out),
            _ => {
                let context = Context {
                    session: world.session,
                    number: world.sent.get(&world.session).copied().unwrap_or(0),
                    ..Context::default()
                };
                if let Some((from, message)) =
                    said::message(&mut script, ME.role, &world.settings, context)
                {
                    client.handle_message(now, from, message, &mut out);
                }
            }
        }
        if script.one_in(2) {
            client.finish_turn(now, &mut out);
        }
        world.carry_out(&client, &mut out);
        said::assert_timers_advance(&mut client, now, |client, out| {
            world.carry_out(client, out);
        });
    }
    world.acknowledged
}

impl World {
    fn carry_out(&mut self, client: &Client, out: &mut Outbox<Client>) {
        for output in out.drain() {
            said::assert_sendable(&output, ME, &self.settings);
            match output {
                Output::Event(Event::Acknowledged { values, submitted }) => {
                    assert!(values > 0 && submitted <= Time(u64::MAX));
                    self.acknowledged += values;
                }
                Output::Event(Event::Evicted { lost }) => self.lost += lost,
                Output::Event(Event::Retransmitted) => {}
                Output::Send { message, .. } => match message {
                    Message::Submit { acknowledged, run } => self.submit(acknowledged, run),
                    Message::Inquire { session, .. } => assert_eq!(session.client, ME.id),
                    other => panic!("a client does not say {}", other.name()),
                },
                Output::Lookup(_) => panic!("a client asks no disk"),
            }
        }
        let told = self.acknowledged + self.lost;
        assert!(told <= self.submitted, "{told} of {}", self.submitted);
        if client.is_done() {
            assert_eq!(told, self.submitted, "values without an outcome");
        }
    }

    fn submit(&mut self, acknowledged: u64, run: Run) {
        assert!(run.count > 0 && run.first > 0);
        self.session = run.session;
        let sent = self.sent.entry(run.session).or_default();
        assert!(acknowledged <= *sent, "acknowledged what was never sent");
        assert!(run.first <= *sent + 1, "a gap in the numbers");
        if run.first == *sent + 1 {
            *sent = run.last();
        }
        let count = run.items().count();
        assert_eq!(count, run.count as usize, "other items than it says");
        let before = self.runs.entry((run.session, run.first));
        let before = before.or_insert_with(|| run.clone());
        assert_eq!(*before, run, "another run with the same numbers");
    }
}
