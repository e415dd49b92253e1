//! The kinds of datagrams that have no business in a cluster.

/// What kind of datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stray {
    /// A copy of one from long ago.
    Echo,
    /// One of another cluster.
    Cluster,
    /// One of this cluster with another configuration.
    Config,
    /// One of another version.
    Version,
    /// One of another acceptor under an id that is known already, as one that lost
    /// its memory and was made ready anew.
    Store,
    /// A ballot of a round that nobody comes to, from a proposer gone mad.
    Absurd,
    /// Any bytes.
    Garbage,
    /// A good head and a good tag, and no message in between.
    Malformed,
}

impl Stray {
    /// All kinds.
    pub const ALL: [Stray; 8] = [
        Stray::Echo,
        Stray::Cluster,
        Stray::Config,
        Stray::Version,
        Stray::Store,
        Stray::Absurd,
        Stray::Garbage,
        Stray::Malformed,
    ];

    /// Its name in traces and counts.
    pub fn name(self) -> &'static str {
        match self {
            Stray::Echo => "old datagrams again",
            Stray::Cluster => "another cluster",
            Stray::Config => "another configuration",
            Stray::Version => "another version",
            Stray::Store => "another store",
            Stray::Absurd => "absurd ballots",
            Stray::Garbage => "garbage",
            Stray::Malformed => "malformed datagrams",
        }
    }
}
