//! CLIENT: what a connection tells about itself, and what is told about it.

use super::complaint::Complaint;
use super::session::{Outcome, Question, Session, Silence, lower};
use crate::gateway::resp::{Arguments, Version, Writer};

/// Answers CLIENT with its subcommands.
pub fn client(
    session: &mut Session,
    arguments: &Arguments<'_>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Complaint> {
    let subcommand = lower(arguments.at(1));
    let mut writer = Writer::new(out, session.version);
    let word = |index: usize| String::from_utf8_lossy(arguments.at(index)).into_owned();
    match (subcommand.as_str(), arguments.len()) {
        ("id", 2) => writer.integer(session.id as i64),
        ("getname", 2) => match session.name.is_empty() {
            true => writer.nil(),
            false => writer.bulk(session.name.as_bytes()),
        },
        ("setname", 3) => {
            session.name = named(
                arguments.at(2),
                "ERR Client names cannot contain spaces, newlines or special characters.",
            )?;
            writer.ok();
        }
        ("setinfo", 4) => {
            let which = match lower(arguments.at(2)).as_str() {
                "lib-name" => 0,
                "lib-ver" => 1,
                _ => return Err(Complaint::Option(word(2))),
            };
            session.library[which] = named(
                arguments.at(3),
                "ERR lib-name and lib-ver cannot contain spaces, newlines or special characters.",
            )?;
            writer.ok();
        }
        ("list", _) => return Ok(Outcome::Ask(Question::Clients)),
        ("info", 2) => return Ok(Outcome::Ask(Question::Client)),
        // There is no eviction, and no order of use.
        ("no-evict" | "no-touch", 3) => match lower(arguments.at(2)).as_str() {
            "on" | "off" => writer.ok(),
            _ => return Err(Complaint::Syntax),
        },
        ("reply", 3) => match lower(arguments.at(2)).as_str() {
            "on" => {
                session.silence = Silence::Not;
                writer.ok();
            }
            "off" => session.silence = Silence::On,
            "skip" if session.silence == Silence::Not => session.silence = Silence::Next,
            "skip" => {}
            _ => return Err(Complaint::Syntax),
        },
        (
            known @ ("id" | "getname" | "setname" | "setinfo" | "info" | "no-evict" | "no-touch"
            | "reply"),
            _,
        ) => return Err(Complaint::Arity(format!("client|{known}"))),
        _ => return Err(Complaint::UnknownSubcommand(word(1), "CLIENT")),
    }
    Ok(Outcome::Answered)
}

/// A name that can stand in a line of CLIENT LIST.
pub fn named(name: &[u8], complaint: &'static str) -> Result<String, Complaint> {
    const LONGEST: usize = 256;
    let plain = name.len() <= LONGEST && name.iter().all(u8::is_ascii_graphic);
    let name = plain.then(|| String::from_utf8_lossy(name).into_owned());
    name.ok_or(Complaint::Other(complaint))
}

/// What CLIENT LIST has about a session: `age` and `idle` are seconds, `input`
/// and `output` bytes that wait.
pub fn line(session: &Session, age: u64, idle: u64, input: usize, output: usize) -> String {
    let Session {
        id,
        address,
        local,
        name,
        library: [library, version],
        ..
    } = session;
    let multi = session.gathered().map_or(-1, |count| count as i64);
    let flags = if session.is_gathering() { "x" } else { "N" };
    let resp = match session.version {
        Version::Two => 2,
        Version::Three => 3,
    };
    let command = match session.last {
        "" => "NULL".to_owned(),
        last => last.to_ascii_lowercase(),
    };
    format!(
        "id={id} addr={address} laddr={local} name={name} age={age} idle={idle} flags={flags} \
         db=0 multi={multi} qbuf={input} omem={output} cmd={command} user=default resp={resp} \
         lib-name={library} lib-ver={version}\n"
    )
}
