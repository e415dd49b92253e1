//! irssi and weechat, as Debian has them: they come in, talk, are shown what was said
//! before, lose their gateway, and come back to what they missed.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use paxcast::gateway::irc::accounts::hash_password;

use crate::front::front;
use crate::process::Process;
use crate::replicated::Replicated;
use crate::user::User;

/// Whether a program is there; if not, that is said aloud, and where every change is
/// judged it is a failure.
pub fn is_there(program: &str, package: &str) -> bool {
    let said = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if said.is_err() {
        let missing = format!("{program} is not there: apt-get install {package}");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("NOT TESTED: {missing}");
    }
    said.is_ok()
}

/// A client with a person before it, who types and whose client keeps a log.
struct Client {
    process: Process,
    mouth: Mouth,
    log: PathBuf,
}

/// How its person types.
enum Mouth {
    /// Into the terminal of irssi.
    Keys(ChildStdin),
    /// Into the pipe that weechat reads.
    Pipe(PathBuf),
}

impl Client {
    /// Starts irssi with a home of its own; `network` is what its configuration says
    /// of itself besides.
    fn irssi(home: &Path, nick: &str, network: &str, servers: &[SocketAddr]) -> Client {
        fs::create_dir(home).expect("a directory");
        let server = |address: &SocketAddr| {
            format!(
                "{{ address = \"{}\"; port = \"{}\"; chatnet = \"net\"; }}",
                address.ip(),
                address.port()
            )
        };
        let mut all: Vec<String> = servers.iter().map(server).collect();
        all[0] = all[0].replace("chatnet", "autoconnect = \"yes\"; chatnet");
        let config = format!(
            "servers = ( {} );\n\
             chatnets = {{ net = {{ type = \"IRC\"; nick = \"{nick}\"; {network} }}; }};\n\
             channels = ( {{ name = \"#room\"; chatnet = \"net\"; autojoin = \"yes\"; }} );\n\
             settings = {{\n\
               core = {{ nick = \"{nick}\"; user_name = \"{nick}\"; real_name = \"{nick}\"; \
                 server_reconnect_time = \"1s\"; }};\n\
               \"fe-common/core\" = {{ autolog = \"yes\"; autolog_path = \"{}/$0.log\"; }};\n\
             }};\n",
            all.join(", "),
            home.display()
        );
        fs::write(home.join("config"), config).expect("a file");
        // It wants a terminal; script gives it one.
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--return", "--command"]);
        command.arg(format!("irssi --home {}", home.display()));
        command.arg("/dev/null").env("TERM", "xterm");
        let mut process = Process::spawn(format!("irssi {nick}"), command);
        // Nobody looks at its screen, but somebody must take it.
        let mut screen = process.stdout();
        std::thread::spawn(move || io::copy(&mut screen, &mut io::sink()));
        Client {
            mouth: Mouth::Keys(process.stdin()),
            process,
            log: home.join("#room.log"),
        }
    }

    /// Starts weechat with a home of its own.
    fn weechat(home: &Path, nick: &str, secret: &str, servers: &[SocketAddr]) -> Client {
        let pipe = home.join("pipe");
        let address = |address: &SocketAddr| format!("{}/{}", address.ip(), address.port());
        let all: Vec<String> = servers.iter().map(address).collect();
        let mut command = Command::new("weechat-headless");
        command.arg("--dir").arg(home);
        for line in [
            format!("/set fifo.file.path {}", pipe.display()),
            "/set fifo.file.enabled on".to_owned(),
            format!("/set logger.file.path {}", home.display()),
            "/set logger.file.flush_delay 0".to_owned(),
            format!("/server add net {} -password={secret}", all.join(",")),
            format!("/set irc.server.net.nicks {nick}"),
            "/set irc.server.net.autojoin #room".to_owned(),
            "/set irc.server.net.autoreconnect_delay 1".to_owned(),
            "/connect net".to_owned(),
        ] {
            command.args(["--run-command", &line]);
        }
        Client {
            process: Process::spawn(format!("weechat {nick}"), command),
            mouth: Mouth::Pipe(pipe),
            log: home.join("irc.net.#room.weechatlog"),
        }
    }

