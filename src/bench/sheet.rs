//! The sheet that reports are written on: a page that fetches nothing, says so to
//! the browser, and needs no script.

use super::chart::Lines;
use super::machine::Machine;

const STYLE: &str = include_str!("sheet.css");

/// A page up to its header, which is open: its title, and a paragraph below it.
pub fn begin(title: &str, words: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n<p class=\"quiet\">{}</p>\n",
        escape(words),
        title = escape(title),
    )
}

/// The end of a page whose main part is open.
pub fn end(page: &mut String, footer: &str) {
    *page += &format!(
        "</main>\n<footer>{}</footer>\n</body>\n</html>\n",
        escape(footer)
    );
}

/// How often.
pub fn times(rounds: usize) -> String {
    match rounds {
        1 => "once".to_owned(),
        rounds => format!("{rounds} times"),
    }
}

/// Text that stands for itself on a page.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A picture with its title, its caption and its legend: names with their colours,
/// and whether they are dashed.
pub fn figure(title: &str, caption: &str, legend: &[(String, &str, bool)], svg: &str) -> String {
    let legend: String = legend
        .iter()
        .map(|(name, colour, dashed)| {
            let dashed = if *dashed { " dashed" } else { "" };
            format!(
                "<span class=\"{colour}\"><svg viewBox=\"0 0 24 10\" class=\"{colour}{dashed}\">\
                 <line x1=\"0\" x2=\"24\" y1=\"5\" y2=\"5\"/></svg>{}</span>",
                escape(name)
            )
        })
        .collect();
    format!(
        "<figure><h3>{}</h3><figcaption>{}</figcaption><div class=\"legend\">{legend}</div>\n{svg}</figure>\n",
        escape(title),
        escape(caption)
    )
}

/// A chart of lines as a figure; none where there is nothing to see.
pub fn lines(title: &str, caption: &str, chart: &Lines) -> Option<String> {
    if chart.is_empty() {
        return None;
    }
    let legend: Vec<(String, &str, bool)> = chart
        .series
        .iter()
        .map(|series| (series.name.clone(), series.colour, series.dashed))
        .collect();
    Some(figure(title, caption, &legend, &chart.draw(&escape(title))))
}

/// The machine that was measured on, in a list.
pub fn machine(page: &mut String, machine: &Machine) {
    page.push_str("<h2>The machine</h2>\n<dl>\n");
    for (name, value) in [
        ("processor", machine.processor.clone()),
        ("cores", machine.cores.to_string()),
        ("memory", format!("{} GiB", machine.gibibytes)),
        ("kernel", machine.kernel.clone()),
        ("logs on", machine.file_system.clone()),
        ("net.core.rmem_max", machine.rmem_max.clone()),
    ] {
        *page += &format!("<dt>{name}</dt><dd>{}</dd>\n", escape(&value));
    }
    page.push_str("</dl>\n");
}
