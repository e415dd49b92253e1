//! Every command that is served: one row each, in the order of their names.

use super::request::{self as read, Reader};

/// A command.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name, in capitals.
    pub name: &'static str,
    /// How many words it has, its name among them; at least so many if negative,
    /// as Redis counts them.
    pub arity: i32,
    /// Where its keys are: the first, the last (counted from the end if
    /// negative), and from one to the next. All 0 if there are none.
    pub keys: (i32, i32, i32),
    /// Whose business it is.
    pub does: Does,
    /// What it does, in a few words.
    pub summary: &'static str,
}

/// Whose business a command is.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    /// The store's: reads.
    Read(Reader),
    /// The store's: changes.
    Write(Reader),
    /// The connection's.
    Session(Act),
}

/// What a connection can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the commands")]
pub enum Act {
    Auth,
    Client,
    Command,
    Config,
    Discard,
    Echo,
    Exec,
    Hello,
    Info,
    Multi,
    Paxos,
    Ping,
    Quit,
    Readonly,
    Readwrite,
    Reset,
    Select,
    Unwatch,
    Watch,
}

const NO_KEY: (i32, i32, i32) = (0, 0, 0);
const ONE_KEY: (i32, i32, i32) = (1, 1, 1);
const ALL_KEYS: (i32, i32, i32) = (1, -1, 1);
const PAIRS: (i32, i32, i32) = (1, -1, 2);

const fn row(
    name: &'static str,
    arity: i32,
    keys: (i32, i32, i32),
    does: Does,
    summary: &'static str,
) -> Row {
    Row {
        name,
        arity,
        keys,
        does,
        summary,
    }
}

/// All commands; searched by halves, so in order.
#[rustfmt::skip]
pub static ROWS: [Row; 54] = {
    use Does::{Read, Session, Write};
    [
        row("APPEND", 3, ONE_KEY, Write(read::append), "Adds bytes to a value's end"),
        row("AUTH", -2, NO_KEY, Session(Act::Auth), "Refused: there are no passwords"),
        row("CLIENT", -2, NO_KEY, Session(Act::Client), "Tells and changes what is known of connections"),
        row("COMMAND", -1, NO_KEY, Session(Act::Command), "Tells which commands there are"),
        row("CONFIG", -2, NO_KEY, Session(Act::Config), "Tells settings"),
        row("DBSIZE", 1, NO_KEY, Read(read::dbsize), "Tells how many keys there are"),
        row("DECR", 2, ONE_KEY, Write(read::decr), "Takes 1 from a number"),
        row("DECRBY", 3, ONE_KEY, Write(read::decrby), "Takes from a number"),
        row("DEL", -2, ALL_KEYS, Write(read::del), "Takes keys away"),
        row("DISCARD", 1, NO_KEY, Session(Act::Discard), "Forgets a transaction"),
        row("ECHO", 2, NO_KEY, Session(Act::Echo), "Says the same"),
        row("EXEC", 1, NO_KEY, Session(Act::Exec), "Does a transaction, as one"),
        row("EXISTS", -2, ALL_KEYS, Read(read::exists), "Tells how many of these keys there are"),
        row("EXPIRE", -3, ONE_KEY, Write(read::expire), "Gives a key seconds to live"),
        row("EXPIREAT", -3, ONE_KEY, Write(read::expireat), "Lets a key live until a second"),
        row("EXPIRETIME", 2, ONE_KEY, Read(read::expiretime), "Tells until which second a key lives"),
        row("FLUSHALL", -1, NO_KEY, Write(read::flush), "Takes everything away"),
        row("FLUSHDB", -1, NO_KEY, Write(read::flush), "Takes everything away"),
        row("GET", 2, ONE_KEY, Read(read::get), "Tells a value"),
        row("GETDEL", 2, ONE_KEY, Write(read::getdel), "Tells a value and takes it away"),
        row("GETSET", 3, ONE_KEY, Write(read::getset), "Sets a value and tells the one before"),
        row("HELLO", -1, NO_KEY, Session(Act::Hello), "Agrees on a version of RESP"),
        row("INCR", 2, ONE_KEY, Write(read::incr), "Adds 1 to a number"),
        row("INCRBY", 3, ONE_KEY, Write(read::incrby), "Adds to a number"),
        row("INFO", -1, NO_KEY, Session(Act::Info), "Tells how the server stands"),
        row("KEYS", 2, NO_KEY, Read(read::keys), "Tells the keys that match a pattern"),
        row("MGET", -2, ALL_KEYS, Read(read::mget), "Tells many values"),
        row("MSET", -3, PAIRS, Write(read::mset), "Sets many values as one"),
        row("MSETNX", -3, PAIRS, Write(read::msetnx), "Sets many values as one, if there is none"),
        row("MULTI", 1, NO_KEY, Session(Act::Multi), "Begins a transaction"),
        row("PAXOS", -2, NO_KEY, Session(Act::Paxos), "Tells where the log stands"),
        row("PERSIST", 2, ONE_KEY, Write(read::persist), "Lets a key live for ever"),
        row("PEXPIRE", -3, ONE_KEY, Write(read::pexpire), "Gives a key milliseconds to live"),
        row("PEXPIREAT", -3, ONE_KEY, Write(read::pexpireat), "Lets a key live until a millisecond"),
        row("PEXPIRETIME", 2, ONE_KEY, Read(read::pexpiretime), "Tells until which millisecond a key lives"),
        row("PING", -1, NO_KEY, Session(Act::Ping), "Says that it is there"),
        row("PSETEX", 4, ONE_KEY, Write(read::psetex), "Sets a value for milliseconds"),
        row("PTTL", 2, ONE_KEY, Read(read::pttl), "Tells how many milliseconds a key has left"),
        row("QUIT", -1, NO_KEY, Session(Act::Quit), "Ends the connection"),
        row("READONLY", 1, NO_KEY, Session(Act::Readonly), "Lets reads be old, as PAXOS STALE ON"),
        row("READWRITE", 1, NO_KEY, Session(Act::Readwrite), "Lets no read be old, as PAXOS STALE OFF"),
        row("RESET", 1, NO_KEY, Session(Act::Reset), "Makes the connection as new"),
        row("SCAN", -2, NO_KEY, Read(read::scan), "Walks over the keys, some at a time"),
        row("SELECT", 2, NO_KEY, Session(Act::Select), "Chooses database 0, the only one"),
        row("SET", -3, ONE_KEY, Write(read::set), "Sets a value"),
        row("SETEX", 4, ONE_KEY, Write(read::setex), "Sets a value for seconds"),
        row("SETNX", 3, ONE_KEY, Write(read::setnx), "Sets a value if there is none"),
        row("STRLEN", 2, ONE_KEY, Read(read::strlen), "Tells a value's length"),
        row("TOUCH", -2, ALL_KEYS, Read(read::exists), "Tells how many of these keys there are"),
        row("TTL", 2, ONE_KEY, Read(read::ttl), "Tells how many seconds a key has left"),
        row("TYPE", 2, ONE_KEY, Read(read::kind), "Tells the kind of a value"),
        row("UNLINK", -2, ALL_KEYS, Write(read::del), "Takes keys away"),
        row("UNWATCH", 1, NO_KEY, Session(Act::Unwatch), "Forgets what is watched"),
        row("WATCH", -2, ALL_KEYS, Session(Act::Watch), "Lets a transaction fail if keys change"),
    ]
};

