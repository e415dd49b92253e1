//! A short form of much, for comparing: accidents are found by it, lies are not.

/// Takes one more number into a digest. Multiplying to twice the width and
/// folding the halves lets every bit reach every other.
pub fn mix(digest: u64, number: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    const OTHER: u64 = 0xd1b5_4a32_d192_ed03;
    let wide = u128::from(digest.rotate_left(23) ^ number ^ ODD) * u128::from(OTHER);
    (wide >> 64) as u64 ^ (wide as u64).wrapping_add(number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_bit_and_the_order_count() {
        let mut seen = BTreeSet::new();
        for bit in 0..64 {
            seen.insert(mix(mix(0, 1 << bit), 0));
            seen.insert(mix(mix(0, 0), 1 << bit));
            seen.insert(mix(1 << bit, 0));
        }
        assert_eq!(seen.len(), 3 * 64);
    }
}
