//! What nobody should send to a chat: the gateways stay up and small, and agree.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use crate::gateways::Chat;
use crate::process::PATIENCE;
use crate::user::User;

/// More memory than a gateway may take for any of this.
const MUCH: u64 = 400 << 20;

/// It lets somebody in, and what they say is heard at the other gateway.
fn is_well(chat: &Chat, round: usize) {
    let mut one = chat.user(0, &format!("one{round}"), &[]);
    let mut two = chat.user(1, &format!("two{round}"), &[]);
    let text = format!("PRIVMSG two{round} :well");
    one.send(&text);
    one.heard();
    two.until(&text);
    for gateway in &chat.gateways {
        let resident = gateway.process.resident();
        assert!(resident < MUCH, "{resident} bytes");
    }
}

#[test]
fn bytes_of_any_kind_and_connections_that_say_nothing() {
    let chat = Chat::start(2, "");
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    for round in 0..40 {
        let address = chat.gateways[round % 2].address;
        let mut stream = TcpStream::connect(address).expect("it listens");
        let mut bytes = vec![0; 200_000];
        rng.fill_bytes(&mut bytes);
        match round % 4 {
            0 => {}
            // One line without an end.
            1 => bytes.fill(b'x'),
            2 => bytes = b"NICK x\r\nUSER".repeat(10_000),
            _ => bytes = b":\r\n@ \r\n@a= :b \r\nCAP\r\n\0\r\n".repeat(5_000),
        }
        // Whoever is slowed down is not read from either.
        stream.set_nonblocking(true).expect("it does not block");
        let _ = stream.write(&bytes);
        if rng.random_bool(0.5) {
            stream.set_nonblocking(false).expect("it blocks");
            let bound = Some(Duration::from_millis(20));
            stream.set_read_timeout(bound).expect("a bound");
            let _ = stream.read(&mut [0; 1000]);
        }
    }
    is_well(&chat, 0);
    // As many as this process may have, and at most ten thousand.
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let most = soft.saturating_sub(200).min(9_500) as usize;
    let silent: Vec<TcpStream> = (0..most)
        .map(|_| TcpStream::connect(chat.gateways[0].address).expect("it listens"))
        .collect();
    is_well(&chat, 1);
    drop(silent);
    is_well(&chat, 2);
    chat.agree();
    chat.stop();
}

#[test]
fn ten_thousand_channels_and_a_list_of_them() {
    const USERS: usize = 100;
    let chat = Chat::start(2, "");
    let mut users: Vec<User> = (0..USERS)
        .map(|index| chat.user(index % 2, &format!("u{index}"), &[]))
        .collect();
    for (index, user) in users.iter_mut().enumerate() {
        for line in 0..5 {
            let names = (0..20).map(|at| format!("#c{index}-{}", line * 20 + at));
            let names: Vec<String> = names.collect();
            user.send(&format!("JOIN {}", names.join(",")));
        }
        let joined = user.heard();
        let count = joined
            .iter()
            .filter(|line| line.contains(" JOIN :#c"))
            .count();
        assert_eq!(count, 100);
        user.send("JOIN #one-more");
        assert!(user.heard()[0].contains(" 405 "));
    }
    // What one gateway has shown, the other has within a moment.
    let deadline = Instant::now() + PATIENCE;
    loop {
        users[1].send("LIST");
        let listed = users[1].heard();
        if listed.len() == 100 * USERS + 2 {
            break;
        }
        assert!(Instant::now() < deadline, "{} lines", listed.len());
    }
    is_well(&chat, 0);
    chat.agree();
    chat.stop();
}

#[test]
fn a_flood_that_nobody_reads_ends_with_who_sends_it() {
    let chat = Chat::start(2, "");
    let mut victim = chat.user(1, "victim", &[]);
    victim.send("JOIN #x");
    victim.until("End of NAMES list");
    // It takes what it is shown, or it would be cut off.
    let victim = std::thread::spawn(move || {
        while let Some(line) = victim.hear() {
            if line.starts_with(":flood!") && line.contains(" QUIT :") {
                return;
            }
        }
        panic!("the victim was sent away");
    });
    let mut flood = chat.user(0, "flood", &[]);
    flood.send("JOIN #x");
    flood.until("End of NAMES list");
    // Its own answers are never taken.
    let line = format!("WHO #x\r\nPRIVMSG #x :{}\r\n", "f".repeat(400));
    let block = line.repeat(500);
    let mut stream = flood.into_stream();
    stream.set_nonblocking(true).expect("it does not block");
    let mut sent = 0;
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline && sent < 30 << 20 {
        match stream.write(block.as_bytes()) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(_) => break,
        }
    }
    is_well(&chat, 0);
    drop(stream);
    victim.join().expect("it saw the end of it");
    is_well(&chat, 1);
    chat.agree();
    chat.stop();
}
