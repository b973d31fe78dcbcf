//! The job that tells of flags which should have gone.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::app::App;
use crate::control::flags::service::overdue_list;
use crate::jobs::{Answer, Handler, Job, Periodic};

/// The kind.
const KIND: &str = "flags.review";

/// The pause between two.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// Warns in the log of every flag of this release that has outlived its day. Twice is safe: it changes nothing.
pub(super) struct Review(pub(super) std::sync::Arc<App>);

impl Review {
    /// How often it is done.
    pub(super) const PERIODIC: Periodic = Periodic { kind: KIND, every: EVERY };

    async fn review(&self) -> Answer {
        let today = self.0.services.clock.now().date_naive();
        for state in overdue_list(&self.0.control, today).await? {
            let Some(row) = &state.row else { continue };
            tracing::warn!(
                flag = %state.flag, flag.ends_on = %row.ends_on, flag.percent = row.percent,
                "A flag should have gone"
            );
        }
        Ok(())
    }
}

impl Handler for Review {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        self.review().boxed()
    }
}
