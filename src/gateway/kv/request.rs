//! From the words of a request to an operation of the store.

use super::complaint::Complaint;
use crate::gateway::resp::Arguments;
use crate::service::kv::command::{
    Answer, Condition, Deadline, ExpireCondition, Lifetime, Operation, Unit,
};
use crate::service::kv::number;
use crate::service::kv::text::Text;

/// What the words mean, or what is wrong with them.
type Understood<'a> = Result<Operation<'a>, Complaint>;

/// Makes an operation of a request whose number of words is right.
pub type Reader = for<'a> fn(&Arguments<'a>) -> Understood<'a>;

fn text<'a>(arguments: &Arguments<'a>, index: usize) -> Text<'a> {
    Text(arguments.at(index))
}

fn texts<'a>(arguments: &Arguments<'a>) -> Vec<Text<'a>> {
    arguments.from(1).map(Text).collect()
}

fn integer(text: &[u8]) -> Result<i64, Complaint> {
    number::parse(text).ok_or(Complaint::NotAnInteger)
}

fn is(text: &[u8], word: &str) -> bool {
    text.eq_ignore_ascii_case(word.as_bytes())
}

/// GET.
pub fn get<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Get { key: text(a, 1) })
}

/// SET with its options.
pub fn set<'a>(a: &Arguments<'a>) -> Understood<'a> {
    let mut condition = Condition::Always;
    let mut lifetime = None;
    let mut answer = Answer::Status;
    let mut words = a.from(3);
    while let Some(word) = words.next() {
        let twice = if is(word, "NX") {
            std::mem::replace(&mut condition, Condition::Absent) == Condition::Present
        } else if is(word, "XX") {
            std::mem::replace(&mut condition, Condition::Present) == Condition::Absent
        } else if is(word, "GET") {
            answer = Answer::Previous;
            false
        } else if is(word, "KEEPTTL") {
            lifetime.replace(Lifetime::Keep).is_some()
        } else {
            let deadline = match word.to_ascii_uppercase().as_slice() {
                b"EX" => (1000, false),
                b"PX" => (1, false),
                b"EXAT" => (1000, true),
                b"PXAT" => (1, true),
                _ => return Err(Complaint::Syntax),
            };
            let number = words.next().ok_or(Complaint::Syntax)?;
            if lifetime.is_some() {
                return Err(Complaint::Syntax);
            }
            let until = positive("set", number, deadline)?;
            lifetime.replace(Lifetime::Until(until)).is_some()
        };
        if twice {
            return Err(Complaint::Syntax);
        }
    }
    Ok(Operation::Set {
        key: text(a, 1),
        value: text(a, 2),
        condition,
        lifetime: lifetime.unwrap_or_default(),
        answer,
    })
}

/// A deadline that a value is born with: such must lie ahead.
fn positive(
    command: &'static str,
    number: &[u8],
    (factor, absolute): (i64, bool),
) -> Result<Deadline, Complaint> {
    let milliseconds = integer(number)?.checked_mul(factor);
    let milliseconds = milliseconds.filter(|milliseconds| *milliseconds > 0);
    let milliseconds = milliseconds.ok_or(Complaint::Lifetime(command))?;
    Ok(match absolute {
        true => Deadline::At(milliseconds),
        false => Deadline::In(milliseconds),
    })
}

fn set_for<'a>(a: &Arguments<'a>, name: &'static str, factor: i64) -> Understood<'a> {
    Ok(Operation::Set {
        key: text(a, 1),
        value: text(a, 3),
        condition: Condition::Always,
        lifetime: Lifetime::Until(positive(name, a.at(2), (factor, false))?),
        answer: Answer::Status,
    })
}

/// SETEX.
pub fn setex<'a>(a: &Arguments<'a>) -> Understood<'a> {
    set_for(a, "setex", 1000)
}

/// PSETEX.
pub fn psetex<'a>(a: &Arguments<'a>) -> Understood<'a> {
    set_for(a, "psetex", 1)
}

