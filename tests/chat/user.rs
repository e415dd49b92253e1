//! One user of the chat, over one connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::process::PATIENCE;

/// A user; every step is bounded.
pub struct User {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl User {
    /// Connects, and says nothing.
    pub fn connect(address: SocketAddr) -> User {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
        stream.set_write_timeout(Some(PATIENCE)).expect("a bound");
        let reader = BufReader::new(stream.try_clone().expect("a copy"));
        User { stream, reader }
    }

    /// Comes in; `lines` come ahead of NICK and USER.
    pub fn enter(address: SocketAddr, nick: &str, lines: &[&str]) -> User {
        let mut user = User::connect(address);
        user.introduce(nick, lines);
        user.until("MOTD file is missing");
        user
    }

    /// Says who it is.
    pub fn introduce(&mut self, nick: &str, lines: &[&str]) {
        for line in lines {
            self.send(line);
        }
        self.send(&format!("NICK {nick}"));
        self.send(&format!("USER {nick} 0 * :{nick} itself"));
        self.send("CAP END");
    }

    pub fn send(&mut self, line: &str) {
        self.stream
            .write_all(format!("{line}\r\n").as_bytes())
            .expect("it is sent");
    }

    /// The next line; nothing when the connection has ended.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            // It answers that as any client does.
            Ok(_) if line.starts_with("PING :still-there") => {
                self.send(&format!("PONG{}", line[4..].trim_end()));
                self.hear()
            }
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing was said in time: {error}"),
        }
    }

    /// Everything through a line that ends so.
    pub fn until(&mut self, end: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let Some(line) = self.hear() else {
                panic!("it ended without `{end}`: {lines:#?}");
            };
            lines.push(line);
            if lines.last().is_some_and(|line| line.ends_with(end)) {
                return lines;
            }
        }
    }

    /// Everything that comes until all that was sent is done.
    pub fn heard(&mut self) -> Vec<String> {
        self.send("PING fence");
        let mut lines = self.until(" :fence");
        lines.pop();
        lines
    }

    /// The place of what `PAXOS INFO` tells next.
    pub fn until_info(&mut self) -> String {
        loop {
            let line = self.hear().expect("an answer");
            if let Some(facts) = line.split(" PAXOS INFO ").nth(1) {
                let place = facts.split(' ').find(|fact| fact.starts_with("place="));
                return place.expect("a place").to_owned();
            }
        }
    }

    /// The bare connection.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Reads until the connection ends.
    pub fn until_ended(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.hear()).collect()
    }
}
