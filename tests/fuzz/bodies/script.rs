//! Bytes read as a row of choices. When they are used up, every choice is the first.

/// What is left of the choices.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    /// A script from the beginning.
    pub fn new(bytes: &'a [u8]) -> Script<'a> {
        Script { rest: bytes }
    }

    /// Whether there is nothing more to choose.
    pub fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// A number below `limit`, which is at most 2^16; small limits take one byte.
    pub fn below(&mut self, limit: u64) -> u64 {
        match limit {
            0..=1 => 0,
            2..=256 => u64::from(self.byte()) % limit,
            _ => (u64::from(self.byte()) << 8 | u64::from(self.byte())) % limit,
        }
    }

    /// True once in so many times.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == many - 1
    }

    /// Any number, extremes among them.
    pub fn number(&mut self) -> u64 {
        let shift = self.byte() % 64;
        let mut bytes = [0; 8];
        let taken = self.bytes(8);
        bytes[..taken.len()].copy_from_slice(taken);
        let number = u64::from_le_bytes(bytes) >> shift;
        match self.byte() % 4 {
            0 => u64::MAX - number,
            _ => number,
        }
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    /// The next `count` bytes, fewer when there are not so many.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}
