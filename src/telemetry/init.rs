//! Telemetry as a whole. It is started from the settings before the first log line, gets a pipeline to measure later,
//! and is flushed at the end of a drain.
//!
//! It has a small runtime of its own. So it sends while the actors' threads are busy or blocked, and a thread that
//! waits for a flush holds up nothing that the flush needs.

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

use super::emf::EmfWriter;
use super::meters::OtlpMeters;
use super::metric_exporters::MetricExporters;
use super::metrics::MetricSource;
use super::process_metrics::ProcessMetrics;
use super::signer::LazyCredentials;
use super::xray::ParentSampler;
use super::{otlp, prometheus};
use muster_config::{LogFormat, Settings};

/// Most spans that wait to be sent; more are dropped.
const SPANS: usize = 8192;

/// Most links of a batch's span, which has one for each image.
const LINKS: u32 = 1024;

/// Time for which a drop waits if nobody has flushed.
const LAST: Duration = Duration::from_secs(1);

/// Errors of starting telemetry.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The threads of the exporters cannot be started.
    #[error("telemetry cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    /// An exporter cannot be created.
    #[error("telemetry.otlp_endpoint or telemetry.traces: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// A setting is not an address.
    #[error("telemetry.metrics_listen is {0:?}, wanted is an address as 127.0.0.1:9464, or a port")]
    Address(String),
    /// An address cannot be listened on.
    #[error("telemetry.metrics_listen: cannot listen on {address}: {error}")]
    Listen {
        /// Address that cannot be opened.
        address: SocketAddr,
        /// Error of the operating system.
        error: std::io::Error,
    },
}

/// The layer of the log's subscriber that turns spans into traces.
pub type TraceLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Traces and metrics with their exporters. Dropping it sends what is left.
pub struct Telemetry {
    settings: Settings,
    resource: Resource,
    tracer: Option<SdkTracerProvider>,
    exporters: Mutex<Option<Arc<MetricExporters>>>,
    runtime: Option<Runtime>,
}

impl Telemetry {
    /// Creates the exporters. Nothing is sent yet, and credentials for X-Ray are only searched when the first spans are
    /// sent. `service` is the worker's name, such as `detection` or `grouping`.
    ///
    /// # Errors
    /// An exporter or its thread cannot be created.
    pub fn start(settings: &Settings, service: &str) -> Result<Self, TelemetryError> {
        Self::start_as(settings, service, LazyCredentials::provider(&settings.fleet))
    }

    /// Does the same as [`Telemetry::start`], with these credentials for X-Ray.
    ///
    /// # Errors
    /// An exporter or its thread cannot be created.
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
                .with_sampler(ParentSampler::or_share(settings.telemetry.sample_ratio))
                .with_id_generator(XrayIdGenerator::default())
                .with_max_links_per_span(LINKS)
                .with_resource(resource.clone())
                .build()
        });
        let exporters = Mutex::default();
        Ok(Self { settings: settings.clone(), resource, tracer, exporters, runtime: Some(runtime) })
    }

    /// Returns the layer that turns muster's spans into traces; `None` where there are none. It has a filter of its
    /// own, so a log's level does not decide what is traced.
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

    /// Returns the format of log lines.
    pub fn log_format(&self) -> LogFormat {
        self.settings.telemetry.log_format
    }

    /// Measures a pipeline from now on: each minute for CloudWatch and the collector, and on request for Prometheus. It
    /// is called once, and returns the address for Prometheus.
    ///
    /// # Errors
    /// The address for Prometheus is invalid or taken.
    pub fn watch(
        &self,
        progress: watch::Receiver<Progress>,
        process: impl Fn() -> ProcessMetrics + Send + Sync + 'static,
    ) -> Result<Option<SocketAddr>, TelemetryError> {
        let Some(runtime) = &self.runtime else { return Ok(None) };
        let telemetry = &self.settings.telemetry;
        let source = MetricSource::new(progress, process);
        let page = self.page(source.clone(), runtime)?;
        let emf = telemetry.emf.then(|| EmfWriter::new(&telemetry.log_group));
        let meters = otlp::metrics(&self.settings, runtime.handle())?;
        let meters = meters.map(|exporter| OtlpMeters::new(exporter, self.resource.clone()));
        if emf.is_some() || meters.is_some() {
            let exporters = Arc::new(MetricExporters::new(source, emf, meters));
            *self.exporters() = Some(Arc::clone(&exporters));
            runtime.spawn(exporters.run());
        }
        Ok(page)
    }

    /// Serves the page for Prometheus, where an address is set.
    fn page(&self, source: MetricSource, runtime: &Runtime) -> Result<Option<SocketAddr>, TelemetryError> {
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

    /// Sends the spans and metrics that wait, within `timeout`, and tells whether all were sent. It may be called from
    /// any thread, also one of a runtime, which it blocks.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (tracer, exporters) = (self.tracer.clone(), self.exporters().clone());
        let (sender, sent) = mpsc::channel();
        // The SDK's own flush has another time limit than the drain.
        let flush = move || {
            let spans = tracer.is_none_or(|tracer| tracer.force_flush().is_ok());
            let metrics = exporters.is_none_or(|exporters| exporters.send());
            // The receiver is gone if the timeout is over.
            let _ = sender.send(spans && metrics);
        };
        let started = std::thread::Builder::new().name("telemetry-flush".into()).spawn(flush);
        started.is_ok() && sent.recv_timeout(timeout).unwrap_or(false)
    }

    fn exporters(&self) -> MutexGuard<'_, Option<Arc<MetricExporters>>> {
        self.exporters.lock()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(tracer) = self.tracer.take() {
            // Spans and metrics that cannot be sent in time are lost; the process ends anyway.
            let _ = tracer.shutdown_with_timeout(LAST);
        }
        if let Some(exporters) = self.exporters().take() {
            // The SDK's meters would end with one more export over a runtime that is going away. The flush has sent
            // them already.
            std::mem::forget(exporters);
        }
        if let Some(runtime) = self.runtime.take() {
            // Waiting here would panic on a thread of another runtime.
            runtime.shutdown_background();
        }
    }
}

/// Selects spans down to debug level and events down to info; an event below may say which photo it is about.
fn traced(metadata: &Metadata<'_>) -> bool {
    let least = if metadata.is_span() { Level::DEBUG } else { Level::INFO };
    metadata.target().starts_with("muster") && *metadata.level() <= least
}

/// Returns the resource that describes this process.
fn resource(service: &str) -> Resource {
    let name = if service.is_empty() { String::from("muster") } else { format!("muster-{service}") };
    let job = std::env::var("AWS_BATCH_JOB_ID").ok().map(|job| KeyValue::new("service.instance.id", job));
    Resource::builder()
        .with_service_name(name)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(job)
        .build()
}
