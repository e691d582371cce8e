//! Serving, and what prepares for it.

use super::{Outcome, Ran, briefly, logging, say};
use crate::{App, Config, wiring};
use tokio::signal::unix::{SignalKind, signal};

/// `haithe serve`
pub(super) fn serve(config: Config) -> Ran {
    logging::start(&config.log)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.server.worker_threads > 0 {
        builder.worker_threads(config.server.worker_threads);
    }
    let runtime = builder.thread_name("haithe").enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let app = App::start(config).await?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tokio::select! {
            () = app.stop() => Ok(Outcome::Good),
            _ = interrupt.recv() => Ok(Outcome::Bad),
        }
    });
    // Whatever did not end by now was told to, waited for, and given up.
    runtime.shutdown_background();
    outcome
}

/// `haithe migrate`
pub(super) fn migrate(config: Config) -> Ran {
    briefly(async {
        wiring::migrate(&config).await?;
        say(&format!("{} is up to date", config.database.url));
        Ok(Outcome::Good)
    })?
}

/// `haithe config check`
pub(super) fn check_config(config: Config) -> Ran {
    logging::filter(&config.log)?;
    let models = wiring::check_catalogue(&config)?;
    say(&format!(
        "the configuration is good: {} of {} models on offer, listening on {}, chain {}",
        models.active,
        models.all,
        config.server.address(),
        config.chain.id,
    ));
    Ok(Outcome::Good)
}