/// SETNX.
pub fn setnx<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Set {
        key: text(a, 1),
        value: text(a, 2),
        condition: Condition::Absent,
        lifetime: Lifetime::Forever,
        answer: Answer::Flag,
    })
}

/// GETSET.
pub fn getset<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Set {
        key: text(a, 1),
        value: text(a, 2),
        condition: Condition::Always,
        lifetime: Lifetime::Forever,
        answer: Answer::Previous,
    })
}

/// GETDEL.
pub fn getdel<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Take { key: text(a, 1) })
}

/// DEL and UNLINK.
pub fn del<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Delete { keys: texts(a) })
}

/// EXISTS and TOUCH.
pub fn exists<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Exists { keys: texts(a) })
}

/// INCR.
pub fn incr<'a>(a: &Arguments<'a>) -> Understood<'a> {
    let key = text(a, 1);
    Ok(Operation::Add { key, by: 1 })
}

/// DECR.
pub fn decr<'a>(a: &Arguments<'a>) -> Understood<'a> {
    let key = text(a, 1);
    Ok(Operation::Add { key, by: -1 })
}

/// INCRBY.
pub fn incrby<'a>(a: &Arguments<'a>) -> Understood<'a> {
    let key = text(a, 1);
    let by = integer(a.at(2))?;
    Ok(Operation::Add { key, by })
}

/// DECRBY.
pub fn decrby<'a>(a: &Arguments<'a>) -> Understood<'a> {
    let key = text(a, 1);
    let by = integer(a.at(2))?;
    let by = by.checked_neg().ok_or(Complaint::Decrement)?;
    Ok(Operation::Add { key, by })
}

/// APPEND.
pub fn append<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Append {
        key: text(a, 1),
        value: text(a, 2),
    })
}

/// STRLEN.
pub fn strlen<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Length { key: text(a, 1) })
}

/// MGET.
pub fn mget<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::GetMany { keys: texts(a) })
}

fn set_many<'a>(a: &Arguments<'a>, name: &str, absent: bool) -> Understood<'a> {
    if a.len().is_multiple_of(2) {
        return Err(Complaint::Arity(name.to_owned()));
    }
    let values = a.from(2).step_by(2).map(Text);
    let pairs = a.from(1).step_by(2).map(Text).zip(values).collect();
    Ok(Operation::SetMany { pairs, absent })
}

/// MSET.
pub fn mset<'a>(a: &Arguments<'a>) -> Understood<'a> {
    set_many(a, "mset", false)
}

/// MSETNX.
pub fn msetnx<'a>(a: &Arguments<'a>) -> Understood<'a> {
    set_many(a, "msetnx", true)
}

fn end_at<'a>(
    a: &Arguments<'a>,
    name: &'static str,
    factor: i64,
    deadline: fn(i64) -> Deadline,
) -> Understood<'a> {
    let number = integer(a.at(2))?.checked_mul(factor);
    let [mut absent, mut present, mut later, mut sooner] = [false; 4];
    for word in a.from(3) {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => absent = true,
            b"XX" => present = true,
            b"GT" => later = true,
            b"LT" => sooner = true,
            _ => return Err(Complaint::Option(word.escape_ascii().to_string())),
        }
    }
    if absent && (present || later || sooner) {
        return Err(Complaint::Other(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ));
    }
    if later && sooner {
        return Err(Complaint::Other(
            "ERR GT and LT options at the same time are not compatible",
        ));
    }
    let condition = match (absent, present, later, sooner) {
        (true, ..) => ExpireCondition::Absent,
        // What lives for ever cannot live longer, so it need not be excluded.
        (_, _, true, _) => ExpireCondition::Later,
        (_, true, _, true) => ExpireCondition::PresentSooner,
        (_, _, _, true) => ExpireCondition::Sooner,
        (_, true, ..) => ExpireCondition::Present,
        _ => ExpireCondition::Always,
    };
    Ok(Operation::Expire {
        key: text(a, 1),
        deadline: deadline(number.ok_or(Complaint::Lifetime(name))?),
        condition,
    })
}

