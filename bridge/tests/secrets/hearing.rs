//! Hears all that this process logs: with `tracing`, at every level, and with the `log` of libraries.

use std::fmt::{Debug, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static TRACED: Mutex<String> = Mutex::new(String::new());
static LOGGED: Mutex<String> = Mutex::new(String::new());
static BEGIN: Once = Once::new();

/// Begins to hear. Further calls do nothing.
pub(crate) fn begin() {
    BEGIN.call_once(|| {
        tracing::subscriber::set_global_default(Tracing).unwrap();
        log::set_logger(&Logging).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// What was said with `tracing`.
pub(crate) fn traced() -> String {
    TRACED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What was said with `log`.
pub(crate) fn logged() -> String {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

struct Tracing;

/// Writes the fields of an event or a span.
struct Fields;

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut traced = TRACED.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write!(traced, "{field}={value:?} ");
    }
}

impl Subscriber for Tracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fields);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Logging;

impl log::Log for Logging {
    /// At `trace`, the library of this test's own page writes whole frames. The bridge uses another one.
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        !(metadata.target().starts_with("tungstenite") && metadata.level() == log::Level::Trace)
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(logged, "{}", record.args());
        }
    }

    fn flush(&self) {}
}
