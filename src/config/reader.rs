//! Reads variables and gathers what is wrong with them.

use std::fmt;
use std::str::FromStr;

/// Looks variables up, parses them, and keeps every problem until the end.
pub struct Reader<'a> {
    vars: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<(String, String)>,
}

/// All that is wrong with the configuration: a line for each variable.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<(String, String)>,
}

impl ConfigError {
    /// An error of one variable or file.
    #[must_use]
    pub fn single(name: &str, problem: &str) -> Self {
        Self { problems: vec![(name.to_owned(), problem.to_owned())] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration has problems:")?;
        for (name, problem) in &self.problems {
            write!(f, "\n  {name}: {problem}")?;
        }
        Ok(())
    }
}

impl<'a> Reader<'a> {
    /// A reader over a look-up by name.
    #[must_use]
    pub fn new(vars: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { vars, problems: Vec::new() }
    }

    /// The text of a variable; a blank one counts as unset.
    pub fn text(&self, name: &str) -> Option<String> {
        (self.vars)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The parsed value of a variable, or `None` where it is unset or wrong; the latter is remembered.
    pub fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(name, &format!("`{text}` is not valid: {error}"));
                None
            }
        }
    }

    /// The parsed value of a variable, or the default.
    pub fn or<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, default: T) -> T {
        self.optional(name).unwrap_or(default)
    }

    /// A number of milliseconds, at least one.
    pub fn millis(&mut self, name: &str, default: u64) -> std::time::Duration {
        std::time::Duration::from_millis(self.at_least_one(name, default))
    }

    /// A whole number, at least one.
    pub fn at_least_one<T: FromStr<Err: fmt::Display> + From<u8> + PartialOrd + Copy>(
        &mut self,
        name: &str,
        default: T,
    ) -> T {
        let value = self.or(name, default);
        if value < T::from(1) {
            self.problem(name, "must be at least 1");
            return default;
        }
        value
    }

    /// Remembers what is wrong with a variable. The text must not hold a secret.
    pub fn problem(&mut self, name: &str, problem: &str) {
        self.problems.push((name.to_owned(), problem.to_owned()));
    }

    /// The configuration, unless there was a problem.
    ///
    /// # Errors
    /// All problems that were remembered.
    pub fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(config) } else { Err(ConfigError { problems: self.problems }) }
    }
}
