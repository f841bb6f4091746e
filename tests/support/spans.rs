//! Spans as a collector received them.

use mock_collector::{MockServer, Protocol, ServerHandle, TestSpan};

/// Of somebody who was there before.
pub const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
/// Their span.
pub const PARENT: &str = "53995c3f42cd8ad8";

/// A span.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub links: Vec<String>,
    pub start: u64,
    pub end: u64,
}

/// The header that continues [`TRACE`].
pub fn header() -> String {
    format!("Root=1-{}-{};Parent={PARENT};Sampled=1", &TRACE[..8], &TRACE[8..])
}

/// A collector, and what makes muster send it every span.
pub async fn collector() -> (ServerHandle, [(&'static str, String); 3]) {
    let collector = MockServer::builder().protocol(Protocol::Grpc).port(0).start().await.unwrap();
    let settings = [
        ("MUSTER_TELEMETRY__TRACES", "otlp".to_owned()),
        ("MUSTER_TELEMETRY__SAMPLE_RATIO", "1.0".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.addr())),
    ];
    (collector, settings)
}

/// What a collector received.
pub async fn received(collector: &ServerHandle) -> Vec<Seen> {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let see = |span: &TestSpan| {
        let span = span.span();
        Seen {
            name: span.name.clone(),
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
        }
    };
    collector.with_collector(|collector| collector.spans().iter().map(see).collect()).await
}

/// The tree below a span, one line a span.
pub fn tree(all: &[Seen], of: &Seen) -> String {
    let mut lines = String::new();
    grow(all, of, 0, &mut lines);
    lines
}

fn grow(all: &[Seen], of: &Seen, depth: usize, lines: &mut String) {
    let milliseconds = (of.end - of.start) as f64 / 1e6;
    lines.push_str(&format!("{:indent$}{} {milliseconds:.1} ms\n", "", of.name, indent = 2 * depth));
    let mut children: Vec<&Seen> = all.iter().filter(|span| span.parent == of.id).collect();
    children.sort_by_key(|span| span.start);
    children.into_iter().for_each(|child| grow(all, child, depth + 1, lines));
}
