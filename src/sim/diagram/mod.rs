//! A run as a space-time diagram: one page that needs nothing but a browser.
//!
//! Processes stand side by side as lanes, clients on the left, learners on the
//! right, so that a value travels from left to right; time runs downwards.
//! Messages are arrows in the colour of their ballot, lost ones are broken off
//! half-way. `painter` finds out what is to be drawn, `clockwork` where in height
//! each moment stands, `draw` writes the picture, and `page` puts it into a page
//! in which one can point, filter, stretch, and follow causes.
//!
//! Virtual time has bursts of microseconds and silences of seconds. So height is
//! proportional to time only within a burst; a longer silence has the height of
//! a short one and is marked.
//!
//! ```no_run
//! use paxcast::protocol::{AcceptorSet, Membership, Settings, Time};
//! use paxcast::sim::{Cluster, ClusterOptions, diagram, history::Limits};
//!
//! let settings = Settings::new(Membership::majority(AcceptorSet::first(3)));
//! let mut cluster = Cluster::new(1, ClusterOptions::quiet(settings), false);
//! cluster.keep_history(Limits::default());
//! cluster.submit(1, Time::ZERO, "hello");
//! cluster.run(Time(1_000_000_000), |_| false)?;
//! let title = diagram::Title::new("a value's way");
//! let page = diagram::html(cluster.history().expect("it is kept"), &title);
//! std::fs::write("diagram.html", page).map_err(|error| error.to_string())?;
//! # Ok::<(), String>(())
//! ```

mod arrows;
mod clockwork;
mod draw;
mod geometry;
mod marks;
mod page;
mod painter;
mod picture;
mod wording;

use super::history::History;
use crate::protocol::Time;
use picture::Picture;

/// What stands above a diagram.
#[derive(Clone, Debug, Default)]
pub struct Title {
    /// The heading: a scenario's name, or a seed.
    pub heading: String,
    /// What else is to be said: the options of the run, how to replay it.
    pub lines: Vec<String>,
    /// Which promise was broken, and when.
    pub violation: Option<(Time, String)>,
}

impl Title {
    /// A heading and nothing else.
    pub fn new(heading: impl Into<String>) -> Title {
        Title {
            heading: heading.into(),
            ..Title::default()
        }
    }

    /// Adds a line below the heading.
    pub fn line(mut self, line: impl Into<String>) -> Title {
        self.lines.push(line.into());
        self
    }

    /// Marks where a promise was broken.
    pub fn violated(mut self, at: Time, what: impl Into<String>) -> Title {
        self.violation = Some((at, what.into()));
        self
    }
}

/// The page of a run. The same history and title give the same bytes.
pub fn html(history: &History, title: &Title) -> String {
    page::write(&Picture::new(history, title), title)
}

/// The picture alone, with its legend, to be put into a document.
pub fn svg(history: &History, title: &Title) -> String {
    draw::standalone(&Picture::new(history, title), title)
}

/// Writes text so that it means itself in HTML and SVG, also in an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            // No page may hold these.
            control if control.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_has_a_meaning_is_escaped() {
        assert_eq!(
            escape("<a href=\"x\">'&'</a>\u{1}"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;\u{fffd}"
        );
    }
}
