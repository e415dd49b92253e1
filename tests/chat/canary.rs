//! A journal of a real gateway of the chat through `paxcast canary`.

use std::path::Path;

use crate::journal::{assert_difference_is_told, assert_same};
use crate::process::Process;
use crate::replicated::Replicated;
use crate::user::User;

/// What `PAXOS HASH` tells, once all that this user sent has happened.
fn hash(user: &mut User) -> String {
    user.send("PAXOS HASH");
    loop {
        let line = user.hear().expect("an answer");
        if let Some((_, hash)) = line.split_once(" PAXOS HASH ") {
            return hash.to_owned();
        }
    }
}

#[test]
fn an_old_journal_gives_the_same_or_tells_where_it_does_not() {
    let lines = "data votes\nreplica_ids 1\ncheckpoint 16KiB";
    let mut chat = Replicated::of_acceptors("chat", 3, lines, &[], &["-v"]);
    let directory = chat.cluster.directory.path();
    let (first, second) = (directory.join("first"), directory.join("second"));
    let mut start = |journal: &Path| -> (Process, _) {
        let more = ["--flood", "1000/1", "--journal"].map(str::to_owned);
        chat.more = more
            .into_iter()
            .chain([journal.display().to_string()])
            .collect();
        let replica = chat.replica(1, None);
        (replica.process, replica.address)
    };
    let (mut process, address) = start(&first);
    let mut ann = User::enter(address, "ann", &["PASS of-ann"]);
    let mut bob = User::enter(address, "bob", &[]);
    for user in [&mut ann, &mut bob] {
        user.send("JOIN #room");
        user.until("End of NAMES list");
    }
    let text = "x".repeat(100);
    for number in 0..200 {
        ann.send(&format!("PRIVMSG #room :{number} {text}"));
        bob.send(&format!("PRIVMSG ann :{number} {text}"));
    }
    for line in [
        "TOPIC #room :a topic",
        "MODE #room +m",
        "AWAY :gone",
        "NICK anna",
    ] {
        ann.send(line);
    }
    bob.send("PRIVMSG #room :refused");
    bob.send("PRIVMSG anna :she is away");
    bob.send("QUIT :good-bye");
    bob.until_ended();
    // Her connection breaks, and she comes back to what she missed.
    drop(ann);
    let mut ann = User::enter(address, "anna", &["PASS of-ann"]);
    ann.send("PART #room");
    let told = hash(&mut ann);
    process.wait_for("kept a checkpoint");
    process.stop();
    drop(ann);
    let said = assert_same(&first, "digests are the same");
    let commands = said.split(' ').nth(1).and_then(|word| word.parse().ok());
    let commands: u64 = commands.unwrap_or_else(|| panic!("{said}"));
    assert!(commands > 400, "{said}");
    // The gateway has said some more since: who left, and that it ends.
    let place: u64 = told
        .split('@')
        .nth(1)
        .expect("a place")
        .parse()
        .expect("one");
    assert!(place <= commands, "{said} does not reach {told}");
    // The next journal begins with the state of the checkpoint.
    let (mut process, address) = start(&second);
    let mut ann = User::enter(address, "anna", &["PASS of-ann"]);
    ann.send("JOIN #room");
    ann.until("End of NAMES list");
    ann.send("PRIVMSG #room :and then");
    ann.heard();
    process.stop();
    let said = assert_same(&second, "digests are the same");
    assert!(!said.starts_with("OK: 0 "), "{said}");
    assert_difference_is_told(&second, commands + 3);
    assert_difference_is_told(&first, 117);
    chat.stop();
}
