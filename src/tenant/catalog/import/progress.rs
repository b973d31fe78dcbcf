//! How far an import is, written down beside its transaction.
//!
//! An import is one transaction, of which nobody sees anything before its end. So how far it is is written by transactions of its
//! own, a few in each second, on another connection. The import never waits for them, so neither waits for the other. A short
//! import is done before there is anything to tell.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tracing::Instrument as _;

use super::repo;
use crate::db::{DbError, TenantSession, TenantTx};
use crate::kernel::clock::Clock;
use crate::kernel::ids::ImportId;
use crate::kernel::news::{Fact, Topic};

/// The pause between two words of how far it is.
const PAUSE: Duration = Duration::from_millis(250);

/// The pauses after tries to write down that it was broken off.
const LAST_PAUSES: [Duration; 4] = [PAUSE, Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];

/// Tells how far an import is, for as long as it is kept; then, that it was broken off, unless it is done.
pub struct Progress(watch::Sender<i32>);

impl Progress {
    /// Nothing has been done yet.
    #[must_use]
    pub fn of(id: ImportId, session: TenantSession, clock: Arc<dyn Clock>) -> Self {
        let (rows, heard) = watch::channel(0);
        let started_at = clock.now();
        #[expect(clippy::disallowed_methods, reason = "it ends when the import has, however that ends")]
        tokio::spawn(write_down(id, session, started_at, clock, heard).in_current_span());
        Self(rows)
    }

    /// So many rows are done.
    pub fn tell(&self, rows: i32) {
        self.0.send_replace(rows);
    }
}

async fn write_down(
    id: ImportId,
    session: TenantSession,
    started_at: DateTime<Utc>,
    clock: Arc<dyn Clock>,
    mut rows: watch::Receiver<i32>,
) {
    let mut is_told = false;
    while rows.changed().await.is_ok() {
        let count = *rows.borrow_and_update();
        note(&session, id, async |tx| repo::import_note(tx, id, count, started_at).await).await;
        is_told = true;
        tokio::time::sleep(PAUSE).await;
    }
    // The last word is said again until it is written down; after that the import counts as lost some time.
    for pause in LAST_PAUSES.into_iter().filter(|_| is_told) {
        if note(&session, id, async |tx| repo::import_give_up(tx, id, clock.now()).await).await {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Writes a note, and tells of it. Answers whether it is written. One that is not is missed by nobody: the next one says more.
async fn note(
    session: &TenantSession,
    id: ImportId,
    work: impl AsyncFnOnce(&mut TenantTx) -> Result<bool, DbError>,
) -> bool {
    let noted = session.write(async |tx: &mut TenantTx| {
        if work(tx).await? {
            tx.tell(Fact::new(Topic::Import, id));
        }
        Ok::<_, DbError>(())
    });
    let noted = noted.await;
    if let Err(error) = &noted {
        tracing::debug!(%error, import.id = %id, "How far an import is could not be noted");
    }
    session.finish().await;
    noted.is_ok()
}
