//! The report as a page: what matters first, then charts, then every figure.
//!
//! The page fetches nothing, says so to the browser, and needs no script.

use super::table::{self, cells};
use super::{Failovers, Measured, Report};
use crate::bench::chart::{Axis, Bars, Lines, Scale, Series, Unit};
use crate::bench::columns::number;
use crate::bench::ratio::Spread;
use crate::bench::sheet::{self, escape, figure, lines};

/// The part of what is offered that must be delivered, or a contestant does not
/// keep up with it.
const KEPT_UP: f64 = 0.95;

const LATENCY: Axis = Axis {
    label: "latency",
    scale: Scale::Log,
    unit: Unit::Time,
};

/// The page.
pub fn write(report: &Report) -> String {
    let mut page = sheet::begin(
        "paxcast bench",
        &format!(
            "paxcast {} on {}. Everybody took turns, {}; figures are medians, ratios are taken within rounds.",
            report.version,
            report.machine.describe(),
            sheet::times(report.rounds)
        ),
    );
    cards(&mut page, report);
    page.push_str("</header>\n<main>\n<h2>Charts</h2>\n<div class=\"charts\">\n");
    for figure in charts(report) {
        page.push_str(&figure);
    }
    page.push_str("</div>\n<h2>Every figure</h2>\n");
    rows(&mut page, report);
    stories(&mut page, report);
    about(&mut page, report);
    sheet::end(
        &mut page,
        "cpu: processor time of all processes, the clients' included, for each value delivered. calls: system calls \
         of all processes for each value. drops: datagrams that the kernel dropped for want of buffer space. In \
         brackets: the least and the greatest of all rounds.",
    );
    page
}

/// The ratios, large.
fn cards(page: &mut String, report: &Report) {
    page.push_str("<div class=\"cards\">\n");
    for ratio in &report.ratios {
        *page += &format!(
            "<div class=\"card\"><div class=\"better\">{}</div><div class=\"name\">{}</div>\
             <div class=\"ratio\">{}× <small>{}–{}</small></div>\
             <div class=\"sides\">{} beside {} {}</div><div class=\"meaning\">{}</div></div>\n",
            if ratio.figure.is_cost() {
                "lower is better"
            } else {
                "higher is better"
            },
            ratio.name,
            number(ratio.ratio.median),
            number(ratio.ratio.least),
            number(ratio.ratio.most),
            number(ratio.ours),
            number(ratio.other),
            ratio.figure.unit(),
            escape(ratio.meaning)
        );
    }
    page.push_str("</div>\n");
}

/// What a contestant is called and coloured where durability matters.
fn guise(row: &Measured) -> (String, &'static str) {
    let colour = match (row.contestant, row.load.durable) {
        ("paxcast", false) => "ours",
        ("paxcast", true) => "durable",
        ("chain", _) => "chain",
        ("corosync", _) => "corosync",
        ("etcd", _) => "etcd",
        ("redis", _) => "redis",
        _ => "disk",
    };
    let name = match (row.contestant, row.load.durable) {
        ("chain", _) => "chain, no logic".to_owned(),
        ("disk", _) => "disk alone".to_owned(),
        (name, true) => format!("{name}, durable"),
        (name, false) => name.to_owned(),
    };
    (name, colour)
}

fn charts(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(by_size(report));
    all.extend(distribution(report));
    all.extend(against_load(report));
    for failovers in &report.failovers {
        all.extend(timeline(failovers));
    }
    all
}

/// Puts a point to the series of its contestant.
fn add(series: &mut Vec<Series>, row: &Measured, suffix: &str, point: (f64, f64)) {
    let (name, colour) = guise(row);
    let name = format!("{name}{suffix}");
    match series.iter_mut().find(|series| series.name == name) {
        Some(found) => found.points.push(point),
        None => series.push(Series {
            name,
            colour,
            dashed: suffix.contains("p99") || (row.contestant == "redis" && row.load.durable),
            marked: true,
            points: vec![point],
        }),
    }
}

