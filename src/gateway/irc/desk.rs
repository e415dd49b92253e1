//! The front end in the replica's loop.

use std::net::SocketAddr;

use mio::event::Event;

use super::front::Front;
use super::log::{Log, Ticket};
use super::settings::Settings;
use crate::daemon::{Command, Door, Entrance, Failure, Flow, Service, run_replica, say};
use crate::gateway::crowd::{Allowances, listen, wall};
use crate::protocol::{Delivery, Time};
use crate::service::chat::command::Stamped;
use crate::service::chat::{Chat, MARK};
use crate::service::replica::{Replica, Verdict};
use crate::service::{Place, StateMachine};

/// The chat, to the replica.
const SERVICE: Service = Service {
    name: "chat",
    mark: MARK,
    tells: true,
};

/// Serves as a gateway of the chat until a signal ends it.
///
/// # Errors
///
/// When it cannot start, when its state differs from the other replicas', or when it
/// cannot go on.
pub fn run(
    command: Command,
    address: SocketAddr,
    allowances: Allowances,
    settings: Settings,
) -> Result<(), Failure> {
    run_replica(command, SERVICE, Chat::new(), |entrance| {
        Desk::open(entrance, address, allowances, settings)
    })
}

/// The front end, as the replica's door.
#[derive(Debug)]
struct Desk {
    id: u16,
    front: Front,
    reply: Vec<u8>,
}

impl Desk {
    fn open(
        entrance: &Entrance<'_>,
        address: SocketAddr,
        allowances: Allowances,
        settings: Settings,
    ) -> Result<Desk, Failure> {
        let listener = listen(address, "an IRC server")?;
        let refused =
            |error| Failure::Failed(format!("the kernel refused to set up the loop: {error}"));
        let (registry, token, now) = (entrance.registry, entrance.token, entrance.now);
        let front = Front::open(settings, listener, registry, token, allowances, now);
        let front = front.map_err(refused)?;
        let address = front.address().map_err(refused)?;
        say(&format!(
            "ready role=chat id={} address={address} {}",
            entrance.id, entrance.about
        ));
        Ok(Desk {
            id: entrance.id,
            front,
            reply: Vec::new(),
        })
    }
}

impl Door<Chat, Ticket> for Desk {
    fn ready(&mut self, event: &Event) {
        self.front.handle_event(event);
    }

    fn turn(&mut self, now: Time, replica: &mut Replica<Chat, Ticket>) -> Result<Flow, Failure> {
        let reply = &mut self.reply;
        let mut log = Behind {
            now,
            replica,
            reply,
        };
        self.front.turn(now, wall(), &mut log);
        if self.front.is_replaced() {
            return Err(Failure::Configuration(format!(
                "another gateway with id {} has begun, and the log has let the users of this one \
                 go: only one process may have an id; this one ends. If both are wanted, start \
                 it again with an id of its own",
                self.id
            )));
        }
        Ok(Flow::Going)
    }

    fn applied(&mut self, delivery: &Delivery, reply: Option<&[u8]>) {
        let reply = reply.expect("this service tells its replies");
        self.front.applied(Place(delivery.position), reply);
    }

    fn restored(&mut self, _through: Place) {
        self.front.restored();
    }

    fn next_timeout(&self) -> Option<Time> {
        self.front.next_timeout()
    }

    fn facts(&self, replica: &Replica<Chat, Ticket>) -> Vec<(&'static str, u64)> {
        let chat = replica.machine();
        let mut facts = vec![
            ("place", replica.place().0),
            ("digest", chat.digest()),
            ("sessions", chat.sessions() as u64),
            ("channels", chat.channel_count() as u64),
            ("remembered_bytes", chat.remembered() as u64),
        ];
        facts.extend(self.front.facts());
        facts
    }
}

/// The replica behind the front end, for the length of a turn.
struct Behind<'a> {
    now: Time,
    replica: &'a mut Replica<Chat, Ticket>,
    reply: &'a mut Vec<u8>,
}

impl Log for Behind<'_> {
    fn submit(&mut self, ticket: Option<Ticket>, command: &Stamped) {
        let mut bytes = Vec::new();
        command.encode_into(&mut bytes);
        self.replica.submit(self.now, ticket, bytes.into());
    }

    fn answer(&mut self) -> Option<(Ticket, Verdict)> {
        self.reply.clear();
        self.replica.fetch_answer(self.reply)
    }

    fn chat(&self) -> &Chat {
        self.replica.machine()
    }

    fn place(&self) -> Place {
        self.replica.place()
    }

    fn is_sound(&self) -> bool {
        self.replica.is_sound()
    }

    fn has_room(&self) -> bool {
        self.replica.has_room()
    }
}
