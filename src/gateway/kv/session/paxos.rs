//! PAXOS: what no Redis has.

use super::{Outcome, Question, Session, Shape, lower};
use crate::gateway::kv::backend::Kind;
use crate::gateway::kv::complaint::Complaint;
use crate::gateway::resp::{Arguments, Writer};
use crate::service::kv::command::{Command, Operation};
use crate::service::kv::number;
use crate::service::kv::text::Text;

/// Answers PAXOS with its subcommands.
pub(super) fn paxos(
    session: &mut Session,
    arguments: &Arguments<'_>,
    wall: u64,
    out: &mut Vec<u8>,
    command: &mut Vec<u8>,
) -> Result<Outcome, Complaint> {
    let question = match (lower(arguments.at(1)).as_str(), arguments.len()) {
        ("info", 2) => Question::Log,
        ("hash", 2) => Question::Hash,
        ("instance", 2) => Question::Instance,
        ("getat", 4) => {
            let place = number::parse(arguments.at(2)).and_then(|place| u64::try_from(place).ok());
            let kind = Kind::At(place.ok_or(Complaint::NotAnInteger)?);
            let key = Text(arguments.at(3));
            let get = Command::One(Operation::Get { key });
            return session.submit(get, wall, kind, Shape::Plain, command);
        }
        ("stale", 3) => {
            session.stale = match lower(arguments.at(2)).as_str() {
                "on" => true,
                "off" => false,
                _ => return Err(Complaint::Syntax),
            };
            Writer::new(out, session.version).ok();
            return Ok(Outcome::Answered);
        }
        ("help", _) => {
            return Err(Complaint::Other(
                "ERR PAXOS INFO tells where the log stands, PAXOS HASH the digest of the state \
                 there, PAXOS INSTANCE the place of the last command, PAXOS GETAT PLACE KEY waits \
                 for that place and gets a value, PAXOS STALE ON lets reads be old",
            ));
        }
        (other, _) => return Err(Complaint::UnknownSubcommand(other.to_owned(), "PAXOS")),
    };
    Ok(Outcome::Ask(question))
}
