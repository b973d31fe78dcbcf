//! `shelfwise work`: a worker without an API.

use std::sync::Arc;

use futures_util::future::{FutureExt as _, join};
use tokio::sync::oneshot;

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
    let stop = stop_signal()?;
    let listener = bind(&app).await?;
    tracing::info!(http.address = %listener.local_addr()?, jobs.slots = app.config.jobs.slots, "Working");
    warn_if_mail_waits(&app);
    let (limits, health) = (Limits::default(), app.services.health.clone());
    let (end, ended) = oneshot::channel::<()>();
    let working = async {
        let stop = async {
            stop.await;
            health.stop();
        };
        let result = work(Arc::clone(&app), handlers(&app), stop).await;
        // Whoever probes is answered for as long as there is anything to do.
        drop(end);
        result
    };
    let serving = serve_routes(machine_router(Arc::clone(&app)), listener, &limits, ended.map(drop));
    let result = tokio::select! {
        ((), result) = join(serving, working) => result,
        never = health.keep() => match never {},
    };
    app.services.news.leave().await;
    result
}
