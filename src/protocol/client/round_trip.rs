//! How long an answer takes, so that a loss is told from a long way.

use std::time::Duration;

use crate::protocol::Settings;

/// An estimate of the time from a submission to its acknowledgement (RFC 6298).
#[derive(Clone, Debug)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
    initial: Duration,
}

impl RoundTrip {
    pub(super) fn new(initial: Duration) -> RoundTrip {
        RoundTrip {
            smoothed: None,
            variation: Duration::ZERO,
            initial,
        }
    }

    pub(super) fn sample(&mut self, measured: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(measured);
                self.variation = measured / 2;
            }
            Some(smoothed) => {
                let error = smoothed.abs_diff(measured);
                self.variation = self.variation * 3 / 4 + error / 4;
                self.smoothed = Some(smoothed * 7 / 8 + measured / 8);
            }
        }
    }

    /// How long to wait before something counts as lost.
    pub(super) fn timeout(&self, settings: &Settings) -> Duration {
        let estimate = self
            .smoothed
            .map_or(self.initial, |smoothed| smoothed + 4 * self.variation);
        estimate.max(settings.repropose.0)
    }
}