    fn say(&mut self, text: &str) {
        match &mut self.mouth {
            Mouth::Keys(keys) => writeln!(keys, "/msg -net #room {text}").expect("it reads"),
            Mouth::Pipe(pipe) => {
                let mut pipe = fs::OpenOptions::new().append(true).open(pipe);
                let pipe = pipe.as_mut().expect("it listens");
                writeln!(pipe, "irc.net.#room *{text}").expect("it reads");
            }
        }
    }

    /// How often this stands in the log.
    fn count(&self, text: &str) -> usize {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).matches(text).count()
    }

    /// Waits until this stands in the log.
    fn until_shown(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.count(text) == 0 {
            let log = fs::read(&self.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            assert!(
                Instant::now() < deadline,
                "{} does not show `{text}` but:\n{log}",
                self.log.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn real_clients_talk_lose_their_gateways_and_miss_nothing() {
    let debian = "irssi weechat-headless weechat-plugins";
    if !is_there("irssi", debian) || !is_there("weechat-headless", debian) {
        return;
    }
    let accounts = tempfile::NamedTempFile::new().expect("a file");
    let hash = hash_password("correct horse").expect("random bytes");
    fs::write(accounts.path(), format!("iris {hash}\n")).expect("a file");
    let path = accounts.path().to_str().expect("a path");
    let lines = "data votes\nreplica_ids 1 2 3";
    let mut chat = Replicated::start("chat", 3, lines, &["--accounts", path]);
    let gateways: Vec<SocketAddr> = chat.replicas.iter().map(|r| r.address).collect();
    let (mut front, door) = front(&chat, &gateways[..2]);

    let mut observer = User::enter(gateways[2], "observer", &[]);
    observer.send("JOIN #room");
    observer.send("PRIVMSG #room :before anybody came");
    observer.heard();
    let home = chat.cluster.directory.path().to_owned();
    let sasl = "sasl_mechanism = \"PLAIN\"; sasl_username = \"iris\"; \
                sasl_password = \"correct horse\";";
    let mut all = [
        Client::irssi(&home.join("iris"), "iris", sasl, &gateways[..2]),
        Client::irssi(&home.join("ivy"), "ivy", "", &[door]),
        Client::weechat(&home.join("wendy"), "wendy", "a-secret", &gateways[..2]),
    ];
    let names = ["iris", "ivy", "wendy"];
    for client in &mut all {
        client.until_shown("before anybody came");
    }
    observer.send("WHOIS iris");
    let told = observer.heard().join("\n");
    assert!(told.contains(" 330 observer iris iris "), "{told}");

    for (round, address) in gateways.iter().take(2).enumerate() {
        for (client, name) in all.iter_mut().zip(names) {
            client.say(&format!("{name} speaks in round {round}"));
            observer.until(&format!(" PRIVMSG #room :{name} speaks in round {round}"));
        }
        observer.send(&format!("PRIVMSG #room :heard in round {round}"));
        for client in &mut all {
            client.until_shown(&format!("heard in round {round}"));
        }
        // First the one gateway dies, and comes back; then the other one.
        chat.replicas[round].process.signal(Signal::SIGKILL);
        chat.replicas[round].process.wait();
        observer.send(&format!(
            "PRIVMSG #room :while they were away in round {round}"
        ));
        for client in &mut all {
            client.until_shown(&format!("while they were away in round {round}"));
        }
        let again = chat.replica(round as u16 + 1, Some(*address));
        chat.replicas[round] = again;
    }
    for (client, name) in all.iter_mut().zip(names) {
        client.say(&format!("{name} is still here"));
        let said = observer.until(&format!(" PRIVMSG #room :{name} is still here"));
        let went = said.iter().any(|line| line.contains(" QUIT "));
        assert!(!went, "somebody was seen to go: {said:#?}");
        for round in 0..2 {
            let away = format!("while they were away in round {round}");
            assert_eq!(client.count(&away), 1, "{name}: {away}");
        }
    }
    // The one behind the front has noticed nothing at all.
    let log = fs::read_to_string(&all[1].log).expect("a log");
    assert!(
        !log.contains("Irssi: Disconnected") && log.matches("has joined").count() <= 3,
        "{log}"
    );
    for client in &mut all {
        client.process.signal(Signal::SIGTERM);
        client.process.wait();
    }
    front.stop();
    chat.stop();
}
