//! The file as a whole: what reads, what is refused with which words, and that
//! what is printed reads back.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;
use crate::protocol::Role;

const FIVE_LINES: &str = "\
clients   239.0.0.1 5000
proposers 239.0.0.1 6000
acceptors 239.0.0.1 7000
learners  239.0.0.1 8000
timeout   0.1
";

const SHIPPED: &str = include_str!("../../paxos.conf");

fn parse(text: impl AsRef<[u8]>) -> Config {
    Config::parse("paxos.conf", text.as_ref()).unwrap_or_else(|error| panic!("{error}"))
}

/// The messages about the four groups' lines followed by `more`, which begins in line 5.
fn mistakes_in(more: &str) -> Vec<String> {
    let groups = FIVE_LINES.strip_suffix("timeout   0.1\n").unwrap();
    mistakes(format!("{groups}{more}"))
}

fn mistakes(text: impl AsRef<[u8]>) -> Vec<String> {
    let error = Config::parse("paxos.conf", text.as_ref()).expect_err("should be refused");
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn five_lines_are_enough() {
    let config = parse(FIVE_LINES);
    let ip = Ipv4Addr::new(239, 0, 0, 1);
    for (role, port) in Role::ALL.into_iter().zip([5000, 6000, 7000, 8000]) {
        assert_eq!(config.groups.of(role), SocketAddrV4::new(ip, port));
    }
    assert_eq!(config.timeout, Duration::from_millis(100));
    assert_eq!(config.acceptors, AcceptorSet::first(3));
    assert_eq!(config.membership().quorum(), 2);
    assert_eq!(config.interface, InterfaceChoice::LOOPBACK);
    assert_eq!(config.ttl, 1);
    assert_eq!(config.datagram, None);
    assert_eq!(config.receive_buffer, 8 << 20);
    assert_eq!(config.checkpoint, 64 << 20);
    assert_eq!(config.data, None);
    assert_eq!(config.cluster, "paxcast");
    let mut settings = Settings::new(config.membership());
    settings.pause = Duration::from_millis(100);
    settings.datagram = 1472;
    assert_eq!(config.settings(1472), settings);
}

#[test]
fn the_form_of_the_file_is_free() {
    let expected = parse(FIVE_LINES);
    for text in [
        FIVE_LINES.trim_end().to_owned(),
        FIVE_LINES.replace('\n', "\r\n"),
        FIVE_LINES.replace('\n', "\r\n").trim_end().to_owned(),
        FIVE_LINES.replace('\n', " # comment\n\n \t\n# another\n"),
        FIVE_LINES.replace(' ', " \t\u{a0}"),
        FIVE_LINES.replace('\n', "\n\t  "),
        format!("\u{feff}{FIVE_LINES}"),
        FIVE_LINES.lines().rev().collect::<Vec<_>>().join("\n"),
    ] {
        assert_eq!(parse(&text), expected, "{text:?}");
    }
    let latin = [FIVE_LINES.as_bytes(), b"# f\xfcr alle\n"].concat();
    assert_eq!(parse(latin), expected);
}

#[test]
fn every_key_sets_its_value() {
    let groups = FIVE_LINES.strip_suffix("timeout   0.1\n").unwrap();
    let config = parse(format!(
        "{groups}timeout 5ms\nacceptor_ids 7 2 64\nrepropose 10ms 0.5\ncatch_up 2\n\
         heartbeat 1ms\nwindow 4096\ninterface eth0\nttl 255\ndatagram 9kB\n\
         receive_buffer 212992\ndata votes\nhistory 2MiB\nreplica_ids 9 4\ncheckpoint 4KiB\ncluster \"our cluster\"\n"
    ));
    assert_eq!(config.timeout, Duration::from_millis(5));
    assert_eq!(config.acceptors, [2, 7, 64].into_iter().collect());
    let repropose = (Duration::from_millis(10), Duration::from_millis(500));
    assert_eq!(config.repropose, repropose);
    assert_eq!(config.catch_up, Duration::from_secs(2));
    assert_eq!(config.heartbeat, Duration::from_millis(1));
    assert_eq!(config.window, 4096);
    assert_eq!(config.interface, InterfaceChoice::Name("eth0".to_owned()));
    assert_eq!(config.ttl, 255);
    assert_eq!(config.datagram, Some(9000));
    assert_eq!(config.receive_buffer, 212_992);
    assert_eq!(config.data, Some(PathBuf::from("votes")));
    assert_eq!(config.history, Some(2 << 20));
    assert_eq!(config.checkpoint, 4 << 10);
    assert_eq!(config.replicas, [4, 9].into_iter().collect());
    assert_eq!(config.settings(1472).replicas, config.replicas);
    assert_eq!(config.cluster, "our cluster");
    let counted = parse(format!("{groups}acceptor_count 5\n"));
    assert_eq!(counted.acceptors, AcceptorSet::first(5));
    assert_eq!(counted.membership().quorum(), 3);
}

#[test]
fn equality_is_of_all_values_and_no_origins() {
    let base = parse(FIVE_LINES);
    assert_eq!(parse(format!("\n{FIVE_LINES}window 64\n")), base);
    for line in [
        "acceptor_count 4",
        "repropose 40ms 81ms",
        "repropose 39ms 80ms",
        "catch_up 2",
        "heartbeat 26ms",
        "window 65",
        "interface lo",
        "ttl 2",
        "datagram 1472",
        "receive_buffer 9MiB",
        "data votes",
        "history 1MiB",
        "replica_ids 1",
        "checkpoint 1MiB",
        "cluster other",
    ] {
        assert_ne!(parse(format!("{FIVE_LINES}{line}\n")), base, "{line}");
    }
    assert_ne!(parse(FIVE_LINES.replace("0.1\n", "0.2\n")), base);
    assert_ne!(parse(FIVE_LINES.replace("8000", "8001")), base);
}

#[test]
fn mistakes_are_named_with_line_and_remedy() {
    for (line, message) in [
        (
            "learnrs 239.0.0.1 8000",
            r#"unknown key "learnrs", did you mean "learners"?"#,
        ),
        (
            "Window 7",
            r#"unknown key "Window", did you mean "window"?"#,
        ),
        (
            "timeout=0.1",
            r#""timeout=0.1" has an equals sign: write for example "timeout 0.1""#,
        ),
        (
            "hello",
            r#""hello" is no key: write one key and its values on each line"#,
        ),
        (
            "timeout",
            r#"timeout: has no value: write for example "timeout 0.1""#,
        ),
        (
            "timeout 50 ms",
            r#"timeout: takes 1 value and has 2: write for example "timeout 0.1""#,
        ),
        (
            "repropose 1",
            r#"repropose: takes 2 values and has 1: write for example "repropose 40ms 80ms""#,
        ),
        (
            "timeout nan",
            r#"timeout: "nan" is no duration: write seconds (0.1) or a number with us, ms, s or m (50ms)"#,
        ),
        (
            "timeout -1",
            r#"timeout: "-1" is no duration: write seconds (0.1) or a number with us, ms, s or m (50ms)"#,
        ),
        (
            "timeout 61m",
            r#"timeout: "61m" is out of bounds: write 0 through 3600s"#,
        ),
        (
            "heartbeat 0",
            r#"heartbeat: "0" is out of bounds: write 1ms through 10s"#,
        ),
        (
            "repropose 80ms 40ms",
            r#"repropose: the shortest time "80ms" exceeds the longest "40ms": swap them"#,
        ),
        (
            "window 0",
            r#"window: "0" is out of bounds: write 1 through 4096"#,
        ),
        (
            "ttl 256",
            r#"ttl: "256" is out of bounds: write 0 through 255"#,
        ),
        (
            "datagram 65508",
            r#"datagram: "65508" is out of bounds: write 576 through 65507"#,
        ),
        (
            "datagram big",
            r#"datagram: "big" is no size: write whole bytes (65536) or a number with kB, KiB, MB or MiB (8MiB)"#,
        ),
        (
            "receive_buffer 2000MiB",
            r#"receive_buffer: "2000MiB" is out of bounds: write 4KiB through 1024MiB"#,
        ),
        (
            "acceptor_ids 1 2 x",
            r#"acceptor_ids: "x" is no whole number: write digits only"#,
        ),
        (
            "acceptor_ids 0 1",
            r#"acceptor_ids: "0" is out of bounds: write 1 through 64"#,
        ),
        (
            "acceptor_ids 1 2 1",
            "acceptor_ids: acceptor 1 is listed twice: list each id once",
        ),
        (
            "replica_ids 65",
            r#"replica_ids: "65" is out of bounds: write 1 through 64"#,
        ),
        (
            "replica_ids 2 2",
            "replica_ids: replica 2 is listed twice: list each id once",
        ),
        (
            "acceptor_count 65",
            r#"acceptor_count: "65" is out of bounds: write 1 through 64"#,
        ),
        (
            "cluster \"\"",
            r#"cluster: "" cannot name a cluster: take 1 to 64 bytes without control characters"#,
        ),
        (
            "data \"\"",
            r#"data: "" cannot be a path: name a directory"#,
        ),
        ("data \"x", "a quote is not closed: end the value with \""),
        (
            "clients 239.0.0.2 5000",
            "clients is given again, first in line 1: keep one of the two lines",
        ),
        (
            "interface 10.0.0.9/8",
            r#"interface: "10.0.0.9/8" is an address and a subnet in one: write 10.0.0.0/8 for the subnet or 10.0.0.9 for the address"#,
        ),
    ] {
        assert_eq!(
            mistakes_in(line),
            [format!("paxos.conf:5: {message}")],
            "{line}"
        );
    }
}

#[test]
fn groups_must_be_multicast_and_apart() {
    for (line, message) in [
        (
            "10.0.0.1 8000",
            "learners: 10.0.0.1 is no multicast address: take one from 224.0.0.0 through 239.255.255.255, best one that begins with 239",
        ),
        (
            "240.0.0.1 8000",
            "learners: 240.0.0.1 is no multicast address: take one from 224.0.0.0 through 239.255.255.255, best one that begins with 239",
        ),
        (
            "ff02::1 8000",
            r#"learners: "ff02::1" is an IPv6 address: groups are IPv4, take one from 239.0.0.0 through 239.255.255.255"#,
        ),
        (
            "239.0.0.256 8000",
            r#"learners: "239.0.0.256" is no IPv4 address: write four numbers from 0 through 255, as in 239.0.0.1"#,
        ),
        (
            "239.0.0.1 0",
            r#"learners: the port "0" is out of bounds: write 1 through 65535"#,
        ),
        (
            "239.0.0.1 65536",
            r#"learners: the port "65536" is out of bounds: write 1 through 65535"#,
        ),
        (
            "239.0.0.1 -1",
            r#"learners: the port "-1" is no whole number: write digits only"#,
        ),
        (
            "239.0.0.1:8000",
            r#"learners: takes 2 values and has 1: write for example "learners 239.0.0.1 8000""#,
        ),
        (
            "239.0.0.1 5000",
            "learners and clients (line 1) share 239.0.0.1:5000: give each its own port",
        ),
    ] {
        let text = FIVE_LINES.replace("239.0.0.1 8000", line);
        assert_eq!(
            mistakes(text),
            [format!("paxos.conf:4: {message}")],
            "{line}"
        );
    }
    // Two refused groups have nothing in common but that.
    let text = FIVE_LINES.replace("8000", "x").replace("5000", "y");
    assert_eq!(mistakes(text).len(), 2);
    // One port on different groups keeps roles apart just as well.
    parse(FIVE_LINES.replace("239.0.0.1 8000", "224.0.0.1 5000"));
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        mistakes(""),
        [
            r#"paxos.conf: no clients line: add for example "clients 239.0.0.1 5000""#,
            r#"paxos.conf: no proposers line: add for example "proposers 239.0.0.1 6000""#,
            r#"paxos.conf: no acceptors line: add for example "acceptors 239.0.0.1 7000""#,
            r#"paxos.conf: no learners line: add for example "learners 239.0.0.1 8000""#,
        ]
    );
}

