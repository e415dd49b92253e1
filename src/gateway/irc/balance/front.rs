//! The front itself: clients on one side, gateways on the other, on one loop.
//!
//! | room | what lives there |
//! |---|---|
//! | `hearing` | what came from one side, and what becomes of it on the other |
//! | `moving` | who is brought to which gateway, and what becomes of who is gone |

mod hearing;
mod moving;
#[cfg(test)]
mod tests;

use mio::Registry;
use mio::event::Event;

use super::Options;
use super::gateways::Gateways;
use super::party::{Client, Part, Party, Place};
use super::relay::Relay;
use crate::daemon::{Failure, say};
use crate::gateway::alone::{Alone, refused};
use crate::gateway::crowd::{Allowances, Crowd, listen};
use crate::gateway::irc::accounts::secret;
use crate::protocol::Time;

/// The front.
#[derive(Debug)]
pub struct Front {
    crowd: Crowd<Party>,
    gateways: Gateways,
    /// Clients that have no gateway now, to be given one.
    waiting: Vec<Place>,
    /// What is left of clients that went while they had none, and until when.
    orphans: Vec<(Box<Relay>, Time)>,
    next_round: Time,
    counts: Counts,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Clients that came.
    clients: u64,
    /// Clients now.
    present: usize,
    /// How often one was moved to another gateway.
    moves: u64,
}

impl Front {
    /// Over so many bytes that one side does not take, the other is not read.
    const HOLD: usize = 256 << 10;

    /// Opens the doors.
    ///
    /// # Errors
    ///
    /// When it cannot listen, or the kernel refuses.
    pub fn open(
        options: &Options,
        registry: &Registry,
        token: usize,
        now: Time,
    ) -> Result<Front, Failure> {
        let listener = listen(options.listen, "another server of IRC")?;
        let gateways = Gateways::new(options.cluster, &options.gateways, now);
        // Each client needs a connection to a gateway, too.
        let allowances = Allowances {
            connections: options.allowances.connections * 2 + gateways.count(),
            ..options.allowances
        };
        let crowd = Crowd::open(Some(listener), registry, token, allowances, now);
        let crowd = crowd.map_err(refused)?;
        let address = crowd.address().map_err(refused)?;
        say(&format!(
            "ready role=balance address={address} gateways={}",
            gateways.count()
        ));
        Ok(Front {
            crowd,
            gateways,
            waiting: Vec::new(),
            orphans: Vec::new(),
            next_round: now,
            counts: Counts::default(),
        })
    }

    /// Appends to what is sent to somebody.
    fn pass(&mut self, to: Place, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(party) = self.crowd.guest(to.slot, to.generation) {
            party.stream.out().extend_from_slice(text.as_bytes());
            self.crowd.list(to.slot);
        }
    }

    /// Whether somebody takes what they are sent.
    fn takes(&mut self, place: Place) -> bool {
        let party = self.crowd.guest(place.slot, place.generation);
        party.is_none_or(|party| party.stream.pending() < Self::HOLD)
    }
}

impl Alone for Front {
    fn handle_event(&mut self, event: &Event) {
        self.crowd.handle_event(event);
    }

    fn turn(&mut self, now: Time, _wall: u64) -> bool {
        let counts = &mut self.counts;
        let waiting = &mut self.waiting;
        self.crowd.accept(
            now,
            b"ERROR :There are too many here already\r\n",
            |newcomer| {
                counts.clients += 1;
                counts.present += 1;
                let client = Client {
                    relay: Relay::new(secret()),
                    wire: None,
                    moved: false,
                    since: now,
                };
                let party = Party::new(newcomer, Part::Client(Box::new(client)));
                waiting.push(party.place);
                party
            },
        );
        if !self.waiting.is_empty() {
            for place in std::mem::take(&mut self.waiting) {
                self.bring(now, place);
            }
        }
        self.go_round(now);
        let mut missed = Vec::new();
        self.crowd.sweep(now, |party| missed.push(party));
        for slot in self.crowd.take_active() {
            let Some(mut party) = self.crowd.take(slot) else {
                continue;
            };
            let stay = self.serve(now, &mut party);
            missed.extend(self.crowd.put_back(now, slot, party, stay));
        }
        for party in missed {
            self.miss(now, *party);
        }
        self.crowd.is_busy()
    }

    fn next_timeout(&self) -> Option<Time> {
        let others = self.crowd.next_timeout().unwrap_or(self.next_round);
        Some(self.next_round.min(others))
    }

    fn report(&self) -> String {
        let serving = (0..self.gateways.count()).filter(|index| self.gateways.serves(*index));
        format!(
            "statistics role=balance clients={} clients_ever={} moves={} waiting={} \
             gateways={} serving={} buffer_bytes={}",
            self.counts.present,
            self.counts.clients,
            self.counts.moves,
            self.waiting.len(),
            self.gateways.count(),
            serving.count(),
            self.crowd.tally().buffers
        )
    }
}
