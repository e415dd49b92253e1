//! Whole numbers as text, in the one way of writing that Redis knows: no blank,
//! no plus, no zero in front. What is read back is what was written.

/// The longest number has so many characters.
pub const LONGEST: usize = 20;

/// The number that this text writes, if it is one of 64 bits.
pub fn parse(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if digits.len() < LONGEST => {}
        _ => return None,
    }
    let mut size: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        size = size.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    match negative {
        true => 0i64.checked_sub_unsigned(size),
        false => i64::try_from(size).ok(),
    }
}

/// Writes a number into `space` and gives the part that it fills.
pub fn write(number: i64, space: &mut [u8; LONGEST]) -> &[u8] {
    let mut rest = number.unsigned_abs();
    let mut at = LONGEST;
    loop {
        at -= 1;
        space[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        space[at] = b'-';
    }
    &space[at..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_the_range_are_numbers_and_what_lies_beyond_is_not() {
        for number in [i64::MIN, i64::MIN + 1, -10, -1, 0, 1, 9, 10, i64::MAX] {
            let mut space = [0; LONGEST];
            let text = write(number, &mut space).to_vec();
            assert_eq!(text, number.to_string().as_bytes());
            assert_eq!(parse(&text), Some(number));
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "-01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "a",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999999999999999",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(number: i64) {
            prop_assert_eq!(parse(write(number, &mut [0; LONGEST])), Some(number));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "-?[0-9]{1,21}") {
            if let Some(number) = parse(text.as_bytes()) {
                let mut space = [0; LONGEST];
                prop_assert_eq!(write(number, &mut space), text.as_bytes());
            } else {
                let canonical = text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
                prop_assert!(!canonical);
            }
        }
    }
}
