//! Those who use a replicated chat, their gateways, and what must hold of both.
//!
//! | room | what lives there |
//! |---|---|
//! | `observer` | what the log makes of it: who must be shown what |
//! | `gateway` | how a gateway opens sessions, submits lines and shows what comes of them |
//! | `guest` | somebody's connection to it |
//! | `post` | what comes down a connection |
//! | `person` | somebody who talks, loses connections, and comes back elsewhere |
//!
//! What is looked at: all replicas reply to a command alike. Every screen shows the order
//! of the log, with nothing left out and nothing twice, over all moves of its owner from
//! gateway to gateway, unless a gateway says that it does not remember everything. A line
//! that was done is in the log; it is there once, and each author's come in the order in
//! which they were said. Two never have one nick. Who comes back is in the channels in
//! which they were.

mod gateway;
mod guest;
mod observer;
mod person;
mod post;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Crowd, ServiceOptions, Teller, Visit};
use crate::protocol::Time;
use crate::service::Place;
use crate::service::chat::effect::Reply;
use crate::sim::check::Finding;
use gateway::{Desk, Gateway};
use observer::Observer;
use person::{Fate, Person, Wish};
use post::{Connection, Item, Post};

/// Everybody, and what they use.
#[derive(Debug)]
pub struct People {
    options: ServiceOptions,
    replicas: u16,
    people: Vec<Person>,
    gateways: BTreeMap<u16, Gateway>,
    observer: Observer,
    tickets: u64,
}

impl People {
    /// How often a connection breaks when its owner is about to say something.
    const FICKLE: f64 = 0.03;

    /// How soon somebody looks again who could not get on.
    const AGAIN: Duration = Duration::from_millis(20);

    /// People of so many gateways, who have not done anything yet.
    pub fn new(seed: u64, options: ServiceOptions, replicas: u16) -> People {
        let person = |index| Person::new(seed, index, replicas, options.questions, options.leisure);
        People {
            people: (0..usize::from(options.users)).map(person).collect(),
            options,
            replicas,
            gateways: BTreeMap::new(),
            observer: Observer::default(),
            tickets: 0,
        }
    }

    /// The gateway of a replica, of its present start.
    fn gateway(&mut self, id: u16, incarnation: u64, now: Time) -> &mut Gateway {
        let fresh = || Gateway::new(id, incarnation, now);
        let gateway = self.gateways.entry(id).or_insert_with(fresh);
        if gateway.incarnation != incarnation {
            *gateway = fresh();
        }
        gateway
    }

    /// Sends on what gateways have for people.
    fn deliver(&mut self, now: Time, posts: Vec<Post>) {
        let soon = Duration::from_millis(2);
        for post in posts {
            let person = &mut self.people[post.person];
            if person.connection == Some(post.connection) {
                if person.pipe.is_empty() {
                    person.read_at = now + person.random.duration(Duration::ZERO, soon);
                }
                person.pipe.push_back(post.item);
            }
        }
    }

