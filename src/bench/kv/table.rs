//! The findings as text in columns.

use super::findings::{Findings, Row};
use crate::bench::columns::{align, grouped, number};

/// Above the columns.
pub const HEADINGS: [&str; 13] = [
    "servers",
    "calls",
    "operations",
    "mean µs",
    "deviation",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "ops/s",
    "",
    "failed",
    "unknown",
    "history",
];

/// All of them.
pub fn write(findings: &Findings) -> String {
    let mut text = format!(
        "{}\npaxcast {}: {}\n{}\n{} rounds, {:.0} s; medians, with the least and the greatest in brackets\n",
        findings.machine.describe(),
        findings.version,
        findings.command,
        findings.workload,
        findings.rounds,
        findings.seconds
    );
    for (name, about) in findings.sets() {
        text += &format!("  {name}: {about}\n");
    }
    text.push('\n');
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(findings.rows.iter().map(cells));
    text += &align(&rows);
    for timeline in &findings.timelines {
        text += &match &timeline.excuse {
            Some(excuse) => format!("\ntimeline of {}: {excuse}\n", timeline.set),
            None => format!(
                "\ntimeline of {}: {}; at most {} ms without an answer; {} failed, {} unknown; {}\n",
                timeline.set,
                timeline.words,
                number(timeline.pause_ms),
                timeline.failed,
                timeline.unknown,
                timeline.judgement.as_ref().map_or("-", |one| one.word())
            ),
        };
    }
    for (words, picture) in findings.violations() {
        text += &format!("\n{words}: no order explains what the clients were told\n{picture}");
    }
    text
}

/// A row's cells.
pub fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![
        row.set.to_owned(),
        row.mode.word().to_owned(),
        grouped(row.operations),
    ];
    let Some(figures) = &row.figures else {
        let excuse = row.excuse.clone().or_else(|| row.reasons.first().cloned());
        cells.push(excuse.unwrap_or_else(|| "nothing was answered".to_owned()));
        return cells;
    };
    cells.extend([
        number(figures.mean_us.median),
        number(figures.deviation_us.median),
        number(figures.p50_us.median),
        number(figures.p99_us.median),
        number(figures.p999_us.median),
        number(figures.per_second.median),
        format!(
            "[{}–{}]",
            number(figures.per_second.least),
            number(figures.per_second.most)
        ),
        grouped(row.failed),
        grouped(row.unknown),
        row.judgement
            .as_ref()
            .map_or("-", |judgement| judgement.word())
            .to_owned(),
    ]);
    if let Some(excuse) = &row.excuse {
        cells.push(format!("{} rounds only; {excuse}", row.rounds));
    }
    cells
}
