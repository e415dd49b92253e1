//! The report as text in columns.

use super::{Measured, Report};
use crate::bench::columns::{align, number};
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