fn sort(series: &mut Vec<Series>) {
    for one in series.iter_mut() {
        one.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    // One point is no line.
    series.retain(|one| one.points.len() > 1);
}

/// Rows in which two clients bring in all they can, which is fewer large values
/// than small ones.
fn full_rows(report: &Report) -> impl Iterator<Item = (&Measured, &super::Figures)> {
    let most = |bytes| {
        let same = report
            .rows
            .iter()
            .filter(move |row| row.load.bytes == bytes);
        same.filter_map(|row| row.load.outstanding).max()
    };
    report
        .rows
        .iter()
        .filter(move |row| row.load.outstanding == most(row.load.bytes) && row.load.clients == 2)
        .filter(|row| named(row.contestant))
        .filter_map(|row| Some((row, row.figures.as_ref()?)))
}

/// Whether a contestant has a name of its own in charts: our other formations
/// are in the table.
fn named(contestant: &str) -> bool {
    ["paxcast", "chain", "corosync", "etcd", "redis"].contains(&contestant)
}

fn by_size(report: &Report) -> Vec<String> {
    let mut values: Vec<Series> = Vec::new();
    for (row, figures) in full_rows(report) {
        let point = (row.load.bytes as f64, figures.values_per_second.median);
        add(&mut values, row, "", point);
    }
    sort(&mut values);
    let values = Lines {
        x: Axis {
            label: "size of a value",
            scale: Scale::Log,
            unit: Unit::Bytes,
        },
        y: Axis {
            label: "values delivered a second",
            scale: Scale::Log,
            unit: Unit::Count,
        },
        series: values,
        marks: Vec::new(),
    };
    let mut sizes: Vec<usize> = full_rows(report).map(|(row, _)| row.load.bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut bars = Bars {
        label: "megabytes of values a second",
        groups: sizes
            .iter()
            .map(|bytes| Unit::Bytes.write(*bytes as f64))
            .collect(),
        series: Vec::new(),
    };
    for (row, figures) in full_rows(report) {
        let (name, colour) = guise(row);
        let group = sizes
            .binary_search(&row.load.bytes)
            .expect("from these rows");
        let place = bars.series.iter().position(|(other, ..)| *other == name);
        let place = place.unwrap_or_else(|| {
            bars.series.push((name, colour, vec![None; sizes.len()]));
            bars.series.len() - 1
        });
        bars.series[place].2[group] = Some(figures.megabytes_per_second);
    }
    let mut all = Vec::new();
    all.extend(lines(
        "Throughput by size of value",
        "Two clients that keep as much under way as they can; counted at the learner that got the fewest.",
        &values,
    ));
    if !bars.is_empty() {
        let legend: Vec<(String, &str, bool)> = bars
            .series
            .iter()
            .map(|(name, colour, _)| (name.clone(), *colour, false))
            .collect();
        let title = "Bytes by size of value";
        all.push(figure(
            title,
            "The same in megabytes; the thin lines go from the least to the greatest of all rounds.",
            &legend,
            &bars.draw(title),
        ));
    }
    all
}

fn distribution(report: &Report) -> Option<String> {
    let mut series = Vec::new();
    for row in &report.rows {
        let single = row.load.outstanding == Some(1) && row.load.bytes == 64;
        if let Some(figures) = row
            .figures
            .as_ref()
            .filter(|_| single && named(row.contestant))
        {
            let (name, colour) = guise(row);
            series.push(Series {
                name,
                colour,
                dashed: false,
                marked: false,
                points: figures.curve.clone(),
            });
        }
    }
    lines(
        "Latency of one value at a time",
        "From sending a 64-byte value to hearing that it was delivered, with nothing else under way, all rounds together.",
        &Lines {
            x: Axis {
                label: "part of the values that took no longer",
                scale: Scale::Nines,
                unit: Unit::Percent,
            },
            y: LATENCY,
            series,
            marks: Vec::new(),
        },
    )
}

fn against_load(report: &Report) -> Option<String> {
    let mut series = Vec::new();
    for row in &report.rows {
        let (Some(rate), Some(figures)) = (row.load.rate, &row.figures) else {
            continue;
        };
        if figures.values_per_second.median < KEPT_UP * rate {
            continue;
        }
        add(&mut series, row, " p50", (rate, figures.p50_us.median));
        add(&mut series, row, " p99", (rate, figures.p99_us.median));
    }
    sort(&mut series);
    lines(
        "Latency against offered load",
        "64-byte values at a given pace, each counted from the moment at which it was due. A line ends where less than \
         95 % of what was offered was delivered.",
        &Lines {
            x: Axis {
                label: "values offered a second",
                scale: Scale::Log,
                unit: Unit::Count,
            },
            y: LATENCY,
            series,
            marks: Vec::new(),
        },
    )
}

fn timeline(failovers: &Failovers) -> Option<String> {
    let typical = failovers.typical.as_ref()?;
    let colour = if failovers.load.durable {
        "durable"
    } else {
        "ours"
    };
    let kept = if failovers.load.durable {
        "durable"
    } else {
        "volatile"
    };
    let chart = Lines {
        x: Axis {
            label: "milliseconds since the leader was killed",
            scale: Scale::Linear,
            unit: Unit::Count,
        },
        y: Axis {
            label: "values delivered a second",
            scale: Scale::Linear,
            unit: Unit::Count,
        },
        series: vec![Series {
            name: format!("one learner, {}", failovers.load.words),
            colour,
            dashed: false,
            marked: false,
            points: typical.timeline.clone(),
        }],
        marks: vec![(0.0, "leader killed".to_owned())],
    };
    let recovery = match typical.recovery_ms {
        Some(recovery) => format!("throughput was back after {recovery:.0} ms"),
        None => "throughput did not come back while it was watched".to_owned(),
    };
    let title = format!("Death of the leader at full load, {kept}");
    let caption = format!(
        "The death with the median pause: {:.0} ms without a delivery, {recovery}. Looked at every 10 ms.",
        typical.pause_ms
    );
    lines(&title, &caption, &chart)
}

fn rows(page: &mut String, report: &Report) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for heading in table::HEADINGS {
        *page += &format!("<th>{heading}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &report.rows {
        page.push_str("<tr>");
        let cells = cells(row);
        for (column, cell) in cells.iter().enumerate() {
            let words = column + 1 == cells.len() && row.figures.is_none();
            *page += &match words {
                true => format!(
                    "<td class=\"words\" colspan=\"{}\">{}</td>",
                    table::HEADINGS.len() - column,
                    escape(cell)
                ),
                false => format!("<td>{}</td>", escape(cell)),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

/// What is no row of the table.
fn stories(page: &mut String, report: &Report) {
    if report.failovers.is_empty() && report.idle.is_none() {
        return;
    }
    page.push_str("<h2>Deaths of leaders, and idleness</h2>\n<dl>\n");
    let told = |spread: Option<Spread>| match spread {
        Some(spread) => format!(
            "{} ms [{}–{}]",
            number(spread.median),
            number(spread.least),
            number(spread.most)
        ),
        None => "never".to_owned(),
    };
    for failovers in &report.failovers {
        *page += &format!(
            "<dt>failover, {}</dt><dd>without a delivery: {}; throughput back after: {}{}</dd>\n",
            escape(&failovers.load.words),
            told(failovers.pause_ms),
            told(failovers.recovery_ms),
            failovers
                .excuse
                .as_ref()
                .map_or(String::new(), |excuse| format!("; {}", escape(excuse)))
        );
    }
    if let Some(idle) = &report.idle {
        let words = match (&idle.percent, &idle.excuse) {
            (Some(percent), _) => format!(
                "{:.2} % of a processor for a process, at most {:.2} %",
                percent.median, percent.most
            ),
            (None, excuse) => escape(excuse.as_deref().unwrap_or("unknown")),
        };
        *page += &format!("<dt>without traffic</dt><dd>{words}</dd>\n");
    }
    page.push_str("</dl>\n");
}

/// The machine, who took part, and how to do it again.
fn about(page: &mut String, report: &Report) {
    sheet::machine(page, &report.machine);
    page.push_str("<h2>Who took part</h2>\n<dl>\n");
    for (name, about) in report.contestants() {
        *page += &format!("<dt>{name}</dt><dd>{}</dd>\n", escape(about));
    }
    *page += &format!(
        "</dl>\n<h2>Do it again</h2>\n<pre>{}</pre>\n<p class=\"quiet\">It took {:.0} s.</p>\n",
        escape(&report.command),
        report.seconds
    );
}
