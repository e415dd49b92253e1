//! Charts as SVG: lines over two scales, and bars in groups.
//!
//! Everything is drawn in units of the scales; colours are classes that the
//! page's style gives for light and for dark.

use std::fmt::Write;

use super::ratio::Spread;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 50.0;

/// How numbers become places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// Each decade as wide as the next.
    Log,
    /// Parts of a whole, each nine as wide as the next: 0, 0.9, 0.99.
    Nines,
}

/// How a tick is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// A number with k or M.
    Count,
    /// Microseconds, as µs, ms or s.
    Time,
    /// Bytes, with KiB; the ticks of an axis are those that there are.
    Bytes,
    /// A number with k or M; the ticks of an axis are those that there are.
    Steps,
    /// A part of a whole, in percent.
    Percent,
}

/// One axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: &'static str,
    /// How it is divided.
    pub scale: Scale,
    /// How its ticks are written.
    pub unit: Unit,
}

/// A line, or a bar of each group.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// The style's class for its colour.
    pub colour: &'static str,
    /// Whether it is dashed.
    pub dashed: bool,
    /// Whether each point has a mark.
    pub marked: bool,
    /// Where it goes.
    pub points: Vec<(f64, f64)>,
}

/// Lines over two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// From left to right.
    pub x: Axis,
    /// From the bottom to the top.
    pub y: Axis,
    /// In the order of the legend.
    pub series: Vec<Series>,
    /// Places on the x axis, with words.
    pub marks: Vec<(f64, String)>,
}

/// Bars in groups, from zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What the height shows, with the unit.
    pub label: &'static str,
    /// Below each group.
    pub groups: Vec<String>,
    /// Name, colour, and a bar for each group where there is one.
    pub series: Vec<(String, &'static str, Vec<Option<Spread>>)>,
}

/// A stretch of an axis, from one number to another.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Stretch {
    /// One that holds all of these numbers, to the next good ticks.
    fn around(scale: Scale, numbers: impl Iterator<Item = f64>) -> Stretch {
        let numbers = numbers.filter(|number| number.is_finite());
        let (mut from, mut to) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), n| {
            (a.min(n), b.max(n))
        });
        if from > to {
            (from, to) = (0.0, 1.0);
        }
        match scale {
            Scale::Linear => {
                let step = step(to - from.min(0.0));
                from = (from.min(0.0) / step).floor() * step;
                to = ((to / step).ceil() * step).max(from + step);
            }
            Scale::Log => {
                from = round_down(from.max(1e-3));
                to = round_up(to.max(from * 2.0));
            }
            Scale::Nines => (from, to) = (0.0, to.clamp(0.9, 1.0 - 1e-9)),
        }
        Stretch { scale, from, to }
    }

    /// Where a number lies, from 0 to 1.
    fn place(self, number: f64) -> f64 {
        let place = |f: fn(f64) -> f64| (f(number) - f(self.from)) / (f(self.to) - f(self.from));
        match self.scale {
            Scale::Linear => place(|number| number),
            Scale::Log => place(|number| number.max(1e-9).ln()),
            Scale::Nines => place(|number| -(1.0 - number).ln()),
        }
    }

    fn ticks(self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.to - self.from);
                let count = ((self.to - self.from) / step).round() as i32;
                (0..=count)
                    .map(|n| self.from + f64::from(n) * step)
                    .collect()
            }
            Scale::Log => {
                let decades = (self.to / self.from).log10();
                let within: &[f64] = match decades {
                    few if few <= 2.5 => &[1.0, 2.0, 5.0],
                    _ => &[1.0],
                };
                let first = self.from.log10().floor() as i32;
                let last = self.to.log10().ceil() as i32;
                (first..=last)
                    .flat_map(|decade| within.iter().map(move |n| n * 10f64.powi(decade)))
                    .filter(|n| (self.from * 0.999..=self.to * 1.001).contains(n))
                    .collect()
            }
            Scale::Nines => [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999]
                .into_iter()
                .filter(|part| *part <= self.to)
                .collect(),
        }
    }
}

/// 1, 2 or 5 of some decade, for about five ticks.
fn step(range: f64) -> f64 {
    let rough = (range / 5.0).max(1e-9);
    let decade = 10f64.powf(rough.log10().floor());
    let within = [1.0, 2.0, 5.0, 10.0];
    let fits = within.into_iter().find(|n| n * decade >= rough * 0.999);
    fits.unwrap_or(10.0) * decade
}

fn round_down(number: f64) -> f64 {
    let decade = 10f64.powf(number.log10().floor());
    let within = [5.0, 2.0, 1.0];
    let fits = within.into_iter().find(|n| n * decade <= number * 1.001);
    fits.unwrap_or(1.0) * decade
}

fn round_up(number: f64) -> f64 {
    let decade = 10f64.powf(number.log10().floor());
    let within = [1.0, 2.0, 5.0, 10.0];
    let fits = within.into_iter().find(|n| n * decade >= number * 0.999);
    fits.unwrap_or(10.0) * decade
}

