//! Datagrams as SVG: a fan of arrows for each.

use super::clockwork::Clockwork;
use super::draw::{colour, moments, put};
use super::escape;
use super::geometry::Geometry;
use super::picture::{Arrow, End, Fan, Picture};

/// A cross, where a message broke off.
pub fn cross(x: f64, y: f64, attributes: &str) -> String {
    format!(
        "<path class=\"cross\" d=\"M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5\" \
         transform=\"translate({x:.1},{y:.1})\"{attributes}/>"
    )
}

/// Writes a datagram. `labels` holds, per lane and side, how far down labels stand.
pub fn write_fan(
    body: &mut String,
    fan: &Fan,
    picture: &Picture,
    geometry: &Geometry,
    clockwork: &Clockwork,
    labels: &mut [[f64; 2]],
) {
    let class = colour(fan.ballot);
    let shown = picture.shows(fan.kind);
    let hidden = if shown { "" } else { " hidden" };
    put(
        body,
        format_args!(
            "<g class=\"fan {class}{hidden}\" data-kind=\"{}\"><title>{}</title>",
            fan.kind,
            escape(&fan.story)
        ),
    );
    let x = geometry.lanes[fan.lane];
    let y = clockwork.height(fan.at);
    for arrow in &fan.arrows {
        write_arrow(body, fan, arrow, &class, picture, geometry, clockwork);
    }
    if fan.arrows.is_empty() {
        let at = format!(" data-t=\"{}\" data-x=\"{:.1}\"", fan.at.0, x + 10.0);
        body.push_str(&cross(x + 10.0, y, &at));
    }
    let rightwards = fan.arrows.iter().filter(|arrow| arrow.lane > fan.lane);
    let right = 2 * rightwards.count() >= fan.arrows.len();
    let (at, anchor) = if right {
        (x + 8.0, "start")
    } else {
        (x - 8.0, "end")
    };
    let last = &mut labels[fan.lane][usize::from(right)];
    let room = shown && y - *last >= 10.0;
    if room {
        *last = y;
    }
    put(
        body,
        format_args!(
            "<text class=\"label{}\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" data-t=\"{}\" data-side=\"{}\">{}</text></g>\n",
            if room { "" } else { " hidden" },
            y - 3.0,
            fan.at.0,
            2 * fan.lane + usize::from(right),
            escape(&fan.label)
        ),
    );
}

/// Writes the arrow of one copy.
fn write_arrow(
    body: &mut String,
    fan: &Fan,
    arrow: &Arrow,
    class: &str,
    picture: &Picture,
    geometry: &Geometry,
    clockwork: &Clockwork,
) {
    let (from, to) = (geometry.lanes[fan.lane], geometry.lanes[arrow.lane]);
    let towards = if to > from { 1.0 } else { -1.0 };
    let half_way = matches!(arrow.end, End::Lost(_) | End::Underway);
    let tip = match half_way {
        true => half_way_point(from, to, &geometry.lanes),
        false => to - 2.5 * towards,
    };
    let until = arrow.until.min(picture.ends).max(fan.at);
    let (low, high) = (clockwork.height(fan.at), clockwork.height(until));
    let mut classes = String::from("arrow");
    if arrow.again {
        classes.push_str(" again");
    }
    if arrow.end == End::Underway {
        classes.push_str(" underway");
    }
    let marker = match half_way {
        true => String::new(),
        false => format!(" marker-end=\"url(#tip-{class})\""),
    };
    let heard = arrow
        .heard
        .map_or(String::new(), |heard| format!(" data-v=\"{}\"", heard.0));
    put(
        body,
        format_args!(
            "<line class=\"{classes}\" x1=\"{from:.1}\" y1=\"{low:.1}\" x2=\"{tip:.1}\" y2=\"{high:.1}\"{marker}{}{heard} \
             data-p=\"{}\"/>",
            moments(fan.at, until),
            arrow.number
        ),
    );
    let crossed = match arrow.end {
        End::Lost(_) => Some(tip),
        End::Overflowed | End::Missed | End::Unreadable => Some(to - 9.0 * towards),
        End::Underway | End::Arrived => None,
    };
    if let Some(x) = crossed {
        let at = format!(" data-t=\"{}\" data-x=\"{x:.1}\"", until.0);
        body.push_str(&cross(x, high, &at));
    }
    match arrow.heard {
        Some(heard) if heard.since(arrow.until) > picture.flight => {
            let x = to - 4.0 * towards;
            put(
                body,
                format_args!(
                    "<line class=\"wait\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{high:.1}\" y2=\"{:.1}\"{}/>",
                    clockwork.height(heard),
                    moments(until, heard)
                ),
            );
        }
        None if arrow.end == End::Arrived => {
            let x = to - 2.5 * towards;
            put(
                body,
                format_args!(
                    "<circle class=\"unread\" r=\"2.6\" transform=\"translate({x:.1},{high:.1})\" data-t=\"{}\" data-x=\"{x:.1}\"/>",
                    until.0
                ),
            );
        }
        _ => {}
    }
}

/// A point about half-way between two lanes and close to no other, for what
/// broke off there did not break off at that process.
fn half_way_point(from: f64, to: f64, lanes: &[f64]) -> f64 {
    let points = [0.5, 0.42, 0.58, 0.35].map(|part| from + part * (to - from));
    let clear = |x: &f64| lanes.iter().all(|lane| (lane - x).abs() > 14.0);
    points.into_iter().find(clear).unwrap_or(points[0])
}
