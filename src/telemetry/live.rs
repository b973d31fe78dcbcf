//! Metrics of sockets and streams. No family has the tenant as a label.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

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
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            sockets: IntGauge::new("shelfwise_sockets", "Sockets that are open.")?,
            streams: IntGauge::new("shelfwise_subscriptions", "Subscriptions that are under way.")?,
            closed: IntCounterVec::new(
                Opts::new("shelfwise_sockets_closed_total", "Sockets that were closed, by code and cause."),
                &["code", "cause"],
            )?,
        };
        registry.register(Box::new(metrics.sockets.clone()))?;
        registry.register(Box::new(metrics.streams.clone()))?;
        registry.register(Box::new(metrics.closed.clone()))?;
        Ok(metrics)
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
