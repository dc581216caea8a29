//! Where log lines go: to the standard error, as text or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogFormat, ServerSection};

/// Begins to write log lines. A second call changes nothing.
pub fn start(server: &ServerSection) -> Result<(), ParseError> {
    // The WebSocket library writes whole frames, tokens among them, at `trace`.
    let filter =
        EnvFilter::builder().parse(&server.log_level)?.add_directive("tokio_websockets=info".parse()?);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let _ = match server.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}
