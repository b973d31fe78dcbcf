//! What provisioning consists of, and how long each part took.

use std::time::{Duration, Instant};

/// A part of provisioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "ProvisioningStepName")]
pub enum StepName {
    /// A schema with role, tables and default data was taken from the stock, or there was none.
    Spare,
    /// The tenant was entered into the registry, with keys of its own.
    Registry,
    /// The role, the schema and the tables were made.
    Schema,
    /// The default roles and categories were written.
    DefaultData,
    /// The first owner was entered.
    Owner,
    /// The owner's invitation and welcome were enqueued.
    Mails,
    /// The act was noted in the trail, and operators are going to be told.
    Notification,
    /// The transaction was committed: all of it is there.
    Commit,
    /// The server that made the tenant looked it up and read from its schema.
    Caches,
}

impl StepName {
    /// The name in the output of commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spare => "spare",
            Self::Registry => "registry",
            Self::Schema => "schema",
            Self::DefaultData => "default data",
            Self::Owner => "owner",
            Self::Mails => "mails",
            Self::Notification => "notification",
            Self::Commit => "commit",
            Self::Caches => "caches",
        }
    }
}

/// A part of provisioning that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub name: StepName,
    /// How long it took.
    pub took: Duration,
}

impl Step {
    /// The duration, in milliseconds.
    #[must_use]
    pub fn milliseconds(&self) -> f64 {
        self.took.as_secs_f64() * 1e3
    }
}

/// Measures steps one after the other.
#[derive(Debug)]
pub struct Steps {
    done: Vec<Step>,
    since: Instant,
}

impl Default for Steps {
    fn default() -> Self {
        Self { done: Vec::new(), since: Instant::now() }
    }
}

impl Steps {
    /// What was done since the last step was this one.
    pub fn done(&mut self, name: StepName) {
        let now = Instant::now();
        self.done.push(Step { name, took: now - self.since });
        self.since = now;
    }

    /// All of them, in the order of doing.
    #[must_use]
    pub fn finish(self) -> Vec<Step> {
        self.done
    }
}
