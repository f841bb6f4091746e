//! Serves the samples to Prometheus in its text format, version 0.0.4, with a health check beside it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use muster_actors::domain::histogram::Histogram;
use tokio::net::TcpListener;

use super::metrics::{Labels, MetricSource, Sample, Value};
use super::names::{Kind, Metric};

/// The content type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Parses the address of the page; a port alone means this machine only. `None` where the text is neither.
pub fn address(text: &str) -> Option<SocketAddr> {
    match text.trim_start_matches(':').parse::<u16>() {
        Ok(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        Err(_) => text.parse().ok(),
    }
}

/// Serves `GET /metrics` and `GET /healthz` until it is dropped.
///
/// # Errors
/// An I/O error when the listener fails.
pub async fn serve(listener: TcpListener, source: MetricSource) -> std::io::Result<()> {
    let routes = Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(source);
    axum::serve(listener, routes).await
}

async fn metrics(State(source): State<MetricSource>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], render(&source.samples()))
}

/// Answers that the worker is healthy while the pipeline reports.
async fn healthz(State(source): State<MetricSource>) -> impl IntoResponse {
    if source.alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the pipeline has ended\n")
    }
}

/// Renders the page. Samples of one metric stand together, whatever their order.
pub fn render(samples: &[Sample]) -> String {
    let mut page = String::new();
    let mut written: Vec<&str> = Vec::new();
    for first in samples {
        let metric = &first.metric;
        if written.contains(&metric.name) {
            continue;
        }
        written.push(metric.name);
        let name = name(metric);
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        line(&mut page, format_args!("# HELP {name} {}", escaped(metric.help, false)));
        line(&mut page, format_args!("# TYPE {name} {kind}"));
        for sample in samples.iter().filter(|sample| sample.metric.name == metric.name) {
            match &sample.value {
                Value::Number(value) => {
                    line(&mut page, format_args!("{name}{} {}", labels(&sample.labels, None), number(*value)));
                }
                Value::Histogram(histogram) => buckets(&mut page, &name, &sample.labels, histogram),
            }
        }
    }
    page
}

fn line(page: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{line}");
}

/// Writes the lines of a histogram: counts up to each bound, then sum and count.
fn buckets(page: &mut String, name: &str, own: &Labels, histogram: &Histogram) {
    let bounds = histogram.bounds().iter().copied().chain([f64::INFINITY]);
    let mut upto = 0;
    for (bound, count) in bounds.zip(histogram.counts()) {
        upto += count;
        line(page, format_args!("{name}_bucket{} {upto}", labels(own, Some(bound))));
    }
    let own = labels(own, None);
    line(page, format_args!("{name}_sum{own} {}", number(histogram.sum())));
    line(page, format_args!("{name}_count{own} {}", histogram.count()));
}

/// Returns the name on the page: counters end in one `_total`.
fn name(metric: &Metric) -> String {
    match metric.kind {
        Kind::Counter if !metric.name.ends_with("_total") => format!("{}_total", metric.name),
        Kind::Counter | Kind::Gauge | Kind::Histogram(_) => metric.name.to_owned(),
    }
}

fn labels(labels: &Labels, bound: Option<f64>) -> String {
    let own = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)));
    let all: Vec<String> = own.chain(bound.map(|bound| format!("le=\"{}\"", number(bound)))).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

/// Escapes backslash and line feed, and quotes in the values of labels.
fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::samples;
    use crate::metrics::tests::busy;
    use crate::names;

    #[test]
    fn a_port_alone_is_this_machines_own() {
        for (text, expected) in [
            ("9464", Some("127.0.0.1:9464")),
            (":9464", Some("127.0.0.1:9464")),
            ("0.0.0.0:80", Some("0.0.0.0:80")),
            ("[::1]:80", Some("[::1]:80")),
            ("", None),
            ("localhost", None),
            ("99999", None),
        ] {
            assert_eq!(address(text), expected.map(|address| address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn counters_gauges_and_histograms_are_written_as_the_format_says() {
        let label = |value: &str| vec![("stage", value.to_owned())];
        let mut histogram = Histogram::new(names::BATCH_SIZES);
        [1.0, 3.0, 500.0].iter().for_each(|value| histogram.record(*value));
        let page = render(&[
            Sample { metric: names::DONE, labels: label("a\"b\\c\nd"), value: Value::Number(3.0) },
            Sample { metric: names::BATCHES, labels: Vec::new(), value: Value::Histogram(histogram) },
            Sample { metric: names::DONE, labels: label("device"), value: Value::Number(0.5) },
            Sample { metric: names::RUN, labels: Vec::new(), value: Value::Number(f64::NAN) },
        ]);
        let expected = r#"# HELP muster_stage_done_items_total Items that the stage finished.
# TYPE muster_stage_done_items_total counter
muster_stage_done_items_total{stage="a\"b\\c\nd"} 3
muster_stage_done_items_total{stage="device"} 0.5
# HELP muster_device_batch_images Images in each batch that ran.
# TYPE muster_device_batch_images histogram
muster_device_batch_images_bucket{le="1"} 1
muster_device_batch_images_bucket{le="2"} 1
muster_device_batch_images_bucket{le="4"} 2
muster_device_batch_images_bucket{le="8"} 2
muster_device_batch_images_bucket{le="16"} 2
muster_device_batch_images_bucket{le="32"} 2
muster_device_batch_images_bucket{le="64"} 2
muster_device_batch_images_bucket{le="128"} 2
muster_device_batch_images_bucket{le="+Inf"} 3
muster_device_batch_images_sum 504
muster_device_batch_images_count 3
# HELP muster_worker_run_seconds Seconds since the pipeline started.
# TYPE muster_worker_run_seconds gauge
muster_worker_run_seconds NaN
"#;
        assert_eq!(page, expected);
    }

    #[test]
    fn every_line_of_a_busy_run_is_a_comment_or_a_name_with_a_number() {
        let (progress, extra) = busy();
        let page = render(&samples(&progress, &extra));
        assert!(page.ends_with('\n'));
        let mut types = std::collections::BTreeSet::new();
        for line in page.lines() {
            if let Some(comment) = line.strip_prefix("# TYPE ") {
                assert!(types.insert(comment.split(' ').next().unwrap().to_owned()), "{comment} is there twice");
                continue;
            }
            if line.starts_with("# HELP ") {
                continue;
            }
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let bare = name.split('{').next().unwrap();
            let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| bare.strip_suffix(end)).unwrap_or(bare);
            assert!(types.contains(bare), "{line} has no type");
        }
        assert!(page.contains("muster_fetcher_received_images_total{service=\"detection\",device=\"cpu\"} 12\n"));
    }
}