#[test]
fn a_misspelt_key_is_not_also_missing() {
    assert_eq!(
        mistakes(FIVE_LINES.replace("learners ", "learnrs ")),
        [r#"paxos.conf:4: unknown key "learnrs", did you mean "learners"?"#]
    );
}

#[test]
fn ids_and_count_exclude_each_other_in_either_order() {
    assert_eq!(
        mistakes_in("acceptor_count 3\nacceptor_ids 1 2 3"),
        [
            "paxos.conf:6: acceptor_ids says again what acceptor_count in line 5 says: keep one of them"
        ]
    );
    assert_eq!(
        mistakes_in("acceptor_ids 1 2 3\n\nacceptor_count 3"),
        [
            "paxos.conf:7: acceptor_count says again what acceptor_ids in line 5 says: keep one of them"
        ]
    );
}

#[test]
fn all_mistakes_come_at_once_in_the_order_of_lines() {
    let lines = mistakes("window x\nclients 10.0.0.1 5000\nfoo bar\nttl 1 2\n");
    let begins: Vec<&str> = lines.iter().map(|line| &line[..13]).collect();
    assert_eq!(
        begins,
        [
            "paxos.conf:1:",
            "paxos.conf:2:",
            "paxos.conf:3:",
            "paxos.conf:4:",
            "paxos.conf: n",
            "paxos.conf: n",
            "paxos.conf: n",
        ]
    );
}

#[test]
fn files_of_another_kind_are_refused_in_few_words() {
    assert_eq!(
        mistakes(b"\xff\xfec\0l\0"),
        ["paxos.conf:1: the file is UTF-16: save it as UTF-8 text"]
    );
    assert_eq!(mistakes("lorem ipsum\n".repeat(1000)).len(), 21);
    let error = Config::parse("paxos.conf", &vec![b'x'; MAX_FILE + 1]).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }));
    assert!(Config::parse("paxos.conf", &vec![b'#'; MAX_FILE]).is_err());
}

