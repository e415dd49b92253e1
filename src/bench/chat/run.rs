//! The run: a cluster, its users, one pace after the other, then newcomers.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::users::Users;
use crate::bench::Excuse;
use crate::bench::columns::{align, grouped, number};
use crate::bench::latencies::latencies;
use crate::bench::machine::Machine;
use crate::bench::servers::{Cluster, Running};

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Gateways, each with a replica, and acceptors.
    pub gateways: u16,
    /// Whether acceptors and replicas have disks.
    pub durable: bool,
    /// Users in one channel, spread over the gateways.
    pub users: usize,
    /// Messages a second, of all users together, one after the other.
    pub paces: Vec<f64>,
    /// How long each pace is kept.
    pub lasts: Duration,
    /// Messages that a newcomer is shown.
    pub history: usize,
    /// How many newcomers come, one after the other.
    pub newcomers: usize,
    /// An empty directory.
    pub directory: PathBuf,
    /// Where our executables are, if not beside this one.
    pub executables: Option<PathBuf>,
    /// How the measurement was asked for.
    pub command: String,
}

/// What came of one pace.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Messages a second that were to be sent.
    pub pace: f64,
    /// Messages that were sent.
    pub sent: u64,
    /// Deliveries that there must be.
    pub expected: u64,
    /// Deliveries that there were.
    pub delivered: u64,
    /// Deliveries a second, from the first message to the last delivery.
    pub rate: f64,
    /// How long deliveries took, in milliseconds: half of them less,
    pub p50_ms: f64,
    /// all but one in a hundred less,
    pub p99_ms: f64,
    /// and the slowest.
    pub most_ms: f64,
    /// Processor seconds of all servers, for each second.
    pub processors: f64,
}

/// How long newcomers took to come in and to be shown what was said, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Joins {
    /// Messages that each was shown.
    pub history: usize,
    /// The quickest.
    pub least_ms: f64,
    /// The median.
    pub median_ms: f64,
    /// The slowest.
    pub most_ms: f64,
}

/// What was found out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The machine, in a line.
    pub machine: String,
    /// How it was asked for.
    pub command: String,
    /// Gateways.
    pub gateways: u16,
    /// Users.
    pub users: usize,
    /// Whether acceptors had disks.
    pub durable: bool,
    /// A row for each pace.
    pub paces: Vec<Figures>,
    /// Newcomers, if there were any.
    pub joins: Option<Joins>,
}

/// What nothing should take, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a message; its time stands ahead.
const SIZE: usize = 64;

/// Digits of a time.
const DIGITS: usize = 16;

const CHANNEL: &str = "#measure";

/// Carries everything out; `say` is told how it goes on, in lines for a person.
///
/// # Errors
///
/// When the chat cannot be started, or loses somebody.
pub fn measure(settings: &Settings, say: &mut dyn FnMut(&str)) -> Result<Report, Excuse> {
    let mut running = Running::none(settings.directory.join("chat"))?;
    let history = settings.history.to_string();
    let cluster = Cluster {
        service: "chat",
        count: settings.gateways,
        durable: settings.durable,
        // Users here say more than people do.
        more: ["--flood", "1000000/1", "--history", &history]
            .map(str::to_owned)
            .to_vec(),
    };
    say(&format!(
        "{} gateways, as many acceptors, 2 proposers, {} users",
        settings.gateways, settings.users
    ));
    running.start_cluster(settings.executables.as_deref(), &cluster)?;
    let mut room = Room::open(&running.addresses, settings.users)?;
    let mut paces = Vec::new();
    for pace in &settings.paces {
        let before = running.processor()?;
        let from = Instant::now();
        let mut figures = room.keep(*pace, settings.lasts)?;
        figures.processors = (running.processor()? - before) / from.elapsed().as_secs_f64();
        say(&format!(
            "{} messages/s: {} deliveries/s, p99 {} ms",
            number(*pace),
            number(figures.rate),
            number(figures.p99_ms)
        ));
        paces.push(figures);
    }
    let joins = match settings.newcomers {
        0 => None,
        newcomers => Some(room.welcome(&running.addresses, settings.history, newcomers)?),
    };
    Ok(Report {
        machine: Machine::here(&settings.directory).describe(),
        command: settings.command.clone(),
        gateways: settings.gateways,
        users: settings.users,
        durable: settings.durable,
        paces,
        joins,
    })
}

