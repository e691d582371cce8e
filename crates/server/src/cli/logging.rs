//! Where log lines go.

use crate::{
    ConfigError,
    config::{Log, LogFormat},
};
use tracing_subscriber::EnvFilter;

/// Starts writing log lines to the standard error.
///
/// # Errors
/// When the filter cannot be understood.
pub(super) fn start(log: &Log) -> Result<(), ConfigError> {
    let filter = filter(log)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Pretty => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The filter of the configuration.
///
/// # Errors
/// When it cannot be understood.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, ConfigError> {
    EnvFilter::try_new(&log.filter).map_err(|error| ConfigError::Setting {
        path: "log.filter".to_owned(),
        from: String::new(),
        problem: format!("must be a list such as \"info,haithe=debug\": {error}"),
    })
}