#[test]
fn a_relative_directory_lies_beside_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my paxos.conf");
    std::fs::write(&path, format!("{FIVE_LINES}data votes/here\n")).unwrap();
    let config = Config::load(&path).unwrap();
    let data = directory.path().join("votes/here");
    assert_eq!(config.acceptor_directory(2), Some(data.join("acceptor-2")));
    assert_eq!(config.data, Some(data));

    std::fs::write(&path, format!("{FIVE_LINES}data /var/votes\n")).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.data, Some(PathBuf::from("/var/votes")));

    let config = Config::parse("etc/paxos.conf", format!("{FIVE_LINES}data v").as_bytes());
    assert_eq!(config.unwrap().data, Some(PathBuf::from("etc/v")));
    assert_eq!(parse(FIVE_LINES).acceptor_directory(1), None);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("absent.conf");
    let message = Config::load(&path).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: cannot read", path.display())));
    assert!(message.contains("No such file"), "{message}");
    let endless = Config::load("/dev/zero").unwrap_err();
    assert!(matches!(endless, ConfigError::TooLarge { .. }), "{endless}");
    let message = Config::load(directory.path()).unwrap_err().to_string();
    assert!(message.contains("path of the file in it"), "{message}");
}

#[test]
fn explained_values_have_their_origin_beside_them() {
    let mut config = parse(format!("{FIVE_LINES}\nacceptor_count 5\ninterface eth0\n"));
    config.override_data("/tmp/votes");
    let expected = "\
clients         239.0.0.1 5000  # line 1
proposers       239.0.0.1 6000  # line 2
acceptors       239.0.0.1 7000  # line 3
learners        239.0.0.1 8000  # line 4
timeout         100ms           # line 5
acceptor_ids    1 2 3 4 5       # line 7 (acceptor_count)
cluster         paxcast         # default
data            /tmp/votes      # command line
#history                        # default: an eighth of the memory; only for acceptors without data
#replica_ids                    # default: acceptors with data forget nothing
checkpoint      64MiB           # default
interface       eth0            # line 8
ttl             1               # default
#datagram                       # default: what the interface carries unfragmented
receive_buffer  8MiB            # default
window          64              # default
heartbeat       25ms            # default
repropose       40ms 80ms       # default
catch_up        1s              # default
";
    assert_eq!(config.explain(), expected);
}