/// EXPIRE.
pub fn expire<'a>(a: &Arguments<'a>) -> Understood<'a> {
    end_at(a, "expire", 1000, Deadline::In)
}

/// PEXPIRE.
pub fn pexpire<'a>(a: &Arguments<'a>) -> Understood<'a> {
    end_at(a, "pexpire", 1, Deadline::In)
}

/// EXPIREAT.
pub fn expireat<'a>(a: &Arguments<'a>) -> Understood<'a> {
    end_at(a, "expireat", 1000, Deadline::At)
}

/// PEXPIREAT.
pub fn pexpireat<'a>(a: &Arguments<'a>) -> Understood<'a> {
    end_at(a, "pexpireat", 1, Deadline::At)
}

fn time_to_live<'a>(a: &Arguments<'a>, unit: Unit) -> Understood<'a> {
    let key = text(a, 1);
    Ok(Operation::TimeToLive { key, unit })
}

/// TTL.
pub fn ttl<'a>(a: &Arguments<'a>) -> Understood<'a> {
    time_to_live(a, Unit::Seconds)
}

/// PTTL.
pub fn pttl<'a>(a: &Arguments<'a>) -> Understood<'a> {
    time_to_live(a, Unit::Milliseconds)
}

/// EXPIRETIME.
pub fn expiretime<'a>(a: &Arguments<'a>) -> Understood<'a> {
    time_to_live(a, Unit::EndSeconds)
}

/// PEXPIRETIME.
pub fn pexpiretime<'a>(a: &Arguments<'a>) -> Understood<'a> {
    time_to_live(a, Unit::EndMilliseconds)
}

/// PERSIST.
pub fn persist<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Persist { key: text(a, 1) })
}

/// KEYS.
pub fn keys<'a>(a: &Arguments<'a>) -> Understood<'a> {
    let pattern = text(a, 1);
    Ok(Operation::Keys { pattern })
}

/// SCAN with its options.
pub fn scan<'a>(a: &Arguments<'a>) -> Understood<'a> {
    let cursor = std::str::from_utf8(a.at(1)).ok();
    let mut cursor: u64 = cursor
        .and_then(|cursor| cursor.parse().ok())
        .ok_or(Complaint::Cursor)?;
    let mut pattern = None;
    let mut count = 10;
    let mut words = a.from(2);
    while let Some(word) = words.next() {
        let next = words.next().ok_or(Complaint::Syntax)?;
        if is(word, "MATCH") {
            pattern = Some(Text(next));
        } else if is(word, "COUNT") {
            let wanted = integer(next)?;
            if wanted < 1 {
                return Err(Complaint::Syntax);
            }
            count = u32::try_from(wanted).unwrap_or(u32::MAX);
        } else if is(word, "TYPE") {
            if !is(next, "string") {
                // There is no other kind, so the walk is at its end.
                cursor = u64::MAX;
            }
        } else {
            return Err(Complaint::Syntax);
        }
    }
    Ok(Operation::Scan {
        cursor,
        pattern,
        count,
    })
}

/// DBSIZE.
pub fn dbsize<'a>(_: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Count)
}

/// TYPE.
pub fn kind<'a>(a: &Arguments<'a>) -> Understood<'a> {
    Ok(Operation::Kind { key: text(a, 1) })
}

/// FLUSHALL and FLUSHDB.
pub fn flush<'a>(a: &Arguments<'a>) -> Understood<'a> {
    match a.from(1).next() {
        None => Ok(Operation::Flush),
        Some(how) if is(how, "SYNC") || is(how, "ASYNC") => Ok(Operation::Flush),
        Some(_) => Err(Complaint::Syntax),
    }
}
