//! `shelfwise serve`.

use std::sync::Arc;

use crate::app::App;
use crate::config::Config;
use crate::http::serve::{bind, serve, stop_signal};
use crate::kernel::clock::SystemClock;
use crate::worker::mail::warn_if_mail_waits;

/// Serves until told to stop.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let app = Arc::new(App::new(config, Arc::new(SystemClock))?);
    let stop = stop_signal()?;
    let listener = bind(&app).await?;
    tracing::info!(http.address = %listener.local_addr()?, environment = %app.config.environment, "Serving");
    warn_if_mail_waits(&app);
    let served = serve(Arc::clone(&app), listener, stop).await;
    app.services.news.leave().await;
    served
}
