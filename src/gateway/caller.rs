//! A client for the tests of gateways: it lives in the test's own thread and never
//! blocks.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::gateway::crowd::Allowances;

/// What a gateway in a test may cost.
pub const PLENTY: Allowances = Allowances {
    connections: 5_000,
    buffers: 64 << 20,
};

/// The other end of a connection.
pub struct Caller {
    /// Its socket.
    pub stream: TcpStream,
    /// What came and was not taken out.
    pub heard: Vec<u8>,
    /// The connection is over.
    pub ended: bool,
}

impl Caller {
    /// One that is connected.
    pub fn connect(to: SocketAddr) -> Caller {
        Caller::connect_from(to.ip(), to)
    }

    /// One that is connected from an address of this host.
    pub fn connect_from(from: IpAddr, to: SocketAddr) -> Caller {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        let from = SocketAddr::new(from, 0);
        socket.bind(&from.into()).expect("an address of this host");
        socket.connect(&to.into()).expect("it takes connections");
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true).expect("it does not block");
        Caller {
            stream,
            heard: Vec::new(),
            ended: false,
        }
    }

    /// Says all of it.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the kernel takes it");
    }

    /// What it heard.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    /// Hears what is there.
    pub fn listen(&mut self) {
        let mut buffer = [0; 65_536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.heard.extend_from_slice(&buffer[..count]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            return;
        }
    }
}