/// A channel with users in it.
struct Room {
    users: Users,
    born: Instant,
}

/// The kernel, or a gateway, let somebody down.
fn failed(what: &str, error: &io::Error) -> Excuse {
    Excuse::Failed(format!("{what}: {error}"))
}

impl Room {
    fn open(addresses: &[SocketAddr], count: usize) -> Result<Room, Excuse> {
        let users = Users::new().map_err(|error| failed("cannot wait for users", &error))?;
        let born = Instant::now();
        let mut room = Room { users, born };
        for (index, address) in addresses.iter().cycle().take(count).enumerate() {
            room.come(*address, &format!("u{index}"))?;
        }
        Ok(room)
    }

    /// Somebody comes in; says their number.
    fn come(&mut self, address: SocketAddr, nick: &str) -> Result<usize, Excuse> {
        let user = self.users.connect(address);
        let user = user.map_err(|error| failed("cannot connect to a gateway", &error))?;
        self.users.say(user, &format!("NICK {nick}"));
        self.users.say(user, &format!("USER {nick} 0 * :{nick}"));
        let welcome = format!(" 001 {nick} ");
        self.await_line(user, welcome.as_bytes(), 1)?;
        self.users.say(user, &format!("JOIN {CHANNEL}"));
        self.await_line(user, b" 366 ", 1)?;
        Ok(user)
    }

    /// Waits until a user was sent so many lines with this in them.
    fn await_line(&mut self, user: usize, part: &[u8], mut count: usize) -> Result<(), Excuse> {
        let has = |line: &[u8]| line.windows(part.len()).any(|window| window == part);
        let heard = self.users.listen(PATIENCE, &mut |index, line| {
            count -= usize::from(index == user && has(line));
            count > 0
        });
        match heard.map_err(|error| failed("cannot wait for users", &error))? {
            true => Ok(()),
            false => Err(self.lack(&format!(
                "user {user} waits in vain for `{}`",
                String::from_utf8_lossy(part)
            ))),
        }
    }

    fn lack(&self, what: &str) -> Excuse {
        let why = self
            .users
            .gone()
            .map_or(String::new(), |why| format!(": {why}"));
        Excuse::Failed(format!("{what}{why}"))
    }

    /// Keeps a pace, and waits for everything that was said.
    fn keep(&mut self, pace: f64, lasts: Duration) -> Result<Figures, Excuse> {
        let born = self.born;
        let since = |instant: Instant| (instant - born).as_micros() as u64;
        let others = self.users.len() as u64 - 1;
        let begun = Instant::now();
        let (mut sent, mut delivered) = (0_u64, 0_u64);
        let mut times: Histogram<u64> = latencies();
        let mut last = begun;
        let due = |number: u64| begun + Duration::from_secs_f64(number as f64 / pace);
        loop {
            let now = Instant::now();
            let over = now >= begun + lasts;
            while !over && due(sent) <= now {
                // From when it was due, not from when there was time for it.
                let stamp = since(due(sent));
                let user = (sent % self.users.len() as u64) as usize;
                let text = format!("{stamp:0DIGITS$}{:-<1$}", "", SIZE - DIGITS);
                self.users.say(user, &format!("PRIVMSG {CHANNEL} :{text}"));
                sent += 1;
            }
            if over && delivered >= sent * others {
                break;
            }
            if now >= begun + lasts + PATIENCE || self.users.gone().is_some() {
                return Err(self.lack(&format!(
                    "{delivered} of {} deliveries came about",
                    sent * others
                )));
            }
            let wait = match over {
                true => Duration::from_millis(10),
                false => due(sent).saturating_duration_since(now),
            };
            let all = sent * others;
            let heard = self.users.listen(wait, &mut |_, line| {
                if let Some(stamp) = stamp(line) {
                    last = Instant::now();
                    times.saturating_record(since(last).saturating_sub(stamp) * 1000);
                    delivered += 1;
                }
                !(over && delivered >= all)
            });
            heard.map_err(|error| failed("cannot wait for users", &error))?;
        }
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        Ok(Figures {
            pace,
            sent,
            expected: sent * others,
            delivered,
            rate: delivered as f64 / (last - begun).as_secs_f64(),
            p50_ms: milliseconds(times.value_at_quantile(0.5)),
            p99_ms: milliseconds(times.value_at_quantile(0.99)),
            most_ms: milliseconds(times.max()),
            processors: 0.0,
        })
    }

