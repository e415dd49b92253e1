//! The findings as a page: charts first, then every figure.

use super::findings::{Figures, Findings, Mode, Row, Timeline};
use super::table::{HEADINGS, cells};
use crate::bench::chart::{Axis, Lines, Scale, Series, Unit};
use crate::bench::columns::number;
use crate::bench::sheet::{self, escape, lines};

const OPERATIONS: Axis = Axis {
    label: "operations, of all clients together",
    scale: Scale::Log,
    unit: Unit::Steps,
};

const RATE: Axis = Axis {
    label: "operations a second",
    scale: Scale::Log,
    unit: Unit::Count,
};

const LATENCY: Axis = Axis {
    label: "time of an operation",
    scale: Scale::Log,
    unit: Unit::Time,
};

/// The page.
pub fn write(findings: &Findings) -> String {
    let mut page = sheet::begin(
        "paxcast bench kv",
        &format!(
            "paxcast {} on {}. {}. Everybody took turns, {}; figures are medians.",
            findings.version,
            findings.machine.describe(),
            findings.workload,
            sheet::times(findings.rounds)
        ),
    );
    verdict(&mut page, findings);
    page.push_str("</header>\n<main>\n<h2>Charts</h2>\n<div class=\"charts\">\n");
    for figure in charts(findings) {
        page.push_str(&figure);
    }
    page.push_str("</div>\n<h2>Every figure</h2>\n");
    rows(&mut page, findings);
    malformed(&mut page, findings);
    about(&mut page, findings);
    sheet::end(
        &mut page,
        "mean, deviation, p50, p99, p99.9: from calling an operation to its answer, in microseconds. ops/s: operations \
         answered, from the first call to the last answer of all clients; in brackets the least and the greatest of \
         all rounds. failed: did not happen and will not. unknown: may have happened; the checker tries both. \
         history: whether everything that the clients were told could have happened one by one, key by key.",
    );
    page
}

/// How the histories were judged, first of all.
fn verdict(page: &mut String, findings: &Findings) {
    let rows = findings.rows.iter().map(|row| &row.judgement);
    let timelines = findings
        .timelines
        .iter()
        .map(|timeline| &timeline.judgement);
    let judged: Vec<_> = rows.chain(timelines).flatten().collect();
    let undecided = judged.iter().filter(|one| one.gravity() == 1).count();
    let violations = findings.violations();
    if violations.is_empty() {
        *page += &format!(
            "<p>The histories of {} measurements were judged: no client was told anything that could not have \
             happened one by one.{}</p>\n",
            judged.len() - undecided,
            match undecided {
                0 => String::new(),
                _ => format!(
                    " {undecided} more were not decided: too much was under way on one key at a time."
                ),
            }
        );
    }
    for (words, picture) in violations {
        *page += &format!(
            "<p><strong>Not linearizable: {}</strong></p>\n<pre>{}</pre>\n",
            escape(&words),
            escape(picture)
        );
    }
}

/// A set's colour, and whether its lines are dashed.
fn guise(set: &str) -> (&'static str, bool) {
    match set {
        "cluster-3" => ("ours", false),
        "cluster-3-durable" => ("ours", true),
        "cluster-5" => ("durable", false),
        "cluster-5-durable" => ("durable", true),
        "cluster-5-failing" => ("corosync", false),
        "redis" => ("redis", false),
        "redis-durable" => ("redis", true),
        _ => ("chain", false),
    }
}

fn charts(findings: &Findings) -> Vec<String> {
    let rate = |figures: &Figures| figures.per_second.median;
    let mean = |figures: &Figures| figures.mean_us.median;
    let tail = |figures: &Figures| figures.p99_us.median;
    let chart = |title: &str, caption: &str, mode, y, value: &dyn Fn(&Figures) -> f64| {
        lines(title, caption, &by_count(findings, mode, y, value))
    };
    let mut all: Vec<Option<String>> = vec![
        chart(
            "Throughput by number of operations, closed loop",
            "Each client calls an operation when its last one has been answered.",
            Mode::Closed,
            RATE,
            &rate,
        ),
        chart(
            "Throughput by number of operations, pipelined",
            "Each client has several operations under way.",
            Mode::Pipelined,
            RATE,
            &rate,
        ),
        chart(
            "Mean time of an operation, closed loop",
            "From calling an operation to its answer, nothing else of this client under way.",
            Mode::Closed,
            LATENCY,
            &mean,
        ),
        chart(
            "Time that 99 of 100 operations did not exceed, closed loop",
            "From calling an operation to its answer, nothing else of this client under way.",
            Mode::Closed,
            LATENCY,
            &tail,
        ),
    ];
    all.push(distribution(findings, Mode::Closed));
    all.push(distribution(findings, Mode::Pipelined));
    for timeline in &findings.timelines {
        all.extend(story(timeline));
    }
    all.into_iter().flatten().collect()
}

fn by_count(findings: &Findings, mode: Mode, y: Axis, value: &dyn Fn(&Figures) -> f64) -> Lines {
    let mut series: Vec<Series> = Vec::new();
    for row in findings.rows.iter().filter(|row| row.mode == mode) {
        let Some(figures) = &row.figures else {
            continue;
        };
        let point = (row.operations as f64, value(figures));
        match series.iter_mut().find(|one| one.name == row.set) {
            Some(found) => found.points.push(point),
            None => {
                let (colour, dashed) = guise(row.set);
                series.push(Series {
                    name: row.set.to_owned(),
                    colour,
                    dashed,
                    marked: true,
                    points: vec![point],
                });
            }
        }
    }
    Lines {
        x: OPERATIONS,
        y,
        series,
        marks: Vec::new(),
    }
}

