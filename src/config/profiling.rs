//! - `PROFILING` (`off`): whether operators may take profiles of a running process: `off` or `on`.

use std::str::FromStr;

use super::Reader;

/// Whether operators may take profiles of a running process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profiling {
    /// Nobody may.
    Off,
    /// They may.
    On,
}

impl FromStr for Profiling {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            _ => Err("use off or on"),
        }
    }
}

impl Profiling {
    /// Reads the variable of this file.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        reader.or("PROFILING", Self::Off)
    }
}
