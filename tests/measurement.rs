//! `paxcast bench kv` and `paxcast bench kv-load`, from outside: real servers and
//! real clients, for moments only. How fast they are is not judged here; that they
//! tell what happened is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use paxcast::bench::kv::{Judgement, Outcome, Recorded, judge};
use serde_json::Value;
use tempfile::TempDir;

/// What no step of any test should take, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn paxcast(words: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paxcast"));
    command.args(words).args(arguments).env_remove("RUST_LOG");
    command
}

fn bench(directory: &Path, arguments: &[&str]) -> Output {
    paxcast(&["bench", "kv"], arguments)
        .arg("--directory")
        .arg(directory)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A server that replicates nothing; it is killed, by its own pid, in the end.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Server {
        let mut child = paxcast(&["kv", "--single", "--listen", "127.0.0.1:0"], &[])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        while !said.contains("address=") {
            said.clear();
            assert!(errors.read_line(&mut said).unwrap() > 0, "it ended");
        }
        let address = said.trim_end().split_once("address=").unwrap().1;
        Server {
            address: address.parse().unwrap(),
            child,
        }
    }

    /// Waits until somebody has put a key there, and kills it.
    fn kill_once_used(&mut self) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            stream.write_all(b"DBSIZE\r\n").unwrap();
            let mut reply = [0; 4];
            stream.read_exact(&mut reply).unwrap();
            if &reply != b":0\r\n" {
                break;
            }
            assert!(Instant::now() < deadline, "nobody puts anything");
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fields of a line of the table; the words of a set's first two columns are one each.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let lines = table
        .lines()
        .skip_while(|line| !line.starts_with("servers "));
    let lines = lines.skip(1).take_while(|line| !line.is_empty());
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn table_json_and_page_tell_of_all_that_was_carried() {
    let (directory, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (data, page) = (kept.path().join("data"), kept.path().join("page"));
    let output = bench(
        directory.path(),
        &[
            "--only=single",
            "--rounds=2",
            "--counts=150,451",
            "--json",
            data.to_str().unwrap(),
            "--html",
            page.to_str().unwrap(),
        ],
    );
    let (table, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");
    let found = json(&data);
    let in_json = found["rows"].as_array().unwrap();
    let in_table = rows(&table);
    // Two numbers of operations, in a closed loop and pipelined.
    assert_eq!((in_table.len(), in_json.len()), (4, 4), "{table}");
    for (cells, row) in in_table.iter().zip(in_json) {
        assert_eq!(cells[0], row["set"].as_str().unwrap());
        assert_eq!(cells[1], row["mode"].as_str().unwrap());
        assert_eq!(cells[2], row["operations"].to_string());
        assert_eq!(cells[cells.len() - 1], "linearizable");
        assert_eq!(row["judgement"], "linearizable");
        assert_eq!(
            (&row["rounds"], &row["failed"], &row["unknown"]),
            (&2.into(), &0.into(), &0.into())
        );
        let figures = &row["figures"];
        for name in [
            "mean_us",
            "deviation_us",
            "p50_us",
            "p99_us",
            "p999_us",
            "per_second",
        ] {
            let of = |key: &str| figures[name][key].as_f64().unwrap();
            assert!(of("median") > 0.0, "{name}: {row}");
            assert!(
                of("least") <= of("median") && of("median") <= of("most"),
                "{name}: {row}"
            );
        }
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for fetched in [
        "http:", "https:", "src=", "@import", "url(", "<script", "<link",
    ] {
        assert!(!page.contains(fetched), "the page has {fetched}");
    }
    for title in [
        "Throughput by number of operations, closed loop",
        "Throughput by number of operations, pipelined",
        "Mean time of an operation, closed loop",
        "Time that 99 of 100 operations did not exceed, closed loop",
        "Distribution of times, closed loop",
        "Distribution of times, pipelined",
    ] {
        let mut figures = page
            .split("<figure>")
            .filter(|figure| figure.contains(title));
        let figure = figures
            .next()
            .unwrap_or_else(|| panic!("no figure {title:?}"));
        assert!(
            figure.contains("<polyline") && figure.contains("single"),
            "{figure}"
        );
    }
    assert!(page.contains("The histories of 4 measurements"), "{page}");
    assert_eq!(page.matches("<tr>").count(), 1 + in_json.len());
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "the run left something");
}

#[test]
fn clusters_live_through_deaths_and_the_page_shows_when() {
    let (directory, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (data, page) = (kept.path().join("data"), kept.path().join("page"));
    let output = bench(
        directory.path(),
        &[
            "--only=cluster-3-durable,cluster-5-failing",
            "--rounds=1",
            "--counts=150,1500",
            "--longest=60",
            "--timeline=3",
            "--json",
            data.to_str().unwrap(),
            "--html",
            page.to_str().unwrap(),
        ],
    );
    let (table, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}{table}");
    let found = json(&data);
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8, "{table}");
    for row in rows {
        assert_eq!(row["judgement"], "linearizable", "{row}");
        assert!(row["figures"]["per_second"]["median"].as_f64().unwrap() > 0.0);
    }
    let kills = rows.iter().filter(|row| row["set"] == "cluster-5-failing");
    let kills: u64 = kills.map(|row| row["kills"].as_u64().unwrap()).sum();
    assert!(kills > 0, "nothing was killed");
    let timeline = &found["timelines"][0];
    assert_eq!(timeline["judgement"], "linearizable", "{timeline}");
    let marks = timeline["marks"].as_array().unwrap();
    let marks: Vec<&str> = marks.iter().map(|mark| mark[1].as_str().unwrap()).collect();
    assert_eq!(
        marks,
        [
            "acceptor killed",
            "it is back",
            "leader killed",
            "it is back"
        ]
    );
    assert!(
        timeline["steps"].as_array().unwrap().len() >= 20,
        "{timeline}"
    );
    assert!(timeline["pause_ms"].as_f64().unwrap() > 0.0);
    let page = std::fs::read_to_string(page).unwrap();
    for title in [
        "Throughput across failures",
        "Slowest times across failures",
    ] {
        let mut figures = page
            .split("<figure>")
            .filter(|figure| figure.contains(title));
        let figure = figures
            .next()
            .unwrap_or_else(|| panic!("no figure {title:?}"));
        for part in [
            "<polyline",
            "acceptor killed",
            "leader killed",
            "it is back",
        ] {
            assert!(figure.contains(part), "{part}: {figure}");
        }
    }
}

#[test]
fn operations_come_from_a_file_and_what_is_malformed_is_told_with_its_line() {
    let (directory, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = kept.path().join("operations.csv");
    let data = kept.path().join("data");
    let mut lines = String::from("PUT,a,1\r\n\r\nMOVE,a,b\nPUT,b\n");
    for number in 0..49 {
        lines += &format!("PUT,a{number},{number}\nGET,a{number}\nDELETE,a{number}\n");
    }
    lines += "GET,a\nGET,b\n";
    std::fs::write(&file, lines).unwrap();
    let name = file.to_str().unwrap();
    let output = bench(
        directory.path(),
        &[
            "--only=single",
            "--rounds=1",
            "--operations",
            name,
            "--json",
            data.to_str().unwrap(),
        ],
    );
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for line in [
        format!("{name}:3: \"MOVE\" is none of PUT, GET and DELETE; skipped"),
        format!("{name}:4: PUT has no value; PUT,key,value is wanted; skipped"),
    ] {
        assert!(told.lines().any(|other| other == line), "{line}: {told}");
    }
    let found = json(&data);
    assert_eq!(found["malformed"].as_array().unwrap().len(), 2);
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(
            (&row["operations"], &row["judgement"]),
            (&150.into(), &"linearizable".into())
        );
    }
}

#[test]
fn what_a_killed_server_takes_with_it_is_unknown_and_the_rest_is_judged() {
    let (directory, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let data = kept.path().join("data");
    let mut server = Server::start();
    let bench = paxcast(
        &["bench", "kv"],
        &["--counts=10000000", "--rounds=1", "--patience=0.3"],
    )
    .args([
        "--longest=600",
        "--at",
        &server.address.to_string(),
        "--json",
    ])
    .arg(&data)
    .arg("--directory")
    .arg(directory.path())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    server.kill_once_used();
    let output = bench.wait_with_output().unwrap();
    let told = text(&output.stderr);
    // Nothing is left for the second row to be measured with.
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("others: no server could be reached any more"),
        "{told}"
    );
    let found = json(&data);
    let row = &found["rows"][0];
    assert_eq!(row["judgement"], "linearizable", "{row}");
    let unknown = row["unknown"].as_u64().unwrap();
    assert!((1..=2).contains(&unknown), "one of each client: {row}");
    assert!(row["figures"]["per_second"]["median"].as_f64().unwrap() > 0.0);
    let reasons = row["reasons"].to_string();
    assert!(reasons.contains("connection"), "{reasons}");
}

#[test]
fn a_client_records_every_operation_with_its_outcome() {
    let kept = TempDir::new().unwrap();
    let (record, latencies) = (kept.path().join("record"), kept.path().join("latencies"));
    let mut server = Server::start();
    let client = paxcast(
        &["bench", "kv-load"],
        &["--count=10000000", "--under-way=16"],
    )
    .args([
        "--patience=0.3",
        "--keys=20",
        "--at",
        &server.address.to_string(),
    ])
    .arg("--record")
    .arg(&record)
    .arg("--latencies")
    .arg(&latencies)
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    server.kill_once_used();
    let output = client.wait_with_output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("no server could be reached within 0.3 s"),
        "{told}"
    );
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |key: &str| summary[key].as_u64().unwrap() as usize;
    assert_eq!(summary["gave_up"], true);

    let records = std::fs::read_to_string(&record).unwrap();
    let records: Vec<Recorded> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |is: fn(&Outcome) -> bool| records.iter().filter(|one| is(&one.outcome)).count();
    assert_eq!(of(Outcome::is_good), count("good"));
    assert_eq!(
        of(|outcome| matches!(outcome, Outcome::Unknown(_))),
        count("unknown")
    );
    assert_eq!(
        of(|outcome| matches!(outcome, Outcome::Failed(_))),
        count("failed")
    );
    assert!(
        count("good") > 0 && (1..=16).contains(&count("unknown")),
        "{summary}"
    );
    assert_eq!(
        records.len(),
        count("good") + count("failed") + count("unknown")
    );
    assert_eq!(judge(&records), Judgement::Linearizable);
    assert_eq!(
        json(&latencies)["count"].as_u64().unwrap() as usize,
        count("good")
    );
}

#[test]
fn servers_that_do_not_agree_are_found_out() {
    let (directory, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (first, second) = (Server::start(), Server::start());
    let page = kept.path().join("page");
    let output = bench(
        directory.path(),
        &[
            "--counts=450",
            "--rounds=1",
            "--keys=5",
            "--at",
            &format!("{},{}", first.address, second.address),
            "--html",
            page.to_str().unwrap(),
        ],
    );
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(10), "{table}");
    assert!(table.contains("NOT LINEARIZABLE"), "{table}");
    assert!(table.contains("◀ no order explains this"), "{table}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("Not linearizable: others, 450 operations"),
        "{page}"
    );
    assert!(page.contains("◀ no order explains this"));
}

#[test]
fn mistakes_are_told_before_anything_is_started() {
    let directory = TempDir::new().unwrap();
    for (arguments, status, part) in [
        (&["--counts", "0"][..], 2, "--counts"),
        (&["--reads", "1.5"], 2, "a part from 0 to 1"),
        (
            &["--only", "clutser-3"],
            2,
            "nothing is called \"clutser-3\"; there are cluster-3 ",
        ),
        (
            &["--operations", "x", "--counts", "5"],
            2,
            "cannot be used with",
        ),
        (
            &["--only", "single", "--operations", "/nonexistent/x"],
            1,
            "cannot read /nonexistent/x",
        ),
        (&["--json", "/nonexistent/report"], 1, "/nonexistent/report"),
    ] {
        let output = bench(directory.path(), arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty());
    }
    for (arguments, part) in [
        (&["--at", "127.0.0.1:1"][..], "--count"),
        (&["--count", "1"], "--at"),
        (
            &["--at", "127.0.0.1:1", "--count", "1", "--share", "3/2"],
            "a part like 1/2",
        ),
    ] {
        let output = paxcast(&["bench", "kv-load"], arguments).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
    let list = text(&bench(directory.path(), &["--list"]).stdout);
    assert_eq!(list.lines().count(), 8, "{list}");
    assert!(list.contains("cluster-5-failing") && list.contains("killed at random"));
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
    let mut bench = paxcast(
        &["bench", "kv"],
        &["--only=single", "--counts=10000000", "--longest=600"],
    )
    .arg("--directory")
    .arg(directory.path())
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let deadline = Instant::now() + PATIENCE;
    // The server, and two clients.
    let started = loop {
        let started = children(bench.id());
        if started.len() >= 3 {
            break started;
        }
        assert!(Instant::now() < deadline, "only {started:?} were started");
        std::thread::sleep(Duration::from_millis(5));
    };
    kill(Pid::from_raw(bench.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(128 + 2));
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