impl Unit {
    /// A number as a tick or a title tells it.
    pub fn write(self, number: f64) -> String {
        let scaled = |by: f64, unit: &str| {
            let text = format!("{:.2}", number / by);
            let text = text.trim_end_matches('0').trim_end_matches('.');
            format!("{text}{unit}")
        };
        match self {
            Unit::Count | Unit::Steps if number.abs() >= 1e6 => scaled(1e6, "M"),
            Unit::Count | Unit::Steps if number.abs() >= 1e3 => scaled(1e3, "k"),
            Unit::Count | Unit::Steps => scaled(1.0, ""),
            Unit::Time if number.abs() >= 1e6 => scaled(1e6, " s"),
            Unit::Time if number.abs() >= 1e3 => scaled(1e3, " ms"),
            Unit::Time => scaled(1.0, " µs"),
            Unit::Bytes if number >= 1024.0 => scaled(1024.0, " KiB"),
            Unit::Bytes => scaled(1.0, " B"),
            Unit::Percent => {
                let text = format!("{:.4}", number * 100.0);
                let text = text.trim_end_matches('0').trim_end_matches('.');
                format!("{text} %")
            }
        }
    }
}

/// Writing to memory cannot fail.
fn put(svg: &mut String, arguments: std::fmt::Arguments<'_>) {
    svg.write_fmt(arguments).expect("memory takes all");
}

fn across(place: f64) -> f64 {
    LEFT + place * (WIDTH - LEFT - RIGHT)
}

fn up(place: f64) -> f64 {
    HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
}

fn begin(words: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{words}\">\n")
}

/// The y axis: a line across for each tick, and the label upright beside it.
fn y_axis(svg: &mut String, stretch: Stretch, label: &str, unit: Unit) {
    for tick in stretch.ticks() {
        let y = up(stretch.place(tick));
        put(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                unit.write(tick)
            ),
        );
    }
    put(
        svg,
        format_args!(
            "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(14 {:.1}) rotate(-90)\">{label}</text>\n",
            up(0.5)
        ),
    );
}

fn x_label(svg: &mut String, label: &str) {
    put(
        svg,
        format_args!(
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"label\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>\n",
            WIDTH - RIGHT,
            across(0.5),
            HEIGHT - 8.0,
            y = up(0.0),
        ),
    );
}

