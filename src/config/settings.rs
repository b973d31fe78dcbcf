//! What the environment sets for all shops of the installation.
//!
//! Each setting of [`kernel::settings`](crate::kernel::settings) names its variable: `SETTING_…`, or one that was there before it
//! was a setting. Operators and shops may set something else.

use std::sync::Arc;

use secrecy::SecretString;

use super::Reader;
use crate::kernel::settings::{Held, Layer, Setting};

/// What the environment sets.
#[derive(Debug, Clone)]
pub struct SettingsConfig {
    /// The settings that it sets.
    pub environment: Arc<Layer>,
}

impl SettingsConfig {
    /// Reads the variables of all settings.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let held = Setting::ALL.iter().filter_map(|setting| {
            let variable = setting.definition().variable;
            let text = reader.text(variable)?;
            match setting.parse(&text) {
                Ok(_) if setting.is_secret() => Some((*setting, Held::Secret(SecretString::from(text)))),
                Ok(value) => Some((*setting, Held::Plain(value))),
                Err(error) => {
                    // It does not quote the value, which may be a secret.
                    reader.problem(variable, &error.to_string());
                    None
                }
            }
        });
        Self { environment: Arc::new(held.collect()) }
    }
}
