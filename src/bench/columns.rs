//! Numbers that people can read, and text in columns.

/// A number with the digits that matter, its thousands apart.
pub fn number(number: f64) -> String {
    if number.abs() < 1000.0 {
        let digits = if number.abs() < 10.0 { 2 } else { 1 };
        return format!("{number:.digits$}");
    }
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    match number < 0.0 {
        true => format!("-{text}"),
        false => text,
    }
}

/// A whole number, its thousands apart.
pub fn grouped(count: u64) -> String {
    match count {
        0..1000 => count.to_string(),
        _ => number(count as f64),
    }
}

/// Columns as wide as they must be: words to the left, numbers to the right. The
/// last cell of a row that has fewer may be as long as it likes.
pub fn align(rows: &[Vec<String>]) -> String {
    let columns = rows[0].len();
    let mut widths = vec![0; columns];
    for row in rows {
        for (column, cell) in row.iter().enumerate().take(columns) {
            if row.len() >= columns || column + 1 < row.len() {
                widths[column] = widths[column].max(cell.chars().count());
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths.get(column).copied().unwrap_or(0);
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            let numeric = cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            let in_words = column < 2 || !(numeric || rows[0] == *row);
            line += &match in_words {
                true => format!("{cell}{pad}  "),
                false => format!("{pad}{cell}  "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read() {
        for (value, text) in [
            (1_234_567.8, "1,234,568"),
            (1000.0, "1,000"),
            (999.94, "999.9"),
            (1.005, "1.00"),
            (-12_345.0, "-12,345"),
            (0.0, "0.00"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!([7, 150, 1500].map(grouped), ["7", "150", "1,500"]);
    }

    #[test]
    fn columns_line_up_and_long_words_do_not_widen_them() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows: Vec<Vec<String>> = vec![
            row(&["who", "load", "values/s"]),
            row(&["paxcast", "64 B", "1,000"]),
            row(&["etcd", "skipped: it is not here at all"]),
        ];
        assert_eq!(
            align(&rows),
            "who      load  values/s\npaxcast  64 B     1,000\netcd     skipped: it is not here at all\n"
        );
    }
}
