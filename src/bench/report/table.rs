//! The report as text in columns.

use super::{Measured, Report};
use crate::bench::ratio::Spread;

/// The whole report.
pub fn write(report: &Report) -> String {
    let mut text = format!(
        "{}\npaxcast {}: {}\n{} rounds, {:.0} s; medians, with the least and the greatest in brackets\n",
        report.machine.describe(),
        report.version,
        report.command,
        report.rounds,
        report.seconds
    );
    for (name, about) in report.contestants() {
        text += &format!("  {name}: {about}\n");
    }
    text.push('\n');
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(report.rows.iter().map(cells));
    text += &align(&rows);
    if !report.ratios.is_empty() {
        text.push('\n');
        let mut rows = vec![
            ["ratio", "ours", "other", "ours/other", "", "of"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(report.ratios.iter().map(|ratio| {
            vec![
                ratio.name.to_owned(),
                number(ratio.ours),
                number(ratio.other),
                format!("{:.3}", ratio.ratio.median),
                format!("[{:.3}–{:.3}]", ratio.ratio.least, ratio.ratio.most),
                ratio.figure.unit().to_owned(),
            ]
        }));
        text += &align(&rows);
    }
    for failovers in &report.failovers {
        let told = |spread: Option<Spread>| spread.map_or("-".to_owned(), with_extremes);
        text += &format!(
            "\nfailover, {}: {} ms without a delivery, {} ms until throughput was back\n",
            failovers.load.words,
            told(failovers.pause_ms),
            told(failovers.recovery_ms)
        );
        if failovers.lost > 0 {
            text += &format!("  {} times it did not come back in time\n", failovers.lost);
        }
        if let Some(excuse) = &failovers.excuse {
            text += &format!("  {excuse}\n");
        }
    }
    if let Some(idle) = &report.idle {
        text += &match (&idle.percent, &idle.excuse) {
            (Some(percent), _) => format!(
                "\nidle: a process uses {:.2} % of a processor, at most {:.2} %\n",
                percent.median, percent.most
            ),
            (None, excuse) => format!("\nidle: {}\n", excuse.as_deref().unwrap_or("unknown")),
        };
    }
    text
}

/// Above the columns.
pub const HEADINGS: [&str; 11] = [
    "contestant",
    "load",
    "values/s",
    "",
    "MB/s",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "cpu µs",
    "calls",
    "drops",
];

/// A row's cells.
pub fn cells(row: &Measured) -> Vec<String> {
    let mut cells = vec![row.contestant.to_owned(), row.load.words.clone()];
    let Some(figures) = &row.figures else {
        cells.push(row.excuse.clone().unwrap_or_default());
        return cells;
    };
    let optional = |spread: Option<Spread>| match spread {
        Some(spread) => format!("{:.2}", spread.median),
        None => "-".to_owned(),
    };
    let extremes = |spread: Spread| format!("[{}–{}]", number(spread.least), number(spread.most));
    cells.extend([
        number(figures.values_per_second.median),
        extremes(figures.values_per_second),
        number(figures.megabytes_per_second.median),
        number(figures.p50_us.median),
        number(figures.p99_us.median),
        number(figures.p999_us.median),
        optional(figures.processor_us),
        optional(figures.calls),
        figures
            .drops
            .map_or("-".to_owned(), |drops| drops.to_string()),
    ]);
    if let Some(excuse) = &row.excuse {
        cells.push(format!("{} rounds only; {excuse}", row.rounds));
    }
    cells
}

fn with_extremes(spread: Spread) -> String {
    format!(
        "{} [{}–{}]",
        number(spread.median),
        number(spread.least),
        number(spread.most)
    )
}

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

/// Columns as wide as they must be: words to the left, numbers to the right. The
/// last cell of a row that has fewer may be as long as it likes.
fn align(rows: &[Vec<String>]) -> String {
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
