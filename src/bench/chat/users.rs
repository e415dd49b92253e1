//! Many users of a chat in one thread: what they say, and each line that they are
//! sent.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Users, each with a connection.
#[derive(Debug)]
pub struct Users {
    poll: Poll,
    events: Events,
    users: Vec<User>,
    block: Vec<u8>,
}

/// One of them.
#[derive(Debug)]
struct User {
    socket: TcpStream,
    /// What came and has no end of line yet.
    rest: Vec<u8>,
    /// What is not sent yet.
    out: Vec<u8>,
    /// Why it is gone, if it is.
    gone: Option<String>,
}

impl Users {
    /// Nobody yet.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn new() -> io::Result<Users> {
        Ok(Users {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            users: Vec::new(),
            block: vec![0; 256 << 10],
        })
    }

    /// One more, at this gateway; says its number.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn connect(&mut self, address: SocketAddr) -> io::Result<usize> {
        let mut socket = TcpStream::connect(address)?;
        let index = self.users.len();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut socket, Token(index), both)?;
        let _ = socket.set_nodelay(true);
        self.users.push(User {
            socket,
            rest: Vec::new(),
            out: Vec::new(),
            gone: None,
        });
        Ok(index)
    }

    /// How many there are, those that are gone among them.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Why a user is gone.
    pub fn gone(&self) -> Option<&str> {
        self.users.iter().find_map(|user| user.gone.as_deref())
    }

    /// Whether the connection of a user is gone.
    pub fn is_gone(&self, user: usize) -> bool {
        self.users[user].gone.is_some()
    }

    /// Lets a user say a line.
    pub fn say(&mut self, user: usize, line: &str) {
        let user = &mut self.users[user];
        user.out.extend_from_slice(line.as_bytes());
        user.out.extend_from_slice(b"\r\n");
        user.send();
    }

    /// Hands every line that comes within this time to `hear`, with the number of the
    /// user that it is for and without its end; a line is told as long as `hear` says
    /// that it wants more. Says whether it has had enough.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to wait.
    pub fn listen(
        &mut self,
        lasts: Duration,
        hear: &mut dyn FnMut(usize, &[u8]) -> bool,
    ) -> io::Result<bool> {
        let until = Instant::now() + lasts;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            let mut more = true;
            for event in &self.events {
                let index = event.token().0;
                let user = &mut self.users[index];
                user.send();
                more &= user.receive(&mut self.block, &mut |line| hear(index, line));
            }
            if !more {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }
}

impl User {
    fn send(&mut self) {
        while !self.out.is_empty() && self.gone.is_none() {
            match self.socket.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::NotConnected => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.gone = Some(error.to_string()),
            }
        }
    }

    /// Reads all that is there; says whether the hearer wants more.
    fn receive(&mut self, block: &mut [u8], hear: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let mut more = true;
        while self.gone.is_none() {
            let count = match self.socket.read(block) {
                Ok(0) => {
                    self.gone = Some("the gateway has ended the connection".to_owned());
                    return more;
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return more,
                Err(error) if error.kind() == ErrorKind::NotConnected => return more,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.gone = Some(error.to_string());
                    return more;
                }
            };
            let mut came = &block[..count];
            while let Some(end) = came.iter().position(|byte| *byte == b'\n') {
                let (line, behind) = came.split_at(end);
                came = &behind[1..];
                let whole = match self.rest.is_empty() {
                    true => line,
                    false => {
                        self.rest.extend_from_slice(line);
                        &self.rest
                    }
                };
                let line = whole.strip_suffix(b"\r").unwrap_or(whole);
                if let Some(token) = line.strip_prefix(b"PING ") {
                    self.out.extend_from_slice(b"PONG ");
                    self.out.extend_from_slice(token);
                    self.out.extend_from_slice(b"\r\n");
                } else {
                    more &= hear(line);
                }
                self.rest.clear();
            }
            self.rest.extend_from_slice(came);
            self.send();
        }
        more
    }
}
