//! What `set KEY VALUE` can set: one row a key, by which it is read and printed.

use std::time::Duration;

use super::words::{duration, range, share};
use crate::protocol::ReplicaSet;
use crate::sim::cluster::ClusterOptions;
use crate::sim::users::ServiceOptions;

/// One key.
pub struct Setting {
    /// Its name.
    pub key: &'static str,
    /// Whether it can still be set while the cluster runs: the network's can.
    pub live: bool,
    read: fn(&mut ClusterOptions, &str) -> Result<(), String>,
    print: fn(&ClusterOptions) -> String,
}

/// Builds the table: a key, how its value is read into the options, how it is printed.
macro_rules! settings {
    ($($key:literal, live $live:literal: |$options:ident, $value:ident| $read:expr, $print:expr;)+) => {
        &[$(Setting {
            key: $key,
            live: $live,
            read: |$options, $value| {
                $read;
                Ok(())
            },
            print: |$options| $print,
        },)+]
    };
}

/// All keys: those of the cluster, and those of the network.
pub const SETTINGS: &[Setting] = settings! {
    "datagram", live false: |options, value| options.settings.datagram = number(value, 512, 65_507)? as usize,
        options.settings.datagram.to_string();
    "window", live false: |options, value| options.settings.window = number(value, 1, 1 << 16)? as u32,
        options.settings.window.to_string();
    "heartbeat", live false: |options, value| options.settings.heartbeat = duration(value)?,
        time(options.settings.heartbeat);
    "repropose", live false: |options, value| options.settings.repropose = range(value)?,
        span(options.settings.repropose);
    "catch_up", live false: |options, value| options.settings.catch_up = duration(value)?,
        time(options.settings.catch_up);
    "pause", live false: |options, value| options.settings.pause = duration(value)?,
        time(options.settings.pause);
    "lifetime", live false: |options, value| options.settings.lifetime = number(value, 1, 1 << 40)?,
        options.settings.lifetime.to_string();
    "sessions", live false: |options, value| options.settings.sessions = number(value, 1, 1 << 20)? as usize,
        options.settings.sessions.to_string();
    "memory", live false: |options, value| options.durable = memory(value)?,
        options.durable.map_or("volatile".into(), |bytes| bytes.to_string());
    "history", live false: |options, value| options.history = match value {
            "all" => usize::MAX,
            bytes => number(bytes, 1, 1 << 40)? as usize,
        },
        match options.history {
            usize::MAX => "all".into(),
            bytes => bytes.to_string(),
        };
    "replicas", live false: |options, value| options.settings.replicas = replicas(value)?,
        match options.settings.replicas.is_empty() {
            true => "none".into(),
            false => {
                let ids: Vec<String> = options.settings.replicas.iter().map(|id| id.to_string()).collect();
                ids.join(",")
            }
        };
    "checkpoint", live false: |options, value| options.checkpoint = number(value, 1, 1 << 40)?,
        options.checkpoint.to_string();
    "trim_step", live false: |options, value| options.settings.trim_step = number(value, 1, 1 << 40)?,
        options.settings.trim_step.to_string();
    "segment", live false: |options, value| options.segment = segment(value)?,
        options.segment.to_string();
    "buffer", live false: |options, value| options.buffer = number(value, 1_000, 1 << 31)? as u32,
        options.buffer.to_string();
    "drift", live false: |options, value| options.drift = number(value, 0, 500_000)? as u32,
        options.drift.to_string();
    "start", live false: |options, value| options.start = duration(value)?,
        time(options.start);
    "turn", live false: |options, value| options.turn = numbers(value)?,
        format!("{}..{}", options.turn.0, options.turn.1);
    "sync", live false: |options, value| options.sync = range(value)?,
        span(options.sync);
    "sync_blocks", live false: |options, value| options.sync_blocks = yes(value)?,
        yes_or_no(options.sync_blocks);
    "sync_failure", live false: |options, value| options.sync_failure = share(value)?,
        percent(options.sync_failure);
    "slow_reads", live false: |options, value| options.slow_reads = yes(value)?,
        yes_or_no(options.slow_reads);
    "service", live false: |options, value| options.service = match value {
            "none" => None,
            kind => Some(ServiceOptions::quiet(kind.parse()?)),
        },
        options.service.map_or("none".into(), |service| service.kind.to_string());
    "users", live false: |options, value| served(options, value, |service| {
            service.users = number(value, 1, 1_000)? as u16;
            Ok(())
        })?,
        of_service(options, |service| service.users.to_string());
    "questions", live false: |options, value| served(options, value, |service| {
            service.questions = number(value, 0, 1 << 20)? as u32;
            Ok(())
        })?,
        of_service(options, |service| service.questions.to_string());
    "keys", live false: |options, value| served(options, value, |service| {
            service.keys = number(value, 1, 1_000)? as u16;
            Ok(())
        })?,
        of_service(options, |service| service.keys.to_string());
    "leisure", live false: |options, value| served(options, value, |service| {
            service.leisure = duration(value)?;
            Ok(())
        })?,
        of_service(options, |service| time(service.leisure));
    "kept_every", live false: |options, value| served(options, value, |service| {
            service.checkpoint = number(value, 1, 1 << 40)?;
            Ok(())
        })?,
        of_service(options, |service| service.checkpoint.to_string());
    "keeping", live false: |options, value| served(options, value, |service| {
            service.keeping = duration(value)?;
            Ok(())
        })?,
        of_service(options, |service| time(service.keeping));
    "ignorance", live false: |options, value| served(options, value, |service| {
            service.ignorance = duration(value)?;
            Ok(())
        })?,
        of_service(options, |service| time(service.ignorance));
    "amnesia", live false: |options, value| served(options, value, |service| {
            service.amnesia = share(value)?;
            Ok(())
        })?,
        of_service(options, |service| percent(service.amnesia));
    "remembered", live false: |options, value| served(options, value, |service| {
            service.memory = number(value, 0, 1 << 40)? as usize;
            Ok(())
        })?,
        of_service(options, |service| service.memory.to_string());
    "loss", live true: |options, value| options.network.loss = share(value)?,
        percent(options.network.loss);
    "fragment_loss", live true: |options, value| options.network.fragment_loss = share(value)?,
        percent(options.network.fragment_loss);
    "duplication", live true: |options, value| options.network.duplication = share(value)?,
        percent(options.network.duplication);
    "replay", live true: |options, value| options.network.replay = duration(value)?,
        time(options.network.replay);
    "corruption", live true: |options, value| options.network.corruption = share(value)?,
        percent(options.network.corruption);
    "delay", live true: |options, value| options.network.delay = duration(value)?,
        time(options.network.delay);
    "jitter", live true: |options, value| options.network.jitter = duration(value)?,
        time(options.network.jitter);
    "clog", live true: |options, value| options.network.clog = share(value)?,
        percent(options.network.clog);
    "clog_mean", live true: |options, value| options.network.clog_mean = duration(value)?,
        time(options.network.clog_mean);
};

