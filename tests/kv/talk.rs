//! A client of the tests' own: one request after the other, and whatever comes
//! back, errors too.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Word(String),
    Refused(String),
    Number(i64),
    Nothing,
    Text(String),
    List(Vec<Told>),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::Word(word) | Told::Text(word) => f.write_str(word),
            Told::Refused(error) => write!(f, "-{error}"),
            Told::Number(number) => number.fmt(f),
            Told::Nothing => f.write_str("nothing"),
            Told::List(all) => f.debug_list().entries(all).finish(),
        }
    }
}

/// A connection whose every step is bounded.
pub struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    pub fn to(address: SocketAddr, patience: Duration) -> io::Result<Talk> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Talk {
            stream: BufReader::new(stream),
        })
    }

    pub fn say(&mut self, words: &[&str]) -> io::Result<()> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.stream.get_mut().write_all(request.as_bytes())
    }

    pub fn hear(&mut self) -> io::Result<Told> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().map_err(io::Error::other);
        Ok(match kind {
            "+" => Told::Word(rest.to_owned()),
            "-" => Told::Refused(rest.to_owned()),
            ":" => Told::Number(number()?),
            "$" | "*" if rest == "-1" => Told::Nothing,
            "$" => {
                let mut text = vec![0; number()? as usize + 2];
                self.stream.read_exact(&mut text)?;
                text.truncate(text.len() - 2);
                Told::Text(String::from_utf8(text).map_err(io::Error::other)?)
            }
            "*" => {
                let all: io::Result<Vec<Told>> = (0..number()?).map(|_| self.hear()).collect();
                Told::List(all?)
            }
            _ => return Err(io::Error::other(format!("{line:?} is no reply"))),
        })
    }

    pub fn ask(&mut self, words: &[&str]) -> io::Result<Told> {
        self.say(words)?;
        self.hear()
    }

    /// Asks where everything is well, and gives the reply as a person reads it.
    pub fn told(&mut self, words: &[&str]) -> String {
        self.ask(words).expect("an answer").to_string()
    }
}