impl Lines {
    /// Whether there is anything to see.
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.len() < 2)
    }

    /// The picture; `words` say what it shows to who cannot see it.
    pub fn draw(&self, words: &str) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = match self.x.unit {
            // They come in steps of their own, which the ticks are then, too.
            Unit::Bytes | Unit::Steps => Stretch {
                scale: Scale::Log,
                from: points().map(|point| point.0).fold(f64::INFINITY, f64::min),
                to: points().map(|point| point.0).fold(1.0, f64::max),
            },
            // Time goes on for as long as it was watched.
            _ if self.x.scale == Scale::Linear => Stretch {
                scale: Scale::Linear,
                from: points().map(|point| point.0).fold(0.0, f64::min),
                to: points().map(|point| point.0).fold(1.0, f64::max),
            },
            _ => Stretch::around(self.x.scale, points().map(|point| point.0)),
        };
        let y = Stretch::around(self.y.scale, points().map(|point| point.1));
        let mut svg = begin(words);
        y_axis(&mut svg, y, self.y.label, self.y.unit);
        for tick in self.x_ticks(x) {
            let at = across(x.place(tick));
            put(
                &mut svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
                     <text class=\"tick\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>\n",
                    up(0.0),
                    up(0.0) + 18.0,
                    self.x.unit.write(tick)
                ),
            );
        }
        x_label(&mut svg, self.x.label);
        for (place, words) in &self.marks {
            let at = across(x.place(*place));
            put(
                &mut svg,
                format_args!(
                    "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
                     <text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\">{words}</text>\n",
                    up(0.0),
                    at + 6.0,
                    TOP + 12.0
                ),
            );
        }
        for series in &self.series {
            self.draw_series(&mut svg, series, x, y);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_series(&self, svg: &mut String, series: &Series, x: Stretch, y: Stretch) {
        let place = |point: &(f64, f64)| (across(x.place(point.0)), up(y.place(point.1)));
        let path: Vec<String> = series
            .points
            .iter()
            .map(|point| {
                let (x, y) = place(point);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let dashed = if series.dashed { " dashed" } else { "" };
        put(
            svg,
            format_args!(
                "<g class=\"{}{dashed}\"><polyline points=\"{}\"><title>{}</title></polyline>\n",
                series.colour,
                path.join(" "),
                series.name
            ),
        );
        if series.marked {
            for point in &series.points {
                let (at, height) = place(point);
                put(
                    svg,
                    format_args!(
                        "<circle cx=\"{at:.1}\" cy=\"{height:.1}\" r=\"3.5\"><title>{}, {}: {}</title></circle>\n",
                        series.name,
                        self.x.unit.write(point.0),
                        self.y.unit.write(point.1)
                    ),
                );
            }
        }
        svg.push_str("</g>\n");
    }

    fn x_ticks(&self, x: Stretch) -> Vec<f64> {
        match self.x.unit {
            Unit::Bytes | Unit::Steps => {
                let mut sizes: Vec<f64> = self
                    .series
                    .iter()
                    .flat_map(|series| series.points.iter().map(|point| point.0))
                    .collect();
                sizes.sort_by(f64::total_cmp);
                sizes.dedup();
                sizes
            }
            _ if x.scale == Scale::Linear => {
                let step = step(x.to - x.from);
                let first = (x.from / step).ceil() as i32;
                let last = (x.to / step).floor() as i32;
                (first..=last).map(|n| f64::from(n) * step).collect()
            }
            _ => x.ticks(),
        }
    }
}

impl Bars {
    /// Whether there is anything to see.
    pub fn is_empty(&self) -> bool {
        self.series
            .iter()
            .all(|(.., bars)| bars.iter().all(Option::is_none))
    }

    /// The picture; `words` say what it shows to who cannot see it.
    pub fn draw(&self, words: &str) -> String {
        let all = self
            .series
            .iter()
            .flat_map(|(.., bars)| bars.iter().flatten());
        let y = Stretch::around(Scale::Linear, all.map(|spread| spread.most));
        let mut svg = begin(words);
        y_axis(&mut svg, y, self.label, Unit::Count);
        let group = 1.0 / self.groups.len() as f64;
        let bar = group * 0.8 / self.series.len() as f64;
        for (number, name) in self.groups.iter().enumerate() {
            let begin = number as f64 * group;
            put(
                &mut svg,
                format_args!(
                    "<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>\n",
                    across(begin + group / 2.0),
                    up(0.0) + 18.0
                ),
            );
            for (place, (series, colour, bars)) in self.series.iter().enumerate() {
                let Some(spread) = bars[number] else { continue };
                let left = across(begin + group * 0.1 + place as f64 * bar);
                let right = across(begin + group * 0.1 + (place as f64 + 0.9) * bar);
                let top = up(y.place(spread.median));
                let (middle, bottom) = ((left + right) / 2.0, up(0.0));
                put(
                    &mut svg,
                    format_args!(
                        "<g class=\"{colour}\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\">\
                         <title>{series}, {name}: {} [{}–{}]</title></rect>\
                         <line class=\"whisker\" x1=\"{middle:.1}\" x2=\"{middle:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/></g>\n",
                        right - left,
                        bottom - top,
                        Unit::Count.write(spread.median),
                        Unit::Count.write(spread.least),
                        Unit::Count.write(spread.most),
                        up(y.place(spread.least)),
                        up(y.place(spread.most)),
                    ),
                );
            }
        }
        x_label(&mut svg, "size of a value");
        svg.push_str("</svg>\n");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_good_ticks_and_hold_everything() {
        let stretch = Stretch::around(Scale::Linear, [3.0, 187.0].into_iter());
        assert_eq!((stretch.from, stretch.to), (0.0, 200.0));
        assert_eq!(stretch.ticks(), [0.0, 50.0, 100.0, 150.0, 200.0]);
        let stretch = Stretch::around(Scale::Log, [130.0, 21_000.0].into_iter());
        assert_eq!((stretch.from, stretch.to), (100.0, 50_000.0));
        assert_eq!(stretch.ticks(), [100.0, 1_000.0, 10_000.0]);
        let stretch = Stretch::around(Scale::Log, [130.0, 900.0].into_iter());
        assert_eq!(stretch.ticks(), [100.0, 200.0, 500.0, 1_000.0]);
        let stretch = Stretch::around(Scale::Nines, [0.5, 0.9993].into_iter());
        assert_eq!(stretch.ticks(), [0.0, 0.5, 0.9, 0.99, 0.999]);
        assert!((stretch.place(0.9993) - 1.0).abs() < 1e-9);
        // Each nine is as wide as the one before.
        let wide = stretch.place(0.99) - stretch.place(0.9);
        assert!((stretch.place(0.9) - wide).abs() < 1e-9);
        Stretch::around(Scale::Log, std::iter::empty()).ticks();
    }

    #[test]
    fn ticks_are_short() {
        for (unit, number, text) in [
            (Unit::Count, 2_500_000.0, "2.5M"),
            (Unit::Count, 1_000.0, "1k"),
            (Unit::Count, 0.5, "0.5"),
            (Unit::Time, 150.0, "150 µs"),
            (Unit::Time, 20_000.0, "20 ms"),
            (Unit::Bytes, 64.0, "64 B"),
            (Unit::Bytes, 65_536.0, "64 KiB"),
            (Unit::Percent, 0.999, "99.9 %"),
            (Unit::Percent, 0.0, "0 %"),
        ] {
            assert_eq!(unit.write(number), text);
        }
    }
}
