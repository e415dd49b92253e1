//! What the documents point at exists: files, and tests by their names.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and everything in `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs")).expect("docs can be read") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    assert!(paths.len() > 4, "docs were found");
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a document");
    paths
        .iter()
        .map(|path| (path.clone(), read(path)))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for (path, text) in documents() {
        for link in text.split("](").skip(1) {
            let link = link.split([')', '#']).next().expect("a part");
            if link.is_empty() || link.starts_with("https://") {
                continue;
            }
            let target = path.parent().expect("a directory").join(link);
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
        }
    }
}

/// The texts between backquotes, in order.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn named_tests_exist() {
    let mut named = 0;
    for (path, text) in documents() {
        let prose: Vec<&str> = text.split("```").step_by(2).collect();
        for line in prose.iter().flat_map(|part| part.lines()) {
            let mut source: Option<String> = None;
            for word in quoted(line) {
                if word.starts_with("tests/") && !word.contains([' ', '*']) {
                    let file = root().join(word);
                    assert!(file.exists(), "{}: there is no {word}", path.display());
                    source = fs::read_to_string(file).ok();
                } else if let Some(source) = &source
                    && word.contains('_')
                    && word
                        .chars()
                        .all(|letter| letter.is_ascii_lowercase() || "_0123456789".contains(letter))
                {
                    let found = source.contains(&format!("fn {word}("));
                    assert!(found, "{}: there is no test {word}", path.display());
                    named += 1;
                }
            }
        }
    }
    assert!(named > 15, "only {named} tests are named: were they read?");
}