    /// Lets newcomers in, one after the other, where much was said.
    fn welcome(
        &mut self,
        addresses: &[SocketAddr],
        history: usize,
        newcomers: usize,
    ) -> Result<Joins, Excuse> {
        // As much as they are shown must have been said.
        let text = "x".repeat(SIZE);
        for number in 0..history {
            let user = number % self.users.len();
            self.users.say(user, &format!("PRIVMSG {CHANNEL} :{text}"));
        }
        let asker = 0;
        self.users.say(asker, "PRIVMSG u0 :all");
        self.await_line(asker, b" PRIVMSG u0 :all", 1)?;
        let mut taken = Vec::new();
        for (number, address) in (0..newcomers).zip(addresses.iter().cycle()) {
            let nick = format!("n{number}");
            let user = self.users.connect(*address);
            let user = user.map_err(|error| failed("cannot connect to a gateway", &error))?;
            self.users.say(user, &format!("NICK {nick}"));
            self.users.say(user, &format!("USER {nick} 0 * :{nick}"));
            self.await_line(user, format!(" 001 {nick} ").as_bytes(), 1)?;
            let from = Instant::now();
            self.users.say(user, &format!("JOIN {CHANNEL}"));
            self.await_line(user, b" PRIVMSG ", history)?;
            taken.push(from.elapsed().as_secs_f64() * 1e3);
        }
        taken.sort_by(f64::total_cmp);
        Ok(Joins {
            history,
            least_ms: taken[0],
            median_ms: taken[taken.len() / 2],
            most_ms: taken[taken.len() - 1],
        })
    }
}

/// When a message was due, in microseconds, if it is one of those that are measured.
fn stamp(line: &[u8]) -> Option<u64> {
    let text = line.get(line.len().checked_sub(SIZE)?..)?;
    let ahead = &line[..line.len() - SIZE];
    if !ahead.ends_with(b" PRIVMSG #measure :") {
        return None;
    }
    std::str::from_utf8(&text[..DIGITS]).ok()?.parse().ok()
}

impl Report {
    /// A table for people.
    pub fn table(&self) -> String {
        let kept = if self.durable { "durable" } else { "volatile" };
        let mut text = format!(
            "{}\n{} gateways, {} users in one channel, {kept}, messages of {SIZE} bytes\n\n",
            self.machine, self.gateways, self.users
        );
        let heads = [
            "messages/s",
            "deliveries/s",
            "lost",
            "p50 ms",
            "p99 ms",
            "most ms",
            "processors",
        ];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for figures in &self.paces {
            rows.push(vec![
                number(figures.pace),
                number(figures.rate),
                grouped(figures.expected - figures.delivered),
                number(figures.p50_ms),
                number(figures.p99_ms),
                number(figures.most_ms),
                number(figures.processors),
            ]);
        }
        text += &align(&rows);
        if let Some(joins) = &self.joins {
            let _ = write!(
                text,
                "\nTo come in and be shown {} messages: {} ms (median; {} to {})\n",
                joins.history,
                number(joins.median_ms),
                number(joins.least_ms),
                number(joins.most_ms)
            );
        }
        text
    }

    /// All of it, for programs.
    ///
    /// # Panics
    ///
    /// Never: it can be written down.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("it can be written down")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_when_it_was_due() {
        let text = format!("{:0DIGITS$}{:-<2$}", 1234, "", SIZE - DIGITS);
        let line = format!(":u1!u1@host PRIVMSG #measure :{text}");
        assert_eq!(stamp(line.as_bytes()), Some(1234));
        for other in ["", "PING", &text, &line.replace("#measure", "#other")] {
            assert_eq!(stamp(other.as_bytes()), None, "{other}");
        }
    }
}
