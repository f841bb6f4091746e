//! Telemetry as a whole: started from the settings before the first log line, told later what to measure, flushed at the
//! end of a drain.
//!
//! It has a small runtime of its own. So it sends while the actors' threads are busy or blocked, and a thread that waits
//! for a flush holds up nothing that the flush needs.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use muster_actors::flow::progress::Progress;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_aws::trace::XrayIdGenerator;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use super::emf::Emf;
use super::extra::Extra;
use super::meters::Meters;
use super::metrics::Source;
use super::outlets::Outlets;
use super::signer::Later;
use super::xray::Inherited;
use super::{otlp, prometheus};
use muster_config::{LogFormat, Settings};

/// Spans that wait to be sent; more are dropped.
const SPANS: usize = 8192;

/// Links that a batch's span may have: one an image.
const LINKS: u32 = 1024;

/// What a drop waits for, where nobody has flushed.
const LAST: Duration = Duration::from_secs(1);

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// No thread to run on.
    #[error("telemetry cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    /// An exporter that cannot be made.
    #[error("telemetry.otlp_endpoint or telemetry.traces: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// Not an address.
    #[error("telemetry.metrics_listen is {0:?}, wanted is an address as 127.0.0.1:9464, or a port")]
    Address(String),
    /// An address that cannot be had.
    #[error("telemetry.metrics_listen: cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

/// A layer for the subscriber that the log is written by.
pub type TraceLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Traces, metrics and their ways out. Sends what is left when it is dropped.
pub struct Telemetry {
    settings: Settings,
    resource: Resource,
    tracer: Option<SdkTracerProvider>,
    outlets: Mutex<Option<Arc<Outlets>>>,
    runtime: Option<Runtime>,
}

impl Telemetry {
    /// Makes the ways out ready. Nothing is sent yet; `service` is the worker's name: `detection`, `grouping`.
    /// Credentials for X-Ray are looked for when the first spans leave.
    pub fn start(settings: &Settings, service: &str) -> Result<Self, TelemetryError> {
        Self::start_as(settings, service, Later::provider(&settings.fleet))
    }

    /// As [`Telemetry::start`], with these credentials for X-Ray.
    pub fn start_as(
        settings: &Settings,
        service: &str,
        credentials: SharedCredentialsProvider,
    ) -> Result<Self, TelemetryError> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("telemetry").enable_all().build()?;
        let resource = resource(service);
        let tracer = otlp::spans(settings, credentials, runtime.handle())?.map(|exporter| {
            let batches = BatchConfigBuilder::default().with_max_queue_size(SPANS).build();
            SdkTracerProvider::builder()
                .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
                .with_sampler(Inherited::or_share(settings.telemetry.sample_ratio))
                .with_id_generator(XrayIdGenerator::default())
                .with_max_links_per_span(LINKS)
                .with_resource(resource.clone())
                .build()
        });
        let outlets = Mutex::default();
        Ok(Self { settings: settings.clone(), resource, tracer, outlets, runtime: Some(runtime) })
    }

    /// The layer that turns muster's spans into traces; `None` where there are none. It has a filter of its own, so a
    /// log's level does not decide what is traced.
    pub fn layer(&self) -> Option<TraceLayer> {
        let tracer = self.tracer.as_ref()?.tracer("muster");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(filter_fn(traced).with_max_level_hint(Level::DEBUG)).boxed())
    }

    /// How log lines look.
    pub fn log_format(&self) -> LogFormat {
        self.settings.telemetry.log_format
    }

    /// Measures a pipeline from here on: by the minute for CloudWatch and the collector, when asked for Prometheus. Called
    /// once. Returns where Prometheus may ask.
    pub fn watch(
        &self,
        progress: watch::Receiver<Progress>,
        extra: impl Fn() -> Extra + Send + Sync + 'static,
    ) -> Result<Option<SocketAddr>, TelemetryError> {
        let Some(runtime) = &self.runtime else { return Ok(None) };
        let telemetry = &self.settings.telemetry;
        let source = Source::new(progress, extra);
        let page = self.page(source.clone(), runtime)?;
        let emf = telemetry.emf.then(|| Emf::new(&telemetry.log_group));
        let meters = otlp::metrics(&self.settings, runtime.handle())?;
        let meters = meters.map(|exporter| Meters::new(exporter, self.resource.clone()));
        if emf.is_some() || meters.is_some() {
            let outlets = Arc::new(Outlets::new(source, emf, meters));
            *self.outlets() = Some(Arc::clone(&outlets));
            runtime.spawn(outlets.run());
        }
        Ok(page)
    }

    /// Serves the page for Prometheus, where it is wanted.
    fn page(&self, source: Source, runtime: &Runtime) -> Result<Option<SocketAddr>, TelemetryError> {
        let wanted = &self.settings.telemetry.metrics_listen;
        if wanted.is_empty() {
            return Ok(None);
        }
        let address = prometheus::address(wanted).ok_or_else(|| TelemetryError::Address(wanted.clone()))?;
        let failed = |error| TelemetryError::Listen { address, error };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        runtime.spawn(prometheus::serve(listener, source));
        Ok(Some(bound))
    }

    /// Sends the spans and metrics that wait, and waits for that as long as it may take. Says whether all was sent. It may
    /// be called from any thread, also one of a runtime, which it blocks.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (tracer, outlets) = (self.tracer.clone(), self.outlets().clone());
        let (sender, sent) = mpsc::channel();
        // The SDK's own flush has a time limit of its own, which is not the drain's.
        let flush = move || {
            let spans = tracer.is_none_or(|tracer| tracer.force_flush().is_ok());
            let metrics = outlets.is_none_or(|outlets| outlets.send());
            // Nobody waits any more where the time is over.
            let _ = sender.send(spans && metrics);
        };
        let started = std::thread::Builder::new().name("telemetry-flush".into()).spawn(flush);
        started.is_ok() && sent.recv_timeout(timeout).unwrap_or(false)
    }

    fn outlets(&self) -> MutexGuard<'_, Option<Arc<Outlets>>> {
        self.outlets.lock()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(tracer) = self.tracer.take() {
            // What cannot be sent in time is lost; the process ends anyway.
            let _ = tracer.shutdown_with_timeout(LAST);
        }
        if let Some(outlets) = self.outlets().take() {
            // The SDK's meters would end with one more export, over a runtime that goes away: what there was to send went
            // with the flush.
            std::mem::forget(outlets);
        }
        if let Some(runtime) = self.runtime.take() {
            // Waiting here would panic on a thread of another runtime.
            runtime.shutdown_background();
        }
    }
}

/// Spans down to debug level, events down to info: an event below may say which photo it is about.
fn traced(metadata: &Metadata<'_>) -> bool {
    let least = if metadata.is_span() { Level::DEBUG } else { Level::INFO };
    metadata.target().starts_with("muster") && *metadata.level() <= least
}

/// Who speaks.
fn resource(service: &str) -> Resource {
    let name = if service.is_empty() { String::from("muster") } else { format!("muster-{service}") };
    let job = std::env::var("AWS_BATCH_JOB_ID").ok().map(|job| KeyValue::new("service.instance.id", job));
    Resource::builder()
        .with_service_name(name)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(job)
        .build()
}
