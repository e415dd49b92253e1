//! What happened at one process, and what is said in the margin, as SVG.

use std::fmt::Write;

use super::clockwork::Clockwork;
use super::draw::put;
use super::escape;
use super::geometry::{AXIS, Geometry, LINE, MOST_LETTERS};
use super::picture::{Mark, MarkKind, Picture};

/// Marks of one kind at one time and place, as one.
pub fn gathered(marks: &[Mark]) -> Vec<Mark> {
    let mut gathered: Vec<(Mark, usize)> = Vec::new();
    for mark in marks {
        let twin = gathered
            .iter_mut()
            .rev()
            .take_while(|(other, _)| other.at == mark.at)
            .find(|(other, _)| (other.lane, other.kind) == (mark.lane, mark.kind));
        match twin {
            Some((other, count)) => {
                *count += 1;
                if *count <= 20 {
                    other.story.push('\n');
                    other.story.push_str(&mark.story);
                }
                if other.label.is_empty() {
                    other.label = mark.label.clone();
                }
            }
            None => gathered.push((mark.clone(), 1)),
        }
    }
    let finished = gathered.into_iter().map(|(mut mark, count)| {
        if count > 20 {
            write!(mark.story, "\nand {} more", count - 20).expect("writing to memory cannot fail");
        }
        let counted = matches!(mark.kind, MarkKind::Submitted | MarkKind::Delivered);
        if counted && count > 1 {
            write!(mark.label, " +{}", count - 1).expect("writing to memory cannot fail");
        }
        mark
    });
    finished.collect()
}

/// Writes a mark and what stands beside it.
pub fn write_mark(body: &mut String, mark: &Mark, geometry: &Geometry, clockwork: &Clockwork) {
    let (class, shape, right) = match mark.kind {
        MarkKind::Started => ("started", "M-7 0H7", true),
        MarkKind::Died => ("died", "M-8 0H8", true),
        MarkKind::Wrote => ("wrote", "M-2.5 -2.5H2.5V2.5H-2.5Z", true),
        MarkKind::Synced => ("synced", "M-9 0H-3", true),
        MarkKind::Submitted => ("submitted", "M-4 -4L4 0L-4 4Z", false),
        MarkKind::Delivered => ("delivered", "M0 -4.5L4.5 0L0 4.5L-4.5 0Z", true),
        MarkKind::Acknowledged => ("acknowledged", "M-3 0A3 3 0 1 0 3 0A3 3 0 1 0 -3 0Z", false),
        MarkKind::Evicted => ("evicted", "M-4 4L0 -4L4 4Z", false),
        MarkKind::Elected => ("elected", "M-7 0H7", true),
    };
    let x = geometry.lanes[mark.lane];
    let y = clockwork.height(mark.at);
    put(
        body,
        format_args!(
            "<g class=\"mark {class}\" transform=\"translate({x:.1},{y:.1})\" data-t=\"{}\" data-x=\"{x:.1}\">\
             <title>{}\n{}</title><path d=\"{shape}\"/>",
            mark.at.0,
            escape(&mark.story),
            mark.at
        ),
    );
    if !mark.label.is_empty() {
        let (x, anchor) = if right { (9, "start") } else { (-9, "end") };
        put(
            body,
            format_args!(
                "<text x=\"{x}\" y=\"3.5\" text-anchor=\"{anchor}\">{}</text>",
                escape(&mark.label)
            ),
        );
    }
    body.push_str("</g>\n");
}

/// What was done to the cluster, beside the lanes, one line below the other.
pub fn remarks(body: &mut String, picture: &Picture, geometry: &Geometry, clockwork: &Clockwork) {
    let mut free = f64::NEG_INFINITY;
    let x = geometry.margin;
    for remark in &picture.remarks {
        let y = clockwork.height(remark.at);
        let line = y.max(free);
        free = line + LINE;
        let class = if remark.broken {
            "remark broken"
        } else {
            "remark"
        };
        let cut: String = remark.words.chars().take(MOST_LETTERS).collect();
        let more = if remark.words.chars().count() > MOST_LETTERS {
            "…"
        } else {
            ""
        };
        put(
            body,
            format_args!(
                "<g class=\"{class}\" data-t=\"{}\"><title>{}\n{}</title>",
                remark.at.0,
                escape(&remark.words),
                remark.at
            ),
        );
        if remark.broken {
            put(
                body,
                format_args!(
                    "<line x1=\"{AXIS}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" data-t=\"{t}\" data-u=\"{t}\"/>",
                    x - 20.0,
                    t = remark.at.0
                ),
            );
        }
        put(
            body,
            format_args!(
                "<path d=\"M{:.1} {y:.1}L{:.1} {line:.1}\" data-x=\"{x:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\">{}{more}</text></g>\n",
                x - 20.0,
                x - 4.0,
                line + 3.5,
                escape(&cut)
            ),
        );
    }
}
