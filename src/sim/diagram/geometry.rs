//! Where things stand from left to right, and how much room they take.

use super::picture::Picture;

/// Room above the first moment.
pub const TOP: f64 = 26.0;

/// Room below the last.
pub const BOTTOM: f64 = 30.0;

/// Height of the row with the names of the lanes.
pub const HEADS: f64 = 40.0;

/// Where the axis ends.
pub const AXIS: f64 = 92.0;

/// The least distance between remarks, from line to line.
pub const LINE: f64 = 14.0;

/// Where the lanes stand.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// The middle of each lane.
    pub lanes: Vec<f64>,
    /// Where remarks begin.
    pub margin: f64,
    /// The width of it all.
    pub width: f64,
}

impl Geometry {
    /// Places the lanes, with a gap between roles.
    pub fn new(picture: &Picture) -> Geometry {
        let count = picture.lanes.len();
        let apart = (1_250.0 / count.max(1) as f64).clamp(64.0, 116.0);
        let mut lanes = Vec::with_capacity(count);
        let mut x = AXIS + 72.0;
        for (index, lane) in picture.lanes.iter().enumerate() {
            if index > 0 {
                x += apart;
                if picture.lanes[index - 1].role != lane.role {
                    x += 28.0;
                }
            }
            lanes.push(x);
        }
        let longest = picture.remarks.iter().map(|r| r.words.chars().count());
        let longest = longest.max().unwrap_or(0).min(MOST_LETTERS) as f64;
        let margin = x + 128.0;
        Geometry {
            lanes,
            margin,
            width: margin + 24.0 + 6.2 * longest,
        }
    }
}

/// Longer remarks are cut; pointing at one shows all of it.
pub const MOST_LETTERS: usize = 56;