#[test]
fn the_shipped_file_is_the_five_lines_and_the_defaults() {
    let shipped = parse(SHIPPED);
    let plain = FIVE_LINES.replace("0.1\n", "0\n");
    assert!(SHIPPED.starts_with(&plain));
    assert_eq!(shipped, parse(&plain));

    let mut documented = Vec::new();
    for line in SHIPPED.lines().skip(5).filter(|line| !line.is_empty()) {
        let setting = line.strip_prefix('#').expect("only comments follow");
        if setting.is_empty() || setting.starts_with(' ') {
            continue;
        }
        let name = setting.split(' ').next().unwrap();
        let key = Key::find(name).unwrap_or_else(|| panic!("{line}: no such key"));
        let set = parse(format!("{plain}{setting}\n"));
        match key {
            // Their default is to be absent, so the file shows an example.
            Key::Datagram => assert!(set.datagram.is_some()),
            Key::Data => assert!(set.data.is_some()),
            Key::History => assert!(set.history.is_some()),
            Key::ReplicaIds => assert!(!set.replicas.is_empty()),
            _ => assert_eq!(set, shipped, "{line}: not the default"),
        }
        documented.push(key);
    }
    documented.sort();
    assert_eq!(documented, Key::ALL[5..], "each further key once");
}

#[test]
fn every_example_in_a_message_is_a_good_line() {
    for key in Key::ALL {
        let others = FIVE_LINES
            .lines()
            .filter(|line| !line.starts_with(key.name()));
        let text: Vec<&str> = others.collect();
        parse(format!("{}\n{key} {}\n", text.join("\n"), key.example()));
    }
}

