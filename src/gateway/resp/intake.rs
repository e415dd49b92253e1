//! Requests out of a stream of bytes that comes in any pieces.
//!
//! What is kept is bounded: a request over [`Intake::LONGEST`] bytes is counted
//! to its end and not kept, so that its author hears of it and can go on. What is
//! no request at all ends the connection, for nobody knows where the next one
//! would begin.
//!
//! Whatever the pieces, the requests are the same, and so are the errors.

use thiserror::Error;

use super::line;
use crate::service::kv::number;

/// What came in and is not taken yet.
#[derive(Debug, Default)]
pub struct Intake {
    bytes: Vec<u8>,
    /// Where the request begins that is being read; what lies ahead is done with.
    start: usize,
    /// The next byte to look at.
    at: usize,
    stage: Stage,
    /// Nothing of this request is kept: it is too long.
    skipping: bool,
    /// Where each argument lies, counted from the start, or in `words`.
    ranges: Vec<(u32, u32)>,
    /// The words of a line, without their quotes.
    words: Vec<u8>,
    /// The request is a line.
    typed: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// A request.
    #[default]
    Request,
    /// The length of an argument; so many arguments are to come.
    Length { arguments: usize },
    /// So many bytes of an argument and its end, and then more arguments.
    Argument { arguments: usize, left: usize },
}

/// What the bytes so far give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request, for [`Intake::arguments`] to tell.
    Request,
    /// A request that was too long and is gone.
    TooLong,
    /// Nothing whole.
    Incomplete,
}

/// The stream is no RESP. Worded as Redis words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// A number of arguments that is none, or too high.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// A length that is none, or too high.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// Something else where a length should be.
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    NoLength(u8),
    /// A line without end.
    #[error("Protocol error: too big inline request")]
    LongLine,
    /// A number without end.
    #[error("Protocol error: too big mbulk count string")]
    LongCount,
    /// A length without end.
    #[error("Protocol error: too big bulk count string")]
    LongLength,
    /// Quotes that are not closed.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
}

/// The arguments of a request, its name first.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    bytes: &'a [u8],
    ranges: &'a [(u32, u32)],
}

impl<'a> Arguments<'a> {
    /// How many there are; at least one.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none, which is never so.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// One of them.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    pub fn at(&self, index: usize) -> &'a [u8] {
        let (from, to) = self.ranges[index];
        &self.bytes[from as usize..to as usize]
    }

    /// All from this one on, in order.
    pub fn from(&self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        let ranges = self.ranges.get(index..).unwrap_or_default();
        let argument = move |(from, to): &(u32, u32)| &bytes[*from as usize..*to as usize];
        ranges.iter().map(argument)
    }
}

impl Intake {
    /// A request over so many bytes, with all that frames it, is not kept.
    pub const LONGEST: usize = 3 << 20;

    /// The most arguments of a request; more are an error, as in Redis.
    const MOST_ARGUMENTS: i64 = 1 << 20;

    /// The longest argument that is at least counted; more are an error, as in Redis.
    const LONGEST_ARGUMENT: i64 = 512 << 20;

    /// The longest line.
    const LINE: usize = 64 << 10;

    /// An empty block of more than this is given back.
    const SPARE: usize = 16 << 10;

    /// Takes bytes in.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.at -= self.start;
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes of memory that are held.
    pub fn held(&self) -> usize {
        self.bytes.capacity() + self.words.capacity() + self.ranges.capacity() * 8
    }

    /// Gives back the memory that the requests so far took, if nothing waits.
    pub fn relax(&mut self) {
        if self.stage != Stage::Request || self.at < self.bytes.len() {
            return;
        }
        self.bytes.clear();
        self.start = 0;
        self.at = 0;
        if self.held() > Self::SPARE {
            self.bytes = Vec::new();
            self.words = Vec::new();
            self.ranges = Vec::new();
        }
    }

