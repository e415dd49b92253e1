//! Taste as a test: the house keeps its floors, its rooms stay small, and
//! nothing unfinished is left lying about.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of ours each module may import, itself apart.
const IMPORTS: [(&str, &[&str]); 11] = [
    ("protocol", &[]),
    ("wire", &["protocol"]),
    ("storage", &["protocol"]),
    ("config", &["protocol"]),
    ("service", &["protocol"]),
    ("history", &[]),
    (
        "daemon",
        &["protocol", "wire", "storage", "config", "service"],
    ),
    ("embedded", &["protocol", "config", "service", "daemon"]),
    ("gateway", &["protocol", "config", "service", "daemon"]),
    (
        "sim",
        &[
            "protocol", "wire", "storage", "config", "service", "history",
        ],
    ),
    (
        "bench",
        &["protocol", "wire", "storage", "config", "history"],
    ),
];

/// A file longer than this wants a wall.
const MOST_LINES: usize = 600;

/// Names that say nothing about what lives there.
const EMPTY_NAMES: [&str; 7] = [
    "util", "utils", "common", "helpers", "types", "misc", "manager",
];

/// All Rust files under `src`, with their path from there.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("src can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    assert!(found.len() > 20, "src was found");
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file");
            (path.strip_prefix(&root).expect("below src").into(), text)
        })
        .collect()
}

/// The module that a file belongs to, if it belongs to the library's floors.
fn module(path: &Path) -> String {
    let first = path.components().next().expect("not empty").as_os_str();
    let first = first.to_string_lossy();
    first.strip_suffix(".rs").unwrap_or(&first).to_string()
}

#[test]
fn imports_run_downwards_only() {
    let all: Vec<&str> = IMPORTS.iter().map(|(name, _)| *name).collect();
    for (path, text) in sources() {
        let module = module(&path);
        if module == "lib" || module == "bin" {
            continue;
        }
        let (_, allowed) = IMPORTS
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{module}: a new module needs its floor in IMPORTS"));
        for (number, line) in text.lines().enumerate() {
            // Documentation may speak of anything.
            if line.trim_start().starts_with("//") {
                continue;
            }
            for other in &all {
                let imported = line.contains(&format!("crate::{other}"));
                assert!(
                    !imported || *other == module || allowed.contains(other),
                    "src/{}:{}: {module} must not import {other}: imports run downwards only, \
                     see the table in lib.rs",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn protocol_and_services_stay_pure() {
    const IMPURE: [(&str, &str); 8] = [
        ("std::net", "an Address"),
        ("std::fs", "an event or a Lookup"),
        ("std::io", "an event or a message"),
        ("std::thread", "the world's turn"),
        ("std::time::Instant", "protocol::Time"),
        ("SystemTime", "protocol::Time"),
        ("HashMap", "BTreeMap: its order is the same everywhere"),
        ("HashSet", "BTreeSet: its order is the same everywhere"),
    ];
    for (path, text) in sources() {
        let module = module(&path);
        if module != "protocol" && module != "service" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for (impure, instead) in IMPURE {
                // Finds keys, and never walks over them.
                if path.ends_with("service/kv/seats.rs") && impure == "HashMap" {
                    continue;
                }
                assert!(
                    !line.contains(impure),
                    "src/{}:{}: {module} does not know {impure}; use {instead}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn rooms_stay_small_and_have_names() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= MOST_LINES,
            "src/{}: {lines} lines, more than {MOST_LINES}: split it by noun",
            path.display()
        );
        let stem = path.file_stem().expect("a name").to_string_lossy();
        assert!(
            !EMPTY_NAMES.contains(&stem.as_ref()),
            "src/{}: the name says nothing; name the thing that lives there",
            path.display()
        );
        assert!(
            text.starts_with("//!"),
            "src/{}: begin with what this is and why",
            path.display()
        );
    }
}

#[test]
fn nothing_unfinished_is_left() {
    // Written in halves, so that this file does not find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
    ];
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            for mark in marks {
                assert!(
                    !line.contains(mark),
                    "src/{}:{}: {mark} is left",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}
