//! The window in which a history fails, drawn for people.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use super::{Operation, Window};

/// Columns from one event to the next.
const STEP: usize = 3;

/// Rows of a picture; there may be many operations without a return.
const MOST: usize = 32;

/// Draws the operations of a window, one a row: when they were called and
/// returned, left to right, what was asked and what was told. The one that
/// cannot be explained is marked.
pub fn draw<S: Display, C: Display, R: Display>(
    history: &[Operation<C, R>],
    window: &Window<S>,
) -> String {
    let mut rows: Vec<usize> = window.before.clone();
    rows.extend(&window.under_way);
    rows.sort_by_key(|index| history[*index].called);
    // The latest matter most.
    let hidden = rows.len().saturating_sub(MOST);
    rows.drain(..hidden);
    if !rows.contains(&window.culprit) {
        rows.push(window.culprit);
    }
    let end = |index: usize| history[index].returned.as_ref().map(|(at, _)| *at);
    let last = end(window.culprit).unwrap_or(u64::MAX);
    // Only the order of the moments is drawn: their distances would hide it.
    let moments: BTreeSet<u64> = rows
        .iter()
        .flat_map(|index| [Some(history[*index].called), end(*index)])
        .flatten()
        .filter(|moment| *moment <= last)
        .collect();
    let column = |moment: u64| STEP * moments.range(..moment).count();
    let width = STEP * moments.len() + 1;
    let client = |index: usize| format!("client {}", history[index].client);
    let margin = rows.iter().map(|index| client(*index).len()).max();
    let margin = margin.unwrap_or(0);

    let mut text = String::new();
    let states: BTreeSet<String> = window
        .states
        .iter()
        .map(|state| state.to_string())
        .collect();
    let states: Vec<String> = states.into_iter().collect();
    writeln!(
        text,
        "before the marked return it held {}",
        states.join(" or ")
    )
    .expect("text");
    if hidden > 0 {
        writeln!(text, "({hidden} earlier operations are not drawn)").expect("text");
    }
    for index in rows {
        let operation = &history[index];
        let from = column(operation.called);
        let within = end(index).filter(|end| *end <= last);
        let to = within.map_or(width, column).max(from + 1);
        let mut bar = " ".repeat(from);
        bar.push('├');
        bar.push_str(&"─".repeat(to - from - 1));
        bar.push(if within.is_some() { '┤' } else { '…' });
        let told = match &operation.returned {
            Some((_, told)) => format!("told {told}"),
            None => "the outcome is not known".to_owned(),
        };
        let mark = if index == window.culprit {
            "  ◀ no order explains this"
        } else {
            ""
        };
        let pad = " ".repeat((width + 1).saturating_sub(bar.chars().count()));
        let (client, call) = (client(index), &operation.call);
        writeln!(text, "{client:margin$}  {bar}{pad}  {call}: {told}{mark}").expect("text");
    }
    text
}
