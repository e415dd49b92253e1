//! The same lines to ngircd and to a gateway: the numbers of their answers must be the
//! same, but for a few that are listed with their reasons.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::clients::is_there;
use crate::process::{PATIENCE, Process};
use crate::replicated::Replicated;
use crate::user::User;

/// Lines that both are sent, one after the other.
const LINES: [&str; 41] = [
    "JOIN #a",
    "TOPIC #a",
    "TOPIC #a :about",
    "TOPIC #a",
    "MODE #a",
    "MODE #a +k key",
    "MODE #a +l 5",
    "MODE #a +b",
    "MODE #a +b *!*@nowhere",
    "MODE #a +b",
    "NAMES #a",
    "NAMES #nowhere",
    "WHO #a",
    "WHOIS me",
    "WHOIS nobody",
    "LIST",
    "ISON me nobody",
    "USERHOST me",
    "AWAY :gone",
    "AWAY",
    "MOTD",
    "MODE me",
    "PING x",
    "NICK",
    "NICK 9digit",
    "JOIN",
    "JOIN nochannel",
    "PART #nowhere",
    "PRIVMSG",
    "PRIVMSG me",
    "PRIVMSG nobody :x",
    "PRIVMSG #nowhere :x",
    "NOTICE nobody :x",
    "KICK #nowhere me",
    "MODE #a +X",
    "MODE #nowhere",
    "TOPIC #nowhere",
    "INVITE nobody #a",
    "USER x 0 * :y",
    "NONSENSE",
    "PART #a",
];

/// Where the two differ, and why.
const DIFFERENT: [(&str, &str); 4] = [
    (
        "WHOIS me",
        "378 and 379 are ngircd's own, and its order is another",
    ),
    (
        "NICK",
        "431 says what is missing, as the modern documents have it",
    ),
    (
        "JOIN nochannel",
        "476 says that this is no name of a channel",
    ),
    (
        "MODE #nowhere",
        "403 says that it is a channel which is not there",
    ),
];

/// The numbers, or commands, of what comes because of a line, each once, in order.
fn answers(user: &mut User, line: &str) -> Vec<String> {
    user.send(line);
    user.send("PING fence");
    let mut numbers: Vec<String> = Vec::new();
    loop {
        let heard = user.hear().expect("it stays");
        let mut words = heard.split(' ').skip_while(|word| word.starts_with(':'));
        let word = words.next().unwrap_or("").to_owned();
        if word == "PONG" && heard.ends_with("fence") {
            return numbers;
        }
        if !numbers.contains(&word) {
            numbers.push(word);
        }
    }
}

/// Starts ngircd on a port that nobody has.
fn ngircd() -> (Process, SocketAddr, tempfile::TempDir) {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let home = tempfile::tempdir().expect("a directory");
    let conf = home.path().join("ngircd.conf");
    fs::write(
        &conf,
        format!(
            "[Global]\nName = irc.example.net\nInfo = beside\nListen = 127.0.0.1\nPorts = {}\n\
             MotdFile = /nonexistent\nMotdPhrase =\n[Limits]\nMaxNickLength = 31\n\
             [Options]\nIdent = no\nDNS = no\nPAM = no\n",
            address.port()
        ),
    )
    .expect("a file");
    let mut command = Command::new("ngircd");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.args(["--nodaemon", "--config"]).arg(&conf);
    let process = Process::spawn("ngircd".to_owned(), command);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "ngircd does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (process, address, home)
}

#[test]
fn answers_have_the_numbers_that_they_have_elsewhere() {
    if !is_there("/usr/sbin/ngircd", "ngircd") {
        return;
    }
    let (_process, address, _home) = ngircd();
    let chat = Replicated::start("chat", 3, "", &["--flood", "1000/1"]);
    let mut theirs = User::connect(address);
    let mut ours = User::connect(chat.replicas[0].address);
    for user in [&mut theirs, &mut ours] {
        user.send("NICK me");
        user.send("USER me 0 * :Me");
        while !user.hear().expect("a welcome").contains(" 422 ") {}
    }
    let mut wrong = Vec::new();
    for line in LINES {
        let (expected, found) = (answers(&mut theirs, line), answers(&mut ours, line));
        let known = DIFFERENT.iter().any(|(of, _)| *of == line);
        if (expected == found) == known {
            wrong.push(format!("{line}: ngircd {expected:?}, a gateway {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    chat.stop();
}
