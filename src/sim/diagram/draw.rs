//! The picture as SVG.
//!
//! What depends on time carries its moments along (`data-t`, `data-u`, in
//! nanoseconds), so that the page can move it when it filters or stretches; the
//! picture is complete without that.

use super::arrows::{cross, write_fan};
use super::clockwork::Clockwork;
use super::geometry::{AXIS, BOTTOM, Geometry, HEADS, TOP};
use super::marks::{gathered, remarks, write_mark};
use super::picture::{Picture, State};
use super::{Title, escape};
use crate::protocol::Time;

/// The style of the picture, for light and dark paper.
pub const STYLE: &str = include_str!("picture.css");

/// How many colours there are for ballots; more begin again.
const COLOURS: usize = 6;

/// The class that gives a ballot its colour.
pub fn colour(ballot: Option<usize>) -> String {
    match ballot {
        Some(ballot) => format!("b{}", ballot % COLOURS),
        None => "none".into(),
    }
}

/// A picture that stands for itself.
pub fn standalone(picture: &Picture, title: &Title) -> String {
    let geometry = Geometry::new(picture);
    let clockwork = picture.clockwork();
    let mut lines: Vec<String> = title.lines.clone();
    if let Some((at, words)) = &title.violation {
        lines.push(format!("broken at {at}: {words}"));
    }
    lines.extend(picture.shortfall.clone());
    let above = 36.0 + 15.0 * lines.len() as f64;
    let legend = above + 14.0;
    let heads = legend + 18.0;
    let body = heads + HEADS;
    let height = body + TOP + clockwork.total() + BOTTOM;
    let width = geometry.width.max(760.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"spacetime\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n<style>\n{STYLE}</style>\n{}\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n",
        definitions()
    );
    put(
        &mut svg,
        format_args!(
            "<text class=\"heading\" x=\"16\" y=\"26\">{}</text>\n",
            escape(&title.heading)
        ),
    );
    for (index, line) in lines.iter().enumerate() {
        let y = 44.0 + 15.0 * index as f64;
        put(
            &mut svg,
            format_args!(
                "<text class=\"small\" x=\"16\" y=\"{y}\">{}</text>\n",
                escape(line)
            ),
        );
    }
    put(
        &mut svg,
        format_args!(
            "<g transform=\"translate(16,{legend})\">{}</g>\n\
             <g transform=\"translate(0,{heads})\">\n{}</g>\n\
             <g transform=\"translate(0,{body})\">\n{}</g>\n</svg>\n",
            legend_row(picture),
            self::heads(picture, &geometry),
            self::body(picture, &geometry, &clockwork, false)
        ),
    );
    svg
}

/// What the picture refers to by name: arrow tips and the hatching.
pub fn definitions() -> String {
    let mut definitions = String::from(
        "<defs>\n<pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect class=\"paper\" width=\"5\" height=\"5\"/>\
         <line class=\"hatched\" y2=\"5\"/></pattern>\n",
    );
    for ballot in (0..COLOURS).map(Some).chain([None]) {
        let class = colour(ballot);
        put(
            &mut definitions,
            format_args!(
                "<marker id=\"tip-{class}\" class=\"{class}\" viewBox=\"0 0 8 6\" refX=\"7.5\" refY=\"3\" \
                 markerWidth=\"8\" markerHeight=\"6\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
                 <path class=\"tip\" d=\"M0 0L8 3L0 6L2 3Z\"/></marker>\n"
            ),
        );
    }
    definitions.push_str("</defs>\n");
    definitions
}

/// The ballots and their colours, and what else needs a word, in one row.
fn legend_row(picture: &Picture) -> String {
    let mut row = String::new();
    let mut x = 0.0;
    let mut item = |drawing: String, words: &str, row: &mut String| {
        put(
            row,
            format_args!(
                "<g transform=\"translate({x:.0},0)\">{drawing}<text class=\"small\" x=\"30\" y=\"4\">{}</text></g>",
                escape(words)
            ),
        );
        x += 46.0 + 6.2 * words.chars().count() as f64;
    };
    for (ballot, name) in picture.ballots.iter().enumerate().take(12) {
        let class = colour(Some(ballot));
        let drawing = format!("<line class=\"leads {class}\" x2=\"22\"/>");
        item(drawing, &format!("ballot {name}"), &mut row);
    }
    if picture.ballots.len() > 12 {
        let words = format!("and {} more", picture.ballots.len() - 12);
        item(String::new(), &words, &mut row);
    }
    let arrow = "<line class=\"arrow none\" x2=\"22\" marker-end=\"url(#tip-none)\"/>";
    item(arrow.into(), "no ballot", &mut row);
    let lost = format!(
        "<line class=\"arrow none\" x2=\"14\"/>{}",
        cross(14.0, 0.0, "")
    );
    item(lost, "lost", &mut row);
    let again = arrow.replace("arrow", "arrow again");
    item(again, "second copy", &mut row);
    row
}