/// The distribution of each set's times at its largest number of operations.
fn distribution(findings: &Findings, mode: Mode) -> Option<String> {
    let mut largest: Vec<(&Row, &Figures)> = Vec::new();
    for row in findings.rows.iter().filter(|row| row.mode == mode) {
        let Some(figures) = &row.figures else {
            continue;
        };
        match largest.iter_mut().find(|(other, _)| other.set == row.set) {
            Some(found) => *found = (row, figures),
            None => largest.push((row, figures)),
        }
    }
    let series = largest.into_iter().map(|(row, figures)| {
        let (colour, dashed) = guise(row.set);
        Series {
            name: format!("{}, {}", row.set, Unit::Count.write(row.operations as f64)),
            colour,
            dashed,
            marked: false,
            points: figures.curve.clone(),
        }
    });
    let (title, caption) = match mode {
        Mode::Closed => (
            "Distribution of times, closed loop",
            "At the largest number of operations that was carried, all rounds together.",
        ),
        Mode::Pipelined => (
            "Distribution of times, pipelined",
            "At the largest number of operations that was carried, all rounds together; an operation waits for those \
             ahead of it.",
        ),
    };
    lines(
        title,
        caption,
        &Lines {
            x: Axis {
                label: "part of the operations that took no longer",
                scale: Scale::Nines,
                unit: Unit::Percent,
            },
            y: LATENCY,
            series: series.collect(),
            marks: Vec::new(),
        },
    )
}

/// Throughput and slowest times around deaths.
fn story(timeline: &Timeline) -> Vec<Option<String>> {
    let x = Axis {
        label: "milliseconds since the beginning",
        scale: Scale::Linear,
        unit: Unit::Count,
    };
    let (colour, _) = guise(timeline.set);
    let series = |points: Vec<(f64, f64)>| Series {
        name: timeline.set.to_owned(),
        colour,
        dashed: false,
        marked: false,
        points,
    };
    let judged = timeline.judgement.as_ref().map_or("-", |one| one.word());
    let rates = timeline.steps.iter().map(|step| (step.0, step.1));
    let tails = timeline
        .steps
        .iter()
        .filter_map(|step| Some((step.0, step.2?)));
    let caption = format!(
        "{}; operations answered in each 100 ms. At most {} ms passed without an answer; {} failed, {} unknown; the \
         history is {judged}.",
        timeline.words,
        number(timeline.pause_ms),
        timeline.failed,
        timeline.unknown
    );
    vec![
        lines(
            "Throughput across failures",
            &caption,
            &Lines {
                x,
                y: Axis {
                    scale: Scale::Linear,
                    ..RATE
                },
                series: vec![series(rates.collect())],
                marks: timeline.marks.clone(),
            },
        ),
        lines(
            "Slowest times across failures",
            "The time that 99 of 100 operations that ended within the same 100 ms did not exceed.",
            &Lines {
                x,
                y: LATENCY,
                series: vec![series(tails.collect())],
                marks: timeline.marks.clone(),
            },
        ),
    ]
}

fn rows(page: &mut String, findings: &Findings) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for heading in HEADINGS {
        *page += &format!("<th>{heading}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &findings.rows {
        page.push_str("<tr>");
        let cells = cells(row);
        for (column, cell) in cells.iter().enumerate() {
            let words = column + 1 == cells.len() && row.figures.is_none();
            *page += &match words {
                true => format!(
                    "<td class=\"words\" colspan=\"{}\">{}</td>",
                    HEADINGS.len() - column,
                    escape(cell)
                ),
                false => format!("<td>{}</td>", escape(cell)),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

/// Lines of the file of operations that were skipped, and other reasons.
fn malformed(page: &mut String, findings: &Findings) {
    if !findings.malformed.is_empty() {
        *page += &format!(
            "<h2>Lines that are no operations</h2>\n<pre>{}</pre>\n",
            escape(&findings.malformed.join("\n"))
        );
    }
    let mut reasons: Vec<String> = Vec::new();
    for row in &findings.rows {
        for reason in &row.reasons {
            let line = format!("{}: {reason}", row.set);
            if !reasons.contains(&line) {
                reasons.push(line);
            }
        }
    }
    if !reasons.is_empty() {
        *page += &format!(
            "<h2>Why operations failed or are unknown</h2>\n<pre>{}</pre>\n",
            escape(&reasons.join("\n"))
        );
    }
}

/// The machine, who took part, and how to do it again.
fn about(page: &mut String, findings: &Findings) {
    sheet::machine(page, &findings.machine);
    page.push_str("<h2>Who took part</h2>\n<dl>\n");
    for (name, about) in findings.sets() {
        *page += &format!("<dt>{name}</dt><dd>{}</dd>\n", escape(about));
    }
    *page += &format!(
        "</dl>\n<h2>Do it again</h2>\n<pre>{}</pre>\n<p class=\"quiet\">It took {:.0} s.</p>\n",
        escape(&findings.command),
        findings.seconds
    );
}
