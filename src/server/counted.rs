//! Counts something in a gauge for as long as it is there.

use prometheus::IntGauge;

/// Counts one until it is dropped.
pub(super) struct Counted(IntGauge);

impl Counted {
    /// One more.
    pub(super) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
