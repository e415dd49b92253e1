//! What the server tells about itself: HELLO, COMMAND, CONFIG and INFO.

use std::fmt::Write as _;

use super::backend::Facts;
use super::client::named;
use super::complaint::Complaint;
use super::session::{Outcome, Question, Session, lower};
use super::table::{ROWS, Row};
use crate::gateway::resp::{Arguments, Version, Writer};
use crate::service::kv::glob::{self, Steps};
use crate::service::kv::limits::Limits;
use crate::service::kv::number;

/// The release of Redis whose commands and words these are; libraries ask.
const REDIS: &str = "7.0.0";

/// What is counted about connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Connections now.
    pub clients: usize,
    /// The most there may be.
    pub most_clients: usize,
    /// Connections so far.
    pub connections: u64,
    /// Connections that were one too many.
    pub rejected: u64,
    /// Connections that were cut off for what they cost.
    pub cut_off: u64,
    /// Requests so far.
    pub commands: u64,
    /// Bytes in.
    pub received: u64,
    /// Bytes out.
    pub sent: u64,
    /// Bytes of buffers.
    pub buffers: usize,
    /// Seconds since the start.
    pub uptime: u64,
    /// The port.
    pub port: u16,
}

/// Answers HELLO.
pub fn hello(
    session: &mut Session,
    arguments: &Arguments<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Complaint> {
    let mut version = session.version;
    let mut name = None;
    let mut words = arguments.from(1);
    if let Some(wanted) = words.next() {
        version = match number::parse(wanted) {
            Some(2) => Version::Two,
            Some(3) => Version::Three,
            Some(_) => return Err(Complaint::Other("NOPROTO unsupported protocol version")),
            None => {
                return Err(Complaint::Other(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        };
    }
    while let Some(word) = words.next() {
        match (lower(word).as_str(), words.len()) {
            ("setname", 1..) => {
                let wanted = words.next().expect("there is one");
                let complaint =
                    "ERR Client names cannot contain spaces, newlines or special characters.";
                name = Some(named(wanted, complaint)?);
            }
            ("auth", 2..) => {
                return Err(Complaint::Other(
                    "WRONGPASS invalid username-password pair or user is disabled.",
                ));
            }
            _ => return Err(Complaint::Syntax),
        }
    }
    session.version = version;
    session.name = name.unwrap_or_else(|| session.name.clone());
    let mut writer = Writer::new(out, version);
    writer.map(7);
    let text = |writer: &mut Writer<'_>, key: &str, value: &str| {
        writer.bulk(key.as_bytes());
        writer.bulk(value.as_bytes());
    };
    text(&mut writer, "server", "redis");
    text(&mut writer, "version", REDIS);
    writer.bulk(b"proto");
    writer.integer(match version {
        Version::Two => 2,
        Version::Three => 3,
    });
    writer.bulk(b"id");
    writer.integer(session.id as i64);
    text(&mut writer, "mode", "standalone");
    text(&mut writer, "role", "master");
    writer.bulk(b"modules");
    writer.list(0);
    Ok(())
}

/// Answers COMMAND with its subcommands.
pub fn command(arguments: &Arguments<'_>, writer: &mut Writer<'_>) -> Result<(), Complaint> {
    let Some(subcommand) = arguments.from(1).next() else {
        writer.list(ROWS.len());
        ROWS.iter().for_each(|row| describe(row, writer));
        return Ok(());
    };
    match (lower(subcommand).as_str(), arguments.len()) {
        ("count", 2) => writer.integer(ROWS.len() as i64),
        ("list", 2) => {
            writer.list(ROWS.len());
            ROWS.iter()
                .for_each(|row| writer.bulk(row.lower().as_bytes()));
        }
        ("info", 2) => {
            writer.list(ROWS.len());
            ROWS.iter().for_each(|row| describe(row, writer));
        }
        ("info", count) => {
            writer.list(count - 2);
            for name in arguments.from(2) {
                match Row::find(name) {
                    Some(row) => describe(row, writer),
                    None => writer.nil_list(),
                }
            }
        }
        ("docs", 2) => document(ROWS.iter(), ROWS.len(), writer),
        ("docs", _) => {
            let found = || arguments.from(2).filter_map(Row::find);
            document(found(), found().count(), writer);
        }
        ("count" | "list", _) => {
            return Err(Complaint::Arity(format!("command|{}", lower(subcommand))));
        }
        _ => {
            let word = String::from_utf8_lossy(subcommand).into_owned();
            return Err(Complaint::UnknownSubcommand(word, "COMMAND"));
        }
    }
    Ok(())
}

/// A command as COMMAND INFO has it.
fn describe(row: &Row, writer: &mut Writer<'_>) {
    writer.list(10);
    writer.bulk(row.lower().as_bytes());
    writer.integer(row.arity.into());
    writer.set(row.flags().len());
    for flag in row.flags() {
        writer.simple(flag.as_bytes());
    }
    let (first, last, step) = row.keys;
    for number in [first, last, step] {
        writer.integer(number.into());
    }
    // Categories, tips, key specifications, subcommands.
    writer.set(0);
    for _ in 0..3 {
        writer.list(0);
    }
}

/// Commands as COMMAND DOCS has them.
fn document<'a>(rows: impl Iterator<Item = &'a Row>, count: usize, writer: &mut Writer<'_>) {
    writer.map(count);
    for row in rows {
        writer.bulk(row.lower().as_bytes());
        let facts = [
            ("summary", row.summary),
            ("since", "1.0.0"),
            ("group", row.group()),
        ];
        writer.map(facts.len());
        for (key, value) in facts {
            writer.bulk(key.as_bytes());
            writer.bulk(value.as_bytes());
        }
    }
}

/// Answers CONFIG: what can be told; nothing can be changed.
pub fn config(arguments: &Arguments<'_>, writer: &mut Writer<'_>) -> Result<Outcome, Complaint> {
    match (lower(arguments.at(1)).as_str(), arguments.len()) {
        ("get", 3..) => {
            let command = Limits::COMMAND.to_string();
            let settings = [
                ("appendonly", "no"),
                ("databases", "1"),
                ("maxmemory-policy", "noeviction"),
                ("proto-max-bulk-len", &command),
                ("save", ""),
                ("timeout", "0"),
            ];
            let patterns: Vec<String> = arguments.from(2).map(lower).collect();
            let wanted = |name: &str| {
                patterns.iter().any(|pattern| {
                    let mut steps = Steps(10_000);
                    glob::matches(pattern.as_bytes(), name.as_bytes(), &mut steps) == Ok(true)
                })
            };
            let told: Vec<_> = settings.iter().filter(|(name, _)| wanted(name)).collect();
            writer.map(told.len());
            for (name, value) in told {
                writer.bulk(name.as_bytes());
                writer.bulk(value.as_bytes());
            }
            Ok(Outcome::Answered)
        }
        ("resetstat", 2) => Ok(Outcome::Ask(Question::ResetStatistics)),
        ("get" | "resetstat", _) => Err(Complaint::Arity(format!(
            "config|{}",
            lower(arguments.at(1))
        ))),
        ("set" | "rewrite", _) => Err(Complaint::Other(
            "ERR settings cannot be changed while the server runs",
        )),
        _ => {
            let word = String::from_utf8_lossy(arguments.at(1)).into_owned();
            Err(Complaint::UnknownSubcommand(word, "CONFIG"))
        }
    }
}

/// What INFO tells, in these sections, or in all if none is named.
pub fn info(sections: &[String], counts: &Counts, facts: &Facts) -> String {
    let all = sections.is_empty()
        || sections
            .iter()
            .any(|section| ["all", "default", "everything"].contains(&section.as_str()));
    let mut text = String::new();
    let mut section = |name: &str, lines: &[(&str, String)]| {
        if !all && !sections.contains(&name.to_ascii_lowercase()) {
            return;
        }
        if !text.is_empty() {
            text += "\r\n";
        }
        write!(text, "# {name}\r\n").expect("a string grows");
        for (key, value) in lines {
            write!(text, "{key}:{value}\r\n").expect("a string grows");
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    section(
        "Server",
        &[
            ("redis_version", REDIS.to_owned()),
            ("redis_mode", "standalone".to_owned()),
            ("paxcast_version", version.to_owned()),
            ("process_id", std::process::id().to_string()),
            ("tcp_port", counts.port.to_string()),
            ("uptime_in_seconds", counts.uptime.to_string()),
        ],
    );
    section(
        "Clients",
        &[
            ("connected_clients", counts.clients.to_string()),
            ("maxclients", counts.most_clients.to_string()),
        ],
    );
    section(
        "Memory",
        &[
            ("used_memory", facts.bytes.to_string()),
            ("maxmemory", facts.most_bytes.to_string()),
            ("maxmemory_policy", "noeviction".to_owned()),
            ("mem_clients_normal", counts.buffers.to_string()),
        ],
    );
    section(
        "Persistence",
        &[("loading", "0".to_owned()), ("aof_enabled", "0".to_owned())],
    );
    section(
        "Stats",
        &[
            ("total_connections_received", counts.connections.to_string()),
            ("total_commands_processed", counts.commands.to_string()),
            ("total_net_input_bytes", counts.received.to_string()),
            ("total_net_output_bytes", counts.sent.to_string()),
            ("rejected_connections", counts.rejected.to_string()),
            ("evicted_clients", counts.cut_off.to_string()),
        ],
    );
    section(
        "Replication",
        &[
            ("role", "master".to_owned()),
            ("connected_slaves", "0".to_owned()),
        ],
    );
    let mut log = vec![
        ("mode", facts.mode.to_owned()),
        ("place", facts.place.to_string()),
        ("digest", format!("{:016x}", facts.digest)),
        ("log_time_ms", facts.time.to_string()),
    ];
    log.extend(
        facts
            .more
            .iter()
            .map(|(key, value)| (*key, value.to_string())),
    );
    section("Paxos", &log);
    let keys = format!("keys={},expires={},avg_ttl=0", facts.keys, facts.mortal);
    let databases = [("db0", keys)];
    section("Keyspace", if facts.keys > 0 { &databases } else { &[] });
    text
}
