//! Formats log lines as JSON: one object for each line, with the trace and the span in which it was written.
//!
//! More people read a log than may see the photos. So a field whose name says that it holds an object's key, an
//! embedding or the like is left out above debug level, and one that may hold a secret is always left out.

use std::fmt;

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Names of fields that identify a photo or describe its content.
const PRIVATE: [&str; 12] = [
    "key",
    "object",
    "locator",
    "path",
    "file",
    "url",
    "uri",
    "embedding",
    "embeddings",
    "vector",
    "thumbnail",
    "body",
];

/// Names of fields that may hold a secret.
const SECRET: [&str; 9] =
    ["password", "secret", "token", "credentials", "authorization", "signature", "cookie", "handle", "receipt"];

/// Tells whether a field is left out of a line of this level. A name counts by its last word: `object_key` is a `key`.
fn left_out(name: &str, level: Level) -> bool {
    let name = name.to_ascii_lowercase();
    let last = name.rsplit(['.', '_', '-']).next().unwrap_or_default();
    let among = |names: &[&str]| names.contains(&last) || names.contains(&name.as_str());
    // `Level` orders by verbosity: DEBUG and TRACE are greater than INFO.
    among(&SECRET) || (level <= Level::INFO && among(&PRIVATE))
}

/// Formats events as JSON. It expects the fields of spans as JSON too (`JsonFields`).
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        line.insert("timestamp".into(), time.into());
        line.insert("level".into(), level.as_str().into());
        line.insert("target".into(), event.metadata().target().into());
        let mut fields = EventFields { level, fields: Map::new() };
        event.record(&mut fields);
        if let Some(message) = fields.fields.remove("message") {
            line.insert("message".into(), message);
        }
        let mut inherited = Map::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            line.insert("span".into(), span.name().into());
            if let Some(formatted) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(own)) = serde_json::from_str(formatted.as_str())
            {
                inherited.extend(own.into_iter().filter(|(name, _)| !left_out(name, level)));
            }
        }
        // The event's own fields take precedence over those of its spans.
        inherited.extend(fields.fields);
        if !inherited.is_empty() {
            line.insert("fields".into(), inherited.into());
        }
        if let Some((trace, span)) = current() {
            line.insert("trace_id".into(), trace.into());
            line.insert("span_id".into(), span.into());
        }
        writeln!(out, "{}", Value::Object(line))
    }
}

/// Returns trace and span id of the current span if it is traced, even if the log's own filter hides it.
fn current() -> Option<(String, String)> {
    let context = opentelemetry::Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| (span.trace_id().to_string(), span.span_id().to_string()))
}

/// Collects the fields of an event.
struct EventFields {
    level: Level,
    fields: Map<String, Value>,
}

impl EventFields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        if !left_out(field.name(), self.level) {
            self.fields.insert(field.name().to_owned(), value.into());
        }
    }
}

impl Visit for EventFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.insert(field, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_object_with_the_fields_of_its_spans() {
        let lines = logged(|| {
            let outer = tracing::info_span!("image.process", attempt = 2, batch = 1);
            let _outer = outer.enter();
            let inner = tracing::debug_span!("writer.commit", batch = 8);
            let _inner = inner.enter();
            tracing::warn!(seconds = 1.5, ok = true, ratio = f64::NAN, "writer.slow\n{}", "it is");
        });
        let line = &lines[0];
        assert_eq!((line["level"].as_str(), line["message"].as_str()), (Some("WARN"), Some("writer.slow\nit is")));
        assert_eq!((&line["span"], &line["fields"]["attempt"]), (&"writer.commit".into(), &2.into()));
        assert_eq!((&line["fields"]["batch"], &line["fields"]["seconds"]), (&8.into(), &1.5.into()));
        assert_eq!((&line["fields"]["ok"], &line["fields"]["ratio"]), (&true.into(), &Value::Null));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z') && line.get("trace_id").is_none());
    }

    #[test]
    fn above_debug_level_no_line_says_which_photo_and_none_tells_a_secret() {
        for (name, at_info, at_debug) in [
            ("key", true, false),
            ("object_key", true, false),
            ("s3.key", true, false),
            ("embedding", true, false),
            ("Locator", true, false),
            ("password", true, true),
            ("session_token", true, true),
            ("receipt_handle", true, true),
            ("keys", false, false),
            ("wait", false, false),
            ("tokens_left", false, false),
        ] {
            for level in [Level::ERROR, Level::WARN, Level::INFO] {
                assert_eq!(left_out(name, level), at_info, "{name} at {level}");
            }
            for level in [Level::DEBUG, Level::TRACE] {
                assert_eq!(left_out(name, level), at_debug, "{name} at {level}");
            }
        }
        let lines = logged(|| {
            let span = tracing::info_span!("downloader.get", key = "a/b.jpg", token = "t", size = 1);
            let _span = span.enter();
            tracing::info!(object_key = "a/b.jpg", "one");
            tracing::debug!(object_key = "a/b.jpg", password = "p", "two");
        });
        assert_eq!(lines[0]["fields"], serde_json::json!({ "size": 1 }));
        assert_eq!(lines[1]["fields"], serde_json::json!({ "size": 1, "key": "a/b.jpg", "object_key": "a/b.jpg" }));
    }
}
