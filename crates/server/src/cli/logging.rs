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

/// What the library of the Model Context Protocol logs is strangers' words and callers' arguments.
const SILENT: &str = "rmcp=off";

/// The filter of the configuration.
///
/// # Errors
/// When it cannot be understood.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, ConfigError> {
    let filter = EnvFilter::try_new(&log.filter).and_then(|filter| Ok(filter.add_directive(SILENT.parse()?)));
    filter.map_err(|error| ConfigError::Setting {
        path: "log.filter".to_owned(),
        from: String::new(),
        problem: format!("must be a list such as \"info,haithe=debug\": {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        sync::{Arc, Mutex},
        time::Duration,
    };

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn words_of_strangers_are_logged_at_no_level() {
        for filter_text in ["trace", "error", "warn,haithe=debug"] {
            let log = Log {
                format: LogFormat::Pretty,
                filter: filter_text.to_owned(),
                slow: Duration::ZERO,
            };
            let lines = Lines::default();
            let kept = lines.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter(&log).unwrap())
                .with_writer(move || kept.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::error!(target: "rmcp::transport::worker", "a stranger's words");
                tracing::error!("ours");
            });
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert!(
                text.contains("ours") && !text.contains("stranger"),
                "{filter_text}: {text}"
            );
        }
    }
}
