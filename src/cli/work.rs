//! `shelfwise work`: a worker without an API.

use std::sync::Arc;

use futures_util::future::FutureExt as _;

use crate::app::App;
use crate::config::Config;
use crate::http::router::machine_router;
use crate::http::serve::{Limits, bind, serve_routes, stop_signal};
use crate::kernel::clock::SystemClock;
use crate::worker::mail::warn_if_mail_waits;
use crate::worker::{handlers, work};

/// Works until told to stop. Health and metrics are served meanwhile.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let app = Arc::new(App::new(config, Arc::new(SystemClock))?);
    let stop = stop_signal()?.shared();
    let listener = bind(&app).await?;
    tracing::info!(http.address = %listener.local_addr()?, jobs.slots = app.config.jobs.slots, "Working");
    warn_if_mail_waits(&app);
    let limits = Limits::default();
    let serving = serve_routes(machine_router(Arc::clone(&app)), listener, &limits, stop.clone());
    let ((), result) = tokio::join!(serving, work(Arc::clone(&app), handlers(&app), stop));
    app.services.news.leave().await;
    result
}