    /// Somebody reads some of what has come.
    fn read(&mut self, now: Time, index: usize) -> Finding {
        let person = &mut self.people[index];
        if person.pipe.is_empty() || now < person.read_at {
            return Ok(());
        }
        let all = person.pipe.len() as u64;
        let count = match person.random.chance(0.7) {
            true => all,
            false => person.random.between(1, all),
        };
        let later = Duration::from_millis(5);
        person.read_at = now + person.random.duration(Duration::ZERO, later);
        for _ in 0..count {
            let Some(item) = person.pipe.pop_front() else {
                return Ok(());
            };
            let ended = matches!(item, Item::Closed { .. });
            match person.take(now, &self.observer, item)? {
                Wish::Nothing => {}
                Wish::Leave(session) => {
                    let connection = person.connection.take();
                    let gateway = connection.and_then(|connection| {
                        let number = connection.number;
                        Some((self.gateways.get_mut(&connection.gateway.id)?, number))
                    });
                    if let Some((gateway, number)) = gateway {
                        gateway.part(number, session);
                    }
                    person.pipe.clear();
                    person.move_on(now, self.replicas);
                    return Ok(());
                }
            }
            if ended {
                person.pipe.clear();
                person.move_on(now, self.replicas);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Somebody at this replica does what they do: comes in, speaks, goes.
    fn act(
        &mut self,
        now: Time,
        id: u16,
        index: usize,
        stamp: u64,
        desk: &mut Desk<'_>,
    ) -> Finding {
        let channels = self.options.keys;
        let count = self.people.len();
        let person = &mut self.people[index];
        let Some(gateway) = self.gateways.get_mut(&id) else {
            return Ok(());
        };
        if person.is_gone || now < person.due {
            return Ok(());
        }
        let Some(connection) = person.connection else {
            let opening = person.introduce(now, &self.observer);
            person.connection = gateway.connect(index, opening, stamp, desk);
            if person.connection.is_none() {
                person.move_on(now, self.replicas);
                person.due = person.due + Self::AGAIN;
            }
            return Ok(());
        };
        let Some(session) = person.session.filter(|_| person.welcomed) else {
            return Ok(());
        };
        if !desk.replica.has_room() {
            person.due = now + Self::AGAIN;
            return Ok(());
        }
        if person.may_leave() {
            gateway.part(connection.number, session);
            person.is_gone = true;
            person.connection = None;
            person.pipe.clear();
            return Ok(());
        }
        if person.may_speak() {
            if person.random.chance(Self::FICKLE) {
                return person.hang_up(now, &self.observer, self.replicas);
            }
            person.speak(&self.observer, count, channels);
            person.due = now + person.random.duration(Duration::ZERO, self.options.leisure);
        }
        while let Some(line) = person.pending.get(person.submitted) {
            gateway.say(connection.number, session, line.clone(), stamp, desk);
            person.submitted += 1;
        }
        Ok(())
    }
}

impl Crowd for People {
    fn move_on(&mut self, now: Time, replicas: u16, gone: &dyn Fn(u16) -> bool) -> Finding {
        for person in &mut self.people {
            if person.is_gone {
                continue;
            }
            let lost = gone(person.at);
            let Some(connection) = person.connection else {
                if lost {
                    person.move_on(now, replicas);
                }
                continue;
            };
            let gateway = self.gateways.get(&person.at);
            let same = gateway.is_some_and(|gateway| gateway.runs(connection));
            let closes = person
                .pipe
                .iter()
                .any(|item| matches!(item, Item::Closed { .. }));
            if lost || !same && !closes || person.is_weary(now) {
                person.hang_up(now, &self.observer, replicas)?;
            }
        }
        Ok(())
    }

    fn visit(&mut self, visit: Visit<'_>) -> Finding {
        let Visit {
            now,
            local,
            me,
            replica,
            twin,
        } = visit;
        if twin {
            return Ok(());
        }
        let stamp = local.0 / 1_000_000;
        let mut posts = Vec::new();
        let gateway = self.gateway(me.id, me.incarnation, now);
        gateway.take_answers(replica, &mut posts);
        let mut begun = Ok(());
        if let Some(chat) = replica.machine().chat() {
            gateway.let_in(chat, &mut posts);
            begun = gateway.start(chat);
        }
        self.deliver(now, posts);
        begun?;
        // Ahead of all else: nothing is to be asked for who has gone while this one was
        // stopped.
        let people = &self.people;
        if let Some(gateway) = self.gateways.get_mut(&me.id) {
            gateway.look_around(|person, connection: Connection| {
                people[person].connection == Some(connection)
            });
        }
        let mut tickets = self.tickets;
        let mut desk = Desk {
            replica,
            local,
            tickets: &mut tickets,
        };
        for index in 0..self.people.len() {
            if self.people[index].at != me.id {
                continue;
            }
            self.read(now, index)?;
            let person = &mut self.people[index];
            let stays = person.connection.is_none() || person.is_done(&self.observer);
            if !desk.replica.is_sound() && !stays {
                person.hang_up(now, &self.observer, self.replicas)?;
            }
            if self.people[index].at == me.id {
                self.act(now, me.id, index, stamp, &mut desk)?;
            }
        }
        let (people, observer) = (&self.people, &self.observer);
        if let Some(gateway) = self.gateways.get_mut(&me.id) {
            gateway.work(now, stamp, &mut desk, |person| {
                let unread = !people[person].pipe.is_empty();
                unread.then(|| people[person].seen(observer))
            });
        }
        self.tickets = tickets;
        Ok(())
    }

    fn applied(&mut self, who: &Teller<'_>, place: Place, reply: &[u8]) -> Finding {
        self.observer.hear(who.name, place, reply)?;
        if who.twin {
            return Ok(());
        }
        if let Some(reply) = Reply::decode(reply) {
            let mut posts = Vec::new();
            let gateway = self.gateway(who.me.id, who.me.incarnation, who.now);
            gateway.applied(place, &reply, &mut posts);
            self.deliver(who.now, posts);
        }
        Ok(())
    }

    fn restored(&mut self, who: &Teller<'_>, through: Place) {
        if who.twin {
            return;
        }
        let mut posts = Vec::new();
        let gateway = self.gateway(who.me.id, who.me.incarnation, who.now);
        gateway.restored(through, &mut posts);
        self.deliver(who.now, posts);
    }

    fn due(&self, replica: u16) -> Option<Time> {
        let here = self.people.iter().filter(|person| person.at == replica);
        let gateway = self.gateways.get(&replica);
        // One that has not begun yet begins with its first turn.
        let gateway = gateway.map_or(Time::ZERO, Gateway::due);
        here.filter_map(Person::wants).chain([gateway]).min()
    }

    fn are_done(&self) -> bool {
        let mut people = self.people.iter();
        people.all(|person| person.is_done(&self.observer))
    }

    fn unfinished(&self) -> Vec<String> {
        let people = self.people.iter();
        let busy = people.filter(|person| !person.is_done(&self.observer));
        busy.map(|person| person.words(&self.observer)).collect()
    }

    fn answered(&self) -> usize {
        self.observer.said()
    }

    fn struck(&self) -> Vec<(&'static str, u64)> {
        let sum = |count: fn(&Fate) -> u64| self.people.iter().map(|it| count(&it.fate)).sum();
        vec![
            ("chat session taken up again", sum(|fate| fate.resumed)),
            ("chat session that was over", sum(|fate| fate.fresh)),
            ("chat line said again", sum(|fate| fate.repeated)),
            ("missed lines of a chat", sum(|fate| fate.missed)),
            ("chat that does not remember all", sum(|fate| fate.gaps)),
        ]
    }

    fn conclude(&self) -> Finding {
        Ok(())
    }
}
