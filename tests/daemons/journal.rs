//! The journal of a replica, as `paxcast canary` reads it.

use std::fs;
use std::path::Path;
use std::process::Command;

use paxcast::service::Place;
use paxcast::service::journal::{Entries, Entry, write};

use crate::process::executable;

/// Gives a journal to `paxcast canary`: its exit code, and all that it says.
pub fn canary(journal: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(executable("paxcast"));
    let output = command.arg("canary").arg(journal).output();
    let output = output.expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into())
}

/// Insists that all is the same, through this hash of digest and place.
pub fn assert_same(journal: &Path, hash: &str) -> String {
    let (status, said) = canary(journal);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(hash), "{said} has not {hash}");
    said
}

/// Insists that a reply that was another one is told with its place.
pub fn assert_difference_is_told(journal: &Path, where_it_is: u64) {
    let mut entries = Entries::default();
    entries.feed(&fs::read(journal).expect("a journal"));
    let (mut changed, mut found) = (Vec::new(), false);
    while let Some(mut entry) = entries.advance().expect("whole") {
        if let Entry::Applied { place, reply, .. } = &mut entry
            && *place == Place(where_it_is)
        {
            *reply ^= 1;
            found = true;
        }
        write(&entry, &mut changed);
    }
    assert!(found, "the journal has no command {where_it_is}");
    fs::write(journal, changed).expect("a file");
    let (status, said) = canary(journal);
    assert_eq!(status, Some(10), "{said}");
    let place = format!("the command @{where_it_is} ");
    assert!(
        said.starts_with("DIFFERENT: ") && said.contains(&place),
        "{said}"
    );
}
