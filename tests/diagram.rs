//! Pictures and vector clocks of runs tell what the runs' histories tell.
//!
//! To look at some:
//!
//! ```text
//! cargo test --test diagram -- --ignored pictures_to_look_at   # writes target/diagrams/*
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use paxcast::protocol::{AcceptorSet, Membership, Role, Settings, Time};
use paxcast::sim::diagram::{self, Title};
use paxcast::sim::history::{Event, History, Limits};
use paxcast::sim::{Cluster, ClusterOptions, Plan, run_cluster, shiviz};

/// A cluster that keeps a history; of its datagrams so many are lost.
fn cluster(seed: u64, loss: f64) -> Cluster {
    let mut options = ClusterOptions {
        proposers: 2,
        learners: 2,
        clients: 2,
        ..ClusterOptions::quiet(Settings::new(Membership::majority(AcceptorSet::first(3))))
    };
    options.network.loss = loss;
    options.network.duplication = loss / 2.0;
    options.network.corruption = loss / 10.0;
    let mut cluster = Cluster::new(seed, options, false);
    cluster.keep_history(Limits::default());
    cluster
}

fn pass(cluster: &mut Cluster, milliseconds: u64) {
    let deadline = cluster.now() + Duration::from_millis(milliseconds);
    cluster.run(deadline, |_| false).unwrap();
}

fn submit(cluster: &mut Cluster, values: u64, apart: u64) {
    for number in 0..values {
        let at = cluster.now() + Duration::from_millis(apart * number);
        let client = (number % 2) as u16 + 1;
        cluster.submit(client, at, format!("c{client}-{number}"));
    }
}

/// Crashes of the leader and an acceptor, a stop and a cut, with some loss.
fn stormy(seed: u64) -> Cluster {
    let mut cluster = cluster(seed, 0.1);
    submit(&mut cluster, 12, 30);
    pass(&mut cluster, 250);
    let first = cluster.node(Role::Acceptor, 1);
    let second = cluster.node(Role::Acceptor, 2);
    cluster.note("stop a1, cut a2 off from l1");
    cluster.pause(first);
    let learner = cluster.node(Role::Learner, 1);
    cluster.network().cut(second, learner);
    pass(&mut cluster, 40);
    cluster.resume(first).unwrap();
    cluster.network().mend();
    cluster.crash(second).unwrap();
    if let Some(leader) = cluster.leader() {
        cluster.crash(leader).unwrap();
        pass(&mut cluster, 30);
        cluster.restart(leader).unwrap();
    }
    cluster.restart(second).unwrap();
    pass(&mut cluster, 200);
    let patience = cluster.now() + Duration::from_secs(20);
    assert!(cluster.run(patience, Cluster::is_complete).unwrap());
    cluster
}

fn history(cluster: &Cluster) -> &History {
    cluster.history().expect("it is kept")
}

/// How many events a predicate picks.
fn count(history: &History, picks: impl Fn(&Event) -> bool) -> usize {
    history
        .entries()
        .filter(|entry| picks(&entry.event))
        .count()
}

#[test]
fn every_copy_has_its_arrow_and_every_lost_one_is_broken_off() {
    let cluster = stormy(5);
    let history = history(&cluster);
    let page = diagram::html(history, &Title::new("stormy"));
    let svg = &page[page.find("class=\"fans\"").expect("it has arrows")..];
    let copies = count(history, |event| matches!(event, Event::Left(_)));
    let again = count(
        history,
        |event| matches!(event, Event::Left(parcel) if parcel.again),
    );
    let lost = count(history, |event| matches!(event, Event::Lost(..)));
    let crossed = count(history, |event| {
        matches!(
            event,
            Event::Overflowed(_) | Event::Missed(_) | Event::Heard(_, Some(_))
        )
    });
    assert!(copies > 300 && lost > 30 && again > 10 && crossed > 3);
    let lines: Vec<&str> = svg.split("<line class=\"arrow").skip(1).collect();
    assert_eq!(lines.len(), copies);
    let dashed = lines.iter().filter(|line| line.starts_with(" again"));
    assert_eq!(dashed.count(), again);
    let whole = |line: &&&str| line[..line.find("/>").expect("it ends")].contains("marker-end");
    let under_way = lines.iter().filter(|line| line.contains(" underway\""));
    let broken = lines.len() - lines.iter().filter(whole).count();
    assert_eq!(broken, lost + under_way.count());
    // A datagram for somebody who is nowhere has no copy, and a cross too.
    let nowhere = fans_without_arrows(svg);
    assert_eq!(
        svg.matches("class=\"cross\"").count(),
        lost + crossed + nowhere
    );
    let sent = count(history, |event| matches!(event, Event::Sent(_)));
    assert_eq!(svg.matches("<g class=\"fan ").count(), sent);
    // The picture alone leaves out what nobody could switch on.
    let still = diagram::svg(history, &Title::new("stormy"));
    let chatter = svg.matches("data-kind=\"heartbeat\"").count();
    assert!(chatter > 10 && !still.contains("data-kind=\"heartbeat\""));
    let accepts = |text: &str| text.matches("data-kind=\"accept\"").count();
    assert_eq!(accepts(&still), accepts(svg));
}