/// The names of the lanes.
pub fn heads(picture: &Picture, geometry: &Geometry) -> String {
    let mut heads = format!(
        "<rect class=\"band\" width=\"{:.0}\" height=\"{HEADS}\"/>\n",
        geometry.width.max(760.0)
    );
    let mut first = 0;
    for (lane, x) in geometry.lanes.iter().enumerate() {
        let role = picture.lanes[lane].role;
        if picture
            .lanes
            .get(lane + 1)
            .is_none_or(|next| next.role != role)
        {
            let middle = (geometry.lanes[first] + x) / 2.0;
            let word = if first == lane {
                role.name()
            } else {
                role.plural()
            };
            put(
                &mut heads,
                format_args!("<text class=\"role\" x=\"{middle:.1}\" y=\"14\">{word}</text>\n"),
            );
            first = lane + 1;
        }
        put(
            &mut heads,
            format_args!(
                "<text class=\"name\" x=\"{x:.1}\" y=\"32\">{}</text>\n",
                escape(&picture.lanes[lane].name)
            ),
        );
    }
    heads
}

/// All that depends on time. The `whole` has what is not shown at first, too.
pub fn body(picture: &Picture, geometry: &Geometry, clockwork: &Clockwork, whole: bool) -> String {
    let mut body = format!("<g transform=\"translate(0,{TOP})\">\n");
    axis(&mut body, geometry, clockwork);
    body.push_str("<g class=\"stretches\">\n");
    for kind in 0..4 {
        for stretch in &picture.stretches {
            let (class, level) = match stretch.state {
                State::Alive => ("alive".to_string(), 0),
                State::Promised(ballot) => (format!("promised {}", colour(Some(ballot))), 1),
                State::Leads(ballot) => (format!("leads {}", colour(Some(ballot))), 2),
                State::Paused => ("paused".to_string(), 3),
            };
            if level != kind {
                continue;
            }
            let story = match stretch.state {
                State::Alive => String::new(),
                State::Promised(ballot) => {
                    format!(
                        "<title>promised {}</title>",
                        escape(&picture.ballots[ballot])
                    )
                }
                State::Leads(ballot) => {
                    format!("<title>leads {}</title>", escape(&picture.ballots[ballot]))
                }
                State::Paused => "<title>stopped</title>".into(),
            };
            let x = geometry.lanes[stretch.lane];
            let (t, u) = (stretch.from, stretch.until);
            let (low, high) = (clockwork.height(t), clockwork.height(u));
            let moments = moments(t, u);
            let line = match stretch.state {
                State::Paused => format_args!(
                    "<rect class=\"{class}\" x=\"{:.1}\" y=\"{low:.1}\" width=\"12\" height=\"{:.1}\"{moments}>{story}</rect>\n",
                    x - 6.0,
                    high - low
                )
                .to_string(),
                _ => format!(
                    "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\"{moments}>{story}</line>\n"
                ),
            };
            body.push_str(&line);
        }
    }
    body.push_str("</g>\n<g class=\"fans\">\n");
    let mut labels = vec![[f64::NEG_INFINITY; 2]; geometry.lanes.len()];
    for fan in &picture.fans {
        if whole || picture.shows(fan.kind) {
            write_fan(&mut body, fan, picture, geometry, clockwork, &mut labels);
        }
    }
    body.push_str("</g>\n<g class=\"marks\">\n");
    for mark in gathered(&picture.marks) {
        write_mark(&mut body, &mark, geometry, clockwork);
    }
    body.push_str("</g>\n<g class=\"remarks\">\n");
    remarks(&mut body, picture, geometry, clockwork);
    body.push_str("</g>\n</g>\n");
    body
}

/// Times at the left, and the silences that were cut short.
fn axis(body: &mut String, geometry: &Geometry, clockwork: &Clockwork) {
    let right = geometry.margin - 12.0;
    body.push_str("<g class=\"axis\">\n");
    for (at, y) in clockwork.ticks(58.0) {
        put(
            body,
            format_args!(
                "<line x1=\"{AXIS}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{at}</text>\n",
                AXIS - 6.0,
                y + 3.5
            ),
        );
    }
    body.push_str("</g>\n<g class=\"break\">\n");
    for cut in clockwork.breaks() {
        let y = cut.middle;
        put(
            body,
            format_args!(
                "<line x1=\"{AXIS}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">… {}</text>\n",
                AXIS - 6.0,
                y + 3.5,
                rounded(cut.length)
            ),
        );
    }
    body.push_str("</g>\n");
}

/// A silence, as exactly as anybody wants to know it.
fn rounded(length: std::time::Duration) -> String {
    let microseconds = length.as_micros() as f64;
    match microseconds {
        few if few < 1e3 => format!("{few:.0} µs"),
        more if more < 1e5 => format!("{:.1} ms", more / 1e3),
        many if many < 1e6 => format!("{:.0} ms", many / 1e3),
        long => format!("{:.1} s", long / 1e6),
    }
}

/// The moments that an element hangs on.
pub fn moments(t: Time, u: Time) -> String {
    format!(" data-t=\"{}\" data-u=\"{}\"", t.0, u.0)
}

/// Appends, which cannot fail.
pub fn put(text: &mut String, words: std::fmt::Arguments<'_>) {
    std::fmt::Write::write_fmt(text, words).expect("writing to memory cannot fail");
}
