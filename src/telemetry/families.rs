//! Where families of metrics are made: each is registered under its name, and the text tells of all of them.

use std::io::Write as _;

use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The families of a process.
#[derive(Default)]
pub struct Families {
    registry: Registry,
    told: Vec<Family>,
}

/// What is told of a family before its first value.
struct Family {
    name: String,
    help: String,
    kind: &'static str,
}

impl Families {
    /// A number that only grows.
    ///
    /// # Errors
    /// Another family has the name, which is a defect; as of all that follow.
    pub fn counter(&mut self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        let counter = IntCounter::new(name, help)?;
        self.add(counter, "counter")
    }

    /// Seconds or the like, of which there are only ever more.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn sum(&mut self, name: &str, help: &str) -> Result<Counter, prometheus::Error> {
        let sum = Counter::new(name, help)?;
        self.add(sum, "counter")
    }

    /// Numbers that only grow, one for each combination of labels.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.add(counters, "counter")
    }

    /// The same with one label whose values are known: each begins at zero, so that the first increase is seen as one.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn counters_of(
        &mut self,
        name: &str,
        help: &str,
        (label, values): (&str, &[&str]),
    ) -> Result<IntCounterVec, prometheus::Error> {
        let counters = self.counters(name, help, &[label])?;
        for value in values {
            let _ = counters.with_label_values(&[value]);
        }
        Ok(counters)
    }

    /// How many there are of something.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn gauge(&mut self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        let gauge = IntGauge::new(name, help)?;
        self.add(gauge, "gauge")
    }

    /// How many there are of something, one for each combination of labels.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.add(gauges, "gauge")
    }

    /// How much there is of something.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn measure(&mut self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        let measure = Gauge::new(name, help)?;
        self.add(measure, "gauge")
    }

    /// How much there is of something, one for each combination of labels.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn measures(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        let measures = GaugeVec::new(Opts::new(name, help), labels)?;
        self.add(measures, "gauge")
    }

    /// How much of something each had, by upper bounds.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn histogram(&mut self, name: &str, help: &str, bounds: &[f64]) -> Result<Histogram, prometheus::Error> {
        let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))?;
        self.add(histogram, "histogram")
    }

    /// How much of something each had, by upper bounds, one for each combination of labels.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn histograms(
        &mut self,
        name: &str,
        help: &str,
        (labels, bounds): (&[&str], &[f64]),
    ) -> Result<HistogramVec, prometheus::Error> {
        let histograms = HistogramVec::new(HistogramOpts::new(name, help).buckets(bounds.to_vec()), labels)?;
        self.add(histograms, "histogram")
    }

    /// A family that was made elsewhere.
    ///
    /// # Errors
    /// As [`Self::counter`].
    pub fn add<C: Collector + Clone + 'static>(
        &mut self,
        family: C,
        kind: &'static str,
    ) -> Result<C, prometheus::Error> {
        let told = family.desc().into_iter().map(|it| Family { name: it.fq_name.clone(), help: it.help.clone(), kind });
        self.told.extend(told);
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    /// All families as text, those that have no value yet among them: whoever looks for a name finds it from the start.
    ///
    /// # Errors
    /// A family cannot be encoded, which is a defect.
    pub fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        let (mut text, gathered) = (Vec::new(), self.registry.gather());
        TextEncoder::new().encode(&gathered, &mut text)?;
        for Family { name, help, kind } in &self.told {
            if !gathered.iter().any(|family| family.name() == name) {
                writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
            }
        }
        Ok(text)
    }
}