/// How many datagrams were sent to nobody.
fn fans_without_arrows(svg: &str) -> usize {
    svg.split("<g class=\"fan ")
        .skip(1)
        .filter(|fan| !fan.contains("<line class=\"arrow"))
        .count()
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let title = Title::new("twice").line("the same seed");
    let [first, second] = [(); 2].map(|()| {
        let cluster = stormy(9);
        let history = history(&cluster);
        [
            diagram::html(history, &title),
            diagram::svg(history, &title),
            shiviz::log(history),
        ]
    });
    assert!(first == second, "the same seed drew another picture");
}

#[test]
fn what_is_said_cannot_break_the_page() {
    let mut cluster = cluster(1, 0.0);
    let nasty = "</title></script><b a='1' c=\"2\">&amp;\u{7}";
    let now = cluster.now();
    cluster.submit(1, now, nasty);
    pass(&mut cluster, 400);
    cluster.note(nasty);
    let title = Title::new(nasty).line(nasty).violated(cluster.now(), nasty);
    let history = history(&cluster);
    for page in [
        diagram::html(history, &title),
        diagram::svg(history, &title),
    ] {
        assert!(!page.contains("<b "), "an element of ours is not");
        assert!(page.contains(
            "&lt;/title&gt;&lt;/script&gt;&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;"
        ));
        assert!(page.contains("class=\"remark broken\""));
        well_formed(picture(&page));
    }
}

/// The part of a page or a file that is SVG, as the browser sees it.
fn picture(page: &str) -> &str {
    let start = page.find("<main").or_else(|| page.find("<svg"));
    let end = page.rfind("</main>").map_or(page.len(), |end| end + 7);
    &page[start.expect("a picture")..end]
}

/// Elements close in the order in which they were opened, and every attribute
/// has its quotes.
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "{tag}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().expect("a name"));
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn what_limits_leave_out_is_said_and_the_rest_is_drawn() {
    let mut cluster = cluster(4, 0.1);
    cluster.keep_history(Limits {
        from: Time(150_000_000),
        through: Time(260_000_000),
        events: 500,
    });
    submit(&mut cluster, 40, 10);
    pass(&mut cluster, 1_000);
    let history = history(&cluster);
    assert_eq!(history.entries().len(), 500);
    let page = diagram::html(history, &Title::new("a part"));
    assert!(page.contains("events are left out"));
    assert!(
        page.contains("class=\"leads "),
        "who led is known from before"
    );
    assert!(page.contains("class=\"promised "));
    clocks(&shiviz::log(history));
}

#[test]
fn a_run_without_messages_is_a_picture_too() {
    let cluster = cluster(4, 0.0);
    let page = diagram::html(history(&cluster), &Title::default());
    well_formed(picture(&page));
    assert!(!page.contains("NaN"));
}

#[test]
fn vector_clocks_say_who_heard_of_whom() {
    let cluster = stormy(6);
    let log = shiviz::log(history(&cluster));
    let events = clocks(&log);
    let heard = events
        .iter()
        .filter(|event| event.words.starts_with("hears "));
    let expected = count(history(&cluster), |event| {
        matches!(event, Event::Heard(_, None))
    });
    assert_eq!(heard.count(), expected);
    // What was heard is what somebody said before, as the clocks have it.
    for event in &events {
        let Some((from, said)) = event
            .words
            .strip_prefix("hears ")
            .and_then(|words| words.split_once(": "))
        else {
            continue;
        };
        let known = event.clock[from];
        let told = events.iter().any(|other| {
            other.host == from
                && other.clock[from] <= known
                && other.words.starts_with("sends to ")
                && other.words.ends_with(said)
                && other
                    .clock
                    .iter()
                    .all(|(host, count)| event.clock.get(host) >= Some(count))
        });
        assert!(told, "{from} never said {said:?}");
    }
}