    /// The request that the last [`Intake::advance`] gave.
    pub fn arguments(&self) -> Arguments<'_> {
        Arguments {
            bytes: if self.typed {
                &self.words
            } else {
                &self.bytes[self.start..]
            },
            ranges: &self.ranges,
        }
    }

    /// Goes on to the next request; the one before it is forgotten.
    ///
    /// # Errors
    ///
    /// When there can be none any more.
    pub fn advance(&mut self) -> Result<Step, Broken> {
        loop {
            let stepped = match self.stage {
                Stage::Request => self.begin()?,
                Stage::Length { arguments } => self.length(arguments)?,
                Stage::Argument { arguments, left } => self.argument(arguments, left),
            };
            if let Some(step) = stepped {
                return Ok(step);
            }
        }
    }

    /// Begins a request: a count of arguments, or a line.
    fn begin(&mut self) -> Result<Option<Step>, Broken> {
        self.start = self.at;
        self.ranges.clear();
        self.skipping = false;
        match self.bytes.get(self.at) {
            None => Ok(Some(Step::Incomplete)),
            Some(b'*') => self.count(),
            Some(_) => self.line(),
        }
    }

    fn count(&mut self) -> Result<Option<Step>, Broken> {
        let Some((line, next)) = self.header(Broken::LongCount)? else {
            return Ok(Some(Step::Incomplete));
        };
        let count = number::parse(line).filter(|count| *count <= Self::MOST_ARGUMENTS);
        let count = count.ok_or(Broken::Count)?;
        self.at = next;
        self.typed = false;
        // None, or less: no request, and no error.
        if count > 0 {
            let arguments = count as usize;
            self.stage = Stage::Length { arguments };
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<Step>, Broken> {
        let rest = &self.bytes[self.at..];
        let within = &rest[..rest.len().min(Self::LINE)];
        let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
            return match rest.len() < Self::LINE {
                true => Ok(Some(Step::Incomplete)),
                false => Err(Broken::LongLine),
            };
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        self.words.clear();
        if !line::split(line, &mut self.words, &mut self.ranges) {
            return Err(Broken::Quotes);
        }
        self.at += end + 1;
        self.typed = true;
        Ok((!self.ranges.is_empty()).then_some(Step::Request))
    }

    /// A number behind a mark, and where its line ends.
    fn header(&self, too_long: Broken) -> Result<Option<(&[u8], usize)>, Broken> {
        let rest = &self.bytes[self.at..];
        let within = &rest[..rest.len().min(Intake::LINE)];
        match within.iter().position(|byte| *byte == b'\r') {
            // Whatever follows is taken for the line's end, as Redis takes it.
            Some(end) if end + 2 <= rest.len() => Ok(Some((&rest[1..end], self.at + end + 2))),
            None if rest.len() >= Intake::LINE => Err(too_long),
            _ => Ok(None),
        }
    }

    fn length(&mut self, arguments: usize) -> Result<Option<Step>, Broken> {
        match self.bytes.get(self.at) {
            None => return Ok(Some(self.wait())),
            Some(b'$') => {}
            Some(other) => return Err(Broken::NoLength(*other)),
        }
        let Some((line, next)) = self.header(Broken::LongLength)? else {
            return Ok(Some(self.wait()));
        };
        let known = number::parse(line).filter(|length| *length <= Self::LONGEST_ARGUMENT);
        let length = known.filter(|length| *length >= 0).ok_or(Broken::Length)? as usize;
        self.at = next;
        if self.at - self.start + length > Self::LONGEST {
            self.skipping = true;
            self.ranges = Vec::new();
        }
        let left = length + 2;
        self.stage = Stage::Argument { arguments, left };
        Ok(None)
    }

    fn argument(&mut self, arguments: usize, left: usize) -> Option<Step> {
        let there = self.bytes.len() - self.at;
        if there < left {
            if self.skipping {
                self.at += there;
                let left = left - there;
                self.stage = Stage::Argument { arguments, left };
            }
            return Some(self.wait());
        }
        if !self.skipping {
            let from = (self.at - self.start) as u32;
            self.ranges.push((from, from + left as u32 - 2));
        }
        self.at += left;
        if arguments > 1 {
            let arguments = arguments - 1;
            self.stage = Stage::Length { arguments };
            return None;
        }
        self.stage = Stage::Request;
        Some(match self.skipping {
            true => Step::TooLong,
            false => Step::Request,
        })
    }

    /// Nothing more can be said; of what is skipped nothing is kept either.
    fn wait(&mut self) -> Step {
        if self.skipping {
            self.start = self.at;
            if self.at == self.bytes.len() {
                self.bytes = Vec::new();
                self.start = 0;
                self.at = 0;
            }
        }
        Step::Incomplete
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a stream gives when it comes in these pieces.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut intake = Intake::default();
        let mut told = Vec::new();
        for piece in pieces {
            intake.feed(piece);
            loop {
                match intake.advance() {
                    Ok(Step::Incomplete) => break,
                    Ok(Step::TooLong) => told.push("too long".to_owned()),
                    Ok(Step::Request) => {
                        let words = intake.arguments();
                        let words = words.from(0).map(|word| word.escape_ascii().to_string());
                        told.push(words.collect::<Vec<_>>().join(","));
                    }
                    Err(broken) => {
                        told.push(broken.to_string());
                        return told;
                    }
                }
            }
            intake.relax();
        }
        told
    }

    fn whole(stream: &[u8]) -> Vec<String> {
        read([stream])
    }

    fn bulk(words: &[&[u8]]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    #[test]
    fn requests_are_lists_or_lines() {
        let stream = b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\0\xff\r\nPING\r\n*0\r\n*-1\r\n\r\n\n\
                       get \"a b\"\n*1\r\n$0\r\n\r\n*1\r\n$1";
        assert_eq!(whole(stream), [r"ECHO,\r\n\x00\xff", "PING", "get,a b", ""]);
    }

    #[test]
    fn what_is_no_resp_is_said_as_redis_says_it() {
        for (stream, said) in [
            (&b"*x\r\n"[..], Broken::Count),
            (b"*1048577\r\n", Broken::Count),
            (b"*99999999999999999999\r\n", Broken::Count),
            (b"*\r\n", Broken::Count),
            (b"*1\r\nPING\r\n", Broken::NoLength(b'P')),
            (b"*1\r\n\xff", Broken::NoLength(0xff)),
            (b"*1\r\n$x\r\n", Broken::Length),
            (b"*1\r\n$-1\r\n", Broken::Length),
            (b"*1\r\n$536870913\r\n", Broken::Length),
            (b"get \"a\r\n", Broken::Quotes),
            (&[b'a'; 65_536], Broken::LongLine),
            (&[b'*'; 65_536], Broken::LongCount),
            (
                &[b"*1\r\n$", &[b'1'; 65_536][..]].concat(),
                Broken::LongLength,
            ),
        ] {
            assert_eq!(whole(stream), [said.to_string()]);
        }
        assert_eq!(
            Broken::NoLength(b'P').to_string(),
            "Protocol error: expected '$', got 'P'"
        );
        assert_eq!(whole(&[b'a'; 65_535]), [""; 0]);
    }

    #[test]
    fn a_request_that_is_too_long_is_counted_and_not_kept() {
        let long = vec![7; Intake::LONGEST];
        let stream = [
            bulk(&[b"SET", b"k", &long, b"EX", b"5"]),
            bulk(&[b"GET", b"k"]),
        ]
        .concat();
        assert_eq!(whole(&stream), ["too long", "GET,k"]);
        let mut intake = Intake::default();
        let mut most = 0;
        let mut steps = Vec::new();
        for piece in stream.chunks(60_000) {
            intake.feed(piece);
            most = most.max(intake.held());
            while let Ok(step @ (Step::Request | Step::TooLong)) = intake.advance() {
                steps.push(step);
            }
        }
        assert_eq!(steps, [Step::TooLong, Step::Request]);
        assert!(most < 200_000, "{most} bytes were held");
        // So is one of many short arguments.
        let many: Vec<&[u8]> = vec![b""; 1 << 20];
        assert_eq!(whole(&bulk(&many)), ["too long"]);
    }

    #[test]
    fn an_idle_intake_holds_nothing() {
        let mut intake = Intake::default();
        intake.feed(&bulk(&[b"SET", &[1; 100_000]]));
        assert_eq!(intake.advance(), Ok(Step::Request));
        assert_eq!(intake.advance(), Ok(Step::Incomplete));
        intake.relax();
        assert_eq!(intake.held(), 0);
    }

    /// A stream of requests, some nearly so.
    fn a_stream() -> impl Strategy<Value = Vec<u8>> {
        let word = prop::collection::vec(any::<u8>(), 0..12);
        let list = prop::collection::vec(word, 1..5).prop_map(|words| {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            bulk(&words)
        });
        let piece = prop_oneof![
            6 => list,
            2 => "[a-z \"'\\\\]{0,10}\r?\n".prop_map(String::into_bytes),
            1 => "[*$][0-9-]{0,3}\r\n".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..6),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn however_a_stream_is_cut_it_gives_the_same(
            stream in a_stream(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let expected = whole(&stream);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]);
            prop_assert_eq!(&read(pieces), &expected);
            prop_assert_eq!(&read(stream.chunks(1)), &expected);
        }

        #[test]
        fn any_bytes_are_taken(stream in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = whole(&stream);
            let _ = whole(&[b"*3\r\n$1\r\n", &stream[..]].concat());
        }

        #[test]
        fn what_is_sent_is_what_arrives(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20),
        ) {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let mut intake = Intake::default();
            intake.feed(&bulk(&words));
            prop_assert_eq!(intake.advance(), Ok(Step::Request));
            prop_assert_eq!(intake.arguments().from(0).collect::<Vec<_>>(), words);
        }
    }
}