impl Setting {
    /// The setting of this name.
    pub fn find(key: &str) -> Result<&'static Setting, String> {
        SETTINGS
            .iter()
            .find(|setting| setting.key == key)
            .ok_or_else(|| {
                let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
                format!("{key:?} cannot be set; there are: {}", keys.join(" "))
            })
    }

    /// Sets it.
    pub fn set(&self, options: &mut ClusterOptions, value: &str) -> Result<(), String> {
        (self.read)(options, value).map_err(|reason| format!("{}: {reason}", self.key))
    }

    /// Its value, as it can be read again.
    pub fn value(&self, options: &ClusterOptions) -> String {
        (self.print)(options)
    }
}

/// Sets something of the service, if there is one.
fn served(
    options: &mut ClusterOptions,
    value: &str,
    set: impl FnOnce(&mut ServiceOptions) -> Result<(), String>,
) -> Result<(), String> {
    match &mut options.service {
        Some(service) => set(service),
        None if value == "none" => Ok(()),
        None => Err("there is no service: set service store or chat first".into()),
    }
}

/// Something of the service, if there is one.
fn of_service(options: &ClusterOptions, value: impl FnOnce(&ServiceOptions) -> String) -> String {
    options.service.as_ref().map_or("none".into(), value)
}

fn number(value: &str, least: u64, most: u64) -> Result<u64, String> {
    let number: u64 = value
        .parse()
        .map_err(|_| format!("{value:?} is no number"))?;
    match (least..=most).contains(&number) {
        true => Ok(number),
        false => Err(format!("{value} does not lie between {least} and {most}")),
    }
}

fn numbers(value: &str) -> Result<(u64, u64), String> {
    let (from, through) = value.split_once("..").unwrap_or((value, value));
    let (from, through) = (number(from, 1, 1 << 20)?, number(through, 1, 1 << 20)?);
    match from <= through {
        true => Ok((from, through)),
        false => Err(format!("{value:?} ends before it begins")),
    }
}

fn memory(value: &str) -> Result<Option<usize>, String> {
    match value {
        "volatile" => Ok(None),
        bytes => Ok(Some(number(bytes, 0, 1 << 40)? as usize)),
    }
}

fn replicas(value: &str) -> Result<ReplicaSet, String> {
    if value == "none" {
        return Ok(ReplicaSet::EMPTY);
    }
    let id = |word| number(word, 1, ReplicaSet::MAX_ID.into()).map(|id| id as u16);
    value.split(',').map(id).collect()
}

fn segment(value: &str) -> Result<u64, String> {
    let bytes = number(value, 2_048, 1 << 30)?;
    match bytes.is_multiple_of(512) {
        true => Ok(bytes),
        false => Err(format!("{value} is no multiple of 512")),
    }
}

fn yes(value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(format!("{value:?} is neither yes nor no")),
    }
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.into()
}

fn time(value: Duration) -> String {
    format!("{value:?}")
}

fn span((from, through): (Duration, Duration)) -> String {
    match from == through {
        true => time(from),
        false => format!("{from:?}..{through:?}"),
    }
}

/// A share with all its digits: what is printed must mean the same when read.
fn percent(value: f64) -> String {
    match value {
        0.0 => "0%".into(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::plan::Plan;

    #[test]
    fn every_setting_is_read_as_it_is_printed() {
        for seed in 0..200 {
            let drawn = Plan::new(seed).cluster;
            let mut read = crate::sim::scenario::Scenario::default().options;
            for setting in SETTINGS {
                setting.set(&mut read, &setting.value(&drawn)).unwrap();
            }
            // What is no setting has lines of its own.
            (read.proposers, read.learners, read.clients) =
                (drawn.proposers, drawn.learners, drawn.clients);
            read.settings.membership = drawn.settings.membership;
            assert_eq!(format!("{read:?}"), format!("{drawn:?}"));
        }
    }
}