fn any_interface() -> impl Strategy<Value = InterfaceChoice> {
    let address = any::<u32>()
        .prop_map(Ipv4Addr::from_bits)
        .prop_filter("an interface's address", |address| {
            !address.is_multicast() && !address.is_unspecified() && !address.is_broadcast()
        });
    prop_oneof![
        address.prop_map(InterfaceChoice::Address),
        "[a-z][a-z0-9#\"\\\\._@-]{0,14}".prop_map(InterfaceChoice::Name),
        (any::<u32>(), 1..=32u8).prop_map(|(bits, prefix)| InterfaceChoice::Subnet {
            network: Ipv4Addr::from_bits(bits & (u32::MAX << (32 - u32::from(prefix)))),
            prefix,
        }),
    ]
}

fn any_data() -> impl Strategy<Value = Option<PathBuf>> {
    let bytes = proptest::collection::vec(1..=u8::MAX, 1..40);
    proptest::option::of(bytes.prop_map(|bytes| PathBuf::from(OsString::from_vec(bytes))))
}

fn any_duration(least: u64, most: u64) -> impl Strategy<Value = Duration> {
    (least..=most).prop_map(Duration::from_nanos)
}

prop_compose! {
    fn any_groups()(hosts in any::<[u32; 4]>(), ports in any::<[u16; 4]>()) -> Groups {
        // Ports of different remainders keep the four apart.
        let group = |role: usize| {
            let host = Ipv4Addr::from_bits(0xe000_0000 | hosts[role] >> 4);
            SocketAddrV4::new(host, (ports[role] | 7) - role as u16)
        };
        Groups { clients: group(0), proposers: group(1), acceptors: group(2), learners: group(3) }
    }
}

prop_compose! {
    fn any_config()(
        groups in any_groups(),
        timeout in any_duration(0, 3_600_000_000_000),
        acceptors in proptest::collection::btree_set(1..=AcceptorSet::MAX_ID, 1..10),
        repropose in (any_duration(1_000_000, 60_000_000_000), any_duration(1_000_000, 60_000_000_000)),
        catch_up in any_duration(10_000_000, 3_600_000_000_000),
        heartbeat in any_duration(1_000_000, 10_000_000_000),
        window in 1..=4096u32,
        interface in any_interface(),
        (ttl, datagram) in (0..=255u32, proptest::option::of(576..=65_507usize)),
        receive_buffer in 4096..=1usize << 30,
        (data, history) in (any_data(), proptest::option::of(1usize << 20..=1 << 50)),
        checkpoint in 4096..=1usize << 40,
        replicas in proptest::collection::btree_set(1..=ReplicaSet::MAX_ID, 0..5),
        cluster in "[^\\p{Cc}]{1,16}",
    ) -> Config {
        Config {
            groups, timeout, catch_up, heartbeat, window, interface, ttl, datagram,
            receive_buffer, data, history, cluster, checkpoint,
            acceptors: acceptors.into_iter().collect(),
            replicas: replicas.into_iter().collect(),
            repropose: (repropose.0.min(repropose.1), repropose.0.max(repropose.1)),
            origins: BTreeMap::new(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_explained_reads_back(config in any_config()) {
        let text = config.explain();
        let read = Config::parse("paxos.conf", text.as_bytes());
        prop_assert_eq!(read.map_err(|error| format!("{error}\n{text}")), Ok(config));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        if let Err(error) = Config::parse("paxos.conf", &bytes) {
            prop_assert!(error.to_string().starts_with("paxos.conf"));
        }
    }

    /// Close to a good file, where the parser goes deep.
    #[test]
    fn a_damaged_file_never_panics_and_a_good_one_reads_back(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let plain = FIVE_LINES.replace("clients", "data \"a b\"\nacceptor_ids 1 2\nclients");
        let mut bytes = plain.into_bytes();
        for (index, byte) in edits {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(config) = Config::parse("paxos.conf", &bytes) {
            prop_assert_eq!(parse(config.explain()), config);
        }
    }

    /// Any line of words, known keys among them.
    #[test]
    fn arbitrary_values_never_panic(
        key in proptest::sample::select(Key::ALL.to_vec()),
        values in proptest::collection::vec("[-+0-9.a-zA-Z/:#\"\\\\é]{0,24}", 0..4),
    ) {
        let line = format!("{key} {}\n{FIVE_LINES}", values.join(" "));
        if let Ok(config) = Config::parse("paxos.conf", line.as_bytes()) {
            prop_assert_eq!(parse(config.explain()), config);
        }
    }
}
