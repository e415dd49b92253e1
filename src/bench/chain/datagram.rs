//! What the chain's datagrams look like: a head of fixed size, then bytes that nobody looks at.

/// What a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Values on their way.
    Values,
    /// An acceptor has everything through a number.
    Vote,
    /// A learner has delivered; [`Progress`] of some clients follows.
    Delivered,
    /// Who started the chain wants a word from all processes of one role.
    Report,
    /// Clients shall send.
    Begin,
    /// Clients shall count from here on.
    Count,
    /// Clients shall send no more.
    End,
}

/// The first bytes of every datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of one chain; datagrams of others are not heeded.
    pub token: u32,
    /// What it is for.
    pub kind: Kind,
    /// The acceptor or learner that speaks, 0 if none does.
    pub via: u8,
    /// The client that sent the values; of a `Report`, the role that is asked.
    pub client: u16,
    /// Of values, their datagram's place in the proposer's order; of a vote, the
    /// last such place; of a `Report`, the word to repeat in the answer.
    pub number: u64,
    /// How many values this client has sent, these included; of a `Report`, how
    /// many clients there are from now on.
    pub through: u64,
}

impl Head {
    /// Bytes of it.
    pub const SIZE: usize = 24;
    const VIA: usize = 5;
    const NUMBER: usize = 8;

    /// Puts it in front of a datagram.
    pub fn write(&self, datagram: &mut [u8]) {
        datagram[..4].copy_from_slice(&self.token.to_le_bytes());
        datagram[4] = self.kind as u8;
        datagram[Self::VIA] = self.via;
        datagram[6..8].copy_from_slice(&self.client.to_le_bytes());
        set_number(datagram, self.number);
        datagram[16..24].copy_from_slice(&self.through.to_le_bytes());
    }

    /// Reads it, if the datagram belongs to this chain.
    pub fn read(token: u32, datagram: &[u8]) -> Option<Head> {
        let head: &[u8; Self::SIZE] = datagram.first_chunk()?;
        let kind = match head[4] {
            0 => Kind::Values,
            1 => Kind::Vote,
            2 => Kind::Delivered,
            3 => Kind::Report,
            4 => Kind::Begin,
            5 => Kind::Count,
            6 => Kind::End,
            _ => return None,
        };
        let head = Head {
            token: u32::from_le_bytes(array(head)),
            kind,
            via: head[Self::VIA],
            client: u16::from_le_bytes(array(&head[6..])),
            number: u64::from_le_bytes(array(&head[Self::NUMBER..])),
            through: u64::from_le_bytes(array(&head[16..])),
        };
        (head.token == token).then_some(head)
    }
}

/// Gives a datagram its place in the proposer's order.
pub fn set_number(datagram: &mut [u8], number: u64) {
    datagram[Head::NUMBER..][..8].copy_from_slice(&number.to_le_bytes());
}

/// Says through which acceptor a datagram came.
pub fn set_via(datagram: &mut [u8], via: u8) {
    datagram[Head::VIA] = via;
}

/// How far a learner is with the values of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whose values.
    pub client: u16,
    /// So many have been delivered.
    pub delivered: u64,
    /// So many have been heard of by everybody, so they sit in no buffer any more.
    pub settled: u64,
}

impl Progress {
    /// Bytes of it.
    pub const SIZE: usize = 18;

    /// Appends it.
    pub fn append(&self, datagram: &mut Vec<u8>) {
        datagram.extend_from_slice(&self.client.to_le_bytes());
        datagram.extend_from_slice(&self.delivered.to_le_bytes());
        datagram.extend_from_slice(&self.settled.to_le_bytes());
    }

    /// All of a datagram, behind its head.
    pub fn all(datagram: &[u8]) -> impl Iterator<Item = Progress> {
        let (all, _) = datagram[Head::SIZE..].as_chunks::<{ Self::SIZE }>();
        all.iter().map(|bytes| Progress {
            client: u16::from_le_bytes(array(bytes)),
            delivered: u64::from_le_bytes(array(&bytes[2..])),
            settled: u64::from_le_bytes(array(&bytes[10..])),
        })
    }
}

/// The first bytes of a slice that has them.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("the slice is long enough")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let head = Head {
            token: 7,
            kind: Kind::Delivered,
            via: 2,
            client: 300,
            number: 1 << 40,
            through: u64::MAX,
        };
        let mut datagram = vec![0; Head::SIZE];
        head.write(&mut datagram);
        let progress = Progress {
            client: 3,
            delivered: 1 << 33,
            settled: 9,
        };
        progress.append(&mut datagram);
        assert_eq!(Head::read(7, &datagram), Some(head));
        assert_eq!(Progress::all(&datagram).collect::<Vec<_>>(), [progress]);
        assert_eq!(Head::read(8, &datagram), None, "another chain's");
        set_number(&mut datagram, 5);
        set_via(&mut datagram, 9);
        let changed = Head::read(7, &datagram).unwrap();
        assert_eq!((changed.number, changed.via), (5, 9));
        assert_eq!(Head::read(7, &datagram[..Head::SIZE - 1]), None);
    }
}