impl Row {
    /// The command of this name, in whatever case.
    pub fn find(name: &[u8]) -> Option<&'static Row> {
        const LONGEST: usize = 16;
        let mut space = [0; LONGEST];
        let upper = space.get_mut(..name.len())?;
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        let upper = &*upper;
        let at = ROWS.binary_search_by(|row| row.name.as_bytes().cmp(upper));
        at.ok().map(|at| &ROWS[at])
    }

    /// Whether a request of so many words can be this.
    pub fn takes(&self, words: usize) -> bool {
        let least = self.arity.unsigned_abs() as usize;
        match self.arity < 0 {
            true => words >= least,
            false => words == least,
        }
    }

    /// The name as errors have it.
    pub fn lower(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// What Redis calls its flags.
    pub fn flags(&self) -> &'static [&'static str] {
        match self.does {
            Does::Read(_) => &["readonly"],
            Does::Write(_) => &["write", "denyoom"],
            Does::Session(Act::Exec | Act::Multi | Act::Discard | Act::Watch) => {
                &["noscript", "loading", "stale", "fast"]
            }
            Does::Session(_) => &["loading", "stale", "fast"],
        }
    }

    /// What Redis calls its group.
    pub fn group(&self) -> &'static str {
        match self.does {
            Does::Session(Act::Exec | Act::Multi | Act::Discard | Act::Watch | Act::Unwatch) => {
                "transactions"
            }
            Does::Session(Act::Command | Act::Config | Act::Info | Act::Paxos) => "server",
            Does::Session(_) => "connection",
            Does::Read(_) | Does::Write(_) if self.name.starts_with("FLUSH") => "server",
            Does::Read(_) | Does::Write(_) => "string",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_found_by_its_name() {
        assert!(ROWS.is_sorted_by(|one, other| one.name < other.name));
        for row in &ROWS {
            let lower = row.lower();
            let found = Row::find(lower.as_bytes()).expect("a row");
            assert_eq!(found.name, row.name);
            assert!(row.arity != 0 && !row.summary.is_empty(), "{lower}");
        }
        for name in ["", "GE", "GETT", "ZZZ", "A-VERY-LONG-NAME-INDEED"] {
            assert!(Row::find(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn each_command_is_documented_and_no_other() {
        let text = include_str!("../../../docs/kv.md");
        let (_, text) = text.split_once("## Commands").expect("a section");
        let (table, _) = text.split_once("## Limits").expect("a section");
        let words: Vec<&str> = table.split('`').skip(1).step_by(2).collect();
        for row in &ROWS {
            assert!(words.contains(&row.name), "docs/kv.md lacks {}", row.name);
        }
        // What stands in brackets are options, what has blanks are subcommands.
        let mut outside = table.split(['(', ')']).step_by(2);
        let named = outside
            .by_ref()
            .flat_map(|part| part.split('`').skip(1).step_by(2));
        for name in named.filter(|name| !name.contains(' ')) {
            assert!(Row::find(name.as_bytes()).is_some(), "there is no {name}");
        }
    }

    #[test]
    fn whether_it_reads_is_what_the_store_says() {
        use crate::gateway::resp::Intake;
        for row in &ROWS {
            let (reader, reads) = match row.does {
                Does::Read(reader) => (reader, true),
                Does::Write(reader) => (reader, false),
                Does::Session(_) => continue,
            };
            let words = "1 ".repeat(row.arity.unsigned_abs() as usize - 1);
            let mut intake = Intake::default();
            intake.feed(format!("{} {words}\n", row.name).as_bytes());
            intake.advance().expect("a request");
            let operation = reader(&intake.arguments()).expect(row.name);
            assert_eq!(operation.is_read(), reads, "{}", row.name);
        }
    }
}
