//! What leaves a worker: spans and metrics as a collector receives them, log lines, and the page for Prometheus.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use mock_collector::{MockServer, Protocol, ServerHandle, TestSpan};
use muster_actors::flow::progress::{Counts, Progress, Stage, StageProgress};
use muster_config::{LogFormat, OtlpProtocol, Settings, Traces};
use muster_telemetry::logs::JsonLines;
use muster_telemetry::{CacheCounts, ProcessMetrics, Telemetry, adopt, header, names};
use tokio::sync::watch;
use tracing::{Span, debug_span, info_span};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

const HEADERS: [&str; 2] = [
    "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    "Root=1-5759e988-000000000000000000000007;Parent=0000000000000008;Sampled=1",
];
const STEPS: [&str; 6] =
    ["fetcher.receive", "downloader.get", "downloader.decode", "device.analyse", "writer.commit", "keeper.ack"];
const WAIT: Duration = Duration::from_secs(10);

fn settings(traces: Traces, protocol: OtlpProtocol, endpoint: String) -> Settings {
    let mut settings = muster_config::Layers::defaults().settings().unwrap();
    settings.telemetry.traces = traces;
    settings.telemetry.otlp_protocol = protocol;
    settings.telemetry.otlp_endpoint = endpoint;
    settings.telemetry.sample_ratio = 1.0;
    settings
}

async fn collector(protocol: Protocol) -> (ServerHandle, String) {
    let server = MockServer::builder().protocol(protocol).port(0).start().await.unwrap();
    let endpoint = format!("http://{}", server.addr());
    (server, endpoint)
}

/// The span of one image, as the actors open it.
fn image(header: &str) -> Span {
    let span = info_span!(target: "muster_actors::pipeline::item", "image.process");
    adopt(&span, header);
    span
}

/// What one worker does with two images in one batch.
fn work() {
    let images = HEADERS.map(image);
    for step in STEPS {
        for image in &images {
            // The name of a span is fixed where it is opened.
            let _step = match step {
                "fetcher.receive" => {
                    debug_span!(target: "muster_actors::pipeline::fetcher", parent: image, "fetcher.receive")
                }
                "downloader.get" => {
                    debug_span!(target: "muster_actors::pipeline::downloader", parent: image, "downloader.get")
                }
                "downloader.decode" => {
                    debug_span!(target: "muster_actors::pipeline::downloader", parent: image, "downloader.decode")
                }
                "device.analyse" => {
                    debug_span!(target: "muster_actors::pipeline::device", parent: image, "device.analyse")
                }
                "writer.commit" => {
                    debug_span!(target: "muster_actors::pipeline::writer", parent: image, "writer.commit")
                }
                _ => debug_span!(target: "muster_actors::pipeline::lease_manager", parent: image, "keeper.ack"),
            }
            .entered();
            tracing::debug!(target: "muster_actors", object_key = "a/b.jpg", "tells which photo");
        }
        if step == "downloader.decode" {
            let batch =
                debug_span!(target: "muster_actors::pipeline::device", parent: None, "device.batch", images = 2);
            images.iter().for_each(|image| {
                batch.follows_from(image);
            });
            let _batch = batch.entered();
            tracing::warn!(target: "muster_actors", "device.slow");
        }
    }
    let _others = info_span!(target: "hyper::client", "not.ours").entered();
}

fn traced(telemetry: &Telemetry, work: impl FnOnce()) {
    tracing::subscriber::with_default(Registry::default().with(telemetry.layer()), work);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A span as the collector received it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    name: String,
    trace: String,
    id: String,
    parent: String,
    links: Vec<(String, String)>,
    events: usize,
}

impl From<&TestSpan> for Seen {
    fn from(span: &TestSpan) -> Self {
        let span = span.span();
        Self {
            name: span.name.clone(),
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
            events: span.events.len(),
        }
    }
}

/// Trace and span that a header names.
fn named(header: &str) -> (String, String) {
    let parts: Vec<&str> = header.split(['=', ';']).collect();
    (parts[1][2..].replace('-', ""), parts[3].to_owned())
}

