//! A socket with what waits to be sent on it.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use crate::protocol::Time;

/// A TCP connection that never blocks.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    out: Vec<u8>,
    /// So much of `out` is sent.
    sent: usize,
    /// The socket may have more to read.
    pub readable: bool,
    /// The other side will send no more than what is there to be read.
    pub ended: bool,
    /// The other side has not taken anything since then, though it could.
    pub stalled: Option<Time>,
}

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes.
    Some(usize),
    /// Nothing for now.
    Nothing,
    /// The other side will send no more.
    End,
}

impl Stream {
    /// An empty block of more than this is given back.
    const SPARE: usize = 64 << 10;

    /// A connection that has just come.
    pub fn new(socket: TcpStream) -> Stream {
        Stream {
            socket,
            out: Vec::new(),
            sent: 0,
            readable: true,
            ended: false,
            stalled: None,
        }
    }

    /// The socket itself, to be watched and asked.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Where to append what is to be sent.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Bytes that wait to be sent.
    pub fn pending(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Bytes of memory that it holds.
    pub fn held(&self) -> usize {
        self.out.capacity()
    }

    /// Reads once.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn receive(&mut self, scratch: &mut [u8]) -> io::Result<Received> {
        match self.socket.read(scratch) {
            Ok(0) => {
                self.readable = false;
                Ok(Received::End)
            }
            Ok(count) => {
                // Less than could be means that it was all there was; more will
                // be announced.
                self.readable = count == scratch.len();
                Ok(Received::Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(Received::Nothing)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Received::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Whether the other side is gone, as far as that has come here, whatever it has left
    /// to be read.
    pub fn is_over(&self) -> bool {
        self.ended
            || match self.socket.peek(&mut [0]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            }
    }

    /// Sends what is there; says how many bytes left.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn send(&mut self, now: Time) -> io::Result<usize> {
        let before = self.sent;
        let mut blocked = false;
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let left = self.sent - before;
        if !blocked {
            self.stalled = None;
        } else if left > 0 || self.stalled.is_none() {
            self.stalled = Some(now);
        }
        if self.sent == self.out.len() {
            self.sent = 0;
            self.out.clear();
            if self.out.capacity() > Self::SPARE {
                self.out = Vec::new();
            }
        } else if self.sent > Self::SPARE && self.sent > self.out.len() / 2 {
            // Others go on appending while this waits: the sent half makes room.
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(left)
    }

    /// Says good-bye. What came and was not read would make the kernel take the
    /// last bytes back, so some of it is read.
    pub fn close(&mut self, scratch: &mut [u8]) {
        const ROUNDS: usize = 16;
        let _ = self.socket.shutdown(Shutdown::Write);
        for _ in 0..ROUNDS {
            if !matches!(self.socket.read(scratch), Ok(1..)) {
                return;
            }
        }
    }
}
