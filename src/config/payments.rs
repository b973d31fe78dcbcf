//! - `PAYMENT_URL`: who takes payments.
//!
//! `simulator:` takes none and behaves as if; it may be slow and unreliable on purpose, as in
//! `simulator:?delay_ms=200&fail_percent=10&decline_percent=5`. Refused in production. Unset in development: the simulator, quick and reliable. Elsewhere: nobody, and `orderPay` says so.

use std::time::Duration;

use super::{Environment, Reader};

/// How the simulator of payments behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SimulatorConfig {
    /// How long a step takes at most.
    pub delay_max: Duration,
    /// Of a hundred requests so many are lost, and of a hundred answers as many.
    pub fail_percent: u8,
    /// Of a hundred payments so many are declined.
    pub decline_percent: u8,
}

/// Who takes payments; nobody where it is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentConfig {
    /// The simulator.
    pub simulator: Option<SimulatorConfig>,
}

impl PaymentConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let Some(text) = reader.text("PAYMENT_URL") else {
            let simulator = (environment == Environment::Development).then(SimulatorConfig::default);
            return Self { simulator };
        };
        if environment == Environment::Production {
            reader.problem("PAYMENT_URL", "the simulator is refused in production");
        }
        let simulator = simulator(&text);
        if simulator.is_none() {
            reader
                .problem("PAYMENT_URL", "use `simulator:`, with delay_ms, fail_percent and decline_percent up to 100");
        }
        Self { simulator }
    }
}

/// The simulator that a setting asks for.
fn simulator(text: &str) -> Option<SimulatorConfig> {
    let query = text.strip_prefix("simulator:")?.trim_start_matches('?');
    let mut config = SimulatorConfig::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let percent = || value.parse::<u8>().ok().filter(|percent| *percent <= 100);
        match name.as_ref() {
            "delay_ms" => config.delay_max = Duration::from_millis(value.parse().ok()?),
            "fail_percent" => config.fail_percent = percent()?,
            "decline_percent" => config.decline_percent = percent()?,
            _ => return None,
        }
    }
    Some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_says_how_the_simulator_behaves() {
        let config = |delay_ms, fail_percent, decline_percent| {
            let delay_max = Duration::from_millis(delay_ms);
            Some(SimulatorConfig { delay_max, fail_percent, decline_percent })
        };
        assert_eq!(simulator("simulator:"), config(0, 0, 0));
        assert_eq!(simulator("simulator:?delay_ms=20&fail_percent=10"), config(20, 10, 0));
        for text in ["", "stripe:", "simulator:?fail_percent=101", "simulator:?x=1", "simulator:?delay_ms=-1"] {
            assert_eq!(simulator(text), None, "{text}");
        }
    }
}