/// Asserts that the spans of [`work`] arrived: a tree for each image below its sender's span, and a linked batch.
fn assert_tree(spans: &[TestSpan]) {
    let seen: Vec<Seen> = spans.iter().map(Seen::from).collect();
    assert_eq!(seen.len(), 2 * (1 + STEPS.len()) + 1, "{seen:#?}");
    let images = HEADERS.map(|header| {
        let (trace, parent) = named(header);
        let image = seen.iter().find(|span| span.name == names::IMAGE && span.trace == trace).unwrap();
        assert_eq!(image.parent, parent, "{header}");
        let children: Vec<&str> =
            seen.iter().filter(|span| span.parent == image.id).map(|span| span.name.as_str()).collect();
        assert_eq!(children, STEPS, "{header}");
        assert!(seen.iter().filter(|span| span.parent == image.id).all(|span| span.trace == trace));
        image
    });
    let batch = seen.iter().find(|span| span.name == names::BATCH).unwrap();
    let links = images.map(|image| (image.trace.clone(), image.id.clone()));
    assert_eq!((batch.parent.as_str(), &batch.links[..]), ("", &links[..]), "a batch is linked, not a child");
    // X-Ray reads the time of a trace from its id.
    let began = u64::from_str_radix(&batch.trace[..8], 16).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now - began < 60, "{began} is not near {now}");
    let events: Vec<_> = seen.iter().filter(|span| span.events > 0).map(|span| span.name.as_str()).collect();
    assert_eq!(events, [names::BATCH], "an event that tells which photo stays here");
    let resource = format!("{:?}", spans[0].resource_attrs());
    assert!(resource.contains("service.name") && resource.contains("muster-detection"), "{resource}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_receives_a_tree_for_each_image_and_a_linked_batch() {
    for (ours, theirs) in [(OtlpProtocol::Grpc, Protocol::Grpc), (OtlpProtocol::Http, Protocol::HttpBinary)] {
        let (server, endpoint) = collector(theirs).await;
        let telemetry = Telemetry::start(&settings(Traces::Otlp, ours, endpoint), "detection").unwrap();
        traced(&telemetry, work);
        assert!(telemetry.flush(WAIT), "{ours:?}");
        server.with_collector(|collector| assert_tree(collector.spans())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xray_receives_the_same_tree_signed() {
    let (server, endpoint) = collector(Protocol::HttpBinary).await;
    let credentials = SharedCredentialsProvider::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"));
    let settings = settings(Traces::Xray, OtlpProtocol::Grpc, endpoint);
    let telemetry = Telemetry::start_as(&settings, "detection", credentials).unwrap();
    traced(&telemetry, work);
    assert!(telemetry.flush(WAIT));
    server.with_collector(|collector| assert_tree(collector.spans())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_sender_does_not_sample_is_not_sent_and_is_told_on() {
    let (server, endpoint) = collector(Protocol::Grpc).await;
    let telemetry = Telemetry::start(&settings(Traces::Otlp, OtlpProtocol::Grpc, endpoint), "detection").unwrap();
    let mut told = Vec::new();
    traced(&telemetry, || {
        for header_in in [HEADERS[0], &HEADERS[0].replace("Sampled=1", "Sampled=0"), "no header"] {
            let image = image(header_in);
            image.in_scope(|| {
                debug_span!(target: "muster_actors::pipeline::lease_manager", "keeper.ack").in_scope(|| ())
            });
            told.push(header(&image).unwrap());
        }
    });
    assert!(telemetry.flush(WAIT));
    assert!(told[0].starts_with(&HEADERS[0][..35]) && told[0].ends_with("Sampled=1"), "{}", told[0]);
    assert!(told[1].starts_with(&HEADERS[0][..35]) && told[1].ends_with("Sampled=0"), "{}", told[1]);
    assert!(!told[2].starts_with(&HEADERS[0][..35]) && told[2].ends_with("Sampled=1"), "{}", told[2]);
    server.with_collector(|collector| assert_eq!(collector.span_count(), 4)).await;
}

fn progress() -> Progress {
    let mut device = StageProgress { done: 3, ..StageProgress::default() };
    [0.002, 0.3, 0.4].iter().for_each(|seconds| device.seconds.record(*seconds));
    Progress {
        fetched: 12,
        counts: Counts { indexed: 9, rejected: 3, ..Counts::default() },
        stages: [(Stage::Device, device)].into(),
        ..Progress::default()
    }
}

fn extra() -> ProcessMetrics {
    let cache = Some(CacheCounts { hits: 5, ..CacheCounts::default() });
    ProcessMetrics {
        cache,
        device: "cpu",
        service: "detection".into(),
        queue_depth: Some(4),
        ..ProcessMetrics::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_receives_the_metrics() {
    for (ours, theirs) in [(OtlpProtocol::Grpc, Protocol::Grpc), (OtlpProtocol::Http, Protocol::HttpBinary)] {
        let (server, endpoint) = collector(theirs).await;
        let telemetry = Telemetry::start(&settings(Traces::Otlp, ours, endpoint), "detection").unwrap();
        let (sender, receiver) = watch::channel(progress());
        assert_eq!(telemetry.watch(receiver, extra).unwrap(), None);
        assert!(telemetry.flush(WAIT), "{ours:?}");
        let mut later = progress();
        later.fetched = 20;
        sender.send_replace(later);
        assert!(telemetry.flush(WAIT), "{ours:?}");
        server
            .with_collector(|collector| {
                let value = |name: &str, value: f64| {
                    collector.expect_metric_with_name(name).with_value_eq(value).assert_exists();
                };
                value(names::FETCHED.name, 12.0);
                value(names::FETCHED.name, 20.0);
                value(names::SUCCESS.name, 0.75);
                value(names::QUEUE.name, 4.0);
                value(names::CACHE_HITS.name, 5.0);
                let work = collector.expect_histogram(names::WORK.name).with_attributes([("stage", "device")]);
                work.with_count_eq(3)
                    .with_sum_gte(0.701)
                    .with_sum_lte(0.703)
                    .with_bucket_count_eq(8, 2)
                    .assert_at_least(2);
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_the_metrics_and_sees_when_the_pipeline_has_ended() {
    let mut settings = settings(Traces::Off, OtlpProtocol::Grpc, String::new());
    settings.telemetry.metrics_listen = "0".into();
    let telemetry = Telemetry::start(&settings, "detection").unwrap();
    assert!(telemetry.layer().is_none());
    let (sender, receiver) = watch::channel(progress());
    let address = telemetry.watch(receiver, extra).unwrap().unwrap();
    assert!(address.ip().is_loopback());
    let get = async |path: &str| reqwest::get(format!("http://{address}{path}")).await.unwrap();
    let page = get("/metrics").await;
    assert_eq!(page.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let page = page.text().await.unwrap();
    assert!(page.contains("muster_fetcher_received_images_total{service=\"detection\",device=\"cpu\"} 12\n"), "{page}");
    sender.send_modify(|progress| progress.fetched = 13);
    assert!(get("/metrics").await.text().await.unwrap().contains("device=\"cpu\"} 13\n"));
    assert_eq!((get("/healthz").await.status().as_u16(), get("/").await.status().as_u16()), (200, 404));
    drop(sender);
    assert_eq!(get("/healthz").await.status().as_u16(), 503);

    settings.telemetry.metrics_listen = address.to_string();
    let (_sender, receiver) = watch::channel(progress());
    let taken = Telemetry::start(&settings, "").unwrap().watch(receiver.clone(), extra).unwrap_err().to_string();
    assert!(taken.contains("metrics_listen") && taken.contains(&address.to_string()), "{taken}");
    settings.telemetry.metrics_listen = "here".into();
    let wrong = Telemetry::start(&settings, "").unwrap().watch(receiver, extra).unwrap_err().to_string();
    assert!(wrong.contains("127.0.0.1:9464"), "{wrong}");
}

#[test]
fn a_silent_collector_does_not_hold_up_a_drain() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::Http] {
        let telemetry = Telemetry::start(&settings(Traces::Otlp, protocol, endpoint.clone()), "detection").unwrap();
        let (_sender, receiver) = watch::channel(progress());
        telemetry.watch(receiver, extra).unwrap();
        traced(&telemetry, work);
        let began = Instant::now();
        assert!(!telemetry.flush(Duration::from_millis(300)));
        assert!(began.elapsed() < Duration::from_secs(2), "a flush took {:?}", began.elapsed());
        drop(telemetry);
        assert!(began.elapsed() < Duration::from_secs(4), "an end took {:?}", began.elapsed());
    }
}

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

#[test]
fn a_log_line_names_the_trace_and_the_span_it_was_written_in() {
    let mut settings = settings(Traces::Otlp, OtlpProtocol::Grpc, "http://127.0.0.1:1".into());
    settings.telemetry.log_format = LogFormat::Json;
    let telemetry = Telemetry::start(&settings, "detection").unwrap();
    assert_eq!(telemetry.log_format(), LogFormat::Json);
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(JsonLines)
        .with_writer(move || writer.clone())
        .with_filter(EnvFilter::new("muster=info"));
    let mut within = String::new();
    tracing::subscriber::with_default(Registry::default().with(telemetry.layer()).with(log), || {
        tracing::info!(target: "muster", "outside");
        let image = image(HEADERS[0]);
        // The log's filter does not show this span; the trace does.
        let commit = debug_span!(target: "muster_actors::pipeline::writer", parent: &image, "writer.commit").entered();
        within = header(&commit).unwrap();
        tracing::info!(target: "muster", key = "a/b.jpg", faces = 2, "inside");
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), lines[0].get("trace_id")), (2, None), "{text}");
    let (trace, span) = named(&within);
    assert_eq!((lines[1]["trace_id"].as_str(), lines[1]["span_id"].as_str()), (Some(&*trace), Some(&*span)));
    assert_eq!(trace, named(HEADERS[0]).0);
    assert_eq!(lines[1]["fields"], serde_json::json!({ "faces": 2 }));
}

#[test]
fn every_span_has_its_name_in_one_place() {
    let mut folders =
        ["actors", "src"].map(|folder| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).to_vec();
    let mut opened = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for (at, _) in text.match_indices("_span!(") {
                    // The first text of the macro's arguments is the name.
                    let name = text[at..].split('"').nth(1).unwrap();
                    assert!(names::SPANS.contains(&name), "{name} of {} is not in names.rs", path.display());
                    opened += 1;
                }
            }
        }
    }
    assert!(opened > 5, "only {opened} spans were found");
}
