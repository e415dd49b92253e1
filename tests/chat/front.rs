//! Clients of a front that come back to it by themselves, and lose gateways behind it.

use std::net::SocketAddr;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::process::{Process, executable};
use crate::replicated::{Replicated, listens};
use crate::user::User;

/// Starts a front for these gateways of a cluster.
pub fn front(chat: &Replicated, gateways: &[SocketAddr]) -> (Process, SocketAddr) {
    let addresses: Vec<String> = gateways.iter().map(ToString::to_string).collect();
    let mut command = Command::new(executable("paxcast"));
    command.args(["chat", "--balance", &addresses.join(",")]);
    command.arg("--cluster").arg(&chat.cluster.conf);
    command.args(["--listen", "127.0.0.1:0", "-v"]);
    let mut front = Process::spawn("front".to_owned(), command);
    let address = listens(&mut front);
    (front, address)
}

#[test]
fn who_comes_back_to_a_front_is_heard_and_shown_nothing_twice() {
    let chat = Replicated::start("chat", 3, "", &["--flood", "1000/1"]);
    let gateways: Vec<SocketAddr> = chat.replicas.iter().map(|r| r.address).collect();
    let (mut front, door) = front(&chat, &gateways[..2]);
    let mut observer = User::enter(gateways[2], "observer", &[]);
    observer.send("JOIN #room");
    observer.heard();
    let lines = ["CAP REQ :echo-message", "PASS hush"];
    let mut alice = User::enter(door, "alice", &lines);
    alice.send("JOIN #room");
    for number in 0..5 {
        alice.send(&format!("PRIVMSG #room :first {number}"));
    }
    alice.until("first 4");
    observer.until("first 4");
    drop(alice);
    // What she says now is new, though she counts from the beginning.
    let mut alice = User::enter(door, "alice", &lines);
    let shown = alice.heard();
    assert!(
        shown.iter().any(|line| line.contains(" JOIN ")),
        "{shown:#?}"
    );
    alice.send("PRIVMSG #room :second");
    alice.until("second");
    observer.until("second");
    drop(alice);
    // And what she has seen is not shown once more when her gateway dies.
    let mut alice = User::enter(door, "alice", &lines);
    alice.heard();
    for index in 0..2 {
        let mut old = chat.replicas.iter();
        let replica = old.nth(index).expect("it is there");
        replica.process.signal(Signal::SIGSTOP);
        observer.send(&format!("PRIVMSG #room :while {index} is away"));
        let shown = alice.until(&format!("while {index} is away"));
        let again = shown
            .iter()
            .any(|line| line.contains("first") || line.contains("second"));
        assert!(!again, "{shown:#?}");
        replica.process.signal(Signal::SIGCONT);
        alice.send(&format!("PRIVMSG #room :still here {index}"));
        observer.until(&format!("still here {index}"));
    }
    drop(alice);
    front.stop();
    chat.stop();
}
