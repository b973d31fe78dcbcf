//! Metrics of sockets and streams. No family has the tenant as a label.

use prometheus::{IntCounterVec, IntGauge};

use super::families::Families;

/// The families of sockets and streams. Clones count together.
#[derive(Clone)]
pub struct LiveMetrics {
    /// Sockets that are open.
    pub sockets: IntGauge,
    /// Subscriptions that are under way, over sockets and as events.
    pub streams: IntGauge,
    /// Sockets that were closed, by code, and cause where the code has several; 0 for those whose client was gone.
    pub closed: IntCounterVec,
}

/// Something that is counted for as long as this is kept.
pub struct Counted {
    gauge: IntGauge,
    closed: IntCounterVec,
}

impl LiveMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            sockets: families.gauge("shelfwise_sockets", "Sockets that are open.")?,
            streams: families.gauge("shelfwise_subscriptions", "Subscriptions that are under way.")?,
            closed: families.counters(
                "shelfwise_sockets_closed_total",
                "Sockets that were closed, by code and cause.",
                &["code", "cause"],
            )?,
        })
    }

    /// Counts a socket.
    #[must_use]
    pub fn count_socket(&self) -> Counted {
        self.count(&self.sockets)
    }

    /// Counts a subscription.
    #[must_use]
    pub fn count_stream(&self) -> Counted {
        self.count(&self.streams)
    }

    fn count(&self, gauge: &IntGauge) -> Counted {
        gauge.inc();
        Counted { gauge: gauge.clone(), closed: self.closed.clone() }
    }
}

impl Counted {
    /// Counts why a socket was closed.
    pub fn closed(&self, code: u16, cause: &str) {
        self.closed.with_label_values(&[code.to_string().as_str(), cause]).inc();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