/// An event of a log.
struct Logged {
    host: String,
    clock: BTreeMap<String, u64>,
    words: String,
}

/// Takes a log apart as its own first line says, and holds its clocks against
/// the rules of the viewer: each host counts from 1 without a gap, no clock
/// runs ahead of its host, and nothing known is ever forgotten.
fn clocks(log: &str) -> Vec<Logged> {
    let mut lines = log.lines();
    let parser = lines.next().expect("a regular expression");
    assert_eq!(
        parser,
        r"(?<time>\S+) (?<host>\S+) (?<clock>{.*})\n(?<event>.*)"
    );
    assert_eq!(lines.next(), Some(""), "there is one execution");
    let mut events = Vec::new();
    let mut latest: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    while let Some(head) = lines.next() {
        let (time, rest) = head.split_once(' ').expect("a time");
        assert!(time.ends_with('s') && !time.is_empty());
        let (host, clock) = rest.split_once(' ').expect("a host");
        let clock: BTreeMap<String, u64> = clock
            .strip_prefix('{')
            .and_then(|clock| clock.strip_suffix('}'))
            .expect("a clock")
            .split(',')
            .map(|pair| {
                let (name, count) = pair.split_once(':').expect("a pair");
                let name = name
                    .strip_prefix('"')
                    .and_then(|name| name.strip_suffix('"'));
                (
                    name.expect("a name").to_string(),
                    count.parse().expect("a count"),
                )
            })
            .collect();
        let words = lines.next().expect("what happened").to_string();
        assert!(!words.is_empty());
        let before = latest.entry(host.to_string()).or_default();
        let own = before.get(host).copied().unwrap_or(0);
        assert_eq!(clock[host], own + 1, "{host} counts each event");
        for (other, count) in before.iter() {
            assert!(clock[other] >= *count, "{host} forgets {other}");
        }
        *before = clock.clone();
        for (other, count) in &clock {
            let furthest = latest.get(other).map_or(0, |clock| clock[other]);
            assert!(*count <= furthest, "{host} is ahead of {other}");
        }
        events.push(Logged {
            host: host.to_string(),
            clock,
            words,
        });
    }
    assert!(!events.is_empty());
    events
}

/// Writes pictures of four runs, to be looked at.
#[test]
#[ignore = "writes files for people to look at"]
fn pictures_to_look_at() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../diagrams");
    fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, cluster: &Cluster, title: Title| {
        let history = history(cluster);
        let put = |extension, text| {
            fs::write(directory.join(format!("{name}.{extension}")), text).unwrap();
        };
        put("html", diagram::html(history, &title));
        put("svg", diagram::svg(history, &title));
        put("log", shiviz::log(history));
    };

    let mut quiet = cluster(1, 0.0);
    pass(&mut quiet, 300);
    submit(&mut quiet, 3, 5);
    pass(&mut quiet, 60);
    let title =
        Title::new("A quiet cluster").line("A leader is elected and three values are decided.");
    write("quiet", &quiet, title);

    let mut failover = cluster(2, 0.0);
    pass(&mut failover, 300);
    submit(&mut failover, 10, 2);
    pass(&mut failover, 9);
    let leader = failover.leader().unwrap();
    failover.note("the leader dies, values are under way");
    failover.crash(leader).unwrap();
    pass(&mut failover, 500);
    failover.restart(leader).unwrap();
    pass(&mut failover, 100);
    let title = Title::new("The leader dies").line("Another one finishes what it began.");
    write("failover", &failover, title);

    let mut lossy = cluster(3, 0.3);
    submit(&mut lossy, 8, 40);
    pass(&mut lossy, 600);
    let title = Title::new("Seed 3")
        .line("30 % loss")
        .line("replay it with paxcast sim --seed 3");
    write(
        "lossy",
        &lossy,
        title.violated(
            Time(412_000_000),
            "an example of a violation, which this is not",
        ),
    );

    write("stormy", &stormy(5), Title::new("Stormy weather"));

    let plan = Plan::new(12);
    let mut seed = Cluster::new(12, plan.cluster.clone(), false);
    seed.keep_history(Limits::default());
    let outcome = run_cluster(12, &plan, &mut seed);
    let title = Title::new("Seed 12").line(format!("{:?}", plan.faults));
    write("seed", &seed, title.line(format!("{outcome:?}")));

    let mut big = cluster(4, 0.05);
    submit(&mut big, 400, 3);
    pass(&mut big, 2_000);
    write("big", &big, Title::new("Many datagrams"));
}
