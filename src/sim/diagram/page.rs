//! The picture in a page: heading, filters, legend, and what moves it.
//!
//! The page fetches nothing and says so to the browser. Without its script it is
//! the still picture, with titles to point at.

use super::clockwork::Clockwork;
use super::draw::{self, STYLE, colour, put};
use super::geometry::{AXIS, BOTTOM, Geometry, HEADS, LINE, TOP};
use super::picture::Picture;
use super::{Title, escape};

const PAGE_STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// With more datagrams than this in sight, labels would hide the arrows.
const MOST_LABELS: usize = 250;

/// The page.
pub fn write(picture: &Picture, title: &Title) -> String {
    let geometry = Geometry::new(picture);
    let clockwork = picture.clockwork();
    let heading = escape(&title.heading);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{heading}</title>\n<style>\n{STYLE}{PAGE_STYLE}</style>\n</head>\n\
         <body class=\"spacetime\">\n<header>\n<h1>{heading}</h1>\n"
    );
    for line in &title.lines {
        put(&mut page, format_args!("<p>{}</p>\n", escape(line)));
    }
    if let Some(shortfall) = &picture.shortfall {
        put(&mut page, format_args!("<p>{}</p>\n", escape(shortfall)));
    }
    if let Some((at, words)) = &title.violation {
        put(
            &mut page,
            format_args!(
                "<p class=\"bad\">broken at {at}: {} <button id=\"violation\">show</button></p>\n",
                escape(words)
            ),
        );
    }
    filters(&mut page, picture);
    legend(&mut page, picture);
    let height = TOP + clockwork.total() + BOTTOM;
    let width = geometry.width;
    put(
        &mut page,
        format_args!(
            "</header>\n<main id=\"view\">\n\
             <svg id=\"heads\" width=\"{width:.0}\" height=\"{heads}\">\n{definitions}{names}</svg>\n\
             <svg id=\"picture\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">\n{body}</svg>\n\
             </main>\n<div id=\"tip\" hidden></div>\n<script>\nconst DATA = {data};\n{SCRIPT}</script>\n</body>\n</html>\n",
            heads = HEADS,
            definitions = draw::definitions(),
            names = draw::heads(picture, &geometry),
            body = draw::body(picture, &geometry, &clockwork, true),
            data = data(picture, &geometry),
        ),
    );
    page
}

/// Which kinds of messages to show, how large, and with what beside them.
fn filters(page: &mut String, picture: &Picture) {
    page.push_str("<div class=\"row\"><b>MESSAGES</b>");
    for (kind, (copies, shown)) in &picture.kinds {
        let (class, checked) = match shown {
            true => ("", " checked"),
            false => (" class=\"off\"", ""),
        };
        put(
            page,
            format_args!(
                "<label{class}><input type=\"checkbox\" data-shows=\"{kind}\"{checked}>{kind} \
                 <span class=\"count\">{copies}</span></label>"
            ),
        );
    }
    let shown = picture.fans.iter().filter(|fan| picture.shows(fan.kind));
    let labels = match shown.count() > MOST_LABELS {
        true => "",
        false => " checked",
    };
    put(
        page,
        format_args!(
            "<button id=\"every\">all or none</button></div>\n<div class=\"row\"><b>VIEW</b>\
             <label><input type=\"checkbox\" id=\"labels\"{labels}>labels</label>\
             <label><input type=\"checkbox\" id=\"disk\" checked>writes and syncs</label>\
             <span>time <button data-zoom=\"0.8\" title=\"key -\">−</button> \
             <button data-zoom=\"0\" title=\"key 0\">1:1</button> \
             <button data-zoom=\"1.25\" title=\"key +\">+</button></span>\
             <span class=\"count\">drag to pan · n and p: next and previous remark · click an arrow: its causes and effects</span>\
             <span id=\"said\"></span></div>\n"
        ),
    );
}

/// What the colours and shapes mean.
fn legend(page: &mut String, picture: &Picture) {
    page.push_str("<div class=\"row\"><b>BALLOTS</b>");
    for (ballot, name) in picture.ballots.iter().enumerate() {
        put(
            page,
            format_args!(
                "<span><svg width=\"20\" height=\"16\"><line class=\"leads {}\" x2=\"20\" y1=\"8\" y2=\"8\"/></svg> {}</span>",
                colour(Some(ballot)),
                escape(name)
            ),
        );
    }
    page.push_str(
        "<span><svg width=\"20\" height=\"16\"><line class=\"arrow none\" x2=\"20\" y1=\"8\" y2=\"8\"/></svg> of no ballot</span>\
         </div>\n<div class=\"row\"><b>SIGNS</b>",
    );
    let signs: [(&str, &str); 9] = [
        (
            "<line class=\"leads b0\" x1=\"10\" x2=\"10\" y2=\"16\"/>",
            "leads",
        ),
        (
            "<line class=\"promised b0\" x1=\"10\" x2=\"10\" y2=\"16\"/>",
            "promised",
        ),
        (
            "<rect class=\"paused\" x=\"4\" width=\"12\" height=\"16\"/>",
            "stopped",
        ),
        (
            "<g class=\"mark died\"><path d=\"M2 4H18\"/></g><g class=\"mark started\"><path d=\"M3 14H17\"/></g>",
            "died, started",
        ),
        (
            "<line class=\"arrow none\" x2=\"12\" y1=\"8\" y2=\"8\"/><path class=\"cross\" d=\"M9 4L16 11M9 11L16 4\"/>",
            "lost",
        ),
        (
            "<line class=\"arrow again none\" x2=\"20\" y1=\"8\" y2=\"8\"/>",
            "second copy",
        ),
        (
            "<g class=\"mark submitted\"><path d=\"M6 4L14 8L6 12Z\"/></g>",
            "submitted",
        ),
        (
            "<g class=\"mark delivered\"><path d=\"M10 3.5L14.5 8L10 12.5L5.5 8Z\"/></g>",
            "delivered",
        ),
        (
            "<g class=\"mark wrote\"><path d=\"M2 5.5H7V10.5H2Z\"/></g><g class=\"mark synced\"><path d=\"M11 8H18\"/></g>",
            "written, synced",
        ),
    ];
    for (drawing, words) in signs {
        put(
            page,
            format_args!("<span><svg width=\"20\" height=\"16\">{drawing}</svg> {words}</span>"),
        );
    }
    page.push_str("</div>\n");
}

/// What the script must know: the rule of heights, and who hangs on whom.
fn data(picture: &Picture, geometry: &Geometry) -> String {
    let arrows: Vec<String> = picture
        .fans
        .iter()
        .flat_map(|fan| fan.arrows.iter().map(move |arrow| (fan, arrow)))
        .map(|(fan, arrow)| {
            let heard = arrow.order.1.map_or(-1, |order| order as i64);
            format!("[{},{},{},{heard}]", fan.lane, arrow.lane, arrow.order.0)
        })
        .collect();
    format!(
        "{{scale:{{flight:{},flight_height:{},gap:{},break:{},least:{},top:{},bottom:{},heads:{},line:{},axis:{},right:{:.1},width:{:.0}}},\narrows:[{}]}}",
        picture.flight.as_nanos().max(1),
        Clockwork::FLIGHT,
        Clockwork::GAP,
        Clockwork::BREAK,
        Clockwork::LEAST,
        TOP,
        BOTTOM,
        HEADS,
        LINE,
        AXIS,
        geometry.margin - 12.0,
        geometry.width,
        arrows.join(",")
    )
}
