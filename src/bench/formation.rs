//! Clusters of ours that are measured: how many take part, and what is special.

/// Who takes part, and what differs from the configuration that ships.
#[derive(Clone, Debug, PartialEq)]
pub struct Formation {
    /// Its name in tables.
    pub name: &'static str,
    /// How many proposers, acceptors and learners.
    pub proposers: u16,
    /// See `proposers`.
    pub acceptors: u16,
    /// See `proposers`.
    pub learners: u16,
    /// Further lines of the configuration.
    pub lines: &'static str,
    /// What every process does to the datagrams it receives, as `--faults` has it.
    pub faults: Option<&'static str>,
    /// Whether the last learner is stopped while the others are watched.
    pub one_stopped: bool,
}

impl Formation {
    /// Two proposers, three acceptors, two learners, nothing special.
    pub const BASE: Formation = Formation {
        name: "paxcast",
        proposers: 2,
        acceptors: 3,
        learners: 2,
        lines: Self::SHORT_MEMORY,
        faults: None,
        one_stopped: false,
    };

    /// What volatile acceptors keep, unless a learner is to be away for long. The
    /// default is a part of the machine's memory, and as long as that fills
    /// up for the first time, the kernel's finding of pages is what is measured.
    pub const SHORT_MEMORY: &str = "history 128MiB";
}

/// Our clusters that differ from the base case in one thing.
pub const FORMATIONS: [Formation; 10] = [
    Formation::BASE,
    Formation {
        name: "ethernet",
        lines: "datagram 1472\nhistory 128MiB",
        ..Formation::BASE
    },
    Formation {
        name: "loss",
        faults: Some("drop=0.1"),
        ..Formation::BASE
    },
    Formation {
        name: "long-memory",
        lines: "",
        ..Formation::BASE
    },
    Formation {
        name: "stopped",
        lines: "",
        one_stopped: true,
        ..Formation::BASE
    },
    Formation {
        name: "1-proposer",
        proposers: 1,
        ..Formation::BASE
    },
    Formation {
        name: "3-proposers",
        proposers: 3,
        ..Formation::BASE
    },
    Formation {
        name: "5-acceptors",
        acceptors: 5,
        ..Formation::BASE
    },
    Formation {
        name: "1-learner",
        learners: 1,
        ..Formation::BASE
    },
    Formation {
        name: "4-learners",
        learners: 4,
        ..Formation::BASE
    },
];
