//! `paxcast bench`, from outside: real processes, for moments only. What it
//! measures is not judged here; that it tells the same thing everywhere is.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

fn bench(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paxcast"))
        .arg("bench")
        .args(arguments)
        .arg("--directory")
        .arg(directory)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn lines_table_json_and_page_tell_the_same() {
    let directory = TempDir::new().unwrap();
    let kept = TempDir::new().unwrap();
    let path = |name: &str| kept.path().join(name).to_str().unwrap().to_owned();
    let (json, html) = (path("report.json"), path("report.html"));
    let output = bench(
        directory.path(),
        &[
            "--quick",
            "--rounds",
            "2",
            "--seconds",
            "0.05",
            "--only",
            "paxcast,chain",
            "--json",
            &json,
            "--html",
            &html,
        ],
    );
    let (lines, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");

    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let ratios = report["ratios"].as_array().unwrap();
    assert_eq!(lines.lines().count(), ratios.len());
    for (line, ratio) in lines.lines().zip(ratios) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words.len(), 4, "{line}");
        assert_eq!(words[0], ratio["name"].as_str().unwrap());
        for (word, exact) in
            words[1..]
                .iter()
                .zip([&ratio["ours"], &ratio["other"], &ratio["ratio"]["median"]])
        {
            let (number, exact) = (word.parse::<f64>().unwrap(), exact.as_f64().unwrap());
            assert!(number.is_finite() && number > 0.0, "{line}");
            assert!(
                (number - exact).abs() <= 0.51_f64.min(0.051 + exact / 1e3),
                "{line}: {exact}"
            );
        }
    }
    assert!(lines.contains("durable_64 "), "{lines}{told}");

    let rows = report["rows"].as_array().unwrap();
    assert!(rows.len() >= 8);
    for row in rows {
        let name = row["contestant"].as_str().unwrap();
        let words = row["load"]["words"].as_str().unwrap();
        let in_table = told
            .lines()
            .any(|line| line.starts_with(name) && line.contains(words));
        assert!(in_table, "{name}, {words}: {told}");
        if name == "paxcast" {
            assert_eq!(row["rounds"], 2, "{row}");
            let figures = &row["figures"];
            let rate = &figures["values_per_second"];
            let of = |key: &str| rate[key].as_f64().unwrap();
            assert!(of("least") > 0.0);
            assert!(of("least") <= of("median") && of("median") <= of("most"));
            assert!(figures["calls"]["median"].as_f64().unwrap() > 0.0);
        }
    }
    let machine = &report["machine"];
    assert!(machine["cores"].as_u64().unwrap() > 0);
    assert!(told.contains(machine["kernel"].as_str().unwrap()));

    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for fetched in [
        "http:", "https:", "src=", "@import", "url(", "<script", "<link",
    ] {
        assert!(!page.contains(fetched), "the page has {fetched}");
    }
    assert!(page.contains("<svg ") && page.contains("durable_64"));
    // Sizes with different numbers of values under way stand in one chart.
    let chart = page
        .split("<figure")
        .find(|figure| figure.contains("Bytes by size of value"));
    let chart = chart.expect("a chart of sizes");
    assert!(chart.contains("64 B") && chart.contains("8 KiB"), "{chart}");
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "the run left something");
}

#[test]
fn a_cluster_that_cannot_be_run_is_a_row_and_a_failure() {
    let directory = TempDir::new().unwrap();
    let nowhere = directory.path().join("nowhere");
    let options = ["--quick", "--rounds", "1", "--seconds", "0.05", "--only"];
    let options = [&options[..], &["durable_64", "--bin"]].concat();
    let output = bench(
        directory.path(),
        &[&options[..], &[nowhere.to_str().unwrap()]].concat(),
    );
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(output.stdout.is_empty());
    assert!(told.contains("durable_64 is left out"), "{told}");
    assert!(told.contains("no executable client in "), "{told}");
    assert!(told.contains("--bin"), "{told}");
}

#[test]
fn mistakes_are_told_before_anything_is_started() {
    let directory = TempDir::new().unwrap();
    for (arguments, status, part) in [
        (&["--rounds", "0"][..], 2, "--rounds"),
        (&["--seconds", "0"], 2, "0.05 to 600"),
        (&["--rates", "10,-1"], 2, "numbers above 0"),
        (
            &["--only", "chian"],
            2,
            "nothing is called \"chian\"; there are ",
        ),
        (&["--json", "/nonexistent/report"], 1, "/nonexistent/report"),
    ] {
        let output = bench(directory.path(), arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty());
    }
}

/// The processes that a process has started.
fn children(id: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else {
        return Vec::new();
    };
    tasks
        .map(|task| task.unwrap().path().join("children"))
        .map(|path| std::fs::read_to_string(path).unwrap_or_default())
        .flat_map(|text| {
            let words = text.split_whitespace().map(|word| word.parse().unwrap());
            words.collect::<Vec<u32>>()
        })
        .collect()
}

#[test]
fn whoever_interrupts_it_ends_everything() {
    let directory = TempDir::new().unwrap();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_paxcast"))
        .args([
            "bench",
            "--only",
            "durable_64",
            "--seconds",
            "600",
            "--directory",
        ])
        .arg(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Seven of the cluster, and two clients.
    let started = loop {
        let started = children(bench.id());
        if started.len() >= 9 {
            break started;
        }
        assert!(Instant::now() < deadline, "only {started:?} were started");
        std::thread::sleep(Duration::from_millis(5));
    };
    let pid = Pid::from_raw(bench.id() as i32);
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(128 + 15));
    for id in started {
        // It may not have been waited for yet by whoever inherited it.
        let runs = || {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        while runs() {
            assert!(Instant::now() < deadline, "{id} was left running");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "its directory was left");
}

#[test]
fn all_there_is_can_be_listed() {
    let directory = TempDir::new().unwrap();
    let output = bench(directory.path(), &["--list"]);
    assert_eq!(output.status.code(), Some(0));
    let list = text(&output.stdout);
    for part in [
        "corosync_64",
        "64 KiB durable",
        "failover",
        "5-acceptors",
        "stopped",
    ] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let quick = bench(directory.path(), &["--list", "--quick"]);
    assert!(quick.stdout.len() < output.stdout.len());
}

#[test]
fn a_reader_that_leaves_ends_it_without_a_word() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_paxcast"))
        .args(["bench", "--list"])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(141),
        "as if SIGPIPE had ended it"
    );
    assert_eq!(text(&output.stderr), "");
}
